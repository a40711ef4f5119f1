/* SPDX-License-Identifier: Apache-2.0 */
/* Who, where, which command: allowed, or the sentence. Every cell of the table, and what makes a moderator. */
#include "core/command_inside.h"
#include "core/plumb_open.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

/* Each scope in each place: for whom anybody may ask, then a moderators' command asked by somebody else, and by a moderator. */
static const struct {
	enum command_scope scope;
	enum command_place place;
	bool configured;
	enum command_permit anybody, nobody, moderator;
} cells[] = {
	{ SCOPE_ANY, PLACE_GROUP, true, PERMIT_FINE, PERMIT_NO_POWER, PERMIT_FINE },
	{ SCOPE_ANY, PLACE_VISIT, false, PERMIT_FINE, PERMIT_NO_POWER, PERMIT_FINE },
	{ SCOPE_ANY, PLACE_NOWHERE, false, PERMIT_FINE, PERMIT_NO_POWER, PERMIT_FINE },
	{ SCOPE_GROUP, PLACE_GROUP, true, PERMIT_FINE, PERMIT_NO_POWER, PERMIT_FINE },
	{ SCOPE_GROUP, PLACE_GROUP, false, PERMIT_FINE, PERMIT_NO_POWER, PERMIT_FINE },
	{ SCOPE_GROUP, PLACE_VISIT, false, PERMIT_NOT_JOINED, PERMIT_NOT_JOINED, PERMIT_NOT_JOINED },
	{ SCOPE_GROUP, PLACE_NOWHERE, false, PERMIT_WHICH_GROUP, PERMIT_WHICH_GROUP, PERMIT_WHICH_GROUP },
	{ SCOPE_PLUMBED, PLACE_GROUP, false, PERMIT_FINE, PERMIT_NO_POWER, PERMIT_FINE },
	{ SCOPE_PLUMBED, PLACE_GROUP, true, PERMIT_CONFIGURED, PERMIT_NO_POWER, PERMIT_CONFIGURED },
	{ SCOPE_PLUMBED, PLACE_VISIT, false, PERMIT_NOT_JOINED, PERMIT_NOT_JOINED, PERMIT_NOT_JOINED },
	{ SCOPE_PLUMBED, PLACE_NOWHERE, false, PERMIT_WHICH_GROUP, PERMIT_WHICH_GROUP, PERMIT_WHICH_GROUP },
	{ SCOPE_APART, PLACE_GROUP, true, PERMIT_JOINED, PERMIT_JOINED, PERMIT_JOINED },
	{ SCOPE_APART, PLACE_GROUP, false, PERMIT_JOINED, PERMIT_JOINED, PERMIT_JOINED },
	{ SCOPE_APART, PLACE_VISIT, false, PERMIT_FINE, PERMIT_NO_POWER, PERMIT_FINE },
	{ SCOPE_APART, PLACE_NOWHERE, false, PERMIT_FINE, PERMIT_NO_POWER, PERMIT_FINE },
};

static void
test_matrix(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cells) / sizeof(*cells); i++) {
		assert_int_equal(command_judge(cells[i].scope, false, cells[i].place, false, cells[i].configured), cells[i].anybody);
		assert_int_equal(command_judge(cells[i].scope, false, cells[i].place, true, cells[i].configured), cells[i].anybody);
		assert_int_equal(command_judge(cells[i].scope, true, cells[i].place, false, cells[i].configured), cells[i].nobody);
		assert_int_equal(command_judge(cells[i].scope, true, cells[i].place, true, cells[i].configured), cells[i].moderator);
	}
}

/* Power counts only of somebody who is seen in the room; an operator's always does. */
static void
test_may(void **state)
{
	(void)state;
	for (int bits = 0; bits < 8; bits++) {
		struct rights rights = { .known = bits & 1, .moderator = bits & 2, .operator = bits & 4 };
		assert_int_equal(plumb_may(&rights), bits == 3 || bits >= 4);
	}
}

/* ---- whose power is asked for ---- */

static const char *asked_room;
static struct rights answer;

static void
fake_rights(struct port *port, const char *room, const char *person, struct rights *out)
{
	(void)port, (void)person;
	asked_room = room;
	*out = answer;
}

static void
test_whose(void **state)
{
	static char room[] = "!m:hs", muc[] = "m@rooms.x", other[] = "o@rooms.x", name[] = "m";
	const struct port_ops ops = { .network = NETWORK_XMPP, .rights = fake_rights };
	struct port port = { &ops };
	struct core core = { .port = { NULL, &port } };
	struct group group = { .name = name, .room = { room, muc } };
	struct inbox_row row = { .network = NETWORK_XMPP, .room = other };
	struct incoming in = { .author = { "xmpp:bob@x", "bob@x", "Bob" }, .moderator = true, .direct_room = other };
	struct asking asking = { .core = &core, .group = &group, .row = &row, .in = &in };

	(void)state;
	assert_true(command_moderates(&asking)); /* in the room: as it was read */
	in.moderator = false;
	assert_false(command_moderates(&asking));
	/* By direct message: never the power in a room where he happens to be seen. */
	in.direct = in.moderator = true;
	answer = (struct rights){ .known = true };
	assert_false(command_moderates(&asking));
	assert_string_equal(asked_room, muc);
	answer.moderator = true;
	assert_true(command_moderates(&asking));
	asking.group = NULL;
	assert_false(command_moderates(&asking));
	asking.visit = &group;
	assert_true(command_moderates(&asking));
	/* A port that is not there knows nobody. */
	row.network = NETWORK_MATRIX;
	assert_false(command_moderates(&asking));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_matrix),
		cmocka_unit_test(test_may),
		cmocka_unit_test(test_whose),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
