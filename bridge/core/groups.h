/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_GROUPS_H
#define CORE_GROUPS_H

/* Which rooms belong together, under which charter. Groups come from the configuration and live as long as the process. */

#include "base/list.h"
#include "base/mem.h"
#include "rules/rules.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct group {
	struct list link;     /* groups::all */
	char *name;           /* of the configuration: "marketing" */
	char *matrix_wanted;  /* alias or room id, as configured */
	bool create;          /* an alias that does not exist is created */
	char *room[2];        /* by enum network: room id ("" until it was resolved once), MUC's bare JID; "" where the group has none */
	bool fresh;           /* the room id was learnt and is not yet kept: core.c keeps it for the next start */
	struct rules *rules;  /* owns; the current revision, or NULL: no charter, everything is delivered */
	int revision;         /* 0 without a charter */
};

struct groups {
	struct list all; /* owns: group::link */
	struct rules *site; /* owns; or NULL */
};

void groups_init(struct groups *groups);
void groups_fini(struct groups *groups);
/* Copies its texts. `matrix` or `xmpp` may be NULL: a group on one network only. */
struct group *groups_add(struct groups *groups, const char *name, const char *matrix, const char *xmpp, bool create);

struct group *groups_find(struct groups *groups, const char *name);
/* The group that a room of this network belongs to, or NULL. Lent. */
struct group *groups_of_room(struct groups *groups, const char *room);
/* The Matrix port resolved the alias. */
void groups_set_room(struct group *group, enum network network, const char *address);

#endif
