/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_RESTORED_H
#define CORE_RESTORED_H

/*
 * After `sourdine restore` the database knows nothing of what was said and delivered since the backup. So nothing is sent until
 * every room's archive is read and judged; then whatever is due, and whatever was judged just now, counts as tried, and both
 * ports ask the other side about it before they send it again. Names are made of the source, so they are the same as before.
 */

#include "core/core.h"

struct restored;

/* Reads meta "restored"; NULL when the database is no restored one, which is fine below. */
struct restored *restored_open(struct core *core) MUST_USE;
void restored_close(struct restored *restored);

/* Whether sending has to wait. Looks whether it still has to; called in each turn, when all that is new was judged. */
bool restored_holds(struct restored *restored);

/* When to look again, in ms, while sending waits; -1: it does not. */
int64_t restored_wait_ms(const struct restored *restored);

#endif
