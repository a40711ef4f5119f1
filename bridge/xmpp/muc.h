/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XMPP_MUC_H
#define XMPP_MUC_H

/* Rooms (XEP-0045): entering with the listener, who is in, our members and their lives. */

#include "xmpp/inside.h"

/* The groups' rooms that are not known yet. */
void muc_add_rooms(struct jabber *jabber);
void muc_close(struct jabber *jabber);

/* The room that this occupant JID, or bare JID, belongs to; NULL. */
struct room *muc_find(struct jabber *jabber, const char *jid);
struct room *muc_find_address(struct jabber *jabber, const char *address);

/* Begins at the beginning: gate closed, disco#info, join, archive. */
void muc_enter(struct room *room);
/* Later: after delay_ms. What was sent and not reflected is in doubt. */
void muc_leave_off(struct room *room, int64_t delay_ms);
/* The stream is up. */
void muc_enter_all(struct jabber *jabber);
/* The stream is gone. */
void muc_lose(struct jabber *jabber);
/* The archive was read: rows may go. */
void muc_become_ready(struct room *room);

/* The start-tag filter for presence. */
bool muc_wants_presence(struct jabber *jabber, const struct stream_tag *tag);
void muc_hear_presence(struct jabber *jabber, xmpp_stanza_t *presence);
/* A message by the room itself: its configuration may have changed. */
void muc_hear_service(struct room *room, xmpp_stanza_t *message);

/* NULL when nobody has this nick. */
struct occupant *muc_occupant(struct room *room, const char *nick);
struct occupant *muc_occupant_by_id(struct room *room, const char *occupant_id);
struct occupant *muc_occupant_by_jid(struct room *room, const char *bare_jid);

/* Our member of this nick, the listener included, or NULL. */
struct member *muc_member_by_nick(struct room *room, const char *nick);
struct member *muc_member_by_jid(struct room *room, const char *full_jid);
/* The member for an author, made when missing; the listener for the bot. NULL at the room's cap, or when it can have no JID. */
struct member *muc_member_for(struct room *room, const struct author *author);

/* His display name now: gives the nick for a join, or asks for another nick when he is in. */
void muc_rename(struct member *member, const char *name);

/* Something happened to a member. */
void muc_step(struct member *member, enum ghost_event event);
/* A self-ping (XEP-0410); `answered` gets the usual answers, muc_alive() reads them. */
void muc_ping(struct member *member, stanza_answered *answered, void *context);
enum ghost_event muc_alive(enum answer answer, xmpp_stanza_t *iq);

#define MUC_GHOSTS_MAX 200 /* xmpp.md 6.1; beyond, the bot speaks for them */

#endif
