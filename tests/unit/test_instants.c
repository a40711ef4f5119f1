/* SPDX-License-Identifier: Apache-2.0 */
/* The edges of time: instants as text, zone files a byte wrong, rules of February, and no memory (linked with -Wl,--wrap). */
#include "base/now.h"
#include "rules/rules.h"
#include "rules/zone.h"
#include "rules_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int malloc_in; /* that many succeed, then one fails; 0: all succeed */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

static bool
runs_out(void)
{
	return malloc_in > 0 && --malloc_in == 0;
}

void *
__wrap_malloc(size_t size)
{
	return runs_out() ? NULL : __real_malloc(size);
}

void *
__wrap_calloc(size_t count, size_t size)
{
	return runs_out() ? NULL : __real_calloc(count, size);
}

/* ---- text ---- */

static void
test_bounds(void **state)
{
	static const struct {
		const char *text;
		bool good;
	} cases[] = {
		{ "2026-11-23T18:04:00Z", true }, { "2026-00-23T18:04:00Z", false }, { "2026-13-23T18:04:00Z", false },
		{ "2026-11-00T18:04:00Z", false }, { "2026-11-32T18:04:00Z", false }, { "2026-11-23T-1:04:00Z", false },
		{ "2026-11-23T24:04:00Z", false }, { "2026-11-23T18:-1:00Z", false }, { "2026-11-23T18:60:00Z", false },
		{ "2026-11-23T18:04:-1Z", false }, { "2026-11-23T18:04:61Z", false }, { "2026-12-31T23:59:60Z", true },
		{ "2026-11-23T18:04:00.1234567890123Z", true }, { "2026-11-23T18:04:00.!Z", false }, { "2026-11-23T18:04:00+00:00", true },
		{ "-001-01-01T00:00:00Z", true }, { "0000-03-01T00:00:00Z", true },
	};
	int64_t at;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (now_parse_utc(cases[i].text, &at) != cases[i].good)
			fail_msg("%s", cases[i].text);
	assert_true(now_parse_utc("0000-03-01T00:00:00Z", &at));
	assert_int_equal(at, INT64_C(-62162035200000));
	assert_true(now_parse_utc("-001-03-01T00:00:00Z", &at));
	assert_int_equal(at, INT64_C(-62162035200000) - INT64_C(366) * 86400000);
	assert_true(now_parse_utc("1970-01-01T00:00:00.0129Z", &at));
	assert_int_equal(at, 12);
}

static void
test_format(void **state)
{
	static const struct {
		int64_t at_ms;
		const char *text;
	} cases[] = {
		{ 0, "1970-01-01T00:00:00Z" }, { 999, "1970-01-01T00:00:00Z" }, { -1, "1969-12-31T23:59:59Z" },
		{ -1000, "1969-12-31T23:59:59Z" }, { -1001, "1969-12-31T23:59:58Z" }, { INT64_C(1795457040000), "2026-11-23T18:04:00Z" },
	};
	char out[40];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		now_format_utc(cases[i].at_ms, out, sizeof(out));
		assert_string_equal(out, cases[i].text);
	}
	/* Whatever a server claims. */
	now_format_utc(INT64_MIN, out, sizeof(out));
	now_format_utc(INT64_MAX, out, sizeof(out));
	now_format_utc(0, out, 8);
	assert_string_equal(out, "?");
}

/* ---- zone files ---- */

struct tzif {
	unsigned char bytes[4096];
	size_t n;
};

static void
put(struct tzif *file, const void *p, size_t n)
{
	memcpy(file->bytes + file->n, p, n);
	file->n += n;
}

static void
put_number(struct tzif *file, uint32_t value)
{
	unsigned char bytes[] = { (unsigned char)(value >> 24), (unsigned char)(value >> 16), (unsigned char)(value >> 8), (unsigned char)value };

	put(file, bytes, 4);
}

static void
put_header(struct tzif *file, uint32_t leap, uint32_t types)
{
	put(file, "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
	put_number(file, 0);
	put_number(file, 0);
	put_number(file, leap);
	put_number(file, 0);
	put_number(file, types);
	put_number(file, 4);
}

/* RFC 9636: an empty block of version 1, then `types` types of UTC, then the footer. */
static void
make(struct tzif *file, uint32_t leap, uint32_t types, const char *footer)
{
	file->n = 0;
	put_header(file, 0, 0);
	put(file, "UTC", 4);
	put_header(file, leap, types);
	for (uint32_t i = 0; i < types; i++)
		put(file, "\0\0\0\0\0\0", 6);
	put(file, "UTC", 4);
	for (uint32_t i = 0; i < leap; i++)
		put(file, "\0\0\0\0\0\0\0\0\0\0\0\1", 12);
	put(file, "\n", 1);
	put(file, footer, strlen(footer));
	put(file, "\n", 1);
}

static struct zone *
zone_of(const char *footer)
{
	struct tzif file;
	struct zone *zone;

	make(&file, 0, 1, footer);
	assert_int_equal(zone_parse(&zone, file.bytes, file.n), 0);
	return zone;
}

static void
test_footers(void **state)
{
	static const struct {
		const char *footer;
		bool good;
	} cases[] = {
		{ "", true }, { "UTC0", true }, { "abz1", true }, { "AZaz-1:30:59", true }, { "UTC1:30:60", false }, { "UTC1:60", false },
		{ "UTC1:30:", false }, { "UTC1:", false }, { "UTC168", false }, { "UTC26:59:59", true }, { "UTC27", false }, { "UT@0", false }, { "UT[0", false },
		{ "UT`0", false }, { "UT{0", false }, { "<+01>-1", true }, { "<+01-1", false }, { "UTC", false }, { "UTC+", false },
		{ "A1", false }, { "AAA0BB", false }, { "AAA0BBB", false }, { "AAA0BBB-27,0,1", false }, { "AAA0BBB?,0,1", false },
		{ "AAA0BBB,0,365", true }, { "AAA0BBB,0,366", false }, { "AAA0BBB,J0,1", false }, { "AAA0BBB,J1,J365/0", true },
		{ "AAA0BBB,M0.1.0,1", false }, { "AAA0BBB,M13.1.0,1", false }, { "AAA0BBB,M1.0.0,1", false }, { "AAA0BBB,M1.6.0,1", false },
		{ "AAA0BBB,M1.1.7,1", false }, { "AAA0BBB,M1,1", false }, { "AAA0BBB,M1.1,1", false }, { "AAA0BBB,M1.1.1;1", false },
		{ "AAA0BBB,1", false }, { "AAA0BBB,1,", false }, { "AAA0BBB,1/x,2", false }, { "AAA0BBB,1,2,3", false }, { "AAA0BBB,M,1", false },
		{ "AAA0BBB,M1.x.1,1", false }, { "AAA0BBB,M1.1.x,1", false }, { "AAA0BBB,1/-167,2/+167", true }, { "AAA0BBB;1,2", false },
	};
	struct tzif file;
	struct zone *zone;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make(&file, 0, 1, cases[i].footer);
		int r = zone_parse(&zone, file.bytes, file.n);
		if ((r == 0) != cases[i].good)
			fail_msg("%s: %d", cases[i].footer, r);
		zone_free(zone);
	}
}

