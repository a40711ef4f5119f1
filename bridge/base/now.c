/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks. Time is an argument everywhere else. */
#include "base/now.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* The test clock is an offset to the monotonic clock, so that it runs on and never steps by itself. */
static struct {
	bool on;
	int64_t offset_ms;
} test_clock;

static int64_t
read_clock(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t
now_real_ms(void)
{
	return read_clock(CLOCK_REALTIME);
}

int64_t
now_monotonic_ms(void)
{
	return read_clock(CLOCK_BOOTTIME);
}

int64_t
now_rules_ms(void)
{
	return test_clock.on ? now_monotonic_ms() + test_clock.offset_ms : now_real_ms();
}

bool
now_is_test_clock(void)
{
	return test_clock.on;
}

int
now_use_test_clock(const char *path)
{
	char text[64] = "";
	int64_t at;
	FILE *file = fopen(path, "re");

	if (!file)
		return -errno;
	bool got = fgets(text, sizeof(text), file) != NULL;
	fclose(file);
	text[strcspn(text, "\r\n")] = '\0';
	if (!got || !now_parse_utc(text, &at))
		return -EINVAL;
	test_clock.on = true;
	test_clock.offset_ms = at - now_monotonic_ms();
	return 0;
}

/* Howard Hinnant's day count, as arithmetic: days since 1970-01-01 of a proleptic Gregorian date. */
static int64_t
days_from_civil(int64_t year, int month, int day)
{
	year -= month <= 2;
	int64_t era = (year >= 0 ? year : year - 399) / 400;
	int64_t yoe = year - era * 400;
	int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

void
now_format_utc(int64_t at_ms, char *out, size_t size)
{
	time_t seconds = (time_t)(at_ms / 1000 - (at_ms % 1000 < 0)); /* rounded down */
	struct tm tm;

	if (!gmtime_r(&seconds, &tm) || !strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &tm))
		snprintf(out, size, "?");
}

bool
now_parse_utc(const char *text, int64_t *out)
{
	int year, month, day, hour, minute, used = 0;
	int second;

	/* NOLINTNEXTLINE(cert-err34-c): the widths bound every number */
	if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &year, &month, &day, &hour, &minute, &second, &used) != 6)
		return false;
	int ms = 0, scale = 100;
	const char *p = text + used;
	if (*p == '.')
		for (p++; *p >= '0' && *p <= '9'; p++, scale /= 10)
			ms += (*p - '0') * scale;
	if (strcmp(p, "Z") != 0 && strcmp(p, "+00:00") != 0)
		return false;
	if (month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 ||
			second > 60)
		return false;
	*out = (days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second) * 1000 + ms;
	return true;
}
