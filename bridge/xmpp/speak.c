/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A row of a room is a speech from send() until the room reflects it to the listener under the name that we gave
 * it; the window counts speeches. Whatever ends a connection or a stay puts them in doubt, and only the archive says
 * which of them go again. A private message has no reflection: a ping to our own domain, sent behind it, comes back
 * after any error it could have caused.
 */
#include "xmpp/speak.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/now.h"
#include "base/str.h"
#include "xmpp/archive.h"
#include "xmpp/hear.h"
#include "xmpp/jid.h"
#include "xmpp/member.h"
#include "xmpp/muc.h"
#include "xmpp/pace.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_WINDOW 32
#define STREAM_WINDOW 128
#define PRIVATE_WINDOW 32
#define PATIENCE_MS 5000     /* that a lane waits for a ghost (decisions 1.3) */
#define HOPELESS_MS 120000   /* that it waits for one whose row was tried, and must go under its name */
#define REFLECTION_MS 20000
#define BARRIER_MS 20000
#define ENVELOPE_MAX 8192    /* of a stanza: addresses, ids, stamp */

/* ---- rendering ---- */

/* Whether the lane is an occupant JID: private messages go through the room. */
static bool
is_through_room(const char *lane)
{
	return strchr(lane, '/') != NULL;
}

/* Full JID of whoever speaks; malloc'd. NULL: his address would be too long. */
static char *
sender_of(struct jabber *jabber, const struct outgoing *outgoing)
{
	if (outgoing->kind == OUTGOING_PRIVATE)
		return xstrdup(is_through_room(outgoing->lane) ? jabber->listener : hear_called(jabber, outgoing->lane));
	if (!outgoing->author.person)
		return xstrdup(jabber->listener);
	return outgoing->author.stem ? jid_ghost(outgoing->author.stem, jabber->settings.component) : NULL;
}

static void
add_delay(struct jabber *jabber, xmpp_stanza_t *message, int64_t at_ms)
{
	xmpp_stanza_t *delay = stanza_add(message, "delay", NS_DELAY);
	char stamp[32];

	now_format_utc(at_ms, stamp, sizeof(stamp));
	stanza_set(delay, "from", jabber->settings.component);
	stanza_set(delay, "stamp", stamp);
}

/* The lane as the server spells it; malloc'd. */
static char *
target_of(struct jabber *jabber, const char *lane)
{
	size_t n = jid_bare_length(lane);
	AUTO_FREE char *address = xstrndup(lane, n);
	struct room *room = muc_find_address(jabber, address);

	return room ? xasprintf("%s%s", room->jid, lane + n) : xstrdup(lane);
}

/*
 * An occupant's nick tells no more whose a message was once he has left, and the outbox forgets names that are settled. The key
 * tells for ever. Whoever copies it makes us deaf to himself.
 */
static void
make_key(struct jabber *jabber, const char *address, const char *name, char out[17])
{
	seal_alias(jabber->parts.seal, (const char *const[]){ "mark", address, name, NULL }, out);
}

/* seal_name() makes 32 characters of base32; others need not be looked up. */
static bool
could_be_ours(const char *name)
{
	return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == 32 && !name[32];
}

const char *
speak_name(xmpp_stanza_t *message)
{
	const char *id = stanza_get(message, "id"), *origin = stanza_get(stanza_find(message, "origin-id", NS_SID), "id");

	return could_be_ours(id) || !could_be_ours(origin) ? id : origin;
}

bool
speak_marked(struct room *room, xmpp_stanza_t *message)
{
	const char *key = stanza_get(stanza_find(message, "mark", NS_MARK), "key");
	char wanted[17];

	if (!key[0])
		return false;
	make_key(room->jabber, room->address, speak_name(message), wanted);
	return seal_same(key, wanted);
}

