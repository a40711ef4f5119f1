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
	list_init(&groups->visits);
	list_init(&groups->gone);
	groups->site = NULL;
}

static void
free_list(struct list *list)
{
	struct group *group;

	LIST_FOR_EACH(group, list, struct group, link) {
		list_remove(&group->link);
		rules_free(group->rules);
		free(group->name);
		free(group->matrix_wanted);
		free(group->room[NETWORK_MATRIX]);
		free(group->room[NETWORK_XMPP]);
		free(group);
	}
}

void
groups_fini(struct groups *groups)
{
	free_list(&groups->all);
	free_list(&groups->visits);
	free_list(&groups->gone);
	rules_free(groups->site);
	groups->site = NULL;
}

static struct group *
add(struct list *list, const char *name, const char *matrix, const char *xmpp)
{
	struct group *group = xcalloc(1, sizeof(*group));

	group->name = xstrdup(name);
	group->matrix_wanted = xstrdup(matrix);
	group->room[NETWORK_MATRIX] = xstrdup(matrix && matrix[0] == '!' ? matrix : "");
	group->room[NETWORK_XMPP] = xstrdup(xmpp ? xmpp : "");
	list_append(list, &group->link);
	return group;
}

struct group *
groups_add(struct groups *groups, const char *name, const char *matrix, const char *xmpp, bool create)
{
	struct group *group = add(&groups->all, name, matrix, xmpp);

	group->create = create;
	return group;
}

struct group *
groups_visit(struct groups *groups, enum network network, const char *address)
{
	bool matrix = network == NETWORK_MATRIX;
	struct group *group = add(&groups->visits, "", matrix ? address : NULL, matrix ? NULL : address);

	group->kind = GROUP_VISIT;
	return group;
}

void
groups_end(struct groups *groups, struct group *group)
{
	list_remove(&group->link);
	list_append(&groups->gone, &group->link);
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

static struct group *
of_room_in(struct list *list, const char *room)
{
	struct group *group;

	LIST_FOR_EACH(group, list, struct group, link)
		if (strcmp(group->room[NETWORK_MATRIX], room) == 0 || strcmp(group->room[NETWORK_XMPP], room) == 0)
			return group;
	return NULL;
}

struct group *
groups_of_room(struct groups *groups, const char *room)
{
	struct group *group = *room ? of_room_in(&groups->all, room) : NULL;

	return group || !*room ? group : of_room_in(&groups->visits, room);
}

struct group *
groups_wanting(struct groups *groups, const char *address)
{
	struct list *const lists[] = { &groups->all, &groups->visits };
	struct group *group = groups_of_room(groups, address);

	for (size_t i = 0; !group && i < 2; i++) {
		struct group *each;
		LIST_FOR_EACH(each, lists[i], struct group, link)
			if (str_equal(each->matrix_wanted, address))
				return each;
	}
	return group;
}

void
groups_set_room(struct group *group, enum network network, const char *address)
{
	char *old = group->room[network];

	group->fresh = group->fresh || strcmp(old, address) != 0;
	group->room[network] = xstrdup(address);
	free(old);
}

bool
groups_lacks_room(const struct group *group, enum network network)
{
	return network == NETWORK_MATRIX && group->matrix_wanted && !*group->room[network];
}

const char *
groups_call_room(const struct group *group, enum network network)
{
	bool alias = network == NETWORK_MATRIX && group->matrix_wanted && *group->matrix_wanted == '#';

	return alias ? group->matrix_wanted : group->room[network];
}
