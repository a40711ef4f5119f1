/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A room is entered in one line of steps: disco#info, the listener's join, our configuration when the room is new,
 * the archive. Any failure goes back to ROOM_OUT and tries again later; until ROOM_READY the room's gate is
 * closed and nothing is sent. A room follows its listener: where that goes, muc_listener_moved() tells.
 */
#include "xmpp/muc.h"

#include "base/log.h"
#include "base/now.h"
#include "base/str.h"
#include "xmpp/archive.h"
#include "xmpp/expelled.h"
#include "xmpp/hear.h"
#include "xmpp/jid.h"
#include "xmpp/member.h"
#include "xmpp/pace.h"
#include "xmpp/review.h"
#include "xmpp/roster.h"
#include "xmpp/speak.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MS 20000
#define PULSE_MS 60000
#define LISTENER_SILENCE_MS (5 * 60000)
#define GHOST_SILENCE_MS (12 * 60000)
#define SHUT_RETRY_MS (10 * 60000)
#define SHUT_LONG_MS (60 * 60000) /* when somebody wanted us out, or the room to end */

/* ---- finding ---- */

static size_t
bucket_of(const char *text, size_t n)
{
	unsigned hash = 5381;

	for (size_t i = 0; i < n; i++)
		hash = hash * 33 ^ (unsigned char)text[i];
	return hash % ROOM_BUCKETS;
}

struct room *
muc_find(const struct jabber *jabber, const char *jid)
{
	struct room *room = jabber->by_jid[bucket_of(jid, jid_bare_length(jid))];

	while (room && !jid_same_bare(room->jid, jid))
		room = room->next_by_jid;
	return room;
}

struct room *
muc_find_address(const struct jabber *jabber, const char *address)
{
	struct room *room = jabber->by_address[bucket_of(address, strlen(address))];

	while (room && strcmp(room->address, address) != 0)
		room = room->next_by_address;
	return room;
}

static void
index_room(struct room *room)
{
	struct room **by_jid = &room->jabber->by_jid[bucket_of(room->jid, strlen(room->jid))];
	struct room **by_address = &room->jabber->by_address[bucket_of(room->address, strlen(room->address))];

	room->next_by_jid = *by_jid;
	room->next_by_address = *by_address;
	*by_jid = *by_address = room;
}

static void
forget_room(struct room *room)
{
	struct room **by_jid = &room->jabber->by_jid[bucket_of(room->jid, strlen(room->jid))];
	struct room **by_address = &room->jabber->by_address[bucket_of(room->address, strlen(room->address))];

	while (*by_jid != room)
		by_jid = &(*by_jid)->next_by_jid;
	*by_jid = room->next_by_jid;
	while (*by_address != room)
		by_address = &(*by_address)->next_by_address;
	*by_address = room->next_by_address;
}

/* ---- the room follows its listener ---- */

static void shut(struct room *room);
static void go_on(struct room *room);

void
muc_listener_moved(struct room *room, enum ghost_state was)
{
	struct member *listener = room->listener;

	if (member_is_inside(listener)) {
		if (room->phase == ROOM_JOINING)
			go_on(room);
		return;
	}
	if (listener->state == GHOST_REFUSED)
		shut(room);
	else if (was == GHOST_JOINED || was == GHOST_MUTED)
		muc_leave_off(room, listener->state == GHOST_BACKOFF ? 1000 : 0);
	else if (listener->state == GHOST_BACKOFF)
		muc_leave_off(room, member_pause_ms(&listener->failures));
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
	loop_timer_init(&room->asking, jabber->parts.loop, archive_ask, room);
	loop_timer_init(&room->gate, jabber->parts.loop, archive_open_gate, room);
	loop_timer_init(&room->overflow, jabber->parts.loop, speak_overflow, room);
	loop_timer_init(&room->watch, jabber->parts.loop, speak_watch, room);
	loop_timer_init(&room->pulse, jabber->parts.loop, on_pulse, room);
	list_init(&room->queue);
	list_append(&jabber->rooms, &room->link);
	index_room(room);
	pace_open(room);
	member_open_all(room);
}

