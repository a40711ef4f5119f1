/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A room is entered in one line of steps: disco#info, the listener's join, our configuration when the room is new,
 * the archive. Any failure goes back to ROOM_OUT and tries again later; until ROOM_READY the room's gate is
 * closed and nothing is sent. Members move by ghost.c's table only (muc_step); each has one timer, whose
 * meaning follows from its state. After a loss members are UNKNOWN and ask before they join, because joins
 * cost the square of their number.
 */
#include "xmpp/muc.h"

#include "base/log.h"
#include "base/now.h"
#include "base/seal.h"
#include "base/str.h"
#include "xmpp/archive.h"
#include "xmpp/jid.h"
#include "xmpp/nick.h"
#include "xmpp/speak.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MS 20000
#define PING_MS 10000
#define JOIN_MS 30000
#define JOINS_AT_ONCE 16
#define CONFLICTS_MAX 5
#define PULSE_MS 60000
#define LISTENER_SILENCE_MS (5 * 60000)
#define GHOST_SILENCE_MS (12 * 60000)
#define SHUT_RETRY_MS (10 * 60000)
#define SINCE_MARGIN_MS (5 * 60000)

/* ---- who is in ---- */

static size_t
hash(const char *text)
{
	size_t value = 5381;

	for (; *text; text++)
		value = value * 33 ^ (unsigned char)*text;
	return value;
}

static struct occupant **
slot_of(struct occupants *occupants, const char *nick)
{
	struct occupant **slot = &occupants->buckets[hash(nick) & (occupants->bucket_count - 1)];

	while (*slot && strcmp((*slot)->nick, nick) != 0)
		slot = &(*slot)->next;
	return slot;
}

static void
grow(struct occupants *occupants)
{
	struct occupants larger = { .bucket_count = occupants->bucket_count ? 2 * occupants->bucket_count : 16 };

	larger.buckets = xcalloc(larger.bucket_count, sizeof(*larger.buckets));
	for (size_t i = 0; i < occupants->bucket_count; i++) {
		struct occupant *occupant = occupants->buckets[i], *next;
		for (; occupant; occupant = next) {
			next = occupant->next;
			struct occupant **bucket = &larger.buckets[hash(occupant->nick) & (larger.bucket_count - 1)];
			occupant->next = *bucket;
			*bucket = occupant;
		}
	}
	larger.count = occupants->count;
	free(occupants->buckets);
	*occupants = larger;
}

struct occupant *
muc_occupant(struct room *room, const char *nick)
{
	return room->occupants.count ? *slot_of(&room->occupants, nick) : NULL;
}

/* The only place where occupants are walked one by one; for what is rare. */
static struct occupant *
find_occupant(struct room *room, bool (*fits)(const struct occupant *occupant, const char *key), const char *key)
{
	for (size_t i = 0; i < room->occupants.bucket_count; i++)
		for (struct occupant *occupant = room->occupants.buckets[i]; occupant; occupant = occupant->next)
			if (fits(occupant, key))
				return occupant;
	return NULL;
}

static bool
has_occupant_id(const struct occupant *occupant, const char *key)
{
	return str_equal(occupant->occupant_id, key);
}

static bool
has_jid(const struct occupant *occupant, const char *key)
{
	return str_equal(occupant->jid, key);
}

struct occupant *
muc_occupant_by_id(struct room *room, const char *occupant_id)
{
	return find_occupant(room, has_occupant_id, occupant_id);
}

struct occupant *
muc_occupant_by_jid(struct room *room, const char *bare_jid)
{
	return find_occupant(room, has_jid, bare_jid);
}

static void
free_occupant(struct occupant *occupant)
{
	free(occupant->nick);
	free(occupant->jid);
	free(occupant->occupant_id);
	free(occupant);
}

static struct occupant *
add_occupant(struct room *room, const char *nick)
{
	struct occupants *occupants = &room->occupants;

	if (occupants->count >= occupants->bucket_count)
		grow(occupants);
	struct occupant **slot = slot_of(occupants, nick);
	if (!*slot) {
		*slot = xcalloc(1, sizeof(**slot));
		(*slot)->nick = xstrdup(nick);
		(*slot)->epoch = ++room->epoch;
		occupants->count++;
	}
	return *slot;
}

