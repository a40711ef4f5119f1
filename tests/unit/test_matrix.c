/* SPDX-License-Identifier: Apache-2.0 */
/* The Matrix port between the real core and a fake homeserver: arriving, sending, gaps, direct rooms. What goes wrong: test_matrix_faults.c. */
#include "matrix_scene.h"

#include "core/arena.h"
#include "core/digests.h"
#include "core/outbox_rows.h"
#include "matrix/ghost.h"
#include "matrix/inside.h"
#include "matrix/room.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- arriving ---- */

static void
test_arrives(void **state)
{
	struct scene *scene = *state;
	const struct fake_homeserver *fake = &scene->fake;
	static const char *const order[][2] = {
		{ "GET", "/_matrix/client/versions" }, { "POST", "/_matrix/client/v3/register" }, { "PUT", "/_matrix/client/v3/devices/" },
		{ "PUT", "/_matrix/client/v3/profile/@sourdine:hs/displayname" }, { "POST", "/_matrix/client/v1/appservice/sourdine/ping" },
		{ "GET", "/_matrix/client/v3/joined_rooms" }, { "GET", "/_matrix/client/v3/directory/room/#m:hs" },
		{ "POST", "/_matrix/client/v3/join/#m:hs?user_id=@sourdine:hs" }, { "GET", "/joined_members" }, { "GET", "/messages" },
	};
	const struct fake_asked *last = fake->asked;

	JOINED(scene);
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		const struct fake_asked *asked = fake_homeserver_find(fake, 0, order[i][0], order[i][1], 0);
		if (!asked || asked < last)
			fail_msg("%s %s is missing or too early", order[i][0], order[i][1]);
		last = asked;
	}
	for (int i = 0; i < fake->count; i++)
		assert_true(fake->asked[i].authorised);
	assert_non_null(strstr(fake_homeserver_find(fake, 0, "POST", "/register", 0)->body, "\"inhibit_login\":true"));
	WAIT(scene, fake_homeserver_count(fake, 0, "GET", "timeout=30000") == 1);
	/* What is older than the first entry does not cross. */
	scene_spin(scene, 50);
	assert_int_equal(scene->xmpp.count, 0);
	assert_null(matrix_failure(scene->port));
}

static void
test_unknown_token(void **state)
{
	struct scene *scene = *state;

	fake_homeserver_say(&scene->fake, "GET", "/versions", 401, "{\"errcode\":\"M_UNKNOWN_TOKEN\",\"error\":\"no\"}", -1);
	fake_homeserver_say(&scene->fake, "POST", "/register", 401, "{\"errcode\":\"M_UNKNOWN_TOKEN\",\"error\":\"no\"}", -1);
	WAIT(scene, matrix_failure(scene->port) != NULL);
	assert_non_null(strstr(matrix_failure(scene->port), "as_token"));
	assert_null(strstr(matrix_failure(scene->port), "as-token"));
	int asked = scene->fake.count;
	scene_spin(scene, 1500);
	assert_int_equal(scene->fake.count, asked);
}

static void
test_alias_and_join_wait(void **state)
{
	struct scene *scene = *state;

	fake_homeserver_say(&scene->fake, "POST", "/join/", 403, "{\"errcode\":\"M_FORBIDDEN\",\"error\":\"not invited\"}", 1);
	WAIT(scene, fake_homeserver_count(&scene->fake, 0, "POST", "/join/") == 1);
	scene_spin(scene, 100);
	assert_int_equal(matrix_joined(scene->port), 0);
	/* The invitation comes: no need to wait for the next try. */
	assert_int_equal(scene_push(scene, "{\"type\":\"m.room.member\",\"event_id\":\"$i\",\"sender\":\"@alice:hs\",\"room_id\":\"" ROOM "\","
		"\"state_key\":\"@sourdine:hs\",\"content\":{\"membership\":\"invite\"}}"), 200);
	JOINED(scene);
}

/* Who may do what is known while the archive is read once more. */
static void
test_rights_meanwhile(void **state)
{
	struct scene *scene = *state;
	struct rights rights;

	JOINED(scene);
	int from = scene->fake.count;
	fake_homeserver_say(&scene->fake, "GET", "/messages", 200, NULL, 1);
	room_refill_all((struct matrix *)scene->port);
	WAIT(scene, fake_homeserver_count(&scene->fake, from, "GET", "/messages") == 1);
	assert_int_equal(matrix_joined(scene->port), 0);
	scene->port->ops->rights(scene->port, ROOM, "@alice:hs", &rights);
	assert_true(rights.known && !rights.moderator);
}

/* ---- out ---- */

static void
test_sends_as_a_ghost(void **state)
{
	struct scene *scene = *state;
	const struct fake_homeserver *fake = &scene->fake;

	JOINED(scene);
	int from = fake->count;
	scene_hear(scene, "xbob@x\nBob\nsecret body");
	WAIT(scene, scene_sends(scene) == 1 && scene_is_quiet(scene));
	static const char *const order[][2] = { { "POST", "/register" }, { "PUT", "/devices/" }, { "PUT", "/displayname" }, { "POST", "/join/!m:hs" },
		{ "PUT", "/rooms/!m:hs/send/m.room.message/" } };
	const struct fake_asked *last = fake->asked;
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		const struct fake_asked *asked = fake_homeserver_find(fake, from, order[i][0], order[i][1], 0);
		assert_true(asked && asked > last);
		assert_true(i == 0 || strstr(asked->path, "?user_id=@_xmpp_bob=40x:hs"));
		last = asked;
	}
	const char *device = strstr(last->path, "&device_id=");
	assert_non_null(device);
	assert_int_equal(strspn(device + 11, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"), 10);
	assert_non_null(strstr(fake_homeserver_find(fake, from, "PUT", "/devices/", 0)->path, device + 11));
	assert_non_null(strstr(last->body, "\"body\":\"secret body\""));
	assert_non_null(strstr(last->body, "\"org.sourdine.id\":"));
	/* The second message costs one request, and a new name two. */
	from = fake->count;
	scene_hear(scene, "xbob@x\nBob\ntwo");
	WAIT(scene, scene_sends(scene) == 2 && scene_is_quiet(scene));
	assert_int_equal(fake->count, from + 1);
	scene_hear(scene, "xbob@x\n  Bobby\x01 \nthree");
	WAIT(scene, scene_sends(scene) == 3 && scene_is_quiet(scene));
	assert_non_null(strstr(fake_homeserver_find(fake, from, "PUT", "/displayname", 0)->body, "\"Bobby\""));
	assert_int_equal(fake->count, from + 3);
}

static void
test_keeps_order(void **state)
{
	struct scene *scene = *state;

	JOINED(scene);
	for (int i = 0; i < 30; i++) {
		AUTO_FREE char *raw = xasprintf("xp%d@x\nP%d\nline %d.", i % 5, i % 5, i);
		scene_hear(scene, raw);
	}
	WAIT(scene, scene_sends(scene) == 30 && scene_is_quiet(scene));
	for (int i = 0; i < 30; i++) {
		AUTO_FREE char *line = xasprintf("\"line %d.\"", i);
		assert_non_null(strstr(fake_homeserver_find(&scene->fake, 0, "PUT", "/send/", i)->body, line));
	}
}

/* Answers after which the same name comes again, and how soon. */
static void
test_again_under_the_same_name(void **state)
{
	struct scene *scene = *state;
	static const struct {
		int status;
		const char *body;
		int64_t least_ms, most_ms;
	} cases[] = {
		{ 429, "{\"errcode\":\"M_LIMIT_EXCEEDED\",\"retry_after_ms\":1800}", 1980, 3000 },
		{ 429, "{\"errcode\":\"M_LIMIT_EXCEEDED\"}", 550, 950 },
		{ 502, "<html>", 1000, 2000 },
		{ 200, "{\"no\":\"event_id\"}", 1000, 2000 },
	};

	JOINED(scene);
	scene_hear(scene, "xbob@x\nBob\nfirst");
	WAIT(scene, scene_sends(scene) == 1 && scene_is_quiet(scene));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int from = scene->fake.count;
		fake_homeserver_say(&scene->fake, "PUT", "/send/", cases[i].status, cases[i].body, 1);
		scene_hear(scene, "xbob@x\nBob\none");
		scene_hear(scene, "xcarol@x\nCarol\ntwo");
		WAIT(scene, fake_homeserver_count(&scene->fake, from, "PUT", "/send/") == 1);
		int64_t start_ms = now_monotonic_ms();
		WAIT(scene, fake_homeserver_count(&scene->fake, from, "PUT", "/send/") == 3 && scene_is_quiet(scene));
		assert_in_range(now_monotonic_ms() - start_ms, cases[i].least_ms - 20, cases[i].most_ms);
		assert_string_equal(fake_homeserver_find(&scene->fake, from, "PUT", "/send/", 0)->path,
			fake_homeserver_find(&scene->fake, from, "PUT", "/send/", 1)->path);
		/* The lane waited: the order holds. */
		assert_non_null(strstr(fake_homeserver_find(&scene->fake, from, "PUT", "/send/", 2)->body, "\"two\""));
	}
}

