/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups that were joined from chat: how they are called, how they begin, what both rooms are told, and how they end. The table
 * `plumbing` keeps them after their end, because a name, and the charter that goes with it, is given once.
 */
#include "core/plumb_inside.h"

#include "base/log.h"
#include "base/now.h"
#include "base/text.h"
#include "core/charters.h"
#include "core/consent.h"
#include "core/digests.h"
#include "core/inbox_rows.h"
#include "core/notices.h"
#include "core/outbox_rows.h"
#include "core/speech.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_BYTES 56

void
plumb_pair_audit(struct core *core, const char *actor, const struct group *group, const char *verb)
{
	struct query query = store_query(core->store, AUDIT_ADD);

	query_int(&query, now_rules_ms());
	query_text(&query, actor);
	query_text(&query, group->name);
	query_text(&query, verb);
	query_int(&query, group->revision);
	query_int(&query, group->revision);
	query_run(&query);
}

void
plumb_pair_say(struct core *core, const struct group *group, enum network network, const char *what, const char *text)
{
	char stamp[24];
	const char *source[] = { what, group->room[network], stamp, NULL };
	struct outbox_draft draft = {
		.outgoing = { .kind = OUTGOING_ROOM, .lane = group->room[network], .text = text },
		.network = network, .group = group->name, .source = source, .due_ms = now_rules_ms(),
	};

	snprintf(stamp, sizeof(stamp), "%" PRId64, now_real_ms());
	if (!outbox_add_split(core->outbox, &draft))
		log_warning(LOG_RELAY, "cannot say it room=%s what=%s", group->room[network], what);
}

/* ---- starting ---- */

static const struct group *
named(const struct group *group)
{
	return group && group->kind != GROUP_VISIT ? group : NULL;
}

/* What config.yaml says counts: a pair of which it has a room, or the name, stays out, and the log says so. */
static bool
is_in_the_way(struct core *core, const char *name, const char *matrix, const char *xmpp)
{
	const struct group *of_matrix = named(groups_wanting(&core->groups, matrix)), *of_xmpp = named(groups_of_room(&core->groups, xmpp));
	const struct group *of_name = groups_find(&core->groups, name);

	if (!of_matrix && !of_xmpp && !of_name)
		return false;
	log_error(LOG_RELAY, "plumbed rooms stay apart: group \"%s\" of the configuration has %s group=%s matrix=%s xmpp=%s",
			(of_matrix ? of_matrix : of_xmpp ? of_xmpp : of_name)->name, of_matrix || of_xmpp ? "one of them" : "their name", name,
			matrix, xmpp);
	return true;
}

void
plumb_pair_load(struct core *core)
{
	struct query query = store_query(core->store, PLUMBING_ALL);

	while (query_step(&query)) {
		const char *name = query_get_text(&query, 0), *matrix = query_get_text(&query, 1), *xmpp = query_get_text(&query, 2);
		const struct group *known = groups_find(&core->groups, name);
		if (known && known->kind == GROUP_PLUMBED)
			continue;
		if (!is_in_the_way(core, name, matrix, xmpp))
			groups_add(&core->groups, name, matrix, xmpp, false)->kind = GROUP_PLUMBED;
	}
	query_done(&query);
}

/* Whether the database has it, with these rooms, and not as one that has ended. */
static bool
is_kept(struct core *core, const struct group *group)
{
	struct query query = store_query(core->store, PLUMBING_NOW);

	query_text(&query, group->name);
	query_text(&query, group->room[NETWORK_MATRIX]);
	query_text(&query, group->room[NETWORK_XMPP]);
	return query_any(&query);
}

void
plumb_pair_recall(struct core *core)
{
	struct group *group;

	LIST_FOR_EACH(group, &core->groups.all, struct group, link)
		if (group->kind == GROUP_PLUMBED && !is_kept(core, group))
			groups_end(&core->groups, group);
	plumb_pair_load(core);
}

/* ---- a name ---- */