static void
remove_occupant(struct room *room, const char *nick)
{
	if (!room->occupants.count)
		return;
	struct occupant **slot = slot_of(&room->occupants, nick), *occupant = *slot;
	if (!occupant)
		return;
	*slot = occupant->next;
	room->occupants.count--;
	free_occupant(occupant);
}

static void
clear_occupants(struct room *room)
{
	for (size_t i = 0; i < room->occupants.bucket_count; i++) {
		struct occupant *occupant = room->occupants.buckets[i], *next;
		for (; occupant; occupant = next) {
			next = occupant->next;
			free_occupant(occupant);
		}
	}
	free(room->occupants.buckets);
	room->occupants = (struct occupants){ 0 };
}

/* ---- finding ---- */

struct room *
muc_find(struct jabber *jabber, const char *jid)
{
	struct room *room;

	LIST_FOR_EACH(room, &jabber->rooms, struct room, link)
		if (jid_same_bare(room->jid, jid))
			return room;
	return NULL;
}

struct room *
muc_find_address(struct jabber *jabber, const char *address)
{
	struct room *room;

	LIST_FOR_EACH(room, &jabber->rooms, struct room, link)
		if (strcmp(room->address, address) == 0)
			return room;
	return NULL;
}

struct member *
muc_member_by_nick(struct room *room, const char *nick)
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
muc_member_by_jid(struct room *room, const char *full_jid)
{
	struct member *member;

	if (strcmp(room->listener->jid, full_jid) == 0)
		return room->listener;
	LIST_FOR_EACH(member, &room->members, struct member, link)
		if (strcmp(member->jid, full_jid) == 0)
			return member;
	return NULL;
}

/* ---- members ---- */

static void on_member_timer(void *context);
static void start_next_joins(struct jabber *jabber);

static bool
is_listener(const struct member *member)
{
	return !member->person;
}

static bool
is_inside(const struct member *member)
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
	list_remove(&member->link);
	list_remove(&member->queue);
	free(member->person);
	free(member->stem);
	free(member->name);
	free(member->jid);
	free(member->nick);
	free(member);
}

static void
set_nick(struct member *member, const char *nick)
{
	char *copy = xstrdup(nick);

	free(member->nick);
	member->nick = copy;
}

/* Somebody who could be taken for this nick. */
static bool
is_alike(const struct occupant *occupant, const char *nick)
{
	return nick_alike(occupant->nick, nick);
}

static bool
is_free(struct member *member, const char *nick)
{
	struct occupant *occupant = find_occupant(member->room, is_alike, nick);

	if (!occupant)
		return true;
	/* It may be himself, left there by an earlier process. */
	if (occupant->jid)
		return jid_same_bare(occupant->jid, member->jid);
	return muc_member_by_nick(member->room, occupant->nick) == member;
}

/* The nick for a name: the nearest allowed one that nobody in the room could be confused with. */
static void
choose_nick(struct member *member, const char *name, char out[NICK_SIZE])
{
	char base[NICK_SIZE];

	if (is_listener(member)) {
		snprintf(base, sizeof(base), "%s", member->room->jabber->nick);
		snprintf(out, NICK_SIZE, "%s", base);
		return;
	}
	if (!nick_prepare(name, member->stem, base))
		log_debug(LOG_XMPP, "nick simplified room=%s ghost=%s", member->room->jid, member->jid);
	snprintf(out, NICK_SIZE, "%s", base);
	for (unsigned i = 1; i <= CONFLICTS_MAX && !is_free(member, out); i++)
		nick_variant(base, member->stem, i, out);
}

static void
name_member(struct member *member, const char *name)
{
	char nick[NICK_SIZE];

	free(member->name);
	member->name = xstrdup(name ? name : "");
	choose_nick(member, name, nick);
	set_nick(member, nick);
}

struct member *
muc_member_for(struct room *room, const struct author *author)
{
	struct member *member;

	if (!author->person)
		return room->listener;
	LIST_FOR_EACH(member, &room->members, struct member, link)
		if (strcmp(member->person, author->person) == 0)
			return member;
	if (!author->stem || room->member_count >= MUC_GHOSTS_MAX)
		return NULL;
	char *jid = jid_ghost(author->stem, room->jabber->settings.component);
	return jid ? new_member(room, author, jid) : NULL;
}

