/* SPDX-License-Identifier: Apache-2.0 */
/* What is held under one charter, and planned again when that, or the site's, says something else: the core between two fake networks. */
#include "core/core.h"

#include "base/log.h"
#include "core/charters.h"
#include "core_scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROOM "!m:hs"
#define MUC "m@rooms.x"
#define SEO "s@rooms.x"
#define HEAD "version 1\ngroup \"marketing\" {\n  tz Europe/Paris\n"
#define HOLD "  time 30 ferme when closed then hold until opening\n"
#define OFFICE "  hours mon-fri 08:30-18:30\n"
#define ROUTE "  topics { seo: \"SEO\" -> \"seo\" }\n  route 10 seo when topic seo then copy \"seo\"\n"
#define SEO_HEAD "version 1\ngroup \"seo\" {\n  tz Europe/Paris\n  hours mon-fri 08:30-12:00\n"

static const char *const groups[][3] = { { "marketing", ROOM, MUC }, { "seo", "!s:hs", SEO }, { NULL, NULL, NULL } };

static int
set_up(void **state)
{
	*state = scene_new(groups, HEAD OFFICE ROUTE HOLD "}\n");
	return 0;
}

static void
come_to(struct scene *scene, const char *when)
{
	scratch_set_clock(scene->directory, when);
	turns(scene);
}

/* A moderator's new charter. */
static void
apply(struct scene *scene, const char *group, const char *text)
{
	struct complaint why;

	assert_int_equal(charters_apply(scene->core->charters, groups_find(&scene->core->groups, group), text, "@mod:hs", "test", &why), 0);
	turns(scene);
}

/* The administrator's, and his SIGHUP. */
static void
apply_site(struct scene *scene, const char *text)
{
	char why[256];

	scratch_write(scene->directory, "charters/site.charter", text);
	assert_int_equal(charters_reload(scene->core->charters, why, sizeof(why)), 0);
	turns(scene);
}

