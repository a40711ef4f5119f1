/* SPDX-License-Identifier: Apache-2.0 */
/* Sealing, naming and the digests that protocols ask for. */
#include "base/seal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/sourdine-seal-XXXXXX";
static char path[64];
static struct seal *seal;

static void
put_key(const char *bytes, size_t n, mode_t mode)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, n, file), n);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static int
set_up(void **state)
{
	(void)state;
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/master.key", directory);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(directory);
}

static int
open_key(void **state)
{
	(void)state;
	put_key("0123456789abcdef0123456789abcdef", 32, 0600);
	return seal_open(&seal, path, false);
}

static int
close_key(void **state)
{
	(void)state;
	seal_close(seal);
	return unlink(path);
}

static void
test_files(void **state)
{
	(void)state;
	struct stat info;
	char first[17], second[17];

	assert_int_equal(seal_open(&seal, path, false), SEAL_E_MISSING);
	assert_int_equal(access(path, F_OK), -1);
	put_key("short", 5, 0600);
	assert_int_equal(seal_open(&seal, path, true), SEAL_E_SHORT);
	put_key("0123456789abcdef0123456789abcdef\n", 33, 0600);
	assert_int_equal(seal_open(&seal, path, true), SEAL_E_SHORT);
	put_key("0123456789abcdef0123456789abcdef", 32, 0604);
	assert_int_equal(seal_open(&seal, path, true), SEAL_E_READABLE);
	unlink(path);
	assert_int_equal(seal_open(&seal, path, true), 0);
	seal_fingerprint(seal, first);
	seal_close(seal);
	assert_int_equal(stat(path, &info), 0);
	assert_int_equal(info.st_size, 32);
	assert_int_equal(info.st_mode & 07777, 0600);
	assert_int_equal(seal_open(&seal, path, true), 0);
	seal_fingerprint(seal, second);
	assert_string_equal(first, second);
	seal_close(seal);
	unlink(path);
	assert_int_equal(seal_open(&seal, "/nowhere/at/all", true), -ENOENT);
	seal_close(NULL);
}

static void
test_wrap(void **state)
{
	(void)state;
	static const char *const texts[] = { "", "a", "Bonsoir, à demain !", "0123456789abcdef0123456789abcdef0" };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		unsigned char *sealed, *again;
		char *text;
		size_t n = strlen(texts[i]), size, size2, back;
		seal_wrap(seal, texts[i], n, &sealed, &size);
		seal_wrap(seal, texts[i], n, &again, &size2);
		assert_int_equal(size, n + SEAL_OVERHEAD);
		assert_memory_not_equal(sealed, again, size);
		assert_true(seal_unwrap(seal, sealed, size, &text, &back));
		assert_int_equal(back, n);
		assert_string_equal(text, texts[i]);
		free(text);
		for (size_t bit = 0; bit < size * 8; bit++) {
			sealed[bit / 8] ^= (unsigned char)(1u << bit % 8);
			assert_false(seal_unwrap(seal, sealed, size, &text, &back));
			sealed[bit / 8] ^= (unsigned char)(1u << bit % 8);
		}
		assert_false(seal_unwrap(seal, sealed, size - 1, &text, &back));
		assert_false(seal_unwrap(seal, sealed, SEAL_OVERHEAD - 1, &text, &back));
		assert_false(seal_unwrap(seal, NULL, 0, &text, &back));
		free(sealed);
		free(again);
	}
}

/* The body is not to be found in what is stored. */
static void
test_opaque(void **state)
{
	(void)state;
	static const char sentinel[] = "SENTINEL-SENTINEL";
	unsigned char *sealed;
	size_t size;

	seal_wrap(seal, sentinel, sizeof(sentinel) - 1, &sealed, &size);
	assert_non_null(memmem(sentinel, sizeof(sentinel) - 1, "SENTINEL", 8));
	assert_null(memmem(sealed, size, "SENTINEL", 8));
	free(sealed);
}

