#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The shape of the house, proved on every run: dependencies point down, one library per part, headers compile alone,
# the rules are pure, what is banned is not there.
#
#   tests/layering.sh               checks the tree (TAP)
#   tests/layering.sh --self-test   plants one violation of each kind into a copy, and must notice each (TAP)
# shellcheck disable=SC2086,SC2015 # lists of words and of patterns
set -u
top=${top_srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
top=$(cd "$top" && pwd)
compiler=${CC:-cc}
self=$top/tests/layering.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# ---- what may be included ----

# Whether a file of one part may include a header of another: "part: parts it may use".
allowed_parts='
base: base
store: base store
core: base store core rules
matrix: base store core rules matrix
xmpp: base store core rules xmpp
cli: base store core rules matrix xmpp cli
main: cli
'

# A foreign header, and the files that may include it (shell patterns, relative to bridge/).
allowed_libraries='
yaml.h base/document.h
openssl/* base/seal.c matrix/crypto/primitive.c
sqlite3.h store/*
microhttpd.h matrix/appservice.c cli/metrics.c
curl/* matrix/http.c
expat.h xmpp/reader.c
strophe.h xmpp/*
stringprep.h xmpp/jid.c xmpp/nick.c
jansson.h base/json.h
utf8proc.h base/look.c
olm/* matrix/crypto/ratchet.c
'

# The rules' own world: these, their own headers and utf8proc.
rules_headers='assert.h ctype.h errno.h limits.h stdarg.h stdbool.h stddef.h stdint.h stdio.h stdlib.h string.h utf8proc.h'

# What librules.a may call. Nothing here does input or output, asks a clock or keeps state.
rules_symbols='__assert_fail __isoc23_strtol __isoc23_strtoul __stack_chk_fail __vsnprintf_chk __snprintf_chk bcmp __memcpy_chk __memmove_chk
	__memset_chk __ctype_b_loc __ctype_tolower_loc abort bsearch calloc free malloc memchr memcmp memcpy memmove memset
	qsort realloc snprintf strchr strcmp strcspn strdup strlen strncmp strndup strnlen strrchr strspn strstr strtol
	strtoul vsnprintf _GLOBAL_OFFSET_TABLE_'

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

sources() {
	(cd "$tree" && find bridge rules -name '*.[ch]' | LC_ALL=C sort)
}

part_of() {
	case $1 in
	bridge/main.c) echo main ;;
	bridge/*) part=${1#bridge/}; echo "${part%%/*}" ;;
	*) echo rules ;;
	esac
}

# The names between quotes or angles: "kind name", kind q or a.
includes() {
	sed -n -e 's/^[ \t]*#[ \t]*include[ \t]*"\([^"]*\)".*/q \1/p' -e 's/^[ \t]*#[ \t]*include[ \t]*<\([^>]*\)>.*/a \1/p' "$tree/$1"
}

# usage: matches WORD PATTERN...
matches() {
	matched=$1
	shift
	for shape; do
		# shellcheck disable=SC2254 # a pattern is meant
		case $matched in $shape) return 0 ;; esac
	done
	return 1
}

# Made from other files, or by configure.
is_generated() {
	matches "$1" config.h store/schema.h cli/example_config.h
}

check_includes() {
	sources | while read -r file; do
		part=$(part_of "$file")
		parts=$(echo "$allowed_parts" | sed -n "s/^$part: //p")
		includes "$file" | while read -r kind name; do
			if [ "$part" = rules ]; then
				case $kind in
				q) [ -f "$tree/rules/$name" ] || echo "$file: \"$name\" is no header of rules/" ;;
				a) matches "$name" $rules_headers || echo "$file: <$name> is not for the rules" ;;
				esac
				continue
			fi
			if [ "$kind" = q ]; then
				is_generated "$name" && continue
				matches "${name%%/*}" $parts || echo "$file: $part may not use \"$name\""
				continue
			fi
			echo "$allowed_libraries" | while read -r header files; do
				[ -n "$header" ] && matches "$name" "$header" || continue
				set -f
				matches "${file#bridge/}" $files || echo "$file: <$name> is not for this file"
				set +f
			done
		done
	done
}

