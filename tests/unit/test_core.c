/* SPDX-License-Identifier: Apache-2.0 */
/* The core between two fake networks: relay, outbox, digests and commands, restarts included. */
#include "core/charters.h"
#include "core/core.h"

#include "base/log.h"
#include "core/ledger.h"
#include "core/outbox_rows.h"
#include "core_scene.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define ROOM "!m:hs"
#define MUC "m@rooms.x"
#define CLUB "!club:hs"
#define CLUB_MUC "club@rooms.x"

static const char charter[] =
	"version 1\n"
	"group \"marketing\" {\n"
	"  tz Europe/Paris\n"
	"  hours mon-fri 08:30-18:30\n"
	"  topics { seo: \"SEO\" -> \"seo\" }\n"
	"  digest at 17:30\n"
	"  route 10 seo when topic seo then copy \"seo\"\n"
	"  time 20 lot when tag later then digest next\n"
	"  time 30 ferme when closed then hold until opening notice held\n"
	"}\n";

static const char *const groups[][3] = { { "marketing", ROOM, MUC }, { "seo", "!s:hs", "s@rooms.x" }, { "club", "#club:hs", CLUB_MUC },
	{ NULL, NULL, NULL } };

static int
set_up(void **state)
{
	*state = scene_new(groups, charter);
	return 0;
}

static void
test_crosses_once(void **state)
{
	struct scene *scene = *state;

	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\nHello");
	assert_int_equal(scene->xmpp.count, 1);
	assert_string_equal(scene->xmpp.rows[0].payload, "Alice|Hello");
	assert_string_equal(scene->xmpp.rows[0].lane, MUC);
	assert_int_equal(inbox_accept(scene->core->inbox, NETWORK_MATRIX, ROOM, "id1", "@a:hs\nA\nagain", 13), INBOX_E_KNOWN);
	turns(scene);
	assert_int_equal(scene->xmpp.count, 1);
	assert_int_equal(scene->matrix.count, 0);
}

/* Killed between the acceptance and the verdict: the next process judges before any port has resolved an alias. */
static void
test_accepted_rows_are_judged_after_a_restart(void **state)
{
	struct scene *scene = *state;

	groups_set_room(groups_find(&scene->core->groups, "club"), NETWORK_MATRIX, CLUB);
	inbox_open_gate(scene->core->inbox, CLUB, NULL, 0, NULL, 0);
	inbox_open_gate(scene->core->inbox, CLUB_MUC, NULL, 0, NULL, 0);
	turns(scene);
	assert_int_equal(inbox_accept(scene->core->inbox, NETWORK_MATRIX, CLUB, "left", "@alice:hs\nAlice\nfrom here", 26), 0);
	assert_int_equal(inbox_accept(scene->core->inbox, NETWORK_XMPP, CLUB_MUC, "right", "xmpp:bob@x\nBob\nfrom there", 25), 0);
	assert_int_equal(store_commit(scene->core->store), 0);
	scene_reopen(scene);
	assert_int_equal(fake_port_count(&scene->xmpp, CLUB_MUC), 1);
	assert_int_equal(fake_port_count(&scene->matrix, CLUB), 1);
}

static void
test_unanswered_row_is_offered_again_under_its_name(void **state)
{
	struct scene *scene = *state;
	char name[64];

	scene->xmpp.answers = false;
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\nHello");
	assert_int_equal(scene->xmpp.count, 1);
	assert_false(scene->xmpp.rows[0].tried);
	snprintf(name, sizeof(name), "%s", scene->xmpp.rows[0].name);
	scene_reopen(scene);
	assert_int_equal(scene->xmpp.count, 1);
	assert_true(scene->xmpp.rows[0].tried);
	assert_string_equal(scene->xmpp.rows[0].name, name);
	scene_reopen(scene);
	assert_int_equal(scene->xmpp.count, 0); /* it was settled by the second one's answer */
}

static void
test_window_keeps_order(void **state)
{
	struct scene *scene = *state;

	scene->xmpp.window = 0;
	for (int i = 0; i < 40; i++) {
		AUTO_FREE char *raw = xasprintf("@alice:hs\nAlice\nn%d", i);
		scene_hear(scene, NETWORK_MATRIX, ROOM, raw);
	}
	assert_int_equal(scene->xmpp.count, 0);
	scene->xmpp.window = 3;
	outbox_wake(scene->core->outbox);
	turns(scene);
	assert_int_equal(scene->xmpp.count, 40);
	for (int i = 0; i < 40; i++) {
		AUTO_FREE char *want = xasprintf("Alice|n%d", i);
		assert_string_equal(scene->xmpp.rows[i].payload, want);
	}
}

