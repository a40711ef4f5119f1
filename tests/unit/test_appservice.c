/* SPDX-License-Identifier: Apache-2.0 */
/* The listener for transactions: a real one on the loopback interface, spoken to byte by byte. */
#include "matrix/appservice.h"

#include "base/log.h"
#include "base/now.h"
#include "base/str.h"
#include "scratch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define TOKEN "hs-token-0123456789"
#define AUTHORISED "Host: x\r\nAuthorization: Bearer " TOKEN "\r\n"

struct scene {
	char directory[SCRATCH_SIZE];
	struct loop *loop;
	struct store *store;
	struct appservice *appservice;
	struct appservice_calls calls;
	enum appservice_verdict verdict; /* what the next transaction gets */
	bool commits;        /* at the end of a turn */
	bool full;           /* nothing can be taken */
	unsigned taken, set_aside, refused;
	size_t bytes;
	char first[32];      /* of the last body */
};

static enum appservice_verdict
take(void *context, const char *body, size_t size)
{
	struct scene *scene = context;

	scene->taken++;
	scene->bytes = size;
	snprintf(scene->first, sizeof(scene->first), "%s", body);
	return scene->verdict;
}

static void
set_aside(void *context, const char *body, size_t size)
{
	struct scene *scene = context;

	(void)body;
	(void)size;
	scene->set_aside++;
}

static void
refused(void *context)
{
	((struct scene *)context)->refused++;
}

static bool
has_room(void *context)
{
	return !((struct scene *)context)->full;
}

static bool
turn(void *context)
{
	struct scene *scene = context;

	if (scene->commits)
		assert_int_equal(store_commit(scene->store), 0);
	return false;
}

static void
drop_log(enum log_level level, const char *line)
{
	(void)level;
	assert_null(strstr(line, TOKEN));
}

static int
set_up(void **state)
{
	struct scene *scene = xcalloc(1, sizeof(*scene));
	bool created;

	log_register(drop_log);
	scratch_make(scene->directory);
	if (loop_open(&scene->loop) || store_open(&scene->store, scene->directory, &created))
		return -1;
	scene->calls = (struct appservice_calls){ take, set_aside, refused, has_room, scene };
	scene->verdict = APPSERVICE_KEPT;
	scene->commits = true;
	loop_on_turn(scene->loop, turn, scene);
	*state = scene;
	return appservice_open(&scene->appservice, scene->loop, scene->store, "127.0.0.1", 0, TOKEN, &scene->calls);
}

static int
tear_down(void **state)
{
	struct scene *scene = *state;

	appservice_close(scene->appservice);
	store_close(scene->store);
	loop_close(scene->loop);
	scratch_remove(scene->directory);
	free(scene);
	return 0;
}

static int
dial(struct scene *scene)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(appservice_port(scene->appservice)) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static void
spin(struct scene *scene, int ms)
{
	assert_int_equal(loop_once(scene->loop, ms), 0);
}

/* Writes everything while the loop turns, so that neither side waits for the other. */
static void
say(struct scene *scene, int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
		if (sent < 0 && errno != EAGAIN)
			return; /* closed on us: what it said can still be read */
		p += sent > 0 ? sent : 0;
		n -= sent > 0 ? (size_t)sent : 0;
		spin(scene, 0);
	}
}

/* What comes within `ms`, or until the other side closes (*closed). */
static void
hear(struct scene *scene, int fd, int ms, struct str *out, bool *closed)
{
	int64_t end_ms = now_monotonic_ms() + ms;
	char buffer[4096];

	*closed = false;
	do {
		spin(scene, 5);
		ssize_t n = recv(fd, buffer, sizeof(buffer), 0);
		if (n > 0)
			str_add_n(out, buffer, (size_t)n);
		if (n == 0 || (n < 0 && errno != EAGAIN)) {
			*closed = true;
			return;
		}
		if (out->n && strstr(str_get(out), "\r\n\r\n") && n < 0)
			return;
	} while (now_monotonic_ms() < end_ms);
}

static unsigned
status_of(const struct str *answer)
{
	return str_starts(str_get(answer), "HTTP/1.1 ") ? (unsigned)strtoul(str_get(answer) + 9, NULL, 10) : 0;
}

static unsigned
exchange(struct scene *scene, const char *request, struct str *answer)
{
	bool closed;
	int fd = dial(scene);

	str_clear(answer);
	say(scene, fd, request, strlen(request));
	hear(scene, fd, 2000, answer, &closed);
	close(fd);
	spin(scene, 0);
	return status_of(answer);
}