# Matrix may not know of XMPP's insides and the other way round: the table above says so. Of the rest of the core, a port
# uses what port.h names.
check_ports() {
	sources | grep -e '^bridge/matrix/' -e '^bridge/xmpp/' | while read -r file; do
		includes "$file" | while read -r kind name; do
			case $kind:$name in
			q:core/port.h | q:core/groups.h | q:core/inbox.h | q:core/outbox.h | q:core/people.h | q:core/plumb.h) ;;
			q:core/*) echo "$file: a port may not use \"$name\"" ;;
			q:rules/message.h | q:rules/limits.h) ;;
			q:rules/*) echo "$file: a port may not use \"$name\"" ;;
			esac
		done
	done
}

# ---- what may be called ----

# usage: ban PATTERN MESSAGE [FILE...]: the extended expression stands in no file but these. Comments and strings are taken out.
ban() {
	pattern=$1 message=$2
	shift 2
	sources | while read -r file; do
		matches "$file" "$@" && continue
		grep -nE "$pattern" "$bare/$file" | while IFS=: read -r line rest; do
			echo "$file:$line: $message"
		done
	done
}

# Copies of all sources without comments and the insides of strings, line by line.
strip_sources() {
	bare=$work/bare
	sources | while read -r file; do
		mkdir -p "$bare/$(dirname "$file")"
		awk '
		{
			out = ""; n = length($0)
			for (i = 1; i <= n; i++) {
				c = substr($0, i, 1); two = substr($0, i, 2)
				if (comment) { if (two == "*/") { comment = 0; i++ } ; continue }
				if (quote) { if (c == "\\") i++; else if (c == quote) { quote = ""; out = out c } ; continue }
				if (two == "/*") { comment = 1; i++; continue }
				if (two == "//") break
				if (c == "\"" || c == "\047") quote = c
				out = out c
			}
			quote = ""
			print out
		}' "$tree/$file" >"$bare/$file"
	done
}

check_banned() {
	word='(^|[^A-Za-z0-9_])'
	ban "$word(strcpy|strcat|sprintf|vsprintf|gets|atoi|atol|atof|strtok|system|popen|alloca) *\(" 'a banned function'
	ban "$word(localtime|gmtime|ctime|asctime|mktime|localtime_r) *\(" 'a banned function of time'
	ban "$word(secure_)?getenv *\(" 'only the configuration reads the environment' bridge/base/config.c
	ban "$word(exit|_Exit|quick_exit|atexit) *\(" 'only main ends the program' bridge/main.c
	ban "$word(time|clock_gettime|gettimeofday|clock|timespec_get|ftime) *\(" 'only now.c asks a clock' bridge/base/now.c
	ban "$word(dgettext|gettext|ngettext|dngettext|dcgettext) *\(" 'only text.c calls gettext' bridge/base/text.c
	ban "$word(malloc|calloc|realloc|strdup|strndup|asprintf) *\(" 'memory comes from mem.h' bridge/base/mem.c 'rules/*' \
		bridge/base/mem.h bridge/base/json.c
	ban "$word(printf|puts|putchar|fputs) *\(" 'only a sub-command prints' 'bridge/cli/*' bridge/base/log.c bridge/base/mem.c
	ban '^[[:space:]]*typedef +(struct|enum|union)' 'no typedef of a struct'
}

# The rules have no state: no global or static object that can be written.
check_rules_state() {
	for object in "$work"/rules/*.o; do
		[ -e "$object" ] || continue
		nm "$object" | awk -v file="${object##*/}" '$(NF-1) ~ /^[dDbBC]$/ { print "rules/" file ": " $NF " can be written" }'
	done | grep -v -e '\.data\.rel\.ro' -e ' __asan' -e ' \.L'
}

