/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rooms that the bot is in although they belong to no group: invited, asked to, or left over from a group that has ended. Each has a
 * row in `visit`, and ends by leaving, not before its last words are out.
 */
#include "core/plumb_inside.h"

#include "base/log.h"
#include "base/now.h"
#include "base/text.h"
#include "core/inbox_rows.h"

#include <stdlib.h>
#include <string.h>

#define STAY_MS (24 * 3600 * 1000)    /* of a visit by invitation */
#define DRAIN_MS (60 * 1000)          /* that its last words may take */
#define LEAVE_AGAIN_MS (5 * 1000)
#define VISITS_MAX 100
#define VISITS_INVITED_MAX 50 /* anybody may invite; the rest is for whoever asks to join two rooms */
#define VISITS_OF_ONE_MAX 5

/* ---- rows ---- */

void
plumb_visit_save(struct plumb *plumb, const struct visit *visit)
{
	struct query query = store_query(plumb->core->store, VISIT_SET);
	const struct group *group = visit->group;

	query_text(&query, *group->room[visit->network] ? group->room[visit->network] : group->matrix_wanted);
	query_int(&query, visit->network);
	query_text(&query, visit->person);
	query_int(&query, visit->until_ms);
	query_int(&query, visit->hello);
	query_run(&query);
}

static void
erase_visit(struct plumb *plumb, const char *address)
{
	struct query query = store_query(plumb->core->store, VISIT_END);

	query_text(&query, address);
	query_run(&query);
}

/* ---- in memory ---- */

struct visit *
plumb_visit_add(struct plumb *plumb, struct group *group, enum network network, const char *person, int64_t until_ms)
{
	struct visit *visit = xcalloc(1, sizeof(*visit));

	*visit = (struct visit){ .group = group, .network = network, .person = xstrdup(person), .until_ms = until_ms };
	list_append(&plumb->visits, &visit->link);
	return visit;
}

struct visit *
plumb_visit_find(struct plumb *plumb, const struct group *group)
{
	struct visit *visit;

	LIST_FOR_EACH(visit, &plumb->visits, struct visit, link)
		if (visit->group == group)
			return visit;
	return NULL;
}

void
plumb_visit_free(struct visit *visit)
{
	list_remove(&visit->link);
	free(visit->person);
	free(visit->detail);
	free(visit);
}

/* The visit is over without a word, or has become part of a group. */
void
plumb_visit_drop(struct plumb *plumb, struct visit *visit)
{
	struct group *group = visit->group;

	erase_visit(plumb, group->room[visit->network]);
	if (group->matrix_wanted)
		erase_visit(plumb, group->matrix_wanted);
	groups_end(&plumb->core->groups, group);
	plumb_visit_free(visit);
}

void
plumb_visit_load(struct plumb *plumb)
{
	struct core *core = plumb->core;
	struct query query = store_query(core->store, VISIT_ALL);

	while (query_step(&query)) {
		const char *address = query_get_text(&query, 0);
		enum network network = query_get_int(&query, 1) == NETWORK_XMPP ? NETWORK_XMPP : NETWORK_MATRIX;
		if (groups_wanting(&core->groups, address))
			continue;
		struct visit *visit = plumb_visit_add(plumb, groups_visit(&core->groups, network, address), network, query_get_text(&query, 2),
				query_get_int(&query, 3));
		visit->hello = query_get_int(&query, 4) != 0;
	}
	query_done(&query);
}

/* As its row says, under whichever address that is. */
static bool
read_row(struct plumb *plumb, struct visit *visit, const char *address)
{
	struct query query = store_query(plumb->core->store, VISIT_GET);

	query_text(&query, address);
	bool found = query_step(&query);
	if (found) {
		visit->until_ms = query_get_int(&query, 0);
		visit->hello = query_get_int(&query, 1) != 0;
	}
	query_done(&query);
	return found;
}

static void
recall(struct plumb *plumb, struct visit *visit)
{
	struct group *group = visit->group;
	const char *room = group->room[visit->network];
	const struct group *owner = groups_of_room(&plumb->core->groups, room);

	if (owner && owner != group) {
		groups_end(&plumb->core->groups, group);
		plumb_visit_free(visit);
		return;
	}
	visit->leaving_ms = visit->asked_ms = 0;
	if (read_row(plumb, visit, room))
		return;
	group->fresh = group->matrix_wanted && read_row(plumb, visit, group->matrix_wanted);
	if (group->fresh)
		return;
	/* Nobody asks for it any more, but the port may be there. */
	visit->until_ms = 0;
	visit->hello = false;
	plumb_visit_save(plumb, visit);
}

void
plumb_visit_recall(struct plumb *plumb)
{
	struct visit *visit;

	LIST_FOR_EACH(visit, &plumb->visits, struct visit, link)
		recall(plumb, visit);
	plumb_visit_load(plumb);
}

/* ---- beginning ---- */

