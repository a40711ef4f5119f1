/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings of a block. Each is one entry of the table at the end: its keyword, the blocks it may stand in, its parser.
 */

#include "parse.h"

#include "fold.h"
#include "say.h"

#include <stdlib.h>
#include <string.h>

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
parse_tz(struct parser *parser, const struct token *key)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/";
	const struct token place = parser->token;
	const char *name;

	if (!parse_once(parser, key, parser->block->tz != NULL))
		return false;
	name = parse_name(parser, "a time zone such as Europe/Paris");
	if (!name)
		return false;
	if (strspn(name, letters) != strlen(name) || *name == '/' || *name == '-')
		return parse_fail(parser, &place, "%s is not the name of a time zone, such as Europe/Paris", parse_quote(&place).text);
	parser->block->tz = name;
	return true;
}

static bool
parse_language(struct parser *parser, const struct token *key)
{
	if (!parse_once(parser, key, parser->block->language != NULL))
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

	if (!dash || !parse_is_numeric(parser))
		return parse_unexpected(parser, N_("hours such as 09:00-18:00"));
	if (!parse_time_text(token->p, first, &window->start) || window->start == 24 * 60)
		return parse_fail(parser, token, N_("%s does not begin with a time of day"), parse_quote(token).text);
	part = part_of(token, first + 1);
	if (!parse_time_text(part.p, part.size, &window->end))
		return parse_fail(parser, &part, N_("%s does not end with a time of day"), parse_quote(token).text);
	if (window->start == window->end || window->end == 0)
		return window->start != window->end
				|| parse_fail(parser, token, N_("%s is empty; the whole day is 00:00-24:00"), parse_quote(token).text);
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
	} while (parse_is_numeric(parser));
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
		if (parse_is_numeric(parser))
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

	if (!parse_once(parser, key, parser->block->holidays != HOLIDAYS_UNSET))
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
	if (!parse_is_numeric(parser))
		return parse_unexpected(parser, "dates such as 2026-12-24..2027-01-03");
	if (!parse_date_text(token.p, token.size < 10 ? token.size : 10, &closure->first))
		return parse_fail(parser, &token, "%s does not begin with a date such as 2026-12-24", parse_quote(&token).text);
	closure->last = closure->first;
	if (token.size > 10) {
		second = part_of(&token, 10);
		if (second.size < 2 || memcmp(second.p, "..", 2) != 0)
			return parse_fail(parser, &second, "expected two dates with .. between them");
		second = part_of(&token, 12);
		if (!parse_date_text(second.p, second.size, &closure->last))
			return parse_fail(parser, &second, "%s is not a date such as 2027-01-03", parse_quote(&second).text);
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
	if (!parse_is_numeric(parser))
		return parse_unexpected(parser, "a time of day such as 09:00");
	if (!parse_time_text(parser->token.p, parser->token.size, &minute) || minute == 24 * 60)
		return parse_fail(parser, &parser->token, "%s is not a time of day such as 09:00",
				parse_quote(&parser->token).text);
	for (size_t i = 0; i < slots->count; i++) {
		if (slots->minute[i] == minute)
			return parse_fail(parser, &parser->token, "%s is there twice", parse_quote(&parser->token).text);
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

	if (!parse_once(parser, key, slots->set))
		return false;
	slots->set = true;
	slots->days = 0x1F;
	if (!parse_take_key(parser, KEY_AT))
		return parse_unexpected(parser, "\"at\" and times of day");
	do {
		if (!parse_slot(parser, slots))
			return false;
	} while (parse_is_numeric(parser));
	if (!parse_is_end(parser) && parser->token.keyword != KEY_LATER && !parse_days(parser, &slots->days))
		return false;
	qsort(slots->minute, slots->count, sizeof(slots->minute[0]), compare_ints);
	return true;
}

const struct topic *
parse_find_topic(const struct block *block, const char *text)
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
	if (parse_find_topic(block, topic->name))
		return parse_fail(parser, &place, "there is already a topic %s", parse_quote(&place).text);
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

	if (!parse_once(parser, key, block->topics != NULL))
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

static const struct setting settings[] = {
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

const struct setting *
parse_find_setting(enum keyword keyword)
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
	return keyword != KEY_HOLD && parse_find_setting(keyword);
}
