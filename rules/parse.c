/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recursive descent over statements, one token ahead, no backtracking. This file
 * holds blocks and settings; a rule line is parse_rule.c's. A setting is one
 * entry of a table: its keyword, the blocks it may stand in, its parser.
 *
 * Invariant: what is accepted acts. A word of a later release is refused with
 * "not yet", an unknown one is refused, both with their place; nothing is skipped.
 */

#include "parse.h"

#include "fold.h"
#include "rules.h"
#include "say.h"
#include "zone.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- shared with parse_rule.c ---- */

/* A character that was cut in two at the end of a text falls away. */
static void
trim_character(char *text)
{
	size_t n = strlen(text), back = 1, need;
	unsigned char first;

	while (back < 4 && back < n && ((unsigned char)text[n - back] & 0xC0) == 0x80)
		back++;
	if (n == 0)
		return;
	first = (unsigned char)text[n - back];
	need = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC0 ? 2 : 1;
	if (back < need)
		text[n - back] = '\0';
}

bool
parse_fail(struct parser *parser, const struct token *place, const char *format, ...)
{
	va_list args;

	if (parser->result != 0)
		return false;
	parser->result = RULES_E_SYNTAX;
	parser->why->line = place->line;
	parser->why->column = place->column;
	va_start(args, format);
	vsnprintf(parser->why->text, sizeof(parser->why->text), format, args);
	va_end(args);
	va_start(args, format);
	complain_keep(parser->why, format, args);
	va_end(args);
	trim_character(parser->why->text);
	return false;
}

bool
parse_no_memory(struct parser *parser)
{
	if (parser->result == 0)
		parser->result = -ENOMEM;
	return false;
}

/* How a token is quoted in a complaint: short, and never half a character. */
struct quoted {
	char text[64];
};

static struct quoted
quote(const struct token *token)
{
	static const char *const names[] = {
		[TOKEN_EOF] = N_("the end of the text"), [TOKEN_END] = N_("the end of the line"), [TOKEN_OPEN] = "\"{\"",
		[TOKEN_CLOSE] = "\"}\"", [TOKEN_LEFT] = "\"(\"", [TOKEN_RIGHT] = "\")\"", [TOKEN_COMMA] = "\",\"",
		[TOKEN_COLON] = "\":\"", [TOKEN_ARROW] = "\"->\"", [TOKEN_STRING] = N_("a quoted text"), [TOKEN_BAD] = "",
	};
	struct quoted out;

	if (token->kind != TOKEN_WORD && token->kind != TOKEN_COMPARE) {
		snprintf(out.text, sizeof(out.text), "%s", names[token->kind]);
	} else {
		char word[41];
		size_t size = token->size < sizeof(word) ? token->size : sizeof(word) - 1;

		memcpy(word, token->p, size);
		word[size] = '\0';
		trim_character(word);
		snprintf(out.text, sizeof(out.text), "\"%s\"", word);
	}
	return out;
}

bool
parse_unexpected(struct parser *parser, const char *expected)
{
	const struct token *token = &parser->token;

	if (parser->result == 0)
		parser->why->own_words = true;
	if (token->kind == TOKEN_BAD)
		return parse_fail(parser, token, "%s", parser->lexer.bad);
	if (token->keyword == KEY_LATER)
		return parse_fail(parser, token, N_("not yet: %s belongs to a later release"), quote(token).text);
	return parse_fail(parser, token, N_("expected %s, not %s"), expected, quote(token).text);
}

void
parse_next(struct parser *parser)
{
	parser->token = lex_next(&parser->lexer);
}

bool
parse_is_key(const struct parser *parser, enum keyword keyword)
{
	return parser->token.kind == TOKEN_WORD && parser->token.keyword == keyword;
}

bool
parse_is_end(const struct parser *parser)
{
	enum token_kind kind = parser->token.kind;

	return kind == TOKEN_END || kind == TOKEN_EOF || kind == TOKEN_CLOSE;
}

bool
parse_take(struct parser *parser, enum token_kind kind)
{
	if (parser->token.kind != kind)
		return false;
	parse_next(parser);
	return true;
}

