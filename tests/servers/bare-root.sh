#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs a command in a bare Debian 12 or 13, to prove that the README's commands need nothing but git and a shell.
#
#   sudo bare-root.sh SOURCE -- COMMAND [ARG]...
#
# Makes (or copies from the one kept in $BARE_CACHE) a minimal root with git, sudo and certificates, clones
# the repository SOURCE (its committed HEAD, not the work tree) into /src there, and nothing beside it,
# then runs COMMAND in /src as root with a clean environment.
# The root is removed at the end, and everything still running in it is ended. Exit status: COMMAND's.
# Takes about 40 seconds the first time, 3 afterwards, and 350 MB. The network is the host's.
#
# Settings  SUITE bookworm                        or trixie (Debian 13)
#           BARE_CACHE /var/cache/sourdine-bare-SUITE   where the pristine root is kept
#           BARE_ROOT  a fresh directory under /var/tmp
#           KEEP=1     keep the root, for a look
set -eu

if [ $# -lt 3 ] || [ "$2" != -- ]; then
	echo "usage: $0 SOURCE -- COMMAND [ARG]..." >&2
	exit 2
fi
[ "$(id -u)" -eq 0 ] || { echo "$0: needs root, for chroot" >&2; exit 2; }
command -v debootstrap >/dev/null || { echo "$0: apt-get install debootstrap" >&2; exit 2; }
source=$(cd "$1" && pwd)
shift 2
suite=${SUITE:-bookworm}
cache=${BARE_CACHE:-/var/cache/sourdine-bare-$suite}

if [ ! -e "$cache/etc/debian_version" ]; then
	rm -rf "$cache.new"
	debootstrap --variant=minbase --include=git,sudo,ca-certificates "$suite" "$cache.new" >/var/tmp/debootstrap.log 2>&1 ||
		{ tail -5 /var/tmp/debootstrap.log >&2; exit 1; }
	# The certificates that the host trusts, for a host behind an intercepting proxy.
	cp /etc/ssl/certs/ca-certificates.crt "$cache.new/etc/ssl/certs/ca-certificates.crt"
	rm -f "$cache.new/var/cache/apt/archives/"*.deb
	mv "$cache.new" "$cache"
fi

root=${BARE_ROOT:-$(mktemp -d /var/tmp/sourdine-bare.XXXXXX)}
finish() {
	status=$?
	trap - EXIT INT TERM
	for pid in /proc/[0-9]*; do
		[ "$(readlink "$pid/root" 2>/dev/null)" = "$root" ] && kill -9 "${pid#/proc/}" 2>/dev/null
	done
	umount -l "$root/dev/shm" "$root/dev" "$root/proc" "$root/sys" 2>/dev/null || true
	[ -n "${KEEP:-}" ] || rm -rf --one-file-system "$root"
	exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM

cp -a "$cache/." "$root/"
chmod 755 "$root"
mount -t proc proc "$root/proc"
mount --bind /sys "$root/sys"
mount --bind /dev "$root/dev"
mkdir -p "$root/dev/shm"
mount -t tmpfs tmpfs "$root/dev/shm"
cp /etc/resolv.conf /etc/hosts "$root/etc/"
git clone -q "$source" "$root/src"

chroot "$root" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
	${CI:+CI=$CI} NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt sh -c 'cd /src && exec "$@"' sh "$@"
