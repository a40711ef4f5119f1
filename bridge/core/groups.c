/* SPDX-License-Identifier: Apache-2.0 */
/* The groups of the configuration. Some hundred at most, so lists and comparisons do. */
#include "core/groups.h"

#include "base/str.h"

#include <stdlib.h>
#include <string.h>

void
groups_init(struct groups *groups)
{
	list_init(&groups->all);
	groups->site = NULL;
}

void
groups_fini(struct groups *groups)
{
	struct group *group;

	LIST_FOR_EACH(group, &groups->all, struct group, link) {
		list_remove(&group->link);
		rules_free(group->rules);
		free(group->name);
		free(group->matrix_wanted);
		free(group->room[NETWORK_MATRIX]);
		free(group->room[NETWORK_XMPP]);
		free(group);
	}
	rules_free(groups->site);
	groups->site = NULL;
}

struct group *
groups_add(struct groups *groups, const char *name, const char *matrix, const char *xmpp, bool create)
{
	struct group *group = xcalloc(1, sizeof(*group));

	group->name = xstrdup(name);
	group->matrix_wanted = xstrdup(matrix);
	group->room[NETWORK_MATRIX] = xstrdup(matrix && matrix[0] == '!' ? matrix : "");
	group->room[NETWORK_XMPP] = xstrdup(xmpp ? xmpp : "");
	group->create = create;
	list_append(&groups->all, &group->link);
	return group;
}

struct group *
groups_find(struct groups *groups, const char *name)
{
	struct group *group;

	LIST_FOR_EACH(group, &groups->all, struct group, link)
		if (strcmp(group->name, name) == 0)
			return group;
	return NULL;
}

struct group *
groups_of_room(struct groups *groups, const char *room)
{
	struct group *group;

	if (!*room)
		return NULL;
	LIST_FOR_EACH(group, &groups->all, struct group, link)
		if (strcmp(group->room[NETWORK_MATRIX], room) == 0 || strcmp(group->room[NETWORK_XMPP], room) == 0)
			return group;
	return NULL;
}

void
groups_set_room(struct group *group, enum network network, const char *address)
{
	char *old = group->room[network];

	group->fresh = group->fresh || strcmp(old, address) != 0;
	group->room[network] = xstrdup(address);
	free(old);
}
