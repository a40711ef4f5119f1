/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_CRYPTO_KEEP_H
#define MATRIX_CRYPTO_KEEP_H

/*
 * The tables of encryption (store/schema.sql, c_*), typed. Everything is written into the turn's transaction: what must be
 * there before a request leaves waits for store_after_commit(), or for the next turn. Pickles are under keys of their rows'
 * own (derive.h), made of a key that the master key gives and that is never stored.
 */

#include "base/seal.h"
#include "matrix/crypto/ratchet.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

struct keep;

#define KEEP_ID_MAX 256    /* a user's or a room's id, with its NUL */
#define KEEP_DEVICE_MAX 32 /* a device's of ours */

/* The tables' pickles are not under this key; there is no key in use yet. */
enum { KEEP_E_KEY = 1, KEEP_E_UNUSED };

/* Compares the key with the one that is in use, before anything is written; the first time it is put into use. 0, KEEP_E_KEY. */
int keep_open(struct keep **out, struct store *store, const struct seal *seal) MUST_USE;
/* The same for a look: nothing is written. 0, KEEP_E_KEY, KEEP_E_UNUSED. */
int keep_open_reading(struct keep **out, struct store *store, const struct seal *seal) MUST_USE;
void keep_close(struct keep *keep); /* NULL is fine */

/* ---- devices of ours ---- */

/* How far the homeserver knows a device. */
enum keep_state {
	KEEP_NEW,        /* its keys are committed here, and perhaps nowhere else */
	KEEP_UPLOADED,   /* its keys are there, but its owner's cross-signing keys are not, or others */
	KEEP_IDENTIFIED, /* those too, but not their signature of the device */
	KEEP_SIGNED,     /* complete */
	KEEP_DEAD = 9,   /* never used again: it is to be deleted there */
};

struct keep_account {
	int64_t id;
	char user[KEEP_ID_MAX], device[KEEP_DEVICE_MAX];
	enum keep_state state;
	struct ratchet_account *account; /* the holder's to free; NULL for a dead one, or when it cannot be opened */
	char *device_keys;               /* own; JSON */
	char *since;                     /* own; "" when there is none */
	int64_t fallback_ms;             /* real time: when its present fallback key was made; 0: it has none */
	bool fallback_old;               /* the key before it is still good */
};

void keep_account_fini(struct keep_account *account);
#define AUTO_KEEP_ACCOUNT CLEANUP(keep_account_fini)

/* A new device, with its keys; sets its id. Strings and keys stay the caller's. */
void keep_add_account(struct keep *keep, struct keep_account *account);
/* Everything that may have changed in it but its names. */
void keep_save_account(struct keep *keep, const struct keep_account *account);
/* The device of a user that is not dead. False when there is none. */
bool keep_find_account(struct keep *keep, const char *user, struct keep_account *out) MUST_USE;
/* A dead device of a user, of which only id and names are filled. False when there is none. */
bool keep_find_dead(struct keep *keep, const char *user, char *device, size_t size, int64_t *id) MUST_USE;
/* Whether this one is dead, and was not forgotten yet: its row still has the name. */
bool keep_is_dead(struct keep *keep, const char *user, const char *device) MUST_USE;
/*
 * A device dies: its keys, Olm sessions, outbound sessions and what was to be sent from it are gone; its row stays until
 * keep_forget_account(). What it received stays.
 */
void keep_kill_account(struct keep *keep, int64_t id);
void keep_kill_all(struct keep *keep);
void keep_forget_account(struct keep *keep, int64_t id);

/* ---- Olm sessions ---- */

#define KEEP_SESSIONS_MAX 5 /* with one device: older ones are forgotten */

/* A session is new or has changed. `received`: something came through it, or it has just begun, so it is the one to be used next. */
void keep_save_session(struct keep *keep, int64_t account, const char *peer_curve, const struct ratchet_session *session, bool received);
/* With devices that are not known a thousand sessions are kept, those that were used last: anybody can begin any number. */
#define KEEP_STRANGERS_MAX 1000
void keep_trim_strangers(struct keep *keep, int64_t account);
/* The sessions of a device of ours with a device, the one to be used first; at most `max`. How many; each is the caller's to free. */
size_t keep_load_sessions(struct keep *keep, int64_t account, const char *peer_curve, struct ratchet_session **out, size_t max);

/* ---- Megolm sessions of ours ---- */

/* The session with which a device of ours speaks in a room. */
struct keep_outbound {
	int64_t account;
	char room[KEEP_ID_MAX], session[RATCHET_ID_SIZE];
	struct ratchet_outbound *ratchet; /* the holder's to free; NULL when it was not asked for, or cannot be opened */
	int64_t created_ms, messages;     /* real time; how many it has encrypted */
	bool shared_history;
};

void keep_outbound_fini(struct keep_outbound *outbound);
#define AUTO_KEEP_OUTBOUND CLEANUP(keep_outbound_fini)

/* New, or as it is now. */
void keep_save_outbound(struct keep *keep, const struct keep_outbound *outbound);
/* False when there is none. look_at leaves the ratchet where it is. */
bool keep_find_outbound(struct keep *keep, int64_t account, const char *room, struct keep_outbound *out) MUST_USE;
bool keep_look_at_outbound(struct keep *keep, int64_t account, const char *room, struct keep_outbound *out) MUST_USE;

/* ---- for received.c ---- */

/* The key of one row's pickle. To be cleared. */
void keep_row_key(const struct keep *keep, const char *table, const char *row, unsigned char key[PRIMITIVE_KEY]);

/* ---- single values ---- */

/* A whole number under a name in the table `meta`; 0 when there is none. */
int64_t keep_number(struct keep *keep, const char *name);
void keep_set_number(struct keep *keep, const char *name, int64_t value);

/* Which edition of a user's identity is in use: 1, unless it was set. */
int64_t keep_edition(struct keep *keep, const char *user);
void keep_set_edition(struct keep *keep, const char *user, int64_t edition);

/* How often a ratchet was saved by this process: what a copy of the database that is older than that does not know. */
uint64_t keep_writes(const struct keep *keep);

#endif
