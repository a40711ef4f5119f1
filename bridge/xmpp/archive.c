/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One reading at a time per room, in pages of 50, each a request of our own with its own query id; a result that
 * does not carry it is nobody's. Forwards from the cursor (the gap), then, when rows of ours are still in
 * doubt, backwards until they are found or the page is older than their first try (delivery 9.3). The gate opens after
 * the gap; rows go only after both. A server that knows nothing of the cursor's id answers with an error or with
 * everything: hence the lower bound in time, and the inbox's memory. A page that cannot be had for now is asked for again for
 * PATIENCE_MS, while what is said waits at the gate; what an archive keeps from us for good leaves a hole, which the operator is told of.
 */
#include "xmpp/archive.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/now.h"
#include "base/seal.h"
#include "base/str.h"
#include "xmpp/hear.h"
#include "xmpp/jid.h"
#include "xmpp/member.h"
#include "xmpp/muc.h"
#include "xmpp/speak.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE "50"
#define DOUBTS_PAGE "40"
#define ANSWER_MS 20000
#define MARGIN_MS (5 * 60000)
#define AHEAD 32 /* twice what can be out at once: rows that were refused once may stand behind younger ones */
#define PATIENCE_MS (10 * 60000) /* with an archive that cannot answer for now */
#define AWAY_MS 10000 /* until a room whose server cannot be reached is entered again */
#define OTHERS_MS 10000
#define LOOK_AGAIN_MS 100
#define IDS_MAX 200000 /* messages of one gap that are put into order */

static void
end_reading(struct room *room)
{
	loop_timer_stop(&room->asking);
	free(room->archive.page_end);
	room->archive = (struct archive){ 0 };
}

static void
forget_gap(struct room *room)
{
	struct gap *gap = &room->gap;

	loop_timer_stop(&room->gate);
	for (size_t i = 0; i < gap->count; i++)
		free(gap->ids[i]);
	free(gap->ids);
	free(gap->last_id);
	*gap = (struct gap){ 0 };
}

void
archive_reset(struct room *room)
{
	end_reading(room);
	forget_gap(room);
}

void
archive_note(struct room *room, const char *source_id, int64_t at_ms)
{
	struct gap *gap = &room->gap;

	if (gap->count < IDS_MAX) {
		if (gap->count == gap->room) {
			gap->room = gap->room ? 2 * gap->room : 64;
			gap->ids = xrealloc(gap->ids, gap->room * sizeof(*gap->ids));
		}
		gap->ids[gap->count++] = xstrdup(source_id);
	}
	free(gap->last_id);
	gap->last_id = xstrdup(source_id);
	gap->last_ms = at_ms;
}

/* ---- asking ---- */

static void on_page(void *context, enum answer answer, xmpp_stanza_t *iq);

static void
add_filter(xmpp_stanza_t *query, const struct archive *archive)
{
	xmpp_stanza_t *form = stanza_add(query, "x", NS_DATA);
	char start[32];

	stanza_set(form, "type", "submit");
	stanza_add_field(form, "FORM_TYPE", "hidden", NS_MAM);
	if (archive->aim == ARCHIVE_GAP && archive->start_ms > 0) {
		now_format_utc(archive->start_ms, start, sizeof(start));
		stanza_add_field(form, "start", NULL, start);
	}
}

static void
add_page(xmpp_stanza_t *query, const struct archive *archive)
{
	xmpp_stanza_t *set = stanza_add(query, "set", NS_RSM);
	bool forwards = archive->aim == ARCHIVE_GAP;

	stanza_add_text(set, "max", archive->aim == ARCHIVE_NEWEST ? "1" : forwards ? PAGE : DOUBTS_PAGE);
	if (!forwards && !archive->page_end)
		stanza_add(set, "before", NULL);
	else if (archive->page_end)
		stanza_add_text(set, forwards ? "after" : "before", archive->page_end);
}

void
archive_ask(void *context)
{
	struct room *room = context;
	struct archive *archive = &room->archive;
	xmpp_stanza_t *iq = stanza_make(room->jabber->ctx, "iq", "set", NULL, room->jabber->listener, room->jid);
	xmpp_stanza_t *query = stanza_add(iq, "query", NS_MAM);

	seal_random_text(archive->query_id, 16, "abcdefghijklmnopqrstuvwxyz234567");
	stanza_set(query, "queryid", archive->query_id);
	add_filter(query, archive);
	add_page(query, archive);
	archive->page_count = 0;
	archive->oldest_ms = INT64_MAX;
	jabber_ask(room->jabber, iq, ANSWER_MS, on_page, room);
}

