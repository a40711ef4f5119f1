/* SPDX-License-Identifier: Apache-2.0 */
/* Rooms that are encrypted, or become so, between the real core and a fake homeserver: nothing goes there in the clear. */
#include "matrix_scene.h"

#include "core/arena.h"
#include "core/consent.h"
#include "core/outbox_rows.h"
#include "core/plumb_open.h"
#include "matrix/cipher.h"
#include "matrix/room.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENCRYPTED "{\"type\":\"m.room.encryption\",\"event_id\":\"$enc\",\"sender\":\"@alice:hs\",\"room_id\":\"" ROOM "\",\"state_key\":\"\"," \
	"\"origin_server_ts\":1000,\"content\":{\"algorithm\":\"m.megolm.v1.aes-sha2\",\"rotation_period_msgs\":50}}"

static struct matrix *
port_of(struct scene *scene)
{
	return (struct matrix *)scene->port;
}

static bool
xmpp_said(const struct scene *scene, const char *text)
{
	for (int i = 0; i < scene->xmpp.count; i++)
		if (strstr(scene->xmpp.rows[i].payload, text))
			return true;
	return false;
}

static void
agree(struct scene *scene)
{
	consent_give(scene->core, groups_find(&scene->core->groups, "m"), "xmpp:mod@x");
}

static void
start_over(struct scene *scene)
{
	scene_close(scene);
	scene_open(scene);
	JOINED(scene);
}

/* ---- the hard one ---- */

static void
test_nothing_in_the_clear(void **state)
{
	struct scene *scene = *state;

	scene->fake.encryption = ENCRYPTED;
	JOINED(scene);
	scene_hear(scene, "xbob@x\nBob\nsecret body");
	WAIT(scene, xmpp_said(scene, "So nothing crosses"));
	agree(scene);
	scene_spin(scene, 300);
	/* Not even the bot, and not after a restart, whatever the room says then. */
	assert_int_equal(scene_sends(scene), 0);
	scene->fake.encryption = NULL;
	start_over(scene);
	scene_hear(scene, "xbob@x\nBob\nanother");
	scene_spin(scene, 300);
	assert_int_equal(scene_sends(scene), 0);
	assert_int_equal(scene->port->ops->encryption(scene->port, ROOM), ENCRYPTION_DENIED);
	assert_true(xmpp_said(scene, "says that it is encrypted no more"));
	assert_false(scene_is_quiet(scene)); /* it waits */
}

static void
test_not_before_it_is_known(void **state)
{
	struct scene *scene = *state;

	JOINED(scene);
	scene_close(scene);
	scene->fake.joined = "{\"joined_rooms\":[\"" ROOM "\"]}";
	fake_homeserver_say(&scene->fake, "GET", "/state/m.room.encryption", 503, "{}", 1);
	int from = scene->fake.count;
	scene_open(scene);
	scene_hear(scene, "xbob@x\nBob\nearly");
	WAIT(scene, fake_homeserver_count(&scene->fake, from, "GET", "/state/m.room.encryption") == 1);
	scene_spin(scene, 300);
	assert_int_equal(scene_sends(scene), 0);
	assert_int_equal(scene->port->ops->encryption(scene->port, ROOM), ENCRYPTION_UNKNOWN);
	WAIT(scene, scene_sends(scene) == 1);
	assert_int_equal(scene->port->ops->encryption(scene->port, ROOM), ENCRYPTION_OFF);
	/* Once an entry. */
	assert_int_equal(fake_homeserver_count(&scene->fake, from, "GET", "/state/m.room.encryption"), 2);
}

static void
test_turned_on_under_way(void **state)
{
	struct scene *scene = *state;

	JOINED(scene);
	scene_hear(scene, "xbob@x\nBob\nfirst");
	WAIT(scene, scene_sends(scene) == 1 && scene_is_quiet(scene));
	fake_homeserver_say(&scene->fake, "PUT", "/send/", 503, "{\"errcode\":\"M_UNKNOWN\"}", 1);
	for (int i = 0; i < 5; i++)
		scene_hear(scene, "xbob@x\nBob\nmore");
	WAIT(scene, scene_sends(scene) == 2);
	assert_int_equal(scene_push(scene, ENCRYPTED), 200);
	scene_spin(scene, 2500); /* longer than the lane's patience after a failure */
	assert_int_equal(scene_sends(scene), 2);
	assert_true(xmpp_said(scene, "So nothing crosses"));
	struct outbox_counts counts;
	outbox_count(scene->core->outbox, &counts);
	assert_true(counts.waiting + counts.tried >= 5);
	/* It is known before the event is acknowledged, for ever. */
	scene_close(scene);
	scene_open(scene);
	assert_int_equal(scene->port->ops->encryption(scene->port, ROOM), ENCRYPTION_ON);
}

