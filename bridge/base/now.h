/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_NOW_H
#define BASE_NOW_H

/*
 * The only place that reads a clock. Three of them, never mixed:
 *   now_rules_ms()      what rules, holds, digests, budgets and frames see; the test clock replaces it
 *   now_real_ms()       stamps that servers understand: archive cursors, read-back windows
 *   now_monotonic_ms()  time-outs and back-off (CLOCK_BOOTTIME)
 * All in milliseconds; the first two since the epoch, UTC.
 */

#include "base/mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int64_t now_rules_ms(void);
int64_t now_real_ms(void);
int64_t now_monotonic_ms(void);

/*
 * Takes the rules' clock from a file that holds one instant ("2026-11-23T18:04:00Z"): it is
 * that instant now and time runs on from there. Call again when the file was replaced.
 * 0; -errno when it cannot be read; -EINVAL when it holds no instant (the clock stays as it was).
 */
int now_use_test_clock(const char *path) MUST_USE;
bool now_is_test_clock(void);

/* RFC 3339 in UTC: "2026-11-23T18:04:00Z". `size` of 32 is enough. */
void now_format_utc(int64_t at_ms, char *out, size_t size);
/* The reverse; also with a fraction. Returns false when `text` is no such instant. */
bool now_parse_utc(const char *text, int64_t *out);

#endif
