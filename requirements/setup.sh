#!/bin/sh
# Usage: setup.sh NAME VENV [VERSION]
# Installs requirements/NAME.txt into VENV, made with Python VERSION where there is one.
# PYTHON=/path/to/python chooses another. Does nothing when VENV is as it should be.
set -u
name=$1 venv=$2 wanted=${3:-$(cat .python-version 2>/dev/null || echo 3.13)}
lock=requirements/$name.txt stamp=$venv/.installed log=.cache/setup-$name.log

die() {
    echo "set-up: $1" >&2
    exit 1
}

# What the environment was made from, word for word: a moved folder, another Python, other pins.
state() {
    echo "$PWD ${PYTHON:-} $wanted $("$venv/bin/python" -V 2>/dev/null)"
    cat "$lock" 2>/dev/null
}

is_ready() {
    state | cmp -s - "$stamp"
}

version() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null
}

candidates() {
    printf '%s\n' python python3.13 python3.14 python3.12 python3
    ls -d "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[234]*/bin/python 2>/dev/null
}

# Runs each one: a pyenv shim may be on the path and still have no Python behind it.
find_python() {
    candidates | while read -r python; do
        # shellcheck disable=SC2254  # a pattern
        case $(version "$python" </dev/null) in $1) echo "$python" && break ;; esac
    done
}

choose_python() {
    if [ -n "${PYTHON:-}" ]; then
        case $(version "$PYTHON") in
        3.12 | 3.13 | 3.14) echo "$PYTHON" ;;
        *) die "PYTHON=$PYTHON does not run here, or is not Python 3.12, 3.13 or 3.14" ;;
        esac
        return
    fi
    python=$(find_python "$wanted")
    [ -n "$python" ] || python=$(find_python '3.1[234]')
    [ -n "$python" ] || die "no Python 3.12, 3.13 or 3.14 found (python3 is $(version python3 || echo missing)):\
 install one, or name it: make PYTHON=/path/to/python3.13 ..."
    echo "$python"
}

# Debian's python3 comes without ensurepip, but its python3-pip can fill an environment from outside.
make_venv() {
    if "$1" -c 'import ensurepip, venv' 2>/dev/null; then
        "$1" -m venv --clear "$venv" >>"$log" 2>&1
    elif "$1" -c 'import venv' 2>/dev/null && "$1" -m pip --version >/dev/null 2>&1; then
        "$1" -m venv --clear --without-pip "$venv" >>"$log" 2>&1
    else
        die "$1 cannot make virtual environments: install its venv module\
 (Debian: apt-get install python$(version "$1")-venv), or name another: make PYTHON=/path/to/python3.13 ..."
    fi || die "could not make $venv with $1: see $log"
}

install() {
    pip="$venv/bin/python -m pip"
    "$venv/bin/python" -c 'import pip' 2>/dev/null || pip="$1 -m pip --python $venv/bin/python"
    # shellcheck disable=SC2086  # a command and its arguments
    $pip install -qq --disable-pip-version-check --require-hashes -r "$lock" >>"$log" 2>&1 && return
    if grep -qiE 'connection|resolution|unreachable|timed out|no matching distribution' "$log"; then
        die "pip cannot reach the package index: check the network (or pip's index-url), then run make again ($log)"
    fi
    die "pip could not install $lock: see $log, then run make again"
}

[ -f "$lock" ] || die "$lock is missing: run this from the repository's folder"
is_ready && exit 0
mkdir -p .cache
# Another make may be at it: wait, and look again.
exec 9>"$log.lock"
! command -v flock >/dev/null || flock 9
is_ready && exit 0
: >"$log"
python=$(choose_python) || exit 1
# No stamp means an interrupted or a foreign environment: begin again. A new lock installs over the old.
if ! [ -f "$stamp" ] || [ "$(head -n 1 "$stamp")" != "$(state | head -n 1)" ]; then
    echo "set-up: making $venv with $python ($(version "$python"))"
    rm -f "$stamp"
    make_venv "$python"
fi
rm -f "$stamp"
echo "set-up: installing $lock (about a minute)"
install "$python"
state >"$stamp"
