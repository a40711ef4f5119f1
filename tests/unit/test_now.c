/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks: instants as text, and the test clock. */
#include "base/now.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
	const char *text;
	int64_t ms;
} instants[] = {
	{ "1970-01-01T00:00:00Z", 0 },
	{ "1969-12-31T23:59:59Z", -1000 },
	{ "2000-02-29T12:00:00Z", 951825600000 },
	{ "2026-11-23T18:04:00Z", 1795457040000 },
	{ "2038-01-19T03:14:08Z", 2147483648000 },
	{ "2100-03-01T00:00:00Z", 4107542400000 },
};

static void
test_round_trip(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(instants) / sizeof(instants[0]); i++) {
		int64_t ms = 1;
		char text[32];
		assert_true(now_parse_utc(instants[i].text, &ms));
		assert_true(ms == instants[i].ms);
		now_format_utc(instants[i].ms, text, sizeof(text));
		assert_string_equal(text, instants[i].text);
	}
	char text[32];
	now_format_utc(-1, text, sizeof(text)); /* rounds down, not towards zero */
	assert_string_equal(text, "1969-12-31T23:59:59Z");
	now_format_utc(999, text, sizeof(text));
	assert_string_equal(text, "1970-01-01T00:00:00Z");
}

static void
test_fraction(void **state)
{
	(void)state;
	int64_t ms;

	assert_true(now_parse_utc("1970-01-01T00:00:00.5Z", &ms));
	assert_int_equal(ms, 500);
	assert_true(now_parse_utc("1970-01-01T00:00:01.123456Z", &ms));
	assert_int_equal(ms, 1123);
	assert_true(now_parse_utc("1970-01-01T00:00:01+00:00", &ms));
	assert_int_equal(ms, 1000);
}

static void
test_no_instant(void **state)
{
	static const char *const wrong[] = { "", "now", "2026-11-23", "2026-11-23T18:04:00", "2026-11-23T18:04:00+01:00",
		"2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-01-32T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z",
		"2026-01-01T00:00:61Z", "2026-01-01T00:00:00Z ", "x2026-01-01T00:00:00Z" };
	int64_t ms = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(now_parse_utc(wrong[i], &ms));
	assert_int_equal(ms, 7);
}

static void
test_clocks(void **state)
{
	(void)state;
	int64_t real = now_real_ms(), monotonic = now_monotonic_ms();

	assert_true(real > 1700000000000);
	assert_false(now_is_test_clock());
	assert_true(now_rules_ms() - real < 10000);
	usleep(20000);
	assert_true(now_monotonic_ms() >= monotonic + 20);
}

static void
write_clock(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void
test_test_clock(void **state)
{
	(void)state;
	char path[] = "/tmp/sourdine-clock-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(now_use_test_clock("/nowhere/clock"), -ENOENT);
	write_clock(path, "");
	assert_int_equal(now_use_test_clock(path), -EINVAL);
	assert_false(now_is_test_clock());
	int64_t real = now_real_ms();
	write_clock(path, "2026-11-23T18:04:00Z\n");
	assert_int_equal(now_use_test_clock(path), 0);
	assert_true(now_is_test_clock());
	assert_in_range(now_rules_ms(), 1795457040000, 1795457041000);
	assert_true(now_real_ms() - real < 10000);
	usleep(30000);
	assert_true(now_rules_ms() >= 1795457040030); /* it runs on */
	write_clock(path, "nonsense\n");
	assert_int_equal(now_use_test_clock(path), -EINVAL);
	assert_in_range(now_rules_ms(), 1795457040030, 1795457042000); /* and stays as it was */
	write_clock(path, "2020-01-01T00:00:00Z");
	assert_int_equal(now_use_test_clock(path), 0); /* backwards too */
	assert_in_range(now_rules_ms(), 1577836800000, 1577836801000);
	unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_fraction), cmocka_unit_test(test_no_instant),
		cmocka_unit_test(test_clocks), cmocka_unit_test(test_test_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
