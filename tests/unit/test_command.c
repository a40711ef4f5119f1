/* SPDX-License-Identifier: Apache-2.0 */
/* Which group a command concerns, and what a confirmation may still do: in a group, in a visited room, by direct message. */
#include "plumb_scene.h"

#include "base/now.h"
#include "core/decisions.h"
#include "core/digests.h"

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

/* Whoever may read in one group may not therefore read in another. */
static void
test_a_digest_of_another_group(void **state)
{
	struct scene *scene = *state;

	join(scene);
	bob_writes(scene, "!mode #wired digest", MUC);
	assert_int_equal(count_said(&scene->xmpp, "Please say that in the group's room"), 1);
	assert_false(said(&scene->xmpp, "From now on you get wired"));
	bob_writes(scene, "!mode #marketing digest", MUC);
	assert_true(said(&scene->xmpp, "From now on you get marketing"));
}

/* Nor does the power in one room tell about messages of another group. */
static void
test_why_of_another_group(void **state)
{
	struct scene *scene = *state;
	struct decision decision;

	join(scene);
	accept_row(scene, NETWORK_XMPP, "wired@rooms.x", "xmpp:carol@x", "between us", "");
	turns(scene);
	assert_true(decisions_last(scene->store, "wired", "xmpp:carol@x", &decision));
	AUTO_FREE char *text = xasprintf("!why #wired h%lld", (long long)decision.inbox_seq);
	for (int may = 0; may < 2; may++) {
		scene->xmpp.moderator = may ? BOB : NULL;
		accept_row(scene, NETWORK_XMPP, "bob@x", BOB, text, may ? "direct\nof " MUC : "moderator\ndirect\nof " MUC);
		turns(scene);
		assert_int_equal(count_said(&scene->xmpp, "only its author and the moderators are told"), 1);
	}
}

/* Somebody whose account the room hides proves it from there, whichever other room shows it; and from there he ends what he began. */
static void
test_a_linked_account(void **state)
{
	struct scene *scene = *state;
	const char *code = NULL;

	join(scene);
	accept_row(scene, NETWORK_XMPP, MUC, "xmpp:" MUC "/k", "!sd mode digest", "");
	turns(scene);
	for (int i = 0; i < scene->xmpp.fake.count; i++)
		code = strstr(scene->xmpp.fake.rows[i].payload, "Send !link ") ? strstr(scene->xmpp.fake.rows[i].payload, "Send !link ") + 11 : code;
	assert_non_null(code);
	AUTO_FREE char *text = xasprintf("!link %.8s", code);
	accept_row(scene, NETWORK_XMPP, "erin@x", "xmpp:erin@x", text, "direct\nof wired@rooms.x");
	turns(scene);
	assert_true(said(&scene->xmpp, "From now on you get marketing"));
	accept_row(scene, NETWORK_XMPP, "erin@x", "xmpp:erin@x", text, "direct");
	turns(scene);
	assert_int_equal(count_said(&scene->xmpp, "That code is not known"), 1);
	digests_subscribe(scene->core->digests, plumbed(scene), "xmpp:" MUC "/k", NETWORK_XMPP, "erin@x", now_rules_ms());
	accept_row(scene, NETWORK_XMPP, "erin@x", "xmpp:erin@x", "!mode #marketing live", "direct");
	turns(scene);
	assert_true(said(&scene->xmpp, "Digests have ended"));
	assert_false(digests_subscribed(scene->core->digests, plumbed(scene), "xmpp:" MUC "/k"));
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
		TEST(test_a_digest_of_another_group),
		TEST(test_why_of_another_group),
		TEST(test_a_linked_account),
		TEST(test_yes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
