/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_CRYPTO_RECEIVED_H
#define MATRIX_CRYPTO_RECEIVED_H

/* What is kept of what others sent: Olm messages that were read, Megolm sessions, which event had which index (tables c_olm_seen, c_mg_*). */

#include "matrix/crypto/crypto.h"
#include "matrix/crypto/keep.h"

/* ---- Olm messages that were read ---- */

bool received_has_read(struct crypto *crypto, int64_t account, const unsigned char hash[PRIMITIVE_HASH]);
void received_note_read(struct crypto *crypto, int64_t account, const unsigned char hash[PRIMITIVE_HASH]);

/* ---- Megolm sessions ---- */

enum received_source { RECEIVED_SHARED, RECEIVED_FORWARDED };

struct received {
	char room[KEEP_ID_MAX], id[RATCHET_ID_SIZE];
	char user[KEEP_ID_MAX];        /* who made it, and with which device's keys */
	char curve[RATCHET_ID_SIZE], ed[RATCHET_ID_SIZE];
	struct ratchet_inbound *session; /* the holder's to free (received_fini); NULL: it was withheld, or is damaged */
	int64_t first;                 /* the first index that it opens */
	enum received_source source;
	bool shared_history;
	char withheld[32];             /* the code; "" */
};

/*
 * What a user gave, or said that he does not give, of a session. False: nothing. Everybody who can read a room has its keys and could send
 * them to us as his own before their maker does: so what one says never stands for, or in the way of, what another does.
 */
bool received_find(struct crypto *crypto, const char *room, const char *id, const char *user, struct received *out) MUST_USE;
/* A session, or the word that we get none, in place of what there was of this user. */
void received_save(struct crypto *crypto, const struct received *received);
void received_fini(struct received *received);

/*
 * Whether this event is the one that this index of a user's session belongs to: the first one of his that came with it. What another says
 * with the same key and the same bytes are his own words, and take nothing from the session's maker.
 */
bool received_is_first(struct crypto *crypto, const char *session, const char *user, uint32_t index, const char *event_id, int64_t origin_ms);

/* A device of a user by its identity key, as his server last told; false: none is known. */
struct received_device {
	char id[KEEP_ID_MAX], ed[RATCHET_ID_SIZE];
	bool trusted; /* signed by its owner's identity */
};
bool received_find_device(struct crypto *crypto, const char *user, const char *curve, struct received_device *out) MUST_USE;

/* Forgets what is too old to be of use: messages of a week ago, sessions of twice their longest life. */
void received_trim(struct crypto *crypto);

#endif
