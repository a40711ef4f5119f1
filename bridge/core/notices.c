/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One sentence, calm, once. In private where that is possible; on Matrix without a direct room it goes under the
 * message itself (decisions 4.1). Wording never blames: it says what happens to the message, not what its author did.
 */
#include "core/notices.h"

#include "base/now.h"
#include "base/text.h"
#include "core/inbox_rows.h"
#include "core/outbox_rows.h"
#include "core/speech.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_MS (3600 * 1000)
#define MINUTE_MS (60 * 1000)
#define DAY_MS (24 * HOUR_MS)
#define TOLD_A_DAY 3 /* of one kind, to one person in one room: etiquette 5.4 */
#define DECLINES_MAX 5 /* a minute, for a person and room: an answer costs more than a question */
#define QUOTE_MAX 160 /* bytes of somebody else's words */
#define CHECK_MARK "\xE2\x9C\x85"
#define HOURGLASS "\xE2\x8F\xB3"

void
notices_tell(struct core *core, const struct group *group, enum network network, const char *lane, const char *room,
		const char *source_id, const char *what, const char *text)
{
	const char *source[] = { what, room, source_id, NULL };
	bool private = lane && *lane;
	struct outbox_draft draft = {
		.outgoing = {
			.kind = private ? OUTGOING_PRIVATE : OUTGOING_ROOM, .lane = private ? lane : room, .text = text,
			.thread = private ? NULL : source_id,
		},
		.network = network, .group = group ? group->name : "", .source = source, .due_ms = now_rules_ms(),
	};

	if (!outbox_add_split(core->outbox, &draft))
		return;
}

/* Where this author hears of his message: on Matrix only a direct room that exists already. */
const char *
notices_lane(struct core *core, const struct decision *decision, enum network network)
{
	char room[512];

	if (network == NETWORK_MATRIX && !people_direct(core->people, decision->person, room, sizeof(room)))
		return NULL;
	return decision->reply_lane;
}

bool
notices_first_time(struct core *core, const char *room, const char *person, const char *kind, int64_t period_ms)
{
	struct query query = store_query(core->store, NOTICE_ADD);

	query_text(&query, room);
	query_text(&query, person);
	query_text(&query, kind);
	query_int(&query, period_ms);
	query_run(&query);
	return store_changes(core->store) > 0;
}

void
notices_forget(struct core *core, const char *room, const char *person, const char *kind)
{
	struct query query = store_query(core->store, NOTICE_END);

	query_text(&query, room);
	query_text(&query, person);
	query_text(&query, kind);
	query_run(&query);
}

/* A reaction by the bot, or the end of one: `what` with the message makes the row's name, so that it is said once. */
static void
mark(struct core *core, const char *group, const char *room, const char *source_id, int64_t seq, const char *what, struct outgoing outgoing)
{
	const char *source[] = { what, room, source_id, NULL };
	struct outbox_draft draft = {
		.outgoing = outgoing, .network = NETWORK_MATRIX, .group = group, .inbox_seq = seq, .source = source, .due_ms = now_rules_ms(),
	};

	draft.outgoing.lane = room;
	outbox_add(core->outbox, &draft);
}

/* The reaction that says "held", once it has arrived: its event id. */
static bool
find_mark(struct core *core, int64_t seq, char *out, size_t size)
{
	struct query query = store_query(core->store, OUTBOX_MARK_OF);

	query_int(&query, seq);
	bool found = query_step(&query);
	if (found)
		snprintf(out, size, "%s", query_get_text(&query, 0));
	query_done(&query);
	return found && *out;
}

/* Whether nothing of the message waits any more, and whether something of it arrived. */
static bool
is_over(struct core *core, int64_t seq, bool *delivered)
{
	struct query query = store_query(core->store, OUTBOX_FATE_OF);
	bool over = false;

	query_int(&query, seq);
	if (query_step(&query)) {
		over = query_get_int(&query, 0) == 0;
		*delivered = query_get_int(&query, 1) > 0;
	}
	query_done(&query);
	return over;
}