static void
test_closed_gate_waits_and_orders(void **state)
{
	struct scene *scene = *state;
	const char *order[] = { "old", "new" };

	inbox_close_gate(scene->core->inbox, ROOM);
	assert_int_equal(inbox_accept(scene->core->inbox, NETWORK_MATRIX, ROOM, "new", "@a:hs\nA\nnew", 11), 0);
	assert_int_equal(inbox_accept(scene->core->inbox, NETWORK_MATRIX, ROOM, "old", "@a:hs\nA\nold", 11), 0);
	turns(scene);
	assert_int_equal(scene->xmpp.count, 0);
	assert_false(inbox_knows(scene->core->inbox, ROOM, "new"));
	inbox_open_gate(scene->core->inbox, ROOM, order, 2, "new", 7);
	turns(scene);
	assert_int_equal(scene->xmpp.count, 2);
	assert_string_equal(scene->xmpp.rows[0].payload, "A|old");
	assert_string_equal(scene->xmpp.rows[1].payload, "A|new");
}

static void
test_holds_until_opening(void **state)
{
	struct scene *scene = *state;

	scratch_set_clock(scene->directory, "2026-11-23T18:04:00Z");
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\nLate");
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\nLater");
	assert_int_equal(fake_port_count(&scene->xmpp, MUC), 0);
	/* an hourglass on each, one sentence for both */
	assert_int_equal(scene->matrix.count, 3);
	assert_non_null(strstr(scene->matrix.rows[1].payload, "Tue 24 Nov 08:30"));
	scene_reopen(scene);
	scratch_set_clock(scene->directory, "2026-11-24T07:29:50Z");
	turns(scene);
	assert_int_equal(fake_port_count(&scene->xmpp, MUC), 0);
	scratch_set_clock(scene->directory, "2026-11-24T07:30:00Z");
	turns(scene);
	assert_int_equal(fake_port_count(&scene->xmpp, MUC), 2);
	assert_non_null(strstr(scene->xmpp.rows[0].payload, "[Mon 23 Nov 19:04] Late"));
	assert_non_null(strstr(scene->xmpp.rows[1].payload, "Later"));
	scene_reopen(scene);
	turns(scene);
	assert_int_equal(scene->xmpp.count, 0);
}

static void
test_long_release_is_announced(void **state)
{
	struct scene *scene = *state;

	scratch_set_clock(scene->directory, "2026-11-23T18:04:00Z");
	for (int i = 0; i < 6; i++)
		scene_hear(scene, NETWORK_XMPP, MUC, "xmpp:bob@x\nBob\nLate");
	scratch_set_clock(scene->directory, "2026-11-24T08:00:00Z");
	scene->matrix.count = 0;
	turns(scene);
	assert_int_equal(fake_port_count(&scene->matrix, ROOM), 7);
	assert_string_equal(scene->matrix.rows[0].payload, "bot|6 messages since Mon 23 Nov 19:04");
}

static void
test_copies_to_both_rooms_of_the_sub_group(void **state)
{
	struct scene *scene = *state;

	inbox_open_gate(scene->core->inbox, "!s:hs", NULL, 0, NULL, 0);
	scene_hear(scene, NETWORK_XMPP, MUC, "xmpp:bob@x\nBob\nThe SEO report");
	assert_int_equal(fake_port_count(&scene->matrix, ROOM), 1);
	assert_int_equal(fake_port_count(&scene->matrix, "!s:hs"), 1);
	assert_int_equal(fake_port_count(&scene->xmpp, "s@rooms.x"), 1);
	assert_string_equal(fake_port_last(&scene->xmpp)->payload, "bot|Bob: [marketing] The SEO report");
	assert_string_equal(fake_port_last(&scene->matrix)->payload, "Bob|[marketing] The SEO report");
}

