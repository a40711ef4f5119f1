/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The archive is read backwards, from now until the cursor is met and a little beyond; only then is anything accepted. A gap of
 * any length is read to its end (within PAGES_MAX), or its older half would come last, or never.
 */
#include "matrix/gap.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/now.h"
#include "matrix/event.h"
#include "matrix/intake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_EVENTS 50
#define PAGE_LIMIT "50"
#define PAGES_MAX 200 /* 10,000 events */
#define OVERLAP 40    /* events read beyond the cursor; less than PAGE_EVENTS */
#define OVERTAKEN_MS 100 /* two sends at the same moment may change places: nobody minds */

/* An event of the archive. */
struct found {
	struct list link; /* gap::found */
	char *id, *raw;   /* raw with its mark */
	bool home;        /* its stamp is our homeserver's */
	size_t size;
	int64_t stamp_ms;
	bool own;
};

void
gap_init(struct gap *gap, struct matrix *matrix)
{
	*gap = (struct gap){ .matrix = matrix };
	list_init(&gap->found);
}

void
gap_forget(struct gap *gap)
{
	struct found *found;

	LIST_FOR_EACH(found, &gap->found, struct found, link) {
		list_remove(&found->link);
		mem_free_secret(found->raw, found->size);
		free(found->id);
		free(found);
	}
	free(gap->from);
	int64_t newest_ms = gap->newest_ms;
	bool recalled = gap->recalled;

	gap_init(gap, gap->matrix);
	gap->newest_ms = newest_ms;
	gap->recalled = recalled;
}

void
gap_begin(struct gap *gap, const char *room, const char *person)
{
	gap_forget(gap);
	gap->room = room;
	gap->person = person;
}

static bool
is_of_our_server(const struct gap *gap, struct span sender)
{
	return sender.p && matrix_is_local(gap->matrix, sender.p, sender.n);
}

static void
note_stamp(struct gap *gap, int64_t stamp_ms)
{
	if (stamp_ms > gap->newest_ms)
		gap->newest_ms = stamp_ms;
}

bool
gap_is_overtaken(struct gap *gap, const char *room, const struct json_event *event)
{
	char cursor[256];
	int64_t at_ms;

	if (!is_of_our_server(gap, event->sender))
		return false;
	/* What an earlier process brought over: the stamp may have been another server's, which is believed up to now. */
	if (!gap->recalled && inbox_cursor(gap->matrix->parts.inbox, room, cursor, sizeof(cursor), &at_ms) && *cursor)
		note_stamp(gap, at_ms < now_real_ms() ? at_ms : now_real_ms());
	gap->recalled = true;
	note_stamp(gap, event->stamp_ms);
	return event->stamp_ms < gap->newest_ms - OVERTAKEN_MS;
}

char *
gap_path(const struct gap *gap)
{
	AUTO_FREE char *path = matrix_path("/_matrix/client/v3/rooms/%s/messages?dir=b&limit=%s&user_id=%s", gap->room, PAGE_LIMIT,
		gap->matrix->bot);
	AUTO_FREE char *next = gap->from ? matrix_path("&from=%s", gap->from) : xstrdup("");

	return xasprintf("%s%s", path, next);
}

/* ---- one page ---- */

static void
keep(struct gap *gap, const struct json_event *event, bool behind)
{
	struct found *found = xcalloc(1, sizeof(*found));

	found->id = xstrndup(event->event_id.p, event->event_id.n);
	found->size = event->raw.n + 1;
	found->raw = xmalloc(found->size);
	bool late = matrix_is_late(gap->matrix, event->stamp_ms);
	found->raw[0] = (char)(behind ? EVENT_STRAY_MARK : late ? EVENT_LATE_MARK : EVENT_ARCHIVE_MARK);
	memcpy(found->raw + 1, event->raw.p, event->raw.n);
	found->stamp_ms = event->stamp_ms;
	found->own = event->sender.p && matrix_is_own(gap->matrix, event->sender.p, event->sender.n);
	found->home = is_of_our_server(gap, event->sender);
	list_append(&gap->found, &found->link);
	gap->count++;
}

/* Whether the archive is read back far enough with this event, the newest not looked at yet. */
static bool
is_met(const struct gap *gap, const struct json_event *event, const char *id)
{
	struct inbox *inbox = gap->matrix->parts.inbox;
	char cursor[256];
	int64_t at_ms;

	if (!inbox_cursor(inbox, gap->room, cursor, sizeof(cursor), &at_ms))
		return !gap->person; /* first entry: nothing older than now crosses */
	if (*cursor ? strcmp(cursor, id) == 0 : event->stamp_ms < at_ms)
		return true;
	/* A direct room has no gate, so what it brought a moment ago is known although older things may be missing. */
	return !gap->person && inbox_knows(inbox, gap->room, id);
}