void
speak_render(struct port *port, const struct outgoing *outgoing, struct str *out)
{
	struct jabber *jabber = (struct jabber *)port;
	bool private = outgoing->kind == OUTGOING_PRIVATE;
	char key[17];

	if (outgoing->kind == OUTGOING_MARK || outgoing->kind == OUTGOING_UNMARK)
		return;
	AUTO_FREE char *from = sender_of(jabber, outgoing);
	AUTO_FREE char *to = target_of(jabber, outgoing->lane);
	AUTO_FREE char *body = xasprintf("%s%s", outgoing->message == MESSAGE_EMOTE ? "/me " : "", outgoing->text ? outgoing->text : "");
	if (!from)
		return;
	xmpp_stanza_t *message = stanza_make(jabber->ctx, "message", private ? "chat" : "groupchat", outgoing->name, from, to);
	stanza_add_text(message, "body", body);
	stanza_set(stanza_add(message, "origin-id", NS_SID), "id", outgoing->name);
	if (outgoing->reply_to)
		stanza_set(stanza_add(message, "reply", NS_REPLY), "id", outgoing->reply_to);
	if (outgoing->delay_ms)
		add_delay(jabber, message, outgoing->delay_ms);
	if (!private) {
		make_key(jabber, outgoing->lane, outgoing->name, key);
		stanza_set(stanza_add(message, "mark", NS_MARK), "key", key);
	}
	/* A chat with the account is kept for whoever is offline; a digest must reach him. */
	if (private && is_through_room(outgoing->lane)) {
		stanza_add(message, "x", NS_MUC_USER);
		stanza_add(message, "no-store", NS_HINTS);
	}
	if (!stanza_write(out, message, jabber->settings.component))
		log_error(LOG_XMPP, "cannot render row=%s lane=%s: too long", outgoing->name, outgoing->lane);
	stanza_free(message);
}

size_t
speak_fits(struct port *port, const char *text, size_t n)
{
	(void)port;
	return stanza_fits(text, n, STANZA_OUT_MAX - ENVELOPE_MAX);
}

/* ---- speeches ---- */

static struct speech *
new_speech(struct list *list, const struct sending *row, struct member *member)
{
	struct speech *speech = xcalloc(1, sizeof(*speech));

	*speech = (struct speech){
		.id = row->id, .name = xstrdup(row->name), .member = member, .sent_ms = now_monotonic_ms(), .sent_real_ms = now_real_ms(),
	};
	list_append(list, &speech->link);
	return speech;
}

static void
free_speech(struct speech *speech)
{
	list_remove(&speech->link);
	free(speech->name);
	free(speech->lane);
	free(speech);
}

static struct speech *
find_speech(struct list *list, const char *name)
{
	struct speech *speech;

	LIST_FOR_EACH(speech, list, struct speech, link)
		if (strcmp(speech->name, name) == 0)
			return speech;
	return NULL;
}

/* Takes a speech off the window and returns its row. */
static int64_t
end_speech(struct room *room, struct speech *speech)
{
	int64_t id = speech->id;

	free_speech(speech);
	room->speech_count--;
	/* Other lanes may have waited for the stream's window. */
	if (room->jabber->speech_count-- >= STREAM_WINDOW)
		outbox_wake(room->jabber->parts.outbox);
	return id;
}

static int64_t
end_private(struct jabber *jabber, struct speech *speech)
{
	int64_t id = speech->id;

	free_speech(speech);
	if (jabber->private_count-- >= PRIVATE_WINDOW)
		outbox_wake(jabber->parts.outbox);
	return id;
}

void
speak_forget(struct room *room)
{
	while (!list_empty(&room->speeches))
		end_speech(room, LIST_ENTRY(room->speeches.next, struct speech, link));
	loop_timer_stop(&room->watch);
	loop_timer_stop(&room->overflow);
	room->awaited = room->hopeless = NULL;
}

