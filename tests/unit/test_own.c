/* SPDX-License-Identifier: Apache-2.0 */
/* Devices of ours: in which order the homeserver hears of them, whatever happens in between; when one dies; the bot's inbox. */
#include "matrix_scene.h"

#include "matrix/crypto/crosssign.h"
#include "matrix/crypto/own.h"
#include "matrix/crypto/peer.h"
#include "matrix/ghost.h"
#include "matrix/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOT "@sourdine:hs"
#define GENERATION "account_data/org.sourdine.generation"

static const struct author bot = { NULL, NULL, NULL };
static const struct author bob = { "xmpp:bob@x", "bob@x", "Bob" };

static struct matrix *
matrix_of(struct scene *scene)
{
	return (struct matrix *)(void *)scene->port;
}

static struct own *
bots(struct scene *scene)
{
	return ghost_own(ghost_get(matrix_of(scene), &bot));
}

/* The homeserver shows this device's keys, and the whole chain, as it was uploaded. malloc'd. */
static char *
show_keys(const struct own *own)
{
	struct crosssign identity;
	AUTO_STR struct str text;

	crosssign_init(&identity, own->crypto->bridge_secret, 1, own->record.user);
	json_t *upload = crosssign_make_upload(&identity), *device = json_read_answer(own->record.device_keys, strlen(own->record.device_keys));
	json_t *all = json_pack("{s:{s:{s:O}}, s:{s:O}, s:{s:O}}", "device_keys", own->record.user, own->record.device, device, "master_keys",
		own->record.user, json_object_get(upload, "master_key"), "self_signing_keys", own->record.user,
		json_object_get(upload, "self_signing_key"));
	str_init(&text, 65536);
	json_add(&text, all);
	json_decref(all);
	json_decref(device);
	json_decref(upload);
	crosssign_fini(&identity);
	return str_take(&text);
}

static void
restart(struct scene *scene)
{
	scene_close(scene);
	scene_open(scene);
}

static int
set_up(void **state)
{
	int r = scene_set_up(state);
	struct scene *scene = *state;

	scene_close(scene);
	scene->settings.encrypts = true;
	fake_homeserver_say(&scene->fake, "GET", GENERATION, 404, "{\"errcode\":\"M_NOT_FOUND\",\"error\":\"none\"}", -1);
	scene_open(scene);
	return r;
}

#define READY(scene) WAIT(scene, bots(scene) && own_is_ready(bots(scene)))

static int
at(const struct scene *scene, const char *method, const char *part)
{
	for (int i = 0; i < scene->fake.count; i++)
		if (strcmp(scene->fake.asked[i].method, method) == 0 && strstr(scene->fake.asked[i].path, part))
			return i;
	return -1;
}

static void
test_the_bot_in_order(void **state)
{
	static const char *const order[][2] = { { "POST", "/register" }, { "PUT", "/devices/" }, { "GET", GENERATION }, { "PUT", GENERATION },
		{ "POST", "/keys/device_signing/upload" }, { "POST", "/keys/upload" } };
	struct scene *scene = *state;
	int last = -1;

	READY(scene);
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		int found = at(scene, order[i][0], order[i][1]);
		if (found <= last)
			fail_msg("not in its place: %s", order[i][1]);
		last = found;
	}
	/* One of each. */
	assert_int_equal(fake_homeserver_count(&scene->fake, 0, "POST", "/keys/upload"), 1);
	assert_int_equal(fake_homeserver_count(&scene->fake, 0, "PUT", "/devices/"), 1);
	assert_int_equal(fake_homeserver_count(&scene->fake, 0, "DELETE", "/devices/"), 0);
	assert_int_equal(fake_homeserver_count(&scene->fake, 0, "POST", "/keys/signatures/upload"), 0);
	/* The inbox is read as the device, and only now: any poll before it named none. */
	WAIT(scene, fake_homeserver_count(&scene->fake, last, "GET", "&device_id=") > 0);
	assert_int_equal(at(scene, "GET", "&device_id=") > last, true);
}

