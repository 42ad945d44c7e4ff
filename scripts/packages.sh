#!/bin/sh
# See that the Debian packages of scripts/packages.txt are there: install them as root, else print exactly what to type.
set -eu
cd "$(dirname "$0")/.."
command -v dpkg-query >/dev/null 2>&1 || {
    echo "portillon: this is no Debian or Ubuntu; install what these packages bring, by your own means:" >&2
    grep -v '^#' scripts/packages.txt >&2
    exit 1
}
missing=""
# Each line is one word:
# shellcheck disable=SC2013
for package in $(grep -v '^#' scripts/packages.txt); do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
    echo "portillon: the tests need these Debian packages; type: sudo apt-get update && sudo apt-get install --no-install-recommends$missing" >&2
    exit 1
fi
echo "portillon: installing$missing" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >&2
# A list of package names, one word each; errors are told on stderr, the rest is a thousand lines:
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing >/dev/null
