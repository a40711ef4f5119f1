/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows live in the store; in memory there is only, per lane, whether it is worth a look, how many rows are out,
 * and until when it waits. `place` orders a lane; places grow by two, so that the line that announces a release
 * can be put before its first message. A row that was out when its network ended the stream has a strike; from the second
 * on it travels alone, so that the third tells whether it was the cause.
 *
 * This file has the lanes, and the way of a due row to its port.
 */
#include "core/outbox_inside.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/now.h"
#include "core/inbox_rows.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PICK_MAX 256         /* rows a turn */
#define STRIKES_ALONE 2      /* delivery.md 9, step 7: from here on nothing else is out with it */
#define STRIKES_MAX 3

static void
free_flight(struct flight *flight)
{
	list_remove(&flight->link);
	free(flight->name);
	free(flight->person);
	free(flight->stem);
	free(flight->author);
	mem_free_secret(flight->payload, flight->sending.size);
	free(flight);
}

struct outbox *
outbox_open(struct core *core)
{
	struct outbox *outbox = xcalloc(1, sizeof(*outbox));

	outbox->core = core;
	list_init(&outbox->lanes);
	list_init(&outbox->picked);
	list_init(&outbox->flights);
	struct query query = store_query(core->store, OUTBOX_LAST_PLACE);
	if (query_step(&query))
		outbox->place = query_get_int(&query, 0) / 2 * 2 + 2;
	query_done(&query);
	/* Whatever an earlier process had handed out may or may not have arrived; and one of it may have ended that process. */
	if (core->crashed) {
		query = store_query(core->store, OUTBOX_STRIKE_ALL);
		query_run(&query);
	}
	outbox_land_all(outbox);
	return outbox;
}

void
outbox_close(struct outbox *outbox)
{
	struct flight *flight;
	struct lane *lane;

	if (!outbox)
		return;
	LIST_FOR_EACH(flight, &outbox->picked, struct flight, link)
		free_flight(flight);
	LIST_FOR_EACH(flight, &outbox->flights, struct flight, link)
		free_flight(flight);
	LIST_FOR_EACH(lane, &outbox->lanes, struct lane, link) {
		list_remove(&lane->link);
		free(lane->address);
		free(lane);
	}
	free(outbox);
}

struct lane *
outbox_find_lane(struct outbox *outbox, const char *address)
{
	struct lane *lane;

	LIST_FOR_EACH(lane, &outbox->lanes, struct lane, link)
		if (strcmp(lane->address, address) == 0)
			return lane;
	return NULL;
}

struct lane *
outbox_get_lane(struct outbox *outbox, const char *address, enum network network)
{
	struct lane *lane = outbox_find_lane(outbox, address);

	if (!lane) {
		lane = xcalloc(1, sizeof(*lane));
		lane->address = xstrdup(address);
		lane->network = network;
		list_append(&outbox->lanes, &lane->link);
	}
	return lane;
}

/* ---- handing out ---- */

static struct flight *
read_flight(struct outbox *outbox, struct lane *lane, struct query *query)
{
	struct flight *flight = xcalloc(1, sizeof(*flight));
	size_t n;

	list_init(&flight->link);
	flight->id = query_get_int(query, 0);
	flight->lane = lane;
	flight->name = xstrdup(query_get_text(query, 1));
	flight->person = xstrdup(query_get_text(query, 3));
	flight->stem = xstrdup(query_get_text(query, 4));
	flight->author = xstrdup(query_get_text(query, 5));
	const void *sealed = query_get_blob(query, 6, &n);
	size_t size = 0;
	if (!seal_unwrap(outbox->core->seal, sealed, n, &flight->payload, &size))
		flight->payload = NULL;
	flight->sending = (struct sending){
		.id = flight->id, .name = flight->name, .lane = lane->address, .kind = (enum outgoing_kind)query_get_int(query, 2),
		.author = { flight->person, flight->stem, flight->author }, .payload = flight->payload, .size = size,
		.tried = query_get_int(query, 7) == OUTBOX_TRIED,
	};
	flight->strikes = (int)query_get_int(query, 8);
	return flight;
}

static struct flight *
next_row(struct outbox *outbox, struct lane *lane, int64_t now_ms)
{
	struct query query = store_query(outbox->core->store, OUTBOX_NEXT);
	struct flight *flight = NULL;

	query_text(&query, lane->address);
	query_int(&query, now_ms);
	if (query_step(&query))
		flight = read_flight(outbox, lane, &query);
	query_done(&query);
	return flight;
}

void
outbox_each_author(struct outbox *outbox, const char *lane, int rows, void (*each)(void *context, const struct author *author), void *context)
{
	struct query query = store_query(outbox->core->store, OUTBOX_AUTHORS);

	query_text(&query, lane);
	query_int(&query, now_rules_ms());
	query_int(&query, rows);
	while (query_step(&query))
		each(context, &(struct author){ query_get_text(&query, 0), query_get_text(&query, 1), query_get_text(&query, 2) });
	query_done(&query);
}

void
outbox_end_row(struct outbox *outbox, int64_t id, enum outbox_state state, const char *remote_id, const char *reason)
{
	struct query query = store_query(outbox->core->store, OUTBOX_END);

	query_int(&query, id);
	query_int(&query, state);
	query_text(&query, remote_id);
	query_text(&query, reason);
	query_run(&query);
}

static void
mark_flying(struct outbox *outbox, struct flight *flight)
{
	struct query query = store_query(outbox->core->store, OUTBOX_FLY);

	query_int(&query, flight->id);
	query_int(&query, now_real_ms());
	query_run(&query);
	list_append(&outbox->picked, &flight->link);
	outbox->out[flight->lane->network]++;
}