void
muc_rename(struct member *member, const char *name)
{
	char nick[NICK_SIZE];

	if (is_listener(member) || str_equal(member->name, name ? name : "") || member->state == GHOST_JOINING ||
			member->state == GHOST_UNKNOWN || member->state == GHOST_ASKING)
		return;
	if (!is_inside(member)) {
		name_member(member, name);
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
remember_member(void *context, const char *person, const char *nick)
{
	struct room *room = context;
	struct author author = { .person = person, .stem = person[0] == '@' ? person + 1 : person };
	struct member *member = person[0] ? muc_member_for(room, &author) : NULL;

	if (!member || member->state != GHOST_PARTED || !nick[0])
		return;
	set_nick(member, nick);
	member->state = GHOST_UNKNOWN;
}

/* ---- asking and joining ---- */

void
muc_ping(struct member *member, stanza_answered *answered, void *context)
{
	AUTO_FREE char *to = xasprintf("%s/%s", member->room->jid, member->nick);
	xmpp_stanza_t *iq = stanza_make(member->room->jabber->ctx, "iq", "get", NULL, member->jid, to);

	stanza_add(iq, "ping", NS_PING);
	jabber_ask(member->room->jabber, iq, PING_MS, answered, context);
}

enum ghost_event
muc_alive(enum answer answer, xmpp_stanza_t *iq)
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
	enum ghost_event event = muc_alive(answer, iq);

	if (event == GHOST_ALIVE)
		member->alive_ms = now_monotonic_ms();
	/* A server that is away takes the stream with it; no verdict on the member then. */
	if (stream_is_up(member->room->jabber->stream))
		muc_step(member, event);
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
	if (is_listener(member) && !archive_is_of_use(room) && !room->jabber->no_archive &&
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

/* A join has ended, well or not: the next in the queue may begin. */
static void
end_join(struct member *member)
{
	list_remove(&member->queue);
	if (!member->joining)
		return;
	member->joining = false;
	member->room->jabber->joining--;
	start_next_joins(member->room->jabber);
}

static void
start_join(struct member *member)
{
	struct jabber *jabber = member->room->jabber;

	if (!member->joining && jabber->joining >= JOINS_AT_ONCE && !is_listener(member)) {
		list_remove(&member->queue);
		list_append(&jabber->queue, &member->queue);
		return;
	}
	if (!member->joining)
		jabber->joining++;
	member->joining = true;
	send_join(member);
}

static void
start_next_joins(struct jabber *jabber)
{
	while (!list_empty(&jabber->queue) && jabber->joining < JOINS_AT_ONCE) {
		struct member *member = LIST_ENTRY(jabber->queue.next, struct member, queue);
		list_remove(&member->queue);
		if (member->state == GHOST_JOINING)
			start_join(member);
	}
}

static void
join_with(struct member *member, enum ghost_action action)
{
	char nick[NICK_SIZE];

	if (action == GHOST_JOIN) {
		member->conflicts = 0;
		if (!member->nick)
			name_member(member, member->name);
	} else if (action == GHOST_JOIN_OTHER) {
		if (is_listener(member))
			snprintf(nick, sizeof(nick), "%s", member->room->jabber->nick);
		else
			nick_prepare(member->name, member->stem, nick);
		nick_variant(nick, is_listener(member) ? "bot" : member->stem, ++member->conflicts, nick);
		set_nick(member, nick);
	} else {
		nick_simple(is_listener(member) ? "Sourdine" : member->stem, nick);
		set_nick(member, nick);
		member->simple = true;
	}
	start_join(member);
}

/* 1 s doubled up to 60 s, with as much again of jitter, so that ghosts do not come back in step. */
static int64_t
rejoin_ms(struct member *member)
{
	uint16_t jitter;
	int64_t base_ms = 1000LL << (member->failures < 6 ? member->failures : 6);

	seal_random(&jitter, sizeof(jitter));
	if (member->failures < 16)
		member->failures++;
	return (base_ms > 60000 ? 60000 : base_ms) + base_ms * jitter / 65536;
}

/* ---- the room follows its listener ---- */

static void shut(struct room *room);
static void go_on(struct room *room);

static void
listener_moved(struct room *room, enum ghost_state was)
{
	struct member *listener = room->listener;

	if (is_inside(listener)) {
		if (room->phase == ROOM_JOINING)
			go_on(room);
		return;
	}
	if (listener->state == GHOST_REFUSED)
		shut(room);
	else if (was == GHOST_JOINED || was == GHOST_MUTED)
		muc_leave_off(room, listener->state == GHOST_BACKOFF ? 1000 : 0);
	else if (listener->state == GHOST_BACKOFF)
		muc_leave_off(room, rejoin_ms(listener));
}

static void
act(struct member *member, enum ghost_action action)
{
	struct room *room = member->room;

	switch (action) {
	case GHOST_NOTHING:
		break;
	case GHOST_ASK:
		muc_ping(member, on_pinged, member);
		break;
	case GHOST_JOIN:
	case GHOST_JOIN_OTHER:
	case GHOST_JOIN_SIMPLE:
		join_with(member, action);
		break;
	case GHOST_WAIT:
		if (!is_listener(member))
			loop_timer_set(&member->timer, rejoin_ms(member));
		outbox_wake(room->jabber->parts.outbox);
		break;
	case GHOST_SPEAK:
	case GHOST_REFUSE:
		outbox_wake(room->jabber->parts.outbox);
		break;
	}
}

/* For the next process. Whoever joins is written down before the presence leaves, since it may arrive although we die. */
static void
remember(struct member *member)
{
	bool perhaps_in = is_inside(member) || member->state == GHOST_JOINING;

	if (!is_listener(member) && (perhaps_in || member->state == GHOST_PARTED || member->state == GHOST_REFUSED))
		people_save_occupant(member->room->jabber->parts.people, NETWORK_XMPP, member->room->address, member->person,
				member->nick ? member->nick : "", perhaps_in);
}

void
muc_step(struct member *member, enum ghost_event event)
{
	struct room *room = member->room;
	enum ghost_state was = member->state;

	if (event == GHOST_CONFLICT && member->conflicts >= CONFLICTS_MAX)
		event = GHOST_NO_NICK;
	if (event == GHOST_BAD_NICK && member->simple)
		event = GHOST_NO_NICK;
	struct ghost_step step = ghost_step(was, event);
	if (step.next == was && step.action == GHOST_NOTHING)
		return;
	member->state = step.next;
	member->reason = step.reason;
	if (step.next != GHOST_JOINING) {
		loop_timer_stop(&member->timer);
		end_join(member);
	}
	if (is_inside(member)) {
		member->failures = 0;
		member->alive_ms = now_monotonic_ms();
	}
	if (was != step.next)
		log_debug(LOG_XMPP, "ghost moved room=%s jid=%s from=%s to=%s %s", room->jid, member->jid, ghost_state_name(was),
				ghost_state_name(step.next), ghost_reason_name(step.reason));
	act(member, step.action);
	remember(member);
	if (is_listener(member))
		listener_moved(room, was);
}

static void
on_member_timer(void *context)
{
	struct member *member = context;

	muc_step(member, member->state == GHOST_JOINING ? GHOST_TIMEOUT : GHOST_RETRY);
}

/* ---- entering ---- */

static void on_retry(void *context);
static void on_pulse(void *context);

static void
add_room(struct jabber *jabber, const char *address)
{
	char jid[JID_SIZE];
	struct room *room = xcalloc(1, sizeof(*room));

	room->jabber = jabber;
	room->address = xstrdup(address);
	if (!jid_prepare(address, jid, sizeof(jid))) {
		log_error(LOG_XMPP, "no such address room=%s: not a JID", address);
		snprintf(jid, sizeof(jid), "%s", address);
	}
	room->jid = xstrdup(jid);
	list_init(&room->members);
	list_init(&room->speeches);
	loop_timer_init(&room->retry, jabber->parts.loop, on_retry, room);
	loop_timer_init(&room->gate, jabber->parts.loop, archive_open_gate, room);
	loop_timer_init(&room->overflow, jabber->parts.loop, speak_overflow, room);
	loop_timer_init(&room->watch, jabber->parts.loop, speak_watch, room);
	loop_timer_init(&room->pulse, jabber->parts.loop, on_pulse, room);
	room->listener = new_member(room, &(struct author){ 0 }, xstrdup(jabber->listener));
	list_append(&jabber->rooms, &room->link);
	people_each_occupant(jabber->parts.people, NETWORK_XMPP, room->address, remember_member, room);
}

void
muc_add_rooms(struct jabber *jabber)
{
	struct group *group;

	LIST_FOR_EACH(group, &jabber->parts.groups->all, struct group, link) {
		const char *address = group->room[NETWORK_XMPP];
		if (address && address[0] && !muc_find_address(jabber, address))
			add_room(jabber, address);
	}
}

static void
free_room(struct room *room)
{
	struct member *member;

	requests_forget(&room->jabber->requests, room);
	LIST_FOR_EACH(member, &room->members, struct member, link)
		free_member(member);
	free_member(room->listener);
	clear_occupants(room);
	archive_reset(room);
	speak_forget(room);
	loop_timer_stop(&room->retry);
	loop_timer_stop(&room->overflow);
	loop_timer_stop(&room->watch);
	loop_timer_stop(&room->pulse);
	list_remove(&room->link);
	free(room->address);
	free(room->jid);
	free(room);
}

void
muc_close(struct jabber *jabber)
{
	struct room *room;

	LIST_FOR_EACH(room, &jabber->rooms, struct room, link)
		free_room(room);
}

static void
read_features(struct room *room, xmpp_stanza_t *iq)
{
	static const char *const names[] = { NS_MAM, NS_SID, NS_OCCUPANT_ID, "muc_nonanonymous" };
	bool *flags[] = { &room->has_archive, &room->has_ids, &room->has_occupant_ids, &room->open_names };
	xmpp_stanza_t *query = stanza_find(iq, "query", NS_DISCO_INFO);

	if (!query)
		return;
	for (size_t i = 0; i < 4; i++)
		*flags[i] = false;
	for (xmpp_stanza_t *child = xmpp_stanza_get_children(query); child; child = xmpp_stanza_get_next(child))
		for (size_t i = 0; i < 4; i++)
			if (stanza_is(child, "feature", NULL) && strcmp(stanza_get(child, "var"), names[i]) == 0)
				*flags[i] = true;
	room->described = true;
	log_debug(LOG_XMPP, "room described room=%s archive=%d ids=%d occupant_ids=%d open_names=%d", room->jid, room->has_archive,
			room->has_ids, room->has_occupant_ids, room->open_names);
}

static void
describe(struct room *room, stanza_answered *answered)
{
	xmpp_stanza_t *iq = stanza_make(room->jabber->ctx, "iq", "get", NULL, room->jabber->listener, room->jid);

	stanza_add(iq, "query", NS_DISCO_INFO);
	jabber_ask(room->jabber, iq, ANSWER_MS, answered, room);
}

static void
on_described_before(void *context, enum answer answer, xmpp_stanza_t *iq)
{
	struct room *room = context;

	if (room->phase != ROOM_ASKING)
		return;
	if (answer == ANSWER_NONE) {
		muc_leave_off(room, 2000);
		return;
	}
	if (answer == ANSWER_RESULT)
		read_features(room, iq);
	/* An error: it may not exist yet, or hide itself. */
	room->phase = ROOM_JOINING;
	room->listener->state = GHOST_PARTED;
	room->listener->simple = false;
	name_member(room->listener, NULL);
	muc_step(room->listener, GHOST_WANTED);
}

void
muc_enter(struct room *room)
{
	if (!stream_is_up(room->jabber->stream))
		return;
	loop_timer_stop(&room->retry);
	requests_forget(&room->jabber->requests, room);
	inbox_close_gate(room->jabber->parts.inbox, room->address);
	archive_reset(room);
	clear_occupants(room);
	room->described = room->seen_history = false;
	room->phase = ROOM_ASKING;
	room->heard_ms = now_monotonic_ms();
	describe(room, on_described_before);
	loop_timer_set(&room->pulse, PULSE_MS);
}

static void
on_retry(void *context)
{
	muc_enter(context);
}

void
muc_leave_off(struct room *room, int64_t delay_ms)
{
	requests_forget(&room->jabber->requests, room);
	inbox_close_gate(room->jabber->parts.inbox, room->address);
	archive_reset(room);
	speak_doubt(room);
	room->phase = ROOM_OUT;
	loop_timer_set(&room->retry, delay_ms);
}

static void
shut(struct room *room)
{
	enum ghost_reason reason = room->listener->reason;

	muc_leave_off(room, SHUT_RETRY_MS);
	room->phase = ROOM_SHUT;
	/* Somebody with the right to do so sent us away: only a restart or an invitation brings us back. */
	if (reason == GHOST_FOR_KICK)
		loop_timer_stop(&room->retry);
	log_error(LOG_XMPP, "shut out room=%s reason=\"%s\"", room->jid, ghost_reason_name(reason));
	outbox_wake(room->jabber->parts.outbox);
}

static bool
was_kicked(const struct room *room)
{
	return room->listener->state == GHOST_REFUSED && room->listener->reason == GHOST_FOR_KICK;
}

static void
lose(struct room *room)
{
	struct member *member;

	loop_timer_stop(&room->retry);
	loop_timer_stop(&room->pulse);
	inbox_close_gate(room->jabber->parts.inbox, room->address);
	archive_reset(room);
	speak_forget(room);
	clear_occupants(room);
	room->phase = was_kicked(room) ? ROOM_SHUT : ROOM_OUT;
	LIST_FOR_EACH(member, &room->members, struct member, link)
		muc_step(member, GHOST_LOST);
	loop_timer_stop(&room->listener->timer);
	end_join(room->listener);
	if (!was_kicked(room))
		room->listener->state = GHOST_PARTED;
}

void
muc_lose(struct jabber *jabber)
{
	struct room *room;

	while (!list_empty(&jabber->queue))
		list_remove(jabber->queue.next);
	LIST_FOR_EACH(room, &jabber->rooms, struct room, link)
		lose(room);
}

void
muc_enter_all(struct jabber *jabber)
{
	struct room *room;

	muc_add_rooms(jabber);
	LIST_FOR_EACH(room, &jabber->rooms, struct room, link)
		if (!was_kicked(room))
			muc_enter(room);
}

/* ---- after the join ---- */

static void
on_made(void *context, enum answer answer, xmpp_stanza_t *iq)
{
	struct room *room = context;

	if (answer == ANSWER_ERROR)
		log_warning(LOG_XMPP, "cannot configure room=%s condition=%s", room->jid, stanza_error(iq, NULL));
	else
		log_notice(LOG_XMPP, "room made room=%s", room->jid);
	room->phase = ROOM_JOINING;
	room->described = false;
	go_on(room);
}

/* XEP-0045 §10.1.3: persistent, and everybody sees who is who. */
static void
make_room(struct room *room)
{
	xmpp_stanza_t *iq = stanza_make(room->jabber->ctx, "iq", "set", NULL, room->jabber->listener, room->jid);
	xmpp_stanza_t *form = stanza_add(stanza_add(iq, "query", NS_MUC_OWNER), "x", NS_DATA);

	stanza_set(form, "type", "submit");
	stanza_add_field(form, "FORM_TYPE", "hidden", "http://jabber.org/protocol/muc#roomconfig");
	stanza_add_field(form, "muc#roomconfig_persistentroom", NULL, "1");
	stanza_add_field(form, "muc#roomconfig_whois", NULL, "anyone");
	room->phase = ROOM_MAKING;
	jabber_ask(room->jabber, iq, ANSWER_MS, on_made, room);
}

static void
on_described_after(void *context, enum answer answer, xmpp_stanza_t *iq)
{
	struct room *room = context;

	if (room->phase != ROOM_JOINING)
		return;
	if (answer == ANSWER_NONE) {
		muc_leave_off(room, 2000);
		return;
	}
	if (answer == ANSWER_RESULT)
		read_features(room, iq);
	room->described = true;
	go_on(room);
}

/* The listener is in: what is missing before the archive can be read. */
static void
go_on(struct room *room)
{
	if (!room->described) {
		describe(room, on_described_after);
		return;
	}
	room->phase = ROOM_CATCHING;
	archive_catch_up(room);
}

void
muc_become_ready(struct room *room)
{
	room->phase = ROOM_READY;
	room->failures = 0;
	log_info(LOG_XMPP, "room ready room=%s occupants=%zu", room->jid, room->occupants.count);
	outbox_wake(room->jabber->parts.outbox);
}

/* ---- liveness ---- */

static void
on_pulsed(void *context, enum answer answer, xmpp_stanza_t *iq)
{
	struct member *member = context;
	struct room *room = member->room;
	enum ghost_event event = muc_alive(answer, iq);

	if (event == GHOST_ALIVE) {
		member->alive_ms = now_monotonic_ms();
		return;
	}
	if (event == GHOST_SILENT || !is_inside(member))
		return;
	log_warning(LOG_XMPP, "silently removed room=%s jid=%s", room->jid, member->jid);
	/* If the listener is out, the others most likely are: each asks before it speaks. */
	if (is_listener(member)) {
		struct member *other;
		LIST_FOR_EACH(other, &room->members, struct member, link)
			muc_step(other, GHOST_LOST);
		muc_step(member, GHOST_REMOVED);
	} else {
		muc_step(member, event);
	}
}

/* Once a minute: the listener when the room is silent, and the ghosts in turn (xmpp.md 6.7, delivery 6). */
static void
on_pulse(void *context)
{
	struct room *room = context;
	struct member *member;
	int64_t now_ms = now_monotonic_ms();
	size_t budget = room->member_count / 8 + 1;

	loop_timer_set(&room->pulse, PULSE_MS);
	if (room->phase != ROOM_READY)
		return;
	if (now_ms - room->heard_ms >= LISTENER_SILENCE_MS) {
		room->heard_ms = now_ms;
		muc_ping(room->listener, on_pulsed, room->listener);
	}
	LIST_FOR_EACH(member, &room->members, struct member, link) {
		if (!is_inside(member) || now_ms - member->alive_ms < GHOST_SILENCE_MS || budget-- == 0)
			continue;
		member->alive_ms = now_ms;
		muc_ping(member, on_pulsed, member);
	}
}

/* ---- presence ---- */

bool
muc_wants_presence(struct jabber *jabber, const struct stream_tag *tag)
{
	if (strcmp(tag->to, jabber->listener) == 0 || strcmp(tag->type, "error") == 0)
		return true;
	struct room *room = muc_find(jabber, tag->from);
	if (!room)
		return str_starts(tag->type, "subscribe") || strcmp(tag->type, "probe") == 0;
	struct member *member = muc_member_by_jid(room, tag->to);
	if (!member)
		return false;
	const char *nick = jid_resource(tag->from);
	if (str_equal(member->nick, nick))
		return true;
	/* The service may have rewritten our nick (status 210): then it is a nick that came after we asked. */
	struct occupant *occupant = muc_occupant(room, nick);
	return member->state == GHOST_JOINING && (!occupant || occupant->epoch > member->epoch);
}

static bool
has_status(xmpp_stanza_t *x, const char *code)
{
	if (!x)
		return false;
	for (xmpp_stanza_t *child = xmpp_stanza_get_children(x); child; child = xmpp_stanza_get_next(child))
		if (stanza_is(child, "status", NULL) && strcmp(stanza_get(child, "code"), code) == 0)
			return true;
	return false;
}

/* A trusted occupant-id (xmpp.md 3.1), malloc'd, or NULL. */
static char *
occupant_id_of(struct room *room, xmpp_stanza_t *stanza)
{
	const char *id = NULL;
	unsigned count = 0;

	if (!room->has_occupant_ids)
		return NULL;
	for (xmpp_stanza_t *child = xmpp_stanza_get_children(stanza); child; child = xmpp_stanza_get_next(child))
		if (stanza_is(child, "occupant-id", NS_OCCUPANT_ID)) {
			id = stanza_get(child, "id");
			count++;
		}
	return count == 1 && id[0] ? xstrdup(id) : NULL;
}

static void
note_occupant(struct room *room, const char *nick, xmpp_stanza_t *presence, xmpp_stanza_t *item)
{
	struct occupant *occupant = add_occupant(room, nick);
	const char *affiliation = stanza_get(item, "affiliation"), *jid = stanza_get(item, "jid");

	occupant->moderator = strcmp(affiliation, "owner") == 0 || strcmp(affiliation, "admin") == 0;
	free(occupant->jid);
	free(occupant->occupant_id);
	occupant->jid = jid[0] ? jid_bare(jid) : NULL;
	occupant->occupant_id = occupant_id_of(room, presence);
}

static enum ghost_event
why_gone(xmpp_stanza_t *x)
{
	static const struct {
		const char *code;
		enum ghost_event event;
	} codes[] = {
		/* A technical removal also says 307 on some servers. */
		{ "333", GHOST_REMOVED }, { "332", GHOST_REMOVED }, { "301", GHOST_BANNED }, { "307", GHOST_KICKED },
		{ "321", GHOST_EXCLUDED }, { "322", GHOST_EXCLUDED },
	};

	if (stanza_find(x, "destroy", NULL))
		return GHOST_DESTROYED;
	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
		if (has_status(x, codes[i].code))
			return codes[i].event;
	return GHOST_REMOVED;
}

/* A presence that concerns one of ours itself. */
static void
hear_own(struct member *member, const char *nick, xmpp_stanza_t *presence, xmpp_stanza_t *x, xmpp_stanza_t *item)
{
	struct room *room = member->room;
	const char *type = stanza_get(presence, "type");

	if (strcmp(type, "unavailable") == 0) {
		if (has_status(x, "303"))
			set_nick(member, stanza_get(item, "nick"));
		else
			muc_step(member, why_gone(x));
		return;
	}
	if (strcmp(nick, member->nick) != 0)
		set_nick(member, nick);
	if (is_listener(member) && has_status(x, "201") && room->phase == ROOM_JOINING) {
		/* Not joined before it is unlocked. */
		loop_timer_stop(&member->timer);
		member->state = GHOST_JOINED;
		member->alive_ms = now_monotonic_ms();
		end_join(member);
		make_room(room);
		return;
	}
	muc_step(member, strcmp(stanza_get(item, "role"), "visitor") == 0 ? GHOST_VISITOR : GHOST_PRESENT);
}

static void
hear_error(struct jabber *jabber, struct room *room, xmpp_stanza_t *presence)
{
	struct member *member = muc_member_by_jid(room, stanza_get(presence, "to"));
	const char *condition = stanza_error(presence, NULL);

	(void)jabber;
	if (!member)
		return;
	log_info(LOG_XMPP, "join refused room=%s jid=%s condition=%s", room->jid, member->jid, condition);
	muc_step(member, ghost_join_error(condition));
}

void
muc_hear_presence(struct jabber *jabber, xmpp_stanza_t *presence)
{
	const char *from = stanza_get(presence, "from"), *type = stanza_get(presence, "type"), *nick = jid_resource(from);
	struct room *room = muc_find(jabber, from);

	if (!room)
		return;
	room->heard_ms = now_monotonic_ms();
	if (strcmp(type, "error") == 0) {
		hear_error(jabber, room, presence);
		return;
	}
	struct member *member = muc_member_by_jid(room, stanza_get(presence, "to"));
	xmpp_stanza_t *x = stanza_find(presence, "x", NS_MUC_USER), *item = stanza_find(x, "item", NULL);
	if (!nick[0] || !member || !x)
		return;
	bool gone = strcmp(type, "unavailable") == 0;
	if (is_listener(member)) {
		if (gone)
			remove_occupant(room, nick);
		else
			note_occupant(room, nick, presence, item);
	}
	if (str_equal(nick, member->nick) || (!gone && has_status(x, "110")))
		hear_own(member, nick, presence, x, item);
}

static void
on_described_again(void *context, enum answer answer, xmpp_stanza_t *iq)
{
	if (answer == ANSWER_RESULT)
		read_features(context, iq);
}

void
muc_hear_service(struct room *room, xmpp_stanza_t *message)
{
	static const char *const codes[] = { "104", "172", "173", "174" };
	xmpp_stanza_t *x = stanza_find(message, "x", NS_MUC_USER);

	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
		if (has_status(x, codes[i])) {
			describe(room, on_described_again);
			return;
		}
	}
}