/* What was uploaded holds for whoever checks it: the device is cross-signed from its first sight on. */
static void
test_what_the_homeserver_is_told_can_be_verified(void **state)
{
	struct scene *scene = *state;
	struct peer_identity identity;
	struct peer_device device;

	READY(scene);
	const struct own *own = bots(scene);
	const struct fake_asked *keys = fake_homeserver_find(&scene->fake, 0, "POST", "/keys/upload", 0);
	const struct fake_asked *chain = fake_homeserver_find(&scene->fake, 0, "POST", "/device_signing/upload", 0);
	json_t *uploaded = json_read_answer(keys->body, strlen(keys->body)), *signing = json_read_answer(chain->body, strlen(chain->body));
	assert_int_equal(json_object_size(json_object_get(uploaded, "one_time_keys")), 50);
	assert_int_equal(json_object_size(json_object_get(uploaded, "fallback_keys")), 1);

	json_t *answer = json_pack("{s:{s:O}, s:{s:O}}", "master_keys", BOT, json_object_get(signing, "master_key"), "self_signing_keys", BOT,
		json_object_get(signing, "self_signing_key"));
	assert_int_equal(peer_read_identity(&identity, answer, BOT, NULL), 0);
	assert_int_equal(peer_read_device(&device, json_object_get(uploaded, "device_keys"), BOT, own->record.device, &identity, NULL), 0);
	assert_string_equal(device.ed, own->ed);
	assert_int_equal(device.trust, PEER_CROSS_SIGNED);
	json_decref(answer);
	json_decref(uploaded);
	json_decref(signing);
}

/* A crash between each step and the next: the homeserver took it, and we did not write that down. The same keys again, and one device. */
static void
test_a_crash_between_any_two_steps(void **state)
{
	static const char *const parts[] = { "/devices/", GENERATION, "/device_signing/upload", "/keys/upload" };
	static const char *const methods[] = { "PUT", "PUT", "POST", "POST" };
	struct scene *scene = *state;

	/* Start anew for each, so that each is the first time. */
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		int from = scene->fake.count;
		struct fake_rule *silence = fake_homeserver_say(&scene->fake, methods[i], parts[i], 200, NULL, -1);
		AUTO_FREE char *path = xasprintf("%s/sourdine.db", scene->directory);
		scene_close(scene);
		remove(path);
		scene_open(scene);
		WAIT(scene, fake_homeserver_count(&scene->fake, from, methods[i], parts[i]) == 1);
		int again = scene->fake.count;
		silence->times = 0;
		AUTO_FREE char *shown = bots(scene)->living ? show_keys(bots(scene)) : xstrdup("{}");
		struct fake_rule *known = fake_homeserver_say(&scene->fake, "POST", "/keys/query", 200, shown, -1);
		restart(scene);
		READY(scene);
		const struct fake_asked *first = fake_homeserver_find(&scene->fake, from, "POST", "/keys/upload", 0);
		const struct fake_asked *second = fake_homeserver_find(&scene->fake, again, "POST", "/keys/upload", 0);
		if (i == 3)
			assert_string_equal(first->body, second->body);
		assert_int_equal(fake_homeserver_count(&scene->fake, from, "DELETE", "/devices/"), 0);
		known->times = 0;
		(void)first, (void)second;
	}
}

/* After a restart nothing is uploaded again, when the homeserver shows the right keys. */
static void
test_a_restart_compares(void **state)
{
	struct scene *scene = *state;

	READY(scene);
	AUTO_FREE char *shown = show_keys(bots(scene));
	AUTO_FREE char *device = xstrdup(bots(scene)->record.device);
	fake_homeserver_say(&scene->fake, "POST", "/keys/query", 200, shown, -1);
	scene_spin(scene, 50);
	int from = scene->fake.count;
	restart(scene);
	READY(scene);
	assert_string_equal(bots(scene)->record.device, device);
	assert_int_equal(fake_homeserver_count(&scene->fake, from, "POST", "/keys/upload"), 0);
	assert_int_equal(fake_homeserver_count(&scene->fake, from, "POST", "/keys/query"), 1);
	assert_int_equal(fake_homeserver_count(&scene->fake, from, "PUT", "/devices/"), 0);
}

