/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any pages of an archive, while the port reads what it missed: of a MUC (first byte 'X': parts are stanzas, "@ID@" and "@Q@" are
 * the page's ids), or of a Matrix room (any other first byte: parts are "STATUS\nBODY"). Whatever comes, the reading ends, the
 * gate opens, and what is said afterwards crosses.
 */
#include "homeserver.h"
#include "muc.h"

#include "core/groups.h"
#include "replay.h"
#include "tests/unit/fake_port.h"

#include <string.h>

static void
read_muc(struct bridge *bridge, const uint8_t *data, size_t size)
{
	static const char after[] = "<message type='groupchat' from='" BRIDGE_MUC "/Bob' to='bot@" BRIDGE_COMPONENT "/sourdine' id='z'>"
		"<body>afterwards</body><stanza-id xmlns='urn:xmpp:sid:0' by='" BRIDGE_MUC "' id='after all this'/></message>";
	struct fake_port matrix;
	char *part;
	size_t n;

	fake_port_init(&matrix, NETWORK_MATRIX);
	matrix.core = bridge->core;
	bridge->core->port[NETWORK_MATRIX] = &matrix.port;
	groups_set_room(groups_find(&bridge->core->groups, "m"), NETWORK_MATRIX, BRIDGE_ROOM);
	inbox_open_gate(bridge->core->inbox, BRIDGE_ROOM, NULL, 0, "", 0);
	inbox_open_gate(bridge->core->inbox, BRIDGE_MUC, NULL, 0, "s0", BRIDGE_NOW - 60000);
	struct muc *muc = muc_open(bridge);
	muc_keep_waiting(muc, NS_MAM);
	muc_serve(muc, 5, 100);
	REQUIRE(muc_is_waiting(muc));
	for (int i = 0; i < 24 && bridge_part(&data, &size, &part, &n); i++) {
		muc_feed(muc, part, n);
		free(part);
		muc_serve(muc, 2, 100);
	}
	muc_keep_waiting(muc, NULL);
	muc_serve(muc, 12, 8000);
	muc_hear(muc, after);
	muc_serve(muc, 2, 100);
	REQUIRE(muc_is_shut(muc) || inbox_knows(bridge->core->inbox, BRIDGE_MUC, "after all this"));
	muc_end(muc);
	fake_port_fini(&matrix);
}

static void
read_room(struct bridge *bridge, const uint8_t *data, size_t size)
{
	static const char after[] = "{\"events\":[{\"event_id\":\"$after all this\",\"room_id\":\"" BRIDGE_ROOM "\",\"sender\":\"@alice:hs\","
		"\"type\":\"m.room.message\",\"origin_server_ts\":1792175100000,\"content\":{\"msgtype\":\"m.text\",\"body\":\"afterwards\"}}]}";
	struct fake_port xmpp;
	char *part;
	size_t n;

	fake_port_init(&xmpp, NETWORK_XMPP);
	xmpp.core = bridge->core;
	bridge->core->port[NETWORK_XMPP] = &xmpp.port;
	inbox_open_gate(bridge->core->inbox, BRIDGE_MUC, NULL, 0, "", 0);
	inbox_open_gate(bridge->core->inbox, BRIDGE_ROOM, NULL, 0, "$old", BRIDGE_NOW - 60000);
	struct homeserver *homeserver = homeserver_open(bridge, false);
	for (int i = 0; i < 24 && bridge_part(&data, &size, &part, &n); i++) {
		if (homeserver_serve(homeserver, "/messages", 8, 1000)) {
			char *rest;
			long status = strtol(part, &rest, 10);
			rest += *rest == '\n';
			homeserver_answer(homeserver, status > 0 && status < 1000 ? status : 200, 0, rest, n - (size_t)(rest - part));
		}
		free(part);
	}
	/* Longer than the port waits after any refusal. */
	homeserver_serve(homeserver, NULL, 12, 120000);
	homeserver_push(homeserver, after, strlen(after));
	bridge_turn(bridge, 100);
	REQUIRE(homeserver_has_refused(homeserver) || inbox_knows(bridge->core->inbox, BRIDGE_ROOM, "$after all this"));
	homeserver_end(homeserver);
	fake_port_fini(&xmpp);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	struct bridge *bridge = bridge_open(NULL);
	(data[0] == 'X' ? read_muc : read_room)(bridge, data + 1, size - 1);
	bridge_close(bridge);
	return 0;
}

REPLAY_MAIN("archive")
