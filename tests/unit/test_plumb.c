/* SPDX-License-Identifier: Apache-2.0 */
/* Rooms joined from chat, between two fake networks: who may, what is said, and what a restart leaves. */
#include "plumb_scene.h"

#include "core/plumb_open.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- joining ---- */

static void
test_from_matrix(void **state)
{
	struct scene *scene = *state;
	char code[16];

	invite(scene);
	assert_true(said(&scene->matrix, "!sd plumb marketing@rooms.example.org"));
	alice_says(scene, "said before");
	alice_says(scene, "!sd plumb " MUC);
	take_code(&scene->matrix, code);
	assert_true(said(&scene->matrix, "I am in " MUC " now"));
	bob_says(scene, "said before, too");
	/* No other code, nowhere else, nobody without power. */
	bob_says(scene, "!sd confirm abcdefgh");
	bob_says(scene, "!sd confirm abc");
	assert_int_equal(count_said(&scene->xmpp, "not known here"), 2);
	confirm(scene, &scene->matrix, alice_says);
	assert_int_equal(count_said(&scene->matrix, "not known here"), 1);
	AUTO_FREE char *text = xasprintf("!sd confirm %s", code);
	accept_row(scene, NETWORK_XMPP, MUC, "xmpp:carol@x", text, "");
	accept_row(scene, NETWORK_XMPP, "other@rooms.x", BOB, text, "");
	turns(scene);
	assert_true(said(&scene->xmpp, "may not change the room's settings"));
	assert_int_equal(count_said(&scene->xmpp, "not known here"), 3);
	assert_null(plumbed(scene));
	/* Capitals are the same letters. */
	for (char *p = strrchr(text, ' '); *p; p++)
		*p = *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p;
	bob_says(scene, text);
	assert_non_null(plumbed(scene));
	assert_string_equal(plumbed(scene)->name, "marketing");
	assert_true(said(&scene->xmpp, "Done: both rooms are the group marketing now."));
	assert_true(said(&scene->xmpp, "This room is joined with " ROOM) && said(&scene->matrix, "This room is joined with " MUC));
	alice_says(scene, "Hello");
	bob_says(scene, "Good morning");
	assert_true(said(&scene->xmpp, "Hello") && said(&scene->matrix, "Good morning"));
	assert_false(said(&scene->xmpp, "said before") || said(&scene->matrix, "said before"));
	/* Once. */
	bob_says(scene, text);
	assert_int_equal(count_said(&scene->xmpp, "Done"), 1);
	alice_says(scene, "!sd plumb other@rooms.x");
	assert_true(said(&scene->matrix, "joined with another one already"));
}

static void
test_from_xmpp_by_an_alias(void **state)
{
	struct scene *scene = *state;
	struct group *group = plumb_invited(scene->core->plumb, NETWORK_XMPP, MUC, BOB);

	side_enter(&scene->xmpp.fake.port, group);
	turns(scene);
	assert_true(said(&scene->xmpp, "!sd plumb #marketing:example.org"));
	bob_says(scene, "!sd plumb #marketing:HS");
	assert_true(said(&scene->xmpp, "I am in " ROOM " now"));
	confirm(scene, &scene->xmpp, alice_says);
	assert_non_null(plumbed(scene));
	scene_reopen(scene);
	assert_non_null(plumbed(scene));
	assert_int_equal(count_said(&scene->xmpp, "joined with"), 0); /* greeted once */
}

/* An alias of a room that is visited under its own name is that room. */
static void
test_an_alias_of_a_visited_room(void **state)
{
	struct scene *scene = *state;

	invite(scene);
	scene->matrix.silent = true;
	bob_says(scene, "!sd plumb " ALIAS);
	accept_row(scene, NETWORK_XMPP, "x@y", BOB, "!plumb " ALIAS " " MUC, "direct");
	turns(scene);
	struct group *alias = groups_wanting(&scene->core->groups, ALIAS);
	assert_non_null(alias);
	groups_set_room(alias, NETWORK_MATRIX, ROOM);
	plumb_refused(scene->core->plumb, alias, NETWORK_MATRIX, REFUSAL_OTHER, "known under another name");
	turns(scene);
	wait_a_while(scene, 1000);
	assert_true(said(&scene->xmpp, "I am in " ROOM " now"));
}

