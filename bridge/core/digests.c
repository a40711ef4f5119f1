/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A digest is frozen in one transaction: its key (for ever), its text, and the outbox row that carries it. From then
 * on it is an ordinary row, so a crash before sends nothing and a crash after sends the same bytes. Windows
 * are cut by the instant from which an item counts: (previous slot - settle, slot - settle].
 */
#include "core/digests.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/now.h"
#include "base/text.h"
#include "core/outbox_rows.h"
#include "core/speech.h"
#include "rules/digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LATE_MS (4 * 3600 * 1000)              /* later than that it waits for the next slot: etiquette 8.10 */
#define HOUR_MS (3600 * 1000)
#define KEEP_MS ((int64_t)7 * 24 * HOUR_MS)    /* decisions 1.6 */

struct digests {
	struct core *core;
	int64_t next_ms;     /* the earliest slot; INT64_MAX: none */
	int64_t since_ms;    /* the latest slot that any subscriber has behind him */
	int64_t erased_hour; /* when texts were last erased; 0: it is time to */
	bool planned;
	bool behind;         /* somebody's room is not read up to now: he waits for a gate to open */
	unsigned openings;   /* those that were seen */
};

struct subscriber {
	char *person, *group, *lane; /* owned by the array */
	enum network network;
	int64_t after_seq, since_ms;
};

struct digests *
digests_open(struct core *core)
{
	struct digests *digests = xcalloc(1, sizeof(*digests));
	struct query query = store_query(core->store, SUBSCRIPTION_LATEST);

	digests->core = core;
	digests->since_ms = query_number(&query);
	return digests;
}

void
digests_close(struct digests *digests)
{
	free(digests);
}

void
digests_plan(struct digests *digests)
{
	digests->planned = false;
}

bool
digests_wanted(struct digests *digests, const struct group *group)
{
	struct query query = store_query(digests->core->store, SUBSCRIPTION_ANY);

	query_text(&query, group->name);
	return query_any(&query);
}

static void
note_slot(struct digests *digests, int64_t since_ms)
{
	if (since_ms > digests->since_ms)
		digests->since_ms = since_ms;
}

/* Windows that were cut stay so when the clock is set back: what comes now belongs into one that is still to come. */
static int64_t
countable(const struct digests *digests, int64_t due_ms)
{
	int64_t first_ms = digests->since_ms - RULES_SETTLE_MS + 1;

	return due_ms < first_ms ? first_ms : due_ms;
}

static int64_t
last_item(struct core *core)
{
	struct query query = store_query(core->store, ITEM_LAST);

	return query_number(&query);
}

void
digests_subscribe(struct digests *digests, const struct group *group, const char *person, enum network network, const char *lane,
		int64_t now_ms)
{
	struct query query = store_query(digests->core->store, SUBSCRIPTION_SET);

	query_text(&query, person);
	query_text(&query, group->name);
	query_int(&query, network);
	query_text(&query, lane);
	query_int(&query, last_item(digests->core));
	query_int(&query, now_ms);
	query_run(&query);
	note_slot(digests, now_ms);
	digests_plan(digests);
}

bool
digests_subscribed(struct digests *digests, const struct group *group, const char *person)
{
	struct query query = store_query(digests->core->store, SUBSCRIPTION_GET);

	query_text(&query, person);
	query_text(&query, group->name);
	return query_any(&query);
}

/* The rooms that a rule's digest is for are subscribers from the first such message on. */
static void
subscribe_rooms(struct digests *digests, const struct group *group, unsigned rooms, int64_t now_ms)
{
	for (int network = NETWORK_MATRIX; network <= NETWORK_XMPP; network++)
		if (rooms & 1u << network && *group->room[network])
			digests_subscribe(digests, group, group->room[network], (enum network)network, group->room[network], now_ms);
}

