/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_CRYPTO_RECIPIENTS_H
#define MATRIX_CRYPTO_RECIPIENTS_H

/* Encrypted rooms, and who may read what is said in them. */

#include "matrix/inside.h"

struct recipients;

struct recipients *recipients_open(struct matrix *matrix) MUST_USE;
void recipients_stop(struct recipients *recipients); /* forgets who is where */
void recipients_close(struct recipients *recipients); /* NULL is fine */

/* How a room is encrypted. */
struct recipients_terms {
	int64_t rotation_ms, rotation_messages; /* within bounds: an hour or more, 1 to 10000 */
	bool shared_history;                    /* who comes later may read what was said before */
};

/* False: the room is not encrypted. */
bool recipients_terms(struct matrix *matrix, const char *room, struct recipients_terms *out) MUST_USE;

/*
 * The users who are to read what is said in an encrypted room, but our own: *users is lent until recipients_changed() or the next
 * turn. False: they are being asked for, and outbox_wake() follows.
 */
bool recipients_of(struct recipients *recipients, const char *room, const char *const **users, size_t *n) MUST_USE;

/* Somebody came or went. */
void recipients_changed(struct recipients *recipients, const char *room);
/* Rises with each change. */
unsigned long recipients_generation(const struct recipients *recipients);

#endif
