/* SPDX-License-Identifier: Apache-2.0 */
/* Rooms parted, visits that end, and steps that are rolled back, between two fake networks. */
#include "plumb_scene.h"

#include "core/inbox_rows.h"
#include "core/plumb_open.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

/* ---- parting ---- */

static const char hold_always[] = "version 1\ngroup \"marketing\" {\n  hours mon-fri 01:00-02:00\n"
	"  time 30 ferme when closed then hold until opening notice held\n}\n";

static void
write_charter(struct scene *scene)
{
	scratch_write(scene->directory, "charters/marketing.charter", hold_always);
}

static void
test_unplumb(void **state)
{
	struct scene *scene = *state;

	join(scene);
	accept_row(scene, NETWORK_XMPP, MUC, "xmpp:carol@x", "!sd unplumb", "");
	turns(scene);
	assert_true(said(&scene->xmpp, "Only moderators"));
	scene->xmpp.fake.window = 0;
	alice_says(scene, "it waits");
	alice_says(scene, "!sd unplumb");
	assert_true(said(&scene->matrix, "Messages that wait: 1"));
	assert_non_null(plumbed(scene));
	scene->matrix.stays = scene->xmpp.stays = true;
	alice_says(scene, "!sd yes");
	assert_null(plumbed(scene));
	assert_true(said(&scene->matrix, "Done: the group marketing has ended."));
	assert_true(said(&scene->matrix, "no longer joined with " MUC ". Goodbye."));
	assert_true(said(&scene->matrix, "the two rooms were parted while it waited"));
	assert_true(is_visited(scene, ROOM) && is_visited(scene, MUC));
	/* The MUC takes nothing: the bot waits a minute with its last words. */
	wait_a_while(scene, 30000);
	assert_int_equal(scene->xmpp.left, 0);
	assert_int_equal(scene->matrix.left, 1);
	scene_reopen(scene); /* it leaves all the same */
	assert_true(is_visited(scene, MUC));
	scene->matrix.stays = scene->xmpp.stays = false;
	wait_a_while(scene, 61000);
	wait_a_while(scene, 1000);
	assert_false(is_visited(scene, ROOM) || is_visited(scene, MUC));
	assert_true(said(&scene->xmpp, "no longer joined with " ROOM));
	assert_false(said(&scene->xmpp, "it waits"));
	/* Again: the same two are the same group. */
	join(scene);
	assert_string_equal(plumbed(scene)->name, "marketing");
}

static void
test_whoever_stays_is_told_to_leave_again(void **state)
{
	struct scene *scene = *state;

	join(scene);
	scene->matrix.stays = true;
	alice_says(scene, "!sd unplumb --yes");
	wait_a_while(scene, 1000);
	int left = scene->matrix.left;
	wait_a_while(scene, 1000);
	assert_int_equal(scene->matrix.left, left);
	wait_a_while(scene, 5000);
	assert_int_equal(scene->matrix.left, left + 1);
	assert_int_equal(plumb_wait_ms(scene->core->plumb), 500);
	scene->core->port[NETWORK_MATRIX] = NULL; /* without a port there is nothing to leave */
	wait_a_while(scene, 6000);
	wait_a_while(scene, 1000);
	assert_false(is_visited(scene, ROOM));
	scene->core->port[NETWORK_MATRIX] = &scene->matrix.fake.port;
}

static void
test_held_messages_are_told(void **state)
{
	struct scene *scene = *state;

	write_charter(scene);
	join(scene);
	alice_says(scene, "for tomorrow");
	assert_false(said(&scene->xmpp, "for tomorrow"));
	alice_says(scene, "!sd unplumb --yes");
	assert_true(said(&scene->matrix, "the two rooms were parted while it waited"));
}

