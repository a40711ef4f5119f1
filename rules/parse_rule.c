/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One rule line:
 *
 *   stage number name when CONDITION then VERDICT { side } [continue] [state ... [until DATE]] [unless role R]
 *
 * Conditions are a tree of `and`, `or` and `not`; there is no precedence to know
 * because mixing `and` with `or` without brackets is refused.
 */

#include "parse.h"

#include <string.h>

#define NUMBER_MAX 9999

/* ---- conditions ---- */

static struct condition *parse_condition(struct parser *parser);

static struct condition *
new_condition(struct parser *parser, enum condition_kind type)
{
	struct condition *condition;

	if (++parser->conditions > RULES_CONDITIONS_MAX) {
		parse_fail(parser, &parser->token, "more than %d conditions in one rule", RULES_CONDITIONS_MAX);
		return NULL;
	}
	condition = syntax_keep(parser->rules, sizeof(*condition));
	if (condition)
		condition->type = type;
	else
		parse_no_memory(parser);
	return condition;
}

static bool
parse_tag_condition(struct parser *parser, struct condition *condition)
{
	condition->patterns = syntax_keep(parser->rules, sizeof(*condition->patterns));
	if (!condition->patterns)
		return parse_no_memory(parser);
	condition->count = 1;
	return parse_pattern(parser, condition->patterns, true);
}

/* The topics block may come later: settled at the end of the group. */
static bool
parse_topic_condition(struct parser *parser, struct condition *condition)
{
	struct topic_reference *reference = syntax_keep(parser->rules, sizeof(*reference));

	if (!reference)
		return parse_no_memory(parser);
	reference->condition = condition;
	reference->place = parser->token;
	reference->name = parse_name(parser, "the name of a topic");
	reference->next = parser->references;
	parser->references = reference;
	return reference->name != NULL;
}

static bool
parse_word_condition(struct parser *parser, struct condition *condition)
{
	if (!parse_take_key(parser, KEY_IN))
		return parse_unexpected(parser, "\"in\" and words in quotes");
	return parse_patterns(parser, false, &condition->patterns, &condition->count);
}

static bool
parse_kind_condition(struct parser *parser, struct condition *condition)
{
	if (!parse_is_key(parser, KEY_ANNOUNCE) && !parse_is_key(parser, KEY_DECISION))
		return parse_unexpected(parser, "announce or decision");
	condition->kind = parse_is_key(parser, KEY_ANNOUNCE) ? KIND_ANNOUNCE : KIND_DECISION;
	parse_next(parser);
	if (condition->kind == KIND_ANNOUNCE)
		return true;
	/* a decision is its tag */
	condition->patterns = syntax_keep(parser->rules, sizeof(*condition->patterns));
	if (!condition->patterns)
		return parse_no_memory(parser);
	condition->count = 1;
	condition->patterns->text = "decision";
	return words_add_tag(parser->rules->words, "decision", 8, &condition->patterns->id) == 0 || parse_no_memory(parser);
}

static const struct literal {
	enum keyword keyword;
	enum condition_kind type;
	bool (*parse)(struct parser *parser, struct condition *condition); /* NULL: the word alone */
} literals[] = {
	{ KEY_CLOSED, CONDITION_CLOSED, NULL },
	{ KEY_OPEN, CONDITION_OPEN, NULL },
	{ KEY_AUTOMATED, CONDITION_AUTOMATED, NULL },
	{ KEY_TAG, CONDITION_TAG, parse_tag_condition },
	{ KEY_TOPIC, CONDITION_TOPIC, parse_topic_condition },
	{ KEY_WORD, CONDITION_WORD, parse_word_condition },
	{ KEY_KIND, CONDITION_KIND, parse_kind_condition },
};

static struct condition *
parse_brackets(struct parser *parser)
{
	const struct token place = parser->token;
	struct condition *condition;

	parse_next(parser);
	if (++parser->depth > RULES_DEPTH_MAX) {
		parse_fail(parser, &place, "brackets are nested deeper than %d", RULES_DEPTH_MAX);
		return NULL;
	}
	condition = parse_condition(parser);
	parser->depth--;
	if (condition && !parse_take(parser, TOKEN_RIGHT)) {
		parse_unexpected(parser, "\")\", and or or");
		return NULL;
	}
	return condition;
}

