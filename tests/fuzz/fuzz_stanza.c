/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any stanzas from the server, to a port that is in its room and has a ghost there. Parts of an input come one after the
 * other, with a turn in between; a part "~NS" leaves requests of that namespace unanswered from then on, "+N" lets N seconds
 * pass, "!TEXT" is said on Matrix. In the end everything is answered again for a while.
 */
#include "muc.h"

#include "core/groups.h"
#include "replay.h"
#include "tests/unit/fake_port.h"

#include <string.h>

static void
play(struct muc *muc, struct bridge *bridge, const char *part, size_t n)
{
	static char silent[64];

	if (part[0] == '~') {
		snprintf(silent, sizeof(silent), "%s", part + 1);
		muc_keep_waiting(muc, silent);
	} else if (part[0] == '+') {
		long seconds = strtol(part + 1, NULL, 10);
		muc_serve(muc, 3, seconds > 0 && seconds < 100000 ? seconds * 1000 : 1000);
	} else if (part[0] == '!') {
		AUTO_FREE char *clean = str_clean(part + 1, strlen(part + 1));
		AUTO_FREE char *raw = xasprintf("@alice:hs\nAlice\n%s", *clean ? clean : "x");
		bridge_say(bridge, NETWORK_MATRIX, BRIDGE_ROOM, raw);
		muc_serve(muc, 3, 100);
	} else {
		muc_feed(muc, part, n);
		muc_serve(muc, 1, 100);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bridge *bridge = bridge_open(NULL);
	struct fake_port matrix;
	char *part;
	size_t n;

	fake_port_init(&matrix, NETWORK_MATRIX);
	matrix.core = bridge->core;
	bridge->core->port[NETWORK_MATRIX] = &matrix.port;
	groups_set_room(groups_find(&bridge->core->groups, "m"), NETWORK_MATRIX, BRIDGE_ROOM);
	inbox_open_gate(bridge->core->inbox, BRIDGE_ROOM, NULL, 0, "", 0);
	struct muc *muc = muc_open(bridge);
	bridge_say(bridge, NETWORK_MATRIX, BRIDGE_ROOM, "@alice:hs\nAlice\nhello");
	muc_serve(muc, 12, 100);
	REQUIRE(muc_has_ghost(muc));
	for (int i = 0; i < 24 && bridge_part(&data, &size, &part, &n); i++) {
		play(muc, bridge, part, n);
		free(part);
	}
	muc_keep_waiting(muc, NULL);
	muc_serve(muc, 6, 7000);
	muc_end(muc);
	bridge_close(bridge);
	fake_port_fini(&matrix);
	return 0;
}

REPLAY_MAIN("stanza")
