/* SPDX-License-Identifier: Apache-2.0 */
/* Both languages in turn within one process, from the catalogue of this build. */
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MSGID "Delivered at once."
#define FRENCH "Livré aussitôt."

static void
test_english(void **state)
{
	(void)state;
	assert_string_equal(text_in(NULL, MSGID), MSGID);
	assert_string_equal(text_in("", MSGID), MSGID);
	assert_string_equal(text_in("en", MSGID), MSGID);
}

static void
test_both_in_turn(void **state)
{
	(void)state;
	const char *before = text_in("fr", MSGID);

	for (int i = 0; i < 1000; i++) {
		assert_string_equal(text_in("fr", MSGID), FRENCH);
		assert_string_equal(text_in("en", MSGID), MSGID);
		assert_string_equal(text_in("de", MSGID), MSGID);
	}
	assert_string_equal(before, FRENCH); /* lent for good */
}

static void
test_unknown(void **state)
{
	(void)state;
	assert_string_equal(text_in("fr", "no such text"), "no such text");
	assert_string_equal(text_in("fr", ""), ""); /* not the catalogue's header */
	assert_string_equal(text_in("../../fr", MSGID), MSGID);
}

static void
test_knows(void **state)
{
	(void)state;
	assert_true(text_knows("fr"));
	assert_true(text_knows("en"));
	assert_false(text_knows("de"));
}

/* The log is English: what the system says of an error does not follow the people's language. */
static void
test_system_stays_english(void **state)
{
	(void)state;
	char before[128];

	snprintf(before, sizeof(before), "%s", strerror(ENOENT));
	assert_string_equal(text_in("fr", MSGID), FRENCH);
	assert_string_equal(strerror(ENOENT), before);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_english), cmocka_unit_test(test_both_in_turn), cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_knows), cmocka_unit_test(test_system_stays_english),
	};
	char directory[4096];
	const char *top = getenv("top_builddir");

	snprintf(directory, sizeof(directory), "%s/packaging/po", top ? top : ".");
	setenv("SOURDINE_LOCALEDIR", directory, 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