static struct condition *
parse_literal(struct parser *parser)
{
	struct condition *condition;

	if (parser->token.kind == TOKEN_LEFT)
		return parse_brackets(parser);
	for (size_t i = 0; i < sizeof(literals) / sizeof(literals[0]); i++) {
		if (!parse_is_key(parser, literals[i].keyword))
			continue;
		condition = new_condition(parser, literals[i].type);
		if (!condition)
			return NULL;
		parse_next(parser);
		return !literals[i].parse || literals[i].parse(parser, condition) ? condition : NULL;
	}
	if (parse_is_key(parser, KEY_IN))
		parse_fail(parser, &parser->token, "not yet: \"in focus\" belongs to a later release");
	else
		parse_unexpected(parser, "a condition (closed, open, tag, topic, word in, kind, automated, not)");
	return NULL;
}

/* `not not closed` is refused rather than followed: nobody means it. */
static struct condition *
parse_negation(struct parser *parser)
{
	struct condition *condition;

	if (!parse_is_key(parser, KEY_NOT))
		return parse_literal(parser);
	condition = new_condition(parser, CONDITION_NOT);
	if (!condition)
		return NULL;
	parse_next(parser);
	condition->child = parse_literal(parser);
	return condition->child ? condition : NULL;
}

static struct condition *
parse_condition(struct parser *parser)
{
	struct condition *first = parse_negation(parser), *all, *last;
	enum keyword key = parser->token.kind == TOKEN_WORD ? parser->token.keyword : KEY_NONE;

	if (!first || (key != KEY_AND && key != KEY_OR))
		return first;
	all = new_condition(parser, key == KEY_AND ? CONDITION_ALL : CONDITION_ANY);
	if (!all)
		return NULL;
	all->child = last = first;
	while (parse_take_key(parser, key)) {
		last->next = parse_negation(parser);
		if (!last->next)
			return NULL;
		last = last->next;
	}
	if (parse_is_key(parser, KEY_AND) || parse_is_key(parser, KEY_OR)) {
		parse_fail(parser, &parser->token, "and with or needs brackets to say which goes first");
		return NULL;
	}
	return all;
}

/* ---- verdicts ---- */

static bool
parse_reject(struct parser *parser, struct rule *rule)
{
	if (!parse_take_key(parser, KEY_REASON))
		return parse_unexpected(parser, "\"reason\" and one word");
	rule->reason = parse_name(parser, "the reason, one word or quoted");
	return rule->reason != NULL;
}

static bool
parse_target(struct parser *parser, struct rule *rule)
{
	if (parser->token.kind != TOKEN_STRING)
		return true; /* the group of the condition's topic, settled at the end of the block */
	rule->target = parse_string(parser, "", RULES_NAME_MAX);
	return rule->target != NULL;
}

static bool
parse_hold(struct parser *parser, struct rule *rule)
{
	rule->notice = true;
	if (!parse_take_key(parser, KEY_UNTIL))
		return parse_unexpected(parser, "\"until opening\"");
	if (parse_is_numeric(parser) || (parser->token.kind == TOKEN_WORD && parser->token.p[0] == '+'))
		return parse_fail(parser, &parser->token, "not yet: only \"until opening\" is in this release");
	return parse_take_key(parser, KEY_OPENING) || parse_unexpected(parser, "opening");
}

static bool
parse_digest(struct parser *parser, struct rule *rule)
{
	(void)rule;
	if (parse_is_numeric(parser))
		return parse_fail(parser, &parser->token, "not yet: only \"digest next\" is in this release");
	return parse_take_key(parser, KEY_NEXT) || parse_unexpected(parser, "next");
}

