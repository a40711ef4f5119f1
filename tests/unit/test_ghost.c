/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a ghost: the lines of xmpp.md 6.5, and what holds in every state. */
#include "xmpp/ghost.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static const struct {
	enum ghost_state state;
	enum ghost_event event;
	enum ghost_state next;
	enum ghost_action action;
	enum ghost_reason reason;
} lines[] = {
	{ GHOST_PARTED, GHOST_WANTED, GHOST_JOINING, GHOST_JOIN, GHOST_FINE },
	{ GHOST_JOINING, GHOST_PRESENT, GHOST_JOINED, GHOST_SPEAK, GHOST_FINE },
	{ GHOST_JOINING, GHOST_VISITOR, GHOST_MUTED, GHOST_REFUSE, GHOST_FINE },
	{ GHOST_JOINING, GHOST_CONFLICT, GHOST_JOINING, GHOST_JOIN_OTHER, GHOST_FINE },
	{ GHOST_JOINING, GHOST_NO_NICK, GHOST_REFUSED, GHOST_REFUSE, GHOST_FOR_NICK },
	{ GHOST_JOINING, GHOST_BAD_NICK, GHOST_JOINING, GHOST_JOIN_SIMPLE, GHOST_FINE },
	{ GHOST_JOINING, GHOST_MEMBERS, GHOST_REFUSED, GHOST_REFUSE, GHOST_FOR_MEMBERS },
	{ GHOST_JOINING, GHOST_FORBIDDEN, GHOST_REFUSED, GHOST_REFUSE, GHOST_FOR_BAN },
	{ GHOST_JOINING, GHOST_FULL, GHOST_BACKOFF, GHOST_WAIT, GHOST_FINE },
	{ GHOST_JOINING, GHOST_PASSWORD, GHOST_REFUSED, GHOST_REFUSE, GHOST_FOR_PASSWORD },
	{ GHOST_JOINING, GHOST_GONE, GHOST_REFUSED, GHOST_REFUSE, GHOST_FOR_GONE },
	{ GHOST_JOINING, GHOST_TIMEOUT, GHOST_BACKOFF, GHOST_WAIT, GHOST_FINE },
	{ GHOST_BACKOFF, GHOST_RETRY, GHOST_PARTED, GHOST_SPEAK, GHOST_FINE },
	{ GHOST_JOINED, GHOST_VISITOR, GHOST_MUTED, GHOST_REFUSE, GHOST_FINE },
	{ GHOST_MUTED, GHOST_PRESENT, GHOST_JOINED, GHOST_SPEAK, GHOST_FINE },
	{ GHOST_JOINED, GHOST_NO_VOICE, GHOST_MUTED, GHOST_REFUSE, GHOST_FINE },
	{ GHOST_JOINED, GHOST_BANNED, GHOST_REFUSED, GHOST_REFUSE, GHOST_FOR_BAN },
	{ GHOST_JOINED, GHOST_KICKED, GHOST_REFUSED, GHOST_REFUSE, GHOST_FOR_KICK },
	{ GHOST_JOINED, GHOST_EXCLUDED, GHOST_REFUSED, GHOST_REFUSE, GHOST_FOR_MEMBERS },
	{ GHOST_JOINED, GHOST_REMOVED, GHOST_BACKOFF, GHOST_WAIT, GHOST_FINE },
	{ GHOST_JOINED, GHOST_DESTROYED, GHOST_REFUSED, GHOST_REFUSE, GHOST_FOR_GONE },
	{ GHOST_JOINED, GHOST_DEAD, GHOST_PARTED, GHOST_SPEAK, GHOST_FINE },
	{ GHOST_JOINED, GHOST_NOT_IN, GHOST_PARTED, GHOST_SPEAK, GHOST_FINE },
	{ GHOST_JOINED, GHOST_LOST, GHOST_UNKNOWN, GHOST_NOTHING, GHOST_FINE },
	{ GHOST_JOINING, GHOST_LOST, GHOST_UNKNOWN, GHOST_NOTHING, GHOST_FINE },
	{ GHOST_UNKNOWN, GHOST_WANTED, GHOST_ASKING, GHOST_ASK, GHOST_FINE },
	{ GHOST_ASKING, GHOST_ALIVE, GHOST_JOINED, GHOST_SPEAK, GHOST_FINE },
	{ GHOST_ASKING, GHOST_DEAD, GHOST_JOINING, GHOST_JOIN, GHOST_FINE },
	{ GHOST_ASKING, GHOST_SILENT, GHOST_JOINING, GHOST_JOIN, GHOST_FINE },
	{ GHOST_JOINING, GHOST_STRANGER, GHOST_JOINING, GHOST_LET_IN, GHOST_FINE },
	{ GHOST_JOINED, GHOST_STRANGER, GHOST_PARTED, GHOST_SPEAK, GHOST_FINE },
	{ GHOST_MUTED, GHOST_RETRY, GHOST_JOINED, GHOST_SPEAK, GHOST_FINE },
	{ GHOST_JOINING, GHOST_PUT_OFF, GHOST_PARTED, GHOST_NOTHING, GHOST_FINE },
	{ GHOST_JOINED, GHOST_PUT_OFF, GHOST_JOINED, GHOST_NOTHING, GHOST_FINE },
	{ GHOST_JOINED, GHOST_IDLE, GHOST_PARTED, GHOST_LEAVE, GHOST_FINE },
	{ GHOST_JOINING, GHOST_IDLE, GHOST_JOINING, GHOST_NOTHING, GHOST_FINE },
	/* Who was sent away stays away for a long time, whatever he has to say. */
	{ GHOST_REFUSED, GHOST_WANTED, GHOST_REFUSED, GHOST_NOTHING, GHOST_FINE },
	{ GHOST_REFUSED, GHOST_LOST, GHOST_REFUSED, GHOST_NOTHING, GHOST_FINE },
	{ GHOST_REFUSED, GHOST_RETRY, GHOST_PARTED, GHOST_SPEAK, GHOST_FINE },
};

