/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members move by ghost.c's table only (member_step); each has one timer, whose meaning follows from its state. After a
 * loss they are UNKNOWN and ask before they join, because joins cost the square of their number; for the same reason a room
 * has only so many places, and pace.c says when a join may begin.
 */
#include "xmpp/member.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/look.h"
#include "base/now.h"
#include "base/seal.h"
#include "base/str.h"
#include "xmpp/archive.h"
#include "xmpp/jid.h"
#include "xmpp/muc.h"
#include "xmpp/nick.h"
#include "xmpp/pace.h"
#include "xmpp/roster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PING_MS 10000
#define JOIN_MS 30000
#define LET_IN_MS 10000
#define MUTED_MS (10 * 60000) /* after which one that was refused a message tries another, should no presence give it a voice */
#define PLACE_KEPT_MS (24 * 3600000LL) /* that a place is kept after a message (decisions 1.5) */
#define CONFLICTS_MAX 5
#define SINCE_MARGIN_MS (5 * 60000)

static void on_member_timer(void *context);
static void remember(struct member *member);

struct member *
member_by_nick(struct room *room, const char *nick)
{
	struct member *member;

	if (str_equal(room->listener->nick, nick))
		return room->listener;
	LIST_FOR_EACH(member, &room->members, struct member, link)
		if (str_equal(member->nick, nick))
			return member;
	return NULL;
}

struct member *
member_by_jid(struct room *room, const char *full_jid)
{
	struct member *member;

	if (strcmp(room->listener->jid, full_jid) == 0)
		return room->listener;
	LIST_FOR_EACH(member, &room->members, struct member, link)
		if (strcmp(member->jid, full_jid) == 0)
			return member;
	return NULL;
}

bool
member_is_listener(const struct member *member)
{
	return !member->person;
}

bool
member_is_inside(const struct member *member)
{
	return member->state == GHOST_JOINED || member->state == GHOST_MUTED;
}

/* jid is taken. */
static struct member *
new_member(struct room *room, const struct author *author, char *jid)
{
	struct member *member = xcalloc(1, sizeof(*member));

	list_init(&member->link);
	list_init(&member->queue);
	member->room = room;
	member->person = xstrdup(author->person);
	member->stem = xstrdup(author->stem);
	member->jid = jid;
	member->state = GHOST_PARTED;
	member->spoke_ms = now_monotonic_ms();
	loop_timer_init(&member->timer, room->jabber->parts.loop, on_member_timer, member);
	if (author->person) {
		list_append(&room->members, &member->link);
		room->member_count++;
	}
	return member;
}

static void
free_member(struct member *member)
{
	requests_forget(&member->room->jabber->requests, member);
	loop_timer_stop(&member->timer);
	pace_end_join(member);
	if (member->person)
		member->room->member_count--;
	list_remove(&member->link);
	free(member->person);
	free(member->stem);
	free(member->name);
	free(member->jid);
	free(member->nick);
	free(member->said);
	free(member->renamed);
	free(member);
}

void
member_set_nick(struct member *member, const char *nick)
{
	char *copy = xstrdup(nick);

	free(member->nick);
	member->nick = copy;
	if (member_is_inside(member))
		remember(member);
}

/* Whether people could take another of ours for him who has this nick, or is about to: the roster does not show those yet. */
static bool
is_awaited_alike(const struct member *member, const char *nick)
{
	const struct member *other;

	LIST_FOR_EACH(other, &member->room->members, struct member, link)
		if (other != member && other->nick && ghost_may_be_in(other->state) && look_alike(other->nick, nick))
			return true;
	return false;
}

static bool
is_free(struct member *member, const char *nick)
{
	struct occupant *occupant = roster_find_alike(member->room, nick);

	if (is_awaited_alike(member, nick))
		return false;
	if (!occupant)
		return true;
	/* It may be himself, left there by an earlier process. */
	if (occupant->jid)
		return jid_same_bare(occupant->jid, member->jid);
	return member_by_nick(member->room, occupant->nick) == member;
}

static void
note_renamed(struct member *member, const char *nick)
{
	free(member->renamed);
	member->renamed = xstrdup(nick);
}

