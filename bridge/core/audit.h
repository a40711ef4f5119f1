/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_AUDIT_H
#define CORE_AUDIT_H

/*
 * Both archives of a group against the journal (peers.md, "gap audit"): what the ports read of their rooms since an instant is
 * compared with inbox and outbox. Ids only; no text is kept or told.
 */

#include "core/core.h"

#define AUDIT_IDS_MAX 50     /* named of each finding; all are counted */
#define AUDIT_MESSAGES_MAX 100000 /* of one room's archive */

/* Some messages: how many, and the ids of the first. */
struct audit_list {
	size_t count;
	char *ids[AUDIT_IDS_MAX]; /* owns */
};

/* From one room to the other. Each message of the room's archive that is not ours is in one of these. */
struct audit_direction {
	size_t messages;
	size_t crossed;   /* and found in the other archive */
	size_t waiting;   /* held, or on its way */
	size_t ended;     /* a digest, a command, refused or rejected with a notice, set aside */
	size_t recent;    /* said while the audit ran: not judged by it */
	struct audit_list missing;    /* never reached us: what --repair feeds in */
	struct audit_list lost;       /* delivered, says the journal, and not in the other archive */
	struct audit_list duplicated; /* more than once in the other archive: ids there */
	struct audit_list disordered; /* in the other archive after one that was said later: ids there */
	size_t unknown;   /* ours, says the other archive, and not in the journal */
};

struct audit_report {
	const char *failure; /* one sentence: an archive could not be read, and nothing below counts; or NULL */
	struct audit_direction to[2]; /* by the network that messages come to */
	bool repaired;       /* `missing` was fed into the inbox */
};

struct audit;

/*
 * Begins; `done` comes once, later, with a report that is lent for the call. With `repair`, messages that never reached us are
 * accepted as if an archive had just shown them; those known are not touched, so repeating it is harmless.
 * NULL, and *why a static sentence, when the group has not two rooms that can be read.
 */
struct audit *audit_begin(struct core *core, const struct group *group, int64_t since_ms, bool repair,
		void (*done)(void *context, const struct audit_report *report), void *context, const char **why) MUST_USE;

/* After done(), or when nobody wants to know any more and both ports have stopped. NULL is fine. */
void audit_end(struct audit *audit);

#endif
