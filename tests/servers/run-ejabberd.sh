#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs a throw-away ejabberd (Debian's 23.01 or 24.12) for the tests, in the foreground.
#
#   run-ejabberd.sh DIR
#
# Everything it writes lies in DIR, which is made if need be and must belong to the caller.
# The script becomes the server (exec), so its pid is the server's: stop it with SIGTERM.
# Ready when DIR/ready exists (about two seconds): the ports are open and the accounts made.
# There is no epmd and no ejabberdctl: Debian's ejabberdctl insists on the user "ejabberd".
#
# Hosts     localhost (its accounts: see below), rooms.localhost (MUC with archive),
#           upload.localhost (XEP-0363), sourdine.localhost (XEP-0114 component).
# Settings  from the environment, each with a default:
#   C2S_PORT 26222   COMPONENT_PORT 26347   HTTP_PORT 26280
#   COMPONENT sourdine.localhost   SECRET s3cret   PASSWORD pw
#   ACCOUNTS "admin alice bob carol"
#   LOG_LEVEL info
#   STANZA_LIMIT 262144    the largest stanza from a client
#   EJABBERD_LIBS          the folder that holds ejabberd-VERSION, if it is not Debian's
# Several can run at once, each with a DIR and three ports of its own.
# More accounts while it runs:
#   curl -d '{"user":"dave","host":"localhost","password":"pw"}' http://127.0.0.1:26280/api/register
set -eu

[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
if [ "$(id -u)" -eq 0 ]; then
	echo "$0: not as root; for instance: setpriv --reuid=65534 --regid=65534 --clear-groups $0 DIR" >&2
	exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
dir=$(cd "$1" && pwd)
mkdir -p "$dir/db" "$dir/log" "$dir/upload"
rm -f "$dir/ready"

libs=${EJABBERD_LIBS:-}
if [ -z "$libs" ]; then
	for d in /usr/lib/*/ejabberd-*/ebin; do
		[ -d "$d" ] && libs=$(dirname "$(dirname "$d")")
	done
fi
[ -n "$libs" ] || { echo "$0: no ejabberd found; set EJABBERD_LIBS" >&2; exit 1; }

config=$dir/ejabberd.yml
sed -e "s|@DIR@|$dir|g" \
	-e "s|@C2S_PORT@|${C2S_PORT:-26222}|g" \
	-e "s|@COMPONENT_PORT@|${COMPONENT_PORT:-26347}|g" \
	-e "s|@HTTP_PORT@|${HTTP_PORT:-26280}|g" \
	-e "s|@COMPONENT@|${COMPONENT:-sourdine.localhost}|g" \
	-e "s|@SECRET@|${SECRET:-s3cret}|g" \
	-e "s|@LOG_LEVEL@|${LOG_LEVEL:-info}|g" \
	-e "s|@STANZA_LIMIT@|${STANZA_LIMIT:-262144}|g" \
	"$here/ejabberd.yml.in" >"$config"

# Runs once ejabberd is up: makes the accounts (those of an earlier run are kept), waits until
# the three ports answer, then leaves the mark of readiness.
accounts=
for user in ${ACCOUNTS:-admin alice bob carol}; do
	accounts="$accounts${accounts:+, }\"$user\""
done
after="[ejabberd_auth:try_register(list_to_binary(U), <<\"localhost\">>, <<\"${PASSWORD:-pw}\">>)
	|| U <- [$accounts]],
	Open = fun Again(P) -> case gen_tcp:connect({127,0,0,1}, P, []) of
		{ok, S} -> gen_tcp:close(S);
		_ -> timer:sleep(20), Again(P) end end,
	lists:foreach(Open, [${C2S_PORT:-26222}, ${COMPONENT_PORT:-26347}, ${HTTP_PORT:-26280}]),
	ok = file:write_file(\"$dir/ready\", <<>>)."

cd "$dir/db"
exec env -i PATH=/usr/bin:/bin HOME="$dir" ERL_LIBS="$libs" ERL_MAX_PORTS=4096 \
	ERL_CRASH_DUMP="$dir/log/crash.dump" \
	EJABBERD_CONFIG_PATH="$config" EJABBERD_LOG_PATH="$dir/log/ejabberd.log" \
	erl +sbwt none +sbwtdcpu none +sbwtdio none +K true +P 50000 -noinput -mnesia dir "\"$dir/db\"" -s ejabberd -eval "$after"
