/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Acceptance. A row waits (GATED) while its room's gate is closed, so that what the archive still holds can be put
 * before it; every room of a group begins with its gate closed, every other room has none. `place`
 * is the order of judging and only ever grows.
 */
#include "core/inbox_rows.h"

#include "base/fault.h"
#include "base/list.h"
#include "base/log.h"
#include "base/now.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct open_gate {
	struct list link; /* inbox::open */
	char *room;       /* owns */
};

struct inbox {
	struct store *store;
	struct seal *seal;
	struct groups *groups;
	struct list open; /* owns: open_gate::link */
	unsigned openings;
	int64_t place;    /* the last one given */
	int64_t recovered_seq;
	bool full; /* see inbox_has_room() */
	bool stalls;  /* rows may be stalled; false: surely none */
	bool forgets; /* who would call inbox_retry() was lost with the memory of it: all stalled rows are read again */
};

struct inbox *
inbox_open(struct store *store, struct seal *seal, struct groups *groups)
{
	struct inbox *inbox = xcalloc(1, sizeof(*inbox));

	*inbox = (struct inbox){ .store = store, .seal = seal, .groups = groups, .stalls = true, .forgets = true };
	list_init(&inbox->open);
	struct query query = store_query(store, INBOX_LAST_PLACE);
	if (query_step(&query)) {
		inbox->place = query_get_int(&query, 0);
		inbox->recovered_seq = query_get_int(&query, 1);
	}
	query_done(&query);
	return inbox;
}

static struct open_gate *
find_open(struct inbox *inbox, const char *room)
{
	struct open_gate *gate;

	LIST_FOR_EACH(gate, &inbox->open, struct open_gate, link)
		if (strcmp(gate->room, room) == 0)
			return gate;
	return NULL;
}

static void
free_gate(struct open_gate *gate)
{
	list_remove(&gate->link);
	free(gate->room);
	free(gate);
}

void
inbox_set_room(struct inbox *inbox, bool room)
{
	inbox->full = !room;
}

void
inbox_close_all(struct inbox *inbox)
{
	struct open_gate *gate;

	LIST_FOR_EACH(gate, &inbox->open, struct open_gate, link)
		free_gate(gate);
	inbox->stalls = inbox->forgets = true;
}

void
inbox_close(struct inbox *inbox)
{
	if (!inbox)
		return;
	inbox_close_all(inbox);
	free(inbox);
}

bool
inbox_gate_closed(struct inbox *inbox, const char *room)
{
	return !find_open(inbox, room) && groups_of_room(inbox->groups, room);
}

bool
inbox_is_behind(struct inbox *inbox, const struct group *group, enum network network)
{
	const char *room = group->room[network];

	return *room ? inbox_gate_closed(inbox, room) : groups_lacks_room(group, network);
}

unsigned
inbox_openings(const struct inbox *inbox)
{
	return inbox->openings;
}

void
inbox_close_gate(struct inbox *inbox, const char *room)
{
	struct open_gate *gate = find_open(inbox, room);

	if (gate)
		free_gate(gate);
}

static void
add_row(struct inbox *inbox, enum network network, const char *room, const char *source_id, const void *sealed, size_t size,
		enum inbox_state state, enum inbox_fate fate)
{
	struct query query = store_query(inbox->store, INBOX_ADD);
	query_int(&query, network);
	query_text(&query, room);
	query_text(&query, source_id);
	query_int(&query, ++inbox->place);
	query_blob(&query, sealed, size);
	query_int(&query, now_rules_ms());
	query_int(&query, state);
	query_int(&query, fate);
	query_run(&query);
}

bool
inbox_has_room(const struct inbox *inbox)
{
	return !inbox->full;
}

void
inbox_note(struct inbox *inbox, enum network network, const char *room, const char *source_id)
{
	add_row(inbox, network, room, source_id, NULL, 0, INBOX_DONE_STATE, FATE_IGNORED);
}

/* ---- rows that cannot be read yet ---- */

/*
 * They keep their places, so a room's order is the same when they are read again. Whether any are stalled is asked of the database
 * only while that may be so.
 */
static bool
is_stalled(struct inbox *inbox, const char *room)
{
	if (!inbox->stalls)
		return false;
	struct query query = store_query(inbox->store, INBOX_STALLED_IN);
	query_text(&query, room);
	return query_any(&query);
}

/* All rows of a room from one state into another; room NULL: of every room. */
static void
shift(struct inbox *inbox, const char *room, enum inbox_state from)
{
	struct query query = store_query(inbox->store, from == INBOX_NEW ? INBOX_STALL : INBOX_RETRY);

	query_text(&query, room);
	query_run(&query);
}

static void
look_for_stalls(struct inbox *inbox)
{
	struct query query = store_query(inbox->store, INBOX_STALLED_ANY);

	inbox->stalls = query_any(&query);
}

