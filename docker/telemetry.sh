#!/bin/sh
# Makes the dashboard and the alerts for gyrinx's tasks in Cloud Monitoring:
# docs/how-to/watch-with-cloud-monitoring.md explains them.
#   PROJECT_ID=my-project sh docker/telemetry.sh [--print]
#   --print                 show the commands, contact nobody
#   ENVIRONMENT             whose topics: the first part of their names (prod)
#   NOTIFICATION_CHANNELS   whom the alerts tell: names of channels, comma separated
# Run it again after a failure or a change here: what exists already stays as it is.
set -eu
# shellcheck source=docker/gcloud.sh
. "$(dirname "$0")/gcloud.sh"
read_options "$@"
cd "$(dirname "$0")/.."
ENVIRONMENT=${ENVIRONMENT:-prod}

# A file with the topics of this environment.
filled_in() {
    set -- sed "s/prod-gyrinx-tasks/$ENVIRONMENT-gyrinx-tasks/g" "$1"
    if [ -n "$PRINT" ]; then
        printf '%s | ' "$(show "$@")"
    else
        "$@"
    fi
}

# Whether there is one by the display name of a file.
exists() {
    name=$(filled_in "$file" | sed -n '2s/^ *"displayName": "\(.*\)",$/\1/p')
    found=$("$@" list --project="$PROJECT_ID" --limit=1 --filter="displayName=\"$name\"" \
        --format='value(name)') || stopped "$@" list
    [ -n "$found" ] || return 1
    say "there already: $name"
}

# Create what a file describes: by the command, and with the options.
create_from() {
    file=$1 command=$2 options=$3
    # shellcheck disable=SC2086 # words
    set -- $command
    if [ -n "$PRINT" ]; then
        filled_in "$file"
        # shellcheck disable=SC2086
        show "$@" create --project="$PROJECT_ID" $options
    elif ! exists "$@"; then
        # shellcheck disable=SC2086
        filled_in "$file" | create "$@" create --project="$PROJECT_ID" $options
    fi
}

run gcloud services enable monitoring.googleapis.com --project="$PROJECT_ID"
create_from docker/dashboard.json 'gcloud monitoring dashboards' --config-from-file=-
channels=${NOTIFICATION_CHANNELS:+--notification-channels=$NOTIFICATION_CHANNELS}
for alert in dead-letters oldest-message push-failures enqueue-failures; do
    create_from "docker/alerts/$alert.json" 'gcloud alpha monitoring policies' \
        "--policy-from-file=- $channels"
done
[ -n "$channels" ] || say "the alerts tell nobody yet: see NOTIFICATION_CHANNELS"
say "done"
