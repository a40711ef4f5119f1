/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XMPP_SPEAK_H
#define XMPP_SPEAK_H

/* What goes out: rendering, windows, the room's reflection as acknowledgement, errors, the barrier behind private messages. */

#include "xmpp/inside.h"

/* port_ops */
void speak_render(struct port *port, const struct outgoing *outgoing, struct str *out);
size_t speak_fits(struct port *port, const char *text, size_t n);
unsigned speak_ready(struct port *port, const char *lane, const struct author *author);
void speak_send(struct port *port, const struct sending *row);
void speak_flush(struct port *port);

/* At start: settles the private rows that an earlier process had sent (sent.h). */
void speak_recover(struct jabber *jabber);

/* Whether a message carries the key that only we can make for its id in this room: ours, whoever's nick it has. */
bool speak_marked(struct room *room, xmpp_stanza_t *message);

/* The name under which we sent it, should it be ours: its id, else its origin-id, in rooms that give ids of their own. Lent. */
const char *speak_name(xmpp_stanza_t *message);

/* What a member's state means for what it would have said. */
enum refusal speak_refusal_of(const struct member *member);

/* A message of ours came back from the room: true when it settled a row. `nick`, known to be ours, said it. */
bool speak_reflected(struct room *room, const char *nick, const char *name, const char *stanza_id);
/* The archive or the history shows a row. */
bool speak_found(struct room *room, const char *name, const char *stanza_id);
/* An error for a message of ours. */
void speak_failed(struct jabber *jabber, xmpp_stanza_t *message);

/* The room's speeches are in doubt: handed back, to be asked about. */
void speak_doubt(struct room *room);
/* Forgets them: the outbox knows already. */
void speak_forget(struct room *room);
/* `handed_stay`: what the kernel has counts as said, for it is we who leave. */
void speak_forget_privates(struct jabber *jabber, bool handed_stay);

/* Timers of a room. */
void speak_overflow(void *room);
void speak_watch(void *room);

#endif