static void
test_refused(void **state)
{
	struct scene *scene = *state;
	static const struct {
		int status;
		const char *body;
		int tries; /* requests before it is given up */
	} cases[] = {
		{ 413, "{\"errcode\":\"M_TOO_LARGE\"}", 1 },
		{ 400, "{\"errcode\":\"M_BAD_JSON\"}", 1 },
		{ 404, "{\"errcode\":\"M_NOT_FOUND\"}", 1 },
		{ 403, "{\"errcode\":\"M_FORBIDDEN\"}", 2 },
	};

	JOINED(scene);
	scene_hear(scene, "xbob@x\nBob\nfirst");
	WAIT(scene, scene_sends(scene) == 1 && scene_is_quiet(scene));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int from = scene->fake.count;
		fake_homeserver_say(&scene->fake, "PUT", "/send/", cases[i].status, cases[i].body, cases[i].tries);
		scene_hear(scene, "xbob@x\nBob\nrefused");
		WAIT(scene, fake_homeserver_count(&scene->fake, from, "PUT", "/send/") == cases[i].tries && scene_is_quiet(scene));
		/* The lane goes on. */
		scene_hear(scene, "xbob@x\nBob\nnext");
		WAIT(scene, fake_homeserver_count(&scene->fake, from, "PUT", "/send/") == cases[i].tries + 1 && scene_is_quiet(scene));
	}
	/* After a 403 it entered the room again before it tried again. */
	assert_int_equal(fake_homeserver_count(&scene->fake, 0, "POST", "/join/!m:hs"), 2);
}

static void
test_forbidden_until_joined(void **state)
{
	struct scene *scene = *state;

	JOINED(scene);
	scene_hear(scene, "xbob@x\nBob\nfirst");
	WAIT(scene, scene_sends(scene) == 1 && scene_is_quiet(scene));
	int from = scene->fake.count;
	fake_homeserver_say(&scene->fake, "PUT", "/send/", 403, "{\"errcode\":\"M_FORBIDDEN\"}", 1);
	fake_homeserver_say(&scene->fake, "POST", "/join/", 403, "{\"errcode\":\"M_FORBIDDEN\"}", 1);
	scene_hear(scene, "xbob@x\nBob\nsecond");
	WAIT(scene, scene_sends(scene) == 3 && scene_is_quiet(scene));
	/* Refused at the door, invited by the bot, in. */
	const struct fake_asked *invite = fake_homeserver_find(&scene->fake, from, "POST", "/invite?user_id=@sourdine:hs", 0);
	assert_non_null(invite);
	assert_string_equal(invite->body, "{\"user_id\":\"@_xmpp_bob=40x:hs\"}");
	assert_int_equal(fake_homeserver_count(&scene->fake, from, "POST", "/join/!m:hs"), 2);
}

/* A ghost that is kept out costs its author this message, and nobody else anything. */
static void
test_ghost_kept_out(void **state)
{
	struct scene *scene = *state;

	JOINED(scene);
	fake_homeserver_say(&scene->fake, "POST", "/join/!m:hs?user_id=@_xmpp_mallory", 403, "{\"errcode\":\"M_FORBIDDEN\",\"error\":\"banned\"}", -1);
	scene_hear(scene, "xmallory@x\nMallory\nbad");
	scene_hear(scene, "xbob@x\nBob\ngood");
	WAIT(scene, scene_sends(scene) == 1 && scene_is_quiet(scene));
	assert_non_null(strstr(fake_homeserver_find(&scene->fake, 0, "PUT", "/send/", 0)->body, "\"good\""));
}

/* Who is banned is not given the bot's voice when he writes again, however long the ghost waits at the door. */
static void
test_kept_out_again(void **state)
{
	struct scene *scene = *state;

	scene_close(scene);
	scene->settings.refusal_ms = 1000;
	scene_open(scene);
	JOINED(scene);
	fake_homeserver_say(&scene->fake, "POST", "/join/!m:hs?user_id=@_xmpp_mallory", 403, "{\"errcode\":\"M_FORBIDDEN\",\"error\":\"banned\"}", -1);
	scene_hear(scene, "xmallory@x\nMallory\nbad");
	WAIT(scene, scene_is_quiet(scene) && fake_homeserver_count(&scene->fake, 0, "POST", "/join/!m:hs?user_id=@_xmpp_mallory") >= 2);
	scene_spin(scene, 5200);
	scene_hear(scene, "xmallory@x\nMallory\nworse");
	WAIT(scene, scene_is_quiet(scene));
	assert_int_equal(scene_sends(scene), 0);
}

/* A ghost that was put out while it is refused a message comes back for that; meanwhile nobody else's messages become the bot's. */
static void
test_put_out(void **state)
{
	struct scene *scene = *state;

	JOINED(scene);
	scene_hear(scene, "xbob@x\nBob\none");
	scene_hear(scene, "xcarol@x\nCarol\ntwo");
	WAIT(scene, scene_sends(scene) == 2 && scene_is_quiet(scene));
	fake_homeserver_say(&scene->fake, "PUT", "/send/", 403, "{\"errcode\":\"M_FORBIDDEN\"}", 1);
	fake_homeserver_say(&scene->fake, "POST", "/join/!m:hs?user_id=@_xmpp_bob", 503, "{}", -1);
	scene_hear(scene, "xbob@x\nBob\nthree");
	scene_hear(scene, "xcarol@x\nCarol\nfour");
	scene_spin(scene, 5500);
	assert_int_equal(scene_sends(scene), 3);
}

