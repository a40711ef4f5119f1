/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules and verdicts in words. The model: every fragment that carries meaning is
 * a template of its own with a translation (a condition, a verdict, a line); the
 * code only puts conditions side by side with "and", "or" and brackets, as the
 * charter does. Counting words are avoided, so nothing needs a plural.
 */

#include "rules.h"

#include "calendar.h"
#include "say.h"
#include "zone.h"

#include <stdio.h>
#include <string.h>

/* One argument that writes itself. */
#define ITSELF(function, what) (const struct say_argument[]){ { NULL, function, what } }
#define ARGS(...) (const char *const[]){ __VA_ARGS__ }, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *)

static const char *
word(const struct say *say, const char *msgid)
{
	return say_words(say->speech, msgid);
}

static struct say_text
number(int value)
{
	struct say_text text;

	snprintf(text.text, sizeof(text.text), "%d", value);
	return text;
}

size_t
rules_say_instant(const struct rules *rules, int64_t at_ms, int64_t now_ms, const struct rules_speech *speech,
		char *out, size_t size)
{
	struct say_text instant = say_instant(rules, speech, at_ms, now_ms);
	struct say say;

	say_open(&say, rules, speech, out, size);
	say_raw(&say, at_ms == INT64_MAX ? say_words(speech, N_("no date in sight")) : instant.text);
	return say_close(&say);
}

/* ---- opening hours ---- */

static struct say_text
clock_of(const struct say *say, int minute)
{
	return say_clock(say->speech, minute / 60, minute % 60);
}

/* "Mon-Fri 08:30-12:30, 13:30-18:30; Sat 09:00-12:00" */
static void
say_windows(struct say *say, const void *what)
{
	const struct block *hours = what;
	struct say_text from, to, when;

	for (size_t i = 0; i < hours->window_count; i++) {
		const struct window *window = &hours->windows[i];

		if (i == 0 || window->days != hours->windows[i - 1].days) {
			say_raw(say, i > 0 ? word(say, N_("; ")) : "");
			when = say_weekdays(say->speech, window->days);
			say_raw(say, when.text);
			say_raw(say, " ");
		} else {
			say_raw(say, ", ");
		}
		from = clock_of(say, window->start);
		to = clock_of(say, window->end);
		say_sentence(say, N_("{1}-{2}"), ARGS(from.text, to.text));
	}
}

/* The year is said when it is not that of today. */
static struct say_text
date_of(const struct say *say, int64_t day, int64_t today)
{
	struct civil at, now;

	zone_date(day, &at);
	zone_date(today, &now);
	return say_date(say->speech, day, at.year != now.year);
}

/* The next holiday and the next closed period that a reader should know of: within four weeks. */
static void
say_days_off(struct say *say, int64_t now_ms)
{
	int64_t today = calendar_day(say->rules, now_ms);
	struct say_text date, last, name;

	for (int64_t day = today; day < today + 28; day++) {
		const char *holiday = calendar_holiday(calendar_holidays(say->rules), day);
		const struct closure *closure = calendar_closure(say->rules, day);

		if (!holiday && !closure)
			continue;
		date = date_of(say, closure && closure->first < day ? closure->first : day, today);
		say_raw(say, "\n");
		if (!closure) {
			say_sentence(say, N_("Next day off: {1}, {2}."), ARGS(date.text, word(say, holiday)));
			return;
		}
		last = date_of(say, closure->last, today);
		name = say_quoted(say->speech, closure->text ? closure->text : "");
		if (closure->text && closure->first != closure->last)
			say_sentence(say, N_("Closed from {1} to {2}: {3}."), ARGS(date.text, last.text, name.text));
		else if (closure->first != closure->last)
			say_sentence(say, N_("Closed from {1} to {2}."), ARGS(date.text, last.text));
		else if (closure->text)
			say_sentence(say, N_("Closed on {1}: {2}."), ARGS(date.text, name.text));
		else
			say_sentence(say, N_("Closed on {1}."), ARGS(date.text));
		return;
	}
}

