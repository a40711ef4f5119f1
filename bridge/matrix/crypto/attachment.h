/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_CRYPTO_ATTACHMENT_H
#define MATRIX_CRYPTO_ATTACHMENT_H

/*
 * Encrypted files (C-S API, "Sending encrypted attachments"): AES-256 in counter mode under a key used once, SHA-256 over what
 * the server stores. No file is held in memory: whoever calls passes it through in pieces.
 *
 * A received file is spooled as it came, passed through ATTACHMENT_CHECK, and only when that ends well through
 * ATTACHMENT_DECRYPT: no byte may be used before the hash was compared. The second pass compares again.
 */

#include "base/json.h"
#include "matrix/crypto/primitive.h"

#include <stdbool.h>
#include <stddef.h>

/* What an event says of a file: "file" or "thumbnail_file". */
struct attachment_key {
	unsigned char key[PRIMITIVE_KEY], iv[PRIMITIVE_IV];
	unsigned char hash[PRIMITIVE_HASH]; /* of the encrypted bytes */
};

enum attachment_refusal {
	ATTACHMENT_E_FORM = 1,  /* no object, or something is missing or of a wrong type */
	ATTACHMENT_E_VERSION,   /* not "v2" */
	ATTACHMENT_E_ALGORITHM, /* not A256CTR */
	ATTACHMENT_E_KEY,       /* not 32 bytes of base64url */
	ATTACHMENT_E_IV,        /* not 16 bytes of base64 */
	ATTACHMENT_E_HASH,      /* no SHA-256, or not 32 bytes of base64 */
	ATTACHMENT_E_URL,       /* not mxc: */
};

/* Key and iv for a new file: 32 random bytes, and 8 random ones before a counter of 0. The hash is not known yet. */
void attachment_key_init(struct attachment_key *key);
/* Clears it. */
void attachment_key_fini(struct attachment_key *key);

/* The object for an event, once the hash is known and the file lies at `url`. The caller's; it holds the key. */
json_t *attachment_make_file(const struct attachment_key *key, const char *url) MUST_USE;

/* Reads such an object; base64 may be padded. 0, and *url is lent by it; or enum attachment_refusal. */
int attachment_read_file(struct attachment_key *key, const char **url, const json_t *file) MUST_USE;

enum attachment_way { ATTACHMENT_ENCRYPT, ATTACHMENT_CHECK, ATTACHMENT_DECRYPT };

struct attachment;

struct attachment *attachment_new(const struct attachment_key *key, enum attachment_way way) MUST_USE;
/* The next n bytes; `out` takes as many and may be `in`. ATTACHMENT_CHECK writes nothing, `out` may be NULL. */
void attachment_step(struct attachment *attachment, const void *in, void *out, size_t n);
/* After the last piece. ATTACHMENT_ENCRYPT: true, and the hash stands in *key. Otherwise: whether the hash is that of *key. */
bool attachment_end(struct attachment *attachment, struct attachment_key *key) MUST_USE;
/* Clears and frees. NULL is fine. */
void attachment_free(struct attachment *attachment);

#endif
