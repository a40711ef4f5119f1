/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_PLUMB_H
#define CORE_PLUMB_H

/*
 * Joining two rooms from chat, with the consent of both sides (security S10). Somebody with power in one room asks, the bot enters
 * the other, he gets a code, and somebody with power there says it there. Who may is asked of the rooms as they are at each step.
 *
 * A room that the bot is in without a group is a visit (groups.h); it is left when its time is over. Groups, visits and codes lie
 * in the database and outlive the process.
 */

#include "core/groups.h"
#include "core/outbox.h"

struct plumb;

/* For the ports; plumb may be NULL. All but plumb_invited() only take a note: what follows, follows in the turn. */

/* The bot is in the group's room on this network, and its gap is filled. Its room id is known by now. */
void plumb_entered(struct plumb *plumb, struct group *group, enum network network);
/* It cannot enter, for now or for good. `detail`: the far side's own words, or NULL. */
void plumb_refused(struct plumb *plumb, struct group *group, enum network network, enum refusal why, const char *detail);
/* Whether a room is encrypted is known now, or known otherwise: port_ops.encryption. */
void plumb_look(struct plumb *plumb);
/* A visit that is only to be left: whoever is out of the room already does not enter it again, and says plumb_left(). */
bool plumb_is_over(struct plumb *plumb, const struct group *group);
/* It has left as it was told to. */
void plumb_left(struct plumb *plumb, struct group *group, enum network network);
/* Somebody put it out of a room, or destroyed the room: for a plumbed group that ends the consent. */
void plumb_expelled(struct plumb *plumb, enum network network, const char *room, enum refusal why);
/*
 * The group's Matrix room was closed in favour of this one, or its alias leads there, and the bot does not follow. The other room
 * is told, once.
 */
void plumb_moved(struct plumb *plumb, struct group *group, const char *successor);
/* Somebody invited it into a room that belongs to no group: the visit to enter, or NULL when there are too many. */
struct group *plumb_invited(struct plumb *plumb, enum network network, const char *room, const char *by);

#endif
