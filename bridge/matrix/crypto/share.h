/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_CRYPTO_SHARE_H
#define MATRIX_CRYPTO_SHARE_H

/* Gives the key of a Megolm session of ours to devices, as to-device messages that are written down before they leave. No HTTP here. */

#include "matrix/crypto/keep.h"
#include "matrix/crypto/roster.h"

#include "base/json.h"

struct crypto;

/* Who gives what. Borrowed. */
struct share {
	struct crypto *crypto;
	const struct keep_account *account;
	const char *curve, *ed; /* of the account */
	const struct keep_outbound *session;
	bool all_trusted; /* trust: all; otherwise a device that its owner did not sign is told that it gets nothing */
};

/*
 * Notes which devices (sorted, those that are there now) were served, and says whether everyone who has the key may still have it.
 * False: somebody left, or a device is gone or not trusted any more: the session must not be used again (rotation).
 */
bool share_is_entitled(const struct share *share, struct roster_devices *devices);

/* Whether a device lacks the key, or the word that it gets none. Its Olm session is opened, for share_queue(). After share_is_entitled(). */
enum share_need {
	SHARE_NOTHING,
	SHARE_LETTER,  /* it can be written to */
	SHARE_CLAIM,   /* a one-time key of it is needed first */
	SHARE_LATER,   /* it has had none lately: at *retry_ms, real time */
};
enum share_need share_need_of(const struct share *share, struct roster_device *device, int64_t *retry_ms);

/* Queues what all devices lack that can be written to. Returns how many letters were queued: they may leave once that is committed. */
unsigned share_queue(const struct share *share, struct roster_devices *devices);

/* The body of POST /keys/claim for these devices. The caller's. */
json_t *share_make_claim(struct roster_device *const *devices, size_t n) MUST_USE;

/*
 * One device's part of the answer: it has a fresh session, which share_queue() or share_keep_fresh() keeps, or it is put off, and told so
 * the first time, in `refused` (a body of m.room_key.withheld, see share_queue_refusals()).
 */
void share_take_claim(const struct share *share, struct roster_device *device, const json_t *answer, json_t *refused);
/* Sessions that have begun and were not used are used later: their one-time keys are spent. */
void share_keep_fresh(const struct share *share, struct roster_devices *devices);
/* Queues what share_take_claim() put there. Returns how many letters. */
unsigned share_queue_refusals(const struct share *share, const json_t *refused);

#endif