/* It shows none, or other ones: that device is given up, under the same identity. */
static void
test_a_device_that_the_homeserver_lost(void **state)
{
	struct scene *scene = *state;

	READY(scene);
	AUTO_FREE char *device = xstrdup(bots(scene)->record.device);
	fake_homeserver_say(&scene->fake, "POST", "/keys/query", 200, "{\"device_keys\":{\"" BOT "\":{}}}", -1);
	scene_spin(scene, 50);
	int from = scene->fake.count;
	restart(scene);
	READY(scene);
	assert_string_not_equal(bots(scene)->record.device, device);
	AUTO_FREE char *burial = xasprintf("/devices/%s", device);
	assert_int_equal(fake_homeserver_count(&scene->fake, from, "DELETE", burial), 1);
	const struct fake_asked *before = fake_homeserver_find(&scene->fake, 0, "POST", "/device_signing/upload", 0);
	const struct fake_asked *after = fake_homeserver_find(&scene->fake, from, "POST", "/device_signing/upload", 0);
	assert_string_equal(before->body, after->body);
	assert_true(matrix_of(scene)->forgot_ms > 0);
}

static void
test_other_one_time_keys_are_there(void **state)
{
	struct scene *scene = *state;
	int from = scene->fake.count;

	fake_homeserver_say(&scene->fake, "POST", "/keys/upload", 400,
		"{\"errcode\":\"M_UNKNOWN\",\"error\":\"One time key signed_curve25519:AAAAAQ already exists. Old key: x new key: y\"}", -1);
	/* The first device dies of it; the second is not used, and nothing is asked in a loop. */
	WAIT(scene, fake_homeserver_count(&scene->fake, from, "POST", "/keys/upload") == 2);
	scene_spin(scene, 1500);
	assert_int_equal(fake_homeserver_count(&scene->fake, from, "POST", "/keys/upload"), 2);
	assert_int_equal(fake_homeserver_count(&scene->fake, from, "DELETE", "/devices/"), 1);
	assert_false(own_is_ready(bots(scene)));
	/* Plain rooms go on. */
	JOINED(scene);
}

/* What it was asked for is answered after all, when somebody else has been told that the homeserver does not know it. */
static void
test_lost_while_it_asks(void **state)
{
	static const struct { const char *part, *answer; bool doubts; } asked[] = {
		{ "/keys/upload", "{\"one_time_key_counts\":{\"signed_curve25519\":50}}", false },
		{ "/keys/query", "{\"device_keys\":{\"" BOT "\":{}},\"master_keys\":{\"" BOT "\":{}}}", true },
	};
	struct scene *scene = *state;

	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		READY(scene);
		AUTO_FREE char *device = xstrdup(bots(scene)->record.device);
		int from = scene->fake.count;
		struct fake_rule *rule = fake_homeserver_say(&scene->fake, "POST", asked[i].part, 200, asked[i].answer, -1);
		bots(scene)->rests_ms = 0;
		bots(scene)->doubts = asked[i].doubts;
		if (!asked[i].doubts)
			own_counted(bots(scene), 0, true);
		ghost_recall(ghost_get(matrix_of(scene), &bot));
		WAIT(scene, fake_homeserver_count(&scene->fake, from, "POST", asked[i].part) == 1);
		ghost_lost_device(ghost_get(matrix_of(scene), &bot), device);
		assert_false(bots(scene)->living);
		READY(scene);
		rule->times = 0;
		assert_string_not_equal(bots(scene)->record.device, device);
	}
}

/* The second dies before the first was deleted, as a restored backup would have it: neither id is used again. */
static void
test_two_dead_at_once(void **state)
{
	struct scene *scene = *state;
	struct own *own;

	READY(scene);
	own = bots(scene);
	AUTO_FREE char *first = xstrdup(own->record.device);
	struct fake_rule *rule = fake_homeserver_say(&scene->fake, "DELETE", "/devices/", 503, "{}", -1);
	assert_true(own_die(own, "of this"));
	ghost_recall(ghost_get(matrix_of(scene), &bot));
	WAIT(scene, fake_homeserver_count(&scene->fake, 0, "DELETE", first) == 1);
	AUTO_FREE char *second = xstrdup(own->record.device);
	own->rests_ms = 0;
	assert_true(own_die(own, "of that"));
	rule->times = 0;
	READY(scene);
	assert_string_not_equal(own->record.device, first);
	assert_string_not_equal(own->record.device, second);
	WAIT(scene, fake_homeserver_count(&scene->fake, 0, "DELETE", second) == 1);
}

