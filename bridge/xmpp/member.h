/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XMPP_MEMBER_H
#define XMPP_MEMBER_H

/* Our occupants in a room: making them, naming them, and moving them by the table of ghost.c. */

#include "xmpp/inside.h"

/* The listener of a new room, and the ghosts that an earlier process left there. */
void member_open_all(struct room *room);
void member_close_all(struct room *room);

/* Our member of this nick, the listener included, or NULL. */
struct member *member_by_nick(struct room *room, const char *nick);
struct member *member_by_jid(struct room *room, const char *full_jid);
/*
 * The member for an author, made when missing; the listener for the bot. NULL when the room has no place for another ghost
 * and nobody gives his up, or when it can have no JID. A place is kept for who has spoken within a day or has something to say;
 * above the limit only a row that was tried under a ghost's name gets it another one.
 */
struct member *member_for(struct room *room, const struct author *author);
/* The same for who speaks later: NULL too when somebody would have to give up his place for him. */
struct member *member_foreseen(struct room *room, const struct author *author);
/* The ghost that has been silent for longer than the configured time leaves; one at a call. */
void member_retire(struct room *room);

bool member_is_listener(const struct member *member);
/* Joined, with or without a voice. */
bool member_is_inside(const struct member *member);

/* His display name now: gives the nick for a join, or asks for another nick when he is in. */
void member_rename(struct member *member, const char *name);
/* The nick that the room says he has; written down for the next process when he is inside. */
void member_set_nick(struct member *member, const char *nick);

/* Something happened to a member. */
void member_step(struct member *member, enum ghost_event event);
/* The same, with the room's own words for it (taken; NULL: none). */
void member_step_because(struct member *member, enum ghost_event event, char *said);
/* Why it is refused or muted: the room's words, else ours. Lent. */
const char *member_why(const struct member *member);
/* The room is left off: whose join waits for its turn does not join. */
void member_put_off(struct room *room);
/* pace.c: its turn to join has come. */
void member_begin_join(struct member *member);
/* The listener starts anew: takes its own nick and joins. */
void member_join_listener(struct room *room);
/* It is in, although the room is still locked; or it is nowhere. No step follows. */
void member_place_listener(struct room *room, enum ghost_state state);
/* It leaves, and is forgotten by the next process. */
void member_part(struct member *member);
/* How long to wait before the next try, after so many failures in a row; this one is counted. */
int64_t member_pause_ms(unsigned *failures);

/* A self-ping (XEP-0410); member_alive() reads its answers. */
void member_ping(struct member *member, stanza_answered *answered, void *context);
enum ghost_event member_alive(enum answer answer, xmpp_stanza_t *iq);

#endif
