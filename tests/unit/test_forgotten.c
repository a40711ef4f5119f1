/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No block that our code gives back still holds a secret that passed through it. free() is replaced by the linker, and looks; it
 * sees what bridge/ frees, and jansson's blocks once they are ours.
 */
#include "base/json.h"
#include "matrix/crypto/attachment.h"
#include "matrix/crypto/ratchet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <malloc.h>

#define TEXT "SENTINEL-0123456789-SENTINEL-0123456789"
#define NEEDLES 4

static struct {
	char bytes[NEEDLES][32];
	size_t n[NEEDLES];
} wanted;
static unsigned looked, found;

void __real_free(void *p);
void __wrap_free(void *p);

void
__wrap_free(void *p)
{
	size_t size = p ? malloc_usable_size(p) : 0;

	looked += p != NULL;
	for (size_t i = 0; i < NEEDLES; i++)
		found += wanted.n[i] && p && memmem(p, size, wanted.bytes[i], wanted.n[i]);
	__real_free(p);
}

static void
want(size_t i, const void *p, size_t n)
{
	memcpy(wanted.bytes[i], p, n);
	wanted.n[i] = n;
}

static int
set_up(void **state)
{
	(void)state;
	memset(&wanted, 0, sizeof(wanted));
	looked = found = 0;
	want(0, TEXT, 28);
	return 0;
}

/* The eye sees: an ordinary block is found. */
static void
test_eye(void **state)
{
	struct secret secret;

	(void)state;
	__wrap_free(xstrdup(TEXT));
	assert_int_equal(found, 1);
	secret_copy(&secret, TEXT, strlen(TEXT));
	secret_fini(&secret);
	assert_int_equal(found, 1);
	assert_true(looked >= 2);
}

static void
note_key(void *context, bool fallback, const char *id, const char *key)
{
	(void)fallback, (void)id;
	memcpy(context, key, RATCHET_ID_SIZE);
}

static void
test_olm(void **state)
{
	struct ratchet_account *alice = ratchet_account_new(), *bob = ratchet_account_new();
	char alice_curve[RATCHET_ID_SIZE], bob_curve[RATCHET_ID_SIZE], ed[RATCHET_ID_SIZE], key[RATCHET_ID_SIZE] = "";
	struct ratchet_session *one = NULL, *two = NULL;
	AUTO_SECRET struct secret first = { NULL, 0 }, second = { NULL, 0 };
	enum ratchet_type type;
	char *body;

	(void)state;
	ratchet_account_keys(alice, alice_curve, ed);
	ratchet_account_keys(bob, bob_curve, ed);
	ratchet_account_make_fallback(bob);
	ratchet_account_unpublished(bob, note_key, key);
	assert_int_equal(ratchet_session_open(&one, alice, bob_curve, key), 0);
	ratchet_session_encrypt(one, TEXT, strlen(TEXT), &type, &body);
	assert_int_equal(ratchet_session_accept(&two, &first, bob, alice_curve, body), 0);
	__wrap_free(body);
	ratchet_session_encrypt(two, TEXT, strlen(TEXT), &type, &body);
	assert_int_equal(ratchet_session_decrypt(one, (int64_t)type, body, &second), 0);
	assert_string_equal(second.p, TEXT);
	__wrap_free(body);
	ratchet_session_free(one);
	ratchet_session_free(two);
	ratchet_account_free(alice);
	ratchet_account_free(bob);
	secret_fini(&first);
	secret_fini(&second);
	assert_true(looked > 20);
	assert_int_equal(found, 0);
}

static void
test_megolm(void **state)
{
	struct ratchet_outbound *outbound = ratchet_outbound_new();
	struct ratchet_inbound *inbound = NULL;
	struct secret key, exported, plain;
	uint32_t index;
	char *body;

	(void)state;
	ratchet_outbound_key(outbound, &key);
	/* The beginning of the ratchet, as text: behind version and index. */
	want(1, key.p + 8, 30);
	assert_int_equal(ratchet_inbound_open(&inbound, RATCHET_SHARED, key.p), 0);
	ratchet_outbound_encrypt(outbound, TEXT, strlen(TEXT), &body, &index);
	assert_int_equal(ratchet_inbound_decrypt(inbound, body, &plain, &index), 0);
	assert_int_equal(ratchet_inbound_export(inbound, 0, &exported), 0);
	__wrap_free(body);
	secret_fini(&plain);
	secret_fini(&key);
	secret_fini(&exported);
	ratchet_outbound_free(outbound);
	ratchet_inbound_free(inbound);
	assert_true(looked > 10);
	assert_int_equal(found, 0);
}

static void
test_json(void **state)
{
	struct attachment_key key;
	const char *url;

	(void)state;
	memset(&key, 0, sizeof(key));
	memcpy(key.key, "SENTINEL", 8);
	json_t *file = attachment_make_file(&key, "mxc://example.org/x"), *text = json_string(TEXT);
	want(1, json_text(json_child(file, "key"), "k"), 16);
	assert_int_equal(attachment_read_file(&key, &url, file), 0);
	json_t *parsed = json_loads("{\"session_key\":\"" TEXT "\",\"" TEXT "\":[\"" TEXT "\"]}", 0, NULL);
	assert_string_equal(json_text(parsed, "session_key"), TEXT);
	json_decref(parsed);
	json_decref(file);
	json_decref(text);
	assert_true(looked > 20);
	assert_int_equal(found, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_eye, set_up), cmocka_unit_test_setup(test_olm, set_up), cmocka_unit_test_setup(test_megolm, set_up),
		cmocka_unit_test_setup(test_json, set_up),
	};

	json_forget_freed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