static void
add_rooms_of(struct jabber *jabber, struct list *groups)
{
	struct group *group;

	LIST_FOR_EACH(group, groups, struct group, link) {
		const char *address = group->room[NETWORK_XMPP];
		if (address && address[0] && !muc_find_address(jabber, address))
			add_room(jabber, address);
	}
}

void
muc_add_rooms(struct jabber *jabber)
{
	add_rooms_of(jabber, &jabber->parts.groups->all);
	add_rooms_of(jabber, &jabber->parts.groups->visits);
}

static void
free_room(struct room *room)
{
	requests_forget(&room->jabber->requests, room);
	pace_end_entry(room);
	forget_room(room);
	member_close_all(room);
	roster_clear(room);
	archive_reset(room);
	review_leave(room);
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
	pace_close(jabber);
}

static void
read_features(struct room *room, xmpp_stanza_t *iq)
{
	/* urn:xmpp:mam:tmp: ejabberd, which knows no occupant-ids but, as XEP-0313 wants, no forged JIDs in its archive either. */
	static const char *const names[] = { NS_MAM, NS_SID, NS_OCCUPANT_ID, "muc_nonanonymous", "muc_membersonly",
		"urn:xmpp:mam:tmp" };
	bool *flags[] = { &room->has_archive, &room->has_ids, &room->has_occupant_ids, &room->open_names, &room->members_only,
		&room->cleans_archive };
	size_t count = sizeof(flags) / sizeof(*flags);
	xmpp_stanza_t *query = stanza_find(iq, "query", NS_DISCO_INFO);

	if (!query)
		return;
	for (size_t i = 0; i < count; i++)
		*flags[i] = false;
	for (xmpp_stanza_t *child = xmpp_stanza_get_children(query); child; child = xmpp_stanza_get_next(child))
		for (size_t i = 0; i < count; i++)
			if (stanza_is(child, "feature", NULL) && strcmp(stanza_get(child, "var"), names[i]) == 0)
				*flags[i] = true;
	room->described = true;
	room->cleans_archive = room->cleans_archive || room->has_occupant_ids;
	log_debug(LOG_XMPP, "room described room=%s archive=%d ids=%d occupant_ids=%d open_names=%d", room->jid, room->has_archive,
			room->has_ids, room->has_occupant_ids, room->open_names);
}

static struct group *
group_of(struct room *room)
{
	return groups_of_room(room->jabber->parts.groups, room->address);
}

bool
muc_is_visit(struct room *room)
{
	const struct group *group = group_of(room);

	return group && group->kind == GROUP_VISIT;
}

static void
tell_refused(struct room *room, enum refusal why, const char *detail)
{
	struct group *group = group_of(room);

	if (group)
		plumb_refused(room->jabber->parts.plumb, group, NETWORK_XMPP, why, detail);
}

/* Whether an answer to disco#info comes from a multi-user chat. */
static bool
is_muc(xmpp_stanza_t *iq)
{
	xmpp_stanza_t *query = stanza_find(iq, "query", NS_DISCO_INFO);

	for (xmpp_stanza_t *child = query ? xmpp_stanza_get_children(query) : NULL; child; child = xmpp_stanza_get_next(child))
		if (stanza_is(child, "feature", NULL) && strcmp(stanza_get(child, "var"), NS_MUC) == 0)
			return true;
	return false;
}

/* Nobody's wish makes a room, or sends a presence to what is none. True: the room is not entered. */
static bool
refuses_visit(struct room *room, enum answer answer, xmpp_stanza_t *iq)
{
	if (!muc_is_visit(room) || (answer == ANSWER_RESULT && is_muc(iq)))
		return false;
	const char *condition = answer == ANSWER_ERROR ? stanza_error(iq, NULL) : "no multi-user chat";
	muc_leave_off(room, SHUT_RETRY_MS);
	tell_refused(room, strcmp(condition, "item-not-found") == 0 || strcmp(condition, "gone") == 0 ? REFUSAL_ROOM_GONE :
			REFUSAL_OTHER, condition);
	return true;
}