/* Out of a room it is for the moderators to say: it does not come back by itself. */
static void
test_stays_out(void **state)
{
	struct scene *scene = *state;
	struct matrix *matrix = (struct matrix *)(void *)scene->port;

	JOINED(scene);
	scene_hear(scene, "xbob@x\nBob\none");
	WAIT(scene, scene_sends(scene) == 1 && scene_is_quiet(scene));
	int from = scene->fake.count;
	assert_int_equal(scene_member(scene, "$k", "@mod:hs", "@_xmpp_bob=40x:hs", "leave"), 200);
	WAIT(scene, scene_is_quiet(scene));
	ghost_recall(ghost_get(matrix, &(struct author){ .person = "xbob@x" }));
	scene_spin(scene, 50);
	assert_int_equal(fake_homeserver_count(&scene->fake, from, "POST", "/join/"), 0);
	scene_hear(scene, "xbob@x\nBob\ntwo");
	WAIT(scene, scene_sends(scene) == 2 && scene_is_quiet(scene));
	assert_int_equal(fake_homeserver_count(&scene->fake, from, "POST", "/join/"), 1);
}

/* A name that comes while another is being put is not taken for the one that the homeserver has. */
static void
test_renamed_meanwhile(void **state)
{
	struct scene *scene = *state;
	struct matrix *matrix = (struct matrix *)(void *)scene->port;

	JOINED(scene);
	scene_hear(scene, "xbob@x\nBob\none");
	WAIT(scene, scene_sends(scene) == 1 && scene_is_quiet(scene));
	int from = scene->fake.count;
	struct ghost *ghost = ghost_get(matrix, &(struct author){ .person = "xbob@x" });
	(void)ghost_prepare(ghost, ROOM, "Bobby");
	WAIT(scene, fake_homeserver_count(&scene->fake, from, "PUT", "/displayname") == 1);
	(void)ghost_prepare(ghost, ROOM, "Robert");
	WAIT(scene, fake_homeserver_count(&scene->fake, from, "PUT", "/displayname") == 2);
	assert_non_null(strstr(fake_homeserver_find(&scene->fake, from, "PUT", "/displayname", 1)->body, "\"Robert\""));
}

static void
test_device_made_again(void **state)
{
	struct scene *scene = *state;

	JOINED(scene);
	scene_hear(scene, "xbob@x\nBob\nfirst");
	WAIT(scene, scene_sends(scene) == 1 && scene_is_quiet(scene));
	int from = scene->fake.count;
	fake_homeserver_say(&scene->fake, "PUT", "/send/", 400, "{\"errcode\":\"ORG.MATRIX.MSC4326.M_UNKNOWN_DEVICE\"}", 1);
	scene_hear(scene, "xbob@x\nBob\nsecond");
	WAIT(scene, scene_sends(scene) == 3 && scene_is_quiet(scene));
	assert_int_equal(fake_homeserver_count(&scene->fake, from, "PUT", "/devices/"), 1);
	assert_string_equal(fake_homeserver_find(&scene->fake, from, "PUT", "/send/", 0)->path,
		fake_homeserver_find(&scene->fake, from, "PUT", "/send/", 1)->path);
}

/* The bot speaks for a ghost that is not ready within its time. */
static void
test_overflow(void **state)
{
	struct scene *scene = *state;

	JOINED(scene);
	fake_homeserver_say(&scene->fake, "POST", "/register", 503, "{}", -1);
	scene_hear(scene, "xbob@x\nBob\nhello");
	int64_t start_ms = now_monotonic_ms();
	while (!scene_sends(scene) && now_monotonic_ms() - start_ms < 8000)
		scene_spin(scene, 20);
	assert_in_range(now_monotonic_ms() - start_ms, 4500, 6500);
	const struct fake_asked *asked = fake_homeserver_find(&scene->fake, 0, "PUT", "/send/", 0);
	assert_non_null(strstr(asked->path, "?user_id=@sourdine:hs"));
	assert_non_null(strstr(asked->body, "Bob: hello"));
}

/* While one ghost is waited for, those who speak after it enter; who is inside keeps his name until it is his turn. */
static void
test_foresees(void **state)
{
	struct scene *scene = *state;
	struct fake_homeserver *fake = &scene->fake;

	JOINED(scene);
	scene_hear(scene, "xeve@x\nEve\nfirst");
	WAIT(scene, scene_sends(scene) == 1 && scene_is_quiet(scene));
	int from = fake->count;
	fake_homeserver_say(fake, "PUT", "_xmpp_bob=40x:hs/displayname", 500, "{}", 1);
	fake_homeserver_say(fake, "PUT", "_xmpp_bob=40x:hs/displayname", 200, NULL, 1);
	static const char *const said[] = { "xbob@x\nBob\nline 0.", "xcarol@x\nCarol\nline 1.", "xeve@x\nEvelyn\nline 2.", "xdave@x\nDave\nline 3." };
	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++)
		scene_hear(scene, said[i]);
	WAIT(scene, fake_homeserver_count(fake, from, "POST", "/join/!m:hs") == 2);
	scene_spin(scene, 50);
	assert_int_equal(scene_sends(scene), 1);
	assert_int_equal(fake_homeserver_count(fake, from, "PUT", "_xmpp_eve=40x:hs/displayname"), 0);
	/* In the end the bot speaks for Bob; the order is as it was. */
	WAIT_FOR(scene, 15000, scene_sends(scene) == 5);
	for (int i = 0; i < 4; i++) {
		AUTO_FREE char *line = xasprintf("line %d.", i);
		assert_non_null(strstr(fake_homeserver_find(fake, from, "PUT", "/send/", i)->body, line));
	}
	assert_int_equal(fake_homeserver_count(fake, from, "PUT", "_xmpp_eve=40x:hs/displayname"), 1);
}

/* ---- in ---- */

static void
test_transactions(void **state)
{
	struct scene *scene = *state;

	JOINED(scene);
	assert_int_equal(scene_say(scene, "$1", "@alice:hs", ROOM, "one"), 200);
	WAIT(scene, scene->xmpp.count == 1);
	assert_string_equal(scene->xmpp.rows[0].payload, "Alice|one");
	/* The same event in another transaction, our own, another room's, and poison among the rest. */
	AUTO_FREE char *again = scene_message("$1", "@alice:hs", ROOM, "one");
	AUTO_FREE char *ghost = scene_message("$2", "@_xmpp_bob=40x:hs", ROOM, "echo");
	AUTO_FREE char *bot = scene_message("$3", "@sourdine:hs", ROOM, "echo");
	AUTO_FREE char *other = scene_message("$4", "@alice:hs", "!other:hs", "elsewhere");
	AUTO_FREE char *last = scene_message("$6", "@dave:hs", ROOM, "two");
	AUTO_FREE char *all = xasprintf("%s,%s,%s,%s,{\"event_id\":\"$5\",\"room_id\":\"" ROOM "\",\"sender\":\"@alice:hs\",\"type\":\"m.room.message\","
		"\"content\":{\"\\u0000\":1,\"n\":1e400}},7,%s", again, ghost, bot, other, last);
	assert_int_equal(scene_push(scene, all), 200);
	WAIT(scene, scene->xmpp.count == 2);
	scene_spin(scene, 50);
	assert_int_equal(scene->xmpp.count, 2);
	assert_string_equal(scene->xmpp.rows[1].payload, "dave|two");
	struct query query = store_query(scene->store, QUARANTINE_COUNT);
	assert_true(query_step(&query));
	assert_int_equal(query_get_int(&query, 0), 1);
	query_done(&query);
}

