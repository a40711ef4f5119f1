/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One reason at a time, the gravest first. A failed commit is treated as a crash without the crash: memory goes back to what
 * the database says, and the archives bring again what nobody acknowledged.
 */
#include "core/pressure.h"

#include "base/log.h"
#include "base/now.h"
#include "core/inbox_rows.h"
#include "core/outbox_rows.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define LOOK_MS 5000
#define TRIAL_MS 1000      /* the first one; then twice as long each time */
#define TRIAL_MOST_MS 30000
#define BACKLOG_NOTICE 100000
#define BACKLOG_FULL 1000000

struct pressure {
	struct core *core;
	int64_t look_at_ms, trial_at_ms; /* monotonic */
	int64_t trial_ms;
	bool stalled, short_of_disk, backlogged, noticed;
};

struct pressure *
pressure_open(struct core *core)
{
	struct pressure *pressure = xcalloc(1, sizeof(*pressure));

	pressure->core = core;
	return pressure;
}

void
pressure_close(struct pressure *pressure)
{
	free(pressure);
}

static const char stalled[] = "the database cannot be written: make room on the disk of the state directory; what is on its way stays with its senders";
static const char short_of_disk[] = "the disk of the state directory is almost full: make room, and it goes on by itself";
static const char backlogged[] = "more than a million messages wait: one side takes nothing; sourdine status says which";

const char *
pressure_reason(const struct pressure *pressure)
{
	return pressure->stalled ? stalled : pressure->short_of_disk ? short_of_disk : pressure->backlogged ? backlogged : NULL;
}

/* Says a change once, and lets the ports know by inbox_has_room(). */
static void
announce(struct pressure *pressure, const char *before)
{
	const char *after = pressure_reason(pressure);

	inbox_set_room(pressure->core->inbox, !after);
	if (after && after != before)
		log_error(LOG_STORE, "nothing more is accepted: %s", after);
	else if (before && !after)
		log_notice(LOG_STORE, "accepting again");
}

static int64_t
backlog(struct core *core)
{
	struct query query = store_query(core->store, BACKLOG);

	return query_number(&query);
}

void
pressure_look(struct pressure *pressure)
{
	const char *before = pressure_reason(pressure);
	int64_t now_ms = now_monotonic_ms();

	if (pressure->stalled || now_ms < pressure->look_at_ms)
		return;
	pressure->look_at_ms = now_ms + LOOK_MS;
	int64_t rows = backlog(pressure->core);
	pressure->short_of_disk = !store_has_space(pressure->core->store);
	pressure->backlogged = rows > BACKLOG_FULL;
	if (rows > BACKLOG_NOTICE && !pressure->noticed)
		log_notice(LOG_STORE, "backlog rows=%" PRId64 ": one side takes less than the other gives", rows);
	pressure->noticed = rows > BACKLOG_NOTICE;
	if (!pressure->short_of_disk)
		store_keep_ballast(pressure->core->store);
	announce(pressure, before);
}

static void
reset_ports(struct core *core)
{
	for (int network = NETWORK_MATRIX; network <= NETWORK_XMPP; network++)
		if (core->port[network] && core->port[network]->ops->reset)
			core->port[network]->ops->reset(core->port[network]);
}

void
pressure_stall(struct pressure *pressure)
{
	struct core *core = pressure->core;
	const char *before = pressure_reason(pressure);

	if (!pressure->stalled) {
		pressure->stalled = true;
		pressure->trial_ms = TRIAL_MS;
		pressure->trial_at_ms = now_monotonic_ms(); /* the ballast may be all that is needed */
	}
	announce(pressure, before);
	outbox_forget(core->outbox);
	inbox_close_all(core->inbox);
	reset_ports(core);
}

/* Writing works again: memory is made to agree with the database, and what was out is asked after. */
static bool
resume(struct pressure *pressure)
{
	struct core *core = pressure->core;

	outbox_land_all(core->outbox);
	core_recall(core);
	if (store_commit(core->store))
		return false;
	pressure->stalled = false;
	pressure->look_at_ms = 0;
	announce(pressure, stalled);
	reset_ports(core);
	return true;
}

bool
pressure_may_write(struct pressure *pressure)
{
	int64_t now_ms = now_monotonic_ms();

	if (!pressure->stalled)
		return true;
	store_abandon(pressure->core->store);
	if (now_ms < pressure->trial_at_ms)
		return false;
	pressure->trial_at_ms = now_ms + pressure->trial_ms;
	pressure->trial_ms = pressure->trial_ms * 2 < TRIAL_MOST_MS ? pressure->trial_ms * 2 : TRIAL_MOST_MS;
	return store_probe(pressure->core->store) == 0 && resume(pressure);
}

int64_t
pressure_wait_ms(const struct pressure *pressure)
{
	int64_t left = pressure->trial_at_ms - now_monotonic_ms();

	return !pressure->stalled ? -1 : left > 0 ? left : 0;
}
