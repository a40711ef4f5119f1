/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening hours, holidays and digest slots: vectors with given instants, zones
 * whose midnight is missing or comes twice, and a property test whose oracle
 * walks minute by minute over local time, by the C library.
 */
#include "rules/calendar.h"
#include "rules_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static const char office[] = "version 1\ngroup \"m\" {\n tz Europe/Paris\n hours mon-fri 08:30-18:30\n holidays fr\n}\n";

static void
test_vectors(void **state)
{
	struct rules *rules = fixture_rules(office);
	int64_t first, second;

	(void)state;
	assert_true(rules_is_open(rules, fixture_at("2026-10-16 18:29:59")));
	assert_int_equal(rules_next_opening(rules, fixture_at("2026-10-16 18:29:59")), fixture_at("2026-10-16 18:29:59"));
	assert_false(rules_is_open(rules, fixture_at("2026-10-16 18:30")));
	assert_true(rules_is_open(rules, fixture_at("2026-10-19 08:30")));
	assert_false(rules_is_open(rules, fixture_at("2026-10-19 08:30") - 1));
	assert_int_equal(rules_next_opening(rules, fixture_at("2026-10-16 18:30")), fixture_utc("2026-10-19 06:30"));
	assert_int_equal(rules_next_opening(rules, fixture_at("2026-10-23 19:00")), fixture_utc("2026-10-26 07:30"));
	first = fixture_utc("2026-10-25 00:30");
	second = fixture_utc("2026-10-25 01:30"); /* 02:30 twice */
	assert_int_equal(rules_next_opening(rules, first), fixture_utc("2026-10-26 07:30"));
	assert_int_equal(rules_next_opening(rules, second), fixture_utc("2026-10-26 07:30"));
	assert_int_equal(rules_next_opening(rules, fixture_at("2026-11-10 19:00")), fixture_utc("2026-11-12 07:30"));
	assert_int_equal(rules_next_opening(rules, fixture_at("2026-12-24 20:00")), fixture_utc("2026-12-28 07:30"));
	assert_int_equal(rules_next_opening(rules, fixture_at("2026-12-31 23:59")), fixture_utc("2027-01-04 07:30"));
	assert_int_equal(rules_next_opening(rules, fixture_at("2027-03-27 20:00")), fixture_utc("2027-03-30 06:30"));
	assert_int_equal(rules_next_opening(rules, fixture_at("2027-05-05 19:00")), fixture_utc("2027-05-07 06:30"));
	assert_int_equal(rules_closed_since(rules, fixture_at("2026-10-18 12:00")), fixture_at("2026-10-16 18:30"));
	assert_int_equal(rules_closed_since(rules, fixture_at("2026-10-16 12:00")), 0);
	assert_int_equal(rules_closed_since(rules, fixture_at("2026-10-26 08:00")), fixture_at("2026-10-23 18:30"));
	assert_int_equal(rules_next_change(rules, fixture_at("2026-10-16 12:00")), fixture_at("2026-10-16 18:30"));
	assert_int_equal(rules_next_change(rules, fixture_at("2026-10-16 18:30")), fixture_at("2026-10-19 08:30"));
	fixture_free(rules);
}

static void
test_slots(void **state)
{
	struct rules *rules = fixture_rules("group \"m\" {\n tz Europe/Paris\n digest at 02:30 daily\n}\n");
	char key[24];

	(void)state;
	/* the gap: the first instant after it, under its own label */
	assert_int_equal(rules_next_slot(rules, fixture_at("2027-03-27 12:00"), key, sizeof(key)),
			fixture_utc("2027-03-28 01:00"));
	assert_string_equal(key, "2027-03-28/02:30");
	/* the repeated hour: once, at the first pass */
	assert_int_equal(rules_next_slot(rules, fixture_at("2026-10-24 12:00"), key, sizeof(key)),
			fixture_utc("2026-10-25 00:30"));
	assert_string_equal(key, "2026-10-25/02:30");
	assert_int_equal(rules_next_slot(rules, fixture_utc("2026-10-25 00:30"), key, sizeof(key)),
			fixture_utc("2026-10-26 01:30"));
	assert_string_equal(key, "2026-10-26/02:30");
	fixture_free(rules);

	rules = fixture_rules(office); /* the usual slot: 09:00 on working days */
	assert_int_equal(rules_next_slot(rules, fixture_at("2026-10-16 09:00"), key, sizeof(key)), fixture_at("2026-10-19 09:00"));
	assert_int_equal(rules_next_slot(rules, fixture_at("2026-10-16 08:59"), key, sizeof(key)), fixture_at("2026-10-16 09:00"));
	assert_int_equal(rules_next_slot(rules, fixture_at("2026-11-10 10:00"), key, sizeof(key)), fixture_at("2026-11-12 09:00"));
	assert_string_equal(key, "2026-11-12/09:00");
	fixture_free(rules);

	rules = fixture_rules("group \"m\" {\n tz Europe/Paris\n digest at 16:00 9h30 sat,sun\n closed 2026-10-18\n}\n");
	assert_int_equal(rules_next_slot(rules, fixture_at("2026-10-17 09:30"), key, sizeof(key)), fixture_at("2026-10-17 16:00"));
	assert_int_equal(rules_next_slot(rules, fixture_at("2026-10-17 16:00"), key, sizeof(key)), fixture_at("2026-10-24 09:30"));
	fixture_free(rules);

	rules = fixture_rules("group \"m\" {\n digest at 09:00\n closed 2026-01-01..2030-01-01\n}\n");
	memset(key, 'x', sizeof(key));
	assert_int_equal(rules_next_slot(rules, fixture_utc("2026-10-17 09:30"), key, sizeof(key)), INT64_MAX);
	assert_string_equal(key, "");
	assert_int_equal(rules_next_opening(rules, fixture_utc("2026-10-17 09:30")), INT64_MAX);
	fixture_free(rules);
}

