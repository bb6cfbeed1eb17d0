#!/bin/sh
# Starts the site; with arguments, runs those instead (a Cloud Run job's command).
#   PORT                       where to listen (8080)
#   RUN_MIGRATIONS=true        migrate first; a failure stops here
#   TASKS_SKIP_PROVISIONING    true: topics and subscriptions are somebody else's work
#   PROVISIONING_TIMEOUT       seconds allowed for them (60)
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
    timeout "${PROVISIONING_TIMEOUT:-60}" python manage.py provision_tasks ||
        error "provision_tasks failed (status $?): starting with the topics and subscriptions that exist"
fi

# The backlog: Twisted's own 50 stalls a burst of pushes. exec: daphne gets Cloud Run's SIGTERM.
exec daphne -e "tcp:port=${PORT:-8080}:interface=0.0.0.0:backlog=2048" gyrinx.asgi:application