static void
test_new_hours_plan_again(void **state)
{
	struct scene *scene = *state;

	scratch_set_clock(scene->directory, "2026-11-23T18:04:00Z");
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\nLate");
	scene_hear(scene, NETWORK_XMPP, MUC, "xmpp:eve@x\nEve\n!sd hours mon-fri 9:00-18:00");
	assert_non_null(strstr(fake_port_last(&scene->xmpp)->payload, "Only moderators"));
	scene_hear(scene, NETWORK_XMPP, MUC, "xmpp:bob@x\nBob\n!sd hours mon-fri 9:00-18:00\nmoderator");
	assert_non_null(strstr(fake_port_last(&scene->xmpp)->payload, "!sd yes"));
	scene_hear(scene, NETWORK_XMPP, MUC, "xmpp:bob@x\nBob\n!sd yes\nmoderator");
	assert_non_null(strstr(fake_port_last(&scene->xmpp)->payload, "revision 2"));
	int before = fake_port_count(&scene->xmpp, MUC);
	scratch_set_clock(scene->directory, "2026-11-24T07:30:00Z");
	turns(scene);
	assert_int_equal(fake_port_count(&scene->xmpp, MUC), before);
	scratch_set_clock(scene->directory, "2026-11-24T08:00:00Z");
	turns(scene);
	assert_int_equal(fake_port_count(&scene->xmpp, MUC), before + 1);
	scene_hear(scene, NETWORK_XMPP, MUC, "xmpp:bob@x\nBob\n!sd défaire --yes\nmoderator");
	assert_non_null(strstr(fake_port_last(&scene->xmpp)->payload, "revision 3"));
	assert_non_null(strstr(fake_port_last(&scene->xmpp)->payload, "08:30"));
}

static void
test_digest_once(void **state)
{
	struct scene *scene = *state;

	scene_hear(scene, NETWORK_XMPP, MUC, "xmpp:carol@x\nCarol\n!sd mode digest");
	assert_non_null(strstr(fake_port_last(&scene->xmpp)->payload, "17:30"));
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\nOne");
	scene_hear(scene, NETWORK_XMPP, MUC, "xmpp:bob@x\nBob\nTwo");
	scene_hear(scene, NETWORK_XMPP, MUC, "xmpp:carol@x\nCarol\nMy own");
	int before = fake_port_count(&scene->xmpp, "carol@x");
	scratch_set_clock(scene->directory, "2026-11-23T16:29:59Z");
	turns(scene);
	assert_int_equal(fake_port_count(&scene->xmpp, "carol@x"), before);
	scratch_set_clock(scene->directory, "2026-11-23T16:30:00Z");
	scene->xmpp.window = 0; /* killed between freezing and sending */
	turns(scene);
	scene_reopen(scene);
	assert_int_equal(fake_port_count(&scene->xmpp, "carol@x"), 1);
	const char *text = scene->xmpp.rows[0].payload;
	assert_non_null(strstr(text, "One"));
	assert_non_null(strstr(text, "Two"));
	assert_null(strstr(text, "My own"));
	scene_reopen(scene);
	scratch_set_clock(scene->directory, "2026-11-23T16:29:00Z"); /* the clock goes back */
	turns(scene);
	scratch_set_clock(scene->directory, "2026-11-23T16:31:00Z");
	turns(scene);
	assert_int_equal(fake_port_count(&scene->xmpp, "carol@x"), 0);
}

static void
test_rule_digest_goes_to_the_other_room(void **state)
{
	struct scene *scene = *state;

	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\nNot now #later");
	assert_int_equal(scene->xmpp.count, 0);
	scratch_set_clock(scene->directory, "2026-11-23T16:30:00Z");
	turns(scene);
	assert_int_equal(scene->xmpp.count, 1);
	assert_non_null(strstr(scene->xmpp.rows[0].payload, "Not now"));
	assert_string_equal(scene->xmpp.rows[0].lane, MUC);
}

static void
test_poison_costs_only_itself(void **state)
{
	struct scene *scene = *state;

	scene_hear(scene, NETWORK_MATRIX, ROOM, "poison");
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\nHello");
	assert_int_equal(scene->xmpp.count, 1);
}

static void
test_long_text_is_split_or_refused(void **state)
{
	struct scene *scene = *state;

	scene->xmpp.part = 12;
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\nOne two. Three four.");
	assert_int_equal(scene->xmpp.count, 2);
	assert_string_equal(scene->xmpp.rows[0].payload, "Alice|One two.");
	scene->xmpp.part = 2;
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\nOne two. Three four, and more of it.");
	assert_int_equal(scene->xmpp.count, 2);
	assert_non_null(strstr(fake_port_last(&scene->matrix)->payload, "too long"));
}

