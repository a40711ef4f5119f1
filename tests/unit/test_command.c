/* SPDX-License-Identifier: Apache-2.0 */
/* Which group a command concerns, and what a confirmation may still do: in a group, in a visited room, by direct message. */
#include "plumb_scene.h"

#include "base/now.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
bob_writes(struct scene *scene, const char *text, const char *of)
{
	AUTO_FREE char *flags = xasprintf("direct%s%s", of ? "\nof " : "", of ? of : "");

	accept_row(scene, NETWORK_XMPP, "bob@x", BOB, text, flags);
	turns(scene);
}

static void
test_in_a_visited_room(void **state)
{
	struct scene *scene = *state;

	invite(scene);
	alice_says(scene, "!sd hours");
	assert_int_equal(count_said(&scene->matrix, "This room is joined with no other yet"), 1);
	/* Through a visited MUC: his only group is meant, or the only one there is. */
	alice_says(scene, "!sd plumb " MUC);
	bob_writes(scene, "!status", MUC);
	assert_true(said(&scene->xmpp, "The group wired"));
}

static void
test_by_direct_message(void **state)
{
	struct scene *scene = *state;

	join(scene);
	bob_writes(scene, "!hours", NULL); /* there are two groups, and nothing says that he is of one */
	assert_true(said(&scene->xmpp, "Which group?"));
	bob_writes(scene, "!status #nosuch", NULL);
	assert_int_equal(count_said(&scene->xmpp, "Which group?"), 2);
	bob_writes(scene, "!status #wired", NULL);
	assert_int_equal(count_said(&scene->xmpp, "The group wired"), 1);
	/* What he said in one is a bond, and so is a subscription. */
	bob_says(scene, "hello");
	bob_writes(scene, "!status", NULL);
	assert_int_equal(count_said(&scene->xmpp, "The group marketing, joined from chat"), 1);
	bob_says(scene, "!sd mode digest");
	bob_writes(scene, "!status", NULL);
	assert_int_equal(count_said(&scene->xmpp, "The group marketing, joined from chat"), 2);
}

static void
keep(struct scene *scene, const char *command)
{
	struct query query = store_query(scene->store, PENDING_SET);

	query_text(&query, ALICE);
	query_text(&query, "marketing");
	query_text(&query, command);
	query_int(&query, 0);
	query_int(&query, now_rules_ms() + 60000);
	query_run(&query);
}

/* What was previewed is asked for again with the rights of now; and another release may not know it. */
static void
test_yes(void **state)
{
	struct scene *scene = *state;

	join(scene);
	alice_says(scene, "!sd yes");
	assert_int_equal(count_said(&scene->matrix, "There is nothing to say yes to"), 1);
	keep(scene, "frobnicate");
	alice_says(scene, "!sd yes");
	assert_int_equal(count_said(&scene->matrix, "There is nothing to say yes to"), 1);
	scene->matrix.moderator = NULL;
	keep(scene, "unplumb");
	alice_says(scene, "!sd yes");
	assert_true(said(&scene->matrix, "Only moderators"));
	assert_non_null(plumbed(scene));
	scene->matrix.moderator = ALICE;
	keep(scene, "unplumb");
	alice_says(scene, "!sd yes");
	assert_null(plumbed(scene));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_set_up, scene_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_in_a_visited_room),
		TEST(test_by_direct_message),
		TEST(test_yes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
