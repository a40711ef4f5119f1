/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept for digests, for how long, and for whom: the core between two fake networks. */
#include "core/core.h"

#include "base/log.h"
#include "core/charters.h"
#include "core/digests.h"
#include "core_scene.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROOM "!m:hs"
#define MUC "m@rooms.x"

static const char charter[] =
	"version 1\n"
	"group \"marketing\" {\n"
	"  tz Europe/Paris\n"
	"  hours mon-fri 08:30-18:30\n"
	"  closed 2026-12-24..2027-01-03 \"holidays\"\n"
	"  digest at 17:30\n"
	"  time 20 lot when tag later then digest next\n"
	"}\n";

static const char *const groups[][3] = { { "marketing", ROOM, MUC }, { NULL, NULL, NULL } };

static int
set_up(void **state)
{
	*state = scene_new(groups, charter);
	return 0;
}

/* One number of the database, as somebody with the file reads it. */
static int64_t
ask(struct scene *scene, const char *sql)
{
	AUTO_FREE char *path = xasprintf("%s/sourdine.db", scene->directory);
	sqlite3 *db;
	sqlite3_stmt *statement;

	assert_int_equal(store_commit(scene->core->store), 0);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	int64_t number = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return number;
}

static void
say_later(struct scene *scene, const char *when, const char *text)
{
	AUTO_FREE char *raw = xasprintf("@alice:hs\nAlice\n%s #later", text);

	scratch_set_clock(scene->directory, when);
	scene_hear(scene, NETWORK_MATRIX, ROOM, raw);
}

static const char *
come_to(struct scene *scene, const char *when)
{
	scratch_set_clock(scene->directory, when);
	turns(scene);
	return scene->xmpp.count ? fake_port_last(&scene->xmpp)->payload : "";
}

/* A closure longer than texts are kept: whoever is owed a digest learns how many there were. */
static void
test_old_messages_are_counted(void **state)
{
	struct scene *scene = *state;

	say_later(scene, "2026-12-24T10:00:00Z", "one");
	say_later(scene, "2026-12-25T10:00:00Z", "two");
	say_later(scene, "2027-01-02T10:00:00Z", "three");
	assert_int_equal(scene->xmpp.count, 0);
	assert_int_equal(ask(scene, "SELECT count(*) FROM item"), 3);
	assert_int_equal(ask(scene, "SELECT count(*) FROM item WHERE body IS NULL"), 2);
	assert_int_equal(ask(scene, "SELECT count(*) FROM inbox WHERE raw IS NOT NULL"), 0);
	const char *text = come_to(scene, "2027-01-04T16:30:00Z");
	assert_int_equal(scene->xmpp.count, 1);
	assert_non_null(strstr(text, "Digest of \"marketing\", Thu 24 Dec 2026 11:00 to"));
	assert_non_null(strstr(text, "Messages: 3, people: 1"));
	assert_non_null(strstr(text, "Alice: three #later"));
	assert_non_null(strstr(text, "Only counted, as their text is no longer kept: 2"));
	assert_null(strstr(text, "one #later"));
	assert_int_equal(ask(scene, "SELECT messages FROM digest WHERE slot = '2027-01-04/17:30'"), 3);
	assert_int_equal(ask(scene, "SELECT to_seq - from_seq FROM digest WHERE slot = '2027-01-04/17:30'"), 2);
	assert_int_equal(ask(scene, "SELECT count(*) FROM item"), 0);
}

static void
test_a_digest_of_nothing_else_is_sent(void **state)
{
	struct scene *scene = *state;

	say_later(scene, "2026-12-24T10:00:00Z", "one");
	scene_reopen(scene);
	const char *text = come_to(scene, "2027-01-02T12:00:00Z");
	assert_int_equal(scene->xmpp.count, 0);
	assert_int_equal(ask(scene, "SELECT count(*) FROM item WHERE body IS NULL"), 1);
	text = come_to(scene, "2027-01-04T16:30:00Z");
	assert_int_equal(scene->xmpp.count, 1);
	assert_non_null(strstr(text, "Messages: 1"));
	assert_non_null(strstr(text, "no longer kept: 1"));
	come_to(scene, "2027-01-05T16:30:00Z");
	assert_int_equal(scene->xmpp.count, 1);
}

/* Nothing is left behind once nobody is owed it. */
static void
test_items_end_with_the_last_subscription(void **state)
{
	struct scene *scene = *state;

	scene_hear(scene, NETWORK_XMPP, MUC, "xmpp:carol@x\nCarol\n!sd mode digest");
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\nOne");
	assert_int_equal(ask(scene, "SELECT count(*) FROM item"), 1);
	scene_hear(scene, NETWORK_XMPP, MUC, "xmpp:carol@x\nCarol\n!sd mode live");
	turns(scene);
	assert_int_equal(ask(scene, "SELECT count(*) FROM item"), 0);
}

