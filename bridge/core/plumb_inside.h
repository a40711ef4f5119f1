/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_PLUMB_INSIDE_H
#define CORE_PLUMB_INSIDE_H

/*
 * What the files of plumbing share. plumb.c: ports' notes and the turn; plumb_request.c: from `!sd plumb` to the confirmation;
 * plumb_visit.c: rooms of no group that the bot is in; plumb_pair.c: groups that were joined from chat, from their name to their end.
 */

#include "core/plumb_open.h"

#define PLUMB_CODE_LETTERS 8
#define PLUMB_LOOK_MS 500 /* while something is under way */

struct visit {
	struct list link;    /* plumb::visits */
	struct group *group; /* lent; its only room is the visited one */
	enum network network;
	char *person;        /* who invited or asked */
	int64_t until_ms;    /* the rules' clock */
	bool hello;          /* says how to plumb when it is in */
	bool refused;        /* the port says so; not yet drawn conclusions from */
	enum refusal why;
	char *detail;        /* or NULL */
	bool left;           /* the port says so */
	int64_t leaving_ms;  /* monotonic: since when it is over; 0: it is not */
	int64_t asked_ms;    /* monotonic: when the port was last told to leave */
};

struct request {
	struct list link;    /* plumb::requests */
	char code[PLUMB_CODE_LETTERS + 1];
	enum network network; /* of the asker */
	char *person, *lane, *room, *source_id; /* who asked, and where he is answered */
	char *home, *away;   /* as they were written; room ids once they are known */
	bool told;           /* he has his code */
	int64_t expires_ms;  /* the rules' clock */
	int64_t asked_ms;    /* monotonic, of this process */
};

/* Somebody put us out of a room, or moved it. Nobody says so again, so it is kept until what followed from it is committed. */
struct expulsion {
	struct list link; /* plumb::expulsions */
	char *room;
	char *successor;  /* moved: where to; NULL: put out */
	enum network network;
	enum refusal why;
	bool drawn;       /* in this turn or the one before */
};

struct plumb {
	struct core *core;
	struct list visits;     /* owns: visit::link */
	struct list requests;   /* owns: request::link */
	struct list expulsions; /* owns: expulsion::link */
	bool restless;          /* a port left a note */
	int64_t look_ms;        /* monotonic: not before */
};

static inline enum network
plumb_other(enum network network)
{
	return network == NETWORK_MATRIX ? NETWORK_XMPP : NETWORK_MATRIX;
}

/* ---- plumb_visit.c ---- */

/* What the database holds. A room that a group has is no visit. */
void plumb_visit_load(struct plumb *plumb);
/* After a rollback: as the rows say. A visit without a row is over, or becomes part of the group that has its room. */
void plumb_visit_recall(struct plumb *plumb);
/* In memory only; `group` is lent. */
struct visit *plumb_visit_add(struct plumb *plumb, struct group *group, enum network network, const char *person, int64_t until_ms);
void plumb_visit_free(struct visit *visit);
/* NULL: the group is none, or no visit of ours. */
struct visit *plumb_visit_find(struct plumb *plumb, const struct group *group);
void plumb_visit_save(struct plumb *plumb, const struct visit *visit);
/* Begins a visit, or makes an old one last longer. NULL: too many are under way, or the room belongs to a group. */
struct visit *plumb_visit_begin(struct plumb *plumb, enum network network, const char *address, const char *person, int64_t stay_ms);
/* The visit is over without a word, or has become part of a group. */
void plumb_visit_drop(struct plumb *plumb, struct visit *visit);
/* Its part of the turn; the visit may be gone afterwards. */
void plumb_visit_work(struct plumb *plumb, struct visit *visit);

/* ---- plumb_request.c ---- */

void plumb_request_load(struct plumb *plumb);
void plumb_request_free(struct request *request);
/* Its part of the turn; the request may be gone afterwards. */
void plumb_request_work(struct plumb *plumb, struct request *request);

/* ---- plumb_pair.c ---- */

/* Groups of the database; those that the configuration stands in the way of stay out, and the log says so. */
void plumb_pair_load(struct core *core);
/* After a rollback: groups that the database does not have come out, those that only it has come back, without their charter. */
void plumb_pair_recall(struct core *core);
/* Both visits, one on each network, become one group; they are gone. Their gates stay as they are, so what was said before is past. */
struct group *plumb_pair_join(struct plumb *plumb, struct visit *one, struct visit *two);
void plumb_pair_audit(struct core *core, const char *actor, const struct group *group, const char *verb);
/* A line of the bot's own into one room; `what` with the room and the instant makes its name. */
void plumb_pair_say(struct core *core, const struct group *group, enum network network, const char *what, const char *text);
/* Rows of a lane or a group that will not be sent any more; their authors are told. */
void plumb_pair_refuse(struct core *core, enum statement statement, const char *key);
/* Who sends us away takes his room's consent back (S10). The other side is told why. */
void plumb_pair_expel(struct plumb *plumb, const struct expulsion *expulsion);
/* Says in the other room that a Matrix room has moved and is not followed. What was heard of the new one meanwhile is nobody's. */
void plumb_pair_moved(struct core *core, const struct expulsion *expulsion);
/* Says to groups whose rooms are both entered for the first time what they are part of. */
void plumb_pair_greet(struct core *core);

#endif
