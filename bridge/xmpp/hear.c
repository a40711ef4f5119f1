/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is only known at the moment of hearing (who stood behind the nick, whether he moderates, whether it was
 * live) goes into an envelope around the stanza, and the envelope is the inbox row: hear_read() needs nothing
 * else. An echo of ours is never accepted: it settles a row. Who is ours is told by the real JID where we see it,
 * else by the nick of a member that is known to be in, else by the key that our messages carry; a nick alone proves
 * nothing while we only believe to be in.
 */
#include "xmpp/hear.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/now.h"
#include "base/seal.h"
#include "base/str.h"
#include "xmpp/archive.h"
#include "xmpp/jid.h"
#include "xmpp/member.h"
#include "xmpp/muc.h"
#include "xmpp/roster.h"
#include "xmpp/speak.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_ROW "urn:sourdine:row"
#define NS_RETRACT "urn:xmpp:message-retract:1"
#define RETRY_MS 5000
#define BUCKET_MS (10 * 60000)
#define AHEAD_MS (5 * 60000)
#define BEHIND_MS (7 * 86400000LL)

bool
hear_delay(xmpp_stanza_t *stanza, const char *by, int64_t *at_ms)
{
	if (!stanza)
		return false;
	for (xmpp_stanza_t *child = xmpp_stanza_get_children(stanza); child; child = xmpp_stanza_get_next(child))
		if (stanza_is(child, "delay", NS_DELAY) && (!by || strcmp(stanza_get(child, "from"), by) == 0)) {
			if (!now_parse_utc(stanza_get(child, "stamp"), at_ms))
				return false;
			/* Whoever sets his clock forward must not move a cursor there (security S8). */
			int64_t latest_ms = now_real_ms() + AHEAD_MS;
			*at_ms = *at_ms > latest_ms ? latest_ms : *at_ms;
			return true;
		}
	return false;
}

/* The text as clients show it; a body of another namespace is nobody's message. */
static xmpp_stanza_t *
body_of(xmpp_stanza_t *message)
{
	return message ? stanza_find(message, "body", xmpp_stanza_get_ns(message)) : NULL;
}

/* XEP-0424: the id of what its author takes back, or "". */
static const char *
retracted(xmpp_stanza_t *message)
{
	return stanza_get(stanza_find(message, "retract", NS_RETRACT), "id");
}

/* ---- the envelope ---- */

/* Who said it, as far as we may tell. Everything is borrowed but person and stem. */
struct speaker {
	char *person, *stem; /* owns */
	const char *nick;
	bool moderator;
};

struct envelope {
	const char *room;        /* address for the inbox */
	const char *source_id;
	const char *reply;       /* lane */
	const char *direct_room; /* or NULL */
	bool direct, live;
	int64_t at_ms;
};

static void
speaker_fini(struct speaker *speaker)
{
	free(speaker->person);
	free(speaker->stem);
}

/* The turn's transaction failed: what it held is not in the inbox. The archive still has it. */
static void
on_commit(void *context, bool done)
{
	struct jabber *jabber = context;
	struct room *room;

	jabber->commit_watched = false;
	if (done)
		return;
	LIST_FOR_EACH(room, &jabber->rooms, struct room, link)
		if (room->phase == ROOM_READY || room->phase == ROOM_CATCHING || room->phase == ROOM_SETTLING)
			muc_leave_off(room, RETRY_MS);
}

static void
watch_commit(struct jabber *jabber)
{
	if (jabber->commit_watched)
		return;
	jabber->commit_watched = true;
	store_after_commit(jabber->parts.store, on_commit, jabber);
}