static void
name(const char *a, const char *b, char out[SEAL_NAME_SIZE])
{
	const char *fields[] = { a, b, NULL };

	seal_name(seal, fields, out);
}

static void
test_names(void **state)
{
	(void)state;
	char one[SEAL_NAME_SIZE], two[SEAL_NAME_SIZE], alias[17];
	const char *fields[] = { "a", "b", NULL };

	name("a", "b", one);
	name("a", "b", two);
	assert_string_equal(one, two);
	assert_int_equal(strlen(one), 32);
	assert_int_equal(strspn(one, "abcdefghijklmnopqrstuvwxyz234567"), 32);
	name("b", "a", two);
	assert_string_not_equal(one, two);
	name("ab", "", two);
	assert_string_not_equal(one, two);
	name("a1:", "b", two); /* a field may look like a length */
	assert_string_not_equal(one, two);
	seal_alias(seal, fields, alias);
	assert_int_equal(strlen(alias), 16);
	assert_memory_not_equal(alias, one, 16);
}

/* Vectors computed with Python's hmac and hashlib, which share no code with ours. */
static void
test_vectors(void **state)
{
	(void)state;
	char text[65];

	seal_sha1_hex("3BF96D32", "secret", text); /* the handshake of XEP-0114 is SHA-1 of stream id and secret */
	assert_string_equal(text, "b09ea9b3b7f586be8a08d0a3dd7466f110aeb136");
	seal_sha1_hex("", "", text);
	assert_string_equal(text, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
	seal_sha256_hex("abc", 3, text);
	assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	seal_fingerprint(seal, text);
	assert_string_equal(text, "439132da2bc4e3d9");
	unsigned char key[SEAL_KEY_SIZE];
	static const unsigned char derived[] = {
		0x07, 0x7a, 0x8d, 0xa1, 0x36, 0x0c, 0x70, 0xba, 0x4b, 0x93, 0x8c, 0xf9, 0xb9, 0x9f, 0x61, 0x07,
		0x9e, 0xa2, 0xb8, 0x65, 0x10, 0x70, 0xf8, 0xbf, 0x8f, 0xd4, 0x98, 0xa6, 0x27, 0x34, 0xa4, 0xf0,
	};
	seal_derive(seal, "pickles", key);
	assert_memory_equal(key, derived, sizeof(derived));
	seal_derive(seal, "identities", key);
	assert_memory_not_equal(key, derived, sizeof(derived));
	name("a", "b", text);
	assert_string_equal(text, "wjfiy5knuirtd5sqlpomuua2xmr7z77p");
}

static void
test_same(void **state)
{
	(void)state;
	assert_true(seal_same("token", "token"));
	assert_true(seal_same("", ""));
	assert_false(seal_same("token", "toke"));
	assert_false(seal_same("token", ""));
	assert_false(seal_same("token", "tokeN"));
}

static void
test_random_text(void **state)
{
	(void)state;
	char one[65], two[65];
	size_t seen[3] = { 0 };

	seal_random_text(one, 64, "0123456789abcdef");
	seal_random_text(two, 64, "0123456789abcdef");
	assert_int_equal(strlen(one), 64);
	assert_int_equal(strspn(one, "0123456789abcdef"), 64);
	assert_string_not_equal(one, two);
	for (int i = 0; i < 100; i++) {
		seal_random_text(one, 30, "abc");
		for (const char *p = one; *p; p++)
			seen[*p - 'a']++;
	}
	for (size_t i = 0; i < 3; i++) /* 1000 expected, standard deviation 26 */
		assert_in_range(seen[i], 800, 1200);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test_setup_teardown(test_wrap, open_key, close_key),
		cmocka_unit_test_setup_teardown(test_opaque, open_key, close_key),
		cmocka_unit_test_setup_teardown(test_names, open_key, close_key),
		cmocka_unit_test_setup_teardown(test_vectors, open_key, close_key),
		cmocka_unit_test(test_same), cmocka_unit_test(test_random_text),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
