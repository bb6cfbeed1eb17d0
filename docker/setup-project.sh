#!/bin/sh
# Makes all that gyrinx needs in a Google Cloud project, once: docs/how-to/deploy.md explains it.
#   PROJECT_ID=my-project sh docker/setup-project.sh [--print]
#   --print               show the commands, contact nobody
#   REGION                where everything is (europe-west1)
#   EMAIL_HOST_PASSWORD   the SMTP server's; may be given later
# Run it again after a failure or a change here: what exists already stays as it is.
set -eu
# shellcheck source=docker/gcloud.sh
. "$(dirname "$0")/gcloud.sh"
read_options "$@"

account() {
    echo "$1@$PROJECT_ID.iam.gserviceaccount.com"
}

enable_services() {
    run gcloud services enable artifactregistry.googleapis.com cloudbuild.googleapis.com \
        cloudresourcemanager.googleapis.com iam.googleapis.com pubsub.googleapis.com \
        run.googleapis.com secretmanager.googleapis.com sqladmin.googleapis.com \
        storage.googleapis.com --project="$PROJECT_ID"
}

create_accounts() {
    create gcloud iam service-accounts create gyrinx-build --project="$PROJECT_ID" \
        --display-name='Builds the image and deploys it'
    create gcloud iam service-accounts create gyrinx-prepare --project="$PROJECT_ID" \
        --display-name='Migrates the database and provisions Pub/Sub'
    create gcloud iam service-accounts create gyrinx-site --project="$PROJECT_ID" \
        --display-name='Serves the site and runs tasks'
    create gcloud iam service-accounts create pubsub-invoker --project="$PROJECT_ID" \
        --display-name='Whom Pub/Sub says it is when it pushes'
    # Pub/Sub's own: it signs the tokens and forwards the dead letters.
    run gcloud beta services identity create --service=pubsub.googleapis.com \
        --project="$PROJECT_ID"
}

create_storage() {
    create gcloud artifacts repositories create gyrinx --project="$PROJECT_ID" \
        --location="$REGION" --repository-format=docker
    for bucket in media source; do
        create gcloud storage buckets create "gs://$PROJECT_ID-gyrinx-$bucket" \
            --project="$PROJECT_ID" --location="$REGION" --uniform-bucket-level-access \
            --public-access-prevention
    done
}

create_database() {
    say "the database takes about ten minutes to make"
    create gcloud sql instances create gyrinx --project="$PROJECT_ID" --region="$REGION" \
        --database-version=POSTGRES_17 --edition=enterprise --tier=db-custom-1-3840 \
        --database-flags=max_connections=200 --storage-auto-increase --backup-start-time=03:00
    create gcloud sql databases create gyrinx --project="$PROJECT_ID" --instance=gyrinx
}

random() {
    LC_ALL=C tr -dc A-Za-z0-9 </dev/urandom | head -c "$1"
}

# Whether a secret has a value. One that cannot be asked must not get another.
has_value() {
    [ -z "$PRINT" ] || return 1
    versions=$(gcloud secrets versions list "$1" --project="$PROJECT_ID" --filter=state=ENABLED \
        --limit=1 --format='value(name)') || stopped gcloud secrets versions list "$1"
    [ -n "$versions" ]
}

# The value comes on standard input, so that no process list shows it.
add_value() {
    run gcloud secrets versions add "$1" --project="$PROJECT_ID" --data-file=-
}

create_secret() {
    create gcloud secrets create "$1" --project="$PROJECT_ID" --replication-policy=automatic
}

set_database_password() {
    users=
    if [ -z "$PRINT" ]; then
        users=$(gcloud sql users list --project="$PROJECT_ID" --instance=gyrinx \
            --filter=name=gyrinx --format='value(name)') || stopped gcloud sql users list
    fi
    if [ -n "$users" ]; then
        action=set-password
    else
        action=create
    fi
    # Not by run, which would show the password if it failed.
    set -- gcloud sql users "$action" gyrinx --project="$PROJECT_ID" --instance=gyrinx
    if [ -n "$PRINT" ]; then
        show "$@" --password="$PASSWORD"
    else
        "$@" --password="$PASSWORD" || stopped "$@"
    fi
}

create_secrets() {
    create_secret gyrinx-secret-key
    if [ -n "$PRINT" ]; then
        # shellcheck disable=SC2016 # to be typed
        printf '%s | ' 'LC_ALL=C tr -dc A-Za-z0-9 </dev/urandom | head -c 50'
        add_value gyrinx-secret-key
    elif ! has_value gyrinx-secret-key; then
        random 50 | add_value gyrinx-secret-key
    fi
    create_secret gyrinx-database-url
    has_value gyrinx-database-url || create_database_url
    create_secret gyrinx-email-password
}

