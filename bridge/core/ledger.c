/* SPDX-License-Identifier: Apache-2.0 */
/* Two counts: what judging said of each row, and for what is carried by the outbox what became of all its copies. */
#include "core/ledger.h"

/* Reads the columns of a one-row answer into `into`, in order. */
static void
read_counts(struct store *store, enum statement statement, int64_t after_seq, int64_t *const into[], size_t count)
{
	struct query query = store_query(store, statement);

	query_int(&query, after_seq);
	if (query_step(&query))
		for (size_t i = 0; i < count; i++)
			*into[i] = query_get_int(&query, (int)i);
	query_done(&query);
}

void
ledger_count(struct store *store, int64_t after_seq, struct ledger *out)
{
	int64_t refused = 0;
	int64_t *const judged[] = { &out->accepted, &out->unjudged, &out->ignored, &out->digested, &out->rejected, &refused,
		&out->quarantined };
	int64_t *const carried[] = { &out->held, &out->waiting, &out->refused, &out->delivered };

	*out = (struct ledger){ 0 };
	read_counts(store, LEDGER_JUDGED, after_seq, judged, sizeof(judged) / sizeof(judged[0]));
	read_counts(store, LEDGER_CARRIED, after_seq, carried, sizeof(carried) / sizeof(carried[0]));
	out->refused += refused;
}

int64_t
ledger_difference(const struct ledger *ledger)
{
	return ledger->accepted - ledger->unjudged - ledger->ignored - ledger->waiting - ledger->held - ledger->delivered -
			ledger->refused - ledger->rejected - ledger->digested - ledger->quarantined;
}

int64_t
ledger_newest(struct store *store)
{
	struct query query = store_query(store, INBOX_LAST_PLACE);
	int64_t newest = query_step(&query) ? query_get_int(&query, 1) : 0;

	query_done(&query);
	return newest;
}
