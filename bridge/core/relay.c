/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Read this first. A row of the inbox becomes a struct incoming (its port reads it), facts, a verdict (rules/, pure) and, in the
 * same transaction, everything that follows: the decision, outbox rows with their due instant, digest items, notices. The
 * instant of judgement is the one at which the row was received; the clock is not asked again.
 */
#include "core/relay.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/look.h"
#include "base/metric.h"
#include "base/now.h"
#include "base/text.h"
#include "core/arena.h"
#include "core/charters.h"
#include "core/command.h"
#include "core/consent.h"
#include "core/decisions.h"
#include "core/digests.h"
#include "core/inbox_rows.h"
#include "core/notices.h"
#include "core/plumb_open.h"
#include "core/refusals.h"
#include "core/outbox_rows.h"
#include "core/speech.h"
#include "core/withdrawal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ATTEMPTS_MAX 3
#define DELAY_STAMP_AFTER_MS (10 * 60 * 1000) /* xmpp.md 11.3 */
#define LATER_MS (60 * 60 * 1000) /* etiquette 11.2: an author is told */

struct relay {
	struct core *core;
};

struct relay *
relay_open(struct core *core)
{
	struct relay *relay = xcalloc(1, sizeof(*relay));

	relay->core = core;
	return relay;
}

void
relay_close(struct relay *relay)
{
	free(relay);
}

/* One message on its way: what was read of it, and where it belongs. */
struct passage {
	struct core *core;
	const struct inbox_row *row;
	const struct incoming *in;
	struct group *group;
	bool *keep_raw; /* to be set when a copy waits: it is judged again when the charter changes */
};

/* ---- ids across the pair ---- */

static int64_t
source_of_remote(struct core *core, const char *remote_id, const char *lane)
{
	struct query query = store_query(core->store, OUTBOX_SOURCE_OF);

	query_text(&query, remote_id);
	query_text(&query, lane);
	return query_number(&query);
}

int64_t
relay_row_of(struct relay *relay, const char *room, const char *id)
{
	int64_t seq = inbox_seq(relay->core->inbox, room, id);

	return seq ? seq : source_of_remote(relay->core, id, room);
}

static bool
remote_of(struct core *core, int64_t seq, const char *lane, char *out, size_t size)
{
	struct query query = store_query(core->store, OUTBOX_REMOTE_OF);

	query_int(&query, seq);
	query_text(&query, lane);
	bool found = query_step(&query) && query_get_text(&query, 0)[0];
	if (found)
		snprintf(out, size, "%s", query_get_text(&query, 0));
	query_done(&query);
	return found;
}

bool
relay_translate(struct relay *relay, const char *from_room, const char *id, const char *to_room, char *out, size_t size)
{
	struct inbox_row row;
	int64_t seq = relay_row_of(relay, from_room, id);

	if (!seq)
		return false;
	if (remote_of(relay->core, seq, to_room, out, size))
		return true;
	/* Answering one of our deliveries: the original may lie in that room. */
	if (!inbox_get(relay->core->inbox, seq, &row))
		return false;
	bool found = strcmp(row.room, to_room) == 0;
	if (found)
		snprintf(out, size, "%s", row.source_id);
	inbox_row_fini(&row);
	return found;
}

/* ---- what follows from a verdict ---- */

/* When the message is said in another room than where it waits for its parent: never before it (etiquette 6.5). */
static int64_t
not_before_parent(const struct passage *passage, const char *lane, int64_t due_ms)
{
	if (!passage->in->reply_to)
		return due_ms;
	int64_t parent = relay_row_of(passage->core->relay, passage->row->room, passage->in->reply_to);
	int64_t parent_due = parent ? outbox_due_of(passage->core->outbox, parent, lane) : 0;
	return parent_due > due_ms ? parent_due : due_ms;
}

