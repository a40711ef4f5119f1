/* SPDX-License-Identifier: Apache-2.0 */
/* What is shown of our devices: all that is public, nothing that is not; and each way in which a homeserver can show them wrongly. */
#include "matrix/crypto/report.h"

#include "base/log.h"
#include "matrix/crypto/base64.h"
#include "matrix/crypto/crosssign.h"
#include "matrix/crypto/devicekeys.h"
#include "matrix/crypto/keep.h"
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
#define DEVICE "ABCDEFGHIJ"

struct scene {
	char directory[64];
	struct store *store;
	struct seal *seal;
	struct keep *keep;
	unsigned char secret[SEAL_KEY_SIZE];
	json_t *answer; /* what a homeserver says of the bot */
};

static int
set_up(void **state)
{
	struct scene *scene = xcalloc(1, sizeof(*scene));
	bool created;

	log_register(scratch_drop_line);
	snprintf(scene->directory, sizeof(scene->directory), "/tmp/sourdine-test-XXXXXX");
	*state = scene;
	assert_non_null(mkdtemp(scene->directory));
	AUTO_FREE char *path = xasprintf("%s/key", scene->directory);
	assert_int_equal(store_open(&scene->store, scene->directory, &created), 0);
	assert_int_equal(seal_open(&scene->seal, path, true), 0);
	seal_derive(scene->seal, "cross-signing", scene->secret);
	return 0;
}

static int
tear_down(void **state)
{
	static const char *const files[] = { "/sourdine.db", "/sourdine.db-wal", "/sourdine.db-shm", "/lock", "/ballast", "/key", "/other", "" };
	struct scene *scene = *state;

	json_decref(scene->answer);
	keep_close(scene->keep);
	seal_close(scene->seal);
	store_close(scene->store);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		AUTO_FREE char *path = xasprintf("%s%s", scene->directory, files[i]);
		remove(path);
	}
	free(scene);
	return 0;
}

/* A complete device, committed; the answer of a homeserver that has it is kept when it is the bot's. */
static void
add(struct scene *scene, const char *user, const char *device)
{
	struct keep_account account = { .state = KEEP_SIGNED, .account = ratchet_account_new(), .since = xstrdup("") };
	struct devicekeys own = { account.account, user, device };
	struct crosssign identity;
	AUTO_STR struct str text;
	json_t *keys = devicekeys_make(&own);

	if (!scene->keep)
		assert_int_equal(keep_open(&scene->keep, scene->store, scene->seal), 0);
	crosssign_init(&identity, scene->secret, 1, user);
	assert_int_equal(crosssign_sign_device(&identity, keys), 0);
	if (!scene->answer) {
		json_t *upload = crosssign_make_upload(&identity);
		scene->answer = json_pack("{s:{s:{s:O}}, s:{s:O}, s:{s:O}}", "device_keys", user, device, keys, "master_keys", user,
				json_object_get(upload, "master_key"), "self_signing_keys", user, json_object_get(upload, "self_signing_key"));
		json_decref(upload);
	}
	str_init(&text, 65536);
	json_add(&text, keys);
	account.device_keys = str_take(&text);
	snprintf(account.user, sizeof(account.user), "%s", user);
	snprintf(account.device, sizeof(account.device), "%s", device);
	keep_add_account(scene->keep, &account);
	keep_account_fini(&account);
	crosssign_fini(&identity);
	json_decref(keys);
	assert_int_equal(store_commit(scene->store), 0);
}

static void
test_key(void **state)
{
	struct scene *scene = *state;
	AUTO_FREE char *path = xasprintf("%s/other", scene->directory);
	struct seal *other;

	assert_int_equal(report_key(scene->store, scene->seal), REPORT_KEY_UNUSED);
	assert_int_equal(report_key(scene->store, scene->seal), REPORT_KEY_UNUSED); /* looking puts no key into use */
	add(scene, BOT, DEVICE);
	assert_int_equal(report_key(scene->store, scene->seal), REPORT_KEY_GOOD);
	assert_true(report_opens(scene->store, scene->seal, BOT));
	assert_false(report_opens(scene->store, scene->seal, "@nobody:hs"));
	assert_int_equal(seal_open(&other, path, true), 0);
	assert_int_equal(report_key(scene->store, other), REPORT_KEY_OTHER);
	assert_false(report_opens(scene->store, other, BOT));
	seal_close(other);
}

static void
test_damage(void **state)
{
	struct scene *scene = *state;
	struct keep_account account;

	add(scene, BOT, DEVICE);
	assert_true(keep_find_account(scene->keep, BOT, &account));
	ratchet_account_free(account.account);
	account.account = NULL; /* its pickle is saved as nothing */
	keep_save_account(scene->keep, &account);
	keep_account_fini(&account);
	assert_int_equal(store_commit(scene->store), 0);
	assert_int_equal(report_key(scene->store, scene->seal), REPORT_KEY_GOOD);
	assert_false(report_opens(scene->store, scene->seal, BOT));
}

static void
test_devices(void **state)
{
	struct scene *scene = *state;
	char user[64];

	json_t *none = report_devices(scene->store, scene->seal, "", 10);
	assert_int_equal(json_array_size(none), 0);
	json_decref(none);
	assert_null(report_device(scene->store, scene->seal, BOT));
	for (int i = 0; i < 7; i++) {
		snprintf(user, sizeof(user), "@_xmpp_%d=40x:hs", i);
		add(scene, user, "GHOSTGHOST");
	}
	add(scene, BOT, DEVICE);
	/* Pages, each after the last of the one before. */
	size_t seen = 0;
	for (const char *after = ""; after;) {
		json_t *page = report_devices(scene->store, scene->seal, after, 3);
		size_t n = json_array_size(page);
		seen += n;
		snprintf(user, sizeof(user), "%s", n ? json_text(json_array_get(page, n - 1), "user") : "");
		after = n ? user : NULL;
		json_decref(page);
	}
	assert_int_equal(seen, 8);
	json_t *bot = report_device(scene->store, scene->seal, BOT);
	assert_string_equal(json_text(bot, "device"), DEVICE);
	assert_string_equal(json_text(bot, "state"), "signed");
	assert_int_equal(strlen(json_text(bot, "master")), 43);
	json_decref(bot);
}

