/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A person has as many names here as he was seen under: by his account, by his occupant-id, by his nick. Something that he asked
 * for while his account was not shown is kept under one of the others, so all of them are told.
 */
#include "xmpp/expelled.h"

#include "base/log.h"
#include "xmpp/hear.h"
#include "xmpp/jid.h"
#include "xmpp/member.h"
#include "xmpp/muc.h"
#include "xmpp/roster.h"

#include <stdlib.h>
#include <string.h>

#define ANSWER_MS 20000

static void
tell(struct room *room, const char *nick, const char *jid, const char *occupant_id)
{
	AUTO_FREE char *person = hear_person(room, nick, jid, occupant_id);

	inbox_expelled(room->jabber->parts.inbox, room->address, person);
}

void
expelled_see_presence(struct room *room, const char *nick, xmpp_stanza_t *x)
{
	static const char *const codes[] = { "301", "321", "322" };
	const struct occupant *occupant = roster_find(room, nick);
	bool expelled = false;

	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
		expelled = expelled || stanza_has_status(x, codes[i]);
	if (!expelled || !occupant || member_by_nick(room, nick))
		return;
	if (occupant->jid)
		tell(room, nick, occupant->jid, NULL);
	tell(room, nick, NULL, occupant->occupant_id);
}

void
expelled_see_message(struct room *room, xmpp_stanza_t *message)
{
	xmpp_stanza_t *item = stanza_find(stanza_find(message, "x", NS_MUC_USER), "item", NULL);
	const char *affiliation = stanza_get(item, "affiliation"), *jid = stanza_get(item, "jid");

	if (!jid[0] || (strcmp(affiliation, "outcast") != 0 && !(room->members_only && strcmp(affiliation, "none") == 0)))
		return;
	AUTO_FREE char *bare = jid_bare(jid);
	tell(room, "", bare, NULL);
}

static void
on_outcasts(void *context, enum answer answer, xmpp_stanza_t *iq)
{
	struct room *room = context;
	xmpp_stanza_t *query = answer == ANSWER_RESULT ? stanza_find(iq, "query", NS_MUC_ADMIN) : NULL;

	if (answer == ANSWER_ERROR)
		log_info(LOG_XMPP, "the ban list is not shown room=%s condition=%s", room->jid, stanza_error(iq, NULL));
	for (xmpp_stanza_t *item = query ? xmpp_stanza_get_children(query) : NULL; item; item = xmpp_stanza_get_next(item)) {
		if (!stanza_is(item, "item", NULL) || strcmp(stanza_get(item, "affiliation"), "outcast") != 0 || !strchr(stanza_get(item, "jid"), '@'))
			continue;
		AUTO_FREE char *bare = jid_bare(stanza_get(item, "jid"));
		tell(room, "", bare, NULL);
	}
}

void
expelled_ask(struct room *room)
{
	const struct occupant *bot = room->listener->nick ? roster_find(room, room->listener->nick) : NULL;

	if (!bot || !bot->moderator || muc_is_visit(room))
		return;
	xmpp_stanza_t *iq = stanza_make(room->jabber->ctx, "iq", "get", NULL, room->jabber->listener, room->jid);
	stanza_set(stanza_add(stanza_add(iq, "query", NS_MUC_ADMIN), "item", NS_MUC_ADMIN), "affiliation", "outcast");
	jabber_ask(room->jabber, iq, ANSWER_MS, on_outcasts, room);
}
