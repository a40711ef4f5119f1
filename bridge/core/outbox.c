/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows live in the store; in memory there is only, per lane, whether it is worth a look, how many rows are out,
 * and until when it waits. `place` orders a lane; places grow by two, so that the line that announces a release
 * can be put before its first message. A row that was out when its network ended the stream has a strike; from the second
 * on it travels alone, so that the third tells whether it was the cause.
 */
#include "core/outbox_rows.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/look.h"
#include "base/metric.h"
#include "base/now.h"
#include "core/inbox_rows.h"
#include "core/notices.h"
#include "core/refusals.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RELEASE_LINE_ABOVE 5 /* decisions 1.4 */
#define PICK_MAX 256         /* rows a turn */
#define STRIKES_ALONE 2      /* delivery.md 9, step 7: from here on nothing else is out with it */
#define STRIKES_MAX 3

struct lane {
	struct list link; /* outbox::lanes */
	char *address;    /* owns */
	enum network network;
	bool restless;    /* may have a row to hand out */
	unsigned flying;
	int64_t blocked_until_ms; /* monotonic */
};

/* A row handed to a port, or about to be. */
struct flight {
	struct list link; /* outbox::picked, then outbox::flights */
	int64_t id;
	struct lane *lane;
	int strikes;
	struct sending sending;
	char *name, *person, *stem, *author, *payload; /* owns */
};

struct outbox {
	struct core *core;
	struct list lanes;   /* owns: lane::link */
	struct list picked;  /* owns: flight::link; waits for the commit */
	struct list flights; /* owns: flight::link; waits for the port's answer */
	unsigned out[2];     /* rows picked or flying, by network */
	bool alone[2];       /* a row with strikes is out, or waits until it can be out alone */
	long messages;       /* rows that carry somebody's message, added by this process */
	int64_t place;
	int64_t next_due_ms; /* rows before this instant are in a restless lane, or out */
	bool next_due_known;
};

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