bool
parse_take_key(struct parser *parser, enum keyword keyword)
{
	if (!parse_is_key(parser, keyword))
		return false;
	parse_next(parser);
	return true;
}

const char *
parse_keep(struct parser *parser, const struct token *token, size_t max)
{
	char *text;
	size_t n = 0;

	if (token->size > max)
		parse_fail(parser, token, "this is longer than %zu bytes", max);
	if (token->size == 0)
		parse_fail(parser, token, "this is empty");
	if (parser->result != 0)
		return NULL;
	text = syntax_keep(parser->rules, token->size + 1);
	if (!text) {
		parse_no_memory(parser);
		return NULL;
	}
	for (size_t i = 0; i < token->size; i++) {
		if (token->kind == TOKEN_STRING && token->p[i] == '\\' && i + 1 < token->size)
			i++;
		text[n++] = token->p[i];
	}
	return text;
}

const char *
parse_string(struct parser *parser, const char *expected, size_t max)
{
	const char *text;

	if (parser->token.kind != TOKEN_STRING) {
		parse_unexpected(parser, expected);
		return NULL;
	}
	text = parse_keep(parser, &parser->token, max);
	parse_next(parser);
	return text;
}

const char *
parse_name(struct parser *parser, const char *expected)
{
	const char *text;

	if (parser->token.kind != TOKEN_STRING && parser->token.kind != TOKEN_WORD) {
		parse_unexpected(parser, expected);
		return NULL;
	}
	text = parse_keep(parser, &parser->token, RULES_NAME_MAX);
	parse_next(parser);
	return text;
}

/* A tag may be written with its '#' when it is quoted. */
bool
parse_pattern(struct parser *parser, struct pattern *pattern, bool tag)
{
	struct token place = parser->token;
	const char *text;
	int r;

	text = tag ? parse_name(parser, "a tag") : parse_string(parser, "a word in quotes", RULES_STRING_MAX);
	if (!text)
		return false;
	if (tag && *text == '#')
		text++;
	pattern->text = text;
	pattern->tag = tag;
	r = tag ? words_add_tag(parser->rules->words, text, strlen(text), &pattern->id)
			: words_add(parser->rules->words, text, strlen(text), &pattern->id);
	if (r == WORDS_E_EMPTY)
		return parse_fail(parser, &place, "nothing here can be looked for");
	if (r == WORDS_E_FULL)
		return parse_fail(parser, &place, "more than %d different words and tags", RULES_PATTERNS_MAX);
	return r == 0 || parse_no_memory(parser);
}

bool
parse_patterns(struct parser *parser, bool tags, struct pattern **out, size_t *count)
{
	struct pattern list[RULES_WORDS_MAX];
	size_t n = 0;

	for (;;) {
		struct token place = parser->token;
		bool tag = tags && parse_take_key(parser, KEY_TAG);

		if (!tag && parser->token.kind != TOKEN_STRING)
			break;
		if (n == RULES_WORDS_MAX)
			return parse_fail(parser, &place, "more than %d words", RULES_WORDS_MAX);
		if (!parse_pattern(parser, &list[n++], tag))
			return false;
	}
	if (n == 0)
		return parse_unexpected(parser, tags ? "a word in quotes, or tag and its name" : "a word in quotes");
	*out = syntax_keep(parser->rules, n * sizeof(**out));
	if (!*out)
		return parse_no_memory(parser);
	memcpy(*out, list, n * sizeof(**out));
	*count = n;
	return true;
}

/* ---- pieces of words: days, times, dates ---- */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Exactly the digits of `size` bytes. */
static bool
read_digits(const char *p, size_t size, int *out)
{
	*out = 0;
	for (size_t i = 0; i < size; i++) {
		if (!is_digit(p[i]))
			return false;
		*out = *out * 10 + (p[i] - '0');
	}
	return size > 0 && size < 9;
}

bool
parse_date_text(const char *p, size_t size, int64_t *days)
{
	int year, month, day;
	struct civil back;

	if (size != 10 || p[4] != '-' || p[7] != '-' || !read_digits(p, 4, &year) || !read_digits(p + 5, 2, &month)
			|| !read_digits(p + 8, 2, &day))
		return false;
	*days = zone_days(year, month, day);
	zone_date(*days, &back);
	return back.year == year && back.month == month && back.day == day;
}