void
notices_released(struct core *core, int64_t seq, const char *group)
{
	struct inbox_row row;
	char id[512];
	bool delivered = false;

	if (!is_over(core, seq, &delivered) || !find_mark(core, seq, id, sizeof(id)) || !inbox_get(core->inbox, seq, &row))
		return;
	mark(core, group, row.room, row.source_id, 0, "unmark", (struct outgoing){ .kind = OUTGOING_UNMARK, .text = "", .reply_to = id });
	if (delivered)
		mark(core, group, row.room, row.source_id, 0, "released",
				(struct outgoing){ .kind = OUTGOING_MARK, .text = CHECK_MARK, .reply_to = row.source_id });
	inbox_row_fini(&row);
}

/* Kept by a rule, or with the message that it answers, which is. Malloc'd. */
static char *
say_held(struct core *core, const struct group *group, const struct verdict *verdict)
{
	const char *language = core_language(core, group);
	bool answers = verdict->stage[STAGE_TIMING].action == ACTION_DELIVER;
	char when[64];

	if (verdict->due_ms == INT64_MAX)
		return xstrdup(text_in(language, answers ? N_("The message that you answer is kept, and yours with it; no opening is planned yet.") :
				N_("The group is closed. Your message is kept; no opening is planned yet.")));
	speech_instant(core, group, verdict->due_ms, verdict->now_ms, when, sizeof(when));
	return str_fill(text_in(language, answers ? N_("The message that you answer is kept. Yours is kept with it and will be delivered on {when}.") :
			N_("The group is closed. Your message is kept and will be delivered on {when}.")), "when", when);
}

void
notices_held(struct core *core, const struct group *group, const struct decision *decision, enum network network, const char *room,
		const char *source_id)
{
	const struct verdict *verdict = &decision->verdict;
	bool answers = verdict->stage[STAGE_TIMING].action == ACTION_DELIVER;

	if (verdict->due_ms <= verdict->now_ms || !(verdict->notice || answers))
		return;
	if (network == NETWORK_MATRIX)
		mark(core, group->name, room, source_id, decision->inbox_seq, "mark",
				(struct outgoing){ .kind = OUTGOING_MARK, .text = HOURGLASS, .reply_to = source_id });
	if (!notices_first_time(core, room, decision->person, answers ? "held answer" : "held", answers ? verdict->due_ms : verdict->period_ms))
		return;
	AUTO_FREE char *text = say_held(core, group, verdict);
	notices_tell(core, group, network, notices_lane(core, decision, network), room, source_id, "held", text);
}

void
notices_postponed(struct core *core, const struct group *group, const struct decision *decision, enum network network, const char *room,
		const char *source_id)
{
	const struct verdict *verdict = &decision->verdict;

	if (!(verdict->notice || verdict->stage[STAGE_TIMING].action == ACTION_DELIVER) ||
			!notices_first_time(core, room, decision->person, "held on", verdict->due_ms))
		return;
	AUTO_FREE char *text = say_held(core, group, verdict);
	AUTO_FREE char *what = xasprintf("held on %" PRId64, verdict->due_ms);
	notices_tell(core, group, network, notices_lane(core, decision, network), room, source_id, what, text);
}

void
notices_held_there(struct core *core, const struct group *group, const struct group *target, const struct decision *decision,
		const struct verdict *verdict, enum network network, const char *room, const char *source_id)
{
	const char *language = core_language(core, group);
	AUTO_FREE char *kind = xasprintf("held %s", target->name);
	char when[64] = "";

	if (verdict->due_ms <= verdict->now_ms || !verdict->notice || !notices_first_time(core, room, decision->person, kind, verdict->period_ms))
		return;
	const char *format = text_in(language, verdict->due_ms == INT64_MAX ?
			N_("{group} is closed. Your message is kept for it; no opening is planned yet.") :
			N_("{group} is closed. Your message is kept for it and will be delivered there on {when}."));
	AUTO_FREE char *named = str_fill(format, "group", target->name);
	if (verdict->due_ms != INT64_MAX)
		speech_instant(core, target, verdict->due_ms, verdict->now_ms, when, sizeof(when));
	AUTO_FREE char *text = str_fill(named, "when", when);
	notices_tell(core, group, network, notices_lane(core, decision, network), room, source_id, kind, text);
}