static void
land_all(struct outbox *outbox, enum network network)
{
	struct query query = store_query(outbox->core->store, OUTBOX_LAND_ALL);

	query_int(&query, network);
	query_run(&query);
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
	land_all(outbox, NETWORK_MATRIX);
	land_all(outbox, NETWORK_XMPP);
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

static struct lane *
find_lane(struct outbox *outbox, const char *address)
{
	struct lane *lane;

	LIST_FOR_EACH(lane, &outbox->lanes, struct lane, link)
		if (strcmp(lane->address, address) == 0)
			return lane;
	return NULL;
}

static struct lane *
get_lane(struct outbox *outbox, const char *address, enum network network)
{
	struct lane *lane = find_lane(outbox, address);

	if (!lane) {
		lane = xcalloc(1, sizeof(*lane));
		lane->address = xstrdup(address);
		lane->network = network;
		list_append(&outbox->lanes, &lane->link);
	}
	return lane;
}

/* ---- adding ---- */

static void
make_name(struct outbox *outbox, const struct outbox_draft *draft, char out[SEAL_NAME_SIZE])
{
	const char *fields[16];
	char kind[16], part[16];
	size_t n = 0;

	snprintf(kind, sizeof(kind), "%d", (int)draft->outgoing.kind);
	snprintf(part, sizeof(part), "%d", draft->part);
	fields[n++] = "v1";
	fields[n++] = kind;
	fields[n++] = draft->outgoing.lane;
	fields[n++] = draft->outgoing.author.person ? draft->outgoing.author.person : "";
	fields[n++] = part;
	for (size_t i = 0; draft->source[i] && n < 15; i++)
		fields[n++] = draft->source[i];
	fields[n] = NULL;
	seal_name(outbox->core->seal, fields, out);
}

static void
note_due(struct outbox *outbox, struct lane *lane, int64_t due_ms)
{
	lane->restless = true;
	if (outbox->next_due_known && due_ms < outbox->next_due_ms)
		outbox->next_due_ms = due_ms;
}

static void
insert(struct outbox *outbox, const struct outbox_draft *draft, int64_t place)
{
	const struct outgoing *outgoing = &draft->outgoing;
	struct port *port = outbox->core->port[draft->network];
	struct seal *seal = outbox->core->seal;
	char name[SEAL_NAME_SIZE];
	unsigned char *text, *payload;
	size_t text_size, payload_size;
	struct str rendered AUTO_STR;
	/* What no rule holds is due whatever the clock says: set back, it must not let newer rows overtake. */
	int64_t due_ms = draft->held && draft->due_ms > now_rules_ms() ? draft->due_ms : 0;

	make_name(outbox, draft, name);
	struct outgoing named = *outgoing;
	named.name = name;
	str_init(&rendered, 1 << 20);
	port->ops->render(port, &named, &rendered);
	seal_wrap(seal, outgoing->text, strlen(outgoing->text), &text, &text_size);
	seal_wrap(seal, str_get(&rendered), rendered.n, &payload, &payload_size);
	struct query query = store_query(outbox->core->store, OUTBOX_ADD);
	query_int(&query, place);
	query_int(&query, draft->network);
	query_text(&query, outgoing->lane);
	query_text(&query, name);
	query_int(&query, outgoing->kind);
	query_text(&query, draft->group);
	if (draft->inbox_seq)
		query_int(&query, draft->inbox_seq);
	else
		query_text(&query, NULL);
	query_int(&query, draft->part);
	query_text(&query, outgoing->author.person);
	query_text(&query, outgoing->author.stem);
	query_text(&query, outgoing->author.name);
	query_blob(&query, text, text_size);
	query_blob(&query, payload, payload_size);
	query_int(&query, draft->held);
	query_int(&query, due_ms);
	query_run(&query);
	outbox->messages += outgoing->kind == OUTGOING_MESSAGE && draft->inbox_seq && store_changes(outbox->core->store) > 0;
	free(text);
	free(payload);
	note_due(outbox, get_lane(outbox, outgoing->lane, draft->network), due_ms);
}

void
outbox_add(struct outbox *outbox, const struct outbox_draft *draft)
{
	insert(outbox, draft, outbox->place += 2);
}

/* Where to cut a text of which `most` bytes fit: after its last sentence or line in the second half, else at a space, else there. */
static size_t
cut_at(const char *text, size_t n, size_t most)
{
	if (most >= n)
		return n;
	size_t space = 0;
	for (size_t i = most; i > most / 2; i--) {
		if (text[i - 1] == '\n' || (text[i] == ' ' && strchr(".!?", text[i - 1])))
			return i;
		if (!space && text[i - 1] == ' ')
			space = i;
	}
	return space ? space : most;
}

bool
outbox_add_split(struct outbox *outbox, const struct outbox_draft *draft)
{
	struct port *port = outbox->core->port[draft->network];
	const char *text = draft->outgoing.text;
	size_t left = strlen(text), ends[OUTBOX_PARTS_MAX], parts = 0, at = 0;

	do {
		if (parts == OUTBOX_PARTS_MAX)
			return false;
		size_t fits = port->ops->fits(port, text + at, left);
		size_t cut = cut_at(text + at, left, fits);
		at += cut;
		left -= cut;
		ends[parts++] = at;
	} while (left);
	for (size_t i = 0, start = 0; i < parts; start = ends[i++]) {
		AUTO_FREE char *piece = xstrndup(text + start, ends[i] - start);
		struct outbox_draft part = *draft;
		part.outgoing.text = piece;
		part.part = (int)i;
		if (i > 0)
			part.outgoing.reply_to = NULL;
		outbox_add(outbox, &part);
	}
	return true;
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

/* ---- falling due ---- */

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
	insert(outbox, &draft, place - 1);
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
	query = store_query(outbox->core->store, OUTBOX_RELEASED);
	query_int(&query, now_ms);
	query_run(&query);
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
		get_lane(outbox, query_get_text(&query, 0), query_get_int(&query, 1) == NETWORK_XMPP ? NETWORK_XMPP : NETWORK_MATRIX)
				->restless = true;
	query_done(&query);
}

/* Looks for rows that fell due; nothing to do in most turns. */
static void
look_at_clock(struct outbox *outbox, int64_t now_ms)
{
	if (outbox->next_due_known && now_ms < outbox->next_due_ms)
		return;
	release(outbox, now_ms);
	find_due_lanes(outbox, now_ms);
	outbox->next_due_ms = ask_next_due(outbox, now_ms);
	outbox->next_due_known = true;
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

static void
end_row(struct outbox *outbox, int64_t id, enum outbox_state state, const char *remote_id, const char *reason)
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
	flight->lane->flying++;
	outbox->out[flight->lane->network]++;
}

/* The row comes down, however it ended. */
static void
drop_flight(struct outbox *outbox, struct flight *flight)
{
	enum network network = flight->lane->network;

	flight->lane->flying--;
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
			end_row(outbox, flight->id, OUTBOX_REFUSED, NULL, "unreadable");
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

	look_at_clock(outbox, now_ms);
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
			drop_flight(outbox, flight);
			continue;
		}
		list_remove(&flight->link);
		list_append(&outbox->flights, &flight->link);
		port->ops->send(port, &flight->sending);
		FAULT_POINT("mid_window");
	}
}

