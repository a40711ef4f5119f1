/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What ports say of the rows that they were given, and what they ask before they can say it. However a row came down, its
 * lane goes on; who is to be told of it is told here.
 */
#include "core/outbox_inside.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/now.h"
#include "core/inbox_rows.h"
#include "core/notices.h"
#include "core/refusals.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void
land_all(struct outbox *outbox, enum network network)
{
	store_run_for(outbox->core->store, OUTBOX_LAND_ALL, network);
}

void
outbox_land_all(struct outbox *outbox)
{
	land_all(outbox, NETWORK_MATRIX);
	land_all(outbox, NETWORK_XMPP);
}

static struct flight *
find_flight(struct outbox *outbox, int64_t id)
{
	struct flight *flight;

	LIST_FOR_EACH(flight, &outbox->flights, struct flight, link)
		if (flight->id == id)
			return flight;
	return NULL;
}

/* The row is no longer out; its lane may go on. */
static void
land(struct outbox *outbox, int64_t id)
{
	struct flight *flight = find_flight(outbox, id);

	if (!flight)
		return;
	outbox_drop_flight(outbox, flight);
}

struct ended {
	bool found;
	char *lane, *group; /* owned */
	enum outgoing_kind kind;
	enum network network;
	int64_t inbox_seq;
	bool held;
};

static struct ended
look_up(struct outbox *outbox, int64_t id)
{
	struct query query = store_query(outbox->core->store, OUTBOX_GET);
	struct ended ended = { 0 };

	query_int(&query, id);
	if (query_step(&query)) {
		ended.found = true;
		ended.lane = xstrdup(query_get_text(&query, 0));
		ended.network = query_get_int(&query, 1) == NETWORK_XMPP ? NETWORK_XMPP : NETWORK_MATRIX;
		ended.kind = (enum outgoing_kind)query_get_int(&query, 2);
		ended.group = xstrdup(query_get_text(&query, 3));
		ended.inbox_seq = query_get_int(&query, 4);
		ended.held = query_get_int(&query, 5) != 0;
	}
	query_done(&query);
	return ended;
}

void
outbox_settled(struct outbox *outbox, int64_t id, const char *remote_id)
{
	struct ended row = look_up(outbox, id);

	land(outbox, id);
	if (row.found) {
		outbox_end_row(outbox, id, OUTBOX_DELIVERED, remote_id, NULL);
		metric_add(row.network == NETWORK_XMPP ? METRIC_SETTLED_XMPP : METRIC_SETTLED_MATRIX, 1);
	}
	if (row.held || row.kind == OUTGOING_MARK) {
		inbox_erase(outbox->core->inbox, row.inbox_seq);
		notices_released(outbox->core, row.inbox_seq, row.group);
	}
	free(row.lane);
	free(row.group);
	FAULT_POINT("after_settle");
}

static const char *const refusal_names[REFUSAL_COUNT] = {
	[REFUSAL_NOT_MEMBER] = "not-member",
	[REFUSAL_MODERATED] = "moderated",
	[REFUSAL_NICK] = "nick",
	[REFUSAL_TOO_BIG] = "too-big",
	[REFUSAL_ROOM_GONE] = "room-gone",
	[REFUSAL_BANNED] = "banned",
	[REFUSAL_POISON] = "poison",
	[REFUSAL_PARTED] = "parted",
	[REFUSAL_OTHER] = "other",
	[REFUSAL_ENCRYPTED] = "encrypted",
	[REFUSAL_PLAIN] = "plain",
	[REFUSAL_UNENCRYPTED] = "unencrypted",
	[REFUSAL_UNAGREED] = "unagreed",
	[REFUSAL_COPY] = "copy",
};