/* The last Sunday of February, in years with a 29th and without: against dates that anybody can look up. */
static void
test_february(void **state)
{
	static const struct {
		int year, day; /* of the last Sunday of February */
	} cases[] = { { 2026, 22 }, { 2028, 27 }, { 2032, 29 }, { 2100, 28 }, { 2000, 27 }, { 2060, 29 } };
	struct zone *zone = zone_of("AAA0BBB,M2.5.0,M10.1.0"), *julian = zone_of("AAA0BBB,J60,J300");

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t at_ms = (zone_days(cases[i].year, 2, cases[i].day) * 86400 + 7200) * 1000;
		struct civil civil;
		zone_to_civil(zone, at_ms - 1, &civil);
		assert_int_equal(civil.offset_s, 0);
		zone_to_civil(zone, at_ms, &civil);
		assert_int_equal(civil.offset_s, 3600);
		assert_int_equal(civil.day, cases[i].day);
		/* J60 is the first of March, leap year or not. */
		at_ms = (zone_days(cases[i].year, 3, 1) * 86400 + 7200) * 1000;
		zone_to_civil(julian, at_ms - 1, &civil);
		assert_int_equal(civil.offset_s, 0);
		zone_to_civil(julian, at_ms, &civil);
		assert_int_equal(civil.offset_s, 3600);
	}
	zone_free(zone);
	zone_free(julian);
}

static void
test_files(void **state)
{
	struct tzif file;
	struct zone *zone = NULL;

	(void)state;
	zone_free(NULL);
	make(&file, 0, 0, "UTC0");
	assert_int_equal(zone_parse(&zone, file.bytes, file.n), ZONE_E_FORMAT);
	make(&file, 0, 256, "UTC0");
	assert_int_equal(zone_parse(&zone, file.bytes, file.n), 0);
	zone_free(zone);
	make(&file, 0, 257, "UTC0");
	assert_int_equal(zone_parse(&zone, file.bytes, file.n), ZONE_E_FORMAT);
	make(&file, 1, 1, "UTC0");
	assert_int_equal(zone_parse(&zone, file.bytes, file.n), ZONE_E_FORMAT);
	make(&file, 0, 1, "UTC0");
	for (size_t n = 0; n < file.n; n++)
		assert_int_equal(zone_parse(&zone, file.bytes, n), ZONE_E_FORMAT);
	/* zone, at, type, offsets: each may be the one for which there is no memory */
	for (int i = 1; i <= 4; i++) {
		malloc_in = i;
		int r = zone_parse(&zone, file.bytes, file.n);
		malloc_in = 0;
		assert_int_equal(r, -12); /* ENOMEM */
		assert_null(zone);
	}
}

/* The ends of time: both mappings stop there, and neither overflows. */
static void
test_ends(void **state)
{
	struct zone *zone = zone_of("AAA0BBB,M3.5.0,M10.5.0/3");
	struct civil civil;

	(void)state;
	zone_to_civil(zone, INT64_MAX, &civil);
	assert_true(zone_from_civil(zone, &civil) > 0);
	zone_to_civil(zone, INT64_MIN, &civil);
	assert_true(zone_from_civil_last(zone, &civil) < 0);
	zone_to_civil(NULL, 0, &civil);
	assert_int_equal(civil.year, 1970);
	assert_int_equal(zone_from_civil(NULL, &civil), 0);
	zone_free(zone);
}

/* The key of a slot is of use to some only. */
static void
test_slot_without_key(void **state)
{
	struct rules *rules = fixture_rules("group \"m\" {\n digest at 09:00 mon-fri\n}\n");
	int64_t now_ms = fixture_at("2026-10-16 18:30");
	char key[24];

	(void)state;
	int64_t next_ms = rules_next_slot(rules, now_ms, key, sizeof(key));
	assert_string_equal(key, "2026-10-19/09:00");
	assert_int_equal(rules_next_slot(rules, now_ms, NULL, 0), next_ms);
	fixture_free(rules);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_footers),
		cmocka_unit_test(test_february),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_slot_without_key),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
