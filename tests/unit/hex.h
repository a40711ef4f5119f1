/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_HEX_H
#define TESTS_UNIT_HEX_H

/* Vectors as they are printed. */

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The bytes of a hexadecimal text, at most `room` of them; how many. */
static inline size_t
unhex(const char *text, void *out, size_t room)
{
	unsigned char *bytes = out;
	size_t n = strlen(text) / 2;

	if (n > room)
		abort();
	for (size_t i = 0; i < n; i++) {
		unsigned byte;
		if (sscanf(text + 2 * i, "%2x", &byte) != 1)
			abort();
		bytes[i] = (unsigned char)byte;
	}
	return n;
}

#endif
