/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_LEDGER_H
#define CORE_LEDGER_H

/*
 * The books: every message that was accepted is in exactly one state (delivery.md 1.1, clause 7). A message that was judged
 * and whose outbox rows are not all there shows as a difference.
 */

#include "store/store.h"

struct ledger {
	int64_t accepted;
	int64_t unjudged, ignored, waiting, held, delivered, refused, rejected, digested, quarantined;
};

/*
 * Counts every row of the inbox after `after_seq` (0: all). Takes time in proportion: a million rows are seconds, so the running
 * daemon asks for its newest ones.
 */
void ledger_count(struct store *store, int64_t after_seq, struct ledger *out);

/* accepted - sum(states): 0 unless something was lost from the books. */
int64_t ledger_difference(const struct ledger *ledger);

/* The number of the newest accepted row, for a window over the newest. */
int64_t ledger_newest(struct store *store);

#endif
