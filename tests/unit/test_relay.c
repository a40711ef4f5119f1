/* SPDX-License-Identifier: Apache-2.0 */
/* What the core tells people of messages that wait or do not cross, between two fake networks. */
#include "core/core.h"

#include "base/log.h"
#include "core/charters.h"
#include "core/outbox_rows.h"
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
	"  topics { seo: \"SEO\" -> \"seo\" }\n"
	"  route 10 seo when topic seo then copy \"seo\"\n"
	"  time 30 ferme when closed then hold until opening notice held unless role moderator\n"
	"}\n";
static const char seo_charter[] =
	"version 1\n"
	"group \"seo\" {\n"
	"  tz Europe/Paris\n"
	"  hours mon-fri 08:30-12:00\n"
	"  time 10 ferme when closed then hold until opening notice held\n"
	"}\n";

static const char *const groups[][3] = { { "marketing", ROOM, MUC }, { "seo", "!s:hs", "s@rooms.x" }, { NULL, NULL, NULL } };

static int
set_up(void **state)
{
	*state = scene_new(groups, charter);
	return 0;
}

/* How often people were told something with these words in it. */
static int
count_told(const struct fake_port *fake, const char *words)
{
	int count = 0;

	for (int i = 0; i < fake->count && i < FAKE_MAX; i++)
		count += strstr(fake->rows[i].payload, words) != NULL;
	return count;
}

/* Messages whose bytes are kept. */
static int64_t
count_raw(struct scene *scene)
{
	AUTO_FREE char *path = xasprintf("%s/sourdine.db", scene->directory);
	sqlite3 *db;
	sqlite3_stmt *statement;

	assert_int_equal(store_commit(scene->core->store), 0);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*) FROM inbox WHERE raw IS NOT NULL", -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	int64_t number = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return number;
}

/* In the evening Alice writes, and a moderator, whom no rule holds, answers. */
static void
write_and_answer(struct scene *scene)
{
	scratch_set_clock(scene->directory, "2026-11-23T18:04:00Z");
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\nLate");
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@mod:hs\nMod\nAn answer\nmoderator\nreply id1");
	assert_int_equal(fake_port_count(&scene->xmpp, MUC), 0);
}

static void
test_an_answer_waits_and_its_author_knows(void **state)
{
	struct scene *scene = *state;

	write_and_answer(scene);
	assert_int_equal(count_told(&scene->matrix, "The group is closed. Your message is kept"), 1);
	assert_int_equal(count_told(&scene->matrix, "The message that you answer is kept. Yours is kept with it and will be delivered on "
			"Tue 24 Nov 08:30."), 1);
	assert_int_equal(count_told(&scene->matrix, "\xE2\x8F\xB3"), 2);
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@mod:hs\nMod\n!sd why\nmoderator");
	assert_non_null(strstr(fake_port_last(&scene->matrix)->payload, "Waits for the message that it answers, until Tue 24 Nov 08:30 (Europe/Paris)."));
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@mod:hs\nMod\nAnother answer\nmoderator\nreply id2");
	assert_int_equal(count_told(&scene->matrix, "The message that you answer"), 1); /* once */
	scratch_set_clock(scene->directory, "2026-11-24T07:30:00Z");
	turns(scene);
	assert_int_equal(scene->xmpp.count, 3);
	assert_non_null(strstr(scene->xmpp.rows[0].payload, "Late"));
	assert_non_null(strstr(scene->xmpp.rows[1].payload, "An answer"));
	assert_int_equal(count_raw(scene), 0);
	assert_int_equal(count_told(&scene->matrix, "\xE2\x9C\x85"), 3);
}

/* The rest of the evening is opened: what was held goes, and its answer with it. */
static void
test_an_answer_is_planned_again_with_its_parent(void **state)
{
	struct scene *scene = *state;

	write_and_answer(scene);
	assert_int_equal(count_raw(scene), 2);
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@mod:hs\nMod\n!sd hours mon-fri 08:30-18:45\nmoderator");
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@mod:hs\nMod\n!sd yes\nmoderator");
	assert_int_equal(fake_port_count(&scene->xmpp, MUC), 0);
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@mod:hs\nMod\n!sd hours mon-fri 08:30-20:00\nmoderator");
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@mod:hs\nMod\n!sd yes\nmoderator");
	assert_int_equal(fake_port_count(&scene->xmpp, MUC), 2);
	assert_non_null(strstr(scene->xmpp.rows[0].payload, "Late"));
	assert_non_null(strstr(scene->xmpp.rows[1].payload, "An answer"));
	assert_int_equal(count_raw(scene), 0);
}

