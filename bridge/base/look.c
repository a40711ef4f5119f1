/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A name is compared by a skeleton: compatibility forms folded, case folded, what is invisible and white space taken out,
 * and of letters that look like a Latin one that one instead. No complete table of confusables: the commonest of the
 * scripts that are mixed with Latin.
 */
#include "base/look.h"

#include "base/str.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#define NAME_MAX_BYTES 1024 /* more is not looked at */

static bool
is_invisible(utf8proc_int32_t code)
{
	utf8proc_category_t category = utf8proc_category(code);

	if (category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF || category == UTF8PROC_CATEGORY_CO ||
			category == UTF8PROC_CATEGORY_CS)
		return true;
	/* Fillers that are letters by name only, variation selectors, the combining grapheme joiner. */
	return code == 0x34F || code == 0x115F || code == 0x1160 || code == 0x3164 || code == 0xFFA0 || code == 0xFFFD || (code >= 0xFE00 && code <= 0xFE0F) ||
		(code >= 0x180B && code <= 0x180F);
}

static bool
is_space(utf8proc_int32_t code)
{
	utf8proc_category_t category = utf8proc_category(code);

	return (code >= '\t' && code <= '\r') || code == 0x85 || category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
		category == UTF8PROC_CATEGORY_ZP;
}

/* Joiners and emoji's variation selector do something behind letters of the East and behind emoji, and nothing behind Latin ones. */
static bool
is_joined(utf8proc_int32_t before, utf8proc_int32_t code)
{
	return before >= 0x590 && (code == 0x200C || code == 0x200D || code == 0xFE0F);
}

void
look_tidy(const char *name, char *out, size_t size)
{
	AUTO_FREE char *clean = str_clean(name, strnlen(name, NAME_MAX_BYTES));
	const utf8proc_uint8_t *p = (const utf8proc_uint8_t *)clean;
	utf8proc_int32_t code, before = 0;
	size_t n = 0;
	bool space = false;

	for (utf8proc_ssize_t step; *p; p += step) {
		step = utf8proc_iterate(p, -1, &code);
		if (step <= 0)
			break;
		bool drawn = !is_space(code) && (!is_invisible(code) || is_joined(before, code));
		space = space || is_space(code);
		if (!drawn)
			continue;
		bool gap = space && n > 0;
		if (n + gap + (size_t)step >= size)
			break;
		if (gap)
			out[n++] = ' ';
		memcpy(out + n, p, (size_t)step);
		n += (size_t)step;
		before = code;
		space = false;
	}
	out[n] = '\0';
}

/* Lower case. */
static utf8proc_int32_t
look_of(utf8proc_int32_t code)
{
	static const struct {
		utf8proc_int32_t code;
		char like;
	} table[] = {
		{ 0x430, 'a' }, { 0x435, 'e' }, { 0x43E, 'o' }, { 0x440, 'p' }, { 0x441, 'c' }, { 0x443, 'y' }, { 0x445, 'x' },
		{ 0x456, 'i' }, { 0x458, 'j' }, { 0x455, 's' }, { 0x43A, 'k' }, { 0x43C, 'm' }, { 0x442, 't' }, { 0x4BB, 'h' },
		{ 0x501, 'd' }, { 0x51B, 'q' }, { 0x51D, 'w' }, { 0x432, 'b' }, { 0x43D, 'h' }, { 0x4CF, 'i' },
		{ 0x3B1, 'a' }, { 0x3BF, 'o' }, { 0x3BD, 'v' }, { 0x3C1, 'p' }, { 0x3B9, 'i' }, { 0x3BA, 'k' }, { 0x3C5, 'u' }, { 0x3C7, 'x' },
		{ 0x3B2, 'b' }, { 0x3B5, 'e' }, { 0x3B6, 'z' }, { 0x3B7, 'h' }, { 0x3BC, 'm' }, { 0x3C4, 't' },
		{ 0x131, 'i' }, { 0x251, 'a' }, { 0x261, 'g' }, { '0', 'o' }, { '1', 'i' }, { 'l', 'i' }, { '|', 'i' },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		if (table[i].code == code)
			return (unsigned char)table[i].like;
	return code;
}

char *
look_skeleton(const char *name)
{
	/* First of all, so that an accent is on its letter. */
	char clean[NAME_MAX_BYTES + 1];
	utf8proc_uint8_t *folded = NULL, bytes[4];
	utf8proc_int32_t code;
	struct str out;

	look_tidy(name, clean, sizeof(clean));
	utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)clean, 0, &folded,
			UTF8PROC_NULLTERM | UTF8PROC_STABLE | UTF8PROC_COMPAT | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD);
	str_init(&out, 8 * NAME_MAX_BYTES);
	const utf8proc_uint8_t *p = n >= 0 ? folded : (const utf8proc_uint8_t *)clean;
	for (utf8proc_ssize_t step; *p; p += step) {
		step = utf8proc_iterate(p, -1, &code);
		if (step <= 0)
			break;
		if (!is_space(code) && !is_invisible(code))
			str_add_n(&out, (const char *)bytes, (size_t)utf8proc_encode_char(look_of(code), bytes));
	}
	free(folded);
	return str_take(&out);
}

bool
look_alike(const char *a, const char *b)
{
	AUTO_FREE char *x = look_skeleton(a);
	AUTO_FREE char *y = look_skeleton(b);

	return strcmp(x, y) == 0;
}