/* "[Mon 19 Oct 19:04] text" for what comes later than it was written. */
static char *
framed(const struct passage *passage, const struct group *group, bool late, const char *origin)
{
	char when[64];

	const char *mark = passage->in->unencrypted ? text_in(core_language(passage->core, group), N_(" (sent unencrypted)")) : "";
	if (!late)
		return xasprintf("%s%s%s%s%s", origin ? "[" : "", origin ? origin : "", origin ? "] " : "", passage->in->text, mark);
	speech_instant(passage->core, group, passage->row->received_ms, passage->row->received_ms, when, sizeof(when));
	return xasprintf("[%s%s%s] %s%s", origin ? origin : "", origin ? ", " : "", when, passage->in->text, mark);
}

/* A name with a line's end in it would put words into others' mouths. */
static char *
named(const struct passage *passage, const char *text)
{
	char name[PEOPLE_NAME_MAX];

	look_tidy(passage->in->author.name ? passage->in->author.name : "", name, sizeof(name));
	return xasprintf("%s: %s", name[0] ? name : "?", text);
}

/* One crossing: the message into one room. By his ghost on the other network, by the bot where he is at home (decisions 2.5). */
static bool
say(const struct passage *passage, const struct group *group, enum network network, int64_t due_ms, const char *origin)
{
	const char *lane = group->room[network];
	bool own = network == passage->row->network, late;
	enum message_kind kind = passage->in->message;
	char reply[512], seq[24];

	if (!*lane)
		return !groups_lacks_room(group, network);
	due_ms = not_before_parent(passage, lane, due_ms);
	late = due_ms > passage->row->received_ms;
	AUTO_FREE char *text = framed(passage, group, late, origin);
	AUTO_FREE char *spoken = own ? named(passage, text) : NULL;
	snprintf(seq, sizeof(seq), "%" PRId64, passage->row->seq);
	const char *source[] = { passage->row->network == NETWORK_XMPP ? "x" : "m", passage->row->room, passage->row->source_id, NULL };
	struct outbox_draft draft = {
		.outgoing = {
			.kind = OUTGOING_MESSAGE, .lane = lane, .message = own && kind == MESSAGE_EMOTE ? MESSAGE_TEXT : kind, .text = own ? spoken : text,
			.delay_ms = due_ms - passage->row->received_ms > DELAY_STAMP_AFTER_MS ? passage->row->received_ms :
				passage->in->stray ? passage->in->origin_ms : 0,
		},
		.network = network, .group = group->name, .inbox_seq = passage->row->seq, .source = source, .held = late, .due_ms = due_ms,
	};
	if (!own)
		draft.outgoing.author = passage->in->author;
	if (passage->in->reply_to &&
			relay_translate(passage->core->relay, passage->row->room, passage->in->reply_to, lane, reply, sizeof(reply)))
		draft.outgoing.reply_to = reply;
	bool written = outbox_add_split(passage->core->outbox, &draft);
	*passage->keep_raw = *passage->keep_raw || (written && late);
	return written;
}

static enum network
other(enum network network)
{
	return network == NETWORK_MATRIX ? NETWORK_XMPP : NETWORK_MATRIX;
}

static void
note_for_digests(const struct passage *passage, struct group *group, int64_t due_ms, unsigned rooms, const char *origin)
{
	if (!rooms && !digests_wanted(passage->core->digests, group))
		return;
	AUTO_FREE char *text = framed(passage, group, false, origin);
	digests_note(passage->core->digests, group, passage->row, passage->in, text, due_ms, rooms);
}

/* Into this group's rooms of the networks `rooms` (bits, 1 << network), or into a digest for them. False when it cannot go into all. */
static bool
deliver(const struct passage *passage, struct group *group, unsigned rooms, const struct verdict *verdict, const char *origin)
{
	bool digest = verdict->stage[STAGE_TIMING].action == ACTION_DIGEST, good = true;

	note_for_digests(passage, group, verdict->due_ms, digest ? rooms : 0, origin);
	for (int n = NETWORK_MATRIX; n <= NETWORK_XMPP; n++) {
		enum network network = (enum network)n;
		if (!(rooms & 1u << n) || (digest ? !groups_lacks_room(group, network) : say(passage, group, network, verdict->due_ms, origin)))
			continue;
		refusals_note(passage->core, passage->row->seq, group->name, *group->room[n] ? REFUSAL_TOO_BIG : REFUSAL_ROOM_GONE, NULL);
		good = false;
	}
	return good;
}

