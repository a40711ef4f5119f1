/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of ours as others check them, keys of others as we do: every check is seen to refuse, for its own reason. */
#include "matrix/crypto/base64.h"
#include "matrix/crypto/crosssign.h"
#include "matrix/crypto/devicekeys.h"
#include "matrix/crypto/envelope.h"
#include "matrix/crypto/peer.h"

#include "hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define USER "@_xmpp_bob:example.org"
#define DEVICE "ABCDEFGHIJ"

/* A user with one device that is signed by itself and by his identity, and what a server tells of him. */
struct bob {
	struct ratchet_account *account;
	struct devicekeys device;
	struct crosssign identity;
	char curve[RATCHET_ID_SIZE], ed[RATCHET_ID_SIZE];
	json_t *device_keys, *answer;
};

static int
open_bob(void **state)
{
	static const unsigned char secret[PRIMITIVE_KEY] = "the bridge's secret, 32 bytes..";
	struct bob *bob = xcalloc(1, sizeof(*bob));

	bob->account = ratchet_account_new();
	bob->device = (struct devicekeys){ bob->account, USER, DEVICE };
	ratchet_account_keys(bob->account, bob->curve, bob->ed);
	crosssign_init(&bob->identity, secret, 1, USER);
	bob->device_keys = devicekeys_make(&bob->device);
	assert_int_equal(crosssign_sign_device(&bob->identity, bob->device_keys), 0);
	json_t *upload = crosssign_make_upload(&bob->identity);
	bob->answer = json_pack("{s:{s:{s:O}}, s:{s:O}, s:{s:O}, s:{}}", "device_keys", USER, DEVICE, bob->device_keys, "master_keys", USER,
			json_object_get(upload, "master_key"), "self_signing_keys", USER, json_object_get(upload, "self_signing_key"), "failures");
	assert_non_null(bob->answer);
	json_decref(upload);
	*state = bob;
	return 0;
}

static int
close_bob(void **state)
{
	struct bob *bob = *state;

	ratchet_account_free(bob->account);
	crosssign_fini(&bob->identity);
	json_decref(bob->device_keys);
	json_decref(bob->answer);
	free(bob);
	return 0;
}

static json_t *
parse(const char *text)
{
	json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);

	if (!value)
		fail_msg("%s", text);
	return value;
}

/* A copy of `json` with what stands at a path ("a|b|c") replaced, or removed when `text` is NULL. */
static json_t *
changed(const json_t *json, const char *path, const char *text)
{
	json_t *copy = json_deep_copy(json), *at = copy;
	AUTO_FREE char *names = xstrdup(path);
	char *rest = NULL, *name = strtok_r(names, "|", &rest);

	for (char *next; (next = strtok_r(NULL, "|", &rest)); name = next) {
		at = json_object_get(at, name);
		if (!at)
			fail_msg("no %s in %s", name, path);
	}
	if (text)
		json_object_set_new(at, name, parse(text));
	else
		assert_int_equal(json_object_del(at, name), 0);
	return copy;
}

static const struct peer_device *
find_none(void *context, const char *device_id)
{
	(void)context, (void)device_id;
	return NULL;
}

struct taken {
	int count, refusal;
	char id[PEER_NAME_MAX + 1];
	struct peer_device device;
};

static void
take(void *context, const char *device_id, int refusal, const struct peer_device *device)
{
	struct taken *taken = context;

	taken->count++;
	taken->refusal = refusal;
	snprintf(taken->id, sizeof(taken->id), "%s", device_id);
	assert_true(!device == (refusal != 0));
	if (device)
		taken->device = *device;
}

static struct taken
read_devices(const json_t *answer)
{
	struct taken taken = { 0 };
	struct peer_reader reader = { find_none, take, &taken };
	struct peer_identity identity;

	(void)!peer_read_identity(&identity, answer, USER, NULL);
	if (peer_read_devices(answer, USER, &identity, &reader))
		assert_int_equal(taken.count, 0);
	return taken;
}

/* ---- what we publish ---- */

