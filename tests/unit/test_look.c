/* SPDX-License-Identifier: Apache-2.0 */
#include "base/look.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static void
test_alike(void **state)
{
	static const char *const alike[][2] = {
		{ "Alice", "ALICE" }, { "Alice", "alice " }, { " lead", "lead" }, { "Аlice", "Alice" }, /* Cyrillic А */
		{ "Bob", "B0b" }, { "Ｂｏｂ", "Bob" }, { "Bill", "BiIl" }, { "Bob", "Bоb" },
		{ "Alice", "A\u200Bl\u200Dice" }, { "Sourdine", "Sοurdine" }, { "Sourdine", "\u202ESourdine" }, { "Zoé", "Zoe\u200B\u0301" },
	};
	static const char *const different[][2] = { { "Alice", "Alicia" }, { "Zoë", "Zoé" }, { "Bob", "Rob" } };

	(void)state;
	for (size_t i = 0; i < sizeof(alike) / sizeof(*alike); i++)
		if (!look_alike(alike[i][0], alike[i][1]))
			fail_msg("not alike: %s, %s", alike[i][0], alike[i][1]);
	for (size_t i = 0; i < sizeof(different) / sizeof(*different); i++)
		assert_false(look_alike(different[i][0], different[i][1]));
}

static void
test_tidy(void **state)
{
	static const char *const names[][2] = {
		{ "Alice", "Alice" }, { "  Alice\t \n B. ", "Alice B." }, { "E\u202Ev\u200Be \u2066x", "Eve x" }, { "\x01\x7F", "" }, { "", "" },
		{ "\xFF" "A", "A" }, { "A\u200Dlice", "Alice" }, { "\uE000x\u00ADy", "xy" }, { "Zoë ☃", "Zoë ☃" },
		{ "می\u200Cخواهم", "می\u200Cخواهم" }, { "👩\u200D🚀", "👩\u200D🚀" }, { "❤\uFE0F", "❤\uFE0F" }, { "\u200D\uFE0F", "" },
	};
	char out[64], small[4];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		look_tidy(names[i][0], out, sizeof(out));
		assert_string_equal(out, names[i][1]);
		/* Twice changes nothing. */
		look_tidy(names[i][1], out, sizeof(out));
		assert_string_equal(out, names[i][1]);
	}
	look_tidy("aéé", small, sizeof(small));
	assert_string_equal(small, "aé");
	look_tidy("abc", small, sizeof(small));
	assert_string_equal(small, "abc");
	look_tidy("abc def", small, sizeof(small));
	assert_string_equal(small, "abc");
	look_tidy("abcd", small, sizeof(small));
	assert_string_equal(small, "abc");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alike),
		cmocka_unit_test(test_tidy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
