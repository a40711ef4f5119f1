/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_WALK_H
#define MATRIX_WALK_H

/* How a room is entered, and struct room itself: between room.c and walk.c only. */

#include "matrix/gap.h"
#include "matrix/power.h"

/* What a room lacks next. */
enum walk_step {
	WALK_RESOLVE,
	WALK_CREATE,
	WALK_JOIN,
	WALK_CIPHER,
	WALK_MEMBERS,
	WALK_POWER,
	WALK_CREATION,
	WALK_ARCHIVE,
	WALK_LEAVE,
	WALK_COUNT,
	WALK_LATER = WALK_COUNT, /* the same again, after room::delay_ms */
	WALK_READY,
	WALK_GONE,               /* forget this room */
};

struct room {
	struct list link;    /* matrix::rooms */
	struct list turn;    /* matrix::walks: waits for its next step */
	struct matrix *matrix;
	struct group *group; /* NULL: a direct room, or not yet known to be one */
	char *id;            /* "" until it is resolved; what an earlier process found, until it is resolved again */
	char *person;        /* of a direct room: whose it is, or who invited the bot */
	char *former;        /* its alias led to this room before; NULL once it is known that `id` continues it */
	char *stranger;      /* the alias leads to this one, which does not: it is not followed; or NULL */
	bool candidate;      /* an invitation: is it a room of two? */
	bool inside, ready;
	bool read;           /* whether it is encrypted was asked since the bot is in it, and since the homeserver is there */
	bool made;           /* a direct room of our own making: who is in it need not be asked */
	int64_t entered_ms;  /* real time: when the bot joined */
	enum walk_step step;
	int64_t delay_ms;
	struct http_request *request;
	struct loop_timer timer;
	unsigned refusals;   /* in a row */
	unsigned failures;   /* in a row: answers that were none */
	char trouble[320];   /* why the bot cannot be in it, or what else is wrong: for the log and the admin; "" */
	bool replaced;       /* it has a tombstone, and its alias does not lead elsewhere */
	bool kept_out;       /* the bot may not enter: what is to be said there is refused, for this reason: */
	enum refusal why;
	struct power power;
	struct gap gap;
	char own_id[256];    /* an event of ours that the cursor may move to */
	int64_t own_ms;
	unsigned own_count;
};

/* Goes on with this step, when its turn comes. */
void walk_enter(struct room *room, enum walk_step step);
/* Gives up what is under way, and begins with this step. The gate is closed meanwhile. */
void walk_restart(struct room *room, enum walk_step step);
/* Gives up what is under way; the gate is closed. */
void walk_halt(struct room *room);
/* Before all others that wait for their turn. */
void walk_hurry(struct room *room);

/* The bot may be in it, as far as is known: nothing is wrong any more. */
void walk_clear_trouble(struct room *room);
/* Out of the list, and gone. */
void walk_free(struct room *room);

#endif