static bool
is_name_free(struct core *core, const char *name)
{
	struct query query = store_query(core->store, CHARTER_LAST);

	query_text(&query, name);
	bool chartered = query_any(&query);
	query = store_query(core->store, PLUMBING_GET);
	query_text(&query, name);
	bool plumbed = query_any(&query);
	return !chartered && !plumbed && !groups_find(&core->groups, name) && strcmp(name, "site") != 0;
}

/* The name that the same two rooms had before, so that their charter is theirs again; malloc'd or NULL. */
static char *
old_name(struct core *core, const char *matrix, const char *xmpp)
{
	struct query query = store_query(core->store, PLUMBING_OF);
	char *name = NULL;

	query_text(&query, matrix);
	query_text(&query, xmpp);
	if (query_step(&query))
		name = xstrdup(query_get_text(&query, 0));
	query_done(&query);
	if (name && groups_find(&core->groups, name)) {
		free(name);
		name = NULL;
	}
	return name;
}

/* A name as config.yaml would take it, out of the MUC's localpart, and one that nobody ever had. malloc'd. */
static char *
make_name(struct core *core, const char *xmpp)
{
	AUTO_FREE char *local = xstrndup(xmpp, strcspn(xmpp, "@"));
	AUTO_STR struct str base;

	str_init(&base, NAME_MAX_BYTES + 8);
	for (const unsigned char *p = (const unsigned char *)local; *p && (base.n < NAME_MAX_BYTES || (*p & 0xC0) == 0x80); p++)
		str_add_char(&base, isalnum(*p) || *p == '_' || *p & 0x80 || (*p == '-' && base.n) ? (char)*p : base.n ? '-' : '_');
	for (int i = 1;; i++) {
		char *name = i == 1 ? xstrdup(str_get(&base)) : xasprintf("%s-%d", str_get(&base), i);
		if (is_name_free(core, name))
			return name;
		free(name);
	}
}

/* ---- the beginning ---- */

static void
save_group(struct core *core, const struct group *group)
{
	struct query query = store_query(core->store, PLUMBING_SET);

	query_text(&query, group->name);
	query_text(&query, group->room[NETWORK_MATRIX]);
	query_text(&query, group->room[NETWORK_XMPP]);
	query_int(&query, now_rules_ms());
	query_run(&query);
}

/* Both visits become one group. Their gates stay as they are, so whatever was said before is past. */
struct group *
plumb_pair_join(struct plumb *plumb, struct visit *one, struct visit *two)
{
	struct core *core = plumb->core;
	struct visit *matrix = one->network == NETWORK_MATRIX ? one : two, *xmpp = matrix == one ? two : one;
	const char *room = matrix->group->room[NETWORK_MATRIX], *muc = xmpp->group->room[NETWORK_XMPP];
	AUTO_FREE char *kept = old_name(core, room, muc);
	AUTO_FREE char *name = kept ? NULL : make_name(core, muc);
	struct group *group = groups_add(&core->groups, kept ? kept : name, room, muc, false);
	char why[256];

	group->kind = GROUP_PLUMBED;
	save_group(core, group);
	plumb_visit_drop(plumb, matrix);
	plumb_visit_drop(plumb, xmpp);
	if (charters_join(core->charters, group, why, sizeof(why)))
		log_error(LOG_RULES, "plumbed group without its charter group=%s: %s", group->name, why);
	for (int network = NETWORK_MATRIX; network <= NETWORK_XMPP; network++)
		if (core->port[network] && core->port[network]->ops->enter)
			core->port[network]->ops->enter(core->port[network], group);
	return group;
}

/* ---- the end ---- */

