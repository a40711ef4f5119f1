/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RULES_ZONE_H
#define RULES_ZONE_H

/* Time zones: TZif bytes (RFC 9636, version 2 and later, with the POSIX footer) to instants and back. */

#include <stddef.h>
#include <stdint.h>

struct zone;

/* A local time of day on a proleptic Gregorian date. */
struct civil {
	int year, month, day;      /* month 1..12, day 1..31 */
	int hour, minute, second;
	int weekday;               /* 0 Monday .. 6 Sunday; filled on the way out, ignored on the way in */
	int offset_s;              /* east of UTC; likewise */
};

enum { ZONE_E_FORMAT = 1 };

/* Parses the bytes of a TZif file (copied). 0 and *out (zone_free), ZONE_E_FORMAT, or -ENOMEM. */
int zone_parse(struct zone **out, const void *bytes, size_t size);
void zone_free(struct zone *zone);

/* UTC when zone is NULL. */
void zone_to_civil(const struct zone *zone, int64_t at_ms, struct civil *out);

/*
 * The instant of a local time. A time that occurs twice: the first pass; one that does not
 * exist (gap): the first instant after the gap. Date and time fields may be out of
 * range (day 32, hour 24) and are normalised first.
 */
int64_t zone_from_civil(const struct zone *zone, const struct civil *local);

/* The same, but of a time that occurs twice the last pass: when something that closes at that time has closed. */
int64_t zone_from_civil_last(const struct zone *zone, const struct civil *local);

/* Days since 1970-01-01 of a date, fields normalised as above; and the weekday of such a number, 0 Monday. */
int64_t zone_days(int year, int month, int day);
int zone_weekday(int64_t days);

/* The date of a number of days since 1970-01-01: year, month, day and weekday are filled, the rest is 0. */
void zone_date(int64_t days, struct civil *out);

#endif