static void
count_doubt(void *context, int64_t id, const char *name, int64_t first_try_ms)
{
	(void)id, (void)name, (void)first_try_ms;
	++*(int *)context;
}

static int
doubts(const struct scene *scene)
{
	int n = 0;

	outbox_each_doubt(scene->core->outbox, ROOM, count_doubt, &n);
	return n;
}

/* It was tried in the clear, and arrived so, but its answer was lost: it is looked for, and not said again. */
static void
test_tried_in_the_clear(void **state)
{
	struct scene *scene = *state;

	JOINED(scene);
	scene_hear(scene, "xbob@x\nBob\nfirst");
	WAIT(scene, scene_sends(scene) == 1 && scene_is_quiet(scene));
	fake_homeserver_say(&scene->fake, "PUT", "/send/", 503, "{\"errcode\":\"M_UNKNOWN\"}", 1);
	scene_hear(scene, "xbob@x\nBob\nmore");
	WAIT(scene, scene_sends(scene) == 2);
	AUTO_FREE char *shown = xasprintf("{\"chunk\":[{\"type\":\"m.room.message\",\"event_id\":\"$sent\",\"sender\":\"@_xmpp_bob=40x:hs\","
		"\"origin_server_ts\":%" PRId64 ",\"content\":%s}]}", now_real_ms(), fake_homeserver_find(&scene->fake, 0, "PUT", "/send/", 1)->body);
	scene->fake.archive_of_one = shown;
	AUTO_FREE char *event = xasprintf("{\"type\":\"m.room.encryption\",\"event_id\":\"$on\",\"sender\":\"@alice:hs\",\"room_id\":\"" ROOM "\","
		"\"state_key\":\"\",\"origin_server_ts\":%" PRId64 ",\"content\":{\"algorithm\":\"m.megolm.v1.aes-sha2\"}}", now_real_ms());
	assert_int_equal(scene_push(scene, event), 200);
	assert_int_equal(doubts(scene), 1);
	WAIT(scene, doubts(scene) == 0);
	assert_int_equal(fake_homeserver_count(&scene->fake, 0, "GET", "limit=100"), 1);
	assert_int_equal(scene_sends(scene), 2);
}

/* Behind the one in flight others wait in the port: each is looked at when its turn comes. */
static void
test_what_waits_in_the_port(void **state)
{
	struct scene *scene = *state;

	JOINED(scene);
	scene_hear(scene, "xbob@x\nBob\nfirst");
	WAIT(scene, scene_sends(scene) == 1 && scene_is_quiet(scene));
	fake_homeserver_say(&scene->fake, "PUT", "/send/", 200, NULL, 1);
	for (int i = 0; i < 5; i++)
		scene_hear(scene, "xbob@x\nBob\nmore");
	WAIT(scene, scene_sends(scene) == 2);
	json_t *event = json_loads(ENCRYPTED, 0, NULL);
	cipher_see(port_of(scene), ROOM, event, false);
	json_decref(event);
	fake_homeserver_die(&scene->fake); /* the one in flight fails, the port begins anew */
	scene->fake.encryption = NULL;
	scene->fake.joined = "{\"joined_rooms\":[\"" ROOM "\"]}";
	fake_homeserver_start(&scene->fake, scene->loop);
	JOINED(scene);
	scene_spin(scene, 500);
	/* libcurl may write the one in flight once more by itself; no other. */
	const struct fake_asked *flying = fake_homeserver_find(&scene->fake, 0, "PUT", "/send/", 1);
	for (int i = 2; i < scene_sends(scene); i++)
		assert_string_equal(fake_homeserver_find(&scene->fake, 0, "PUT", "/send/", i)->path, flying->path);
}

