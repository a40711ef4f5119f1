/* SPDX-License-Identifier: Apache-2.0 */
/* Each step takes what must come next, and moves the cursor behind it; the length of the last field must fit what is left exactly. */
#include "matrix/crypto/form.h"

#include "matrix/crypto/primitive.h"

#include <stdint.h>

/* At the end of a message. */
#define MAC 8
#define BLOCK 16 /* of the cipher */

struct cursor {
	const unsigned char *p, *end;
};

static struct cursor
begin(const void *p, size_t n)
{
	const unsigned char *start = p;

	return (struct cursor){ start, start + n };
}

static bool
take_byte(struct cursor *cursor, unsigned char byte)
{
	return cursor->p < cursor->end && *cursor->p++ == byte;
}

/* Seven bits a byte, the lowest first; at most 32, and no byte more than needed. */
static bool
take_number(struct cursor *cursor, size_t *number)
{
	uint64_t value = 0;
	unsigned shift = 0;

	do {
		if (cursor->p == cursor->end || shift > 28)
			return false;
		value |= (uint64_t)(*cursor->p & 0x7F) << shift;
		shift += 7;
	} while (*cursor->p++ & 0x80);
	*number = (size_t)value;
	return value <= UINT32_MAX && (cursor->p[-1] || shift == 7);
}

static bool
take_key(struct cursor *cursor, unsigned char tag)
{
	if (!take_byte(cursor, tag) || !take_byte(cursor, PRIMITIVE_KEY) || cursor->end - cursor->p < PRIMITIVE_KEY)
		return false;
	cursor->p += PRIMITIVE_KEY;
	return true;
}

/* The field that comes last, of whole blocks, and behind it nothing but `rest` bytes. */
static bool
ends_in_blocks(struct cursor *cursor, unsigned char tag, size_t rest)
{
	size_t n;

	if (!take_byte(cursor, tag) || !take_number(cursor, &n) || !n || n % BLOCK)
		return false;
	size_t left = (size_t)(cursor->end - cursor->p);
	return left >= rest && left - rest == n;
}

static bool
is_normal(struct cursor cursor)
{
	size_t index;

	return take_byte(&cursor, 3) && take_key(&cursor, 0x0A) && take_byte(&cursor, 0x10) && take_number(&cursor, &index) &&
			ends_in_blocks(&cursor, 0x22, MAC);
}

bool
form_is_normal(const void *p, size_t n)
{
	return is_normal(begin(p, n));
}

bool
form_is_pre_key(const void *p, size_t size)
{
	struct cursor cursor = begin(p, size);
	size_t n;

	return take_byte(&cursor, 3) && take_key(&cursor, 0x0A) && take_key(&cursor, 0x12) && take_key(&cursor, 0x1A) &&
			take_byte(&cursor, 0x22) && take_number(&cursor, &n) && (size_t)(cursor.end - cursor.p) == n && is_normal(cursor);
}

bool
form_is_group(const void *p, size_t n)
{
	struct cursor cursor = begin(p, n);
	size_t index;

	return take_byte(&cursor, 3) && take_byte(&cursor, 0x08) && take_number(&cursor, &index) &&
			ends_in_blocks(&cursor, 0x12, MAC + PRIMITIVE_SIGNATURE);
}
