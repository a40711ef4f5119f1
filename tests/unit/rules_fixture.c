/* SPDX-License-Identifier: Apache-2.0 */
#include "rules_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CATALOGUE_MAX 2000

struct entry {
	char *msgid, *msgstr;
	bool fuzzy;
};

static struct entry entries[CATALOGUE_MAX];
static size_t entry_count;
static struct zone *last_zone;
static struct rules *last_rules;

char *
fixture_read(const char *path, size_t *size)
{
	FILE *file = fopen(path, "rb");
	char *bytes = NULL;
	size_t room = 1 << 16, n = 0, got;

	if (!file)
		return NULL;
	do {
		room *= 2;
		bytes = realloc(bytes, room + 1);
		if (!bytes)
			abort();
		got = fread(bytes + n, 1, room - n, file);
		n += got;
	} while (n == room);
	bytes[n] = '\0';
	fclose(file);
	*size = n;
	return bytes;
}

struct zone *
fixture_zone(const char *name)
{
	char path[256];
	size_t size;
	char *bytes;
	struct zone *zone = NULL;

	snprintf(path, sizeof(path), ZONEINFO "%s", name);
	bytes = fixture_read(path, &size);
	if (bytes && zone_parse(&zone, bytes, size) != 0)
		zone = NULL;
	free(bytes);
	return zone;
}

struct rules *
fixture_rules(const char *text)
{
	struct complaint why;
	struct rules *rules;

	if (rules_parse(&rules, text, strlen(text), &why) != 0) {
		fprintf(stderr, "charter:%d:%d: %s\n", why.line, why.column, why.text);
		return NULL;
	}
	zone_free(last_zone);
	last_zone = fixture_zone(rules_zone_name(rules));
	rules_set_zone(rules, last_zone);
	last_rules = rules;
	return rules;
}

void
fixture_free(struct rules *rules)
{
	rules_free(rules);
	if (rules == last_rules) {
		zone_free(last_zone);
		last_zone = NULL;
		last_rules = NULL;
	}
}

int64_t
fixture_local(const struct zone *zone, const char *text)
{
	struct civil civil = { 0 };

	if (sscanf(text, "%d-%d-%d %d:%d:%d", &civil.year, &civil.month, &civil.day, &civil.hour, &civil.minute,
			&civil.second) < 5)
		abort();
	return zone_from_civil(zone, &civil);
}

int64_t
fixture_at(const char *text)
{
	return fixture_local(last_zone, text);
}

int64_t
fixture_utc(const char *text)
{
	return fixture_local(NULL, text);
}

const struct zone *
fixture_last_zone(void)
{
	return last_zone;
}

const char *
fixture_words(void *context, const char *msgid)
{
	static char buffers[32][256];
	static unsigned turn;
	char *out = buffers[turn++ % 32];

	(void)context;
	snprintf(out, sizeof(buffers[0]), "<%s>", msgid);
	return out;
}

const char *
fixture_source(const char *path)
{
	static char out[1024];
	const char *top = getenv("top_srcdir");

	snprintf(out, sizeof(out), "%s/%s", top ? top : ".", path);
	return out;
}

/* ---- fr.po ---- */

static char **
string_at(char **line, char **target)
{
	/* appends the quoted text of the line, escapes undone */
	char *p = strchr(*line, '"'), *out;
	size_t n = *target ? strlen(*target) : 0;

	*target = realloc(*target, n + strlen(*line) + 1);
	if (!*target || !p)
		abort();
	out = *target + n;
	for (p++; *p && *p != '"'; p++) {
		if (*p == '\\' && p[1]) {
			p++;
			*out++ = (char)(*p == 'n' ? '\n' : *p == 't' ? '\t' : *p);
		} else {
			*out++ = *p;
		}
	}
	*out = '\0';
	return target;
}

static void
read_catalogue(void)
{
	size_t size;
	char *text = fixture_read(fixture_source("packaging/po/fr.po"), &size), *line, *next;
	char **target = NULL;
	bool fuzzy = false;

	if (!text) {
		fprintf(stderr, "# no packaging/po/fr.po\n");
		abort();
	}
	for (line = text; line && *line; line = next) {
		struct entry *entry = &entries[entry_count];

		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (strncmp(line, "#,", 2) == 0 && strstr(line, "fuzzy"))
			fuzzy = true;
		if (strncmp(line, "msgid ", 6) == 0) {
			if (entry_count + 1 == CATALOGUE_MAX)
				abort();
			entry = &entries[entry_count++];
			entry->fuzzy = fuzzy;
			fuzzy = false;
			target = string_at(&line, &entry->msgid);
		} else if (strncmp(line, "msgstr", 6) == 0 && entry_count > 0) {
			target = string_at(&line, &entries[entry_count - 1].msgstr);
		} else if (line[0] == '"' && target) {
			string_at(&line, target);
		} else {
			target = NULL;
		}
	}
	free(text);
}

static const struct entry *
find_entry(const char *msgid)
{
	if (entry_count == 0)
		read_catalogue();
	for (size_t i = 0; i < entry_count; i++) {
		if (strcmp(entries[i].msgid, msgid) == 0)
			return &entries[i];
	}
	return NULL;
}

/* NULL when there is none that counts. */
static const char *
translation_of(const char *msgid)
{
	const struct entry *entry = find_entry(msgid);

	return entry && !entry->fuzzy && entry->msgstr && *entry->msgstr ? entry->msgstr : NULL;
}

bool
fixture_is_translated(const char *msgid)
{
	return translation_of(msgid) != NULL;
}

static const char *
french_words(void *context, const char *msgid)
{
	const char *french = translation_of(msgid);

	(void)context;
	return french ? french : msgid;
}

const struct rules_speech *
fixture_french(void)
{
	static const struct rules_speech speech = { french_words, NULL, true };

	return &speech;
}

const struct rules_speech *
fixture_english(void)
{
	static const struct rules_speech speech = { NULL, NULL, false };

	return &speech;
}