static void
describe(struct room *room, stanza_answered *answered)
{
	xmpp_stanza_t *iq = stanza_make(room->jabber->ctx, "iq", "get", NULL, room->jabber->listener, room->jid);

	stanza_add(iq, "query", NS_DISCO_INFO);
	jabber_ask(room->jabber, iq, ANSWER_MS, answered, room);
}

/* Asked before the join, and again after it when the room hides itself from strangers or did not exist yet. */
static void
on_described(void *context, enum answer answer, xmpp_stanza_t *iq)
{
	struct room *room = context;
	bool inside = room->phase == ROOM_JOINING;

	if (!inside && room->phase != ROOM_ASKING)
		return;
	if (answer == ANSWER_NONE) {
		muc_leave_off(room, 2000);
		return;
	}
	if (!inside && refuses_visit(room, answer, iq))
		return;
	if (answer == ANSWER_RESULT)
		read_features(room, iq);
	/* A join would make it again. */
	if (room->destroyed && answer == ANSWER_ERROR && strcmp(stanza_error(iq, NULL), "item-not-found") == 0) {
		member_place_listener(room, GHOST_REFUSED);
		room->listener->reason = GHOST_FOR_GONE;
		shut(room);
		return;
	}
	room->destroyed = false;
	room->phase = ROOM_JOINING;
	if (inside) {
		room->described = true;
		go_on(room);
	} else {
		member_join_listener(room);
	}
}

static bool
was_kicked(const struct room *room)
{
	return room->listener->state == GHOST_REFUSED && room->listener->reason == GHOST_FOR_KICK;
}

void
muc_enter(struct room *room)
{
	if (stream_is_up(room->jabber->stream))
		pace_enter(room);
}

void
muc_begin(struct room *room)
{
	loop_timer_stop(&room->retry);
	requests_forget(&room->jabber->requests, room);
	inbox_close_gate(room->jabber->parts.inbox, room->address);
	archive_reset(room);
	roster_clear(room);
	room->described = room->seen_history = false;
	room->phase = ROOM_ASKING;
	room->heard_ms = now_monotonic_ms();
	describe(room, on_described);
	loop_timer_set(&room->pulse, PULSE_MS);
}

static void
on_retry(void *context)
{
	struct room *room = context;

	/* Kept out long enough; with the stream down it is entered like any other when that is up. */
	if (was_kicked(room))
		member_place_listener(room, GHOST_PARTED);
	muc_enter(room);
}

void
muc_leave_off(struct room *room, int64_t delay_ms)
{
	requests_forget(&room->jabber->requests, room);
	pace_end_entry(room);
	inbox_close_gate(room->jabber->parts.inbox, room->address);
	archive_reset(room);
	speak_doubt(room);
	member_put_off(room);
	room->phase = ROOM_OUT;
	loop_timer_set(&room->retry, delay_ms);
}

/* The bot stays out; what is to be said meanwhile is refused, so that its authors hear of it (speak.c). */
static void
shut(struct room *room)
{
	enum ghost_reason reason = room->listener->reason;
	bool long_time = reason == GHOST_FOR_KICK || reason == GHOST_FOR_BAN || reason == GHOST_FOR_GONE;

	muc_leave_off(room, long_time ? SHUT_LONG_MS : SHUT_RETRY_MS);
	room->phase = ROOM_SHUT;
	room->destroyed = room->destroyed || reason == GHOST_FOR_GONE;
	log_error(LOG_XMPP, "shut out room=%s reason=\"%s\" next try in %d min", room->jid, member_why(room->listener),
			(long_time ? SHUT_LONG_MS : SHUT_RETRY_MS) / 60000);
	tell_refused(room, speak_refusal_of(room->listener), member_why(room->listener));
	outbox_wake(room->jabber->parts.outbox);
}