static void
end_digests(struct core *core, struct group *group)
{
	struct query query = store_query(core->store, SUBSCRIPTION_ALL);
	char **people = NULL;
	size_t count = 0;

	while (query_step(&query)) {
		if (strcmp(query_get_text(&query, 1), group->name) != 0)
			continue;
		people = xrealloc(people, (count + 1) * sizeof(*people));
		people[count++] = xstrdup(query_get_text(&query, 0));
	}
	query_done(&query);
	for (size_t i = 0; i < count; i++) {
		digests_unsubscribe(core->digests, group, people[i], now_rules_ms());
		free(people[i]);
	}
	free(people);
	query = store_query(core->store, ITEM_END);
	query_text(&query, group->name);
	query_run(&query);
}

/* Rows of a lane or a group that will not be sent any more; their authors are told. */
void
plumb_pair_refuse(struct core *core, enum statement statement, const char *key)
{
	struct query query = store_query(core->store, statement);
	int64_t *ids = NULL;
	size_t count = 0;

	query_text(&query, key);
	while (query_step(&query)) {
		ids = xrealloc(ids, (count + 1) * sizeof(*ids));
		ids[count++] = query_get_int(&query, 0);
	}
	query_done(&query);
	for (size_t i = 0; i < count; i++)
		outbox_refused(core->outbox, ids[i], REFUSAL_PARTED, NULL);
	free(ids);
}

static void
become_visit(struct plumb *plumb, const struct group *group, enum network network, const char *actor)
{
	struct core *core = plumb->core;
	const char *address = group->room[network];
	struct group *visited = groups_visit(&core->groups, network, address);
	struct visit *visit = plumb_visit_add(plumb, visited, network, actor, 0);

	visited->entered[network] = group->entered[network];
	plumb_visit_save(plumb, visit);
	if (core->port[network] && core->port[network]->ops->enter)
		core->port[network]->ops->enter(core->port[network], visited);
}

void
plumb_end(struct plumb *plumb, struct group *group, const char *actor)
{
	struct core *core = plumb->core;
	struct query query;

	plumb_pair_refuse(core, OUTBOX_WAITING_OF, group->name);
	end_digests(core, group);
	/* Whoever reads now that the rooms are parted, reads it too when they are joined again. */
	notices_forget(core, group->room[NETWORK_MATRIX], group->room[NETWORK_XMPP], "greeting");
	for (int network = NETWORK_MATRIX; network <= NETWORK_XMPP; network++) {
		AUTO_FREE char *text = str_fill(text_in(core_language(core, group), N_("This room is no longer joined with {room}. Goodbye.")), "room",
				groups_call_room(group, plumb_other((enum network)network)));
		plumb_pair_say(core, group, (enum network)network, "parted", text);
	}
	query = store_query(core->store, PLUMBING_END);
	query_int(&query, now_rules_ms());
	query_text(&query, group->name);
	query_run(&query);
	plumb_pair_audit(core, actor, group, "unplumb");
	log_notice(LOG_RELAY, "unplumbed group=%s matrix=%s xmpp=%s", group->name, group->room[NETWORK_MATRIX], group->room[NETWORK_XMPP]);
	groups_end(&core->groups, group);
	inbox_ungate(core->inbox, group->room[NETWORK_MATRIX]);
	inbox_ungate(core->inbox, group->room[NETWORK_XMPP]);
	become_visit(plumb, group, NETWORK_MATRIX, actor);
	become_visit(plumb, group, NETWORK_XMPP, actor);
	plumb->restless = true;
}

/* Who sends us away takes his room's consent back (S10). The other side is told why. */
void
plumb_pair_expel(struct plumb *plumb, const struct expulsion *expulsion)
{
	struct core *core = plumb->core;
	struct group *group = groups_of_room(&core->groups, expulsion->room);
	enum network there = plumb_other(expulsion->network);

	if (!group || group->kind == GROUP_CONFIGURED)
		return;
	struct visit *visit = plumb_visit_find(plumb, group);
	if (visit) {
		visit->until_ms = 0;
		return;
	}
	AUTO_FREE char *text = str_fill(text_in(core_language(core, group), expulsion->why == REFUSAL_ROOM_GONE ?
			N_("{room} no longer exists, so this room is joined with it no more.") :
			N_("I was sent away from {room}, so this room is joined with it no more. To join them again, its moderators must let me in; then !sd plumb.")),
			"room", groups_call_room(group, expulsion->network));
	plumb_pair_say(core, group, there, "expelled", text);
	plumb_end(plumb, group, "system");
}

