/* SPDX-License-Identifier: Apache-2.0 */
/* The edges of names: what is a byte too long, what preparing makes longer or empty, what has no direction. */
#include "base/look.h"
#include "base/seal.h"
#include "matrix/ghost.h"
#include "xmpp/jid.h"
#include "xmpp/nick.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *
repeat(const char *what, size_t count)
{
	struct str out;

	str_init(&out, 1 << 20);
	while (count--)
		str_add(&out, what);
	return str_take(&out);
}

/* ---- JIDs ---- */

static bool
prepares(const char *what, size_t count, const char *rest)
{
	char out[JID_SIZE];
	AUTO_FREE char *repeated = repeat(what, count), *typed = xasprintf("%s%s", repeated, rest);

	return jid_prepare(typed, out, sizeof(out));
}

static void
test_jid_lengths(void **state)
{
	char small[8];

	(void)state;
	assert_true(prepares("a", 1023, "@b"));
	assert_false(prepares("a", 1024, "@b"));
	assert_false(prepares("a", 2047, ""));
	assert_false(prepares("a", 1024, ""));
	/* U+3300 is four characters when it is normalised. */
	assert_true(prepares("\xE3\x8C\x80", 80, "@b"));
	assert_false(prepares("\xE3\x8C\x80", 300, "@b"));
	/* A soft hyphen is nothing at all. */
	assert_false(prepares("\xC2\xAD", 1, "@b"));
	assert_false(prepares("a@\xC2\xAD", 1, ""));
	assert_false(prepares("\xFF", 1, "@b"));
	assert_true(jid_prepare("a@b.cdef", (char[9]){ 0 }, 9));
	assert_false(jid_prepare("a@b.cdef", small, sizeof(small)));
	assert_false(jid_unescape("abcdefgh", small, sizeof(small)));
	assert_true(jid_unescape("abcdefg", small, sizeof(small)));
	assert_false(jid_escape("abcdefgh", small, sizeof(small)));
}

/* What normalising makes of a wide slash would be a resource. */
static void
test_jid_hidden(void **state)
{
	(void)state;
	assert_false(prepares("a@b\xEF\xBC\x8F" "c", 1, ""));
	assert_false(prepares("a@b\xEF\xBC\xA0" "c", 1, ""));
	assert_false(prepares("b\xC2\xA0", 1, ""));
	assert_false(prepares("a\xEF\xBC\x8F", 1, "@b"));
	assert_true(prepares("a@b\xE3\x80\x82" "c", 1, ""));
}

static void
test_jid_same(void **state)
{
	(void)state;
	assert_true(jid_same_bare("a@b/c", "a@b"));
	assert_false(jid_same_bare("a@b/c", "a@c/b"));
	assert_false(jid_same_bare("a@b", "a@bc"));
	assert_true(jid_in_domain("x@C.Example/y@z", "c.example"));
	assert_true(jid_in_domain("c.example/x@y", "c.example"));
	assert_false(jid_in_domain("x@sub.c.example", "c.example"));
}

/* ---- nicks ---- */

static void
test_nick_directions(void **state)
{
	static const struct {
		const char *name, *nick;
	} cases[] = {
		{ "1 - 2", "1 - 2" },                             /* of no direction */
		{ "\xD7\x90\xD7\x91 abc", "\xD7\x90\xD7\x91" },   /* the first letter decides */
		{ "abc \xD7\x90", "abc" },
		{ "\xD7\x90 1", "\xD7\x90" },                     /* a right-to-left name ends as it began */
		{ "1 \xD7\x90", "\xD7\x90" },
		{ "\xD7\x90 1 \xD7\x91", "\xD7\x90 1 \xD7\x91" },
		{ "\xC2\xAA \xD7\x90", "\xC2\xAA" },
		{ "\xD9\xA1 \xD7\x90", "\xD7\x90" },              /* an Arabic digit has no direction of its own */
	};
	char nick[NICK_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		nick_prepare(cases[i].name, "alice:x", nick);
		assert_string_equal(nick, cases[i].nick);
		assert_true(nick_allowed(nick));
	}
}

