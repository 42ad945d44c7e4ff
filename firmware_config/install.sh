#!/bin/sh
# install.sh [--root FOLDER]: put the files of root/ where they belong on a gate's computer and switch them on.
# May be run again at any time. It writes no key and no gate.toml: those are the claim's (docs/install-a-gate.md).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=
[ "${1:-}" = --root ] && root=${2:?install.sh --root FOLDER}

mode_of() {
    case $1 in
        */usr/lib/portillon/*) echo 0755 ;;
        */system-connections/*) echo 0600 ;;
        *) echo 0644 ;;
    esac
}

(cd "$here/root" && find . -type f) | while read -r file; do
    # A site's own broker network is kept.
    case $file in */broker.conf | */cloud.conf) [ -e "$root/$file" ] && continue ;; esac
    install -D -m "$(mode_of "$file")" "$here/root/$file" "$root/$file"
done
[ -z "$root" ] || exit 0

systemd-sysusers
systemctl daemon-reload
systemctl enable --now var-lib-portillon.mount
systemd-tmpfiles --create
udevadm control --reload
systemctl enable nftables.service chrony.service NetworkManager.service
systemctl enable portillon-claim.service portillon-gate.path portillon-gate.service portillon-again.timer
systemctl disable --now wpa_supplicant.service bluetooth.service avahi-daemon.service 2>/dev/null || true
systemctl mask getty@tty1.service