static void
begin(struct room *room, enum archive_aim aim)
{
	end_reading(room);
	room->archive.aim = aim;
}

/* ---- in doubt ---- */

static void
note_first_try(void *context, int64_t id, const char *name, int64_t first_try_ms)
{
	int64_t *earliest_ms = context;

	(void)id, (void)name;
	if (first_try_ms < *earliest_ms)
		*earliest_ms = first_try_ms;
}

/* The instant of the earliest row that may or may not be in the room; INT64_MAX when there is none. */
static int64_t
earliest_doubt(struct room *room)
{
	int64_t earliest_ms = INT64_MAX;
	struct speech *speech;

	outbox_each_doubt(room->jabber->parts.outbox, room->address, note_first_try, &earliest_ms);
	LIST_FOR_EACH(speech, &room->speeches, struct speech, link)
		if (speech->sent_real_ms < earliest_ms)
			earliest_ms = speech->sent_real_ms;
	return earliest_ms;
}

static void
count_doubt(void *context, int64_t id, const char *name, int64_t first_try_ms)
{
	(void)id, (void)name, (void)first_try_ms;
	++*(int64_t *)context;
}

static int64_t
count_doubts(struct room *room)
{
	int64_t count = room->speech_count;

	outbox_each_doubt(room->jabber->parts.outbox, room->address, count_doubt, &count);
	return count;
}

/* Of what is in doubt nothing can be known. */
static void
resend_blindly(struct room *room, const char *why)
{
	int64_t count = count_doubts(room);

	metric_add(METRIC_DUPLICATES_POSSIBLE, count);
	log_warning(LOG_XMPP, "%s room=%s rows=%" PRId64 ": what was in doubt is sent again and may appear twice", why, room->jid, count);
}

static void
end_settling(struct room *room)
{
	end_reading(room);
	FAULT_POINT("xmpp_doubts_read");
	/* What the archive does not show was not taken: the outbox hands it out again. */
	speak_doubt(room);
	muc_become_ready(room);
}

void
archive_settle(struct room *room)
{
	int64_t earliest_ms = room->jabber->blind ? INT64_MAX : earliest_doubt(room);

	room->phase = ROOM_SETTLING;
	if (earliest_ms == INT64_MAX) {
		end_settling(room);
		return;
	}
	if (!archive_is_of_use(room)) {
		resend_blindly(room, "no archive to ask");
		end_settling(room);
		return;
	}
	begin(room, ARCHIVE_DOUBTS);
	room->archive.until_ms = earliest_ms - MARGIN_MS;
	room->archive.met = false;
	if (!outbox_before_doubts(room->jabber->parts.outbox, room->address, AHEAD, room->archive.until_id, sizeof(room->archive.until_id)))
		room->archive.until_id[0] = '\0';
	archive_ask(room);
}

/* ---- the gap ---- */

/*
 * A message is judged once, for the rooms whose addresses are known then. The Matrix port may still be resolving the alias of
 * this room's group, or of one that messages are copied to; the latter is waited for only so long.
 */
static bool
must_wait(struct room *room)
{
	struct groups *groups = room->jabber->parts.groups;
	const struct group *own = groups_of_room(groups, room->address);
	bool long_enough = now_monotonic_ms() - room->gap.waiting_ms >= OTHERS_MS, wait = false;
	struct group *group;

	LIST_FOR_EACH(group, &groups->all, struct group, link)
		wait = wait || (group->matrix_wanted && group->matrix_wanted[0] && !group->room[NETWORK_MATRIX][0] &&
				(group == own || !long_enough));
	return wait;
}

/* At the first entry ever history is none of ours, and the cursor begins at its end. */
void
archive_open_gate(void *context)
{
	struct room *room = context;
	struct gap *gap = &room->gap;
	struct inbox *inbox = room->jabber->parts.inbox;
	char id[8];
	int64_t at_ms;

	if (must_wait(room)) {
		loop_timer_set(&room->gate, LOOK_AGAIN_MS);
		return;
	}
	bool entered = inbox_cursor(inbox, room->address, id, sizeof(id), &at_ms);
	FAULT_POINT("xmpp_before_gate");
	if (gap->count)
		log_info(LOG_XMPP, "gap read room=%s messages=%zu", room->jid, gap->count);
	if (entered || gap->last_id || room->jabber->no_archive)
		inbox_open_gate(inbox, room->address, (const char *const *)gap->ids, gap->count, gap->last_id, gap->last_ms);
	else
		inbox_open_gate(inbox, room->address, NULL, 0, "", now_real_ms() - MARGIN_MS);
	forget_gap(room);
}