static void
lose(struct room *room)
{
	struct member *member;

	/* Whoever was sent away by a moderator keeps away, whatever the stream does. */
	if (!was_kicked(room))
		loop_timer_stop(&room->retry);
	loop_timer_stop(&room->pulse);
	pace_end_entry(room);
	inbox_close_gate(room->jabber->parts.inbox, room->address);
	archive_reset(room);
	speak_forget(room);
	roster_clear(room);
	room->phase = was_kicked(room) ? ROOM_SHUT : ROOM_OUT;
	LIST_FOR_EACH(member, &room->members, struct member, link)
		member_step(member, GHOST_LOST);
	member_place_listener(room, was_kicked(room) ? GHOST_REFUSED : GHOST_PARTED);
}

void
muc_lose(struct jabber *jabber)
{
	struct room *room;

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

void
muc_make(struct room *room)
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

/* The listener is in: what is missing before the archive can be read. */
static void
go_on(struct room *room)
{
	if (!room->described) {
		describe(room, on_described);
		return;
	}
	pace_end_entry(room);
	room->phase = ROOM_CATCHING;
	expelled_ask(room); /* first: digests wait for what the archive says, and come behind this answer too */
	archive_catch_up(room);
}

void
muc_become_ready(struct room *room)
{
	struct member *member;

	room->phase = ROOM_READY;
	room->failures = 0;
	LIST_FOR_EACH(member, &room->members, struct member, link)
		if (member->reason == GHOST_FOR_GONE)
			member_step(member, GHOST_RETRY);
	log_info(LOG_XMPP, "room ready room=%s occupants=%zu", room->jid, room->occupants.count);
	if (group_of(room))
		plumb_entered(room->jabber->parts.plumb, group_of(room), NETWORK_XMPP);
	outbox_wake(room->jabber->parts.outbox);
}

/* ---- liveness ---- */

static void
on_pulsed(void *context, enum answer answer, xmpp_stanza_t *iq)
{
	struct member *member = context;
	struct room *room = member->room;
	enum ghost_event event = member_alive(answer, iq);

	if (event == GHOST_ALIVE) {
		member->alive_ms = now_monotonic_ms();
		return;
	}
	if (event == GHOST_SILENT || !member_is_inside(member))
		return;
	log_warning(LOG_XMPP, "silently removed room=%s jid=%s", room->jid, member->jid);
	/* If the listener is out, the others most likely are: each asks before it speaks. */
	if (member_is_listener(member)) {
		struct member *other;
		LIST_FOR_EACH(other, &room->members, struct member, link)
			member_step(other, GHOST_LOST);
		member_step(member, GHOST_REMOVED);
	} else {
		member_step(member, event);
	}
}

void
muc_suspect(struct room *room)
{
	if (room->phase == ROOM_READY)
		member_ping(room->listener, on_pulsed, room->listener);
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
	member_retire(room);
	if (now_ms - room->heard_ms >= LISTENER_SILENCE_MS) {
		room->heard_ms = now_ms;
		member_ping(room->listener, on_pulsed, room->listener);
	}
	LIST_FOR_EACH(member, &room->members, struct member, link) {
		if (!member_is_inside(member) || now_ms - member->alive_ms < GHOST_SILENCE_MS || budget-- == 0)
			continue;
		member->alive_ms = now_ms;
		member_ping(member, on_pulsed, member);
	}
}

/* ---- what the room itself says ---- */

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
	struct member *member;

	expelled_see_message(room, message);
	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
		if (stanza_has_status(x, codes[i])) {
			describe(room, on_described_again);
			/* The room's rules may have changed. */
			LIST_FOR_EACH(member, &room->members, struct member, link)
				if (member->reason == GHOST_FOR_MEMBERS || member->reason == GHOST_FOR_PASSWORD)
					member_step(member, GHOST_RETRY);
			return;
		}
	}
}

/* ---- entering and leaving at run time ---- */