void
speak_doubt(struct room *room)
{
	while (!list_empty(&room->speeches))
		outbox_again(room->jabber->parts.outbox, end_speech(room, LIST_ENTRY(room->speeches.next, struct speech, link)), 0);
	speak_forget(room);
}

void
speak_forget_privates(struct jabber *jabber, bool handed_stay)
{
	while (!list_empty(&jabber->privates)) {
		struct speech *speech = LIST_ENTRY(jabber->privates.next, struct speech, link);
		/* The server may have died with them unread. */
		if (!handed_stay)
			sent_clear(jabber->sent, speech->name);
		end_private(jabber, speech);
	}
	jabber->barrier = jabber->barriers_answered = 0;
}

/* ---- may a row go? ---- */

/* The ghost cannot speak for now: after `delay_ms` the bot does, unless it can by then. */
static unsigned
await(struct room *room, struct member *member, int64_t delay_ms)
{
	int64_t now_ms = now_monotonic_ms();

	if (room->awaited != member)
		room->awaited_ms = now_ms;
	if (room->awaited != member || !loop_timer_armed(&room->overflow) || room->overflow.due_ms > now_ms + delay_ms) {
		room->awaited = member;
		loop_timer_set(&room->overflow, delay_ms);
	}
	return 0;
}

/* Whom the room does not want, or does not know, the bot does not speak for; for want of a nick or a password it does. */
static bool
refuses_rows(enum ghost_reason reason)
{
	return reason == GHOST_FOR_BAN || reason == GHOST_FOR_KICK || reason == GHOST_FOR_MEMBERS;
}

static unsigned
ready_ghost(struct room *room, struct member *member, unsigned window)
{
	if (member->state == GHOST_UNKNOWN || member->state == GHOST_PARTED)
		member_step(member, GHOST_WANTED);
	if (room->hopeless == member)
		return 1;
	switch (member->state) {
	case GHOST_JOINED:
	case GHOST_MUTED:
		if (room->awaited == member) {
			room->awaited = NULL;
			loop_timer_stop(&room->overflow);
		}
		return window;
	case GHOST_REFUSED:
		return refuses_rows(member->reason) ? window : await(room, member, 0);
	case GHOST_BACKOFF:
		return await(room, member, 0);
	case GHOST_UNKNOWN:
	case GHOST_ASKING:
	case GHOST_PARTED:
	case GHOST_JOINING:
	case GHOST_STATES:
		break;
	}
	(void)await(room, member, PATIENCE_MS);
	pace_hurry(member);
	return 0;
}

/* A join takes its time: who speaks later is let in meanwhile. One that is inside keeps its name until its turn. */
static void
foresee(void *context, const struct author *author)
{
	struct room *room = context;
	struct member *member = member_foreseen(room, author);

	if (!member || (member->state != GHOST_UNKNOWN && member->state != GHOST_PARTED) || !pace_may_foresee(room))
		return;
	member_rename(member, author->name);
	member_step(member, GHOST_WANTED);
}

static unsigned
window_of(unsigned size, unsigned used)
{
	return used < size ? size - used : 0;
}

/* Messages one by one cost a server twice what they cost it in lumps: a window more than half used is first left to run down. */
static unsigned
lump_of(unsigned size, unsigned used)
{
	return used <= size / 2 ? size - used : 0;
}

static unsigned
ready_room(struct room *room, const struct author *author)
{
	struct jabber *jabber = room->jabber;
	unsigned window = lump_of(ROOM_WINDOW, room->speech_count), stream_window = window_of(STREAM_WINDOW, jabber->speech_count);

	if (window > stream_window)
		window = stream_window;
	/* Shut out for good: rows are taken to be refused, so that their authors hear of it. */
	if (room->phase == ROOM_SHUT)
		return 1;
	if (room->phase != ROOM_READY || !window)
		return 0;
	if (!author->person)
		return window;
	struct member *member = member_for(room, author);
	if (!member)
		return await(room, NULL, 0);
	member_rename(member, author->name);
	unsigned ready = ready_ghost(room, member, window);
	/* While a row is in doubt, its ghost may need the last place, and more. */
	if (!ready && !outbox_has_doubts(jabber->parts.outbox, room->address))
		outbox_each_author(jabber->parts.outbox, room->address, ROOM_WINDOW, foresee, room);
	return ready;
}

