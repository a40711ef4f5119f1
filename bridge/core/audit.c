/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two readings, one of each port, then three questions of each direction: was what they said accepted, is what we delivered
 * there, and is it there once and in order. A message that was said while the audit ran is left out: the archives were not read at
 * the same moment.
 */
#include "core/audit.h"

#include "base/now.h"
#include "core/inbox_rows.h"
#include "core/outbox_rows.h"

#include <stdlib.h>
#include <string.h>

#define RECENT_MS 10000

struct entry {
	char *id, *name; /* owns; name "" for others' */
	int64_t at_ms;
	bool own, missing;
};

struct side {
	struct audit *audit;
	struct archive_reader reader;
	struct entry *entries; /* owns, oldest first after the reading */
	size_t count, room;
	size_t *by_id;         /* owns: own entries, sorted by id */
	size_t own_count;
	bool read;
};

struct audit {
	struct core *core;
	const struct group *group;
	int64_t until_ms;
	bool repair;
	bool beginning; /* within audit_begin() */
	struct side side[2]; /* by network */
	struct audit_report report;
	void (*done)(void *context, const struct audit_report *report);
	void *context;
};

static void
note(struct audit_list *list, const char *id)
{
	if (list->count < AUDIT_IDS_MAX)
		list->ids[list->count] = xstrdup(id);
	list->count++;
}

static void
free_list(struct audit_list *list)
{
	for (size_t i = 0; i < list->count && i < AUDIT_IDS_MAX; i++)
		free(list->ids[i]);
}

void
audit_end(struct audit *audit)
{
	if (!audit)
		return;
	for (int network = 0; network < 2; network++) {
		struct side *side = &audit->side[network];
		struct audit_direction *direction = &audit->report.to[network];
		for (size_t i = 0; i < side->count; i++) {
			free(side->entries[i].id);
			free(side->entries[i].name);
		}
		free(side->entries);
		free(side->by_id);
		free_list(&direction->missing);
		free_list(&direction->lost);
		free_list(&direction->duplicated);
		free_list(&direction->disordered);
	}
	free(audit);
}

/* ---- the other archive ---- */

static int
compare_ids(const void *a, const void *b, void *context)
{
	const struct entry *entries = context;

	return strcmp(entries[*(const size_t *)a].id, entries[*(const size_t *)b].id);
}

static void
index_own(struct side *side)
{
	side->by_id = xcalloc(side->count + 1, sizeof(*side->by_id));
	for (size_t i = 0; i < side->count; i++)
		if (side->entries[i].own)
			side->by_id[side->own_count++] = i;
	qsort_r(side->by_id, side->own_count, sizeof(*side->by_id), compare_ids, side->entries);
}