static void
test_refusal_reaches_the_author(void **state)
{
	struct scene *scene = *state;

	scene->xmpp.answers = false;
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\nHello");
	outbox_refused(scene->core->outbox, scene->xmpp.rows[0].id, REFUSAL_MODERATED, "forbidden");
	turns(scene);
	assert_int_equal(scene->matrix.count, 1);
	assert_non_null(strstr(scene->matrix.rows[0].payload, "does not let us speak"));
	assert_string_equal(scene->matrix.rows[0].lane, ROOM);
}

static void
test_why_and_held(void **state)
{
	struct scene *scene = *state;

	scratch_set_clock(scene->directory, "2026-11-23T18:04:00Z");
	scene_hear(scene, NETWORK_XMPP, MUC, "xmpp:bob@x\nBob\nLate");
	scene_hear(scene, NETWORK_XMPP, MUC, "xmpp:bob@x\nBob\n!sd why");
	assert_non_null(strstr(fake_port_last(&scene->xmpp)->payload, "ferme"));
	scene_hear(scene, NETWORK_XMPP, MUC, "xmpp:bob@x\nBob\n!sd attente");
	assert_non_null(strstr(fake_port_last(&scene->xmpp)->payload, "h1"));
	scene_hear(scene, NETWORK_XMPP, MUC, "xmpp:bob@x\nBob\n!sd heldd");
	assert_non_null(strstr(fake_port_last(&scene->xmpp)->payload, "held?"));
	assert_int_equal(fake_port_count(&scene->matrix, ROOM), 0);
}

static void
test_talk_to_the_bot_is_answered_once_a_day(void **state)
{
	struct scene *scene = *state;

	for (int i = 0; i < 3; i++)
		scene_hear(scene, NETWORK_XMPP, "bob@x", "xmpp:bob@x\nBob\nI am away, this is automatic\ndirect");
	assert_int_equal(scene->xmpp.count, 1);
	scratch_set_clock(scene->directory, "2026-11-24T09:00:00Z");
	scene_hear(scene, NETWORK_XMPP, "bob@x", "xmpp:bob@x\nBob\nhello?\ndirect");
	assert_int_equal(scene->xmpp.count, 2);
}

/* ---- strikes ---- */

/* The network ends the stream while rows are out. */
static void
end_stream(struct scene *scene)
{
	outbox_lost(scene->core->outbox, NETWORK_XMPP, true);
	turns(scene);
}

static void
test_a_row_that_ends_the_stream_is_set_aside(void **state)
{
	struct scene *scene = *state;

	scene->xmpp.answers = false;
	inbox_close_gate(scene->core->inbox, "!s:hs");
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@mallory:hs\nMallory\npoison pill");
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\ninnocent");
	scene_hear(scene, NETWORK_MATRIX, "!s:hs", "@carol:hs\nCarol\nnever judged: its gate is closed");
	assert_int_equal(scene->xmpp.count, 2);
	end_stream(scene); /* both have one strike, both are out again */
	assert_int_equal(scene->xmpp.count, 4);
	end_stream(scene); /* two: now the first goes alone */
	assert_int_equal(scene->xmpp.count, 5);
	assert_string_equal(scene->xmpp.rows[4].payload, "Mallory|poison pill");
	end_stream(scene); /* three: set aside; the other goes alone, for it has two */
	assert_int_equal(scene->xmpp.count, 6);
	assert_string_equal(scene->xmpp.rows[5].payload, "Alice|innocent");
	outbox_settled(scene->core->outbox, scene->xmpp.rows[5].id, "r");
	turns(scene);
	assert_int_equal(scene->xmpp.count, 6);
	const struct fake_row *told = fake_port_last(&scene->matrix);
	assert_non_null(told);
	assert_non_null(strstr(told->payload, "three times"));
	scene->closed = true;
	scene_reopen(scene);
	assert_int_equal(scene->xmpp.count, 0);
}

static void
test_a_shutdown_is_no_strike(void **state)
{
	struct scene *scene = *state;

	scene->xmpp.answers = false;
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\none");
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\ntwo");
	for (int i = 0; i < 5; i++) {
		outbox_lost(scene->core->outbox, NETWORK_XMPP, false);
		turns(scene);
	}
	assert_int_equal(scene->xmpp.count, 12);
	assert_int_equal(scene->matrix.count, 0);
}