static void
test_by_direct_message(void **state)
{
	struct scene *scene = *state;
	char code[16];

	accept_row(scene, NETWORK_XMPP, "bob@x", BOB, "!plumb " ALIAS, "direct");
	turns(scene);
	assert_true(said(&scene->xmpp, "Please name both rooms"));
	accept_row(scene, NETWORK_XMPP, "bob@x", BOB, "!plumb", "direct");
	turns(scene);
	assert_true(said(&scene->xmpp, "Please name the room"));
	accept_row(scene, NETWORK_XMPP, "bob@x", BOB, "!plumb " ALIAS " Marketing@Rooms.X", "direct");
	turns(scene);
	take_code(&scene->xmpp, code);
	AUTO_FREE char *text = xasprintf("!confirm %s", code);
	accept_row(scene, NETWORK_MATRIX, "!direct:hs", ALICE, text, "direct");
	turns(scene);
	assert_non_null(plumbed(scene));
}

static void
test_what_cannot_be_asked(void **state)
{
	struct scene *scene = *state;
	static const struct {
		const char *address, *answer;
	} cases[] = {
		{ "marketing", "That is no room's address" },
		{ "a@b@c", "That is no room's address" },
		{ "a@b/nick", "That is no room's address" },
		{ "@rooms.x", "That is no room's address" },
		{ "a@", "That is no room's address" },
		{ "#:hs", "That is no room's address" },
		{ "#alias", "That is no room's address" },
		{ "#other:hs", "One of the rooms must be on Matrix" },
		{ "!other", "One of the rooms must be on Matrix" },
		{ "wired@rooms.x", "That room is joined with another one already" },
	};

	invite(scene);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		AUTO_FREE char *text = xasprintf("!sd plumb %s", cases[i].address);
		int before = count_said(&scene->matrix, cases[i].answer);
		alice_says(scene, text);
		assert_int_equal(count_said(&scene->matrix, cases[i].answer), before + 1);
	}
	AUTO_FREE char *long_one = xasprintf("!sd plumb %0300d@rooms.x", 1);
	int before = count_said(&scene->matrix, "That is no room's address");
	alice_says(scene, long_one);
	assert_int_equal(count_said(&scene->matrix, "That is no room's address"), before + 1);
	accept_row(scene, NETWORK_MATRIX, ROOM, ALICE, "!sd plumb !wired:hs a@rooms.x", "moderator");
	turns(scene);
	assert_true(said(&scene->matrix, "This room is joined with another one already"));
	scene->xmpp.silent = true;
	for (int i = 0; i < 4; i++) {
		AUTO_FREE char *text = xasprintf("!sd plumb r%d@rooms.x", i);
		alice_says(scene, text);
	}
	assert_int_equal(count_said(&scene->matrix, "You have asked for several rooms already"), 1);
	accept_row(scene, NETWORK_MATRIX, ROOM, "@dave:hs", "!sd plumb " MUC, "");
	turns(scene);
	assert_true(said(&scene->matrix, "you may not change the room's settings"));
	assert_false(is_visited(scene, MUC));
}

