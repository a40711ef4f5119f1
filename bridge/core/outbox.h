/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_OUTBOX_H
#define CORE_OUTBOX_H

/*
 * What is to be said, committed before it is sent (delivery.md 3, 8, 9). A hold and a digest are rows with
 * a later due instant. Per lane rows go in order of their id among those that are due.
 *
 *   WAITING --handed to the port--> TRIED --settled--> DELIVERED
 *                                     |  \--refused--> REFUSED (the author is told)
 *                                     \--again/lost--> TRIED, handed out again under the same name
 */

#include "base/mem.h"
#include "core/port.h"

#include <stdbool.h>
#include <stdint.h>

struct outbox;

enum refusal {
	REFUSAL_NOT_MEMBER, /* the room does not let us in */
	REFUSAL_MODERATED,  /* no voice, or not enough power */
	REFUSAL_NICK,       /* no nick could be had */
	REFUSAL_TOO_BIG,
	REFUSAL_ROOM_GONE,
	REFUSAL_BANNED,     /* the room has banned the author's ghost, or us */
	REFUSAL_POISON,     /* it ended the stream three times: set aside */
	REFUSAL_PARTED,     /* its group was ended before it could go */
	REFUSAL_OTHER,
	REFUSAL_ENCRYPTED,   /* the room is encrypted, and the administrator refuses that */
	REFUSAL_PLAIN,       /* it is not, and he refuses that */
	REFUSAL_UNENCRYPTED, /* a plain message in an encrypted room */
	REFUSAL_UNAGREED,    /* nobody agreed in time that it may be read in the clear */
	REFUSAL_COPY,        /* a copy from an encrypted room would become plain */
	REFUSAL_COUNT,
};

/* The far side has it. remote_id: event id, or the room's stanza-id ("" when it gives none). Unknown and settled ids are ignored. */
void outbox_settled(struct outbox *outbox, int64_t id, const char *remote_id);

/* The far side will never take it. `detail` is its own reason, for the log and the author (no body); may be NULL. */
void outbox_refused(struct outbox *outbox, int64_t id, enum refusal why, const char *detail);

/*
 * On its way, but under a name that its author did not choose, since the other side does not take his: he is told so, once for
 * each such name.
 */
void outbox_renamed(struct outbox *outbox, int64_t id, const char *as);

/* It surely was not taken, or may be sent again under the same name without harm: hand it out again after delay_ms; the lane waits. */
void outbox_again(struct outbox *outbox, int64_t id, int64_t delay_ms);

/*
 * The connection is gone: whatever of this network was handed out and not settled may or may not have arrived. Rows stay
 * TRIED. ready() must answer 0 for a lane until the port has asked the archive about them.
 *
 * `blamed`: the far side ended the connection by itself while rows were on their way (a stream error about what we sent, a
 * close, a reset), and was not merely shutting down, replacing us or silent. Each row that was out then has a strike; with
 * two it is sent alone, with three it is set aside and its author told (delivery.md 9, step 7).
 */
void outbox_lost(struct outbox *outbox, enum network network, bool blamed);

/* Whether a message of this person waits for its lane, is held, or is on its way: his ghost must stay where it is. */
bool outbox_waits(struct outbox *outbox, const char *lane, const char *person);

/*
 * Who speaks in the lane's next `rows` rows that may go, in that order, each once: so that a port gets their ghosts ready while it
 * waits for the first one's. The author is lent for the call. The bot is not among them.
 */
void outbox_each_author(struct outbox *outbox, const char *lane, int rows, void (*each)(void *context, const struct author *author),
		void *context);

/* The rows of a lane in doubt, oldest first: for asking the archive. */
bool outbox_has_doubts(struct outbox *outbox, const char *lane);
void outbox_each_doubt(struct outbox *outbox, const char *lane,
		void (*each)(void *context, int64_t id, const char *name, int64_t first_try_ms), void *context);

/*
 * The far side's id of a row of the lane that is older than all in doubt by `ahead` delivered ones: with `ahead` the number of
 * rows that can be out at once, nothing in doubt stands before it in the archive. False when there is none.
 */
bool outbox_before_doubts(struct outbox *outbox, const char *lane, int ahead, char *remote_id, size_t size);

/* Settles by name a row that the archive, or a late echo, shows. False when no row of that lane and name is unsettled. */
bool outbox_settle_name(struct outbox *outbox, const char *lane, const char *name, const char *remote_id);

/*
 * Gives the lane's next row to the bot ("Name: text"), because its ghost cannot speak in time (decisions 1.3). Only when it is this
 * person's (NULL: whoever's), and was never tried. Renders it again under the same name. False when it is not.
 */
bool outbox_overflow(struct outbox *outbox, const char *lane, const char *person);

/*
 * A row that is out says this from now on: what its port made of it for the wire, once and for ever. Written in the open
 * transaction, so the port lets it leave only after store_after_commit(), and what is handed out again is this.
 */
void outbox_rewrite(struct outbox *outbox, int64_t id, const char *payload, size_t size);

/* ready() may answer otherwise now: look again in this turn. */
void outbox_wake(struct outbox *outbox);

#endif
