#!/bin/sh
# Recompiles requirements/*.txt from pyproject.toml; --upgrade takes the newest of everything.
# lowest.txt pins our own dependencies to their lower bounds, and leaves the rest new.
set -eu
bounds=.cache/lowest.in
site="--group site --extra logs --extra otel"
all="--extra logs --extra monitoring --extra otel"

compile() {
    # Extras are kept: pip before 24 resolves "twisted" and "twisted[tls]" apart, and finds no hash.
    .venv/bin/uv pip compile --quiet --universal --python-version 3.12 --no-strip-extras \
        --no-annotate --no-header --no-emit-index-url --no-emit-find-links pyproject.toml "$@"
}

mkdir -p .cache
# shellcheck disable=SC2086  # words
{
    compile --resolution lowest-direct --no-deps $all --output-file "$bounds" --upgrade
    compile --generate-hashes --group dev $all --output-file requirements/dev.txt "$@"
    compile --generate-hashes $site --output-file requirements/site.txt "$@"
    compile --generate-hashes --group site --group test --group bench $all --output-file requirements/bench.txt "$@"
    compile --generate-hashes --group site --group test $all --constraint "$bounds" \
        --output-file requirements/lowest.txt "$@"
}
