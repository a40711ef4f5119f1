/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_CRYPTO_WAITING_H
#define MATRIX_CRYPTO_WAITING_H

/*
 * Events whose key is not there (table c_utd; e2ee.md 3.6). The key and the event come by two channels, so to wait a moment is
 * normal: the event's room waits with it, in its order. After three seconds the key is asked for; after 25 the room goes on,
 * the event stands aside and its author is told; for a day the event is read all the same when its key comes.
 */

#include "base/metric.h"
#include "matrix/crypto/crypto.h"

struct waiting;

struct waiting *waiting_open(struct crypto *crypto) MUST_USE;
/* Cancels what is under way. */
void waiting_stop(struct waiting *waiting);
void waiting_close(struct waiting *waiting); /* NULL is fine */

/* What is known of an event that cannot be read. All lent. */
struct waiting_event {
	const char *room, *id, *session, *sender;
	const char *curve; /* "sender_key" as the event has it, or "" */
};

enum waiting_answer {
	WAITING_MORE,  /* the room waits with it */
	WAITING_ASIDE, /* the room goes on */
	WAITING_OVER,  /* a day has passed: forgotten */
};

/* An event was kept: its patience begins now, not when its turn comes. */
void waiting_expect(struct waiting *waiting, const struct waiting_event *event);

/*
 * An event cannot be read. `hopeless`: there is nothing to wait for, only a change of mind of its author's. `why` is counted once, when its
 * room goes on without it.
 */
enum waiting_answer waiting_for(struct waiting *waiting, const struct waiting_event *event, bool hopeless, enum metric why);

/* It was read, or will never be: true when it had stood aside, so that what followed it has been seen before it. */
bool waiting_end(struct waiting *waiting, const char *room, const char *id);

/* What is known of a user's session has changed: what waits for it is read again. `came`: its key is there, it is asked for no longer. */
void waiting_session(struct waiting *waiting, const char *room, const char *session, const char *user, bool came);
/* The same for all that a user sent: his devices are known better now. */
void waiting_user(struct waiting *waiting, const char *user);

/* Whether a user's devices may be asked for once more, for a device that is not among them: once in ten seconds. */
bool waiting_may_touch(struct waiting *waiting, const char *user);

/* Whether the key of a session was asked for, from this user. */
bool waiting_has_asked(struct waiting *waiting, const char *room, const char *session, const char *user);

/*
 * Whether all that the homeserver kept for our device was taken. Until then events wait without being asked for, ten minutes at most:
 * their keys may be there already.
 */
void waiting_caught_up(struct waiting *waiting, bool caught_up);
bool waiting_is_behind(const struct waiting *waiting);

#endif
