/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any lines as commands, in a room or to the bot alone, by whoever. The first byte of each line says who and where
 * (that of the first also whether there is a second group). Every
 * answer fits and is clean; a charter that was changed in chat can be read.
 */
#include "bridge.h"

#include "core/charters.h"
#include "core/command.h"
#include "core/inbox_rows.h"
#include "replay.h"
#include "rules/rules.h"
#include "tests/unit/fake_port.h"

#include <string.h>

static const char charter[] =
	"group \"m\" {\n hours mon-fri 08:30-18:30\n topics { seo: \"SEO\" tag ref }\n time 10 c when closed then hold until opening\n}\n";

enum { MODERATOR = 1, DIRECT = 2, ON_XMPP = 4, THROUGH_ROOM = 8, REPLY = 16, UNKNOWN = 32, STRANGER = 64, TWO_GROUPS = 128 };

static void
obey(struct bridge *bridge, unsigned flags, char *text, int number)
{
	struct group *group = groups_find(&bridge->core->groups, "m");
	bool xmpp = flags & ON_XMPP, direct = flags & DIRECT;
	const char *person = !xmpp ? "@alice:hs" : flags & UNKNOWN ? "xmpp:" BRIDGE_MUC "/abcdefgh" : "xmpp:bob@x";
	AUTO_FREE char *id = xasprintf("c%d", number), *clean = str_clean(text, strlen(text));
	AUTO_FREE char *room = xstrdup(direct ? xmpp ? "bob@x" : "!d:hs" : xmpp ? BRIDGE_MUC : BRIDGE_ROOM);
	struct inbox_row row = {
		.seq = number, .network = xmpp ? NETWORK_XMPP : NETWORK_MATRIX, .room = room, .source_id = id, .received_ms = bridge->now_ms,
		.attempts = 1,
	};
	struct incoming in = {
		.kind = INCOMING_MESSAGE, .author = { flags & STRANGER ? "@eve:hs" : person, "stem", "Name" }, .text = clean, .live = true,
		.moderator = flags & MODERATOR, .direct = direct, .direct_room = direct && flags & THROUGH_ROOM ? BRIDGE_MUC : NULL,
		.reply_address = xmpp ? "bob@x" : "@alice:hs", .reply_to = flags & REPLY ? "said1" : NULL,
	};

	if (direct || command_is(bridge->core, clean))
		command_run(bridge->core, direct ? NULL : group, &row, &in);
	REQUIRE(!store_failed(bridge->store));
}

static void
check_answers(struct fake_port *fake)
{
	for (int i = 0; i < fake->count && i < FAKE_MAX; i++) {
		const char *payload = fake->rows[i].payload;
		REQUIRE(*fake->rows[i].lane && strlen(payload) <= fake->part + 64 && str_is_clean(payload, strlen(payload)));
	}
}

static void
check_charter(struct bridge *bridge)
{
	struct complaint why;
	struct rules *rules = NULL;
	int revision;
	AUTO_FREE char *text = charters_text(bridge->core->charters, groups_find(&bridge->core->groups, "m"), &revision);

	REQUIRE(text && rules_parse(&rules, text, strlen(text), &why) == 0);
	rules_free(rules);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bridge *bridge = bridge_open(charter);
	struct fake_port matrix, xmpp;
	char *line;
	size_t n;

	fake_port_init(&matrix, NETWORK_MATRIX);
	fake_port_init(&xmpp, NETWORK_XMPP);
	matrix.core = xmpp.core = bridge->core;
	bridge->core->port[NETWORK_MATRIX] = &matrix.port;
	bridge->core->port[NETWORK_XMPP] = &xmpp.port;
	groups_set_room(groups_find(&bridge->core->groups, "m"), NETWORK_MATRIX, BRIDGE_ROOM);
	inbox_open_gate(bridge->core->inbox, BRIDGE_ROOM, NULL, 0, "", 0);
	inbox_open_gate(bridge->core->inbox, BRIDGE_MUC, NULL, 0, "", 0);
	if (size && data[0] & TWO_GROUPS)
		groups_add(&bridge->core->groups, "n", "!n:hs", "n@rooms.x", false);
	people_set_name(bridge->core->people, BRIDGE_ROOM, "@alice:hs", "Alice");
	bridge_say(bridge, NETWORK_MATRIX, BRIDGE_ROOM, "@alice:hs\nAlice\nhello");
	bridge_turn(bridge, 1000);
	for (int i = 1; i < 20 && bridge_part(&data, &size, &line, &n); i++) {
		if (n)
			obey(bridge, (unsigned char)line[0], line + 1, i);
		/* "+": a while passes. */
		bridge_turn(bridge, n > 1 && line[1] == '+' ? 180000 : 1000);
		free(line);
	}
	bridge_turn(bridge, 1000);
	check_answers(&matrix);
	check_answers(&xmpp);
	check_charter(bridge);
	bridge_close(bridge);
	fake_port_fini(&matrix);
	fake_port_fini(&xmpp);
	return 0;
}

REPLAY_MAIN("command")
