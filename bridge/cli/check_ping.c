/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The homeserver's ping must find somebody at appservice.address. When no daemon runs, a child process stands in: it
 * answers the ping as the daemon would and refuses everything else with 503, so that the homeserver keeps its events.
 */
#include "cli/check.h"

#include "base/seal.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define HEAD_MAX 16384
#define PATIENCE_MS 3000

struct check_responder {
	pid_t child;
};

static int
listen_at(const char *host, uint16_t port)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(port) };
	bool is_four = inet_pton(AF_INET, host, &four.sin_addr) == 1;
	int one = 1;

	if (!is_four && inet_pton(AF_INET6, host, &six.sin6_addr) != 1)
		return -EINVAL;
	int fd = socket(is_four ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	const struct sockaddr *address = is_four ? (const struct sockaddr *)&four : (const struct sockaddr *)&six;
	if (bind(fd, address, is_four ? sizeof(four) : sizeof(six)) < 0 || listen(fd, 8) < 0) {
		int error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

/* Whether the request's head is complete and carries our hs_token. */
static bool
is_authorised(const char *head, const char *hs_token)
{
	static const char name[] = "\nauthorization: bearer ";
	const char *value = strcasestr(head, name);

	if (!value)
		return false;
	value += strlen(name);
	AUTO_FREE char *token = xstrndup(value, strcspn(value, "\r\n"));
	return seal_same(token, hs_token);
}

static const char *
status_for(const char *head, const char *hs_token)
{
	if (!is_authorised(head, hs_token))
		return "403 Forbidden";
	return str_starts(head, "POST /_matrix/app/v1/ping") ? "200 OK" : "503 Service Unavailable";
}

static void
serve(int fd, const char *hs_token)
{
	char head[HEAD_MAX + 1];
	size_t n = 0;

	for (;;) {
		struct pollfd wait = { .fd = fd, .events = POLLIN };
		ssize_t got = n < HEAD_MAX && poll(&wait, 1, PATIENCE_MS) > 0 ? recv(fd, head + n, HEAD_MAX - n, 0) : -1;
		if (got <= 0)
			return;
		n += (size_t)got;
		head[n] = '\0';
		if (strstr(head, "\r\n\r\n"))
			break;
	}
	AUTO_FREE char *answer = xasprintf("HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
			status_for(head, hs_token));
	if (send(fd, answer, strlen(answer), MSG_NOSIGNAL) < 0 || shutdown(fd, SHUT_WR) < 0)
		return;
	while (recv(fd, head, HEAD_MAX, MSG_DONTWAIT) > 0) /* else the close would reset the connection under the answer */
		;
}

int
check_responder_open(struct check_responder **out, const struct config *config)
{
	int fd = listen_at(config->appservice.hostname, config->appservice.port);

	if (fd < 0)
		return fd;
	pid_t child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;) {
			int client = accept(fd, NULL, NULL);
			if (client < 0)
				_exit(0);
			serve(client, config->registration.hs_token);
			close(client);
		}
	}
	int error = child < 0 ? -errno : 0;
	close(fd);
	if (error)
		return error;
	*out = xcalloc(1, sizeof(**out));
	(*out)->child = child;
	return 0;
}

void
check_responder_close(struct check_responder *responder)
{
	if (!responder)
		return;
	kill(responder->child, SIGKILL);
	waitpid(responder->child, NULL, 0);
	free(responder);
}