static void
test_own_keys(void **state)
{
	struct bob *bob = *state;
	struct peer_identity identity;

	assert_int_equal(peer_read_identity(&identity, bob->answer, USER, NULL), 0);
	assert_string_equal(identity.master, bob->identity.master_key);
	assert_string_equal(identity.self_signing, bob->identity.self_signing_key);
	assert_false(identity.changed);
	struct taken taken = read_devices(bob->answer);
	assert_int_equal(taken.count, 1);
	assert_int_equal(taken.refusal, 0);
	assert_string_equal(taken.id, DEVICE);
	assert_string_equal(taken.device.curve, bob->curve);
	assert_string_equal(taken.device.ed, bob->ed);
	assert_int_equal(taken.device.trust, PEER_CROSS_SIGNED);
	json_t *odd = json_pack("{s:f}", "a", 1.5);
	assert_int_equal(devicekeys_sign(&bob->device, odd), SIGNING_E_CONTENT);
	json_decref(odd);
	json_t *signatures = crosssign_make_signatures(&bob->identity, DEVICE, bob->device_keys);
	assert_true(json_equal(json_child(json_child(signatures, USER), DEVICE), bob->device_keys));
	json_decref(signatures);
}

/* The identity is the same each time, and another for everybody else. */
static void
test_own_identity(void **state)
{
	struct bob *bob = *state;
	unsigned char secret[PRIMITIVE_KEY] = "the bridge's secret, 32 bytes..";
	struct crosssign again;

	crosssign_init(&again, secret, 1, USER);
	assert_string_equal(again.master_key, bob->identity.master_key);
	assert_string_not_equal(again.master_key, again.self_signing_key);
	crosssign_init(&again, secret, 1, "@_xmpp_eve:example.org");
	assert_string_not_equal(again.master_key, bob->identity.master_key);
	secret[0] ^= 1;
	crosssign_init(&again, secret, 1, USER);
	assert_string_not_equal(again.master_key, bob->identity.master_key);
	crosssign_fini(&again);
	assert_null(again.user_id);
}

static json_t *
answer_claim(const json_t *upload, const char *kind, const char **name)
{
	const json_t *keys = json_child(upload, kind);
	void *first = json_object_iter((json_t *)(uintptr_t)keys);

	*name = json_object_iter_key(first);
	return json_pack("{s:{s:{s:{s:O}}}}", "one_time_keys", USER, DEVICE, *name, json_object_iter_value(first));
}

static void
test_own_one_time_keys(void **state)
{
	struct bob *bob = *state;
	struct peer_claimed claimed;
	const char *name;

	assert_int_equal(ratchet_account_make_keys(bob->account, 5), 0);
	ratchet_account_make_fallback(bob->account);
	json_t *upload = devicekeys_make_upload(&bob->device, bob->device_keys), *again = devicekeys_make_upload(&bob->device, bob->device_keys);
	assert_true(json_equal(upload, again));
	assert_true(json_equal(json_object_get(upload, "device_keys"), bob->device_keys));
	assert_int_equal(json_object_size(json_child(upload, "one_time_keys")), 5);
	assert_int_equal(json_object_size(json_child(upload, "fallback_keys")), 1);

	json_t *answer = answer_claim(upload, "one_time_keys", &name);
	assert_int_equal(strncmp(name, "signed_curve25519:", 18), 0);
	assert_int_equal(peer_read_claimed(&claimed, answer, USER, DEVICE, bob->ed), 0);
	assert_false(claimed.fallback);
	/* It opens a session. */
	struct ratchet_account *alice = ratchet_account_new();
	struct ratchet_session *session = NULL;
	assert_int_equal(ratchet_session_open(&session, alice, bob->curve, claimed.key), 0);
	ratchet_session_free(session);
	ratchet_account_free(alice);
	json_decref(answer);

	answer = answer_claim(upload, "fallback_keys", &name);
	assert_int_equal(peer_read_claimed(&claimed, answer, USER, DEVICE, bob->ed), 0);
	assert_true(claimed.fallback);
	json_decref(answer);
	ratchet_account_mark_published(bob->account);
	json_decref(again);
	again = devicekeys_make_upload(&bob->device, NULL);
	assert_null(json_object_get(again, "device_keys"));
	assert_int_equal(json_object_size(json_child(again, "one_time_keys")) + json_object_size(json_child(again, "fallback_keys")), 0);
	json_decref(again);
	json_decref(upload);
}