size_t
rules_say_hours(const struct rules *rules, int64_t now_ms, const struct rules_speech *speech, char *out, size_t size)
{
	const struct block *hours = calendar_hours(rules);
	int64_t change = rules_next_change(rules, now_ms);
	const char *zone = say_zone(rules);
	bool open = rules_is_open(rules, now_ms);
	struct say_text when;
	struct say say;

	say_open(&say, rules, speech, out, size);
	if (hours) {
		say_arguments(&say, N_("Opening hours: {1}."), ITSELF(say_windows, hours), 1);
	} else {
		say_sentence(&say, N_("Opening hours: always open."), NULL, 0);
	}
	if (hours && calendar_holidays(rules) == HOLIDAYS_FR) {
		say_raw(&say, "\n");
		say_sentence(&say, N_("Closed on French public holidays."), NULL, 0);
	} else if (hours && calendar_holidays(rules) == HOLIDAYS_FR_ALSACE_MOSELLE) {
		say_raw(&say, "\n");
		say_sentence(&say, N_("Closed on French public holidays, those of Alsace-Moselle included."), NULL, 0);
	}
	say_days_off(&say, now_ms);
	if (change != INT64_MAX || !open) {
		say_raw(&say, "\n");
		when = say_instant(rules, speech, change, now_ms);
		if (change == INT64_MAX)
			say_sentence(&say, N_("Closed now, no opening in sight ({1})."), ARGS(zone));
		else
			say_sentence(&say, open ? N_("Open now, closes {1} ({2}).") : N_("Closed now, opens {1} ({2})."),
					ARGS(when.text, zone));
	}
	return say_close(&say);
}

/* ---- conditions ---- */

/* The words and tags to look for: "\"special offer\", #seo". */
struct patterns {
	const struct pattern *list;
	size_t count;
};

static void
say_patterns(struct say *say, const void *what)
{
	const struct patterns *patterns = what;
	struct say_text quoted;

	for (size_t i = 0; i < patterns->count; i++) {
		const struct pattern *pattern = &patterns->list[i];

		say_raw(say, i > 0 ? ", " : "");
		quoted = say_quoted(say->speech, pattern->text);
		say_raw(say, pattern->tag ? "#" : quoted.text);
		say_raw(say, pattern->tag ? pattern->text : "");
	}
}

static void
say_atom(struct say *say, const struct condition *condition)
{
	struct patterns patterns = { condition->patterns, condition->count };
	struct say_text name;

	switch (condition->type) {
	case CONDITION_CLOSED:
		say_sentence(say, N_("the group is closed"), NULL, 0);
		break;
	case CONDITION_OPEN:
		say_sentence(say, N_("the group is open"), NULL, 0);
		break;
	case CONDITION_AUTOMATED:
		say_sentence(say, N_("the sender is automated"), NULL, 0);
		break;
	case CONDITION_TAG:
		say_sentence(say, N_("the message has the tag #{1}"), ARGS(condition->patterns->text));
		break;
	case CONDITION_TOPIC:
		name = say_quoted(say->speech, condition->topic->name);
		patterns = (struct patterns){ condition->topic->patterns, condition->topic->count };
		say_arguments(say, N_("the topic is {1} ({2})"), (const struct say_argument[]){ { name.text, NULL, NULL },
				{ NULL, say_patterns, &patterns } }, 2);
		break;
	case CONDITION_WORD:
		say_arguments(say, N_("the message has one of the words {1}"), ITSELF(say_patterns, &patterns), 1);
		break;
	case CONDITION_KIND:
		say_sentence(say, condition->kind == KIND_ANNOUNCE ? N_("it is an announcement by a moderator")
				: N_("it is a decision"), NULL, 0);
		break;
	case CONDITION_ALL:
	case CONDITION_ANY:
	case CONDITION_NOT:
		break;
	}
}

static void
say_condition(struct say *say, const struct condition *condition, bool brackets)
{
	bool list = condition->type == CONDITION_ALL || condition->type == CONDITION_ANY;

	if (condition->type == CONDITION_NOT) {
		say_raw(say, word(say, N_("not (")));
		say_condition(say, condition->child, false);
		say_raw(say, ")");
		return;
	}
	if (!list) {
		say_atom(say, condition);
		return;
	}
	if (brackets)
		say_raw(say, "(");
	for (const struct condition *child = condition->child; child; child = child->next) {
		if (child != condition->child)
			say_raw(say, condition->type == CONDITION_ALL ? word(say, N_(" and ")) : word(say, N_(" or ")));
		say_condition(say, child, true);
	}
	if (brackets)
		say_raw(say, ")");
}

static void
say_when(struct say *say, const void *what)
{
	say_condition(say, what, false);
}

/* ---- verdicts ---- */

static const char *const stage_names[STAGE_COUNT] = {
	[STAGE_ADMISSION] = N_("admission"),
	[STAGE_ROUTING] = N_("routing"),
	[STAGE_TIMING] = N_("timing"),
};