static void
test_why_a_room_cannot_be_entered(void **state)
{
	struct scene *scene = *state;
	static const struct {
		enum refusal why;
		const char *xmpp, *matrix;
	} cases[] = {
		{ REFUSAL_NOT_MEMBER, MUC " does not let me in", "I may not enter " ALIAS },
		{ REFUSAL_ROOM_GONE, "There is no room " MUC, "There is no room " ALIAS },
		{ REFUSAL_BANNED, MUC " has banned me. Somebody there must lift the ban on bot@c.x", "lift the ban on @sourdine:hs" },
		{ REFUSAL_NICK, "every nickname", "I cannot enter " ALIAS ": it says \"far words\"" },
		{ REFUSAL_OTHER, "I cannot enter " MUC ": it says \"far words\"", "I cannot enter " ALIAS },
	};

	invite(scene);
	struct group *group = plumb_invited(scene->core->plumb, NETWORK_XMPP, "home@rooms.x", BOB);
	side_enter(&scene->xmpp.fake.port, group);
	turns(scene);
	scene->matrix.detail = scene->xmpp.detail = "far words";
	scene->matrix.refuses = scene->xmpp.refuses = true;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		scene->matrix.why = scene->xmpp.why = cases[i].why;
		alice_says(scene, "!sd plumb " MUC);
		wait_a_while(scene, 1000);
		assert_true(said(&scene->matrix, cases[i].xmpp));
		accept_row(scene, NETWORK_XMPP, "home@rooms.x", BOB, "!sd plumb " ALIAS, "moderator");
		turns(scene);
		wait_a_while(scene, 1000);
		assert_true(said(&scene->xmpp, cases[i].matrix));
		assert_false(is_visited(scene, MUC));
	}
	/* It does not answer at all. */
	scene->xmpp.refuses = false;
	scene->xmpp.silent = true;
	alice_says(scene, "!sd plumb " MUC);
	wait_a_while(scene, 44000);
	assert_false(said(&scene->matrix, "does not answer"));
	wait_a_while(scene, 2000);
	assert_true(said(&scene->matrix, MUC " does not answer"));
}

static void
test_who_may_not(void **state)
{
	struct scene *scene = *state;

	invite(scene);
	scene->matrix.moderator = NULL;
	accept_row(scene, NETWORK_MATRIX, "!direct:hs", ALICE, "!plumb " MUC " " ROOM, "direct");
	turns(scene);
	assert_true(said(&scene->matrix, "In " ROOM " you may not change the room's settings"));
	scene->matrix.blind = true;
	accept_row(scene, NETWORK_MATRIX, "!direct:hs", ALICE, "!plumb " MUC " " ROOM, "direct");
	turns(scene);
	assert_true(said(&scene->matrix, "I cannot tell who you are in " ROOM));
	assert_false(is_visited(scene, MUC));
	scene->matrix.moderator = ALICE;
	scene->matrix.blind = false;
	alice_says(scene, "!sd plumb " MUC);
	/* All is asked again at the confirmation. */
	scene->xmpp.blind = true;
	scene->xmpp.moderator = NULL;
	confirm(scene, &scene->matrix, bob_says);
	assert_true(said(&scene->xmpp, "I cannot tell who you are in that room"));
	scene->xmpp.blind = false;
	scene->xmpp.moderator = BOB;
	scene->matrix.moderator = NULL;
	confirm(scene, &scene->matrix, bob_says);
	assert_true(said(&scene->xmpp, "Whoever asked for this"));
	scene->matrix.moderator = ALICE;
	groups_of_room(&scene->core->groups, ROOM)->entered[NETWORK_MATRIX] = false;
	confirm(scene, &scene->matrix, bob_says);
	assert_true(said(&scene->xmpp, "I am not in both rooms at the moment"));
	groups_of_room(&scene->core->groups, ROOM)->entered[NETWORK_MATRIX] = true;
	assert_null(plumbed(scene));
	confirm(scene, &scene->matrix, bob_says);
	assert_non_null(plumbed(scene));
}

static void
test_a_code_expires(void **state)
{
	struct scene *scene = *state;

	invite(scene);
	alice_says(scene, "!sd plumb " MUC);
	scratch_set_clock(scene->directory, "2026-11-23T09:16:00Z");
	confirm(scene, &scene->matrix, bob_says);
	assert_true(said(&scene->xmpp, "not known here, or too old"));
	wait_a_while(scene, 1000);
	wait_a_while(scene, 1000);
	assert_false(is_visited(scene, MUC)); /* nor does the bot stay */
	assert_true(is_visited(scene, ROOM));
	/* Three codes at a time; those that are over do not count. */
	for (int i = 0; i < 3; i++)
		alice_says(scene, "!sd plumb " MUC);
	assert_false(said(&scene->matrix, "asked for several rooms"));
	confirm(scene, &scene->matrix, bob_says);
	assert_non_null(plumbed(scene));
	/* What was asked for twice is taken meanwhile. */
	scene_reopen(scene);
	assert_non_null(plumbed(scene));
}

