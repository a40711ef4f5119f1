/* SPDX-License-Identifier: Apache-2.0 */
/* Files, revisions and zones: the only place where rules meet the file system. */
#include "core/charters.h"

#include "base/config.h"
#include "base/log.h"
#include "base/now.h"
#include "core/digests.h"
#include "core/relay.h"
#include "rules/zone.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ZONE_MAX (1 << 20)

struct named_zone {
	struct list link; /* charters::zones */
	char *name;       /* owns */
	struct zone *zone; /* owns; NULL: could not be read */
};

struct charters {
	struct core *core;
	char *directory;   /* owns */
	struct list zones; /* owns: named_zone::link */
	bool stale;        /* what is held is to be planned again */
};

struct charters *
charters_open(struct core *core, const char *directory)
{
	struct charters *charters = xcalloc(1, sizeof(*charters));

	charters->core = core;
	charters->directory = xstrdup(directory);
	list_init(&charters->zones);
	return charters;
}

void
charters_close(struct charters *charters)
{
	struct named_zone *zone;

	if (!charters)
		return;
	LIST_FOR_EACH(zone, &charters->zones, struct named_zone, link) {
		list_remove(&zone->link);
		zone_free(zone->zone);
		free(zone->name);
		free(zone);
	}
	free(charters->directory);
	free(charters);
}

/* *out is malloc'd. 0 or -errno; -EFBIG when it is longer than `most`. */
static int
read_file(const char *path, size_t most, char **out, size_t *size)
{
	FILE *file = fopen(path, "re");

	if (!file)
		return errno ? -errno : -EIO;
	char *text = xmalloc(most + 1);
	*size = fread(text, 1, most + 1, file);
	int error = ferror(file) ? -EIO : *size > most ? -EFBIG : 0;
	fclose(file);
	if (error) {
		free(text);
		return error;
	}
	text[*size] = '\0';
	*out = text;
	return 0;
}

static struct zone *
read_zone(const char *name)
{
	AUTO_FREE char *path = xasprintf("%s/%s", config_zones(), name);
	AUTO_FREE char *bytes = NULL;
	struct zone *zone = NULL;
	size_t size = 0;

	if (name[0] == '/' || strstr(name, "..") || read_file(path, ZONE_MAX, &bytes, &size) || zone_parse(&zone, bytes, size)) {
		log_error(LOG_RULES, "zone unknown name=%s: using UTC; is the package tzdata installed?", name);
		return NULL;
	}
	return zone;
}

const struct zone *
charters_zone(struct charters *charters, const char *name)
{
	struct named_zone *zone;

	LIST_FOR_EACH(zone, &charters->zones, struct named_zone, link)
		if (strcmp(zone->name, name) == 0)
			return zone->zone;
	zone = xcalloc(1, sizeof(*zone));
	zone->name = xstrdup(name);
	zone->zone = read_zone(name);
	list_append(&charters->zones, &zone->link);
	return zone->zone;
}

/* The rules that are in force have the zone that is known now, and the site's block. */
static void
lend(struct charters *charters)
{
	struct groups *groups = &charters->core->groups;
	struct list *const lists[] = { &groups->all, &groups->gone };
	struct group *group;

	if (groups->site)
		rules_set_zone(groups->site, charters_zone(charters, rules_zone_name(groups->site)));
	for (size_t i = 0; i < 2; i++)
		LIST_FOR_EACH(group, lists[i], struct group, link) {
			if (!group->rules)
				continue;
			rules_set_site(group->rules, groups->site);
			rules_set_zone(group->rules, charters_zone(charters, rules_zone_name(group->rules)));
		}
}

/* As the files of tzdata are now; one that cannot be read stays as it was. */
static void
read_zones(struct charters *charters)
{
	struct named_zone *zone;

	LIST_FOR_EACH(zone, &charters->zones, struct named_zone, link) {
		struct zone *fresh = read_zone(zone->name);
		if (!fresh)
			continue;
		zone_free(zone->zone);
		zone->zone = fresh;
	}
	lend(charters);
}

/* ---- revisions ---- */

static char *
last_text(struct core *core, const char *group, int *revision)
{
	struct query query = store_query(core->store, CHARTER_LAST);
	char *text = NULL;

	*revision = 0;
	query_text(&query, group);
	if (query_step(&query)) {
		*revision = (int)query_get_int(&query, 0);
		text = xstrdup(query_get_text(&query, 1));
	}
	query_done(&query);
	return text;
}

