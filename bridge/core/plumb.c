/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory holds what the tables `plumbing`, `visit` and `request` hold, and every change is written in the turn that makes it. Ports
 * only leave notes (a flag on a group or a visit); plumb_work() draws the conclusions, so that no port is called back into from its
 * own callback.
 */
#include "core/plumb_inside.h"

#include "base/now.h"
#include "core/consent.h"

#include <stdlib.h>
#include <string.h>

struct plumb *
plumb_open(struct core *core)
{
	struct plumb *plumb = xcalloc(1, sizeof(*plumb));

	plumb->core = core;
	list_init(&plumb->visits);
	list_init(&plumb->requests);
	list_init(&plumb->expulsions);
	return plumb;
}

static void
free_expulsion(struct expulsion *expulsion)
{
	list_remove(&expulsion->link);
	free(expulsion->room);
	free(expulsion->successor);
	free(expulsion);
}

static void
free_requests(struct plumb *plumb)
{
	struct request *request;

	LIST_FOR_EACH(request, &plumb->requests, struct request, link)
		plumb_request_free(request);
}

void
plumb_close(struct plumb *plumb)
{
	struct visit *visit;
	struct expulsion *expulsion;

	if (!plumb)
		return;
	LIST_FOR_EACH(visit, &plumb->visits, struct visit, link)
		plumb_visit_free(visit);
	free_requests(plumb);
	LIST_FOR_EACH(expulsion, &plumb->expulsions, struct expulsion, link)
		free_expulsion(expulsion);
	free(plumb);
}

void
plumb_load(struct plumb *plumb)
{
	plumb_pair_load(plumb->core);
	plumb_visit_load(plumb);
	plumb_request_load(plumb);
	plumb->restless = true;
}

/* ---- after a rollback ---- */

static void
enter(struct core *core, enum network network, struct group *group)
{
	struct port *port = core->port[network];

	if (port && port->ops->enter)
		port->ops->enter(port, group);
}

/* Whoever has a room now takes it over, and hears from its port whether it is entered. */
static void
enter_all(struct plumb *plumb)
{
	struct core *core = plumb->core;
	struct group *group;
	struct visit *visit;

	LIST_FOR_EACH(group, &core->groups.all, struct group, link) {
		if (group->kind != GROUP_PLUMBED)
			continue;
		enter(core, NETWORK_MATRIX, group);
		enter(core, NETWORK_XMPP, group);
	}
	LIST_FOR_EACH(visit, &plumb->visits, struct visit, link)
		enter(core, visit->network, visit->group);
}

void
plumb_recall(struct plumb *plumb)
{
	struct core *core = plumb->core;
	struct expulsion *expulsion;
	struct group *group;

	free_requests(plumb);
	plumb_request_load(plumb);
	plumb_pair_recall(core);
	plumb_visit_recall(plumb);
	consent_recall(core);
	LIST_FOR_EACH(expulsion, &plumb->expulsions, struct expulsion, link)
		expulsion->drawn = false;
	LIST_FOR_EACH(group, &core->groups.all, struct group, link)
		group->greeted = false;
	enter_all(plumb);
	plumb->restless = true;
}

/* ---- what ports say ---- */

void
plumb_entered(struct plumb *plumb, struct group *group, enum network network)
{
	if (!plumb)
		return;
	group->entered[network] = true;
	plumb->restless = true;
}

void
plumb_refused(struct plumb *plumb, struct group *group, enum network network, enum refusal why, const char *detail)
{
	struct visit *visit = plumb ? plumb_visit_find(plumb, group) : NULL;

	if (!visit) {
		/* A group's room is entered again and again; status says what is wrong. But a ban that nobody was there to see is one. */
		if (why == REFUSAL_BANNED)
			plumb_expelled(plumb, network, group->room[network], why);
		return;
	}
	visit->refused = true;
	visit->why = why;
	free(visit->detail);
	visit->detail = xstrdup(detail);
	plumb->restless = true;
}