/* "8:30", "08:30", "24:00", "9h", "9h30": minutes after midnight. */
static bool
read_time(const char *p, size_t size, int *minutes)
{
	size_t hours = 0, separator;
	int h, m = 0;

	while (hours < size && is_digit(p[hours]))
		hours++;
	if (hours == 0 || hours > 2 || hours == size || !read_digits(p, hours, &h))
		return false;
	separator = hours + 1;
	if (p[hours] != ':' && p[hours] != 'h' && p[hours] != 'H')
		return false;
	if (separator < size || p[hours] == ':') {
		if (size - separator != 2 || !read_digits(p + separator, 2, &m))
			return false;
	}
	*minutes = h * 60 + m;
	return h <= 24 && m < 60 && *minutes <= 24 * 60;
}

static bool
read_day(const char *p, size_t size, int *day)
{
	static const struct {
		const char *text;
		int day;
	} names[] = {
		{ "mon", 0 }, { "tue", 1 }, { "wed", 2 }, { "thu", 3 }, { "fri", 4 }, { "sat", 5 }, { "sun", 6 },
		{ "lun", 0 }, { "mar", 1 }, { "mer", 2 }, { "jeu", 3 }, { "ven", 4 }, { "sam", 5 }, { "dim", 6 },
		{ "monday", 0 }, { "tuesday", 1 }, { "wednesday", 2 }, { "thursday", 3 }, { "friday", 4 },
		{ "saturday", 5 }, { "sunday", 6 }, { "lundi", 0 }, { "mardi", 1 }, { "mercredi", 2 }, { "jeudi", 3 },
		{ "vendredi", 4 }, { "samedi", 5 }, { "dimanche", 6 },
	};
	char lower[12];

	if (size > 0 && p[size - 1] == '.')
		size--;
	if (size >= sizeof(lower))
		return false;
	for (size_t i = 0; i < size; i++)
		lower[i] = (char)(p[i] >= 'A' && p[i] <= 'Z' ? p[i] + ('a' - 'A') : p[i]);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strlen(names[i].text) == size && memcmp(names[i].text, lower, size) == 0) {
			*day = names[i].day;
			return true;
		}
	}
	return false;
}

/* "mon", or "fri-mon" which goes over Sunday. */
static bool
read_days(const char *p, size_t size, unsigned *days)
{
	const char *dash = memchr(p, '-', size);
	size_t first = dash ? (size_t)(dash - p) : size;
	int from, to;

	if (!read_day(p, first, &from))
		return false;
	to = from;
	if (dash && !read_day(dash + 1, size - first - 1, &to))
		return false;
	for (int day = from;; day = (day + 1) % 7) {
		*days |= 1u << day;
		if (day == to)
			return true;
	}
}

/* A part of the token at hand, to point into it. */
static struct token
part_of(const struct token *token, size_t offset)
{
	struct token part = *token;

	part.p += offset;
	part.size -= offset;
	part.column += (int)offset; /* what stands before it is digits and dashes */
	return part;
}

static bool
begins_with_digit(const struct parser *parser)
{
	return parser->token.kind == TOKEN_WORD && is_digit(parser->token.p[0]);
}

/* A list of days: "mon-wed,fri", "daily". */
static bool
parse_days(struct parser *parser, unsigned *days)
{
	*days = 0;
	if (parse_take_key(parser, KEY_DAILY)) {
		*days = 0x7F;
		return true;
	}
	do {
		if (parser->token.kind != TOKEN_WORD || !read_days(parser->token.p, parser->token.size, days))
			return parse_unexpected(parser, N_("days such as mon-fri or sat,sun or daily"));
		parse_next(parser);
	} while (parse_take(parser, TOKEN_COMMA));
	return true;
}

/* ---- settings ---- */

static bool
set_once(struct parser *parser, const struct token *place, bool already)
{
	return !already || parse_fail(parser, place, "%s is set twice", quote(place).text);
}

