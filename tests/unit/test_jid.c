/* SPDX-License-Identifier: Apache-2.0 */
/* JIDs: the escape is injective and survives nodeprep; addresses as people type them. */
#include "xmpp/jid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <stringprep.h>

static const struct {
	const char *text, *local;
} escaped[] = {
	{ "alice:example.org", "alice\\3aexample.org" },
	{ "bob@xmpp.example", "bob\\40xmpp.example" },
	{ "Ciblia:hs", "=43iblia\\3ahs" },
	{ "ciblia:hs", "ciblia\\3ahs" },
	{ "a=41:hs", "a=3d41\\3ahs" },
	{ "a\\3ab", "a\\5c3ab" },
	{ "a b", "a\\20b" },
	{ " a ", "=20a=20" },
	{ " ", "=20" },
	{ "\"&'/<>", "\\22\\26\\27\\2f\\3c\\3e" },
	{ "é", "=c3=a9" },
	{ "\x01\x7F", "=01=7f" },
	{ "_~+.-", "_~+.-" },
};

static void
test_escape(void **state)
{
	char out[JID_PART_MAX + 5], back[JID_PART_MAX + 5];

	(void)state;
	for (size_t i = 0; i < sizeof(escaped) / sizeof(*escaped); i++) {
		assert_true(jid_escape(escaped[i].text, out, sizeof(out)));
		assert_string_equal(out, escaped[i].local);
		assert_true(jid_unescape(out, back, sizeof(back)));
		assert_string_equal(back, escaped[i].text);
	}
	assert_false(jid_escape("", out, sizeof(out)));
	static const char *const foreign[] = { "A", "a:b", "=4", "=zz", "=00", "=61", "\\61", "=3a", "\\20", "é", "" };
	for (size_t i = 0; i < sizeof(foreign) / sizeof(*foreign); i++)
		assert_false(jid_unescape(foreign[i], back, sizeof(back)));
}

/* All texts of up to three bytes from those that matter: nodeprep leaves the localpart alone, and it can be read back. */
static void
test_escape_all(void **state)
{
	static const char bytes[] = "aAzZ04=\\:@ /'\"&<>.~\x01\x1F\x7F\x80\xC3\xA9";
	size_t n = sizeof(bytes) - 1, tried = 0;

	(void)state;
	for (size_t i = 0; i < n * (n + 1) * (n + 1); i++) {
		char text[4] = { bytes[i % n], i / n % (n + 1) == n ? '\0' : bytes[i / n % (n + 1)], '\0', '\0' };
		text[2] = text[1] && i / n / (n + 1) < n ? bytes[i / n / (n + 1)] : '\0';
		char out[64], prepared[64], back[64];
		assert_true(jid_escape(text, out, sizeof(out)));
		memcpy(prepared, out, strlen(out) + 1);
		assert_int_equal(stringprep(prepared, sizeof(prepared), STRINGPREP_NO_UNASSIGNED, stringprep_xmpp_nodeprep), STRINGPREP_OK);
		assert_string_equal(prepared, out);
		assert_true(jid_unescape(out, back, sizeof(back)));
		assert_string_equal(back, text);
		tried++;
	}
	print_message("# %zu texts\n", tried);
}

static void
test_length(void **state)
{
	char text[JID_PART_MAX + 2], out[JID_PART_MAX + 5];

	(void)state;
	memset(text, 'a', sizeof(text));
	text[JID_PART_MAX] = '\0';
	assert_true(jid_escape(text, out, sizeof(out)));
	text[JID_PART_MAX] = 'a';
	text[JID_PART_MAX + 1] = '\0';
	assert_false(jid_escape(text, out, sizeof(out)));
	text[341] = '\0';
	memset(text, ':', 341);
	assert_true(jid_escape(text, out, sizeof(out)));
	text[341] = ':';
	text[342] = '\0';
	assert_false(jid_escape(text, out, sizeof(out)));
	assert_false(jid_escape("aaaa", out, 4));
}

static void
test_ghost(void **state)
{
	(void)state;
	char *jid = jid_ghost("alice:example.org", "sourdine.example.org");
	assert_string_equal(jid, "alice\\3aexample.org@sourdine.example.org/sourdine");
	free(jid);
	assert_null(jid_ghost("", "sourdine.example.org"));
}

static void
test_parts(void **state)
{
	(void)state;
	char *bare = jid_bare("room@rooms.x/Nick/with@slash");
	assert_string_equal(bare, "room@rooms.x");
	free(bare);
	assert_string_equal(jid_resource("room@rooms.x/Nick/with@slash"), "Nick/with@slash");
	assert_string_equal(jid_resource("room@rooms.x"), "");
	assert_true(jid_same_bare("a@b/c", "a@b/d"));
	assert_true(jid_same_bare("a@b", "a@b/d"));
	assert_false(jid_same_bare("a@b", "a@bc"));
	assert_true(jid_in_domain("bob@x.org/r@y.org", "x.org"));
	assert_true(jid_in_domain("X.org", "x.org"));
	assert_false(jid_in_domain("bob@y.x.org", "x.org"));
	assert_false(jid_in_domain("bob@evil/x@x.org", "x.org"));
	assert_false(jid_in_domain("x.org@y.org", "x.org"));
}

static const struct {
	const char *typed, *jid;
} typed[] = {
	{ "Marketing@Rooms.Example.org", "marketing@rooms.example.org" },
	{ "rooms.example.org", "rooms.example.org" },
	{ "Équipe@x.org", "équipe@x.org" },
	{ "a@b/c", NULL },
	{ "a@", NULL },
	{ "@b", NULL },
	{ "", NULL },
	{ "a b@c", NULL },
	{ "a@b@c", NULL },
	{ "a:b@c", NULL },
	{ "a@b:c", NULL },
	{ "a@\x01", NULL },
	{ "\xFF@b", NULL },
};

static void
test_prepare(void **state)
{
	char out[JID_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(typed) / sizeof(*typed); i++) {
		bool good = jid_prepare(typed[i].typed, out, sizeof(out));
		assert_int_equal(good, typed[i].jid != NULL);
		if (good)
			assert_string_equal(out, typed[i].jid);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_escape),
		cmocka_unit_test(test_escape_all),
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_ghost),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_prepare),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
