#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The manual lists every command, option and key that the program knows, and is well formed.
# shellcheck disable=SC2013 # words are meant
set -u
top=${top_srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
sourdine=${top_builddir:-.}/sourdine
manual=$top/packaging/man
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
number=0

# usage: report NAME: reads complaints, each a line; none is good.
report() {
	number=$((number + 1))
	if [ -s "$work/complaints" ]; then
		echo "not ok $number - $1"
		sed 's/^/# /' "$work/complaints"
	else
		echo "ok $number - $1"
	fi
}

echo 1..7
"$sourdine" --help >"$work/help"
commands=$(sed -n 's/^  \([a-z][a-z-]*\)  .*/\1/p' "$work/help")
options=$(sed -n 's/^ .* --\([a-z-]*\) .*/\1/p' "$work/help")

if [ "$(echo "$commands" | wc -w)" -lt 6 ] || [ "$(echo "$options" | wc -w)" -lt 9 ]; then
	echo "$commands $options"
fi >"$work/complaints"
report 'the usage lists commands and options'

for command in $commands; do
	grep -q "^\.It Cm $command\( \|$\)" "$manual/sourdine.8" || echo "sourdine.8 lacks $command"
	"$sourdine" "$command" --help >"$work/one" || echo "$command --help fails"
	for option in $(sed -n 's/^ .* --\([a-z-]*\) .*/\1/p' "$work/one"); do
		echo "$options" | grep -qx -e "$option" || echo "--help lacks --$option of $command"
	done
done >"$work/complaints"
report 'sourdine.8 has every command'

for option in $options; do
	grep -q "^\.It Fl .*-$option\( \|$\)" "$manual/sourdine.8" || echo "sourdine.8 lacks --$option"
done >"$work/complaints"
report 'sourdine.8 has every option'

# The other way round: nothing in the manual that the program does not know.
for option in $(sed -n 's/^\.It Fl \(. , Fl \)\{0,1\}-\([a-z-]*\).*/\2/p' "$manual/sourdine.8"); do
	echo "$options" | grep -qx -e "$option" || echo "sourdine.8 has --$option, which does not exist"
done >"$work/complaints"
report 'sourdine.8 has no option that does not exist'

if command -v mandoc >/dev/null; then
	for page in "$manual"/*.[58]; do
		mandoc -Tlint -W style "$page" 2>/dev/null
	done | grep -v -e 'referenced manual not found' -e 'outdated mandoc.db' >"$work/complaints"
	report 'mandoc -Tlint finds nothing'
else
	number=$((number + 1))
	echo "ok $number # SKIP no mandoc"
fi

# Of the table CANNOT in tests/e2e/conftest.py: a word "server:_test" for each.
skipped=$(sed -n '/^CANNOT = {/,/^}/{s/^    "\([a-z]*\)": {.*/server \1/p;s/^        "\(test_[a-z_]*\)":.*/\1/p;}' "$top/tests/e2e/conftest.py" |
	while read -r first second; do
		if [ "$first" = server ]; then server=$second; else echo "$server:_$first"; fi
	done)
{
	for row in $skipped; do
		grep -qx ".It $(echo "$row" | sed 's/_/ /')" "$manual/sourdine.8" || echo "sourdine.8 lacks the skipped test $row"
	done
	[ -n "$skipped" ] || echo 'no table of skipped tests was found'
} >"$work/complaints"
report 'the manual lists the tests that a server cannot pass'

# Each series, wherever it is written.
for metric in $({
	sed -n 's/.*X(METRIC_[A-Z_]*, "[a-z]*", "\([a-z_]*\)".*/sourdine_\1/p; s/.*X(DURATION_[A-Z_]*, "\([a-z_]*\)".*/sourdine_\1/p' \
		"$top/bridge/base/metric.h"
	grep -o '"\(sourdine\|process\)_[a-z_]*"' "$top/bridge/cli/gauges.c" | tr -d '"'
} | sort -u); do
	echo "$metric" >>"$work/metrics"
	grep -q "^\.It Ic $metric\$" "$manual/sourdine.8" || echo "sourdine.8 lacks $metric"
done >"$work/complaints"
[ "$(wc -l <"$work/metrics")" -gt 30 ] || echo 'the sources name too few' >>"$work/complaints"
report 'every metric is in the manual'
