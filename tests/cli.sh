#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The command line from outside: exit statuses, usage errors, the example, the registration. Needs no server.
set -u
sourdine=${top_builddir:-.}/sourdine
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset SOURDINE_CONFIG CREDENTIALS_DIRECTORY
number=0
failures=0

# usage: ok NAME STATUS: STATUS is 0 when it passed; shows the last run's output when not.
ok() {
	number=$((number + 1))
	if [ "$2" -eq 0 ]; then
		echo "ok $number - $1"
	else
		echo "not ok $number - $1"
		failures=$((failures + 1))
		sed 's/^/# /' "$work/out" "$work/err"
	fi
}

run() {
	"$sourdine" "$@" >"$work/out" 2>"$work/err" </dev/null
	status=$?
}

# usage: expect NAME STATUS TEXT ARGUMENT...: runs it; TEXT is a part of what it prints.
expect() {
	name=$1 wanted=$2 text=$3
	shift 3
	run "$@"
	[ $status -eq "$wanted" ] && cat "$work/out" "$work/err" | grep -qF -e "$text"
	ok "$name" $?
}

# ---- usage ----

expect 'no command' 2 'a command is missing'
expect 'an unknown command' 2 'unknown command "zzzzzzz"' zzzzzzz
expect 'a typing error' 2 'did you mean "status"?' stauts
expect 'an unknown option' 2 '--nothing' --nothing
expect 'an option of another command' 2 '--json is no option of run' run --json
expect 'an option that wants an argument' 2 'argument' run --test-clock
expect 'too many words' 2 'usage: sourdine run' run extra
expect 'too few words' 2 'usage: sourdine rules' rules
expect 'an unknown area' 2 'unknown area "weather"' check weather
expect 'an unknown verb of rules' 2 'rules explain FILE' rules frobnicate
for later in forget export; do
	expect "$later is not there yet" 2 'not yet' $later something
done
for later in replay export apply; do
	expect "rules $later is not there yet" 2 'not yet' rules $later x
done
expect 'help' 0 'usage: sourdine' --help
expect 'short help' 0 'usage: sourdine' -h
run --help
! grep -qw -e forget -e export "$work/out" && [ ! -s "$work/err" ]
ok 'help lists only what there is' $?
for command in run check registration example-config status rules audit log backup restore completion; do
	expect "help of $command" 0 "$command" $command --help
done
expect 'version' 0 'sourdine 0.' -V
expect 'long version' 0 'sourdine 0.' --version
expect 'version after a command' 0 'sourdine 0.' check --version

# ---- configuration ----

expect 'no configuration' 78 "$work/nothing.yaml: cannot be read: No such file" -c "$work/nothing.yaml" run
for command in run check registration status; do
	SOURDINE_CONFIG=$work/elsewhere.yaml
	export SOURDINE_CONFIG
	expect "$command asks \$SOURDINE_CONFIG" 78 "$work/elsewhere.yaml" $command
	unset SOURDINE_CONFIG
done
printf 'homeserver:\n  adress: x\n' >"$work/typo.yaml"
expect 'a typing error in it' 78 'typo.yaml:2:3: unknown key "adress", did you mean "address"?' run -c "$work/typo.yaml"
expect 'check says so too' 78 'FAIL  config: ' -c "$work/typo.yaml" check

run example-config
cp "$work/out" "$work/config.yaml"
[ $status -eq 0 ] && cmp -s "$work/config.yaml" "${top_srcdir:-.}/packaging/example.config.yaml"
ok 'example-config prints the example' $?
if [ -c /dev/full ]; then
	"$sourdine" example-config >/dev/full 2>"$work/err"
	[ $? -eq 1 ] && grep -q 'could not all be written: No space left' "$work/err"
	ok 'a full disk is noticed' $?
fi
sed -i -e "s|/var/lib/sourdine|$work/state|" -e 's/^  #port: 9996/  port: 1/' "$work/config.yaml"
chmod 640 "$work/config.yaml"
expect 'no secret' 78 'xmpp.secret: the secret of the XMPP component cannot be read' -c "$work/config.yaml" run
(umask 077 && echo 'a secret SENTINEL' >"$work/xmpp.secret")
expect 'no registration' 78 'registration.yaml: there is no registration yet' -c "$work/config.yaml" run