/* A room id as others wrote it, fit to be shown. */
static bool
is_shown(const char *id)
{
	return *id == '!' && strlen(id) <= 255 && !strpbrk(id, " \t\r\n<>\"");
}

void
plumb_pair_moved(struct core *core, const struct expulsion *expulsion)
{
	struct group *group = groups_of_room(&core->groups, expulsion->room);
	const char *successor = expulsion->successor;

	if (!groups_of_room(&core->groups, successor))
		inbox_ungate(core->inbox, successor);
	if (!group || group->kind == GROUP_VISIT || !*group->room[NETWORK_XMPP] ||
			!notices_first_time(core, expulsion->room, successor, "moved", 0))
		return;
	const char *language = core_language(core, group);
	AUTO_FREE char *text = str_fill(text_in(language, group->kind == GROUP_PLUMBED ?
			N_("The Matrix room has moved to {room}, where I do not follow by myself. A moderator can join this room with it: !sd unplumb, then !sd plumb and its address.") :
			N_("The Matrix room has moved to {room}, where I do not follow by myself: the bridge's administrator can name that one in the configuration.")),
			"room", is_shown(successor) ? successor : text_in(language, N_("another room")));
	plumb_pair_say(core, group, NETWORK_XMPP, "moved", text);
}

bool
plumb_was_joined(struct core *core, const char *room, int64_t at_ms, char *name, size_t size)
{
	struct query query = store_query(core->store, PLUMBING_AT);

	query_text(&query, room);
	query_int(&query, at_ms);
	bool found = query_step(&query);
	if (found)
		snprintf(name, size, "%s", query_get_text(&query, 0));
	query_done(&query);
	return found;
}

/* ---- greeting ---- */

/* What is joined with what; hours; what becomes of a message meanwhile; help (ecosystem 1.2). */
static char *
greeting(struct core *core, const struct group *group, enum network network)
{
	const char *language = core_language(core, group);
	bool always = rules_next_change(speech_rules(group), now_rules_ms()) == INT64_MAX && rules_is_open(speech_rules(group), now_rules_ms());
	AUTO_FREE char *hours = speech_hours(core, group, now_rules_ms());
	AUTO_FREE char *one = str_fill(text_in(language, N_("This room is joined with {room}: what is said here is read there, and the other way round.")),
			"room", groups_call_room(group, plumb_other(network)));

	AUTO_FREE char *encrypted = consent_say(core, group);

	hours[strcspn(hours, "\n")] = '\0';
	return xasprintf("%s%s%s\n%s\n%s\n%s", one, encrypted ? "\n" : "", encrypted ? encrypted : "", hours, always ?
			text_in(language, N_("Moderators set quiet hours with, for instance: !sd hours mon-fri 9:00-18:00")) :
			text_in(language, N_("What is written while the group is closed may be kept and delivered later; its author is told when.")),
			text_in(language, N_("All that you can say to me: !sd help")));
}

static void
greet(struct core *core, struct group *group)
{
	group->greeted = true;
	if (!notices_first_time(core, group->room[NETWORK_MATRIX], group->room[NETWORK_XMPP], "greeting", 0))
		return;
	for (int network = NETWORK_MATRIX; network <= NETWORK_XMPP; network++) {
		AUTO_FREE char *text = greeting(core, group, (enum network)network);
		plumb_pair_say(core, group, (enum network)network, "greeting", text);
	}
}

void
plumb_pair_greet(struct core *core)
{
	struct group *group;

	LIST_FOR_EACH(group, &core->groups.all, struct group, link)
		if (!group->greeted && group->entered[NETWORK_MATRIX] && group->entered[NETWORK_XMPP])
			greet(core, group);
}