static void
default_verdict(struct verdict *verdict, int64_t now_ms)
{
	*verdict = (struct verdict){ .now_ms = now_ms, .due_ms = now_ms };
	verdict->stage[STAGE_ADMISSION].action = ACTION_PASS;
	verdict->stage[STAGE_ROUTING].action = ACTION_HERE;
	verdict->stage[STAGE_TIMING].action = ACTION_DELIVER;
}

static void
describe(const struct passage *passage, struct message *message, struct facts *facts)
{
	*message = (struct message){
		.network = passage->row->network, .kind = passage->in->message, .sender = passage->in->author.person,
		.text = passage->in->text,
	};
	*facts = (struct facts){ .sender_moderator = passage->in->moderator };
}

/* It is told nothing, since it might answer (etiquette 5.4). */
static bool
is_program(const struct passage *passage)
{
	struct message message;
	struct facts facts;

	describe(passage, &message, &facts);
	return passage->group->rules && rules_is_automated(passage->group->rules, &message);
}

/* When it goes by these rules (NULL: none), as if it came at that instant. */
static void
judge_timing(const struct passage *passage, const struct rules *rules, int64_t now_ms, struct verdict *verdict)
{
	struct message message;
	struct facts facts;

	default_verdict(verdict, now_ms);
	if (!rules)
		return;
	describe(passage, &message, &facts);
	rules_judge_timing(rules, &message, &facts, now_ms, verdict);
}

/* Into both rooms of a sub-group, under that group's own hours. False when nothing may go there. */
static bool
route(const struct passage *passage, const struct decision *decision)
{
	const char *target = decision->verdict.target;
	struct group *group = groups_find(&passage->core->groups, target);
	struct verdict verdict;

	if (!consent_allows_copy(passage->core, passage->group, group)) {
		refusals_note(passage->core, passage->row->seq, target, REFUSAL_COPY, NULL);
		return false;
	}
	judge_timing(passage, group->rules, passage->row->received_ms, &verdict);
	deliver(passage, group, 1u << NETWORK_MATRIX | 1u << NETWORK_XMPP, &verdict, passage->group->name);
	if (verdict.stage[STAGE_TIMING].action != ACTION_DIGEST && !is_program(passage))
		notices_held_there(passage->core, passage->group, group, decision, &verdict, passage->row->network, passage->row->room,
				passage->row->source_id);
	return true;
}

static void
take_timing(struct verdict *verdict, const struct verdict *from)
{
	verdict->stage[STAGE_TIMING] = from->stage[STAGE_TIMING];
	verdict->observed[STAGE_TIMING] = from->observed[STAGE_TIMING];
	verdict->notice = from->notice;
	verdict->due_ms = from->due_ms;
}

/* A charter may name a group that is no longer configured, or its own: the message stays here then, under the hours of this group. */
static void
stay_here(const struct passage *passage, struct verdict *verdict)
{
	const struct group *group = groups_find(&passage->core->groups, verdict->target);
	enum action *routing = &verdict->stage[STAGE_ROUTING].action;
	struct verdict timing;

	if (*routing == ACTION_HERE || (group && group != passage->group))
		return;
	log_warning(LOG_RELAY, "route leads nowhere target=%s group=%s", verdict->target, passage->group->name);
	if (*routing == ACTION_MOVE) {
		judge_timing(passage, passage->group->rules, verdict->now_ms, &timing);
		take_timing(verdict, &timing);
	}
	*routing = ACTION_HERE;
	verdict->target[0] = '\0';
}