static void
test_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		struct ghost_step step = ghost_step(lines[i].state, lines[i].event);
		if (step.next != lines[i].next || step.action != lines[i].action || step.reason != lines[i].reason)
			fail_msg("line %zu: %s, %s", i, ghost_state_name(lines[i].state), ghost_state_name(step.next));
	}
}

/* From wherever, by whatever: a reason goes with REFUSED and with nothing else, and no state is left for good by accident. */
static void
test_all(void **state)
{
	(void)state;
	for (int from = 0; from < GHOST_STATES; from++) {
		bool leaves = from == GHOST_REFUSED;
		for (int event = 0; event < GHOST_EVENTS; event++) {
			struct ghost_step step = ghost_step((enum ghost_state)from, (enum ghost_event)event);
			assert_in_range(step.next, 0, GHOST_STATES - 1);
			if (step.action != GHOST_NOTHING)
				assert_int_equal(step.next == GHOST_REFUSED, step.reason != GHOST_FINE);
			/* Who waits has a timer; who joins was sent a presence. */
			if (step.next == GHOST_BACKOFF && from != GHOST_BACKOFF)
				assert_int_equal(step.action, GHOST_WAIT);
			if (step.next == GHOST_JOINING && from != GHOST_JOINING)
				assert_int_equal(step.action, GHOST_JOIN);
			leaves = leaves || (step.next != (enum ghost_state)from && step.next != GHOST_REFUSED);
		}
		assert_true(leaves);
	}
}

static void
test_pauses(void **state)
{
	(void)state;
	for (int reason = GHOST_FINE + 1; reason < GHOST_REASONS; reason++)
		assert_true(ghost_pause_ms((enum ghost_reason)reason) >= 600000);
}

static void
test_errors(void **state)
{
	(void)state;
	assert_int_equal(ghost_join_error("conflict"), GHOST_CONFLICT);
	assert_int_equal(ghost_join_error("jid-malformed"), GHOST_BAD_NICK);
	assert_int_equal(ghost_join_error("bad-request"), GHOST_BAD_NICK);
	assert_int_equal(ghost_join_error("registration-required"), GHOST_MEMBERS);
	assert_int_equal(ghost_join_error("forbidden"), GHOST_FORBIDDEN);
	assert_int_equal(ghost_join_error("service-unavailable"), GHOST_FULL);
	assert_int_equal(ghost_join_error("resource-constraint"), GHOST_FULL);
	assert_int_equal(ghost_join_error("not-authorized"), GHOST_PASSWORD);
	assert_int_equal(ghost_join_error("gone"), GHOST_GONE);
	/* A room that is being configured: it will be there later. */
	assert_int_equal(ghost_join_error("item-not-found"), GHOST_FULL);
	assert_int_equal(ghost_join_error("never-heard-of"), GHOST_FULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_pauses),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
