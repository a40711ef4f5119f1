/* SPDX-License-Identifier: Apache-2.0 */
/* rules_edit_line(): what changes, what stays byte for byte, and where complaints point. */
#include "rules/rules.h"
#include "rules_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void
check_edit(const char *text, const char *keyword, const char *line, const char *expected)
{
	/* its own block without a NUL, so that a sanitizer sees one byte too far */
	size_t size = strlen(text);
	char *copy = malloc(size ? size : 1), *out;
	struct complaint why;
	int r;

	assert_non_null(copy);
	memcpy(copy, text, size);
	r = rules_edit_line(copy, size, "m", keyword, line, &out, &why);
	if (r != 0)
		fail_msg("%d:%d: %s\n%s", why.line, why.column, why.text, text);
	assert_string_equal(out, expected);
	free(out);
	free(copy);
}

static void
test_replacing(void **state)
{
	(void)state;
	check_edit("version 1\ngroup \"m\" {\n\thours mon-fri 09:00-18:00   # as ever\n\tlang fr\n}\n", "hours",
			"hours mon-fri 9:00-17:00", "version 1\ngroup \"m\" {\n\thours mon-fri 9:00-17:00   # as ever\n\tlang fr\n}\n");
	/* several lines become one; comments stay */
	check_edit("group \"m\" {\n\thours mon 9h-10h\n\t# why\n\thours tue 9h-10h\n\thours wed 9h-10h # late\n\tlang fr\n}\n",
			"hours", "hours daily 9h-10h",
			"group \"m\" {\n\thours daily 9h-10h\n\t# why\n\t # late\n\tlang fr\n}\n");
	/* on one line */
	check_edit("group \"m\" { hours mon 9h-10h; lang fr; hours tue 9h-10h; }", "hours", "hours sat 9h-10h",
			"group \"m\" { hours sat 9h-10h; lang fr;  }");
	check_edit("group \"m\" {hours mon 9h-10h}", "hours", "  hours sat 9h-10h ; ", "group \"m\" {hours sat 9h-10h}");
	/* French spelling in the text, English in the line, and the other way round */
	check_edit("groupe \"m\" {\n  horaires lun 9h-10h\n}\n", "hours", "hours mon 9h-11h",
			"groupe \"m\" {\n  hours mon 9h-11h\n}\n");
	check_edit("group \"m\" {\n  hours mon 9h-10h\n}\n", "horaires", "horaires lun 9h-11h # note",
			"group \"m\" {\n  horaires lun 9h-11h\n}\n");
	/* braces of its own */
	check_edit("group \"m\" {\n  topics {\n    a: \"x\"\n  }\n  route 1 r when topic a then here\n}\n", "topics",
			"topics { a: \"y\"; b: tag c }",
			"group \"m\" {\n  topics { a: \"y\"; b: tag c }\n  route 1 r when topic a then here\n}\n");
	/* what only looks like the keyword */
	check_edit("# hours\nsite {\n hours mon 1h-2h\n}\ngroup \"hours\" {\n closed 2026-01-01 \"hours\"\n"
			" time 1 hours when closed then hold until opening\n hours mon 9h-10h\n}\nmember \"hours\" {}\n",
			"hours", "hours tue 9h-10h",
			"# hours\nsite {\n hours mon 1h-2h\n}\ngroup \"hours\" {\n closed 2026-01-01 \"hours\"\n"
			" time 1 hours when closed then hold until opening\n hours tue 9h-10h\n}\nmember \"hours\" {}\n");
	/* a statement over two lines */
	check_edit("group \"m\" {\r\n digest at 09:00\r\n time 1 a\r\n  when open\r\n  then deliver\r\n}\r\n", "digest",
			"digest at 10:00", "group \"m\" {\r\n digest at 10:00\r\n time 1 a\r\n  when open\r\n  then deliver\r\n}\r\n");
}

static void
test_adding(void **state)
{
	(void)state;
	check_edit("group \"m\" {\n    lang fr # x\n}\n", "hours", "hours mon 9h-10h",
			"group \"m\" {\n    hours mon 9h-10h\n    lang fr # x\n}\n");
	check_edit("group \"m\" { # begins\n}\n", "hours", "hours mon 9h-10h", "group \"m\" { # begins\n\thours mon 9h-10h\n}\n");
	check_edit("group \"m\" {}", "hours", "hours mon 9h-10h", "group \"m\" { hours mon 9h-10h;}");
	check_edit("group \"m\" { lang fr }\n", "hours", "hours mon 9h-10h", "group \"m\" { hours mon 9h-10h; lang fr }\n");
	check_edit("group \"m\" {\n\n\n}", "hours", "hours mon 9h-10h", "group \"m\" {\n\thours mon 9h-10h\n\n\n}");
	check_edit("", "hours", "hours mon 9h-10h", "group \"m\" {\n\thours mon 9h-10h\n}\n");
	check_edit("version 1\nsite { tz UTC }", "tz", "tz Europe/Paris",
			"version 1\nsite { tz UTC }\n\ngroup \"m\" {\n\ttz Europe/Paris\n}\n");
	check_edit("# only this\n", "digest", "digest at 9h", "# only this\n\ngroup \"m\" {\n\tdigest at 9h\n}\n");
}

static void
check_refused(const char *text, const char *keyword, const char *line, int at_line, int at_column, const char *says)
{
	struct complaint why;
	char *out = (char *)1;

	assert_int_equal(rules_edit_line(text, strlen(text), "m", keyword, line, &out, &why), RULES_E_SYNTAX);
	assert_null(out);
	if (why.line != at_line || why.column != at_column || !strstr(why.text, says))
		fail_msg("%s\n%d:%d: %s\nexpected %d:%d ...%s...", line, why.line, why.column, why.text, at_line, at_column, says);
}

