/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a group is open. The model: every local day has a list of windows, and a
 * window is made an interval of instants [open, close) only when it is asked for,
 * in the zone as it is known now; nothing is remembered. A window belongs to the
 * day on which it starts, also when it ends on the next one, so a holiday takes
 * its evening window away whole and leaves the end of the night before.
 *
 * Openings are the first instant that shows their local time, closings the last,
 * and inside a gap both are the first instant after it; a window that thus
 * becomes empty does not exist.
 */

#include "calendar.h"

#include "rules.h"
#include "say.h"
#include "zone.h"

#include <stdio.h>

#define MINUTES_A_DAY (24 * 60)

/* ---- holidays ---- */

/* The Gregorian computus in its usual anonymous form. */
int64_t
calendar_easter(int year)
{
	int golden = year % 19, century = year / 100, in_century = year % 100;
	int moon = (19 * golden + century - century / 4 - (century - (century + 8) / 25 + 1) / 3 + 15) % 30;
	int sunday = (32 + 2 * (century % 4) + 2 * (in_century / 4) - moon - in_century % 4) % 7;
	int late = (golden + 11 * moon + 22 * sunday) / 451;
	int day = moon + sunday - 7 * late + 114;

	return zone_days(year, day / 31, day % 31 + 1);
}

struct holiday {
	const char *name; /* msgid */
	int month, day;   /* month 0: `day` counts from Easter Sunday */
	bool alsace;      /* in Alsace and Moselle only */
};

static const struct holiday french[] = {
	{ N_("New Year's Day"), 1, 1, false },
	{ N_("Good Friday"), 0, -2, true },
	{ N_("Easter Monday"), 0, 1, false },
	{ N_("Labour Day"), 5, 1, false },
	{ N_("Victory Day 1945"), 5, 8, false },
	{ N_("Ascension Day"), 0, 39, false },
	{ N_("Whit Monday"), 0, 50, false },
	{ N_("Bastille Day"), 7, 14, false },
	{ N_("Assumption Day"), 8, 15, false },
	{ N_("All Saints' Day"), 11, 1, false },
	{ N_("Armistice Day 1918"), 11, 11, false },
	{ N_("Christmas Day"), 12, 25, false },
	{ N_("Second Christmas Day"), 12, 26, true },
};

const char *
calendar_holiday(enum holidays holidays, int64_t day)
{
	struct civil date;
	int64_t easter;

	if (holidays != HOLIDAYS_FR && holidays != HOLIDAYS_FR_ALSACE_MOSELLE)
		return NULL;
	zone_date(day, &date);
	if (date.year < 1 || date.year > 9999)
		return NULL; /* outside any calendar that people keep, and the computus wants positive years */
	easter = calendar_easter(date.year);
	for (size_t i = 0; i < sizeof(french) / sizeof(french[0]); i++) {
		const struct holiday *holiday = &french[i];

		if (holiday->alsace && holidays != HOLIDAYS_FR_ALSACE_MOSELLE)
			continue;
		if (holiday->month ? holiday->month == date.month && holiday->day == date.day : easter + holiday->day == day)
			return holiday->name;
	}
	return NULL;
}

/* ---- which lines govern ---- */

enum holidays
calendar_holidays(const struct rules *rules)
{
	return rules->group.holidays != HOLIDAYS_UNSET ? rules->group.holidays : syntax_site(rules)->holidays;
}

const struct block *
calendar_hours(const struct rules *rules)
{
	const struct block *block = rules->group.hours_set ? &rules->group : syntax_site(rules);

	return block->window_count > 0 ? block : NULL;
}

const struct slots *
calendar_slots(const struct rules *rules)
{
	static const struct slots usual = { .set = true, .days = 0x1F, .count = 1, .minute = { 9 * 60 } };

	if (rules->group.slots.set)
		return &rules->group.slots;
	return syntax_site(rules)->slots.set ? &syntax_site(rules)->slots : &usual;
}

static const struct closure *
closure_in(const struct block *block, int64_t day)
{
	for (size_t i = 0; i < block->closure_count; i++) {
		if (day >= block->closures[i].first && day <= block->closures[i].last)
			return &block->closures[i];
	}
	return NULL;
}

const struct closure *
calendar_closure(const struct rules *rules, int64_t day)
{
	const struct closure *closure = closure_in(&rules->group, day);

	return closure ? closure : closure_in(syntax_site(rules), day);
}

int64_t
calendar_day(const struct rules *rules, int64_t at_ms)
{
	struct civil local;

	zone_to_civil(rules->zone, at_ms, &local);
	return zone_days(local.year, local.month, local.day);
}

/* No hours: always open, but for the periods that a line calls closed. */
static bool
is_always_open(const struct rules *rules)
{
	return !calendar_hours(rules) && rules->group.closure_count == 0 && syntax_site(rules)->closure_count == 0;
}

/* ---- windows as instants ---- */

struct interval {
	int64_t open, close; /* ms */
};

/* A local time on a day, minutes beyond midnight included. */
static struct civil
local_time(int64_t day, int minute)
{
	struct civil civil;

	zone_date(day, &civil);
	civil.minute = minute;
	return civil;
}

