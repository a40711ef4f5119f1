/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Olm and Megolm: two devices talk, everything that can be cut short or changed is, and what libolm is known to do wrong
 * does not reach us. libolm's own published messages, and some that vodozemac, the other implementation, made.
 */
#include "matrix/crypto/base64.h"
#include "matrix/crypto/ratchet.h"

#include "hex.h"
#include "ratchet_vectors.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static const unsigned char row_key[PRIMITIVE_KEY] = "a key that is the same each tim", other_key[PRIMITIVE_KEY] = "another key, of the same length";

struct keys {
	unsigned one_time, fallback;
	char last[RATCHET_ID_SIZE], last_fallback[RATCHET_ID_SIZE];
};

static void
note_key(void *context, bool fallback, const char *id, const char *key)
{
	struct keys *keys = context;

	assert_int_equal(strlen(key), RATCHET_ID_SIZE - 1);
	assert_true(*id);
	keys->one_time += !fallback;
	keys->fallback += fallback;
	snprintf(fallback ? keys->last_fallback : keys->last, RATCHET_ID_SIZE, "%s", key);
}

static struct keys
unpublished(const struct ratchet_account *account)
{
	struct keys keys = { 0 };

	ratchet_account_unpublished(account, note_key, &keys);
	return keys;
}

/* Two devices; bob has one-time keys and a fallback key. */
struct pair {
	struct ratchet_account *alice, *bob;
	char alice_curve[RATCHET_ID_SIZE], bob_curve[RATCHET_ID_SIZE], ed[RATCHET_ID_SIZE];
	struct keys bobs;
};

static int
open_pair(void **state)
{
	struct pair *pair = xcalloc(1, sizeof(*pair));

	pair->alice = ratchet_account_new();
	pair->bob = ratchet_account_new();
	assert_int_equal(ratchet_account_make_keys(pair->bob, 3), 0);
	ratchet_account_make_fallback(pair->bob);
	pair->bobs = unpublished(pair->bob);
	ratchet_account_mark_published(pair->bob);
	ratchet_account_keys(pair->alice, pair->alice_curve, pair->ed);
	ratchet_account_keys(pair->bob, pair->bob_curve, pair->ed);
	*state = pair;
	return 0;
}

static int
close_pair(void **state)
{
	struct pair *pair = *state;

	ratchet_account_free(pair->alice);
	ratchet_account_free(pair->bob);
	free(pair);
	return 0;
}

