/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_INBOX_H
#define CORE_INBOX_H

/*
 * What arrived, committed before anything else happens to it (delivery.md 3.3, 5, 6).
 * A row is raw bytes sealed at rest, seen once for ever by (room, source id).
 *
 * Gaps. While a port does not know whether it missed something in a room, it closes the room's gate:
 * rows are kept but not judged, and the cursor does not move. It asks the archive from the cursor on and
 * opens the gate with the order it learnt. A crash in between begins again at the same cursor.
 */

#include "base/mem.h"
#include "rules/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct inbox;

enum { INBOX_E_KNOWN = 1 };

/*
 * Keeps one event or stanza, inside the turn's transaction. `room` may be a room of no group (a direct
 * room). `source_id`: event id, or the room's stanza-id. Everything is copied.
 * 0; INBOX_E_KNOWN when (room, source_id) was seen before; -errno when nothing can be committed now
 * (disk full): the caller must not acknowledge.
 */
int inbox_accept(struct inbox *inbox, enum network network, const char *room, const char *source_id, const void *raw,
		size_t size) MUST_USE;

/*
 * Whether anything more can be taken now: false while the disk is short, commits fail, or more than a million rows wait
 * (delivery.md 11). Cheap; ask before reading what somebody sends.
 */
bool inbox_has_room(const struct inbox *inbox);

/* Makes what was said before we came known, without its content: it never crosses, whoever brings it. In the turn's transaction. */
void inbox_note(struct inbox *inbox, enum network network, const char *room, const char *source_id);

/* Whether (room, source_id) was ever accepted and does not wait behind a closed gate. */
bool inbox_knows(struct inbox *inbox, const char *room, const char *source_id);

/*
 * The room's cursor: the last thing known to follow without a gap. `id` is empty and `at_ms` (server time) a
 * mere lower bound when nothing was seen yet. False when the room was never entered.
 */
bool inbox_cursor(struct inbox *inbox, const char *room, char *id, size_t size, int64_t *at_ms);
/* Moves it, in the turn's transaction; ignored while the gate is closed. At the first entry this makes the cursor. */
void inbox_move_cursor(struct inbox *inbox, enum network network, const char *room, const char *id, int64_t at_ms);

/* Rows of the room wait. Closing a closed gate is fine. Gates are closed for every room at start. */
void inbox_close_gate(struct inbox *inbox, const char *room);
bool inbox_gate_closed(struct inbox *inbox, const char *room);

/*
 * Judging may go on. `ids` are the archive's source ids since the cursor, oldest first: waiting rows are put
 * into that order, those not named after them as they came. `last_id`, `last_ms` become the cursor (NULL: unchanged).
 */
void inbox_open_gate(struct inbox *inbox, const char *room, const char *const *ids, size_t count, const char *last_id,
		int64_t last_ms);

/*
 * What INCOMING_LATER waited for is there, or is waited for no longer: the room's rows are read again, in their order, in this turn.
 * Harmless when none waits.
 */
void inbox_retry(struct inbox *inbox, const char *room);
/* The same for one row that was put aside (INCOMING_ASIDE). */
void inbox_retry_aside(struct inbox *inbox, const char *room, const char *source_id);

/*
 * Somebody may not come back to a room by himself: banned, or no longer a member where only members are let in, by another's act.
 * What he subscribed to from there ends without a last word, since that would tell him more of it (decisions 2.4). `person` as in
 * struct author; harmless for whoever subscribed to nothing. In the turn's transaction.
 */
void inbox_expelled(struct inbox *inbox, const char *room, const char *person);

/* A row that cannot even be accepted as such: kept raw for the admin, counted, logged without its content. */
void inbox_quarantine(struct inbox *inbox, enum network network, const char *room, const char *source_id, const void *raw,
		size_t size, const char *reason);

#endif