static void
add_revision(struct core *core, const char *group, int revision, const char *text, const char *actor)
{
	struct query query = store_query(core->store, CHARTER_ADD);

	query_text(&query, group);
	query_int(&query, revision);
	query_text(&query, text);
	query_text(&query, actor);
	query_int(&query, now_rules_ms());
	query_run(&query);
}

char *
charters_text(struct charters *charters, const struct group *group, int *revision)
{
	return last_text(charters->core, group->name, revision);
}

char *
charters_revision(struct charters *charters, const struct group *group, int revision)
{
	struct query query = store_query(charters->core->store, CHARTER_GET);
	char *text = NULL;

	query_text(&query, group->name);
	query_int(&query, revision);
	if (query_step(&query))
		text = xstrdup(query_get_text(&query, 0));
	query_done(&query);
	return text;
}

/* ---- putting in force ---- */

static void
warn_of_targets(struct charters *charters, const struct group *group, const struct rules *rules)
{
	const char *target;

	for (size_t i = 0; (target = rules_target(rules, i)); i++)
		if (!groups_find(&charters->core->groups, target))
			log_warning(LOG_RULES, "the charter sends to a group that does not exist group=%s target=%s: nothing goes there until it does",
					group->name, target);
}

static void
enforce(struct charters *charters, struct group *group, struct rules *rules, int revision)
{
	warn_of_targets(charters, group, rules);
	rules_free(group->rules);
	group->rules = rules;
	group->revision = revision;
	rules_set_site(rules, charters->core->groups.site);
	rules_set_zone(rules, charters_zone(charters, rules_zone_name(rules)));
	digests_plan(charters->core->digests);
}

/* A text that a file or the database holds, parsed; `place` names it in the complaint. */
static struct rules *
parse(const char *place, const char *text, char *why, size_t size)
{
	struct complaint complaint;
	struct rules *rules = NULL;
	int r = rules_parse(&rules, text, strlen(text), &complaint);

	if (r == RULES_E_SYNTAX)
		snprintf(why, size, "%s:%d:%d: %s", place, complaint.line, complaint.column, complaint.text);
	else if (r)
		snprintf(why, size, "%s: %s", place, strerror(-r));
	return r ? NULL : rules;
}

/* A group in it would be in force nowhere, and its hours kept by nobody. */
static struct rules *
parse_site(const char *path, const char *text, char *why, size_t size)
{
	struct rules *rules = parse(path, text, why, size);
	const char *group = rules ? rules_group(rules) : NULL;

	if (!group)
		return rules;
	snprintf(why, size, "%s:1:1: this file holds the block site alone; the group \"%s\" belongs into %s.charter", path, group, group);
	rules_free(rules);
	return NULL;
}

/* The file's text, or NULL when there is no such file or it cannot be read (then *broken). */
static char *
file_text(const struct charters *charters, const char *name, char **path, bool *broken, char *why, size_t size)
{
	char *text = NULL;
	size_t n;

	*path = xasprintf("%s/%s.charter", charters->directory, name);
	int r = read_file(*path, RULES_TEXT_MAX, &text, &n);
	*broken = r && r != -ENOENT;
	if (*broken)
		snprintf(why, size, "%s: %s", *path, strerror(-r));
	return text;
}

/* The site block: the file when it is good, else the last good one. */
static int
load_site(struct charters *charters, char *why, size_t size)
{
	struct core *core = charters->core;
	AUTO_FREE char *path = NULL;
	bool broken;
	int revision;
	AUTO_FREE char *text = file_text(charters, "site", &path, &broken, why, size);
	AUTO_FREE char *kept = last_text(core, "", &revision);
	struct rules *rules = text ? parse_site(path, text, why, size) : NULL;

	if (!rules && (text || broken)) {
		if (!kept)
			return CHARTERS_E_BROKEN;
		log_error(LOG_RULES, "site charter broken, the last good one stays in force: %s", why);
	}
	if (rules && (!kept || strcmp(kept, text) != 0)) {
		add_revision(core, "", revision + 1, text, "file");
		charters->stale = true;
	}
	if (!rules && kept && (text || broken))
		rules = parse("site charter in the database", kept, why, size);
	rules_free(core->groups.site);
	core->groups.site = rules;
	return 0;
}