static void
seal_row(struct jabber *jabber, const struct envelope *envelope, const struct speaker *speaker, xmpp_stanza_t *message, struct str *out)
{
	char number[24];
	xmpp_stanza_t *row = stanza_new(jabber->ctx, "row", NS_ROW);

	int64_t earliest_ms = now_real_ms() - BEHIND_MS;
	snprintf(number, sizeof(number), "%" PRId64, envelope->at_ms < earliest_ms ? earliest_ms : envelope->at_ms);
	stanza_set(row, "person", speaker->person);
	stanza_set(row, "stem", speaker->stem);
	stanza_set(row, "nick", speaker->nick);
	stanza_set(row, "reply", envelope->reply);
	stanza_set(row, "at", number);
	stanza_set(row, "moderator", speaker->moderator ? "1" : NULL);
	stanza_set(row, "live", envelope->live ? "1" : NULL);
	stanza_set(row, "direct", envelope->direct ? "1" : NULL);
	stanza_set(row, "room", envelope->direct_room);
	stanza_write_around(out, row, message);
	stanza_free(row);
}

/* True when it is in the inbox, now or before. */
static bool
accept(struct jabber *jabber, const struct envelope *envelope, const struct speaker *speaker, xmpp_stanza_t *message)
{
	struct str raw AUTO_STR;

	str_init(&raw, (size_t)8 << 20);
	seal_row(jabber, envelope, speaker, message, &raw);
	watch_commit(jabber);
	int r = inbox_accept(jabber->parts.inbox, NETWORK_XMPP, envelope->room, envelope->source_id, str_get(&raw), raw.n);
	if (r < 0) {
		log_error(LOG_XMPP, "cannot keep a message room=%s id=%s error=%d", envelope->room, envelope->source_id, r);
		return false;
	}
	return true;
}

/* ---- who ---- */

/* The real bare JID behind an archived message; malloc'd or NULL. */
static char *
archived_jid(struct room *room, xmpp_stanza_t *message, const char *occupant_id)
{
	struct occupant *occupant = occupant_id ? roster_find_id(room, occupant_id) : NULL;

	if (occupant)
		return xstrdup(occupant->jid);
	const char *jid = stanza_get(stanza_find(stanza_find(message, "x", NS_MUC_USER), "item", NULL), "jid");
	return room->cleans_archive && jid[0] ? jid_bare(jid) : NULL;
}

static const char *
trusted_occupant_id(struct room *room, xmpp_stanza_t *message)
{
	const char *id = NULL;
	unsigned count = 0;

	if (!room->has_occupant_ids)
		return NULL;
	for (xmpp_stanza_t *child = xmpp_stanza_get_children(message); child; child = xmpp_stanza_get_next(child))
		if (stanza_is(child, "occupant-id", NS_OCCUPANT_ID)) {
			id = stanza_get(child, "id");
			count++;
		}
	if (count > 1)
		jabber_note_forged(room->jabber, stanza_get(message, "from"), "more than one occupant-id");
	return count == 1 && id[0] ? id : NULL;
}

/* decisions 2.1. */
static void
identify(struct room *room, const char *nick, const char *jid, const char *occupant_id, bool moderator, struct speaker *out)
{
	struct jabber *jabber = room->jabber;
	const char *identity = jid ? jid : occupant_id ? occupant_id : nick;
	char alias[17];

	seal_alias(jabber->parts.seal, (const char *const[]){ room->address, identity, NULL }, alias);
	*out = (struct speaker){ .nick = nick };
	out->stem = xstrdup(jid && room->open_names ? jid : alias);
	out->person = jid ? xasprintf("xmpp:%s", jid) : xasprintf("xmpp:%s/%s", room->address, alias);
	out->moderator = moderator || jabber->settings.is_operator(jabber->settings.context, out->person);
}

char *
hear_person(struct room *room, const char *nick, const char *jid, const char *occupant_id)
{
	struct speaker speaker;

	identify(room, nick, jid, occupant_id, false, &speaker);
	free(speaker.stem);
	return speaker.person;
}

static bool
is_person(struct room *room, struct occupant *occupant, const char *person)
{
	AUTO_FREE char *same = hear_person(room, occupant->nick, occupant->jid, occupant->occupant_id);

	return strcmp(same, person) == 0;
}

static void
add_rights(struct occupant *occupant, struct rights *out)
{
	out->known = true;
	/* With two clients he has two places, and the affiliation is his account's. */
	if (!out->affiliation || occupant->moderator)
		out->affiliation = occupant->affiliation;
	out->moderator = out->moderator || occupant->moderator;
}