static void
test_direct_rooms_too(void **state)
{
	struct scene *scene = *state;

	JOINED(scene);
	scene->fake.encryption = ENCRYPTED;
	const char *source[] = { "test", NULL };
	struct outbox_draft draft = {
		.outgoing = { .kind = OUTGOING_PRIVATE, .lane = "@alice:hs", .text = "for you" }, .network = NETWORK_MATRIX, .group = "",
		.source = source,
	};
	outbox_add(scene->core->outbox, &draft);
	WAIT(scene, fake_homeserver_count(&scene->fake, 0, "POST", "/createRoom") == 1);
	WAIT(scene, cipher_is_on(port_of(scene), "!d:hs"));
	scene_spin(scene, 300);
	assert_int_equal(scene_sends(scene), 0);
	assert_int_equal(fake_homeserver_count(&scene->fake, 0, "POST", "/createRoom"), 1);
}

static void
test_refused(void **state)
{
	struct scene *scene = *state;

	scene_close(scene);
	scene->settings.refuse_encrypted = true;
	scene->fake.encryption = ENCRYPTED;
	scene_open(scene);
	scene->core->refuse_encrypted = true;
	JOINED(scene);
	WAIT(scene, xmpp_said(scene, "does not allow encrypted rooms"));
	scene_hear(scene, "xbob@x\nBob\nsecret body");
	WAIT(scene, xmpp_said(scene, "Your message did not cross: the Matrix room is encrypted"));
	WAIT(scene, scene_is_quiet(scene)); /* what was to be said there is refused, too */
	assert_int_equal(scene_sends(scene), 0);
}

/* ---- what comes in the clear ---- */

static void
test_plain_messages(void **state)
{
	struct scene *scene = *state;

	JOINED(scene);
	scene_say(scene, "$1", "@alice:hs", ROOM, "plain times");
	WAIT(scene, xmpp_said(scene, "plain times"));
	AUTO_FREE char *old = xasprintf("{\"type\":\"m.room.message\",\"event_id\":\"$2\",\"sender\":\"@alice:hs\",\"room_id\":\"" ROOM "\","
		"\"origin_server_ts\":%d,\"content\":{\"msgtype\":\"m.text\",\"body\":\"just before\"}}", 999);
	assert_int_equal(scene_push(scene, ENCRYPTED), 200);
	agree(scene);
	assert_int_equal(scene_push(scene, old), 200);
	WAIT(scene, xmpp_said(scene, "just before"));
	scene_say(scene, "$3", "@alice:hs", ROOM, "behind it");
	scene_spin(scene, 200);
	assert_false(xmpp_said(scene, "behind it"));
	scene->core->trust_all = true;
	scene_say(scene, "$4", "@alice:hs", ROOM, "trusted");
	WAIT(scene, xmpp_said(scene, "trusted (sent unencrypted)"));
}

/* ---- who may read ---- */

static void
note(void *context, const char *user)
{
	strcat(strcat(context, user), " ");
}

static const char *
recipients(struct scene *scene)
{
	static char all[512];

	*all = '\0';
	cipher_each_recipient(port_of(scene), ROOM, note, all);
	return all;
}

static void
member_at(struct scene *scene, const char *user, const char *membership, int64_t stamp_ms)
{
	AUTO_FREE char *event = xasprintf("{\"type\":\"m.room.member\",\"event_id\":\"$mem%d\",\"sender\":\"@alice:hs\",\"room_id\":\"" ROOM "\","
		"\"state_key\":\"%s\",\"origin_server_ts\":%" PRId64 ",\"content\":{\"membership\":\"%s\"}}", ++scene->next, user, stamp_ms, membership);

	assert_int_equal(scene_push(scene, event), 200);
}

/* After whatever was asked before. */
static void
member(struct scene *scene, const char *user, const char *membership)
{
	member_at(scene, user, membership, now_real_ms() + 60000);
}

#define CHUNK(user, how) "{\"type\":\"m.room.member\",\"state_key\":\"" user "\",\"content\":{\"membership\":\"" how "\"}}"

