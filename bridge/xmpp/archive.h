/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XMPP_ARCHIVE_H
#define XMPP_ARCHIVE_H

/* The room's archive (XEP-0313): what was said while we were away, and what of ours arrived. */

#include "xmpp/inside.h"

/*
 * Fills the gap from the cursor on, settles what it meets of ours, opens the gate, then looks for what is still in doubt,
 * then muc_become_ready(). Without an archive the history that came with the join must do.
 */
void archive_catch_up(struct room *room);

/* Looks backwards for the room's speeches and doubts. What is not found is handed out again. */
void archive_settle(struct room *room);

/*
 * Whether the archive can tell what followed the cursor. A room may offer one and keep nothing: its messages have no ids
 * then, and the cursor's is one of our making.
 */
bool archive_is_of_use(const struct room *room);

/* A room's timer: looks again whether the gate may be opened. */
void archive_open_gate(void *room);

/* A room's timer: asks for the page that could not be had, once more. */
void archive_ask(void *room);

/* Ends a reading half-way. */
void archive_reset(struct room *room);

/* A message that may be a result of a query of ours. False when it is not. */
bool archive_hear(struct room *room, xmpp_stanza_t *message);

/* Remembers a source id in the order of history, when the join's history takes the archive's place. */
void archive_note(struct room *room, const char *source_id, int64_t at_ms);

#endif
