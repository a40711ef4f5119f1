/* SPDX-License-Identifier: Apache-2.0 */
/* The doctor's judgements, with made-up facts; what servers say to it is in tests/e2e/test_check.py. */
#include "cli/check.h"

#include "base/disk.h"
#include "matrix/crypto/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void
test_clock(void **state)
{
	(void)state;
	const int64_t built = INT64_C(1790000000000);

	assert_true(check_clock_is_possible(built, built));
	assert_true(check_clock_is_possible(built + INT64_C(86400000), built));
	assert_false(check_clock_is_possible(built - 1, built));
	assert_false(check_clock_is_possible(0, built));
	assert_false(check_clock_is_possible(built * 2, built));
}

static void
test_sqlite(void **state)
{
	(void)state;
	static const char *const faulty[] = { "3.7.0", "3.40.1", "3.44.5", "3.45.0", "3.50.6", "3.51.2" };
	static const char *const sound[] = { "3.6.23", "3.44.6", "3.44.7", "3.50.7", "3.51.3", "3.53.0", "4.0.0", "?" };

	for (size_t i = 0; i < sizeof(faulty) / sizeof(faulty[0]); i++)
		assert_true(check_sqlite_is_faulty(faulty[i]));
	for (size_t i = 0; i < sizeof(sound) / sizeof(sound[0]); i++)
		assert_false(check_sqlite_is_faulty(sound[i]));
}

static void
test_remote(void **state)
{
	(void)state;
	static const char *const here[] = { "localhost", "127.0.0.1", "127.8.9.10", "::1" };
	static const char *const away[] = { "10.0.0.1", "128.0.0.1", "fe80::1", "xmpp.example.org" };

	for (size_t i = 0; i < 4; i++) {
		assert_false(check_is_remote(here[i]));
		assert_true(check_is_remote(away[i]));
	}
}

static void
test_disk(void **state)
{
	(void)state;
	const uint64_t mib = 1 << 20;

	assert_true(disk_is_low(255 * mib, 4096 * mib));
	assert_false(disk_is_low(256 * mib, 4096 * mib));
	assert_true(disk_is_low(4999 * mib, 100000 * mib));
	assert_false(disk_is_low(5000 * mib, 100000 * mib));
	assert_false(disk_is_low(30 * mib, 64 * mib)); /* a small disk: a quarter */
	assert_true(disk_is_low(15 * mib, 64 * mib));
}