void
hear_rights(struct port *port, const char *address, const char *person, struct rights *out)
{
	struct jabber *jabber = (struct jabber *)port;
	struct room *room = muc_find_address(jabber, address);

	*out = (struct rights){ .operator = jabber->settings.is_operator(jabber->settings.context, person) };
	if (!room || room->phase != ROOM_READY)
		return;
	for (size_t i = 0; i < room->occupants.bucket_count; i++)
		for (struct occupant *occupant = room->occupants.buckets[i]; occupant; occupant = occupant->next)
			if (!member_by_nick(room, occupant->nick) && is_person(room, occupant, person))
				add_rights(occupant, out);
}

/* ---- rooms ---- */

/* The room's stanza-id, when it can be trusted (xmpp.md 3.1), or NULL. */
static const char *
trusted_id(struct room *room, xmpp_stanza_t *message)
{
	const char *id = NULL;
	unsigned count = 0;

	if (!room->has_ids)
		return NULL;
	for (xmpp_stanza_t *child = xmpp_stanza_get_children(message); child; child = xmpp_stanza_get_next(child))
		if (stanza_is(child, "stanza-id", NS_SID) && strcmp(stanza_get(child, "by"), room->jid) == 0) {
			id = stanza_get(child, "id");
			count++;
		}
	if (count > 1)
		jabber_note_forged(room->jabber, stanza_get(message, "from"), "more than one stanza-id by the room");
	return count == 1 && id[0] ? id : NULL;
}

bool
hear_made_id(const char *source_id)
{
	return str_starts(source_id, "h:") || str_starts(source_id, "r:");
}

static void
fallback_id(struct room *room, const char *who, xmpp_stanza_t *message, int64_t bucket, char out[80])
{
	AUTO_FREE char *body = stanza_text(body_of(message));
	char number[24], digest[65];
	struct str all AUTO_STR;

	str_init(&all, (size_t)1 << 20);
	snprintf(number, sizeof(number), "%" PRId64, bucket);
	const char *fields[] = { room->jid, who, stanza_get(message, "id"), number, body };
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		str_addf(&all, "%zu:", strlen(fields[i]));
		str_add(&all, fields[i]);
	}
	seal_sha256_hex(str_get(&all), all.n, digest);
	snprintf(out, 80, "h:%s", digest);
}

/*
 * An id for a message of a room that gives none (delivery 6): its author, id and text, within ten minutes. Without an id
 * of the sender's own, two equal lines could not be told apart, so a live one counts as new.
 */
static void
make_id(struct room *room, const char *who, xmpp_stanza_t *message, int64_t at_ms, bool live, char out[80])
{
	int64_t bucket = at_ms / BUCKET_MS;

	if (live && !stanza_get(message, "id")[0]) {
		snprintf(out, 80, "r:");
		seal_random_text(out + 2, 32, "abcdefghijklmnopqrstuvwxyz234567");
		return;
	}
	for (int64_t near = -1; near <= 1; near++) {
		fallback_id(room, who, message, bucket + near, out);
		if (inbox_knows(room->jabber->parts.inbox, room->address, out))
			return;
	}
	fallback_id(room, who, message, bucket, out);
}

/* Under a ghost's name, and no row of ours waits for it: said before, or never. */
static void
note_stray(struct room *room, xmpp_stanza_t *message)
{
	if (speak_marked(room, message))
		metric_add(METRIC_IGNORED_ECHO, 1);
	else if (body_of(message))
		jabber_note_forged(room->jabber, stanza_get(message, "from"), "a message under a ghost's name that it never said");
}