static bool
parse_tz(struct parser *parser, const struct token *key)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/";
	const struct token place = parser->token;
	const char *name;

	if (!set_once(parser, key, parser->block->tz != NULL))
		return false;
	name = parse_name(parser, "a time zone such as Europe/Paris");
	if (!name)
		return false;
	if (strspn(name, letters) != strlen(name) || *name == '/' || *name == '-')
		return parse_fail(parser, &place, "%s is not the name of a time zone, such as Europe/Paris", quote(&place).text);
	parser->block->tz = name;
	return true;
}

static bool
parse_language(struct parser *parser, const struct token *key)
{
	if (!set_once(parser, key, parser->block->language != NULL))
		return false;
	if (parser->token.size != 2 || (memcmp(parser->token.p, "en", 2) != 0 && memcmp(parser->token.p, "fr", 2) != 0))
		return parse_unexpected(parser, "en or fr");
	parser->block->language = parser->token.p[0] == 'e' ? "en" : "fr";
	parse_next(parser);
	return true;
}

static bool
read_window(struct parser *parser, struct window *window)
{
	const struct token *token = &parser->token;
	const char *dash = token->kind == TOKEN_WORD ? memchr(token->p, '-', token->size) : NULL;
	size_t first = dash ? (size_t)(dash - token->p) : token->size;
	struct token part;

	if (!dash || !begins_with_digit(parser))
		return parse_unexpected(parser, N_("hours such as 09:00-18:00"));
	if (!read_time(token->p, first, &window->start) || window->start == 24 * 60)
		return parse_fail(parser, token, N_("%s does not begin with a time of day"), quote(token).text);
	part = part_of(token, first + 1);
	if (!read_time(part.p, part.size, &window->end))
		return parse_fail(parser, &part, N_("%s does not end with a time of day"), quote(token).text);
	if (window->start == window->end || window->end == 0)
		return window->start != window->end
				|| parse_fail(parser, token, N_("%s is empty; the whole day is 00:00-24:00"), quote(token).text);
	return true;
}

/* All windows of one list of days. */
static bool
parse_windows(struct parser *parser, unsigned days, int *in_line)
{
	struct block *block = parser->block;

	do {
		struct window *window = &block->windows[block->window_count];

		if (block->window_count == RULES_WEEK_MAX || *in_line == RULES_WINDOWS_MAX)
			return parse_fail(parser, &parser->token, N_("more than %d windows of hours"),
					*in_line == RULES_WINDOWS_MAX ? RULES_WINDOWS_MAX : RULES_WEEK_MAX);
		window->days = days;
		if (!read_window(parser, window))
			return false;
		block->window_count++;
		++*in_line;
		parse_next(parser);
		parse_take(parser, TOKEN_COMMA);
	} while (begins_with_digit(parser));
	return true;
}

static bool
parse_hours(struct parser *parser, const struct token *key)
{
	int in_line = 0;
	unsigned days;

	if (parser->block->hours_set && parser->block->window_count == 0)
		return parse_fail(parser, key, N_("hours are already set to always"));
	parser->block->hours_set = true;
	if (parse_is_key(parser, KEY_ALWAYS)) {
		if (parser->block->window_count > 0)
			return parse_fail(parser, key, N_("hours are already set otherwise"));
		parse_next(parser);
		return true;
	}
	do {
		if (begins_with_digit(parser))
			return parse_unexpected(parser, N_("days before the hours, such as mon-fri or daily"));
		if (!parse_days(parser, &days) || !parse_windows(parser, days, &in_line))
			return false;
	} while (!parse_is_end(parser));
	return true;
}

