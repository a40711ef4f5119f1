/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A name is worked on as code points. First what nobody sees is taken out, then libidn's strict
 * profile judges; what it does not know (emoji, letters newer than Unicode 3.2) is dropped one by one. A name of
 * mixed directions keeps the direction that it begins with, because the servers refuse "right-to-left + [m]".
 */
#include "xmpp/nick.h"

#include "base/str.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stringprep.h>

#define CODE_POINTS_MAX 48
#define RESOURCE_MAX 1023

struct range {
	uint32_t first, last;
};

static bool
in_ranges(const struct range *ranges, size_t count, uint32_t code)
{
	for (size_t i = 0; i < count; i++)
		if (code >= ranges[i].first && code <= ranges[i].last)
			return true;
	return false;
}

/* Unicode 15: Cc, Cf, Co, Cs, and what replaces a broken character. */
static bool
is_invisible(uint32_t code)
{
	static const struct range ranges[] = {
		{ 0x00, 0x1F }, { 0x7F, 0x9F }, { 0xAD, 0xAD }, { 0x600, 0x605 }, { 0x61C, 0x61C }, { 0x6DD, 0x6DD }, { 0x70F, 0x70F },
		{ 0x890, 0x891 }, { 0x8E2, 0x8E2 }, { 0x180B, 0x180F }, { 0x200B, 0x200F }, { 0x202A, 0x202E }, { 0x2060, 0x206F },
		{ 0xD800, 0xF8FF }, { 0xFE00, 0xFE0F }, { 0xFEFF, 0xFEFF }, { 0xFFF9, 0xFFFF }, { 0x110BD, 0x110BD },
		{ 0x110CD, 0x110CD }, { 0x13430, 0x1343F }, { 0x1BCA0, 0x1BCA3 }, { 0x1D173, 0x1D17A }, { 0xE0000, 0x10FFFF },
	};

	return in_ranges(ranges, sizeof(ranges) / sizeof(*ranges), code);
}

static bool
is_space(uint32_t code)
{
	static const struct range ranges[] = {
		{ '\t', '\r' }, { ' ', ' ' }, { 0x85, 0x85 }, { 0xA0, 0xA0 }, { 0x1680, 0x1680 }, { 0x2000, 0x200A }, { 0x2028, 0x2029 },
		{ 0x202F, 0x202F }, { 0x205F, 0x205F }, { 0x3000, 0x3000 },
	};

	return in_ranges(ranges, sizeof(ranges) / sizeof(*ranges), code);
}

static bool
in_table(const Stringprep_table_element *table, uint32_t code)
{
	for (size_t i = 0; table[i].start || table[i].end; i++)
		if (code >= table[i].start && code <= (table[i].end ? table[i].end : table[i].start))
			return true;
	return false;
}

static bool
is_right_to_left(uint32_t code)
{
	return in_table(stringprep_rfc3454_D_1, code);
}

static bool
is_left_to_right(uint32_t code)
{
	return in_table(stringprep_rfc3454_D_2, code);
}

/* The code points of clean UTF-8, at most `max`. */
static size_t
decode(const char *text, uint32_t *out, size_t max)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t n = 0;

	while (*p && n < max) {
		size_t length = *p < 0x80 ? 1 : *p < 0xE0 ? 2 : *p < 0xF0 ? 3 : 4;
		uint32_t code = length == 1 ? *p : *p & (0xFFu >> (length + 1));
		for (size_t i = 1; i < length; i++)
			code = code << 6 | (p[i] & 0x3F);
		out[n++] = code;
		p += length;
	}
	return n;
}

static void
encode(const uint32_t *codes, size_t n, char *out, size_t size)
{
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		char bytes[7];
		int length = stringprep_unichar_to_utf8(codes[i], bytes);
		if (length <= 0 || at + (size_t)length + 1 > size)
			break;
		memcpy(out + at, bytes, (size_t)length);
		at += (size_t)length;
	}
	out[at] = '\0';
}

static int
judge(const char *nick)
{
	char copy[4 * RESOURCE_MAX];
	size_t n = strlen(nick);

	if (n > RESOURCE_MAX || !str_is_clean(nick, n))
		return STRINGPREP_TOO_SMALL_BUFFER;
	memcpy(copy, nick, n + 1);
	int verdict = stringprep(copy, sizeof(copy), STRINGPREP_NO_UNASSIGNED, stringprep_xmpp_resourceprep);
	if (verdict == STRINGPREP_OK && (!copy[0] || strlen(copy) > RESOURCE_MAX))
		return STRINGPREP_TOO_SMALL_BUFFER;
	return verdict;
}

bool
nick_allowed(const char *nick)
{
	return judge(nick) == STRINGPREP_OK;
}

