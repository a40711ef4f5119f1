/* SPDX-License-Identifier: Apache-2.0 */
/* The localparts of Matrix ghosts: within the grammar, and no two stems share one. */
#include "matrix/ghost.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct seal *seal;

static int
set_up(void **state)
{
	char directory[] = "/tmp/sourdine-test-XXXXXX", path[64];

	(void)state;
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/key", directory);
	int r = seal_open(&seal, path, true);
	unlink(path);
	rmdir(directory);
	return r;
}

static int
tear_down(void **state)
{
	(void)state;
	seal_close(seal);
	return 0;
}

static char *
localpart(const char *stem)
{
	return ghost_localpart(seal, "_xmpp_", stem, "example.org");
}

static void
test_known(void **state)
{
	static const struct {
		const char *stem, *localpart;
	} cases[] = {
		{ "bob@xmpp.example", "_xmpp_bob=40xmpp.example" },
		{ "a.b-c_d/e", "_xmpp_a.b-c_d/e" },
		{ "Bob", "_xmpp_=42ob" },
		{ "=40", "_xmpp_=3d40" },
		{ "a+b", "_xmpp_a=2bb" },
		{ "caf\xC3\xA9", "_xmpp_caf=c3=a9" },
		{ "bob=40xmpp.example", "_xmpp_bob=3d40xmpp.example" },
		{ "\x01 :", "_xmpp_=01=20=3a" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		AUTO_FREE char *got = localpart(cases[i].stem);
		assert_string_equal(got, cases[i].localpart);
	}
}

/* Undoes the escaping by the rule of the header alone. */
static bool
decode(const char *escaped, char *out)
{
	for (; *escaped; escaped++) {
		if (*escaped != '=') {
			*out++ = *escaped;
			continue;
		}
		char hex[3] = { escaped[1], escaped[1] ? escaped[2] : '\0', '\0' };
		char *end;
		*out++ = (char)strtoul(hex, &end, 16);
		if (end != hex + 2)
			return false;
		escaped += 2;
	}
	*out = '\0';
	return true;
}

/* What can be decoded without doubt was encoded without collision. */
static void
test_injective(void **state)
{
	unsigned seed = 20261122;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		char stem[41], back[256];
		size_t n = 1 + (seed = seed * 1103515245 + 12345) / 65536 % 40;
		for (size_t j = 0; j < n; j++) {
			seed = seed * 1103515245 + 12345;
			stem[j] = "=4041ab_./-@A+\xC3\xA9 "[seed / 65536 % 17];
		}
		stem[n] = '\0';
		AUTO_FREE char *got = localpart(stem);
		assert_true(str_starts(got, "_xmpp_"));
		assert_int_equal(strspn(got, "abcdefghijklmnopqrstuvwxyz0123456789._=-/+"), strlen(got));
		assert_true(decode(got + 6, back));
		assert_string_equal(back, stem);
	}
}

static void
test_long(void **state)
{
	char stem[1100];
	char *seen[1100] = { NULL };

	(void)state;
	for (size_t n = 200; n < 1100; n += 9) {
		memset(stem, 'x', n);
		stem[n] = '\0';
		seen[n] = localpart(stem);
		assert_true(1 + strlen(seen[n]) + 1 + strlen("example.org") <= 255);
		assert_int_equal(strspn(seen[n], "abcdefghijklmnopqrstuvwxyz0123456789._=-/+"), strlen(seen[n]));
		for (size_t m = 200; m < n; m += 9)
			assert_string_not_equal(seen[m], seen[n]);
		AUTO_FREE char *again = localpart(stem);
		assert_string_equal(again, seen[n]);
	}
	for (size_t n = 0; n < 1100; n++)
		free(seen[n]);
	/* One byte more or less around the limit changes the form, not the validity. */
	memset(stem, 'x', 300);
	for (size_t n = 230; n < 245; n++) {
		stem[n] = '\0';
		AUTO_FREE char *got = localpart(stem);
		assert_int_equal(strncmp(got, "_xmpp_=_", 8) == 0, 1 + 6 + n + 1 + strlen("example.org") > 255);
		stem[n] = 'x';
	}
}

static void
test_own(void **state)
{
	char bot[] = "@sourdine:example.org";
	struct matrix matrix = { .settings = { .ghosts = "_xmpp_", .domain = "example.org" }, .bot = bot };
	static const struct {
		const char *mxid;
		bool own;
	} cases[] = {
		{ "@sourdine:example.org", true },
		{ "@_xmpp_bob=40x:example.org", true },
		{ "@_xmpp_bob:evil.example.org", false },
		{ "@_xmpp_bob:example.org.evil", false },
		{ "@alice:example.org", false },
		{ "@sourdine2:example.org", false },
		{ "@_xmpp_", false },
		{ "@_xmpp_:example.or", false },
		{ "", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (matrix_is_own(&matrix, cases[i].mxid, strlen(cases[i].mxid)) != cases[i].own)
			fail_msg("%s", cases[i].mxid);
}

static void
test_path(void **state)
{
	AUTO_FREE char *path = matrix_path("/rooms/%s/x?user_id=%s", "!a/b:hs", "@_xmpp_bob=40x:hs\xC3\xA9 ?&");

	(void)state;
	assert_string_equal(path, "/rooms/%21a%2Fb%3Ahs/x?user_id=%40_xmpp_bob%3D40x%3Ahs%C3%A9%20%3F%26");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_injective),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_path),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
