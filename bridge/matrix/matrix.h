/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_MATRIX_H
#define MATRIX_MATRIX_H

/* The Matrix port: an application service (Matrix AS v1.18) with ghosts. */

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
struct matrix_settings {
	const char *address;     /* of the homeserver: "http://127.0.0.1:8008" */
	const char *domain;      /* its server_name */
	const char *listen_host; /* numeric address */
	uint16_t listen_port;
	const char *id;          /* of the registration */
	const char *as_token, *hs_token;
	const char *bot;         /* localpart */
	const char *ghosts;      /* prefix of the ghosts' localparts: "_xmpp_" */
	const char *component;   /* our XMPP component, for recognising our own in names; may be NULL */
	const char *language;    /* of the site; NULL: English */
	bool encrypts;           /* encryption: allow */
	bool trusts_all;         /* encryption: trust: all */
	int (*is_operator)(void *context, const char *person); /* permissions: admin */
	void *context;
	int64_t memory_ms;       /* how long the homeserver surely remembers our names; 0: 20 hours */
	int64_t refusal_ms;      /* how long a room that refused a ghost is not asked again; 0: a minute */
	int64_t newcomer_ms;     /* how long a new device of a ghost waits before it gives keys; 0: a second */
	int64_t row_patience_ms; /* with a row on which it fails again and again; 0: ten minutes */
	bool refuse_encrypted; /* nothing is said into an encrypted room: what was to be is refused */
	bool refuse_plain;     /* the bot says nothing to a person in a room that is not encrypted */
};

struct matrix_parts {
	struct loop *loop;
	struct store *store;
	struct seal *seal;
	struct groups *groups;
	struct inbox *inbox;
	struct outbox *outbox;
	struct people *people;
	struct plumb *plumb; /* may be NULL */
};

/* The keys in the database cannot be opened with the master key; nothing was written. */
enum { MATRIX_E_KEY = 1 };

/*
 * Binds the listener (0, or -errno: -EADDRINUSE...; MATRIX_E_KEY) and prepares; nothing is sent before ops->start().
 * *out is the caller's (matrix_close).
 */
int matrix_open(struct port **out, const struct matrix_settings *settings, const struct matrix_parts *parts) MUST_USE;
void matrix_close(struct port *port);

/* How many groups' rooms are joined with their gap filled; for the ready line and `status`. */
unsigned matrix_joined(const struct port *port);

/* Why the room of this group is not joined, or what else is wrong with it, in few words; "" when nothing is. */
void matrix_trouble(const struct port *port, const char *group, char *out, size_t size);

/* Whether the homeserver answered last. */
bool matrix_connected(const struct port *port);

/* How the device of the bot stands in a running port. */
struct matrix_encryption {
	bool on;           /* encryption is allowed, and there is libolm */
	bool ready;        /* it can encrypt, and be encrypted for */
	int64_t since_ms;  /* real time: since when the homeserver is there, or away */
	int64_t synced_ms; /* real time: when the homeserver last answered for it; 0: not yet */
	int64_t one_time;  /* its one-time keys that the homeserver had left then; -1: it did not say */
	bool fallback;     /* and a fallback key that nobody has used */
};
void matrix_encryption(struct port *port, struct matrix_encryption *out);

/* One sentence for the admin when the homeserver refuses us for good (M_UNKNOWN_TOKEN); NULL while all is well. Lent. */
const char *matrix_failure(const struct port *port);

/* ---- for `sourdine check`, blocking, each with its own connection ---- */

/*
 * One request to the homeserver as the appservice (user_id NULL: none). *status is the HTTP status, *answer the body
 * (malloc'd; the caller's), *date_ms the homeserver's clock in whole seconds (0: it does not say). 0; -EHOSTUNREACH and *answer =
 * curl's sentence when nobody answered.
 */
int matrix_request(const struct matrix_settings *settings, const char *method, const char *path, const char *user_id, const char *body,
		long *status, char **answer, int64_t *date_ms) MUST_USE;

#endif