#define PUT_TXN(path, headers, body, length) "PUT " path " HTTP/1.1\r\n" headers "Content-Length: " length "\r\n\r\n" body

static void
test_authorisation(void **state)
{
	struct scene *scene = *state;
	AUTO_STR struct str answer;
	static const struct {
		const char *request;
		unsigned status;
	} cases[] = {
		{ PUT_TXN("/_matrix/app/v1/transactions/1", "Host: x\r\n", "{}", "2"), 403 },
		{ PUT_TXN("/_matrix/app/v1/transactions/1", "Host: x\r\nAuthorization: Bearer wrong\r\n", "{}", "2"), 403 },
		{ PUT_TXN("/_matrix/app/v1/transactions/1", "Host: x\r\nAuthorization: Bearer " TOKEN "x\r\n", "{}", "2"), 403 },
		{ PUT_TXN("/_matrix/app/v1/transactions/1", "Host: x\r\nAuthorization: Bearer hs-token-012345678\r\n", "{}", "2"), 403 },
		{ PUT_TXN("/_matrix/app/v1/transactions/1", "Host: x\r\nAuthorization: Bearer HS-TOKEN-0123456789\r\n", "{}", "2"), 403 },
		{ PUT_TXN("/_matrix/app/v1/transactions/1", "Host: x\r\nAuthorization: Bearer  " TOKEN "\r\n", "{}", "2"), 403 },
		{ PUT_TXN("/_matrix/app/v1/transactions/1", "Host: x\r\nAuthorization: Bearer " TOKEN ", " TOKEN "\r\n", "{}", "2"), 403 },
		{ PUT_TXN("/_matrix/app/v1/transactions/1", "Host: x\r\nAuthorization: Bearer\r\n", "{}", "2"), 403 },
		{ PUT_TXN("/_matrix/app/v1/transactions/1", "Host: x\r\nAuthorization: \r\n", "{}", "2"), 403 },
		{ PUT_TXN("/_matrix/app/v1/transactions/1", "Host: x\r\nAuthorization: " TOKEN "\r\n", "{}", "2"), 403 },
		{ PUT_TXN("/_matrix/app/v1/transactions/1", "Host: x\r\nAuthorization: Basic " TOKEN "\r\n", "{}", "2"), 403 },
		{ PUT_TXN("/_matrix/app/v1/transactions/1", "Host: x\r\nX-Authorization: Bearer " TOKEN "\r\n", "{}", "2"), 403 },
		{ PUT_TXN("/_matrix/app/v1/transactions/1", "Host: x\r\nCookie: access_token=" TOKEN "\r\n", "{}", "2"), 403 },
		{ PUT_TXN("/_matrix/app/v1/transactions/1", AUTHORISED "Authorization: Bearer wrong\r\n", "{}", "2"), 403 },
		{ PUT_TXN("/_matrix/app/v1/transactions/1", "Host: x\r\nAuthorization: Bearer wrong\r\nAuthorization: Bearer " TOKEN "\r\n", "{}", "2"), 403 },
		{ PUT_TXN("/_matrix/app/v1/transactions/1?access_token=" TOKEN, "Host: x\r\n", "{}", "2"), 403 },
		{ PUT_TXN("/_matrix/app/v1/transactions/1?access_token=wrong", AUTHORISED, "{}", "2"), 403 },
		{ PUT_TXN("/_matrix/app/v1/transactions/1?access_token=", AUTHORISED, "{}", "2"), 403 },
		{ PUT_TXN("/_matrix/app/v1/transactions/1?access_token=" TOKEN "&access_token=wrong", AUTHORISED, "{}", "2"), 403 },
		{ PUT_TXN("/elsewhere", "Host: x\r\n", "{}", "2"), 403 },
		{ "POST /_matrix/app/v1/ping HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 403 },
		{ "GET /_matrix/app/v1/users/%40x%3Ahs HTTP/1.1\r\nHost: x\r\n\r\n", 403 },
		{ PUT_TXN("/_matrix/app/v1/transactions/1?access_token=" TOKEN, AUTHORISED, "{}", "2"), 200 },
		{ PUT_TXN("/_matrix/app/v1/transactions/1", "Host: x\r\nauthorization: Bearer " TOKEN "\r\n", "{}", "2"), 200 },
		{ PUT_TXN("/_matrix/app/v1/transactions/1", AUTHORISED, "{}", "2"), 200 },
		{ PUT_TXN("/transactions/1", AUTHORISED, "{}", "2"), 200 },
		{ PUT_TXN("/elsewhere", AUTHORISED, "{}", "2"), 404 },
		{ "POST /_matrix/app/v1/ping HTTP/1.1\r\n" AUTHORISED "Content-Length: 2\r\n\r\n{}", 200 },
		{ "GET /_matrix/app/v1/users/%40x%3Ahs HTTP/1.1\r\n" AUTHORISED "\r\n", 404 },
		{ "GET /_matrix/app/v1/rooms/%23x%3Ahs HTTP/1.1\r\n" AUTHORISED "\r\n", 404 },
		{ "GET /_matrix/app/v1/transactions/1 HTTP/1.1\r\n" AUTHORISED "\r\n", 404 },
	};

	str_init(&answer, 65536);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned status = exchange(scene, cases[i].request, &answer);
		if (status != cases[i].status)
			fail_msg("%u instead of %u: %s", status, cases[i].status, cases[i].request);
	}
	assert_int_equal(scene->taken, 4);
}

