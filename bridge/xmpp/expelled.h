/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XMPP_EXPELLED_H
#define XMPP_EXPELLED_H

/* Who may not come back to a room: the core learns it (inbox_expelled()). */

#include "xmpp/inside.h"

/*
 * Somebody is gone, while the room's occupants still have him: banned (XEP-0045 §9.1), or no longer a member of a room for members
 * (§9.4, §10.2: status 321, 322). A mere kick is none of these.
 */
void expelled_see_presence(struct room *room, const char *nick, xmpp_stanza_t *x);

/* The room is entered: asks for its ban list (XEP-0045 §9.2), which only an owner or admin is shown. Somebody may have been banned meanwhile. */
void expelled_ask(struct room *room);

/* The room's own message about an account that is not in it (§9.1, §9.4), as far as the service sends one. */
void expelled_see_message(struct room *room, xmpp_stanza_t *message);

#endif