static void
say_action(struct say *say, enum action action, const char *target, const char *reason)
{
	static const char *const msgids[] = {
		[ACTION_PASS] = N_("let in"),
		[ACTION_REJECT] = N_("refuse ({1})"),
		[ACTION_HERE] = N_("stays here"),
		[ACTION_COPY] = N_("copy to {1}"),
		[ACTION_SUGGEST] = N_("suggest {1}"),
		[ACTION_MOVE] = N_("move to {1}"),
		[ACTION_DELIVER] = N_("deliver at once"),
		[ACTION_DIGEST] = N_("put into the next digest"),
		[ACTION_HOLD] = N_("hold until opening"),
	};
	struct say_text group = say_quoted(say->speech, target ? target : "");

	say_sentence(say, msgids[action], ARGS(action == ACTION_REJECT ? (reason ? reason : "") : group.text));
}

/* ---- rules ---- */

static void
say_state(struct say *say, const struct rule *rule)
{
	static const char *const plain[] = { [RULE_ON] = "", [RULE_OBSERVE] = N_(" [observed only]"), [RULE_OFF] = N_(" [off]") };
	static const char *const until[] = {
		[RULE_ON] = N_(" [on until {1}]"), [RULE_OBSERVE] = N_(" [observed only until {1}]"),
		[RULE_OFF] = N_(" [off until {1}]"),
	};
	struct say_text date;

	if (rule->until != INT64_MAX) {
		date = say_date(say->speech, rule->until, true);
		say_sentence(say, until[rule->state], ARGS(date.text));
	} else if (rule->state != RULE_ON) {
		say_sentence(say, plain[rule->state], NULL, 0);
	}
}

static void
say_rule(struct say *say, const struct rule *rule)
{
	struct say_text what, index = number(rule->number);
	struct say part;

	say_open(&part, say->rules, say->speech, what.text, sizeof(what.text));
	say_action(&part, rule->action, rule->target, rule->reason);
	say_close(&part);
	say_arguments(say, N_("{1} {2} {3}: when {4}, {5}"), (const struct say_argument[]){
			{ word(say, stage_names[rule->stage]), NULL, NULL }, { index.text, NULL, NULL }, { rule->name, NULL, NULL },
			{ NULL, say_when, rule->when }, { what.text, NULL, NULL } }, 5);
	if (rule->unless_moderator)
		say_raw(say, word(say, N_(", unless a moderator wrote it")));
	if (rule->action == ACTION_HOLD && !rule->notice)
		say_raw(say, word(say, N_(", without telling the writer")));
	if (rule->continues)
		say_raw(say, word(say, N_(" [noted only]")));
	say_state(say, rule);
}

size_t
rules_say_rules(const struct rules *rules, const struct rules_speech *speech, char *out, size_t size)
{
	const struct block *group = &rules->group;
	struct say say;

	say_open(&say, rules, speech, out, size);
	if (group->rule_count == 0)
		say_sentence(&say, N_("No rules: every message is delivered at once."), NULL, 0);
	for (size_t i = 0; i < group->rule_count; i++) {
		if (i > 0)
			say_raw(&say, "\n");
		say_rule(&say, group->rules[i]);
	}
	return say_close(&say);
}

/* ---- why ---- */

static struct say_text
causes(const struct say *parent, unsigned inputs)
{
	static const struct {
		unsigned input;
		const char *msgid;
	} names[] = {
		{ INPUT_CLOSED, N_("the group was closed") },
		{ INPUT_TAG, N_("a tag matched") },
		{ INPUT_TOPIC, N_("a topic matched") },
		{ INPUT_WORD, N_("a word matched") },
		{ INPUT_KIND, N_("the kind of message matched") },
		{ INPUT_AUTOMATED, N_("an automated sender") },
	};
	struct say_text text;
	struct say say;

	say_open(&say, parent->rules, parent->speech, text.text, sizeof(text.text));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!(inputs & names[i].input))
			continue;
		if (say.need > 0)
			say_raw(&say, ", ");
		say_raw(&say, say_words(parent->speech, names[i].msgid));
	}
	if (say.need == 0)
		say_raw(&say, say_words(parent->speech, N_("its condition held")));
	say_close(&say);
	return text;
}

/* Stage names stand in a column as wide as the widest of the language. */
static void
say_stage_name(struct say *say, int stage)
{
	size_t widest = 0, width = 0;

	for (int i = 0; i < STAGE_COUNT; i++) {
		size_t n = 0;

		for (const char *p = word(say, stage_names[i]); *p; p++)
			n += ((unsigned char)*p & 0xC0) != 0x80;
		if (n > widest)
			widest = n;
		if (i == stage)
			width = n;
	}
	say_raw(say, " ");
	say_raw(say, word(say, stage_names[stage]));
	for (; width < widest + 2; width++)
		say_raw(say, " ");
}

