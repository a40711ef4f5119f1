/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XMPP_MUC_H
#define XMPP_MUC_H

/* Rooms (XEP-0045): entering with the listener, staying, and leaving. */

#include "xmpp/inside.h"

/* port_ops.enter, leave and stand. */
void muc_enter_group(struct port *port, struct group *group);
void muc_leave(struct port *port, struct group *group);
void muc_stand(struct port *port, const char *address, struct standing *out);

/* Whether the message invites the bot into a room (XEP-0249, XEP-0045 §7.8.2); it is taken then. */
bool muc_hear_invitation(struct jabber *jabber, xmpp_stanza_t *message);

/* It belongs to no group. */
bool muc_is_visit(struct room *room);

/* The groups' rooms that are not known yet. */
void muc_add_rooms(struct jabber *jabber);
void muc_close(struct jabber *jabber);

/* The room that this occupant JID, or bare JID, belongs to; NULL. */
struct room *muc_find(const struct jabber *jabber, const char *jid);
struct room *muc_find_address(const struct jabber *jabber, const char *address);

/* Begins at the beginning, when it is its turn (pace.c): gate closed, disco#info, join, archive. */
void muc_enter(struct room *room);
/* Its turn has come. */
void muc_begin(struct room *room);
/* Later: after delay_ms. What was sent and not reflected is in doubt. */
void muc_leave_off(struct room *room, int64_t delay_ms);
/* The listener made it by coming, and it is locked: XEP-0045 §10.1.3, persistent, and everybody sees who is who. */
void muc_make(struct room *room);
/* Something hints that the room threw us out without a word: asks whether the listener is still in. */
void muc_suspect(struct room *room);
/* The stream is up. */
void muc_enter_all(struct jabber *jabber);
/* The stream is gone. */
void muc_lose(struct jabber *jabber);
/* The archive was read: rows may go. */
void muc_become_ready(struct room *room);

/* A message by the room itself: its configuration may have changed. */
void muc_hear_service(struct room *room, xmpp_stanza_t *message);

/* The listener's state changed. */
void muc_listener_moved(struct room *room, enum ghost_state was);

#endif
