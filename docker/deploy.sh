#!/bin/sh
# Deploys what is checked out here: builds, migrates, provisions, then moves the traffic.
#   PROJECT_ID=my-project EMAIL_HOST=smtp.example.com sh docker/deploy.sh [--print]
#   --print           show the commands, contact nobody
#   REGION            where everything is (europe-west1)
#   HOST              the site's public host name (Cloud Run's own for it)
#   ENVIRONMENT       dev, staging or prod: the first part of every topic's name (prod)
#   EMAIL_HOST        the SMTP server, and EMAIL_HOST_USER its user (gyrinx)
set -eu
# shellcheck source=docker/gcloud.sh
. "$(dirname "$0")/gcloud.sh"
read_options "$@"
[ -n "${EMAIL_HOST:-}" ] || fail "EMAIL_HOST is not set: the SMTP server that sends the site's e-mail" 2

if [ -z "${HOST:-}" ]; then
    find_project_number
    HOST="gyrinx-$PROJECT_NUMBER.$REGION.run.app"
fi

run gcloud builds submit --project="$PROJECT_ID" --region="$REGION" --config=cloudbuild.yaml \
    --gcs-source-staging-dir="gs://$PROJECT_ID-gyrinx-source/source" \
    --substitutions="_REGION=$REGION,_HOST=$HOST,_ENVIRONMENT=${ENVIRONMENT:-prod},_EMAIL_HOST=$EMAIL_HOST,_EMAIL_HOST_USER=${EMAIL_HOST_USER:-gyrinx}"

# Anyone may open the site, Pub/Sub among them: the app checks every push itself.
grant gcloud run services add-iam-policy-binding gyrinx --project="$PROJECT_ID" \
    --region="$REGION" --member=allUsers --role=roles/run.invoker
say "done: https://$HOST"
