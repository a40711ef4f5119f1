/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_CRYPTO_ROSTER_H
#define MATRIX_CRYPTO_ROSTER_H

/*
 * What is kept of others (tables c_user, c_device, c_claim) and of what they were given (c_mg_share, c_post). No keys of ours:
 * those are keep.h's. Everything is written in the open transaction.
 */

#include "matrix/crypto/peer.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

/* ---- users ---- */

struct roster_user {
	bool known;    /* he was asked about before, or is to be */
	bool outdated; /* his devices must be asked for */
	int64_t seq;   /* how often he was said to have changed */
	char pinned[RATCHET_ID_SIZE]; /* the master key that was seen first; "" */
};

/* All false when nothing is known of him. */
void roster_get_user(struct store *store, const char *user, struct roster_user *out);
/* His list may have changed: outdated from now on. */
void roster_touch_user(struct store *store, const char *user);
void roster_touch_all(struct store *store);
/* Whether he is in an encrypted room with us, as far as was heard. */
bool roster_is_here(struct store *store, const char *user);
/* His identity as it was last read: its self-signing key; false when he has none. */
bool roster_get_identity(struct store *store, const char *user, struct peer_identity *out);
/* His list was read when his seq was `seq`; he stays outdated if it is another by now. */
void roster_take_user(struct store *store, const char *user, const struct peer_identity *identity, int64_t seq);

/* ---- devices ---- */

struct roster_device {
	char *user, *id;        /* own */
	struct peer_device keys;
	bool gone;         /* its owner's server does not name it any more */
	int64_t wedge_seq; /* rises when it began a new Olm session: what it was given before may be lost */
	bool told;         /* for whoever reads a list */
	/* For share.c. */
	bool served;       /* it has the key, or was told that it gets none and that is still so */
	struct ratchet_session *session; /* own; the one to write through, once it was opened; not copied */
	bool fresh;        /* that one has just begun and is not kept yet */
};

struct roster_devices {
	struct roster_device *p; /* own */
	size_t n, room;
};

/* Adds a user's devices, those that are gone too. */
void roster_add_devices(struct store *store, const char *user, struct roster_devices *out);
/* Adds a copy. */
void roster_copy_device(struct roster_devices *out, const struct roster_device *device);
void roster_devices_fini(struct roster_devices *devices);
/* In the order of user and id, so that roster_find_device() finds. */
void roster_sort_devices(struct roster_devices *devices);
struct roster_device *roster_find_device(const struct roster_devices *devices, const char *user, const char *id);

/* New, or as it is now; a device that was gone is back. */
void roster_save_device(struct store *store, const char *user, const char *id, const struct peer_device *keys);
/*
 * One that nobody names: its keys came with what it wrote, and it may be logged out since. Nothing happens when it is known, or when he
 * has two thousand: he could make them up.
 */
void roster_meet_device(struct store *store, const char *user, const char *id, const struct peer_device *keys);
/* Of who has had more than two thousand those that are gone are forgotten. */
void roster_trim_devices(struct store *store, const char *user);
void roster_lose_device(struct store *store, const char *user, const char *id);
/* It began a new Olm session: what it was given before is given again. False: no such device. */
bool roster_wedge_device(struct store *store, const char *user, const char *curve);

/* ---- one-time keys that could not be had, by one of our devices ---- */

struct roster_claim {
	int64_t failures;
	int64_t retry_ms; /* real time: not claimed again before */
	bool told;        /* it was sent m.no_olm */
};

/* All 0 when nothing failed. */
void roster_get_claim(struct store *store, int64_t account, const char *user, const char *device, struct roster_claim *out);
void roster_save_claim(struct store *store, int64_t account, const char *user, const char *device, const struct roster_claim *claim);
void roster_end_claim(struct store *store, int64_t account, const char *user, const char *device);

/* ---- what they were given of a Megolm session ---- */

enum roster_share_state { ROSTER_QUEUED, ROSTER_SENT, ROSTER_WITHHELD };

struct roster_share {
	char curve[RATCHET_ID_SIZE];
	int64_t index, wedge_seq;
	enum roster_share_state state;
};

void roster_save_share(struct store *store, const char *session, const char *user, const char *device, const struct roster_share *share);
/* Whoever has the key, will once what is queued has left, or was told that he gets none; all lent. */
void roster_each_share(struct store *store, const char *session, void (*each)(void *context, const char *user, const char *device,
		const struct roster_share *share), void *context);
/* Everything queued of a session has left. */
void roster_end_queue(struct store *store, const char *session);
/* The session is used no more: its shares, and what of them has not left, are forgotten. */
void roster_forget_session(struct store *store, const char *session);
/* Every session of ours for the room is used no more. */
void roster_forget_room(struct store *store, const char *room);

/* ---- to-device messages, with their exact bytes, in the order of their making ---- */

struct roster_letter {
	int64_t id;
	char *type, *txn, *body; /* own; roster_letter_fini() */
};

void roster_add_letter(struct store *store, int64_t account, const char *session, const char *type, const char *txn, const char *body);
/* The next of a session. False: there is none. */
bool roster_next_letter(struct store *store, int64_t account, const char *session, struct roster_letter *out);
void roster_drop_letter(struct store *store, int64_t id);
void roster_letter_fini(struct roster_letter *letter);

#endif
