/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_CRYPTO_CRYPTO_H
#define MATRIX_CRYPTO_CRYPTO_H

/*
 * What encryption shares, and how the port reaches it. matrix::crypto is NULL when encryption is not allowed, or this program
 * was built without libolm; whoever has one may call anything of this folder. What the port itself calls is here and in own.h and
 * sync.h; without.c has all of it for a build without libolm.
 *
 * The generation is a number in the database and in the bot's account data, raised at every start and while keys are used. Where the
 * homeserver's is higher, the database is an old copy (decisions 1.8).
 */

#include "base/loop.h"
#include "base/seal.h"
#include "matrix/inside.h"

struct keep;
struct own;

struct crypto {
	struct matrix *matrix; /* borrowed */
	struct store *store;   /* borrowed */
	struct keep *keep;     /* owns */
	struct peers *peers;   /* owns, and what follows */
	struct recipients *recipients;
	struct outbound *outbound;
	struct waiting *waiting;
	struct mend *mend;
	bool all_trusted;      /* encryption.trust: all; see crypto_trusts_all() */
	unsigned char bridge_secret[SEAL_KEY_SIZE]; /* what our users' identities are derived from (derive.h) */
	bool forgets_index;    /* tests only: how far a session was used is not saved */
	bool heard;            /* since it was reached last, the homeserver said whose devices have changed meanwhile */
	bool guarded;          /* the homeserver has our generation, and had no higher one */
	bool strangers;        /* a session was begun by others, perhaps by strangers, since theirs were last counted */
	bool raised;           /* it is to be told a new one */
	int64_t mirroring;     /* the one that it is being told */
	uint64_t writes;       /* of the tables, when it was last raised */
	struct loop_timer raise;
	void (*on_event)(struct own *own, const json_t *event); /* what a device of ours is sent, in the open transaction; or NULL */
};

/* 0, and *out, to be closed; or MATRIX_E_KEY. Built without libolm: 0, and *out is NULL. */
int crypto_open(struct crypto **out, struct matrix *matrix) MUST_USE;
void crypto_close(struct crypto *crypto); /* NULL is fine */
/* Cancels what is under way; what was learnt is learnt again. NULL is fine. */
void crypto_stop(struct crypto *crypto);

/* Who may read in a room has changed (cipher.h), or is known now. NULL is fine. */
void crypto_saw_readers(struct crypto *crypto, const char *room);
/* How a room is encrypted has changed (e2ee.md 3.7): every session of ours for it has said its last. NULL is fine. */
void crypto_saw_rules(struct crypto *crypto, const char *room);
/* Somebody who is not ours comes to an encrypted room or is invited, or is there when we come: his devices may be others. NULL is fine. */
void crypto_saw_member(struct crypto *crypto, const char *user);

/*
 * Whether every device of a room's people may write and is written to (groups.NAME.trust, else encryption.trust); otherwise only those
 * that their owner has signed.
 */
bool crypto_trusts_all(const struct crypto *crypto, const char *room);

/* The homeserver is there, again: nobody is written to before it has said whose devices have changed. NULL is fine. */
void crypto_arrived(struct crypto *crypto);

/* The turn's writes were rolled back. NULL is fine. */
void crypto_reset(struct crypto *crypto);

int64_t crypto_generation(struct crypto *crypto);
/* One more, in the open transaction; the homeserver is told once that is committed. */
void crypto_raise(struct crypto *crypto);
/* What the homeserver has; to be raised. */
void crypto_go_on_from(struct crypto *crypto, int64_t generation);
/* Every device of ours dies; the generation is `generation` now. */
void crypto_kill_all(struct crypto *crypto, int64_t generation);

/* A device died: the homeserver's memory of what was sent from it is gone. */
void crypto_devices_changed(struct crypto *crypto);
/* A device can be used now. */
void crypto_became_ready(struct crypto *crypto, const struct own *own);

#endif
