#!/bin/sh
# Resolve requirements/*.in into locked, hashed requirements/*.txt:  scripts/lock.sh [--upgrade]
set -eu
cd "$(dirname "$0")/.."
uv=.venv-uv/bin/uv
if command -v uv >/dev/null 2>&1; then uv=uv; fi
if [ "$uv" != uv ] && [ ! -x "$uv" ]; then
    "$(sh scripts/find-python.sh)" -m venv .venv-uv
    .venv-uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
fi
# layer before dev, which contains it.
for name in uv layer dev sam checkov terraform kubernetes audit; do
    "$uv" pip compile --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.11 "$@" \
        "requirements/$name.in" -o "requirements/$name.txt"
    echo "lock: requirements/$name.txt"
done