/* Removes what is invisible, and white space at the ends and doubled; returns the new length. */
static size_t
tidy(uint32_t *codes, size_t n)
{
	size_t kept = 0;
	bool space = false;

	for (size_t i = 0; i < n; i++) {
		if (is_space(codes[i])) {
			space = kept > 0;
			continue;
		}
		if (is_invisible(codes[i]))
			continue;
		if (space)
			codes[kept++] = ' ';
		space = false;
		codes[kept++] = codes[i];
	}
	return kept;
}

static size_t
keep_if(uint32_t *codes, size_t n, bool (*keep)(uint32_t code))
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (keep(codes[i]))
			codes[kept++] = codes[i];
	return kept;
}

/* Whether the servers take this code point when direction is left aside. */
static bool
is_known(uint32_t code)
{
	char one[8];

	if (code == ' ')
		return true;
	encode(&code, 1, one, sizeof(one));
	int verdict = judge(one);
	return verdict == STRINGPREP_OK || verdict == STRINGPREP_BIDI_LEADTRAIL_NOT_RAL || verdict == STRINGPREP_BIDI_BOTH_L_AND_RAL;
}

static bool
is_not_left_to_right(uint32_t code)
{
	return !is_left_to_right(code);
}

static bool
is_not_right_to_left(uint32_t code)
{
	return !is_right_to_left(code);
}

/* RFC 3454 §6: no left-to-right letter beside right-to-left ones, and those at both ends. */
static size_t
straighten(uint32_t *codes, size_t n)
{
	size_t first = 0;

	while (first < n && !is_left_to_right(codes[first]) && !is_right_to_left(codes[first]))
		first++;
	if (first == n || is_left_to_right(codes[first]))
		return keep_if(codes, n, is_not_right_to_left);
	n = keep_if(codes, n, is_not_left_to_right);
	while (n && !is_right_to_left(codes[n - 1]))
		n--;
	for (first = 0; first < n && !is_right_to_left(codes[first]);)
		first++;
	memmove(codes, codes + first, (n - first) * sizeof(*codes));
	return n - first;
}

/* Simplifies step by step until it is allowed. False when nothing is left of it. */
static bool
simplify(const char *name, char out[NICK_SIZE], bool *changed)
{
	uint32_t codes[4 * CODE_POINTS_MAX];
	AUTO_FREE char *clean = str_clean(name, strnlen(name, 4096));
	size_t n = tidy(codes, decode(clean, codes, sizeof(codes) / sizeof(*codes)));

	*changed = n > CODE_POINTS_MAX;
	if (n > CODE_POINTS_MAX)
		n = tidy(codes, CODE_POINTS_MAX);
	for (int step = 0; n; step++) {
		encode(codes, n, out, NICK_SIZE);
		if (nick_allowed(out))
			return true;
		*changed = true;
		if (step == 0)
			n = keep_if(codes, n, is_known);
		else if (step == 1)
			n = straighten(codes, n);
		else
			return false;
		n = tidy(codes, n);
	}
	return false;
}

/* "alice" of "alice:example.org", of "bob@example.org" and of a mere alias. */
static void
local_part(const char *stem, char out[NICK_SIZE])
{
	size_t n = strcspn(stem, ":@");

	snprintf(out, NICK_SIZE, "%.*s", (int)(n < NICK_SIZE ? n : NICK_SIZE - 1), stem);
}

bool
nick_prepare(const char *name, const char *stem, char out[NICK_SIZE])
{
	char local[NICK_SIZE];
	bool changed = true;

	if (name && simplify(name, out, &changed))
		return !changed;
	local_part(stem, local);
	if (!simplify(local, out, &changed))
		nick_simple(stem, out);
	return false;
}

void
nick_simple(const char *stem, char out[NICK_SIZE])
{
	size_t n = 0;

	for (const char *p = stem; *p && *p != ':' && *p != '@' && n < 32; p++)
		if (isalnum((unsigned char)*p))
			out[n++] = *p;
	out[n] = '\0';
	if (!n)
		snprintf(out, NICK_SIZE, "matrix");
}

void
nick_variant(const char *nick, const char *stem, unsigned n, char out[NICK_SIZE])
{
	char local[NICK_SIZE];

	nick_simple(stem, local);
	/* When three variants of his name are taken, it is his address that he is known by. */
	if (n == 4) {
		memcpy(out, local, strlen(local) + 1);
		return;
	}
	/* A person called "m3" has the third variant's mark for a name. */
	bool marked = local[0] == 'm' && local[1 + strspn(local + 1, "0123456789")] == '\0';
	AUTO_FREE char *tried = n > 4 ? xasprintf("%s [m%u]", local, n) : n == 1 ? xasprintf("%s [m]", nick)
		: n == 2 && !marked ? xasprintf("%s [%s]", nick, local)
		: xasprintf("%s [m%u]", nick, n);
	if (strlen(tried) < NICK_SIZE && nick_allowed(tried)) {
		memcpy(out, tried, strlen(tried) + 1);
		return;
	}
	snprintf(out, NICK_SIZE, "%.64s [m%u]", local, n);
}