static bool
parse_holidays(struct parser *parser, const struct token *key)
{
	static const struct {
		const char *text;
		enum holidays holidays;
	} names[] = {
		{ "fr", HOLIDAYS_FR }, { "fr-alsace-moselle", HOLIDAYS_FR_ALSACE_MOSELLE },
	};
	const struct token *token = &parser->token;

	if (!set_once(parser, key, parser->block->holidays != HOLIDAYS_UNSET))
		return false;
	if (token->kind == TOKEN_STRING)
		return parse_fail(parser, token, "not yet: files of holidays belong to a later release");
	if (parse_take_key(parser, KEY_NONE_WORD)) {
		parser->block->holidays = HOLIDAYS_NONE;
		return true;
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (token->kind == TOKEN_WORD && strlen(names[i].text) == token->size
				&& memcmp(names[i].text, token->p, token->size) == 0) {
			parser->block->holidays = names[i].holidays;
			parse_next(parser);
			return true;
		}
	}
	return parse_unexpected(parser, "fr, fr-alsace-moselle or none");
}

static bool
parse_closed(struct parser *parser, const struct token *key)
{
	struct block *block = parser->block;
	struct closure *closure = &block->closures[block->closure_count];
	const struct token token = parser->token;
	struct token second;

	if (block->closure_count == RULES_CLOSED_MAX)
		return parse_fail(parser, key, "more than %d closed periods", RULES_CLOSED_MAX);
	if (token.kind != TOKEN_WORD || !is_digit(token.p[0]))
		return parse_unexpected(parser, "dates such as 2026-12-24..2027-01-03");
	if (!parse_date_text(token.p, token.size < 10 ? token.size : 10, &closure->first))
		return parse_fail(parser, &token, "%s does not begin with a date such as 2026-12-24", quote(&token).text);
	closure->last = closure->first;
	if (token.size > 10) {
		second = part_of(&token, 10);
		if (second.size < 2 || memcmp(second.p, "..", 2) != 0)
			return parse_fail(parser, &second, "expected two dates with .. between them");
		second = part_of(&token, 12);
		if (!parse_date_text(second.p, second.size, &closure->last))
			return parse_fail(parser, &second, "%s is not a date such as 2027-01-03", quote(&second).text);
		if (closure->last < closure->first)
			return parse_fail(parser, &second, "the last day comes before the first");
	}
	parse_next(parser);
	if (parser->token.kind == TOKEN_STRING && !(closure->text = parse_string(parser, "", RULES_STRING_MAX)))
		return false;
	block->closure_count++;
	return true;
}

static bool
parse_bots(struct parser *parser, const struct token *key)
{
	struct block *block = parser->block;

	if (!block->bots)
		block->bots = syntax_keep(parser->rules, RULES_BOTS_MAX * sizeof(*block->bots));
	if (!block->bots)
		return parse_no_memory(parser);
	do {
		if (block->bot_count == RULES_BOTS_MAX)
			return parse_fail(parser, key, "more than %d bots", RULES_BOTS_MAX);
		block->bots[block->bot_count] = parse_string(parser, "a person in quotes, such as \"@ci:example.org\"",
				RULES_STRING_MAX);
		if (!block->bots[block->bot_count])
			return false;
		block->bot_count++;
		parse_take(parser, TOKEN_COMMA);
	} while (!parse_is_end(parser));
	return true;
}