/* What was accepted and not yet judged when the rooms were parted: it does not cross, and its author is told. */
static void
test_messages_that_nobody_has_judged_yet(void **state)
{
	struct scene *scene = *state;

	join(scene);
	scratch_set_clock(scene->directory, "2026-11-23T09:00:30Z");
	scene->xmpp.silent = scene->matrix.stays = scene->xmpp.stays = true;
	inbox_close_gate(scene->core->inbox, MUC); /* its server was away */
	bob_says(scene, "behind the gate");
	bob_says(scene, "!sd status");
	accept_row(scene, NETWORK_MATRIX, ROOM, ALICE, "!sd unplumb --yes", "moderator");
	accept_row(scene, NETWORK_MATRIX, ROOM, ALICE, "right behind", "moderator"); /* in the same transaction */
	turns(scene);
	assert_null(plumbed(scene));
	assert_false(said(&scene->xmpp, "right behind") || said(&scene->matrix, "behind the gate"));
	assert_int_equal(count_said(&scene->matrix, "the two rooms were parted while it waited"), 1);
	assert_int_equal(count_said(&scene->xmpp, "the two rooms were parted while it waited"), 1);
	/* What the archive brings later, and was said before: the same. What was said afterwards is nobody's. */
	scratch_set_clock(scene->directory, "2026-11-23T09:01:00Z");
	accept_row(scene, NETWORK_XMPP, MUC, BOB, "said in time", "archive\nat 1795424410000");
	accept_row(scene, NETWORK_XMPP, MUC, BOB, "said too late", "archive\nat 1795424450000");
	accept_row(scene, NETWORK_XMPP, MUC, BOB, "said now", "");
	inbox_open_gate(scene->core->inbox, MUC, NULL, 0, NULL, 0);
	turns(scene);
	assert_int_equal(count_said(&scene->xmpp, "the two rooms were parted while it waited"), 2);
	/* It has left: whatever comes to light then is settled in silence. */
	inbox_close_gate(scene->core->inbox, MUC);
	accept_row(scene, NETWORK_XMPP, MUC, BOB, "last of all", "archive\nat 1795424410000");
	scene->matrix.stays = scene->xmpp.stays = false;
	wait_a_while(scene, 61000);
	wait_a_while(scene, 6000);
	assert_false(is_visited(scene, ROOM) || is_visited(scene, MUC));
	turns(scene);
	assert_int_equal(count_said(&scene->xmpp, "the two rooms were parted while it waited"), 2);
	struct query query = store_query(scene->store, INBOX_COUNT);
	assert_true(query_step(&query));
	assert_int_equal(query_get_int(&query, 0), 0);
	query_done(&query);
}

/* ---- being sent away ---- */

static void
test_expelled(void **state)
{
	struct scene *scene = *state;

	join(scene);
	plumb_expelled(scene->core->plumb, NETWORK_XMPP, MUC, REFUSAL_BANNED);
	turns(scene);
	assert_null(plumbed(scene));
	assert_true(said(&scene->matrix, "I was sent away from " MUC));
	wait_a_while(scene, 1000);
	wait_a_while(scene, 1000);
	join(scene);
	plumb_expelled(scene->core->plumb, NETWORK_XMPP, MUC, REFUSAL_ROOM_GONE);
	turns(scene);
	assert_true(said(&scene->matrix, MUC " no longer exists"));
	wait_a_while(scene, 1000);
	wait_a_while(scene, 1000);
	/* From a visit; from a room that nobody knows; from the configuration's. */
	invite(scene);
	plumb_expelled(scene->core->plumb, NETWORK_MATRIX, ROOM, REFUSAL_NOT_MEMBER);
	plumb_expelled(scene->core->plumb, NETWORK_MATRIX, "!nobody:hs", REFUSAL_NOT_MEMBER);
	plumb_expelled(scene->core->plumb, NETWORK_MATRIX, "!wired:hs", REFUSAL_NOT_MEMBER);
	plumb_expelled(NULL, NETWORK_MATRIX, ROOM, REFUSAL_NOT_MEMBER);
	turns(scene);
	wait_a_while(scene, 1000);
	assert_false(is_visited(scene, ROOM));
	assert_non_null(groups_find(&scene->core->groups, "wired"));
}