/* What an object is saved as: the same text, the same object. */
#define SAVER(kind) \
	static struct secret save_##kind(const struct ratchet_##kind *kind) \
	{ \
		struct secret saved = { NULL, 0 }; \
\
		assert_int_equal(ratchet_##kind##_save(kind, row_key, &saved), 0); \
		return saved; \
	}
SAVER(account)
SAVER(session)
SAVER(outbound)
SAVER(inbound)

static void
assert_saved(struct secret *before, struct secret after)
{
	assert_int_equal(before->n, after.n);
	assert_memory_equal(before->p, after.p, after.n);
	secret_fini(&after);
}

static void
assert_plain(struct secret *plain, const char *text)
{
	assert_int_equal(plain->n, strlen(text));
	assert_string_equal(plain->p, text);
	secret_fini(plain);
}

/* ---- accounts ---- */

static void
test_account(void **state)
{
	struct ratchet_account *account = ratchet_account_new();
	char curve[RATCHET_ID_SIZE], ed[RATCHET_ID_SIZE], signature[RATCHET_SIGNATURE_SIZE], again[RATCHET_SIGNATURE_SIZE];
	unsigned char key[32], bytes[64];

	(void)state;
	ratchet_account_keys(account, curve, ed);
	assert_string_not_equal(curve, ed);
	ratchet_account_sign(account, "text", 4, signature);
	ratchet_account_sign(account, "text", 4, again);
	assert_string_equal(signature, again);
	assert_true(base64_decode_exact(BASE64_PLAIN, ed, key, 32) && base64_decode_exact(BASE64_PLAIN, signature, bytes, 64));
	assert_true(primitive_verify(key, "text", 4, bytes));
	assert_false(primitive_verify(key, "tex", 3, bytes));

	struct keys keys = unpublished(account);
	assert_int_equal(keys.one_time + keys.fallback, 0);
	assert_int_equal(ratchet_account_make_keys(account, 0), 0);
	assert_int_equal(ratchet_account_make_keys(account, 5), 0);
	ratchet_account_make_fallback(account);
	keys = unpublished(account);
	assert_int_equal(keys.one_time, 5);
	assert_int_equal(keys.fallback, 1);
	ratchet_account_mark_published(account);
	keys = unpublished(account);
	assert_int_equal(keys.one_time + keys.fallback, 0);
	assert_int_equal(ratchet_account_make_keys(account, RATCHET_ONE_TIME_MAX + 1), -EINVAL);
	assert_int_equal(ratchet_account_make_keys(account, RATCHET_ONE_TIME_MAX), 0);
	assert_int_equal(unpublished(account).one_time, RATCHET_ONE_TIME_MAX);
	ratchet_account_free(account);
	ratchet_account_free(NULL);
}

/* ---- Olm ---- */

static struct ratchet_session *
open_session(struct pair *pair)
{
	struct ratchet_session *session = NULL;

	assert_int_equal(ratchet_session_open(&session, pair->alice, pair->bob_curve, pair->bobs.last), 0);
	return session;
}

static char *
encrypt(struct ratchet_session *session, const char *text, enum ratchet_type expected)
{
	enum ratchet_type type;
	char *body;

	ratchet_session_encrypt(session, text, strlen(text), &type, &body);
	assert_int_equal(type, expected);
	return body;
}

static void
test_olm_talk(void **state)
{
	struct pair *pair = *state;
	struct ratchet_session *alice = open_session(pair), *bob = NULL;
	AUTO_FREE char *first = encrypt(alice, "first", RATCHET_PRE_KEY), *second = encrypt(alice, "second", RATCHET_PRE_KEY);
	char one[RATCHET_ID_SIZE], two[RATCHET_ID_SIZE];
	struct secret plain;

	assert_false(ratchet_session_is_answered(alice));
	assert_int_equal(ratchet_session_accept(&bob, &plain, pair->bob, pair->alice_curve, first), 0);
	assert_plain(&plain, "first");
	ratchet_session_id(alice, one);
	ratchet_session_id(bob, two);
	assert_string_equal(one, two);
	/* The second belongs to the same session, for its sender only. */
	assert_true(ratchet_session_matches(bob, pair->alice_curve, second));
	assert_false(ratchet_session_matches(bob, pair->bob_curve, second));
	assert_false(ratchet_session_matches(bob, "x", second));
	assert_int_equal(ratchet_session_decrypt(bob, RATCHET_PRE_KEY, second, &plain), 0);
	assert_plain(&plain, "second");
	AUTO_FREE char *answer = encrypt(bob, "answer", RATCHET_NORMAL), *empty = encrypt(bob, "", RATCHET_NORMAL);
	/* Out of order. */
	assert_int_equal(ratchet_session_decrypt(alice, RATCHET_NORMAL, empty, &plain), 0);
	assert_plain(&plain, "");
	assert_int_equal(ratchet_session_decrypt(alice, RATCHET_NORMAL, answer, &plain), 0);
	assert_plain(&plain, "answer");
	assert_true(ratchet_session_is_answered(alice));
	assert_int_equal(ratchet_session_decrypt(alice, RATCHET_NORMAL, answer, &plain), RATCHET_E_MAC);
	AUTO_FREE char *third = encrypt(alice, "third", RATCHET_NORMAL);
	assert_int_equal(ratchet_session_decrypt(bob, RATCHET_NORMAL, third, &plain), 0);
	assert_plain(&plain, "third");
	ratchet_session_free(alice);
	ratchet_session_free(bob);
}

static void
test_olm_keys_are_used_once(void **state)
{
	struct pair *pair = *state;
	struct ratchet_session *alice = open_session(pair), *bob = NULL, *again = NULL;
	AUTO_FREE char *first = encrypt(alice, "first", RATCHET_PRE_KEY);
	struct secret plain;

	assert_int_equal(ratchet_session_accept(&bob, &plain, pair->bob, pair->alice_curve, first), 0);
	secret_fini(&plain);
	assert_int_equal(ratchet_session_accept(&again, &plain, pair->bob, pair->alice_curve, first), RATCHET_E_KEY);
	assert_null(again);
	ratchet_session_free(alice);
	ratchet_session_free(bob);
}

/* A fallback key stays: the message can be taken again, which is why messages must be remembered; and it ends when it is forgotten. */
static void
test_olm_fallback(void **state)
{
	struct pair *pair = *state;
	struct ratchet_session *alice = NULL, *bob = NULL;
	struct secret plain;

	assert_int_equal(ratchet_session_open(&alice, pair->alice, pair->bob_curve, pair->bobs.last_fallback), 0);
	AUTO_FREE char *first = encrypt(alice, "first", RATCHET_PRE_KEY);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ratchet_session_accept(&bob, &plain, pair->bob, pair->alice_curve, first), 0);
		assert_plain(&plain, "first");
		ratchet_session_free(bob);
		if (i == 1)
			ratchet_account_make_fallback(pair->bob);
	}
	ratchet_account_forget_fallback(pair->bob);
	assert_int_equal(ratchet_session_accept(&bob, &plain, pair->bob, pair->alice_curve, first), RATCHET_E_KEY);
	ratchet_session_free(alice);
}

