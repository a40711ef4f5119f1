/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_CRYPTO_SYNC_H
#define MATRIX_CRYPTO_SYNC_H

/*
 * A device's inbox (C-S API, GET /sync). The homeserver forgets what it gave when it is asked for what follows, so what was
 * taken and the place to go on from are written in one transaction, and the next request waits for its commit.
 */

#include "matrix/crypto/own.h"

/* Nothing but what is for the device, from where it was last read on. malloc'd. */
char *sync_path(const struct own *own, int timeout_ms) MUST_USE;

/* Takes an answer: changed devices of others, what was sent to this one, what is left of its keys; in the open transaction. */
void sync_take(struct own *own, const json_t *answer);

#endif
