/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_HUSH_H
#define BASE_HUSH_H

/* Keeps a log from being filled by whoever can provoke a line: one a minute for each key, and never more than HUSH_KEYS a minute in all. */

#include <stdbool.h>
#include <stdint.h>

#define HUSH_KEYS 16

struct hush {
	int64_t said_ms[HUSH_KEYS]; /* monotonic; 0 never */
};

/* Whether a line about this key (a room, an address) may be written now; if so it counts as written. All zero is a fresh one. */
bool hush_may(struct hush *hush, const char *key);

#endif