static size_t
windows_of(const struct rules *rules)
{
	const struct block *hours = calendar_hours(rules);

	return hours ? hours->window_count : 1;
}

/* Window `index` as it stands on that day; false when there is none. */
static bool
interval_of(const struct rules *rules, int64_t day, size_t index, struct interval *out)
{
	static const struct window whole = { .days = 0x7F, .start = 0, .end = MINUTES_A_DAY };
	const struct block *hours = calendar_hours(rules);
	const struct window *window = hours ? &hours->windows[index] : &whole;
	struct civil open, close;

	if (!(window->days & 1u << zone_weekday(day)))
		return false;
	open = local_time(day, window->start);
	close = local_time(window->end <= window->start ? day + 1 : day, window->end);
	out->open = zone_from_civil(rules->zone, &open);
	/* the end of the day is where the next one begins, also when its first hour comes twice */
	out->close = window->end == MINUTES_A_DAY ? zone_from_civil(rules->zone, &close)
			: zone_from_civil_last(rules->zone, &close);
	return out->open < out->close;
}

static bool
is_closed_day(const struct rules *rules, int64_t day)
{
	if (calendar_hours(rules) && calendar_holiday(calendar_holidays(rules), day))
		return true;
	return calendar_closure(rules, day) != NULL;
}

/* The latest close of the windows that hold the instant; at_ms itself when none does. */
static int64_t
close_of(const struct rules *rules, int64_t at_ms)
{
	int64_t today = calendar_day(rules, at_ms), close = at_ms;
	struct interval interval;

	for (int64_t day = today - 1; day <= today; day++) {
		if (is_closed_day(rules, day))
			continue;
		for (size_t i = 0; i < windows_of(rules); i++) {
			if (interval_of(rules, day, i, &interval) && interval.open <= at_ms && interval.close > close)
				close = interval.close;
		}
	}
	return close;
}

bool
rules_is_open(const struct rules *rules, int64_t at_ms)
{
	return is_always_open(rules) || close_of(rules, at_ms) > at_ms;
}

int64_t
rules_next_opening(const struct rules *rules, int64_t at_ms)
{
	int64_t today, found = INT64_MAX;
	struct interval interval;

	if (rules_is_open(rules, at_ms))
		return at_ms;
	today = calendar_day(rules, at_ms);
	for (int64_t day = today - 1; day <= today + RULES_HORIZON_DAYS && found == INT64_MAX; day++) {
		if (is_closed_day(rules, day))
			continue;
		for (size_t i = 0; i < windows_of(rules); i++) {
			if (interval_of(rules, day, i, &interval) && interval.open > at_ms && interval.open < found)
				found = interval.open;
		}
	}
	return found;
}

int64_t
rules_next_change(const struct rules *rules, int64_t at_ms)
{
	int64_t at = at_ms, close;

	if (is_always_open(rules))
		return INT64_MAX;
	if (!rules_is_open(rules, at_ms))
		return rules_next_opening(rules, at_ms);
	for (int turn = 0; turn < RULES_HORIZON_DAYS; turn++) {
		close = close_of(rules, at);
		if (close == at)
			return at;
		at = close;
	}
	return INT64_MAX;
}

int64_t
rules_closed_since(const struct rules *rules, int64_t at_ms)
{
	int64_t today, since = INT64_MIN;
	struct interval interval;

	if (rules_is_open(rules, at_ms))
		return 0;
	today = calendar_day(rules, at_ms);
	for (int64_t day = today; day >= today - RULES_HORIZON_DAYS; day--) {
		/* a window of the day before may go over midnight and close later: look one day further */
		bool last = since != INT64_MIN;

		for (size_t i = 0; !is_closed_day(rules, day) && i < windows_of(rules); i++) {
			if (interval_of(rules, day, i, &interval) && interval.close <= at_ms && interval.close > since)
				since = interval.close;
		}
		if (last)
			break;
	}
	return since == INT64_MIN ? 0 : since;
}

/* ---- digest slots ---- */

int64_t
rules_next_slot(const struct rules *rules, int64_t at_ms, char *key, size_t size)
{
	const struct slots *slots = calendar_slots(rules);
	enum holidays holidays = calendar_holidays(rules);
	int64_t today = calendar_day(rules, at_ms), found = INT64_MAX, at;

	if (size > 0)
		key[0] = '\0';
	for (int64_t day = today - 1; day <= today + RULES_HORIZON_DAYS && found == INT64_MAX; day++) {
		if (!(slots->days & 1u << zone_weekday(day)) || calendar_holiday(holidays, day)
				|| calendar_closure(rules, day))
			continue;
		for (size_t i = 0; i < slots->count; i++) {
			struct civil local = local_time(day, slots->minute[i]);

			at = zone_from_civil(rules->zone, &local);
			if (at <= at_ms || at >= found)
				continue;
			found = at;
			snprintf(key, size, "%04d-%02d-%02d/%02d:%02d", local.year, local.month, local.day,
					slots->minute[i] / 60, slots->minute[i] % 60);
		}
	}
	return found;
}