/* What the homeserver shows of the bot, with the identity of another master key. malloc'd. */
static char *
show_stranger(const struct own *own, const unsigned char secret[PRIMITIVE_KEY], int64_t edition)
{
	AUTO_FREE char *shown = show_keys(own);
	json_t *answer = json_read_answer(shown, strlen(shown));
	struct crosssign identity;
	AUTO_STR struct str text;

	crosssign_init(&identity, secret, edition, own->record.user);
	json_t *upload = crosssign_make_upload(&identity);
	json_object_set(json_object_get(answer, "master_keys"), BOT, json_object_get(upload, "master_key"));
	json_object_set(json_object_get(answer, "self_signing_keys"), BOT, json_object_get(upload, "self_signing_key"));
	json_decref(upload);
	crosssign_fini(&identity);
	str_init(&text, 65536);
	json_add(&text, answer);
	json_decref(answer);
	return str_take(&text);
}

/*
 * Synapse has had another identity in between, and takes ours back no more: it answers 500, for ever. Then the next edition is used,
 * and kept; one that was used by a database that is lost is found again.
 */
static void
test_an_identity_that_is_not_taken_back(void **state)
{
	static const unsigned char stranger[PRIMITIVE_KEY] = "another bridge's secret, 32 by..";
	struct scene *scene = *state;

	READY(scene);
	for (int64_t found = 0; found <= 5; found += 5) {
		AUTO_FREE char *shown = show_stranger(bots(scene), found ? bots(scene)->crypto->bridge_secret : stranger, found ? found : 1);
		struct fake_rule *rule = fake_homeserver_say(&scene->fake, "POST", "/keys/query", 200, shown, -1);
		fake_homeserver_say(&scene->fake, "POST", "/device_signing/upload", 500, "{\"errcode\":\"M_UNKNOWN\",\"error\":\"Internal server error\"}", 1);
		AUTO_FREE char *device = xstrdup(bots(scene)->record.device);
		scene_spin(scene, 50);
		int from = scene->fake.count;
		restart(scene);
		READY(scene);
		assert_int_equal(fake_homeserver_count(&scene->fake, from, "POST", "/device_signing/upload"), 2);
		int64_t edition = found ? found : 2;
		assert_int_equal(keep_edition(bots(scene)->crypto->keep, BOT), edition);
		struct crosssign identity;
		crosssign_init(&identity, bots(scene)->crypto->bridge_secret, edition, BOT);
		assert_non_null(strstr(fake_homeserver_find(&scene->fake, from, "POST", "/device_signing/upload", 1)->body, identity.master_key));
		/* What peers are sent is signed by it too. */
		assert_non_null(strstr(bots(scene)->record.device_keys, identity.self_signing_key));
		crosssign_fini(&identity);
		assert_string_equal(bots(scene)->record.device, device);
		rule->times = 0;
	}
}

/* The same for a database that is new: its first device is made under the edition that is taken. */
static void
test_a_new_database_whose_identity_is_not_taken(void **state)
{
	static const unsigned char stranger[PRIMITIVE_KEY] = "another bridge's secret, 32 by..";
	struct scene *scene = *state;
	AUTO_FREE char *path = xasprintf("%s/sourdine.db", scene->directory);

	READY(scene);
	AUTO_FREE char *shown = show_stranger(bots(scene), stranger, 1);
	scene_close(scene);
	remove(path);
	fake_homeserver_say(&scene->fake, "POST", "/keys/query", 200, shown, -1);
	fake_homeserver_say(&scene->fake, "POST", "/device_signing/upload", 500, "{\"errcode\":\"M_UNKNOWN\",\"error\":\"Internal server error\"}", 1);
	int from = scene->fake.count;
	scene_open(scene);
	READY(scene);
	assert_int_equal(keep_edition(bots(scene)->crypto->keep, BOT), 2);
	assert_int_equal(fake_homeserver_count(&scene->fake, from, "POST", "/device_signing/upload"), 2);
	assert_int_equal(fake_homeserver_count(&scene->fake, from, "DELETE", "/devices/"), 0);
	struct crosssign identity;
	crosssign_init(&identity, bots(scene)->crypto->bridge_secret, 2, BOT);
	assert_non_null(strstr(fake_homeserver_find(&scene->fake, from, "POST", "/keys/upload", 0)->body, identity.self_signing_key));
	crosssign_fini(&identity);
}