/* The refusal comes although none of the announced body was sent. */
static void
test_refused_before_the_body(void **state)
{
	struct scene *scene = *state;
	AUTO_STR struct str answer;

	str_init(&answer, 65536);
	assert_int_equal(exchange(scene, PUT_TXN("/_matrix/app/v1/transactions/1", "Host: x\r\n", "", "1000000"), &answer), 403);
	assert_int_equal(exchange(scene, PUT_TXN("/_matrix/app/v1/transactions/1", AUTHORISED, "", "33554433"), &answer), 413);
	assert_int_equal(exchange(scene, PUT_TXN("/_matrix/app/v1/transactions/1", AUTHORISED, "", "99999999999999999999"), &answer) / 100, 4);
	assert_int_equal(scene->taken, 0);
}

static void
test_answer_form(void **state)
{
	struct scene *scene = *state;
	AUTO_STR struct str answer;

	str_init(&answer, 65536);
	assert_int_equal(exchange(scene, PUT_TXN("/_matrix/app/v1/transactions/1", AUTHORISED, "{\"events\":[]}", "13"), &answer), 200);
	assert_non_null(strcasestr(str_get(&answer), "content-length: 2\r\n"));
	assert_non_null(strstr(str_get(&answer), "\r\n\r\n{}"));
	assert_string_equal(scene->first, "{\"events\":[]}");
}

static void
test_split_body_and_keep_alive(void **state)
{
	struct scene *scene = *state;
	static const char request[] = PUT_TXN("/_matrix/app/v1/transactions/1", AUTHORISED, "{\"events\":[]}", "13");
	AUTO_STR struct str answer;
	bool closed;
	int fd = dial(scene);

	str_init(&answer, 65536);
	for (unsigned round = 1; round <= 3; round++) {
		str_clear(&answer);
		for (size_t i = 0; i < sizeof(request) - 1; i++) {
			assert_int_equal(scene->taken, round - 1);
			say(scene, fd, request + i, 1);
		}
		hear(scene, fd, 2000, &answer, &closed);
		assert_int_equal(status_of(&answer), 200);
		assert_int_equal(scene->taken, round);
		assert_string_equal(scene->first, "{\"events\":[]}");
	}
	close(fd);
}

static void
test_chunked(void **state)
{
	struct scene *scene = *state;
	AUTO_STR struct str answer;

	str_init(&answer, 65536);
	assert_int_equal(exchange(scene, "PUT /_matrix/app/v1/transactions/1 HTTP/1.1\r\n" AUTHORISED
		"Transfer-Encoding: chunked\r\n\r\n5\r\n{\"eve\r\n8\r\nnts\":[]}\r\n0\r\n\r\n", &answer), 200);
	assert_string_equal(scene->first, "{\"events\":[]}");
	assert_int_equal(exchange(scene, "PUT /_matrix/app/v1/transactions/1 HTTP/1.1\r\n" AUTHORISED
		"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", &answer) / 100, 4);
	/* Two lengths, or a coding that is not known: where the body ends is a matter of opinion. */
	static const char *const smuggled[] = {
		"Content-Length: 2\r\nContent-Length: 13\r\n\r\n{\"events\":[]}", "Content-Length: 13\r\nContent-Length: 2\r\n\r\n{\"events\":[]}",
		"Content-Length: 2, 13\r\n\r\n{\"events\":[]}", "Content-Length: +2\r\n\r\n{}", "Content-Length: -1\r\n\r\n{}", "Content-Length: 0x2\r\n\r\n{}",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
	};
	for (size_t i = 0; i < sizeof(smuggled) / sizeof(smuggled[0]); i++) {
		AUTO_FREE char *request = xasprintf("PUT /_matrix/app/v1/transactions/1 HTTP/1.1\r\n" AUTHORISED "%s", smuggled[i]);
		unsigned status = exchange(scene, request, &answer);
		if (status / 100 == 2 || scene->taken != 1)
			fail_msg("%u for %s", status, smuggled[i]);
	}
}