static unsigned
ready_private(struct jabber *jabber, const char *lane)
{
	AUTO_FREE char *address = jid_bare(lane);
	struct room *room = is_through_room(lane) ? muc_find_address(jabber, address) : NULL;

	if (is_through_room(lane) && (!room || room->phase != ROOM_READY))
		return 0;
	return window_of(PRIVATE_WINDOW, jabber->private_count);
}

unsigned
speak_ready(struct port *port, const char *lane, const struct author *author)
{
	struct jabber *jabber = (struct jabber *)port;

	if (!stream_is_up(jabber->stream) || stream_backlog(jabber->stream) > STREAM_HIGH_WATER)
		return 0;
	struct room *room = is_through_room(lane) ? NULL : muc_find_address(jabber, lane);
	return room ? ready_room(room, author) : ready_private(jabber, lane);
}

void
speak_overflow(void *context)
{
	struct room *room = context;
	struct outbox *outbox = room->jabber->parts.outbox;
	struct member *member = room->awaited;

	if (room->phase != ROOM_READY)
		return;
	if (member && (member->state == GHOST_JOINED || member->state == GHOST_MUTED)) {
		outbox_wake(outbox);
		return;
	}
	/* A row that was tried under the ghost's name goes under that name or not at all. */
	if (outbox_has_doubts(outbox, room->address)) {
		loop_timer_set(&room->overflow, 1000);
		if (member && now_monotonic_ms() - room->awaited_ms >= HOPELESS_MS) {
			room->hopeless = member;
			outbox_wake(outbox);
		}
		return;
	}
	room->awaited = NULL;
	if (outbox_overflow(outbox, room->address, member ? member->person : NULL))
		log_info(LOG_XMPP, "bot speaks room=%s for=%s state=%s", room->jid, member ? member->jid : "", member ?
				ghost_state_name(member->state) : "no place");
	outbox_wake(outbox);
}

/* ---- sending ---- */

static bool
is_from(const struct sending *row, const char *jid)
{
	AUTO_FREE char *head = xasprintf("<message from=\"%s\"", jid);

	return str_starts(row->payload, head);
}

enum refusal
speak_refusal_of(const struct member *member)
{
	static const enum refusal refusals[GHOST_REASONS] = {
		[GHOST_FINE] = REFUSAL_OTHER, [GHOST_FOR_NICK] = REFUSAL_NICK, [GHOST_FOR_MEMBERS] = REFUSAL_NOT_MEMBER,
		[GHOST_FOR_PASSWORD] = REFUSAL_NOT_MEMBER, [GHOST_FOR_BAN] = REFUSAL_BANNED, [GHOST_FOR_KICK] = REFUSAL_MODERATED,
		[GHOST_FOR_GONE] = REFUSAL_ROOM_GONE,
	};

	return member->state == GHOST_MUTED ? REFUSAL_MODERATED : refusals[member->reason];
}

/* Whether the member will never say this row; what it cannot say for now is handed out again. */
static bool
is_lost_on(struct room *room, const struct member *member, const struct sending *row)
{
	return member->state == GHOST_MUTED || (member->state == GHOST_REFUSED && refuses_rows(member->reason)) ||
		(room->hopeless == member && member->state != GHOST_JOINED && row->tried);
}

static void
say(struct room *room, struct member *member, const struct sending *row)
{
	if (member->renamed)
		outbox_renamed(room->jabber->parts.outbox, row->id, member->renamed);
	free(member->renamed);
	member->renamed = NULL;
	new_speech(&room->speeches, row, member);
	room->speech_count++;
	room->jabber->speech_count++;
	member->spoke_ms = now_monotonic_ms();
	if (!loop_timer_armed(&room->watch))
		loop_timer_set(&room->watch, REFLECTION_MS);
	stream_send(room->jabber->stream, row->payload, row->size);
}

