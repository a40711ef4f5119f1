#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What `make install` puts where, and how exposed the service is by systemd's own measure (0 best, 10 worst; the bar is 1.2).
set -u
top=${top_srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
build=${top_builddir:-.}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
number=0

# usage: report STATUS NAME
report() {
	number=$((number + 1))
	if [ "$1" -eq 0 ]; then echo "ok $number - $2"; else
		echo "not ok $number - $2"
		sed 's/^/# /' "$work/said"
	fi
}

echo 1..4
make -C "$build" install DESTDIR="$work/root" >"$work/said" 2>&1
report $? 'make install'

prefix=$(sed -n 's/^prefix = //p' "$build/Makefile")
for file in bin/sourdine share/man/man8/sourdine.8 share/man/man5/sourdine.yaml.5 share/man/man5/sourdine-charter.5 \
	share/locale/fr/LC_MESSAGES/sourdine.mo share/fish/vendor_completions.d/sourdine.fish \
	share/bash-completion/completions/sourdine share/zsh/site-functions/_sourdine lib/systemd/system/sourdine.service lib/sysusers.d/sourdine.conf; do
	[ -s "$work/root$prefix/$file" ] || echo "$prefix/$file is missing"
done >"$work/said"
[ ! -s "$work/said" ]
report $? 'everything is in its place'

unit=$work/root$prefix/lib/systemd/system/sourdine.service
program=$(sed -n 's/^ExecStart=\([^ ]*\) .*/\1/p' "$unit")
"$work/root$program" --version >"$work/said" 2>&1
report $? 'the unit starts the program that was installed'

# Debian 12 has 252, Debian 13 has 257; older ones know no --offline.
if systemd-analyze security --help 2>/dev/null | grep -q -e --offline; then
	systemd-analyze security --offline=yes "$unit" >"$work/said" 2>&1
	exposure=$(sed -n 's/.*exposure level for sourdine.service: \([0-9.]*\).*/\1/p' "$work/said")
	tail -n 1 "$work/said" | sed 's/^/# /'
	[ -n "$exposure" ] && [ "$(echo "$exposure" | tr -d .)" -le 12 ]
	report $? "exposure of the service at most 1.2: $exposure"
else
	number=$((number + 1))
	echo "ok $number # SKIP no systemd-analyze that knows --offline"
fi