/* In the afternoon the sub-group is closed: whoever writes for it learns that, once. */
static void
test_a_copy_waits_and_its_author_knows(void **state)
{
	struct scene *scene = *state;

	scratch_write(scene->directory, "charters/seo.charter", seo_charter);
	scene_reopen(scene);
	scratch_set_clock(scene->directory, "2026-11-23T14:00:00Z");
	for (int i = 0; i < 2; i++) {
		scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\n#seo the new words");
		assert_int_equal(count_told(&scene->matrix, "seo is closed. Your message is kept for it and will be delivered there on Tue 24 Nov 08:30."), 1);
	}
	assert_int_equal(fake_port_count(&scene->xmpp, MUC), 2);
	assert_int_equal(fake_port_count(&scene->xmpp, "s@rooms.x"), 0);
	scratch_set_clock(scene->directory, "2026-11-24T07:30:00Z");
	turns(scene);
	assert_int_equal(fake_port_count(&scene->xmpp, "s@rooms.x"), 2);
}

/* One message is one refusal, however many parts it has. */
static void
test_parts_are_refused_together(void **state)
{
	struct scene *scene = *state;

	scene->xmpp.answers = false;
	scene->xmpp.part = 4;
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\none two six ten.");
	int parts = scene->xmpp.count;
	assert_true(parts >= 4);
	for (int i = 0; i < parts; i++)
		outbox_refused(scene->core->outbox, scene->xmpp.rows[i].id, REFUSAL_MODERATED, "forbidden");
	turns(scene);
	assert_int_equal(count_told(&scene->matrix, "does not let us speak"), 1);
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\n!sd why");
	assert_non_null(strstr(fake_port_last(&scene->matrix)->payload, "It did not cross, or not everywhere; its author was told why.\n admission"));
	assert_null(strstr(fake_port_last(&scene->matrix)->payload, "Delivered at once"));
	scratch_set_clock(scene->directory, "2026-11-23T10:30:00Z");
	turns(scene);
	assert_int_equal(count_told(&scene->matrix, "Within an hour"), 0);
	/* Of five messages two are counted. */
	scene->xmpp.part = 60000;
	for (int i = 0; i < 5; i++) {
		scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\nshort");
		outbox_refused(scene->core->outbox, fake_port_last(&scene->xmpp)->id, REFUSAL_MODERATED, "forbidden");
		turns(scene);
	}
	scratch_set_clock(scene->directory, "2026-11-23T11:30:00Z");
	turns(scene);
	assert_int_equal(count_told(&scene->matrix, "Within an hour 2 more"), 1);
}

/* A moderator's new charter for a group. */
static void
apply(struct scene *scene, const char *group, const char *text)
{
	struct complaint why;

	assert_int_equal(charters_apply(scene->core->charters, groups_find(&scene->core->groups, group), text, "@mod:hs", "test", &why), 0);
	turns(scene);
}

#define HEAD "version 1\ngroup \"marketing\" {\n  tz Europe/Paris\n  hours mon-fri 08:30-18:30\n  time 30 ferme when closed then hold until opening\n"

/* A group that is gone, or one's own: the message stays, under the hours of its own group, once, and who asks is told so. */
static void
test_a_route_that_leads_nowhere(void **state)
{
	struct scene *scene = *state;

	apply(scene, "marketing", HEAD "  route 10 gone when tag gone then move \"cafe\"\n  route 20 own when tag own then copy \"marketing\"\n"
		"  route 30 shown when tag shown then suggest \"cafe\"\n}\n");
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\n#own words");
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\n#shown words");
	assert_int_equal(fake_port_count(&scene->xmpp, MUC), 2);
	assert_int_equal(scene->matrix.count, 0);
	scratch_set_clock(scene->directory, "2026-11-23T18:04:00Z");
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\n#gone words");
	assert_int_equal(fake_port_count(&scene->xmpp, MUC), 2);
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\n!sd why");
	assert_non_null(strstr(fake_port_last(&scene->matrix)->payload, "Held until Tue 24 Nov 08:30"));
	assert_null(strstr(fake_port_last(&scene->matrix)->payload, "cafe"));
	scratch_set_clock(scene->directory, "2026-11-24T07:30:00Z");
	turns(scene);
	assert_int_equal(fake_port_count(&scene->xmpp, MUC), 3);
}

