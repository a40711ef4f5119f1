/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XMPP_JABBER_H
#define XMPP_JABBER_H

/* The XMPP port: an external component (XEP-0114) with ghosts in multi-user chats (XEP-0045). The prefix is jabber_, since xmpp_ is libstrophe's. */

#include "base/loop.h"
#include "base/mem.h"
#include "base/seal.h"
#include "core/groups.h"
#include "core/inbox.h"
#include "core/outbox.h"
#include "core/people.h"
#include "core/plumb.h"
#include "core/port.h"
#include "store/store.h"

/* Borrowed for the life of the port. */
struct jabber_settings {
	const char *host; /* numeric address or a name resolved once, at start */
	uint16_t port;
	const char *component; /* our domain */
	const char *secret;
	const char *nick;      /* of the bot, in rooms */
	const char *state;     /* directory for the record of what was handed to the kernel (sent.h); NULL: none is kept */
	unsigned ghosts;       /* in one room; beyond, the bot speaks for them */
	int64_t idle_ms;       /* after which a silent ghost leaves */
	const char *matrix_domain; /* the homeserver's, for recognising our own; may be NULL */
	int (*is_operator)(void *context, const char *person);
	void *context;
};

struct jabber_parts {
	struct loop *loop;
	struct store *store;
	struct seal *seal;
	struct groups *groups;
	struct inbox *inbox;
	struct outbox *outbox;
	struct people *people;
	struct plumb *plumb; /* may be NULL */
};

void jabber_open(struct port **out, const struct jabber_settings *settings, const struct jabber_parts *parts);
void jabber_close(struct port *port);

/* How many groups' rooms are joined with their gap filled. */
unsigned jabber_joined(const struct port *port);

/* Why this room is not joined, in few words; "" when it is. */
void jabber_trouble(const struct port *port, const char *room, char *out, size_t size);

/*
 * Real time since when something said in the room may be missing, because its archive could not be read and we went on without;
 * 0: nothing known to be. An audit that repairs from there on ends it.
 */
int64_t jabber_hole(const struct port *port, const char *room);

/* Whether the server has accepted us and the stream stands. */
bool jabber_connected(const struct port *port);

/* One sentence for the admin when the server refuses us for good (wrong secret, unknown component); NULL while all is well. Lent. */
const char *jabber_failure(const struct port *port);

/* ---- for `sourdine check`, blocking with a time-out ---- */

enum jabber_probe { JABBER_FINE, JABBER_UNREACHABLE, JABBER_REFUSED };

/* Connects and authenticates, then leaves. `detail` gets one sentence: what the server said, or the system's error. */
enum jabber_probe jabber_probe(const struct jabber_settings *settings, char *detail, size_t size);

/* What a room says of itself; only `exists` counts when that is false. */
struct jabber_room {
	bool exists;      /* else the daemon's bot makes it */
	bool has_archive; /* XEP-0313 */
	bool has_ids;     /* XEP-0359: its messages carry stanza-ids */
	bool visitor;     /* the bot came in without a voice */
};

/*
 * With a connection of its own: whether the bot can enter this MUC under its nick. The same answers; REFUSED with the room's
 * true reason. Must not be called while the daemon runs under the same component (it would replace its connection).
 */
enum jabber_probe jabber_probe_room(const struct jabber_settings *settings, const char *room, struct jabber_room *facts, char *detail,
		size_t size);

/* The HTTP upload service (XEP-0363) of the server `domain`. */
struct jabber_upload {
	char server[64];   /* what the server calls itself: "Prosody", "ejabberd"; "" when it does not say */
	char service[256]; /* address; "": none was found */
	bool allowed;      /* our people get a slot */
	char refusal[256]; /* else: the service's reason */
};

/* The same; FINE when the question was answered, however. */
enum jabber_probe jabber_probe_upload(const struct jabber_settings *settings, const char *domain, struct jabber_upload *upload,
		char *detail, size_t size);

#endif