/* The message says whose identity key it is; the event says another. */
static void
test_olm_wrong_peer(void **state)
{
	struct pair *pair = *state;
	struct ratchet_session *alice = open_session(pair), *bob = NULL;
	AUTO_FREE char *first = encrypt(alice, "first", RATCHET_PRE_KEY);
	AUTO_SECRET struct secret before = save_account(pair->bob);
	struct secret plain;

	assert_int_equal(ratchet_session_accept(&bob, &plain, pair->bob, pair->bob_curve, first), RATCHET_E_KEY);
	assert_int_equal(ratchet_session_accept(&bob, &plain, pair->bob, "short", first), RATCHET_E_FORM);
	assert_int_equal(ratchet_session_accept(&bob, &plain, pair->bob, NULL, first), RATCHET_E_FORM);
	assert_int_equal(ratchet_session_accept(&bob, &plain, pair->alice, pair->alice_curve, first), RATCHET_E_KEY);
	assert_saved(&before, save_account(pair->bob));
	assert_int_equal(ratchet_session_open(&bob, pair->alice, pair->bob_curve, "x"), RATCHET_E_FORM);
	assert_int_equal(ratchet_session_open(&bob, pair->alice, NULL, pair->bobs.last), RATCHET_E_FORM);
	ratchet_session_free(alice);
}

/* Calls `try` with every way to cut the text short and every character changed; it must refuse each. */
static void
spoil(const char *text, void (*try)(void *context, const char *spoilt), void *context)
{
	size_t n = strlen(text);

	for (size_t i = 0; i < n; i++) {
		AUTO_FREE char *cut = xstrndup(text, i), *changed = xstrdup(text);
		try(context, cut);
		changed[i] = changed[i] == 'A' ? 'B' : 'A';
		try(context, changed);
		changed[i] = '!';
		try(context, changed);
	}
}

struct spoiling {
	struct ratchet_account *account;
	struct ratchet_session *session;
	const char *peer;
	int64_t type;
	unsigned tried;
};

static void
try_accept(void *context, const char *spoilt)
{
	struct spoiling *spoiling = context;
	struct ratchet_session *session = NULL;
	struct secret plain;

	int r = ratchet_session_accept(&session, &plain, spoiling->account, spoiling->peer, spoilt);
	if (r <= 0 || r > RATCHET_E_MAC)
		fail_msg("%d for %s", r, spoilt);
	spoiling->tried++;
}

static void
try_decrypt(void *context, const char *spoilt)
{
	struct spoiling *spoiling = context;
	struct secret plain;

	int r = ratchet_session_decrypt(spoiling->session, spoiling->type, spoilt, &plain);
	if (r != RATCHET_E_FORM && r != RATCHET_E_MAC)
		fail_msg("%d for %s", r, spoilt);
	spoiling->tried++;
}

/* All or nothing: after every refusal both sides are what they were, and the whole message is still good. */
static void
test_olm_spoilt(void **state)
{
	struct pair *pair = *state;
	struct ratchet_session *alice = open_session(pair), *bob = NULL;
	AUTO_FREE char *first = encrypt(alice, "first, some longer text", RATCHET_PRE_KEY);
	struct spoiling spoiling = { .account = pair->bob, .peer = pair->alice_curve };
	AUTO_SECRET struct secret before = save_account(pair->bob);
	struct secret plain;

	spoil(first, try_accept, &spoiling);
	assert_int_equal(spoiling.tried, 3 * strlen(first));
	assert_saved(&before, save_account(pair->bob));
	assert_int_equal(ratchet_session_accept(&bob, &plain, pair->bob, pair->alice_curve, first), 0);
	assert_plain(&plain, "first, some longer text");

	AUTO_FREE char *answer = encrypt(bob, "answer", RATCHET_NORMAL);
	AUTO_SECRET struct secret session = save_session(alice);
	spoiling = (struct spoiling){ .session = alice, .type = RATCHET_NORMAL };
	spoil(answer, try_decrypt, &spoiling);
	assert_saved(&session, save_session(alice));
	assert_int_equal(ratchet_session_decrypt(alice, 2, answer, &plain), RATCHET_E_FORM);
	assert_int_equal(ratchet_session_decrypt(alice, -1, answer, &plain), RATCHET_E_FORM);
	assert_int_equal(ratchet_session_decrypt(alice, RATCHET_PRE_KEY, answer, &plain), RATCHET_E_FORM);
	assert_int_equal(ratchet_session_decrypt(alice, RATCHET_NORMAL, NULL, &plain), RATCHET_E_FORM);
	assert_int_equal(ratchet_session_decrypt(alice, RATCHET_NORMAL, first, &plain), RATCHET_E_FORM);
	assert_int_equal(ratchet_session_decrypt(alice, RATCHET_NORMAL, answer, &plain), 0);
	assert_plain(&plain, "answer");
	ratchet_session_free(alice);
	ratchet_session_free(bob);
}

/* The field of a pre-key message that names its sender's identity key is left out: libolm reads through NULL when it is told the key. */
static void
test_olm_without_identity(void **state)
{
	struct pair *pair = *state;
	struct ratchet_session *alice = open_session(pair), *bob = NULL;
	AUTO_FREE char *first = encrypt(alice, "first", RATCHET_PRE_KEY);
	unsigned char bytes[1024], without[1024];
	char text[BASE64_SIZE(1024)];
	struct secret plain;
	size_t n, left = 0;

	assert_true(base64_decode(BASE64_PLAIN, first, strlen(first), bytes, &n));
	for (size_t at = 0; at < n; left++) {
		/* version, then three fields of 32 bytes, 0x1A being that one */
		if (at == 1 + 2 * 34 && bytes[at] == 0x1A)
			at += 34;
		without[left] = bytes[at++];
	}
	assert_int_equal(left, n - 34);
	base64_encode(BASE64_PLAIN, without, left, text);
	assert_int_equal(ratchet_session_accept(&bob, &plain, pair->bob, pair->alice_curve, text), RATCHET_E_FORM);
	ratchet_session_free(alice);
}

