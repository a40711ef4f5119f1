/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a ghost says in an encrypted room, read by a client of the test's own: from the bytes that the homeserver was given, with
 * keys that came to it as anybody's would. The database is only cut short, never asked.
 */
#include "matrix_scene.h"

#include "core/outbox_rows.h"

#include "matrix/crypto/crosssign.h"
#include "matrix/crypto/crypto.h"
#include "matrix/crypto/devicekeys.h"
#include "matrix/crypto/envelope.h"
#include "matrix/crypto/keep.h"
#include "matrix/crypto/own.h"
#include "matrix/crypto/peers.h"
#include "matrix/ghost.h"
#include "matrix/inside.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALICE "@alice:hs"
#define BOB "@_xmpp_bob=40x:hs"
#define CAROL "@_xmpp_carol=40x:hs"
#define SAID_MAX 64

/* A device of Alice's. */
struct client {
	const char *id;
	struct ratchet_account *account;
	struct ratchet_session *olm[4]; /* with each of ours */
	int partners;
	struct ratchet_inbound *megolm[8];
	int sessions;
	char curve[RATCHET_ID_SIZE], ed[RATCHET_ID_SIZE];
	json_t *keys;
	int letters, refusals; /* m.room_key, m.room_key.withheld */
	char code[32];         /* of the last refusal */
};

/* Something that was said, as the first client read it. */
struct said {
	char body[64], session[RATCHET_ID_SIZE], name[64];
	uint32_t index;
};

struct test {
	struct scene *scene;
	struct crosssign identity;
	struct client one, two;
	char *query, *claim;
	struct fake_rule *query_rule, *claim_rule;
	struct said said[SAID_MAX];
	int count, read; /* of said; requests that were looked at */
};

/* ---- the client ---- */

static json_t *
parse(const char *p, size_t n)
{
	json_t *json = json_loadb(p, n, 0, NULL);

	if (!json)
		fail_msg("no JSON: %.*s", (int)n, p);
	return json;
}

static void
make_client(struct test *test, struct client *client, const char *id, bool cross_signed)
{
	client->id = id;
	client->account = ratchet_account_new();
	ratchet_account_keys(client->account, client->curve, client->ed);
	assert_int_equal(ratchet_account_make_keys(client->account, 5), 0);
	client->keys = devicekeys_make(&(struct devicekeys){ client->account, ALICE, id });
	if (cross_signed)
		assert_int_equal(crosssign_sign_device(&test->identity, client->keys), 0);
}

static void
free_client(struct client *client)
{
	for (int i = 0; i < client->sessions; i++)
		ratchet_inbound_free(client->megolm[i]);
	for (int i = 0; i < client->partners; i++)
		ratchet_session_free(client->olm[i]);
	ratchet_account_free(client->account);
	json_decref(client->keys);
}

static char *
text_of(json_t *value)
{
	struct str out;

	str_init(&out, 1 << 20);
	json_add(&out, value);
	json_decref(value);
	return str_take(&out);
}

static struct crypto *
crypto_of(const struct scene *scene)
{
	return ((struct matrix *)(void *)scene->port)->crypto;
}

/* A user of ours, as the homeserver would show him. */
static void
add_own(struct test *test, json_t *answer, const char *user)
{
	struct crypto *crypto = crypto_of(test->scene);
	AUTO_KEEP_ACCOUNT struct keep_account account = { .id = 0 };
	struct crosssign identity;

	if (!crypto || !keep_find_account(crypto->keep, user, &account))
		return;
	crosssign_init(&identity, crypto->bridge_secret, 1, user);
	json_t *upload = crosssign_make_upload(&identity);
	crosssign_fini(&identity);
	json_object_set_new(json_object_get(answer, "device_keys"), user, json_pack("{s:o}", account.device,
		parse(account.device_keys, strlen(account.device_keys))));
	json_object_set(json_object_get(answer, "master_keys"), user, json_object_get(upload, "master_key"));
	json_object_set(json_object_get(answer, "self_signing_keys"), user, json_object_get(upload, "self_signing_key"));
	json_decref(upload);
}

/* What the homeserver says of Alice's devices, and of ours. */
static void
publish(struct test *test, const struct client *const *clients, size_t n)
{
	json_t *upload = crosssign_make_upload(&test->identity), *devices = json_object();

	for (size_t i = 0; i < n; i++)
		json_object_set(devices, clients[i]->id, clients[i]->keys);
	free(test->query);
	json_t *answer = json_pack("{s:{s:o}, s:{s:O}, s:{s:O}, s:{}}", "device_keys", ALICE, devices, "master_keys", ALICE,
		json_object_get(upload, "master_key"), "self_signing_keys", ALICE, json_object_get(upload, "self_signing_key"), "failures");
	add_own(test, answer, "@sourdine:hs");
	add_own(test, answer, BOB);
	add_own(test, answer, CAROL);
	test->query = text_of(answer);
	json_decref(upload);
	test->query_rule->body = test->query;
}

/* Which one-time key it gives out next: each is given once. */
static void
offer(struct test *test, const struct client *const *clients, size_t n, int number)
{
	json_t *devices = json_object();

	for (size_t i = 0; i < n; i++) {
		json_t *upload = devicekeys_make_upload(&(struct devicekeys){ clients[i]->account, ALICE, clients[i]->id }, NULL);
		json_t *keys = json_object_get(upload, "one_time_keys");
		void *at = json_object_iter(keys);
		for (int skip = 0; skip < number; skip++)
			at = json_object_iter_next(keys, at);
		json_object_set_new(devices, clients[i]->id, json_pack("{s:O}", json_object_iter_key(at), json_object_iter_value(at)));
		json_decref(upload);
	}
	free(test->claim);
	test->claim = text_of(json_pack("{s:{s:o}, s:{}}", "one_time_keys", ALICE, devices, "failures"));
	test->claim_rule->body = test->claim;
}

