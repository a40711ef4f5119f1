/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XMPP_DISCO_H
#define XMPP_DISCO_H

/* What others may ask of our addresses: who we are (XEP-0030), whether we are there (XEP-0199), and little else. */

#include "xmpp/inside.h"

/* Answers an iq of type get or set; RFC 6120 §8.2.3 wants an answer to each. */
void disco_answer(struct jabber *jabber, xmpp_stanza_t *iq);
/* A subscription to the bot is granted, a probe answered; anything else is ignored. */
void disco_hear_presence(struct jabber *jabber, xmpp_stanza_t *presence);

#endif