static void
write_at(struct scene *scene, const char *when, const char *text)
{
	AUTO_FREE char *raw = xasprintf("@alice:hs\nAlice\n%s", text);

	scratch_set_clock(scene->directory, when);
	scene_hear(scene, NETWORK_MATRIX, ROOM, raw);
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

static const char *
ask_why(struct scene *scene)
{
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\n!sd why");
	return fake_port_last(&scene->matrix)->payload;
}

/* It was let in, and is promised: a rule that would refuse, or move, the next one does not let it out into the night. */
static void
test_what_was_admitted_stays_held(void **state)
{
	struct scene *scene = *state;

	write_at(scene, "2026-11-23T18:04:00Z", "A special offer");
	apply(scene, "marketing", HEAD OFFICE HOLD "  admit 10 promo when word in \"offer\" then reject reason promo\n}\n");
	assert_int_equal(fake_port_count(&scene->xmpp, MUC), 0);
	assert_non_null(strstr(ask_why(scene), "Held until Tue 24 Nov 08:30"));
	apply(scene, "marketing", HEAD OFFICE HOLD "  route 10 promo when word in \"offer\" then move \"seo\"\n}\n");
	assert_int_equal(fake_port_count(&scene->xmpp, MUC), 0);
	assert_non_null(strstr(ask_why(scene), "Held until Tue 24 Nov 08:30"));
	come_to(scene, "2026-11-24T07:30:00Z");
	assert_int_equal(fake_port_count(&scene->xmpp, MUC), 1);
}

/* A copy waits for the hours of the group where it goes; what that group refuses and routes is of no matter to it. */
static void
test_a_copy_stays_held(void **state)
{
	struct scene *scene = *state;

	apply(scene, "seo", SEO_HEAD HOLD "}\n");
	write_at(scene, "2026-11-23T14:00:00Z", "#seo words");
	assert_int_equal(fake_port_count(&scene->xmpp, MUC), 1);
	apply(scene, "seo", SEO_HEAD HOLD "  route 10 back when word in \"words\" then move \"marketing\"\n}\n");
	assert_int_equal(fake_port_count(&scene->xmpp, SEO), 0);
	come_to(scene, "2026-11-24T07:30:00Z");
	assert_int_equal(fake_port_count(&scene->xmpp, SEO), 1);
}

/* Its author was promised that it comes whole, so it does. */
static void
test_what_was_held_is_not_digested(void **state)
{
	struct scene *scene = *state;

	write_at(scene, "2026-11-23T18:04:00Z", "Late");
	apply(scene, "marketing", HEAD OFFICE "  time 30 lot when closed then digest next\n}\n");
	assert_non_null(strstr(ask_why(scene), "Held until Tue 24 Nov 08:30"));
	come_to(scene, "2026-11-24T07:30:00Z");
	assert_int_equal(fake_port_count(&scene->xmpp, MUC), 1);
	assert_non_null(strstr(fake_port_last(&scene->xmpp)->payload, "] Late"));
}

/* The new charter has an opening that is over by now: not even that lets it out while the group is closed. */
static void
test_a_missed_opening_is_missed(void **state)
{
	struct scene *scene = *state;

	write_at(scene, "2026-11-27T19:00:00Z", "Friday night");
	scratch_set_clock(scene->directory, "2026-11-28T13:00:00Z");
	apply(scene, "marketing", HEAD "  hours mon-fri 08:30-18:30 sat 10:00-12:00\n" HOLD "}\n");
	assert_int_equal(fake_port_count(&scene->xmpp, MUC), 0);
	assert_non_null(strstr(ask_why(scene), "Held until Mon 30 Nov 08:30"));
	/* Closed now, and it was written in what are open hours from now on: likewise. */
	apply(scene, "marketing", HEAD "  hours mon-fri 08:30-21:00\n" HOLD "}\n");
	assert_int_equal(fake_port_count(&scene->xmpp, MUC), 0);
	/* Without the rule it goes. */
	apply(scene, "marketing", HEAD OFFICE "}\n");
	assert_int_equal(fake_port_count(&scene->xmpp, MUC), 1);
	assert_non_null(strstr(ask_why(scene), "Delivered at once."));
}

/* He was told when it comes, and now it comes a day later. */
static void
test_its_author_hears_of_a_later_instant(void **state)
{
	struct scene *scene = *state;

	write_at(scene, "2026-11-23T18:04:00Z", "Late");
	assert_int_equal(count_told(&scene->matrix, "will be delivered on Tue 24 Nov 08:30."), 1);
	apply(scene, "marketing", HEAD "  hours mon-fri 09:00-18:30\n" HOLD "}\n");
	assert_int_equal(count_told(&scene->matrix, "will be delivered on"), 1); /* half an hour is no news */
	apply(scene, "marketing", HEAD OFFICE "  closed 2026-11-24\n" HOLD "}\n");
	assert_int_equal(count_told(&scene->matrix, "will be delivered on Wed 25 Nov 08:30."), 1);
	apply(scene, "marketing", HEAD OFFICE "  closed 2026-11-24\n" HOLD "\n}\n");
	assert_int_equal(count_told(&scene->matrix, "will be delivered on Wed 25 Nov 08:30."), 1);
	apply(scene, "marketing", HEAD OFFICE HOLD "}\n");
	assert_int_equal(count_told(&scene->matrix, "will be delivered on"), 2); /* nor is an earlier one */
}

/* The administrator's closed days count for what is held already: at SIGHUP, and when he restarts instead. */
static void
test_the_site_moves_what_is_held(void **state)
{
	struct scene *scene = *state;

	write_at(scene, "2026-11-23T18:04:00Z", "Late");
	apply_site(scene, "version 1\nsite {\n  closed 2026-11-24\n}\n");
	assert_non_null(strstr(ask_why(scene), "Held until Wed 25 Nov 08:30"));
	scratch_write(scene->directory, "charters/site.charter", "version 1\nsite {\n  closed 2026-11-24..2026-11-25\n}\n");
	scene_reopen(scene);
	come_to(scene, "2026-11-25T07:30:00Z");
	assert_int_equal(fake_port_count(&scene->xmpp, MUC), 0);
	come_to(scene, "2026-11-26T07:30:00Z");
	assert_int_equal(fake_port_count(&scene->xmpp, MUC), 1);
}

/* One group's first file is broken: the others keep the site's hours. */
static void
test_a_broken_file_takes_nobodys_hours(void **state)
{
	struct scene *scene = *state;
	char why[256];

	apply_site(scene, "version 1\nsite {\n  hours mon-fri 08:30-18:30\n}\n");
	apply(scene, "seo", "version 1\ngroup \"seo\" {\n  tz Europe/Paris\n" HOLD "}\n");
	scratch_write(scene->directory, "charters/marketing.charter", "version 1\ngroup \"marketing\" {\n  hours\n");
	groups_add(&scene->core->groups, "fresh", "!f:hs", "f@rooms.x", false);
	scratch_write(scene->directory, "charters/fresh.charter", "version 1\ngroup \"fresh\" {\n  hours\n");
	groups_add(&scene->core->groups, "last", "!l:hs", "l@rooms.x", false);
	apply(scene, "last", "version 1\ngroup \"last\" {\n  tz Europe/Paris\n" HOLD "}\n");
	assert_int_equal(charters_reload(scene->core->charters, why, sizeof(why)), CHARTERS_E_BROKEN);
	inbox_open_gate(scene->core->inbox, "!l:hs", NULL, 0, NULL, 0);
	scratch_set_clock(scene->directory, "2026-11-23T18:04:00Z");
	scene_hear(scene, NETWORK_MATRIX, "!l:hs", "@alice:hs\nAlice\nLate");
	assert_int_equal(fake_port_count(&scene->xmpp, "l@rooms.x"), 0);
}

/* In the site's file a group would be in force nowhere: that is said, and the last good file stays. */
static void
test_a_group_in_the_sites_file_is_refused(void **state)
{
	struct scene *scene = *state;
	char why[256];

	scratch_write(scene->directory, "charters/site.charter", "version 1\nsite {\n}\n" "group \"seo\" {\n  hours mon 9h-10h\n}\n");
	assert_int_equal(charters_reload(scene->core->charters, why, sizeof(why)), CHARTERS_E_BROKEN);
	assert_non_null(strstr(why, "site.charter:1:1: this file holds the block site alone; the group \"seo\" belongs into seo.charter"));
	apply_site(scene, "version 1\nsite {\n  closed 2026-11-23\n}\n");
	scratch_write(scene->directory, "charters/site.charter", "version 1\n" "group \"seo\" {\n}\n");
	assert_int_equal(charters_reload(scene->core->charters, why, sizeof(why)), 0);
	scene_hear(scene, NETWORK_MATRIX, ROOM, "@alice:hs\nAlice\nOn a day off");
	assert_int_equal(fake_port_count(&scene->xmpp, MUC), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, scene_tear_down)
		T(test_what_was_admitted_stays_held),
		T(test_a_copy_stays_held),
		T(test_what_was_held_is_not_digested),
		T(test_a_missed_opening_is_missed),
		T(test_its_author_hears_of_a_later_instant),
		T(test_the_site_moves_what_is_held),
		T(test_a_broken_file_takes_nobodys_hours),
		T(test_a_group_in_the_sites_file_is_refused),
#undef T
	};

	log_register(scratch_drop_line);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