/* The first time a group is seen: its file becomes revision 1. */
static int
seed_group(struct charters *charters, struct group *group, const char *path, const char *text, char *why, size_t size)
{
	struct rules *rules = parse(path, text, why, size);
	const char *named = rules ? rules_group(rules) : NULL;

	if (rules && !str_equal(named, group->name))
		snprintf(why, size, "%s:1:1: this file must hold the block group \"%s\"", path, group->name);
	if (!str_equal(named, group->name)) {
		rules_free(rules);
		return CHARTERS_E_BROKEN;
	}
	add_revision(charters->core, group->name, 1, text, "file");
	enforce(charters, group, rules, 1);
	return 0;
}

/* A file that says something else than the revision in force is reported, never applied by itself. */
static void
report_difference(const struct group *group, const char *path, const char *text, int revision, char *why, size_t size)
{
	struct rules *changed = parse(path, text, why, size);

	if (changed)
		log_notice(LOG_RULES, "charter file differs from revision %d in force and is not applied group=%s file=%s", revision,
				group->name, path);
	else
		log_error(LOG_RULES, "charter file broken, revision %d stays in force group=%s: %s", revision, group->name, why);
	rules_free(changed);
}

/* The rules to be used, from the file the first time, else from the database. */
static int
load_group(struct charters *charters, struct group *group, char *why, size_t size)
{
	AUTO_FREE char *path = NULL;
	bool broken;
	int revision;
	AUTO_FREE char *text = file_text(charters, group->name, &path, &broken, why, size);
	AUTO_FREE char *kept = last_text(charters->core, group->name, &revision);

	if (!kept && text)
		return seed_group(charters, group, path, text, why, size);
	if (!kept && broken)
		return CHARTERS_E_BROKEN;
	if (!kept) {
		log_notice(LOG_RULES, "group has no charter, everything is delivered group=%s", group->name);
		rules_free(group->rules); /* of a revision that was rolled back */
		group->rules = NULL;
		group->revision = 0;
		return 0;
	}
	if (broken)
		log_error(LOG_RULES, "charter file unreadable, revision %d stays in force: %s", revision, why);
	if (text && strcmp(text, kept) != 0)
		report_difference(group, path, text, revision, why, size);
	struct rules *rules = parse("charter in the database", kept, why, size);
	if (!rules)
		return CHARTERS_E_BROKEN;
	enforce(charters, group, rules, revision);
	return 0;
}

int
charters_join(struct charters *charters, struct group *group, char *why, size_t size)
{
	return load_group(charters, group, why, size);
}

int
charters_load(struct charters *charters, char *why, size_t size)
{
	struct group *group;
	int r = 0;

	LIST_FOR_EACH(group, &charters->core->groups.all, struct group, link)
		if (group->rules)
			rules_set_site(group->rules, NULL);
	r = load_site(charters, why, size);
	LIST_FOR_EACH(group, &charters->core->groups.all, struct group, link)
		if (!r)
			r = load_group(charters, group, why, size);
	lend(charters); /* to those, too, that one broken file kept from being read */
	return r;
}

int
charters_reload(struct charters *charters, char *why, size_t size)
{
	read_zones(charters);
	charters->stale = true;
	return charters_load(charters, why, size);
}

void
charters_work(struct charters *charters)
{
	struct core *core = charters->core;
	struct group *group;

	/* What is held is read by the port that it came through. */
	if (!charters->stale || !core->port[NETWORK_MATRIX] || !core->port[NETWORK_XMPP])
		return;
	charters->stale = false;
	digests_plan(core->digests);
	LIST_FOR_EACH(group, &core->groups.all, struct group, link)
		relay_replan(core->relay, group);
}

static void
audit(struct core *core, const char *actor, const char *group, const char *verb, int before, int after)
{
	struct query query = store_query(core->store, AUDIT_ADD);

	query_int(&query, now_rules_ms());
	query_text(&query, actor);
	query_text(&query, group);
	query_text(&query, verb);
	query_int(&query, before);
	query_int(&query, after);
	query_run(&query);
}

int
charters_apply(struct charters *charters, struct group *group, const char *text, const char *actor, const char *verb,
		struct complaint *why)
{
	struct core *core = charters->core;
	struct rules *rules = NULL;
	int before = group->revision, revision;
	int r = rules_parse(&rules, text, strlen(text), why);

	if (r)
		return r;
	free(last_text(core, group->name, &revision));
	add_revision(core, group->name, revision + 1, text, actor);
	audit(core, actor, group->name, verb, before, revision + 1);
	enforce(charters, group, rules, revision + 1);
	relay_replan(core->relay, group);
	log_info(LOG_RULES, "charter changed group=%s verb=%s revision=%d", group->name, verb, revision + 1);
	return 0;
}