/* The gap is read. Sending does not wait for the gate. */
static void
end_gap(struct room *room)
{
	room->gap.waiting_ms = now_monotonic_ms();
	archive_open_gate(room);
	archive_settle(room);
}

/* Without an archive: the ping comes back behind the join's history. */
static void
on_history_over(void *context, enum answer answer, xmpp_stanza_t *iq)
{
	struct room *room = context;

	(void)answer, (void)iq;
	if (room->phase != ROOM_CATCHING)
		return;
	end_gap(room);
}

bool
archive_is_of_use(const struct room *room)
{
	char id[8];
	int64_t at_ms;

	return room->has_archive && !(inbox_cursor(room->jabber->parts.inbox, room->address, id, sizeof(id), &at_ms) && hear_made_id(id));
}

void
archive_catch_up(struct room *room)
{
	struct archive *archive = &room->archive;
	char id[1024];
	int64_t at_ms;
	bool entered = inbox_cursor(room->jabber->parts.inbox, room->address, id, sizeof(id), &at_ms);

	if (room->jabber->no_archive) {
		end_gap(room);
		return;
	}
	if (!archive_is_of_use(room)) {
		member_ping(room->listener, on_history_over, room);
		return;
	}
	begin(room, entered ? ARCHIVE_GAP : ARCHIVE_NEWEST);
	if (entered) {
		archive->start_ms = at_ms - MARGIN_MS;
		archive->page_end = id[0] ? xstrdup(id) : NULL;
	}
	archive_ask(room);
}

/* ---- the answers ---- */

/* The cursor will move past what could not be read. */
static void
note_hole(struct room *room)
{
	const struct group *group = groups_of_room(room->jabber->parts.groups, room->address);
	int64_t since_ms = room->gap.last_ms;
	char id[8], since[32];

	if (!room->gap.last_id && !inbox_cursor(room->jabber->parts.inbox, room->address, id, sizeof(id), &since_ms))
		return;
	if (!room->hole_ms || since_ms < room->hole_ms)
		room->hole_ms = since_ms;
	now_format_utc(room->hole_ms, since, sizeof(since));
	log_error(LOG_XMPP, "archive unreadable room=%s: what was said there since %s may be missing; when the room shows its archive again, "
			"\"sourdine audit %s --repair\" takes it in", room->jid, since, group ? group->name : "GROUP");
}

static void
give_up(struct room *room)
{
	if (room->archive.aim == ARCHIVE_DOUBTS) {
		resend_blindly(room, "archive unreadable");
		end_settling(room);
		return;
	}
	if (room->archive.aim == ARCHIVE_GAP)
		note_hole(room);
	end_gap(room);
}

enum cure { ASK_AGAIN, ENTER_AGAIN, DO_WITHOUT };

static enum cure
cure_of(enum answer answer, xmpp_stanza_t *iq)
{
	static const char *const passing[] = { "internal-server-error", "resource-constraint", "service-unavailable" };
	const char *type, *condition;

	if (answer == ANSWER_NONE)
		return ASK_AGAIN;
	condition = stanza_error(iq, &type);
	if (str_starts(condition, "remote-server-"))
		return ENTER_AGAIN;
	for (size_t i = 0; i < sizeof(passing) / sizeof(*passing); i++)
		if (strcmp(condition, passing[i]) == 0)
			return ASK_AGAIN;
	return strcmp(type, "wait") == 0 ? ASK_AGAIN : DO_WITHOUT;
}

static void
page_failed(struct room *room, enum answer answer, xmpp_stanza_t *iq)
{
	struct archive *archive = &room->archive;
	const char *condition = answer == ANSWER_ERROR ? stanza_error(iq, NULL) : "timeout";

	/* The archive has forgotten our anchor (xmpp.md 10.5): from the lower bound on, then. */
	if (strcmp(condition, "item-not-found") == 0 && archive->aim == ARCHIVE_GAP && !archive->lost_anchor) {
		log_notice(LOG_XMPP, "cursor unknown to the archive room=%s: read by time", room->jid);
		archive->lost_anchor = true;
		free(archive->page_end);
		archive->page_end = NULL;
		archive_ask(room);
		return;
	}
	int64_t now_ms = now_monotonic_ms();
	if (!archive->failing_ms)
		archive->failing_ms = now_ms;
	enum cure cure = cure_of(answer, iq);
	/* At the first entry ever nothing can be missing. */
	if (cure == ASK_AGAIN && (archive->aim == ARCHIVE_NEWEST || now_ms - archive->failing_ms >= PATIENCE_MS))
		cure = DO_WITHOUT;
	log_warning(LOG_XMPP, "archive failed room=%s condition=%s: %s", room->jid, condition, cure == ASK_AGAIN ? "it is asked again" :
			cure == ENTER_AGAIN ? "the room is entered again" : "going on without it");
	if (cure == ASK_AGAIN)
		loop_timer_set(&room->asking, member_pause_ms(&archive->failures));
	else if (cure == ENTER_AGAIN)
		muc_leave_off(room, AWAY_MS);
	else
		give_up(room);
}

