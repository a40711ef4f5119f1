/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a TZif file. What is accepted must map instants to local times
 * and back: the first pass of an instant's own local time is never later than
 * it, the last never earlier.
 */
#include "replay.h"
#include "rules/zone.h"

#include <assert.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>

static void
check(const struct zone *zone, int64_t at_ms)
{
	struct civil civil;

	zone_to_civil(zone, at_ms, &civil);
	assert(civil.month >= 1 && civil.month <= 12 && civil.day >= 1 && civil.day <= 31 && civil.hour >= 0
			&& civil.hour < 24 && civil.weekday >= 0 && civil.weekday < 7);
	/* at the ends of time both mappings stop at a limit */
	if (at_ms < -(INT64_C(1) << 60) || at_ms > INT64_C(1) << 60)
		return;
	assert(zone_from_civil(zone, &civil) <= at_ms);
	assert(zone_from_civil_last(zone, &civil) >= at_ms - 999);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct zone *zone;

	if (zone_parse(&zone, data, size) != 0)
		return 0;
	for (int64_t at = -2208988800; at < 7258118400; at += 86400 * 97 + 3607)
		check(zone, at * 1000);
	for (int bit = 0; bit < 63; bit++) {
		check(zone, INT64_C(1) << bit);
		check(zone, -(INT64_C(1) << bit));
	}
	check(zone, INT64_MAX);
	check(zone, INT64_MIN);
	zone_free(zone);
	return 0;
}

REPLAY_MAIN("zone")
