/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When rows fall due. A hold and a digest are rows with a later due instant; between instants nothing is looked for.
 */
#include "core/outbox_inside.h"

#include "base/fault.h"
#include "core/notices.h"

#include <inttypes.h>
#include <stdio.h>

#define RELEASE_LINE_ABOVE 5 /* decisions 1.4 */

void
outbox_due_note(struct outbox *outbox, struct lane *lane, int64_t due_ms)
{
	lane->restless = true;
	/* What is due whatever the clock says (0) needs no look: with a backlog that would be a walk through it for each message. */
	if (due_ms && outbox->next_due_known && due_ms < outbox->next_due_ms)
		outbox->next_due_ms = due_ms;
}

void
outbox_replan(struct outbox *outbox, int64_t inbox_seq, const char *group, int64_t due_ms)
{
	struct query query = store_query(outbox->core->store, OUTBOX_REPLAN);

	query_int(&query, due_ms);
	query_int(&query, inbox_seq);
	query_text(&query, group);
	query_run(&query);
	outbox->next_due_known = false;
}

int64_t
outbox_due_of(struct outbox *outbox, int64_t inbox_seq, const char *lane)
{
	struct query query = store_query(outbox->core->store, OUTBOX_DUE_OF);

	query_int(&query, inbox_seq);
	query_text(&query, lane);
	return query_number(&query);
}

/* The bot's line before a long release, once: its name is made of the first message released. */
static void
announce_release(struct outbox *outbox, const char *lane, enum network network, const char *group_name, int64_t count, int64_t place,
		int64_t first_seq, int64_t now_ms)
{
	struct group *group = groups_find(&outbox->core->groups, group_name);
	char first[24];

	if (count <= RELEASE_LINE_ABOVE || !group)
		return;
	snprintf(first, sizeof(first), "%" PRId64, first_seq);
	const char *source[] = { "release", first, NULL };
	AUTO_FREE char *text = notices_release(outbox->core, group, first_seq, (long)count, now_ms);
	struct outbox_draft draft = {
		.outgoing = { .kind = OUTGOING_ROOM, .lane = lane, .text = text },
		.network = network, .group = group_name, .source = source, .due_ms = now_ms,
	};
	outbox_write_row(outbox, &draft, place - 1);
}

static void
release(struct outbox *outbox, int64_t now_ms)
{
	struct query query = store_query(outbox->core->store, OUTBOX_RELEASING);
	bool any = false;

	query_int(&query, now_ms);
	while (query_step(&query)) {
		any = true;
		announce_release(outbox, query_get_text(&query, 0), query_get_int(&query, 1) == NETWORK_XMPP ? NETWORK_XMPP : NETWORK_MATRIX,
				query_get_text(&query, 2), query_get_int(&query, 3), query_get_int(&query, 4), query_get_int(&query, 5), now_ms);
	}
	query_done(&query);
	if (!any)
		return;
	FAULT_POINT("mid_release");
	store_run_for(outbox->core->store, OUTBOX_RELEASED, now_ms);
}

static int64_t
ask_next_due(struct outbox *outbox, int64_t now_ms)
{
	struct query query = store_query(outbox->core->store, OUTBOX_NEXT_DUE);
	int64_t due_ms = INT64_MAX;

	query_int(&query, now_ms);
	if (query_step(&query) && query_get_text(&query, 0))
		due_ms = query_get_int(&query, 0);
	query_done(&query);
	return due_ms;
}

static void
find_due_lanes(struct outbox *outbox, int64_t now_ms)
{
	struct query query = store_query(outbox->core->store, OUTBOX_LANES);

	query_int(&query, now_ms);
	while (query_step(&query))
		outbox_get_lane(outbox, query_get_text(&query, 0), query_get_int(&query, 1) == NETWORK_XMPP ? NETWORK_XMPP : NETWORK_MATRIX)
				->restless = true;
	query_done(&query);
}

void
outbox_due_look(struct outbox *outbox, int64_t now_ms)
{
	if (outbox->next_due_known && now_ms < outbox->next_due_ms)
		return;
	release(outbox, now_ms);
	find_due_lanes(outbox, now_ms);
	outbox->next_due_ms = ask_next_due(outbox, now_ms);
	outbox->next_due_known = true;
}

void
outbox_look(struct outbox *outbox)
{
	outbox->next_due_known = false;
	outbox_wake(outbox);
}

int64_t
outbox_next_due(struct outbox *outbox)
{
	return outbox->next_due_known ? outbox->next_due_ms : 0;
}
