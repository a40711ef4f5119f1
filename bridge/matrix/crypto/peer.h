/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_CRYPTO_PEER_H
#define MATRIX_CRYPTO_PEER_H

/*
 * Keys of others as a homeserver tells them (C-S API, POST /keys/query and /keys/claim). A server can leave out what it
 * likes, and invent users' devices; what it cannot is sign for a key that it does not have. All that is taken from here was
 * signed by the device itself, and what counts as trusted, by its owner's identity.
 */

#include "base/json.h"
#include "matrix/crypto/primitive.h"
#include "matrix/crypto/ratchet.h"

#include <stdbool.h>

#define PEER_NAME_MAX 255 /* bytes of a user's or a device's id */

enum peer_refusal {
	PEER_E_ABSENT = 1, /* there is none in the answer */
	PEER_E_FORM,       /* not an object, or a member is missing or of a wrong type; or a name too long */
	PEER_E_NAME,       /* it names another user or device than it stands under */
	PEER_E_USAGE,      /* a cross-signing key for another use */
	PEER_E_ALGORITHMS, /* a device without Olm or Megolm */
	PEER_E_KEY,        /* a key is no base64 of 32 bytes, or is not the one that names it */
	PEER_E_SIGNATURE,  /* not signed by the key that must have signed it */
	PEER_E_CROSS,      /* a device whose id is a cross-signing key: its signature would be mistaken for that one's */
	PEER_E_CHANGED,    /* a device that was known under other keys */
	PEER_REFUSALS
};

/* A word for logs and metrics, static; "" for 0. */
const char *peer_refusal_word(int refusal);

/* ---- identities ---- */

struct peer_identity {
	char master[RATCHET_ID_SIZE];       /* base64; "" when there is none */
	char self_signing[RATCHET_ID_SIZE]; /* the same; only when the master key signed it */
	unsigned char self_signing_key[PRIMITIVE_KEY];
	bool changed;                       /* the master key is not the one that was pinned: somebody began anew, or lies */
};

/*
 * A user's identity. `pinned` is the master key that was seen first, or NULL. 0: the chain from the master key to the self-signing
 * key holds, so devices can be trusted by it. Otherwise enum peer_refusal, with what there was in *out: no device is trusted then.
 */
int peer_read_identity(struct peer_identity *out, const json_t *answer, const char *user_id, const char *pinned) MUST_USE;

/* ---- devices ---- */

enum peer_trust { PEER_UNSIGNED, PEER_CROSS_SIGNED };

struct peer_device {
	char curve[RATCHET_ID_SIZE], ed[RATCHET_ID_SIZE];
	enum peer_trust trust;
};

/*
 * One device: what stands under user_id and device_id. `identity` (NULL: none is known) gives the trust, `known` (NULL: a new
 * one) what its keys were before. Also for "sender_device_keys" of an Olm event. 0, or enum peer_refusal.
 */
int peer_read_device(struct peer_device *out, const json_t *keys, const char *user_id, const char *device_id, const struct peer_identity *identity,
		const struct peer_device *known) MUST_USE;

/* Who is asked and told while a user's devices are read. */
struct peer_reader {
	/* The device as it is known, lent until the next call; NULL when it is new. */
	const struct peer_device *(*find)(void *context, const char *device_id);
	/* A device and 0, or NULL and the refusal. */
	void (*take)(void *context, const char *device_id, int refusal, const struct peer_device *device);
	void *context;
};

/*
 * All devices of a user in an answer. 0, or PEER_E_ABSENT with no call at all, when the answer has nothing about him: his server may
 * have failed, and what is known of him stays. A device that is known and not told of is gone.
 */
int peer_read_devices(const json_t *answer, const char *user_id, const struct peer_identity *identity, const struct peer_reader *reader) MUST_USE;

/* ---- one-time keys ---- */

struct peer_claimed {
	char key[RATCHET_ID_SIZE];
	bool fallback;
};

/* The one-time key that was claimed from a device, signed by its Ed25519 key. 0, or enum peer_refusal. */
int peer_read_claimed(struct peer_claimed *out, const json_t *answer, const char *user_id, const char *device_id, const char *ed) MUST_USE;

#endif
