/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_CRYPTO_OUTBOUND_H
#define MATRIX_CRYPTO_OUTBOUND_H

/*
 * What our users say in encrypted rooms: who is to have the key of it, and the encryption itself. Each user's device has a Megolm
 * session of its own for each room that it speaks in. Nothing here concerns rooms that are not encrypted, which cost one look at
 * the database.
 */

#include "matrix/ghost.h"
#include "matrix/inside.h"

struct outbound;

struct outbound *outbound_open(struct matrix *matrix) MUST_USE;
/* Cancels what is under way; what was queued is sent later, as it is. */
void outbound_stop(struct outbound *outbound);
void outbound_close(struct outbound *outbound); /* NULL is fine */

enum outbound_readiness {
	OUTBOUND_READY,   /* the room is not encrypted, or whoever is to read has the key */
	OUTBOUND_BUSY,    /* outbox_wake() follows */
	OUTBOUND_REFUSED, /* *why, lent until the next call */
};

/*
 * Works towards a Megolm session of the ghost, which is in the room, whose key all devices of the room's people have. One request
 * of a ghost and room is under way at a time.
 */
enum outbound_readiness outbound_prepare(struct matrix *matrix, struct ghost *ghost, const char *room, const char **why);

/* Whether an event of this type must be encrypted there. Reactions and redactions must not (C-S API "m.room.encrypted"). */
bool outbound_concerns(struct matrix *matrix, const char *room, const char *type);

/*
 * Encrypts an event's content, a JSON object as text; `out` is then the content of m.room.encrypted, with `name` in the clear, so that our
 * own rows are known again. The ratchet is saved in the open transaction: the text may leave only once that is committed. False, and
 * nothing was done, when outbound_prepare() would not say READY now.
 */
bool outbound_encrypt(struct matrix *matrix, const struct ghost *ghost, const char *room, const char *type, const char *content, const char *name,
		struct str *out) MUST_USE;

#endif
