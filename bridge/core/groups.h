/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_GROUPS_H
#define CORE_GROUPS_H

/*
 * Which rooms belong together, under which charter. Groups come from the configuration or from `!sd plumb`. A room that the bot is
 * in although it belongs to no group is a visit: a group of one room, without name or charter, of which nothing is relayed. A
 * group that has ended stays allocated until the end of the process, because others may still point at it.
 */

#include "base/list.h"
#include "base/mem.h"
#include "rules/rules.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum group_kind {
	GROUP_CONFIGURED, /* stands in config.yaml */
	GROUP_PLUMBED,    /* joined from chat */
	GROUP_VISIT,      /* one room, invited or asked to */
};

enum trust {
	TRUST_SITE,   /* as encryption.trust says */
	TRUST_CROSS_SIGNED,
	TRUST_ALL,
};

struct group {
	struct list link;     /* groups::all, visits or gone */
	enum group_kind kind;
	char *name;           /* "marketing"; "" of a visit */
	char *matrix_wanted;  /* alias or room id, as configured */
	bool create;          /* an alias that does not exist is created */
	char *room[2];        /* by enum network: room id ("" until it was resolved once), MUC's bare JID; "" where the group has none */
	bool fresh;           /* the room id was learnt and is not yet kept: core.c keeps it for the next start */
	struct rules *rules;  /* owns; the current revision, or NULL: no charter, everything is delivered */
	int revision;         /* 0 without a charter */
	bool entered[2];      /* by enum network: this process was let into the room, its gap filled */
	bool greeted;         /* nothing more to greet */
	bool agreed;          /* groups.NAME.encrypted: its Matrix room may be encrypted and its MUC plain */
	enum trust trust;
	bool stopped;         /* its messages wait (core/consent.h); once `stopped_known` */
	bool stopped_known;
};

struct groups {
	struct list all;    /* owns: group::link */
	struct list visits; /* owns: group::link */
	struct list gone;   /* owns: group::link */
	struct rules *site; /* owns; or NULL */
};

void groups_init(struct groups *groups);
void groups_fini(struct groups *groups);
/* Copies its texts. `matrix` or `xmpp` may be NULL: a group on one network only. */
struct group *groups_add(struct groups *groups, const char *name, const char *matrix, const char *xmpp, bool create);

/* A visit on this network; `address` as somebody wrote it (an alias, a room id, a MUC's bare JID). */
struct group *groups_visit(struct groups *groups, enum network network, const char *address);
/* It is over: in no list that anybody looks into. */
void groups_end(struct groups *groups, struct group *group);

/* How people call a room of the group: by its alias where there is one. Lent. */
const char *groups_call_room(const struct group *group, enum network network);

/* Only among groups that have a name. */
struct group *groups_find(struct groups *groups, const char *name);
/* It has one on this network, but the alias leads to no room yet. A group may also be of one network only: then it lacks none. */
bool groups_lacks_room(const struct group *group, enum network network);
/* The group that a room belongs to, visits included, or NULL. Lent. */
struct group *groups_of_room(struct groups *groups, const char *room);
/* Likewise by how the Matrix room was written, so that an alias is found before it is resolved. */
struct group *groups_wanting(struct groups *groups, const char *address);
/* The Matrix port resolved the alias. */
void groups_set_room(struct group *group, enum network network, const char *address);

#endif