static bool
has_own(const struct side *side, const char *id)
{
	size_t low = 0, high = side->own_count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = strcmp(side->entries[side->by_id[middle]].id, id);
		if (order == 0)
			return true;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

/* ---- what they said ---- */

enum copies { COPIES_NONE, COPIES_THERE, COPIES_WAIT, COPIES_REFUSED, COPIES_LOST };

/* What became of a message's rows for the other room: the worst of them. */
static enum copies
look_at_copies(struct audit *audit, int64_t seq, const char *lane, const struct side *there)
{
	struct query query = store_query(audit->core->store, AUDIT_COPIES);
	enum copies worst = COPIES_NONE;

	query_int(&query, seq);
	query_text(&query, lane);
	while (query_step(&query)) {
		int64_t state = query_get_int(&query, 0);
		const char *id = query_get_text(&query, 1);
		enum copies one = state == OUTBOX_REFUSED ? COPIES_REFUSED : state != OUTBOX_DELIVERED ? COPIES_WAIT :
			!id || !*id || has_own(there, id) ? COPIES_THERE : COPIES_LOST;
		if (one > worst)
			worst = one;
	}
	query_done(&query);
	return worst;
}

static void
judge_said(struct audit *audit, const struct entry *entry, const char *room, const char *lane, const struct side *there,
		struct audit_direction *to)
{
	int64_t seq = inbox_seq(audit->core->inbox, room, entry->id);

	to->messages++;
	if (entry->at_ms > audit->until_ms) {
		to->recent++;
		return;
	}
	if (entry->missing || !seq) {
		note(&to->missing, entry->id);
		return;
	}
	switch (look_at_copies(audit, seq, lane, there)) {
	case COPIES_THERE:
		to->crossed++;
		break;
	case COPIES_WAIT:
		to->waiting++;
		break;
	case COPIES_LOST:
		note(&to->lost, entry->id);
		break;
	case COPIES_NONE:
	case COPIES_REFUSED:
		to->ended++;
		break;
	}
}

/* ---- what we said ---- */

static int
compare_names(const void *a, const void *b, void *context)
{
	const struct entry *entries = context;
	size_t left = *(const size_t *)a, right = *(const size_t *)b;
	int order = strcmp(entries[left].name, entries[right].name);

	return order ? order : left < right ? -1 : 1;
}

/* A name that is there more than once: every time but the first. */
static void
find_duplicates(struct side *there, struct audit_direction *to)
{
	size_t *order = xcalloc(there->own_count + 1, sizeof(*order)), count = 0;

	for (size_t i = 0; i < there->count; i++)
		if (there->entries[i].own && there->entries[i].name[0])
			order[count++] = i;
	qsort_r(order, count, sizeof(*order), compare_names, there->entries);
	for (size_t i = 1; i < count; i++)
		if (strcmp(there->entries[order[i - 1]].name, there->entries[order[i]].name) == 0)
			note(&to->duplicated, there->entries[order[i]].id);
	free(order);
}

/* Messages that no rule delayed must be in the order in which they were judged. */
static void
find_disorder(struct audit *audit, const struct side *there, const char *lane, struct audit_direction *to)
{
	int64_t newest = 0;

	for (size_t i = 0; i < there->count; i++) {
		const struct entry *entry = &there->entries[i];
		if (!entry->own || !entry->name[0])
			continue;
		struct query query = store_query(audit->core->store, AUDIT_PLACE);
		query_text(&query, entry->name);
		query_text(&query, lane);
		bool known = query_step(&query);
		int64_t place = known ? query_get_int(&query, 0) : 0;
		bool counts = known && query_get_int(&query, 1);
		query_done(&query);
		to->unknown += !known;
		if (counts && place < newest)
			note(&to->disordered, entry->id);
		else if (counts)
			newest = place;
	}
}

static void
judge_direction(struct audit *audit, enum network from)
{
	enum network to = from == NETWORK_MATRIX ? NETWORK_XMPP : NETWORK_MATRIX;
	struct side *here = &audit->side[from], *there = &audit->side[to];
	const char *room = audit->group->room[from], *lane = audit->group->room[to];
	struct audit_direction *direction = &audit->report.to[to];

	for (size_t i = 0; i < here->count; i++)
		if (!here->entries[i].own)
			judge_said(audit, &here->entries[i], room, lane, there, direction);
	find_duplicates(there, direction);
	find_disorder(audit, there, lane, direction);
}

/* ---- the readings ---- */

static void
each(void *context, const struct archived *archived)
{
	struct side *side = context;

	if (side->count == AUDIT_MESSAGES_MAX)
		return;
	if (side->count == side->room) {
		side->room = side->room ? 2 * side->room : 256;
		side->entries = xrealloc(side->entries, side->room * sizeof(*side->entries));
	}
	side->entries[side->count++] = (struct entry){
		xstrdup(archived->id), xstrdup(archived->name), archived->at_ms, archived->own, archived->missing,
	};
}

static void
finish(struct audit *audit)
{
	if (!audit->report.failure) {
		index_own(&audit->side[NETWORK_MATRIX]);
		index_own(&audit->side[NETWORK_XMPP]);
		judge_direction(audit, NETWORK_MATRIX);
		judge_direction(audit, NETWORK_XMPP);
		audit->report.repaired = audit->repair;
	}
	audit->done(audit->context, &audit->report);
}

static void
done(void *context, const char *failure)
{
	struct side *side = context;
	struct audit *audit = side->audit;

	side->read = true;
	if (failure)
		audit->report.failure = failure;
	if (side->count == AUDIT_MESSAGES_MAX)
		audit->report.failure = "too many messages: ask for less time with --since";
	if (audit->side[NETWORK_MATRIX].read && audit->side[NETWORK_XMPP].read && !audit->beginning)
		finish(audit);
}

struct audit *
audit_begin(struct core *core, const struct group *group, int64_t since_ms, bool repair,
		void (*done_all)(void *context, const struct audit_report *report), void *context, const char **why)
{
	struct audit *audit;

	*why = "the group has not two rooms";
	for (int network = 0; network < 2; network++)
		if (!group->room[network][0] || !core->port[network] || !core->port[network]->ops->read_archive)
			return NULL;
	audit = xcalloc(1, sizeof(*audit));
	*audit = (struct audit){ .core = core, .group = group, .repair = repair, .done = done_all, .context = context, .beginning = true };
	audit->until_ms = now_real_ms() - RECENT_MS;
	for (int network = 0; network < 2; network++) {
		struct side *side = &audit->side[network];
		side->audit = audit;
		side->reader = (struct archive_reader){ .since_ms = since_ms, .repair = repair, .each = each, .done = done, .context = side };
	}
	for (int network = 0; network < 2; network++)
		core->port[network]->ops->read_archive(core->port[network], group->room[network], &audit->side[network].reader);
	audit->beginning = false;
	if (!audit->side[NETWORK_MATRIX].read || !audit->side[NETWORK_XMPP].read)
		return audit;
	*why = audit->report.failure; /* neither could even be begun */
	audit_end(audit);
	return NULL;
}
