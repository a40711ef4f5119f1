/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_RELAY_H
#define CORE_RELAY_H

/* From an inbox row to a verdict and what follows from it, in one transaction a row. */

#include "core/core.h"

struct relay *relay_open(struct core *core) MUST_USE;
void relay_close(struct relay *relay);

/* Judges at most `most` rows, in the turn's transaction. True when there are more. */
bool relay_work(struct relay *relay, int most);

/* The group's hours or rules changed: judges again when what it holds is said, as if each message came now. */
void relay_replan(struct relay *relay, struct group *group);

/* True when this text is a reply's id in the other room of its pair: writes it. Both ids are source or remote ids. */
bool relay_translate(struct relay *relay, const char *from_room, const char *id, const char *to_room, char *out, size_t size);

/* The inbox row behind an id seen in a room: an original there, or one of our deliveries. 0: unknown. */
int64_t relay_row_of(struct relay *relay, const char *room, const char *id);

#endif