# ---- registration ----

token() {
	sed -n "s/^$2: \"\(.*\)\"\$/\1/p" "$1"
}
registration=$work/registration.yaml
expect 'registration' 0 'app_service_config_files' -c "$work/config.yaml" registration
grep -q 'Component "sourdine.example.org"' "$work/out"
ok 'it prints what to paste into Prosody' $?
as=$(token "$registration" as_token) hs=$(token "$registration" hs_token) sender=$(token "$registration" sender_localpart)
[ ${#as} -eq 64 ] && [ ${#hs} -eq 64 ] && [ "$as" != "$hs" ]
ok 'two tokens of 64 characters' $?
! cat "$work/out" "$work/err" | grep -q -e "$as" -e "$hs" -e SENTINEL
ok 'it prints no secret' $?
[ "$(stat -c %a "$registration")" = 640 ]
ok 'its mode is 0640' $?
grep -qF "regex: '^@_xmpp_.*:example\\.org\$'" "$registration" && grep -qF "regex: '^@sourdine:example\\.org\$'" "$registration"
ok 'its expressions are anchored and escaped' $?
case $sender in '' | _xmpp_* | sourdine) false ;; *) true ;; esac
ok "its sender \"$sender\" is neither bot nor ghost" $?
cp "$registration" "$work/before"
run -c "$work/config.yaml" registration
[ $status -eq 0 ] && cmp -s "$registration" "$work/before"
ok 'a second time changes nothing' $?
sed -i 's|127.0.0.1:9996|10.0.0.1:9996|' "$work/config.yaml"
run -c "$work/config.yaml" registration
[ "$(token "$registration" as_token)" = "$as" ] && [ "$(token "$registration" sender_localpart)" = "$sender" ] &&
	[ "$(token "$registration" url)" = http://10.0.0.1:9996 ]
ok 'a new address keeps the tokens' $?
run -c "$work/config.yaml" registration --rotate-tokens
[ "$(token "$registration" as_token)" != "$as" ] && [ "$(token "$registration" hs_token)" != "$hs" ] &&
	[ "$(token "$registration" sender_localpart)" = "$sender" ]
ok '--rotate-tokens makes new ones, for the same sender' $?
expect 'a group that does not exist' 1 'there is no group "no-such-group"' -c "$work/config.yaml" registration --group no-such-group
echo 'id: [' >"$work/broken.yaml"
expect 'a broken file is not overwritten' 78 'not overwritten' -c "$work/config.yaml" registration -o "$work/broken.yaml"
[ "$(cat "$work/broken.yaml")" = 'id: [' ]
ok 'and is as it was' $?
expect 'a directory that does not exist' 1 'cannot be written' -c "$work/config.yaml" registration -o "$work/none/r.yaml"
sed 's/  #ghosts: _xmpp_.*/  ghosts: s/; s/  #bot: sourdine.*/  bot: bot/' "$work/config.yaml" >"$work/ghosts.yaml"
run -c "$work/ghosts.yaml" registration -o "$work/r2.yaml"
case $(token "$work/r2.yaml" sender_localpart) in '' | s*) false ;; *) true ;; esac
ok 'a sender outside the names of the ghosts, whatever these are' $?
run -c "$work/config.yaml" check config
[ $status -eq 0 ] && grep -q '^ok    config: ' "$work/out" && ! grep -q -e SENTINEL -e "$(token "$registration" as_token)" "$work/out" "$work/err"
ok 'now check config is content, and prints no secret' $?
expect 'check config as JSON' 0 '"status": 0' check config --json -c "$work/config.yaml"
chmod 644 "$registration"
expect 'a registration that everybody may read' 1 'FAIL  config: ' -c "$work/config.yaml" check config
chmod 640 "$registration"
expect 'the machine' 0 'ok    machine: the clock says' -c "$work/config.yaml" check machine
TZDIR=$work/nowhere && export TZDIR
expect 'no time zones' 1 'install the package tzdata' -c "$work/config.yaml" check machine
unset TZDIR
(ulimit -n 100 && "$sourdine" -c "$work/config.yaml" check machine) >"$work/out" 2>"$work/err"
grep -q 'warn  machine: only 100 files may be open' "$work/out"
ok 'too few open files' $?
expect 'an area by its old name' 0 'ok    database: ' -c "$work/config.yaml" check store
expect 'a homeserver that is away' 69 'FAIL  homeserver: ' -c "$work/config.yaml" check homeserver