/* ---- what others publish ---- */

static void
test_device_refusals(void **state)
{
	static const struct {
		const char *path, *text;
		int refusal;
	} cases[] = {
		{ "device_keys|" USER "|" DEVICE, "7", PEER_E_FORM },
		{ "device_keys|" USER "|" DEVICE, "{}", PEER_E_NAME },
		{ "device_keys|" USER "|" DEVICE "|user_id", "\"@_xmpp_eve:example.org\"", PEER_E_NAME },
		{ "device_keys|" USER "|" DEVICE "|user_id", NULL, PEER_E_NAME },
		{ "device_keys|" USER "|" DEVICE "|device_id", "\"ABCDEFGHIK\"", PEER_E_NAME },
		{ "device_keys|" USER "|" DEVICE "|device_id", "[\"" DEVICE "\"]", PEER_E_NAME },
		{ "device_keys|" USER "|" DEVICE "|algorithms", "[\"m.olm.v1.curve25519-aes-sha2\"]", PEER_E_ALGORITHMS },
		{ "device_keys|" USER "|" DEVICE "|algorithms", "[\"m.megolm.v1.aes-sha2\", 7, null]", PEER_E_ALGORITHMS },
		{ "device_keys|" USER "|" DEVICE "|algorithms", "\"m.megolm.v1.aes-sha2\"", PEER_E_ALGORITHMS },
		{ "device_keys|" USER "|" DEVICE "|algorithms", NULL, PEER_E_ALGORITHMS },
		{ "device_keys|" USER "|" DEVICE "|keys", "[]", PEER_E_KEY },
		{ "device_keys|" USER "|" DEVICE "|keys|ed25519:" DEVICE, NULL, PEER_E_KEY },
		{ "device_keys|" USER "|" DEVICE "|keys|ed25519:" DEVICE, "\"AAAA\"", PEER_E_KEY },
		{ "device_keys|" USER "|" DEVICE "|keys|curve25519:" DEVICE, "\"not base64 but of the right length, is it?\"", PEER_E_KEY },
		{ "device_keys|" USER "|" DEVICE "|keys|curve25519:" DEVICE, "7", PEER_E_KEY },
		{ "device_keys|" USER "|" DEVICE "|keys|curve25519:" DEVICE, "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"", PEER_E_SIGNATURE },
		{ "device_keys|" USER "|" DEVICE "|keys|ed25519:" DEVICE, "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"", PEER_E_SIGNATURE },
		{ "device_keys|" USER "|" DEVICE "|more", "1.5", PEER_E_SIGNATURE },
		{ "device_keys|" USER "|" DEVICE "|more", "1", PEER_E_SIGNATURE },
		{ "device_keys|" USER "|" DEVICE "|signatures", NULL, PEER_E_SIGNATURE },
		{ "device_keys|" USER "|" DEVICE "|signatures|" USER "|ed25519:" DEVICE, NULL, PEER_E_SIGNATURE },
		{ "device_keys|" USER "|" DEVICE "|signatures|" USER "|ed25519:" DEVICE, "\"x\"", PEER_E_SIGNATURE },
		/* What is not signed may say anything. */
		{ "device_keys|" USER "|" DEVICE "|unsigned", "{\"device_display_name\": 1.5}", 0 },
	};
	struct bob *bob = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *answer = changed(bob->answer, cases[i].path, cases[i].text);
		struct taken taken = read_devices(answer);
		if (taken.count != 1 || taken.refusal != cases[i].refusal)
			fail_msg("%s %s: %d, %s", cases[i].path, cases[i].text ? cases[i].text : "removed", taken.count, peer_refusal_word(taken.refusal));
		json_decref(answer);
	}
}

static void
test_device_trust(void **state)
{
	static const struct {
		const char *path, *text;
	} cases[] = {
		{ "master_keys|" USER, NULL }, { "self_signing_keys|" USER, NULL }, { "master_keys", "[]" }, { "self_signing_keys|" USER "|usage", "[\"master\"]" },
		{ "self_signing_keys|" USER "|signatures", NULL }, { "self_signing_keys|" USER "|user_id", "\"@_xmpp_eve:example.org\"" },
	};
	struct bob *bob = *state;
	AUTO_FREE char *path = xasprintf("device_keys|" USER "|" DEVICE "|signatures|" USER "|ed25519:%s", bob->identity.self_signing_key);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *answer = changed(bob->answer, cases[i].path, cases[i].text);
		struct taken taken = read_devices(answer);
		assert_int_equal(taken.refusal, 0);
		assert_int_equal(taken.device.trust, PEER_UNSIGNED);
		json_decref(answer);
	}
	static const char *const signatures[] = { NULL, "\"AAAA\"",
		"\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"" };
	for (size_t i = 0; i < 3; i++) {
		json_t *answer = changed(bob->answer, path, signatures[i]);
		struct taken taken = read_devices(answer);
		assert_int_equal(taken.refusal, 0);
		assert_int_equal(taken.device.trust, PEER_UNSIGNED);
		json_decref(answer);
	}
	/* Signed by the master key itself, which is no self-signing key. */
	json_t *answer = changed(bob->answer, path, NULL);
	json_t *device = json_object_get(json_object_get(json_object_get(answer, "device_keys"), USER), DEVICE);
	assert_int_equal(signing_sign(device, USER, bob->identity.master_key, bob->identity.master), 0);
	assert_int_equal(read_devices(answer).device.trust, PEER_UNSIGNED);
	json_decref(answer);
}

static void
test_identity_refusals(void **state)
{
	static const struct {
		const char *path, *text;
		int refusal;
	} cases[] = {
		{ "master_keys", NULL, PEER_E_ABSENT },
		{ "master_keys|" USER, "7", PEER_E_FORM },
		{ "master_keys|" USER "|keys", "{}", PEER_E_FORM },
		{ "master_keys|" USER "|keys|ed25519:x", "\"y\"", PEER_E_FORM },
		{ "master_keys|" USER "|user_id", "\"@_xmpp_eve:example.org\"", PEER_E_NAME },
		{ "master_keys|" USER "|usage", "[\"self_signing\"]", PEER_E_USAGE },
		{ "master_keys|" USER "|usage", "\"master\"", PEER_E_USAGE },
		{ "master_keys|" USER "|keys", "{\"ed25519:AAAA\": \"AAAA\"}", PEER_E_KEY },
		{ "master_keys|" USER "|keys", "{\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\": \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}", PEER_E_KEY },
		{ "master_keys|" USER "|keys", "{\"ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\": \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\"}", PEER_E_KEY },
		{ "master_keys|" USER "|keys", "{\"ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\": 7}", PEER_E_KEY },
		{ "master_keys|" USER "|keys", "{\"ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\": \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}", PEER_E_SIGNATURE },
		{ "self_signing_keys", NULL, PEER_E_ABSENT },
		{ "self_signing_keys|" USER, "null", PEER_E_FORM },
		{ "self_signing_keys|" USER "|usage", "[]", PEER_E_USAGE },
		{ "self_signing_keys|" USER "|user_id", "0", PEER_E_NAME },
		{ "self_signing_keys|" USER "|signatures|" USER, "{}", PEER_E_SIGNATURE },
		{ "self_signing_keys|" USER "|more", "1", PEER_E_SIGNATURE },
	};
	struct bob *bob = *state;
	struct peer_identity identity;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *answer = changed(bob->answer, cases[i].path, cases[i].text);
		int r = peer_read_identity(&identity, answer, USER, NULL);
		if (r != cases[i].refusal)
			fail_msg("%s %s: %s", cases[i].path, cases[i].text ? cases[i].text : "removed", peer_refusal_word(r));
		assert_string_equal(identity.self_signing, "");
		json_decref(answer);
	}
	assert_int_equal(peer_read_identity(&identity, NULL, USER, NULL), PEER_E_ABSENT);
	/* The pinned key. */
	assert_int_equal(peer_read_identity(&identity, bob->answer, USER, bob->identity.master_key), 0);
	assert_false(identity.changed);
	assert_int_equal(peer_read_identity(&identity, bob->answer, USER, bob->identity.self_signing_key), 0);
	assert_true(identity.changed);
}

