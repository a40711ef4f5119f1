/* SPDX-License-Identifier: Apache-2.0 */
/* The record of private messages that the kernel has: it outlives a kill, and nothing else. */
#include "xmpp/sent.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char directory[64], path[96];

struct seen {
	int count;
	char last[256];
};

static void
on_each(void *context, const char *lane, const char *name)
{
	struct seen *seen = context;

	seen->count++;
	snprintf(seen->last, sizeof(seen->last), "%s %s", lane, name);
}

static struct seen
look(void)
{
	struct seen seen = { 0 };
	struct sent *sent;

	assert_int_equal(sent_open(&sent, directory), 0);
	sent_each(sent, on_each, &seen);
	sent_close(sent);
	return seen;
}

static void
test_outlives_a_kill(void **state)
{
	int status;

	(void)state;
	pid_t child = fork();
	if (child == 0) {
		struct sent *sent;
		if (sent_open(&sent, directory) != 0)
			_exit(1);
		sent_note(sent, "carol@x", "cleared");
		sent_note(sent, "bob@x", "name1");
		sent_clear(sent, "cleared");
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	struct seen seen = look();
	assert_int_equal(seen.count, 1);
	assert_string_equal(seen.last, "bob@x name1");
}

static void
test_ring(void **state)
{
	struct seen seen = { 0 };
	struct sent *sent;
	char name[32];

	(void)state;
	assert_int_equal(sent_open(&sent, directory), 0);
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "row%d", i);
		sent_note(sent, "bob@x", name);
	}
	sent_each(sent, on_each, &seen);
	assert_int_equal(seen.count, 64);
	/* The newest are among them. */
	for (int i = 199; i > 199 - 32; i--) {
		snprintf(name, sizeof(name), "row%d", i);
		sent_clear(sent, name);
	}
	seen.count = 0;
	sent_each(sent, on_each, &seen);
	assert_int_equal(seen.count, 32);
	sent_forget(sent);
	sent_close(sent);
	assert_int_equal(look().count, 0);
}

/* What is too long, or of another boot, or garbage, counts for nothing. */
static void
test_bad(void **state)
{
	char lane[5000];
	struct sent *sent;

	(void)state;
	memset(lane, 'x', sizeof(lane) - 1);
	lane[sizeof(lane) - 1] = '\0';
	assert_int_equal(sent_open(&sent, directory), 0);
	sent_note(sent, lane, "name");
	sent_note(sent, "bob@x", lane);
	sent_close(sent);
	assert_int_equal(look().count, 0);
	assert_int_equal(sent_open(&sent, directory), 0);
	sent_note(sent, "bob@x", "name");
	sent_close(sent);
	assert_int_equal(look().count, 1);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "another boot's id", 17, 16), 17);
	close(fd);
	assert_int_equal(look().count, 0);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	for (off_t at = 64; at < 300000; at += (off_t)sizeof(lane) - 1)
		assert_int_equal(pwrite(fd, lane, sizeof(lane) - 1, at), sizeof(lane) - 1);
	close(fd);
	look();
	assert_int_equal(sent_open(&sent, "/nowhere"), -ENOENT);
	sent_close(NULL);
	sent_note(NULL, "a", "b");
	sent_clear(NULL, "a");
	sent_forget(NULL);
}

static int
set_up(void **state)
{
	(void)state;
	snprintf(directory, sizeof(directory), "/tmp/test_sent.XXXXXX");
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/xmpp.sent", directory);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(directory);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_outlives_a_kill, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_ring, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bad, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