static const struct verdict_word {
	enum keyword keyword;
	enum stage stage;
	enum action action;
	bool (*parse)(struct parser *parser, struct rule *rule); /* NULL: the word alone */
} verdict_words[] = {
	{ KEY_PASS, STAGE_ADMISSION, ACTION_PASS, NULL },
	{ KEY_REJECT, STAGE_ADMISSION, ACTION_REJECT, parse_reject },
	{ KEY_HERE, STAGE_ROUTING, ACTION_HERE, NULL },
	{ KEY_COPY, STAGE_ROUTING, ACTION_COPY, parse_target },
	{ KEY_SUGGEST, STAGE_ROUTING, ACTION_SUGGEST, parse_target },
	{ KEY_MOVE, STAGE_ROUTING, ACTION_MOVE, parse_target },
	{ KEY_DELIVER, STAGE_TIMING, ACTION_DELIVER, NULL },
	{ KEY_DIGEST, STAGE_TIMING, ACTION_DIGEST, parse_digest },
	{ KEY_HOLD, STAGE_TIMING, ACTION_HOLD, parse_hold },
};

static bool
parse_verdict(struct parser *parser, struct rule *rule)
{
	static const char *const expected[] = {
		[STAGE_ADMISSION] = "pass or reject",
		[STAGE_ROUTING] = "here, copy, move or suggest",
		[STAGE_TIMING] = "deliver, hold or digest",
	};

	for (size_t i = 0; i < sizeof(verdict_words) / sizeof(verdict_words[0]); i++) {
		const struct verdict_word *word = &verdict_words[i];

		if (!parse_is_key(parser, word->keyword))
			continue;
		if (word->stage != rule->stage)
			return parse_fail(parser, &parser->token, "\"%s\" is no verdict of this stage; it may be %s",
					lex_keyword_name(word->keyword), expected[rule->stage]);
		rule->action = word->action;
		parse_next(parser);
		return !word->parse || word->parse(parser, rule);
	}
	return parse_unexpected(parser, expected[rule->stage]);
}

/* ---- what may follow the verdict ---- */

/* Every hold reaches its writer, so `notice held` is the default; `notice none` is for tests and quiet bots. */
static bool
parse_notice(struct parser *parser, struct rule *rule)
{
	if (!parse_is_key(parser, KEY_HELD) && !parse_is_key(parser, KEY_NONE_WORD))
		return parse_unexpected(parser, "held or none");
	rule->notice = parse_is_key(parser, KEY_HELD);
	parse_next(parser);
	return true;
}

static bool
parse_continue(struct parser *parser, struct rule *rule)
{
	(void)parser;
	rule->continues = true;
	return true;
}

static bool
parse_state(struct parser *parser, struct rule *rule)
{
	const struct token *token = &parser->token;

	if (parse_is_key(parser, KEY_ON))
		rule->state = RULE_ON;
	else if (parse_is_key(parser, KEY_OBSERVE))
		rule->state = RULE_OBSERVE;
	else if (parse_is_key(parser, KEY_OFF))
		rule->state = RULE_OFF;
	else
		return parse_unexpected(parser, "on, observe or off");
	parse_next(parser);
	if (!parse_take_key(parser, KEY_UNTIL))
		return true;
	if (token->kind != TOKEN_WORD || !parse_date_text(token->p, token->size, &rule->until))
		return parse_unexpected(parser, "a date such as 2026-12-31");
	parse_next(parser);
	return true;
}

static bool
parse_unless(struct parser *parser, struct rule *rule)
{
	if (!parse_take_key(parser, KEY_ROLE))
		return parse_unexpected(parser, "\"role moderator\"");
	if (!parse_take_key(parser, KEY_MODERATOR))
		return parse_unexpected(parser, "moderator");
	rule->unless_moderator = true;
	return true;
}

static const struct side {
	enum keyword keyword;
	bool (*parse)(struct parser *parser, struct rule *rule);
} sides[] = {
	{ KEY_NOTICE, parse_notice },
	{ KEY_CONTINUE, parse_continue },
	{ KEY_STATE, parse_state },
	{ KEY_UNLESS, parse_unless },
};