# ---- status ----

expect 'status without a daemon' 69 'no daemon is running' -c "$work/config.yaml" status
run -c "$work/config.yaml" status -q
[ $status -eq 69 ] && [ ! -s "$work/out" ] && [ ! -s "$work/err" ]
ok 'quietly' $?

# ---- completion ----

# usage: complete WORD...: what bash offers for the last word.
complete_words() {
	bash -c '. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _sourdine; echo "${COMPREPLY[*]}"' "$work/bash" "$@" 2>"$work/err"
}
for shell in bash zsh fish; do
	run completion $shell
	cp "$work/out" "$work/$shell"
	for word in $("$sourdine" --help | sed -n -e 's/^  \([a-z][a-z-]*\)  .*/\1/p' -e 's/^ .* --\([a-z-]*\) .*/\1/p'); do
		grep -q -e "$word" "$work/$shell" || echo "no $word"
	done >"$work/out"
	[ $status -eq 0 ] && [ ! -s "$work/out" ]
	ok "$shell knows every command and option" $?
	case $shell in bash) probe='bash -n' ;; zsh) probe='zsh -n' ;; fish) probe='fish --no-execute' ;; esac
	if command -v $shell >/dev/null; then
		$probe "$work/$shell" >"$work/out" 2>"$work/err"
		ok "$shell can read its completion" $?
	fi
done
if command -v bash >/dev/null; then
	[ "$(complete_words sourdine sta)" = status ] && [ "$(complete_words sourdine check mach)" = machine ] &&
		[ "$(complete_words sourdine -c x backup --with)" = --with-key ] && [ -z "$(complete_words sourdine status --rep)" ]
	ok 'bash offers what fits, and nothing else' $?
fi
expect 'a shell of which it knows nothing' 2 'unknown shell "csh"' completion csh

# ---- rules ----

cat >"$work/team.charter" <<'CHARTER'
version 1
group "team" {
  tz Europe/Paris
  hours mon-fri 08:30-18:30
  time 10 night when closed then hold until opening
}
CHARTER
expect 'rules check' 0 'hold until opening' rules check "$work/team.charter"
sed 's/closed then/closd then/' "$work/team.charter" >"$work/bad.charter"
expect 'a broken charter' 1 "$work/bad.charter:5:" rules check "$work/bad.charter"
expect 'a charter that is not there' 1 'cannot be read' rules check "$work/none.charter"
sed 's|Europe/Paris|Europe/Nowhere|' "$work/team.charter" >"$work/zone.charter"
expect 'an unknown time zone' 1 'the time zone "Europe/Nowhere" is unknown' rules check "$work/zone.charter"
echo '{"sender": "@alice:example.org", "text": "Hello", "at": "2026-10-16T19:04:00Z"}' >"$work/event.json"
expect 'rules explain' 0 'Held until Mon 19 Oct 08:30 (Europe/Paris).' rules explain "$work/team.charter" "$work/event.json"
echo '{"type": "m.room.message", "sender": "@alice:example.org", "origin_server_ts": 1792152000000,
	"content": {"msgtype": "m.text", "body": "Hello"}}' >"$work/matrix.json"
expect 'an event of Matrix' 0 'Delivered at once.' rules explain "$work/team.charter" "$work/matrix.json"
echo '{"sender": "alice", "text": "Hello"}' >"$work/nobody.json"
expect 'an event of nobody' 1 '"sender" must be' rules explain "$work/team.charter" "$work/nobody.json"
echo '{' >"$work/broken.json"
expect 'an event that is no JSON' 1 'broken.json: ' rules explain "$work/team.charter" "$work/broken.json"

echo "1..$number"
[ $failures -eq 0 ]
