#!/bin/sh
# Sends all traffic to an earlier revision; the next deploy sends it to the newest again.
#   PROJECT_ID=my-project sh docker/rollback.sh [--print] [REVISION]
#   --print    show the commands, contact nobody
#   REVISION   gyrinx-00041-abc; without it, the revisions are listed
#   REGION     where everything is (europe-west1)
set -eu
# shellcheck source=docker/gcloud.sh
. "$(dirname "$0")/gcloud.sh"
read_options "$@"
[ -z "$PRINT" ] || shift

if [ $# -eq 0 ]; then
    run gcloud run revisions list --service=gyrinx --project="$PROJECT_ID" --region="$REGION" \
        --limit=10
else
    run gcloud run services update-traffic gyrinx --project="$PROJECT_ID" --region="$REGION" \
        --to-revisions="$1=100"
fi
