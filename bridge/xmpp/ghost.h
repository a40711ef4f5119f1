/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XMPP_GHOST_H
#define XMPP_GHOST_H

/* The life of one of our occupants in one room (xmpp.md 6.5) as a table: no I/O, no clock. The listener lives by it too. */

#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>

enum ghost_state {
	GHOST_UNKNOWN, /* was joined before the stream was lost, or by an earlier process */
	GHOST_ASKING,  /* self-ping on its way */
	GHOST_PARTED,
	GHOST_JOINING,
	GHOST_JOINED,
	GHOST_MUTED,   /* joined without a voice */
	GHOST_BACKOFF, /* left by a timer */
	GHOST_REFUSED, /* left by a change in the room, or after a long time */
	GHOST_STATES,
};

enum ghost_event {
	GHOST_WANTED,    /* it has something to say */
	GHOST_PRESENT,   /* its own presence came, with a voice */
	GHOST_VISITOR,   /* its own presence came, without one */
	GHOST_ALIVE,     /* self-ping: it is in */
	GHOST_DEAD,      /* self-ping: it is not */
	GHOST_SILENT,    /* self-ping: no answer */
	GHOST_TIMEOUT,   /* of a join */
	GHOST_RETRY,     /* the back-off is over */
	GHOST_BAD_NICK,  /* jid-malformed, bad-request */
	GHOST_CONFLICT,  /* the nick is taken */
	GHOST_NO_NICK,   /* taken once too often */
	GHOST_MEMBERS,   /* registration-required */
	GHOST_STRANGER,  /* the same, and the bot can make it a member */
	GHOST_FORBIDDEN, /* at a join */
	GHOST_FULL,      /* service-unavailable, resource-constraint */
	GHOST_PASSWORD,  /* not-authorized */
	GHOST_GONE,      /* item-not-found, gone */
	GHOST_NO_VOICE,  /* forbidden at a message */
	GHOST_NOT_IN,    /* not-acceptable at a message */
	GHOST_BANNED,    /* status 301 */
	GHOST_KICKED,    /* 307 */
	GHOST_EXCLUDED,  /* 321, 322 */
	GHOST_REMOVED,   /* 332, 333, or no code */
	GHOST_DESTROYED, /* the room is */
	GHOST_PUT_OFF,   /* its join was not sent yet, and is not to be now */
	GHOST_IDLE,      /* it may give its place up */
	GHOST_LOST,      /* the stream is */
	GHOST_EVENTS,
};

enum ghost_action {
	GHOST_NOTHING,
	GHOST_ASK,         /* send a self-ping */
	GHOST_JOIN,        /* send the presence */
	GHOST_JOIN_OTHER,  /* with the next variant of the nick */
	GHOST_JOIN_SIMPLE, /* with a simpler nick */
	GHOST_LET_IN,      /* have the bot make it a member */
	GHOST_LEAVE,       /* send the presence that says so */
	GHOST_SPEAK,       /* what waits can be said */
	GHOST_WAIT,        /* start the back-off's timer */
	GHOST_REFUSE,      /* what waits goes another way, or is refused */
};

/* Why it is REFUSED. */
enum ghost_reason {
	GHOST_FINE,
	GHOST_FOR_NICK,
	GHOST_FOR_MEMBERS,
	GHOST_FOR_BAN,
	GHOST_FOR_KICK,
	GHOST_FOR_PASSWORD,
	GHOST_FOR_GONE,
	GHOST_REASONS,
};

struct ghost_step {
	enum ghost_state next;
	enum ghost_action action;
	enum ghost_reason reason; /* with GHOST_REFUSED */
};

/* What follows. An event that means nothing in a state leaves it as it is, with GHOST_NOTHING. */
struct ghost_step ghost_step(enum ghost_state state, enum ghost_event event);

/* It has its nick in the room, or may have it, or is about to. */
bool ghost_may_be_in(enum ghost_state state);

/* After how long a ghost refused for this reason may try again, when it has something to say. */
int64_t ghost_pause_ms(enum ghost_reason reason);

/* The event that the error condition of a join stands for. */
enum ghost_event ghost_join_error(const char *condition);

/* For the log. */
const char *ghost_state_name(enum ghost_state state);
const char *ghost_reason_name(enum ghost_reason reason);

#endif
