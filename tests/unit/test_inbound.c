/* SPDX-License-Identifier: Apache-2.0 */
/* What others send, made here by clients of our own pure modules, truthful and otherwise. */
#include "matrix/crypto/inbound.h"

#include "base/log.h"
#include "base/metric.h"
#include "core/inbox_rows.h"
#include "matrix/crypto/decipher.h"
#include "matrix/crypto/devicekeys.h"
#include "matrix/crypto/envelope.h"
#include "matrix/crypto/mend.h"
#include "matrix/crypto/peers.h"
#include "matrix/crypto/received.h"
#include "matrix/crypto/roster.h"
#include "matrix/crypto/waiting.h"
#include "scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define BOT "@sourdine:hs"
#define ALICE "@alice:hs"
#define MALLORY "@mallory:hs"
#define ROOM "!m:hs"

/* The clock of everything that waits. */
static int64_t clock_ms;
int64_t __wrap_now_real_ms(void);
int64_t
__wrap_now_real_ms(void)
{
	return clock_ms;
}

struct scene {
	char directory[64];
	struct loop *loop;
	struct store *store;
	struct seal *seal;
	struct groups groups;
	struct inbox *inbox;
	struct matrix matrix;
	struct crypto crypto;
	struct keep_account bot;
};

/* A device of somebody. */
struct client {
	const char *user, *device;
	struct ratchet_account *account;
	struct ratchet_session *session;
	struct ratchet_outbound *room;
	char curve[RATCHET_ID_SIZE], ed[RATCHET_ID_SIZE];
};

/* ---- the bridge ---- */

static void
open_bridge(struct scene *scene)
{
	bool created;
	AUTO_FREE char *path = xasprintf("%s/key", scene->directory);

	assert_int_equal(store_open(&scene->store, scene->directory, &created), 0);
	assert_int_equal(seal_open(&scene->seal, path, created), 0);
	groups_init(&scene->groups);
	scene->inbox = inbox_open(scene->store, scene->seal, &scene->groups);
	scene->matrix = (struct matrix){ .bot = xstrdup(BOT), .state = MATRIX_AWAY };
	scene->matrix.settings = (struct matrix_settings){ .ghosts = "_xmpp_", .domain = "hs" };
	scene->matrix.parts = (struct matrix_parts){ .loop = scene->loop, .store = scene->store, .seal = scene->seal, .inbox = scene->inbox,
		.groups = &scene->groups };
	scene->matrix.crypto = &scene->crypto;
	scene->crypto = (struct crypto){ .matrix = &scene->matrix, .store = scene->store };
	assert_int_equal(keep_open(&scene->crypto.keep, scene->store, scene->seal), 0);
	scene->crypto.peers = peers_open(&scene->matrix);
	scene->crypto.waiting = waiting_open(&scene->crypto);
	scene->crypto.mend = mend_open(&scene->crypto);
	waiting_caught_up(scene->crypto.waiting, true);
}

static void
close_bridge(struct scene *scene)
{
	mend_close(scene->crypto.mend);
	waiting_close(scene->crypto.waiting);
	peers_close(scene->crypto.peers);
	keep_close(scene->crypto.keep);
	free(scene->matrix.bot);
	inbox_close(scene->inbox);
	groups_fini(&scene->groups);
	seal_close(scene->seal);
	store_close(scene->store);
}

/* As after kill -9, with what was committed. */
static void
restart(struct scene *scene)
{
	assert_int_equal(store_commit(scene->store), 0);
	close_bridge(scene);
	open_bridge(scene);
}

/* He is in the room, which is encrypted. */
static void
set_here(struct scene *scene, const char *user)
{
	struct query query = store_query(scene->store, C_ROOM_SET);

	query_text(&query, ROOM);
	query_text(&query, DEVICEKEYS_MEGOLM);
	query_int(&query, 0);
	query_int(&query, 0);
	query_int(&query, 0);
	query_text(&query, "");
	query_run(&query);
	query = store_query(scene->store, NAME_SET);
	query_text(&query, ROOM);
	query_text(&query, user);
	query_text(&query, "Somebody");
	query_run(&query);
}

static int
set_up(void **state)
{
	struct scene *scene = xcalloc(1, sizeof(*scene));

	log_register(scratch_drop_line);
	clock_ms = INT64_C(1790000000000);
	snprintf(scene->directory, sizeof(scene->directory), "/tmp/sourdine-test-XXXXXX");
	if (!mkdtemp(scene->directory))
		return -1;
	assert_int_equal(loop_open(&scene->loop), 0);
	open_bridge(scene);
	scene->bot = (struct keep_account){ .state = KEEP_SIGNED, .user = BOT, .device = "BRIDGE", .account = ratchet_account_new(),
		.device_keys = xstrdup("{}"), .since = xstrdup("") };
	assert_int_equal(ratchet_account_make_keys(scene->bot.account, 50), 0);
	keep_add_account(scene->crypto.keep, &scene->bot);
	*state = scene;
	return 0;
}