static void
test_other_lanes_go_on_after_a_strike(void **state)
{
	struct scene *scene = *state;

	inbox_open_gate(scene->core->inbox, "!s:hs", NULL, 0, NULL, 0);
	scene->xmpp.answers = false;
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@mallory:hs\nMallory\npoison pill");
	end_stream(scene);
	end_stream(scene);
	scene_hear(scene, NETWORK_MATRIX, "!s:hs", "@carol:hs\nCarol\nelsewhere");
	assert_int_equal(fake_port_count(&scene->xmpp, "s@rooms.x"), 0); /* it waits until the suspect has come down */
	scene->xmpp.answers = true;
	end_stream(scene);
	assert_int_equal(fake_port_count(&scene->xmpp, "s@rooms.x"), 1);
}

static void
test_a_crash_of_ours_strikes_what_was_out(void **state)
{
	struct scene *scene = *state;

	scene->xmpp.answers = false;
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@mallory:hs\nMallory\npoison pill");
	scene->stays_silent = scene->crashed = true;
	for (int i = 0; i < 2; i++)
		scene_reopen(scene);
	assert_int_equal(scene->xmpp.count, 1);
	scene_reopen(scene);
	assert_int_equal(scene->xmpp.count, 0);
	assert_non_null(strstr(fake_port_last(&scene->matrix)->payload, "three times"));
}

/* ---- nothing can be written ---- */

/* A trial is made a second after the last one. */
static void
wait_for_room(struct scene *scene)
{
	for (int i = 0; i < 100 && !inbox_has_room(scene->core->inbox); i++) {
		usleep(50 * 1000);
		turns(scene);
	}
}

static void
note_answer(void *context, bool done)
{
	*(int *)context = done ? 1 : -1;
}

static void
test_a_full_disk_keeps_what_it_has(void **state)
{
	struct scene *scene = *state;
	int answer = 0;

	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\nbefore");
	scratch_limit_files(1);
	assert_int_equal(inbox_accept(scene->core->inbox, NETWORK_MATRIX, ROOM, "lost?", "@a:hs\nA\nduring", 14), 0);
	store_after_commit(scene->core->store, note_answer, &answer);
	turns(scene);
	assert_int_equal(answer, -1); /* so it is not acknowledged */
	assert_false(inbox_has_room(scene->core->inbox));
	assert_true(scene->matrix.resets > 0 && scene->xmpp.resets > 0);
	assert_int_equal(scene->xmpp.count, 1);
	turns(scene);
	scratch_limit_files(UINT64_MAX);
	wait_for_room(scene);
	assert_true(inbox_has_room(scene->core->inbox));
	/* As after a restart the port learns again where it stands, and the source sends again. */
	inbox_open_gate(scene->core->inbox, ROOM, NULL, 0, NULL, 0);
	assert_int_equal(inbox_accept(scene->core->inbox, NETWORK_MATRIX, ROOM, "lost?", "@a:hs\nA\nduring", 14), 0);
	turns(scene);
	assert_string_equal(fake_port_last(&scene->xmpp)->payload, "A|during");
	assert_int_equal(scene->xmpp.count, 2);
}

/* The 200 was given, then the disk is full: the row is kept, and goes out when there is room. */
static void
test_what_was_accepted_survives_a_full_disk(void **state)
{
	struct scene *scene = *state;

	inbox_close_gate(scene->core->inbox, ROOM);
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\nkept");
	scratch_limit_files(1);
	inbox_open_gate(scene->core->inbox, ROOM, NULL, 0, NULL, 0);
	turns(scene);
	assert_int_equal(scene->xmpp.count, 0);
	assert_true(inbox_gate_closed(scene->core->inbox, ROOM));
	scratch_limit_files(UINT64_MAX);
	wait_for_room(scene);
	inbox_open_gate(scene->core->inbox, ROOM, NULL, 0, NULL, 0);
	turns(scene);
	assert_int_equal(scene->xmpp.count, 1);
}

/* ---- restored ---- */

/* Until the archives are read nothing is sent; meanwhile the loop sleeps. */
static void
test_a_restored_database_waits_quietly(void **state)
{
	struct scene *scene = *state;

	scene->xmpp.window = 0;
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\nHello");
	store_set_value(scene->core->store, "restored", "1 0");
	assert_int_equal(store_commit(scene->core->store), 0);
	scene->closed = true;
	scene_reopen(scene);
	assert_int_equal(scene->xmpp.count, 0);
	assert_in_range(core_next_due(scene->core), 1, 1000);
	groups_set_room(groups_find(&scene->core->groups, "club"), NETWORK_MATRIX, CLUB);
	inbox_open_gate(scene->core->inbox, CLUB, NULL, 0, NULL, 0);
	inbox_open_gate(scene->core->inbox, CLUB_MUC, NULL, 0, NULL, 0);
	scene_open_gates(scene);
	assert_int_equal(scene->xmpp.count, 1);
	assert_true(scene->xmpp.rows[0].tried);
	assert_int_equal(core_next_due(scene->core), -1);
}

