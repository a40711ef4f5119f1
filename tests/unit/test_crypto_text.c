/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that keys and signatures are made of: unpadded base64, canonical JSON and signed objects, with the specification's own examples. */
#include "matrix/crypto/base64.h"
#include "matrix/crypto/canonical.h"
#include "matrix/crypto/secret.h"
#include "matrix/crypto/signing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- base64 ---- */

/* Matrix appendices, "Unpadded Base64"; and every way to pad it. */
static void
test_base64_examples(void **state)
{
	static const struct {
		const char *value, *text, *padded;
	} cases[] = {
		{ "", "", "" }, { "f", "Zg", "Zg==" }, { "fo", "Zm8", "Zm8=" }, { "foo", "Zm9v", "Zm9v" }, { "foob", "Zm9vYg", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy", "Zm9vYmFy" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[BASE64_SIZE(6)];
		unsigned char value[BASE64_ROOM(8)];
		size_t n = strlen(cases[i].value), size;
		base64_encode(BASE64_PLAIN, cases[i].value, n, text);
		assert_string_equal(text, cases[i].text);
		assert_int_equal(strlen(text) + 1, BASE64_SIZE(n));
		const char *forms[] = { cases[i].text, cases[i].padded };
		for (size_t form = 0; form < 2; form++) {
			assert_true(base64_decode(BASE64_PLAIN, forms[form], strlen(forms[form]), value, &size));
			assert_int_equal(size, n);
			assert_memory_equal(value, cases[i].value, n);
		}
	}
}

static void
test_base64_refuses(void **state)
{
	static const char *const broken[] = {
		"A", "AAAAA", "Zg=", "Zg===", "Zm8==", "Zm9v=", "Zm9v====", "=", "==", "====", "Z=g=", "Z g", "Zg\n", "Zm8-", "Zm8_", "Zm8.", "Zm8@",
		"Zm8[", "Zm8`", "Zm8{", "Zh", "Zm9", "Zm9=", "Zm8\xC3", "Zm8\x80",
	};
	unsigned char value[16];
	size_t size;

	(void)state;
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
		if (base64_decode(BASE64_PLAIN, broken[i], strlen(broken[i]), value, &size))
			fail_msg("\"%s\" was taken", broken[i]);
	assert_false(base64_decode(BASE64_PLAIN, "Zm\0v", 4, value, &size));
	assert_false(base64_decode(BASE64_URL, "Zm8/", 4, value, &size));
	assert_false(base64_decode(BASE64_URL, "Zm8+", 4, value, &size));
}

/* Every byte at every place, there and back in both alphabets; and no other text than the one that was written gives it. */
static void
test_base64_all(void **state)
{
	(void)state;
	for (int alphabet = BASE64_PLAIN; alphabet <= BASE64_URL; alphabet++) {
		for (unsigned i = 0; i < 3 * 256; i++) {
			unsigned char bytes[5] = { 0x5A, 0xFF, 0, 0x7E, 0x81 }, back[BASE64_ROOM(8)];
			char text[BASE64_SIZE(5)];
			size_t size;
			bytes[i / 256] = (unsigned char)i;
			base64_encode((enum base64_alphabet)alphabet, bytes, 5, text);
			assert_true(base64_decode((enum base64_alphabet)alphabet, text, strlen(text), back, &size));
			assert_int_equal(size, 5);
			assert_memory_equal(back, bytes, 5);
		}
	}
	unsigned taken = 0;
	for (unsigned first = 0; first < 256; first++) {
		for (unsigned second = 0; second < 256; second++) {
			char text[] = { (char)first, (char)second }, again[BASE64_SIZE(1)];
			unsigned char value[BASE64_ROOM(2)];
			size_t size;
			if (!base64_decode(BASE64_PLAIN, text, 2, value, &size))
				continue;
			base64_encode(BASE64_PLAIN, value, size, again);
			assert_memory_equal(again, text, 2);
			taken++;
		}
	}
	assert_int_equal(taken, 256);
}

static void
test_base64_exact(void **state)
{
	unsigned char value[64];
	char text[BASE64_SIZE(65)];

	(void)state;
	memset(value, 7, sizeof(value));
	base64_encode(BASE64_PLAIN, value, 64, text);
	assert_true(base64_decode_exact(BASE64_PLAIN, text, value, 64));
	assert_false(base64_decode_exact(BASE64_PLAIN, text, value, 63));
	base64_encode(BASE64_PLAIN, value, 32, text);
	assert_true(base64_decode_exact(BASE64_PLAIN, text, value, 32));
	assert_false(base64_decode_exact(BASE64_PLAIN, text, value, 31));
	text[42]++;
	assert_false(base64_decode_exact(BASE64_PLAIN, text, value, 32));
	assert_false(base64_decode_exact(BASE64_PLAIN, NULL, value, 32));
	memset(text, 'A', sizeof(text));
	assert_false(base64_decode_exact(BASE64_PLAIN, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", value, 64));
}

/* ---- canonical JSON ---- */

static void
assert_canonical(const char *json, const char *text)
{
	json_t *value = json_loads(json, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	AUTO_STR struct str out;

	str_init(&out, 4096);
	assert_non_null(value);
	bool good = canonical_add(&out, value);
	json_decref(value);
	if (!text) {
		if (good)
			fail_msg("%s has the canonical form %s", json, str_get(&out));
		return;
	}
	assert_true(good);
	assert_string_equal(str_get(&out), text);
}

/* Matrix appendices, "Canonical JSON", Examples: all of them. */
static void
test_canonical_examples(void **state)
{
	(void)state;
	assert_canonical("{}", "{}");
	assert_canonical("{\"one\": 1, \"two\": \"Two\"}", "{\"one\":1,\"two\":\"Two\"}");
	assert_canonical("{\"b\": \"2\", \"a\": \"1\"}", "{\"a\":\"1\",\"b\":\"2\"}");
	assert_canonical("{\"b\":\"2\",\"a\":\"1\"}", "{\"a\":\"1\",\"b\":\"2\"}");
	assert_canonical("{\"auth\": {\"success\": true, \"mxid\": \"@john.doe:example.com\", \"profile\": {\"display_name\": \"John Doe\", \"three_pids\": ["
		"{\"medium\": \"email\", \"address\": \"john.doe@example.org\"}, {\"medium\": \"msisdn\", \"address\": \"123456789\"}]}}}",
		"{\"auth\":{\"mxid\":\"@john.doe:example.com\",\"profile\":{\"display_name\":\"John Doe\",\"three_pids\":["
		"{\"address\":\"john.doe@example.org\",\"medium\":\"email\"},{\"address\":\"123456789\",\"medium\":\"msisdn\"}]},\"success\":true}}");
	assert_canonical("{\"a\": \"日本語\"}", "{\"a\":\"日本語\"}");
	assert_canonical("{\"本\": 2, \"日\": 1}", "{\"日\":1,\"本\":2}");
	assert_canonical("{\"a\": \"\\u65E5\"}", "{\"a\":\"日\"}");
	assert_canonical("{\"a\": null}", "{\"a\":null}");
	assert_canonical("{\"a\": -0, \"b\": 1e10}", "{\"a\":0,\"b\":10000000000}");
}

/* The grammar: the shortest escapes, and lower-case digits. */
static void
test_canonical_strings(void **state)
{
	(void)state;
	assert_canonical("\"\\u0000\\u0001\\u0007\\u0008\\u0009\\u000A\\u000B\\u000C\\u000D\\u000E\\u000F\\u0010\\u001A\\u001F\\u0020\\u007F\"",
		"\"\\u0000\\u0001\\u0007\\b\\t\\n\\u000b\\f\\r\\u000e\\u000f\\u0010\\u001a\\u001f \x7F\"");
	assert_canonical("\"\\\"\\\\\\/\"", "\"\\\"\\\\/\"");
	assert_canonical("\"\\ud83d\\ude00\"", "\"\xF0\x9F\x98\x80\"");
	/* By code points: U+FFFF before U+1F600, though not as UTF-16; and a key before those that it begins. */
	assert_canonical("{\"\xF0\x9F\x98\x80\":1,\"\xEF\xBF\xBF\":2,\"ab\":3,\"a\":4,\"\":5,\"\x7F\":6,\"B\":7}",
		"{\"\":5,\"B\":7,\"a\":4,\"ab\":3,\"\x7F\":6,\"\xEF\xBF\xBF\":2,\"\xF0\x9F\x98\x80\":1}");
	assert_canonical("[true,false,null,[],{},[{\"b\":[2,1],\"a\":0}]]", "[true,false,null,[],{},[{\"a\":0,\"b\":[2,1]}]]");
}

static void
test_canonical_numbers(void **state)
{
	static const char *const none[] = { "9007199254740992", "-9007199254740992", "9223372036854775807", "1.5", "-0.25", "1e16", "1e-1", "1e308", "-1e300" };

	(void)state;
	assert_canonical("9007199254740991", "9007199254740991");
	assert_canonical("-9007199254740991", "-9007199254740991");
	assert_canonical("-0.0", "0");
	assert_canonical("3.0", "3");
	assert_canonical("9007199254740991.0", "9007199254740991");
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		AUTO_FREE char *inside = xasprintf("{\"a\":[{\"b\":%s}]}", none[i]);
		assert_canonical(none[i], NULL);
		assert_canonical(inside, NULL);
	}
}

static void
test_canonical_limits(void **state)
{
	AUTO_STR struct str json;

	(void)state;
	str_init(&json, 4096);
	for (int over = 0; over < 2; over++) {
		str_clear(&json);
		for (int i = 0; i < CANONICAL_DEPTH_MAX + over; i++)
			str_add_char(&json, '[');
		for (int i = 0; i < CANONICAL_DEPTH_MAX + over; i++)
			str_add_char(&json, ']');
		assert_canonical(str_get(&json), over ? NULL : str_get(&json));
	}
	/* Room for all but one character. */
	json_t *value = json_loads("{\"a\":\"bcd\"}", 0, NULL);
	for (size_t room = 0; room <= 11; room++) {
		str_clear(&json);
		json.max = room;
		assert_int_equal(canonical_add(&json, value), room == 11);
	}
	json_decref(value);
}

/* ---- signed objects ---- */

/* Matrix appendices, "Cryptographic Test Vectors". The seed's text ends there in 1: two bits more than its 32 bytes have. */
static void
test_signing_vectors(void **state)
{
	static const struct {
		const char *json, *signature;
	} cases[] = {
		{ "{}", "K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ" },
		{ "{\"one\":1,\"two\":\"Two\"}", "KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw" },
	};
	unsigned char seed[32], key[32];

	(void)state;
	assert_false(base64_decode_exact(BASE64_PLAIN, "YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1", seed, 32));
	assert_true(base64_decode_exact(BASE64_PLAIN, "YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA0", seed, 32));
	primitive_public_key(seed, key);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *object = json_loads(cases[i].json, 0, NULL);
		assert_int_equal(signing_sign(object, "domain", "1", seed), 0);
		const json_t *entry = json_child(json_child(object, "signatures"), "domain");
		assert_string_equal(json_text(entry, "ed25519:1"), cases[i].signature);
		assert_int_equal(signing_check(object, "domain", "1", key), 0);
		/* Neither a second signature nor what servers add changes the first. */
		json_object_set_new(object, "unsigned", json_pack("{s:f}", "age", 1.5));
		assert_int_equal(signing_sign(object, "domain", "2", seed), 0);
		assert_int_equal(signing_sign(object, "other", "1", seed), 0);
		assert_int_equal(signing_check(object, "domain", "1", key), 0);
		assert_string_equal(json_text(json_child(json_child(object, "signatures"), "other"), "ed25519:1"), cases[i].signature);
		json_decref(object);
	}
}

static void
test_signing_refusals(void **state)
{
	static const struct {
		const char *json;
		int refusal;
	} cases[] = {
		{ "{\"a\":1}", SIGNING_E_MISSING },
		{ "{\"a\":1,\"signatures\":{\"u\":{\"ed25519:X\":\"x\"}}}", SIGNING_E_MISSING },
		{ "{\"a\":1,\"signatures\":{\"v\":{\"ed25519:K\":\"x\"}}}", SIGNING_E_MISSING },
		{ "{\"a\":1,\"signatures\":{\"u\":{\"ed25519:K\":7}}}", SIGNING_E_MISSING },
		{ "{\"a\":1,\"signatures\":{\"u\":[\"ed25519:K\"]}}", SIGNING_E_MISSING },
		{ "{\"a\":1,\"signatures\":\"u\"}", SIGNING_E_MISSING },
		{ "{\"a\":1,\"signatures\":{\"u\":{\"ed25519:K\":\"\"}}}", SIGNING_E_FORM },
		{ "{\"a\":1,\"signatures\":{\"u\":{\"ed25519:K\":\"AAAA\"}}}", SIGNING_E_FORM },
		{ "{\"a\":1.5,\"signatures\":{\"u\":{\"ed25519:K\":"
			"\"K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ\"}}}", SIGNING_E_CONTENT },
		{ "{\"a\":1,\"signatures\":{\"u\":{\"ed25519:K\":"
			"\"K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ\"}}}", SIGNING_E_WRONG },
	};
	unsigned char seed[32] = { 1 }, key[32];

	(void)state;
	primitive_public_key(seed, key);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *object = json_loads(cases[i].json, 0, NULL);
		int r = signing_check(object, "u", "K", key);
		if (r != cases[i].refusal)
			fail_msg("%s: %d", cases[i].json, r);
		json_decref(object);
	}
	assert_int_equal(signing_check(NULL, "u", "K", key), SIGNING_E_MISSING);
	json_t *object = json_loads("{\"a\":1.5,\"signatures\":\"odd\"}", 0, NULL);
	assert_int_equal(signing_sign(object, "u", "K", seed), SIGNING_E_CONTENT);
	json_object_set_new(object, "a", json_integer(1));
	assert_int_equal(signing_sign(object, "u", "K", seed), 0);
	assert_int_equal(signing_check(object, "u", "K", key), 0);
	json_object_set_new(object, "a", json_integer(2));
	assert_int_equal(signing_check(object, "u", "K", key), SIGNING_E_WRONG);
	json_decref(object);
}

/* ---- memory ---- */

static void
test_secret(void **state)
{
	struct secret secret = { NULL, 0 };

	(void)state;
	secret_fini(&secret);
	secret_copy(&secret, "abc", 3);
	assert_int_equal(secret.n, 3);
	assert_string_equal(secret.p, "abc");
	secret_fini(&secret);
	assert_null(secret.p);
	secret_make(&secret, 0);
	assert_string_equal(secret.p, "");
	secret_fini(&secret);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_base64_examples), cmocka_unit_test(test_base64_refuses), cmocka_unit_test(test_base64_all),
		cmocka_unit_test(test_base64_exact), cmocka_unit_test(test_canonical_examples), cmocka_unit_test(test_canonical_strings),
		cmocka_unit_test(test_canonical_numbers), cmocka_unit_test(test_canonical_limits), cmocka_unit_test(test_signing_vectors),
		cmocka_unit_test(test_signing_refusals), cmocka_unit_test(test_secret),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
