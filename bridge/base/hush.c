/* SPDX-License-Identifier: Apache-2.0 */
/* A key's hash names its slot; keys that meet in one share its line. */
#include "base/hush.h"

#include "base/now.h"

#include <stddef.h>

#define MINUTE_MS 60000

static size_t
slot_of(const char *key)
{
	uint64_t value = 14695981039346656037u;

	for (; *key; key++)
		value = (value ^ (unsigned char)*key) * 1099511628211u;
	return value % HUSH_KEYS;
}

bool
hush_may(struct hush *hush, const char *key)
{
	int64_t *said_ms = &hush->said_ms[slot_of(key)], now_ms = now_monotonic_ms();

	if (*said_ms && now_ms - *said_ms < MINUTE_MS)
		return false;
	*said_ms = now_ms ? now_ms : 1;
	return true;
}
