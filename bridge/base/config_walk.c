/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The defaults are put in place, then the document is walked along the table of keys, then follows what one key alone cannot
 * tell. The walk stops at the first fault.
 */
#include "base/config_walk.h"

#include "base/config_keys.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct walk {
	struct document *document;
	struct config *config;
	const char *directory; /* of the file, with its slash; "" for the working directory */
	const char *section;   /* as config_keys_find() wants it */
	void *base;            /* what the section's values go into: the config, or a group */
};

#define complain(walk, ...) document_complain((walk)->document, __VA_ARGS__)

static int read_pair(void *context, const char *key, const yaml_node_t *at, const yaml_node_t *value);

/* One value into its place. `key` is as the file writes it. */
static int
read_value(struct walk *walk, const struct config_row *row, const char *key, const yaml_node_t *value)
{
	const char *text = document_text(value);

	if (!text)
		return complain(walk, value, "\"%s\" must be one value, not a %s", key,
				value->type == YAML_SEQUENCE_NODE ? "list" : "section");
	if (document_is_nothing(value) || !*text)
		return complain(walk, value, "\"%s\" has no value", key);
	if (!document_is_clean(value))
		return complain(walk, value, "\"%s\" holds control characters", key);
	const char *fault = row->judge ? row->judge(text) : NULL;
	if (fault)
		return complain(walk, value, "\"%s\" %s", key, fault);
	config_keys_set(row, text, walk->directory, walk->base);
	return 0;
}

/* ---- sections whose keys are names ---- */

static int
read_person(void *context, const char *person, const yaml_node_t *at, const yaml_node_t *value)
{
	struct walk *walk = context;
	struct config *config = walk->config;
	const char *role = document_text(value);
	bool matrix = *person == '@' && person[1] && strchr(person + 1, ':');

	if (!matrix && !(str_starts(person, "xmpp:") && !config_judge_jid(person + 5)))
		return complain(walk, at, "\"%s\" is nobody: write \"@name:example.org\" or \"xmpp:name@example.org\"", person);
	for (const char *p = matrix ? "" : person + 5; *p; p++)
		if (isupper((unsigned char)*p))
			return complain(walk, at, "\"%s\": a JID is written in small letters here", person);
	if (!role || !str_equal(role, "admin"))
		return complain(walk, value, "the only permission is admin");
	config->permissions = xrealloc(config->permissions, (config->permission_count + 1) * sizeof(*config->permissions));
	config->permissions[config->permission_count++] = (struct config_permission){ xstrdup(person), xstrdup(role) };
	return 0;
}

/* It names a file (NAME.charter) and is typed in chat. */
static bool
is_group_name(const char *name)
{
	for (const char *p = name; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("-_", *p) && !((unsigned char)*p & 0x80))
			return false;
	return *name && strlen(name) <= 64 && *name != '-' && !str_equal(name, "site");
}

static int
judge_group(struct walk *walk, const yaml_node_t *at, const struct config_group *group)
{
	if (!group->matrix && !group->xmpp)
		return complain(walk, at, "group \"%s\" has no room: give it matrix, xmpp or both", group->name);
	for (const struct config_group *other = walk->config->groups; other != group; other++)
		if ((group->matrix && str_equal(other->matrix, group->matrix)) || (group->xmpp && str_equal(other->xmpp, group->xmpp)))
			return complain(walk, at, "groups \"%s\" and \"%s\" have the same room", other->name, group->name);
	return 0;
}

static int
read_group(void *context, const char *name, const yaml_node_t *at, const yaml_node_t *value)
{
	struct walk *walk = context;
	struct walk inner = *walk;
	struct config *config = walk->config;

	if (!is_group_name(name))
		return complain(walk, at, "\"%s\" cannot be a group's name: letters, digits, - and _, and not \"site\"", name);
	if (value->type != YAML_MAPPING_NODE)
		return complain(walk, value, "group \"%s\" must be a section with matrix and xmpp", name);
	config->groups = xrealloc(config->groups, (config->group_count + 1) * sizeof(*config->groups));
	struct config_group *group = &config->groups[config->group_count++];
	*group = (struct config_group){ .name = xstrdup(name) };
	inner.section = "groups.*.";
	inner.base = group;
	int r = document_each(walk->document, value, read_pair, &inner);
	return r ? r : judge_group(walk, at, group);
}

/* ---- the walk ---- */

static int
complain_unknown(struct walk *walk, const yaml_node_t *at, const char *key)
{
	AUTO_FREE char *shown = document_show_key(key);
	char near[64];

	if (config_keys_nearest(walk->section, key, near, sizeof(near)))
		return complain(walk, at, "unknown key \"%s\", did you mean \"%s\"?", shown, near);
	return complain(walk, at, "unknown key \"%s\"", shown);
}

