/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FAKE_SERVER_H
#define FAKE_SERVER_H

/*
 * An XMPP server with one component and a MUC service in the loop of the test: rooms exist when somebody enters them, every
 * stanza that reaches it is kept as text, and each rudeness of a real service is a switch.
 */

#include "base/loop.h"
#include "base/str.h"
#include "xmpp/reader.h"
#include "xmpp/stanza.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAKE_OCCUPANTS 64
#define FAKE_ARCHIVE 64

struct fake_occupant {
	char room[64], nick[64], jid[96];
	const char *role;
};

struct fake_said {
	char room[64], nick[64], id[64], stanza_id[32], body[128];
};

struct fake_server {
	struct loop *loop;
	xmpp_ctx_t *ctx;
	int listening, fd;
	uint16_t port;
	struct loop_source *accepting, *reading;
	struct reader *reader;
	struct str got;        /* every stanza, one a line */
	struct fake_occupant occupants[FAKE_OCCUPANTS];
	size_t occupant_count;
	struct fake_said said[FAKE_ARCHIVE]; /* what the rooms took, oldest first */
	size_t said_count;
	unsigned connections, joins, pending; /* pending: joins held back now */
	char held[FAKE_OCCUPANTS][256];       /* those joins: "jid|room/nick" */

	/* How it behaves. Zero is the best of services. */
	bool no_archive, no_ids, own_ids, no_origin_ids, deaf /* reflects nothing */, hidden /* disco is an error */;
	bool hold_joins, moderated, members_only;
	bool careless;                /* takes messages and forgets them */
	bool fresh;                   /* the bot's room did not exist before */
	const char *archive_error, *archive_error_type; /* to so many queries to come */
	unsigned archive_failures;
	bool gone;                    /* the room is: item-not-found to whoever asks */
	const char *bot_affiliation;  /* NULL: none */
	const char *grant_error;      /* condition for muc#admin; NULL: grants */
	const char *message_error, *message_error_type;
	/* Condition with which this join is refused, or NULL. May be NULL. */
	const char *(*refuse)(struct fake_server *fake, const char *jid, const char *room, const char *nick);
	const char *outcasts;         /* items of the ban list, as XML; NULL: it is not shown */
	char members[1024];           /* bare JIDs that were made members, each with a blank */
};

void fake_server_start(struct fake_server *fake, struct loop *loop);
void fake_server_fini(struct fake_server *fake);

/* Bytes as they are. */
void fake_server_say(struct fake_server *fake, const char *text);
/* The connection ends. */
void fake_server_hang_up(struct fake_server *fake);
/* Lets `count` of the joins that were held back through. */
void fake_server_release(struct fake_server *fake, unsigned count);
/* Whoever has this nick leaves with these status codes ("307 333") and, inside the item, this reason (NULL: none). */
void fake_server_remove(struct fake_server *fake, const char *room, const char *nick, const char *codes, const char *reason);
/* His role changes. */
void fake_server_set_role(struct fake_server *fake, const char *room, const char *nick, const char *role);
/* The room ends. */
void fake_server_destroy(struct fake_server *fake, const char *room);
/* Somebody who is none of ours comes in. */
void fake_server_enter(struct fake_server *fake, const char *jid, const char *room, const char *nick);
/* An occupant says something, for all to hear. */
void fake_server_speak(struct fake_server *fake, const char *room, const char *nick, const char *id, const char *body);
/* How many of the stanzas that came hold this text. */
unsigned fake_server_count(const struct fake_server *fake, const char *text);
const struct fake_occupant *fake_server_find(const struct fake_server *fake, const char *room, const char *nick);
/* What the rooms took, with this body: how often, and by whom the last time (may be NULL). */
unsigned fake_server_heard(const struct fake_server *fake, const char *body, const char **nick);

#endif