/* ---- the scene ---- */

static void
execute(const struct scene *scene, const char *sql)
{
	AUTO_FREE char *path = xasprintf("%s/sourdine.db", scene->directory);
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static int
set_up(void **state)
{
	static const unsigned char secret[PRIMITIVE_KEY] = "what Alice's identity is made of";
	struct test *test = xcalloc(1, sizeof(*test));
	void *made;

	if (scene_set_up(&made))
		return -1;
	struct scene *scene = test->scene = made;
	crosssign_init(&test->identity, secret, 1, ALICE);
	make_client(test, &test->one, "ONE", true);
	make_client(test, &test->two, "TWO", true);
	test->query_rule = fake_homeserver_say(&scene->fake, "POST", "/keys/query", 200, "{}", -1);
	fake_homeserver_say(&scene->fake, "GET", "org.sourdine.generation", 404, "{\"errcode\":\"M_NOT_FOUND\",\"error\":\"none\"}", -1);
	test->claim_rule = fake_homeserver_say(&scene->fake, "POST", "/keys/claim", 200, "{}", -1);
	scene->fake.members = "{\"chunk\":[{\"type\":\"m.room.member\",\"state_key\":\"@alice:hs\",\"sender\":\"@alice:hs\",\"content\":"
		"{\"membership\":\"join\",\"displayname\":\"Alice\"}}]}";
	publish(test, (const struct client *[]){ &test->one }, 1);
	offer(test, (const struct client *[]){ &test->one }, 1, 0);
	/* The ghost is made before its room is encrypted. */
	JOINED(scene);
	scene_hear(scene, "xbob@x\nBob\nin the clear");
	scene_hear(scene, "xcarol@x\nCarol\nhere as well");
	WAIT(scene, scene_sends(scene) == 2 && scene_is_quiet(scene));
	scene_close(scene);
	scene->fake.encryption = "{\"type\":\"m.room.encryption\",\"state_key\":\"\",\"sender\":\"@alice:hs\",\"content\":"
		"{\"algorithm\":\"m.megolm.v1.aes-sha2\",\"rotation_period_msgs\":3}}";
	execute(scene, "INSERT INTO consent VALUES ('" ROOM "', '" MUC "', '@alice:hs', 0)");
	scene->settings.encrypts = true;
	scene->settings.newcomer_ms = 1;
	scene_open(scene);
	JOINED(scene);
	WAIT(scene, own_is_ready(ghost_own(ghost_get((struct matrix *)(void *)scene->port, &(struct author){ .person = NULL }))));
	test->read = scene->fake.count;
	*state = test;
	return 0;
}

static int
tear_down(void **state)
{
	struct test *test = *state;
	void *scene = test->scene;

	scene_tear_down(&scene);
	free_client(&test->one);
	free_client(&test->two);
	crosssign_fini(&test->identity);
	free(test->query);
	free(test->claim);
	free(test);
	return 0;
}

static void
restart(struct test *test)
{
	publish(test, (const struct client *[]){ &test->one }, 1);
	scene_close(test->scene);
	scene_open(test->scene);
	JOINED(test->scene);
}

/* ---- reading ---- */

/* All of ours are pre-key messages, since nobody answers them. */
static void
open_letter(struct client *client, const char *sender_curve, const json_t *part, struct secret *plain)
{
	const char *body = json_text(part, "body");
	int64_t type = -1;

	assert_true(json_whole(part, "type", &type) && type == RATCHET_PRE_KEY);
	for (int i = 0; i < client->partners; i++)
		if (ratchet_session_matches(client->olm[i], sender_curve, body)) {
			assert_int_equal(ratchet_session_decrypt(client->olm[i], type, body, plain), 0);
			return;
		}
	assert_int_equal(ratchet_session_accept(&client->olm[client->partners++], plain, client->account, sender_curve, body), 0);
}

/* An Olm message to the client: the room key in it. */
static void
take_key(struct client *client, const json_t *content)
{
	const char *sender_curve = json_text(content, "sender_key");
	AUTO_SECRET struct secret plain = { NULL, 0 };

	open_letter(client, sender_curve, json_child(json_child(content, "ciphertext"), client->curve), &plain);
	json_t *json = parse(plain.p, plain.n);
	struct envelope_ends ends = { .sender = json_text(json, "sender"), .recipient = ALICE, .recipient_ed = client->ed, .sender_curve = sender_curve };
	const json_t *key;
	const char *what;
	/* The sender's Ed25519 key is not known to us: what proves it is in the message. */
	assert_int_equal(envelope_check(json, &ends, &what, &key), 0);
	assert_string_equal(what, "m.room_key");
	assert_string_equal(json_text(key, "room_id"), ROOM);
	assert_true(json_is_on(key, "shared_history"));
	assert_int_equal(ratchet_inbound_open(&client->megolm[client->sessions], RATCHET_SHARED, json_text(key, "session_key")), 0);
	char id[RATCHET_ID_SIZE];
	ratchet_inbound_id(client->megolm[client->sessions++], id);
	assert_string_equal(id, json_text(key, "session_id"));
	client->letters++;
	json_decref(json);
}

static void
take_letter(struct client *client, const struct fake_asked *asked)
{
	json_t *body = parse(asked->body, strlen(asked->body));
	const json_t *content = json_child(json_child(json_child(body, "messages"), ALICE), client->id);

	if (content && strstr(asked->path, "m.room_key.withheld")) {
		client->refusals++;
		snprintf(client->code, sizeof(client->code), "%s", json_text(content, "code"));
	} else if (content) {
		take_key(client, content);
	}
	json_decref(body);
}

/* With the latest key of this session that goes back far enough; false when there is none. */
static bool
decrypt(struct client *client, const json_t *content, struct secret *plain, uint32_t *index)
{
	for (int i = client->sessions - 1; i >= 0; i--) {
		char id[RATCHET_ID_SIZE];
		ratchet_inbound_id(client->megolm[i], id);
		if (strcmp(id, json_text(content, "session_id")) == 0 &&
				ratchet_inbound_decrypt(client->megolm[i], json_text(content, "ciphertext"), plain, index) == 0)
			return true;
	}
	return false;
}

static void
take_event(struct test *test, const struct fake_asked *asked)
{
	struct said *said = &test->said[test->count++];
	AUTO_SECRET struct secret plain = { NULL, 0 };
	json_t *content = parse(asked->body, strlen(asked->body));

	assert_true(test->count < SAID_MAX);
	assert_true(decrypt(&test->one, content, &plain, &said->index));
	json_t *event = parse(plain.p, plain.n);
	assert_string_equal(json_text(event, "room_id"), ROOM);
	assert_string_equal(json_text(event, "type"), "m.room.message");
	snprintf(said->body, sizeof(said->body), "%s", json_text(json_child(event, "content"), "body"));
	snprintf(said->session, sizeof(said->session), "%s", json_text(content, "session_id"));
	snprintf(said->name, sizeof(said->name), "%s", json_text(content, "org.sourdine.id"));
	assert_non_null(strstr(asked->path, said->name));
	assert_null(strstr(asked->body, "\"body\"")); /* a short text may well stand in base64 */
	json_decref(event);
	json_decref(content);
}

/* Everything that was asked since. */
static void
look(struct test *test)
{
	const struct fake_homeserver *fake = &test->scene->fake;

	for (; test->read < fake->count; test->read++) {
		const struct fake_asked *asked = &fake->asked[test->read];
		assert_null(strstr(asked->path, "/send/m.room.message/"));
		if (strstr(asked->path, "/sendToDevice/")) {
			take_letter(&test->one, asked);
			take_letter(&test->two, asked);
		} else if (strstr(asked->path, "/send/m.room.encrypted/")) {
			take_event(test, asked);
		}
	}
}

static int
count(const struct test *test, int from, const char *part)
{
	return fake_homeserver_count(&test->scene->fake, from, "PUT", part) + fake_homeserver_count(&test->scene->fake, from, "POST", part) +
		fake_homeserver_count(&test->scene->fake, from, "GET", part);
}

/* What was written there since. */
static int
writes(const struct test *test, int from)
{
	int n = 0;

	for (int i = from; i < test->scene->fake.count; i++)
		n += strcmp(test->scene->fake.asked[i].method, "GET") != 0;
	return n;
}

static void
say(struct test *test, const char *body)
{
	AUTO_FREE char *raw = xasprintf("xbob@x\nBob\n%s", body);

	scene_hear(test->scene, raw);
}

static void
say_and_wait(struct test *test, const char *body)
{
	int before = test->count;

	say(test, body);
	WAIT(test->scene, scene_is_quiet(test->scene));
	look(test);
	assert_int_equal(test->count, before + 1);
	assert_string_equal(test->said[before].body, body);
}

/* ---- tests ---- */

static void
test_key_first(void **state)
{
	struct test *test = *state;
	int from = test->scene->fake.count;
	static const char *const order[] = { "/keys/query?user_id=@sourdine:hs&device_id=", "/keys/claim", "/sendToDevice/m.room.encrypted/",
		"/send/m.room.encrypted/" };
	const struct fake_asked *last = test->scene->fake.asked;

	say_and_wait(test, "one");
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		const struct fake_asked *asked = fake_homeserver_find(&test->scene->fake, from, i < 2 ? "POST" : "PUT", order[i], 0);
		assert_true(asked && asked > last);
		assert_int_equal(count(test, from, order[i]), 1);
		last = asked;
	}
	assert_non_null(strstr(last->path, "&device_id="));
	assert_int_equal(test->said[0].index, 0);
	/* The second costs one request. */
	from = test->scene->fake.count;
	say_and_wait(test, "two");
	assert_int_equal(writes(test, from), 1);
	assert_int_equal(test->said[1].index, 1);
	assert_string_equal(test->said[0].session, test->said[1].session);
}