static void
test_easter(void **state)
{
	static const int dates[][3] = {
		{ 2024, 3, 31 }, { 2025, 4, 20 }, { 2026, 4, 5 }, { 2027, 3, 28 }, { 2028, 4, 16 }, { 2029, 4, 1 },
		{ 2038, 4, 25 }, { 2285, 3, 22 }, { 1818, 3, 22 }, { 1954, 4, 18 }, { 1981, 4, 19 }, { 2049, 4, 18 },
		{ 2076, 4, 19 }, { 2000, 4, 23 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++)
		assert_int_equal(calendar_easter(dates[i][0]), zone_days(dates[i][0], dates[i][1], dates[i][2]));
}

static unsigned
count_holidays(enum holidays holidays, int year)
{
	unsigned n = 0;

	for (int64_t day = zone_days(year, 1, 1); day <= zone_days(year, 12, 31); day++)
		n += calendar_holiday(holidays, day) != NULL;
	return n;
}

static void
test_holidays(void **state)
{
	(void)state;
	assert_string_equal(calendar_holiday(HOLIDAYS_FR, zone_days(2026, 4, 6)), "Easter Monday");
	assert_string_equal(calendar_holiday(HOLIDAYS_FR, zone_days(2027, 5, 6)), "Ascension Day");
	assert_string_equal(calendar_holiday(HOLIDAYS_FR, zone_days(2026, 5, 25)), "Whit Monday");
	assert_string_equal(calendar_holiday(HOLIDAYS_FR, zone_days(2026, 7, 14)), "Bastille Day");
	assert_null(calendar_holiday(HOLIDAYS_FR, zone_days(2026, 4, 3)));
	assert_string_equal(calendar_holiday(HOLIDAYS_FR_ALSACE_MOSELLE, zone_days(2026, 4, 3)), "Good Friday");
	assert_null(calendar_holiday(HOLIDAYS_FR, zone_days(2026, 12, 26)));
	assert_non_null(calendar_holiday(HOLIDAYS_FR_ALSACE_MOSELLE, zone_days(2026, 12, 26)));
	assert_null(calendar_holiday(HOLIDAYS_NONE, zone_days(2026, 12, 25)));
	for (int year = 2020; year < 2100; year++) {
		unsigned n = count_holidays(HOLIDAYS_FR, year);

		/* two fall on one day when Ascension is 1 or 8 May */
		assert_true(n == 11 || (n == 10 && (calendar_easter(year) + 39 == zone_days(year, 5, 1)
				|| calendar_easter(year) + 39 == zone_days(year, 5, 8))));
		assert_int_equal(count_holidays(HOLIDAYS_FR_ALSACE_MOSELLE, year), n + 2);
	}
}

/* A window over midnight belongs to the day it starts on. */
static void
test_nights(void **state)
{
	struct rules *rules = fixture_rules("group \"m\" {\n tz Europe/Paris\n hours daily 22:00-06:00\n}\n");

	(void)state;
	assert_int_equal(rules_next_change(rules, fixture_at("2027-03-27 22:00")) - fixture_at("2027-03-27 22:00"),
			7 * 3600 * 1000); /* the hour that does not exist */
	assert_int_equal(rules_next_change(rules, fixture_at("2026-10-24 22:00")) - fixture_at("2026-10-24 22:00"),
			9 * 3600 * 1000); /* the hour that comes twice */
	fixture_free(rules);

	rules = fixture_rules("group \"m\" {\n tz Europe/Paris\n hours fri 22:00-06:00\n holidays fr\n}\n");
	assert_true(rules_is_open(rules, fixture_at("2026-10-17 05:59:59")));
	assert_false(rules_is_open(rules, fixture_at("2026-10-17 06:00")));
	assert_false(rules_is_open(rules, fixture_at("2026-10-16 05:00"))); /* the end of a Thursday's */
	/* Friday 25 December takes its night away whole */
	assert_false(rules_is_open(rules, fixture_at("2026-12-25 23:00")));
	assert_false(rules_is_open(rules, fixture_at("2026-12-26 05:00")));
	fixture_free(rules);

	rules = fixture_rules("group \"m\" {\n tz Europe/Paris\n hours thu 22:00-06:00\n holidays fr\n}\n");
	assert_true(rules_is_open(rules, fixture_at("2026-12-25 05:00"))); /* Thursday's night goes on into Christmas */
	fixture_free(rules);

	rules = fixture_rules("group \"m\" {\n tz Europe/Paris\n hours mon-fri 09:00-24:00 sat 00:00-12:00\n}\n");
	assert_true(rules_is_open(rules, fixture_at("2026-10-16 23:59:59")));
	assert_true(rules_is_open(rules, fixture_at("2026-10-17 00:00")));
	assert_int_equal(rules_next_change(rules, fixture_at("2026-10-16 20:00")), fixture_at("2026-10-17 12:00"));
	fixture_free(rules);
}

static void
test_missing_and_double_midnights(void **state)
{
	struct rules *rules = fixture_rules("group \"m\" {\n tz Africa/Cairo\n hours fri 00:00-12:00\n}\n");

	(void)state;
	assert_int_equal(rules_next_opening(rules, fixture_at("2026-04-23 12:00")), fixture_utc("2026-04-23 22:00"));
	fixture_free(rules);

	rules = fixture_rules("group \"m\" {\n tz America/Havana\n hours sat 12:00-24:00\n}\n");
	assert_int_equal(rules_next_change(rules, fixture_at("2025-11-01 13:00")), fixture_utc("2025-11-02 04:00"));
	fixture_free(rules);
	rules = fixture_rules("group \"m\" {\n tz America/Havana\n hours sun 00:00-12:00\n}\n");
	assert_int_equal(rules_next_opening(rules, fixture_at("2025-11-01 13:00")), fixture_utc("2025-11-02 04:00"));
	fixture_free(rules);

	rules = fixture_rules("group \"m\" {\n tz Pacific/Apia\n hours thu-fri 08:00-17:00\n}\n");
	/* there was no Friday 30 December 2011 */
	assert_int_equal(rules_next_opening(rules, fixture_at("2011-12-29 18:00")), fixture_at("2012-01-05 08:00"));
	fixture_free(rules);

	rules = fixture_rules("group \"m\" {\n tz America/Santiago\n hours sat 20:00-24:00\n}\n");
	/* 23:00 to 24:00 comes twice on 4 April 2026: the day ends once */
	assert_int_equal(rules_next_change(rules, fixture_at("2026-04-04 20:00")) - fixture_at("2026-04-04 20:00"),
			5 * 3600 * 1000);
	fixture_free(rules);
	/* what closes at a time that comes twice closes the second time, what opens then opens the first */
	rules = fixture_rules("group \"m\" {\n tz Europe/Paris\n hours sun 01:00-02:30 sun 02:45-04:00\n}\n");
	assert_int_equal(rules_next_change(rules, fixture_at("2026-10-25 01:00")), fixture_utc("2026-10-25 02:00") + 3600 * 1000);
	fixture_free(rules);
	rules = fixture_rules("group \"m\" {\n tz Europe/Paris\n hours sun 01:00-02:30\n}\n");
	assert_int_equal(rules_next_change(rules, fixture_at("2026-10-25 01:00")), fixture_utc("2026-10-25 01:30"));
	fixture_free(rules);
	rules = fixture_rules("group \"m\" {\n tz Australia/Lord_Howe\n hours daily 00:00-06:00\n}\n");
	assert_int_equal(rules_next_change(rules, fixture_at("2026-04-05 00:00")) - fixture_at("2026-04-05 00:00"),
			6 * 3600 * 1000 + 1800 * 1000);
	fixture_free(rules);
}

static void
test_closed_periods(void **state)
{
	struct rules *rules = fixture_rules("group \"m\" {\n tz Europe/Paris\n hours mon-fri 08:30-18:30\n holidays fr\n"
			" closed 2026-12-24..2027-01-03 \"Fermeture annuelle\"\n closed 2026-10-19\n}\n");

	(void)state;
	assert_int_equal(rules_next_opening(rules, fixture_at("2026-10-16 19:00")), fixture_at("2026-10-20 08:30"));
	assert_int_equal(rules_next_opening(rules, fixture_at("2026-12-23 19:00")), fixture_at("2027-01-04 08:30"));
	assert_int_equal(rules_closed_since(rules, fixture_at("2026-12-30 10:00")), fixture_at("2026-12-23 18:30"));
	fixture_free(rules);

	/* no hours: always open but for what is called closed */
	rules = fixture_rules("group \"m\" {\n tz Europe/Paris\n closed 2026-10-19..2026-10-20\n}\n");
	assert_true(rules_is_open(rules, fixture_at("2026-10-18 03:00")));
	assert_false(rules_is_open(rules, fixture_at("2026-10-19 00:00")));
	assert_int_equal(rules_next_opening(rules, fixture_at("2026-10-19 10:00")), fixture_at("2026-10-21 00:00"));
	assert_int_equal(rules_next_change(rules, fixture_at("2026-10-01 10:00")), fixture_at("2026-10-19 00:00"));
	fixture_free(rules);
	rules = fixture_rules("group \"m\" {\n holidays fr\n closed 2026-10-19\n}\n");
	assert_true(rules_is_open(rules, fixture_at("2026-12-25 10:00")));
	fixture_free(rules);
}

static void
test_always_open(void **state)
{
	static const char *const charters[] = {
		"group \"m\" {\n tz Europe/Paris\n}\n", "group \"m\" {\n hours always\n holidays fr\n}\n",
		"site {\n tz Europe/Paris\n}\n", "",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(charters) / sizeof(charters[0]); i++) {
		struct rules *rules = fixture_rules(charters[i]);

		assert_true(rules_is_open(rules, fixture_utc("2026-12-25 03:00")));
		assert_int_equal(rules_next_opening(rules, 42), 42);
		assert_int_equal(rules_next_change(rules, 42), INT64_MAX);
		assert_int_equal(rules_closed_since(rules, 42), 0);
		fixture_free(rules);
	}
	struct rules *rules = fixture_rules("group \"m\" {\n hours daily 00:00-24:00\n}\n");
	assert_true(rules_is_open(rules, fixture_utc("2026-12-25 00:00")));
	assert_int_equal(rules_next_change(rules, 42), INT64_MAX);
	fixture_free(rules);
}

static void
test_site_defaults(void **state)
{
	struct rules *site = fixture_rules("site {\n tz Europe/Paris\n lang fr\n hours mon-fri 09:00-17:00\n holidays fr\n"
			" closed 2026-10-20\n digest at 07:00\n}\n");
	struct rules *group = fixture_rules("group \"m\" {\n closed 2026-10-19\n}\n");
	struct zone *paris = fixture_zone("Europe/Paris");
	char key[24];

	(void)state;
	assert_string_equal(rules_zone_name(group), "UTC");
	rules_set_site(group, site);
	rules_set_zone(group, paris);
	assert_string_equal(rules_zone_name(group), "Europe/Paris");
	assert_string_equal(rules_language(group), "fr");
	assert_int_equal(rules_next_opening(group, fixture_local(paris, "2026-10-16 17:00")),
			fixture_local(paris, "2026-10-21 09:00"));
	assert_int_equal(rules_next_slot(group, fixture_local(paris, "2026-10-16 17:00"), key, sizeof(key)),
			fixture_local(paris, "2026-10-21 07:00"));
	rules_set_site(group, NULL);
	assert_string_equal(rules_zone_name(group), "UTC");
	assert_null(rules_language(group));
	fixture_free(group);
	group = fixture_rules("group \"m\" {\n tz Europe/Paris\n lang en\n hours always\n holidays none\n digest at 08:00\n}\n");
	rules_set_site(group, site);
	assert_string_equal(rules_language(group), "en");
	assert_true(rules_is_open(group, fixture_local(paris, "2026-10-18 03:00")));
	assert_false(rules_is_open(group, fixture_local(paris, "2026-10-20 12:00"))); /* closed periods add up */
	assert_int_equal(rules_next_slot(group, fixture_at("2026-11-11 07:00"), key, sizeof(key)), fixture_at("2026-11-11 08:00"));
	fixture_free(group);
	fixture_free(site);
	zone_free(paris);
}

/* The ends of time: any answer, no overflow. */
static void
test_extremes(void **state)
{
	static const int64_t instants[] = { INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX - 1, INT64_MAX, INT64_MAX / 1000, INT64_MIN / 1000 };
	struct rules *rules = fixture_rules(office);
	char key[24], out[512];

	(void)state;
	for (size_t i = 0; i < sizeof(instants) / sizeof(instants[0]); i++) {
		(void)rules_is_open(rules, instants[i]);
		(void)rules_next_change(rules, instants[i]);
		(void)rules_closed_since(rules, instants[i]);
		assert_true(rules_next_opening(rules, instants[i]) >= instants[i]);
		assert_true(rules_next_slot(rules, instants[i], key, sizeof(key)) >= instants[i]);
		rules_say_instant(rules, instants[i], 0, &(struct rules_speech){ NULL, NULL, true }, out, sizeof(out));
		rules_say_hours(rules, instants[i], &(struct rules_speech){ NULL, NULL, false }, out, sizeof(out));
	}
	fixture_free(rules);
}

/* ---- property: against a walk over minutes ---- */

struct week {
	int from[7], to[7]; /* minutes; from == to: closed */
};

static unsigned long long seed = 7;

static unsigned
draw(unsigned bound)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned)(seed >> 33) % bound;
}