/* The sub-group reads in digests: both of its rooms are owed what was sent to it, with where it comes from. */
static void
test_a_copy_in_digests_reaches_both_rooms(void **state)
{
	struct scene *scene = *state;

	apply(scene, "seo", "version 1\ngroup \"seo\" {\n  tz Europe/Paris\n  digest at 16:00\n  time 10 lot when open then digest next\n}\n");
	scene_hear(scene, NETWORK_XMPP, MUC, "xmpp:bob@x\nBob\n#seo words");
	assert_int_equal(fake_port_count(&scene->matrix, ROOM), 1);
	scratch_set_clock(scene->directory, "2026-11-23T15:00:00Z");
	turns(scene);
	assert_int_equal(fake_port_count(&scene->matrix, "!s:hs"), 1);
	assert_int_equal(fake_port_count(&scene->xmpp, "s@rooms.x"), 1);
	assert_non_null(strstr(fake_port_last(&scene->xmpp)->payload, "Bob: [marketing] #seo words"));
	assert_non_null(strstr(fake_port_last(&scene->matrix)->payload, "Bob: [marketing] #seo words"));
}

/* Where the bot says "Name: text", the name is one line, and what somebody does is not done by the bot. */
static void
test_a_name_is_one_line(void **state)
{
	struct scene *scene = *state;
	const struct group *group = groups_find(&scene->core->groups, "marketing");
	struct author author = { "@eve:hs", "eve:hs", "Eve\nBob: I resign" };

	assert_non_null(group);
	scene->matrix.author = &author;
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@eve:hs\n\n#seo words");
	assert_int_equal(fake_port_count(&scene->matrix, "!s:hs"), 1);
	assert_non_null(strstr(fake_port_last(&scene->matrix)->payload, "|Eve Bob: I resign: [marketing] #seo words"));
}

/* A sub-group whose alias leads to no room: that is what is said, and not that the message is too long. */
static void
test_a_missing_room_is_named(void **state)
{
	struct scene *scene = *state;

	groups_add(&scene->core->groups, "far", "#far:hs", "far@rooms.x", false);
	apply(scene, "marketing", HEAD "  route 10 far when tag far then copy \"far\"\n}\n");
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\n#far words");
	assert_int_equal(fake_port_count(&scene->xmpp, "far@rooms.x"), 1);
	assert_int_equal(count_told(&scene->matrix, "too long"), 0);
	assert_int_equal(count_told(&scene->matrix, "no longer exists"), 1);
}

/* Programs may answer, so they are told nothing; people three times a day. */
static void
test_notices_have_an_end(void **state)
{
	struct scene *scene = *state;

	apply(scene, "marketing", HEAD "  bots \"@ci:hs\"\n  admit 10 promo when word in \"offer\" then reject reason promo\n"
		"  route 10 shown when tag shown then suggest \"seo\"\n}\n");
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@ci:hs\nCI\nAn offer");
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@ci:hs\nCI\n#shown");
	scratch_set_clock(scene->directory, "2026-11-23T18:04:00Z");
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@ci:hs\nCI\nBuilt");
	assert_int_equal(scene->matrix.count, 0);
	for (int i = 0; i < 5; i++)
		scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\nAn offer");
	assert_int_equal(count_told(&scene->matrix, "(promo)"), 3);
	assert_int_equal(count_told(&scene->matrix, "last notice of its kind today"), 1);
	scratch_set_clock(scene->directory, "2026-11-24T18:04:00Z");
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\nAn offer");
	assert_int_equal(count_told(&scene->matrix, "(promo)"), 4);
}