static int
compare_ints(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

static bool
parse_slot(struct parser *parser, struct slots *slots)
{
	int minute;

	if (slots->count == RULES_SLOTS_MAX)
		return parse_fail(parser, &parser->token, "more than %d digest times", RULES_SLOTS_MAX);
	if (!begins_with_digit(parser))
		return parse_unexpected(parser, "a time of day such as 09:00");
	if (!read_time(parser->token.p, parser->token.size, &minute) || minute == 24 * 60)
		return parse_fail(parser, &parser->token, "%s is not a time of day such as 09:00",
				quote(&parser->token).text);
	for (size_t i = 0; i < slots->count; i++) {
		if (slots->minute[i] == minute)
			return parse_fail(parser, &parser->token, "%s is there twice", quote(&parser->token).text);
	}
	slots->minute[slots->count++] = minute;
	parse_next(parser);
	parse_take(parser, TOKEN_COMMA);
	return true;
}

static bool
parse_digest(struct parser *parser, const struct token *key)
{
	struct slots *slots = &parser->block->slots;

	if (!set_once(parser, key, slots->set))
		return false;
	slots->set = true;
	slots->days = 0x1F;
	if (!parse_take_key(parser, KEY_AT))
		return parse_unexpected(parser, "\"at\" and times of day");
	do {
		if (!parse_slot(parser, slots))
			return false;
	} while (begins_with_digit(parser));
	if (!parse_is_end(parser) && parser->token.keyword != KEY_LATER && !parse_days(parser, &slots->days))
		return false;
	qsort(slots->minute, slots->count, sizeof(slots->minute[0]), compare_ints);
	return true;
}

static const struct topic *
find_topic(const struct block *block, const char *text)
{
	char wanted[RULES_NAME_MAX * 4], name[RULES_NAME_MAX * 4];

	fold_text(text, strlen(text), wanted, sizeof(wanted));
	for (size_t i = 0; i < block->topic_count; i++) {
		fold_text(block->topics[i].name, strlen(block->topics[i].name), name, sizeof(name));
		if (strcmp(name, wanted) == 0)
			return &block->topics[i];
	}
	return NULL;
}

/* One entry: `seo: "SEO" tag seo -> "seo"`. */
static bool
parse_topic(struct parser *parser)
{
	struct block *block = parser->block;
	struct topic *topic = &block->topics[block->topic_count];
	const struct token place = parser->token;

	if (block->topic_count == RULES_TOPICS_MAX)
		return parse_fail(parser, &place, "more than %d topics", RULES_TOPICS_MAX);
	topic->name = parse_name(parser, "the name of a topic");
	if (!topic->name)
		return false;
	if (find_topic(block, topic->name))
		return parse_fail(parser, &place, "there is already a topic %s", quote(&place).text);
	if (!parse_take(parser, TOKEN_COLON))
		return parse_unexpected(parser, "\":\" after the topic's name");
	if (!parse_patterns(parser, true, &topic->patterns, &topic->count))
		return false;
	if (parse_take(parser, TOKEN_ARROW)
			&& !(topic->target = parse_string(parser, "a group name in quotes", RULES_NAME_MAX)))
		return false;
	if (!parse_is_end(parser))
		return parse_unexpected(parser, "a word in quotes, tag, -> or the end of the topic");
	block->topic_count++;
	return true;
}

static bool
parse_topics(struct parser *parser, const struct token *key)
{
	struct block *block = parser->block;

	if (!set_once(parser, key, block->topics != NULL))
		return false;
	block->topics = syntax_keep(parser->rules, (RULES_TOPICS_MAX + 1) * sizeof(*block->topics));
	if (!block->topics)
		return parse_no_memory(parser);
	if (!parse_take(parser, TOKEN_OPEN))
		return parse_unexpected(parser, "\"{\" and topics");
	while (!parse_take(parser, TOKEN_CLOSE)) {
		if (!parse_take(parser, TOKEN_END) && !parse_topic(parser))
			return false;
	}
	return true;
}

/* `hold max 10d` of a site is known and not in force yet; a rule's verdict is no setting. */
static bool
parse_hold(struct parser *parser, const struct token *key)
{
	return parse_fail(parser, key, "not yet: \"hold max\" belongs to a later release");
}

/* ---- blocks ---- */

static const struct setting {
	enum keyword keyword;
	bool in_site;
	bool (*parse)(struct parser *parser, const struct token *key);
} settings[] = {
	{ KEY_TZ, true, parse_tz },
	{ KEY_LANG, true, parse_language },
	{ KEY_HOURS, true, parse_hours },
	{ KEY_HOLIDAYS, true, parse_holidays },
	{ KEY_CLOSED, true, parse_closed },
	{ KEY_BOTS, true, parse_bots },
	{ KEY_DIGEST, true, parse_digest },
	{ KEY_TOPICS, false, parse_topics },
	{ KEY_HOLD, true, parse_hold },
};

static const struct setting *
find_setting(enum keyword keyword)
{
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		if (settings[i].keyword == keyword)
			return &settings[i];
	}
	return NULL;
}

bool
parse_is_setting(enum keyword keyword)
{
	return keyword != KEY_HOLD && find_setting(keyword);
}