static void
test_restart_asks_nothing_again(void **state)
{
	struct test *test = *state;

	say_and_wait(test, "one");
	restart(test);
	int from = test->scene->fake.count;
	say_and_wait(test, "two");
	assert_int_equal(count(test, from, "/keys/claim") + count(test, from, "/sendToDevice/"), 0);
	/* Each of ours compares his own keys once; nobody asks for Alice's. */
	assert_int_equal(fake_homeserver_count(&test->scene->fake, from, "POST", "/keys/query?user_id=@sourdine:hs&device_id="), 0);
	assert_int_equal(test->said[1].index, 1);
}

/* Killed between the ratchet's commit and the answer: the same bytes under the same name. */
static void
test_same_ciphertext(void **state)
{
	struct test *test = *state;
	struct fake_homeserver *fake = &test->scene->fake;

	say_and_wait(test, "one");
	int from = fake->count;
	fake_homeserver_say(fake, "PUT", "/send/m.room.encrypted/", 200, NULL, 1);
	say(test, "two");
	WAIT(test->scene, count(test, from, "/send/m.room.encrypted/") == 1);
	restart(test);
	WAIT(test->scene, count(test, from, "/send/m.room.encrypted/") == 2 && scene_is_quiet(test->scene));
	const struct fake_asked *first = fake_homeserver_find(fake, from, "PUT", "/send/m.room.encrypted/", 0);
	const struct fake_asked *second = fake_homeserver_find(fake, from, "PUT", "/send/m.room.encrypted/", 1);
	assert_string_equal(first->path, second->path);
	assert_string_equal(first->body, second->body);
	look(test);
	say_and_wait(test, "three");
	assert_int_equal(test->said[3].index, 2);
}