void
inbox_stall(struct inbox *inbox, const struct inbox_row *row)
{
	inbox->stalls = true;
	shift(inbox, row->room, INBOX_NEW);
}

void
inbox_retry(struct inbox *inbox, const char *room)
{
	if (!inbox->stalls)
		return;
	shift(inbox, room, INBOX_STALLED);
	look_for_stalls(inbox);
}

static void
retry_all(struct inbox *inbox)
{
	struct query query = store_query(inbox->store, INBOX_RETRY_ALL);

	query_run(&query);
	inbox->forgets = inbox->stalls = false;
}

void
inbox_put_aside(struct inbox *inbox, const struct inbox_row *row)
{
	store_run_for(inbox->store, INBOX_SET_ASIDE, row->seq);
}

void
inbox_retry_aside(struct inbox *inbox, const char *room, const char *source_id)
{
	struct query query = store_query(inbox->store, INBOX_RETRY_ASIDE);

	query_text(&query, room);
	query_text(&query, source_id);
	query_run(&query);
}

void
inbox_replace(struct inbox *inbox, int64_t seq, const void *raw, size_t size)
{
	unsigned char *sealed;
	size_t sealed_size;

	seal_wrap(inbox->seal, raw, size, &sealed, &sealed_size);
	struct query query = store_query(inbox->store, INBOX_REPLACE);
	query_blob(&query, sealed, sealed_size);
	query_int(&query, seq);
	query_run(&query);
	free(sealed);
}

/* ---- acceptance ---- */

static enum inbox_state
state_of_new(struct inbox *inbox, const char *room)
{
	return inbox_gate_closed(inbox, room) ? INBOX_GATED : is_stalled(inbox, room) ? INBOX_STALLED : INBOX_NEW;
}

int
inbox_accept(struct inbox *inbox, enum network network, const char *room, const char *source_id, const void *raw, size_t size)
{
	unsigned char *sealed;
	size_t sealed_size;

	seal_wrap(inbox->seal, raw, size, &sealed, &sealed_size);
	add_row(inbox, network, room, source_id, sealed, sealed_size, state_of_new(inbox, room), FATE_OPEN);
	free(sealed);
	FAULT_POINT("mid_acceptance");
	if (store_failed(inbox->store))
		return -EIO;
	return store_changes(inbox->store) ? 0 : INBOX_E_KNOWN;
}

bool
inbox_knows(struct inbox *inbox, const char *room, const char *source_id)
{
	struct query query = store_query(inbox->store, INBOX_KNOWS);

	query_text(&query, room);
	query_text(&query, source_id);
	return query_any(&query);
}

bool
inbox_cursor(struct inbox *inbox, const char *room, char *id, size_t size, int64_t *at_ms)
{
	struct query query = store_query(inbox->store, ROOM_CURSOR);

	query_text(&query, room);
	bool found = query_step(&query);
	if (found) {
		snprintf(id, size, "%s", query_get_text(&query, 0));
		*at_ms = query_get_int(&query, 1);
	}
	query_done(&query);
	return found;
}

static void
write_cursor(struct inbox *inbox, enum network network, const char *room, const char *id, int64_t at_ms)
{
	struct query query = store_query(inbox->store, ROOM_MOVE);

	query_text(&query, room);
	query_int(&query, network);
	query_text(&query, id);
	query_int(&query, at_ms);
	query_run(&query);
}

void
inbox_move_cursor(struct inbox *inbox, enum network network, const char *room, const char *id, int64_t at_ms)
{
	char known[8];
	int64_t known_ms;

	if (inbox_gate_closed(inbox, room) && inbox_cursor(inbox, room, known, sizeof(known), &known_ms))
		return;
	write_cursor(inbox, network, room, id, at_ms);
}

static void
place_row(struct inbox *inbox, const char *room, const char *source_id)
{
	struct query query = store_query(inbox->store, INBOX_PLACE);

	query_int(&query, ++inbox->place);
	query_text(&query, room);
	query_text(&query, source_id);
	query_run(&query);
}

/* The waiting rows that the archive did not name keep the order in which they came. */
static void
place_rest(struct inbox *inbox, const char *room)
{
	for (;;) {
		struct query query = store_query(inbox->store, INBOX_GATED_NEXT);
		query_text(&query, room);
		int64_t seq = query_number(&query);
		if (!seq)
			break;
		query = store_query(inbox->store, INBOX_UNGATE);
		query_int(&query, ++inbox->place);
		query_int(&query, seq);
		query_run(&query);
		if (store_failed(inbox->store))
			return;
	}
	if (is_stalled(inbox, room)) /* those stand in front */
		shift(inbox, room, INBOX_NEW);
}

void
inbox_ungate(struct inbox *inbox, const char *room)
{
	place_rest(inbox, room);
}