static void
judge(const struct passage *passage, struct verdict *verdict)
{
	struct message message;
	struct facts facts;

	default_verdict(verdict, passage->row->received_ms);
	if (!passage->group->rules)
		return;
	describe(passage, &message, &facts);
	rules_judge(passage->group->rules, &message, &facts, passage->row->received_ms, verdict);
	stay_here(passage, verdict);
}

/* A row of its own goes to the other room, and may have to wait there for the one that it answers. */
static void
wait_for_parent(const struct passage *passage, struct verdict *verdict)
{
	if (verdict->stage[STAGE_ADMISSION].action == ACTION_REJECT || verdict->stage[STAGE_ROUTING].action == ACTION_MOVE ||
			verdict->stage[STAGE_TIMING].action == ACTION_DIGEST)
		return;
	verdict->due_ms = not_before_parent(passage, passage->group->room[other(passage->row->network)], verdict->due_ms);
}

/* What its author hears of it: of every verdict but delivery (etiquette 5.4). */
static void
tell_verdict(const struct passage *passage, const struct decision *decision, bool crossed)
{
	const struct inbox_row *row = passage->row;
	const struct stage_verdict *stage = decision->verdict.stage;
	void (*tell)(struct core *core, const struct group *group, const struct decision *decision, enum network network, const char *room,
			const char *source_id) = stage[STAGE_TIMING].action == ACTION_DIGEST ? notices_digested : notices_held;

	if (is_program(passage))
		return;
	if (stage[STAGE_ROUTING].action == ACTION_SUGGEST)
		notices_suggest(passage->core, passage->group, decision, row->network, row->room, row->source_id);
	if (stage[STAGE_ADMISSION].action == ACTION_REJECT)
		tell = notices_rejected;
	else if (!crossed)
		return;
	else if (stage[STAGE_ROUTING].action == ACTION_MOVE)
		tell = notices_moved;
	tell(passage->core, passage->group, decision, row->network, row->room, row->source_id);
}

/* Everything that follows; what became of the message. */
static enum inbox_fate
carry_out(const struct passage *passage, const struct decision *decision)
{
	const struct verdict *verdict = &decision->verdict;
	enum action routing = verdict->stage[STAGE_ROUTING].action;
	bool rejected = verdict->stage[STAGE_ADMISSION].action == ACTION_REJECT, crossed = !rejected;

	if (crossed && routing != ACTION_MOVE)
		crossed = deliver(passage, passage->group, 1u << other(passage->row->network), verdict, NULL);
	if (!rejected && (routing == ACTION_MOVE || routing == ACTION_COPY) && !route(passage, decision))
		crossed = crossed && routing == ACTION_COPY;
	tell_verdict(passage, decision, crossed);
	return rejected ? FATE_REJECTED : crossed ? FATE_DIGESTED : FATE_REFUSED;
}

static void
count_verdict(const struct verdict *verdict)
{
	static const enum metric of_timing[] = {
		[ACTION_DELIVER] = METRIC_EVENT_DELIVER, [ACTION_HOLD] = METRIC_EVENT_HOLD, [ACTION_DIGEST] = METRIC_EVENT_DIGEST,
	};
	enum action timing = verdict->stage[STAGE_TIMING].action;

	if (verdict->stage[STAGE_ADMISSION].action == ACTION_REJECT)
		metric_add(METRIC_EVENT_REJECT, 1);
	else if (timing >= ACTION_DELIVER && timing <= ACTION_HOLD)
		metric_add(of_timing[timing], 1);
}

static void
note_author(const struct passage *passage, struct decision *decision)
{
	decision->inbox_seq = passage->row->seq;
	snprintf(decision->person, sizeof(decision->person), "%s", passage->in->author.person);
	snprintf(decision->reply_lane, sizeof(decision->reply_lane), "%s", passage->in->reply_address ? passage->in->reply_address : "");
}

