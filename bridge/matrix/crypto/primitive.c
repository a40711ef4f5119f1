/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL's side of encryption. Signatures are checked here and nowhere else: libolm takes one whose S has the group's
 * order added (CVE-2024-45193), OpenSSL does not.
 */
#include "matrix/crypto/primitive.h"

#include "base/log.h"

#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <stdlib.h>

#define AT_ONCE (1 << 30) /* bytes that OpenSSL's int takes */

struct primitive_hash {
	EVP_MD_CTX *context; /* own */
};

struct primitive_cipher {
	EVP_CIPHER_CTX *context; /* own; OpenSSL clears what it frees */
};

static void
require(bool ok)
{
	if (ok)
		return;
	log_error(LOG_MATRIX, "cryptography failed, stopping");
	abort();
}

static EVP_PKEY *
private_key(const unsigned char seed[PRIMITIVE_KEY])
{
	EVP_PKEY *pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, PRIMITIVE_KEY);

	require(pair != NULL);
	return pair;
}

void
primitive_public_key(const unsigned char seed[PRIMITIVE_KEY], unsigned char key[PRIMITIVE_KEY])
{
	EVP_PKEY *pair = private_key(seed);
	size_t size = PRIMITIVE_KEY;

	require(EVP_PKEY_get_raw_public_key(pair, key, &size) == 1 && size == PRIMITIVE_KEY);
	EVP_PKEY_free(pair);
}

void
primitive_sign(const unsigned char seed[PRIMITIVE_KEY], const void *p, size_t n, unsigned char signature[PRIMITIVE_SIGNATURE])
{
	EVP_PKEY *pair = private_key(seed);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	size_t size = PRIMITIVE_SIGNATURE;

	require(context && EVP_DigestSignInit(context, NULL, NULL, NULL, pair) == 1);
	require(EVP_DigestSign(context, signature, &size, p, n) == 1 && size == PRIMITIVE_SIGNATURE);
	EVP_MD_CTX_free(context);
	EVP_PKEY_free(pair);
}

bool
primitive_verify(const unsigned char key[PRIMITIVE_KEY], const void *p, size_t n, const unsigned char signature[PRIMITIVE_SIGNATURE])
{
	EVP_PKEY *public = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, PRIMITIVE_KEY);
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	require(public && context && EVP_DigestVerifyInit(context, NULL, NULL, NULL, public) == 1);
	bool good = EVP_DigestVerify(context, signature, PRIMITIVE_SIGNATURE, p, n) == 1;
	EVP_MD_CTX_free(context);
	EVP_PKEY_free(public);
	return good;
}

/* OpenSSL's parameters are not const, but it only reads these. */
static OSSL_PARAM
octets(const char *name, const void *p, size_t n)
{
	union {
		const void *given;
		void *wanted;
	} bytes = { n ? p : "" };

	return OSSL_PARAM_construct_octet_string(name, bytes.wanted, n);
}

void
primitive_hkdf(const void *key, size_t key_size, const void *salt, size_t salt_size, const void *info, size_t info_size, void *out, size_t size)
{
	char digest[] = "SHA256";
	const OSSL_PARAM settings[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
		octets(OSSL_KDF_PARAM_KEY, key, key_size),
		octets(OSSL_KDF_PARAM_SALT, salt, salt_size),
		octets(OSSL_KDF_PARAM_INFO, info, info_size),
		OSSL_PARAM_construct_end(),
	};
	EVP_KDF *kind = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *context = EVP_KDF_CTX_new(kind);

	require(context && EVP_KDF_derive(context, out, size, settings) == 1);
	EVP_KDF_CTX_free(context);
	EVP_KDF_free(kind);
}

bool
primitive_same(const void *a, const void *b, size_t n)
{
	return CRYPTO_memcmp(a, b, n) == 0;
}

void
primitive_sha256(const void *p, size_t n, unsigned char hash[PRIMITIVE_HASH])
{
	struct primitive_hash *whole = primitive_hash_new();

	primitive_hash_add(whole, p, n);
	primitive_hash_end(whole, hash);
	primitive_hash_free(whole);
}

struct primitive_hash *
primitive_hash_new(void)
{
	struct primitive_hash *hash = xcalloc(1, sizeof(*hash));

	hash->context = EVP_MD_CTX_new();
	require(hash->context && EVP_DigestInit_ex(hash->context, EVP_sha256(), NULL) == 1);
	return hash;
}

void
primitive_hash_add(struct primitive_hash *hash, const void *p, size_t n)
{
	require(EVP_DigestUpdate(hash->context, p, n) == 1);
}

void
primitive_hash_end(struct primitive_hash *hash, unsigned char out[PRIMITIVE_HASH])
{
	unsigned size = 0;

	require(EVP_DigestFinal_ex(hash->context, out, &size) == 1 && size == PRIMITIVE_HASH);
}

void
primitive_hash_free(struct primitive_hash *hash)
{
	if (hash)
		EVP_MD_CTX_free(hash->context);
	free(hash);
}

struct primitive_cipher *
primitive_cipher_new(const unsigned char key[PRIMITIVE_KEY], const unsigned char iv[PRIMITIVE_IV])
{
	struct primitive_cipher *cipher = xcalloc(1, sizeof(*cipher));

	cipher->context = EVP_CIPHER_CTX_new();
	require(cipher->context && EVP_EncryptInit_ex2(cipher->context, EVP_aes_256_ctr(), key, iv, NULL) == 1);
	return cipher;
}

void
primitive_cipher_step(struct primitive_cipher *cipher, const void *in, void *out, size_t n)
{
	const unsigned char *from = in;
	unsigned char *to = out;

	while (n) {
		int now = n < AT_ONCE ? (int)n : AT_ONCE, done = 0;
		require(EVP_EncryptUpdate(cipher->context, to, &done, from, now) == 1 && done == now);
		from += now;
		to += now;
		n -= (size_t)now;
	}
}

void
primitive_cipher_free(struct primitive_cipher *cipher)
{
	if (cipher)
		EVP_CIPHER_CTX_free(cipher->context);
	free(cipher);
}