/* Synapse can strand a transaction and bring it after what followed it: then it shows when it was written, and is obeyed all the same. */
static void
test_overtaken(void **state)
{
	struct scene *scene = *state;

	JOINED(scene);
	AUTO_FREE char *first = scene_message("$1", "@alice:hs", ROOM, "first");
	AUTO_FREE char *command = scene_message("$2", "@alice:hs", ROOM, "!sd help");
	AUTO_FREE char *elsewhere = scene_message("$4", "@erin:other", ROOM, "third");
	AUTO_FREE char *forgotten = scene_message("$5", "@alice:hs", ROOM, "fourth");
	scene_spin(scene, 700);
	assert_int_equal(scene_say(scene, "$3", "@dave:hs", ROOM, "second"), 200);
	WAIT(scene, scene->xmpp.count == 1);
	assert_int_equal(scene->xmpp.stamped, 0);
	assert_int_equal(scene_push(scene, first), 200);
	WAIT(scene, scene->xmpp.count == 2);
	assert_int_equal(scene->xmpp.stamped, 1);
	int sends = scene_sends(scene);
	assert_int_equal(scene_push(scene, command), 200);
	WAIT(scene, scene_sends(scene) > sends);
	/* The clocks of other homeservers say nothing about the order here. */
	assert_int_equal(scene_push(scene, elsewhere), 200);
	WAIT(scene, scene->xmpp.count == 3);
	assert_int_equal(scene->xmpp.stamped, 1);
	/* Another process knows by the cursor, also before it has read the archive. */
	assert_int_equal(scene_say(scene, "$6", "@dave:hs", ROOM, "last"), 200);
	WAIT(scene, scene->xmpp.count == 4);
	scene_close(scene);
	scene_open(scene);
	int before = scene->xmpp.stamped;
	assert_int_equal(scene_push(scene, forgotten), 200);
	JOINED(scene);
	WAIT(scene, scene->xmpp.stamped == before + 1);
}

/* While the homeserver is gone it may have lost what it had for us: the archive is read first, and the order is its own. */
static void
test_gap(void **state)
{
	struct scene *scene = *state;

	JOINED(scene);
	assert_int_equal(scene_say(scene, "$1", "@alice:hs", ROOM, "one"), 200);
	WAIT(scene, scene->xmpp.count == 1);
	fake_homeserver_die(&scene->fake);
	WAIT(scene, inbox_gate_closed(scene->core->inbox, ROOM));
	/* Brought by a transaction before the archive is read: it waits for what came before it. */
	assert_int_equal(scene_say(scene, "$4", "@alice:hs", ROOM, "four"), 200);
	scene_spin(scene, 100);
	assert_int_equal(scene->xmpp.count, 1);
	AUTO_FREE char *one = scene_message("$1", "@alice:hs", ROOM, "one");
	AUTO_FREE char *two = scene_message("$2", "@alice:hs", ROOM, "two");
	AUTO_FREE char *three = scene_message("$3", "@alice:hs", ROOM, "three");
	AUTO_FREE char *four = scene_message("$4", "@alice:hs", ROOM, "four");
	AUTO_FREE char *five = scene_message("$5", "@alice:hs", ROOM, "five");
	AUTO_FREE char *archive = xasprintf("{\"chunk\":[%s,%s,%s,%s,%s],\"start\":\"t9\",\"end\":\"t1\"}", five, four, three, two, one);
	scene->fake.archive = archive;
	scene->fake.joined = "{\"joined_rooms\":[\"" ROOM "\"]}";
	fake_homeserver_start(&scene->fake, scene->loop);
	WAIT(scene, scene->xmpp.count == 5);
	static const char *const lines[] = { "Alice|one", "Alice|two", "Alice|three", "Alice|four", "Alice|five" };
	for (int i = 0; i < 5; i++)
		assert_string_equal(scene->xmpp.rows[i].payload, lines[i]);
	/* Nothing twice when it is delivered after all. */
	assert_int_equal(scene_push(scene, two), 200);
	assert_int_equal(scene_push(scene, five), 200);
	scene_spin(scene, 50);
	assert_int_equal(scene->xmpp.count, 5);
}

static void
test_gap_over_pages(void **state)
{
	struct scene *scene = *state;
	AUTO_STR struct str first, second;

	JOINED(scene);
	assert_int_equal(scene_say(scene, "$0", "@alice:hs", ROOM, "n0"), 200);
	WAIT(scene, scene->xmpp.count == 1);
	fake_homeserver_die(&scene->fake);
	WAIT(scene, inbox_gate_closed(scene->core->inbox, ROOM));
	str_init(&first, 1 << 20);
	str_init(&second, 1 << 20);
	for (int i = 60; i >= 0; i--) {
		AUTO_FREE char *id = xasprintf("$%d", i);
		AUTO_FREE char *body = xasprintf("n%d", i);
		AUTO_FREE char *event = scene_message(id, "@alice:hs", ROOM, body);
		str_addf(i > 10 ? &first : &second, "%s%s", i == 60 || i == 10 ? "{\"chunk\":[" : ",", event);
	}
	str_add(&first, "],\"end\":\"page2\"}");
	str_add(&second, "],\"end\":\"page3\"}");
	scene->fake.archive = str_get(&first);
	fake_homeserver_say(&scene->fake, "GET", "from=page2", 200, str_get(&second), 1);
	int from = scene->fake.count;
	fake_homeserver_start(&scene->fake, scene->loop);
	WAIT(scene, scene->xmpp.count == 61);
	for (int i = 0; i <= 60; i++) {
		AUTO_FREE char *line = xasprintf("Alice|n%d", i);
		assert_string_equal(scene->xmpp.rows[i].payload, line);
	}
	assert_int_equal(fake_homeserver_count(&scene->fake, from, "GET", "/messages"), 3);
}

/*
 * What was there when we came stays known and never crosses; what then lies a little before the cursor, unknown, was lost on its
 * way and crosses in its place.
 */
static void
test_gap_around_the_cursor(void **state)
{
	struct scene *scene = *state;
	AUTO_FREE char *oldest = scene_message("$oldest", "@alice:hs", ROOM, "oldest");
	AUTO_FREE char *old = scene_message("$old", "@alice:hs", ROOM, "old");
	AUTO_FREE char *first = xasprintf("{\"chunk\":[%s,%s]}", old, oldest);

	scene->fake.archive = first;
	JOINED(scene);
	fake_homeserver_die(&scene->fake);
	WAIT(scene, inbox_gate_closed(scene->core->inbox, ROOM));
	AUTO_FREE char *lost = scene_message("$lost", "@alice:hs", ROOM, "lost");
	AUTO_FREE char *new = scene_message("$new", "@alice:hs", ROOM, "new");
	AUTO_FREE char *second = xasprintf("{\"chunk\":[%s,%s,%s,%s],\"end\":\"t1\"}", new, old, lost, oldest);
	scene->fake.archive = second;
	fake_homeserver_start(&scene->fake, scene->loop);
	WAIT(scene, scene->xmpp.count == 2);
	/* Whoever brings it. */
	assert_int_equal(scene_push(scene, oldest), 200);
	scene_spin(scene, 100);
	assert_int_equal(scene->xmpp.count, 2);
	assert_string_equal(scene->xmpp.rows[0].payload, "Alice|lost");
	assert_string_equal(scene->xmpp.rows[1].payload, "Alice|new");
}