/* A MUC service writes what it likes about who invites, so no limit of one person's holds it. */
static bool
may_be_invited(struct plumb *plumb, const char *room)
{
	struct visit *visit;
	int all = 0;

	LIST_FOR_EACH(visit, &plumb->visits, struct visit, link)
		all++;
	return all < VISITS_INVITED_MAX || groups_wanting(&plumb->core->groups, room);
}

static bool
may_visit(struct plumb *plumb, const char *person)
{
	struct visit *visit;
	int all = 0, his = 0;

	LIST_FOR_EACH(visit, &plumb->visits, struct visit, link) {
		all++;
		his += strcmp(visit->person, person) == 0;
	}
	return all < VISITS_MAX && his < VISITS_OF_ONE_MAX;
}

/* Begins a visit, or makes an old one last longer. NULL: too many. */
struct visit *
plumb_visit_begin(struct plumb *plumb, enum network network, const char *address, const char *person, int64_t stay_ms)
{
	struct group *group = groups_wanting(&plumb->core->groups, address);
	struct visit *visit = group ? plumb_visit_find(plumb, group) : NULL;
	int64_t until_ms = now_rules_ms() + stay_ms;

	if (!visit && (group || !may_visit(plumb, person)))
		return NULL;
	if (visit && !visit->leaving_ms && visit->until_ms >= until_ms)
		return visit;
	if (!visit)
		visit = plumb_visit_add(plumb, groups_visit(&plumb->core->groups, network, address), network, person, until_ms);
	visit->until_ms = until_ms;
	visit->leaving_ms = 0;
	plumb_visit_save(plumb, visit);
	return visit;
}

struct group *
plumb_invited(struct plumb *plumb, enum network network, const char *room, const char *by)
{
	if (!plumb)
		return NULL;
	struct visit *visit = may_be_invited(plumb, room) ? plumb_visit_begin(plumb, network, room, by, STAY_MS) : NULL;
	if (!visit) {
		log_notice(LOG_RELAY, "invitation not followed: too many rooms are being visited room=%s by=%s", room, by);
		return NULL;
	}
	visit->hello = true;
	plumb_visit_save(plumb, visit);
	plumb->restless = true;
	return visit->group;
}

/* ---- the turn ---- */

/* One line that says how to plumb. */
static void
say_hello(struct plumb *plumb, struct visit *visit)
{
	struct core *core = plumb->core;
	bool matrix = visit->network == NETWORK_MATRIX;
	AUTO_FREE char *text = str_fill(text_in(core->language, matrix ?
			N_("I join this room with an XMPP room when somebody who may change the room's settings says, for instance: !sd plumb marketing@{example}") :
			N_("I join this room with a Matrix room when one of its owners or admins says, for instance: !sd plumb #marketing:{example}")), "example",
			matrix ? "rooms.example.org" : "example.org");

	plumb_pair_say(core, visit->group, visit->network, "hello", text);
	visit->hello = false;
	plumb_visit_save(plumb, visit);
}

static bool
is_drained(struct plumb *plumb, const struct visit *visit)
{
	struct query query = store_query(plumb->core->store, OUTBOX_OPEN_OF);

	query_text(&query, visit->group->room[visit->network]);
	bool open = query_any(&query);
	query = store_query(plumb->core->store, INBOX_NEW_OF);
	query_text(&query, visit->group->room[visit->network]);
	open |= query_any(&query);
	return !open || now_monotonic_ms() - visit->leaving_ms > DRAIN_MS;
}

static void
leave(struct plumb *plumb, struct visit *visit)
{
	struct core *core = plumb->core;
	struct port *port = core->port[visit->network];
	int64_t now_ms = now_monotonic_ms();

	if (!visit->leaving_ms)
		visit->leaving_ms = now_ms;
	if (!is_drained(plumb, visit) || (visit->asked_ms && now_ms - visit->asked_ms < LEAVE_AGAIN_MS))
		return;
	visit->asked_ms = now_ms;
	if (!port || !port->ops->leave)
		visit->left = true;
	else
		port->ops->leave(port, visit->group);
}

void
plumb_visit_work(struct plumb *plumb, struct visit *visit)
{
	struct core *core = plumb->core;
	bool entered = visit->group->entered[visit->network];

	if (visit->left) {
		log_info(LOG_RELAY, "left room=%s", visit->group->room[visit->network]);
		plumb_pair_refuse(core, OUTBOX_OPEN_OF, visit->group->room[visit->network]);
		inbox_ungate(core->inbox, visit->group->room[visit->network]);
		plumb_visit_drop(plumb, visit);
		return;
	}
	if (entered && visit->group->fresh) {
		/* It was an alias: from now on it is called by its room id. */
		erase_visit(plumb, visit->group->matrix_wanted ? visit->group->matrix_wanted : "");
		plumb_visit_save(plumb, visit);
		visit->group->fresh = false;
	}
	if (entered && visit->hello && !visit->leaving_ms)
		say_hello(plumb, visit);
	if (visit->refused && visit->hello) /* an invitation that leads nowhere */
		visit->until_ms = 0;
	if (visit->until_ms <= now_rules_ms())
		leave(plumb, visit);
}