static int
tear_down(void **state)
{
	static const char *const files[] = { "/sourdine.db", "/sourdine.db-wal", "/sourdine.db-shm", "/lock", "/ballast", "/key", "" };
	struct scene *scene = *state;

	close_bridge(scene);
	loop_close(scene->loop);
	keep_account_fini(&scene->bot);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		AUTO_FREE char *path = xasprintf("%s%s", scene->directory, files[i]);
		remove(path);
	}
	free(scene);
	return 0;
}

/* ---- clients ---- */

enum standing_of { UNKNOWN, UNSIGNED, SIGNED };

static void
set_known(struct scene *scene, const struct client *client, enum standing_of standing)
{
	struct peer_device keys = { .trust = standing == SIGNED ? PEER_CROSS_SIGNED : PEER_UNSIGNED };

	snprintf(keys.curve, sizeof(keys.curve), "%s", client->curve);
	snprintf(keys.ed, sizeof(keys.ed), "%s", client->ed);
	if (standing != UNKNOWN)
		roster_save_device(scene->store, client->user, client->device, &keys);
}

static void
client_init(struct scene *scene, struct client *client, const char *user, const char *device, enum standing_of standing)
{
	*client = (struct client){ .user = user, .device = device, .account = ratchet_account_new(), .room = ratchet_outbound_new() };
	ratchet_account_keys(client->account, client->curve, client->ed);
	set_known(scene, client, standing);
}

static void
client_fini(struct client *client)
{
	ratchet_account_free(client->account);
	ratchet_session_free(client->session);
	ratchet_outbound_free(client->room);
}
#define AUTO_CLIENT CLEANUP(client_fini)

static void
take_key(void *context, bool fallback, const char *id, const char *key)
{
	(void)fallback, (void)id;
	snprintf(context, RATCHET_ID_SIZE, "%s", key);
}

/* A new Olm session with the bot's device, by a one-time key of it. */
static void
client_meet(struct scene *scene, struct client *client)
{
	char key[RATCHET_ID_SIZE] = "", curve[RATCHET_ID_SIZE], ed[RATCHET_ID_SIZE];
	struct keep_account bot;

	assert_true(keep_find_account(scene->crypto.keep, BOT, &bot));
	ratchet_account_unpublished(bot.account, take_key, key);
	ratchet_account_keys(bot.account, curve, ed);
	ratchet_session_free(client->session);
	assert_int_equal(ratchet_session_open(&client->session, client->account, curve, key), 0);
	keep_account_fini(&bot);
}

/* The plain text of an Olm message to the bot, as an honest client writes it. Takes the content. */
static json_t *
client_plain(struct scene *scene, const struct client *client, const char *type, json_t *content, bool with_keys)
{
	char curve[RATCHET_ID_SIZE], ed[RATCHET_ID_SIZE];
	struct devicekeys own = { .account = client->account, .user_id = client->user, .device_id = client->device };
	json_t *keys = with_keys ? devicekeys_make(&own) : NULL;

	ratchet_account_keys(scene->bot.account, curve, ed);
	struct envelope_ends ends = { .sender = client->user, .sender_ed = client->ed, .recipient = BOT, .recipient_ed = ed };
	json_t *plain = envelope_make(&ends, type, content, keys);
	json_decref(content);
	json_decref(keys);
	return plain;
}

/* The to-device event around it. Takes the plain text. */
static json_t *
client_letter(struct scene *scene, struct client *client, json_t *plain)
{
	char curve[RATCHET_ID_SIZE], ed[RATCHET_ID_SIZE];
	struct str text AUTO_STR;
	enum ratchet_type type;
	char *body;

	if (!client->session)
		client_meet(scene, client);
	str_init(&text, 65536);
	json_add(&text, plain);
	json_decref(plain);
	ratchet_session_encrypt(client->session, str_get(&text), text.n, &type, &body);
	ratchet_account_keys(scene->bot.account, curve, ed);
	json_t *event = json_pack("{s:s, s:s, s:{s:s, s:s, s:{s:{s:i, s:s}}}}", "type", "m.room.encrypted", "sender", client->user, "content",
		"algorithm", DEVICEKEYS_OLM, "sender_key", client->curve, "ciphertext", curve, "type", (int)type, "body", body);
	free(body);
	return event;
}

static json_t *
room_key(const struct client *client, const char *room)
{
	AUTO_SECRET struct secret key = { NULL, 0 };
	char id[RATCHET_ID_SIZE];

	ratchet_outbound_id(client->room, id);
	ratchet_outbound_key(client->room, &key);
	return json_pack("{s:s, s:s, s:s, s:s}", "algorithm", DEVICEKEYS_MEGOLM, "room_id", room, "session_id", id, "session_key", key.p);
}

/* As the bot's /sync brings it. */
static void
take(struct scene *scene, const json_t *event)
{
	struct keep_account bot;

	assert_true(keep_find_account(scene->crypto.keep, BOT, &bot));
	inbound_olm(&scene->crypto, &bot, event);
	keep_account_fini(&bot);
}

/* Takes the event. */
static void
bring(struct scene *scene, json_t *event)
{
	take(scene, event);
	json_decref(event);
}

static void
share(struct scene *scene, struct client *client)
{
	bring(scene, client_letter(scene, client, client_plain(scene, client, "m.room_key", room_key(client, ROOM), true)));
}

