/* SPDX-License-Identifier: Apache-2.0 */
/* The hash is always over the encrypted side: what comes out when encrypting, what goes in otherwise. */
#include "matrix/crypto/attachment.h"

#include "base/seal.h"
#include "matrix/crypto/base64.h"

#include <stdlib.h>
#include <string.h>

#define COUNTER 8 /* of the iv: it begins with a random half, and counts in the other */

struct attachment {
	enum attachment_way way;
	struct primitive_hash *hash;     /* own */
	struct primitive_cipher *cipher; /* own; NULL when only checking */
};

void
attachment_key_init(struct attachment_key *key)
{
	*key = (struct attachment_key){ .iv = { 0 } };
	seal_random(key->key, sizeof(key->key));
	seal_random(key->iv, sizeof(key->iv) - COUNTER);
}

void
attachment_key_fini(struct attachment_key *key)
{
	explicit_bzero(key, sizeof(*key));
}

json_t *
attachment_make_file(const struct attachment_key *key, const char *url)
{
	char k[BASE64_SIZE(PRIMITIVE_KEY)], iv[BASE64_SIZE(PRIMITIVE_IV)], hash[BASE64_SIZE(PRIMITIVE_HASH)];

	base64_encode(BASE64_URL, key->key, sizeof(key->key), k);
	base64_encode(BASE64_PLAIN, key->iv, sizeof(key->iv), iv);
	base64_encode(BASE64_PLAIN, key->hash, sizeof(key->hash), hash);
	json_t *file = json_pack("{s:s, s:s, s:{s:s, s:b, s:s, s:[s, s], s:s}, s:s, s:{s:s}}", "url", url, "v", "v2", "key", "alg", "A256CTR",
			"ext", 1, "k", k, "key_ops", "encrypt", "decrypt", "kty", "oct", "iv", iv, "hashes", "sha256", hash);
	explicit_bzero(k, sizeof(k));
	return file;
}

int
attachment_read_file(struct attachment_key *key, const char **url, const json_t *file)
{
	const json_t *jwk = json_child(file, "key"), *hashes = json_child(file, "hashes");
	const char *address = json_text(file, "url"), *version = json_text(file, "v"), *algorithm = json_text(jwk, "alg");
	struct attachment_key read = { .iv = { 0 } };

	if (!jwk || !address || !version || !algorithm)
		return ATTACHMENT_E_FORM;
	const struct {
		bool good;
		enum attachment_refusal refusal;
	} checks[] = {
		{ strcmp(version, "v2") == 0, ATTACHMENT_E_VERSION },
		{ strcmp(algorithm, "A256CTR") == 0, ATTACHMENT_E_ALGORITHM },
		{ base64_decode_exact(BASE64_URL, json_text(jwk, "k"), read.key, sizeof(read.key)), ATTACHMENT_E_KEY },
		{ base64_decode_exact(BASE64_PLAIN, json_text(file, "iv"), read.iv, sizeof(read.iv)), ATTACHMENT_E_IV },
		{ base64_decode_exact(BASE64_PLAIN, json_text(hashes, "sha256"), read.hash, sizeof(read.hash)), ATTACHMENT_E_HASH },
		{ str_starts(address, "mxc://"), ATTACHMENT_E_URL },
	};
	int r = 0;
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]) && !r; i++)
		r = checks[i].good ? 0 : (int)checks[i].refusal;
	if (!r) {
		*key = read;
		*url = address;
	}
	attachment_key_fini(&read);
	return r;
}

struct attachment *
attachment_new(const struct attachment_key *key, enum attachment_way way)
{
	struct attachment *attachment = xcalloc(1, sizeof(*attachment));

	attachment->way = way;
	attachment->hash = primitive_hash_new();
	if (way != ATTACHMENT_CHECK)
		attachment->cipher = primitive_cipher_new(key->key, key->iv);
	return attachment;
}

void
attachment_step(struct attachment *attachment, const void *in, void *out, size_t n)
{
	if (attachment->way != ATTACHMENT_ENCRYPT)
		primitive_hash_add(attachment->hash, in, n); /* before it is overwritten */
	if (attachment->cipher)
		primitive_cipher_step(attachment->cipher, in, out, n);
	if (attachment->way == ATTACHMENT_ENCRYPT)
		primitive_hash_add(attachment->hash, out, n);
}

bool
attachment_end(struct attachment *attachment, struct attachment_key *key)
{
	unsigned char hash[PRIMITIVE_HASH];

	primitive_hash_end(attachment->hash, hash);
	if (attachment->way != ATTACHMENT_ENCRYPT)
		return primitive_same(hash, key->hash, sizeof(hash));
	memcpy(key->hash, hash, sizeof(hash));
	return true;
}

void
attachment_free(struct attachment *attachment)
{
	if (!attachment)
		return;
	primitive_hash_free(attachment->hash);
	primitive_cipher_free(attachment->cipher);
	free(attachment);
}