bool
plumb_is_over(struct plumb *plumb, const struct group *group)
{
	const struct visit *visit = plumb ? plumb_visit_find(plumb, group) : NULL;

	return visit && visit->until_ms <= now_rules_ms();
}

void
plumb_left(struct plumb *plumb, struct group *group, enum network network)
{
	struct visit *visit = plumb ? plumb_visit_find(plumb, group) : NULL;

	(void)network;
	if (!visit)
		return;
	visit->left = true;
	plumb->restless = true;
}

void
plumb_look(struct plumb *plumb)
{
	if (plumb)
		plumb->restless = true;
}

static void
note(struct plumb *plumb, struct expulsion noted)
{
	struct expulsion *expulsion = xcalloc(1, sizeof(*expulsion));

	*expulsion = noted;
	list_append(&plumb->expulsions, &expulsion->link);
	plumb->restless = true;
}

void
plumb_expelled(struct plumb *plumb, enum network network, const char *room, enum refusal why)
{
	struct group *group = plumb ? groups_of_room(&plumb->core->groups, room) : NULL;

	if (!group || group->kind == GROUP_CONFIGURED)
		return;
	note(plumb, (struct expulsion){ .room = xstrdup(room), .network = network, .why = why });
}

void
plumb_moved(struct plumb *plumb, struct group *group, const char *successor)
{
	if (plumb)
		note(plumb, (struct expulsion){ .room = xstrdup(group->room[NETWORK_MATRIX]), .successor = xstrdup(successor) });
}

/* ---- rights ---- */

void
plumb_rights(struct core *core, enum network network, const char *room, const char *person, struct rights *out)
{
	struct port *port = core->port[network];

	*out = (struct rights){ 0 };
	if (port && port->ops->rights)
		port->ops->rights(port, room, person, out);
}

bool
plumb_may(const struct rights *rights)
{
	return rights->operator || (rights->known && rights->moderator);
}

/* ---- the turn ---- */

/* What was drawn in an earlier turn is committed. */
static void
work_expulsion(struct plumb *plumb, struct expulsion *expulsion)
{
	if (expulsion->drawn) {
		free_expulsion(expulsion);
		return;
	}
	expulsion->drawn = plumb->restless = true;
	if (expulsion->successor)
		plumb_pair_moved(plumb->core, expulsion);
	else
		plumb_pair_expel(plumb, expulsion);
}

void
plumb_work(struct plumb *plumb, int64_t now_ms)
{
	struct expulsion *expulsion;
	struct request *request;
	struct visit *visit;

	(void)now_ms;
	if (!plumb->restless && (list_empty(&plumb->requests) || now_monotonic_ms() < plumb->look_ms) &&
			(list_empty(&plumb->visits) || now_monotonic_ms() < plumb->look_ms))
		return;
	plumb->restless = false;
	plumb->look_ms = now_monotonic_ms() + PLUMB_LOOK_MS;
	LIST_FOR_EACH(expulsion, &plumb->expulsions, struct expulsion, link)
		work_expulsion(plumb, expulsion);
	LIST_FOR_EACH(request, &plumb->requests, struct request, link)
		plumb_request_work(plumb, request);
	LIST_FOR_EACH(visit, &plumb->visits, struct visit, link)
		plumb_visit_work(plumb, visit);
	consent_work(plumb->core);
	plumb_pair_greet(plumb->core);
}

int64_t
plumb_wait_ms(const struct plumb *plumb)
{
	struct request *request;
	struct visit *visit;

	LIST_FOR_EACH(request, &plumb->requests, struct request, link)
		if (!request->told)
			return PLUMB_LOOK_MS;
	LIST_FOR_EACH(visit, &plumb->visits, struct visit, link)
		if (visit->leaving_ms || visit->until_ms <= now_rules_ms())
			return PLUMB_LOOK_MS;
	return plumb->restless ? 0 : -1;
}