/* Killed while the key is on its way: the same letter again, no other key claimed, nothing said before. */
static void
test_same_letter(void **state)
{
	struct test *test = *state;
	struct fake_homeserver *fake = &test->scene->fake;
	int from = fake->count;

	fake_homeserver_say(fake, "PUT", "/sendToDevice/", 200, NULL, 1);
	say(test, "one");
	WAIT(test->scene, count(test, from, "/sendToDevice/") == 1);
	scene_spin(test->scene, 50);
	assert_int_equal(count(test, from, "/send/m.room.encrypted/"), 0);
	restart(test);
	WAIT(test->scene, scene_is_quiet(test->scene));
	assert_int_equal(count(test, from, "/sendToDevice/"), 2);
	assert_int_equal(count(test, from, "/keys/claim"), 1);
	const struct fake_asked *first = fake_homeserver_find(fake, from, "PUT", "/sendToDevice/", 0);
	const struct fake_asked *second = fake_homeserver_find(fake, from, "PUT", "/sendToDevice/", 1);
	assert_string_equal(first->path, second->path);
	assert_string_equal(first->body, second->body);
	test->read = (int)(second - fake->asked);
	look(test);
	assert_string_equal(test->said[0].body, "one");
}

/* The homeserver fails on the key: it is sent again, and only then is anything said. */
static void
test_letter_fails(void **state)
{
	struct test *test = *state;
	struct fake_homeserver *fake = &test->scene->fake;
	int from = fake->count;

	fake_homeserver_say(fake, "PUT", "/sendToDevice/", 500, "{}", 1);
	say(test, "one");
	WAIT(test->scene, scene_is_quiet(test->scene));
	const struct fake_asked *first = fake_homeserver_find(fake, from, "PUT", "/sendToDevice/", 0);
	const struct fake_asked *second = fake_homeserver_find(fake, from, "PUT", "/sendToDevice/", 1);
	assert_true(first && second);
	assert_string_equal(first->body, second->body);
	assert_string_equal(first->path, second->path);
	assert_true(fake_homeserver_find(fake, from, "PUT", "/send/m.room.encrypted/", 0) > second);
}

/* The database turns out to be an old copy while something waits to be said: not by the device that the copy knows. */
static void
test_an_old_copy_while_something_waits(void **state)
{
	struct test *test = *state;
	struct fake_homeserver *fake = &test->scene->fake;
	int from = fake->count;

	test->claim_rule->body = NULL;
	scene_hear(test->scene, "xcarol@x\nCarol\nc1");
	WAIT(test->scene, count(test, from, "/keys/claim") == 1);
	AUTO_FREE char *device = xstrdup(strstr(fake_homeserver_find(fake, from, "POST", "/keys/claim", 0)->path, "&device_id="));
	for (int i = 0; i < FAKE_RULES_MAX; i++)
		if (fake->rules[i].part && strcmp(fake->rules[i].part, "org.sourdine.generation") == 0)
			fake->rules[i].times = 0;
	/* It is not known at first, so that the room is entered and the ghost looked at before. */
	fake_homeserver_say(fake, "GET", "org.sourdine.generation", 500, "{}", 1);
	fake_homeserver_say(fake, "GET", "org.sourdine.generation", 200, "{\"generation\":99}", -1);
	from = fake->count;
	restart(test);
	offer(test, (const struct client *[]){ &test->one }, 1, 0);
	WAIT(test->scene, count(test, from, "/send/m.room.encrypted/") == 1 && scene_is_quiet(test->scene));
	assert_null(strstr(fake_homeserver_find(fake, from, "PUT", "/send/m.room.encrypted/", 0)->path, device));
	assert_int_equal(fake_homeserver_count(fake, from, "PUT", "/sendToDevice/"), 1);
	look(test);
	assert_string_equal(test->said[0].body, "c1");
}

/* Many at once, more than a session may say: each session in its turn, nothing out of order, no index twice. */
static void
test_rotation_in_a_burst(void **state)
{
	struct test *test = *state;

	for (int i = 0; i < 8; i++) {
		char body[24];
		snprintf(body, sizeof(body), "number %d", i);
		say(test, body);
	}
	WAIT(test->scene, scene_is_quiet(test->scene));
	look(test);
	assert_int_equal(test->count, 8);
	for (int i = 0; i < 8; i++) {
		char body[24];
		snprintf(body, sizeof(body), "number %d", i);
		assert_string_equal(test->said[i].body, body);
		assert_int_equal(test->said[i].index, i % 3);
		assert_int_equal(strcmp(test->said[i].session, test->said[i / 3 * 3].session), 0);
		assert_true(i < 3 || strcmp(test->said[i].session, test->said[i - 3].session) != 0);
	}
	assert_int_equal(test->one.letters, 3);
	assert_int_equal(count(test, 0, "/keys/claim"), 1);
}