static int
read_pair(void *context, const char *key, const yaml_node_t *at, const yaml_node_t *value)
{
	struct walk *walk = context;
	struct walk inner = *walk;
	const struct config_row *row = config_keys_find(walk->section, key);
	AUTO_FREE char *name = xasprintf("%s.", key);
	bool names = row && (row->kind == KIND_PEOPLE || row->kind == KIND_GROUPS);

	if (row && row->kind == KIND_LATER)
		return complain(walk, at, "\"%s\" is not yet known to this release", key);
	if (row && !names)
		return read_value(walk, row, key, value);
	if (!row && (*walk->section || strchr(key, '.') || !config_keys_is_section(name)))
		return complain_unknown(walk, at, key);
	if (names && document_is_nothing(value))
		return 0;
	if (value->type != YAML_MAPPING_NODE)
		return complain(walk, value, "\"%s\" must be a section", key);
	inner.section = name;
	return document_each(walk->document, value, !row ? read_pair : row->kind == KIND_PEOPLE ? read_person : read_group, &inner);
}

/* ---- after the walk ---- */

/* Where a missing key should have stood: its section, else the top of the file. */
static const yaml_node_t *
find_section(struct walk *walk, const yaml_node_t *root, const char *name)
{
	const char *dot = strchr(name, '.');

	return dot ? document_find_key(walk->document, root, name, (size_t)(dot - name)) : NULL;
}

static int
complain_missing(struct walk *walk, const yaml_node_t *root, const char *name, const char *more)
{
	return complain(walk, find_section(walk, root, name), "\"%s\" is missing%s", name, more);
}

/* The supervisor's credential wins over the file that was named. */
static void
prefer_credential(char **path, const char *name)
{
	const char *directory = config_environment(CONFIG_ENV_CREDENTIALS);
	AUTO_FREE char *credential = directory ? xasprintf("%s/%s", directory, name) : NULL;

	if (!credential || access(credential, F_OK))
		return;
	free(*path);
	*path = xstrdup(credential);
}

/* What one key alone cannot tell. */
static int
judge_whole(struct walk *walk, const yaml_node_t *root)
{
	struct config *config = walk->config;

	for (const struct config_row *row = config_rows; row->name; row++)
		if (row->required && !*config_keys_text(row, config))
			return complain_missing(walk, root, row->name, "");
	if (config->xmpp.secret && config->xmpp.secret_file)
		return complain(walk, find_section(walk, root, "xmpp."), "\"xmpp.secret\" and \"xmpp.secret_file\": give one of them");
	prefer_credential(&config->xmpp.secret_file, "xmpp-secret");
	if (!config->xmpp.secret && !config->xmpp.secret_file)
		return complain_missing(walk, root, "xmpp.secret_file", " (or \"xmpp.secret\")");
	if (str_starts(config->appservice.bot, config->appservice.ghosts))
		return complain(walk, find_section(walk, root, "appservice."),
				"the bot's name \"%s\" must not begin like those of the ghosts (\"%s\")",
				config->appservice.bot, config->appservice.ghosts);
	if (find_section(walk, root, "metrics.") && !config->metrics.port)
		return complain_missing(walk, root, "metrics.port", "");
	return 0;
}

static void
place_master_key(struct config *config)
{
	prefer_credential(&config->master_key_file, "master-key");
	config->master_key_given = config->master_key_file != NULL;
	if (!config->master_key_file)
		config->master_key_file = config_state_file(config, "master.key");
}

static int
walk_config(void *context, const yaml_node_t *root)
{
	struct walk *walk = context;

	for (const struct config_row *row = config_rows; row->name; row++)
		if (row->fallback)
			config_keys_set(row, row->fallback, walk->directory, walk->config);
	int r = document_each(walk->document, root, read_pair, walk);
	if (!r)
		r = judge_whole(walk, root);
	if (!r)
		place_master_key(walk->config);
	return r;
}

int
config_walk(struct config *config, struct document *document, const char *text, size_t n)
{
	const char *slash = strrchr(document->path, '/');
	AUTO_FREE char *directory = xstrndup(document->path, slash ? (size_t)(slash - document->path) + 1 : 0);
	struct walk walk = { .document = document, .config = config, .directory = directory, .section = "", .base = config };

	return document_read(document, text, n, walk_config, &walk);
}

/* ---- the registration ---- */

static int
read_registration_pair(void *context, const char *key, const yaml_node_t *at, const yaml_node_t *value)
{
	(void)at;
	for (const struct config_row *row = config_registration_rows; row->name; row++)
		if (str_equal(row->name, key))
			return read_value(context, row, key, value);
	return 0;
}

static int
walk_registration(void *context, const yaml_node_t *root)
{
	struct walk *walk = context;
	int r = document_each(walk->document, root, read_registration_pair, walk);

	for (const struct config_row *row = config_registration_rows; !r && row->name; row++)
		if (!*config_keys_text(row, walk->config))
			r = complain(walk, NULL, "\"%s\" is missing", row->name);
	if (!r && str_equal(walk->config->registration.as_token, walk->config->registration.hs_token))
		r = complain(walk, NULL, "as_token and hs_token must differ");
	return r;
}

int
config_walk_registration(struct config *config, struct document *document, const char *text, size_t n)
{
	struct walk walk = { .document = document, .config = config, .directory = "", .base = config };

	return document_read(document, text, n, walk_registration, &walk);
}