/* A device may be named like a cross-signing key only to have its signature taken for that key's. */
static void
test_device_named_as_key(void **state)
{
	struct bob *bob = *state;
	const char *const names[] = { bob->identity.master_key, bob->identity.self_signing_key };
	struct peer_identity identity;
	struct peer_device device;

	assert_int_equal(peer_read_identity(&identity, bob->answer, USER, NULL), 0);
	for (size_t i = 0; i < 2; i++) {
		struct devicekeys evil = { bob->account, USER, names[i] };
		json_t *keys = devicekeys_make(&evil);
		assert_int_equal(peer_read_device(&device, keys, USER, names[i], &identity, NULL), PEER_E_CROSS);
		assert_int_equal(peer_read_device(&device, keys, USER, names[i], NULL, NULL), 0);
		json_decref(keys);
	}
	char long_name[PEER_NAME_MAX + 2];
	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	struct devicekeys odd = { bob->account, USER, long_name };
	json_t *keys = devicekeys_make(&odd);
	assert_int_equal(peer_read_device(&device, keys, USER, long_name, NULL, NULL), PEER_E_FORM);
	json_decref(keys);
	odd.device_id = "";
	keys = devicekeys_make(&odd);
	assert_int_equal(peer_read_device(&device, keys, USER, "", NULL, NULL), PEER_E_FORM);
	json_decref(keys);
}