/*
 * A row whose answer was lost goes out again under its name, by another process, at once: the homeserver remembers the name. The
 * archive, which only what comes in must wait for, is not waited for.
 */
static void
test_doubt_sent_again(void **state)
{
	struct scene *scene = *state;

	JOINED(scene);
	fake_homeserver_say(&scene->fake, "PUT", "/send/", 200, NULL, 1);
	scene_hear(scene, "xbob@x\nBob\nfirst");
	WAIT(scene, scene_sends(scene) == 1);
	scene_close(scene);
	scene->fake.joined = "{\"joined_rooms\":[\"" ROOM "\"]}";
	fake_homeserver_say(&scene->fake, "GET", "/messages", 200, NULL, 1);
	scene_open(scene);
	WAIT(scene, scene_sends(scene) == 2 && scene_is_quiet(scene));
	assert_int_equal(matrix_joined(scene->port), 0);
	assert_string_equal(fake_homeserver_find(&scene->fake, 0, "PUT", "/send/", 0)->path,
		fake_homeserver_find(&scene->fake, 0, "PUT", "/send/", 1)->path);
	assert_string_equal(fake_homeserver_find(&scene->fake, 0, "PUT", "/send/", 0)->body,
		fake_homeserver_find(&scene->fake, 0, "PUT", "/send/", 1)->body);
}

/* ---- reading ---- */

static void
read_raw(struct scene *scene, const char *room, const char *raw, struct arena *arena, struct incoming *out)
{
	scene->port->ops->read(scene->port, room, raw, strlen(raw), arena, out);
}

static void
test_read(void **state)
{
	struct scene *scene = *state;
	static const struct {
		const char *sender;
		bool moderator;
	} people[] = {
		{ "@alice:hs", false }, { "@mod:hs", true }, { "@creator:hs", true }, { "@second:hs", true }, { "@admin:hs", true },
	};
	struct arena arena;
	struct incoming in;

	JOINED(scene);
	arena_init(&arena);
	for (size_t i = 0; i < sizeof(people) / sizeof(people[0]); i++) {
		AUTO_FREE char *raw = scene_message("$1", people[i].sender, ROOM, "x");
		read_raw(scene, ROOM, raw, &arena, &in);
		assert_int_equal(in.kind, INCOMING_MESSAGE);
		assert_int_equal(in.moderator, people[i].moderator);
		assert_string_equal(in.author.person, people[i].sender);
		assert_string_equal(in.author.stem, people[i].sender + 1);
		assert_string_equal(in.reply_address, people[i].sender);
		assert_true(in.live && !in.direct);
	}
	/* Power and names change with the events that say so. */
	read_raw(scene, ROOM, "{\"type\":\"m.room.power_levels\",\"sender\":\"@mod:hs\",\"state_key\":\"\",\"content\":{\"users\":{\"@alice:hs\":\"60\"},\"state_default\":60}}",
		&arena, &in);
	assert_int_equal(in.kind, INCOMING_NOTHING);
	read_raw(scene, ROOM, "{\"type\":\"m.room.member\",\"sender\":\"@mod:hs\",\"state_key\":\"@mod:hs\",\"content\":{\"membership\":\"join\",\"displayname\":\"Mo\"}}",
		&arena, &in);
	AUTO_FREE char *alice = scene_message("$1", "@alice:hs", ROOM, "x"), *mod = scene_message("$1", "@mod:hs", ROOM, "x");
	read_raw(scene, ROOM, alice, &arena, &in);
	assert_true(in.moderator);
	assert_string_equal(in.author.name, "Alice");
	read_raw(scene, ROOM, mod, &arena, &in);
	assert_false(in.moderator);
	assert_string_equal(in.author.name, "Mo");
	/* Late, old, ours. */
	AUTO_FREE char *late = xasprintf("B%s", alice);
	read_raw(scene, ROOM, late, &arena, &in);
	assert_true(in.kind == INCOMING_MESSAGE && !in.live);
	AUTO_FREE char *archive = xasprintf("A%s", alice);
	read_raw(scene, ROOM, archive, &arena, &in);
	assert_true(in.kind == INCOMING_MESSAGE && in.live);
	read_raw(scene, ROOM, "{\"type\":\"m.room.message\",\"sender\":\"@alice:hs\",\"origin_server_ts\":1700000000000,\"content\":{\"msgtype\":\"m.text\",\"body\":\"x\"}}",
		&arena, &in);
	assert_true(in.kind == INCOMING_MESSAGE && !in.live);
	AUTO_FREE char *own = scene_message("$1", "@_xmpp_bob=40x:hs", ROOM, "x");
	read_raw(scene, ROOM, own, &arena, &in);
	assert_int_equal(in.kind, INCOMING_NOTHING);
	read_raw(scene, ROOM, "nonsense", &arena, &in);
	assert_int_equal(in.kind, INCOMING_POISON);
	arena_fini(&arena);
}

/* ---- direct rooms ---- */

static void
say_to_alice(struct scene *scene, const char *text)
{
	AUTO_FREE char *key = xasprintf("k%d", ++scene->next);
	const char *source[] = { key, NULL };
	struct outbox_draft draft = { .outgoing = { .kind = OUTGOING_PRIVATE, .lane = "@alice:hs", .text = text },
		.network = NETWORK_MATRIX, .group = "", .source = source };

	outbox_add(scene->core->outbox, &draft);
}

/* ---- whoever may not come back ---- */

static bool
is_subscribed(struct scene *scene, const char *person)
{
	return digests_subscribed(scene->core->digests, groups_find(&scene->core->groups, "m"), person);
}

/* Somebody who subscribed leaves the room in this way. */
static void
put_out(struct scene *scene, const char *person, const char *by, const char *membership)
{
	AUTO_FREE char *event = xasprintf("{\"type\":\"m.room.member\",\"event_id\":\"$out%s\",\"sender\":\"%s\",\"room_id\":\"" ROOM "\","
		"\"state_key\":\"%s\",\"origin_server_ts\":%" PRId64 ",\"content\":{\"membership\":\"%s\"}}", person, by, person, now_real_ms(), membership);

	digests_subscribe(scene->core->digests, groups_find(&scene->core->groups, "m"), person, NETWORK_MATRIX, person, now_rules_ms());
	assert_true(is_subscribed(scene, person));
	assert_int_equal(scene_push(scene, event), 200);
	WAIT(scene, scene_is_quiet(scene));
}

#define RULES_ASKED(scene) fake_homeserver_count(&(scene)->fake, 0, "GET", "/state/m.room.join_rules")

static void
test_a_ban_ends_a_digest(void **state)
{
	struct scene *scene = *state;

	JOINED(scene);
	put_out(scene, "@bob:hs", "@mod:hs", "ban");
	assert_false(is_subscribed(scene, "@bob:hs"));
	put_out(scene, "@carol:hs", "@carol:hs", "leave");
	assert_true(is_subscribed(scene, "@carol:hs"));
	assert_int_equal(RULES_ASKED(scene), 0);
	fake_homeserver_say(&scene->fake, "GET", "/state/m.room.join_rules", 200, "{\"join_rule\":\"public\"}", 1);
	put_out(scene, "@dave:hs", "@mod:hs", "leave");
	assert_int_equal(RULES_ASKED(scene), 1);
	assert_true(is_subscribed(scene, "@dave:hs"));
	scene_spin(scene, 1100); /* the answer is not believed for long */
	fake_homeserver_say(&scene->fake, "GET", "/state/m.room.join_rules", 502, "", 1);
	fake_homeserver_say(&scene->fake, "GET", "/state/m.room.join_rules", 200, "{\"join_rule\":\"restricted\"}", 1);
	put_out(scene, "@erin:hs", "@mod:hs", "leave");
	put_out(scene, "@frank:hs", "@mod:hs", "leave");
	assert_true(!is_subscribed(scene, "@erin:hs") && !is_subscribed(scene, "@frank:hs"));
	assert_in_range(RULES_ASKED(scene), 3, 4);
	assert_true(is_subscribed(scene, "@dave:hs") && is_subscribed(scene, "@carol:hs"));
}