/* Whether a live message under this nick is an echo of ours; it is used up then. */
static bool
is_echo(struct room *room, const char *nick, xmpp_stanza_t *message, const char *stanza_id)
{
	struct occupant *occupant = roster_find(room, nick);
	struct member *member = member_by_nick(room, nick);
	const char *name = speak_name(message);
	bool inside = member && (member->state == GHOST_JOINED || member->state == GHOST_MUTED);

	if (inside)
		member->alive_ms = now_monotonic_ms();
	if (occupant && occupant->jid ? jid_in_domain(occupant->jid, room->jabber->settings.component) : inside) {
		if (!speak_reflected(room, nick, name, stanza_id ? stanza_id : "") && !speak_found(room, name, stanza_id ? stanza_id : ""))
			note_stray(room, message);
		return true;
	}
	if (occupant && occupant->jid)
		return false;
	/* Nobody's nick, or that of a ghost of which we do not know whether it is in: only what it said before can be its own. */
	if (member && speak_found(room, name, stanza_id ? stanza_id : ""))
		return true;
	if (!speak_marked(room, message))
		return false;
	metric_add(METRIC_IGNORED_ECHO, 1);
	return true;
}

static void
accept_said(struct room *room, const char *nick, xmpp_stanza_t *message, const char *stanza_id, bool live, int64_t at_ms)
{
	struct occupant *occupant = roster_find(room, nick);
	const char *occupant_id = trusted_occupant_id(room, message);
	AUTO_FREE char *reply = xasprintf("%s/%s", room->address, nick);
	struct speaker speaker;
	char made[80];

	identify(room, nick, occupant ? occupant->jid : NULL, occupant_id, occupant && occupant->moderator, &speaker);
	if (!stanza_id)
		make_id(room, speaker.person, message, at_ms, live, made);
	struct envelope envelope = {
		.room = room->address, .source_id = stanza_id ? stanza_id : made, .reply = reply, .live = live, .at_ms = at_ms,
	};
	bool kept = accept(room->jabber, &envelope, &speaker, message);
	FAULT_POINT("xmpp_before_cursor");
	speaker_fini(&speaker);
	if (!kept)
		muc_leave_off(room, RETRY_MS);
	else if (!live && room->seen_history && room->phase != ROOM_READY)
		archive_note(room, envelope.source_id, at_ms);
	else if (!stanza_id && !inbox_gate_closed(room->jabber->parts.inbox, room->address))
		inbox_move_cursor(room->jabber->parts.inbox, NETWORK_XMPP, room->address, made, at_ms);
}

static bool
has_id_by(const struct room *room, xmpp_stanza_t *message)
{
	for (xmpp_stanza_t *child = xmpp_stanza_get_children(message); child; child = xmpp_stanza_get_next(child))
		if (stanza_is(child, "stanza-id", NS_SID) && strcmp(stanza_get(child, "by"), room->jid) == 0)
			return true;
	return false;
}

/*
 * A server that has not noticed our restart goes on sending us what is said. Until the room is described and joined neither its
 * ids nor its people are known; the archive will show the message once more, under its id and its author.
 */
static bool
comes_again(const struct room *room, xmpp_stanza_t *message)
{
	if (room->phase == ROOM_JOINING)
		return room->has_archive && room->has_ids && has_id_by(room, message);
	return room->phase <= ROOM_ASKING && has_id_by(room, message);
}

void
hear_groupchat(struct jabber *jabber, xmpp_stanza_t *message)
{
	const char *from = stanza_get(message, "from"), *nick = jid_resource(from);
	struct room *room = muc_find(jabber, from);
	int64_t at_ms = now_real_ms();

	if (!room) {
		jabber_note_forged(jabber, from, "a groupchat message of no room of ours");
		return;
	}
	room->heard_ms = now_monotonic_ms();
	if (!nick[0]) {
		muc_hear_service(room, message);
		return;
	}
	const char *stanza_id = trusted_id(room, message);
	bool history = hear_delay(message, room->jid, &at_ms) || room->phase <= ROOM_JOINING;
	/* Without ids of the room nobody can say which message is meant. */
	bool says = body_of(message) || (stanza_id && retracted(message)[0]);
	if (!is_echo(room, nick, message, stanza_id) && says && !comes_again(room, message))
		accept_said(room, nick, message, stanza_id, !history, at_ms);
	if (stanza_id && !history && !inbox_gate_closed(jabber->parts.inbox, room->address))
		inbox_move_cursor(jabber->parts.inbox, NETWORK_XMPP, room->address, stanza_id, at_ms);
}

