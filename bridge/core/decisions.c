/* SPDX-License-Identifier: Apache-2.0 */
/* A verdict as columns; its stages as lines "action rule inputs name". */
#include "core/decisions.h"

#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
write_stages(const struct verdict *verdict, struct str *out)
{
	str_init(out, 1024);
	for (int i = 0; i < STAGE_COUNT; i++) {
		const struct stage_verdict *stage = &verdict->stage[i];
		str_addf(out, "%d %d %u %s\n", (int)stage->action, stage->rule, stage->inputs, stage->name);
	}
}

static void
read_stages(const char *text, struct verdict *verdict)
{
	for (int i = 0; i < STAGE_COUNT && *text; i++) {
		struct stage_verdict *stage = &verdict->stage[i];
		char *end;
		stage->action = (enum action)strtol(text, &end, 10);
		stage->rule = (int)strtol(end, &end, 10);
		stage->inputs = (unsigned)strtoul(end, &end, 10);
		const char *name = end + (*end == ' ');
		size_t n = strcspn(name, "\n");
		size_t kept = n < sizeof(stage->name) ? n : sizeof(stage->name) - 1;
		memcpy(stage->name, name, kept);
		stage->name[kept] = '\0';
		text = name + n + (name[n] == '\n');
	}
}

void
decisions_save(struct store *store, const struct decision *decision)
{
	const struct verdict *verdict = &decision->verdict;
	struct query query = store_query(store, DECISION_ADD);
	struct str stages AUTO_STR;

	write_stages(verdict, &stages);
	query_int(&query, decision->inbox_seq);
	query_text(&query, decision->group);
	query_text(&query, decision->person);
	query_text(&query, decision->reply_lane);
	query_int(&query, decision->revision);
	query_int(&query, verdict->now_ms);
	query_int(&query, verdict->due_ms);
	query_int(&query, verdict->period_ms);
	query_int(&query, verdict->notice);
	query_text(&query, verdict->target);
	query_text(&query, verdict->reason);
	query_text(&query, str_get(&stages));
	query_run(&query);
}

static bool
read_decision(struct query *query, struct decision *out)
{
	bool found = query_step(query);

	if (found) {
		*out = (struct decision){ .inbox_seq = query_get_int(query, 0), .revision = (int)query_get_int(query, 4) };
		snprintf(out->group, sizeof(out->group), "%s", query_get_text(query, 1));
		snprintf(out->person, sizeof(out->person), "%s", query_get_text(query, 2));
		snprintf(out->reply_lane, sizeof(out->reply_lane), "%s", query_get_text(query, 3));
		out->verdict.now_ms = query_get_int(query, 5);
		out->verdict.due_ms = query_get_int(query, 6);
		out->verdict.period_ms = query_get_int(query, 7);
		out->verdict.notice = query_get_int(query, 8) != 0;
		snprintf(out->verdict.target, sizeof(out->verdict.target), "%s", query_get_text(query, 9));
		snprintf(out->verdict.reason, sizeof(out->verdict.reason), "%s", query_get_text(query, 10));
		read_stages(query_get_text(query, 11), &out->verdict);
	}
	query_done(query);
	return found;
}

bool
decisions_get(struct store *store, int64_t inbox_seq, struct decision *out)
{
	struct query query = store_query(store, DECISION_GET);

	query_int(&query, inbox_seq);
	return read_decision(&query, out);
}

bool
decisions_last(struct store *store, const char *group, const char *person, struct decision *out)
{
	struct query query = store_query(store, DECISION_LAST);

	query_text(&query, group);
	query_text(&query, person);
	return read_decision(&query, out);
}
