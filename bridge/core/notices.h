/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_NOTICES_H
#define CORE_NOTICES_H

/*
 * What the bot says of its own accord: that a message is held, refused, or about to be released (etiquette 5.4, decisions 4.1).
 * Everything is written as outbox rows in the turn's transaction.
 */

#include "core/core.h"
#include "core/decisions.h"
#include "core/inbox_rows.h"

/*
 * Once per person and closed period, in private; on Matrix an hourglass on the message, each time. Of a message that no rule holds:
 * it waits for the one that it answers.
 */
void notices_held(struct core *core, const struct group *group, const struct decision *decision, enum network network,
		const char *room, const char *source_id);

/* The same, without hourglass, of a copy that waits for another group, `target`, by its hours: once for each of its closed periods. */
void notices_held_there(struct core *core, const struct group *group, const struct group *target, const struct decision *decision,
		const struct verdict *verdict, enum network network, const char *room, const char *source_id);

/* What he was told of a held message is no longer so: it comes much later, as the decision says now. Once for each such instant. */
void notices_postponed(struct core *core, const struct group *group, const struct decision *decision, enum network network,
		const char *room, const char *source_id);

/*
 * Something of a held message, or its hourglass, has arrived: once all of it has, the hourglass goes, and a check mark comes in its place
 * (etiquette 5.4). Saying so again is harmless.
 */
void notices_released(struct core *core, int64_t inbox_seq, const char *group);

/* Where this author hears of his message in private; NULL: nowhere yet (Matrix without a direct room). Lent, of `decision`. */
const char *notices_lane(struct core *core, const struct decision *decision, enum network network);

/* The author learns that the other side does not take his name and what he is called there, once for each such name. */
void notices_renamed(struct core *core, int64_t inbox_seq, const char *group, const char *as);

/* The author of what could not be read learns that it was set aside, if the port could tell who he is. */
void notices_unreadable(struct core *core, const struct inbox_row *row, const struct incoming *in);

/* The same for what cannot be read now, or ever, for a reason that he may know how to mend: in->reason. Once an hour for each reason. */
void notices_unread(struct core *core, const struct inbox_row *row, const struct incoming *in);

/* One of ours was asked to prove who he is, and nobody sits there who could: whoever asked is told so at once, instead of waiting. */
void notices_decline(struct core *core, const struct inbox_row *row, const struct incoming *in);

/* A direct message came in the clear where the room is encrypted: its author learns that it was not heeded, once an hour. */
void notices_exposed(struct core *core, const struct inbox_row *row, const struct incoming *in);

/* The author learns that a rule refused his message: three times a day, the last of which says so. */
void notices_rejected(struct core *core, const struct group *group, const struct decision *decision, enum network network,
		const char *room, const char *source_id);

/* The author learns that his message is said in another group alone, likewise. */
void notices_moved(struct core *core, const struct group *group, const struct decision *decision, enum network network,
		const char *room, const char *source_id);

/* The author learns in which digest of the other room his message comes: once for each. */
void notices_digested(struct core *core, const struct group *group, const struct decision *decision, enum network network,
		const char *room, const char *source_id);

/* The author is shown the group where his subject belongs, likewise; his message stays. */
void notices_suggest(struct core *core, const struct group *group, const struct decision *decision, enum network network,
		const char *room, const char *source_id);

/* Somebody else's words, cleaned, cut short and quoted; or a sentence that there are none (NULL, ""). malloc'd, the caller's. */
char *notices_quote(const char *language, const char *words) MUST_USE;

/* The line before a release of `count` messages, the oldest of which is `first_seq`. malloc'd, the caller's. */
char *notices_release(struct core *core, const struct group *group, int64_t first_seq, long count, int64_t now_ms) MUST_USE;

/* True the first time for this person in this room, kind and period (any number: an instant, a day). In the turn's transaction. */
bool notices_first_time(struct core *core, const char *room, const char *person, const char *kind, int64_t period);
/* From now on it is the first time again, in every period. In the turn's transaction. */
void notices_forget(struct core *core, const char *room, const char *person, const char *kind);

/*
 * Says something to one person: through `lane` in private; with lane NULL or "", in the room, under `source_id`.
 * `what` makes the row's name together with source_id, so that saying it again is harmless.
 */
void notices_tell(struct core *core, const struct group *group, enum network network, const char *lane, const char *room,
		const char *source_id, const char *what, const char *text);

#endif
