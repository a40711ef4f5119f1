/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A complaint in two shapes: the English sentence for logs and for those who write files, and its template with what was filled in,
 * for people who are spoken to in their own language. Arguments keep their order in every language.
 */
#include "parse.h"
#include "say.h"

#include <stdio.h>
#include <string.h>

#define ARGUMENTS_MAX (sizeof(((struct complaint *)0)->arguments) / sizeof(((struct complaint *)0)->arguments[0]))

void
complain_keep(struct complaint *why, const char *format, va_list args)
{
	const size_t size = sizeof(why->arguments[0]);
	size_t n = 0;

	why->msgid = format;
	for (const char *p = strchr(format, '%'); p && n < ARGUMENTS_MAX; p = strchr(p + 1, '%')) {
		if (p[1] == 's')
			snprintf(why->arguments[n++], size, "%s", va_arg(args, const char *));
		else if (p[1] == 'z')
			snprintf(why->arguments[n++], size, "%zu", va_arg(args, size_t));
		else
			snprintf(why->arguments[n++], size, "%d", va_arg(args, int));
	}
}

/* Behind a conversion: "%s", "%d", "%zu". */
static const char *
behind(const char *p)
{
	return p + (p[1] == 'z' ? 3 : 2);
}

size_t
rules_say_complaint(const struct complaint *complaint, const struct rules_speech *speech, char *out, size_t size)
{
	const char *p = say_words(speech, complaint->msgid);
	struct say say;

	say_open(&say, NULL, speech, out, size);
	for (size_t n = 0; *p;) {
		size_t plain = strcspn(p, "%");
		say_bytes(&say, p, plain);
		p += plain;
		if (!*p)
			break;
		const char *argument = n < ARGUMENTS_MAX ? complaint->arguments[n++] : "";
		say_raw(&say, complaint->own_words ? say_words(speech, argument) : argument);
		p = behind(p);
	}
	return say_close(&say);
}