/* Whatever becomes of a message but its delivery, its author hears of it. */
static void
test_what_is_moved_or_digested_is_told(void **state)
{
	struct scene *scene = *state;

	apply(scene, "marketing", HEAD "  digest at 16:00\n  route 10 seo when tag seo then move \"seo\"\n  time 10 lot when tag lot then digest next\n}\n");
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\n#seo words");
	assert_int_equal(fake_port_count(&scene->xmpp, MUC), 0);
	assert_int_equal(fake_port_count(&scene->xmpp, "s@rooms.x"), 1);
	assert_int_equal(count_told(&scene->matrix, "Your message goes to the group seo only"), 1);
	for (int i = 0; i < 2; i++)
		scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\n#lot words");
	assert_int_equal(count_told(&scene->matrix, "Your message is kept for the digest of Mon 23 Nov 16:00."), 1);
	scratch_set_clock(scene->directory, "2026-11-23T14:59:00Z");
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\n#lot words");
	assert_int_equal(count_told(&scene->matrix, "Your message is kept for the digest of Tue 24 Nov 16:00."), 1);
	scratch_set_clock(scene->directory, "2026-11-23T15:00:00Z");
	turns(scene);
	assert_non_null(strstr(fake_port_last(&scene->xmpp)->payload, "Messages: 2"));
}

/* What somebody takes back while it waits is said nowhere any more, and its text is gone; what others wrote he cannot take back. */
static void
test_what_waits_can_be_taken_back(void **state)
{
	struct scene *scene = *state;

	apply(scene, "marketing", HEAD "  digest at 20:00\n  route 10 seo when tag seo then copy \"seo\"\n}\n");
	apply(scene, "seo", "version 1\ngroup \"seo\" {\n  tz Europe/Paris\n  digest at 20:00\n  time 10 lot when open then digest next\n}\n");
	scratch_set_clock(scene->directory, "2026-11-23T18:04:00Z");
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\n#seo first");
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\nsecond");
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@eve:hs\nEve\n\nwithdraws id2");
	assert_int_equal(count_raw(scene), 2);
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\n\nwithdraws id1");
	assert_int_equal(count_raw(scene), 1);
	assert_int_equal(count_told(&scene->matrix, "\xE2\x9C\x85"), 0);
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\n\nwithdraws id1"); /* once more is harmless */
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\n\nwithdraws unknown");
	scratch_set_clock(scene->directory, "2026-11-23T19:00:00Z");
	turns(scene);
	assert_int_equal(fake_port_count(&scene->xmpp, "s@rooms.x"), 0);
	assert_int_equal(fake_port_count(&scene->matrix, "!s:hs"), 0);
	scratch_set_clock(scene->directory, "2026-11-24T07:30:00Z");
	turns(scene);
	assert_int_equal(fake_port_count(&scene->xmpp, MUC), 1);
	assert_non_null(strstr(fake_port_last(&scene->xmpp)->payload, "second"));
	/* A moderator may; and what was said already stays. */
	scratch_set_clock(scene->directory, "2026-11-24T18:04:00Z");
	scene_hear(scene, NETWORK_XMPP, MUC, "xmpp:bob@x\nBob\nthird");
	scene_hear(scene, NETWORK_XMPP, MUC, "xmpp:mod@x\nMod\n\nmoderator\nwithdraws id7");
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\n\nwithdraws id2");
	assert_int_equal(count_raw(scene), 0);
	scratch_set_clock(scene->directory, "2026-11-25T07:30:00Z");
	turns(scene);
	assert_int_equal(count_told(&scene->matrix, "third"), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, scene_tear_down)
		T(test_an_answer_waits_and_its_author_knows),
		T(test_an_answer_is_planned_again_with_its_parent),
		T(test_a_copy_waits_and_its_author_knows),
		T(test_parts_are_refused_together),
		T(test_a_route_that_leads_nowhere),
		T(test_a_copy_in_digests_reaches_both_rooms),
		T(test_a_name_is_one_line),
		T(test_a_missing_room_is_named),
		T(test_notices_have_an_end),
		T(test_what_is_moved_or_digested_is_told),
		T(test_what_waits_can_be_taken_back),
#undef T
	};

	log_register(scratch_drop_line);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