static void
test_device_changed(void **state)
{
	struct bob *bob = *state;
	struct peer_device known = { .trust = PEER_UNSIGNED }, device;

	assert_int_equal(peer_read_device(&known, bob->device_keys, USER, DEVICE, NULL, NULL), 0);
	assert_int_equal(peer_read_device(&device, bob->device_keys, USER, DEVICE, NULL, &known), 0);
	struct peer_device other = known;
	other.curve[0] = other.curve[0] == 'A' ? 'B' : 'A';
	assert_int_equal(peer_read_device(&device, bob->device_keys, USER, DEVICE, NULL, &other), PEER_E_CHANGED);
	other = known;
	other.ed[0] = other.ed[0] == 'A' ? 'B' : 'A';
	assert_int_equal(peer_read_device(&device, bob->device_keys, USER, DEVICE, NULL, &other), PEER_E_CHANGED);
}

/* The order of the group added to S. */
static void
test_device_malleated(void **state)
{
	struct bob *bob = *state;
	unsigned char signature[64], order[32];
	char text[SIGNING_TEXT_SIZE];
	struct peer_device device;
	unsigned carry = 0;

	json_t *of_user = json_object_get(json_object_get(bob->device_keys, "signatures"), USER);
	assert_int_equal(peer_read_device(&device, bob->device_keys, USER, DEVICE, NULL, NULL), 0);
	assert_true(base64_decode_exact(BASE64_PLAIN, json_text(of_user, "ed25519:" DEVICE), signature, 64));
	unhex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010", order, sizeof(order));
	for (size_t i = 0; i < 32; i++) {
		carry += (unsigned)signature[32 + i] + order[i];
		signature[32 + i] = (unsigned char)carry;
		carry >>= 8;
	}
	base64_encode(BASE64_PLAIN, signature, 64, text);
	json_object_set_new(of_user, "ed25519:" DEVICE, json_string(text));
	assert_int_equal(peer_read_device(&device, bob->device_keys, USER, DEVICE, NULL, NULL), PEER_E_SIGNATURE);
}