# Compiled plainly, since sanitizers would add calls of their own. Constant tables with pointers are read-only only with -fno-pic.
compile_rules() {
	mkdir -p "$work/rules"
	for file in "$tree"/rules/*.c; do
		$compiler -std=c11 -O1 -fno-pic -fno-pie -fno-sanitize=all -D_GNU_SOURCE -I"$tree" -c "$file" \
			-o "$work/rules/$(basename "$file" .c).o" 2>"$work/log" || { echo "${file#"$tree"/}: does not compile"; head -3 "$work/log"; }
	done
}

check_rules_symbols() {
	nm -u "$work"/rules/*.o | awk 'NF == 2 && $1 == "U" { print $2 }' | LC_ALL=C sort -u >"$work/used"
	nm --defined-only "$work"/rules/*.o | awk 'NF == 3 { print $3 }' | LC_ALL=C sort -u >"$work/defined"
	LC_ALL=C comm -23 "$work/used" "$work/defined" | while read -r symbol; do
		case $symbol in utf8proc_*) continue ;; esac
		matches "$symbol" $rules_symbols || echo "rules/ calls $symbol"
	done
}

check_headers() {
	sources | grep '\.h$' | while read -r file; do
		case $file in
		bridge/*) name=${file#bridge/} ;;
		*) name=$file ;;
		esac
		printf '#include "%s"\n#include "%s"\ntypedef int translation_unit_is_not_empty;\n' "$name" "$name" >"$work/alone.c"
		$compiler -std=c11 -D_GNU_SOURCE -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I"$tree/bridge" -I"$tree" \
			${HEADER_FLAGS:-} "$work/alone.c" 2>"$work/log" || echo "$file: $(grep -m1 error "$work/log")"
	done
}

check_spdx() {
	(cd "$tree" && find bridge rules tests packaging .ci autogen.sh configure.ac Makefile.am -type f \
		\( -name '*.[ch]' -o -name '*.sh' -o -name '*.py' -o -name '*.mk' -o -name '*.ac' -o -name '*.am' -o -name '*.sql' \
		-o -name run -o -name try -o -name deps -o -name analyse -o -name '*.in' -o -name '*.[158]' -o -name '*.po' \) 2>/dev/null |
		grep -v -e '^packaging/m4/' -e '^packaging/build-aux/' -e '/__pycache__/' -e 'POTFILES' | LC_ALL=C sort | while read -r file; do
			head -3 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' || echo "$file: no SPDX line"
		done)
}

# ---- the whole ----

# usage: run_check FUNCTION NAME. With $only, just that one of them is run.
run_check() {
	if [ -n "$only" ] && [ "$only" != $((number + 1)) ]; then
		number=$((number + 1))
		return
	fi
	"$1" >"$work/complaints"
	report "$2"
}

check_tree() {
	tree=$1
	only=${LAYERING_ONLY:-}
	[ -n "$only" ] || echo 1..8
	strip_sources
	run_check check_includes 'includes point down, and each library has its place'
	run_check check_ports 'a port uses of the core what port.h names'
	run_check check_banned 'nothing that is banned is called'
	run_check compile_rules 'the rules compile plainly'
	case $only in 5 | 6) compile_rules >/dev/null ;; esac
	run_check check_rules_symbols 'the rules call nothing but memory and strings'
	run_check check_rules_state 'the rules keep no state'
	run_check check_headers 'every header compiles alone'
	run_check check_spdx 'every file names its licence'
}

# usage: plant NAME TEST FILE TEXT: appends the text to a file of a fresh copy; that test must fail.
plant() {
	number=$((number + 1))
	rm -rf "$work/copy"
	mkdir -p "$work/copy/tests"
	cp -R "$top/bridge" "$top/rules" "$work/copy"
	chmod -R u+w "$work/copy"
	printf '%s\n' "$4" >>"$work/copy/$3"
	top_srcdir=$work/copy CC=$compiler LAYERING_ONLY=$2 sh "$self" >"$work/result" 2>&1
	if grep -q "^not ok $2 " "$work/result" && grep -q "$(basename "${3%.c}")\|planted\|fopen\|count" "$work/result"; then
		echo "ok $number - notices $1"
	else
		echo "not ok $number - notices $1"
		grep -A3 '^not ok' "$work/result" | sed 's/^/# /'
	fi
}

self_test() {
	echo 1..21
	plant 'the core using Matrix' 1 bridge/core/outbox.c '#include "matrix/matrix.h"'
	plant 'the base using the core' 1 bridge/base/str.c '#include "core/groups.h"'
	plant 'Matrix using XMPP' 1 bridge/matrix/event.c '#include "xmpp/jid.h"'
	plant 'SQLite outside the store' 1 bridge/core/people.c '#include <sqlite3.h>'
	plant 'libyaml outside the configuration' 1 bridge/cli/check.c '#include <yaml.h>'
	plant 'curl in a second place' 1 bridge/matrix/event.c '#include <curl/curl.h>'
	plant 'libolm in a second place' 1 bridge/matrix/event.c '#include <olm/olm.h>'
	plant 'OpenSSL in a second place of encryption' 1 bridge/matrix/crypto/signing.c '#include <openssl/evp.h>'
	plant 'the rules using the bridge' 1 rules/judge.c '#include "base/str.h"'
	plant 'the rules using <time.h>' 1 rules/zone.c '#include <time.h>'
	plant 'a port using the relay' 2 bridge/xmpp/jid.c '#include "core/relay.h"'
	plant 'strcpy' 3 bridge/base/str.c 'void planted(char *p); void planted(char *p) { strcpy(p, "x"); }'
	plant 'getenv' 3 bridge/core/people.c 'char *planted(void); char *planted(void) { return getenv("HOME"); }'
	plant 'exit' 3 bridge/store/store.c 'void planted(void); void planted(void) { exit(1); }'
	plant 'a clock' 3 bridge/core/relay.c 'long planted(void); long planted(void) { return time(0); }'
	plant 'gettext' 3 bridge/core/command.c 'char *planted(void); char *planted(void) { return gettext("x"); }'
	plant 'rules that do not compile' 4 rules/fold.c 'int planted(void) { return }'
	plant 'rules that open a file' 5 rules/lex.c '#include <stdio.h>
void *planted(void); void *planted(void) { return fopen("x", "r"); }'
	plant 'rules that remember' 6 rules/calendar.c 'int planted(void); int planted(void) { static int count; return ++count; }'
	plant 'a header that needs another' 7 bridge/base/list.h 'struct str *planted(bool yes, FILE *file);'
	plant 'a file without a licence' 8 bridge/core/planted.h 'struct planted;'
}

case ${1:-} in
--self-test) self_test ;;
'') check_tree "$top" ;;
*) echo "usage: $0 [--self-test]" >&2; exit 2 ;;
esac
