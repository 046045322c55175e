#!/bin/sh
# Bring the checkout's virtual environments up to date:
#   scripts/setup.sh [dev] [sam] [checkov] [terraform] [kubernetes]
#
# Each is built from its locked, hashed requirements and left alone as long as these stay the same. Needs a
# Python 3.11 or newer and the package index; uv is taken from PATH, or installed into .venv-uv.
set -eu
cd "$(dirname "$0")/.."
root=$(pwd -P)

key() { # what environment $1 was built from: its requirements, the place of the checkout, the interpreter
    { cat "requirements/$1.txt" pyproject.toml; echo "$root"; } | cksum | tr ' ' '-'
}

directory() {
    if [ "$1" = dev ]; then echo .venv; else echo ".venv-$1"; fi
}

fresh() { # is environment $1 as it should be?
    [ "$(cat "$(directory "$1")/.built-from" 2>/dev/null)" = "$(key "$1")" ] &&
        "$(directory "$1")/bin/python" -c '' 2>/dev/null
}

find_uv() {
    if command -v uv >/dev/null 2>&1 && uv --version >/dev/null 2>&1; then
        uv=uv
        return
    fi
    uv=.venv-uv/bin/uv
    if ! fresh uv; then
        echo "setup: installing uv"
        rm -rf .venv-uv
        "$python" -m venv .venv-uv
        .venv-uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
            -r requirements/uv.txt
        key uv >.venv-uv/.built-from
    fi
}

build() { # environment $1
    directory=$(directory "$1")
    echo "setup: $directory from requirements/$1.txt"
    rm -f "$directory/.built-from"
    if ! "$directory/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        "$uv" venv --quiet --clear --python "$python" "$directory"
    fi
    "$uv" pip sync --quiet --python "$directory/bin/python" --require-hashes "requirements/$1.txt"
    if [ "$1" = dev ]; then
        "$uv" pip install --quiet --python "$directory/bin/python" --no-deps --no-build-isolation --editable .
    fi
    key "$1" >"$directory/.built-from"
}

wanted=
for name in "${@:-dev}"; do
    fresh "$name" || wanted="$wanted $name"
done
[ -n "$wanted" ] || exit 0

python=$(sh scripts/find-python.sh)
export UV_PYTHON_DOWNLOADS=never
# uv does not read pip's configuration, where whoever has a package index or an authority of their own has set
# them; and it trusts its own authorities, not the machine's, unless told so.
export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}"
if [ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}" ]; then
    index=${PIP_INDEX_URL:-$("$python" -m pip config get global.index-url 2>/dev/null || true)}
    if [ -n "$index" ]; then export UV_DEFAULT_INDEX="$index"; fi
fi
if [ -z "${SSL_CERT_FILE:-}" ]; then
    cert=${PIP_CERT:-$("$python" -m pip config get global.cert 2>/dev/null || true)}
    if [ -n "$cert" ]; then export SSL_CERT_FILE="$cert"; fi
fi

find_uv
for name in $wanted; do
    build "$name"
done
