/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XMPP_ROSTER_H
#define XMPP_ROSTER_H

/* Who is in a room, as the listener's presences say. Only roster_find() is quick; the others walk. */

#include "xmpp/inside.h"

/* NULL when nobody has this nick. Lent until he leaves. */
struct occupant *roster_find(struct room *room, const char *nick);
struct occupant *roster_find_id(struct room *room, const char *occupant_id);
struct occupant *roster_find_jid(struct room *room, const char *bare_jid);
/* Somebody whom people could take for this nick (look_alike()). */
struct occupant *roster_find_alike(struct room *room, const char *nick);

/* The occupant of this nick, made when missing. */
struct occupant *roster_add(struct room *room, const char *nick);
void roster_remove(struct room *room, const char *nick);
void roster_clear(struct room *room);

#endif
