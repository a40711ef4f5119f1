/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_CIPHER_H
#define MATRIX_CIPHER_H

/* Which rooms are encrypted (Matrix v1.18 "m.room.encryption"), and who may read what is said there (e2ee.md 3.5). */

#include "matrix/inside.h"

/* Rooms that earlier processes knew. Their members and visibility are asked for when something is to be said there. */
void cipher_open(struct matrix *matrix);
void cipher_close(struct matrix *matrix);
/* The turn's writes were rolled back, or the homeserver was away: what is known of members may be out of date; that a room is encrypted stays. */
void cipher_reset(struct matrix *matrix);

/* Whether the room is, or ever was, known as encrypted: nothing goes there in the clear. */
bool cipher_is_on(const struct matrix *matrix, const char *room);
/* As port_ops.encryption says it; `read`: the room's state was read since it was entered. */
enum encryption cipher_state(const struct matrix *matrix, const char *room, bool read);
/* Whether a message that came in the clear, of this instant (its server's clock), was written after encryption was turned on. */
bool cipher_exposes(const struct matrix *matrix, const char *room, int64_t stamp_ms);

/*
 * Since when, by its server's clock; 0: it is not, or does not say. What was tried before in the clear may have arrived so: it is looked for
 * under its name before it is sent encrypted, since the homeserver need not know the name again under another type of event.
 */
int64_t cipher_since(const struct matrix *matrix, const char *room);

/* The room's state at its entry: the whole event, or NULL when there is none. What is known of its members is out of date. */
void cipher_learn(struct matrix *matrix, const char *room, const json_t *event);
/*
 * An event of these went by: m.room.encryption, m.room.history_visibility, m.room.member. `archive`: it may be older than what is known.
 * At once: the devices of who comes are asked for before anything else is said.
 */
bool cipher_wants(const struct matrix *matrix, const char *room, struct span type);
void cipher_see(struct matrix *matrix, const char *room, const json_t *event, bool archive);

/* ---- for who encrypts ---- */

/* What a session is made after; the texts are lent until the next turn. */
struct cipher_rules {
	const char *algorithm;     /* "m.megolm.v1.aes-sha2", or one that we do not know */
	const char *visibility;    /* "shared", "joined"...: known after cipher_prepare() */
	int64_t rotation_ms;       /* 0: the room does not say */
	int64_t rotation_messages; /* 0: the room does not say */
};

/* Whether recipients and visibility of an encrypted room are known completely; else they are asked for, and outbox_wake() follows. */
bool cipher_prepare(struct matrix *matrix, const char *room) MUST_USE;
/* False: the room is not encrypted. */
bool cipher_rules(const struct matrix *matrix, const char *room, struct cipher_rules *out) MUST_USE;
/*
 * Who must be able to read what is said now: members, and who is invited unless the history's visibility says otherwise; none of
 * ours. Only after cipher_prepare() said yes, in the same turn. In the order of their ids; each() may not touch the room.
 */
void cipher_each_recipient(const struct matrix *matrix, const char *room, void (*each)(void *context, const char *user), void *context);

#endif
