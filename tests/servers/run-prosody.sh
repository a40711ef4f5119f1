#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs a throw-away Prosody (0.12 or 13) for the tests, in the foreground.
#
#   run-prosody.sh DIR
#
# Everything it writes lies in DIR, which is made if need be and must belong to the caller.
# The script becomes the server (exec), so its pid is the server's: stop it with SIGTERM.
# Ready when the component port accepts a connection (about one second).
#
# Hosts     localhost (its accounts: see below), rooms.localhost (MUC with archive),
#           upload.localhost (XEP-0363), sourdine.localhost (XEP-0114 component).
# Settings  from the environment, each with a default:
#   C2S_PORT 25222   COMPONENT_PORT 25347   HTTP_PORT 25280
#   COMPONENT sourdine.localhost   SECRET s3cret   PASSWORD pw
#   ACCOUNTS "admin alice bob carol"
#   CONFLICT kick_old      what happens to a second component connection (kick_new is Prosody's default)
#   MUC_MODULES ''         more modules for the rooms, for instance "muc_moderation vcard_muc";
#                          found in DIR/modules or where Debian's prosody-modules puts them
#   STANZA_LIMIT 524288    the largest stanza from a client or component
#   LOG_LEVEL info
# Several can run at once, each with a DIR and three ports of its own.
set -eu

[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
if [ "$(id -u)" -eq 0 ]; then
	echo "$0: not as root; for instance: setpriv --reuid=65534 --regid=65534 --clear-groups $0 DIR" >&2
	exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
dir=$(cd "$1" && pwd)
mkdir -p "$dir/data" "$dir/certs" "$dir/run" "$dir/modules"

modules=
for m in ${MUC_MODULES:-}; do modules="$modules\"$m\"; "; done

config=$dir/prosody.cfg.lua
sed -e "s|@DIR@|$dir|g" \
	-e "s|@C2S_PORT@|${C2S_PORT:-25222}|g" \
	-e "s|@COMPONENT_PORT@|${COMPONENT_PORT:-25347}|g" \
	-e "s|@HTTP_PORT@|${HTTP_PORT:-25280}|g" \
	-e "s|@COMPONENT@|${COMPONENT:-sourdine.localhost}|g" \
	-e "s|@SECRET@|${SECRET:-s3cret}|g" \
	-e "s|@CONFLICT@|${CONFLICT:-kick_old}|g" \
	-e "s|@MUC_MODULES@|$modules|g" \
	-e "s|@STANZA_LIMIT@|${STANZA_LIMIT:-524288}|g" \
	-e "s|@LOG_LEVEL@|${LOG_LEVEL:-info}|g" \
	"$here/prosody.cfg.lua.in" >"$config"

# Accounts are made while the server is down; those of an earlier run are kept.
for user in ${ACCOUNTS:-admin alice bob carol}; do
	[ -f "$dir/data/localhost/accounts/$user.dat" ] ||
		prosodyctl --config "$config" register "$user" localhost "${PASSWORD:-pw}" >"$dir/register.log" 2>&1 ||
		{ echo "$0: cannot register $user:" >&2; cat "$dir/register.log" >&2; exit 1; }
done

exec prosody -F --config "$config"