void
muc_enter_group(struct port *port, struct group *group)
{
	struct jabber *jabber = (struct jabber *)port;
	char jid[JID_SIZE];

	if (group->kind == GROUP_VISIT && !jid_prepare(group->room[NETWORK_XMPP], jid, sizeof(jid))) {
		plumb_refused(jabber->parts.plumb, group, NETWORK_XMPP, REFUSAL_ROOM_GONE, NULL);
		return;
	}
	if (group->kind == GROUP_VISIT && strcmp(jid, group->room[NETWORK_XMPP]) != 0)
		groups_set_room(group, NETWORK_XMPP, jid); /* as the server will call it */
	struct room *room = muc_find_address(jabber, group->room[NETWORK_XMPP]);
	if (!room) {
		add_room(jabber, group->room[NETWORK_XMPP]);
		room = muc_find_address(jabber, group->room[NETWORK_XMPP]);
	}
	if (room->phase == ROOM_READY)
		plumb_entered(jabber->parts.plumb, group, NETWORK_XMPP);
	else if (room->phase == ROOM_OUT || (room->phase == ROOM_SHUT && !plumb_is_over(jabber->parts.plumb, group)))
		muc_enter(room); /* not only to leave it: whoever sent us away wants no goodbye */
}

void
muc_leave(struct port *port, struct group *group)
{
	struct jabber *jabber = (struct jabber *)port;
	struct room *room = muc_find_address(jabber, group->room[NETWORK_XMPP]);
	struct member *member;

	/* A group's room is the group's, however it was visited meanwhile. */
	if (room && groups_of_room(jabber->parts.groups, room->address) == group) {
		speak_doubt(room);
		inbox_close_gate(jabber->parts.inbox, room->address);
		LIST_FOR_EACH(member, &room->members, struct member, link)
			member_part(member);
		member_part(room->listener);
		free_room(room);
	}
	plumb_left(jabber->parts.plumb, group, NETWORK_XMPP);
}

void
muc_stand(struct port *port, const char *address, struct standing *out)
{
	struct jabber *jabber = (struct jabber *)port;
	struct room *room = muc_find_address(jabber, address);
	struct member *member;

	*out = (struct standing){ .connected = stream_is_up(jabber->stream), .since_ms = jabber->changed_ms };
	if (!room)
		return;
	out->inside = room->phase == ROOM_READY;
	out->trouble = room->phase == ROOM_SHUT ? ghost_reason_name(room->listener->reason) : NULL;
	out->overflowing = room->member_count >= jabber->settings.ghosts;
	LIST_FOR_EACH(member, &room->members, struct member, link)
		out->ghosts += member_is_inside(member);
}

static void
invite(struct jabber *jabber, const char *jid, const char *by)
{
	char address[JID_SIZE];
	struct room *room;
	struct group *group;

	if (!jid_prepare(jid, address, sizeof(address)) || !strchr(address, '@') || jid_in_domain(address, jabber->settings.component))
		return;
	room = muc_find(jabber, address);
	group = room ? group_of(room) : plumb_invited(jabber->parts.plumb, NETWORK_XMPP, address, by);
	log_info(LOG_XMPP, "invited room=%s by=%s entered=%s", address, by, group ? "yes" : "no");
	if (group)
		muc_enter_group(&jabber->port, group);
}

bool
muc_hear_invitation(struct jabber *jabber, xmpp_stanza_t *message)
{
	const char *from = stanza_get(message, "from");
	xmpp_stanza_t *mediated = stanza_find(stanza_find(message, "x", NS_MUC_USER), "invite", NULL);
	xmpp_stanza_t *direct = stanza_find(message, "x", "jabber:x:conference");

	if (strcmp(stanza_get(message, "type"), "error") == 0 || strcmp(stanza_get(message, "type"), "groupchat") == 0)
		return false;
	if (!mediated && !direct)
		return false;
	AUTO_FREE char *sender = jid_bare(from);
	AUTO_FREE char *by = jid_bare(mediated ? stanza_get(mediated, "from") : from);
	/* A live one only: who invited hours ago, while nobody was there, does so again. */
	int64_t at_ms;
	if (!jid_in_domain(from, jabber->settings.component) && !hear_delay(message, NULL, &at_ms))
		invite(jabber, mediated ? sender : stanza_get(direct, "jid"), by);
	return true;
}
