/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XMPP_PACE_H
#define XMPP_PACE_H

/* How much joining one MUC service has to bear at a time (xmpp.md 6.4). */

#include "xmpp/inside.h"

/* Finds the service of a new room, or makes it. */
void pace_open(struct room *room);
void pace_close(struct jabber *jabber);

/* The room is to be entered: muc_begin() is called when its turn comes, perhaps at once. Asking again is fine. */
void pace_enter(struct room *room);
/* It is entered, or not to be any more. */
void pace_end_entry(struct room *room);

/* The ghost is to join: member_begin_join() is called when its turn comes, perhaps at once. One that joins already goes on at once. */
void pace_join(struct member *member);
/* Its lane waits for it now (room::awaited): if it still waits for its turn, that comes before others'. */
void pace_hurry(struct member *member);
/* Whether one more may be let in before somebody waits for him: there are not many already. */
bool pace_may_foresee(const struct room *room);
/* It has joined, or is not to any more. */
void pace_end_join(struct member *member);

#endif