/* A homeserver that only fails is asked again for the same. */
static void
test_a_homeserver_that_fails_once(void **state)
{
	struct scene *scene = *state;

	fake_homeserver_say(&scene->fake, "POST", "/device_signing/upload", 500, "{\"errcode\":\"M_UNKNOWN\",\"error\":\"Internal server error\"}", 1);
	WAIT(scene, bots(scene) && fake_homeserver_count(&scene->fake, 0, "POST", "/device_signing/upload") == 1);
	AUTO_FREE char *shown = show_keys(bots(scene));
	json_t *answer = json_read_answer(shown, strlen(shown));
	json_object_del(answer, "master_keys");
	json_object_del(answer, "self_signing_keys");
	AUTO_STR struct str text;
	str_init(&text, 65536);
	json_add(&text, answer);
	json_decref(answer);
	fake_homeserver_say(&scene->fake, "POST", "/keys/query", 200, str_get(&text), -1);
	READY(scene);
	assert_int_equal(keep_edition(bots(scene)->crypto->keep, BOT), 1);
	assert_int_equal(fake_homeserver_count(&scene->fake, 0, "POST", "/device_signing/upload"), 2);
}

/* The homeserver saw a later generation: nothing of this database is used. */
static void
test_an_old_copy(void **state)
{
	struct scene *scene = *state;

	READY(scene);
	AUTO_FREE char *device = xstrdup(bots(scene)->record.device);
	AUTO_FREE char *shown = show_keys(bots(scene));
	const struct fake_asked *told = fake_homeserver_find(&scene->fake, 0, "PUT", GENERATION, 0);
	assert_string_equal(told->body, "{\"generation\":1}");
	fake_homeserver_say(&scene->fake, "POST", "/keys/query", 200, shown, -1);
	scene_spin(scene, 50);
	/* The one that it was told, no more: all is well. */
	for (int i = 0; i < FAKE_RULES_MAX; i++)
		if (scene->fake.rules[i].part && strcmp(scene->fake.rules[i].part, GENERATION) == 0)
			scene->fake.rules[i].times = 0;
	struct fake_rule *known = fake_homeserver_say(&scene->fake, "GET", GENERATION, 200, "{\"generation\":1}", -1);
	restart(scene);
	READY(scene);
	assert_string_equal(bots(scene)->record.device, device);
	assert_int_equal(crypto_generation(matrix_of(scene)->crypto), 2);

	known->body = "{\"generation\":9}";
	scene_spin(scene, 50);
	int from = scene->fake.count;
	restart(scene);
	READY(scene);
	assert_string_not_equal(bots(scene)->record.device, device);
	assert_int_equal(crypto_generation(matrix_of(scene)->crypto), 10);
	told = fake_homeserver_find(&scene->fake, from, "PUT", GENERATION, 0);
	assert_string_equal(told->body, "{\"generation\":10}");
	/* Before anything was uploaded with what the copy had. */
	assert_int_equal(fake_homeserver_count(&scene->fake, from, "POST", "/keys/upload"), 1);
	assert_int_equal(fake_homeserver_count(&scene->fake, from, "DELETE", device), 1);
}

/* A new one beside a homeserver that knew another: it is no copy, and goes on above that one. */
static void
test_a_new_database(void **state)
{
	struct scene *scene = *state;
	AUTO_FREE char *path = xasprintf("%s/sourdine.db", scene->directory);

	for (int i = 0; i < FAKE_RULES_MAX; i++)
		scene->fake.rules[i].times = 0;
	fake_homeserver_say(&scene->fake, "GET", GENERATION, 200, "{\"generation\":9}", -1);
	scene_close(scene);
	remove(path);
	int from = scene->fake.count;
	scene_open(scene);
	READY(scene);
	assert_int_equal(crypto_generation(matrix_of(scene)->crypto), 10);
	assert_int_equal(fake_homeserver_count(&scene->fake, from, "PUT", "/devices/"), 1);
	assert_int_equal(fake_homeserver_count(&scene->fake, from, "DELETE", "/devices/"), 0);
}

