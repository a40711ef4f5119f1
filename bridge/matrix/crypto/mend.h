/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_CRYPTO_MEND_H
#define MATRIX_CRYPTO_MEND_H

/* What our devices say to others' devices of their own accord, so that they do not wait in vain. */

#include "base/json.h"
#include "matrix/crypto/crypto.h"
#include "matrix/crypto/keep.h"

struct mend;

struct mend *mend_open(struct crypto *crypto) MUST_USE;
/* Cancels what is under way. */
void mend_stop(struct mend *mend);
void mend_close(struct mend *mend); /* NULL is fine */

/*
 * The Olm sessions of one of ours with a device are out of step: begins a new one with it and says so (m.dummy), whereupon it sends its room keys again.
 * At most once an hour for a device, one device at a time; nothing for a device that is not known (C-S API, "Recovering from undecryptable
 * messages").
 */
void mend_session(struct crypto *crypto, const struct keep_account *own, const char *user, const char *curve);

/* Declines an interactive verification that a device asks for by to-device messages, so that its client does not wait (m.user). */
void mend_refuse_verification(struct crypto *crypto, const struct keep_account *own, const char *user, const json_t *content);

#endif