static void
relay_message(const struct passage *passage, struct inbox_end *end)
{
	struct decision decision = { .revision = passage->group->revision };
	long before = outbox_messages(passage->core->outbox);

	snprintf(decision.group, sizeof(decision.group), "%s", passage->group->name);
	note_author(passage, &decision);
	judge(passage, &decision.verdict);
	wait_for_parent(passage, &decision.verdict);
	decisions_save(passage->core->store, &decision);
	count_verdict(&decision.verdict);
	log_debug(LOG_RELAY, "judged row=%" PRId64 " group=%s timing=%d due=%" PRId64, passage->row->seq, decision.group,
			(int)decision.verdict.stage[STAGE_TIMING].action, decision.verdict.due_ms);
	end->fate = carry_out(passage, &decision);
	end->copies = (int)(outbox_messages(passage->core->outbox) - before);
	if (end->copies)
		end->fate = FATE_RELAYED;
}

/* It does not cross, and its author is told why. */
static void
refuse(const struct passage *passage, enum refusal why, struct inbox_end *end)
{
	struct decision decision = { .revision = passage->group->revision };

	snprintf(decision.group, sizeof(decision.group), "%s", passage->group->name);
	note_author(passage, &decision);
	default_verdict(&decision.verdict, passage->row->received_ms);
	decisions_save(passage->core->store, &decision);
	refusals_note(passage->core, passage->row->seq, decision.group, why, NULL);
	end->fate = FATE_REFUSED;
}

/* Anybody's server may have written what is not encrypted where everything is. True: it goes no further. */
static bool
turn_away(const struct passage *passage, struct inbox_end *end)
{
	if (!passage->in->unencrypted || consent_trusts_plain(passage->core, passage->group))
		return false;
	if (passage->group && passage->group->kind != GROUP_VISIT)
		refuse(passage, REFUSAL_UNENCRYPTED, end);
	else if (passage->in->direct)
		notices_exposed(passage->core, passage->row, passage->in);
	return true;
}

/*
 * In a room of no group. What was said while it was joined with another, and comes to be judged after their parting, does not
 * cross: its author is told, like those whose messages waited.
 */
static void
leave_behind(const struct passage *passage, struct inbox_end *end)
{
	const struct inbox_row *row = passage->row;
	const struct incoming *in = passage->in;
	bool late = !in->live && in->origin_ms > 0 && in->origin_ms < row->received_ms;
	struct decision decision = { 0 };

	if (!plumb_was_joined(passage->core, row->room, late ? in->origin_ms : row->received_ms, decision.group, sizeof(decision.group)))
		return;
	end->fate = FATE_REFUSED;
	if (!passage->group)
		return; /* the bot has left: nobody can be told */
	note_author(passage, &decision);
	default_verdict(&decision.verdict, row->received_ms);
	decisions_save(passage->core->store, &decision);
	refusals_note(passage->core, row->seq, decision.group, REFUSAL_PARTED, NULL);
}

/* ---- one row ---- */

/* Commands first: they are never bridged and never held. */
static void
handle(struct relay *relay, const struct inbox_row *row, const struct incoming *in, struct inbox_end *end)
{
	struct passage passage = { .core = relay->core, .row = row, .in = in, .keep_raw = &end->keep_raw };

	passage.group = groups_of_room(&relay->core->groups, in->direct && in->direct_room ? in->direct_room : row->room);
	if (turn_away(&passage, end))
		return;
	if (in->direct || command_is(relay->core, in->text)) {
		if (in->live && in->message != MESSAGE_NOTICE)
			command_run(relay->core, passage.group, row, in);
		return;
	}
	FAULT_TEXT(in->text);
	enum refusal why;
	if (!passage.group || passage.group->kind == GROUP_VISIT)
		leave_behind(&passage, end);
	else if (consent_refuses(consent_of(relay->core, passage.group), &why))
		refuse(&passage, why, end);
	else
		relay_message(&passage, end);
}

/* Kept raw, for the admin; the rest of the room goes on. */
static void
set_aside(struct core *core, const struct inbox_row *row, const char *reason)
{
	inbox_quarantine(core->inbox, row->network, row->room, row->source_id, row->raw ? row->raw : "", row->size, reason);
	inbox_finish(core->inbox, row->seq, &(struct inbox_end){ INBOX_QUARANTINED, FATE_QUARANTINED, 0, false, reason });
}

