/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_CRYPTO_OWN_H
#define MATRIX_CRYPTO_OWN_H

/*
 * One of our users' device, and the way to it: keys made and committed, the device there, the identity uploaded, then the keys that it has
 * signed. Each step is one request, and each can be repeated. ghost.c asks them, among its own steps.
 */

#include "base/loop.h"
#include "matrix/crypto/crypto.h"
#include "matrix/crypto/keep.h"

struct ghost;

struct own {
	struct crypto *crypto;      /* borrowed */
	struct ghost *ghost;        /* borrowed */
	bool bot;
	bool living;                /* `record` is one */
	struct keep_account record; /* its user and device; id; keys */
	char curve[RATCHET_ID_SIZE], ed[RATCHET_ID_SIZE];
	int64_t signed_ms;          /* monotonic: when it was signed, by this process; 0: before */
	int64_t checked_ms;         /* matrix::arriving_ms when the homeserver's copy of its keys was last compared */
	int64_t rests_ms;           /* monotonic: until then no second device is made */
	bool useless;               /* it would have to be given up as well: not used until then, nor before it was looked at again */
	struct loop_timer rest;     /* until then */
	bool identified;            /* its identity was taken, by this process */
	bool drains;                /* its inbox is to be read */
	bool used;                  /* since it was last read */
	bool doubts;                /* its identity was not taken: which one the homeserver has is asked */
	const struct own_step *step; /* under way */
	int64_t died;               /* the id of the dead device that is being deleted */
	struct loop_timer drain;
	int64_t synced_ms;          /* of the bot, real time: when its inbox was last read; 0: not yet */
	int64_t one_time;           /* what the homeserver had left of its keys when it last said; -1: it has not */
	bool fallback;              /* and of its fallback key nobody has made use */
};

/* What is to be asked next; both to be freed. */
struct own_ask {
	const char *word, *method;
	char *path;
	json_t *body; /* or NULL */
};

/* The device of a user as it is kept, if it is. Lives as long as the ghost. */
struct own *own_open(struct crypto *crypto, struct ghost *ghost, const char *user, bool bot) MUST_USE;
void own_close(struct own *own); /* NULL is fine */

/*
 * Makes the keys of a device that the homeserver has not heard of, in the open transaction. `device` is the one that the ghost has; when
 * that is none, or one that died, it becomes another one. True: it is another.
 */
bool own_make(struct own *own, char *device, size_t size);

/* Whether there is a request to make. `early`: one that comes before the device itself. */
bool own_lacks(struct own *own, bool early);
void own_ask(struct own *own, bool early, struct own_ask *out);
/* The answer. True: reached, or another way was taken; write it down before the next. */
bool own_took(struct own *own, const struct judged *judged);

/* None came that would settle it: the same is asked again later. */
void own_failed(struct own *own, const struct judged *judged);

/* Everything is there, was compared, and the database is no old copy: it may encrypt, and be encrypted for. */
bool own_is_ready(const struct own *own);

/*
 * The device is lost, or another copy of us has used it: it gets a successor under the same identity (e2ee.md 3.12). At most once an
 * hour; false: it was too soon, and the device stays useless until then; what is the matter with it is looked at anew after it.
 */
bool own_die(struct own *own, const char *why);

/* The device is dead in the database: as if there had never been one. */
void own_forget(struct own *own);

/* It has encrypted: its inbox is read soon, and every ten minutes while it goes on. */
void own_used(struct own *own);

/*
 * What the homeserver has left of its keys: the number of one-time keys, and whether the fallback key was not used. New ones are made in the
 * open transaction.
 */
void own_counted(struct own *own, int64_t one_time, bool fallback);
/* The database knows what `own` knows. */
void own_save(struct own *own);

#endif
