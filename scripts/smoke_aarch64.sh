#!/bin/sh
# Optional, Debian and Ubuntu: run the gate's reader and its decision core as they run on a Raspberry Pi (aarch64), under
# qemu's user emulation, and compare with what they say here. Nothing is installed: all of it lies in .cache/aarch64.
set -eu
cd "$(dirname "$0")/.."
say() { echo "portillon: $*" >&2; }
for tool in apt-get dpkg; do
    command -v $tool >/dev/null || { say "$tool is needed (Debian, Ubuntu)"; exit 3; }
done
[ -x .venv/bin/portillon-sim ] || { say "make install first"; exit 3; }

here=$PWD/.cache/aarch64
apt=$here/apt
packages="python3-minimal python3.11-minimal libpython3.11-minimal libpython3.11-stdlib libc6 libgcc-s1 libstdc++6 zlib1g
    libexpat1 libssl3 libffi8 libsqlite3-0 libbz2-1.0 liblzma5 libuuid1"
mkdir -p "$here/root" "$here/host" "$here/debs" "$here/site" "$apt/lists/partial" "$apt/cache/archives/partial"

# Debian's packages of another architecture, by an apt whose state is ours
arm_apt() {
    : > "$apt/status"
    (cd "$here/debs" && apt-get -qq -o Dir::State="$apt" -o Dir::State::status="$apt/status" -o Dir::Cache="$apt/cache" \
        -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User=root "$@")
}
if [ ! -e "$here/root/done" ]; then
    say "fetching an aarch64 Python from Debian"
    arm_apt update
    # shellcheck disable=SC2086  # one argument a package
    arm_apt download $packages
    for package in "$here"/debs/*.deb; do dpkg -x "$package" "$here/root"; done
    touch "$here/root/done"
fi
qemu=$(command -v qemu-aarch64-static || echo "$here/host/usr/bin/qemu-aarch64-static")
if [ ! -x "$qemu" ]; then
    say "fetching qemu-user-static"
    (cd "$here" && apt-get -qq -o APT::Sandbox::User=root download qemu-user-static && dpkg -x qemu-user-static_*.deb host)
fi
if [ ! -e "$here/site/done" ]; then
    say "fetching the gate's packages for aarch64, in the locked versions"
    sed -n 's/^\([a-z0-9._-]*==[^\]*\).*/\1/p' locks/run.txt > "$here/locked.txt"
    .venv/bin/python - > "$here/wanted.txt" <<'PYTHON'
import re, tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
wanted = project["dependencies"] + project["optional-dependencies"]["edge"]
print("\n".join(re.match(r"[A-Za-z0-9._-]+", line)[0] for line in wanted))
PYTHON
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --target "$here/site" --only-binary=:all: \
        --python-version 3.11 --platform manylinux_2_34_aarch64 --platform manylinux_2_28_aarch64 \
        --platform manylinux_2_17_aarch64 --platform manylinux2014_aarch64 -r "$here/wanted.txt" -c "$here/locked.txt"
    touch "$here/site/done"
fi

on_arm() {
    PYTHONPATH="$here/site:$PWD" PYTHONDONTWRITEBYTECODE=1 QEMU_CPU=cortex-a72 "$qemu" -L "$here/root" "$here/root/usr/bin/python3.11" -c \
        'import sys; sys.argv[0] = "portillon-gate"; from edge.cli import main; main()' "$@"
}
rm -rf "$here/pictures" && .venv/bin/portillon-sim phone --frames "$here/pictures" --count 6 --seed 3 \
    --distortion clean --distortion motion --distortion cracks --distortion bands --distortion glare --distortion distance
without_ms='s/"ms": [0-9.]*/"ms": 0/'
scenario=$(find tests/vectors/scenarios -name '*.jsonl' | sort | head -1)
for command in "read --budget-ms 60000 $here/pictures/*.png" "replay $scenario"; do
    # shellcheck disable=SC2086  # words of a command
    .venv/bin/portillon-gate $command | sed "$without_ms" > "$here/native.txt"
    # shellcheck disable=SC2086
    on_arm $command | sed "$without_ms" > "$here/aarch64.txt"
    if ! cmp -s "$here/native.txt" "$here/aarch64.txt"; then
        diff "$here/native.txt" "$here/aarch64.txt" | cut -c1-200 >&2
        say "aarch64 says something else: portillon-gate ${command%% *}"
        exit 1
    fi
    say "the same on aarch64: portillon-gate ${command%% *}, $(wc -l < "$here/native.txt") lines"
done