/* What is around the message proper is not covered by its MAC, and could be written in many ways. */
static void
test_olm_one_form(void **state)
{
	struct pair *pair = *state;
	struct ratchet_session *alice = open_session(pair), *bob = NULL;
	AUTO_FREE char *first = encrypt(alice, "first", RATCHET_PRE_KEY);
	unsigned char bytes[1024], changed[1024], hash[32], other[32];
	char text[BASE64_SIZE(1024)];
	struct secret plain;
	size_t n, head = 1 + 3 * 34;

	assert_true(base64_decode(BASE64_PLAIN, first, strlen(first), bytes, &n));
	assert_int_equal(bytes[head], 0x22);
	for (int way = 0; way < 8; way++) {
		size_t size = n;
		memcpy(changed, bytes, n);
		if (way == 0) { /* another version */
			changed[0] = 4;
		} else if (way == 1) { /* fields in another order */
			memcpy(changed + 1, bytes + 35, 34);
			memcpy(changed + 35, bytes + 1, 34);
		} else if (way == 2) { /* an unknown field at the end */
			memcpy(changed + n, "\x28\x01", 2);
			size += 2;
		} else if (way == 3) { /* a length of more bytes than it needs */
			assert_in_range(bytes[head + 1], 1, 127);
			changed[head + 1] = bytes[head + 1] | 0x80;
			changed[head + 2] = 0;
			memcpy(changed + head + 3, bytes + head + 2, n - head - 2);
			size++;
		} else if (way == 4) { /* the first field twice */
			memcpy(changed + 35, bytes + 1, n - 1);
			size += 34;
		} else if (way == 5) { /* a length beyond all */
			memset(changed + head + 1, 0xFF, 8);
		} else if (way == 6) { /* one too short */
			changed[head + 1]--;
		} else { /* a message inside whose cipher text is no whole number of blocks */
			size_t length = head + 2 + 1 + 34 + 2 + 1;
			assert_int_equal(bytes[length - 1], 0x22);
			assert_int_equal(bytes[length], 16);
			changed[length] = 15;
			changed[head + 1]--;
			memcpy(changed + length + 1, bytes + length + 2, n - length - 2);
			size--;
		}
		base64_encode(BASE64_PLAIN, changed, size, text);
		assert_int_equal(ratchet_session_accept(&bob, &plain, pair->bob, pair->alice_curve, text), RATCHET_E_FORM);
	}
	/* Padding makes no difference to the hash. */
	AUTO_FREE char *padded = xasprintf("%s%s", first, strlen(first) % 4 == 2 ? "==" : strlen(first) % 4 == 3 ? "=" : "");
	assert_int_equal(ratchet_hash(first, hash), 0);
	assert_int_equal(ratchet_hash(padded, other), 0);
	assert_memory_equal(hash, other, 32);
	primitive_sha256(bytes, n, other);
	assert_memory_equal(hash, other, 32);
	assert_int_equal(ratchet_hash("A", hash), RATCHET_E_FORM);
	assert_int_equal(ratchet_session_accept(&bob, &plain, pair->bob, pair->alice_curve, padded), 0);
	assert_plain(&plain, "first");
	ratchet_session_free(alice);
	ratchet_session_free(bob);
}

static void
test_olm_large(void **state)
{
	struct pair *pair = *state;
	struct ratchet_session *alice = open_session(pair), *bob = NULL;
	AUTO_FREE char *text = xcalloc(1, 60001), *long_text = xcalloc(1, RATCHET_TEXT_MAX + 2);
	struct secret plain;

	memset(text, 'x', 60000);
	memset(long_text, 'A', RATCHET_TEXT_MAX + 1);
	AUTO_FREE char *first = encrypt(alice, text, RATCHET_PRE_KEY);
	assert_int_equal(ratchet_session_accept(&bob, &plain, pair->bob, pair->alice_curve, long_text), RATCHET_E_FORM);
	assert_int_equal(ratchet_session_accept(&bob, &plain, pair->bob, pair->alice_curve, first), 0);
	assert_plain(&plain, text);
	ratchet_session_free(alice);
	ratchet_session_free(bob);
}