/* Without a length in front, the limit holds while the body arrives. */
static void
test_too_large_without_length(void **state)
{
	struct scene *scene = *state;
	static const char head[] = "PUT /_matrix/app/v1/transactions/1 HTTP/1.1\r\n" AUTHORISED "Transfer-Encoding: chunked\r\n\r\n";
	size_t size = 1024 * 1024;
	AUTO_FREE char *chunk = xmalloc(size + 16);
	AUTO_STR struct str answer;
	bool closed;
	int fd = dial(scene);

	str_init(&answer, 65536);
	say(scene, fd, head, sizeof(head) - 1);
	for (int i = 0; i < 33; i++) {
		int n = snprintf(chunk, 16, "%zx\r\n", size);
		memset(chunk + n, ' ', size);
		memcpy(chunk + n + size, "\r\n", 2);
		say(scene, fd, chunk, size + (size_t)n + 2);
	}
	say(scene, fd, "0\r\n\r\n", 5);
	hear(scene, fd, 5000, &answer, &closed);
	close(fd);
	assert_int_equal(status_of(&answer), 413);
	assert_int_equal(scene->taken, 0);
}

static void
test_answer_waits_for_the_commit(void **state)
{
	struct scene *scene = *state;
	static const char request[] = PUT_TXN("/_matrix/app/v1/transactions/1", AUTHORISED, "{}", "2");
	AUTO_STR struct str answer;
	bool closed;
	int fd = dial(scene);

	str_init(&answer, 65536);
	scene->commits = false;
	say(scene, fd, request, sizeof(request) - 1);
	hear(scene, fd, 300, &answer, &closed);
	assert_int_equal(scene->taken, 1);
	assert_false(closed);
	assert_int_equal(answer.n, 0);
	scene->commits = true;
	hear(scene, fd, 2000, &answer, &closed);
	assert_int_equal(status_of(&answer), 200);
	close(fd);
	/* Of no interest: there is nothing to wait for. */
	scene->commits = false;
	scene->verdict = APPSERVICE_IDLE;
	assert_int_equal(exchange(scene, request, &answer), 200);
}

/* A statement that cannot succeed makes the turn's transaction fail, as a full disk does. */
static void
spoil(struct scene *scene)
{
	struct query query = store_query(scene->store, META_SET);

	query_text(&query, NULL);
	query_text(&query, NULL);
	query_run(&query);
}

static bool
spoiling_turn(void *context)
{
	struct scene *scene = context;

	if (scene->taken) {
		spoil(scene);
		assert_true(store_commit(scene->store) < 0);
	}
	return false;
}

static void
test_failed_commit_is_503(void **state)
{
	struct scene *scene = *state;
	static const char request[] = PUT_TXN("/_matrix/app/v1/transactions/1", AUTHORISED, "{}", "2");
	AUTO_STR struct str answer;

	str_init(&answer, 65536);
	loop_on_turn(scene->loop, spoiling_turn, scene);
	assert_int_equal(exchange(scene, request, &answer), 503);
	assert_non_null(strcasestr(str_get(&answer), "retry-after:"));
	assert_int_equal(scene->refused, 1);
	loop_on_turn(scene->loop, turn, scene);
	scene->verdict = APPSERVICE_FULL;
	assert_int_equal(exchange(scene, request, &answer), 503);
	assert_int_equal(scene->refused, 2);
	scene->verdict = APPSERVICE_KEPT;
	assert_int_equal(exchange(scene, request, &answer), 200);
}