/* One of them must begin a new session in the middle: the other does not overtake. */
static void
test_two_ghosts_in_a_burst(void **state)
{
	struct test *test = *state;
	static const char *const bodies[] = { "b1", "c1", "b2", "b3", "b4", "c2", "b5" };

	say_and_wait(test, "b1");
	offer(test, (const struct client *[]){ &test->one }, 1, 1);
	scene_hear(test->scene, "xcarol@x\nCarol\nc1");
	WAIT(test->scene, scene_is_quiet(test->scene));
	for (int i = 2; i < 5; i++)
		say(test, bodies[i]);
	scene_hear(test->scene, "xcarol@x\nCarol\nc2");
	say(test, "b5");
	WAIT(test->scene, scene_is_quiet(test->scene));
	look(test);
	assert_int_equal(test->count, 7);
	for (int i = 0; i < 7; i++)
		assert_string_equal(test->said[i].body, bodies[i]);
	assert_string_equal(test->said[1].session, test->said[5].session);
	assert_string_equal(test->said[4].session, test->said[6].session);
	assert_int_equal(test->said[6].index, 1);
}

static bool
is_signed(struct matrix *matrix, const char *person)
{
	struct own *own = ghost_own(ghost_get(matrix, &(struct author){ .person = person }));

	return own && own_is_ready(own);
}

/* Who speaks second has his device signed, and its moment of being new, while the first one's passes. */
static void
test_two_newcomers(void **state)
{
	struct test *test = *state;
	struct scene *scene = test->scene;
	struct matrix *matrix = (struct matrix *)(void *)scene->port;

	matrix->settings.newcomer_ms = 60000;
	scene_hear(scene, "xbob@x\nBob\nb1");
	scene_hear(scene, "xcarol@x\nCarol\nc1");
	WAIT(scene, is_signed(matrix, "xbob@x") && is_signed(matrix, "xcarol@x"));
	scene_spin(scene, 50);
	assert_int_equal(count(test, 0, "/send/m.room.encrypted/"), 0);
}

/* Who comes again, or into one more room, is new to those who are there. */
static void
test_newcomer_in_a_room(void **state)
{
	struct test *test = *state;
	struct scene *scene = test->scene;

	say_and_wait(test, "one");
	restart(test);
	((struct matrix *)(void *)scene->port)->settings.newcomer_ms = 300;
	say_and_wait(test, "two");
	assert_int_equal(scene_member(scene, "$k", ALICE, "@_xmpp_bob=40x:hs", "leave"), 200);
	WAIT(scene, scene_is_quiet(scene));
	int from = scene->fake.count;
	say(test, "three");
	WAIT(scene, fake_homeserver_count(&scene->fake, from, "POST", "/join/") == 1);
	int64_t joined_ms = now_monotonic_ms();
	WAIT(scene, count(test, from, "/send/m.room.encrypted/") == 1);
	assert_in_range(now_monotonic_ms() - joined_ms, 290, 4990);
}

/* A device without one-time keys is told so once; the others are written to, and it is not asked about at every message. */
static void
test_no_key(void **state)
{
	struct test *test = *state;

	publish(test, (const struct client *[]){ &test->one, &test->two }, 2);
	say_and_wait(test, "one");
	assert_int_equal(test->two.refusals, 1);
	assert_string_equal(test->two.code, "m.no_olm");
	assert_int_equal(test->two.letters, 0);
	int from = test->scene->fake.count;
	say_and_wait(test, "two");
	assert_int_equal(writes(test, from), 1);
	assert_int_equal(test->two.refusals, 1);
}

static void
test_unsigned_device(void **state)
{
	struct test *test = *state;

	free_client(&test->two);
	test->two = (struct client){ .id = NULL };
	make_client(test, &test->two, "TWO", false);
	publish(test, (const struct client *[]){ &test->one, &test->two }, 2);
	offer(test, (const struct client *[]){ &test->one, &test->two }, 2, 0);
	say_and_wait(test, "one");
	assert_string_equal(test->two.code, "m.unverified");
	assert_int_equal(test->two.letters, 0);
	assert_null(strstr(fake_homeserver_find(&test->scene->fake, 0, "POST", "/keys/claim", 0)->body, "TWO"));
}

/* A new device gets the key from now on; one that goes takes the session with it. */
static void
test_devices_come_and_go(void **state)
{
	struct test *test = *state;

	say_and_wait(test, "one");
	publish(test, (const struct client *[]){ &test->one, &test->two }, 2);
	offer(test, (const struct client *[]){ &test->two }, 1, 0);
	peers_touch(crypto_of(test->scene)->peers, ALICE);
	uint64_t saved = keep_writes(crypto_of(test->scene)->keep);
	say_and_wait(test, "two");
	/* A session with it that has already been written through, and the message: nothing is kept twice. */
	assert_int_equal(keep_writes(crypto_of(test->scene)->keep) - saved, 2);
	assert_string_equal(test->said[0].session, test->said[1].session);
	assert_int_equal(test->one.letters, 1);
	assert_int_equal(test->two.letters, 1);
	assert_int_equal(ratchet_inbound_first(test->two.megolm[0]), 1);
	publish(test, (const struct client *[]){ &test->one }, 1);
	peers_touch(crypto_of(test->scene)->peers, ALICE);
	say_and_wait(test, "three");
	assert_string_not_equal(test->said[1].session, test->said[2].session);
	assert_int_equal(test->two.letters, 1);
	assert_int_equal(count(test, 0, "/keys/claim"), 2);
}

