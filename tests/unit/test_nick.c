/* SPDX-License-Identifier: Apache-2.0 */
/* Nicks: the verdicts that Prosody and ejabberd give, and what becomes of names that they refuse. */
#include "xmpp/nick.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *nick;
	bool allowed;
} verdicts[] = {
	{ "علي", true },
	{ "علي [m]", false },
	{ "☃ snow", true },
	{ "Zoë", true },
	{ "ẞ", false },
	{ "😀", false },
	{ "a😀", false },
	{ "Alice", true },
	{ "", false },
	{ "\x01", false },
	{ "\xEF\xBF\xBF", false },
	{ "\xFF", false },
	{ "\xC2\xA0", true },      /* becomes a space */
	{ "\xC2\xAD", false },     /* becomes nothing */
	{ "\xEF\xBF\xBD", false }, /* U+FFFD */
};

static void
test_verdicts(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(verdicts) / sizeof(*verdicts); i++)
		if (nick_allowed(verdicts[i].nick) != verdicts[i].allowed)
			fail_msg("verdict of case %zu (%s)", i, verdicts[i].nick);
}

static void
test_lengths(void **state)
{
	char nick[1025];

	(void)state;
	memset(nick, 'x', sizeof(nick));
	nick[1023] = '\0';
	assert_true(nick_allowed(nick));
	nick[1023] = 'x';
	nick[1024] = '\0';
	assert_false(nick_allowed(nick));
	/* U+FDFA becomes 18 letters (33 bytes). */
	for (size_t i = 0; i < 1020; i += 3)
		memcpy(nick + i, "\xEF\xB7\xBA", 3);
	nick[1020] = '\0';
	assert_false(nick_allowed(nick));
}

static const struct {
	const char *name, *stem, *nick;
	bool itself;
} prepared[] = {
	{ "Alice", "alice:hs", "Alice", true },
	{ "  Alice \t B.  ", "alice:hs", "Alice B.", true },
	{ "Alice 😀", "alice:hs", "Alice", false },
	{ "😀😀", "alice:hs", "alice", false },
	{ "", "alice:hs", "alice", false },
	{ NULL, "alice:hs", "alice", false },
	{ "😀", "😀:hs", "matrix", false },
	{ "\xE2\x80\xAE" "evil", "alice:hs", "evil", true }, /* right-to-left override */
	{ "A\xE2\x80\x8B" "B", "alice:hs", "AB", true },      /* zero width */
	{ "علي [m]", "ali:hs", "علي", false },
	{ "Ali علي", "ali:hs", "Ali", false },
	{ "123 علي", "ali:hs", "علي", false },
	{ "Groẞ", "gross:hs", "Gro", false },
	{ "a\x01" "b", "alice:hs", "ab", true },
	{ "\xEF\xBF\xBD\xEF\xBF\xBD", "alice:hs", "alice", false },
};

static void
test_prepare(void **state)
{
	char out[NICK_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(prepared) / sizeof(*prepared); i++) {
		bool itself = nick_prepare(prepared[i].name, prepared[i].stem, out);
		if (strcmp(out, prepared[i].nick) != 0)
			fail_msg("case %zu: '%s' instead of '%s'", i, out, prepared[i].nick);
		assert_true(nick_allowed(out));
		/* A clean-up of what nobody sees does not count as a change. */
		if (prepared[i].itself)
			assert_true(itself || strchr(prepared[i].name, '\x01'));
		else
			assert_false(itself);
	}
}

static void
test_prepare_long(void **state)
{
	char name[400] = "", out[NICK_SIZE];

	(void)state;
	for (int i = 0; i < 100; i++)
		strncat(name, "é", sizeof(name) - strlen(name) - 1);
	assert_false(nick_prepare(name, "alice:hs", out));
	assert_int_equal(strlen(out), 96);
	/* What normalisation blows up does not get through as it is. */
	name[0] = '\0';
	for (int i = 0; i < 48; i++)
		strncat(name, "\xEF\xB7\xBA", sizeof(name) - strlen(name) - 1);
	nick_prepare(name, "alice:hs", out);
	assert_true(nick_allowed(out));
}

/* Any bytes as a name: what comes out is allowed and not empty. */
static void
test_prepare_any(void **state)
{
	unsigned seed = 1;
	char name[32], out[NICK_SIZE];

	(void)state;
	for (int i = 0; i < 20000; i++) {
		size_t n = (size_t)i % (sizeof(name) - 1);
		for (size_t j = 0; j < n; j++) {
			seed = seed * 1103515245 + 12345;
			name[j] = (char)(seed >> 16 | 1);
		}
		name[n] = '\0';
		nick_prepare(name, name, out);
		assert_true(nick_allowed(out));
		nick_variant(out, name, (unsigned)i % 7 + 1, out);
		assert_true(nick_allowed(out));
	}
}

static void
test_variants(void **state)
{
	static const char *const names[] = { "Alice", "علي", "☃", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" };
	char out[6][NICK_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		for (unsigned n = 1; n <= 6; n++) {
			nick_variant(names[i], "alice:hs", n, out[n - 1]);
			assert_true(nick_allowed(out[n - 1]));
			for (unsigned m = 1; m < n; m++)
				assert_string_not_equal(out[n - 1], out[m - 1]);
		}
	nick_variant("Alice", "alice:hs", 1, out[0]);
	assert_string_equal(out[0], "Alice [m]");
	nick_variant("علي", "ali:hs", 1, out[0]);
	assert_string_equal(out[0], "ali [m1]");
	nick_variant("The Boss", "alice:hs", 4, out[0]);
	assert_string_equal(out[0], "alice");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_prepare),
		cmocka_unit_test(test_prepare_long),
		cmocka_unit_test(test_prepare_any),
		cmocka_unit_test(test_variants),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