static void
send_in_room(struct room *room, const struct sending *row)
{
	struct outbox *outbox = room->jabber->parts.outbox;
	struct member *member;

	if (room->phase == ROOM_SHUT) {
		outbox_refused(outbox, row->id, speak_refusal_of(room->listener), member_why(room->listener));
		return;
	}
	member = room->phase == ROOM_READY ? member_for(room, &row->author) : NULL;
	if (!member)
		outbox_again(outbox, row->id, 1000);
	else if (is_lost_on(room, member, row))
		outbox_refused(outbox, row->id, speak_refusal_of(member), member_why(member));
	else if (member->state != GHOST_JOINED)
		outbox_again(outbox, row->id, 500);
	else if (!is_from(row, member->jid))
		outbox_refused(outbox, row->id, REFUSAL_OTHER, "it was written under another component's name");
	else
		say(room, member, row);
	if (member && room->hopeless == member)
		room->hopeless = NULL;
}

static void
send_private(struct jabber *jabber, const struct sending *row)
{
	if (!is_from(row, jabber->listener) && !is_from(row, jabber->bot) && !is_from(row, jabber->settings.component)) {
		outbox_refused(jabber->parts.outbox, row->id, REFUSAL_OTHER, "it was written under another component's name");
		return;
	}
	struct speech *speech = new_speech(&jabber->privates, row, NULL);
	jabber->private_count++;
	stream_send(jabber->stream, row->payload, row->size);
	speech->lane = xstrdup(row->lane);
	speech->position = stream_handed(jabber->stream) + stream_backlog(jabber->stream);
}

void
speak_send(struct port *port, const struct sending *row)
{
	struct jabber *jabber = (struct jabber *)port;
	struct room *room;

	if (row->kind == OUTGOING_MARK || row->kind == OUTGOING_UNMARK)
		outbox_settled(jabber->parts.outbox, row->id, "");
	else if (!row->size)
		outbox_refused(jabber->parts.outbox, row->id, REFUSAL_TOO_BIG, "it could not be written as a stanza");
	else if (!stream_is_up(jabber->stream))
		outbox_again(jabber->parts.outbox, row->id, 1000);
	else if (row->kind == OUTGOING_PRIVATE)
		send_private(jabber, row);
	else if ((room = muc_find_address(jabber, row->lane)))
		send_in_room(room, row);
	else
		outbox_refused(jabber->parts.outbox, row->id, REFUSAL_ROOM_GONE, "the room belongs to no group any more");
}

/* ---- the barrier ---- */

static void
on_barrier(void *context, enum answer answer, xmpp_stanza_t *iq)
{
	struct jabber *jabber = context;
	struct speech *speech;

	(void)iq;
	/* Lost with the stream: speak_forget_privates() knows what the kernel has. */
	if (!stream_is_up(jabber->stream))
		return;
	jabber->barriers_answered++;
	LIST_FOR_EACH(speech, &jabber->privates, struct speech, link) {
		if (!speech->barrier || speech->barrier > jabber->barriers_answered)
			continue;
		if (answer == ANSWER_NONE)
			sent_clear(jabber->sent, speech->name);
		int64_t id = end_private(jabber, speech);
		if (answer == ANSWER_NONE)
			outbox_again(jabber->parts.outbox, id, 1000);
		else
			outbox_settled(jabber->parts.outbox, id, "");
	}
}

