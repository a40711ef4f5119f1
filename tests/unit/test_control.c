/* SPDX-License-Identifier: Apache-2.0 */
/* STATE/control from both ends: a child process asks, the loop answers. */
#include "cli/control.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char directory[] = "/tmp/sourdine-control-XXXXXX";
static char path[64];
static struct loop *loop;
static struct control *control;
static size_t length;

static char heard[CONTROL_LINE_MAX];
static uint64_t waiting; /* asked "later" */

static void
answer(void *context, uint64_t ticket, const char *request)
{
	struct str json;

	(void)context;
	snprintf(heard, sizeof(heard), "%s", request);
	if (strcmp(request, "later") == 0) {
		waiting = ticket;
		return;
	}
	str_init(&json, CONTROL_MAX);
	str_add_char(&json, '"');
	for (size_t i = 0; i < length; i++)
		str_add_char(&json, (char)('a' + i % 26));
	str_add_char(&json, '"');
	control_answer(control, ticket, str_get(&json), json.n);
	str_fini(&json);
}

static int
set_up(void **state)
{
	(void)state;
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/control", directory);
	return loop_open(&loop);
}

static int
tear_down(void **state)
{
	(void)state;
	loop_close(loop);
	return rmdir(directory);
}

/* Whether a child process gets the document that answer() makes. */
static bool
child_is_answered(void)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		char *text = NULL;
		int r = control_ask(path, "status of all", 5000, &text);
		bool good = !r && strlen(text) == length + 2 && text[length + 1] == '"' && (length < 2 || text[2] == 'b');
		free(text);
		_exit(good ? 0 : 1);
	}
	while (waitpid(child, &status, WNOHANG) == 0)
		assert_int_equal(loop_once(loop, 10), 0);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void
test_answers(void **state)
{
	(void)state;
	struct stat info;
	static const size_t lengths[] = { 0, 2, 100, 900000 }; /* the last one does not fit into a socket's buffer */

	assert_int_equal(control_open(&control, loop, path, answer, NULL), 0);
	assert_int_equal(stat(path, &info), 0);
	assert_true(S_ISSOCK(info.st_mode));
	assert_int_equal(info.st_mode & 07777, 0600);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		length = lengths[i];
		assert_true(child_is_answered());
		assert_string_equal(heard, "status of all");
	}
	control_close(control);
	assert_int_equal(access(path, F_OK), -1);
}

static void
test_nobody(void **state)
{
	(void)state;
	char *text, wide[200];

	assert_int_equal(control_ask(path, "status of all", 5000, &text), -ENOENT);
	memset(wide, 'x', sizeof(wide) - 1);
	wide[199] = '\0';
	assert_int_equal(control_ask(wide, "x", 5000, &text), -ENAMETOOLONG);
	assert_int_equal(control_open(&control, loop, wide, answer, NULL), -ENAMETOOLONG);
	control_close(NULL);
}

/* What a daemon that was killed left behind is replaced. */
static void
test_leftover(void **state)
{
	(void)state;
	char *text;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	assert_int_equal(control_ask(path, "status of all", 5000, &text), -ECONNREFUSED);
	assert_int_equal(control_open(&control, loop, path, answer, NULL), 0);
	length = 5;
	assert_true(child_is_answered());
	control_close(control);
}

static int
connected(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(loop_once(loop, 10), 0);
	return fd;
}

/* An answer may come much later; one whose asker has left, or was never there, goes nowhere. */
static void
test_later(void **state)
{
	(void)state;
	char got[16] = "";

	assert_int_equal(control_open(&control, loop, path, answer, NULL), 0);
	for (int leaves = 0; leaves < 2; leaves++) {
		int fd = connected();
		assert_int_equal(send(fd, "lat", 3, 0), 3);
		assert_int_equal(loop_once(loop, 10), 0);
		assert_int_equal(waiting, 0);
		assert_int_equal(send(fd, "er\n", 3, 0), 3);
		assert_int_equal(loop_once(loop, 10), 0);
		assert_int_not_equal(waiting, 0);
		if (leaves)
			close(fd);
		assert_int_equal(loop_once(loop, 10), 0);
		control_answer(control, waiting + 1, "no", 2);
		control_answer(control, waiting, "yes", 3);
		waiting = 0;
		assert_int_equal(loop_once(loop, 10), 0);
		if (leaves)
			continue;
		assert_int_equal(recv(fd, got, sizeof(got), 0), 3);
		assert_string_equal(got, "yes");
		assert_int_equal(recv(fd, got, sizeof(got), 0), 0);
		close(fd);
	}
	control_close(control);
}

/* A line without an end is cut off. */
static void
test_endless(void **state)
{
	(void)state;
	char junk[512], got;
	ssize_t n = 1;

	assert_int_equal(control_open(&control, loop, path, answer, NULL), 0);
	int fd = connected();
	memset(junk, 'x', sizeof(junk));
	for (int i = 0; i < 12; i++) {
		(void)!send(fd, junk, sizeof(junk), MSG_NOSIGNAL);
		assert_int_equal(loop_once(loop, 10), 0);
	}
	n = recv(fd, &got, 1, MSG_DONTWAIT);
	assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
	close(fd);
	control_close(control);
}

/* Clients that connect and say nothing take a few places and no more; when they leave, others are served. */
static void
test_idlers(void **state)
{
	(void)state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fds[6];

	length = 900000;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(control_open(&control, loop, path, answer, NULL), 0);
	for (size_t i = 0; i < 6; i++) {
		fds[i] = socket(AF_UNIX, SOCK_STREAM, 0);
		assert_int_equal(connect(fds[i], (struct sockaddr *)&address, sizeof(address)), 0);
		assert_int_equal(loop_once(loop, 10), 0);
	}
	assert_true(child_is_answered());
	for (size_t i = 0; i < 6; i++)
		close(fds[i]);
	for (int i = 0; i < 20; i++)
		assert_int_equal(loop_once(loop, 1), 0);
	assert_true(child_is_answered());
	control_close(control);
	assert_int_equal(loop_once(loop, 0), 0);
}

/* Nobody takes what waits in the queue: whoever asks gives up in time, the tenth as well as the first. */
static void
test_a_daemon_that_hangs(void **state)
{
	(void)state;
	char *text;

	assert_int_equal(control_open(&control, loop, path, answer, NULL), 0);
	alarm(20); /* ends a program that waits */
	for (int i = 0; i < 12; i++)
		assert_int_equal(control_ask(path, "status", 50, &text), -ETIMEDOUT);
	alarm(0);
	control_close(control);
	assert_int_equal(loop_once(loop, 0), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers), cmocka_unit_test(test_nobody), cmocka_unit_test(test_leftover), cmocka_unit_test(test_idlers),
		cmocka_unit_test(test_later), cmocka_unit_test(test_endless), cmocka_unit_test(test_a_daemon_that_hangs),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