/* An encrypted event of the room. `inside` is the room that the text says. */
static json_t *
say_in(struct client *client, const char *id, const char *inside, const char *body)
{
	AUTO_FREE char *text = xasprintf("{\"type\":\"m.room.message\",\"room_id\":\"%s\",\"content\":{\"msgtype\":\"m.text\",\"body\":\"%s\"}}", inside, body);
	char session[RATCHET_ID_SIZE];
	char *cipher;
	uint32_t index;

	ratchet_outbound_id(client->room, session);
	ratchet_outbound_encrypt(client->room, text, strlen(text), &cipher, &index);
	json_t *event = json_pack("{s:s, s:s, s:s, s:I, s:{s:s, s:s, s:s, s:s, s:s, s:{s:s}}}", "type", "m.room.encrypted", "sender", client->user,
		"event_id", id, "origin_server_ts", (json_int_t)clock_ms, "content", "algorithm", DEVICEKEYS_MEGOLM, "sender_key", client->curve,
		"device_id", client->device, "session_id", session, "ciphertext", cipher, "m.relates_to", "event_id", "$parent");
	free(cipher);
	return event;
}

static json_t *
say(struct client *client, const char *id, const char *body)
{
	return say_in(client, id, ROOM, body);
}

static enum decipher_result
read_event(struct scene *scene, const json_t *event, const char *body)
{
	struct deciphered out;
	enum decipher_result result = decipher_event(&scene->crypto, ROOM, event, &out);

	assert_true((result == DECIPHER_DONE) == (out.plain != NULL));
	assert_true(out.why || (result != DECIPHER_ASIDE && result != DECIPHER_LOST));
	if (result == DECIPHER_DONE && body) {
		const json_t *content = json_child(out.plain, "content");
		assert_string_equal(json_text(out.plain, "type"), "m.room.message");
		assert_string_equal(json_text(content, "body"), body);
		assert_string_equal(json_text(json_child(content, "m.relates_to"), "event_id"), "$parent");
		assert_non_null(json_text(out.plain, "event_id"));
	}
	json_decref(out.plain);
	return result;
}

static bool
has_key(struct scene *scene, const struct client *client)
{
	struct received received;
	char id[RATCHET_ID_SIZE];

	ratchet_outbound_id(client->room, id);
	bool has = received_find(&scene->crypto, ROOM, id, client->user, &received) && received.session;
	received_fini(&received);
	return has;
}

/* ---- tests ---- */

static void
test_a_shared_key_opens_what_follows(void **state)
{
	struct scene *scene = *state;
	AUTO_CLIENT struct client alice;

	client_init(scene, &alice, ALICE, "PHONE", SIGNED);
	int64_t ignored = metric_get(METRIC_IGNORED_OLM);
	share(scene, &alice);
	json_t *one = say(&alice, "$1", "hello"), *two = say(&alice, "$2", "again");
	assert_int_equal(read_event(scene, one, "hello"), DECIPHER_DONE);
	restart(scene);
	assert_int_equal(read_event(scene, two, "again"), DECIPHER_DONE);
	assert_int_equal(read_event(scene, one, "hello"), DECIPHER_DONE); /* the same event again is fine */
	assert_int_equal(metric_get(METRIC_IGNORED_OLM), ignored);
	json_decref(one);
	json_decref(two);
}

/* Pre-key messages go on until we have answered; a second session, and then the first again. */
static void
test_sessions_side_by_side(void **state)
{
	struct scene *scene = *state;
	AUTO_CLIENT struct client alice;

	client_init(scene, &alice, ALICE, "PHONE", SIGNED);
	int64_t ignored = metric_get(METRIC_IGNORED_OLM);
	for (int i = 0; i < 3; i++)
		bring(scene, client_letter(scene, &alice, client_plain(scene, &alice, "m.dummy", json_object(), i == 0)));
	struct ratchet_session *first = alice.session;
	alice.session = NULL;
	bring(scene, client_letter(scene, &alice, client_plain(scene, &alice, "m.dummy", json_object(), true)));
	ratchet_session_free(alice.session);
	alice.session = first;
	share(scene, &alice);
	assert_true(has_key(scene, &alice));
	assert_int_equal(metric_get(METRIC_IGNORED_OLM), ignored);
}