/* The process dies between the event and the answer. */
static void
test_put_out_and_killed(void **state)
{
	struct scene *scene = *state;

	JOINED(scene);
	digests_subscribe(scene->core->digests, groups_find(&scene->core->groups, "m"), "@dave:hs", NETWORK_MATRIX, "@dave:hs", now_rules_ms());
	fake_homeserver_say(&scene->fake, "GET", "/state/m.room.join_rules", 200, NULL, 1);
	assert_int_equal(scene_member(scene, "$kick", "@mod:hs", "@dave:hs", "leave"), 200);
	WAIT(scene, RULES_ASKED(scene) == 1);
	scene_spin(scene, 50);
	scene_close(scene);
	fake_homeserver_say(&scene->fake, "GET", "/state/m.room.join_rules", 200, "{\"join_rule\":\"invite\"}", 1);
	scene->fake.joined = "{\"joined_rooms\":[\"" ROOM "\"]}";
	scene_open(scene);
	JOINED(scene);
	WAIT(scene, scene_is_quiet(scene));
	assert_int_equal(RULES_ASKED(scene), 2);
	assert_false(is_subscribed(scene, "@dave:hs"));
}

/* Who is in the room is what the homeserver says when it is entered, whatever an earlier process saw. */
static void
test_members_gone_meanwhile(void **state)
{
	struct scene *scene = *state;
	struct rights rights;

	JOINED(scene);
	people_set_name(scene->core->people, ROOM, "@mod:hs", "Mod");
	scene->port->ops->rights(scene->port, ROOM, "@mod:hs", &rights);
	assert_true(rights.known && rights.moderator);
	scene_spin(scene, 20);
	scene_close(scene);
	scene_open(scene);
	JOINED(scene);
	scene->port->ops->rights(scene->port, ROOM, "@mod:hs", &rights);
	assert_false(rights.known);
	scene->port->ops->rights(scene->port, ROOM, "@alice:hs", &rights);
	assert_true(rights.known);
}

#define OF_TWO "{\"chunk\":[{\"state_key\":\"@alice:hs\",\"content\":{\"membership\":\"join\",\"displayname\":\"Alice\"}}," \
	"{\"state_key\":\"@sourdine:hs\",\"content\":{\"membership\":\"join\"}}]}"

static void
test_makes_a_direct_room_once(void **state)
{
	struct scene *scene = *state;

	JOINED(scene);
	say_to_alice(scene, "hello");
	say_to_alice(scene, "again");
	WAIT(scene, scene_sends(scene) == 2 && scene_is_quiet(scene));
	assert_int_equal(fake_homeserver_count(&scene->fake, 0, "POST", "/createRoom"), 1);
	const struct fake_asked *made = fake_homeserver_find(&scene->fake, 0, "POST", "/createRoom?user_id=@sourdine:hs", 0);
	assert_string_equal(made->body, "{\"invite\":[\"@alice:hs\"],\"is_direct\":true,\"preset\":\"trusted_private_chat\"}");
	const struct fake_asked *sent = fake_homeserver_find(&scene->fake, 0, "PUT", "/rooms/!d:hs/send/", 0);
	assert_non_null(strstr(sent->body, "m.notice"));
	/* What she says there is said to the bot alone. */
	AUTO_FREE char *raw = scene_message("$d", "@alice:hs", "!d:hs", "!help");
	AUTO_FREE char *stranger = scene_message("$d", "@mallory:hs", "!d:hs", "!help");
	struct arena arena;
	struct incoming in;
	arena_init(&arena);
	read_raw(scene, "!d:hs", "{\"type\":\"m.room.power_levels\",\"sender\":\"@sourdine:hs\",\"state_key\":\"\","
		"\"content\":{\"users\":{\"@alice:hs\":100}}}", &arena, &in);
	read_raw(scene, "!d:hs", raw, &arena, &in);
	assert_true(in.kind == INCOMING_MESSAGE && in.direct && !in.moderator && !in.direct_room);
	read_raw(scene, "!d:hs", stranger, &arena, &in);
	assert_int_equal(in.kind, INCOMING_NOTHING);
	arena_fini(&arena);
	/* Another process knows it still, and makes a new one only when she has left. */
	scene_close(scene);
	scene->fake.joined = "{\"joined_rooms\":[\"" ROOM "\",\"!d:hs\"]}";
	scene->fake.members = OF_TWO;
	scene_open(scene);
	say_to_alice(scene, "third");
	WAIT(scene, scene_sends(scene) == 3 && scene_is_quiet(scene));
	assert_int_equal(fake_homeserver_count(&scene->fake, 0, "POST", "/createRoom"), 1);
	scene_close(scene);
	scene->fake.members = "{\"chunk\":[{\"state_key\":\"@alice:hs\",\"content\":{\"membership\":\"leave\"}}]}";
	scene_open(scene);
	WAIT(scene, fake_homeserver_count(&scene->fake, 0, "POST", "/rooms/!d:hs/leave") == 1);
	say_to_alice(scene, "fourth");
	WAIT(scene, scene_sends(scene) == 4 && scene_is_quiet(scene));
	assert_int_equal(fake_homeserver_count(&scene->fake, 0, "POST", "/createRoom"), 2);
}

#define INVITED(room) "{\"next_batch\":\"s1\",\"rooms\":{\"invite\":{\"" room "\":{\"invite_state\":{\"events\":[{\"type\":\"m.room.member\"," \
	"\"state_key\":\"@sourdine:hs\",\"sender\":\"@alice:hs\",\"content\":{\"membership\":\"invite\"}}]}}}}}"

/* An invitation while we were away: a room of two becomes the direct room, and what was said there already is heard. */
static void
test_accepts_an_invitation(void **state)
{
	struct scene *scene = *state;
	AUTO_FREE char *said = scene_message("$s", "@alice:hs", "!d:hs", "!help");
	AUTO_FREE char *archive = xasprintf("{\"chunk\":[%s]}", said);

	scene->fake.invited = INVITED("!d:hs");
	scene->fake.members = OF_TWO;
	scene->fake.archive = archive;
	JOINED(scene);
	WAIT(scene, scene_sends(scene) >= 1 && scene_is_quiet(scene));
	assert_non_null(fake_homeserver_find(&scene->fake, 0, "POST", "/join/!d:hs?user_id=@sourdine:hs", 0));
	assert_non_null(fake_homeserver_find(&scene->fake, 0, "PUT", "/rooms/!d:hs/send/", 0));
	assert_int_equal(fake_homeserver_count(&scene->fake, 0, "POST", "/createRoom"), 0);
}