static void
finish(struct relay *relay, const struct inbox_row *row, const struct incoming *in)
{
	struct inbox_end end = { .state = INBOX_DONE_STATE, .fate = FATE_IGNORED };

	if (in->kind == INCOMING_MESSAGE)
		handle(relay, row, in, &end);
	else if (in->kind == INCOMING_WITHDRAWAL)
		withdrawal_carry_out(relay->core, row, in);
	else if (in->kind == INCOMING_VERIFICATION)
		notices_decline(relay->core, row, in);
	else if (in->kind == INCOMING_LOST)
		end.fate = FATE_REFUSED;
	inbox_finish(relay->core->inbox, row->seq, &end);
	if (end.keep_raw && in->keep)
		inbox_replace(relay->core->inbox, row->seq, in->keep, in->keep_size);
}

static void
dispatch(struct relay *relay, const struct inbox_row *row, const struct incoming *in)
{
	struct core *core = relay->core;

	switch (in->kind) {
	case INCOMING_POISON:
		set_aside(core, row, in->reason);
		notices_unreadable(core, row, in);
		break;
	case INCOMING_LATER:
		inbox_stall(core->inbox, row);
		break;
	case INCOMING_ASIDE:
		inbox_put_aside(core->inbox, row);
		notices_unread(core, row, in);
		break;
	case INCOMING_LOST:
		notices_unread(core, row, in);
		finish(relay, row, in);
		break;
	case INCOMING_NOTHING:
	case INCOMING_MESSAGE:
	case INCOMING_VERIFICATION:
	case INCOMING_WITHDRAWAL:
		finish(relay, row, in);
		break;
	}
}

static void
process(struct relay *relay, const struct inbox_row *row)
{
	struct core *core = relay->core;
	struct port *port = core->port[row->network];
	struct incoming in = { .kind = INCOMING_POISON, .reason = "unreadable: was the master key replaced?" };
	struct arena arena;

	arena_init(&arena);
	if (row->raw)
		port->ops->read(port, row->room, row->raw, row->size, &arena, &in);
	dispatch(relay, row, &in);
	arena_fini(&arena);
}

/* It is set aside for good before it is read for its author's name: should that end us too, then only once more. */
static void
tell_author(struct core *core, const struct inbox_row *row)
{
	struct port *port = core->port[row->network];
	struct incoming in = { 0 };
	struct arena arena;

	if (store_commit(core->store) || !row->raw)
		return;
	arena_init(&arena);
	port->ops->read(port, row->room, row->raw, row->size, &arena, &in);
	notices_unreadable(core, row, &in);
	arena_fini(&arena);
}

/* A row left by a process that crashed may be what ended it: count the attempt durably first (delivery 7). A kill blames nobody. */
static bool
may_try(struct relay *relay, const struct inbox_row *row)
{
	struct core *core = relay->core;

	if (!row->recovered || !core->crashed)
		return true;
	if (row->attempts > ATTEMPTS_MAX) {
		set_aside(core, row, "stopped the program three times");
		tell_author(core, row);
		return false;
	}
	inbox_attempt(core->inbox, row->seq);
	return store_commit(core->store) == 0;
}

static void
work_on(struct relay *relay, const struct inbox_row *row)
{
	struct core *core = relay->core;

	if (!may_try(relay, row))
		return;
	store_savepoint(core->store);
	process(relay, row);
	FAULT_POINT("mid_judgement");
	if (store_release(core->store, true) || store_failed(core->store))
		return;
	log_error(LOG_RELAY, "row could not be judged row=%" PRId64 " room=%s", row->seq, row->room);
	core_recall(core);
	inbox_finish(core->inbox, row->seq, &(struct inbox_end){ INBOX_QUARANTINED, FATE_QUARANTINED, 0, true, "could not be judged" });
}