static void
test_broken_three_times(void **state)
{
	struct scene *scene = *state;
	static const char one[] = PUT_TXN("/_matrix/app/v1/transactions/1", AUTHORISED, "{\"eve", "5");
	static const char two[] = PUT_TXN("/_matrix/app/v1/transactions/2", AUTHORISED, "{\"eve", "5");
	AUTO_STR struct str answer;

	str_init(&answer, 65536);
	scene->verdict = APPSERVICE_BROKEN;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(exchange(scene, one, &answer), 500);
		assert_int_equal(exchange(scene, two, &answer), 500);
	}
	assert_int_equal(scene->set_aside, 0);
	assert_int_equal(exchange(scene, one, &answer), 200);
	assert_int_equal(scene->set_aside, 1);
	assert_int_equal(exchange(scene, two, &answer), 200);
	assert_int_equal(scene->set_aside, 2);
}

/* Clients that drip bytes are closed after the deadline all the same, at their first request or later; the others are served. */
static void
test_slow(void **state)
{
	struct scene *scene = *state;
	static const char slow[] = PUT_TXN("/_matrix/app/v1/transactions/1", AUTHORISED, "", "1000000");
	static const char good[] = PUT_TXN("/_matrix/app/v1/transactions/1", AUTHORISED, "{}", "2");
	AUTO_STR struct str answer;
	int fds[3] = { dial(scene), dial(scene), dial(scene) };
	int64_t took_ms[3] = { 0 }, start_ms = now_monotonic_ms();
	bool closed;

	str_init(&answer, 65536);
	say(scene, fds[1], good, sizeof(good) - 1);
	hear(scene, fds[1], 2000, &answer, &closed);
	assert_int_equal(status_of(&answer), 200);
	say(scene, fds[0], slow, sizeof(slow) - 1);
	say(scene, fds[1], slow, sizeof(slow) - 1);
	say(scene, fds[2], "PUT /_matrix/app", 16); /* not even a line */
	while (now_monotonic_ms() - start_ms < 2 * APPSERVICE_SLOW_MS && !(took_ms[0] && took_ms[1] && took_ms[2])) {
		for (int i = 0; i < 3; i++) {
			if (took_ms[i])
				continue;
			say(scene, fds[i], "x", 1);
			hear(scene, fds[i], 50, &answer, &closed);
			if (closed)
				took_ms[i] = now_monotonic_ms() - start_ms;
		}
	}
	for (int i = 0; i < 3; i++) {
		close(fds[i]);
		assert_in_range(took_ms[i], APPSERVICE_SLOW_MS - 500, APPSERVICE_SLOW_MS + 2000);
	}
	assert_int_equal(scene->taken, 1);
	assert_int_equal(exchange(scene, good, &answer), 200);
}

/* Whoever hangs up while his answer waits costs nobody anything. */
static void
test_gone_before_the_answer(void **state)
{
	struct scene *scene = *state;
	static const char request[] = PUT_TXN("/_matrix/app/v1/transactions/1", AUTHORISED, "{}", "2");
	AUTO_STR struct str answer;
	int fd = dial(scene);

	str_init(&answer, 65536);
	scene->commits = false;
	say(scene, fd, request, sizeof(request) - 1);
	for (int i = 0; i < 20 && !scene->taken; i++)
		spin(scene, 5);
	assert_int_equal(scene->taken, 1);
	close(fd);
	for (int i = 0; i < 5; i++)
		spin(scene, 5);
	scene->commits = true;
	assert_int_equal(exchange(scene, request, &answer), 200);
	/* One that still waits is answered by appservice_close(). */
	scene->commits = false;
	fd = dial(scene);
	say(scene, fd, request, sizeof(request) - 1);
	for (int i = 0; i < 20 && scene->taken < 3; i++)
		spin(scene, 5);
	assert_int_equal(scene->taken, 3);
	close(fd);
}

/* While nothing can be taken, no body is read. */
static void
test_full(void **state)
{
	struct scene *scene = *state;
	AUTO_STR struct str answer;

	str_init(&answer, 65536);
	scene->full = true;
	assert_int_equal(exchange(scene, PUT_TXN("/_matrix/app/v1/transactions/1", AUTHORISED, "", "1000000"), &answer), 503);
	assert_non_null(strcasestr(str_get(&answer), "\r\nretry-after: "));
	assert_int_equal(exchange(scene, PUT_TXN("/_matrix/app/v1/transactions/1", "Host: x\r\n", "{}", "2"), &answer), 403);
	assert_int_equal(exchange(scene, "POST /_matrix/app/v1/ping HTTP/1.1\r\n" AUTHORISED "Content-Length: 2\r\n\r\n{}", &answer), 200);
	assert_int_equal(scene->refused, 1);
	assert_int_equal(scene->taken, 0);
	scene->full = false;
	assert_int_equal(exchange(scene, PUT_TXN("/_matrix/app/v1/transactions/1", AUTHORISED, "{}", "2"), &answer), 200);
}