#define INVITATION(room) "{\"type\":\"m.room.member\",\"event_id\":\"$i" room "\",\"sender\":\"@alice:hs\",\"room_id\":\"" room "\"," \
	"\"state_key\":\"@sourdine:hs\",\"content\":{\"membership\":\"invite\"}}"

/* What somebody of elsewhere writes into an invitation must not hide the rest of the answer, or the homeserver would look ill for ever. */
static void
test_nasty_invitation(void **state)
{
	struct scene *scene = *state;

	scene->fake.invited = "{\"next_batch\":\"s1\",\"rooms\":{\"invite\":{\"!evil:away\":{\"invite_state\":{\"events\":[{\"type\":\"m.room.create\","
		"\"sender\":\"@eve:away\",\"content\":{\"n\":123456789012345678901234567890,\"k\\u0000\":1}}]}}}}}";
	JOINED(scene);
	scene_spin(scene, 1000);
	assert_true(matrix_connected(scene->port));
	assert_int_equal(((struct matrix *)scene->port)->arrivals, 1);
}

/* The homeserver goes while the bot looks who is in the room that it was invited into. */
static void
test_invited_before_a_loss(void **state)
{
	struct scene *scene = *state;
	char room[64] = "";

	JOINED(scene);
	scene->fake.members = OF_TWO;
	fake_homeserver_say(&scene->fake, "GET", "/members", 200, NULL, 1);
	assert_int_equal(scene_push(scene, INVITATION("!d:hs")), 200);
	WAIT(scene, fake_homeserver_count(&scene->fake, 0, "GET", "/rooms/!d:hs/members") == 1);
	fake_homeserver_die(&scene->fake);
	WAIT(scene, !matrix_connected(scene->port));
	scene->fake.joined = "{\"joined_rooms\":[\"" ROOM "\",\"!d:hs\"]}";
	fake_homeserver_start(&scene->fake, scene->loop);
	WAIT(scene, people_direct(scene->core->people, "@alice:hs", room, sizeof(room)));
	assert_string_equal(room, "!d:hs");
}

/* One direct room a person: an old one would stay for ever, and nobody would be answered there. */
static void
test_leaves_the_older_direct_room(void **state)
{
	struct scene *scene = *state;

	JOINED(scene);
	scene->fake.members = OF_TWO;
	assert_int_equal(scene_push(scene, INVITATION("!d:hs")), 200);
	WAIT(scene, fake_homeserver_count(&scene->fake, 0, "GET", "/rooms/!d:hs/messages") == 1);
	assert_int_equal(scene_push(scene, INVITATION("!e:hs")), 200);
	WAIT(scene, fake_homeserver_count(&scene->fake, 0, "POST", "/rooms/!d:hs/leave") == 1);
	say_to_alice(scene, "hello");
	WAIT(scene, scene_sends(scene) == 1 && scene_is_quiet(scene));
	assert_non_null(fake_homeserver_find(&scene->fake, 0, "PUT", "/rooms/!e:hs/send/", 0));
	assert_int_equal(fake_homeserver_count(&scene->fake, 0, "POST", "/rooms/!e:hs/leave"), 0);
}

static void
test_leaves_when_its_person_does(void **state)
{
	struct scene *scene = *state;
	char room[64];

	JOINED(scene);
	say_to_alice(scene, "hello");
	WAIT(scene, scene_sends(scene) == 1 && scene_is_quiet(scene));
	AUTO_FREE char *event = xasprintf("{\"type\":\"m.room.member\",\"event_id\":\"$l\",\"sender\":\"@alice:hs\",\"room_id\":\"!d:hs\","
		"\"origin_server_ts\":%" PRId64 ",\"state_key\":\"@alice:hs\",\"content\":{\"membership\":\"leave\"}}", now_real_ms());
	assert_int_equal(scene_push(scene, event), 200);
	WAIT(scene, fake_homeserver_count(&scene->fake, 0, "POST", "/rooms/!d:hs/leave") == 1);
	assert_true(!people_direct(scene->core->people, "@alice:hs", room, sizeof(room)) || !*room);
}

/* Synapse makes the room, then fails to invite somebody whose server is away, and says 502. */
static void
test_makes_no_heap_of_rooms(void **state)
{
	struct scene *scene = *state;

	JOINED(scene);
	fake_homeserver_say(&scene->fake, "POST", "/createRoom", 502, "{\"errcode\":\"M_UNKNOWN\",\"error\":\"Can't connect to server\"}", 3);
	say_to_alice(scene, "hello");
	WAIT(scene, fake_homeserver_count(&scene->fake, 0, "POST", "/createRoom") == 1);
	scene_spin(scene, 4000);
	assert_int_equal(fake_homeserver_count(&scene->fake, 0, "POST", "/createRoom"), 3);
	WAIT(scene, scene_sends(scene) == 1 && scene_is_quiet(scene));
}

static void
test_leaves_a_room_of_more(void **state)
{
	struct scene *scene = *state;

	JOINED(scene);
	scene->fake.members = "{\"chunk\":[{\"state_key\":\"@eve:away\",\"content\":{\"membership\":\"join\"}},"
		"{\"state_key\":\"@dave:hs\",\"content\":{\"membership\":\"invite\"}},{\"state_key\":\"@sourdine:hs\",\"content\":{\"membership\":\"join\"}}]}";
	assert_int_equal(scene_push(scene, "{\"type\":\"m.room.member\",\"event_id\":\"$i\",\"sender\":\"@eve:away\",\"room_id\":\"!d:hs\","
		"\"state_key\":\"@sourdine:hs\",\"content\":{\"membership\":\"invite\"}}"), 200);
	WAIT(scene, fake_homeserver_count(&scene->fake, 0, "POST", "/rooms/!d:hs/leave") == 1);
	char room[64];
	assert_false(people_direct(scene->core->people, "@eve:away", room, sizeof(room)));
}

/* By somebody of our homeserver it is a visit: it says how to plumb, and stays. */
static void
test_visits_a_room_of_more(void **state)
{
	struct scene *scene = *state;
	struct rights rights;

	JOINED(scene);
	scene->fake.members = "{\"chunk\":[{\"state_key\":\"@alice:hs\",\"content\":{\"membership\":\"join\"}},"
		"{\"state_key\":\"@dave:hs\",\"content\":{\"membership\":\"invite\"}},{\"state_key\":\"@sourdine:hs\",\"content\":{\"membership\":\"join\"}}]}";
	assert_int_equal(scene_push(scene, "{\"type\":\"m.room.member\",\"event_id\":\"$i\",\"sender\":\"@alice:hs\",\"room_id\":\"!d:hs\","
		"\"state_key\":\"@sourdine:hs\",\"content\":{\"membership\":\"invite\"}}"), 200);
	WAIT(scene, fake_homeserver_count(&scene->fake, 0, "PUT", "/rooms/!d:hs/send/m.room.message/") == 1);
	assert_int_equal(fake_homeserver_count(&scene->fake, 0, "POST", "/rooms/!d:hs/leave"), 0);
	scene->port->ops->rights(scene->port, "!d:hs", "@alice:hs", &rights);
	assert_true(rights.known);
	scene->port->ops->rights(scene->port, "!d:hs", "@dave:hs", &rights);
	assert_false(rights.known);
	scene->port->ops->rights(scene->port, "!d:hs", "@admin:hs", &rights);
	assert_true(rights.operator);
}

