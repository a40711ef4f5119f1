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
	assert_string_equal(json_string_value(json_object_get(line, "message")), "said \"a\\b\\x09\" who=@al...:example.org \xEF\xBF\xBD");
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
		cmocka_unit_test(test_people_are_cut_short),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_long_lines_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
