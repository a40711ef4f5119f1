/* SPDX-License-Identifier: Apache-2.0 */
/* libmicrohttpd's own epoll set, nested in ours. Every answer is at hand, so a request is answered as it is read. */
#include "cli/metrics.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define CONNECTIONS 16
#define TIMEOUT_S 10
#define BYTES_MAX (1 << 20)

struct metrics {
	struct metrics_source source;
	struct MHD_Daemon *daemon;
	struct loop_source *watch;
	struct loop_timer timer;
};

static enum MHD_Result
respond(struct MHD_Connection *connection, unsigned status, const char *type, struct str *body)
{
	size_t n = body->n;
	struct MHD_Response *response = MHD_create_response_from_buffer(n, str_take(body), MHD_RESPMEM_MUST_FREE);

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, "Content-Type", type);
	enum MHD_Result r = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return r;
}

static enum MHD_Result
on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method, const char *version, const char *data,
		size_t *size, void **state)
{
	struct metrics *metrics = context;
	struct str body AUTO_STR;

	(void)version, (void)data, (void)size, (void)state;
	str_init(&body, BYTES_MAX);
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return respond(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain", &body);
	if (strcmp(url, "/metrics") == 0) {
		metrics->source.write(metrics->source.context, &body);
		return respond(connection, MHD_HTTP_OK, "text/plain; version=0.0.4", &body);
	}
	bool ready = strcmp(url, "/ready") == 0;
	if (!ready && strcmp(url, "/live") != 0)
		return respond(connection, MHD_HTTP_NOT_FOUND, "text/plain", &body);
	bool fine = !ready || metrics->source.ready(metrics->source.context, &body);
	if (!ready)
		str_add(&body, "{\"live\":true}\n");
	return respond(connection, fine ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, "application/json", &body);
}

static void
work(void *context)
{
	struct metrics *metrics = context;
	MHD_UNSIGNED_LONG_LONG left_ms;

	MHD_run(metrics->daemon);
	if (MHD_get_timeout(metrics->daemon, &left_ms) == MHD_YES)
		loop_timer_set(&metrics->timer, (int64_t)left_ms);
}

static void
on_readable(void *context, uint32_t events)
{
	(void)events;
	work(context);
}

static bool
numeric_address(const char *host, uint16_t port, struct sockaddr_storage *out)
{
	struct sockaddr_in *four = (struct sockaddr_in *)out;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, host, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = htons(port);
		return true;
	}
	six->sin6_family = AF_INET6;
	six->sin6_port = htons(port);
	return inet_pton(AF_INET6, host, &six->sin6_addr) == 1;
}

int
metrics_open(struct metrics **out, struct loop *loop, const char *host, uint16_t port, const struct metrics_source *source)
{
	struct sockaddr_storage address;

	if (!numeric_address(host, port, &address))
		return -EINVAL;
	struct metrics *metrics = xcalloc(1, sizeof(*metrics));
	metrics->source = *source;
	loop_timer_init(&metrics->timer, loop, work, metrics);
	errno = 0;
	metrics->daemon = MHD_start_daemon(MHD_USE_EPOLL | (address.ss_family == AF_INET6 ? MHD_USE_IPv6 : 0u), port, NULL, NULL, on_request,
			metrics, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS,
			MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)TIMEOUT_S, MHD_OPTION_END);
	if (!metrics->daemon) {
		int error = errno ? -errno : -EADDRINUSE;
		free(metrics);
		return error;
	}
	int fd = MHD_get_daemon_info(metrics->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
	int r = loop_add(loop, fd, EPOLLIN, on_readable, metrics, &metrics->watch);
	if (r) {
		metrics_close(metrics);
		return r;
	}
	*out = metrics;
	return 0;
}

void
metrics_close(struct metrics *metrics)
{
	if (!metrics)
		return;
	loop_timer_stop(&metrics->timer);
	loop_remove(metrics->watch);
	MHD_stop_daemon(metrics->daemon);
	free(metrics);
}