void
digests_note(struct digests *digests, struct group *group, const struct inbox_row *row, const struct incoming *in, const char *text,
		int64_t due_ms, unsigned rooms)
{
	struct core *core = digests->core;
	unsigned char *body;
	size_t size;

	subscribe_rooms(digests, group, rooms, row->received_ms);
	seal_wrap(core->seal, text, strlen(text), &body, &size);
	struct query query = store_query(core->store, ITEM_ADD);
	query_text(&query, group->name);
	query_int(&query, row->seq);
	query_text(&query, in->author.person);
	query_text(&query, in->author.name);
	query_blob(&query, body, size);
	query_int(&query, row->received_ms);
	query_int(&query, countable(digests, rooms ? row->received_ms : due_ms));
	query_int(&query, rooms);
	query_run(&query);
	free(body);
}

void
digests_replan(struct digests *digests, const struct group *group, int64_t inbox_seq, int64_t due_ms)
{
	struct query query = store_query(digests->core->store, ITEM_REPLAN);

	query_int(&query, countable(digests, due_ms));
	query_int(&query, inbox_seq);
	query_text(&query, group->name);
	query_run(&query);
}

/* ---- building one ---- */

struct gathered {
	struct digest_item *items; /* owned, with their texts */
	size_t count, older;       /* older: messages whose text is erased */
	int64_t first_ms, from_seq, to_seq;
};

static void
gathered_fini(struct gathered *gathered)
{
	for (size_t i = 0; i < gathered->count; i++) {
		union {
			const char *in;
			char *out;
		} author = { gathered->items[i].author }, text = { gathered->items[i].text };
		free(author.out);
		mem_free_secret(text.out, text.out ? strlen(text.out) : 0);
	}
	free(gathered->items);
}

static void
gather_text(struct core *core, struct query *query, const void *sealed, size_t n, struct gathered *out)
{
	size_t size;
	char *text = NULL;

	if (!seal_unwrap(core->seal, sealed, n, &text, &size))
		text = NULL;
	out->items = xrealloc(out->items, (out->count + 1) * sizeof(*out->items));
	out->items[out->count++] = (struct digest_item){
		.seq = query_get_int(query, 0), .at_ms = query_get_int(query, 5), .author = xstrdup(query_get_text(query, 3)), .text = text,
	};
}

/* What is too old to have a text is counted: a long pause may hold thousands of them. */
static void
gather_item(struct core *core, struct query *query, struct gathered *out)
{
	size_t n;
	const void *sealed = query_get_blob(query, 4, &n);

	if (sealed)
		gather_text(core, query, sealed, n, out);
	else
		out->older++;
	if (!out->from_seq) {
		out->from_seq = query_get_int(query, 0);
		out->first_ms = query_get_int(query, 5);
	}
	out->to_seq = query_get_int(query, 0);
}

/* A room gets only what rules batched for it (room_digest has the bit of its network), a member everything but his own. */
static void
gather(struct core *core, const struct subscriber *subscriber, bool is_room, int64_t until_ms, struct gathered *out)
{
	struct query query = store_query(core->store, ITEM_RANGE);

	query_text(&query, subscriber->group);
	query_int(&query, subscriber->after_seq);
	query_int(&query, subscriber->since_ms - RULES_SETTLE_MS);
	query_int(&query, until_ms);
	query_int(&query, is_room ? 1 << subscriber->network : 0);
	query_text(&query, subscriber->person);
	while (query_step(&query))
		gather_item(core, &query, out);
	query_done(&query);
}

static bool
record(struct core *core, const struct subscriber *subscriber, const char *slot, const struct gathered *gathered, int64_t now_ms)
{
	struct query query = store_query(core->store, DIGEST_ADD);

	query_text(&query, subscriber->person);
	query_text(&query, subscriber->group);
	query_text(&query, slot);
	query_int(&query, gathered->from_seq);
	query_int(&query, gathered->to_seq);
	query_int(&query, (int64_t)(gathered->count + gathered->older));
	query_int(&query, now_ms);
	query_run(&query);
	return store_changes(core->store) > 0;
}