/* So often a day and no more; the last says so. */
static void
tell_some(struct core *core, const struct group *group, const struct decision *decision, enum network network, const char *room,
		const char *source_id, const char *kind, const char *text)
{
	int64_t day = decision->verdict.now_ms / DAY_MS;

	for (int i = 1; i <= TOLD_A_DAY; i++) {
		AUTO_FREE char *numbered = xasprintf("%s %d", kind, i);
		if (!notices_first_time(core, room, decision->person, numbered, day))
			continue;
		const char *last = i < TOLD_A_DAY ? "" : text_in(core_language(core, group), N_("This is the last notice of its kind today."));
		AUTO_FREE char *whole = xasprintf("%s%s%s", text, *last ? " " : "", last);
		notices_tell(core, group, network, notices_lane(core, decision, network), room, source_id, kind, whole);
		return;
	}
}

void
notices_rejected(struct core *core, const struct group *group, const struct decision *decision, enum network network, const char *room,
		const char *source_id)
{
	AUTO_FREE char *text = str_fill(text_in(core_language(core, group),
			"Your message was not passed on: a rule of the group keeps it back ({reason}). !sd why explains."),
			"reason", decision->verdict.reason);

	tell_some(core, group, decision, network, room, source_id, "rejected", text);
}

void
notices_moved(struct core *core, const struct group *group, const struct decision *decision, enum network network, const char *room,
		const char *source_id)
{
	AUTO_FREE char *text = str_fill(text_in(core_language(core, group),
			"Your message goes to the group {group} only: a rule of this group sends its subject there."), "group", decision->verdict.target);

	tell_some(core, group, decision, network, room, source_id, "moved", text);
}

void
notices_digested(struct core *core, const struct group *group, const struct decision *decision, enum network network, const char *room,
		const char *source_id)
{
	const struct verdict *verdict = &decision->verdict;
	const char *language = core_language(core, group);
	char when[64];

	if (!notices_first_time(core, room, decision->person, "digested", verdict->due_ms))
		return;
	speech_instant(core, group, verdict->due_ms, verdict->now_ms, when, sizeof(when));
	AUTO_FREE char *text = verdict->due_ms == INT64_MAX ? xstrdup(text_in(language, N_("Your message is kept for a digest; none is in sight."))) :
		str_fill(text_in(language, N_("Your message is kept for the digest of {when}.")), "when", when);
	notices_tell(core, group, network, notices_lane(core, decision, network), room, source_id, "digested", text);
}

void
notices_suggest(struct core *core, const struct group *group, const struct decision *decision, enum network network, const char *room,
		const char *source_id)
{
	AUTO_FREE char *text = str_fill(text_in(core_language(core, group), "This subject has a group of its own: {group}."), "group",
			decision->verdict.target);

	tell_some(core, group, decision, network, room, source_id, "suggest", text);
}

char *
notices_quote(const char *language, const char *words)
{
	AUTO_FREE char *clean = str_clean(words ? words : "", words ? strlen(words) : 0);
	size_t n = strlen(clean);

	for (char *p = clean; *p; p++)
		if (*p == '\n' || *p == '\t' || *p == '\r')
			*p = ' ';
	if (n > QUOTE_MAX)
		for (n = QUOTE_MAX; n > 0 && (clean[n] & 0xC0) == 0x80; n--)
			;
	if (!clean[strspn(clean, " ")])
		return xstrdup(text_in(language, N_("it gave no reason")));
	AUTO_FREE char *cut = xasprintf("%.*s%s", (int)n, clean, clean[n] ? "..." : "");
	return str_fill(text_in(language, N_("it says \"{words}\"")), "words", cut);
}