/* The nick for a name: the nearest allowed one that nobody in the room could be confused with. */
static void
choose_nick(struct member *member, const char *name, char out[NICK_SIZE])
{
	char base[NICK_SIZE];

	if (member_is_listener(member)) {
		snprintf(base, sizeof(base), "%s", member->room->jabber->nick);
		snprintf(out, NICK_SIZE, "%s", base);
		return;
	}
	bool simplified = !nick_prepare(name, member->stem, base);
	snprintf(out, NICK_SIZE, "%s", base);
	for (unsigned i = 1; i <= CONFLICTS_MAX && !is_free(member, out); i++)
		nick_variant(base, member->stem, i, out);
	note_renamed(member, simplified ? out : NULL);
}

/* `name` may be the one that it has. */
static void
name_member(struct member *member, const char *name)
{
	char nick[NICK_SIZE], *copy = xstrdup(name ? name : "");

	free(member->name);
	member->name = copy;
	choose_nick(member, copy, nick);
	member_set_nick(member, nick);
}

/* ---- places ---- */

static bool
has_place(const struct member *member)
{
	return member->state != GHOST_PARTED && member->state != GHOST_REFUSED;
}

static bool
is_free_to_go(struct member *member, int64_t silent_ms)
{
	struct room *room = member->room;
	struct speech *speech;

	if (now_monotonic_ms() - member->spoke_ms < silent_ms || room->awaited == member || room->hopeless == member ||
			member->state == GHOST_JOINING || member->state == GHOST_ASKING || member->state == GHOST_BACKOFF)
		return false;
	LIST_FOR_EACH(speech, &room->speeches, struct speech, link)
		if (speech->member == member)
			return false;
	return !outbox_waits(room->jabber->parts.outbox, room->address, member->person);
}

/* Whoever is free to go and has been silent for longest; one that has something to say is left alone for an hour. */
static struct member *
most_silent(struct room *room, int64_t silent_ms, bool placed)
{
	struct member *member, *found = NULL;
	int64_t now_ms = now_monotonic_ms();

	LIST_FOR_EACH(member, &room->members, struct member, link) {
		if (now_ms - member->spoke_ms < silent_ms || (found && found->spoke_ms <= member->spoke_ms) ||
				(placed ? !has_place(member) : member->state == GHOST_REFUSED))
			continue;
		if (is_free_to_go(member, silent_ms))
			found = member;
		else
			member->spoke_ms = now_ms - silent_ms + 3600000;
	}
	return found;
}

static void
retire(struct member *member)
{
	log_info(LOG_XMPP, "ghost leaves room=%s jid=%s: silent for long", member->room->jid, member->jid);
	member_step(member, GHOST_IDLE);
	free_member(member);
}

void
member_retire(struct room *room)
{
	struct member *member = most_silent(room, room->jabber->settings.idle_ms, false);

	if (member)
		retire(member);
}

static unsigned
places_taken(struct room *room)
{
	struct member *member;
	unsigned taken = 0;

	LIST_FOR_EACH(member, &room->members, struct member, link)
		taken += has_place(member);
	return taken;
}

/* Whether another ghost may come in, perhaps in the place of one that has been silent for a day. */
static bool
make_place(struct room *room)
{
	unsigned limit = room->jabber->settings.ghosts, taken = places_taken(room);
	struct member *member;

	if (taken >= limit && (member = most_silent(room, PLACE_KEPT_MS, true))) {
		retire(member);
		taken--;
	}
	return taken < limit || outbox_has_doubts(room->jabber->parts.outbox, room->address);
}

static struct member *
find_member(struct room *room, const char *person)
{
	struct member *member;

	LIST_FOR_EACH(member, &room->members, struct member, link)
		if (strcmp(member->person, person) == 0)
			return member;
	return NULL;
}

static struct member *
make_member(struct room *room, const struct author *author)
{
	char *jid = author->stem ? jid_ghost(author->stem, room->jabber->settings.component) : NULL;

	return jid ? new_member(room, author, jid) : NULL;
}

struct member *
member_for(struct room *room, const struct author *author)
{
	struct member *member = author->person ? find_member(room, author->person) : room->listener;

	if (member && member->state != GHOST_PARTED)
		return member;
	if (!make_place(room))
		return NULL;
	return member ? member : make_member(room, author);
}

struct member *
member_foreseen(struct room *room, const struct author *author)
{
	struct member *member = find_member(room, author->person);

	if (member && has_place(member))
		return member;
	if (places_taken(room) >= room->jabber->settings.ghosts)
		return NULL;
	return member ? member : make_member(room, author);
}

