/* SPDX-License-Identifier: Apache-2.0 */
/* What the core tells people of messages that wait or do not cross, between two fake networks. */
#include "core/core.h"

#include "base/log.h"
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

static void
ignore_line(enum log_level level, const char *text)
{
	(void)level, (void)text;
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
#undef T
	};

	log_register(ignore_line);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