/* A device that began anew may have lost what it was given. */
static void
test_wedged(void **state)
{
	struct test *test = *state;

	say_and_wait(test, "one");
	peers_wedged(crypto_of(test->scene)->peers, ALICE, test->one.curve);
	say_and_wait(test, "two");
	assert_int_equal(test->one.letters, 2);
	assert_int_equal(ratchet_inbound_first(test->one.megolm[1]), 1);
	assert_string_equal(test->said[0].session, test->said[1].session);
	say_and_wait(test, "three");
	assert_int_equal(test->one.letters, 2);
}

/* Alice's server does not answer for her: what is known of her is written to. */
static void
test_server_fails(void **state)
{
	struct test *test = *state;

	say_and_wait(test, "one");
	test->query_rule->body = "{\"device_keys\":{},\"failures\":{\"hs\":{}}}";
	peers_touch(crypto_of(test->scene)->peers, ALICE);
	say_and_wait(test, "two");
	int from = test->scene->fake.count;
	say_and_wait(test, "three");
	assert_int_equal(writes(test, from), 1);
}

static void
member(struct test *test, const char *user, const char *membership)
{
	AUTO_FREE char *event = xasprintf("{\"type\":\"m.room.member\",\"event_id\":\"$m%s\",\"sender\":\"%s\",\"room_id\":\"" ROOM "\","
		"\"state_key\":\"%s\",\"origin_server_ts\":%" PRId64 ",\"content\":{\"membership\":\"%s\"}}", membership, user, user,
		now_real_ms() + 60000, membership);

	assert_int_equal(scene_push(test->scene, event), 200);
}

/* She comes back with a new device while her room waits for a key: what is said meanwhile is for that one too. */
static void
test_back_with_another_device(void **state)
{
	struct test *test = *state;
	AUTO_FREE char *stalled = xasprintf("{\"type\":\"m.room.encrypted\",\"event_id\":\"$c\",\"sender\":\"" ALICE "\",\"room_id\":\"" ROOM "\","
		"\"origin_server_ts\":%" PRId64 ",\"content\":{\"algorithm\":\"m.megolm.v1.aes-sha2\",\"session_id\":\"nobody gave it\","
		"\"ciphertext\":\"AwgA\"}}", now_real_ms());

	say_and_wait(test, "one");
	assert_int_equal(scene_push(test->scene, stalled), 200);
	publish(test, (const struct client *[]){ &test->one, &test->two }, 2);
	offer(test, (const struct client *[]){ &test->two }, 1, 0);
	member(test, ALICE, "join");
	say(test, "two");
	WAIT(test->scene, count(test, 0, "/send/m.room.encrypted/") == 2);
	look(test);
	assert_int_equal(test->two.letters, 1);
}

/* The bot comes back: who is there may have other devices than when it went. Also after a restart in between. */
static void
test_the_bot_is_back(void **state)
{
	struct test *test = *state;

	say_and_wait(test, "one");
	publish(test, (const struct client *[]){ &test->one, &test->two }, 2);
	offer(test, (const struct client *[]){ &test->two }, 1, 0);
	member(test, "@sourdine:hs", "join");
	scene_close(test->scene);
	scene_open(test->scene);
	JOINED(test->scene);
	say_and_wait(test, "two");
	assert_int_equal(test->two.letters, 1);
	/* Once. */
	scene_close(test->scene);
	scene_open(test->scene);
	JOINED(test->scene);
	int from = test->scene->fake.count;
	say_and_wait(test, "three");
	assert_int_equal(fake_homeserver_count(&test->scene->fake, from, "POST", "/keys/query?user_id=@sourdine:hs&device_id="), 0);
}

/* More devices than are claimed at once, and than are believed: who can be written to does not wait for the others. */
static void
test_many_devices(void **state)
{
	enum { MANY = 510 };
	struct test *test = *state;
	struct fake_homeserver *fake = &test->scene->fake;
	struct client *clients = xcalloc(MANY, sizeof(*clients));
	const struct client *all[MANY];
	char ids[MANY][16];

	for (int i = 0; i < MANY; i++) {
		snprintf(ids[i], sizeof(ids[i]), "D%d", i);
		make_client(test, &clients[i], ids[i], true);
		all[i] = &clients[i];
	}
	publish(test, all, MANY);
	offer(test, all, MANY, 0);
	test->claim_rule->times = 1;
	struct fake_rule *failing = fake_homeserver_say(fake, "POST", "/keys/claim", 503, "{\"errcode\":\"M_UNKNOWN\"}", -1);
	struct fake_rule *rest = fake_homeserver_say(fake, "POST", "/keys/claim", 200, test->claim, -1);
	say(test, "one");
	WAIT_FOR(test->scene, 30000, count(test, 0, "/keys/claim") >= 2);
	WAIT_FOR(test->scene, 10000, count(test, 0, "/sendToDevice/m.room.encrypted/") == 4);
	failing->times = 0;
	WAIT_FOR(test->scene, 60000, count(test, 0, "/send/m.room.encrypted/") == 1);
	assert_int_equal(count(test, 0, "/sendToDevice/m.room.encrypted/"), 10);
	rest->times = 0;
	for (int i = 0; i < MANY; i++)
		free_client(&clients[i]);
	free(clients);
}

