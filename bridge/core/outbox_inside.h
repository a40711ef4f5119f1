/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_OUTBOX_INSIDE_H
#define CORE_OUTBOX_INSIDE_H

/*
 * What the files of the outbox share. outbox.c: the lanes, and the way of a due row to its port; outbox_write.c: what rows
 * say; outbox_due.c: when they fall due; outbox_answer.c: what ports say of them.
 */

#include "core/outbox_rows.h"

struct lane {
	struct list link; /* outbox::lanes */
	char *address;    /* owns */
	enum network network;
	bool restless;    /* may have a row to hand out */
	int64_t blocked_until_ms; /* monotonic */
};

/* A row handed to a port, or about to be. */
struct flight {
	struct list link; /* outbox::picked, then outbox::flights */
	int64_t id;
	struct lane *lane;
	int strikes;
	struct sending sending;
	char *name, *person, *stem, *author, *payload; /* owns */
};

struct outbox {
	struct core *core;
	struct list lanes;   /* owns: lane::link */
	struct list picked;  /* owns: flight::link; waits for the commit */
	struct list flights; /* owns: flight::link; waits for the port's answer */
	unsigned out[2];     /* rows picked or flying, by network */
	bool alone[2];       /* a row with strikes is out, or waits until it can be out alone */
	long messages;       /* rows that carry somebody's message, added by this process */
	int64_t place;
	int64_t next_due_ms; /* rows before this instant are in a restless lane, or out */
	bool next_due_known;
};

/* ---- outbox.c ---- */

/* By its address; outbox_find_lane() gives NULL when nothing of it was seen yet. */
struct lane *outbox_find_lane(struct outbox *outbox, const char *address);
struct lane *outbox_get_lane(struct outbox *outbox, const char *address, enum network network);

/* Writes how a row ended. `remote_id` and `reason` may be NULL. */
void outbox_end_row(struct outbox *outbox, int64_t id, enum outbox_state state, const char *remote_id, const char *reason);

/* The row comes down, however it ended: its lane may go on. Frees the flight; the row itself is not touched. */
void outbox_drop_flight(struct outbox *outbox, struct flight *flight);

/* ---- outbox_write.c ---- */

/* outbox_add() at a place of its own. */
void outbox_write_row(struct outbox *outbox, const struct outbox_draft *draft, int64_t place);

/* ---- outbox_due.c ---- */

/* A row of this lane was written that falls due then; 0: at once. */
void outbox_due_note(struct outbox *outbox, struct lane *lane, int64_t due_ms);

/* Looks for rows that fell due; nothing to do in most turns. */
void outbox_due_look(struct outbox *outbox, int64_t now_ms);

#endif