#define CROWD 400

/* Whoever opens many connections keeps out nobody: neither a homeserver that is there already nor one that comes now. */
static void
test_crowd(void **state)
{
	struct scene *scene = *state;
	static const char good[] = PUT_TXN("/_matrix/app/v1/transactions/1", AUTHORISED, "{}", "2");
	static int fds[CROWD];
	AUTO_STR struct str answer;
	bool closed;
	int kept = dial(scene), ended = 0;
	char byte;

	str_init(&answer, 65536);
	say(scene, kept, good, sizeof(good) - 1);
	hear(scene, kept, 2000, &answer, &closed);
	assert_int_equal(status_of(&answer), 200);
	for (int i = 0; i < CROWD; i++) {
		fds[i] = dial(scene);
		if (i % 2)
			say(scene, fds[i], "PUT /_matrix/app/v1/tr", 22);
		spin(scene, 0);
	}
	int64_t start_ms = now_monotonic_ms();
	for (int round = 0; round < 3; round++) {
		assert_int_equal(exchange(scene, good, &answer), 200);
		str_clear(&answer);
		say(scene, kept, good, sizeof(good) - 1);
		hear(scene, kept, 2000, &answer, &closed);
		assert_int_equal(status_of(&answer), 200);
	}
	assert_in_range(now_monotonic_ms() - start_ms, 0, APPSERVICE_SLOW_MS / 2);
	for (int i = 0; i < CROWD; i++) {
		ended += recv(fds[i], &byte, 1, MSG_DONTWAIT) >= 0 || errno == ECONNRESET;
		close(fds[i]);
	}
	close(kept);
	assert_in_range(ended, CROWD - APPSERVICE_CONNECTIONS, CROWD);
	for (int i = 0; i < 10; i++)
		spin(scene, 5);
}

/* A body in pieces, a pause between them, and a second connection meanwhile: nobody waits for anybody. */
static void
test_nobody_waits(void **state)
{
	struct scene *scene = *state;
	static const char head[] = PUT_TXN("/_matrix/app/v1/transactions/1", AUTHORISED, "", "2");
	static const char good[] = PUT_TXN("/_matrix/app/v1/transactions/2", AUTHORISED, "{}", "2");
	AUTO_STR struct str answer;
	bool closed;
	int slow = dial(scene);

	str_init(&answer, 65536);
	say(scene, slow, head, sizeof(head) - 1);
	say(scene, slow, "{", 1);
	for (int i = 0; i < 20; i++) {
		int64_t start_ms = now_monotonic_ms();
		assert_int_equal(exchange(scene, good, &answer), 200);
		assert_in_range(now_monotonic_ms() - start_ms, 0, 1000);
	}
	say(scene, slow, "}", 1);
	str_clear(&answer);
	hear(scene, slow, 2000, &answer, &closed);
	assert_int_equal(status_of(&answer), 200);
	close(slow);
}

static void
test_port_taken(void **state)
{
	struct scene *scene = *state;
	struct appservice *second;

	assert_int_equal(appservice_open(&second, scene->loop, scene->store, "127.0.0.1", appservice_port(scene->appservice), TOKEN,
		&scene->calls), -EADDRINUSE);
	assert_int_equal(appservice_open(&second, scene->loop, scene->store, "no address", 0, TOKEN, &scene->calls), -EADDRNOTAVAIL);
}

/* The rest of a transaction comes while we are closing: it is no more taken, and nobody is left suspended. */
static void
test_closing_in_its_midst(void **state)
{
	struct scene *scene = *state;
	static const char request[] = PUT_TXN("/_matrix/app/v1/transactions/1", AUTHORISED, "{}", "2");
	int fd = dial(scene);

	say(scene, fd, request, sizeof(request) - 2);
	spin(scene, 5);
	assert_int_equal(send(fd, request + sizeof(request) - 2, 1, MSG_NOSIGNAL), 1);
	appservice_close(scene->appservice);
	scene->appservice = NULL;
	assert_int_equal(scene->taken, 0);
	assert_int_equal(store_commit(scene->store), 0);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_authorisation, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refused_before_the_body, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_answer_form, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_split_body_and_keep_alive, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_chunked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_too_large_without_length, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_answer_waits_for_the_commit, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_failed_commit_is_503, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_broken_three_times, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_slow, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_full, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_crowd, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nobody_waits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_gone_before_the_answer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_closing_in_its_midst, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_port_taken, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
