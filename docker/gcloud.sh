# shellcheck shell=sh
# What setup-project.sh, deploy.sh and rollback.sh share: . docker/gcloud.sh
# The environment says which project: PROJECT_ID, and REGION (europe-west1).

PRINT=
RETRY_SECONDS=${RETRY_SECONDS:-5}
export CLOUDSDK_CORE_DISABLE_PROMPTS=1

fail() {
    printf '%s: %s\n' "$(basename "$0")" "$1" >&2
    exit "${2:-1}"
}

# The --print that every script takes, and the help above its first command.
read_options() {
    case "${1:-}" in
    --print) PRINT=true ;;
    -h | --help)
        sed -n '2,/^set /s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    -*) fail "unknown option $1: there is --print" 2 ;;
    esac
    [ -n "${PROJECT_ID:-}" ] || fail "PROJECT_ID is not set: export PROJECT_ID=my-project" 2
    REGION=${REGION:-europe-west1}
}

# A command as one would type it: --print. A $ stays one, for the variables printed before.
show() {
    line=
    for argument in "$@"; do
        case $argument in
        --*=*[!A-Za-z0-9_./:=@,+~^%\$-]*) argument="${argument%%=*}='${argument#*=}'" ;;
        *[!A-Za-z0-9_./:=@,+~^%\$-]*) argument="'$argument'" ;;
        esac
        line="$line $argument"
    done
    printf '%s\n' "${line# }"
}

say() {
    [ -n "$PRINT" ] || printf '== %s\n' "$1" >&2
}

stopped() {
    fail "stopped at: $(show "$@")
Mend what it says above and run this again: what is done already stays as it is."
}

run() {
    if [ -n "$PRINT" ]; then
        show "$@"
    else
        "$@" || stopped "$@"
    fi
}

# Create it. There already, or made by somebody else a moment ago, is as good.
create() {
    if [ -n "$PRINT" ]; then
        show "$@"
        return
    fi
    if complaint=$("$@" 2>&1); then
        say "created: $(show "$@")"
        return
    fi
    case $complaint in
    *"lready exists"* | *ALREADY_EXISTS* | *"already own it"*)
        say "there already: $(show "$@")"
        ;;
    *)
        printf '%s\n' "$complaint" >&2
        stopped "$@"
        ;;
    esac
}

# Grant a role. A new account is unknown to IAM for some seconds, and others may change the policy.
grant() {
    if [ -n "$PRINT" ]; then
        show "$@"
        return
    fi
    for attempt in 1 2 3 4 5 6; do
        if complaint=$("$@" --format=none 2>&1); then
            say "granted: $(show "$@")"
            return
        fi
        case $complaint in
        *"does not exist"* | *"concurrent policy changes"* | *ABORTED*) ;;
        *) break ;;
        esac
        [ "$attempt" = 6 ] || sleep "$RETRY_SECONDS"
    done
    printf '%s\n' "$complaint" >&2
    stopped "$@"
}

# shellcheck disable=SC2034 # for the scripts
find_project_number() {
    if [ -n "$PRINT" ]; then
        # shellcheck disable=SC2016 # to be typed
        printf 'PROJECT_NUMBER=$(%s)\n' \
            "$(show gcloud projects describe "$PROJECT_ID" '--format=value(projectNumber)')"
        PROJECT_NUMBER="\$PROJECT_NUMBER"
        return
    fi
    PROJECT_NUMBER=$(gcloud projects describe "$PROJECT_ID" '--format=value(projectNumber)') ||
        stopped gcloud projects describe "$PROJECT_ID"
}