create_database_url() {
    socket="/cloudsql/$PROJECT_ID:$REGION:gyrinx"
    if [ -n "$PRINT" ]; then
        # shellcheck disable=SC2016 # to be typed
        printf '%s\n' 'PASSWORD=$(LC_ALL=C tr -dc A-Za-z0-9 </dev/urandom | head -c 40)'
        PASSWORD="\$PASSWORD"
        set_database_password
        printf 'printf %%s "%s" | ' "postgres://gyrinx:$PASSWORD@/gyrinx?host=$socket"
        add_value gyrinx-database-url
        return
    fi
    PASSWORD=$(random 40)
    set_database_password
    printf %s "postgres://gyrinx:$PASSWORD@/gyrinx?host=$socket" | add_value gyrinx-database-url
}

give_email_password() {
    if [ -n "$PRINT" ]; then
        # shellcheck disable=SC2016 # to be typed
        printf '%s | ' 'printf %s "$EMAIL_HOST_PASSWORD"'
        add_value gyrinx-email-password
    elif has_value gyrinx-email-password; then
        say "there already: the e-mail password"
    elif [ -n "${EMAIL_HOST_PASSWORD:-}" ]; then
        printf %s "$EMAIL_HOST_PASSWORD" | add_value gyrinx-email-password
    else
        say "before the first deploy, run this again with EMAIL_HOST_PASSWORD set"
    fi
}

grant_on_project() {
    grant gcloud projects add-iam-policy-binding "$PROJECT_ID" \
        --member="serviceAccount:$(account "$1")" --role="$2" --condition=None
}

grant_on_account() {
    grant gcloud iam service-accounts add-iam-policy-binding "$(account "$1")" \
        --project="$PROJECT_ID" --member="serviceAccount:$2" --role="$3"
}

grant_on_secret() {
    grant gcloud secrets add-iam-policy-binding "$1" --project="$PROJECT_ID" \
        --member="serviceAccount:$(account "$2")" --role=roles/secretmanager.secretAccessor
}

grant_on_bucket() {
    grant gcloud storage buckets add-iam-policy-binding "gs://$PROJECT_ID-gyrinx-$1" \
        --member="serviceAccount:$(account "$2")" --role="$3"
}

# The build: push the image, deploy with the other accounts, and no more.
grant_build() {
    grant gcloud artifacts repositories add-iam-policy-binding gyrinx --project="$PROJECT_ID" \
        --location="$REGION" --member="serviceAccount:$(account gyrinx-build)" \
        --role=roles/artifactregistry.writer
    grant_on_bucket source gyrinx-build roles/storage.objectViewer
    grant_on_project gyrinx-build roles/logging.logWriter
    grant_on_project gyrinx-build roles/run.developer
    grant_on_account gyrinx-prepare "$(account gyrinx-build)" roles/iam.serviceAccountUser
    grant_on_account gyrinx-site "$(account gyrinx-build)" roles/iam.serviceAccountUser
}

# The job: Pub/Sub's administrator, who may name the account that pushes.
grant_prepare() {
    grant_on_project gyrinx-prepare roles/pubsub.admin
    grant_on_account pubsub-invoker "$(account gyrinx-prepare)" roles/iam.serviceAccountUser
    grant_on_project gyrinx-prepare roles/cloudsql.client
    grant_on_secret gyrinx-secret-key gyrinx-prepare
    grant_on_secret gyrinx-database-url gyrinx-prepare
}

# The public service: publish, its database, its secrets, its bucket.
grant_site() {
    grant_on_project gyrinx-site roles/pubsub.publisher
    grant_on_project gyrinx-site roles/cloudsql.client
    grant_on_secret gyrinx-secret-key gyrinx-site
    grant_on_secret gyrinx-database-url gyrinx-site
    grant_on_secret gyrinx-email-password gyrinx-site
    grant_on_bucket media gyrinx-site roles/storage.objectUser
}

grant_push() {
    grant_on_account pubsub-invoker \
        "service-$PROJECT_NUMBER@gcp-sa-pubsub.iam.gserviceaccount.com" \
        roles/iam.serviceAccountTokenCreator
}

find_project_number
enable_services
create_accounts
create_storage
create_database
create_secrets
give_email_password
grant_build
grant_prepare
grant_site
grant_push
say "done: deploy with sh docker/deploy.sh"
