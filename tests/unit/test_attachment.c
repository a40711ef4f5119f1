/* SPDX-License-Identifier: Apache-2.0 */
/* Files: the NIST vector through the stream, every size of piece, every changed byte, and what an event may say of a file. */
#include "matrix/crypto/attachment.h"

#include "hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define URL "mxc://example.org/FHyPlCeYUSFFxlgbQYZmoEoe"

static bool
run(struct attachment_key *key, enum attachment_way way, const void *in, void *out, size_t n, size_t piece)
{
	struct attachment *attachment = attachment_new(key, way);

	for (size_t at = 0; at < n; at += piece) {
		size_t now = n - at < piece ? n - at : piece;
		attachment_step(attachment, (const char *)in + at, out ? (char *)out + at : NULL, now);
	}
	bool good = attachment_end(attachment, key);
	attachment_free(attachment);
	return good;
}

/* NIST SP 800-38A F.5.5. */
static void
test_vector(void **state)
{
	struct attachment_key key;
	unsigned char plain[64], expected[64], made[64], hash[32];

	(void)state;
	unhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", key.key, sizeof(key.key));
	unhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff", key.iv, sizeof(key.iv));
	unhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
		"30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710", plain, sizeof(plain));
	unhex("601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"
		"2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6", expected, sizeof(expected));
	assert_true(run(&key, ATTACHMENT_ENCRYPT, plain, made, 64, 7));
	assert_memory_equal(made, expected, 64);
	primitive_sha256(expected, 64, hash);
	assert_memory_equal(key.hash, hash, 32);
	assert_true(run(&key, ATTACHMENT_DECRYPT, made, made, 64, 64)); /* in place */
	assert_memory_equal(made, plain, 64);
}

static void
test_pieces(void **state)
{
	struct attachment_key key, other;
	static unsigned char plain[3000], sealed[3000], again[3000];

	(void)state;
	attachment_key_init(&key);
	attachment_key_init(&other);
	assert_memory_not_equal(key.key, other.key, 32);
	assert_memory_not_equal(key.iv, other.iv, 8);
	for (size_t i = 8; i < 16; i++)
		assert_int_equal(key.iv[i], 0);
	for (size_t i = 0; i < sizeof(plain); i++)
		plain[i] = (unsigned char)(i * 31 >> 2);
	for (size_t n = 0; n <= sizeof(plain); n = n * 2 + 1) {
		assert_true(run(&key, ATTACHMENT_ENCRYPT, plain, sealed, n, 1000));
		for (size_t piece = 1; piece < 3000; piece = piece * 3 + 1) {
			assert_true(run(&key, ATTACHMENT_CHECK, sealed, NULL, n, piece));
			assert_true(run(&key, ATTACHMENT_DECRYPT, sealed, again, n, piece));
			assert_memory_equal(plain, again, n);
		}
		if (n)
			assert_false(run(&key, ATTACHMENT_CHECK, sealed, NULL, n - 1, 1000));
	}
	attachment_key_fini(&other);
	for (size_t i = 0; i < 32; i++)
		assert_int_equal(other.key[i], 0);
	attachment_free(NULL);
}

static void
test_changed(void **state)
{
	struct attachment_key key;
	unsigned char sealed[100], out[100];

	(void)state;
	attachment_key_init(&key);
	assert_true(run(&key, ATTACHMENT_ENCRYPT, "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789", sealed, 100, 9));
	for (size_t i = 0; i < sizeof(sealed); i++) {
		sealed[i] ^= 1;
		assert_false(run(&key, ATTACHMENT_CHECK, sealed, NULL, 100, 30));
		assert_false(run(&key, ATTACHMENT_DECRYPT, sealed, out, 100, 30));
		sealed[i] ^= 1;
		assert_false(run(&key, ATTACHMENT_CHECK, sealed, NULL, i, 30));
	}
	assert_true(run(&key, ATTACHMENT_CHECK, sealed, NULL, 100, 30));
}

/* The specification's own example. */
static const char example[] = "{\"url\":\"" URL "\",\"v\":\"v2\",\"key\":{\"alg\":\"A256CTR\",\"ext\":true,\"k\":\"aWF6-32KGYaC3A_FEUCk1Bt0JA37zP0wrStgmdCaW-0\","
	"\"key_ops\":[\"encrypt\",\"decrypt\"],\"kty\":\"oct\"},\"iv\":\"w+sE15fzSc0AAAAAAAAAAA\","
	"\"hashes\":{\"sha256\":\"fdSLu/YkRx3Wyh3KQabP3rd6+SFiKg5lsJZQHtkSAYA\"}}";

