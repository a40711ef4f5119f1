/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A YAML document is walked along one table of keys: what is not in the table is refused, what is in it knows its
 * kind, its place in struct config, its default and what a good value looks like. The walk stops at the first fault.
 * libyaml gives scalars as they were written, so nothing is guessed: a port is digits, a flag is true or false.
 */
#include "base/config.h"

#include "base/log.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

#define FILE_MAX (1u << 20)
#define SECRET_MAX 4096
#define COUNT_MAX 10000

enum kind {
	KIND_TEXT,
	KIND_PATH, /* made relative to the file's directory */
	KIND_URL,  /* loses the slashes at its end */
	KIND_PORT,
	KIND_COUNT, /* a number from 0 to COUNT_MAX */
	KIND_SPAN,  /* "14d", "36h": kept in hours */
	KIND_FLAG,
	KIND_PEOPLE, /* permissions: */
	KIND_GROUPS,
	KIND_LATER,  /* a word of later releases */
};

struct row {
	const char *name; /* of its section and itself; "*" stands for the name of a group */
	enum kind kind;
	bool required;
	size_t offset; /* in struct config; below groups.*, in struct config_group */
	const char *fallback;
	const char *(*judge)(const char *value); /* NULL when good, else the rest of `"key" ...` */
};

struct reader {
	const char *path;
	const char *directory; /* of the file, with its slash; "" for the working directory */
	struct config *config;
	yaml_parser_t parser;
	yaml_document_t document;
	char *why;
	size_t size;
};

/* ---- what good values look like ---- */

static const char *
judge_url(const char *value)
{
	const char *host = str_starts(value, "http://") ? value + 7 : str_starts(value, "https://") ? value + 8 : "";

	return *host && *host != '/' && !strpbrk(host, " ?#@") ? NULL : "must be a URL such as http://127.0.0.1:8008";
}

static const char *
judge_domain(const char *value)
{
	for (const char *p = value; *p; p++)
		if (isspace((unsigned char)*p) || strchr("/@#!", *p))
			return "must be a server's name such as example.org";
	return NULL;
}

static const char *
judge_address(const char *value)
{
	unsigned char address[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, value, address) == 1 || inet_pton(AF_INET6, value, address) == 1 ? NULL :
		"must be a numeric address such as 127.0.0.1";
}

