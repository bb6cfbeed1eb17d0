#!/bin/sh
# Starts the site; with arguments, runs those instead (a Cloud Run job's command).
#   PORT                       where to listen (8080)
#   RUN_MIGRATIONS=true        migrate first; a failure stops here
#   TASKS_SKIP_PROVISIONING    true: topics and subscriptions are somebody else's work
#   PROVISIONING_TIMEOUT       seconds allowed for them (60); then the site starts without
# It writes nothing but to /tmp, so the image's own files may be read-only.
set -eu

error() {
    printf '{"severity": "ERROR", "message": "%s"}\n' "$1" >&2
}

if [ $# -gt 0 ]; then
    exec "$@"
fi

if [ "${RUN_MIGRATIONS:-}" = true ]; then
    python manage.py migrate --no-input || {
        error "migrate failed: the site is not started"
        exit 1
    }
fi

# A site without new topics serves pages and runs what is already queued: better than no site.
if [ "${TASKS_SKIP_PROVISIONING:-}" != true ]; then
    seconds=${PROVISIONING_TIMEOUT:-60}
    status=0
    timeout --kill-after=5 "$seconds" python manage.py provision_tasks || status=$?
    case $status in
    0) ;;
    124 | 137) reason="took longer than $seconds s" ;;
    *) reason="failed (status $status)" ;;
    esac
    [ "$status" = 0 ] || error "provision_tasks $reason: starting with the topics and subscriptions that exist"
fi

# exec: the server gets Cloud Run's SIGTERM.
exec python -m asgi_tasks.server --bind 0.0.0.0 --port "${PORT:-8080}" gyrinx.asgi:application