static bool
parse_statement(struct parser *parser)
{
	const struct token key = parser->token;
	const struct setting *setting = key.kind == TOKEN_WORD ? find_setting(key.keyword) : NULL;
	bool rule = key.keyword == KEY_ADMIT || key.keyword == KEY_ROUTE || key.keyword == KEY_TIME;
	bool site = parser->block == &parser->rules->site;

	if (key.keyword == KEY_MEMBER)
		return parse_fail(parser, &key, "not yet: member rules belong to a later release");
	if (!setting && !rule)
		return parse_unexpected(parser, "a setting or a rule");
	if (site && rule)
		return parse_fail(parser, &key, "not yet: rules of the whole site belong to a later release");
	if (site && !setting->in_site)
		return parse_fail(parser, &key, "%s belongs in a group", quote(&key).text);
	if (rule) {
		if (!parse_rule(parser))
			return false;
	} else {
		parse_next(parser);
		if (!setting->parse(parser, &key))
			return false;
	}
	return parse_is_end(parser) || parse_unexpected(parser, N_("the end of the line"));
}

/* The settings between the braces of a block that was just named. */
static bool
parse_body(struct parser *parser, bool (*statement)(struct parser *parser))
{
	if (!parse_take(parser, TOKEN_OPEN))
		return parse_unexpected(parser, "\"{\"");
	for (;;) {
		if (parse_take(parser, TOKEN_CLOSE))
			return true;
		if (parser->token.kind == TOKEN_EOF)
			return parse_unexpected(parser, "\"}\"");
		if (!parse_take(parser, TOKEN_END) && !statement(parser))
			return false;
	}
}

static bool
parse_site(struct parser *parser, const struct token *key)
{
	if (!set_once(parser, key, parser->rules->site.present))
		return false;
	parser->rules->site.present = true;
	parser->block = &parser->rules->site;
	return parse_body(parser, parse_statement);
}

/* `copy` without a group: that of the first topic which the condition names. */
static const char *
target_of(const struct condition *condition)
{
	const char *target;

	for (; condition; condition = condition->next) {
		if (condition->topic && condition->topic->target)
			return condition->topic->target;
		if (condition->child && (target = target_of(condition->child)))
			return target;
	}
	return NULL;
}

static bool
settle_topics(struct parser *parser)
{
	for (struct topic_reference *at = parser->references; at; at = at->next) {
		at->condition->topic = find_topic(parser->block, at->name);
		if (!at->condition->topic)
			return parse_fail(parser, &at->place, "there is no topic \"%s\" in this group", at->name);
	}
	return true;
}

static bool
settle_targets(struct parser *parser)
{
	struct block *block = parser->block;

	for (size_t i = 0; i < block->rule_count; i++) {
		struct rule *rule = block->rules[i];
		bool routes = rule->action == ACTION_COPY || rule->action == ACTION_MOVE || rule->action == ACTION_SUGGEST;

		if (routes && !rule->target)
			rule->target = target_of(rule->when);
		if (routes && !rule->target) {
			struct token place = { .line = rule->line, .column = rule->column };

			return parse_fail(parser, &place, "rule \"%s\" names no group, and no topic of its condition does",
					rule->name);
		}
	}
	return true;
}

static int
compare_rules(const void *a, const void *b)
{
	const struct rule *x = *(struct rule *const *)a, *y = *(struct rule *const *)b;

	return x->stage != y->stage ? (int)x->stage - (int)y->stage : x->number - y->number;
}

static bool
parse_group(struct parser *parser, const struct token *key)
{
	struct block *block = &parser->rules->group;

	if (block->present)
		return parse_fail(parser, key, "a charter holds one group; the other goes into a file of its own");
	block->present = true;
	parser->block = block;
	block->name = parse_string(parser, "the group's name in quotes", RULES_NAME_MAX);
	if (!block->name || !parse_body(parser, parse_statement) || !settle_topics(parser) || !settle_targets(parser))
		return false;
	if (block->rule_count > 1)
		qsort(block->rules, block->rule_count, sizeof(block->rules[0]), compare_rules);
	return true;
}

