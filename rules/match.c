/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One function per condition, and a walk over the tree. Beside the truth each
 * gives the inputs that brought it about, for the explanation: those of the
 * parts that were true, none for what held because something was absent.
 */

#include "match.h"

#include "rules.h"

#include <string.h>

void
match_init(struct match *match, const struct rules *rules, const struct message *message,
		const struct facts *facts, int64_t now_ms)
{
	match->rules = rules;
	match->message = message;
	match->facts = facts;
	match->now_ms = now_ms;
	match->open_known = match->found_known = match->announcement_known = false;
}

static bool
is_open(struct match *match)
{
	if (!match->open_known)
		match->open = rules_is_open(match->rules, match->now_ms);
	match->open_known = true;
	return match->open;
}

static bool
has_pattern(struct match *match, const struct pattern *patterns, size_t count)
{
	if (!match->found_known)
		words_scan(match->rules->words, match->message->text, &match->found);
	match->found_known = true;
	for (size_t i = 0; i < count; i++) {
		if (words_has(&match->found, patterns[i].id))
			return true;
	}
	return false;
}

static bool
match_closed(struct match *match, const struct condition *condition)
{
	(void)condition;
	return !is_open(match);
}

static bool
match_open(struct match *match, const struct condition *condition)
{
	(void)condition;
	return is_open(match);
}

static bool
match_words(struct match *match, const struct condition *condition)
{
	return has_pattern(match, condition->patterns, condition->count);
}

static bool
match_topic(struct match *match, const struct condition *condition)
{
	return has_pattern(match, condition->topic->patterns, condition->topic->count);
}

/* Anybody may write the tag; only a moderator's makes an announcement. */
static bool
is_announcement(struct match *match)
{
	const char *text = match->message->text;

	if (!match->announcement_known)
		match->announcement = match->facts->sender_moderator
				&& (words_begins_with_tag(text, "annonce") || words_begins_with_tag(text, "announce"));
	match->announcement_known = true;
	return match->announcement;
}

static bool
match_kind(struct match *match, const struct condition *condition)
{
	return condition->kind == KIND_DECISION ? match_words(match, condition) : is_announcement(match);
}

static bool
is_bot(const struct block *block, const char *sender)
{
	for (size_t i = 0; i < block->bot_count; i++) {
		if (strcmp(block->bots[i], sender) == 0)
			return true;
	}
	return false;
}

bool
rules_is_automated(const struct rules *rules, const struct message *message)
{
	return message->kind == MESSAGE_NOTICE || is_bot(&rules->group, message->sender)
			|| is_bot(syntax_site(rules), message->sender);
}

static bool
match_automated(struct match *match, const struct condition *condition)
{
	(void)condition;
	return rules_is_automated(match->rules, match->message);
}

static const struct {
	bool (*holds)(struct match *match, const struct condition *condition);
	unsigned input;
} atoms[] = {
	[CONDITION_CLOSED] = { match_closed, INPUT_CLOSED },
	[CONDITION_OPEN] = { match_open, 0 },
	[CONDITION_TAG] = { match_words, INPUT_TAG },
	[CONDITION_TOPIC] = { match_topic, INPUT_TOPIC },
	[CONDITION_WORD] = { match_words, INPUT_WORD },
	[CONDITION_KIND] = { match_kind, INPUT_KIND },
	[CONDITION_AUTOMATED] = { match_automated, INPUT_AUTOMATED },
};

static bool
match_list(struct match *match, const struct condition *condition, unsigned *inputs)
{
	bool all = condition->type == CONDITION_ALL;
	unsigned part, sum = 0;

	for (const struct condition *child = condition->child; child; child = child->next) {
		if (match_condition(match, child, &part) != all) {
			*inputs = all ? 0 : part;
			return !all;
		}
		sum |= part;
	}
	*inputs = sum;
	return all;
}

bool
match_condition(struct match *match, const struct condition *condition, unsigned *inputs)
{
	bool holds;

	if (condition->type == CONDITION_ALL || condition->type == CONDITION_ANY)
		return match_list(match, condition, inputs);
	if (condition->type == CONDITION_NOT) {
		holds = !match_condition(match, condition->child, inputs);
		*inputs = holds && condition->child->type == CONDITION_OPEN ? INPUT_CLOSED : 0;
		return holds;
	}
	holds = atoms[condition->type].holds(match, condition);
	*inputs = holds ? atoms[condition->type].input : 0;
	return holds;
}