/* Nobody was there to see the ban: it is the refusal that tells. Any other refusal may pass. */
static void
test_banned_meanwhile(void **state)
{
	struct scene *scene = *state;

	join(scene);
	plumb_refused(scene->core->plumb, plumbed(scene), NETWORK_XMPP, REFUSAL_NOT_MEMBER, "members only");
	turns(scene);
	assert_non_null(plumbed(scene));
	plumb_refused(scene->core->plumb, plumbed(scene), NETWORK_XMPP, REFUSAL_BANNED, "banned");
	plumb_refused(scene->core->plumb, groups_find(&scene->core->groups, "wired"), NETWORK_XMPP, REFUSAL_BANNED, "banned");
	turns(scene);
	assert_null(plumbed(scene));
	assert_true(said(&scene->matrix, "I was sent away from " MUC));
	assert_non_null(groups_find(&scene->core->groups, "wired"));
}

/* Moderators of the MUC learn, once, that the Matrix room has moved. */
static void
test_moved(void **state)
{
	struct scene *scene = *state;
	struct group *wired = groups_find(&scene->core->groups, "wired");

	join(scene);
	plumb_moved(NULL, wired, "!new:hs");
	for (int i = 0; i < 2; i++) {
		plumb_moved(scene->core->plumb, plumbed(scene), "!new:hs");
		plumb_moved(scene->core->plumb, wired, "!wrong words");
		turns(scene);
	}
	assert_int_equal(count_said(&scene->xmpp, "has moved to !new:hs, where I do not follow by myself. A moderator can"), 1);
	assert_int_equal(count_said(&scene->xmpp, "has moved to another room, where I do not follow by myself: the bridge's administrator"), 1);
	assert_non_null(plumbed(scene));
	/* Nobody is told of a room that is no group's any more. */
	plumb_moved(scene->core->plumb, plumbed(scene), "!newer:hs");
	alice_says(scene, "!sd unplumb --yes");
	turns(scene);
	assert_false(said(&scene->xmpp, "!newer:hs"));
}

/* ---- visits ---- */

static void
test_invitations(void **state)
{
	struct scene *scene = *state;
	char room[32];

	assert_null(plumb_invited(NULL, NETWORK_MATRIX, ROOM, ALICE));
	assert_null(plumb_invited(scene->core->plumb, NETWORK_MATRIX, "!wired:hs", ALICE)); /* it is a group's */
	invite(scene);
	invite(scene);
	assert_true(said(&scene->matrix, "I join this room"));
	for (int i = 0; i < 4; i++) {
		snprintf(room, sizeof(room), "!%d:hs", i);
		assert_non_null(plumb_invited(scene->core->plumb, NETWORK_MATRIX, room, ALICE));
	}
	assert_null(plumb_invited(scene->core->plumb, NETWORK_MATRIX, "!4:hs", ALICE));
	assert_non_null(plumb_invited(scene->core->plumb, NETWORK_MATRIX, "!4:hs", "@dave:hs"));
	/* One that leads nowhere is given up at once. */
	plumb_refused(scene->core->plumb, groups_of_room(&scene->core->groups, "!4:hs"), NETWORK_MATRIX, REFUSAL_BANNED, NULL);
	turns(scene);
	wait_a_while(scene, 1000);
	assert_false(is_visited(scene, "!4:hs"));
	/* Nobody joins the others within a day. */
	scene_reopen(scene);
	assert_true(is_visited(scene, ROOM) && is_visited(scene, "!0:hs"));
	scratch_set_clock(scene->directory, "2026-11-24T09:01:00Z");
	wait_a_while(scene, 1000);
	wait_a_while(scene, 1000);
	assert_false(is_visited(scene, ROOM) || is_visited(scene, "!0:hs"));
	/* What ports say of rooms that are no visits. */
	struct group *wired = groups_find(&scene->core->groups, "wired");
	plumb_refused(scene->core->plumb, wired, NETWORK_MATRIX, REFUSAL_BANNED, NULL);
	plumb_refused(NULL, wired, NETWORK_MATRIX, REFUSAL_BANNED, NULL);
	plumb_left(scene->core->plumb, wired, NETWORK_MATRIX);
	plumb_left(NULL, wired, NETWORK_MATRIX);
	plumb_entered(NULL, wired, NETWORK_MATRIX);
	turns(scene);
	assert_int_equal(plumb_wait_ms(scene->core->plumb), -1);
}

