/* SPDX-License-Identifier: Apache-2.0 */
/* One flag in the database, kept until the doubts are written down. */
#include "core/restored.h"

#include "base/log.h"
#include "base/now.h"
#include "core/inbox_rows.h"
#include "core/outbox_rows.h"

#include <stdlib.h>

#define PATIENCE_MS (120 * 1000) /* for rooms that cannot be entered */
#define LOOK_MS 1000

struct restored {
	struct core *core;
	int64_t taken_ms, last_seq; /* of the backup: real time, the newest row of its inbox */
	int64_t since_ms;           /* monotonic */
	bool over;
};

struct restored *
restored_open(struct core *core)
{
	struct restored *restored = NULL;
	char mark[64], *space, *end;

	(void)store_get_value(core->store, "restored", mark, sizeof(mark));
	int64_t taken_ms = strtoll(mark, &space, 10), last_seq = strtoll(space, &end, 10);
	if (end > space) {
		restored = xcalloc(1, sizeof(*restored));
		*restored = (struct restored){ .core = core, .taken_ms = taken_ms, .last_seq = last_seq, .since_ms = now_monotonic_ms() };
		log_notice(LOG_STORE, "the database was restored: nothing is sent until the rooms' archives are read");
	}
	return restored;
}

void
restored_close(struct restored *restored)
{
	free(restored);
}

static int64_t
unjudged(struct core *core)
{
	struct query query = store_query(core->store, INBOX_COUNT);

	return query_number(&query);
}

/* How many rooms of the groups are not read up to now. */
static unsigned
rooms_missing(struct core *core)
{
	unsigned missing = 0;
	struct group *group;

	LIST_FOR_EACH(group, &core->groups.all, struct group, link)
		missing += inbox_is_behind(core->inbox, group, NETWORK_MATRIX) + inbox_is_behind(core->inbox, group, NETWORK_XMPP);
	return missing;
}

/* Writes the doubts down and lets the ports start over with them. False: it could not be committed, and stays as it was. */
static bool
doubt_all(struct restored *restored)
{
	struct core *core = restored->core;
	struct query query = store_query(core->store, OUTBOX_DOUBT_ALL);

	query_int(&query, restored->taken_ms);
	query_int(&query, now_rules_ms());
	query_int(&query, restored->last_seq);
	query_run(&query);
	int rows = store_changes(core->store);
	query = store_query(core->store, META_END);
	query_text(&query, "restored");
	query_run(&query);
	if (store_commit(core->store))
		return false;
	log_notice(LOG_STORE, "restored: asking after rows=%d", rows);
	inbox_close_all(core->inbox);
	for (int network = NETWORK_MATRIX; network <= NETWORK_XMPP; network++)
		if (core->port[network] && core->port[network]->ops->reset)
			core->port[network]->ops->reset(core->port[network]);
	return true;
}

bool
restored_holds(struct restored *restored)
{
	if (!restored || restored->over)
		return false;
	unsigned missing = rooms_missing(restored->core);
	bool patient = now_monotonic_ms() - restored->since_ms < PATIENCE_MS;
	if (patient && (missing || unjudged(restored->core)))
		return true;
	if (missing)
		log_warning(LOG_STORE, "restored: going on without rooms=%u, what comes from there may come twice", missing);
	restored->over = doubt_all(restored);
	return !restored->over;
}

int64_t
restored_wait_ms(const struct restored *restored)
{
	return restored && !restored->over ? LOOK_MS : -1;
}
