/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_ARENA_H
#define CORE_ARENA_H

/* Memory for one row's judgement. arena_take() and arena_copy() are in port.h, for ports need only those. */

#include "core/port.h"

struct block;

struct arena {
	struct block *blocks; /* owns */
};

void arena_init(struct arena *arena);
/* Clears (it may hold message text) and frees everything. */
void arena_fini(struct arena *arena);

#endif