void
inbox_open_gate(struct inbox *inbox, const char *room, const char *const *ids, size_t count, const char *last_id, int64_t last_ms)
{
	const struct group *group = groups_of_room(inbox->groups, room);

	if (!group || find_open(inbox, room))
		return;
	for (size_t i = 0; i < count; i++)
		place_row(inbox, room, ids[i]);
	place_rest(inbox, room);
	FAULT_POINT("mid_gate");
	if (last_id)
		write_cursor(inbox, group->room[NETWORK_XMPP] && strcmp(group->room[NETWORK_XMPP], room) == 0, room, last_id, last_ms);
	struct open_gate *gate = xcalloc(1, sizeof(*gate));
	gate->room = xstrdup(room);
	list_append(&inbox->open, &gate->link);
	inbox->openings++;
}

void
inbox_quarantine(struct inbox *inbox, enum network network, const char *room, const char *source_id, const void *raw, size_t size,
		const char *reason)
{
	unsigned char *sealed;
	size_t sealed_size;

	seal_wrap(inbox->seal, raw, size, &sealed, &sealed_size);
	struct query query = store_query(inbox->store, QUARANTINE_ADD);
	query_int(&query, now_real_ms());
	query_int(&query, network);
	query_text(&query, room);
	query_text(&query, source_id);
	query_text(&query, reason);
	query_blob(&query, sealed, sealed_size);
	query_run(&query);
	free(sealed);
	log_warning(LOG_RELAY, "quarantined room=%s id=%s size=%zu reason=\"%s\"", room, source_id, size, reason);
}

static bool
read_row(struct inbox *inbox, struct query *query, struct inbox_row *row)
{
	if (!query_step(query))
		return false;
	size_t n;
	row->seq = query_get_int(query, 0);
	row->network = query_get_int(query, 1) == NETWORK_XMPP ? NETWORK_XMPP : NETWORK_MATRIX;
	row->room = xstrdup(query_get_text(query, 2));
	row->source_id = xstrdup(query_get_text(query, 3));
	const void *sealed = query_get_blob(query, 4, &n);
	if (!seal_unwrap(inbox->seal, sealed, n, &row->raw, &row->size))
		row->raw = NULL;
	row->received_ms = query_get_int(query, 5);
	row->attempts = (int)query_get_int(query, 6);
	row->recovered = row->seq <= inbox->recovered_seq;
	return true;
}

bool
inbox_next(struct inbox *inbox, struct inbox_row *row)
{
	if (inbox->forgets)
		retry_all(inbox);
	struct query query = store_query(inbox->store, INBOX_NEXT);
	bool found = read_row(inbox, &query, row);

	query_done(&query);
	return found;
}

bool
inbox_get(struct inbox *inbox, int64_t seq, struct inbox_row *row)
{
	struct query query = store_query(inbox->store, INBOX_GET);

	query_int(&query, seq);
	bool found = read_row(inbox, &query, row);
	query_done(&query);
	return found;
}

void
inbox_row_fini(struct inbox_row *row)
{
	free(row->room);
	free(row->source_id);
	mem_free_secret(row->raw, row->size);
	*row = (struct inbox_row){ 0 };
}

void
inbox_attempt(struct inbox *inbox, int64_t seq)
{
	store_run_for(inbox->store, INBOX_ATTEMPT, seq);
}

void
inbox_finish(struct inbox *inbox, int64_t seq, const struct inbox_end *end)
{
	struct query query = store_query(inbox->store, INBOX_DONE);

	query_int(&query, seq);
	query_int(&query, end->state);
	query_int(&query, end->keep_raw);
	query_text(&query, end->reason);
	query_int(&query, end->fate);
	query_int(&query, end->copies);
	query_run(&query);
}

void
inbox_erase(struct inbox *inbox, int64_t seq)
{
	store_run_for(inbox->store, INBOX_ERASE, seq);
}

int64_t
inbox_seq(struct inbox *inbox, const char *room, const char *source_id)
{
	struct query query = store_query(inbox->store, INBOX_SEQ);

	query_text(&query, room);
	query_text(&query, source_id);
	return query_number(&query);
}

void
inbox_expelled(struct inbox *inbox, const char *room, const char *person)
{
	const struct group *group = groups_of_room(inbox->groups, room);

	if (!group || !*group->name)
		return;
	/* A code that he could still redeem, too. */
	struct query query = store_query(inbox->store, LINK_VOID);
	query_text(&query, person);
	query_text(&query, group->name);
	query_run(&query);
	query = store_query(inbox->store, SUBSCRIPTION_END);
	query_text(&query, person);
	query_text(&query, group->name);
	query_run(&query);
	if (store_changes(inbox->store) > 0)
		log_notice(LOG_RELAY, "digests ended: no longer admitted group=%s room=%s person=%s", group->name, room, person);
}