static void
test_recipients(void **state)
{
	struct scene *scene = *state;
	struct cipher_rules rules;

	scene->fake.encryption = ENCRYPTED;
	scene->fake.members = "{\"chunk\":[" CHUNK("@zoe:hs", "join") "," CHUNK("@alice:hs", "join") "," CHUNK("@ivan:hs", "invite") ","
		CHUNK("@gone:hs", "ban") "," CHUNK("@sourdine:hs", "join") "," CHUNK("@_xmpp_bob=40x:hs", "join") "," CHUNK("@zoe:hs", "join") "]}";
	JOINED(scene);
	assert_false(cipher_rules(port_of(scene), "!other:hs", &rules));
	assert_int_equal(fake_homeserver_count(&scene->fake, 0, "GET", "/members"), 0); /* nobody asked */
	WAIT(scene, cipher_prepare(port_of(scene), ROOM));
	assert_true(cipher_rules(port_of(scene), ROOM, &rules));
	assert_string_equal(rules.algorithm, "m.megolm.v1.aes-sha2");
	assert_string_equal(rules.visibility, "shared");
	assert_int_equal(rules.rotation_messages, 50);
	assert_int_equal(rules.rotation_ms, 0);
	assert_string_equal(recipients(scene), "@alice:hs @ivan:hs @zoe:hs ");
	/* Events keep it current. */
	member(scene, "@zoe:hs", "leave");
	member(scene, "@bea:hs", "join");
	member(scene, "@_xmpp_carol=40x:hs", "join");
	member(scene, "@kim:hs", "invite");
	assert_string_equal(recipients(scene), "@alice:hs @bea:hs @ivan:hs @kim:hs ");
	member(scene, "@kim:hs", "join");
	assert_int_equal(scene_push(scene, "{\"type\":\"m.room.history_visibility\",\"event_id\":\"$v\",\"sender\":\"@alice:hs\",\"room_id\":\"" ROOM "\","
		"\"state_key\":\"\",\"origin_server_ts\":9000000000000,\"content\":{\"history_visibility\":\"joined\"}}"), 200);
	assert_true(cipher_prepare(port_of(scene), ROOM));
	assert_string_equal(recipients(scene), "@alice:hs @bea:hs @kim:hs ");
	/* The past, which a transaction brings late, changes nothing but has them asked again. */
	member_at(scene, "@alice:hs", "leave", now_real_ms() - 60000);
	assert_false(cipher_prepare(port_of(scene), ROOM));
	WAIT(scene, cipher_prepare(port_of(scene), ROOM));
	assert_string_equal(recipients(scene), "@alice:hs @zoe:hs ");
}

/* Somebody who comes while the list is on its way may be missing in it. */
static void
test_recipients_are_complete(void **state)
{
	struct scene *scene = *state;

	scene->fake.encryption = ENCRYPTED;
	scene->fake.members = "{\"chunk\":[" CHUNK("@alice:hs", "join") "]}";
	JOINED(scene);
	struct fake_rule *rule = fake_homeserver_say(&scene->fake, "GET", "/members", 503, "{}", 1);
	WAIT(scene, cipher_prepare(port_of(scene), ROOM) || rule->times == 0);
	assert_false(cipher_prepare(port_of(scene), ROOM));
	WAIT_FOR(scene, 10000, cipher_prepare(port_of(scene), ROOM));
	int from = scene->fake.count;
	json_t *event = json_loads(CHUNK("@new:hs", "join"), 0, NULL);
	/* Out of the archive: it may be older than what is known. */
	cipher_see(port_of(scene), ROOM, event, true);
	assert_false(cipher_prepare(port_of(scene), ROOM));
	cipher_see(port_of(scene), ROOM, event, false);
	json_decref(event);
	WAIT(scene, cipher_prepare(port_of(scene), ROOM));
	assert_int_equal(fake_homeserver_count(&scene->fake, from, "GET", "/members"), 2);
	/* A new entry asks anew. */
	scene_close(scene);
	scene_open(scene);
	assert_false(cipher_prepare(port_of(scene), ROOM));
	JOINED(scene);
	WAIT(scene, cipher_prepare(port_of(scene), ROOM));
}

static void
test_plain_rooms_notice_nothing(void **state)
{
	struct scene *scene = *state;

	JOINED(scene);
	scene_hear(scene, "xbob@x\nBob\nhello");
	WAIT(scene, scene_sends(scene) == 1 && scene_is_quiet(scene));
	assert_int_equal(fake_homeserver_count(&scene->fake, 0, "GET", "/state/m.room.encryption"), 1);
	assert_int_equal(fake_homeserver_count(&scene->fake, 0, "GET", "history_visibility"), 0);
	assert_int_equal(fake_homeserver_count(&scene->fake, 0, "GET", "/members"), 0);
	assert_false(xmpp_said(scene, "encrypted"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_set_up, scene_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nothing_in_the_clear),
		TEST(test_not_before_it_is_known),
		TEST(test_turned_on_under_way),
		TEST(test_tried_in_the_clear),
		TEST(test_what_waits_in_the_port),
		TEST(test_direct_rooms_too),
		TEST(test_refused),
		TEST(test_plain_messages),
		TEST(test_recipients),
		TEST(test_recipients_are_complete),
		TEST(test_plain_rooms_notice_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
