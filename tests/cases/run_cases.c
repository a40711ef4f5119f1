/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plays the case files given as arguments (format: README.md beside this file)
 * against rules/ and prints TAP. The runner keeps the held messages of a story
 * as the bridge would; every decision in it is the library's.
 */
#include "rules/rules.h"
#include "../unit/rules_fixture.h"

#include <ctype.h>
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 4096
#define HELD_MAX 64

struct held {
	char sender[128], text[TEXT_MAX];
	int64_t due_ms;
};

struct story {
	const char *file;
	int line;
	const char *p; /* the rest of the line at hand */
	char site[TEXT_MAX], charter[TEXT_MAX];
	struct rules *rules;
	int64_t now_ms;
	struct verdict verdict; /* of the last message */
	struct held held[HELD_MAX];
	size_t held_count;
};

static unsigned tests, failures;

static void result(const struct story *story, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* NULL format: good. */
static void
result(const struct story *story, const char *format, ...)
{
	const char *name = strrchr(story->file, '/') ? strrchr(story->file, '/') + 1 : story->file;
	va_list args;

	tests++;
	printf("%sok %u - %s:%d\n", format ? "not " : "", tests, name, story->line);
	if (!format)
		return;
	failures++;
	va_start(args, format);
	printf("# ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
}

static void
stop(const struct story *story, const char *why)
{
	printf("Bail out! %s:%d: %s at: %s\n", story->file, story->line, why, story->p);
	exit(1);
}

/* ---- reading a line ---- */

static void
skip_blanks(struct story *story)
{
	while (*story->p == ' ' || *story->p == '\t')
		story->p++;
}

/* Takes these words when they are next. */
static bool
take(struct story *story, const char *words)
{
	size_t n = strlen(words);

	skip_blanks(story);
	if (strncmp(story->p, words, n) != 0)
		return false;
	if (isalnum((unsigned char)words[n - 1]) && (isalnum((unsigned char)story->p[n]) || story->p[n] == '-'))
		return false;
	story->p += n;
	return true;
}

static void
take_word(struct story *story, char *out, size_t size)
{
	size_t n = 0;

	skip_blanks(story);
	while (*story->p && !strchr(" \t,()\"", *story->p) && n + 1 < size)
		out[n++] = *story->p++;
	out[n] = '\0';
	if (n == 0)
		stop(story, "a word is missing");
}

static void
take_quoted(struct story *story, char *out, size_t size)
{
	size_t n = 0;

	if (!take(story, "\""))
		stop(story, "a quoted text is missing");
	while (*story->p && *story->p != '"' && n + 1 < size) {
		char hex[3] = "";

		if (*story->p != '\\') {
			out[n++] = *story->p++;
			continue;
		}
		story->p++;
		if (*story->p == 'x') {
			memcpy(hex, story->p + 1, 2);
			out[n++] = (char)strtoul(hex, NULL, 16);
			story->p += 3;
		} else {
			out[n++] = (char)(*story->p == 'n' ? '\n' : *story->p);
			story->p++;
		}
	}
	out[n] = '\0';
	if (*story->p++ != '"')
		stop(story, "a quote is not closed");
}

/* "2026-10-16 19:04[:05] [+02:00]" */
static bool
take_instant(struct story *story, int64_t *at_ms)
{
	struct civil c = { 0 };
	int used = 0, more = 0, hours, minutes;
	char sign[2];

	skip_blanks(story);
	if (sscanf(story->p, "%4d-%2d-%2d %2d:%2d%n", &c.year, &c.month, &c.day, &c.hour, &c.minute, &used) < 5 || used == 0)
		return false;
	story->p += used;
	if (sscanf(story->p, ":%2d%n", &c.second, &more) == 1)
		story->p += more;
	more = 0;
	if (sscanf(story->p, " %1[+-]%2d:%2d%n", sign, &hours, &minutes, &more) == 3 && more > 0) {
		story->p += more;
		*at_ms = zone_from_civil(NULL, &c) - (sign[0] == '-' ? -1 : 1) * (hours * 60 + minutes) * 60000;
	} else {
		*at_ms = zone_from_civil(fixture_last_zone(), &c);
	}
	return true;
}

/* ---- what happened, in the words of a case ---- */

static void
say_time(const struct rules *rules, int64_t at_ms, char *out, size_t size)
{
	struct civil c;

	(void)rules;
	zone_to_civil(fixture_last_zone(), at_ms, &c);
	snprintf(out, size, "%04d-%02d-%02d %02d:%02d", c.year, c.month, c.day, c.hour, c.minute);
}

static void
append(char *out, size_t size, const char *format, const char *a, const char *b)
{
	size_t n = strlen(out);

	if (n > 0)
		n += (size_t)snprintf(out + n, size - n, ", ");
	/* two places, each a string: the formats are all in this file */
	for (const char *p = format; *p && n + 1 < size; p++) {
		if (*p == '%') {
			n += (size_t)snprintf(out + n, size - n, "%s", a);
			a = b;
			if (n >= size)
				n = size - 1;
		} else {
			out[n++] = *p;
			out[n] = '\0';
		}
	}
}

/* The verdict in the order of the stages; what no rule decided is left out, but for the timing. */
static void
describe(const struct story *story, const struct verdict *v, char *out, size_t size)
{
	const struct stage_verdict *admission = &v->stage[STAGE_ADMISSION], *routing = &v->stage[STAGE_ROUTING],
			*timing = &v->stage[STAGE_TIMING];
	static const char *const routes[] = {
		[ACTION_HERE] = "here by %", [ACTION_COPY] = "copied to % by %", [ACTION_MOVE] = "moved to % by %",
		[ACTION_SUGGEST] = "shown % by %",
	};
	char due[64];

	out[0] = '\0';
	say_time(story->rules, v->due_ms == INT64_MAX ? 0 : v->due_ms, due, sizeof(due));
	if (admission->rule)
		append(out, size, admission->action == ACTION_REJECT ? "refused % by %" : "passed by %",
				admission->action == ACTION_REJECT ? v->reason : admission->name, admission->name);
	if (routing->rule)
		append(out, size, routes[routing->action], routing->action == ACTION_HERE ? routing->name : v->target,
				routing->name);
	if (timing->action == ACTION_HOLD && v->due_ms == INT64_MAX)
		append(out, size, "held for the moderators by %", timing->name, "");
	else if (timing->action == ACTION_HOLD)
		append(out, size, "held until % by %", due, timing->name);
	else if (timing->action == ACTION_DIGEST)
		append(out, size, "in the digest of % by %", due, timing->name);
	else if (timing->rule)
		append(out, size, "delivered by %", timing->name, "");
	else if (out[0] == '\0')
		append(out, size, "delivered", "", "");
	if (timing->action == ACTION_HOLD && !v->notice)
		append(out, size, "without notice", "", "");
	for (int i = 0; i < STAGE_COUNT; i++) {
		if (v->observed[i].rule)
			append(out, size, "observed by %", v->observed[i].name, "");
	}
}

/* ---- the lines of a timeline ---- */

static void
hold(struct story *story, const char *sender, const char *text)
{
	struct held *held = &story->held[story->held_count];

	if (story->verdict.stage[STAGE_TIMING].action != ACTION_HOLD)
		return;
	if (story->held_count == HELD_MAX)
		stop(story, "too many held messages");
	snprintf(held->sender, sizeof(held->sender), "%s", sender);
	snprintf(held->text, sizeof(held->text), "%s", text);
	held->due_ms = story->verdict.due_ms;
	story->held_count++;
}

static void
judge(struct story *story, const char *sender, const char *text, const char *flags)
{
	struct message message = { NETWORK_MATRIX, MESSAGE_TEXT, sender, text };
	struct facts facts = { strstr(flags, "moderator") != NULL };

	if (strstr(flags, "xmpp"))
		message.network = NETWORK_XMPP;
	if (strstr(flags, "notice"))
		message.kind = MESSAGE_NOTICE;
	if (strstr(flags, "media"))
		message.kind = MESSAGE_MEDIA;
	if (strstr(flags, "emote"))
		message.kind = MESSAGE_EMOTE;
	rules_judge(story->rules, &message, &facts, story->now_ms, &story->verdict);
}

static void
check_says(struct story *story, bool whole)
{
	bool french = take(story, "fr");
	char wanted[TEXT_MAX], said[TEXT_MAX], *out = said;

	if (!french && !take(story, "en"))
		stop(story, "en or fr");
	take_quoted(story, wanted, sizeof(wanted));
	rules_say_verdict(story->rules, &story->verdict, story->now_ms, french ? fixture_french() : fixture_english(), said,
			sizeof(said));
	if (whole)
		said[strcspn(said, "\n")] = '\0';
	for (const char *p = said; *p; p++) {
		bool space = strncmp(p, "\xC2\xA0", 2) == 0;

		*out++ = space ? '~' : *p;
		p += space;
	}
	*out = '\0';
	if (whole ? strcmp(said, wanted) == 0 : strstr(said, wanted) != NULL)
		result(story, NULL);
	else
		result(story, "said: %s", said);
}

static void
check_verdict(struct story *story)
{
	char wanted[TEXT_MAX], got[TEXT_MAX];
	size_t n;

	skip_blanks(story);
	snprintf(wanted, sizeof(wanted), "%s", story->p);
	n = strlen(wanted);
	while (n > 0 && isspace((unsigned char)wanted[n - 1]))
		wanted[--n] = '\0';
	describe(story, &story->verdict, got, sizeof(got));
	if (strcmp(wanted, got) == 0)
		result(story, NULL);
	else
		result(story, "expected: %s\n#      got: %s", wanted, got);
}

static void
play_message(struct story *story)
{
	char sender[128], text[TEXT_MAX], flags[128] = "";

	take_word(story, sender, sizeof(sender));
	if (take(story, "edits")) {
		char old[TEXT_MAX];

		take_quoted(story, old, sizeof(old));
		if (!take(story, "to"))
			stop(story, "to");
		take_quoted(story, text, sizeof(text));
		for (size_t i = 0; i < story->held_count; i++) {
			struct held *held = &story->held[i];
			int64_t due = held->due_ms;

			if (strcmp(held->sender, sender) != 0 || strcmp(held->text, old) != 0)
				continue;
			judge(story, sender, text, "");
			snprintf(held->text, sizeof(held->text), "%s", text);
			if (story->verdict.stage[STAGE_ADMISSION].action == ACTION_REJECT)
				*held = story->held[--story->held_count];
			story->verdict.due_ms = due;
		}
	} else {
		if (take(story, "(")) {
			size_t n = 0;

			while (*story->p && *story->p != ')' && n + 1 < sizeof(flags))
				flags[n++] = *story->p++;
			flags[n] = '\0';
			if (!take(story, ")"))
				stop(story, ")");
		}
		take_quoted(story, text, sizeof(text));
		judge(story, sender, text, flags);
		hold(story, sender, text);
	}
	if (take(story, "->"))
		check_verdict(story);
}

static void
check_instant(struct story *story, int64_t got)
{
	int64_t wanted;
	char said[64] = "never";

	if (take(story, "never")) {
		wanted = INT64_MAX;
	} else if (!take_instant(story, &wanted)) {
		stop(story, "a time is missing");
		return;
	}
	if (got != INT64_MAX)
		say_time(story->rules, got, said, sizeof(said));
	if (got == wanted)
		result(story, NULL);
	else
		result(story, "got %s", said);
}

static void
check_delivers(struct story *story)
{
	char text[TEXT_MAX] = "", sender[128] = "";
	size_t due = 0;
	bool nothing = take(story, "nothing"), found = false;

	if (!nothing) {
		take_quoted(story, text, sizeof(text));
		if (!take(story, "from"))
			stop(story, "from");
		take_word(story, sender, sizeof(sender));
	}
	for (size_t i = 0; i < story->held_count; i++) {
		bool now = story->held[i].due_ms == story->now_ms;

		due += now;
		found = found || (now && strcmp(story->held[i].text, text) == 0 && strcmp(story->held[i].sender, sender) == 0);
	}
	if (nothing ? due == 0 : found)
		result(story, NULL);
	else
		result(story, "%zu messages are due", due);
}

static void
check_moment(struct story *story)
{
	bool open = rules_is_open(story->rules, story->now_ms);
	char key[24], wanted[24];
	int64_t slot;

	if (take(story, "opens")) {
		check_instant(story, rules_next_opening(story->rules, story->now_ms));
	} else if (take(story, "closes")) {
		check_instant(story, open ? rules_next_change(story->rules, story->now_ms) : INT64_MIN);
	} else if (take(story, "open")) {
		result(story, open ? NULL : "it is closed");
	} else if (take(story, "closed")) {
		result(story, open ? "it is open" : NULL);
	} else if (take(story, "slot")) {
		slot = rules_next_slot(story->rules, story->now_ms, key, sizeof(key));
		take_word(story, wanted, sizeof(wanted));
		if (!take(story, "at"))
			stop(story, "at");
		if (strcmp(key, wanted) != 0)
			result(story, "slot %s", key);
		else
			check_instant(story, slot);
	} else if (take(story, "delivers")) {
		check_delivers(story);
	} else if (take(story, "says")) {
		check_says(story, true);
	} else if (take(story, "why")) {
		check_says(story, false);
	} else {
		stop(story, "what should be?");
	}
}

/* ---- blocks ---- */

static void
begin_story(struct story *story)
{
	char text[3 * TEXT_MAX];

	fixture_free(story->rules);
	snprintf(text, sizeof(text), "%s%s", story->charter, story->site);
	story->rules = fixture_rules(text);
	if (!story->rules)
		stop(story, "the charter above does not parse");
	story->held_count = 0;
}

/* `} -> 2:17 "..."` */
static void
check_broken(struct story *story, const char *charter)
{
	char wanted[TEXT_MAX];
	struct complaint why;
	struct rules *rules;
	int line, column, used = 0;

	if (!take(story, "->"))
		stop(story, "->");
	skip_blanks(story);
	if (sscanf(story->p, "%d:%d%n", &line, &column, &used) != 2)
		stop(story, "LINE:COLUMN");
	story->p += used;
	take_quoted(story, wanted, sizeof(wanted));
	if (rules_parse(&rules, charter, strlen(charter), &why) == 0) {
		rules_free(rules);
		result(story, "it parses");
	} else if (why.line - 1 != line || why.column != column || !strstr(why.text, wanted)) {
		result(story, "%d:%d \"%s\"", why.line - 1, why.column, why.text);
	} else {
		result(story, NULL);
	}
}

/* Reads to the closing brace. Returns the rest of the file. */
static const char *
read_block(struct story *story, const char *next, const char *head, char *out, size_t size)
{
	size_t n = (size_t)snprintf(out, size, "%s\n", head);

	while (*next) {
		size_t length = strcspn(next, "\n");

		story->line++;
		story->p = next;
		next += length + (next[length] == '\n');
		n += (size_t)snprintf(out + n, size - n, "%.*s\n", *story->p == '}' ? 1 : (int)length, story->p);
		if (n >= size)
			stop(story, "the block is too long");
		if (*story->p++ == '}')
			return next;
	}
	stop(story, "the block has no end");
	return next;
}

static const char *
play_line(struct story *story, const char *next)
{
	char broken[TEXT_MAX];

	if (take(story, "site {")) {
		next = read_block(story, next, "site {", story->site, sizeof(story->site));
	} else if (take(story, "charter {")) {
		next = read_block(story, next, "group \"case\" {", story->charter, sizeof(story->charter));
		begin_story(story);
	} else if (take(story, "broken charter {")) {
		next = read_block(story, next, "group \"case\" {", broken, sizeof(broken));
		check_broken(story, broken);
	} else if (take(story, "->")) {
		check_moment(story);
	} else if (take_instant(story, &story->now_ms)) {
		if (take(story, "->"))
			check_moment(story);
		else
			play_message(story);
	} else {
		stop(story, "neither a charter nor a time");
	}
	return next;
}

static void
play_file(const char *path)
{
	static struct story story;
	size_t size;
	char *text = fixture_read(path, &size), *line = NULL;
	unsigned before = tests;

	memset(&story, 0, sizeof(story));
	story.file = path;
	if (!text)
		stop(&story, "cannot be read");
	for (const char *next = text; next && *next;) {
		size_t length = strcspn(next, "\n"), blank;

		free(line);
		line = malloc(length + 4);
		if (!line)
			abort();
		memcpy(line, next, length);
		memset(line + length, 0, 4);
		next += length + (next[length] == '\n');
		story.line++;
		story.p = line;
		blank = strspn(line, " \t");
		if (line[blank] != '\0' && line[blank] != '#')
			next = play_line(&story, next);
	}
	if (tests == before)
		stop(&story, "a file without a test");
	fixture_free(story.rules);
	free(line);
	free(text);
}

static int
is_case(const struct dirent *entry)
{
	size_t n = strlen(entry->d_name);

	return n > 5 && strcmp(entry->d_name + n - 5, ".case") == 0;
}

/* Without arguments: every case of the source tree. */
static void
play_all(void)
{
	struct dirent **entries;
	char directory[1024], path[2048];
	int count;

	snprintf(directory, sizeof(directory), "%s", fixture_source("tests/cases"));
	count = scandir(directory, &entries, is_case, alphasort);
	if (count <= 0) {
		printf("Bail out! no cases in %s\n", directory);
		exit(1);
	}
	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, entries[i]->d_name);
		play_file(path);
		free(entries[i]);
	}
	free(entries);
}

int
main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		play_file(argv[i]);
	if (argc == 1)
		play_all();
	printf("1..%u\n", tests);
	return failures > 0;
}