void
member_rename(struct member *member, const char *name)
{
	char nick[NICK_SIZE];

	if (member_is_listener(member) || str_equal(member->name, name ? name : "") || member->state == GHOST_JOINING ||
			member->state == GHOST_UNKNOWN || member->state == GHOST_ASKING)
		return;
	if (!member_is_inside(member)) {
		name_member(member, name);
		/* Another name may be had. */
		if (member->state == GHOST_REFUSED && member->reason == GHOST_FOR_NICK)
			member_step(member, GHOST_RETRY);
		return;
	}
	free(member->name);
	member->name = xstrdup(name ? name : "");
	choose_nick(member, name, nick);
	if (str_equal(nick, member->nick))
		return;
	/* XEP-0045 §7.6. It is renamed when the room says so (status 303); a refusal leaves the old nick. */
	AUTO_FREE char *to = xasprintf("%s/%s", member->room->jid, nick);
	jabber_send(member->room->jabber, stanza_make(member->room->jabber->ctx, "presence", NULL, NULL, member->jid, to));
}

/* The ghosts that an earlier process left in the room. The person's stem is his MXID without its sigil. */
static void
recall(void *context, const char *person, const char *nick)
{
	struct room *room = context;
	struct author author = { .person = person, .stem = person[0] == '@' ? person + 1 : person };
	struct member *member = person[0] && nick[0] && !find_member(room, person) ? make_member(room, &author) : NULL;

	if (!member)
		return;
	member_set_nick(member, nick);
	member->state = GHOST_UNKNOWN;
}

/* ---- asking and joining ---- */

void
member_ping(struct member *member, stanza_answered *answered, void *context)
{
	AUTO_FREE char *to = xasprintf("%s/%s", member->room->jid, member->nick);
	xmpp_stanza_t *iq = stanza_make(member->room->jabber->ctx, "iq", "get", NULL, member->jid, to);

	stanza_add(iq, "ping", NS_PING);
	jabber_ask(member->room->jabber, iq, PING_MS, answered, context);
}

enum ghost_event
member_alive(enum answer answer, xmpp_stanza_t *iq)
{
	static const char *const alive[] = { "feature-not-implemented", "service-unavailable", "item-not-found" };

	if (answer == ANSWER_NONE)
		return GHOST_SILENT;
	if (answer == ANSWER_RESULT)
		return GHOST_ALIVE;
	const char *condition = stanza_error(iq, NULL);
	for (size_t i = 0; i < sizeof(alive) / sizeof(*alive); i++)
		if (strcmp(condition, alive[i]) == 0)
			return GHOST_ALIVE;
	return str_starts(condition, "remote-server-") ? GHOST_SILENT : GHOST_DEAD;
}

static void
on_pinged(void *context, enum answer answer, xmpp_stanza_t *iq)
{
	struct member *member = context;
	enum ghost_event event = member_alive(answer, iq);

	if (event == GHOST_ALIVE)
		member->alive_ms = now_monotonic_ms();
	/* A server that is away takes the stream with it; no verdict on the member then. */
	if (stream_is_up(member->room->jabber->stream))
		member_step(member, event);
}

static void
send_join(struct member *member)
{
	struct room *room = member->room;
	AUTO_FREE char *to = xasprintf("%s/%s", room->jid, member->nick);
	xmpp_stanza_t *presence = stanza_make(room->jabber->ctx, "presence", NULL, NULL, member->jid, to);
	xmpp_stanza_t *history = stanza_add(stanza_add(presence, "x", NS_MUC), "history", NS_MUC);
	char id[8], since[32];
	int64_t at_ms;

	/* Without an archive the listener asks for what it missed (xmpp.md 10.6). */
	if (member_is_listener(member) && !archive_is_of_use(room) && !room->jabber->no_archive &&
			inbox_cursor(room->jabber->parts.inbox, room->address, id, sizeof(id), &at_ms)) {
		now_format_utc(at_ms - SINCE_MARGIN_MS, since, sizeof(since));
		stanza_set(history, "since", since);
		room->seen_history = true;
	} else {
		stanza_set(history, "maxstanzas", "0");
	}
	member->epoch = room->epoch;
	jabber_send(room->jabber, presence);
	loop_timer_set(&member->timer, JOIN_MS);
}

void
member_begin_join(struct member *member)
{
	if (member->state == GHOST_JOINING)
		send_join(member);
	else
		pace_end_join(member);
}

static void
start_join(struct member *member)
{
	if (member_is_listener(member))
		send_join(member);
	else
		pace_join(member);
}

