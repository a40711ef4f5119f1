/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_PLUMB_OPEN_H
#define CORE_PLUMB_OPEN_H

/* The core's side of plumbing: its turn, and what commands ask of it. Ports use plumb.h. */

#include "core/core.h"
#include "core/plumb.h"

struct plumb *plumb_open(struct core *core) MUST_USE;
void plumb_close(struct plumb *plumb);
/* After the configuration's groups were added: adds those that were plumbed, and the visits. */
void plumb_load(struct plumb *plumb);

/*
 * Something was rolled back: groups, visits and codes are again as the database says, and ports enter their rooms anew. Charters are
 * the caller's to load.
 */
void plumb_recall(struct plumb *plumb);

/* What has fallen due: answers of the ports, codes and visits that are over, greetings. In the turn's transaction. */
void plumb_work(struct plumb *plumb, int64_t now_ms);

/* Milliseconds until it wants a turn; -1: it waits for somebody else. */
int64_t plumb_wait_ms(const struct plumb *plumb);

/* ---- for commands ---- */

/* Who asks, and where he is answered. Borrowed. */
struct plumb_asker {
	enum network network;
	const char *person, *lane; /* lane: in private; NULL: in the room, under the source id */
	const char *room, *source_id, *language;
};

enum plumb_answer {
	PLUMB_FINE,
	PLUMB_NOT_AN_ADDRESS, /* neither a MUC nor a Matrix room */
	PLUMB_SAME_NETWORK,
	PLUMB_TAKEN,          /* the room asked from, or the other one, belongs to a group already */
	PLUMB_TAKEN_OTHER,
	PLUMB_TOO_MANY,
	PLUMB_UNKNOWN_CODE,
	PLUMB_NO_POWER,       /* the one who confirms has none there */
	PLUMB_ASKER_LOST,     /* the one who asked has none in his room any more */
	PLUMB_NOT_THERE,      /* one of the rooms cannot be reached now */
	PLUMB_NOT_SEEN,       /* the bot cannot tell who he is in that room */
};

/*
 * Somebody asks to join `home` (a room of his network) with `away`, both as they were written. What happens is said to him later.
 * His power in `home` is asked when the bot is in it.
 */
enum plumb_answer plumb_ask(struct plumb *plumb, const struct plumb_asker *asker, const char *home, const char *away);

/* He confirms. `room`: where he says so, NULL in a direct message. On PLUMB_FINE the group exists: *out. */
enum plumb_answer plumb_confirm(struct plumb *plumb, const struct plumb_asker *asker, const char *room, const char *code, struct group **out);

/* Ends a plumbed group: what waits is told to its authors, digests are sent, both rooms become visits that are over. */
void plumb_end(struct plumb *plumb, struct group *group, const char *actor);

/* Whether the room was, at an instant of the rules' clock, part of a plumbed group that has ended since: that group's name. */
bool plumb_was_joined(struct core *core, const char *room, int64_t at_ms, char *name, size_t size);

/* The rights of a person in a room, all zero when its port does not know. */
void plumb_rights(struct core *core, enum network network, const char *room, const char *person, struct rights *out);
/* Whether they are a moderator's. */
bool plumb_may(const struct rights *rights);

#endif