static void
test_devices_absent(void **state)
{
	struct bob *bob = *state;
	struct taken taken = { 0 };
	struct peer_reader reader = { find_none, take, &taken };
	struct peer_identity none = { .changed = false };

	assert_int_equal(peer_read_devices(bob->answer, "@other:example.org", &none, &reader), PEER_E_ABSENT);
	assert_int_equal(peer_read_devices(NULL, USER, &none, &reader), PEER_E_ABSENT);
	json_t *answer = changed(bob->answer, "device_keys|" USER, "{}");
	assert_int_equal(peer_read_devices(answer, USER, &none, &reader), 0);
	assert_int_equal(taken.count, 0);
	json_decref(answer);
	for (int refusal = 0; refusal < PEER_REFUSALS; refusal++)
		assert_true((*peer_refusal_word(refusal) == '\0') == (refusal == 0));
}

static void
test_claimed_refusals(void **state)
{
	static const struct {
		const char *path, *text;
		int refusal;
	} cases[] = {
		{ "one_time_keys", "{}", PEER_E_ABSENT },
		{ "one_time_keys|" USER "|" DEVICE, "[]", PEER_E_ABSENT },
		{ "one_time_keys|" USER "|" DEVICE, "{\"curve25519:AAAAAQ\": {}}", PEER_E_ABSENT },
		{ "one_time_keys|" USER "|" DEVICE, "{\"signed_curve25519:AAAAAQ\": \"key\"}", PEER_E_FORM },
		{ "one_time_keys|" USER "|" DEVICE "|{KEY}|key", NULL, PEER_E_KEY },
		{ "one_time_keys|" USER "|" DEVICE "|{KEY}|key", "\"AAAA\"", PEER_E_KEY },
		{ "one_time_keys|" USER "|" DEVICE "|{KEY}|key", "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"", PEER_E_SIGNATURE },
		{ "one_time_keys|" USER "|" DEVICE "|{KEY}|signatures", NULL, PEER_E_SIGNATURE },
		/* The signature covers that it is a fallback key. */
		{ "one_time_keys|" USER "|" DEVICE "|{KEY}|fallback", NULL, PEER_E_SIGNATURE },
		{ "one_time_keys|" USER "|" DEVICE "|{KEY}|fallback", "false", PEER_E_SIGNATURE },
	};
	struct bob *bob = *state;
	struct peer_claimed claimed;
	const char *name;

	ratchet_account_make_fallback(bob->account);
	json_t *upload = devicekeys_make_upload(&bob->device, NULL), *answer = answer_claim(upload, "fallback_keys", &name);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		AUTO_FREE char *whole = str_fill(cases[i].path, "KEY", name);
		json_t *other = changed(answer, whole, cases[i].text);
		int r = peer_read_claimed(&claimed, other, USER, DEVICE, bob->ed);
		if (r != cases[i].refusal)
			fail_msg("%s: %s", whole, peer_refusal_word(r));
		json_decref(other);
	}
	assert_int_equal(peer_read_claimed(&claimed, answer, USER, DEVICE, bob->curve), PEER_E_SIGNATURE);
	assert_int_equal(peer_read_claimed(&claimed, answer, USER, DEVICE, "x"), PEER_E_KEY);
	assert_int_equal(peer_read_claimed(&claimed, answer, USER, "OTHER", bob->ed), PEER_E_ABSENT);
	json_decref(answer);
	json_decref(upload);
}

