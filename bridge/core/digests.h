/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_DIGESTS_H
#define CORE_DIGESTS_H

/*
 * Who is due a digest, of what, and its way into the outbox, frozen (delivery.md 10.2, etiquette 8). A subscriber is a member in
 * digest mode, or a room whose rules batch something for it; both get theirs at the group's slots.
 */

#include "core/core.h"
#include "core/inbox_rows.h"

struct digests *digests_open(struct core *core) MUST_USE;
void digests_close(struct digests *digests);

/* Whether anybody gets digests of this group: then every message is to be noted. */
bool digests_wanted(struct digests *digests, const struct group *group);
/*
 * Keeps a message for later digests as `text`, in the verdict's transaction. `rooms` (bits, 1 << network): a rule said digest, so
 * that these rooms of the group are owed it too, from now on. Otherwise it counts from due_ms on.
 */
void digests_note(struct digests *digests, struct group *group, const struct inbox_row *row, const struct incoming *in, const char *text,
		int64_t due_ms, unsigned rooms);
/* A held message was planned again. */
void digests_replan(struct digests *digests, const struct group *group, int64_t inbox_seq, int64_t due_ms);

/* Subscribes a person; subscribing again only changes the lane. The digest goes to `lane` on `network`. */
void digests_subscribe(struct digests *digests, const struct group *group, const char *person, enum network network, const char *lane,
		int64_t now_ms);
/* Ends it, with one last digest of what has gathered. False when there was none. */
bool digests_unsubscribe(struct digests *digests, struct group *group, const char *person, int64_t now_ms);
bool digests_subscribed(struct digests *digests, const struct group *group, const char *person);

/* Slots may lie elsewhere now (a charter or a subscription changed). */
void digests_plan(struct digests *digests);
/* Freezes every digest whose slot has come, in the turn's transaction. */
void digests_work(struct digests *digests, int64_t now_ms);
/* The next slot of any subscriber, by the rules' clock; INT64_MAX: none. */
int64_t digests_next_due(const struct digests *digests);

#endif
