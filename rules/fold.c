/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folding, one code point at a time: compatibility decomposition, case folding,
 * then the marks of scripts in which they are accents or vowel points fall away.
 * Marks of other scripts stay, since there they make another word. It is a
 * stream so that judging a message needs no memory.
 *
 * Invariant: any bytes may come in; a byte that is not UTF-8 is one U+FFFD.
 */

#include "fold.h"

#include <string.h>
#include <utf8proc.h>

/* Marks that people leave out when they type: Latin, Greek and Cyrillic accents, Hebrew and Arabic points. */
static bool
is_accent(int32_t symbol)
{
	static const int32_t ranges[][2] = {
		{ 0x0300, 0x036F }, { 0x0483, 0x0487 }, { 0x0591, 0x05BD }, { 0x05BF, 0x05BF }, { 0x05C1, 0x05C2 },
		{ 0x05C4, 0x05C5 }, { 0x05C7, 0x05C7 }, { 0x0610, 0x061A }, { 0x064B, 0x065F }, { 0x0670, 0x0670 },
		{ 0x1AB0, 0x1AFF }, { 0x1DC0, 0x1DFF }, { 0x20D0, 0x20FF }, { 0xFE20, 0xFE2F },
	};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		if (symbol >= ranges[i][0] && symbol <= ranges[i][1])
			return true;
	}
	return false;
}

static bool
is_space(int32_t symbol)
{
	utf8proc_category_t category;

	if (symbol < 0x80)
		return symbol == ' ' || (symbol >= '\t' && symbol <= '\r');
	category = utf8proc_category(symbol);
	return category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL || category == UTF8PROC_CATEGORY_ZP
			|| symbol == 0x85;
}

static int32_t
plain(int32_t symbol)
{
	if (is_space(symbol))
		return ' ';
	if (symbol == 0x2018 || symbol == 0x2019 || symbol == 0x02BC)
		return '\'';
	return symbol == 0x2010 ? '-' : symbol;
}

bool
fold_read(const unsigned char **p, const unsigned char *end, int32_t *out)
{
	utf8proc_ssize_t used;

	if (*p >= end)
		return false;
	used = utf8proc_iterate(*p, end - *p, out);
	if (used <= 0) {
		*out = FOLD_REPLACEMENT;
		used = 1;
	}
	*p += used;
	return true;
}

void
fold_open(struct fold *fold, const char *text, size_t size)
{
	fold->p = (const unsigned char *)text;
	fold->end = fold->p + size;
	fold->count = fold->next = 0;
}

static void
decompose(struct fold *fold, int32_t symbol)
{
	int boundary = 0;
	utf8proc_ssize_t n = utf8proc_decompose_char(symbol, fold->buffer, FOLD_BUFFER,
			UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT | UTF8PROC_CASEFOLD | UTF8PROC_IGNORE, &boundary);

	fold->next = 0;
	fold->count = 0;
	if (n < 0 || n > FOLD_BUFFER) {
		fold->buffer[fold->count++] = symbol;
		return;
	}
	for (utf8proc_ssize_t i = 0; i < n; i++) {
		if (!is_accent(fold->buffer[i]))
			fold->buffer[fold->count++] = plain(fold->buffer[i]);
	}
	/* ligatures that Unicode does not decompose but French keyboards do; the buffer has room for one more */
	if (fold->count == 1 && (fold->buffer[0] == 0x0153 || fold->buffer[0] == 0x00E6)) {
		fold->buffer[0] = fold->buffer[0] == 0x0153 ? 'o' : 'a';
		fold->buffer[fold->count++] = 'e';
	}
}

bool
fold_next(struct fold *fold, int32_t *out)
{
	int32_t symbol;

	while (fold->next == fold->count) {
		if (!fold_read(&fold->p, fold->end, &symbol))
			return false;
		if (symbol < 0x80) {
			*out = symbol >= 'A' && symbol <= 'Z' ? symbol + ('a' - 'A') : plain(symbol);
			return true;
		}
		decompose(fold, symbol);
	}
	*out = fold->buffer[fold->next++];
	return true;
}

bool
fold_is_word(int32_t symbol)
{
	utf8proc_category_t category;

	if (symbol < 0x80)
		return (symbol >= 'a' && symbol <= 'z') || (symbol >= 'A' && symbol <= 'Z')
				|| (symbol >= '0' && symbol <= '9') || symbol == '_';
	if (symbol == FOLD_REPLACEMENT)
		return true;
	category = utf8proc_category(symbol);
	return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NO;
}

size_t
fold_text(const char *text, size_t size, char *out, size_t out_size)
{
	struct fold fold;
	size_t need = 0;
	int32_t symbol;

	fold_open(&fold, text, size);
	while (fold_next(&fold, &symbol)) {
		unsigned char bytes[4];
		size_t n = (size_t)utf8proc_encode_char(symbol, bytes);

		if (need + n < out_size)
			memcpy(out + need, bytes, n);
		need += n;
	}
	/* too long: an empty text, so that a cut one is never taken for another word */
	if (out_size > 0)
		out[need < out_size ? need : 0] = '\0';
	return need;
}