static void
join_with(struct member *member, enum ghost_action action)
{
	char nick[NICK_SIZE];

	if (action == GHOST_JOIN) {
		member->conflicts = 0;
		/* Since it got its nick somebody may have come whom it would be taken for. */
		if (!member->nick || !is_free(member, member->nick))
			name_member(member, member->name);
	} else if (action == GHOST_JOIN_OTHER) {
		if (member_is_listener(member))
			snprintf(nick, sizeof(nick), "%s", member->room->jabber->nick);
		else
			nick_prepare(member->name, member->stem, nick);
		nick_variant(nick, member_is_listener(member) ? "bot" : member->stem, ++member->conflicts, nick);
		member_set_nick(member, nick);
	} else {
		nick_simple(member_is_listener(member) ? "Sourdine" : member->stem, nick);
		member_set_nick(member, nick);
		member->simple = true;
		note_renamed(member, nick);
	}
	start_join(member);
}

/* ---- members-only rooms ---- */

static void
on_let_in(void *context, enum answer answer, xmpp_stanza_t *iq)
{
	struct member *member = context;

	if (member->state != GHOST_JOINING || !stream_is_up(member->room->jabber->stream))
		return;
	if (answer == ANSWER_RESULT) {
		start_join(member);
	} else if (answer == ANSWER_NONE) {
		member_step(member, GHOST_TIMEOUT);
	} else {
		log_warning(LOG_XMPP, "cannot make a ghost a member room=%s jid=%s condition=%s", member->room->jid, member->jid,
				stanza_error(iq, NULL));
		member_step(member, GHOST_MEMBERS);
	}
}

/* XEP-0045 §9.3. Each address of its own: Prosody reads a whole domain only as a ban. */
static void
let_in(struct member *member)
{
	struct room *room = member->room;
	xmpp_stanza_t *iq = stanza_make(room->jabber->ctx, "iq", "set", NULL, room->jabber->listener, room->jid);
	xmpp_stanza_t *item = stanza_add(stanza_add(iq, "query", NS_MUC_ADMIN), "item", NS_MUC_ADMIN);
	AUTO_FREE char *bare = jid_bare(member->jid);

	stanza_set(item, "affiliation", "member");
	stanza_set(item, "jid", bare);
	member->let_in = true;
	jabber_ask(room->jabber, iq, LET_IN_MS, on_let_in, member);
}

static bool
can_let_in(const struct member *member)
{
	struct room *room = member->room;
	struct occupant *bot = room->listener->nick ? roster_find(room, room->listener->nick) : NULL;

	return !member_is_listener(member) && !member->let_in && member_is_inside(room->listener) && bot && bot->moderator;
}

static void
send_leave(struct member *member)
{
	struct room *room = member->room;
	AUTO_FREE char *to = xasprintf("%s/%s", room->jid, member->nick);

	jabber_send(room->jabber, stanza_make(room->jabber->ctx, "presence", "unavailable", NULL, member->jid, to));
}

/* 1 s doubled up to 60 s, with as much again of jitter, so that ghosts do not come back in step. */
int64_t
member_pause_ms(unsigned *failures)
{
	uint16_t jitter;
	int64_t base_ms = 1000LL << (*failures < 6 ? *failures : 6);

	seal_random(&jitter, sizeof(jitter));
	if (*failures < 16)
		++*failures;
	return (base_ms > 60000 ? 60000 : base_ms) + base_ms * jitter / 65536;
}

static void
act(struct member *member, enum ghost_action action)
{
	struct room *room = member->room;

	switch (action) {
	case GHOST_NOTHING:
		break;
	case GHOST_ASK:
		member_ping(member, on_pinged, member);
		break;
	case GHOST_JOIN:
	case GHOST_JOIN_OTHER:
	case GHOST_JOIN_SIMPLE:
		join_with(member, action);
		break;
	case GHOST_WAIT:
		if (!member_is_listener(member))
			loop_timer_set(&member->timer, member_pause_ms(&member->failures));
		outbox_wake(room->jabber->parts.outbox);
		break;
	case GHOST_LET_IN:
		let_in(member);
		break;
	case GHOST_LEAVE:
		send_leave(member);
		break;
	case GHOST_REFUSE:
		if (member->state == GHOST_REFUSED && !member_is_listener(member))
			loop_timer_set(&member->timer, ghost_pause_ms(member->reason));
		outbox_wake(room->jabber->parts.outbox);
		break;
	case GHOST_SPEAK:
		outbox_wake(room->jabber->parts.outbox);
		break;
	}
}