/* What Element published in 2020, as matrix-rust-sdk's tests have it. */
static void
test_real_answer(void **state)
{
	static const char text[] = "{\"device_keys\":{\"@example:localhost\":{\"WSKKLTJZCL\":{\"algorithms\":[\"m.olm.v1.curve25519-aes-sha2\",\"m.megolm.v1.aes-sha2\"],"
		"\"device_id\":\"WSKKLTJZCL\",\"keys\":{\"curve25519:WSKKLTJZCL\":\"wnip2tbJBJxrFayC88NNJpm61TeSNgYcqBH4T9yEDhU\","
		"\"ed25519:WSKKLTJZCL\":\"lQ+eshkhgKoo+qp9Qgnj3OX5PBoWMU5M9zbuEevwYqE\"},\"signatures\":{\"@example:localhost\":{"
		"\"ed25519:WSKKLTJZCL\":\"SKpIUnq7QK0xleav0PrIQyKjVm+TgZr7Yi8cKjLeZDtkgyToE2d4/e3Aj79dqOlLB92jFVE4d1cM/Ry04wFwCA\","
		"\"ed25519:0C8lCBxrvrv/O7BQfsKnkYogHZX3zAgw3RfJuyiq210\":\"9UGu1iC5YhFCdELGfB29YaV+QE0t/X5UDSsPf4QcdZyXIwyp9zBbHX2lh9vWudNQ+akZpaq7ZRaaM+4TCnw/Ag\"}},"
		"\"user_id\":\"@example:localhost\",\"unsigned\":{\"device_display_name\":\"Cross signing capable\"}}}},"
		"\"master_keys\":{\"@example:localhost\":{\"keys\":{\"ed25519:rJ2TAGkEOP6dX41Ksll6cl8K3J48l8s/59zaXyvl2p0\":\"rJ2TAGkEOP6dX41Ksll6cl8K3J48l8s/59zaXyvl2p0\"},"
		"\"signatures\":{\"@example:localhost\":{\"ed25519:WSKKLTJZCL\":\"ZzJp1wtmRdykXAUEItEjNiFlBrxx8L6/Vaen9am8AuGwlxxJtOkuY4m+4MPLvDPOgavKHLsrRuNLAfCeakMlCQ\"}},"
		"\"usage\":[\"master\"],\"user_id\":\"@example:localhost\"}},"
		"\"self_signing_keys\":{\"@example:localhost\":{\"keys\":{\"ed25519:0C8lCBxrvrv/O7BQfsKnkYogHZX3zAgw3RfJuyiq210\":\"0C8lCBxrvrv/O7BQfsKnkYogHZX3zAgw3RfJuyiq210\"},"
		"\"signatures\":{\"@example:localhost\":{\"ed25519:rJ2TAGkEOP6dX41Ksll6cl8K3J48l8s/59zaXyvl2p0\":"
		"\"AC7oDUW4rUhtInwb4lAoBJ0wAuu4a5k+8e34B5+NKsDB8HXRwgVwUWN/MRWc/sJgtSbVlhzqS9THEmQQ1C51Bw\"}},"
		"\"usage\":[\"self_signing\"],\"user_id\":\"@example:localhost\"}}}";
	struct taken taken = { 0 };
	struct peer_reader reader = { find_none, take, &taken };
	struct peer_identity identity;
	unsigned char key[PRIMITIVE_KEY];
	json_t *answer = parse(text);

	(void)state;
	assert_int_equal(peer_read_identity(&identity, answer, "@example:localhost", NULL), 0);
	assert_int_equal(peer_read_devices(answer, "@example:localhost", &identity, &reader), 0);
	assert_int_equal(taken.refusal, 0);
	assert_int_equal(taken.device.trust, PEER_CROSS_SIGNED);
	/* The device signed the master key as well. */
	assert_true(base64_decode_exact(BASE64_PLAIN, taken.device.ed, key, sizeof(key)));
	assert_int_equal(signing_check(json_child(json_child(answer, "master_keys"), "@example:localhost"), "@example:localhost", "WSKKLTJZCL", key), 0);
	json_decref(answer);
}

/* ---- around what Olm carries ---- */