/* He may no longer read there, so not in a digest either: not even a last one. */
static void
test_whoever_is_expelled_gets_none(void **state)
{
	struct scene *scene = *state;

	scene_hear(scene, NETWORK_XMPP, MUC, "xmpp:carol@x\nCarol\n!sd mode digest");
	scene_hear(scene, NETWORK_XMPP, MUC, "xmpp:dave@x\nDave\n!sd mode digest");
	scene_hear(scene, NETWORK_XMPP, MUC, "xmpp:" MUC "/k\nErin\n!sd mode digest");
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\nOne");
	assert_int_equal(ask(scene, "SELECT count(*) FROM link"), 1);
	int before = scene->xmpp.count;
	inbox_expelled(scene->core->inbox, MUC, "xmpp:carol@x");
	inbox_expelled(scene->core->inbox, MUC, "xmpp:" MUC "/k");
	inbox_expelled(scene->core->inbox, "elsewhere@rooms.x", "xmpp:dave@x");
	/* He had proven his account while the room hid it. */
	digests_subscribe(scene->core->digests, groups_of_room(&scene->core->groups, MUC), "xmpp:" MUC "/l", NETWORK_XMPP, "frank@x", 0);
	assert_int_equal(ask(scene, "SELECT count(*) FROM subscription"), 2);
	inbox_expelled(scene->core->inbox, MUC, "xmpp:frank@x");
	assert_int_equal(ask(scene, "SELECT count(*) FROM subscription"), 1);
	turns(scene);
	scene_reopen(scene);
	assert_int_equal(ask(scene, "SELECT count(*) FROM link"), 0);
	come_to(scene, "2026-11-23T16:30:00Z");
	assert_int_equal(fake_port_count(&scene->xmpp, "carol@x"), 0);
	assert_int_equal(fake_port_count(&scene->xmpp, "dave@x"), 1);
	assert_true(before > 0);
}

/* We were away when the slot came: who was banned meanwhile is known once the room is read, and not before. */
static void
test_a_digest_waits_for_its_readers_room(void **state)
{
	struct scene *scene = *state;

	scene_hear(scene, NETWORK_XMPP, MUC, "xmpp:carol@x\nCarol\n!sd mode digest");
	scene_hear(scene, NETWORK_XMPP, MUC, "xmpp:dave@x\nDave\n!sd mode digest");
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\nOne");
	int before = fake_port_count(&scene->xmpp, "dave@x");
	scene->closed = true;
	scene_reopen(scene);
	come_to(scene, "2026-11-23T16:31:00Z");
	inbox_open_gate(scene->core->inbox, ROOM, NULL, 0, NULL, 0);
	turns(scene);
	assert_int_equal(fake_port_count(&scene->xmpp, "dave@x"), before);
	inbox_expelled(scene->core->inbox, MUC, "xmpp:carol@x");
	inbox_open_gate(scene->core->inbox, MUC, NULL, 0, NULL, 0);
	turns(scene);
	assert_int_equal(fake_port_count(&scene->xmpp, "dave@x"), before + 1);
	assert_int_equal(fake_port_count(&scene->xmpp, "carol@x"), 0);
}

/* The clock is set back behind a slot that was had: what is said then is in the next digest, and in no digest twice. */
static void
test_a_clock_set_back_loses_nothing(void **state)
{
	struct scene *scene = *state;

	say_later(scene, "2026-11-23T10:00:00Z", "one");
	come_to(scene, "2026-11-23T16:30:00Z");
	assert_int_equal(scene->xmpp.count, 1);
	say_later(scene, "2026-11-23T15:00:00Z", "two");
	come_to(scene, "2026-11-23T16:31:00Z");
	assert_int_equal(scene->xmpp.count, 1);
	scene_reopen(scene);
	say_later(scene, "2026-11-23T15:10:00Z", "three");
	const char *text = come_to(scene, "2026-11-24T16:30:00Z");
	assert_int_equal(scene->xmpp.count, 1);
	assert_null(strstr(text, "one #later"));
	assert_non_null(strstr(text, "two #later"));
	assert_non_null(strstr(text, "three #later"));
}

/* The zone moves west: the same slot of the same day comes again, which makes no second digest. What was said meanwhile is not lost. */
static void
test_a_slot_that_comes_again_loses_nothing(void **state)
{
	struct scene *scene = *state;
	struct complaint why;

	say_later(scene, "2026-11-23T10:00:00Z", "one");
	come_to(scene, "2026-11-23T16:30:00Z");
	assert_int_equal(scene->xmpp.count, 1);
	assert_int_equal(charters_apply(scene->core->charters, groups_find(&scene->core->groups, "marketing"),
			"version 1\ngroup \"marketing\" {\n  tz America/New_York\n  digest at 17:30\n  time 20 lot when tag later then digest next\n}\n",
			"@mod:hs", "test", &why), 0);
	say_later(scene, "2026-11-23T18:00:00Z", "two");
	come_to(scene, "2026-11-23T22:30:00Z");
	assert_int_equal(scene->xmpp.count, 1);
	const char *text = come_to(scene, "2026-11-24T22:30:00Z");
	assert_int_equal(scene->xmpp.count, 2);
	assert_non_null(strstr(text, "two #later"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, scene_tear_down)
		T(test_old_messages_are_counted),
		T(test_a_digest_of_nothing_else_is_sent),
		T(test_items_end_with_the_last_subscription),
		T(test_whoever_is_expelled_gets_none),
		T(test_a_digest_waits_for_its_readers_room),
		T(test_a_clock_set_back_loses_nothing),
		T(test_a_slot_that_comes_again_loses_nothing),
#undef T
	};

	log_register(scratch_drop_line);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