/* Olm's normal messages: the same, and the one form only. Those of the form end at the MAC. */
static void
test_olm_forms(void **state)
{
	static const char key[] = "0a20" "0303030303030303030303030303030303030303030303030303030303030303", mac[] = "0000000000000000";
	static const struct {
		const char *head, *tail;
		int refusal;
	} cases[] = {
		{ "03", "10002210" "00000000000000000000000000000000", RATCHET_E_MAC }, { "03", "10ff012210" "00000000000000000000000000000000", RATCHET_E_MAC },
		{ "03", "10002200", RATCHET_E_FORM }, { "03", "1000220141", RATCHET_E_FORM }, { "03", "10002205" "4141414141", RATCHET_E_FORM },
		{ "03", "10002211" "0000000000000000000000000000000000", RATCHET_E_FORM }, { "03", "10002210", RATCHET_E_FORM },
		{ "03", "10002210" "0000000000000000000000000000000000", RATCHET_E_FORM }, { "04", "10002210" "00000000000000000000000000000000", RATCHET_E_FORM },
		{ "03", "1080002210" "00000000000000000000000000000000", RATCHET_E_FORM }, { "03", "2210" "00000000000000000000000000000000", RATCHET_E_FORM },
		{ "031000", "2210" "00000000000000000000000000000000", RATCHET_E_FORM }, { "03", "100010002210" "00000000000000000000000000000000", RATCHET_E_FORM },
	};
	struct pair *pair = *state;
	struct ratchet_session *alice = open_session(pair), *bob = NULL;
	AUTO_FREE char *first = encrypt(alice, "first", RATCHET_PRE_KEY);
	struct secret plain;

	assert_int_equal(ratchet_session_accept(&bob, &plain, pair->bob, pair->alice_curve, first), 0);
	secret_fini(&plain);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		AUTO_FREE char *hex = xasprintf("%s%s%s%s", cases[i].head, key, cases[i].tail, mac);
		unsigned char bytes[256];
		char text[BASE64_SIZE(256)];
		base64_encode(BASE64_PLAIN, bytes, unhex(hex, bytes, sizeof(bytes)), text);
		int r = ratchet_session_decrypt(bob, RATCHET_NORMAL, text, &plain);
		if (r != cases[i].refusal)
			fail_msg("%d for %s", r, hex);
	}
	ratchet_session_free(alice);
	ratchet_session_free(bob);
}

/* Messages that once crashed libolm (its tests, test_olm_decrypt). */
static void
test_olm_hostile(void **state)
{
	static const char *const hostile[] = {
		"41776f", "7fff6f0101346d671201", "ee776f41496f674177804177778041776f6716670a677d6f670a67c2677d", "e9e9c9c1e9e9c9e9c9c1e9e9c9c1",
		"03", "0300", "030a", "030aff", "030affffffffffffffffff7f", "0312ffffffff0f", "0322ffffffffffffffffff01", "03080080808080808080808080",
	};
	struct pair *pair = *state;
	struct ratchet_session *alice = open_session(pair), *bob = NULL;
	struct secret plain;

	for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
		unsigned char bytes[64];
		char text[BASE64_SIZE(64)];
		base64_encode(BASE64_PLAIN, bytes, unhex(hostile[i], bytes, sizeof(bytes)), text);
		assert_int_equal(ratchet_session_accept(&bob, &plain, pair->bob, pair->alice_curve, text), RATCHET_E_FORM);
		assert_int_equal(ratchet_session_decrypt(alice, RATCHET_PRE_KEY, text, &plain), RATCHET_E_FORM);
		assert_int_equal(ratchet_session_decrypt(alice, RATCHET_NORMAL, text, &plain), RATCHET_E_FORM);
	}
	ratchet_session_free(alice);
}

/* ---- Megolm ---- */

static void
test_megolm_talk(void **state)
{
	struct ratchet_outbound *outbound = ratchet_outbound_new();
	struct ratchet_inbound *early = NULL, *late = NULL, *exported = NULL;
	AUTO_SECRET struct secret key = { NULL, 0 }, later = { NULL, 0 }, from_two = { NULL, 0 };
	char *bodies[4], id[RATCHET_ID_SIZE], other[RATCHET_ID_SIZE];
	struct secret plain;
	uint32_t index = 99;

	(void)state;
	ratchet_outbound_key(outbound, &key);
	for (uint32_t i = 0; i < 4; i++) {
		char text[] = { (char)('a' + i), '\0' };
		if (i == 2)
			ratchet_outbound_key(outbound, &later);
		assert_int_equal(ratchet_outbound_index(outbound), i);
		ratchet_outbound_encrypt(outbound, text, 1, &bodies[i], &index);
		assert_int_equal(index, i);
	}
	assert_int_equal(ratchet_inbound_open(&early, RATCHET_SHARED, key.p), 0);
	assert_int_equal(ratchet_inbound_open(&late, RATCHET_SHARED, later.p), 0);
	assert_int_equal(ratchet_inbound_first(early), 0);
	assert_int_equal(ratchet_inbound_first(late), 2);
	ratchet_outbound_id(outbound, id);
	ratchet_inbound_id(early, other);
	assert_string_equal(id, other);
	/* In any order, and as often as they come. */
	static const uint32_t order[] = { 3, 0, 2, 1, 1, 3 };
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		char text[] = { (char)('a' + order[i]), '\0' };
		assert_int_equal(ratchet_inbound_decrypt(early, bodies[order[i]], &plain, &index), 0);
		assert_plain(&plain, text);
		assert_int_equal(index, order[i]);
		int r = ratchet_inbound_decrypt(late, bodies[order[i]], &plain, &index);
		assert_int_equal(r, order[i] < 2 ? RATCHET_E_INDEX : 0);
		if (!r)
			secret_fini(&plain);
	}
	assert_int_equal(ratchet_inbound_export(late, 1, &from_two), RATCHET_E_INDEX);
	assert_int_equal(ratchet_inbound_export(early, 2, &from_two), 0);
	assert_int_equal(ratchet_inbound_open(&exported, RATCHET_SHARED, from_two.p), RATCHET_E_FORM);
	assert_int_equal(ratchet_inbound_open(&exported, RATCHET_EXPORTED, key.p), RATCHET_E_FORM);
	assert_int_equal(ratchet_inbound_open(&exported, RATCHET_EXPORTED, from_two.p), 0);
	assert_int_equal(ratchet_inbound_first(exported), 2);
	assert_int_equal(ratchet_inbound_decrypt(exported, bodies[3], &plain, &index), 0);
	assert_plain(&plain, "d");
	for (size_t i = 0; i < 4; i++)
		free(bodies[i]);
	ratchet_outbound_free(outbound);
	ratchet_inbound_free(early);
	ratchet_inbound_free(late);
	ratchet_inbound_free(exported);
}