static void
say_stage(struct say *say, const struct verdict *verdict, int stage)
{
	const struct stage_verdict *answer = &verdict->stage[stage];
	struct say_text what, why = causes(say, answer->inputs), index = number(answer->rule);
	struct say_text name = say_quoted(say->speech, answer->name);
	struct say part;

	say_open(&part, say->rules, say->speech, what.text, sizeof(what.text));
	say_action(&part, answer->action, verdict->target, verdict->reason);
	say_close(&part);
	say_stage_name(say, stage);
	if (answer->rule == 0)
		say_sentence(say, N_("no rule matched -> {1}"), ARGS(what.text));
	else
		say_sentence(say, N_("rule {1} {2}: {3} -> {4}"), ARGS(index.text, name.text, why.text, what.text));
}

static void
say_observed(struct say *say, const struct verdict *verdict, int stage)
{
	const struct stage_verdict *seen = &verdict->observed[stage];
	struct say_text index = number(seen->rule), name = say_quoted(say->speech, seen->name);

	say_raw(say, "\n");
	say_stage_name(say, stage);
	say_sentence(say, N_("rule {1} {2} also matched; it is only observed"), ARGS(index.text, name.text));
}

/* A sentence for what becomes of the message, another when it also goes elsewhere. */
static void
say_outcome(struct say *say, const struct verdict *verdict, int64_t now_ms)
{
	enum action admission = verdict->stage[STAGE_ADMISSION].action;
	enum action routing = verdict->stage[STAGE_ROUTING].action, timing = verdict->stage[STAGE_TIMING].action;
	struct say_text due = say_instant(say->rules, say->speech, verdict->due_ms, now_ms);
	struct say_text group = say_quoted(say->speech, verdict->target);
	const char *zone = say_zone(say->rules);

	if (admission == ACTION_REJECT)
		say_sentence(say, N_("Refused ({1})."), ARGS(verdict->reason));
	else if (routing == ACTION_MOVE)
		say_sentence(say, N_("Moved to {1}, whose hours decide when it is delivered."), ARGS(group.text));
	else if (timing == ACTION_HOLD && verdict->due_ms == INT64_MAX)
		say_sentence(say, N_("Held: no opening is in sight, the moderators decide."), NULL, 0);
	else if (timing == ACTION_HOLD)
		say_sentence(say, N_("Held until {1} ({2})."), ARGS(due.text, zone));
	else if (timing == ACTION_DIGEST && verdict->due_ms == INT64_MAX)
		say_sentence(say, N_("Kept for a digest; none is in sight."), NULL, 0);
	else if (timing == ACTION_DIGEST)
		say_sentence(say, N_("Kept for the digest of {1} ({2})."), ARGS(due.text, zone));
	else if (verdict->due_ms == INT64_MAX)
		say_sentence(say, N_("Waits for the message that it answers, for which no opening is in sight."), NULL, 0);
	else if (verdict->due_ms > verdict->now_ms)
		say_sentence(say, N_("Waits for the message that it answers, until {1} ({2})."), ARGS(due.text, zone));
	else
		say_sentence(say, N_("Delivered at once."), NULL, 0);
	if (admission == ACTION_REJECT || (routing != ACTION_COPY && routing != ACTION_SUGGEST))
		return;
	say_raw(say, " ");
	say_sentence(say, routing == ACTION_COPY ? N_("A copy goes to {1}.") : N_("The writer is shown {1}."),
			ARGS(group.text));
}

size_t
rules_say_verdict(const struct rules *rules, const struct verdict *verdict, int64_t now_ms,
		const struct rules_speech *speech, char *out, size_t size)
{
	struct say say;
	int stages = STAGE_COUNT;

	if (verdict->stage[STAGE_ROUTING].action == ACTION_MOVE)
		stages = STAGE_TIMING;
	if (verdict->stage[STAGE_ADMISSION].action == ACTION_REJECT)
		stages = STAGE_ROUTING;
	say_open(&say, rules, speech, out, size);
	say_outcome(&say, verdict, now_ms);
	for (int stage = 0; stage < stages; stage++) {
		say_raw(&say, "\n");
		say_stage(&say, verdict, stage);
		if (verdict->observed[stage].rule > 0)
			say_observed(&say, verdict, stage);
	}
	return say_close(&say);
}
