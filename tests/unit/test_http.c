/* SPDX-License-Identifier: Apache-2.0 */
/* The client of the homeserver: the loop goes on whatever a name server does. */
#include "matrix/http.h"

#include "base/now.h"

#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SILENCE_S 2

static unsigned ended;
static volatile bool asked, heard; /* by curl's resolving thread */

/* In place of the C library's, for curl as well. */
int
getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
	(void)host, (void)service, (void)hints, (void)out;
	asked = true;
	sleep(SILENCE_S);
	heard = true;
	return EAI_AGAIN;
}

static void
on_answer(void *context, const struct http_answer *answer)
{
	(void)context;
	assert_int_equal(answer->status, 0);
	assert_true(answer->timed_out);
	ended++;
}

/* A request that is given up, one that is cancelled, and the end of all: none waits for the name server. */
static void
test_a_silent_name_server(void **state)
{
	(void)state;
	const struct http_ask ask = { .method = "GET", .path = "/", .timeout_ms = 200 };
	const struct http_ask longer = { .method = "GET", .path = "/", .timeout_ms = 60000 };
	struct loop *loop;
	struct http *http;

	assert_int_equal(loop_open(&loop), 0);
	assert_int_equal(http_open(&http, loop, "http://silent.example:1", "token"), 0);
	http_send(http, &ask, on_answer, NULL);
	int64_t begun_ms = now_monotonic_ms();
	while (!ended && now_monotonic_ms() - begun_ms < 5000)
		assert_int_equal(loop_once(loop, 20), 0);
	assert_int_equal(ended, 1);
	assert_true(asked);
	struct http_request *request = http_send(http, &longer, on_answer, NULL);
	http_send(http, &longer, on_answer, NULL);
	for (int i = 0; i < 5; i++)
		assert_int_equal(loop_once(loop, 20), 0);
	http_cancel(request);
	http_close(http);
	assert_in_range(now_monotonic_ms() - begun_ms, 200, 1500);
	assert_int_equal(ended, 1);
	loop_close(loop);
	while (!heard)
		usleep(10000);
	usleep(500000); /* the threads end */
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_a_silent_name_server) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
