#!/bin/sh
# Install the locked, hashed requirements of one kind (run or dev) and the project itself into .venv.
# Does nothing when neither the lock nor pyproject.toml has changed since the last time (stamp in .venv).
set -eu
kind=${1:-run}
cd "$(dirname "$0")/.."
lock=locks/$kind.txt
say() { echo "portillon: $*" >&2; }

find_python() {
    for name in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo "$name"; return; fi
    done
    say "Python 3.11 or newer was not found. Install it (Debian, Ubuntu: apt-get install python3 python3-venv), or name one: PYTHON=/path/to/python3 make install"
    exit 1
}

make_venv() {
    python=$(find_python)
    say "making .venv with $("$python" -V)"
    "$python" -m venv .venv >/dev/null 2>&1 && return
    rm -rf .venv
    if command -v uv >/dev/null 2>&1; then uv venv --quiet --seed --python "$python" .venv && return; fi
    say "$python cannot make a virtual environment. Debian, Ubuntu: apt-get install python3-venv; elsewhere install uv."
    exit 1
}

stamp_of() { cat "locks/$1.txt" pyproject.toml | .venv/bin/python -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())'; }
is_installed() { [ -f ".venv/portillon-$1.stamp" ] && [ "$(cat ".venv/portillon-$1.stamp")" = "$(stamp_of "$1")" ]; }

install_with() {
    "$@" --require-hashes -r "$lock" && "$@" --no-deps --no-build-isolation -e .
}

.venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { rm -rf .venv; make_venv; }

# The development lock holds everything of the other one (a house test keeps it so).
if is_installed "$kind" || is_installed dev; then exit 0; fi
say "installing $lock into .venv (once; the next start skips this)"
pip() { .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input "$@"; }
# uv installs in seconds what takes pip a minute; without one on the machine, ours is locked like everything else.
uv=$(command -v uv) || { pip --require-hashes -r locks/installer.txt 2>/dev/null && uv=.venv/bin/uv; } || uv=""
if [ -n "$uv" ] && install_with "$uv" pip install --quiet --compile-bytecode --python .venv/bin/python; then :
else install_with pip
fi
# Dozens of processes start from here: none should compile our code again, also where Python is told to write nothing.
.venv/bin/python -m compileall -q protocols edge cloud simulators
stamp_of "$kind" > ".venv/portillon-$kind.stamp"
say "installed: the commands are portillon-gate, portillon-cloud, portillon-sim and portillon-verify in .venv/bin"
