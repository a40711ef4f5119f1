/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A character's value is computed, not looked up: keys pass through here, and which line of a table was touched can be
 * seen from another process of the same machine.
 */
#include "matrix/crypto/base64.h"

#include <stdint.h>
#include <string.h>

#define EXACT_MAX 64

/* All ones when low <= c <= high; c is below 256. */
static uint32_t
between(uint32_t c, uint32_t low, uint32_t high)
{
	return 0u - (~((c - low) | (high - c)) >> 31);
}

static const struct last_two {
	uint32_t a, b; /* the characters of 62 and 63 */
} alphabets[] = {
	[BASE64_PLAIN] = { '+', '/' },
	[BASE64_URL] = { '-', '_' },
};

static char
character(struct last_two last, uint32_t value)
{
	uint32_t c = (between(value, 0, 25) & (value + 'A')) | (between(value, 26, 51) & (value - 26 + 'a')) |
			(between(value, 52, 61) & (value - 52 + '0')) | (between(value, 62, 62) & last.a) |
			(between(value, 63, 63) & last.b);

	return (char)c;
}

/* 64 and more for a character that is not in the alphabet. */
static uint32_t
value_of(struct last_two last, char character)
{
	uint32_t c = (unsigned char)character;
	uint32_t plus_one = (between(c, 'A', 'Z') & (c - 'A' + 1)) | (between(c, 'a', 'z') & (c - 'a' + 27)) |
			(between(c, '0', '9') & (c - '0' + 53)) | (between(c, last.a, last.a) & 63) | (between(c, last.b, last.b) & 64);

	return plus_one - 1;
}

void
base64_encode(enum base64_alphabet alphabet, const void *p, size_t n, char *out)
{
	const struct last_two last = alphabets[alphabet];
	const unsigned char *bytes = p;
	uint32_t bits = 0, count = 0;

	for (size_t i = 0; i < n; i++) {
		bits = bits << 8 | bytes[i];
		for (count += 8; count >= 6; count -= 6)
			*out++ = character(last, bits >> (count - 6) & 63);
	}
	if (count)
		*out++ = character(last, bits << (6 - count) & 63);
	*out = '\0';
}

/* The length without padding; SIZE_MAX when there is some of a wrong length. */
static size_t
unpadded(const char *text, size_t n)
{
	size_t padding = 0;

	while (padding < 2 && padding < n && text[n - 1 - padding] == '=')
		padding++;
	return padding && n % 4 ? SIZE_MAX : n - padding;
}

bool
base64_decode(enum base64_alphabet alphabet, const char *text, size_t n, void *out, size_t *size)
{
	const struct last_two last = alphabets[alphabet];
	unsigned char *bytes = out;
	uint32_t bits = 0, count = 0, bad = 0;

	n = unpadded(text, n);
	if (n == SIZE_MAX || n % 4 == 1)
		return false;
	for (size_t i = 0; i < n; i++) {
		uint32_t value = value_of(last, text[i]);
		bad |= value;
		bits = bits << 6 | (value & 63);
		count += 6;
		if (count >= 8) {
			count -= 8;
			*bytes++ = (unsigned char)(bits >> count & 255);
		}
	}
	*size = (size_t)(bytes - (unsigned char *)out);
	return bad < 64 && (bits & ((1u << count) - 1)) == 0;
}

bool
base64_decode_exact(enum base64_alphabet alphabet, const char *text, void *out, size_t n)
{
	unsigned char bytes[BASE64_ROOM(BASE64_SIZE(EXACT_MAX) + 2)];
	size_t length = text ? strnlen(text, BASE64_SIZE(EXACT_MAX) + 2) : SIZE_MAX, size;

	if (n > EXACT_MAX || length >= BASE64_SIZE(EXACT_MAX) + 2)
		return false;
	bool good = base64_decode(alphabet, text, length, bytes, &size) && size == n;
	if (good)
		memcpy(out, bytes, n);
	explicit_bzero(bytes, sizeof(bytes));
	return good;
}
