/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_DECISIONS_H
#define CORE_DECISIONS_H

/* The journal of verdicts: what was decided about a message and why, without its text (etiquette 9). */

#include "core/port.h"
#include "rules/verdict.h"
#include "store/store.h"

struct decision {
	int64_t inbox_seq;
	char group[RULES_NAME_MAX + 1];
	char person[1024];     /* its author */
	char reply_lane[1024]; /* where he can be told in private */
	int revision;          /* of the charter that judged; 0: none */
	struct verdict verdict;
};

void decisions_save(struct store *store, const struct decision *decision);
bool decisions_get(struct store *store, int64_t inbox_seq, struct decision *out);
/* The latest one of this person in this group. */
bool decisions_last(struct store *store, const char *group, const char *person, struct decision *out);

#endif
