/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a charter. Up to the first NUL they are the charter, what follows
 * is a message, a digest item and an edit. What parses is asked everything; the
 * answers must agree with each other.
 */
#include "rules/digest.h"
#include "replay.h"
#include "rules/rules.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW INT64_C(1792175040000) /* a Friday evening */
#define HOUR INT64_C(3600000)

static const char fixed[] =
	"group \"m\" {\n hours mon-fri 08:30-18:30\n holidays fr\n topics { seo: \"SEO\" tag ref }\n"
	" time 1 a when (tag x and word in \"un deux\" \"c++\") or topic seo then deliver\n"
	" time 2 b when closed then hold until opening\n}\n";

static void
judge(const struct rules *rules, const char *text)
{
	static const struct rules_speech speeches[2] = { { NULL, NULL, false }, { NULL, NULL, true } };
	struct message message = { NETWORK_XMPP, MESSAGE_TEXT, "xmpp:a@b", text };
	struct facts facts = { true };
	struct verdict verdict;
	char out[512];

	rules_judge(rules, &message, &facts, NOW, &verdict);
	assert(verdict.due_ms >= NOW && verdict.now_ms == NOW && verdict.period_ms <= NOW);
	for (int i = 0; i < 2; i++) {
		rules_say_verdict(rules, &verdict, NOW, &speeches[i], out, sizeof(out));
		rules_say_rules(rules, &speeches[i], out, sizeof(out));
		rules_say_hours(rules, NOW, &speeches[i], out, sizeof(out));
	}
}

static void
ask_calendar(const struct rules *rules)
{
	char key[24];

	for (int64_t at = NOW; at < NOW + 40 * HOUR; at += 13 * HOUR) {
		int64_t opening = rules_next_opening(rules, at), change = rules_next_change(rules, at);
		bool open = rules_is_open(rules, at);

		assert(opening >= at && change > at && open == (opening == at));
		assert(opening == INT64_MAX || rules_is_open(rules, opening));
		assert(change == INT64_MAX || rules_is_open(rules, change) != open);
		assert(rules_closed_since(rules, at) <= at);
		assert(rules_next_slot(rules, at, key, sizeof(key)) > at);
	}
}

static void
edit(const char *charter, size_t size, const char *line)
{
	static const char *const keywords[] = { "hours", "topics", "lang", "closed" };
	struct complaint why;
	struct rules *rules;
	char *out;

	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++) {
		if (rules_edit_line(charter, size, "m", keywords[i], line, &out, &why) == 0) {
			assert(rules_parse(&rules, out, strlen(out), &why) == 0);
			rules_free(rules);
			free(out);
		}
	}
}

static void
digest(const struct rules *rules, const char *text)
{
	static const struct rules_speech speech = { NULL, NULL, true };
	struct digest_item items[] = {
		{ 1, NOW - HOUR, 0, "m1", text, text, text, DIGEST_EDITED }, { 2, NOW, 1, text, "B", text, NULL, DIGEST_MENTION },
	};
	struct digest input = { .group = "m", .from_ms = NOW - HOUR, .to_ms = NOW, .items = items, .count = 2 };
	struct digest_text out;

	assert(digest_build(rules, &input, &speech, &out) == 0);
	for (size_t i = 0; i < out.count; i++) {
		assert(strlen(out.part[i].plain) <= DIGEST_BYTES_MAX && strlen(out.part[i].html) <= DIGEST_BYTES_MAX);
		assert(!strstr(out.part[i].html, "<script"));
	}
	digest_text_fini(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *charter = (const char *)data;
	size_t length = strnlen(charter, size), rest = size - length;
	char *text = calloc(1, rest + 1);
	struct complaint why;
	struct rules *rules;

	if (!text)
		return 0;
	if (rest > 1)
		memcpy(text, charter + length + 1, rest - 1);
	if (rules_parse(&rules, charter, length, &why) == 0) {
		judge(rules, text);
		ask_calendar(rules);
		rules_free(rules);
		edit(charter, length, text);
	} else {
		assert(why.line > 0 && why.column > 0 && why.text[0] && strlen(why.text) < sizeof(why.text));
	}
	assert(rules_parse(&rules, fixed, strlen(fixed), &why) == 0);
	judge(rules, text);
	digest(rules, text);
	rules_free(rules);
	free(text);
	return 0;
}

REPLAY_MAIN("charter")