/* One ping behind all private messages of this turn. Answers come in the order of the pings. */
static void
send_barrier(struct jabber *jabber)
{
	struct speech *speech;
	bool any = false;

	LIST_FOR_EACH(speech, &jabber->privates, struct speech, link) {
		if (!speech->barrier) {
			speech->barrier = jabber->barrier + 1;
			any = true;
		}
	}
	if (!any)
		return;
	jabber->barrier++;
	xmpp_stanza_t *iq = stanza_make(jabber->ctx, "iq", "get", NULL, jabber->listener, jabber->settings.component);
	stanza_add(iq, "ping", NS_PING);
	jabber_ask(jabber, iq, BARRIER_MS, on_barrier, jabber);
}

static void
note_handed(struct jabber *jabber)
{
	uint64_t handed = stream_handed(jabber->stream);
	struct speech *speech;

	LIST_FOR_EACH(speech, &jabber->privates, struct speech, link) {
		if (speech->handed || speech->position > handed)
			continue;
		speech->handed = true;
		sent_note(jabber->sent, speech->lane, speech->name);
		FAULT_POINT("xmpp_private_noted");
	}
}

void
speak_flush(struct port *port)
{
	struct jabber *jabber = (struct jabber *)port;

	if (stream_is_up(jabber->stream))
		send_barrier(jabber);
	stream_flush(jabber->stream);
	note_handed(jabber);
}

/* What an earlier process had handed to the kernel, and could not write down as said. */
static void
settle_noted(void *context, const char *lane, const char *name)
{
	struct jabber *jabber = context;

	if (outbox_settle_name(jabber->parts.outbox, lane, name, ""))
		log_info(LOG_XMPP, "private message was sent before the restart row=%s", name);
}

static void
on_settled(void *context, bool done)
{
	struct jabber *jabber = context;

	if (done)
		sent_forget(jabber->sent);
}

void
speak_recover(struct jabber *jabber)
{
	if (jabber->blind || !jabber->sent)
		return;
	sent_each(jabber->sent, settle_noted, jabber);
	store_after_commit(jabber->parts.store, on_settled, jabber);
}

/* ---- what comes back ---- */

/* A room may give ids of its own to what it reflects (XEP-0045 §7.4); but it keeps the order of each occupant's messages. */
static struct speech *
oldest_of(struct room *room, const char *nick)
{
	struct speech *speech;

	LIST_FOR_EACH(speech, &room->speeches, struct speech, link)
		if (str_equal(speech->member->nick, nick))
			return speech;
	return NULL;
}

bool
speak_reflected(struct room *room, const char *nick, const char *name, const char *stanza_id)
{
	struct speech *speech = could_be_ours(name) ? find_speech(&room->speeches, name) : oldest_of(room, nick);

	/* A name is nobody's guess, but once reflected everybody in the room has read it. */
	if (!speech || !str_equal(speech->member->nick, nick))
		return false;
	metric_observe(DURATION_REFLECTION, now_monotonic_ms() - speech->sent_ms);
	FAULT_POINT("xmpp_before_settle");
	outbox_settled(room->jabber->parts.outbox, end_speech(room, speech), stanza_id);
	return true;
}

bool
speak_found(struct room *room, const char *name, const char *stanza_id)
{
	struct outbox *outbox = room->jabber->parts.outbox;

	if (room->jabber->blind || !could_be_ours(name))
		return false;
	struct speech *speech = find_speech(&room->speeches, name);
	if (speech) {
		outbox_settled(outbox, end_speech(room, speech), stanza_id);
		return true;
	}
	return outbox_settle_name(outbox, room->address, name, stanza_id);
}

enum consequence { REFUSE_MODERATED, REFUSE_OTHER, TRY_AGAIN, REJOIN, REENTER };

