/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_OUTBOX_ROWS_H
#define CORE_OUTBOX_ROWS_H

/* The core's side of the outbox: adding rows, planning them, and the work of a turn. Ports use outbox.h. */

#include "core/core.h"

enum outbox_state {
	OUTBOX_WAITING, /* never handed out */
	OUTBOX_TRIED,   /* handed out; whether it arrived is unknown, or it is to be sent again */
	OUTBOX_FLYING,  /* handed out by this process and not yet answered */
	OUTBOX_DELIVERED,
	OUTBOX_REFUSED,
};

struct outbox *outbox_open(struct core *core) MUST_USE;
void outbox_close(struct outbox *outbox);

/* What one row says and when. Borrowed. */
struct outbox_draft {
	struct outgoing outgoing;   /* `name` is made by outbox_add() */
	enum network network;       /* of the lane */
	const char *group;          /* name; "" for none */
	int64_t inbox_seq;          /* what it came from; 0: nothing */
	const char *const *source;  /* what the name is made of besides kind, lane, ghost and part; ends with NULL */
	int part;
	bool held;                  /* by a rule: planned again when the charter changes */
	int64_t due_ms;
};

/*
 * Writes a row, rendered, in the turn's transaction. Adding the same name again is harmless: the first one stays.
 * A text that does not fit is split by outbox_add_split().
 */
void outbox_add(struct outbox *outbox, const struct outbox_draft *draft);

/*
 * Adds a text of any length as at most OUTBOX_PARTS_MAX parts, split after sentences where that is possible.
 * False, and nothing was added, when it is longer than that.
 */
#define OUTBOX_PARTS_MAX 10
bool outbox_add_split(struct outbox *outbox, const struct outbox_draft *draft) MUST_USE;

/* Plans the held rows of one message anew. */
void outbox_replan(struct outbox *outbox, int64_t inbox_seq, const char *group, int64_t due_ms);

/* When the row of this message in this lane falls due, if it still waits; else 0. */
int64_t outbox_due_of(struct outbox *outbox, int64_t inbox_seq, const char *lane);

/* Marks due rows as flying and remembers them; outbox_send() hands them out once that is committed (or forgets them when not). */
void outbox_pick(struct outbox *outbox, int64_t now_ms);
void outbox_send(struct outbox *outbox, bool committed);

/* A turn was rolled back: what is out is out no more, as far as this process knows. The rows are landed by outbox_land_all(), once writing works. */
void outbox_forget(struct outbox *outbox);
void outbox_land_all(struct outbox *outbox);

/* How many rows that carry a message were added since the start: the relay counts the copies of one by the difference. */
long outbox_messages(const struct outbox *outbox);

/* A group is no longer stopped: what fell due meanwhile is looked for. */
void outbox_look(struct outbox *outbox);

/* True when a lane may have something to hand out without waiting for anybody. */
bool outbox_restless(const struct outbox *outbox);

/* The next instant at which a row falls due, by the rules' clock; INT64_MAX: none. */
int64_t outbox_next_due(struct outbox *outbox);

/* How long the lanes that wait after outbox_again() still wait, ms; -1: none does. */
int64_t outbox_blocked_ms(const struct outbox *outbox);

struct outbox_counts {
	int64_t waiting, tried, flying, held;
};
void outbox_count(struct outbox *outbox, struct outbox_counts *out);

#endif