/* Whether there is another page; remembers where it begins. */
static bool
has_more(struct room *room, xmpp_stanza_t *iq)
{
	struct archive *archive = &room->archive;
	xmpp_stanza_t *fin = stanza_find(iq, "fin", NS_MAM), *set = stanza_find(fin, "set", NS_RSM);
	bool complete = strcmp(stanza_get(fin, "complete"), "true") == 0 || strcmp(stanza_get(fin, "complete"), "1") == 0;
	char *end = stanza_text(stanza_find(set, archive->aim == ARCHIVE_GAP ? "last" : "first", NULL));

	/* A page that ends where it began would be asked for for ever. */
	bool more = !complete && archive->page_count > 0 && end[0] && !str_equal(end, archive->page_end) && archive->aim != ARCHIVE_NEWEST;
	free(archive->page_end);
	archive->page_end = end;
	return more;
}

/* Perhaps from a cursor that had not passed the hole yet. */
static void
gap_is_read(struct room *room)
{
	if (room->archive.aim == ARCHIVE_GAP && room->archive.start_ms + MARGIN_MS <= room->hole_ms)
		room->hole_ms = 0;
	end_gap(room);
}

static void
on_page(void *context, enum answer answer, xmpp_stanza_t *iq)
{
	struct room *room = context;
	struct archive *archive = &room->archive;

	if (archive->aim == ARCHIVE_NONE)
		return;
	if (answer != ANSWER_RESULT) {
		page_failed(room, answer, iq);
		return;
	}
	archive->failures = 0;
	archive->failing_ms = 0;
	FAULT_POINT("xmpp_page_read");
	bool more = has_more(room, iq);
	if (archive->aim == ARCHIVE_DOUBTS)
		more = more && !archive->met && archive->oldest_ms > archive->until_ms && earliest_doubt(room) != INT64_MAX;
	if (more)
		archive_ask(room);
	else if (archive->aim == ARCHIVE_DOUBTS)
		end_settling(room);
	else
		gap_is_read(room);
}

/* ---- the results ---- */

static void
take_result(struct room *room, const char *id, xmpp_stanza_t *message, int64_t at_ms)
{
	struct archive *archive = &room->archive;

	archive->page_count++;
	if (at_ms < archive->oldest_ms)
		archive->oldest_ms = at_ms;
	if (archive->aim == ARCHIVE_NEWEST) {
		free(room->gap.last_id);
		room->gap.last_id = xstrdup(id);
		room->gap.last_ms = at_ms;
	} else if (archive->aim == ARCHIVE_GAP) {
		archive_note(room, id, at_ms);
		hear_archived(room, id, message, at_ms);
	} else {
		speak_found(room, speak_name(message), id);
		archive->met = archive->met || strcmp(id, archive->until_id) == 0;
	}
}

bool
archive_hear(struct room *room, xmpp_stanza_t *message)
{
	xmpp_stanza_t *result = stanza_find(message, "result", NS_MAM);
	int64_t at_ms;

	if (!result)
		return false;
	const char *id = stanza_get(result, "id");
	xmpp_stanza_t *forwarded = stanza_find(result, "forwarded", NS_FORWARD);
	xmpp_stanza_t *inner = stanza_find(forwarded, "message", NULL);
	if (room->archive.aim == ARCHIVE_NONE || strcmp(stanza_get(result, "queryid"), room->archive.query_id) != 0 ||
			strcmp(stanza_get(message, "from"), room->jid) != 0) {
		jabber_note_forged(room->jabber, stanza_get(message, "from"), "an archive's result that nobody asked for");
		return true;
	}
	if (!id[0] || !inner) {
		metric_add(METRIC_IGNORED_MALFORMED, 1);
		return true;
	}
	if (!hear_delay(forwarded, NULL, &at_ms))
		at_ms = now_real_ms();
	take_result(room, id, inner, at_ms);
	return true;
}
