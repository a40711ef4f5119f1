/* SPDX-License-Identifier: Apache-2.0 */
/* The published vectors: RFC 8032 §7.1, RFC 5869 appendix A, NIST SP 800-38A F.5.5, FIPS 180; and keys derived as Python derives them. */
#include "matrix/crypto/derive.h"
#include "matrix/crypto/primitive.h"

#include "hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static const struct {
	const char *seed, *key, *text, *signature;
} ed25519[] = {
	{ "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
		"e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b" },
	{ "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
		"92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00" },
	{ "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7", "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
		"6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a" },
};

static void
test_ed25519(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(ed25519) / sizeof(ed25519[0]); i++) {
		unsigned char seed[32], key[32], text[8], expected[64], made[64];
		size_t n = unhex(ed25519[i].text, text, sizeof(text));
		unhex(ed25519[i].seed, seed, sizeof(seed));
		unhex(ed25519[i].signature, expected, sizeof(expected));
		primitive_public_key(seed, made);
		unhex(ed25519[i].key, key, sizeof(key));
		assert_memory_equal(made, key, 32);
		primitive_sign(seed, text, n, made);
		assert_memory_equal(made, expected, 64);
		assert_true(primitive_verify(key, text, n, expected));
		for (size_t bit = 0; bit < 512; bit++) {
			made[bit / 8] ^= (unsigned char)(1u << bit % 8);
			assert_false(primitive_verify(key, text, n, made));
			made[bit / 8] ^= (unsigned char)(1u << bit % 8);
		}
		assert_false(primitive_verify(key, "other", 5, expected));
		key[0] ^= 1;
		assert_false(primitive_verify(key, text, n, expected));
	}
}

/* The group's order added to S: the same equation holds, and libolm takes it (CVE-2024-45193). */
static void
test_malleated_signature(void **state)
{
	unsigned char order[32], key[32], signature[64];
	unsigned carry = 0;

	(void)state;
	unhex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010", order, sizeof(order));
	unhex(ed25519[1].key, key, sizeof(key));
	unhex(ed25519[1].signature, signature, sizeof(signature));
	assert_true(primitive_verify(key, "r", 1, signature));
	for (size_t i = 0; i < 32; i++) {
		carry += (unsigned)signature[32 + i] + order[i];
		signature[32 + i] = (unsigned char)carry;
		carry >>= 8;
	}
	assert_int_equal(carry, 0);
	assert_false(primitive_verify(key, "r", 1, signature));
}

static void
test_hkdf(void **state)
{
	static const struct {
		const char *key, *salt, *info, *out;
	} cases[] = {
		{ "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c", "f0f1f2f3f4f5f6f7f8f9",
			"3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865" },
		{ "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f"
			"303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f",
			"606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f"
			"909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
			"b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf"
			"e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
			"b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
			"da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87" },
		{ "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "",
			"8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned char key[80], salt[80], info[80], expected[96], made[96];
		size_t key_size = unhex(cases[i].key, key, sizeof(key)), salt_size = unhex(cases[i].salt, salt, sizeof(salt));
		size_t info_size = unhex(cases[i].info, info, sizeof(info)), n = unhex(cases[i].out, expected, sizeof(expected));
		primitive_hkdf(key, key_size, salt, salt_size, info, info_size, made, n);
		assert_memory_equal(made, expected, n);
	}
}

static void
test_aes_ctr(void **state)
{
	unsigned char key[32], iv[16], plain[64], expected[64], made[64];

	(void)state;
	unhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", key, sizeof(key));
	unhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff", iv, sizeof(iv));
	unhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
		"30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710", plain, sizeof(plain));
	unhex("601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"
		"2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6", expected, sizeof(expected));
	/* In pieces of every size, and in place. */
	for (size_t piece = 1; piece <= sizeof(plain); piece++) {
		struct primitive_cipher *cipher = primitive_cipher_new(key, iv);
		memcpy(made, plain, sizeof(made));
		for (size_t at = 0; at < sizeof(plain); at += piece)
			primitive_cipher_step(cipher, made + at, made + at, at + piece > sizeof(plain) ? sizeof(plain) - at : piece);
		primitive_cipher_free(cipher);
		assert_memory_equal(made, expected, sizeof(made));
	}
	primitive_cipher_free(NULL);
}

static void
test_sha256(void **state)
{
	unsigned char expected[32], made[32];
	struct primitive_hash *hash = primitive_hash_new();

	(void)state;
	unhex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", expected, sizeof(expected));
	primitive_sha256("abc", 3, made);
	assert_memory_equal(made, expected, 32);
	primitive_hash_add(hash, "a", 1);
	primitive_hash_add(hash, "", 0);
	primitive_hash_add(hash, "bc", 2);
	primitive_hash_end(hash, made);
	assert_memory_equal(made, expected, 32);
	primitive_hash_free(hash);
	primitive_hash_free(NULL);
	assert_true(primitive_same("abc", "abc", 3));
	assert_false(primitive_same("abc", "abd", 3));
}

/* Expected values by Python's hmac and hashlib, and its cryptography module for the last. */
static void
test_derived(void **state)
{
	unsigned char master[32], salt[DERIVE_SALT], expected[32], made[32], other[32];

	(void)state;
	for (size_t i = 0; i < sizeof(master); i++)
		master[i] = (unsigned char)i;
	for (size_t i = 0; i < sizeof(salt); i++)
		salt[i] = (unsigned char)(100 + i);
	derive_row_key(master, salt, "c_olm", "7", made);
	unhex("ef51902b830442301b26f129692e891609966ca5c1514f56e32261b7f3eca4ec", expected, sizeof(expected));
	assert_memory_equal(made, expected, 32);
	derive_row_key(master, salt, "c_olm", "8", other);
	assert_memory_not_equal(made, other, 32);
	derive_seed(master, 1, "@_xmpp_bob:example.org", "master", made);
	unhex("a72bc3d337ca41ab7da7d44841857412941778e449e11e71e785b85a85cbbee5", expected, sizeof(expected));
	assert_memory_equal(made, expected, 32);
	primitive_public_key(made, other);
	unhex("607fa3e239acb71df1f7a3f4929ed3d01857f6de4ea1fc7a6415cb57f92ca2ae", expected, sizeof(expected));
	assert_memory_equal(other, expected, 32);
	derive_seed(master, 1, "@_xmpp_bob:example.org", "self_signing", other);
	assert_memory_not_equal(made, other, 32);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ed25519), cmocka_unit_test(test_malleated_signature), cmocka_unit_test(test_hkdf),
		cmocka_unit_test(test_aes_ctr), cmocka_unit_test(test_sha256), cmocka_unit_test(test_derived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