static void
test_file(void **state)
{
	struct attachment_key key, again;
	const char *url = NULL;
	json_t *file = json_loads(example, 0, NULL);

	(void)state;
	assert_int_equal(attachment_read_file(&key, &url, file), 0);
	assert_string_equal(url, URL);
	json_t *made = attachment_make_file(&key, url);
	assert_true(json_equal(made, file));
	json_decref(made);
	/* Padded. */
	json_object_set_new(file, "iv", json_string("w+sE15fzSc0AAAAAAAAAAA=="));
	json_object_set_new(json_object_get(file, "key"), "k", json_string("aWF6-32KGYaC3A_FEUCk1Bt0JA37zP0wrStgmdCaW-0="));
	json_object_set_new(json_object_get(file, "hashes"), "sha256", json_string("fdSLu/YkRx3Wyh3KQabP3rd6+SFiKg5lsJZQHtkSAYA="));
	assert_int_equal(attachment_read_file(&again, &url, file), 0);
	assert_memory_equal(&key, &again, sizeof(key));
	json_decref(file);
}

static void
test_file_refusals(void **state)
{
	static const struct {
		const char *in, *key, *text; /* member of the object in that member, or of the whole; what it is instead */
		int refusal;
	} cases[] = {
		{ NULL, "url", NULL, ATTACHMENT_E_FORM }, { NULL, "url", "7", ATTACHMENT_E_FORM }, { NULL, "url", "\"https://example.org/x\"", ATTACHMENT_E_URL },
		{ NULL, "v", NULL, ATTACHMENT_E_FORM }, { NULL, "v", "\"v1\"", ATTACHMENT_E_VERSION }, { NULL, "v", "2", ATTACHMENT_E_FORM },
		{ NULL, "key", NULL, ATTACHMENT_E_FORM }, { NULL, "key", "\"k\"", ATTACHMENT_E_FORM }, { "key", "alg", NULL, ATTACHMENT_E_FORM },
		{ "key", "alg", "\"A128CTR\"", ATTACHMENT_E_ALGORITHM }, { "key", "k", NULL, ATTACHMENT_E_KEY }, { "key", "k", "\"aWF6\"", ATTACHMENT_E_KEY },
		{ "key", "k", "\"aWF6+32KGYaC3A/FEUCk1Bt0JA37zP0wrStgmdCaW+0\"", ATTACHMENT_E_KEY }, { "key", "k", "[]", ATTACHMENT_E_KEY },
		{ NULL, "iv", NULL, ATTACHMENT_E_IV }, { NULL, "iv", "\"w+sE15fzSc0\"", ATTACHMENT_E_IV }, { NULL, "iv", "\"w-sE15fzSc0AAAAAAAAAAA\"", ATTACHMENT_E_IV },
		{ NULL, "hashes", NULL, ATTACHMENT_E_HASH }, { "hashes", "sha256", NULL, ATTACHMENT_E_HASH }, { "hashes", "sha256", "\"fdSL\"", ATTACHMENT_E_HASH },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct attachment_key key = { .iv = { 7 } };
		const char *url = "untouched";
		json_t *file = json_loads(example, 0, NULL), *in = cases[i].in ? json_object_get(file, cases[i].in) : file;
		if (cases[i].text)
			json_object_set_new(in, cases[i].key, json_loads(cases[i].text, JSON_DECODE_ANY, NULL));
		else
			json_object_del(in, cases[i].key);
		int r = attachment_read_file(&key, &url, file);
		if (r != cases[i].refusal)
			fail_msg("%s %s: %d", cases[i].key, cases[i].text ? cases[i].text : "removed", r);
		assert_string_equal(url, "untouched");
		assert_int_equal(key.iv[0], 7);
		json_decref(file);
	}
	struct attachment_key key;
	const char *url;
	assert_int_equal(attachment_read_file(&key, &url, NULL), ATTACHMENT_E_FORM);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vector), cmocka_unit_test(test_pieces), cmocka_unit_test(test_changed), cmocka_unit_test(test_file),
		cmocka_unit_test(test_file_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
