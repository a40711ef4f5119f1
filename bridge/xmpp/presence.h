/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XMPP_PRESENCE_H
#define XMPP_PRESENCE_H

/* Who is in a room, and what becomes of ours there, as presences say (XEP-0045 §7.2, §9.1, §10.9). */

#include "xmpp/inside.h"

/* The start-tag filter: whether anything is to be learned from a presence with this start tag. */
bool presence_wants(struct jabber *jabber, const struct stream_tag *tag);
/* A presence from a room's occupant; from anywhere else it is ignored. Lent. */
void presence_hear(struct jabber *jabber, xmpp_stanza_t *presence);

#endif