/* libolm's tests, test_group_session. */
static const char megolm_key[] =
	"AgAAAAAwMTIzNDU2Nzg5QUJERUYwMTIzNDU2Nzg5QUJDREVGMDEyMzQ1Njc4OUFCREVGMDEyMzQ1Njc4OUFCQ0RFRjAxMjM0NTY3ODlBQkRFRjAxMjM0NTY3ODlBQkNERUYwMTIzND"
	"U2Nzg5QUJERUYwMTIzNDU2Nzg5QUJDREVGMDEyMw0bdg1BDq4Px/slBow06q8n/B9WBfwWYyNOB8DlUmXGGwrFmaSb9bR/eY8xgERrxmP07hFmD9uqA2p8PMHdnV5ysmgufE6oLZ5+"
	"8/mWQOW3VVTnDIlnwd8oHUYRuk8TCQ";
static const char megolm_message[] =
	"AwgAEhAcbh6UpbByoyZxufQ+h2B+8XHMjhR69G8F4+qjMaFlnIXusJZX3r8LnRORG9T3DXFdbVuvIWrLyRfm4i8QRbe8VPwGRFG57B1CtmxanuP8bHtnnYqlwPsD";

static void
try_key(void *context, const char *spoilt)
{
	struct ratchet_inbound *inbound = NULL;
	enum ratchet_key_kind *kind = context;

	int r = ratchet_inbound_open(&inbound, *kind, spoilt);
	if (*kind == RATCHET_EXPORTED && r == 0) /* nothing vouches for one that was exported */
		ratchet_inbound_free(inbound);
	else if (r != RATCHET_E_FORM && r != RATCHET_E_SIGNATURE)
		fail_msg("%d for %s", r, spoilt);
}

static void
try_group(void *context, const char *spoilt)
{
	struct secret plain;
	uint32_t index = 77;

	int r = ratchet_inbound_decrypt(context, spoilt, &plain, &index);
	if (r != RATCHET_E_FORM && r != RATCHET_E_SIGNATURE)
		fail_msg("%d for %s", r, spoilt);
	assert_int_equal(index, 77);
}

static void
test_megolm_vectors(void **state)
{
	struct ratchet_inbound *inbound = NULL, *imported = NULL;
	AUTO_SECRET struct secret exported = { NULL, 0 };
	enum ratchet_key_kind kind = RATCHET_SHARED;
	struct secret plain;
	uint32_t index;

	(void)state;
	assert_int_equal(ratchet_inbound_open(&inbound, RATCHET_SHARED, megolm_key), 0);
	AUTO_SECRET struct secret before = save_inbound(inbound);
	spoil(megolm_message, try_group, inbound);
	assert_saved(&before, save_inbound(inbound));
	assert_int_equal(ratchet_inbound_decrypt(inbound, megolm_message, &plain, &index), 0);
	assert_plain(&plain, "Message");
	assert_int_equal(index, 0);
	spoil(megolm_key, try_key, &kind);
	assert_int_equal(ratchet_inbound_export(inbound, 0, &exported), 0);
	kind = RATCHET_EXPORTED;
	spoil(exported.p, try_key, &kind);
	assert_int_equal(ratchet_inbound_open(&imported, RATCHET_EXPORTED, exported.p), 0);
	assert_int_equal(ratchet_inbound_decrypt(imported, megolm_message, &plain, &index), 0);
	assert_plain(&plain, "Message");
	assert_int_equal(ratchet_inbound_open(&imported, RATCHET_SHARED, NULL), RATCHET_E_FORM);
	assert_int_equal(ratchet_inbound_decrypt(inbound, NULL, &plain, &index), RATCHET_E_FORM);
	assert_int_equal(ratchet_inbound_decrypt(inbound, "", &plain, &index), RATCHET_E_FORM);
	ratchet_inbound_free(inbound);
	ratchet_inbound_free(imported);
}