void
outbox_drop_flight(struct outbox *outbox, struct flight *flight)
{
	enum network network = flight->lane->network;

	flight->lane->restless = true;
	free_flight(flight);
	if (--outbox->out[network] > 0 || !outbox->alone[network])
		return;
	outbox->alone[network] = false;
	outbox_wake(outbox);
}

/* Nothing more goes out on this network until what is out has come down. */
static bool
is_waiting(const struct outbox *outbox, const struct lane *lane)
{
	return outbox->alone[lane->network] && outbox->out[lane->network] > 0;
}

/* It ended the stream three times, the last time alone. */
static void
set_aside(struct outbox *outbox, const struct flight *flight)
{
	log_error(LOG_OUTBOX, "set aside row=%" PRId64 " lane=%s: the other side ended the connection %d times while it was on its way",
			flight->id, flight->lane->address, flight->strikes);
	inbox_quarantine(outbox->core->inbox, flight->lane->network, flight->lane->address, flight->name, flight->payload,
			flight->sending.size, "ended the stream three times");
	outbox_refused(outbox, flight->id, REFUSAL_POISON, NULL);
}

/* Returns how many were picked. A lane that is not ready stays restless only until its port wakes us. */
static int
pick_lane(struct outbox *outbox, struct lane *lane, int64_t now_ms, int budget)
{
	struct port *port = outbox->core->port[lane->network];
	int picked = 0;

	if (!port)
		return 0;
	for (; picked < budget; picked++) {
		struct flight *flight = next_row(outbox, lane, now_ms);
		if (!flight) {
			lane->restless = false;
			return picked;
		}
		if (!flight->payload) {
			log_error(LOG_OUTBOX, "row unreadable id=%" PRId64 ": was the master key replaced?", flight->id);
			outbox_end_row(outbox, flight->id, OUTBOX_REFUSED, NULL, "unreadable");
			free_flight(flight);
			continue;
		}
		unsigned room = port->ops->ready(port, lane->address, &flight->sending.author);
		if (room <= (unsigned)picked) {
			free_flight(flight);
			lane->restless = false;
			return picked;
		}
		if (flight->strikes >= STRIKES_MAX) {
			set_aside(outbox, flight);
			free_flight(flight);
			continue;
		}
		bool alone = flight->strikes >= STRIKES_ALONE;
		outbox->alone[lane->network] |= alone;
		if (alone && outbox->out[lane->network]) {
			free_flight(flight);
			return picked;
		}
		mark_flying(outbox, flight);
		/* The window is full: to read one more row would only be to put it back. */
		if (room <= (unsigned)picked + 1)
			lane->restless = false;
		if (alone || !lane->restless)
			return picked + 1;
	}
	return picked;
}

void
outbox_pick(struct outbox *outbox, int64_t now_ms)
{
	struct lane *lane;
	int budget = PICK_MAX;

	outbox_due_look(outbox, now_ms);
	LIST_FOR_EACH(lane, &outbox->lanes, struct lane, link)
		if (lane->restless && lane->blocked_until_ms <= now_monotonic_ms() && !is_waiting(outbox, lane))
			budget -= pick_lane(outbox, lane, now_ms, budget);
}

void
outbox_send(struct outbox *outbox, bool committed)
{
	struct flight *flight;

	while (!list_empty(&outbox->picked)) {
		flight = LIST_ENTRY(outbox->picked.next, struct flight, link);
		struct port *port = outbox->core->port[flight->lane->network];
		if (!committed) {
			outbox_drop_flight(outbox, flight);
			continue;
		}
		list_remove(&flight->link);
		list_append(&outbox->flights, &flight->link);
		port->ops->send(port, &flight->sending);
		FAULT_POINT("mid_window");
	}
}

void
outbox_forget(struct outbox *outbox)
{
	struct flight *flight;

	LIST_FOR_EACH(flight, &outbox->flights, struct flight, link)
		outbox_drop_flight(outbox, flight);
	outbox->next_due_known = false;
}

/* ---- the turn ---- */

void
outbox_wake(struct outbox *outbox)
{
	struct lane *lane;

	LIST_FOR_EACH(lane, &outbox->lanes, struct lane, link)
		lane->restless = true;
}

bool
outbox_restless(const struct outbox *outbox)
{
	struct lane *lane;

	LIST_FOR_EACH(lane, &outbox->lanes, struct lane, link)
		if (lane->restless && lane->blocked_until_ms <= now_monotonic_ms() && !is_waiting(outbox, lane))
			return true;
	return false;
}

int64_t
outbox_blocked_ms(const struct outbox *outbox)
{
	struct lane *lane;
	int64_t now_ms = now_monotonic_ms(), least = -1;

	LIST_FOR_EACH(lane, &outbox->lanes, struct lane, link) {
		int64_t left = lane->blocked_until_ms - now_ms;
		if (lane->restless && left > 0 && (least < 0 || left < least))
			least = left;
	}
	return least;
}

void
outbox_count(struct outbox *outbox, struct outbox_counts *out)
{
	struct query query = store_query(outbox->core->store, OUTBOX_COUNTS);

	*out = (struct outbox_counts){ 0 };
	if (query_step(&query)) {
		out->waiting = query_get_int(&query, 0);
		out->tried = query_get_int(&query, 1);
		out->held = query_get_int(&query, 2);
	}
	query_done(&query);
	query = store_query(outbox->core->store, OUTBOX_FLYING_COUNT);
	if (query_step(&query))
		out->flying = query_get_int(&query, 0);
	query_done(&query);
}