/* Whoever invites the bot into as many rooms as he can make up keeps nobody from joining two. */
static void
test_a_flood_of_invitations(void **state)
{
	struct scene *scene = *state;
	int taken = 0;

	invite(scene);
	for (int i = 0; i < 120; i++) {
		AUTO_FREE char *room = xasprintf("r%d@evil.x", i);
		AUTO_FREE char *by = xasprintf("xmpp:nobody%d@evil.x", i);
		taken += plumb_invited(scene->core->plumb, NETWORK_XMPP, room, by) != NULL;
	}
	assert_int_equal(taken, 49);
	assert_non_null(plumb_invited(scene->core->plumb, NETWORK_XMPP, "r0@evil.x", "xmpp:nobody@evil.x")); /* it is there already */
	alice_says(scene, "!sd plumb " MUC);
	confirm(scene, &scene->matrix, bob_says);
	assert_non_null(plumbed(scene));
}

static void
test_too_many_visits_for_a_request(void **state)
{
	struct scene *scene = *state;
	char room[32];

	invite(scene);
	for (int i = 0; i < 4; i++) {
		snprintf(room, sizeof(room), "!%d:hs", i);
		assert_non_null(plumb_invited(scene->core->plumb, NETWORK_MATRIX, room, ALICE));
	}
	alice_says(scene, "!sd plumb " MUC);
	assert_true(said(&scene->matrix, "I am visiting too many rooms already to enter " MUC));
}

/* ---- undone ---- */