/* Matrix v1.18, user identifiers: what a localpart may hold. */
static const char *
judge_localpart(const char *value)
{
	return value[strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789._=/+-")] == '\0' ? NULL :
		"may hold only a-z, 0-9 and . _ = - / +";
}

static const char *
judge_nick(const char *value)
{
	return strlen(value) <= 64 && !strpbrk(value, "\t\r\n") ? NULL : "must be a name of at most 64 bytes on one line";
}

static const char *
judge_language(const char *value)
{
	return str_equal(value, "en") || str_equal(value, "fr") ? NULL : "must be en or fr";
}

static const char *
judge_level(const char *value)
{
	enum log_level level;

	return log_level_named(value, &level) ? NULL : "must be error, warning, notice, info or debug";
}

static const char *
judge_format(const char *value)
{
	return str_equal(value, "text") || str_equal(value, "json") ? NULL : "must be text or json";
}

static const char *
judge_room(const char *value)
{
	bool alias = *value == '#' && strlen(value) > 3 && strchr(value + 2, ':');
	bool id = *value == '!' && value[1];

	return (alias || id) && !strpbrk(value, " \t\r\n") ? NULL : "must be an alias such as \"#team:example.org\" or a room id";
}

static const char *
judge_jid(const char *value)
{
	const char *at = strchr(value, '@');

	return at && at > value && at[1] && !strpbrk(at + 1, "@/") && !strpbrk(value, "/ \t\r\n") ? NULL :
		"must be a bare JID such as team@rooms.example.org";
}

/* Hours of "36h" or "14d"; 0 when it is neither. */
static unsigned
hours_of(const char *value)
{
	size_t digits = strspn(value, "0123456789");
	unsigned long number = digits && digits < 6 ? strtoul(value, NULL, 10) : 0;

	return str_equal(value + digits, "d") ? (unsigned)number * 24 : str_equal(value + digits, "h") ? (unsigned)number : 0;
}

/* Within a day a message can still be corrected by whoever wrote it. */
static const char *
judge_idle(const char *value)
{
	return hours_of(value) >= 24 ? NULL : "must be a time of at least a day, such as 14d or 36h";
}

static const char *
judge_trust(const char *value)
{
	return str_equal(value, "cross-signed") || str_equal(value, "all") ? NULL : "must be cross-signed or all";
}

static const char *
judge_encrypted(const char *value)
{
	return str_equal(value, "allow") ? NULL : "must be allow: without it a moderator is asked";
}

#define AT(member) offsetof(struct config, member)
#define IN_GROUP(member) offsetof(struct config_group, member)

static const struct row rows[] = {
	{ "homeserver.address", KIND_URL, true, AT(homeserver.address), NULL, judge_url },
	{ "homeserver.domain", KIND_TEXT, true, AT(homeserver.domain), NULL, judge_domain },
	{ "appservice.address", KIND_URL, true, AT(appservice.address), NULL, judge_url },
	{ "appservice.hostname", KIND_TEXT, false, AT(appservice.hostname), "127.0.0.1", judge_address },
	{ "appservice.port", KIND_PORT, false, AT(appservice.port), "9996", NULL },
	{ "appservice.registration", KIND_PATH, false, AT(appservice.registration), "registration.yaml", NULL },
	{ "appservice.bot", KIND_TEXT, false, AT(appservice.bot), "sourdine", judge_localpart },
	{ "appservice.ghosts", KIND_TEXT, false, AT(appservice.ghosts), "_xmpp_", judge_localpart },
	{ "xmpp.host", KIND_TEXT, false, AT(xmpp.host), "127.0.0.1", judge_domain },
	{ "xmpp.port", KIND_PORT, false, AT(xmpp.port), "5347", NULL },
	{ "xmpp.component", KIND_TEXT, true, AT(xmpp.component), NULL, judge_domain },
	{ "xmpp.secret", KIND_TEXT, false, AT(xmpp.secret), NULL, NULL },
	{ "xmpp.secret_file", KIND_PATH, false, AT(xmpp.secret_file), NULL, NULL },
	{ "xmpp.nick", KIND_TEXT, false, AT(xmpp.nick), "Sourdine", judge_nick },
	{ "state", KIND_PATH, true, AT(state), NULL, NULL },
	{ "charters", KIND_PATH, false, AT(charters), "charters", NULL },
	{ "language", KIND_TEXT, false, AT(language), "en", judge_language },
	{ "logging.level", KIND_TEXT, false, AT(logging.level), "info", judge_level },
	{ "logging.format", KIND_TEXT, false, AT(logging.format), "text", judge_format },
	{ "master_key_file", KIND_PATH, false, AT(master_key_file), NULL, NULL },
	{ "permissions", KIND_PEOPLE, false, 0, NULL, NULL },
	{ "metrics.hostname", KIND_TEXT, false, AT(metrics.hostname), "127.0.0.1", judge_address },
	{ "metrics.port", KIND_PORT, false, AT(metrics.port), NULL, NULL },
	{ "groups", KIND_GROUPS, false, 0, NULL, NULL },
	{ "groups.*.matrix", KIND_TEXT, false, IN_GROUP(matrix), NULL, judge_room },
	{ "groups.*.xmpp", KIND_TEXT, false, IN_GROUP(xmpp), NULL, judge_jid },
	{ "groups.*.create", KIND_FLAG, false, IN_GROUP(create), NULL, NULL },
	{ "groups.*.encrypted", KIND_TEXT, false, IN_GROUP(encrypted), NULL, judge_encrypted },
	{ "groups.*.trust", KIND_TEXT, false, IN_GROUP(trust), NULL, judge_trust },
	{ "encryption.allow", KIND_FLAG, false, AT(encryption.allow), "true", NULL },
	{ "encryption.require", KIND_FLAG, false, AT(encryption.require), "false", NULL },
	{ "encryption.trust", KIND_TEXT, false, AT(encryption.trust), "cross-signed", judge_trust },
	{ "media", KIND_LATER, false, 0, NULL, NULL },
	{ "limits.ghosts", KIND_COUNT, false, AT(limits.ghosts), "200", NULL },
	{ "limits.idle", KIND_SPAN, false, AT(limits.idle_hours), "14d", judge_idle },
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static const struct row registration_rows[] = {
	{ "id", KIND_TEXT, true, AT(registration.id), NULL, NULL },
	{ "url", KIND_TEXT, true, AT(registration.url), NULL, NULL },
	{ "as_token", KIND_TEXT, true, AT(registration.as_token), NULL, NULL },
	{ "hs_token", KIND_TEXT, true, AT(registration.hs_token), NULL, NULL },
	{ "sender_localpart", KIND_TEXT, true, AT(registration.sender_localpart), NULL, NULL },
};

#define REGISTRATION_ROWS (sizeof(registration_rows) / sizeof(registration_rows[0]))

static char **
text_at(void *base, size_t offset)
{
	return (char **)(void *)((char *)base + offset);
}

static bool
is_text(const struct row *row)
{
	return row->kind == KIND_TEXT || row->kind == KIND_PATH || row->kind == KIND_URL;
}

static bool
is_in_group(const struct row *row)
{
	return str_starts(row->name, "groups.*");
}

/* ---- complaints ---- */

static int PRINTF_LIKE(4, 5)
complain(struct reader *reader, size_t line, size_t column, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	AUTO_FREE char *sentence = xvasprintf(format, args);
	va_end(args);
	snprintf(reader->why, reader->size, "%s:%zu:%zu: %s", reader->path, line + 1, column + 1, sentence);
	/* A key may have been written over several lines; the sentence has one. */
	for (char *p = reader->why; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			*p = ' ';
	return CONFIG_E_BAD;
}

#define complain_at(reader, node, ...) \
	complain((reader), (node)->start_mark.line, (node)->start_mark.column, __VA_ARGS__)

static const char *
leaf_of(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot ? dot + 1 : name;
}

/* Whether `name` is nearer to what was typed than anything before it. */
static bool
is_nearer(const char *name, const char *key, unsigned *best)
{
	unsigned distance = str_distance(name, key);

	if (distance >= *best || distance >= strlen(key))
		return false;
	*best = distance;
	return true;
}

/* The nearest key of the section, else one of another section, else NULL. */
static const char *
nearest_key(const char *section, const char *key, char *out, size_t size)
{
	size_t length = strlen(section);
	unsigned best = 4;

	*out = '\0';
	for (size_t i = 0; i < ROWS; i++) {
		if (!str_starts(rows[i].name, section) || rows[i].kind == KIND_LATER)
			continue;
		const char *rest = rows[i].name + length;
		AUTO_FREE char *name = xstrndup(rest, strcspn(rest, "."));
		if (!str_equal(name, "*") && is_nearer(name, key, &best))
			snprintf(out, size, "%s", name);
	}
	best = *out ? 0 : 3;
	for (size_t i = 0; i < ROWS; i++)
		if (rows[i].kind != KIND_LATER && !is_in_group(&rows[i]) && is_nearer(leaf_of(rows[i].name), key, &best))
			snprintf(out, size, "%s", rows[i].name);
	return *out ? out : NULL;
}

/* As much of a key as may be shown: behind a colon without a space there may be a secret that was to be its value. malloc'd. */
static char *
show_key(const char *key)
{
	return xstrndup(key, *key == '@' ? strlen(key) : strcspn(key, ": \t\r\n"));
}

static int
complain_unknown(struct reader *reader, const yaml_node_t *node, const char *section, const char *key)
{
	AUTO_FREE char *shown = show_key(key);
	char near[64];

	if (nearest_key(section, key, near, sizeof(near)))
		return complain_at(reader, node, "unknown key \"%s\", did you mean \"%s\"?", shown, near);
	return complain_at(reader, node, "unknown key \"%s\"", shown);
}

/* ---- nodes ---- */

static yaml_node_t *
node_at(struct reader *reader, int index)
{
	return yaml_document_get_node(&reader->document, index);
}

static const char *
scalar_of(const yaml_node_t *node)
{
	return node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : NULL;
}

static bool
is_nothing(const yaml_node_t *node)
{
	const char *text = scalar_of(node);

	return text && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
		(*text == '\0' || str_equal(text, "~") || str_equal(text, "null"));
}

static int
read_key(struct reader *reader, const yaml_node_t *mapping, const yaml_node_pair_t *pair, const char **key)
{
	yaml_node_t *node = node_at(reader, pair->key);

	*key = scalar_of(node);
	if (!*key || strlen(*key) != node->data.scalar.length || !str_is_clean(*key, strlen(*key)))
		return complain_at(reader, node, "a key must be a word");
	AUTO_FREE char *shown = show_key(*key);
	for (const yaml_node_pair_t *earlier = mapping->data.mapping.pairs.start; earlier < pair; earlier++)
		if (str_equal(scalar_of(node_at(reader, earlier->key)), *key))
			return complain_at(reader, node, "\"%s\" stands here twice (first in line %zu)", shown,
					node_at(reader, earlier->key)->start_mark.line + 1);
	return 0;
}

static int
read_port(struct reader *reader, const yaml_node_t *node, const char *key, uint16_t *out)
{
	const char *text = scalar_of(node);
	size_t length = strlen(text);
	unsigned long port = length && length < 6 && strspn(text, "0123456789") == length ? strtoul(text, NULL, 10) : 0;

	if (port < 1 || port > 65535)
		return complain_at(reader, node, "\"%s\" must be a port from 1 to 65535", key);
	*out = (uint16_t)port;
	return 0;
}

static int
read_count(struct reader *reader, const yaml_node_t *node, const char *key, unsigned *out)
{
	const char *text = scalar_of(node);
	size_t length = strlen(text);

	*out = length < 6 ? (unsigned)strtoul(text, NULL, 10) : COUNT_MAX + 1;
	if (strspn(text, "0123456789") != length || *out > COUNT_MAX)
		return complain_at(reader, node, "\"%s\" must be a number from 0 to %d", key, COUNT_MAX);
	return 0;
}

static char *
make_path(const char *directory, const char *path)
{
	return *path == '/' ? xstrdup(path) : xasprintf("%s%s", directory, path);
}

static char *
make_url(const char *text)
{
	size_t length = strlen(text);

	while (length && text[length - 1] == '/')
		length--;
	return xstrndup(text, length);
}

static char *
make_text(const struct reader *reader, const struct row *row, const char *text)
{
	return row->kind == KIND_PATH ? make_path(reader->directory, text) : row->kind == KIND_URL ? make_url(text) : xstrdup(text);
}

/* One scalar into its place. `key` is as the file writes it. */
static int
read_scalar(struct reader *reader, const struct row *row, const char *key, const yaml_node_t *node, void *base)
{
	const char *text = scalar_of(node);

	if (!text)
		return complain_at(reader, node, "\"%s\" must be one value, not a %s", key,
				node->type == YAML_SEQUENCE_NODE ? "list" : "section");
	if (is_nothing(node) || !*text)
		return complain_at(reader, node, "\"%s\" has no value", key);
	if (strlen(text) != node->data.scalar.length || !str_is_clean(text, strlen(text)))
		return complain_at(reader, node, "\"%s\" holds control characters", key);
	if (row->kind == KIND_PORT)
		return read_port(reader, node, key, (uint16_t *)(void *)((char *)base + row->offset));
	if (row->kind == KIND_COUNT)
		return read_count(reader, node, key, (unsigned *)(void *)((char *)base + row->offset));
	if (row->kind == KIND_FLAG) {
		if (!str_equal(text, "true") && !str_equal(text, "false"))
			return complain_at(reader, node, "\"%s\" must be true or false", key);
		*(bool *)(void *)((char *)base + row->offset) = str_equal(text, "true");
		return 0;
	}
	const char *fault = row->judge ? row->judge(text) : NULL;
	if (fault)
		return complain_at(reader, node, "\"%s\" %s", key, fault);
	if (row->kind == KIND_SPAN) {
		*(unsigned *)(void *)((char *)base + row->offset) = hours_of(text);
		return 0;
	}
	*text_at(base, row->offset) = make_text(reader, row, text);
	return 0;
}

static int
read_person(struct reader *reader, const yaml_node_t *key, const char *person, const yaml_node_t *value)
{
	struct config *config = reader->config;
	const char *role = scalar_of(value);
	bool matrix = *person == '@' && person[1] && strchr(person + 1, ':');

	if (!matrix && !(str_starts(person, "xmpp:") && !judge_jid(person + 5)))
		return complain_at(reader, key, "\"%s\" is nobody: write \"@name:example.org\" or \"xmpp:name@example.org\"", person);
	if (!role || !str_equal(role, "admin"))
		return complain_at(reader, value, "the only permission is admin");
	config->permissions = xrealloc(config->permissions, (config->permission_count + 1) * sizeof(*config->permissions));
	config->permissions[config->permission_count++] = (struct config_permission){ xstrdup(person), xstrdup(role) };
	return 0;
}

static int read_section(struct reader *reader, const yaml_node_t *mapping, const char *section, void *base);

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
judge_group(struct reader *reader, const yaml_node_t *node, const struct config_group *group)
{
	const struct config *config = reader->config;

	if (!group->matrix && !group->xmpp)
		return complain_at(reader, node, "group \"%s\" has no room: give it matrix, xmpp or both", group->name);
	for (const struct config_group *other = config->groups; other != group; other++)
		if ((group->matrix && str_equal(other->matrix, group->matrix)) || (group->xmpp && str_equal(other->xmpp, group->xmpp)))
			return complain_at(reader, node, "groups \"%s\" and \"%s\" have the same room", other->name, group->name);
	return 0;
}

static int
read_group(struct reader *reader, const yaml_node_t *key, const char *name, const yaml_node_t *value)
{
	struct config *config = reader->config;

	if (!is_group_name(name))
		return complain_at(reader, key, "\"%s\" cannot be a group's name: letters, digits, - and _, and not \"site\"", name);
	if (value->type != YAML_MAPPING_NODE)
		return complain_at(reader, value, "group \"%s\" must be a section with matrix and xmpp", name);
	config->groups = xrealloc(config->groups, (config->group_count + 1) * sizeof(*config->groups));
	struct config_group *group = &config->groups[config->group_count++];
	*group = (struct config_group){ .name = xstrdup(name) };
	int r = read_section(reader, value, "groups.*.", group);
	return r ? r : judge_group(reader, key, group);
}

/* A section whose keys are names: permissions, groups. It may be empty. */
static int
read_names(struct reader *reader, const struct row *row, const yaml_node_t *mapping)
{
	if (is_nothing(mapping))
		return 0;
	if (mapping->type != YAML_MAPPING_NODE)
		return complain_at(reader, mapping, "\"%s\" must be a section", row->name);
	for (yaml_node_pair_t *pair = mapping->data.mapping.pairs.start; pair < mapping->data.mapping.pairs.top; pair++) {
		const char *key;
		int r = read_key(reader, mapping, pair, &key);
		if (r)
			return r;
		r = (row->kind == KIND_PEOPLE ? read_person : read_group)(reader, node_at(reader, pair->key), key,
				node_at(reader, pair->value));
		if (r)
			return r;
	}
	return 0;
}

static const struct row *
find_row(const char *section, const char *key)
{
	size_t length = strlen(section);

	/* A dotted key is none of ours: "groups.*.matrix" would have its place in another struct. */
	for (size_t i = 0; i < ROWS && !strchr(key, '.'); i++)
		if (strncmp(rows[i].name, section, length) == 0 && str_equal(rows[i].name + length, key))
			return &rows[i];
	return NULL;
}

static bool
is_section(const char *name)
{
	for (size_t i = 0; i < ROWS; i++)
		if (str_starts(rows[i].name, name))
			return true;
	return false;
}

static int
read_pair(struct reader *reader, const char *section, const char *key, const yaml_node_pair_t *pair, void *base)
{
	yaml_node_t *value = node_at(reader, pair->value);
	const struct row *row = find_row(section, key);

	if (row && row->kind == KIND_LATER)
		return complain_at(reader, node_at(reader, pair->key), "\"%s\" is not yet known to this release", key);
	if (row && (row->kind == KIND_PEOPLE || row->kind == KIND_GROUPS))
		return read_names(reader, row, value);
	if (row)
		return read_scalar(reader, row, key, value, base);
	AUTO_FREE char *inner = xasprintf("%s%s.", section, key);
	if (*section || strchr(key, '.') || !is_section(inner))
		return complain_unknown(reader, node_at(reader, pair->key), section, key);
	if (value->type != YAML_MAPPING_NODE)
		return complain_at(reader, value, "\"%s\" must be a section", key);
	return read_section(reader, value, inner, base);
}

/* `section` ends with its dot; "" is the whole file. */
static int
read_section(struct reader *reader, const yaml_node_t *mapping, const char *section, void *base)
{
	for (yaml_node_pair_t *pair = mapping->data.mapping.pairs.start; pair < mapping->data.mapping.pairs.top; pair++) {
		const char *key;
		int r = read_key(reader, mapping, pair, &key);
		if (!r)
			r = read_pair(reader, section, key, pair, base);
		if (r)
			return r;
	}
	return 0;
}

/* ---- after the walk ---- */

/* Where a missing key should have stood: its section, else the top of the file. */
static yaml_mark_t
mark_of_section(struct reader *reader, const yaml_node_t *root, const char *name)
{
	const char *dot = strchr(name, '.');

	for (yaml_node_pair_t *pair = root->data.mapping.pairs.start; dot && pair < root->data.mapping.pairs.top; pair++) {
		yaml_node_t *key = node_at(reader, pair->key);
		if (key->data.scalar.length == (size_t)(dot - name) && strncmp(scalar_of(key), name, key->data.scalar.length) == 0)
			return key->start_mark;
	}
	return (yaml_mark_t){ 0, 0, 0 };
}

static int
complain_missing(struct reader *reader, const yaml_node_t *root, const char *name, const char *more)
{
	yaml_mark_t mark = mark_of_section(reader, root, name);

	return complain(reader, mark.line, mark.column, "\"%s\" is missing%s", name, more);
}

static int
fill_defaults(struct reader *reader, const yaml_node_t *root)
{
	for (size_t i = 0; i < ROWS; i++) {
		const struct row *row = &rows[i];
		if (is_in_group(row))
			continue;
		if (is_text(row)) {
			char **text = text_at(reader->config, row->offset);
			if (!*text && row->required)
				return complain_missing(reader, root, row->name, "");
			if (!*text && row->fallback)
				*text = make_text(reader, row, row->fallback);
		} else if (row->kind == KIND_PORT && row->fallback) {
			uint16_t *port = (uint16_t *)(void *)((char *)reader->config + row->offset);
			if (!*port)
				*port = (uint16_t)strtoul(row->fallback, NULL, 10);
		}
	}
	return 0;
}

/* The path of a credential that the supervisor lent us, or NULL. */
static char *
find_credential(const char *name)
{
	const char *directory = config_environment(CONFIG_ENV_CREDENTIALS);
	char *path = directory ? xasprintf("%s/%s", directory, name) : NULL;

	if (path && access(path, F_OK) == 0)
		return path;
	free(path);
	return NULL;
}

/* What one key alone cannot tell. */
static int
judge_whole(struct reader *reader, const yaml_node_t *root)
{
	struct config *config = reader->config;
	char *credential = find_credential("xmpp-secret");

	if (config->xmpp.secret && config->xmpp.secret_file) {
		free(credential);
		yaml_mark_t mark = mark_of_section(reader, root, "xmpp.");
		return complain(reader, mark.line, mark.column, "\"xmpp.secret\" and \"xmpp.secret_file\": give one of them");
	}
	if (credential) {
		free(config->xmpp.secret_file);
		config->xmpp.secret_file = credential;
	} else if (!config->xmpp.secret && !config->xmpp.secret_file) {
		return complain_missing(reader, root, "xmpp.secret_file", " (or \"xmpp.secret\")");
	}
	if (str_starts(config->appservice.bot, config->appservice.ghosts)) {
		yaml_mark_t mark = mark_of_section(reader, root, "appservice.");
		return complain(reader, mark.line, mark.column, "the bot's name \"%s\" must not begin like those of the ghosts (\"%s\")",
				config->appservice.bot, config->appservice.ghosts);
	}
	for (yaml_node_pair_t *pair = root->data.mapping.pairs.start; pair < root->data.mapping.pairs.top; pair++)
		if (str_equal(scalar_of(node_at(reader, pair->key)), "metrics") && !config->metrics.port)
			return complain_missing(reader, root, "metrics.port", "");
	return 0;
}

static void
place_master_key(struct config *config)
{
	char *credential = find_credential("master-key");

	if (credential) {
		free(config->master_key_file);
		config->master_key_file = credential;
	}
	config->master_key_given = config->master_key_file != NULL;
	if (!config->master_key_file)
		config->master_key_file = config_state_file(config, "master.key");
}

/* ---- files ---- */

/* A whole small file. 0 and *out (malloc'd, NUL-terminated), or -errno. */
static int
read_file(const char *path, size_t max, char **out, size_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	size_t n = 0;

	if (fd < 0)
		return errno ? -errno : -EIO;
	char *text = xmalloc(max + 1);
	ssize_t got = 1;
	while (n < max && (got = read(fd, text + n, max - n)) > 0)
		n += (size_t)got;
	int error = got < 0 ? -errno : n == max ? -EFBIG : 0;
	close(fd);
	if (error) {
		mem_free_secret(text, n);
		return error;
	}
	text[n] = '\0';
	*out = text;
	*size = n;
	return 0;
}

/* libyaml's complaint; one about bytes that are no UTF-8 carries an offset only. */
static int
complain_yaml(struct reader *reader, const char *text)
{
	yaml_mark_t mark = reader->parser.problem_mark;
	const char *problem = reader->parser.problem ? reader->parser.problem : "it cannot be read";

	if (reader->parser.error == YAML_READER_ERROR) {
		mark = (yaml_mark_t){ 0, 0, 0 };
		/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): read_file() gave a text, or we were not called */
		for (size_t i = 0; i < reader->parser.problem_offset && text[i]; i++) {
			mark.column = text[i] == '\n' ? 0 : mark.column + 1;
			mark.line += text[i] == '\n';
		}
	}
	return complain(reader, mark.line, mark.column, "no YAML: %s", problem);
}

/* Loads the one document and calls `walk` on its mapping. */
static int
read_document(struct reader *reader, const char *text, size_t size, int (*walk)(struct reader *reader, const yaml_node_t *root))
{
	int r;

	if (!yaml_parser_initialize(&reader->parser))
		return complain(reader, 0, 0, "out of memory");
	yaml_parser_set_input_string(&reader->parser, (const unsigned char *)text, size);
	if (!yaml_parser_load(&reader->parser, &reader->document)) {
		r = complain_yaml(reader, text);
	} else {
		yaml_node_t *root = yaml_document_get_root_node(&reader->document);
		if (!root)
			r = complain(reader, 0, 0, "it is empty");
		else if (root->type != YAML_MAPPING_NODE)
			r = complain_at(reader, root, "it must hold keys and values");
		else
			r = walk(reader, root);
		yaml_document_delete(&reader->document);
	}
	if (!r && !yaml_parser_load(&reader->parser, &reader->document)) {
		r = complain_yaml(reader, text);
	} else if (!r) {
		yaml_node_t *second = yaml_document_get_root_node(&reader->document);
		if (second)
			r = complain_at(reader, second, "a second document begins here");
		yaml_document_delete(&reader->document);
	}
	yaml_parser_delete(&reader->parser);
	return r;
}

/* Before the walk, because 0 and false are good values. */
static void
set_numbers(struct config *config)
{
	for (size_t i = 0; i < ROWS; i++) {
		unsigned *number = (unsigned *)(void *)((char *)config + rows[i].offset);
		if (rows[i].kind == KIND_COUNT)
			*number = (unsigned)strtoul(rows[i].fallback, NULL, 10);
		else if (rows[i].kind == KIND_SPAN)
			*number = hours_of(rows[i].fallback);
		else if (rows[i].kind == KIND_FLAG && rows[i].fallback)
			*(bool *)(void *)((char *)config + rows[i].offset) = str_equal(rows[i].fallback, "true");
	}
}

static int
walk_config(struct reader *reader, const yaml_node_t *root)
{
	set_numbers(reader->config);
	int r = read_section(reader, root, "", reader->config);

	if (!r)
		r = fill_defaults(reader, root);
	if (!r)
		r = judge_whole(reader, root);
	if (!r)
		place_master_key(reader->config);
	return r;
}

int
config_read(struct config **out, const char *path, char *why, size_t size)
{
	const char *slash = strrchr(path, '/');
	AUTO_FREE char *directory = slash ? xstrndup(path, (size_t)(slash - path) + 1) : xstrdup("");
	char *text = NULL;
	size_t length = 0;
	int r = read_file(path, FILE_MAX, &text, &length);

	if (r) {
		snprintf(why, size, "%s: cannot be read: %s", path, strerror(-r));
		return CONFIG_E_BAD;
	}
	struct config *config = xcalloc(1, sizeof(*config));
	struct reader reader = { .path = path, .directory = directory, .config = config, .why = why, .size = size };
	config->path = xstrdup(path);
	r = read_document(&reader, text, length, walk_config);
	mem_free_secret(text, length);
	if (r) {
		config_free(config);
		return r;
	}
	*out = config;
	return 0;
}

int
config_read_secret(struct config *config, char *why, size_t size)
{
	const char *path = config->xmpp.secret_file, *fault = NULL;
	char *text = NULL;
	size_t length = 0;

	if (!path)
		return 0;
	int r = read_file(path, SECRET_MAX, &text, &length);
	if (r) {
		snprintf(why, size, "%s: the secret of the XMPP component cannot be read: %s", path, strerror(-r));
		return CONFIG_E_BAD;
	}
	size_t whole = length;
	while (length && strchr("\r\n", text[length - 1]))
		text[--length] = '\0';
	if (!length)
		fault = "is empty";
	else if (strlen(text) != length || !str_is_clean(text, length) || strpbrk(text, "\r\n"))
		fault = "must hold one line of text";
	if (!fault) {
		mem_free_secret(config->xmpp.secret, config->xmpp.secret ? strlen(config->xmpp.secret) : 0);
		config->xmpp.secret = xstrdup(text);
	}
	mem_free_secret(text, whole);
	if (!fault)
		return 0;
	snprintf(why, size, "%s: the secret of the XMPP component %s", path, fault);
	return CONFIG_E_BAD;
}

/* Only what we need of it: the rest is between the admin and the homeserver. */
static int
walk_registration(struct reader *reader, const yaml_node_t *root)
{
	for (yaml_node_pair_t *pair = root->data.mapping.pairs.start; pair < root->data.mapping.pairs.top; pair++) {
		const char *key;
		int r = read_key(reader, root, pair, &key);
		for (size_t i = 0; i < REGISTRATION_ROWS && !r; i++)
			if (str_equal(registration_rows[i].name, key))
				r = read_scalar(reader, &registration_rows[i], key, node_at(reader, pair->value), reader->config);
		if (r)
			return r;
	}
	for (size_t i = 0; i < REGISTRATION_ROWS; i++)
		if (!*text_at(reader->config, registration_rows[i].offset))
			return complain(reader, 0, 0, "\"%s\" is missing", registration_rows[i].name);
	if (str_equal(reader->config->registration.as_token, reader->config->registration.hs_token))
		return complain(reader, 0, 0, "as_token and hs_token must differ");
	return 0;
}

static void
free_secret_text(char **text)
{
	if (*text)
		mem_free_secret(*text, strlen(*text));
	*text = NULL;
}

static void
forget_registration(struct config *config)
{
	for (size_t i = 0; i < REGISTRATION_ROWS; i++)
		free_secret_text(text_at(config, registration_rows[i].offset));
}

int
config_read_registration(struct config *config, char *why, size_t size)
{
	const char *path = config->appservice.registration;
	char *text = NULL;
	size_t length = 0;
	int r = read_file(path, FILE_MAX, &text, &length);

	if (r == -ENOENT) {
		snprintf(why, size, "%s: there is no registration yet: \"sourdine registration\" makes it", path);
		return CONFIG_E_BAD;
	}
	if (r) {
		snprintf(why, size, "%s: the registration cannot be read: %s", path, strerror(-r));
		return CONFIG_E_BAD;
	}
	struct reader reader = { .path = path, .directory = "", .config = config, .why = why, .size = size };
	forget_registration(config);
	r = read_document(&reader, text, length, walk_registration);
	mem_free_secret(text, length);
	if (r)
		forget_registration(config);
	return r;
}

int
config_load(struct config **out, const char *path, char *why, size_t size)
{
	struct config *config;
	int r = config_read(&config, path, why, size);

	if (r)
		return r;
	r = config_read_secret(config, why, size);
	if (!r)
		r = config_read_registration(config, why, size);
	if (r) {
		config_free(config);
		return r;
	}
	*out = config;
	return 0;
}

void
config_free(struct config *config)
{
	if (!config)
		return;
	free_secret_text(&config->xmpp.secret);
	forget_registration(config);
	for (size_t i = 0; i < ROWS; i++)
		if (is_text(&rows[i]) && !is_in_group(&rows[i]))
			free(*text_at(config, rows[i].offset));
	for (size_t i = 0; i < config->permission_count; i++) {
		free(config->permissions[i].person);
		free(config->permissions[i].role);
	}
	for (size_t i = 0; i < config->group_count; i++) {
		free(config->groups[i].name);
		free(config->groups[i].matrix);
		free(config->groups[i].xmpp);
		free(config->groups[i].encrypted);
		free(config->groups[i].trust);
	}
	free(config->permissions);
	free(config->groups);
	free(config->path);
	free(config);
}

bool
config_is_admin(const struct config *config, const char *person)
{
	for (size_t i = 0; i < config->permission_count; i++)
		if (str_equal(config->permissions[i].person, person))
			return true;
	return false;
}

char *
config_mxid(const struct config *config, const char *localpart)
{
	return xasprintf("@%s:%s", localpart, config->homeserver.domain);
}

char *
config_state_file(const struct config *config, const char *name)
{
	return xasprintf("%s/%s", config->state, name);
}

/* ---- the environment ---- */

const char *
config_environment(enum config_variable variable)
{
	static const char *const names[CONFIG_ENV_COUNT] = {
		[CONFIG_ENV_FILE] = "SOURDINE_CONFIG",
		[CONFIG_ENV_LOCALEDIR] = "SOURDINE_LOCALEDIR",
		[CONFIG_ENV_CREDENTIALS] = "CREDENTIALS_DIRECTORY",
		[CONFIG_ENV_JOURNAL] = "JOURNAL_STREAM",
		[CONFIG_ENV_NOTIFY] = "NOTIFY_SOCKET",
		[CONFIG_ENV_WATCHDOG] = "WATCHDOG_USEC",
		[CONFIG_ENV_TZDIR] = "TZDIR",
		[CONFIG_ENV_CRASH_AT] = "CRASH_AT",
		[CONFIG_ENV_BREAK] = "SOURDINE_BREAK",
	};
	const char *value = getenv(names[variable]);

	return value && *value ? value : NULL;
}

const char *
config_default_path(void)
{
	const char *path = config_environment(CONFIG_ENV_FILE);

	return path ? path : CONFIG_DEFAULT_PATH;
}

const char *
config_key(size_t index)
{
	size_t known = 0;

	for (size_t i = 0; i < ROWS; i++)
		if (rows[i].kind != KIND_LATER && known++ == index)
			return rows[i].name;
	return NULL;
}
