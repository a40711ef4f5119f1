/* SPDX-License-Identifier: Apache-2.0 */
/* Growing text, and the cleaning that every foreign text goes through. */
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BAD "\xEF\xBF\xBD"

static const struct {
	const char *from;
	size_t n;
	const char *to;
} cleaned[] = {
	{ "", 0, "" },
	{ "plain, tab\t and\r\n end", 20, "plain, tab\t and\r\n en" },
	{ "été ≠ 😀", 14, "été ≠ 😀" },
	{ "a\0b", 3, "a" BAD "b" },
	{ "\x01\x1F\x7F", 3, BAD BAD "\x7F" },
	{ "\xC0\xAF", 2, BAD },             /* overlong / */
	{ "\xE0\x80\xAF", 3, BAD },         /* overlong / */
	{ "\xED\xA0\x80", 3, BAD },         /* U+D800 */
	{ "\xED\xBF\xBF!", 4, BAD "!" },    /* U+DFFF */
	{ "\xEF\xBF\xBE\xEF\xBF\xBF", 6, BAD BAD },
	{ "\xF4\x90\x80\x80", 4, BAD },     /* beyond U+10FFFF */
	{ "\xF5\x80\x80\x80", 4, BAD },
	{ "\xC3", 1, BAD },                 /* cut */
	{ "\xE2\x82", 2, BAD },
	{ "\xF0\x9F\x98", 3, BAD },
	{ "a\x80\x80" "b", 4, "a" BAD "b" }, /* stray continuations are one fault */
	{ "\xC3(", 2, BAD "(" },
	{ "\xF0\x9F\x98\x80", 4, "😀" },
	{ "\xEE\x80\x80", 3, "\xEE\x80\x80" }, /* private use is an XML character */
};

static void
test_clean(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cleaned) / sizeof(cleaned[0]); i++) {
		AUTO_FREE char *out = str_clean(cleaned[i].from, cleaned[i].n);
		assert_string_equal(out, cleaned[i].to);
		assert_true(str_is_clean(out, strlen(out)));
		bool same = strlen(out) == cleaned[i].n && memcmp(out, cleaned[i].from, cleaned[i].n) == 0;
		assert_int_equal(str_is_clean(cleaned[i].from, cleaned[i].n), same);
		AUTO_FREE char *twice = str_clean(out, strlen(out));
		assert_string_equal(twice, out);
	}
}

/* Every sequence of three bytes from those that matter: what comes out is clean, and clean text is left alone. */
static void
test_clean_all(void **state)
{
	static const unsigned char bytes[] = { 0x00, 0x09, 0x1F, 'a', 0x7F, 0x80, 0x9F, 0xA0, 0xBF, 0xC0, 0xC2, 0xDF, 0xE0, 0xED, 0xEF, 0xF0,
		0xF4, 0xF5, 0xFF };
	enum { N = sizeof(bytes) };

	(void)state;
	for (size_t i = 0; i < (size_t)N * N * N; i++) {
		char text[3] = { (char)bytes[i % N], (char)bytes[i / N % N], (char)bytes[i / N / N] };
		AUTO_FREE char *out = str_clean(text, 3);
		assert_true(str_is_clean(out, strlen(out)));
		if (str_is_clean(text, 3))
			assert_memory_equal(out, text, 3);
	}
}

static void
test_ceiling(void **state)
{
	(void)state;
	struct str s;

	str_init(&s, 10);
	assert_string_equal(str_get(&s), "");
	str_add(&s, "12345");
	str_addf(&s, "%d", 6789);
	assert_false(s.full);
	assert_int_equal(s.n, 9);
	str_add(&s, "ab");
	assert_true(s.full);
	assert_string_equal(str_get(&s), "123456789");
	str_add(&s, "a"); /* would fit, but the text is not whole any more */
	assert_string_equal(str_get(&s), "123456789");
	str_clear(&s);
	str_add_n(&s, "0123456789", 10);
	assert_false(s.full);
	AUTO_FREE char *text = str_take(&s);
	assert_string_equal(text, "0123456789");
	assert_int_equal(s.n, 0);
	AUTO_FREE char *nothing = str_take(&s);
	assert_string_equal(nothing, "");
	str_fini(&s);
}

static void
test_growth(void **state)
{
	(void)state;
	struct str s;

	str_init(&s, 1 << 20);
	for (int i = 0; i < 100000; i++)
		str_add_char(&s, (char)('a' + i % 26));
	assert_int_equal(s.n, 100000);
	assert_int_equal(strlen(str_get(&s)), 100000);
	assert_int_equal(s.p[99999], 'a' + 99999 % 26);
	str_fini(&s);
}

static void
test_distance(void **state)
{
	(void)state;
	assert_int_equal(str_distance("", ""), 0);
	assert_int_equal(str_distance("", "abc"), 3);
	assert_int_equal(str_distance("kitten", "sitting"), 3);
	assert_int_equal(str_distance("adress", "address"), 1);
	assert_int_equal(str_distance("flaw", "lawn"), 2);
	char a[200], b[200];
	memset(a, 'a', sizeof(a) - 1);
	memset(b, 'b', sizeof(b) - 1);
	a[199] = b[199] = '\0';
	assert_int_equal(str_distance(a, b), 64);
}

static void
test_compare(void **state)
{
	(void)state;
	assert_true(str_starts("abc", ""));
	assert_true(str_starts("abc", "abc"));
	assert_false(str_starts("ab", "abc"));
	assert_true(str_equal(NULL, NULL));
	assert_false(str_equal(NULL, ""));
	assert_false(str_equal("", NULL));
	assert_true(str_equal("a", "a"));
	assert_false(str_equal("a", "b"));
}

/* A secret that is written piece by piece is in one place only. */
static void
test_reserve(void **state)
{
	struct str s AUTO_STR;

	(void)state;
	str_init(&s, 4000);
	str_reserve(&s, 4000);
	const char *place = s.p;
	for (int i = 0; i < 3999; i++)
		str_add_char(&s, 'k');
	str_addf(&s, "%c", 'k');
	assert_ptr_equal(s.p, place);
	assert_int_equal(s.n, 4000);
	assert_false(s.full);
	str_add(&s, "k");
	assert_true(s.full);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean), cmocka_unit_test(test_clean_all), cmocka_unit_test(test_ceiling),
		cmocka_unit_test(test_growth), cmocka_unit_test(test_reserve), cmocka_unit_test(test_distance), cmocka_unit_test(test_compare),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
