/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zone.c against the C library, whose localtime_r() shares no code with it: the
 * same files, and POSIX strings that it reads from TZ itself. Gaps and repeats
 * are checked by walking every minute around each transition.
 */
#include "rules/zone.h"
#include "rules_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static const char *const zones[] = {
	"Europe/Paris", "Africa/Cairo", "Asia/Beirut", "America/Santiago", "America/Havana", "Africa/Casablanca",
	"Australia/Lord_Howe", "Pacific/Apia", "Europe/Dublin", "America/New_York", "Asia/Kathmandu", "UTC",
};

#define ZONES (sizeof(zones) / sizeof(zones[0]))
#define HOUR 3600
#define DAY (24 * HOUR)

static unsigned long long seed = 20261016;

static unsigned
draw(void)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned)(seed >> 33);
}

static void
set_oracle(const char *tz)
{
	setenv("TZ", tz, 1);
	tzset();
}

/* Local time of an instant by the C library, in seconds as if it were UTC. */
static int64_t
oracle_local(int64_t at)
{
	time_t t = (time_t)at;
	struct tm tm;

	assert_non_null(localtime_r(&t, &tm));
	return at + tm.tm_gmtoff;
}

static void
check_instant(const char *name, const struct zone *zone, int64_t at)
{
	time_t t = (time_t)at;
	struct civil c;
	struct tm tm;

	localtime_r(&t, &tm);
	zone_to_civil(zone, at * 1000, &c);
	if (c.year != tm.tm_year + 1900 || c.month != tm.tm_mon + 1 || c.day != tm.tm_mday || c.hour != tm.tm_hour
			|| c.minute != tm.tm_min || c.second != tm.tm_sec || c.offset_s != (int)tm.tm_gmtoff
			|| c.weekday != (tm.tm_wday + 6) % 7)
		fail_msg("%s at %lld: %d-%02d-%02d %02d:%02d:%02d %+d, expected %d-%02d-%02d %02d:%02d:%02d %+ld", name,
				(long long)at, c.year, c.month, c.day, c.hour, c.minute, c.second, c.offset_s,
				tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, tm.tm_gmtoff);
}

static void
test_instants(void **state)
{
	int64_t from = -2208988800, to = 7258118400; /* 1900 to 2200 */
	unsigned long checked = 0;

	(void)state;
	for (size_t i = 0; i < ZONES; i++) {
		struct zone *zone = fixture_zone(zones[i]);
		char tz[128];

		assert_non_null(zone);
		snprintf(tz, sizeof(tz), ":" ZONEINFO "%s", zones[i]);
		set_oracle(tz);
		for (int n = 0; n < 20000; n++, checked++)
			check_instant(zones[i], zone, from + (int64_t)(((unsigned long long)draw() << 31 | draw())
					% (unsigned long long)(to - from)));
		for (int64_t at = 1761868800; at < 1761868800 + 800 * DAY; at += 1800, checked++)
			check_instant(zones[i], zone, at); /* every half hour of 2025-11 to 2028-01 */
		zone_free(zone);
	}
	print_message("# %lu instants in %zu zones\n", checked, ZONES);
}

/* min { t : local(t) >= l } and, for the last pass, the end of { t : local(t) <= l }: both by walking. */
static void
check_local(const char *name, const struct zone *zone, int64_t l, unsigned long *repeats, unsigned long *gaps)
{
	int64_t first = INT64_MAX, last = INT64_MIN, below = INT64_MIN;
	struct civil c;

	for (int64_t t = l - 27 * HOUR; t <= l + 27 * HOUR; t += 60) {
		int64_t local = oracle_local(t);

		if (local >= l && first == INT64_MAX)
			first = t;
		if (local == l)
			last = t;
		if (local < l)
			below = t;
	}
	if (last == INT64_MIN) {
		last = below + 60;
		++*gaps;
	} else if (last != first) {
		++*repeats;
	}
	zone_to_civil(NULL, l * 1000, &c);
	if (zone_from_civil(zone, &c) != first * 1000 || zone_from_civil_last(zone, &c) != last * 1000)
		fail_msg("%s %d-%02d-%02d %02d:%02d: first %lld, expected %lld; last %lld, expected %lld", name, c.year,
				c.month, c.day, c.hour, c.minute, (long long)zone_from_civil(zone, &c) / 1000, (long long)first,
				(long long)zone_from_civil_last(zone, &c) / 1000, (long long)last);
}