static void
test_a_ghost_only_when_asked(void **state)
{
	struct scene *scene = *state;

	READY(scene);
	JOINED(scene);
	scene_hear(scene, "xmpp:bob@x\nBob\nhello");
	WAIT(scene, scene_sends(scene) == 1);
	struct ghost *ghost = ghost_get(matrix_of(scene), &bob);
	assert_int_equal(fake_homeserver_count(&scene->fake, 0, "POST", "/keys/upload"), 1);
	assert_null(ghost_own(ghost));
	WAIT(scene, ghost_prepare_keys(ghost) == GHOST_READY);
	const struct fake_asked *keys = fake_homeserver_find(&scene->fake, 0, "POST", "/keys/upload", 1);
	json_t *body = json_read_answer(keys->body, strlen(keys->body));
	assert_int_equal(json_object_size(json_object_get(body, "one_time_keys")), 5);
	json_decref(body);
	/* Under the device that it had. */
	assert_string_equal(ghost_own(ghost)->record.device, ghost_device(ghost));
	assert_non_null(strstr(keys->path, ghost_device(ghost)));
	assert_int_equal(fake_homeserver_count(&scene->fake, 0, "PUT", "/devices/"), 2);
}

static struct str heard;

static void
hear(struct own *own, const json_t *event)
{
	str_addf(&heard, "%s %s;", own->record.user, json_text(event, "type"));
}

static void
test_the_inbox(void **state)
{
	struct scene *scene = *state;

	str_init(&heard, 1000);
	READY(scene);
	/* The first poll by the device is answered at once, whatever there is; the next one waits. */
	AUTO_FREE char *waits = xasprintf("&device_id=%s&set_presence=offline&timeout=30000", bots(scene)->record.device);
	WAIT(scene, fake_homeserver_count(&scene->fake, 0, "GET", waits) == 1);
	matrix_of(scene)->crypto->on_event = hear;
	/* The poll that is cancelled below has had its answer, so that it does not take the next one's. */
	WAIT(scene, fake_homeserver_count(&scene->fake, 0, "GET", "&device_id=") > 0);
	fake_homeserver_say(&scene->fake, "GET", "&since=b1", 200, NULL, -1);
	int from = scene->fake.count;
	fake_homeserver_say(&scene->fake, "GET", "&device_id=", 200, "{\"next_batch\":\"b1\",\"to_device\":{\"events\":[{\"type\":\"a\",\"sender\":\"@x:hs\"},7,"
		"{\"type\":\"b\",\"sender\":\"@x:hs\"}]},\"device_lists\":{\"changed\":[\"@x:hs\",\"@_xmpp_y:hs\",3]},"
		"\"device_one_time_keys_count\":{\"signed_curve25519\":10},\"device_unused_fallback_key_types\":[]}", 1);
	link_poll_again(matrix_of(scene));
	WAIT(scene, fake_homeserver_count(&scene->fake, from, "GET", "&since=b1") == 1);
	assert_string_equal(str_get(&heard), BOT " a;" BOT " b;");
	str_fini(&heard);
	/* Of what was taken the keys are short: as many as were taken, and another fallback key. */
	WAIT(scene, fake_homeserver_count(&scene->fake, from, "POST", "/keys/upload") == 1);
	const struct fake_asked *keys = fake_homeserver_find(&scene->fake, from, "POST", "/keys/upload", 0);
	json_t *body = json_read_answer(keys->body, strlen(keys->body));
	assert_int_equal(json_object_size(json_object_get(body, "one_time_keys")), 40);
	assert_int_equal(json_object_size(json_object_get(body, "fallback_keys")), 1);
	assert_null(json_object_get(body, "device_keys"));
	json_decref(body);
	/* Kept: after a restart it goes on from there. */
	AUTO_FREE char *shown = show_keys(bots(scene));
	fake_homeserver_say(&scene->fake, "POST", "/keys/query", 200, shown, -1);
	scene_spin(scene, 50);
	from = scene->fake.count;
	restart(scene);
	WAIT(scene, fake_homeserver_count(&scene->fake, from, "GET", "&since=b1") == 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, scene_tear_down)
		T(test_the_bot_in_order),
		T(test_what_the_homeserver_is_told_can_be_verified),
		T(test_a_crash_between_any_two_steps),
		T(test_a_restart_compares),
		T(test_a_device_that_the_homeserver_lost),
		T(test_other_one_time_keys_are_there),
		T(test_lost_while_it_asks),
		T(test_two_dead_at_once),
		T(test_an_identity_that_is_not_taken_back),
		T(test_a_new_database_whose_identity_is_not_taken),
		T(test_a_homeserver_that_fails_once),
		T(test_an_old_copy),
		T(test_a_new_database),
		T(test_a_ghost_only_when_asked),
		T(test_the_inbox),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