static bool
parse_member_line(struct parser *parser)
{
	struct member *member = &parser->rules->members[parser->rules->member_count];
	const struct token key = parser->token;

	if (parse_is_key(parser, KEY_PASS))
		return parse_fail(parser, &key, "not yet: \"pass\" of a member belongs to a later release");
	if (!parse_take_key(parser, KEY_MODE))
		return parse_unexpected(parser, "mode");
	if (!set_once(parser, &key, member->live))
		return false;
	/* a digest is a subscription that its reader makes himself: he alone can show where it goes */
	if (parse_is_key(parser, KEY_DIGEST))
		return parse_fail(parser, &parser->token, "not yet: a member asks for the digest with !mode digest");
	if (!parse_take_key(parser, KEY_LIVE))
		return parse_unexpected(parser, "live");
	member->live = true;
	return parse_is_end(parser) || parse_unexpected(parser, N_("the end of the line"));
}

static bool
parse_member(struct parser *parser, const struct token *key)
{
	struct rules *rules = parser->rules;
	const struct token place = parser->token;
	struct member *member;

	if (!rules->members)
		rules->members = syntax_keep(rules, RULES_MEMBERS_MAX * sizeof(*rules->members));
	if (!rules->members)
		return parse_no_memory(parser);
	if (rules->member_count == RULES_MEMBERS_MAX)
		return parse_fail(parser, key, "more than %d members", RULES_MEMBERS_MAX);
	member = &rules->members[rules->member_count];
	member->person = parse_string(parser, "a person in quotes, such as \"@alice:example.org\"", RULES_STRING_MAX);
	if (!member->person)
		return false;
	for (size_t i = 0; i < rules->member_count; i++) {
		if (strcmp(rules->members[i].person, member->person) == 0)
			return parse_fail(parser, &place, "this member is there twice");
	}
	if (!parse_body(parser, parse_member_line))
		return false;
	rules->member_count++;
	return true;
}

static bool
parse_version(struct parser *parser, bool *seen)
{
	const struct token key = parser->token;

	parse_next(parser);
	if (!set_once(parser, &key, *seen))
		return false;
	*seen = true;
	if (parser->token.kind != TOKEN_WORD || parser->token.size != 1 || parser->token.p[0] != '1')
		return parse_unexpected(parser, "version 1, the only one so far");
	parse_next(parser);
	return true;
}

static bool
parse_block(struct parser *parser, bool *version)
{
	const struct token key = parser->token;

	if (parse_is_key(parser, KEY_VERSION)) {
		if (!parse_version(parser, version))
			return false;
		return parse_is_end(parser) || parse_unexpected(parser, N_("the end of the line"));
	}
	if (parse_take_key(parser, KEY_SITE))
		return parse_site(parser, &key);
	if (parse_take_key(parser, KEY_GROUP))
		return parse_group(parser, &key);
	if (parse_take_key(parser, KEY_MEMBER))
		return parse_member(parser, &key);
	return parse_unexpected(parser, "version, site, group or member");
}

static void
parse_text(struct parser *parser)
{
	bool version = false;

	parse_next(parser);
	while (parser->token.kind != TOKEN_EOF) {
		if (!parse_take(parser, TOKEN_END) && !parse_block(parser, &version))
			return;
	}
	if (words_finish(parser->rules->words) != 0)
		parse_no_memory(parser);
}

int
rules_parse(struct rules **out, const char *text, size_t size, struct complaint *why)
{
	struct parser parser = { .why = why };

	*out = NULL;
	memset(why, 0, sizeof(*why));
	if (size > RULES_TEXT_MAX) {
		struct token place = { .line = 1, .column = 1 };

		parse_fail(&parser, &place, "the charter is longer than %d bytes", RULES_TEXT_MAX);
		return parser.result;
	}
	parser.rules = calloc(1, sizeof(*parser.rules));
	if (!parser.rules)
		return -ENOMEM;
	parser.rules->words = words_new();
	if (!parser.rules->words) {
		rules_free(parser.rules);
		return -ENOMEM;
	}
	lex_open(&parser.lexer, text, size);
	parse_text(&parser);
	if (parser.result != 0) {
		rules_free(parser.rules);
		return parser.result;
	}
	*out = parser.rules;
	return 0;
}