/*
 * A homeserver brings transactions in the order of its stream and shows the archive in the order of the graph. Of events sent
 * at the same moment one may lie before the cursor here and yet never have reached us: so a little more is read.
 */
static bool
is_read(const struct gap *gap)
{
	return gap->met && gap->beyond >= OVERLAP;
}

static void
on_event(void *context, const struct json_event *event)
{
	struct gap *gap = context;
	char id[256];

	if (is_read(gap) || !matrix_take_id(event->event_id, id, sizeof(id)))
		return;
	bool behind = gap->met;

	gap->beyond += behind;
	gap->met = behind || is_met(gap, event, id);
	keep(gap, event, behind);
}

enum gap_progress
gap_take(struct gap *gap, const char *body, size_t size)
{
	struct span end = json_find_text(body, size, "end");

	if (!json_split(body, size, "chunk", on_event, gap))
		return GAP_UNREADABLE;
	gap->pages++;
	free(gap->from);
	gap->from = end.p ? xstrndup(end.p, end.n) : NULL;
	return is_read(gap) || !gap->from || gap->pages == PAGES_MAX ? GAP_READ : GAP_MORE;
}

/* ---- the end ---- */

void
gap_settle_own(struct matrix *matrix, const char *lane, const char *raw, size_t size, const char *id)
{
	const char *why;
	json_t *json = json_read(raw, size, &why);
	const char *name = json_text(json_child(json, "content"), "org.sourdine.id");

	if (name)
		outbox_settle_name(matrix->parts.outbox, lane, name, id);
	json_decref(json);
}

/* As inbox_accept(); what was said before we came is only noted. */
static int
keep_or_note(const struct gap *gap, const struct found *found, bool entered)
{
	struct inbox *inbox = gap->matrix->parts.inbox;

	if (entered || gap->person) {
		int r = inbox_accept(inbox, NETWORK_MATRIX, gap->room, found->id, found->raw, found->size);
		if (r == 0)
			intake_expect(gap->matrix, gap->room, json_find_text(found->raw + 1, found->size - 1, "type"), found->raw + 1, found->size - 1);
		return r;
	}
	inbox_note(inbox, NETWORK_MATRIX, gap->room, found->id);
	return INBOX_E_KNOWN;
}

/* How many were new, or -errno when nothing can be committed now. */
static int
accept_found(struct gap *gap, const char **ids, size_t *count, bool entered)
{
	int fresh = 0;

	*count = 0;
	for (struct list *at = gap->found.prev; at != &gap->found; at = at->prev) {
		const struct found *found = LIST_ENTRY(at, struct found, link);
		if (found->own) {
			gap_settle_own(gap->matrix, gap->person ? gap->person : gap->room, found->raw + 1, found->size - 1, found->id);
			continue;
		}
		int r = keep_or_note(gap, found, entered);
		if (r < 0)
			return r;
		fresh += r == 0;
		if (found->home)
			note_stamp(gap, found->stamp_ms);
		ids[(*count)++] = found->id;
	}
	return fresh;
}

static void
report(const struct gap *gap, int fresh, bool entered)
{
	metric_add(METRIC_GAP_FILLED, fresh);
	if (fresh)
		log_info(LOG_MATRIX, "read the archive room=%s events=%d pages=%u", gap->room, fresh, gap->pages);
	if (!gap->met && entered && gap->from)
		log_warning(LOG_MATRIX, "a gap is longer than %d events, what is older is not fetched room=%s", PAGES_MAX * PAGE_EVENTS,
			gap->room);
}

int
gap_close(struct gap *gap)
{
	struct inbox *inbox = gap->matrix->parts.inbox;
	bool any = !list_empty(&gap->found);
	const struct found *newest = any ? LIST_ENTRY(gap->found.next, struct found, link) : NULL;
	char cursor[8];
	int64_t at_ms;
	size_t count = 0;
	bool entered = inbox_cursor(inbox, gap->room, cursor, sizeof(cursor), &at_ms);
	const char **ids = xcalloc(gap->count + 1, sizeof(*ids));
	int fresh = accept_found(gap, ids, &count, entered);

	FAULT_POINT("before_gate");
	if (fresh >= 0 && !gap->person)
		inbox_open_gate(inbox, gap->room, ids, count, any ? newest->id : NULL, any ? newest->stamp_ms : 0);
	else if (fresh >= 0 && any)
		inbox_move_cursor(inbox, NETWORK_MATRIX, gap->room, newest->id, newest->stamp_ms);
	free(ids);
	if (fresh < 0)
		return fresh;
	report(gap, fresh, entered);
	gap_forget(gap);
	return 0;
}
