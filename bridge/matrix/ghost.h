/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_GHOST_H
#define MATRIX_GHOST_H

/* Ghosts: the Matrix users that speak for people of the other network; and the bot, which is prepared in the same way. */

#include "matrix/inside.h"

#define GHOST_MXID_MAX 255
#define GHOST_PATIENCE_MS 5000 /* as long a lane waits for a ghost that is not ready (decisions 1.3) */

struct ghost;
struct own;

enum ghost_readiness {
	GHOST_READY,
	GHOST_BUSY,    /* outbox_wake() follows */
	GHOST_REFUSED, /* it cannot enter this room: ghost_refusal() */
};

/*
 * The localpart for a stem ("bob@example.org"): the prefix, then the stem with every byte outside [a-z0-9._/-] as '=' and two
 * hexadecimal digits, so that no two stems share one; when the whole MXID would pass 255 bytes, a keyed hash of the stem. malloc'd.
 */
char *ghost_localpart(const struct seal *seal, const char *prefix, const char *stem, const char *domain) MUST_USE;

/* The ghost of an author (person NULL: the bot), made in memory if need be. Lent, as long as the port. */
struct ghost *ghost_get(struct matrix *matrix, const struct author *author);
/* An already loaded ghost by its MXID, or NULL. */
struct ghost *ghost_find(struct matrix *matrix, const char *mxid);

const char *ghost_mxid(const struct ghost *ghost);
const char *ghost_device(const struct ghost *ghost);

/*
 * Works towards: registered, with its device, under the author's name, in the room (NULL: none). One request of a ghost is under
 * way at a time. `name` as it came, NULL leaves the name alone. When it takes longer than GHOST_PATIENCE_MS, the lane `room` is told to
 * do without.
 */
enum ghost_readiness ghost_prepare(struct ghost *ghost, const char *room, const char *name);
/*
 * Likewise for who speaks later: nobody waits for it yet, and it does nothing while many others ask. A ghost that has another name, or
 * is in the room, keeps its name until its turn.
 */
enum ghost_readiness ghost_foresee(struct ghost *ghost, const char *room, const char *name);
/* Monotonic: when it entered the room; 0: before this process, or never. */
int64_t ghost_joined_ms(struct ghost *ghost, const char *room);
/*
 * Works towards a cross-signed device of its own; only for whom somebody is to read encrypted. The rest is ghost_prepare()'s. GHOST_REFUSED:
 * nothing is encrypted here.
 */
enum ghost_readiness ghost_prepare_keys(struct ghost *ghost);
/* Its device's keys; NULL as long as it has not been asked to have any. */
struct own *ghost_own(const struct ghost *ghost);
/* Every device of ours died in the database: none is used any more. */
void ghost_forget_keys(struct matrix *matrix);
/* It may lack something now; looked at in the next turn. */
void ghost_recall(struct ghost *ghost);

/* Why GHOST_REFUSED: the homeserver's words, lent, and what they mean. */
const char *ghost_refusal(struct ghost *ghost, const char *room, enum refusal *why);

/* It is no longer in the room, or perhaps never was: joins again when it is next needed. */
void ghost_left(struct ghost *ghost, const char *room);
/* A device of it is gone on the homeserver: nothing is done when it has another one meanwhile, since several requests may tell the same. */
void ghost_lost_device(struct ghost *ghost, const char *device);

/* Cancels what is under way and forgets all of them. */
void ghost_free_all(struct matrix *matrix);

#endif
