#!/bin/sh
# Print the path of a Python that can hold the environments: 3.11 or newer, with venv. $PYTHON overrides.
set -eu

# Each candidate is run, not only looked up: a version manager's shim may be on PATH and yet lead nowhere.
usable() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11)); ' >/dev/null 2>&1
}

if [ -n "${PYTHON:-}" ]; then
    if usable "$PYTHON"; then
        "$PYTHON" -c 'import sys; print(sys.executable)'
        exit 0
    fi
    echo "PYTHON=$PYTHON is not a Python 3.11 or newer with venv." >&2
    exit 1
fi
for candidate in python3 python3.13 python3.12 python3.11 python; do
    if usable "$candidate"; then
        "$candidate" -c 'import sys; print(sys.executable)'
        exit 0
    fi
done
cat >&2 <<MESSAGE
No Python 3.11 or newer with venv was found (tried python3, python3.13, python3.12, python3.11, python).
Install one, on Debian and Ubuntu with its venv package (apt-get install python3 python3-venv), or name it:
  make PYTHON=/path/to/python3.11 ...
Found: $(python3 --version 2>&1 || echo "no python3")
MESSAGE
exit 1
