/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XMPP_HEAR_H
#define XMPP_HEAR_H

/* What people say: into the inbox as a sealed envelope, and out of it as struct incoming. */

#include "xmpp/inside.h"

/* A groupchat message to the listener. */
void hear_groupchat(struct jabber *jabber, xmpp_stanza_t *message);
/* Whether a message of the room's archive says something to the room, and whether it was one of ours who said it. */
bool hear_is_message(struct room *room, xmpp_stanza_t *message, bool *own);
/* A message that the archive holds under this id. */
void hear_archived(struct room *room, const char *id, xmpp_stanza_t *message, int64_t at_ms);
/* A chat message to the bot, the component, or the listener through a room. */
void hear_chat(struct jabber *jabber, xmpp_stanza_t *message);

/* Which of our two addresses this bare JID last wrote to: answers come from there. Forgotten by a restart. Lent. */
const char *hear_called(const struct jabber *jabber, const char *bare_jid);
void hear_forget_callers(struct jabber *jabber);

/* Whether a source id was made by us, because the room gave none. */
bool hear_made_id(const char *source_id);

/* How the core calls somebody (decisions 2.1): by what is known of him, the best of it. malloc'd. */
char *hear_person(struct room *room, const char *nick, const char *jid, const char *occupant_id) MUST_USE;

/* port_ops.rights */
void hear_rights(struct port *port, const char *room, const char *person, struct rights *out);

/* port_ops.read */
void hear_read(struct port *port, const char *room, const char *raw, size_t size, struct arena *arena, struct incoming *out);

/* The instant of a XEP-0203 stamp of this stanza, when it was set by `by` (NULL: anybody); false when there is none. */
bool hear_delay(xmpp_stanza_t *stanza, const char *by, int64_t *at_ms);

#endif
