/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recursive descent over statements, one token ahead, no backtracking. This file holds the charter and its blocks; what
 * stands in a block is parse_setting.c's and parse_rule.c's.
 *
 * Invariant: what is accepted acts. A word of a later release is refused with
 * "not yet", an unknown one is refused, both with their place; nothing is skipped.
 */

#include "parse.h"

#include "rules.h"
#include "say.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool
ends_line(struct parser *parser)
{
	return parse_is_end(parser) || parse_unexpected(parser, N_("the end of the line"));
}

static bool
parse_statement(struct parser *parser)
{
	const struct token key = parser->token;
	const struct setting *setting = key.kind == TOKEN_WORD ? parse_find_setting(key.keyword) : NULL;
	bool rule = key.keyword == KEY_ADMIT || key.keyword == KEY_ROUTE || key.keyword == KEY_TIME;
	bool site = parser->block == &parser->rules->site;

	if (key.keyword == KEY_MEMBER)
		return parse_fail(parser, &key, "not yet: member rules belong to a later release");
	if (!setting && !rule)
		return parse_unexpected(parser, "a setting or a rule");
	if (site && rule)
		return parse_fail(parser, &key, "not yet: rules of the whole site belong to a later release");
	if (site && !setting->in_site)
		return parse_fail(parser, &key, "%s belongs in a group", parse_quote(&key).text);
	if (rule) {
		if (!parse_rule(parser))
			return false;
	} else {
		parse_next(parser);
		if (!setting->parse(parser, &key))
			return false;
	}
	return ends_line(parser);
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
	if (!parse_once(parser, key, parser->rules->site.present))
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
		at->condition->topic = parse_find_topic(parser->block, at->name);
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
	if (!parse_once(parser, &key, member->live))
		return false;
	/* a digest is a subscription that its reader makes himself: he alone can show where it goes */
	if (parse_is_key(parser, KEY_DIGEST))
		return parse_fail(parser, &parser->token, "not yet: a member asks for the digest with !mode digest");
	if (!parse_take_key(parser, KEY_LIVE))
		return parse_unexpected(parser, "live");
	member->live = true;
	return ends_line(parser);
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
	if (!parse_once(parser, &key, *seen))
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

	if (parse_is_key(parser, KEY_VERSION))
		return parse_version(parser, version) && ends_line(parser);
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
