#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs a throw-away Synapse for the tests, in the foreground.
#
#   run-synapse.sh DIR [REGISTRATION.yaml]...
#
# Everything it writes lies in DIR, which is made if need be and must belong to the caller.
# The script becomes the server (exec), so its pid is the server's: stop it with SIGTERM.
# Ready when DIR/ready exists (about four seconds): the port answers and
# the accounts exist. Each REGISTRATION is an appservice's; a new one needs a restart.
#
# Settings  from the environment, each with a default:
#   HTTP_PORT 28008   SERVER_NAME hs.test   SECRET s3cret   PASSWORD pw   LOG_LEVEL WARNING
#   ACCOUNTS "admin alice bob carol"      on this server; admin is the server's admin
#   SYNAPSE_PYTHON         a Python (3.10 or newer) that has Synapse; made with
#                            /usr/bin/python3 -m venv VENV && VENV/bin/pip install matrix-synapse
#                          (20 seconds, 1.163.2 tried), then SYNAPSE_PYTHON=VENV/bin/python
#   EXTRA ''               one more YAML file of settings, merged over ours key by top-level key
# Several can run at once, each with a DIR and a port of its own.
# More accounts while it runs:
#   register_new_matrix_user -c DIR/homeserver.yaml -u dave -p pw --no-admin http://127.0.0.1:28008
set -eu

[ $# -ge 1 ] || { echo "usage: $0 DIR [REGISTRATION.yaml]..." >&2; exit 2; }
if [ "$(id -u)" -eq 0 ]; then
	echo "$0: not as root; for instance: setpriv --reuid=65534 --regid=65534 --clear-groups $0 DIR" >&2
	exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
dir=$(cd "$1" && pwd)
shift
mkdir -p "$dir/media"
rm -f "$dir/ready"

python=${SYNAPSE_PYTHON:-python3}
"$python" -c 'import synapse' 2>"$dir/python.log" ||
	{ echo "$0: $python has no Synapse; set SYNAPSE_PYTHON:" >&2; tail -1 "$dir/python.log" >&2; exit 1; }

appservices=
for file; do
	[ -r "$file" ] || { echo "$0: cannot read $file" >&2; exit 2; }
	appservices="$appservices${appservices:+, }\"$(realpath "$file")\""
done

port=${HTTP_PORT:-28008}
config=$dir/homeserver.yaml
sed -e "s|@DIR@|$dir|g" \
	-e "s|@SERVER_NAME@|${SERVER_NAME:-hs.test}|g" \
	-e "s|@HTTP_PORT@|$port|g" \
	-e "s|@SECRET@|${SECRET:-s3cret}|g" \
	-e "s|@APPSERVICES@|$appservices|g" \
	"$here/homeserver.yaml.in" >"$config"
cat >"$dir/log.yaml" <<END
version: 1
formatters: { f: { format: '%(asctime)s %(levelname)s %(name)s %(request)s %(message)s' } }
filters: { context: { (): synapse.logging.context.LoggingContextFilter, request: "" } }
handlers: { file: { class: logging.FileHandler, filename: "$dir/synapse.log", formatter: f, filters: [context] } }
root: { level: ${LOG_LEVEL:-WARNING}, handlers: [file] }
END
[ -f "$dir/signing.key" ] ||
	"$python" -m synapse._scripts.generate_signing_key -o "$dir/signing.key"

# Once the server answers, makes the accounts (those of an earlier run are kept) and leaves the mark.
(
	server=http://127.0.0.1:$port
	until curl -sf -o "$dir/health" "$server/health"; do
		kill -0 $$ 2>/dev/null || exit 1
		sleep 0.1
	done
	for user in ${ACCOUNTS:-admin alice bob carol}; do
		if [ "$user" = admin ]; then role=--admin; else role=--no-admin; fi
		"$python" -m synapse._scripts.register_new_matrix_user -c "$config" --exists-ok \
			-u "$user" -p "${PASSWORD:-pw}" $role "$server" >>"$dir/register.log" 2>&1 ||
			{ echo "$0: cannot register $user:" >&2; tail -3 "$dir/register.log" >&2; exit 1; }
	done
	: >"$dir/ready"
) &

exec "$python" -m synapse.app.homeserver -c "$config" ${EXTRA:+-c "$EXTRA"}
