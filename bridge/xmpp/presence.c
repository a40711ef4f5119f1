/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each of us in a room gets the presence of everybody: the listener's copies make the roster, of the others' only what concerns
 * themselves is read. What a presence means for one of ours is an event for the table of ghost.c.
 */
#include "xmpp/presence.h"

#include "base/log.h"
#include "base/now.h"
#include "base/str.h"
#include "xmpp/expelled.h"
#include "xmpp/jid.h"
#include "xmpp/member.h"
#include "xmpp/muc.h"
#include "xmpp/roster.h"

#include <stdlib.h>
#include <string.h>

bool
presence_wants(struct jabber *jabber, const struct stream_tag *tag)
{
	if (strcmp(tag->to, jabber->listener) == 0 || strcmp(tag->type, "error") == 0)
		return true;
	struct room *room = muc_find(jabber, tag->from);
	if (!room)
		return str_starts(tag->type, "subscribe") || strcmp(tag->type, "probe") == 0;
	struct member *member = member_by_jid(room, tag->to);
	if (!member)
		return false;
	const char *nick = jid_resource(tag->from);
	if (str_equal(member->nick, nick))
		return true;
	/* The service may have rewritten our nick (status 210): then it is a nick that came after we asked. */
	struct occupant *occupant = roster_find(room, nick);
	return member->state == GHOST_JOINING && (!occupant || occupant->epoch > member->epoch);
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

static const char *
affiliation_name(const char *affiliation)
{
	static const char *const names[] = { "owner", "admin", "member", "outcast" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strcmp(names[i], affiliation) == 0)
			return names[i];
	return "none";
}

static void
note_occupant(struct room *room, const char *nick, xmpp_stanza_t *presence, xmpp_stanza_t *item)
{
	struct occupant *occupant = roster_add(room, nick);
	const char *affiliation = stanza_get(item, "affiliation"), *jid = stanza_get(item, "jid");

	occupant->affiliation = affiliation_name(affiliation);
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
		if (stanza_has_status(x, codes[i].code))
			return codes[i].event;
	return GHOST_REMOVED;
}

/* What whoever sent us away, or ended the room, says about it; malloc'd, or NULL. */
static char *
reason_of(xmpp_stanza_t *x, xmpp_stanza_t *item)
{
	xmpp_stanza_t *destroy = stanza_find(x, "destroy", NULL);
	AUTO_FREE char *text = stanza_text(stanza_find(destroy ? destroy : item, "reason", NULL));

	return text[0] ? xasprintf("%.200s", text) : NULL;
}

static void
hear_removed(struct member *member, enum ghost_event event, char *said)
{
	struct room *room = member->room;

	member_step_because(member, event, said);
	if (member_is_listener(member) && (event == GHOST_BANNED || event == GHOST_KICKED || event == GHOST_DESTROYED))
		plumb_expelled(room->jabber->parts.plumb, NETWORK_XMPP, room->address,
				event == GHOST_DESTROYED ? REFUSAL_ROOM_GONE : REFUSAL_BANNED);
}

/* A presence that concerns one of ours itself. */
static void
hear_own(struct member *member, const char *nick, xmpp_stanza_t *presence, xmpp_stanza_t *x, xmpp_stanza_t *item)
{
	struct room *room = member->room;
	const char *type = stanza_get(presence, "type");

	if (strcmp(type, "unavailable") == 0) {
		if (stanza_has_status(x, "303"))
			member_set_nick(member, stanza_get(item, "nick"));
		else
			hear_removed(member, why_gone(x), reason_of(x, item));
		return;
	}
	if (strcmp(nick, member->nick) != 0)
		member_set_nick(member, nick);
	if (member_is_listener(member) && stanza_has_status(x, "201") && room->phase == ROOM_JOINING) {
		/* Not joined before it is unlocked. */
		member_place_listener(room, GHOST_JOINED);
		muc_make(room);
		return;
	}
	member_step(member, strcmp(stanza_get(item, "role"), "visitor") == 0 ? GHOST_VISITOR : GHOST_PRESENT);
}

static void
hear_error(struct room *room, xmpp_stanza_t *presence)
{
	struct member *member = member_by_jid(room, stanza_get(presence, "to"));
	const char *condition = stanza_error(presence, NULL);

	if (!member)
		return;
	AUTO_FREE char *text = stanza_error_text(presence);
	char *said = xasprintf("%s%s%.200s", condition, text[0] ? ": " : "", text);
	log_line(member_is_listener(member) ? LOG_WARNING : LOG_INFO, LOG_XMPP, "join refused room=%s jid=%s why=\"%s\"", room->jid,
			member->jid, said);
	member_step_because(member, ghost_join_error(condition), said);
}

void
presence_hear(struct jabber *jabber, xmpp_stanza_t *presence)
{
	const char *from = stanza_get(presence, "from"), *type = stanza_get(presence, "type"), *nick = jid_resource(from);
	struct room *room = muc_find(jabber, from);

	if (!room)
		return;
	room->heard_ms = now_monotonic_ms();
	if (strcmp(type, "error") == 0) {
		hear_error(room, presence);
		return;
	}
	struct member *member = member_by_jid(room, stanza_get(presence, "to"));
	xmpp_stanza_t *x = stanza_find(presence, "x", NS_MUC_USER), *item = stanza_find(x, "item", NULL);
	if (!nick[0] || !member || !x)
		return;
	bool gone = strcmp(type, "unavailable") == 0;
	if (member_is_listener(member)) {
		if (gone) {
			expelled_see_presence(room, nick, x);
			roster_remove(room, nick);
		} else
			note_occupant(room, nick, presence, item);
	}
	if (str_equal(nick, member->nick) || (!gone && stanza_has_status(x, "110")))
		hear_own(member, nick, presence, x, item);
}
