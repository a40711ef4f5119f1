/* SPDX-License-Identifier: Apache-2.0 */
/* Between the pure rules and gettext. */
#include "core/speech.h"

#include "base/log.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

static const char *
words(void *context, const char *msgid)
{
	return text_in(context, msgid);
}

struct rules_speech
speech_in(const char *language)
{
	union {
		const char *in;
		void *out;
	} context = { .in = language }; /* the callback only reads it */

	return (struct rules_speech){ .words = words, .context = context.out, .french = str_starts(language, "fr") };
}

const struct rules *
speech_rules(const struct group *group)
{
	static struct rules *none;
	struct complaint why;

	if (group && group->rules)
		return group->rules;
	if (!none && rules_parse(&none, "version 1\n", 10, &why))
		abort();
	return none;
}

void
speech_instant(const struct core *core, const struct group *group, int64_t at_ms, int64_t now_ms, char *out, size_t size)
{
	struct rules_speech speech = speech_in(core_language(core, group));

	rules_say_instant(speech_rules(group), at_ms, now_ms, &speech, out, size);
}

char *
speech_hours(const struct core *core, const struct group *group, int64_t now_ms)
{
	struct rules_speech speech = speech_in(core_language(core, group));
	size_t n = rules_say_hours(speech_rules(group), now_ms, &speech, NULL, 0) + 1;
	char *out = xmalloc(n);

	rules_say_hours(speech_rules(group), now_ms, &speech, out, n);
	return out;
}

char *
speech_rule_list(const struct core *core, const struct group *group)
{
	struct rules_speech speech = speech_in(core_language(core, group));
	size_t n = rules_say_rules(speech_rules(group), &speech, NULL, 0) + 1;
	char *out = xmalloc(n);

	rules_say_rules(speech_rules(group), &speech, out, n);
	return out;
}

char *
speech_why(const struct core *core, const struct group *group, const struct verdict *verdict, int64_t now_ms)
{
	struct rules_speech speech = speech_in(core_language(core, group));
	size_t n = rules_say_verdict(speech_rules(group), verdict, now_ms, &speech, NULL, 0) + 1;
	char *out = xmalloc(n);

	rules_say_verdict(speech_rules(group), verdict, now_ms, &speech, out, n);
	return out;
}

char *
speech_complaint(const char *language, const struct complaint *why)
{
	struct rules_speech speech = speech_in(language);
	size_t n = rules_say_complaint(why, &speech, NULL, 0) + 1;
	char *out = xmalloc(n);

	rules_say_complaint(why, &speech, out, n);
	return out;
}