/* Two ask for the same rooms: the second code finds them taken. */
static void
test_two_codes_for_the_same_rooms(void **state)
{
	struct scene *scene = *state;
	char first[16];

	invite(scene);
	alice_says(scene, "!sd plumb " MUC);
	take_code(&scene->matrix, first);
	alice_says(scene, "!sd plumb " MUC);
	confirm(scene, &scene->matrix, bob_says);
	assert_non_null(plumbed(scene));
	AUTO_FREE char *text = xasprintf("!sd confirm %s", first);
	bob_says(scene, text);
	assert_true(said(&scene->xmpp, "This room is joined with another one already"));
}

/* ---- restarts ---- */

static void
test_restarts_in_the_middle(void **state)
{
	struct scene *scene = *state;
	char code[16];

	invite(scene);
	scene->xmpp.silent = true;
	alice_says(scene, "!sd plumb " MUC);
	scene_reopen(scene); /* asked, and the room not yet entered */
	assert_true(is_visited(scene, ROOM) && is_visited(scene, MUC));
	scene->xmpp.silent = false;
	wait_a_while(scene, 1000);
	take_code(&scene->matrix, code);
	scene_reopen(scene); /* told */
	AUTO_FREE char *text = xasprintf("!sd confirm %s", code);
	accept_row(scene, NETWORK_XMPP, MUC, BOB, text, "moderator");
	assert_int_equal(store_commit(scene->store), 0);
	scene_reopen(scene); /* the confirmation was accepted, and not yet looked at: the bot is not in both rooms when it is */
	if (!plumbed(scene))
		bob_says(scene, text);
	assert_non_null(plumbed(scene));
	scene_reopen(scene);
	assert_non_null(plumbed(scene));
	alice_says(scene, "Hello");
	assert_true(said(&scene->xmpp, "Hello"));
}

static void
test_names(void **state)
{
	struct scene *scene = *state;

	join(scene);
	/* A second MUC of that name, on another server, and names that config.yaml would not take. */
	static const struct {
		const char *room, *muc, *name;
	} cases[] = {
		{ "!2:hs", "marketing@elsewhere.x", "marketing-2" },
		{ "!3:hs", "site@rooms.x", "site-2" },
		{ "!4:hs", "-a.b@rooms.x", "_a-b" },
		{ "!5:hs", "\xC3\xA9t\xC3\xA9@rooms.x", "\xC3\xA9t\xC3\xA9" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		AUTO_FREE char *text = xasprintf("!plumb %s %s", cases[i].muc, cases[i].room);
		char code[16];
		accept_row(scene, NETWORK_MATRIX, "!direct:hs", ALICE, text, "direct");
		turns(scene);
		take_code(&scene->matrix, code);
		AUTO_FREE char *yes = xasprintf("!confirm %s", code);
		accept_row(scene, NETWORK_XMPP, "bob@x", BOB, yes, "direct");
		turns(scene);
		assert_non_null(groups_find(&scene->core->groups, cases[i].name));
	}
}

static void
test_the_configuration_counts(void **state)
{
	struct scene *scene = *state;

	join(scene);
	scene->configured = true;
	scene_reopen(scene);
	assert_null(plumbed(scene));
	assert_string_equal(groups_of_room(&scene->core->groups, MUC)->name, "wired");
	scene->configured = false;
	scene_reopen(scene);
	assert_non_null(plumbed(scene));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_set_up, scene_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_from_matrix),
		TEST(test_from_xmpp_by_an_alias),
		TEST(test_an_alias_of_a_visited_room),
		TEST(test_by_direct_message),
		TEST(test_what_cannot_be_asked),
		TEST(test_why_a_room_cannot_be_entered),
		TEST(test_who_may_not),
		TEST(test_a_code_expires),
		TEST(test_two_codes_for_the_same_rooms),
		TEST(test_restarts_in_the_middle),
		TEST(test_names),
		TEST(test_the_configuration_counts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