/* Lost twice within the hour: at its end the homeserver shows a device without keys, and nothing is given by that one. */
static void
test_lost_twice(void **state)
{
	struct test *test = *state;
	struct fake_homeserver *fake = &test->scene->fake;

	say_and_wait(test, "one");
	struct ghost *ghost = ghost_find((struct matrix *)(void *)test->scene->port, BOB);
	struct own *own = ghost_own(ghost);
	AUTO_FREE char *first = xstrdup(own->record.device);
	ghost_lost_device(ghost, first);
	offer(test, (const struct client *[]){ &test->one }, 1, 1);
	say_and_wait(test, "two");
	AUTO_FREE char *second = xstrdup(own->record.device);
	assert_string_not_equal(first, second);
	json_t *answer = parse(test->query, strlen(test->query));
	json_object_set_new(json_object_get(answer, "device_keys"), BOB, json_object());
	AUTO_FREE char *bare = text_of(answer);
	test->query_rule->body = bare;
	int from = fake->count;
	ghost_lost_device(ghost, second);
	say(test, "three");
	WAIT(test->scene, fake_homeserver_count(fake, from, "PUT", "/devices/") == 1);
	scene_spin(test->scene, 100);
	assert_int_equal(count(test, from, "/sendToDevice/") + count(test, from, "/send/m.room.encrypted/"), 0);
	assert_true(own->useless && loop_timer_armed(&own->rest));
	/* The hour is over. */
	own->rests_ms = 0;
	loop_timer_set(&own->rest, 0);
	offer(test, (const struct client *[]){ &test->one }, 1, 2);
	WAIT(test->scene, scene_is_quiet(test->scene));
	for (int i = from; i < fake->count; i++)
		if (strstr(fake->asked[i].path, "/send"))
			assert_null(strstr(fake->asked[i].path, second));
	look(test);
	assert_int_equal(test->count, 3);
	assert_string_equal(test->said[2].body, "three");
}

/* Who left cannot read what is said afterwards. */
static void
test_somebody_leaves(void **state)
{
	struct test *test = *state;
	struct fake_homeserver *fake = &test->scene->fake;

	say_and_wait(test, "one");
	fake_homeserver_say(fake, "GET", "/joined_members", 200, "{\"joined\":{\"@sourdine:hs\":{}}}", -1);
	fake->members = "{\"chunk\":[]}";
	assert_int_equal(scene_push(test->scene, "{\"type\":\"m.room.member\",\"event_id\":\"$l\",\"sender\":\"" ALICE "\",\"room_id\":\"" ROOM "\","
		"\"state_key\":\"" ALICE "\",\"origin_server_ts\":1,\"content\":{\"membership\":\"leave\"}}"), 200);
	int from = fake->count;
	say(test, "two");
	WAIT(test->scene, scene_is_quiet(test->scene));
	const struct fake_asked *asked = fake_homeserver_find(fake, from, "PUT", "/send/m.room.encrypted/", 0);
	assert_non_null(asked);
	assert_null(strstr(asked->body, test->said[0].session));
	assert_int_equal(count(test, from, "/sendToDevice/"), 0);
}

/* What m.room.encryption says has changed: nobody goes on as before (e2ee.md 3.7). */
static void
test_other_rules(void **state)
{
	struct test *test = *state;
#define EVENT "{\"type\":\"m.room.encryption\",\"event_id\":\"$e%d\",\"sender\":\"" ALICE "\",\"room_id\":\"" ROOM "\"," \
		"\"state_key\":\"\",\"origin_server_ts\":1,\"content\":{\"algorithm\":\"m.megolm.v1.aes-sha2\",\"rotation_period_msgs\":%d}}"
	AUTO_FREE char *same = xasprintf(EVENT, 1, 3), *other = xasprintf(EVENT, 2, 50);
#undef EVENT

	say_and_wait(test, "one");
	assert_int_equal(scene_push(test->scene, same), 200);
	say_and_wait(test, "two");
	assert_string_equal(test->said[0].session, test->said[1].session);
	assert_int_equal(scene_push(test->scene, other), 200);
	say_and_wait(test, "three");
	assert_string_not_equal(test->said[1].session, test->said[2].session);
	restart(test); /* the room's state still says 3: it has changed again, as far as is known */
	say_and_wait(test, "four");
	assert_string_not_equal(test->said[2].session, test->said[3].session);
	restart(test);
	say_and_wait(test, "five");
	assert_string_equal(test->said[3].session, test->said[4].session);
}

/* A group can trust less than the site, or more: at once. */
static void
test_trust_of_the_group(void **state)
{
	struct test *test = *state;
	struct group *group = groups_of_room(&test->scene->core->groups, ROOM);

	free_client(&test->two);
	test->two = (struct client){ .id = NULL };
	make_client(test, &test->two, "TWO", false);
	publish(test, (const struct client *[]){ &test->one, &test->two }, 2);
	offer(test, (const struct client *[]){ &test->one, &test->two }, 2, 0);
	group->trust = TRUST_ALL;
	say_and_wait(test, "one");
	assert_int_equal(test->two.letters, 1);
	group->trust = TRUST_CROSS_SIGNED;
	say_and_wait(test, "two");
	assert_int_equal(test->two.letters, 1);
	assert_string_equal(test->two.code, "m.unverified");
	assert_string_not_equal(test->said[0].session, test->said[1].session);
}