static void
test_nick_lengths(void **state)
{
	char nick[NICK_SIZE], other[NICK_SIZE];
	AUTO_FREE char *stem = repeat("z", 400), *near = repeat("a", 252), *bytes = repeat("\xFF", 300);

	(void)state;
	/* A name of nothing, and a stem that is longer than any nick. */
	assert_false(nick_prepare("\xE2\x80\x8B", stem, nick));
	assert_int_equal(strspn(nick, "z"), 48);
	/* No variant fits behind it: one of the stem's own. */
	nick_variant(near, "bob:x", 1, nick);
	assert_string_equal(nick, "bob [m1]");
	nick_variant(near, "bob:x", 2, other);
	assert_string_equal(other, "bob [m2]");
	assert_true(look_alike(bytes, bytes));
	assert_false(look_alike(bytes, near));
	assert_false(nick_allowed(stem + 400));
}

/* Somebody whose name is the mark of another variant. */
static void
test_nick_marked(void **state)
{
	static const char *const stems[] = { "m:x", "m2:x", "m3:x", "m33:x" };
	char nicks[6][NICK_SIZE];

	(void)state;
	for (size_t i = 0; i < 4; i++)
		for (unsigned n = 1; n <= 6; n++) {
			nick_variant("Bob", stems[i], n, nicks[n - 1]);
			for (unsigned m = 1; m < n; m++)
				assert_string_not_equal(nicks[m - 1], nicks[n - 1]);
		}
	nick_variant("Bob", "mary:x", 2, nicks[0]);
	assert_string_equal(nicks[0], "Bob [mary]");
}

/* ---- MXIDs, and rows' names ---- */

static struct seal *
new_seal(void)
{
	char path[] = "/tmp/test_names.XXXXXX";
	struct seal *seal;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	unlink(path);
	assert_int_equal(seal_open(&seal, path, true), 0);
	unlink(path);
	return seal;
}

static void
test_localpart_lengths(void **state)
{
	struct seal *seal = new_seal();
	static const char domain[] = "example.org";
	/* "@" "_xmpp_" stem ":" domain, 255 in all */
	size_t most = GHOST_MXID_MAX - 2 - 6 - strlen(domain);

	(void)state;
	for (size_t n = most; n <= most + 1; n++) {
		AUTO_FREE char *stem = repeat("a", n), *local = ghost_localpart(seal, "_xmpp_", stem, domain);
		assert_int_equal(strncmp(local, "_xmpp_=_", 8) == 0, n > most);
	}
	AUTO_FREE char *huge = repeat("a", 70000), *huger = repeat("a", 70001);
	AUTO_FREE char *one = ghost_localpart(seal, "_xmpp_", huge, domain), *two = ghost_localpart(seal, "_xmpp_", huger, domain);
	assert_string_not_equal(one, two);
	seal_close(seal);
}

static void
test_row_names(void **state)
{
	struct seal *seal = new_seal(), *other = new_seal();
	char one[SEAL_NAME_SIZE], two[SEAL_NAME_SIZE], alias[17];

	(void)state;
	seal_name(seal, (const char *const[]){ "ab", "c", NULL }, one);
	seal_name(seal, (const char *const[]){ "a", "bc", NULL }, two);
	assert_string_not_equal(one, two);
	seal_name(seal, (const char *const[]){ "ab", "c", NULL }, two);
	assert_string_equal(one, two);
	seal_name(other, (const char *const[]){ "ab", "c", NULL }, two);
	assert_string_not_equal(one, two);
	seal_name(seal, (const char *const[]){ "ab", "c", "", NULL }, two);
	assert_string_not_equal(one, two);
	seal_alias(seal, (const char *const[]){ "ab", "c", NULL }, alias);
	assert_int_not_equal(strncmp(one, alias, 16), 0);
	seal_close(seal);
	seal_close(other);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_jid_lengths),
		cmocka_unit_test(test_jid_hidden),
		cmocka_unit_test(test_jid_same),
		cmocka_unit_test(test_nick_directions),
		cmocka_unit_test(test_nick_lengths),
		cmocka_unit_test(test_nick_marked),
		cmocka_unit_test(test_localpart_lengths),
		cmocka_unit_test(test_row_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