/* For the next process. Whoever joins is written down before the presence leaves, since it may arrive although we die. */
static void
remember(struct member *member)
{
	bool perhaps_in = member_is_inside(member) || member->state == GHOST_JOINING;

	if (!member_is_listener(member) && (perhaps_in || member->state == GHOST_PARTED || member->state == GHOST_REFUSED))
		people_save_occupant(member->room->jabber->parts.people, NETWORK_XMPP, member->room->address, member->person,
				member->nick ? member->nick : "", perhaps_in);
}

/* What the event comes to for this member. */
static enum ghost_event
weigh(struct member *member, enum ghost_event event)
{
	if (event == GHOST_CONFLICT && member->conflicts >= CONFLICTS_MAX)
		return GHOST_NO_NICK;
	if (event == GHOST_BAD_NICK && member->simple)
		return GHOST_NO_NICK;
	if ((event == GHOST_MEMBERS || event == GHOST_EXCLUDED) && can_let_in(member))
		return GHOST_STRANGER;
	return event;
}

static void
note_inside(struct member *member)
{
	member->failures = 0;
	member->let_in = false;
	member->alive_ms = now_monotonic_ms();
}

void
member_step_because(struct member *member, enum ghost_event event, char *said)
{
	struct room *room = member->room;
	enum ghost_state was = member->state;

	struct ghost_step step = ghost_step(was, weigh(member, event));
	if (step.next == was && step.action == GHOST_NOTHING) {
		free(said);
		return;
	}
	free(member->said);
	member->said = said;
	member->state = step.next;
	member->reason = step.reason;
	if (step.next != GHOST_JOINING) {
		loop_timer_stop(&member->timer);
		pace_end_join(member);
	}
	if (member_is_inside(member))
		note_inside(member);
	if (was != step.next)
		log_debug(LOG_XMPP, "ghost moved room=%s jid=%s from=%s to=%s %s", room->jid, member->jid, ghost_state_name(was),
				ghost_state_name(step.next), ghost_reason_name(step.reason));
	act(member, step.action);
	if (event == GHOST_NO_VOICE)
		loop_timer_set(&member->timer, MUTED_MS);
	remember(member);
	FAULT_POINT("xmpp_ghost_moved");
	if (member_is_listener(member))
		muc_listener_moved(room, was);
}

void
member_step(struct member *member, enum ghost_event event)
{
	member_step_because(member, event, NULL);
}

const char *
member_why(const struct member *member)
{
	if (member->said)
		return member->said;
	return member->state == GHOST_MUTED ? "no voice in the room" : ghost_reason_name(member->reason);
}

static void
on_member_timer(void *context)
{
	struct member *member = context;

	member_step(member, member->state == GHOST_JOINING ? GHOST_TIMEOUT : GHOST_RETRY);
}

/* ---- the listener, and all of a room ---- */

void
member_join_listener(struct room *room)
{
	struct member *listener = room->listener;

	listener->state = GHOST_PARTED;
	listener->simple = false;
	name_member(listener, NULL);
	member_step(listener, GHOST_WANTED);
}

void
member_place_listener(struct room *room, enum ghost_state state)
{
	struct member *listener = room->listener;

	loop_timer_stop(&listener->timer);
	listener->state = state;
	listener->alive_ms = now_monotonic_ms();
}

void
member_put_off(struct room *room)
{
	struct member *member;

	LIST_FOR_EACH(member, &room->members, struct member, link)
		if (!list_empty(&member->queue))
			member_step(member, GHOST_PUT_OFF);
}

void
member_part(struct member *member)
{
	struct room *room = member->room;

	if (member->nick && member->state != GHOST_PARTED && member->state != GHOST_REFUSED && stream_is_up(room->jabber->stream)) {
		AUTO_FREE char *to = xasprintf("%s/%s", room->jid, member->nick);
		jabber_send(room->jabber, stanza_make(room->jabber->ctx, "presence", "unavailable", NULL, member->jid, to));
	}
	loop_timer_stop(&member->timer);
	pace_end_join(member);
	member->state = GHOST_PARTED;
	remember(member);
}

void
member_open_all(struct room *room)
{
	room->listener = new_member(room, &(struct author){ 0 }, xstrdup(room->jabber->listener));
	people_each_occupant(room->jabber->parts.people, NETWORK_XMPP, room->address, recall, room);
}

void
member_close_all(struct room *room)
{
	struct member *member;

	LIST_FOR_EACH(member, &room->members, struct member, link)
		free_member(member);
	free_member(room->listener);
}