static void
test_envelope(void **state)
{
	static const char alice_key[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
	struct bob *bob = *state;
	struct envelope_ends ends = {
		.sender = USER, .sender_ed = bob->ed, .recipient = "@alice:example.org", .recipient_ed = alice_key, .sender_curve = bob->curve,
	};
	json_t *sent = json_pack("{s:s}", "room_id", "!r:example.org"), *plain = envelope_make(&ends, "m.room_key", sent, bob->device_keys);
	const json_t *content;
	const char *type;
	static const struct {
		const char *path, *text;
		int refusal;
	} cases[] = {
		{ "type", NULL, ENVELOPE_E_FORM }, { "type", "7", ENVELOPE_E_FORM }, { "content", "[]", ENVELOPE_E_FORM }, { "content", NULL, ENVELOPE_E_FORM },
		{ "keys", NULL, ENVELOPE_E_FORM }, { "keys|ed25519", "7", ENVELOPE_E_FORM }, { "sender", NULL, ENVELOPE_E_SENDER },
		{ "sender", "\"@alice:example.org\"", ENVELOPE_E_SENDER }, { "recipient", NULL, ENVELOPE_E_RECIPIENT },
		{ "recipient", "\"" USER "\"", ENVELOPE_E_RECIPIENT }, { "recipient_keys", NULL, ENVELOPE_E_RECIPIENT },
		{ "recipient_keys|ed25519", "\"x\"", ENVELOPE_E_RECIPIENT }, { "keys|ed25519", "\"x\"", ENVELOPE_E_KEY },
		{ "sender_device_keys", "7", ENVELOPE_E_DEVICE }, { "sender_device_keys|user_id", "\"@alice:example.org\"", ENVELOPE_E_DEVICE },
		{ "sender_device_keys|device_id", NULL, ENVELOPE_E_DEVICE }, { "sender_device_keys|signatures", NULL, ENVELOPE_E_DEVICE },
		{ "sender_device_keys", NULL, 0 },
	};

	assert_int_equal(envelope_check(plain, &ends, &type, &content), 0);
	assert_string_equal(type, "m.room_key");
	assert_ptr_equal(content, sent);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *other = changed(plain, cases[i].path, cases[i].text);
		int r = envelope_check(other, &ends, &type, &content);
		if (r != cases[i].refusal)
			fail_msg("%s %s: %d", cases[i].path, cases[i].text ? cases[i].text : "removed", r);
		json_decref(other);
	}
	/* A device that is not known proves itself, or not. */
	struct envelope_ends unknown = ends;
	unknown.sender_ed = NULL;
	assert_int_equal(envelope_check(plain, &unknown, &type, &content), 0);
	unknown.sender_curve = alice_key;
	assert_int_equal(envelope_check(plain, &unknown, &type, &content), ENVELOPE_E_DEVICE);
	json_t *without = envelope_make(&ends, "m.dummy", sent, NULL);
	unknown.sender_curve = bob->curve;
	assert_int_equal(envelope_check(without, &unknown, &type, &content), ENVELOPE_E_DEVICE);
	assert_int_equal(envelope_check(without, &ends, &type, &content), 0);
	/* The keys of another device of his. */
	json_t *other = changed(without, "keys|ed25519", "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"");
	json_object_set(other, "sender_device_keys", bob->device_keys);
	assert_int_equal(envelope_check(other, &unknown, &type, &content), ENVELOPE_E_DEVICE);
	assert_int_equal(envelope_check(NULL, &ends, &type, &content), ENVELOPE_E_FORM);
	json_decref(other);
	json_decref(without);
	json_decref(plain);
	json_decref(sent);
}

#define WITH_BOB(test) cmocka_unit_test_setup_teardown(test, open_bob, close_bob)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_BOB(test_own_keys), WITH_BOB(test_own_identity), WITH_BOB(test_own_one_time_keys), WITH_BOB(test_device_refusals),
		WITH_BOB(test_device_trust), WITH_BOB(test_identity_refusals), WITH_BOB(test_device_named_as_key), WITH_BOB(test_device_changed),
		WITH_BOB(test_device_malleated), WITH_BOB(test_devices_absent), WITH_BOB(test_claimed_refusals), cmocka_unit_test(test_real_answer),
		WITH_BOB(test_envelope),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