static enum consequence
consequence_of(const char *condition, const char *type)
{
	static const struct {
		const char *condition;
		enum consequence consequence;
	} table[] = {
		{ "not-acceptable", REJOIN }, { "forbidden", REFUSE_MODERATED }, { "item-not-found", REENTER }, { "gone", REENTER },
		{ "recipient-unavailable", REENTER }, { "remote-server-timeout", TRY_AGAIN }, { "remote-server-not-found", TRY_AGAIN },
	};

	if (strcmp(type, "wait") == 0)
		return TRY_AGAIN;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		if (strcmp(table[i].condition, condition) == 0)
			return table[i].consequence;
	return strcmp(condition, "not-allowed") == 0 || strcmp(condition, "policy-violation") == 0 ? REFUSE_MODERATED : REFUSE_OTHER;
}

static void
fail_in_room(struct room *room, struct speech *speech, xmpp_stanza_t *message)
{
	struct outbox *outbox = room->jabber->parts.outbox;
	struct member *member = speech->member;
	const char *type, *condition = stanza_error(message, &type);
	AUTO_FREE char *text = stanza_error_text(message);
	AUTO_FREE char *detail = xasprintf("%s%s%.200s", condition, text[0] ? ": " : "", text);
	int64_t id = end_speech(room, speech);

	switch (consequence_of(condition, type)) {
	case REJOIN:
		outbox_again(outbox, id, 100);
		member_step(member, GHOST_NOT_IN);
		muc_suspect(room);
		break;
	case REFUSE_MODERATED:
		if (strcmp(condition, "forbidden") == 0)
			member_step(member, GHOST_NO_VOICE);
		outbox_refused(outbox, id, REFUSAL_MODERATED, detail);
		break;
	case TRY_AGAIN:
		outbox_again(outbox, id, 5000);
		break;
	case REENTER:
		outbox_again(outbox, id, 1000);
		muc_leave_off(room, 1000);
		break;
	case REFUSE_OTHER:
		outbox_refused(outbox, id, REFUSAL_OTHER, detail);
		break;
	}
}

void
speak_failed(struct jabber *jabber, xmpp_stanza_t *message)
{
	const char *from = stanza_get(message, "from"), *name = stanza_get(message, "id");
	struct room *room = muc_find(jabber, from);
	struct speech *speech = room && !jid_resource(from)[0] ? find_speech(&room->speeches, name) : NULL;

	if (speech) {
		fail_in_room(room, speech, message);
		return;
	}
	speech = find_speech(&jabber->privates, name);
	if (!speech)
		return;
	const char *type, *condition = stanza_error(message, &type);
	AUTO_FREE char *text = stanza_error_text(message);
	AUTO_FREE char *detail = xasprintf("%s%s%.200s", condition, text[0] ? ": " : "", text);
	outbox_refused(jabber->parts.outbox, end_private(jabber, speech), REFUSAL_OTHER, detail);
}

/* ---- reflections that do not come ---- */

static void
on_suspect(void *context, enum answer answer, xmpp_stanza_t *iq)
{
	struct room *room = context;

	if (room->phase != ROOM_READY || list_empty(&room->speeches))
		return;
	struct member *member = LIST_ENTRY(room->speeches.next, struct speech, link)->member;
	if (member_alive(answer, iq) == GHOST_DEAD)
		member_step(member, GHOST_DEAD);
	/* The listener's own end has taken the room along. */
	if (room->phase == ROOM_READY)
		archive_settle(room);
}

void
speak_watch(void *context)
{
	struct room *room = context;

	if (list_empty(&room->speeches) || room->phase != ROOM_READY)
		return;
	struct speech *oldest = LIST_ENTRY(room->speeches.next, struct speech, link);
	int64_t left_ms = oldest->sent_ms + REFLECTION_MS - now_monotonic_ms();
	if (left_ms > 0) {
		loop_timer_set(&room->watch, left_ms);
		return;
	}
	log_warning(LOG_XMPP, "no reflection room=%s row=%" PRId64 " ghost=%s: asking the archive", room->jid, oldest->id,
			oldest->member->jid);
	member_ping(oldest->member, on_suspect, room);
	muc_suspect(room);
	loop_timer_set(&room->watch, REFLECTION_MS);
}