/* The order of the group added to S, in a message and in a session key: libolm would take both. */
static void
malleate(const char *text, char *out)
{
	unsigned char bytes[512], order[32];
	unsigned carry = 0;
	size_t n;

	unhex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010", order, sizeof(order));
	assert_true(base64_decode(BASE64_PLAIN, text, strlen(text), bytes, &n));
	for (size_t i = 0; i < 32; i++) {
		carry += (unsigned)bytes[n - 32 + i] + order[i];
		bytes[n - 32 + i] = (unsigned char)carry;
		carry >>= 8;
	}
	base64_encode(BASE64_PLAIN, bytes, n, out);
	assert_int_equal(strlen(out), strlen(text));
	assert_string_not_equal(out, text);
}

static void
test_megolm_malleated(void **state)
{
	struct ratchet_inbound *inbound = NULL, *second = NULL;
	char text[1024];
	struct secret plain;
	uint32_t index;

	(void)state;
	assert_int_equal(ratchet_inbound_open(&inbound, RATCHET_SHARED, megolm_key), 0);
	malleate(megolm_message, text);
	assert_int_equal(ratchet_inbound_decrypt(inbound, text, &plain, &index), RATCHET_E_SIGNATURE);
	malleate(megolm_key, text);
	assert_int_equal(ratchet_inbound_open(&second, RATCHET_SHARED, text), RATCHET_E_SIGNATURE);
	ratchet_inbound_free(inbound);
}

/* Signed by the session's owner, but not a message, or with a MAC of nothing: signatures alone do not make a message. */
static void
test_megolm_signed_nonsense(void **state)
{
	static const struct {
		const char *hex;
		bool whole; /* with a MAC of eight zeros it has the form */
	} nonsense[] = {
		{ "", false }, { "03", false }, { "0308", false }, { "030800", false }, { "03080012ffffffffff0f", false }, { "0308ffffffffffffffff011200", false },
		{ "0308001210" "00000000000000000000000000000000", true },
		{ "0308808004" "1210" "00000000000000000000000000000000", true },
		{ "0208001210" "00000000000000000000000000000000", false },
		{ "030880001210" "00000000000000000000000000000000", false }, /* numbers of more bytes than they need */
		{ "030800129000" "00000000000000000000000000000000", false },
		{ "0308ffffffff1f1210" "00000000000000000000000000000000", false }, /* and of more bits than there are */
		{ "1210" "00000000000000000000000000000000" "0800", false },
		{ "03080008001210" "00000000000000000000000000000000", false },
		/* No whole number of blocks: libolm would write beyond, or read before, the plain text. */
		{ "0308001200", false }, { "0308001203414141", false }, { "030800120f" "000000000000000000000000000000", false },
		{ "0308001211" "0000000000000000000000000000000000", false },
	};
	unsigned char seed[32] = { 9 }, key[512], signature[64];
	char text[1024];
	struct ratchet_inbound *inbound = NULL;

	(void)state;
	memset(key, 'r', sizeof(key));
	memcpy(key, "\2\0\0\0\0", 5);
	primitive_public_key(seed, key + 133);
	primitive_sign(seed, key, 165, key + 165);
	base64_encode(BASE64_PLAIN, key, 229, text);
	assert_int_equal(ratchet_inbound_open(&inbound, RATCHET_SHARED, text), 0);
	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
		for (size_t zeros = 0; zeros < 48; zeros++) {
			unsigned char message[256] = { 0 };
			struct secret plain;
			uint32_t index;
			size_t n = unhex(nonsense[i].hex, message, sizeof(message)) + zeros;
			primitive_sign(seed, message, n, signature);
			memcpy(message + n, signature, sizeof(signature));
			base64_encode(BASE64_PLAIN, message, n + sizeof(signature), text);
			int r = ratchet_inbound_decrypt(inbound, text, &plain, &index);
			if (r != (nonsense[i].whole && zeros == 8 ? RATCHET_E_MAC : RATCHET_E_FORM))
				fail_msg("%d for %s and %zu zeros", r, nonsense[i].hex, zeros);
		}
	}
	ratchet_inbound_free(inbound);
}

/* ---- what is saved ---- */

