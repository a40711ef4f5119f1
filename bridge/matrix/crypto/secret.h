/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_CRYPTO_SECRET_H
#define MATRIX_CRYPTO_SECRET_H

/* Bytes that are cleared before their memory is given back: keys, pickles, plain text. */

#include "base/mem.h"

#include <stddef.h>

struct secret {
	char *p;  /* own: n bytes and a NUL; NULL when there is nothing */
	size_t n;
};

/* Room for n bytes, all 0. What the secret held before is not looked at. */
void secret_make(struct secret *secret, size_t n);
/* A copy of n bytes. */
void secret_copy(struct secret *secret, const void *p, size_t n);
/* Clears and frees; the secret is empty afterwards. */
void secret_fini(struct secret *secret);
/* Locals are initialised with { NULL, 0 }. */
#define AUTO_SECRET CLEANUP(secret_fini)

#endif
