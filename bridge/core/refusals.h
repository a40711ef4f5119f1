/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_REFUSALS_H
#define CORE_REFUSALS_H

/* Whoever must know hears that something did not cross, and why; not once for each of a flood. In the turn's transaction. */

#include "core/core.h"

/*
 * A message was refused, or a part of it. `group` is the name of the group it went to: another than its own for a copy. `detail`: the far
 * side's own words, or NULL; quoted only where our sentence says nothing.
 */
void refusals_note(struct core *core, int64_t inbox_seq, const char *group, enum refusal why, const char *detail);

/* A notice was refused in this lane; when digests go there, somebody who can mend it is told. */
void refusals_note_digest(struct core *core, const char *group, enum network network, const char *lane, const char *detail);

/* Tells the numbers of the hours that are over. Cheap when none is. */
void refusals_work(struct core *core, int64_t now_ms);

#endif