/* Neither the secret that identities come from, nor a seed of one, nor a pickle. */
static void
test_nothing_secret(void **state)
{
	struct scene *scene = *state;
	struct crosssign identity;
	AUTO_STR struct str text;

	add(scene, BOT, DEVICE);
	json_t *devices = report_devices(scene->store, scene->seal, "", 10);
	str_init(&text, 65536);
	json_add(&text, devices);
	json_decref(devices);
	const json_t *known = json_child(json_child(json_child(scene->answer, "device_keys"), BOT), DEVICE);
	assert_non_null(strstr(str_get(&text), json_text(json_child(known, "keys"), "ed25519:" DEVICE))); /* the search does find */
	crosssign_init(&identity, scene->secret, 1, BOT);
	const unsigned char *secrets[] = { scene->secret, identity.master, identity.self_signing };
	for (size_t i = 0; i < 3; i++) {
		char encoded[BASE64_SIZE(SEAL_KEY_SIZE)];
		base64_encode(BASE64_PLAIN, secrets[i], SEAL_KEY_SIZE, encoded);
		assert_null(strstr(str_get(&text), encoded));
	}
	crosssign_fini(&identity);
}

/* ---- how a homeserver shows a device ---- */

static json_t *
device_in(json_t *answer)
{
	return json_object_get(json_object_get(json_object_get(answer, "device_keys"), BOT), DEVICE);
}

static void
lose_device(json_t *answer)
{
	json_object_del(json_object_get(json_object_get(answer, "device_keys"), BOT), DEVICE);
}

static void
lose_user(json_t *answer)
{
	json_object_clear(answer);
}

/* Another account under the same name, signed as it should be. */
static void
change_keys(json_t *answer)
{
	struct ratchet_account *account = ratchet_account_new();
	struct devicekeys device = { account, BOT, DEVICE };

	json_object_set_new(json_object_get(json_object_get(answer, "device_keys"), BOT), DEVICE, devicekeys_make(&device));
	ratchet_account_free(account);
}

static void
change_algorithms(json_t *answer)
{
	json_object_set_new(device_in(answer), "algorithms", json_pack("[s]", DEVICEKEYS_OLM));
}

static void
lose_own_signature(json_t *answer)
{
	json_object_del(json_object_get(json_object_get(device_in(answer), "signatures"), BOT), "ed25519:" DEVICE);
}

static void
lose_master(json_t *answer)
{
	json_object_del(answer, "master_keys");
}

static void
lose_self_signing(json_t *answer)
{
	json_object_del(answer, "self_signing_keys");
}

/* An identity of somebody else's making. */
static void
change_identity(json_t *answer)
{
	static const unsigned char secret[PRIMITIVE_KEY] = "another secret, of 32 bytes too.";
	struct crosssign identity;

	crosssign_init(&identity, secret, 1, BOT);
	json_t *upload = crosssign_make_upload(&identity);
	json_object_set(json_object_get(answer, "master_keys"), BOT, json_object_get(upload, "master_key"));
	json_object_set(json_object_get(answer, "self_signing_keys"), BOT, json_object_get(upload, "self_signing_key"));
	json_decref(upload);
	crosssign_fini(&identity);
}

static void
change_master_only(json_t *answer)
{
	change_identity(answer);
	lose_self_signing(answer);
}

static void
break_identity(json_t *answer)
{
	json_object_del(json_object_get(json_object_get(answer, "self_signing_keys"), BOT), "signatures");
}

static void
lose_signature(json_t *answer)
{
	json_t *signatures = json_object_get(json_object_get(device_in(answer), "signatures"), BOT);
	json_t *only = json_pack("{s:O}", "ed25519:" DEVICE, json_object_get(signatures, "ed25519:" DEVICE));

	json_object_set_new(json_object_get(device_in(answer), "signatures"), BOT, only);
}

static void
change_nothing(json_t *answer)
{
	(void)answer;
}

static void
test_faults(void **state)
{
	static const struct {
		void (*change)(json_t *answer);
		enum report_fault fault;
	} rows[] = {
		{ change_nothing, REPORT_FINE }, { lose_device, REPORT_ABSENT }, { lose_user, REPORT_ABSENT }, { change_keys, REPORT_OTHER_KEYS },
		{ change_algorithms, REPORT_BAD_KEYS }, { lose_own_signature, REPORT_BAD_KEYS }, { lose_master, REPORT_NO_IDENTITY },
		{ lose_self_signing, REPORT_NO_IDENTITY }, { change_identity, REPORT_OTHER_IDENTITY }, { change_master_only, REPORT_OTHER_IDENTITY }, { break_identity, REPORT_BROKEN_IDENTITY },
		{ lose_signature, REPORT_UNSIGNED },
	};
	struct scene *scene = *state;

	add(scene, BOT, DEVICE);
	json_t *ours = report_device(scene->store, scene->seal, BOT);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *answer = json_deep_copy(scene->answer);
		rows[i].change(answer);
		enum report_fault fault = report_compare(ours, answer);
		if (fault != rows[i].fault)
			fail_msg("row %zu: %d instead of %d", i, (int)fault, (int)rows[i].fault);
		json_decref(answer);
	}
	json_decref(ours);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_key, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_damage, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_devices, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nothing_secret, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_faults, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
