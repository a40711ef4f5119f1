/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stages: admission, routing, timing, each a short ordered list of rules of
 * which the first that matches answers. A refused or moved message has no timing
 * here. The instant comes in once and every test sees the same one.
 *
 * Invariant: a verdict is plain data. Names are copied into it, so that it
 * outlives the rules and can be explained under a later revision.
 */

#include "rules.h"

#include "calendar.h"
#include "match.h"

#include <string.h>

static const enum action implicit[STAGE_COUNT] = {
	[STAGE_ADMISSION] = ACTION_PASS,
	[STAGE_ROUTING] = ACTION_HERE,
	[STAGE_TIMING] = ACTION_DELIVER,
};

static void
copy_name(char out[RULES_NAME_MAX + 1], const char *name)
{
	size_t n = name ? strlen(name) : 0;

	if (n > RULES_NAME_MAX)
		n = RULES_NAME_MAX;
	if (n > 0)
		memcpy(out, name, n);
	out[n] = '\0';
}

/* `state off until D` holds through the local day D; afterwards the rule is on, and `on until D` is off. */
static enum rule_state
state_of(const struct match *match, const struct rule *rule)
{
	if (rule->until == INT64_MAX || calendar_day(match->rules, match->now_ms) <= rule->until)
		return rule->state;
	return rule->state == RULE_ON ? RULE_OFF : RULE_ON;
}

static void
note(struct stage_verdict *out, const struct rule *rule, unsigned inputs)
{
	out->action = rule->action;
	out->rule = rule->number;
	copy_name(out->name, rule->name);
	out->inputs = inputs;
}

/* The first rule of the stage that matches and acts, noted; NULL when none does. */
static const struct rule *
judge_stage(struct match *match, enum stage stage, struct verdict *verdict)
{
	const struct block *group = &match->rules->group;
	unsigned inputs;

	for (size_t i = 0; i < group->rule_count; i++) {
		const struct rule *rule = group->rules[i];
		enum rule_state state;

		if (rule->stage != stage || (rule->unless_moderator && match->facts->sender_moderator))
			continue;
		state = state_of(match, rule);
		if (state == RULE_OFF || !match_condition(match, rule->when, &inputs))
			continue;
		if (state == RULE_ON && !rule->continues) {
			note(&verdict->stage[stage], rule, inputs);
			return rule;
		}
		if (verdict->observed[stage].rule == 0)
			note(&verdict->observed[stage], rule, inputs);
	}
	return NULL;
}

static void
judge_admission(struct match *match, struct verdict *verdict)
{
	const struct rule *rule = judge_stage(match, STAGE_ADMISSION, verdict);

	if (rule && rule->action == ACTION_REJECT)
		copy_name(verdict->reason, rule->reason);
}

static void
judge_routing(struct match *match, struct verdict *verdict)
{
	const struct rule *rule = judge_stage(match, STAGE_ROUTING, verdict);

	if (rule)
		copy_name(verdict->target, rule->target);
}

/* Holding until an opening that is now is delivering. */
static void
judge_timing(struct match *match, struct verdict *verdict)
{
	const struct rule *rule = judge_stage(match, STAGE_TIMING, verdict);
	char key[24];

	if (rule && rule->action == ACTION_HOLD) {
		verdict->due_ms = rules_next_opening(match->rules, match->now_ms);
		verdict->notice = rule->notice && verdict->due_ms > match->now_ms;
		if (verdict->due_ms <= match->now_ms)
			verdict->stage[STAGE_TIMING].action = ACTION_DELIVER;
	} else if (rule && rule->action == ACTION_DIGEST) {
		verdict->due_ms = rules_next_slot(match->rules, match->now_ms + RULES_SETTLE_MS - 1, key, sizeof(key));
	}
}

static void
begin(struct match *match, const struct rules *rules, const struct message *message, const struct facts *facts,
		int64_t now_ms, struct verdict *verdict)
{
	match_init(match, rules, message, facts, now_ms);
	memset(verdict, 0, sizeof(*verdict));
	for (int i = 0; i < STAGE_COUNT; i++)
		verdict->stage[i].action = verdict->observed[i].action = implicit[i];
	verdict->now_ms = verdict->due_ms = now_ms;
	verdict->period_ms = rules_closed_since(rules, now_ms);
}

void
rules_judge(const struct rules *rules, const struct message *message, const struct facts *facts, int64_t now_ms,
		struct verdict *verdict)
{
	struct match match;

	begin(&match, rules, message, facts, now_ms, verdict);
	judge_admission(&match, verdict);
	if (verdict->stage[STAGE_ADMISSION].action == ACTION_REJECT)
		return;
	judge_routing(&match, verdict);
	if (verdict->stage[STAGE_ROUTING].action != ACTION_MOVE)
		judge_timing(&match, verdict);
}

void
rules_judge_timing(const struct rules *rules, const struct message *message, const struct facts *facts, int64_t now_ms,
		struct verdict *verdict)
{
	struct match match;

	begin(&match, rules, message, facts, now_ms, verdict);
	judge_timing(&match, verdict);
}