bool
relay_work(struct relay *relay, int most)
{
	for (int i = 0; i < most; i++) {
		struct inbox_row row;
		if (!inbox_next(relay->core->inbox, &row))
			return false;
		work_on(relay, &row);
		inbox_row_fini(&row);
		if (store_failed(relay->core->store) || store_broken(relay->core->store))
			return false;
	}
	return true;
}

/* ---- a changed charter ---- */

/*
 * As if what this group holds came now: it goes when the group is open, however late, and waits for the next opening otherwise (etiquette 8.15).
 * Its text is the same, so it stays admitted and where it was sent; and its author was promised that it comes whole.
 */
static void
judge_again(const struct passage *passage, int64_t now_ms, struct verdict *verdict)
{
	const struct rules *rules = passage->group->rules;

	judge_timing(passage, rules, now_ms, verdict);
	if (verdict->stage[STAGE_TIMING].action != ACTION_DIGEST)
		return;
	verdict->due_ms = rules_next_opening(rules, now_ms);
	verdict->notice = verdict->due_ms > now_ms;
	verdict->stage[STAGE_TIMING].action = verdict->notice ? ACTION_HOLD : ACTION_DELIVER;
}

/* What is said of it from now on, and to its author at once when he was promised it sooner. A copy's decision is that of its own group. */
static void
decide_again(const struct passage *passage, struct verdict *verdict, int64_t now_ms)
{
	struct core *core = passage->core;
	struct decision decision;

	if (!decisions_get(core->store, passage->row->seq, &decision) || strcmp(decision.group, passage->group->name) != 0)
		return;
	int64_t before_ms = decision.verdict.due_ms;
	take_timing(&decision.verdict, verdict);
	if (verdict->due_ms <= now_ms)
		decision.verdict.due_ms = decision.verdict.now_ms;
	decision.revision = passage->group->revision;
	decisions_save(core->store, &decision);
	if (verdict->due_ms - before_ms > LATER_MS && !is_program(passage))
		notices_postponed(core, passage->group, &decision, passage->row->network, passage->row->room, passage->row->source_id);
}

/* What a message answers is older, and so was planned again before it. */
static void
replan(const struct passage *passage)
{
	struct core *core = passage->core;
	int64_t now_ms = now_rules_ms();
	struct verdict verdict;

	judge_again(passage, now_ms, &verdict);
	for (int network = NETWORK_MATRIX; network <= NETWORK_XMPP; network++)
		verdict.due_ms = not_before_parent(passage, passage->group->room[network], verdict.due_ms);
	outbox_replan(core->outbox, passage->row->seq, passage->group->name, verdict.due_ms);
	digests_replan(core->digests, passage->group, passage->row->seq, verdict.due_ms);
	decide_again(passage, &verdict, now_ms);
}

static void
replan_row(struct relay *relay, struct group *group, int64_t seq)
{
	struct core *core = relay->core;
	struct inbox_row row;
	struct incoming in = { 0 };
	struct arena arena;

	if (!inbox_get(core->inbox, seq, &row))
		return;
	arena_init(&arena);
	struct port *port = core->port[row.network];
	if (row.raw)
		port->ops->read(port, row.room, row.raw, row.size, &arena, &in);
	if (in.kind == INCOMING_MESSAGE)
		replan(&(struct passage){ .core = core, .row = &row, .in = &in, .group = group });
	arena_fini(&arena);
	inbox_row_fini(&row);
}

void
relay_replan(struct relay *relay, struct group *group)
{
	struct query query = store_query(relay->core->store, OUTBOX_HELD);
	int64_t *held = NULL;
	size_t count = 0;

	query_text(&query, group->name);
	while (query_step(&query)) {
		held = xrealloc(held, (count + 1) * sizeof(*held));
		held[count++] = query_get_int(&query, 0);
	}
	query_done(&query);
	for (size_t i = 0; i < count; i++)
		replan_row(relay, group, held[i]);
	free(held);
	if (count)
		log_info(LOG_RELAY, "planned again group=%s messages=%zu revision=%d", group->name, count, group->revision);
}