bool
hear_is_message(struct room *room, xmpp_stanza_t *message, bool *own)
{
	const char *from = stanza_get(message, "from"), *nick = jid_resource(from);

	if (!jid_same_bare(from, room->jid) || !nick[0] || strcmp(stanza_get(message, "type"), "groupchat") != 0)
		return false;
	AUTO_FREE char *jid = archived_jid(room, message, trusted_occupant_id(room, message));
	*own = jid ? jid_in_domain(jid, room->jabber->settings.component) : speak_marked(room, message);
	return stanza_find(message, "body", NULL) != NULL;
}

void
hear_archived(struct room *room, const char *id, xmpp_stanza_t *message, int64_t at_ms)
{
	struct jabber *jabber = room->jabber;
	const char *from = stanza_get(message, "from"), *nick = jid_resource(from);

	if (!jid_same_bare(from, room->jid) || !nick[0] || strcmp(stanza_get(message, "type"), "groupchat") != 0)
		return;
	if (speak_found(room, speak_name(message), id))
		return;
	const char *occupant_id = trusted_occupant_id(room, message);
	AUTO_FREE char *jid = archived_jid(room, message, occupant_id);
	if (jid ? jid_in_domain(jid, jabber->settings.component) : speak_marked(room, message))
		return;
	if (!body_of(message) && !retracted(message)[0])
		return;
	/* Whoever has the nick now need not be he who had it then: that is believed only where nothing else tells. */
	struct occupant *occupant = occupant_id ? roster_find_id(room, occupant_id) : roster_find(room, nick);
	/* Under a nick that is one of ours now it was somebody else's, when none of ours said it. */
	if (!jid && occupant && occupant->jid && !jid_in_domain(occupant->jid, jabber->settings.component))
		jid = xstrdup(occupant->jid);
	if (occupant && jid && !str_equal(occupant->jid, jid))
		occupant = NULL;
	AUTO_FREE char *reply = xasprintf("%s/%s", room->address, nick);
	struct speaker speaker;
	identify(room, nick, jid, occupant_id, occupant && occupant->moderator, &speaker);
	struct envelope envelope = { .room = room->address, .source_id = id, .reply = reply, .at_ms = at_ms };
	bool kept = accept(jabber, &envelope, &speaker, message);
	speaker_fini(&speaker);
	if (!kept)
		muc_leave_off(room, RETRY_MS);
}

/* ---- to the bot alone ---- */

/* The one room of ours that this JID is seen in; NULL when there is none, or more than one. */
static struct room *
only_room_of(struct jabber *jabber, const char *bare_jid, struct occupant **as)
{
	struct room *room, *found = NULL;

	LIST_FOR_EACH(room, &jabber->rooms, struct room, link) {
		struct occupant *occupant = roster_find_jid(room, bare_jid);
		if (!occupant)
			continue;
		if (found)
			return NULL;
		found = room;
		*as = occupant;
	}
	return found;
}

static void
accept_direct(struct jabber *jabber, const char *lane, const char *direct_room, const struct speaker *speaker, xmpp_stanza_t *message)
{
	int64_t at_ms = now_real_ms();
	bool delayed = hear_delay(message, NULL, &at_ms);
	char id[48] = "d:";

	/* A server hands a chat message to a component once; clients reuse their ids (xmpp.md 3.1). */
	seal_random_text(id + 2, 32, "abcdefghijklmnopqrstuvwxyz234567");
	struct envelope envelope = {
		.room = lane, .source_id = id, .reply = lane, .direct_room = direct_room, .direct = true, .live = !delayed, .at_ms = at_ms,
	};
	if (!accept(jabber, &envelope, speaker, message))
		log_error(LOG_XMPP, "a direct message was lost from=%s", lane);
}

static void
hear_through_room(struct room *room, const char *nick, xmpp_stanza_t *message)
{
	struct occupant *occupant = roster_find(room, nick);
	AUTO_FREE char *lane = xasprintf("%s/%s", room->address, nick);
	struct speaker speaker;

	if (!occupant || member_by_nick(room, nick))
		return;
	identify(room, nick, occupant->jid, occupant->occupant_id, occupant->moderator, &speaker);
	accept_direct(room->jabber, lane, room->address, &speaker, message);
	speaker_fini(&speaker);
}

