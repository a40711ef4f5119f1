/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Days, times and dates. A word of digits, dashes and colons is one token, so these read its bytes; what is wrong with it
 * is said by the setting that it belongs to.
 */

#include "parse.h"

#include "say.h"
#include "zone.h"

#include <string.h>

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Exactly the digits of `size` bytes. */
static bool
read_digits(const char *p, size_t size, int *out)
{
	*out = 0;
	for (size_t i = 0; i < size; i++) {
		if (!is_digit(p[i]))
			return false;
		*out = *out * 10 + (p[i] - '0');
	}
	return size > 0 && size < 9;
}

bool
parse_date_text(const char *p, size_t size, int64_t *days)
{
	int year, month, day;
	struct civil back;

	if (size != 10 || p[4] != '-' || p[7] != '-' || !read_digits(p, 4, &year) || !read_digits(p + 5, 2, &month)
			|| !read_digits(p + 8, 2, &day))
		return false;
	*days = zone_days(year, month, day);
	zone_date(*days, &back);
	return back.year == year && back.month == month && back.day == day;
}

bool
parse_time_text(const char *p, size_t size, int *minutes)
{
	size_t hours = 0, separator;
	int h, m = 0;

	while (hours < size && is_digit(p[hours]))
		hours++;
	if (hours == 0 || hours > 2 || hours == size || !read_digits(p, hours, &h))
		return false;
	separator = hours + 1;
	if (p[hours] != ':' && p[hours] != 'h' && p[hours] != 'H')
		return false;
	if (separator < size || p[hours] == ':') {
		if (size - separator != 2 || !read_digits(p + separator, 2, &m))
			return false;
	}
	*minutes = h * 60 + m;
	return h <= 24 && m < 60 && *minutes <= 24 * 60;
}

static bool
read_day(const char *p, size_t size, int *day)
{
	static const struct {
		const char *text;
		int day;
	} names[] = {
		{ "mon", 0 }, { "tue", 1 }, { "wed", 2 }, { "thu", 3 }, { "fri", 4 }, { "sat", 5 }, { "sun", 6 },
		{ "lun", 0 }, { "mar", 1 }, { "mer", 2 }, { "jeu", 3 }, { "ven", 4 }, { "sam", 5 }, { "dim", 6 },
		{ "monday", 0 }, { "tuesday", 1 }, { "wednesday", 2 }, { "thursday", 3 }, { "friday", 4 },
		{ "saturday", 5 }, { "sunday", 6 }, { "lundi", 0 }, { "mardi", 1 }, { "mercredi", 2 }, { "jeudi", 3 },
		{ "vendredi", 4 }, { "samedi", 5 }, { "dimanche", 6 },
	};
	char lower[12];

	if (size > 0 && p[size - 1] == '.')
		size--;
	if (size >= sizeof(lower))
		return false;
	for (size_t i = 0; i < size; i++)
		lower[i] = (char)(p[i] >= 'A' && p[i] <= 'Z' ? p[i] + ('a' - 'A') : p[i]);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strlen(names[i].text) == size && memcmp(names[i].text, lower, size) == 0) {
			*day = names[i].day;
			return true;
		}
	}
	return false;
}

/* "mon", or "fri-mon" which goes over Sunday. */
static bool
read_days(const char *p, size_t size, unsigned *days)
{
	const char *dash = memchr(p, '-', size);
	size_t first = dash ? (size_t)(dash - p) : size;
	int from, to;

	if (!read_day(p, first, &from))
		return false;
	to = from;
	if (dash && !read_day(dash + 1, size - first - 1, &to))
		return false;
	for (int day = from;; day = (day + 1) % 7) {
		*days |= 1u << day;
		if (day == to)
			return true;
	}
}

bool
parse_days(struct parser *parser, unsigned *days)
{
	*days = 0;
	if (parse_take_key(parser, KEY_DAILY)) {
		*days = 0x7F;
		return true;
	}
	do {
		if (parser->token.kind != TOKEN_WORD || !read_days(parser->token.p, parser->token.size, days))
			return parse_unexpected(parser, N_("days such as mon-fri or sat,sun or daily"));
		parse_next(parser);
	} while (parse_take(parser, TOKEN_COMMA));
	return true;
}
