/* SPDX-License-Identifier: Apache-2.0 */
/* What the log writes, read back from stderr: its two formats, escaping, and people's addresses cut short. */
#include "base/log.h"

#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char said[8192];
static int kept, ends[2];

static void
begin(enum log_level level, enum log_format format, bool journal)
{
	struct stat info;
	char stream[64];

	assert_int_equal(pipe(ends), 0);
	kept = dup(STDERR_FILENO);
	assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
	assert_int_equal(fstat(STDERR_FILENO, &info), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)info.st_dev, (unsigned long long)info.st_ino);
	log_open(level, format, journal ? stream : "1:2");
}

static const char *
end(void)
{
	assert_true(dup2(kept, STDERR_FILENO) >= 0);
	close(kept);
	close(ends[1]);
	ssize_t n = read(ends[0], said, sizeof(said) - 1);
	said[n > 0 ? n : 0] = '\0';
	close(ends[0]);
	return said;
}

static void
test_levels(void **state)
{
	(void)state;
	begin(LOG_WARNING, LOG_TEXT, false);
	log_info(LOG_MATRIX, "not this");
	log_warning(LOG_MATRIX, "this");
	assert_non_null(strstr(end(), "Z warning: matrix: this\n"));
	assert_null(strstr(said, "not this"));
}

static void
test_the_journal_gets_priorities_and_no_time(void **state)
{
	(void)state;
	begin(LOG_INFO, LOG_TEXT, true);
	log_error(LOG_STORE, "full");
	log_info(LOG_STORE, "fine");
	assert_string_equal(end(), "<3>error: store: full\n<6>store: fine\n");
}

static void
test_control_characters_are_escaped(void **state)
{
	(void)state;
	begin(LOG_INFO, LOG_TEXT, true);
	log_info(LOG_XMPP, "nick=%s", "a\nb\x1b[31m");
	assert_string_equal(end(), "<6>xmpp: nick=a\\x0ab\\x1b[31m\n");
}

/* The journal shows "[blob data]" in place of a line with one of these, and a terminal obeys U+009B as it does ESC [. */
static void
test_what_hides_a_line_is_escaped(void **state)
{
	(void)state;
	begin(LOG_INFO, LOG_TEXT, true);
	log_info(LOG_XMPP, "nick=%s", "caf\xC3\xA9 \xE2\x82\xAC \xC2\x9B" "31m \xC2\x85 \xFF \xE2\x82");
	assert_string_equal(end(), "<6>xmpp: nick=caf\xC3\xA9 \xE2\x82\xAC \\xc2\\x9b31m \\xc2\\x85 \\xff \\xe2\\x82\n");
}

/* Neither is a character cut in two where the line ends. */
static void
test_a_cut_leaves_whole_characters(void **state)
{
	char text[3000];

	(void)state;
	for (size_t shift = 0; shift < 3; shift++) {
		memset(text, 'x', shift);
		for (size_t i = shift; i + 3 < sizeof(text); i += 3)
			memcpy(text + i, "\xE2\x82\xAC", 4);
		begin(LOG_INFO, LOG_TEXT, true);
		log_info(LOG_MAIN, "%s", text);
		size_t n = strlen(end());
		assert_in_range(n, 900, 1100);
		assert_memory_equal(said + n - 4, "\xE2\x82\xAC\n", 4);
	}
}

/* Whoever reads the log may stop; we do not wait for him, and he learns what he missed. */
static void
test_a_log_that_nobody_reads(void **state)
{
	char rest[65536];

	(void)state;
	begin(LOG_INFO, LOG_TEXT, true);
	alarm(10); /* ends a program that waits */
	for (int i = 0; i < 3000; i++)
		log_info(LOG_MAIN, "line=%d %0100d", i, 0);
	assert_true(read(ends[0], rest, sizeof(rest)) > 0);
	log_info(LOG_MAIN, "heard again");
	alarm(0);
	const char *again = strstr(end(), "<4>warning: main: the log was not read for a while lines_lost=");
	assert_non_null(again);
	assert_non_null(strstr(again, "\n<6>main: heard again\n"));
}

static void
test_people_are_cut_short(void **state)
{
	(void)state;
	begin(LOG_INFO, LOG_TEXT, true);
	log_info(LOG_XMPP, "x who=%s room=%s jid=%s y", "@alice.liddell:example.org", "marketing@rooms.example.org", "bobby.tables@example.org/phone");
	log_info(LOG_XMPP, "x who=%s", "@al:hs");
	log_info(LOG_XMPP, "x from=%s", "no-address");
	assert_string_equal(end(), "<6>xmpp: x who=@al...:example.org room=marketing@rooms.example.org jid=bo...@example.org y\n"
			"<6>xmpp: x who=@al:hs\n<6>xmpp: x from=no-address\n");
	begin(LOG_DEBUG, LOG_TEXT, true);
	log_info(LOG_XMPP, "x who=%s", "@alice.liddell:example.org");
	assert_string_equal(end(), "<6>xmpp: x who=@alice.liddell:example.org\n");
}

static void
test_json(void **state)
{
	(void)state;
	begin(LOG_INFO, LOG_JSON, false);
	log_warning(LOG_RELAY, "said \"%s\" who=%s \xff", "a\\b\t", "@alice.liddell:example.org");
	json_error_t error;
	json_t *line = json_loads(end(), 0, &error);
	assert_non_null(line);
	assert_string_equal(json_string_value(json_object_get(line, "level")), "warning");
	assert_string_equal(json_string_value(json_object_get(line, "area")), "relay");
	assert_string_equal(json_string_value(json_object_get(line, "message")), "said \"a\\b\\x09\" who=@al...:example.org \\xff");
	json_decref(line);
}

static void
test_long_lines_are_cut(void **state)
{
	char text[4000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	begin(LOG_INFO, LOG_TEXT, false);
	log_info(LOG_MAIN, "%s", text);
	assert_true(strlen(end()) < 1100);
	assert_int_equal(said[strlen(said) - 1], '\n');
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_the_journal_gets_priorities_and_no_time),
		cmocka_unit_test(test_control_characters_are_escaped),
		cmocka_unit_test(test_what_hides_a_line_is_escaped),
		cmocka_unit_test(test_a_cut_leaves_whole_characters),
		cmocka_unit_test(test_a_log_that_nobody_reads),
		cmocka_unit_test(test_people_are_cut_short),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_long_lines_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
