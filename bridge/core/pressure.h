/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_PRESSURE_H
#define CORE_PRESSURE_H

/*
 * When nothing more can be taken (delivery.md 11): the disk is short, a commit failed, or a million rows wait. Then
 * inbox_has_room() says no, the homeserver gets 503 and the XMPP server nobody who listens; both keep what they have.
 */

#include "core/core.h"

struct pressure *pressure_open(struct core *core) MUST_USE;
void pressure_close(struct pressure *pressure);

/* Looks at disk and backlog when that is due, every few seconds. To be called in each turn, outside a transaction. */
void pressure_look(struct pressure *pressure);

/*
 * A commit failed: what the turn did is undone. Everything in memory that rests on it is dropped, both ports start over, and
 * nothing is written until a trial commit succeeds.
 */
void pressure_stall(struct pressure *pressure);

/* False while writing is known to fail; tries again when that is due. A turn that may not write does nothing. */
bool pressure_may_write(struct pressure *pressure);
/* Milliseconds until the next trial; -1: none is due. */
int64_t pressure_wait_ms(const struct pressure *pressure);

/* What is wrong, for status and health: one sentence, or NULL. */
const char *pressure_reason(const struct pressure *pressure);

#endif