/* ---- the books ---- */

static struct ledger
count_ledger(struct scene *scene)
{
	struct ledger ledger;

	assert_int_equal(store_commit(scene->core->store), 0);
	ledger_count(scene->core->store, 0, &ledger);
	return ledger;
}

/* As a bug, or somebody's hand, would. */
static void
forget_one_row(struct scene *scene)
{
	AUTO_FREE char *path = xasprintf("%s/sourdine.db", scene->directory);
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "DELETE FROM outbox WHERE id = (SELECT min(id) FROM outbox WHERE kind = 0)", NULL, NULL, NULL),
			SQLITE_OK);
	sqlite3_close(db);
}

static void
test_the_ledger_adds_up(void **state)
{
	struct scene *scene = *state;

	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\nHello");
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\n!sd help");
	scene_hear(scene, NETWORK_MATRIX, ROOM, "poison");
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\n#later for the digest");
	scene->xmpp.window = 0;
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\nwaits");
	inbox_close_gate(scene->core->inbox, ROOM);
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\nbehind the gate");
	scratch_set_clock(scene->directory, "2026-11-23T20:00:00Z");
	scene_hear(scene, NETWORK_XMPP, MUC, "xmpp:bob@x\nBob\nheld");
	struct ledger ledger = count_ledger(scene);
	assert_int_equal(ledger_difference(&ledger), 0);
	assert_int_equal(ledger.accepted, 7);
	assert_int_equal(ledger.delivered, 1);
	assert_int_equal(ledger.ignored, 1);
	assert_int_equal(ledger.quarantined, 1);
	assert_int_equal(ledger.digested, 1);
	assert_int_equal(ledger.waiting, 1);
	assert_int_equal(ledger.unjudged, 1);
	assert_int_equal(ledger.held, 1);
	/* A row that vanished is noticed. */
	forget_one_row(scene);
	ledger = count_ledger(scene);
	assert_int_equal(ledger_difference(&ledger), 1);
}

/* $TZDIR, as for "sourdine check" and "rules check": a machine may have its zones elsewhere. */
static void
test_zones_elsewhere(void **state)
{
	struct scene *scene = *state;
	AUTO_FREE char *here = xasprintf("%s/zone", scene->directory);

	assert_int_equal(symlink("/usr/share/zoneinfo/Europe/Paris", here), 0);
	assert_int_equal(setenv("TZDIR", scene->directory, 1), 0);
	assert_non_null(charters_zone(scene->core->charters, "zone"));
	assert_null(charters_zone(scene->core->charters, "Europe/Berlin"));
	unsetenv("TZDIR");
	unlink(here);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, scene_tear_down)
		T(test_crosses_once),
		T(test_accepted_rows_are_judged_after_a_restart),
		T(test_unanswered_row_is_offered_again_under_its_name),
		T(test_window_keeps_order),
		T(test_closed_gate_waits_and_orders),
		T(test_holds_until_opening),
		T(test_long_release_is_announced),
		T(test_copies_to_both_rooms_of_the_sub_group),
		T(test_new_hours_plan_again),
		T(test_digest_once),
		T(test_rule_digest_goes_to_the_other_room),
		T(test_poison_costs_only_itself),
		T(test_long_text_is_split_or_refused),
		T(test_refusal_reaches_the_author),
		T(test_why_and_held),
		T(test_talk_to_the_bot_is_answered_once_a_day),
		T(test_a_row_that_ends_the_stream_is_set_aside),
		T(test_a_shutdown_is_no_strike),
		T(test_other_lanes_go_on_after_a_strike),
		T(test_a_crash_of_ours_strikes_what_was_out),
		T(test_a_full_disk_keeps_what_it_has),
		T(test_what_was_accepted_survives_a_full_disk),
		T(test_a_restored_database_waits_quietly),
		T(test_the_ledger_adds_up),
		T(test_zones_elsewhere),
#undef T
	};

	log_register(scratch_drop_line);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
