/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Words. A sentence is always one template that a translator sees whole; its
 * arguments are numbers, names, dates and noun phrases. Dates and times are not
 * templates: each language has its own table and order here, because the
 * process locale is global and not ours to set.
 *
 * Invariant: a buffer that is too small gives a shorter text, never half a
 * character, and the length that was needed is returned all the same.
 */

#include "say.h"

#include "calendar.h"
#include "syntax.h"
#include "zone.h"

#include <stdio.h>
#include <string.h>

#define NBSP "\xC2\xA0"

/* ---- the buffer ---- */

void
say_open(struct say *say, const struct rules *rules, const struct rules_speech *speech, char *out, size_t size)
{
	*say = (struct say){ .rules = rules, .speech = speech, .out = out, .size = size };
}

static void
put(struct say *say, const char *text, size_t n)
{
	if (say->need < say->size) {
		size_t room = say->size - say->need;

		memcpy(say->out + say->need, text, n < room ? n : room);
	}
	say->need += n;
}

void
say_raw(struct say *say, const char *text)
{
	put(say, text, strlen(text));
}

void
say_bytes(struct say *say, const char *p, size_t n)
{
	put(say, p, n);
}

size_t
say_close(struct say *say)
{
	size_t end = say->need;

	if (say->size == 0)
		return say->need;
	if (end >= say->size) {
		end = say->size - 1;
		/* the byte at the cut goes on with a character: that character falls away */
		while (end > 0 && ((unsigned char)say->out[end] & 0xC0) == 0x80)
			end--;
	}
	say->out[end] = '\0';
	return say->need;
}

/* ---- templates ---- */

const char *
say_words(const struct rules_speech *speech, const char *msgid)
{
	return speech->words ? speech->words(speech->context, msgid) : msgid;
}

void
say_arguments(struct say *say, const char *msgid, const struct say_argument *args, size_t count)
{
	for (const char *p = say_words(say->speech, msgid); *p; p++) {
		size_t index = p[0] == '{' && p[1] >= '1' && p[1] <= '9' && p[2] == '}' ? (size_t)(p[1] - '1') : count;
		const char *text = index < count ? args[index].text : NULL;
		size_t n = text ? strlen(text) : 0;

		if (index >= count) {
			put(say, p, 1);
			continue;
		}
		if (text)
			put(say, text, n);
		else
			args[index].write(say, args[index].what);
		p += 2;
		/* an abbreviation at the end of a sentence ("oct.") brings its own full stop */
		if (n > 0 && text[n - 1] == '.' && p[1] == '.')
			p++;
	}
}

void
say_sentence(struct say *say, const char *msgid, const char *const *args, size_t count)
{
	struct say_argument arguments[SAY_ARGS_MAX] = { { NULL, NULL, NULL } };

	if (count > SAY_ARGS_MAX)
		count = SAY_ARGS_MAX;
	for (size_t i = 0; i < count; i++)
		arguments[i].text = args[i];
	say_arguments(say, msgid, arguments, count);
}

struct say_text
say_short(const struct rules_speech *speech, const char *msgid, const char *const *args, size_t count)
{
	struct say_text text;
	struct say say;

	say_open(&say, NULL, speech, text.text, sizeof(text.text));
	say_sentence(&say, msgid, args, count);
	say_close(&say);
	return text;
}

struct say_text
say_quoted(const struct rules_speech *speech, const char *name)
{
	return say_short(speech, N_("\"{1}\""), &name, 1);
}

/* ---- dates ---- */

static const char *const days[2][7] = {
	{ "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun" },
	{ "lun.", "mar.", "mer.", "jeu.", "ven.", "sam.", "dim." },
};

static const char *const months[2][12] = {
	{ "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" },
	{ "janv.", "f\xC3\xA9vr.", "mars", "avr.", "mai", "juin", "juil.", "ao\xC3\xBBt", "sept.", "oct.", "nov.",
			"d\xC3\xA9" "c." },
};

const char *
say_zone(const struct rules *rules)
{
	return rules->zone ? rules_zone_name(rules) : "UTC";
}

struct say_text
say_clock(const struct rules_speech *speech, int hour, int minute)
{
	struct say_text text;

	if (!speech->french)
		snprintf(text.text, sizeof(text.text), "%02d:%02d", hour, minute);
	else if (minute == 0)
		snprintf(text.text, sizeof(text.text), "%d" NBSP "h", hour);
	else
		snprintf(text.text, sizeof(text.text), "%d" NBSP "h" NBSP "%02d", hour, minute);
	return text;
}

struct say_text
say_date(const struct rules_speech *speech, int64_t day, bool with_year)
{
	struct civil date;
	struct say_text text;
	char year[16] = "";

	zone_date(day, &date);
	if (with_year)
		snprintf(year, sizeof(year), " %d", date.year);
	snprintf(text.text, sizeof(text.text), "%s %d%s %s%s", days[speech->french][date.weekday], date.day,
			speech->french && date.day == 1 ? "er" : "", months[speech->french][date.month - 1], year);
	return text;
}

struct say_text
say_weekdays(const struct rules_speech *speech, unsigned set)
{
	const char *const *names = days[speech->french];
	struct say_text text;
	struct say say;
	int last;

	if ((set & 0x7F) == 0x7F)
		return say_short(speech, N_("every day"), NULL, 0);
	say_open(&say, NULL, speech, text.text, sizeof(text.text));
	for (int day = 0; day < 7; day = last + 1) {
		last = day;
		if (!(set & 1u << day))
			continue;
		while (last < 6 && (set & 1u << (last + 1)))
			last++;
		if (say.need > 0)
			say_raw(&say, ", ");
		say_raw(&say, names[day]);
		if (last > day)
			say_raw(&say, last == day + 1 ? ", " : "-");
		if (last > day)
			say_raw(&say, names[last]);
	}
	say_close(&say);
	return text;
}

struct say_text
say_instant(const struct rules *rules, const struct rules_speech *speech, int64_t at_ms, int64_t now_ms)
{
	struct civil at, now;
	struct say_text date, clock, text;
	struct say say;

	zone_to_civil(rules->zone, at_ms, &at);
	zone_to_civil(rules->zone, now_ms, &now);
	date = say_date(speech, zone_days(at.year, at.month, at.day), at.year != now.year);
	clock = say_clock(speech, at.hour, at.minute);
	say_open(&say, rules, speech, text.text, sizeof(text.text));
	say_raw(&say, date.text);
	say_raw(&say, " ");
	say_raw(&say, clock.text);
	say_close(&say);
	return text;
}
