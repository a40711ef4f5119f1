/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of keys: what is not in it is refused, what is in it knows its kind, its place, its default and what a good value
 * looks like. A key of the configuration is added here, and in sourdine.yaml(5).
 */
#include "base/config_keys.h"

#include "base/log.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* Servers write it so in what they send us, and we compare. */
static const char *
judge_component(const char *value)
{
	for (const char *p = value; *p; p++)
		if (isupper((unsigned char)*p))
			return "must be written in small letters";
	return judge_domain(value);
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

const char *
config_judge_jid(const char *value)
{
	const char *at = strchr(value, '@');

	return at && at > value && at[1] && !strpbrk(at + 1, "@/") && !strpbrk(value, "/ \t\r\n") ? NULL :
		"must be a bare JID such as team@rooms.example.org";
}

/* Of at most five digits, and `unit` behind them; else UINT_MAX. */
static unsigned
number_of(const char *value, const char *unit)
{
	size_t digits = strspn(value, "0123456789");

	return digits && digits < 6 && str_equal(value + digits, unit) ? (unsigned)strtoul(value, NULL, 10) : UINT_MAX;
}

static const char *
judge_port(const char *value)
{
	unsigned port = number_of(value, "");

	return port >= 1 && port <= UINT16_MAX ? NULL : "must be a port from 1 to 65535";
}

static const char *
judge_count(const char *value)
{
	return number_of(value, "") <= 10000 ? NULL : "must be a number from 0 to 10000";
}

static const char *
judge_flag(const char *value)
{
	return str_equal(value, "true") || str_equal(value, "false") ? NULL : "must be true or false";
}

/* Of "36h" or "14d"; 0 when it is neither. */
static unsigned
hours_of(const char *value)
{
	unsigned days = number_of(value, "d"), hours = number_of(value, "h");

	return days != UINT_MAX ? days * 24 : hours != UINT_MAX ? hours : 0;
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

/* ---- the tables ---- */

#define AT(member) offsetof(struct config, member)
#define IN_GROUP(member) offsetof(struct config_group, member)

const struct config_row config_rows[] = {
	{ "homeserver.address", KIND_URL, true, AT(homeserver.address), NULL, judge_url },
	{ "homeserver.domain", KIND_TEXT, true, AT(homeserver.domain), NULL, judge_domain },
	{ "appservice.address", KIND_URL, true, AT(appservice.address), NULL, judge_url },
	{ "appservice.hostname", KIND_TEXT, false, AT(appservice.hostname), "127.0.0.1", judge_address },
	{ "appservice.port", KIND_PORT, false, AT(appservice.port), "9996", judge_port },
	{ "appservice.registration", KIND_PATH, false, AT(appservice.registration), "registration.yaml", NULL },
	{ "appservice.bot", KIND_TEXT, false, AT(appservice.bot), "sourdine", judge_localpart },
	{ "appservice.ghosts", KIND_TEXT, false, AT(appservice.ghosts), "_xmpp_", judge_localpart },
	{ "xmpp.host", KIND_TEXT, false, AT(xmpp.host), "127.0.0.1", judge_domain },
	{ "xmpp.port", KIND_PORT, false, AT(xmpp.port), "5347", judge_port },
	{ "xmpp.component", KIND_TEXT, true, AT(xmpp.component), NULL, judge_component },
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
	{ "metrics.port", KIND_PORT, false, AT(metrics.port), NULL, judge_port },
	{ "groups", KIND_GROUPS, false, 0, NULL, NULL },
	{ "groups.*.matrix", KIND_TEXT, false, IN_GROUP(matrix), NULL, judge_room },
	{ "groups.*.xmpp", KIND_TEXT, false, IN_GROUP(xmpp), NULL, config_judge_jid },
	{ "groups.*.create", KIND_FLAG, false, IN_GROUP(create), NULL, judge_flag },
	{ "groups.*.encrypted", KIND_TEXT, false, IN_GROUP(encrypted), NULL, judge_encrypted },
	{ "groups.*.trust", KIND_TEXT, false, IN_GROUP(trust), NULL, judge_trust },
	{ "encryption.allow", KIND_FLAG, false, AT(encryption.allow), "true", judge_flag },
	{ "encryption.require", KIND_FLAG, false, AT(encryption.require), "false", judge_flag },
	{ "encryption.trust", KIND_TEXT, false, AT(encryption.trust), "cross-signed", judge_trust },
	{ "media", KIND_LATER, false, 0, NULL, NULL },
	{ "limits.ghosts", KIND_COUNT, false, AT(limits.ghosts), "200", judge_count },
	{ "limits.idle", KIND_SPAN, false, AT(limits.idle_hours), "14d", judge_idle },
	{ .name = NULL },
};

const struct config_row config_registration_rows[] = {
	{ "id", KIND_TEXT, true, AT(registration.id), NULL, NULL },
	{ "url", KIND_TEXT, true, AT(registration.url), NULL, NULL },
	{ "as_token", KIND_TEXT, true, AT(registration.as_token), NULL, NULL },
	{ "hs_token", KIND_TEXT, true, AT(registration.hs_token), NULL, NULL },
	{ "sender_localpart", KIND_TEXT, true, AT(registration.sender_localpart), NULL, NULL },
	{ .name = NULL },
};

/* ---- search ---- */

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

static bool
is_in_group(const struct config_row *row)
{
	return str_starts(row->name, "groups.*");
}

bool
config_keys_nearest(const char *section, const char *key, char *out, size_t size)
{
	size_t length = strlen(section);
	unsigned best = 4;

	*out = '\0';
	for (const struct config_row *row = config_rows; row->name; row++) {
		if (!str_starts(row->name, section) || row->kind == KIND_LATER)
			continue;
		const char *rest = row->name + length;
		AUTO_FREE char *name = xstrndup(rest, strcspn(rest, "."));
		if (!str_equal(name, "*") && is_nearer(name, key, &best))
			snprintf(out, size, "%s", name);
	}
	best = *out ? 0 : 3;
	for (const struct config_row *row = config_rows; row->name; row++)
		if (row->kind != KIND_LATER && !is_in_group(row) && is_nearer(leaf_of(row->name), key, &best))
			snprintf(out, size, "%s", row->name);
	return *out;
}

const struct config_row *
config_keys_find(const char *section, const char *key)
{
	size_t length = strlen(section);

	/* A dotted key is none of ours: "groups.*.matrix" would have its place in another struct. */
	for (const struct config_row *row = config_rows; row->name && !strchr(key, '.'); row++)
		if (str_starts(row->name, section) && str_equal(row->name + length, key))
			return row;
	return NULL;
}

bool
config_keys_is_section(const char *name)
{
	for (const struct config_row *row = config_rows; row->name; row++)
		if (str_starts(row->name, name))
			return true;
	return false;
}

const char *
config_key(size_t index)
{
	size_t known = 0;

	for (const struct config_row *row = config_rows; row->name; row++)
		if (row->kind != KIND_LATER && known++ == index)
			return row->name;
	return NULL;
}

/* ---- values in their places ---- */

char **
config_keys_text(const struct config_row *row, void *base)
{
	bool text = row->kind == KIND_TEXT || row->kind == KIND_PATH || row->kind == KIND_URL;

	return text ? (char **)(void *)((char *)base + row->offset) : NULL;
}

static char *
make_text(enum config_kind kind, const char *text, const char *directory)
{
	size_t length = strlen(text);

	while (kind == KIND_URL && length && text[length - 1] == '/')
		length--;
	return xasprintf("%s%.*s", kind == KIND_PATH && *text != '/' ? directory : "", (int)length, text);
}

void
config_keys_set(const struct config_row *row, const char *text, const char *directory, void *base)
{
	void *at = (char *)base + row->offset;

	switch (row->kind) {
	case KIND_TEXT:
	case KIND_PATH:
	case KIND_URL:
		free(*(char **)at);
		*(char **)at = make_text(row->kind, text, directory);
		break;
	case KIND_PORT:
		*(uint16_t *)at = (uint16_t)number_of(text, "");
		break;
	case KIND_COUNT:
		*(unsigned *)at = number_of(text, "");
		break;
	case KIND_SPAN:
		*(unsigned *)at = hours_of(text);
		break;
	case KIND_FLAG:
		*(bool *)at = str_equal(text, "true");
		break;
	case KIND_PEOPLE:
	case KIND_GROUPS:
	case KIND_LATER:
		break;
	}
}

bool
config_keys_same(const struct config_row *row, const void *one, const void *other)
{
	const void *a = (const char *)one + row->offset, *b = (const char *)other + row->offset;

	switch (row->kind) {
	case KIND_TEXT:
	case KIND_PATH:
	case KIND_URL:
		return str_equal(*(char *const *)a, *(char *const *)b);
	case KIND_PORT:
		return *(const uint16_t *)a == *(const uint16_t *)b;
	case KIND_COUNT:
	case KIND_SPAN:
		return *(const unsigned *)a == *(const unsigned *)b;
	case KIND_FLAG:
		return *(const bool *)a == *(const bool *)b;
	case KIND_PEOPLE:
	case KIND_GROUPS:
	case KIND_LATER:
		break;
	}
	return true;
}

void
config_keys_free(void *base, bool group)
{
	for (const struct config_row *row = config_rows; row->name; row++)
		if (is_in_group(row) == group && config_keys_text(row, base))
			free(*config_keys_text(row, base));
}
