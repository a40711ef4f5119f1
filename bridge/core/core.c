/* SPDX-License-Identifier: Apache-2.0 */
/* Wiring, and the order of things at the end of a turn. */
#include "core/core.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/now.h"
#include "core/charters.h"
#include "core/consent.h"
#include "core/digests.h"
#include "core/inbox_rows.h"
#include "core/outbox_rows.h"
#include "core/people_open.h"
#include "core/plumb_open.h"
#include "core/pressure.h"
#include "core/refusals.h"
#include "core/relay.h"
#include "core/restored.h"

#include <stdlib.h>

#define ROWS_PER_TURN 64

struct core *
core_open(struct store *store, struct seal *seal, const struct core_settings *settings)
{
	struct core *core = xcalloc(1, sizeof(*core));

	core->store = store;
	core->seal = seal;
	core->language = settings->language;
	core->matrix_bot = settings->matrix_bot;
	core->nick = settings->nick;
	core->xmpp_bot = settings->xmpp_bot;
	core->crashed = settings->crashed;
	core->refuse_encrypted = settings->refuse_encrypted;
	core->refuse_plain = settings->refuse_plain;
	core->trust_all = settings->trust_all;
	groups_init(&core->groups);
	core->inbox = inbox_open(store, seal, &core->groups);
	core->people = people_open(store);
	core->outbox = outbox_open(core);
	core->digests = digests_open(core);
	core->relay = relay_open(core);
	core->plumb = plumb_open(core);
	core->charters = charters_open(core, settings->charters);
	core->pressure = pressure_open(core);
	return core;
}

/*
 * What an alias led to is kept: rows that an earlier process accepted and did not judge are judged at once, and they
 * can only cross when both rooms are known. The port follows the alias again before anything is sent.
 */
static void
recall_rooms(struct core *core)
{
	struct group *group;
	char room[256]; /* Matrix C-S v1.18 §A: an identifier has at most 255 bytes */

	LIST_FOR_EACH(group, &core->groups.all, struct group, link) {
		if (!groups_lacks_room(group, NETWORK_MATRIX))
			continue;
		AUTO_FREE char *key = xasprintf("room %s", group->matrix_wanted);
		if (store_get_value(core->store, key, room, sizeof(room)))
			groups_set_room(group, NETWORK_MATRIX, room);
		group->fresh = false;
	}
}

static void
keep_rooms(struct core *core)
{
	struct group *group;

	LIST_FOR_EACH(group, &core->groups.all, struct group, link) {
		if (!group->fresh || !group->matrix_wanted)
			continue;
		AUTO_FREE char *key = xasprintf("room %s", group->matrix_wanted);
		store_set_value(core->store, key, group->room[NETWORK_MATRIX]);
		group->fresh = false;
	}
}

int
core_start(struct core *core, char *why, size_t size)
{
	recall_rooms(core);
	plumb_load(core->plumb);
	core->restored = restored_open(core);
	return charters_load(core->charters, why, size);
}

void
core_close(struct core *core)
{
	if (!core)
		return;
	plumb_close(core->plumb);
	restored_close(core->restored);
	relay_close(core->relay);
	digests_close(core->digests);
	outbox_close(core->outbox);
	people_close(core->people);
	inbox_close(core->inbox);
	groups_fini(&core->groups);
	charters_close(core->charters);
	pressure_close(core->pressure);
	free(core);
}

static void
flush(struct core *core)
{
	for (int network = NETWORK_MATRIX; network <= NETWORK_XMPP; network++)
		if (core->port[network])
			core->port[network]->ops->flush(core->port[network]);
}

/* The second half of a turn: judge, plan, pick; committed, then sent. */
static bool
relay_turn(struct core *core)
{
	int64_t now_ms = now_rules_ms();

	charters_work(core->charters);
	bool more = relay_work(core->relay, ROWS_PER_TURN);
	plumb_work(core->plumb, now_ms);
	refusals_work(core, now_ms);
	consent_sweep(core, now_ms);
	digests_work(core->digests, now_ms);
	bool held = restored_holds(core->restored);
	if (!held)
		outbox_pick(core->outbox, now_ms);
	bool committed = store_commit(core->store) == 0 && !store_broken(core->store);
	FAULT_POINT("after_pick");
	outbox_send(core->outbox, committed);
	if (!committed)
		pressure_stall(core->pressure);
	return committed && (more || (!held && outbox_restless(core->outbox)));
}

bool
core_turn(struct core *core)
{
	bool more = false;

	if (pressure_may_write(core->pressure)) {
		keep_rooms(core);
		/* First what callbacks wrote, when others wait for it. */
		if (store_is_awaited(core->store) && store_commit(core->store))
			pressure_stall(core->pressure);
		else {
			FAULT_POINT("between_commits");
			more = relay_turn(core);
		}
		pressure_look(core->pressure);
	}
	flush(core);
	/* What a port wrote while it was handed rows must be kept before it may send them. */
	return more || (store_is_awaited(core->store) && !store_broken(core->store));
}

void
core_recall(struct core *core)
{
	char why[256];

	plumb_recall(core->plumb);
	if (charters_load(core->charters, why, sizeof(why)))
		log_error(LOG_RULES, "charters not read again: %s", why);
}

static int64_t
sooner(int64_t a, int64_t b)
{
	return a < 0 || (b >= 0 && b < a) ? b : a;
}

int64_t
core_next_due(struct core *core)
{
	int64_t now_ms = now_rules_ms(), restored_ms = restored_wait_ms(core->restored), digests_ms = digests_next_due(core->digests);
	/* While nothing is sent nothing falls due, and the outbox does not look. */
	int64_t outbox_ms = restored_ms >= 0 ? INT64_MAX : outbox_next_due(core->outbox);
	int64_t due_ms = outbox_ms < digests_ms ? outbox_ms : digests_ms;
	int64_t planned = due_ms == INT64_MAX ? -1 : due_ms > now_ms ? due_ms - now_ms : 0;

	int64_t waited_ms = pressure_wait_ms(core->pressure);
	if (waited_ms >= 0)
		return waited_ms;
	return sooner(sooner(planned, outbox_blocked_ms(core->outbox)), sooner(plumb_wait_ms(core->plumb), restored_ms));
}

const char *
core_language(const struct core *core, const struct group *group)
{
	const char *language = group && group->rules ? rules_language(group->rules) : NULL;

	return language ? language : core->language;
}