static void
test_refusing(void **state)
{
	static const char text[] = "group \"m\" {\n topics { a: \"x\" }\n route 1 r when topic a then here\n}\n";

	(void)state;
	check_refused(text, "hours", "hours mon-fri 9:00-25:00", 1, 20, "time of day");
	check_refused(text, "hours", "hours", 1, 6, "days such as");
	check_refused(text, "hours", "lang fr", 1, 1, "does not begin");
	check_refused(text, "hours", "", 1, 1, "does not begin");
	check_refused(text, "nonsense", "nonsense 1", 1, 1, "no such setting");
	check_refused(text, "time", "time 1 a when open then deliver", 1, 1, "no such setting");
	check_refused(text, "hold", "hold max 2d", 1, 1, "no such setting");
	check_refused(text, "urgent", "urgent by \"x\"", 1, 1, "no such setting");
	/* one line cannot become more */
	check_refused(text, "hours", "hours mon 9h-10h } site { tz UTC", 1, 18, "end of the line");
	check_refused(text, "hours", "hours mon 9h-10h; lang fr", 1, 19, "end of the line");
	check_refused(text, "hours", "hours mon 9h-10h\nlang fr", 2, 1, "end of the line");
	check_refused(text, "lang", "lang fr\n\"", 2, 1, "not closed");
	/* not without the rest */
	check_refused(text, "topics", "topics { b: \"x\" }", 1, 1, "no topic \"a\"");
	check_refused("group \"m\" {", "hours", "hours mon 9h-10h", 1, 1, "expected");
	check_refused("nonsense", "hours", "hours mon 9h-10h", 1, 1, "expected version");
}

/* What an edit gives can be edited again, and an edit with what is there changes nothing. */
static void
test_again(void **state)
{
	static const char text[] = "version 1\ngroup \"m\" {\n\thours mon 9h-10h # a\n\tlang fr\n}\nmember \"@a:b\" { mode live }\n";
	struct complaint why;
	char *once, *twice;

	(void)state;
	assert_int_equal(rules_edit_line(text, strlen(text), "m", "hours", "hours mon 9h-10h", &once, &why), 0);
	assert_string_equal(once, text);
	free(once);
	assert_int_equal(rules_edit_line(text, strlen(text), "m", "hours", "hours tue 9h-10h", &once, &why), 0);
	assert_int_equal(rules_edit_line(once, strlen(once), "m", "hours", "hours mon 9h-10h", &twice, &why), 0);
	assert_string_equal(twice, text);
	free(once);
	free(twice);
}

/* Group names with quotes in them. */
static void
test_names(void **state)
{
	struct complaint why;
	struct rules *rules;
	char *out;

	(void)state;
	assert_int_equal(rules_edit_line("", 0, "a\"b\\c", "lang", "lang fr", &out, &why), 0);
	assert_int_equal(rules_parse(&rules, out, strlen(out), &why), 0);
	assert_string_equal(rules_group(rules), "a\"b\\c");
	rules_free(rules);
	free(out);
	assert_int_equal(rules_edit_line("", 0, "a\nb", "lang", "lang fr", &out, &why), RULES_E_SYNTAX);
}

/* A few words of French; what is not among them stays as it is. */
static const char *
in_french(void *context, const char *msgid)
{
	static const char *const table[][2] = {
		{ "expected %s, not %s", "il faut ici %s, et non %s" }, { "hours such as 09:00-18:00", "des heures" },
		{ "the end of the line", "la fin de la ligne" }, { "more than %d windows of hours", "plus de %d plages" },
		{ "%s does not end with a time of day", "%s ne se termine pas par une heure" }, { "a control character", "un caract\xC3\xA8re" },
		{ "\"9:00-x\"", "never looked up" },
	};

	(void)context;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (strcmp(table[i][0], msgid) == 0)
			return table[i][1];
	return msgid;
}

static void
test_complaints_in_words(void **state)
{
	static const struct {
		const char *line, *french;
	} cases[] = {
		{ "hours mon", "il faut ici des heures, et non la fin de la ligne" },
		{ "hours mon x", "il faut ici des heures, et non \"x\"" },
		{ "hours mon 9:00-x", "\"9:00-x\" ne se termine pas par une heure" },
		{ "hours mon 1h-2h 2h-3h 3h-4h 4h-5h 5h-6h 6h-7h 7h-8h 8h-9h 9h-10h", "plus de 8 plages" },
		{ "hours mon 9h-10h \x01", "un caract\xC3\xA8re" },
		{ "hours mon 9h-10h }", "expected the end of the line" },
		{ "lang fr", "the line does not begin with its setting" },
	};
	const struct rules_speech french = { .words = in_french, .french = true }, english = { .words = NULL };
	struct complaint why;
	char *out, words[200];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(rules_edit_line("", 0, "g", "hours", cases[i].line, &out, &why), RULES_E_SYNTAX);
		assert_int_equal(rules_say_complaint(&why, &french, words, sizeof(words)), strlen(cases[i].french));
		assert_string_equal(words, cases[i].french);
		rules_say_complaint(&why, &english, words, sizeof(words));
		assert_string_equal(words, why.text);
	}
	/* Too many bytes, said with a size. */
	static const char long_name[] = "group \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\" {\n}\n";
	struct rules *rules;
	assert_int_equal(rules_parse(&rules, long_name, strlen(long_name), &why), RULES_E_SYNTAX);
	rules_say_complaint(&why, &english, words, sizeof(words));
	assert_string_equal(words, why.text);
	assert_string_equal(words, "this is longer than 63 bytes");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replacing),
		cmocka_unit_test(test_adding),
		cmocka_unit_test(test_refusing),
		cmocka_unit_test(test_complaints_in_words),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
