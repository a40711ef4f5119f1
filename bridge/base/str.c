/* SPDX-License-Identifier: Apache-2.0 */
/* Growing text, and the one function that makes foreign text safe for both networks. */
#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
str_init(struct str *s, size_t max)
{
	*s = (struct str){ .max = max };
}

void
str_fini(struct str *s)
{
	free(s->p);
	str_init(s, s->max);
}

void
str_clear(struct str *s)
{
	s->n = 0;
	s->full = false;
	if (s->p)
		s->p[0] = '\0';
}

static bool
reserve(struct str *s, size_t more)
{
	if (s->full || more > s->max - s->n) {
		s->full = true;
		return false;
	}
	if (s->n + more + 1 > s->room) {
		size_t room = s->room ? s->room : 64;

		while (room < s->n + more + 1)
			room *= 2;
		s->p = xrealloc(s->p, room);
		s->room = room;
	}
	return true;
}

void
str_reserve(struct str *s, size_t n)
{
	if (n > s->n)
		(void)reserve(s, n - s->n);
}

void
str_add_n(struct str *s, const char *p, size_t n)
{
	if (!reserve(s, n))
		return;
	if (n)
		memcpy(s->p + s->n, p, n);
	s->n += n;
	s->p[s->n] = '\0';
}

void
str_add(struct str *s, const char *text)
{
	str_add_n(s, text, strlen(text));
}

void
str_add_char(struct str *s, char c)
{
	str_add_n(s, &c, 1);
}

void
str_addf(struct str *s, const char *format, ...)
{
	size_t spare = s->p ? s->room - s->n : 0;
	va_list args, again;

	va_start(args, format);
	va_copy(again, args);
	int n = vsnprintf(spare ? s->p + s->n : NULL, spare, format, args);
	if (n >= 0 && reserve(s, (size_t)n)) {
		if ((size_t)n >= spare)
			vsnprintf(s->p + s->n, (size_t)n + 1, format, again);
		s->n += (size_t)n;
	} else if (spare) {
		s->p[s->n] = '\0';
	}
	va_end(again);
	va_end(args);
}

char *
str_take(struct str *s)
{
	char *p = s->p ? s->p : xstrdup("");

	str_init(s, s->max);
	return p;
}

const char *
str_get(const struct str *s)
{
	return s->p ? s->p : "";
}

/* Length of the UTF-8 sequence of one XML 1.0 Char at p (n > 0 bytes left), or 0. Unicode 15 §3.9 table 3-7; XML 1.0 §2.2. */
static size_t
xml_char(const unsigned char *p, size_t n)
{
	if (p[0] < 0x80)
		return p[0] >= 0x20 || p[0] == '\t' || p[0] == '\n' || p[0] == '\r';
	size_t length = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
	if (p[0] < 0xC2 || p[0] > 0xF4 || n < length)
		return 0;
	uint32_t code = p[0] & (0xFFu >> (length + 1));
	for (size_t i = 1; i < length; i++) {
		if ((p[i] & 0xC0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3F);
	}
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	if (code < least[length] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF) || code == 0xFFFE || code == 0xFFFF)
		return 0;
	return length;
}

bool
str_is_clean(const char *text, size_t n)
{
	const unsigned char *p = (const unsigned char *)text;

	for (size_t i = 0; i < n;) {
		size_t length = xml_char(p + i, n - i);
		if (!length)
			return false;
		i += length;
	}
	return true;
}

char *
str_clean(const char *text, size_t n)
{
	const unsigned char *p = (const unsigned char *)text;
	struct str out;

	str_init(&out, 3 * n + 1);
	for (size_t i = 0; i < n;) {
		size_t length = xml_char(p + i, n - i);
		if (length) {
			str_add_n(&out, text + i, length);
			i += length;
			continue;
		}
		str_add(&out, "\xEF\xBF\xBD");
		do
			i++;
		while (i < n && (p[i] & 0xC0) == 0x80);
	}
	return str_take(&out);
}

bool
str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool
str_equal(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

char *
str_fill(const char *format, const char *key, const char *value)
{
	AUTO_FREE char *mark = xasprintf("{%s}", key);
	struct str out;

	str_init(&out, SIZE_MAX / 2);
	for (const char *at; (at = strstr(format, mark)); format = at + strlen(mark)) {
		str_add_n(&out, format, (size_t)(at - format));
		str_add(&out, value);
	}
	str_add(&out, format);
	return str_take(&out);
}

unsigned
str_distance(const char *a, const char *b)
{
	enum { MAX = 64 };
	size_t n = strnlen(a, MAX), m = strnlen(b, MAX);
	unsigned row[MAX + 1];

	for (size_t j = 0; j <= m; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; i <= n; i++) {
		unsigned diagonal = row[0];
		row[0] = (unsigned)i;
		for (size_t j = 1; j <= m; j++) {
			unsigned best = diagonal + (a[i - 1] != b[j - 1]);
			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[m];
}