#define CHECK_SAVING(kind, object) \
	do { \
		static const unsigned char unset[PRIMITIVE_KEY]; \
		AUTO_SECRET struct secret saved = save_##kind(object), second = { NULL, 0 }; \
		struct ratchet_##kind *loaded = NULL; \
\
		assert_int_equal(ratchet_##kind##_load(&loaded, saved.p, saved.n, row_key), 0); \
		assert_saved(&saved, save_##kind(loaded)); \
		ratchet_##kind##_free(loaded); \
		loaded = NULL; \
		assert_int_equal(ratchet_##kind##_save(object, other_key, &second), 0); \
		assert_memory_not_equal(saved.p, second.p, 64); \
		assert_int_equal(ratchet_##kind##_save(object, unset, &second), -EINVAL); \
		assert_int_equal(ratchet_##kind##_load(&loaded, saved.p, saved.n, unset), -EINVAL); \
		assert_int_equal(ratchet_##kind##_load(&loaded, saved.p, saved.n, other_key), RATCHET_E_PICKLE); \
		assert_int_equal(ratchet_##kind##_load(&loaded, NULL, 0, row_key), RATCHET_E_PICKLE); \
		for (size_t n = 0; n < saved.n; n++) { \
			AUTO_FREE char *cut = xmalloc(n); \
			memcpy(cut, saved.p, n); \
			assert_int_equal(ratchet_##kind##_load(&loaded, cut, n, row_key), RATCHET_E_PICKLE); \
		} \
		for (size_t at = 0; at < saved.n; at += 1 + saved.n / 512) { \
			char right = saved.p[at]; \
			saved.p[at] = right == 'A' ? 'B' : 'A'; \
			assert_int_equal(ratchet_##kind##_load(&loaded, saved.p, saved.n, row_key), RATCHET_E_PICKLE); \
			saved.p[at] = right; \
		} \
		assert_null(loaded); \
	} while (0)

static void
test_saving(void **state)
{
	struct pair *pair = *state;
	struct ratchet_session *session = open_session(pair);
	struct ratchet_outbound *outbound = ratchet_outbound_new();
	struct ratchet_inbound *inbound = NULL;

	assert_int_equal(ratchet_inbound_open(&inbound, RATCHET_SHARED, megolm_key), 0);
	CHECK_SAVING(account, pair->bob);
	CHECK_SAVING(session, session);
	CHECK_SAVING(outbound, outbound);
	CHECK_SAVING(inbound, inbound);
	ratchet_session_free(session);
	ratchet_outbound_free(outbound);
	ratchet_inbound_free(inbound);
}

/* Loaded after a crash, a session goes on where it was saved. */
static void
test_saved_session_goes_on(void **state)
{
	struct ratchet_outbound *outbound = ratchet_outbound_new(), *loaded = NULL;
	char *one, *two;
	uint32_t index;

	(void)state;
	ratchet_outbound_encrypt(outbound, "x", 1, &one, &index);
	AUTO_SECRET struct secret saved = save_outbound(outbound);
	ratchet_outbound_free(outbound);
	assert_int_equal(ratchet_outbound_load(&loaded, saved.p, saved.n, row_key), 0);
	ratchet_outbound_encrypt(loaded, "x", 1, &two, &index);
	assert_int_equal(index, 1);
	assert_string_not_equal(one, two);
	free(one);
	free(two);
	ratchet_outbound_free(loaded);
}

/* ---- the other implementation ---- */

static void
test_vodozemac(void **state)
{
	struct ratchet_account *account = NULL;
	struct ratchet_session *session = NULL, *opened = NULL;
	struct ratchet_inbound *inbound = NULL;
	struct secret plain;
	uint32_t index;

	(void)state;
	assert_int_equal(ratchet_session_load(&opened, libolm_session, strlen(libolm_session), row_key), 0);
	assert_int_equal(ratchet_session_decrypt(opened, RATCHET_NORMAL, vodozemac_answer, &plain), 0);
	assert_plain(&plain, "pong");
	ratchet_session_free(opened);
	assert_int_equal(ratchet_account_load(&account, libolm_account, strlen(libolm_account), row_key), 0);
	assert_int_equal(ratchet_session_accept(&session, &plain, account, vodozemac_curve, vodozemac_pre_key), 0);
	assert_plain(&plain, "Bonsoir de vodozemac");
	assert_true(ratchet_session_matches(session, vodozemac_curve, vodozemac_pre_key_2));
	assert_int_equal(ratchet_session_decrypt(session, RATCHET_PRE_KEY, vodozemac_pre_key_2, &plain), 0);
	assert_plain(&plain, "encore");
	assert_int_equal(ratchet_inbound_open(&inbound, RATCHET_SHARED, vodozemac_session_key), 0);
	assert_int_equal(ratchet_inbound_decrypt(inbound, vodozemac_group_message, &plain, &index), 0);
	assert_plain(&plain, "Bonsoir à tous");
	assert_int_equal(index, 1);
	ratchet_account_free(account);
	ratchet_session_free(session);
	ratchet_inbound_free(inbound);
}

#define WITH_PAIR(test) cmocka_unit_test_setup_teardown(test, open_pair, close_pair)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_account), WITH_PAIR(test_olm_talk), WITH_PAIR(test_olm_keys_are_used_once), WITH_PAIR(test_olm_fallback),
		WITH_PAIR(test_olm_wrong_peer), WITH_PAIR(test_olm_spoilt), WITH_PAIR(test_olm_without_identity), WITH_PAIR(test_olm_one_form), WITH_PAIR(test_olm_large),
		WITH_PAIR(test_olm_forms), WITH_PAIR(test_olm_hostile), cmocka_unit_test(test_megolm_talk), cmocka_unit_test(test_megolm_vectors),
		cmocka_unit_test(test_megolm_malleated), cmocka_unit_test(test_megolm_signed_nonsense), WITH_PAIR(test_saving),
		cmocka_unit_test(test_saved_session_goes_on), cmocka_unit_test(test_vodozemac),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