#define POWER(id, at, who) "{\"type\":\"m.room.power_levels\",\"event_id\":\"" id "\",\"sender\":\"@creator:hs\",\"room_id\":\"" ROOM "\"," \
	"\"state_key\":\"\",\"origin_server_ts\":%" PRId64 ",\"content\":{\"users\":{\"" who "\":50}}}", at

/* A change of power that the homeserver had forgotten comes to light behind the one that followed it. */
static void
test_power_out_of_its_place(void **state)
{
	struct scene *scene = *state;
	int64_t now_ms = now_real_ms();
	AUTO_FREE char *later = xasprintf(POWER("$p2", now_ms, "@alice:hs")), *earlier = xasprintf(POWER("$p1", now_ms - 5000, "@mod:hs"));
	AUTO_FREE char *archive = xasprintf("{\"chunk\":[%s,%s]}", later, earlier);
	struct rights rights;

	JOINED(scene);
	assert_int_equal(scene_push(scene, later), 200);
	WAIT(scene, scene_is_quiet(scene));
	fake_homeserver_say(&scene->fake, "GET", "/state/m.room.power_levels", 200, "{\"users\":{\"@alice:hs\":50}}", -1);
	scene->fake.archive = archive;
	room_refill_all((struct matrix *)scene->port);
	JOINED(scene);
	scene_spin(scene, 200);
	JOINED(scene);
	assert_true(inbox_knows(scene->core->inbox, ROOM, "$p1"));
	scene->port->ops->rights(scene->port, ROOM, "@alice:hs", &rights);
	assert_true(rights.known && rights.moderator);
}

static bool
is_visited(struct scene *scene, const char *room)
{
	struct query query = store_query(scene->core->store, VISIT_GET);

	query_text(&query, room);
	bool found = query_step(&query);
	query_done(&query);
	return found;
}

/* It was killed behind its leaving: the room is not entered again in order to be left. */
static void
test_does_not_return_to_leave(void **state)
{
	struct scene *scene = *state;
	struct query query = store_query(scene->core->store, VISIT_SET);

	query_text(&query, "!d:hs");
	query_int(&query, NETWORK_MATRIX);
	query_text(&query, "@alice:hs");
	query_int(&query, 0);
	query_int(&query, 0);
	query_run(&query);
	assert_int_equal(store_commit(scene->core->store), 0);
	scene_close(scene);
	scene_open(scene);
	assert_true(is_visited(scene, "!d:hs"));
	JOINED(scene);
	WAIT(scene, !is_visited(scene, "!d:hs") || fake_homeserver_count(&scene->fake, 0, "POST", "/join/!d:hs"));
	assert_int_equal(fake_homeserver_count(&scene->fake, 0, "POST", "/join/!d:hs"), 0);
}

/* Rooms joined from chat; the bot was put out of one while nobody was there to see it: that room's consent is gone. */
static void
test_put_out_while_away(void **state)
{
	struct scene *scene = *state;
	struct query query = store_query(scene->core->store, PLUMBING_SET);

	query_text(&query, "p");
	query_text(&query, "!p:hs");
	query_text(&query, "p@rooms.x");
	query_int(&query, now_rules_ms());
	query_run(&query);
	assert_int_equal(store_commit(scene->core->store), 0);
	scene_close(scene);
	scene->fake.joined = "{\"joined_rooms\":[\"!p:hs\"]}";
	scene_open(scene);
	assert_non_null(groups_find(&scene->core->groups, "p"));
	WAIT(scene, matrix_joined(scene->port) == 2);
	scene_close(scene);
	scene->fake.joined = "{\"joined_rooms\":[]}";
	int from = scene->fake.count;
	scene_open(scene);
	JOINED(scene);
	WAIT(scene, !groups_find(&scene->core->groups, "p"));
	scene_spin(scene, 200);
	assert_int_equal(fake_homeserver_count(&scene->fake, from, "POST", "/join/!p:hs"), 0);
	WAIT(scene, !is_visited(scene, "!p:hs"));
}

/* ---- for an audit ---- */

static void
note_archived(void *context, const struct archived *archived)
{
	str_addf(context, "%s ", archived->id);
}

static bool surveyed;

static void
end_survey(void *context, const char *failure)
{
	(void)context;
	assert_null(failure);
	surveyed = true;
}

/* One stamp of somebody's clock does not end the reading. */
static void
test_survey(void **state)
{
	struct scene *scene = *state;
	AUTO_STR struct str seen;
	const struct archive_reader reader = { .since_ms = now_real_ms() - 3600000, .each = note_archived, .done = end_survey, .context = &seen };
	AUTO_FREE char *one = scene_message("$1", "@alice:hs", ROOM, "one"), *two = scene_message("$2", "@alice:hs", ROOM, "two");
	AUTO_FREE char *first = xasprintf("{\"chunk\":[%s,{\"event_id\":\"$f\",\"type\":\"m.room.message\",\"sender\":\"@eve:away\","
		"\"origin_server_ts\":5,\"content\":{}}],\"end\":\"t2\"}", two);
	AUTO_FREE char *second = xasprintf("{\"chunk\":[%s],\"end\":\"t3\"}", one);

	str_init(&seen, 4096);
	JOINED(scene);
	fake_homeserver_say(&scene->fake, "GET", "&from=t2", 200, second, 1);
	fake_homeserver_say(&scene->fake, "GET", "&from=t3", 200, "{\"chunk\":[{\"event_id\":\"$o\",\"origin_server_ts\":6}],\"end\":\"t4\"}", 1);
	scene->fake.archive = first;
	surveyed = false;
	scene->port->ops->read_archive(scene->port, ROOM, &reader);
	WAIT(scene, surveyed);
	assert_string_equal(str_get(&seen), "$1 $2 ");
	assert_int_equal(fake_homeserver_count(&scene->fake, 0, "GET", "&from=t4"), 0);
}

int
main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, scene_set_up, scene_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_arrives),
		TEST(test_unknown_token),
		TEST(test_alias_and_join_wait),
		TEST(test_rights_meanwhile),
		TEST(test_sends_as_a_ghost),
		TEST(test_keeps_order),
		TEST(test_again_under_the_same_name),
		TEST(test_refused),
		TEST(test_forbidden_until_joined),
		TEST(test_ghost_kept_out),
		TEST(test_device_made_again),
		TEST(test_overflow),
		TEST(test_kept_out_again),
		TEST(test_put_out),
		TEST(test_stays_out),
		TEST(test_renamed_meanwhile),
		TEST(test_foresees),
		TEST(test_transactions),
		TEST(test_overtaken),
		TEST(test_gap),
		TEST(test_gap_over_pages),
		TEST(test_gap_around_the_cursor),
		TEST(test_doubt_sent_again),
		TEST(test_read),
		TEST(test_makes_a_direct_room_once),
		TEST(test_accepts_an_invitation),
		TEST(test_leaves_a_room_of_more),
		TEST(test_visits_a_room_of_more),
		TEST(test_does_not_return_to_leave),
		TEST(test_a_ban_ends_a_digest),
		TEST(test_put_out_and_killed),
		TEST(test_members_gone_meanwhile),
		TEST(test_invited_before_a_loss),
		TEST(test_nasty_invitation),
		TEST(test_leaves_the_older_direct_room),
		TEST(test_leaves_when_its_person_does),
		TEST(test_makes_no_heap_of_rooms),
		TEST(test_put_out_while_away),
		TEST(test_survey),
		TEST(test_power_out_of_its_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