static void
write_file(const char *directory, const char *name, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void
test_lists(void **state)
{
	(void)state;
	char directory[] = "/tmp/sourdine-check-XXXXXX", folder[64], command[128];

	assert_non_null(mkdtemp(directory));
	assert_int_equal(check_count_lists(directory), 0);
	snprintf(folder, sizeof(folder), "%s/conf.d", directory);
	assert_int_equal(mkdir(folder, 0700), 0);
	write_file(directory, "homeserver.yaml", "server_name: x\napp_service_config_files:\n  - a\n");
	assert_int_equal(check_count_lists(directory), 1);
	write_file(directory, "conf.d/other.yaml", "# app_service_config_files:\nx: 1\n");
	write_file(directory, "conf.d/backup.yaml~", "app_service_config_files: [b]\n");
	assert_int_equal(check_count_lists(directory), 1);
	write_file(directory, "conf.d/bridge.yaml", "app_service_config_files: [b]\n");
	assert_int_equal(check_count_lists(directory), 2);
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	assert_int_equal(system(command), 0);
}

/* Every string that was seen, and what it comes to. */
static void
test_words(void **state)
{
	(void)state;
	static const struct {
		enum step step;
		const char *seen, *said, *fix;
	} rows[] = {
		{ STEP_TOKEN, "{\"errcode\":\"M_UNKNOWN_TOKEN\",\"error\":\"Invalid access token passed.\"}", "does not know our as_token", "restart" },
		{ STEP_MASK, "{\"errcode\":\"M_EXCLUSIVE\",\"error\":\"Invalid user localpart for this application service.\"}",
			"does not cover this name", "sourdine registration" },
		{ STEP_MASK, "{\"errcode\":\"M_FORBIDDEN\",\"error\":\"Application service cannot masquerade as this user (@x:other)\"}",
			"does not cover this name", "homeserver.domain must be its server_name" },
		{ STEP_MASK, "{\"errcode\":\"M_FORBIDDEN\",\"error\":\"Application service has not registered this user\"}",
			"before it was registered", "report" },
		{ STEP_PING, "{\"errcode\":\"M_CONNECTION_FAILED\",\"error\":\"ConnectionRefusedError: 111\"}", "cannot reach us", "port" },
		{ STEP_PING, "{\"errcode\":\"M_BAD_STATUS\",\"status\":403}", "another hs_token", "restart" },
		{ STEP_PING, "{\"errcode\":\"M_BAD_STATUS\",\"status\":404}", "somebody else answers", "appservice.address" },
		{ STEP_PING, "{\"errcode\":\"M_FORBIDDEN\",\"error\":\"Mismatching application service ID in path\"}", "another id", "restart" },
		{ STEP_PING, "{\"errcode\":\"M_CONNECTION_FAILED\",\"error\":\"PartialDownloadError: 200 OK\"}", "had no length", "report" },
		{ STEP_PING, "{\"errcode\":\"M_URL_NOT_SET\"}", "has no url", "sourdine registration" },
		{ STEP_XMPP, "the XMPP server knows no component x", NULL, "Component block" },
		{ STEP_XMPP, "the XMPP server refuses our secret for the component x", NULL, "component_secret" },
		{ STEP_XMPP, "refuses our secret for the component x, or knows no such component (it does not say which)", NULL, "ejabberd_service" },
		{ STEP_XMPP, "what answers is the XMPP server's port for clients, where", NULL, "5347" },
		{ STEP_XMPP, "Connection refused", "nobody listens", "Component" },
		{ STEP_XMPP, "Name or service not known", "no such host", "xmpp.host" },
		{ STEP_XMPP, "Temporary failure in name resolution", "no name server answers", "xmpp.host" },
		{ STEP_ROOM, "the room refuses the bot: remote-server-not-found, Server-to-server connection failed: DNS", "finds no such service", "domain" },
		{ STEP_ROOM, "the room refuses the bot: not-allowed, Communication with remote domains is not enabled", "no such service", "domain" },
		{ STEP_ROOM, "the room refuses the bot: not-allowed", "does not let the bot make one", "make rooms" },
		{ STEP_ROOM, "the room refuses the bot: registration-required", "members only", "make the bot a member" },
		{ STEP_ROOM, "the running daemon is not in it: it does not let us in: members only: make the bot a member of the room", NULL, "member" },
		{ STEP_ROOM, "the room refuses the bot: conflict, nick", "nick", "xmpp.nick" },
		{ STEP_ROOM, "the room did not answer", NULL, "s2s" },
		{ STEP_XMPP, "cannot read the stream: not well-formed", "speaks no XMPP", "5347" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct known *known = check_find_known(rows[i].step, rows[i].seen);
		if (!known)
			fail_msg("nothing for: %s", rows[i].seen);
		if (rows[i].said ? !known->sentence || !strstr(known->sentence, rows[i].said) : known->sentence != NULL)
			fail_msg("%s: %s", rows[i].seen, known->sentence ? known->sentence : "(itself)");
		if (!strstr(known->fix, rows[i].fix))
			fail_msg("%s: %s", rows[i].seen, known->fix);
	}
	assert_null(check_find_known(STEP_TOKEN, "something else"));
}

static void
test_clocks_of_two(void **state)
{
	(void)state;
	const int64_t here = INT64_C(1790000000999);

	assert_true(check_clocks_agree(here, here - here % 1000));
	assert_true(check_clocks_agree(here, here + 60000));
	assert_true(check_clocks_agree(here, here - 60999));
	assert_false(check_clocks_agree(here, here + 62000));
	assert_false(check_clocks_agree(here, here - 62000));
	assert_false(check_clocks_agree(here, 0));
}

/* Each fault has a sentence and a fix of its own kind; only what is fine is fine. */
static void
test_devices(void **state)
{
	(void)state;
	static const char *const words[REPORT_FAULTS] = {
		[REPORT_FINE] = "the same keys", [REPORT_ABSENT] = "does not know it", [REPORT_OTHER_KEYS] = "other keys under its name",
		[REPORT_BAD_KEYS] = "keys of it that clients refuse", [REPORT_NO_IDENTITY] = "has lost its owner's",
		[REPORT_OTHER_IDENTITY] = "other cross-signing keys", [REPORT_BROKEN_IDENTITY] = "cross-signing keys of its owner that clients refuse",
		[REPORT_UNSIGNED] = "has not signed it",
	};

	for (int i = 0; i < REPORT_FAULTS; i++) {
		struct check_verdict verdict = check_judge_device((enum report_fault)i);
		assert_int_equal(verdict.level, i == REPORT_FINE ? LEVEL_OK : LEVEL_FAIL);
		assert_non_null(strstr(verdict.sentence, words[i]));
		assert_int_equal(verdict.fix == NULL, i == REPORT_FINE);
	}
}

static void
test_keys_left(void **state)
{
	(void)state;
	static const struct {
		int64_t one_time;
		int fallback;
		bool running;
		enum level level;
		const char *fix;
	} rows[] = {
		{ 50, 1, true, LEVEL_OK, NULL }, { 25, 0, false, LEVEL_OK, NULL }, { 24, 1, true, LEVEL_NOTE, NULL }, { 0, 1, false, LEVEL_NOTE, NULL },
		{ 0, 0, true, LEVEL_WARN, "within half a minute" }, { 0, 0, false, LEVEL_WARN, "start the daemon" },
		{ 0, -1, false, LEVEL_WARN, "start the daemon" }, { -1, 1, true, LEVEL_WARN, "log" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct check_verdict verdict = check_judge_keys(rows[i].one_time, rows[i].fallback, rows[i].running);
		if (verdict.level != rows[i].level || !verdict.fix != !rows[i].fix || (verdict.fix && !strstr(verdict.fix, rows[i].fix)))
			fail_msg("row %zu: %d, %s", i, (int)verdict.level, verdict.fix ? verdict.fix : "no fix");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clock), cmocka_unit_test(test_sqlite), cmocka_unit_test(test_remote), cmocka_unit_test(test_disk),
		cmocka_unit_test(test_lists), cmocka_unit_test(test_words), cmocka_unit_test(test_clocks_of_two), cmocka_unit_test(test_devices),
		cmocka_unit_test(test_keys_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
