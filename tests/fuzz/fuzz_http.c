/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any answers of the homeserver. Parts of an input come one after the other, with a turn in between:
 *
 *   "STATUS RETRY\nBODY"  answers the oldest request (0: it failed; RETRY: the header Retry-After in ms)
 *   "*N"                  N requests are answered as a friendly homeserver would
 *   "P STATUS\nBODY"      answers the long poll
 *   "T\nBODY"             a transaction
 *   "+N"                  N seconds pass
 *   "!TEXT"               is said on XMPP
 *
 * In the end everything is answered well for a while: then what is said on XMPP goes to Matrix, unless the homeserver refused
 * us for good, or said that the room is encrypted: then it waits.
 */
#include "homeserver.h"

#include "core/groups.h"
#include "replay.h"
#include "tests/unit/fake_port.h"

#include <string.h>

#define PATIENCE 12, 120000 /* turns and ms: longer than the port waits after any refusal */

static const char *
body_of(const char *part)
{
	const char *line = strchr(part, '\n');

	return line ? line + 1 : part + strlen(part);
}

static void
play(struct homeserver *homeserver, struct bridge *bridge, const char *part, size_t n)
{
	const char *body = body_of(part);
	size_t size = n - (size_t)(body - part);

	if (part[0] == '*') {
		for (long i = strtol(part + 1, NULL, 10); i > 0 && i <= 40; i--) {
			homeserver_answer_well(homeserver);
			bridge_turn(bridge, 100);
		}
	} else if (part[0] == 'P') {
		homeserver_poll(homeserver, strtol(part + 1, NULL, 10), body, size);
	} else if (part[0] == 'T') {
		homeserver_push(homeserver, body, size);
	} else if (part[0] == '+') {
		long seconds = strtol(part + 1, NULL, 10);
		bridge_turn(bridge, seconds > 0 && seconds < 100000 ? seconds * 1000 : 1000);
	} else if (part[0] == '!') {
		AUTO_FREE char *clean = str_clean(part + 1, strlen(part + 1));
		/* On the first line is the text; what follows would tell the fake port how to read it. */
		clean[strcspn(clean, "\n")] = '\0';
		AUTO_FREE char *raw = xasprintf("xmpp:bob@x\nBob\n%s", *clean ? clean : "x");
		bridge_say(bridge, NETWORK_XMPP, BRIDGE_MUC, raw);
	} else {
		char *rest;
		long status = strtol(part, &rest, 10);
		long long retry_ms = strtoll(rest, NULL, 10);
		homeserver_answer(homeserver, status >= 0 && status < 1000 ? status : 0, retry_ms > 0 ? retry_ms : 0, body, size);
	}
	bridge_turn(bridge, 50);
}

static void
check_crosses(struct homeserver *homeserver, struct bridge *bridge)
{
	unsigned sent = homeserver_sent(homeserver);

	bridge_say(bridge, NETWORK_XMPP, BRIDGE_MUC, "xmpp:bob@x\nBob\nafter all this");
	homeserver_serve(homeserver, NULL, PATIENCE);
	REQUIRE(homeserver_sent(homeserver) > sent);
}

static bool
is_encrypted(const struct bridge *bridge)
{
	struct port *port = bridge->core->port[NETWORK_MATRIX];

	return port->ops->encryption(port, BRIDGE_ROOM) >= ENCRYPTION_ON;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bridge *bridge = bridge_open(NULL);
	struct fake_port xmpp;
	char *part;
	size_t n;

	fake_port_init(&xmpp, NETWORK_XMPP);
	xmpp.core = bridge->core;
	bridge->core->port[NETWORK_XMPP] = &xmpp.port;
	inbox_open_gate(bridge->core->inbox, BRIDGE_MUC, NULL, 0, "", 0);
	struct homeserver *homeserver = homeserver_open(bridge, false);
	bridge_turn(bridge, 50);
	for (int i = 0; i < 40 && bridge_part(&data, &size, &part, &n); i++) {
		play(homeserver, bridge, part, n);
		free(part);
	}
	homeserver_serve(homeserver, NULL, PATIENCE);
	if (!homeserver_has_refused(homeserver) && !is_encrypted(bridge))
		check_crosses(homeserver, bridge);
	homeserver_end(homeserver);
	bridge_close(bridge);
	fake_port_fini(&xmpp);
	return 0;
}

REPLAY_MAIN("http")