/* A key is asked for until the homeserver has taken the question, and not once more. */
static void
test_asking_for_a_key(void **state)
{
	struct test *test = *state;
	struct fake_homeserver *fake = &test->scene->fake;
	int from = fake->count;

	fake_homeserver_say(fake, "PUT", "/sendToDevice/m.room_key_request/", 503, "{\"errcode\":\"M_UNKNOWN\"}", 1);
	for (int i = 0; i < 2; i++) {
		AUTO_FREE char *event = xasprintf("{\"type\":\"m.room.encrypted\",\"event_id\":\"$c%d\",\"sender\":\"" ALICE "\",\"room_id\":\"" ROOM "\","
			"\"origin_server_ts\":%" PRId64 ",\"content\":{\"algorithm\":\"m.megolm.v1.aes-sha2\",\"session_id\":\"nobody gave it\","
			"\"ciphertext\":\"AwgA\"}}", i, now_real_ms());
		assert_int_equal(scene_push(test->scene, event), 200);
	}
	WAIT_FOR(test->scene, 10000, count(test, from, "/sendToDevice/m.room_key_request/") == 2);
	const struct fake_asked *asked = fake_homeserver_find(fake, from, "PUT", "/sendToDevice/m.room_key_request/", 1);
	assert_non_null(strstr(asked->body, "nobody gave it"));
	scene_spin(test->scene, 3000);
	assert_int_equal(count(test, from, "/sendToDevice/m.room_key_request/"), 2);
}

static void
tell_alice(struct test *test, const char *text)
{
	const char *source[] = { text, NULL };
	struct outbox_draft draft = { .outgoing = { .kind = OUTGOING_PRIVATE, .lane = ALICE, .text = text }, .network = NETWORK_MATRIX, .group = "",
		.source = source };

	people_save_direct(test->scene->core->people, ALICE, ""); /* she has left the last one */
	outbox_add(test->scene->core->outbox, &draft);
}

static void
say_to_alice(struct test *test, const char *text)
{
	tell_alice(test, text);
	WAIT(test->scene, scene_is_quiet(test->scene));
}

static bool
made_encrypted(struct test *test, int nth)
{
	const struct fake_asked *asked = fake_homeserver_find(&test->scene->fake, 0, "POST", "/createRoom", nth);

	assert_non_null(asked);
	return strstr(asked->body, "\"m.megolm.v1.aes-sha2\"") && strstr(asked->body, "\"m.room.encryption\"");
}

/* Encrypted for who can read it, by the devices that there are now; and where it must be, not at all for who cannot. */
static void
test_direct_rooms(void **state)
{
	struct test *test = *state;
	struct scene *scene = test->scene;
	struct client unsigned_one = { .id = NULL };

	say_to_alice(test, "one");
	assert_true(made_encrypted(test, 0));
	assert_non_null(fake_homeserver_find(&scene->fake, 0, "PUT", "/rooms/!d:hs/send/m.room.encrypted/", 0));
	assert_int_equal(fake_homeserver_count(&scene->fake, 0, "PUT", "/rooms/!d:hs/send/m.room.message/"), 0);
	make_client(test, &unsigned_one, "NEW", false);
	publish(test, (const struct client *[]){ &unsigned_one }, 1);
	say_to_alice(test, "two");
	assert_false(made_encrypted(test, 1));
	scene_close(scene);
	scene->settings.refuse_plain = true;
	scene_open(scene);
	JOINED(scene);
	say_to_alice(test, "three");
	assert_int_equal(fake_homeserver_count(&scene->fake, 0, "POST", "/createRoom"), 2);
	publish(test, (const struct client *[]){ &test->one, &unsigned_one }, 2);
	scene_close(scene);
	scene_open(scene);
	JOINED(scene);
	say_to_alice(test, "four");
	assert_true(made_encrypted(test, 2));
	free_client(&unsigned_one);
	/* Nobody says whether she could read it: nothing is made in the clear meanwhile. */
	execute(scene, "DELETE FROM c_device; DELETE FROM c_user");
	int from = scene->fake.count;
	test->query_rule->body = "{\"device_keys\":{},\"failures\":{\"hs\":{}}}";
	tell_alice(test, "five");
	WAIT(scene, count(test, from, "/keys/query") == 1);
	scene_spin(scene, 300);
	assert_int_equal(fake_homeserver_count(&scene->fake, from, "POST", "/createRoom"), 0);
	assert_false(scene_is_quiet(scene));
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_key_first),
		TEST(test_restart_asks_nothing_again),
		TEST(test_same_ciphertext),
		TEST(test_same_letter),
		TEST(test_letter_fails),
		TEST(test_an_old_copy_while_something_waits), TEST(test_rotation_in_a_burst),
		TEST(test_two_ghosts_in_a_burst),
		TEST(test_two_newcomers),
		TEST(test_newcomer_in_a_room),
		TEST(test_no_key),
		TEST(test_unsigned_device),
		TEST(test_devices_come_and_go),
		TEST(test_wedged),
		TEST(test_server_fails),
		TEST(test_back_with_another_device),
		TEST(test_the_bot_is_back),
		TEST(test_many_devices),
		TEST(test_lost_twice),
		TEST(test_somebody_leaves),
		TEST(test_other_rules),
		TEST(test_trust_of_the_group),
		TEST(test_asking_for_a_key),
		TEST(test_direct_rooms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