static void
test_gaps_and_repeats(void **state)
{
	unsigned long repeats = 0, gaps = 0, transitions = 0;

	(void)state;
	for (size_t i = 0; i < ZONES; i++) {
		struct zone *zone = fixture_zone(zones[i]);
		int64_t before;
		char tz[128];

		assert_non_null(zone);
		snprintf(tz, sizeof(tz), ":" ZONEINFO "%s", zones[i]);
		set_oracle(tz);
		before = oracle_local(1293840000) - 1293840000;
		for (int64_t at = 1293840000; at < 1956528000; at += 6 * HOUR) { /* 2011 to 2031 */
			int64_t offset = oracle_local(at) - at;

			if (offset == before)
				continue;
			transitions++;
			for (int64_t l = at + offset - 9 * HOUR; l <= at + offset + 3 * HOUR; l += 15 * 60)
				check_local(zones[i], zone, l / 900 * 900, &repeats, &gaps);
			before = offset;
		}
		zone_free(zone);
	}
	print_message("# %lu transitions, %lu repeated and %lu missing local times\n", transitions, repeats, gaps);
	assert_true(repeats > 100 && gaps > 100);
}

/* A TZif file of one type and a footer. */
static size_t
make_file(unsigned char *out, const char *footer)
{
	static const unsigned char header[44] = { 'T', 'Z', 'i', 'f', '2' };
	unsigned char *p = out;

	memcpy(p, header, 44);
	p += 44;
	memcpy(p, header, 44);
	p[39] = 1; /* typecnt */
	p[43] = 4; /* charcnt */
	p += 44;
	memcpy(p, "\0\0\0\0\0\0UTC\0", 10);
	p += 10;
	*p++ = '\n';
	memcpy(p, footer, strlen(footer));
	p += strlen(footer);
	*p++ = '\n';
	return (size_t)(p - out);
}

static void
test_footers(void **state)
{
	static const char *const footers[] = {
		"CET-1CEST,M3.5.0,M10.5.0/3", "EST5EDT,M3.2.0,M11.1.0", "<-03>3<-02>,M3.5.0/-2,M10.5.0/-1",
		"IST-2IDT,M3.4.4/26,M10.5.0", "EST5EDT,J60/2,J300/2", "EST5EDT,59/2,299/2:30", "NZST-12NZDT,M9.5.0,M4.1.0/3",
		"IST-1GMT0,M10.5.0,M3.5.0/1", "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "UTC0", "<+0545>-5:45",
		"EET-2EEST,M4.5.5/0,M10.5.4/24", "XXX3YYY2:30,J2/0,J364/23:30:15",
	};
	unsigned char bytes[256];
	struct zone *zone;

	(void)state;
	for (size_t i = 0; i < sizeof(footers) / sizeof(footers[0]); i++) {
		assert_int_equal(zone_parse(&zone, bytes, make_file(bytes, footers[i])), 0);
		set_oracle(footers[i]);
		for (int64_t at = 1577836800; at < 1577836800 + 3000 * DAY; at += 1800)
			check_instant(footers[i], zone, at);
		zone_free(zone);
	}
}

static void
test_bad_footers(void **state)
{
	static const char *const footers[] = {
		"C", "CET", "CET-1CEST", "CET-1CEST,M3.5.0", "CET-1CEST,M13.5.0,M10.5.0", "CET-1CEST,M3.6.0,M10.5.0",
		"CET-1CEST,M3.5.7,M10.5.0", "CET-1CEST,M3.5.0,M10.5.0/", "CET-1CEST,M3.5.0,M10.5.0 ", "CET-200", "CET-30",
		"CET-1CEST,J0,J10", "CET-1CEST,366,J10", "<CET-1", "CET-1:", "CET-1:70", "CET-1CEST-40,M3.5.0,M10.5.0",
		"CET99999999999999999999", "CET-1CEST,M3.5.0/168,M10.5.0", "CET-1CEST,M0.5.0,M10.5.0", "CET-1CEST,M3.0.0,M10.5.0",
	};
	unsigned char bytes[256];
	struct zone *zone;

	(void)state;
	for (size_t i = 0; i < sizeof(footers) / sizeof(footers[0]); i++) {
		if (zone_parse(&zone, bytes, make_file(bytes, footers[i])) != ZONE_E_FORMAT)
			fail_msg("accepted: %s", footers[i]);
		assert_null(zone);
	}
	assert_int_equal(zone_parse(&zone, bytes, make_file(bytes, "")), 0); /* nothing known of the future: the last type */
	zone_free(zone);
}

/* Any cut and any single broken byte: refused or read, never a crash, and what was read answers. */
static void
test_hostile_files(void **state)
{
	size_t size, accepted = 0;
	char *bytes = fixture_read(ZONEINFO "Europe/Paris", &size);
	struct zone *zone;
	struct civil c;

	(void)state;
	assert_non_null(bytes);
	for (size_t cut = 0; cut < size; cut++) {
		char *copy = malloc(cut + 1); /* its own block, so that a sanitizer sees one byte too far */

		memcpy(copy, bytes, cut);
		assert_int_equal(zone_parse(&zone, copy, cut), ZONE_E_FORMAT);
		free(copy);
	}
	for (size_t at = 0; at < size; at++) {
		char kept = bytes[at];

		bytes[at] = (char)(kept ^ (1 << draw() % 8));
		if (zone_parse(&zone, bytes, size) == 0) {
			zone_to_civil(zone, (int64_t)draw() * 1000, &c);
			zone_from_civil(zone, &c);
			zone_free(zone);
			accepted++;
		}
		bytes[at] = kept;
	}
	print_message("# %zu cuts refused; of %zu broken bytes %zu were harmless\n", size, size, accepted);
	free(bytes);
}