static void
post(struct core *core, const struct subscriber *subscriber, bool is_room, const char *slot, const struct digest_text *text, int64_t now_ms)
{
	const char *source[] = { "digest", subscriber->person, subscriber->group, slot, NULL };

	for (size_t i = 0; i < text->count; i++) {
		struct outbox_draft draft = {
			.outgoing = {
				.kind = is_room ? OUTGOING_ROOM : OUTGOING_PRIVATE, .lane = subscriber->lane, .text = text->part[i].plain,
				.html = text->part[i].html,
			},
			.network = subscriber->network, .group = subscriber->group, .source = source, .part = (int)i, .due_ms = now_ms,
		};
		outbox_add(core->outbox, &draft);
	}
}

/* False when this slot was had before, by its local date and label: what has gathered waits for the next one. */
static bool
freeze(struct core *core, struct group *group, const struct subscriber *subscriber, const char *slot, int64_t slot_ms, int64_t until_ms,
		int64_t now_ms)
{
	bool is_room = strcmp(subscriber->person, subscriber->lane) == 0 && groups_of_room(&core->groups, subscriber->person);
	const char *language = core_language(core, group);
	struct rules_speech speech = speech_in(language);
	struct gathered gathered = { 0 };
	struct digest_text text = { 0 };

	gather(core, subscriber, is_room, until_ms, &gathered);
	AUTO_FREE char *footer = is_room ? NULL : xstrdup(text_in(language, "To read everything at once again: !mode live"));
	struct digest digest = {
		.group = group->name, .from_ms = gathered.first_ms, .to_ms = until_ms, .items = gathered.items, .count = gathered.count,
		.older = gathered.older, .footer = footer,
	};
	bool fresh = record(core, subscriber, slot, &gathered, now_ms);
	if (fresh && gathered.count + gathered.older && digest_build(speech_rules(group), &digest, &speech, &text) == 0) {
		FAULT_POINT("mid_digest");
		post(core, subscriber, is_room, slot, &text, now_ms);
		digest_text_fini(&text);
	}
	core->digests->erased_hour = 0;
	log_info(LOG_RELAY, "digest group=%s slot=%s messages=%zu without_text=%zu late_ms=%" PRId64 "%s", group->name, slot,
			gathered.count + gathered.older, gathered.older, now_ms - slot_ms, fresh ? "" : " had before");
	gathered_fini(&gathered);
	return fresh;
}

static void
move_subscription(struct digests *digests, const struct subscriber *subscriber, int64_t since_ms)
{
	struct query query = store_query(digests->core->store, SUBSCRIPTION_MOVE);

	query_int(&query, since_ms);
	query_text(&query, subscriber->person);
	query_text(&query, subscriber->group);
	query_run(&query);
	note_slot(digests, since_ms);
}

static void
end_subscription(struct core *core, const char *person, const char *group)
{
	struct query query = store_query(core->store, SUBSCRIPTION_END);

	query_text(&query, person);
	query_text(&query, group);
	query_run(&query);
}

bool
digests_unsubscribe(struct digests *digests, struct group *group, const char *person, int64_t now_ms)
{
	struct core *core = digests->core;
	struct query query = store_query(core->store, SUBSCRIPTION_GET);
	struct subscriber subscriber = { 0 };
	char slot[40];

	query_text(&query, person);
	query_text(&query, group->name);
	bool found = query_step(&query);
	if (found) {
		subscriber = (struct subscriber){
			.person = xstrdup(query_get_text(&query, 4)), .group = xstrdup(group->name), .lane = xstrdup(query_get_text(&query, 1)),
			.network = query_get_int(&query, 0) == NETWORK_XMPP ? NETWORK_XMPP : NETWORK_MATRIX,
			.after_seq = query_get_int(&query, 2), .since_ms = query_get_int(&query, 3),
		};
	}
	query_done(&query);
	if (!found)
		return false;
	snprintf(slot, sizeof(slot), "last/%" PRId64, now_ms);
	if (!group->stopped)
		freeze(core, group, &subscriber, slot, now_ms, now_ms, now_ms);
	end_subscription(core, person, group->name);
	digests_plan(digests);
	free(subscriber.person);
	free(subscriber.group);
	free(subscriber.lane);
	return true;
}

/* ---- the clock ---- */