void
outbox_refused(struct outbox *outbox, int64_t id, enum refusal why, const char *detail)
{
	struct ended row = look_up(outbox, id);

	land(outbox, id);
	if (row.found) {
		outbox_end_row(outbox, id, OUTBOX_REFUSED, NULL, refusal_names[why]);
		metric_add(row.network == NETWORK_XMPP ? METRIC_REFUSED_XMPP : METRIC_REFUSED_MATRIX, 1);
		log_warning(LOG_OUTBOX, "refused %s=%s row=%" PRId64 " why=%s detail=\"%s\"", row.kind == OUTGOING_PRIVATE ? "who" : "lane", row.lane,
				id, refusal_names[why], detail ? detail : "");
		if (row.kind == OUTGOING_MESSAGE && row.inbox_seq)
			refusals_note(outbox->core, row.inbox_seq, row.group, why, detail);
		else if (row.kind == OUTGOING_PRIVATE || row.kind == OUTGOING_ROOM)
			refusals_note_digest(outbox->core, row.group, row.network, row.lane, detail);
		if (row.held || row.kind == OUTGOING_MARK) {
			inbox_erase(outbox->core->inbox, row.inbox_seq);
			notices_released(outbox->core, row.inbox_seq, row.group);
		}
	}
	free(row.lane);
	free(row.group);
}

void
outbox_renamed(struct outbox *outbox, int64_t id, const char *as)
{
	struct ended row = look_up(outbox, id);

	if (row.found && row.kind == OUTGOING_MESSAGE && row.inbox_seq)
		notices_renamed(outbox->core, row.inbox_seq, row.group, as);
	free(row.lane);
	free(row.group);
}

void
outbox_again(struct outbox *outbox, int64_t id, int64_t delay_ms)
{
	struct flight *flight = find_flight(outbox, id);
	store_run_for(outbox->core->store, OUTBOX_LAND, id);
	if (!flight)
		return;
	flight->lane->blocked_until_ms = now_monotonic_ms() + delay_ms;
	land(outbox, id);
}

static void
strike(struct outbox *outbox, int64_t id)
{
	store_run_for(outbox->core->store, OUTBOX_STRIKE, id);
	metric_add(METRIC_STRIKES, 1);
}

void
outbox_lost(struct outbox *outbox, enum network network, bool blamed)
{
	struct flight *flight;

	LIST_FOR_EACH(flight, &outbox->flights, struct flight, link) {
		if (flight->lane->network != network)
			continue;
		if (blamed)
			strike(outbox, flight->id);
		outbox_drop_flight(outbox, flight);
	}
	FAULT_POINT("mid_loss");
	land_all(outbox, network);
}

/* ---- rows in doubt ---- */

void
outbox_each_doubt(struct outbox *outbox, const char *lane,
		void (*each)(void *context, int64_t id, const char *name, int64_t first_try_ms), void *context)
{
	struct query query = store_query(outbox->core->store, OUTBOX_DOUBTS);

	query_text(&query, lane);
	while (query_step(&query))
		each(context, query_get_int(&query, 0), query_get_text(&query, 1), query_get_int(&query, 2));
	query_done(&query);
}

static void
note_doubt(void *context, int64_t id, const char *name, int64_t first_try_ms)
{
	(void)id, (void)name, (void)first_try_ms;
	*(bool *)context = true;
}

bool
outbox_has_doubts(struct outbox *outbox, const char *lane)
{
	bool any = false;

	outbox_each_doubt(outbox, lane, note_doubt, &any);
	return any;
}

bool
outbox_before_doubts(struct outbox *outbox, const char *lane, int ahead, char *remote_id, size_t size)
{
	struct query query = store_query(outbox->core->store, OUTBOX_BEFORE_DOUBTS);

	query_text(&query, lane);
	query_int(&query, ahead);
	bool found = query_step(&query);
	if (found)
		snprintf(remote_id, size, "%s", query_get_text(&query, 0));
	query_done(&query);
	return found;
}

bool
outbox_settle_name(struct outbox *outbox, const char *lane, const char *name, const char *remote_id)
{
	struct query query = store_query(outbox->core->store, OUTBOX_BY_NAME);

	query_text(&query, name);
	query_text(&query, lane);
	int64_t id = query_number(&query);
	if (id)
		outbox_settled(outbox, id, remote_id);
	return id != 0;
}

bool
outbox_waits(struct outbox *outbox, const char *lane, const char *person)
{
	struct query query = store_query(outbox->core->store, OUTBOX_WAITS);

	query_text(&query, lane);
	query_text(&query, person);
	return query_any(&query);
}