/* A number for a name, so that another one is told anew. */
static int64_t
number_of(const char *name)
{
	uint32_t value = 5381;

	for (; *name; name++)
		value = value * 33 ^ (unsigned char)*name;
	return value;
}

void
notices_renamed(struct core *core, int64_t seq, const char *group_name, const char *as)
{
	struct group *group = groups_find(&core->groups, group_name);
	struct decision decision;
	struct inbox_row row;

	if (!group || !decisions_get(core->store, seq, &decision) || !inbox_get(core->inbox, seq, &row))
		return;
	if (notices_first_time(core, row.room, decision.person, "renamed", number_of(as))) {
		AUTO_FREE char *format = xstrdup(text_in(core_language(core, group),
				"The room on the other side cannot show your name as it is: there you are called {name}."));
		AUTO_FREE char *text = str_fill(format, "name", as);
		notices_tell(core, group, row.network, notices_lane(core, &decision, row.network), row.room, row.source_id, "renamed", text);
	}
	inbox_row_fini(&row);
}

/* Whoever wrote it is told where he can be, as far as the port could see who that is. */
static void
tell_writer(struct core *core, const struct inbox_row *row, const struct incoming *in, const char *sentence)
{
	const struct group *group = groups_of_room(&core->groups, row->room);
	char room[512];

	if ((!group && !in->direct) || !in->author.person)
		return;
	bool private = row->network == NETWORK_XMPP || people_direct(core->people, in->author.person, room, sizeof(room));
	notices_tell(core, group, row->network, private ? in->reply_address : NULL, row->room, row->source_id, "unreadable",
			text_in(core_language(core, group), sentence));
}

void
notices_unread(struct core *core, const struct inbox_row *row, const struct incoming *in)
{
	AUTO_FREE char *kind = in->reason ? xasprintf("unread %" PRId64, number_of(in->reason)) : NULL;

	if (kind && in->author.person && notices_first_time(core, row->room, in->author.person, kind, now_rules_ms() / HOUR_MS))
		tell_writer(core, row, in, in->reason);
}

void
notices_exposed(struct core *core, const struct inbox_row *row, const struct incoming *in)
{
	if (notices_first_time(core, row->room, in->author.person, "exposed", now_rules_ms() / HOUR_MS))
		tell_writer(core, row, in, N_("Your message was not encrypted, and this room is, so anybody's server could have written it: it was not heeded. Please send it with a client that encrypts."));
}

void
notices_decline(struct core *core, const struct inbox_row *row, const struct incoming *in)
{
	const char *source[] = { "declined", row->room, row->source_id, NULL };
	struct outbox_draft draft = {
		.outgoing = {
			.kind = OUTGOING_DECLINE, .lane = in->direct ? in->reply_address : row->room, .author = in->asked, .reply_to = row->source_id,
			.text = in->reason,
		},
		.network = row->network, .group = "", .source = source, .due_ms = now_rules_ms(),
	};

	for (int i = 0; in->live && i < DECLINES_MAX; i++) {
		char kind[24];
		snprintf(kind, sizeof(kind), "declined %d", i);
		if (notices_first_time(core, row->room, in->author.person, kind, now_rules_ms() / MINUTE_MS)) {
			outbox_add(core->outbox, &draft);
			return;
		}
	}
}

void
notices_unreadable(struct core *core, const struct inbox_row *row, const struct incoming *in)
{
	tell_writer(core, row, in, N_("Your message could not be read here and was set aside. The administrator can see that it was; please say it again in other words."));
}

char *
notices_release(struct core *core, const struct group *group, int64_t first_seq, long count, int64_t now_ms)
{
	struct decision decision;
	char when[64] = "?", number[24];

	if (decisions_get(core->store, first_seq, &decision))
		speech_instant(core, group, decision.verdict.now_ms, now_ms, when, sizeof(when));
	snprintf(number, sizeof(number), "%ld", count);
	AUTO_FREE char *counted = str_fill(text_in(core_language(core, group), "{count} messages since {when}"), "count", number);
	return str_fill(counted, "when", when);
}