static void
lie(json_t *plain, int which)
{
	json_t *keys = json_object_get(plain, "sender_device_keys");

	switch (which) {
	case 0: json_object_set_new(plain, "sender", json_string(ALICE "x")); break;
	case 1: json_object_set_new(plain, "recipient", json_string("@other:hs")); break;
	case 2: json_object_set_new(plain, "recipient_keys", json_pack("{s:s}", "ed25519", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")); break;
	case 3: json_object_set_new(plain, "keys", json_pack("{s:s}", "ed25519", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")); break;
	case 4: json_object_set_new(keys, "user_id", json_string(MALLORY)); break;
	case 5: json_object_set_new(keys, "signatures", json_object()); break;
	default: break;
	}
}

/* T11: each lie alone costs the message; the same without a lie is taken. */
static void
test_each_check_of_an_olm_message(void **state)
{
	struct scene *scene = *state;
	int taken = 0;

	for (int which = 0; which <= 6; which++)
		for (int standing = UNKNOWN; standing <= SIGNED; standing++) {
			AUTO_FREE char *device = xasprintf("D%d%d", which, standing);
			AUTO_CLIENT struct client alice;
			client_init(scene, &alice, ALICE, device, (enum standing_of)standing);
			json_t *plain = client_plain(scene, &alice, "m.room_key", room_key(&alice, ROOM), true);
			lie(plain, which);
			int64_t ignored = metric_get(METRIC_IGNORED_OLM);
			bring(scene, client_letter(scene, &alice, plain));
			assert_int_equal(has_key(scene, &alice), which == 6);
			assert_int_equal(metric_get(METRIC_IGNORED_OLM), ignored + (which != 6));
			taken += has_key(scene, &alice);
		}
	assert_int_equal(taken, 3);
}

static void
test_the_same_letter_twice(void **state)
{
	struct scene *scene = *state;
	AUTO_CLIENT struct client alice;

	client_init(scene, &alice, ALICE, "PHONE", SIGNED);
	json_t *event = client_letter(scene, &alice, client_plain(scene, &alice, "m.room_key", room_key(&alice, ROOM), true));
	int64_t ignored = metric_get(METRIC_IGNORED_OLM), keys = metric_get(METRIC_ROOM_KEYS);
	take(scene, event);
	restart(scene);
	bring(scene, event);
	assert_int_equal(metric_get(METRIC_IGNORED_OLM), ignored); /* silently */
	assert_int_equal(metric_get(METRIC_ROOM_KEYS), keys + 1);
}

static void
test_a_key_is_replaced_by_a_better_one_only(void **state)
{
	struct scene *scene = *state;
	AUTO_CLIENT struct client alice, mallory;
	char *cipher;
	uint32_t index;

	client_init(scene, &alice, ALICE, "PHONE", SIGNED);
	client_init(scene, &mallory, MALLORY, "LAPTOP", SIGNED);
	json_t *early = room_key(&alice, ROOM), *stolen = room_key(&alice, ROOM);
	json_t *first = say(&alice, "$1", "first");
	ratchet_outbound_encrypt(alice.room, "x", 1, &cipher, &index);
	free(cipher);
	share(scene, &alice); /* from index 2 on */
	json_t *third = say(&alice, "$3", "third");
	assert_int_equal(read_event(scene, third, "third"), DECIPHER_DONE);
	assert_int_equal(read_event(scene, first, NULL), DECIPHER_LATER);
	/* Somebody who has it says that it is his. */
	bring(scene, client_letter(scene, &mallory, client_plain(scene, &mallory, "m.room_key", stolen, true)));
	assert_int_equal(read_event(scene, third, "third"), DECIPHER_DONE);
	assert_int_equal(read_event(scene, first, NULL), DECIPHER_LATER);
	/* Its owner sends it from the beginning on; and then a worse one once more. */
	bring(scene, client_letter(scene, &alice, client_plain(scene, &alice, "m.room_key", early, false)));
	assert_int_equal(read_event(scene, first, "first"), DECIPHER_DONE);
	share(scene, &alice);
	assert_int_equal(read_event(scene, first, "first"), DECIPHER_DONE);
	json_decref(first);
	json_decref(third);
}

/* Whoever has a key can be the first to send it to us, or to say that he withholds it: its maker loses nothing by that. */
static void
test_a_key_that_another_claims(void **state)
{
	struct scene *scene = *state;
	AUTO_CLIENT struct client alice, mallory;
	char id[RATCHET_ID_SIZE];

	client_init(scene, &alice, ALICE, "PHONE", SIGNED);
	client_init(scene, &mallory, MALLORY, "LAPTOP", SIGNED);
	ratchet_outbound_id(alice.room, id);
	bring(scene, client_letter(scene, &mallory, client_plain(scene, &mallory, "m.room_key", room_key(&alice, ROOM), true)));
	json_t *own = room_key(&alice, ROOM), *one = say(&alice, "$1", "one"), *copy = json_deep_copy(one);
	bring(scene, json_pack("{s:s, s:s, s:{s:s, s:s, s:s, s:s, s:s}}", "type", "m.room_key.withheld", "sender", MALLORY, "content",
		"algorithm", DEVICEKEYS_MEGOLM, "room_id", ROOM, "session_id", id, "sender_key", alice.curve, "code", "m.blacklisted"));
	assert_int_equal(read_event(scene, one, NULL), DECIPHER_LATER); /* neither read as somebody else's, nor given up */
	bring(scene, client_letter(scene, &alice, client_plain(scene, &alice, "m.room_key", own, true)));
	assert_int_equal(read_event(scene, one, "one"), DECIPHER_DONE);
	/* As his own words Mallory may say the same, once. */
	json_object_set_new(copy, "sender", json_string(MALLORY));
	json_object_set_new(copy, "event_id", json_string("$2"));
	assert_int_equal(read_event(scene, copy, "one"), DECIPHER_DONE);
	json_object_set_new(copy, "event_id", json_string("$3"));
	assert_int_equal(read_event(scene, copy, NULL), DECIPHER_IGNORED);
	json_decref(one);
	json_decref(copy);
}

/* He posts what she wrote as his, before her key is here: hers is no replay of his. */
static void
test_who_is_copied_first(void **state)
{
	struct scene *scene = *state;
	AUTO_CLIENT struct client alice, mallory;

	client_init(scene, &alice, ALICE, "PHONE", SIGNED);
	client_init(scene, &mallory, MALLORY, "LAPTOP", SIGNED);
	json_t *key = room_key(&alice, ROOM), *stolen = room_key(&alice, ROOM), *one = say(&alice, "$1", "one"), *copy = json_deep_copy(one);
	bring(scene, client_letter(scene, &mallory, client_plain(scene, &mallory, "m.room_key", stolen, true)));
	assert_int_equal(read_event(scene, one, NULL), DECIPHER_LATER);
	json_object_set_new(copy, "sender", json_string(MALLORY));
	json_object_set_new(copy, "event_id", json_string("$2"));
	assert_int_equal(read_event(scene, copy, "one"), DECIPHER_DONE);
	bring(scene, client_letter(scene, &alice, client_plain(scene, &alice, "m.room_key", key, true)));
	assert_int_equal(read_event(scene, one, "one"), DECIPHER_DONE);
	/* What is kept of it is kept as long as the session. */
	received_trim(&scene->crypto);
	json_object_set_new(one, "event_id", json_string("$3"));
	assert_int_equal(read_event(scene, one, NULL), DECIPHER_IGNORED);
	json_decref(one);
	json_decref(copy);
}

/* T10 */
static void
test_a_replay_is_dropped(void **state)
{
	struct scene *scene = *state;
	AUTO_CLIENT struct client alice;

	client_init(scene, &alice, ALICE, "PHONE", SIGNED);
	share(scene, &alice);
	json_t *event = say(&alice, "$1", "pay"), *copy = json_deep_copy(event), *later = json_deep_copy(event);
	json_object_set_new(copy, "event_id", json_string("$2"));
	json_object_set_new(later, "origin_server_ts", json_integer(clock_ms + 1));
	int64_t replays = metric_get(METRIC_IGNORED_REPLAY);
	assert_int_equal(read_event(scene, event, "pay"), DECIPHER_DONE);
	assert_int_equal(read_event(scene, copy, NULL), DECIPHER_IGNORED);
	assert_int_equal(read_event(scene, later, NULL), DECIPHER_IGNORED);
	restart(scene);
	assert_int_equal(read_event(scene, copy, NULL), DECIPHER_IGNORED);
	assert_int_equal(read_event(scene, event, "pay"), DECIPHER_DONE);
	assert_int_equal(metric_get(METRIC_IGNORED_REPLAY), replays + 3);
	json_decref(event);
	json_decref(copy);
	json_decref(later);
}

static void
test_whose_words_they_are(void **state)
{
	struct scene *scene = *state;
	AUTO_CLIENT struct client alice, stranger, unsigned_one;

	client_init(scene, &alice, ALICE, "PHONE", SIGNED);
	client_init(scene, &stranger, ALICE, "NEW", UNKNOWN);
	client_init(scene, &unsigned_one, ALICE, "OLD", UNSIGNED);
	share(scene, &alice);
	share(scene, &stranger);
	share(scene, &unsigned_one);
	int64_t forged = metric_get(METRIC_IGNORED_FORGED);
	json_t *elsewhere = say_in(&alice, "$1", "!other:hs", "x"), *other = say(&alice, "$2", "x");
	json_object_set_new(other, "sender", json_string(MALLORY));
	assert_int_equal(read_event(scene, elsewhere, NULL), DECIPHER_IGNORED);
	assert_int_equal(metric_get(METRIC_IGNORED_FORGED), forged + 1);
	assert_int_equal(read_event(scene, other, NULL), DECIPHER_LATER); /* he gave no such key */
	/* A device that is not known yet is waited for; then it is what its server says. */
	json_t *new = say(&stranger, "$3", "new");
	assert_int_equal(read_event(scene, new, NULL), DECIPHER_LATER);
	set_known(scene, &stranger, SIGNED);
	assert_int_equal(read_event(scene, new, "new"), DECIPHER_DONE);
	/* One that its owner did not sign: by policy. */
	json_t *old = say(&unsigned_one, "$4", "old");
	assert_true(read_event(scene, old, NULL) != DECIPHER_DONE);
	/* By the policy of the site, and by that of the room's group. */
	struct group *group = groups_add(&scene->groups, "team", ROOM, "team@muc", false);
	groups_set_room(group, NETWORK_MATRIX, ROOM);
	scene->crypto.all_trusted = true;
	group->trust = TRUST_CROSS_SIGNED;
	assert_true(read_event(scene, old, NULL) != DECIPHER_DONE);
	group->trust = TRUST_SITE;
	assert_int_equal(read_event(scene, old, "old"), DECIPHER_DONE);
	scene->crypto.all_trusted = false;
	assert_true(read_event(scene, old, NULL) != DECIPHER_DONE);
	group->trust = TRUST_ALL;
	assert_int_equal(read_event(scene, old, "old"), DECIPHER_DONE);
	json_decref(elsewhere);
	json_decref(other);
	json_decref(new);
	json_decref(old);
}

/* A device whose Ed25519 key is another than the one that the room key came with. */
static void
test_a_device_with_another_signing_key(void **state)
{
	struct scene *scene = *state;
	AUTO_CLIENT struct client alice;
	struct peer_device keys = { .trust = PEER_CROSS_SIGNED };

	client_init(scene, &alice, ALICE, "NEW", UNKNOWN);
	bring(scene, client_letter(scene, &alice, client_plain(scene, &alice, "m.room_key", room_key(&alice, ROOM), false)));
	snprintf(keys.curve, sizeof(keys.curve), "%s", alice.curve);
	snprintf(keys.ed, sizeof(keys.ed), "%s", alice.curve);
	roster_save_device(scene->store, ALICE, "NEW", &keys);
	json_t *event = say(&alice, "$1", "x");
	assert_int_equal(read_event(scene, event, NULL), DECIPHER_IGNORED);
	json_decref(event);
}

/* It logged out while we were away: its server names it no more, but its keys came with what it wrote. */
static void
test_a_device_that_logged_out(void **state)
{
	struct scene *scene = *state;
	AUTO_CLIENT struct client phone, bare, gone;

	client_init(scene, &phone, ALICE, "PHONE", SIGNED);
	client_init(scene, &bare, ALICE, "BARE", UNKNOWN);
	client_init(scene, &gone, ALICE, "GONE", UNKNOWN);
	set_here(scene, ALICE);
	bring(scene, client_letter(scene, &bare, client_plain(scene, &bare, "m.room_key", room_key(&bare, ROOM), false)));
	share(scene, &gone);
	json_t *no = say(&bare, "$1", "no"), *yes = say(&gone, "$2", "yes");
	assert_int_equal(read_event(scene, yes, NULL), DECIPHER_LATER); /* nobody signed it */
	scene->crypto.all_trusted = true;
	assert_int_equal(read_event(scene, yes, "yes"), DECIPHER_DONE);
	assert_int_equal(read_event(scene, no, NULL), DECIPHER_LATER);
	json_decref(no);
	json_decref(yes);
}

/* Who is in no room with us leaves nothing behind but a letter that was read. */
static void
test_a_stranger(void **state)
{
	struct scene *scene = *state;
	AUTO_CLIENT struct client stranger, alice;
	struct roster_user user;
	struct received_device device;

	client_init(scene, &stranger, MALLORY, "NEW", UNKNOWN);
	client_init(scene, &alice, ALICE, "NEW", UNKNOWN);
	set_here(scene, ALICE);
	share(scene, &stranger);
	assert_true(has_key(scene, &stranger)); /* he may be on his way here */
	assert_false(received_find_device(&scene->crypto, MALLORY, stranger.curve, &device));
	roster_get_user(scene->store, MALLORY, &user);
	assert_false(user.known);
	share(scene, &alice);
	assert_true(received_find_device(&scene->crypto, ALICE, alice.curve, &device));
	roster_get_user(scene->store, ALICE, &user);
	assert_true(user.known && user.outdated);
}

static size_t
count_devices(struct scene *scene, const char *user)
{
	struct roster_devices devices = { .p = NULL };

	roster_add_devices(scene->store, user, &devices);
	size_t n = devices.n;
	roster_devices_fini(&devices);
	return n;
}

/* Who makes devices up has two thousand, and no more than his server names once it names others. */
static void
test_made_up_devices(void **state)
{
	struct scene *scene = *state;
	struct peer_device keys = { .trust = PEER_UNSIGNED };

	for (int i = 0; i < 2100; i++) {
		char id[16];
		snprintf(id, sizeof(id), "D%d", i);
		snprintf(keys.curve, sizeof(keys.curve), "curve %d", i);
		roster_meet_device(scene->store, MALLORY, id, &keys);
	}
	assert_int_equal(count_devices(scene, MALLORY), 2000);
	roster_trim_devices(scene->store, MALLORY);
	assert_int_equal(count_devices(scene, MALLORY), 2000);
	roster_save_device(scene->store, MALLORY, "NAMED", &keys);
	roster_trim_devices(scene->store, MALLORY);
	assert_int_equal(count_devices(scene, MALLORY), 1);
}

static void
test_patience(void **state)
{
	struct scene *scene = *state;
	AUTO_CLIENT struct client alice;

	client_init(scene, &alice, ALICE, "PHONE", SIGNED);
	json_t *key = client_letter(scene, &alice, client_plain(scene, &alice, "m.room_key", room_key(&alice, ROOM), true));
	json_t *one = say(&alice, "$1", "one"), *two = say(&alice, "$2", "two"), *three = say(&alice, "$3", "three");
	assert_int_equal(read_event(scene, one, NULL), DECIPHER_LATER);
	clock_ms += 24000;
	assert_int_equal(read_event(scene, one, NULL), DECIPHER_LATER);
	restart(scene);
	clock_ms += 1000;
	assert_int_equal(read_event(scene, one, NULL), DECIPHER_ASIDE);
	assert_int_equal(read_event(scene, two, NULL), DECIPHER_ASIDE); /* one patience a session */
	assert_int_equal(read_event(scene, one, NULL), DECIPHER_ASIDE);
	/* The key comes late: what stood aside is read, and known to have strayed. */
	struct deciphered out;
	bring(scene, key);
	assert_int_equal(decipher_event(&scene->crypto, ROOM, one, &out), DECIPHER_DONE);
	assert_true(out.strayed);
	json_decref(out.plain);
	assert_int_equal(decipher_event(&scene->crypto, ROOM, three, &out), DECIPHER_DONE);
	assert_false(out.strayed);
	json_decref(out.plain);
	json_decref(one);
	json_decref(two);
	json_decref(three);
}

static void
test_a_day_later_it_is_lost(void **state)
{
	struct scene *scene = *state;
	AUTO_CLIENT struct client alice;

	client_init(scene, &alice, ALICE, "PHONE", SIGNED);
	json_t *event = say(&alice, "$1", "one");
	assert_int_equal(read_event(scene, event, NULL), DECIPHER_LATER);
	clock_ms += 25000;
	assert_int_equal(read_event(scene, event, NULL), DECIPHER_ASIDE);
	clock_ms += INT64_C(24) * 3600 * 1000;
	assert_int_equal(read_event(scene, event, NULL), DECIPHER_LOST);
	json_decref(event);
}

/* One who never sends his keys delays the room for a while, and then no more. */
static void
test_a_tiresome_client_is_not_waited_for(void **state)
{
	struct scene *scene = *state;
	int waited = 0;

	for (int i = 0; i < 12; i++) {
		AUTO_CLIENT struct client alice;
		AUTO_FREE char *id = xasprintf("$%d", i);
		client_init(scene, &alice, ALICE, "PHONE", UNKNOWN);
		json_t *event = say(&alice, id, "x");
		if (read_event(scene, event, NULL) == DECIPHER_LATER) {
			waited++;
			clock_ms += 25000;
			assert_int_equal(read_event(scene, event, NULL), DECIPHER_ASIDE);
		}
		json_decref(event);
	}
	assert_int_equal(waited, 8);
}

static json_t *
withheld(const struct client *client, const char *sender, const char *code)
{
	char id[RATCHET_ID_SIZE];

	ratchet_outbound_id(client->room, id);
	return json_pack("{s:s, s:s, s:{s:s, s:s, s:s, s:s, s:s}}", "type", "m.room_key.withheld", "sender", sender, "content", "algorithm",
		DEVICEKEYS_MEGOLM, "room_id", ROOM, "session_id", id, "sender_key", client->curve, "code", code);
}

static void
test_a_withheld_key_is_told_at_once(void **state)
{
	struct scene *scene = *state;
	AUTO_CLIENT struct client alice;

	client_init(scene, &alice, ALICE, "PHONE", SIGNED);
	json_t *event = say(&alice, "$1", "one");
	bring(scene, withheld(&alice, MALLORY, "m.blacklisted")); /* another's word counts nothing */
	assert_int_equal(read_event(scene, event, NULL), DECIPHER_LATER);
	bring(scene, withheld(&alice, ALICE, "m.unverified"));
	assert_int_equal(read_event(scene, event, NULL), DECIPHER_ASIDE);
	share(scene, &alice);
	bring(scene, withheld(&alice, ALICE, "m.unverified")); /* too late: we have it */
	json_t *next = say(&alice, "$2", "two");
	assert_int_equal(read_event(scene, next, "two"), DECIPHER_DONE);
	json_decref(event);
	json_decref(next);
}

/* A key in the form of m.forwarded_room_key. */
static json_t *
forwarded(const struct client *maker, const struct ratchet_inbound *copy)
{
	AUTO_SECRET struct secret key = { NULL, 0 };
	char id[RATCHET_ID_SIZE];

	ratchet_outbound_id(maker->room, id);
	assert_int_equal(ratchet_inbound_export(copy, 0, &key), 0);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:[]}", "algorithm", DEVICEKEYS_MEGOLM, "room_id", ROOM, "session_id", id, "session_key", key.p,
		"sender_key", maker->curve, "sender_claimed_ed25519_key", maker->ed, "forwarding_curve25519_key_chain");
}

static void
forward(struct scene *scene, struct client *from, json_t *content)
{
	bring(scene, client_letter(scene, from, client_plain(scene, from, "m.forwarded_room_key", content, true)));
}

static void
note_asked(struct scene *scene, const struct client *client)
{
	struct query query = store_query(scene->store, C_UTD_ASKED);
	char id[RATCHET_ID_SIZE];

	ratchet_outbound_id(client->room, id);
	query_text(&query, "asked");
	query_text(&query, ROOM);
	query_text(&query, id);
	query_text(&query, client->user);
	query_run(&query);
}

static void
test_a_forwarded_key(void **state)
{
	struct scene *scene = *state;
	AUTO_CLIENT struct client alice, other, mallory;
	AUTO_SECRET struct secret key = { NULL, 0 };
	struct ratchet_inbound *copy;

	client_init(scene, &alice, ALICE, "PHONE", SIGNED);
	client_init(scene, &other, ALICE, "LAPTOP", SIGNED);
	client_init(scene, &mallory, MALLORY, "LAPTOP", SIGNED);
	ratchet_outbound_key(alice.room, &key);
	assert_int_equal(ratchet_inbound_open(&copy, RATCHET_SHARED, key.p), 0);
	json_t *event = say(&alice, "$1", "one");
	assert_int_equal(read_event(scene, event, NULL), DECIPHER_LATER);
	forward(scene, &alice, forwarded(&alice, copy)); /* nobody asked */
	assert_false(has_key(scene, &alice));
	note_asked(scene, &alice);
	forward(scene, &mallory, forwarded(&alice, copy));
	forward(scene, &other, forwarded(&alice, copy)); /* his, but not the device that made it */
	json_t *chained = forwarded(&alice, copy);
	json_array_append_new(json_object_get(chained, "forwarding_curve25519_key_chain"), json_string(other.curve));
	forward(scene, &alice, chained);
	assert_false(has_key(scene, &alice));
	forward(scene, &alice, forwarded(&alice, copy));
	assert_int_equal(read_event(scene, event, "one"), DECIPHER_DONE);
	ratchet_inbound_free(copy);
	json_decref(event);
}

/* Every member of an event, taken away or of another type, at every depth: ignored, counted when it is ours to read, never a crash. */
static int
spoil(struct scene *scene, json_t *root, json_t *at, void (*eat)(struct scene *scene, const json_t *root))
{
	static const char *const others[] = { NULL, "null", "7", "-1", "\"\"", "\"x\"", "[]", "{}", "true", "[[]]", "1e300" };
	int spoilt = 0;
	const char *key;
	char *names[16];
	json_t *value;
	size_t n = 0;

	json_object_foreach(at, key, value) {
		assert_true(n < 16);
		names[n++] = xstrdup(key);
	}
	for (size_t at_name = 0; at_name < n; at_name++) {
		AUTO_FREE char *name = names[at_name];
		json_t *kept = json_incref(json_object_get(at, name));
		for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
			if (others[i])
				json_object_set_new(at, name, json_loads(others[i], JSON_DECODE_ANY, NULL));
			else
				json_object_del(at, name);
			eat(scene, root);
			spoilt++;
		}
		json_object_set(at, name, kept);
		if (json_is_object(kept))
			spoilt += spoil(scene, root, kept, eat);
		json_decref(kept);
	}
	return spoilt;
}

static void
take_to_device(struct scene *scene, const json_t *root)
{
	take(scene, root);
}

static void
take_room_event(struct scene *scene, const json_t *root)
{
	struct deciphered out;

	assert_true(decipher_event(&scene->crypto, ROOM, root, &out) != DECIPHER_DONE || out.plain);
	json_decref(out.plain);
}

static struct client *inside_client;

/* What is spoilt is inside: encrypted each time. */
static void
take_inside(struct scene *scene, const json_t *root)
{
	bring(scene, client_letter(scene, inside_client, json_deep_copy(root)));
}

static void
test_any_json(void **state)
{
	struct scene *scene = *state;
	AUTO_CLIENT struct client alice;
	int n = 0;

	client_init(scene, &alice, ALICE, "PHONE", SIGNED);
	inside_client = &alice;
	json_t *all[] = {
		client_letter(scene, &alice, client_plain(scene, &alice, "m.room_key", room_key(&alice, ROOM), true)),
		withheld(&alice, ALICE, "m.unverified"),
		json_pack("{s:s, s:s, s:{s:s, s:s, s:[s]}}", "type", "m.key.verification.request", "sender", ALICE, "content", "from_device", "PHONE",
			"transaction_id", "t", "methods", "m.sas.v1"),
	};
	int64_t ignored = metric_get(METRIC_IGNORED_OLM);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		n += spoil(scene, all[i], all[i], take_to_device);
		json_decref(all[i]);
	}
	json_t *inside = client_plain(scene, &alice, "m.room_key", room_key(&alice, ROOM), true);
	n += spoil(scene, inside, inside, take_inside);
	json_decref(inside);
	json_t *event = say(&alice, "$1", "x");
	n += spoil(scene, event, event, take_room_event);
	json_decref(event);
	print_message("%d spoilt events, %d counted\n", n, (int)(metric_get(METRIC_IGNORED_OLM) - ignored));
	assert_true(metric_get(METRIC_IGNORED_OLM) - ignored > n / 3);
	for (int i = 0; i < 3; i++) /* and it works as before */
		share(scene, &alice);
	event = say(&alice, "$2", "fine");
	assert_int_equal(read_event(scene, event, "fine"), DECIPHER_DONE);
	json_decref(event);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		T(test_a_shared_key_opens_what_follows),
		T(test_sessions_side_by_side),
		T(test_each_check_of_an_olm_message),
		T(test_the_same_letter_twice),
		T(test_a_key_is_replaced_by_a_better_one_only),
		T(test_a_key_that_another_claims),
		T(test_who_is_copied_first),
		T(test_a_replay_is_dropped),
		T(test_whose_words_they_are),
		T(test_a_device_with_another_signing_key),
		T(test_a_device_that_logged_out),
		T(test_a_stranger),
		T(test_made_up_devices),
		T(test_patience),
		T(test_a_day_later_it_is_lost),
		T(test_a_tiresome_client_is_not_waited_for),
		T(test_a_withheld_key_is_told_at_once),
		T(test_a_forwarded_key),
		T(test_any_json),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