/* ---- the ports' answers ---- */

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
	drop_flight(outbox, flight);
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
		end_row(outbox, id, OUTBOX_DELIVERED, remote_id, NULL);
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
		end_row(outbox, id, OUTBOX_REFUSED, NULL, refusal_names[why]);
		metric_add(row.network == NETWORK_XMPP ? METRIC_REFUSED_XMPP : METRIC_REFUSED_MATRIX, 1);
		log_warning(LOG_OUTBOX, "refused %s=%s row=%" PRId64 " why=%s detail=\"%s\"", row.kind == OUTGOING_PRIVATE ? "who" : "lane", row.lane,
				id, refusal_names[why], detail ? detail : "");
		if (row.kind == OUTGOING_MESSAGE && row.inbox_seq)
			refusals_note(outbox->core, row.inbox_seq, row.group, row.lane, why, detail);
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
	struct query query = store_query(outbox->core->store, OUTBOX_LAND);

	query_int(&query, id);
	query_run(&query);
	if (!flight)
		return;
	flight->lane->blocked_until_ms = now_monotonic_ms() + delay_ms;
	land(outbox, id);
}

static void
strike(struct outbox *outbox, int64_t id)
{
	struct query query = store_query(outbox->core->store, OUTBOX_STRIKE);

	query_int(&query, id);
	query_run(&query);
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
		drop_flight(outbox, flight);
	}
	FAULT_POINT("mid_loss");
	land_all(outbox, network);
}

void
outbox_forget(struct outbox *outbox)
{
	struct flight *flight;

	LIST_FOR_EACH(flight, &outbox->flights, struct flight, link)
		drop_flight(outbox, flight);
	outbox->next_due_known = false;
}

void
outbox_land_all(struct outbox *outbox)
{
	land_all(outbox, NETWORK_MATRIX);
	land_all(outbox, NETWORK_XMPP);
}

long
outbox_messages(const struct outbox *outbox)
{
	return outbox->messages;
}

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

bool
outbox_waits(struct outbox *outbox, const char *lane, const char *person)
{
	struct query query = store_query(outbox->core->store, OUTBOX_WAITS);

	query_text(&query, lane);
	query_text(&query, person);
	return query_any(&query);
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
outbox_overflow(struct outbox *outbox, const char *lane)
{
	struct lane *known = find_lane(outbox, lane);
	struct query query = store_query(outbox->core->store, OUTBOX_OVERFLOW);
	char *text = NULL;
	size_t size = 0, n;

	if (!known)
		return false;
	query_text(&query, lane);
	query_int(&query, now_rules_ms());
	if (!query_step(&query)) {
		query_done(&query);
		return false;
	}
	int64_t id = query_get_int(&query, 0);
	AUTO_FREE char *name = xstrdup(query_get_text(&query, 1));
	AUTO_FREE char *author = xstrdup(query_get_text(&query, 3));
	const void *sealed = query_get_blob(&query, 4, &n);
	bool readable = seal_unwrap(outbox->core->seal, sealed, n, &text, &size);
	query_done(&query);
	if (!readable)
		return false;
	/* A name with a line's end in it would put words into others' mouths. */
	char tidy[PEOPLE_NAME_MAX];
	look_tidy(author ? author : "", tidy, sizeof(tidy));
	AUTO_FREE char *said = xasprintf("%s: %s", tidy[0] ? tidy : "?", text);
	mem_free_secret(text, size);
	struct str rendered AUTO_STR;
	unsigned char *payload;
	str_init(&rendered, 1 << 20);
	struct port *port = outbox->core->port[known->network];
	port->ops->render(port, &(struct outgoing){ .kind = OUTGOING_MESSAGE, .name = name, .lane = lane, .text = said }, &rendered);
	seal_wrap(outbox->core->seal, str_get(&rendered), rendered.n, &payload, &n);
	query = store_query(outbox->core->store, OUTBOX_REVOICE);
	query_blob(&query, payload, n);
	query_int(&query, id);
	query_run(&query);
	free(payload);
	known->restless = true;
	return true;
}

void
outbox_rewrite(struct outbox *outbox, int64_t id, const char *payload, size_t size)
{
	struct query query = store_query(outbox->core->store, OUTBOX_REWRITE);
	unsigned char *sealed;
	size_t n;

	seal_wrap(outbox->core->seal, payload, size, &sealed, &n);
	query_blob(&query, sealed, n);
	query_int(&query, id);
	query_run(&query);
	free(sealed);
}

void
outbox_wake(struct outbox *outbox)
{
	struct lane *lane;

	LIST_FOR_EACH(lane, &outbox->lanes, struct lane, link)
		lane->restless = true;
}

void
outbox_look(struct outbox *outbox)
{
	outbox->next_due_known = false;
	outbox_wake(outbox);
}

/* ---- the turn ---- */

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
outbox_next_due(struct outbox *outbox)
{
	return outbox->next_due_known ? outbox->next_due_ms : 0;
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
