#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The French catalogue is whole: it has exactly the texts of the sources, none empty, none fuzzy, each with the same
# places to fill, and in the manner of French printers.
set -u
top=${top_srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
cd "$top" || exit 99
po=packaging/po/fr.po
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
number=0

# usage: report STATUS NAME [DETAIL]
report() {
	number=$((number + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $number - $2"
	else
		echo "not ok $number - $2"
		[ -z "${3:-}" ] || printf '%s\n' "$3" | sed 's/^/# /'
	fi
}

for tool in xgettext msgfmt msgattrib msgcat; do
	command -v $tool >/dev/null || { echo "1..0 # SKIP no $tool (package gettext)"; exit 0; }
done
echo 1..6

# text.c only hands texts on.
files=$(grep -l -r -e 'N_(' -e 'text_in(' --include='*.c' rules bridge | grep -v '^bridge/base/text.c$' | LC_ALL=C sort)
difference=$(printf '%s\n' "$files" | diff packaging/po/POTFILES -)
report $? 'POTFILES names every source with texts, and no other' "$difference"

# shellcheck disable=SC2086 # a list of words
xgettext --language=C --from-code=UTF-8 --keyword= --keyword=N_ --keyword=_ --keyword=text_in:2 \
	--no-location --omit-header --force-po --no-wrap -o "$work/all.pot" $files
texts() {
	msgcat --no-wrap --no-location --sort-output "$1" 2>/dev/null | grep '^msgid "..*"$' | LC_ALL=C sort
}
texts "$work/all.pot" >"$work/wanted"
msgattrib --no-obsolete --no-wrap "$po" >"$work/fr.po"
texts "$work/fr.po" >"$work/had"
difference=$(diff "$work/wanted" "$work/had")
report $? "fr.po has the $(wc -l <"$work/wanted") texts of the sources, and no other" "$difference"
[ -s "$work/wanted" ]
report $? 'there are texts at all'

difference=$({ msgattrib --untranslated --no-wrap "$po"; msgattrib --only-fuzzy --no-wrap "$po"; } | grep '^msgid "..*"$')
[ -z "$difference" ]
report $? 'none is empty or fuzzy' "$difference"

difference=$(msgfmt --check -o /dev/null "$po" 2>&1)
report $? 'msgfmt --check finds nothing' "$difference"

# The names in braces are the same on both sides; no ordinary space before : ; ! ? or inside the quotes.
difference=$(msgcat --no-wrap "$po" | awk '
	function places(text, out, all, n, i) {
		n = split(text, all, "{"); out = ""
		for (i = 2; i <= n; i++) { sub(/}.*/, "", all[i]); out = out " " all[i] }
		n = split(out, all, " "); out = ""
		for (i = 1; i <= n; i++) count[all[i]]++
		for (i in count) { out = out " " i ":" count[i]; delete count[i] }
		return out
	}
	/^msgid / { id = substr($0, 7) }
	/^msgstr / {
		text = substr($0, 8)
		if (places(id) != places(text)) print "places: " id
		if (text ~ / [:;!?]( |"|$)/ || text ~ /« / || text ~ / »/) print "space: " text
	}')
[ -z "$difference" ]
report $? 'places to fill and spaces' "$difference"