/* Windows inside one day and outside of 00:00 to 05:00, where local time alone says open or closed in these zones. */
static bool
oracle_open(const struct week *week, int64_t at)
{
	time_t t = (time_t)at;
	struct tm tm;
	int day, minute;

	localtime_r(&t, &tm);
	day = (tm.tm_wday + 6) % 7;
	minute = tm.tm_hour * 60 + tm.tm_min;
	return minute >= week->from[day] && minute < week->to[day];
}

static void
test_property(void **state)
{
	static const char *const zones[] = { "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca" };
	static const char *const names[] = { "mon", "tue", "wed", "thu", "fri", "sat", "sun" };
	unsigned long opens = 0, closed = 0;

	(void)state;
	for (int turn = 0; turn < 40; turn++) {
		const char *zone = zones[turn % 4];
		struct week week = { { 0 }, { 0 } };
		char charter[1024], tz[64];
		size_t n = (size_t)snprintf(charter, sizeof(charter), "group \"m\" {\n tz %s\n", zone);
		struct rules *rules;
		int64_t from = 1767225600 + (int64_t)draw(700) * 86400;

		for (int day = 0; day < 7; day++) {
			if (draw(3) == 0 && day > 0)
				continue;
			week.from[day] = 300 + (int)draw(900);
			week.to[day] = week.from[day] + 1 + (int)draw(1439 - (unsigned)week.from[day]);
			n += (size_t)snprintf(charter + n, sizeof(charter) - n, " hours %s %02d:%02d-%02d:%02d\n", names[day],
					week.from[day] / 60, week.from[day] % 60, week.to[day] / 60, week.to[day] % 60);
		}
		snprintf(charter + n, sizeof(charter) - n, "}\n");
		rules = fixture_rules(charter);
		assert_non_null(rules);
		snprintf(tz, sizeof(tz), ":" ZONEINFO "%s", zone);
		setenv("TZ", tz, 1);
		tzset();
		for (int n2 = 0; n2 < 200; n2++) {
			int64_t at = from + (int64_t)draw(20 * 86400), next = at, change = at;
			bool open = oracle_open(&week, at);

			opens += open;
			closed += !open;
			assert_int_equal(rules_is_open(rules, at * 1000), open);
			if (n2 % 20 != 0)
				continue;
			for (next = at; !oracle_open(&week, next);)
				next += next % 60 ? 60 - next % 60 : 60;
			assert_int_equal(rules_next_opening(rules, at * 1000), next * 1000);
			do
				change += change % 60 ? 60 - change % 60 : 60;
			while (oracle_open(&week, change) == open);
			assert_int_equal(rules_next_change(rules, at * 1000), change * 1000);
		}
		fixture_free(rules);
	}
	print_message("# property: %lu open instants, %lu closed\n", opens, closed);
	assert_true(opens > 500 && closed > 500);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_slots),
		cmocka_unit_test(test_easter),
		cmocka_unit_test(test_holidays),
		cmocka_unit_test(test_nights),
		cmocka_unit_test(test_missing_and_double_midnights),
		cmocka_unit_test(test_closed_periods),
		cmocka_unit_test(test_always_open),
		cmocka_unit_test(test_site_defaults),
		cmocka_unit_test(test_extremes),
		cmocka_unit_test(test_property),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