static void
test_vectors(void **state)
{
	struct zone *paris = fixture_zone("Europe/Paris"), *cairo = fixture_zone("Africa/Cairo"),
			*apia = fixture_zone("Pacific/Apia"), *havana = fixture_zone("America/Havana");
	struct civil c = { 2027, 3, 28, 2, 30, 0, 0, 0 };

	(void)state;
	assert_int_equal(zone_from_civil(paris, &c), fixture_utc("2027-03-28 01:00"));
	c = (struct civil){ 2026, 10, 25, 2, 30, 0, 0, 0 };
	assert_int_equal(zone_from_civil(paris, &c), fixture_utc("2026-10-25 00:30"));
	assert_int_equal(zone_from_civil_last(paris, &c), fixture_utc("2026-10-25 01:30"));
	assert_int_equal(fixture_local(cairo, "2026-04-24 00:00"), fixture_utc("2026-04-23 22:00"));
	assert_int_equal(fixture_local(apia, "2011-12-30 12:00"), fixture_utc("2011-12-30 10:00"));
	assert_int_equal(fixture_local(apia, "2011-12-31 00:00"), fixture_utc("2011-12-30 10:00"));
	/* midnight twice: 2025-11-02 in Havana (a year that is over, so that no new tzdata changes it) */
	assert_int_equal(fixture_local(havana, "2025-11-02 00:00"), fixture_utc("2025-11-02 04:00"));
	c = (struct civil){ 2025, 11, 2, 0, 0, 0, 0, 0 };
	assert_int_equal(zone_from_civil_last(havana, &c), fixture_utc("2025-11-02 05:00"));
	zone_free(paris);
	zone_free(cairo);
	zone_free(apia);
	zone_free(havana);
}

static void
test_fields_out_of_range(void **state)
{
	struct zone *paris = fixture_zone("Europe/Paris");
	struct civil c = { 2026, 10, 32, 24, 0, 0, 0, 0 }, d = { 2026, 11, 2, 0, 0, 0, 0, 0 };

	(void)state;
	assert_int_equal(zone_from_civil(paris, &c), zone_from_civil(paris, &d));
	c = (struct civil){ 2026, 14, 0, -1, 61, -1, 0, 0 };
	assert_int_equal(zone_from_civil(paris, &c), fixture_local(paris, "2027-01-31 00:00:59"));
	c = (struct civil){ INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX, 0, 0 };
	(void)zone_from_civil(paris, &c);
	c = (struct civil){ INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN, 0, 0 };
	(void)zone_from_civil_last(paris, &c);
	zone_to_civil(paris, INT64_MAX, &c);
	zone_to_civil(paris, INT64_MIN, &c);
	zone_to_civil(NULL, -1, &c);
	assert_int_equal(c.year, 1969);
	assert_int_equal(c.second, 59);
	zone_free(paris);
}

static void
test_dates(void **state)
{
	struct civil c;
	unsigned long checked = 0;

	(void)state;
	set_oracle("UTC");
	for (int64_t day = -1000000; day < 1000000; day += 1 + draw() % 5, checked++) {
		time_t t = (time_t)(day * DAY);
		struct tm tm;

		gmtime_r(&t, &tm);
		zone_date(day, &c);
		assert_int_equal(c.year, tm.tm_year + 1900);
		assert_int_equal(c.month, tm.tm_mon + 1);
		assert_int_equal(c.day, tm.tm_mday);
		assert_int_equal(c.weekday, (tm.tm_wday + 6) % 7);
		assert_int_equal(zone_days(c.year, c.month, c.day), day);
	}
	print_message("# %lu dates\n", checked);
}

/* Leap seconds are refused, not misread; all the others of the system are read. */
static void
test_files(void **state)
{
	struct zone *zone = fixture_zone("right/Europe/Paris");

	(void)state;
	assert_null(zone);
	assert_int_equal(zone_parse(&zone, "TZif", 4), ZONE_E_FORMAT);
	assert_int_equal(zone_parse(&zone, "", 0), ZONE_E_FORMAT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dates),
		cmocka_unit_test(test_instants),
		cmocka_unit_test(test_gaps_and_repeats),
		cmocka_unit_test(test_footers),
		cmocka_unit_test(test_bad_footers),
		cmocka_unit_test(test_hostile_files),
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_fields_out_of_range),
		cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