static size_t
find_caller(const struct jabber *jabber, const char *bare_jid)
{
	size_t i = 0;

	while (i < CALLERS_MAX && !str_equal(jabber->callers[i], bare_jid))
		i++;
	return i;
}

const char *
hear_called(const struct jabber *jabber, const char *bare_jid)
{
	return find_caller(jabber, bare_jid) < CALLERS_MAX ? jabber->settings.component : jabber->bot;
}

void
hear_forget_callers(struct jabber *jabber)
{
	for (size_t i = 0; i < CALLERS_MAX; i++) {
		free(jabber->callers[i]);
		jabber->callers[i] = NULL;
	}
}

static void
note_caller(struct jabber *jabber, const char *bare_jid, bool component)
{
	size_t i = find_caller(jabber, bare_jid);

	if (component == (i < CALLERS_MAX))
		return;
	if (component)
		i = jabber->next_caller++ % CALLERS_MAX;
	free(jabber->callers[i]);
	jabber->callers[i] = component ? xstrdup(bare_jid) : NULL;
}

static void
hear_account(struct jabber *jabber, const char *from, xmpp_stanza_t *message)
{
	AUTO_FREE char *bare = jid_bare(from);
	AUTO_FREE char *nick = xstrndup(bare, strcspn(bare, "@"));
	struct occupant *occupant = NULL;
	struct room *room = only_room_of(jabber, bare, &occupant);
	struct speaker speaker = { .nick = nick };

	note_caller(jabber, bare, !strchr(stanza_get(message, "to"), '@'));
	speaker.person = xasprintf("xmpp:%s", bare);
	speaker.stem = xstrdup(bare);
	speaker.moderator = (occupant && room && occupant->moderator) ||
		jabber->settings.is_operator(jabber->settings.context, speaker.person);
	accept_direct(jabber, bare, room ? room->address : NULL, &speaker, message);
	speaker_fini(&speaker);
}

void
hear_chat(struct jabber *jabber, xmpp_stanza_t *message)
{
	const char *from = stanza_get(message, "from"), *nick = jid_resource(from);
	struct room *room = muc_find(jabber, from);

	if (!body_of(message))
		return;
	if (jid_in_domain(from, jabber->settings.component)) {
		jabber_note_forged(jabber, from, "a chat message from our own domain");
		return;
	}
	if (room && nick[0])
		hear_through_room(room, nick, message);
	else if (!room && !stanza_find(message, "x", NS_MUC_USER) && strchr(from, '@'))
		hear_account(jabber, from, message);
}

/* ---- reading it back ---- */

/* Things that carry a text only for those who do not know them. */
static bool
means_nothing(xmpp_stanza_t *message)
{
	static const char *const namespaces[] = {
		"urn:xmpp:reactions:0", "urn:xmpp:message-correct:0", "urn:xmpp:message-retract:1", "urn:xmpp:message-retract:0",
		"urn:xmpp:fasten:0", "urn:xmpp:message-moderate:1", "urn:xmpp:message-moderate:0", "eu.siacs.conversations.axolotl",
		"urn:xmpp:omemo:2", "urn:xmpp:omemo:1", "urn:xmpp:openpgp:0", "jabber:x:encrypted",
	};

	for (xmpp_stanza_t *child = xmpp_stanza_get_children(message); child; child = xmpp_stanza_get_next(child))
		for (size_t i = 0; i < sizeof(namespaces) / sizeof(*namespaces); i++)
			if (stanza_is(child, NULL, namespaces[i])) {
				log_debug(LOG_XMPP, "ignored id=%s payload=%s", stanza_get(message, "id"), namespaces[i]);
				return true;
			}
	return false;
}

/* Removes the code points [start, end) of text, in place. */
static void
cut_range(char *text, unsigned long start, unsigned long end)
{
	char *to = NULL;
	unsigned long at = 0;

	for (char *p = text;; p++) {
		if (((unsigned char)*p & 0xC0) != 0x80 || !*p) {
			if (at == start)
				to = p;
			if ((at == end || !*p) && to && p > to) {
				memmove(to, p, strlen(p) + 1);
				return;
			}
			at++;
		}
		if (!*p)
			return;
	}
}

