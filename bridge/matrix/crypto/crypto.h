/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_CRYPTO_CRYPTO_H
#define MATRIX_CRYPTO_CRYPTO_H

/*
 * What encryption shares, and how the port reaches it. matrix::crypto is NULL when encryption is not allowed, or this program
 * was built without libolm; whoever has one may call anything of this folder.
 */

#include "base/seal.h"
#include "matrix/inside.h"

struct keep;

struct crypto {
	struct matrix *matrix; /* borrowed */
	struct store *store;   /* borrowed */
	struct keep *keep;     /* owns */
	struct peers *peers;   /* owns, and what follows */
	struct recipients *recipients;
	struct outbound *outbound;
	bool all_trusted;      /* trust: all; else only devices that their owner has signed are written to */
	unsigned char bridge_secret[SEAL_KEY_SIZE]; /* what our users' identities are derived from (derive.h) */
};

/* 0, and *out, to be closed; or MATRIX_E_KEY. Built without libolm: 0, and *out is NULL. */
int crypto_open(struct crypto **out, struct matrix *matrix) MUST_USE;
void crypto_close(struct crypto *crypto); /* NULL is fine */
/* Cancels what is under way; what was learnt is learnt again. NULL is fine. */
void crypto_stop(struct crypto *crypto);

/* Who may read in a room has changed (cipher.h), or is known now. NULL is fine. */
void crypto_saw_readers(struct crypto *crypto, const char *room);
/* A member event of a room, of somebody who is not ours. NULL is fine. */
void crypto_saw_member(struct crypto *crypto, const char *room, const char *user, const char *membership);

#endif
