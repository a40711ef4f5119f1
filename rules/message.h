/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RULES_MESSAGE_H
#define RULES_MESSAGE_H

/*
 * What the rules see of a message. The bridge fills these structs from either
 * network; every pointer is borrowed for the duration of the call, and every
 * text is NUL-terminated UTF-8 (it may hold U+FFFD, never a NUL).
 */

#include <stdbool.h>
#include <stdint.h>

enum network {
	NETWORK_MATRIX,
	NETWORK_XMPP,
};

enum message_kind {
	MESSAGE_TEXT,
	MESSAGE_EMOTE,
	MESSAGE_NOTICE, /* m.notice: automated */
	MESSAGE_MEDIA,
};

/* One message as it was written. */
struct message {
	enum network network;
	enum message_kind kind;
	const char *sender; /* person id: "@alice:example.org" or "xmpp:bob@example.org" */
	const char *text;   /* plain text, fallbacks stripped; "" when there is none */
};

/* Whatever would otherwise be a query: known when the message arrived. */
struct facts {
	bool sender_moderator; /* moderator of the group at that moment */
};

#endif
