/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_CRYPTO_DECIPHER_H
#define MATRIX_CRYPTO_DECIPHER_H

/* Encrypted events of rooms (C-S API, "m.megolm.v1.aes-sha2"), at the moment when they are read. */

#include "base/json.h"
#include "matrix/crypto/crypto.h"

enum decipher_result {
	DECIPHER_DONE,    /* *plain is the event as it was before it was encrypted; the caller's */
	DECIPHER_LATER,   /* its key may still come: inbox_retry() follows */
	DECIPHER_ASIDE,   /* it did not come in time, or is withheld; inbox_retry_aside() follows. *why is for its author */
	DECIPHER_LOST,    /* it never came. *why is for its author */
	DECIPHER_IGNORED, /* not what it claims: counted */
};

struct deciphered {
	json_t *plain;
	const char *why; /* static, marked N_() */
	bool strayed;    /* what followed it in its room was read before it */
};

/*
 * An event of type m.room.encrypted. What is remembered of it (which index it has, that it waits) is in the open transaction, so that
 * reading it again gives the same.
 */
enum decipher_result decipher_event(struct crypto *crypto, const char *room, const json_t *event, struct deciphered *out);

/* An encrypted event was kept, and will be read when its turn comes: if its key is missing, its patience begins now. */
void decipher_expect(struct crypto *crypto, const char *room, const char *raw, size_t size);

#endif