/* XEP-0428: what quotes the answered message, for clients without XEP-0461. Ranges are of the body as it was, so the last goes first. */
static void
strip_fallback(xmpp_stanza_t *message, char *text)
{
	unsigned long starts[8], ends[8];
	size_t count = 0;

	for (xmpp_stanza_t *child = xmpp_stanza_get_children(message); child; child = xmpp_stanza_get_next(child)) {
		if (!stanza_is(child, "fallback", NS_FALLBACK) || strcmp(stanza_get(child, "for"), NS_REPLY) != 0)
			continue;
		xmpp_stanza_t *body = stanza_find(child, "body", NULL);
		char *stop_start, *stop_end;
		unsigned long start = strtoul(stanza_get(body, "start"), &stop_start, 10), end = strtoul(stanza_get(body, "end"), &stop_end, 10);
		if (stop_start == stanza_get(body, "start") || stop_end == stanza_get(body, "end") || end <= start || count == 8)
			continue;
		size_t at = count++;
		for (; at > 0 && starts[at - 1] < start; at--) {
			starts[at] = starts[at - 1];
			ends[at] = ends[at - 1];
		}
		starts[at] = start;
		ends[at] = end;
	}
	for (size_t i = 0; i < count; i++)
		cut_range(text, starts[i], ends[i]);
}

static void
read_message(xmpp_stanza_t *message, struct arena *arena, struct incoming *out)
{
	xmpp_stanza_t *body = body_of(message), *reply = stanza_find(message, "reply", NS_REPLY);

	if (retracted(message)[0]) {
		out->kind = INCOMING_WITHDRAWAL;
		out->reply_to = arena_copy(arena, retracted(message));
	}
	if (!body || means_nothing(message))
		return;
	AUTO_FREE char *raw = stanza_text(body);
	strip_fallback(message, raw);
	AUTO_FREE char *clean = str_clean(raw, strlen(raw));
	const char *text = clean;
	out->message = MESSAGE_TEXT;
	if (str_starts(text, "/me ")) {
		out->message = MESSAGE_EMOTE;
		text += 4;
	}
	if (!text[strspn(text, " \t\r\n")])
		return;
	out->kind = INCOMING_MESSAGE;
	out->text = arena_copy(arena, text);
	if (stanza_get(reply, "id")[0])
		out->reply_to = arena_copy(arena, stanza_get(reply, "id"));
}

static char *
keep(struct arena *arena, xmpp_stanza_t *row, const char *key)
{
	const char *value = stanza_get(row, key);

	return value[0] ? arena_copy(arena, value) : NULL;
}

void
hear_read(struct port *port, const char *room, const char *raw, size_t size, struct arena *arena, struct incoming *out)
{
	struct jabber *jabber = (struct jabber *)port;
	xmpp_stanza_t *row = reader_parse(jabber->ctx, raw, size);
	xmpp_stanza_t *message = stanza_find(row, "message", NULL);

	(void)room;
	*out = (struct incoming){ .kind = INCOMING_NOTHING };
	if (!message || !stanza_is(row, "row", NS_ROW) || !stanza_get(row, "person")[0] || !stanza_get(row, "reply")[0]) {
		out->kind = INCOMING_POISON;
		out->reason = "no envelope of ours";
		stanza_free(row);
		return;
	}
	out->author = (struct author){ keep(arena, row, "person"), keep(arena, row, "stem"), keep(arena, row, "nick") };
	out->reply_address = keep(arena, row, "reply");
	out->moderator = stanza_get(row, "moderator")[0];
	out->live = stanza_get(row, "live")[0];
	out->direct = stanza_get(row, "direct")[0];
	out->direct_room = keep(arena, row, "room");
	out->origin_ms = strtoll(stanza_get(row, "at"), NULL, 10);
	read_message(message, arena, out);
	stanza_free(row);
}