static bool
parse_sides(struct parser *parser, struct rule *rule)
{
	unsigned seen = rule->unless_moderator ? 1u << 3 : 0;
	size_t i;

	while (!parse_is_end(parser)) {
		for (i = 0; i < sizeof(sides) / sizeof(sides[0]) && !parse_is_key(parser, sides[i].keyword); i++)
			;
		if (parse_is_key(parser, KEY_NUDGE))
			return parse_fail(parser, &parser->token, "not yet: \"nudge\" belongs to a later release");
		if (parse_is_key(parser, KEY_NOTICE) && rule->action != ACTION_HOLD)
			return parse_fail(parser, &parser->token, "not yet: notice goes with hold only");
		if (i == sizeof(sides) / sizeof(sides[0]))
			return parse_unexpected(parser, "notice, continue, state, unless or the end of the rule");
		if (seen & 1u << i)
			return parse_fail(parser, &parser->token, "\"%s\" is there twice", lex_keyword_name(sides[i].keyword));
		seen |= 1u << i;
		parse_next(parser);
		if (!sides[i].parse(parser, rule))
			return false;
	}
	return true;
}

/* ---- the line ---- */

static bool
parse_number(struct parser *parser, struct rule *rule)
{
	const struct token *token = &parser->token;
	int value = 0;

	for (size_t i = 0; i < token->size && value <= NUMBER_MAX && token->kind == TOKEN_WORD; i++) {
		if (token->p[i] < '0' || token->p[i] > '9')
			return parse_unexpected(parser, "the rule's number");
		value = value * 10 + (token->p[i] - '0');
	}
	if (token->kind != TOKEN_WORD)
		return parse_unexpected(parser, "the rule's number");
	if (value < 1 || value > NUMBER_MAX)
		return parse_fail(parser, token, "a rule's number is between 1 and %d", NUMBER_MAX);
	for (size_t i = 0; i < parser->block->rule_count; i++) {
		const struct rule *other = parser->block->rules[i];

		if (other->stage == rule->stage && other->number == value)
			return parse_fail(parser, token, "rule %d of this stage is already \"%s\"", value, other->name);
	}
	rule->number = value;
	parse_next(parser);
	return true;
}

static bool
parse_rule_name(struct parser *parser, struct rule *rule)
{
	const struct token place = parser->token;

	if (parse_is_key(parser, KEY_WHEN))
		return parse_fail(parser, &place, "the rule needs a name before \"when\"");
	rule->name = parse_name(parser, "the rule's name");
	if (!rule->name)
		return false;
	for (size_t i = 0; i < parser->block->rule_count; i++) {
		if (strcmp(parser->block->rules[i]->name, rule->name) == 0)
			return parse_fail(parser, &place, "there is already a rule \"%s\"", rule->name);
	}
	return true;
}

static bool
parse_when(struct parser *parser, struct rule *rule)
{
	if (!parse_take_key(parser, KEY_WHEN))
		return parse_unexpected(parser, "when");
	parser->conditions = parser->depth = 0;
	rule->when = parse_condition(parser);
	if (!rule->when)
		return false;
	if (parse_take_key(parser, KEY_UNLESS) && !parse_unless(parser, rule))
		return false;
	if (parse_take_key(parser, KEY_THEN))
		return true;
	return parse_unexpected(parser, "and, or, unless or then");
}

static bool
add_rule(struct parser *parser, struct rule *rule)
{
	struct block *block = parser->block;

	if (!block->rules)
		block->rules = syntax_keep(parser->rules, RULES_RULES_MAX * sizeof(*block->rules));
	if (!block->rules)
		return parse_no_memory(parser);
	block->rules[block->rule_count++] = rule;
	return true;
}

bool
parse_rule(struct parser *parser)
{
	struct rule *rule = syntax_keep(parser->rules, sizeof(*rule));
	enum keyword key = parser->token.keyword;

	if (!rule)
		return parse_no_memory(parser);
	if (parser->block->rule_count == RULES_RULES_MAX)
		return parse_fail(parser, &parser->token, "more than %d rules", RULES_RULES_MAX);
	rule->stage = key == KEY_ADMIT ? STAGE_ADMISSION : key == KEY_ROUTE ? STAGE_ROUTING : STAGE_TIMING;
	rule->line = parser->token.line;
	rule->column = parser->token.column;
	rule->until = INT64_MAX;
	parse_next(parser);
	return parse_number(parser, rule) && parse_rule_name(parser, rule) && parse_when(parser, rule)
			&& parse_verdict(parser, rule) && parse_sides(parser, rule) && add_rule(parser, rule);
}
