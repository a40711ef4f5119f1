/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_GAP_H
#define MATRIX_GAP_H

/* What a room's archive shows of the time in which we, or the homeserver, were not there (delivery.md 5.2). */

#include "matrix/inside.h"

/* One reading of one room's archive, page by page, backwards. */
struct gap {
	struct matrix *matrix;
	const char *room;    /* lent */
	const char *person;  /* lent; whose direct room it is, NULL: a group's room */
	struct list found;   /* owns: found::link, newest first */
	size_t count;
	unsigned pages;
	bool met;            /* the archive was read back to the cursor */
	unsigned beyond;     /* events read beyond it since */
	char *from;          /* owns: the archive's next page, or NULL */
	int64_t newest_ms;   /* the newest stamp of our homeserver's on what came, by either way; stays when the rest is forgotten */
	bool recalled;       /* what an earlier process saw of that was asked for; stays too */
};

enum gap_progress {
	GAP_UNREADABLE, /* that was no page */
	GAP_MORE,       /* the next page is needed */
	GAP_READ,       /* gap_close() may follow */
};

void gap_init(struct gap *gap, struct matrix *matrix);
/* Begins at the newest event; `room` and `person` must live until gap_forget(). */
void gap_begin(struct gap *gap, const char *room, const char *person);
/* Everything that was read is gone. */
void gap_forget(struct gap *gap);

/*
 * An event of the room that a transaction brings, and nobody knows yet: whether it comes behind what followed it, by their stamps. Synapse can
 * strand a transaction and bring it seconds later. Only stamps that our own homeserver made are compared. Notes the stamp.
 */
bool gap_is_overtaken(struct gap *gap, const char *room, const struct json_event *event);

/* What to ask the homeserver for next. malloc'd. */
char *gap_path(const struct gap *gap) MUST_USE;
/* An answer to that. */
enum gap_progress gap_take(struct gap *gap, const char *body, size_t size);

/*
 * Accepts what was found, oldest first, and opens the room's gate, in one turn, so that a crash in between finds the same cursor.
 * 0, or -errno when nothing can be committed now: what was read is kept, call again.
 */
int gap_close(struct gap *gap) MUST_USE;

/* An event of ours that the homeserver shows: its row, of this lane, is settled, whatever became of the answer. */
void gap_settle_own(struct matrix *matrix, const char *lane, const char *raw, size_t size, const char *id);

#endif