static void
on_database(struct scene *scene, const char *sql)
{
	AUTO_FREE char *path = xasprintf("%s/sourdine.db", scene->directory);
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/* One statement of the confirmation fails: all of it is undone, in memory too, and the code is good once more. */
static void
test_a_confirmation_that_is_undone(void **state)
{
	struct scene *scene = *state;

	invite(scene);
	alice_says(scene, "!sd plumb " MUC);
	on_database(scene, "CREATE TRIGGER stop BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no'); END");
	confirm(scene, &scene->matrix, bob_says);
	on_database(scene, "DROP TRIGGER stop");
	assert_null(plumbed(scene));
	assert_null(groups_find(&scene->core->groups, "marketing"));
	assert_true(is_visited(scene, ROOM) && is_visited(scene, MUC));
	assert_false(said(&scene->xmpp, "Done"));
	confirm(scene, &scene->matrix, bob_says);
	assert_non_null(plumbed(scene));
	assert_string_equal(plumbed(scene)->name, "marketing");
	alice_says(scene, "Hello");
	assert_true(said(&scene->xmpp, "Hello"));
	scene_reopen(scene);
	assert_non_null(plumbed(scene));
}

static void
test_a_parting_that_is_undone(void **state)
{
	struct scene *scene = *state;

	write_charter(scene);
	join(scene);
	on_database(scene, "CREATE TRIGGER stop BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no'); END");
	alice_says(scene, "!sd unplumb --yes");
	on_database(scene, "DROP TRIGGER stop");
	assert_non_null(plumbed(scene));
	assert_non_null(plumbed(scene)->rules); /* its charter with it */
	assert_false(is_visited(scene, ROOM) || is_visited(scene, MUC));
	wait_a_while(scene, 1000);
	assert_int_equal(scene->matrix.left + scene->xmpp.left, 0);
	alice_says(scene, "!sd unplumb --yes");
	assert_null(plumbed(scene));
}

/* Nothing can be committed while `does` runs; then it can again. */
static void
on_a_full_disk(struct scene *scene, void (*does)(struct scene *scene))
{
	int resets = scene->matrix.fake.resets;

	scratch_limit_files(1);
	does(scene);
	assert_true(scene->matrix.fake.resets > resets);
	wait_a_while(scene, 1);
	scratch_limit_files(UINT64_MAX);
	for (int i = 0; i < 10 && !inbox_has_room(scene->core->inbox); i++)
		wait_a_while(scene, 60000);
	assert_true(inbox_has_room(scene->core->inbox));
	scene_arrive(scene); /* ports were reset */
}

static void
does_confirm(struct scene *scene)
{
	confirm(scene, &scene->matrix, bob_says);
}

static void
does_ask(struct scene *scene)
{
	alice_says(scene, "!sd plumb " MUC);
}

static void
does_unplumb(struct scene *scene)
{
	alice_says(scene, "!sd unplumb --yes");
}

static void
does_expel(struct scene *scene)
{
	plumb_expelled(scene->core->plumb, NETWORK_XMPP, MUC, REFUSAL_BANNED);
	turns(scene);
}

static void
does_invite(struct scene *scene)
{
	assert_non_null(plumb_invited(scene->core->plumb, NETWORK_MATRIX, "!new:hs", ALICE));
	turns(scene);
}

static void
test_a_full_disk_at_each_step(void **state)
{
	struct scene *scene = *state;

	invite(scene);
	on_a_full_disk(scene, does_ask);
	assert_false(said(&scene->matrix, "!sd confirm"));
	does_ask(scene); /* its source brings it again */
	on_a_full_disk(scene, does_confirm);
	assert_null(plumbed(scene));
	assert_true(is_visited(scene, ROOM) && is_visited(scene, MUC));
	does_confirm(scene);
	assert_non_null(plumbed(scene));
	assert_int_equal(count_said(&scene->matrix, "This room is joined with " MUC), 1);
	int left = scene->matrix.left + scene->xmpp.left;
	on_a_full_disk(scene, does_unplumb);
	assert_non_null(plumbed(scene));
	assert_int_equal(scene->matrix.left + scene->xmpp.left, left);
	/* Whoever sent the bot away does not do so again: that is remembered, and done when it can be written. */
	on_a_full_disk(scene, does_expel);
	turns(scene);
	assert_null(plumbed(scene));
	assert_int_equal(count_said(&scene->matrix, "I was sent away from " MUC), 1);
	wait_a_while(scene, 1000);
	wait_a_while(scene, 6000);
	assert_false(is_visited(scene, ROOM) || is_visited(scene, MUC));
	/* A room that the bot is in and nobody asks for any more is left. */
	left = scene->matrix.left;
	on_a_full_disk(scene, does_invite);
	wait_a_while(scene, 1000);
	assert_int_equal(scene->matrix.left, left + 1);
	assert_false(is_visited(scene, "!new:hs"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_set_up, scene_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_unplumb),
		TEST(test_whoever_stays_is_told_to_leave_again),
		TEST(test_held_messages_are_told),
		TEST(test_messages_that_nobody_has_judged_yet),
		TEST(test_expelled),
		TEST(test_banned_meanwhile),
		TEST(test_moved),
		TEST(test_invitations),
		TEST(test_a_flood_of_invitations),
		TEST(test_too_many_visits_for_a_request),
		TEST(test_a_confirmation_that_is_undone),
		TEST(test_a_parting_that_is_undone),
		TEST(test_a_full_disk_at_each_step),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