static struct subscriber *
read_subscribers(struct core *core, size_t *count)
{
	struct query query = store_query(core->store, SUBSCRIPTION_ALL);
	struct subscriber *all = NULL;

	*count = 0;
	while (query_step(&query)) {
		all = xrealloc(all, (*count + 1) * sizeof(*all));
		all[(*count)++] = (struct subscriber){
			.person = xstrdup(query_get_text(&query, 0)), .group = xstrdup(query_get_text(&query, 1)),
			.network = query_get_int(&query, 2) == NETWORK_XMPP ? NETWORK_XMPP : NETWORK_MATRIX,
			.lane = xstrdup(query_get_text(&query, 3)), .after_seq = query_get_int(&query, 4), .since_ms = query_get_int(&query, 5),
		};
	}
	query_done(&query);
	return all;
}

static void
free_subscribers(struct subscriber *all, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(all[i].person);
		free(all[i].group);
		free(all[i].lane);
	}
	free(all);
}

/*
 * The last slot that has come since the subscriber's previous one; several missed ones become one. When it is very late the digest
 * waits for the next slot with everything in it. Returns the next slot that has not come.
 */
static int64_t
serve(struct digests *digests, struct group *group, const struct subscriber *subscriber, int64_t now_ms)
{
	const struct rules *rules = speech_rules(group);
	char key[32], next_key[32];
	int64_t slot_ms = 0, next_ms = rules_next_slot(rules, subscriber->since_ms, next_key, sizeof(next_key));

	for (int i = 0; next_ms <= now_ms && i < 5000; i++) {
		slot_ms = next_ms;
		memcpy(key, next_key, sizeof(key));
		next_ms = rules_next_slot(rules, slot_ms, next_key, sizeof(next_key));
	}
	if (!slot_ms || now_ms - slot_ms > LATE_MS)
		return next_ms;
	if (freeze(digests->core, group, subscriber, key, slot_ms, slot_ms - RULES_SETTLE_MS, now_ms))
		move_subscription(digests, subscriber, slot_ms);
	return next_ms;
}

/*
 * Text is kept at most seven days, and not after the last window that needs it. The row stays until that window has come,
 * however long the group is closed or stopped: its reader is owed the number. Of every group, those that are gone included.
 */
static void
erase_read(struct digests *digests, int64_t now_ms)
{
	store_run_for(digests->core->store, ITEM_FORGET, now_ms - KEEP_MS);
	store_run_for(digests->core->store, ITEM_DROP, RULES_SETTLE_MS);
	digests->erased_hour = now_ms / HOUR_MS;
}

/*
 * While nothing may cross, nothing may in a digest: what was missed comes with the next one. And while the room that he
 * subscribed from is not read up to now, he may have been banned from it.
 */
static bool
may_serve(struct digests *digests, const struct group *group, const struct subscriber *subscriber)
{
	bool behind = inbox_is_behind(digests->core->inbox, group, subscriber->network);

	digests->behind = digests->behind || behind;
	return !group->stopped && !behind;
}

static void
serve_all(struct digests *digests, int64_t now_ms)
{
	size_t count;
	struct subscriber *all = read_subscribers(digests->core, &count);

	digests->next_ms = INT64_MAX;
	digests->behind = false;
	digests->openings = inbox_openings(digests->core->inbox);
	for (size_t i = 0; i < count; i++) {
		struct group *group = groups_find(&digests->core->groups, all[i].group);
		int64_t next_ms = group && may_serve(digests, group, &all[i]) ? serve(digests, group, &all[i], now_ms) : INT64_MAX;
		if (next_ms < digests->next_ms)
			digests->next_ms = next_ms;
	}
	digests->planned = true;
	free_subscribers(all, count);
}

void
digests_work(struct digests *digests, int64_t now_ms)
{
	if (digests->behind && digests->openings != inbox_openings(digests->core->inbox))
		digests_plan(digests);
	if (!digests->planned || now_ms >= digests->next_ms)
		serve_all(digests, now_ms);
	if (digests->erased_hour != now_ms / HOUR_MS)
		erase_read(digests, now_ms);
}

int64_t
digests_next_due(const struct digests *digests)
{
	return digests->planned ? digests->next_ms : 0;
}
