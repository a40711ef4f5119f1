/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One listening socket and a few connections, each of which reads one line, waits for its answer and then writes it.
 * Nothing that a client does can hold the daemon up: neither reads nor writes block, and a client that neither asks nor
 * reads is cut after five seconds. Answers find their client by a ticket, so one that left in between is harmless.
 */
#include "cli/control.h"

#include "base/log.h"
#include "base/now.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define CLIENTS 8

struct client {
	struct control *control;
	int fd; /* -1: free */
	uint64_t ticket;
	bool asked; /* the line has come */
	struct loop_source *source;
	struct loop_timer timer;
	struct str text; /* the line, then the answer */
	size_t sent;
};

struct control {
	struct loop *loop;
	struct loop_source *source;
	int fd;
	char *path;
	uint64_t tickets; /* given so far */
	void (*asked)(void *context, uint64_t ticket, const char *request);
	void *context;
	struct client clients[CLIENTS];
};

static int
name_socket(const char *path, struct sockaddr_un *address)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(address->sun_path))
		return -ENAMETOOLONG;
	memcpy(address->sun_path, path, strlen(path) + 1);
	return 0;
}

static void
drop_client(struct client *client)
{
	if (client->fd < 0)
		return;
	loop_timer_stop(&client->timer);
	loop_remove(client->source);
	close(client->fd);
	str_fini(&client->text);
	client->fd = -1;
}

static void
time_out(void *context)
{
	drop_client(context);
}

static void
write_client(struct client *client)
{
	size_t left = client->text.n - client->sent;
	ssize_t n = send(client->fd, str_get(&client->text) + client->sent, left, MSG_NOSIGNAL);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n >= 0)
		client->sent += (size_t)n;
	if (n < 0 || client->sent == client->text.n)
		drop_client(client);
}

static void
read_client(struct client *client)
{
	char buffer[512];
	ssize_t n = recv(client->fd, buffer, sizeof(buffer), 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	const char *end = n > 0 ? memchr(buffer, '\n', (size_t)n) : NULL;
	if (n > 0)
		str_add_n(&client->text, buffer, end ? (size_t)(end - buffer) : (size_t)n);
	if (n <= 0 || client->text.full) {
		drop_client(client);
		return;
	}
	if (!end)
		return;
	AUTO_FREE char *request = xstrdup(str_get(&client->text));
	client->asked = true;
	loop_timer_stop(&client->timer);
	loop_modify(client->source, 0); /* EPOLLHUP comes all the same */
	client->control->asked(client->control->context, client->ticket, request);
}

static void
serve_client(void *context, uint32_t events)
{
	struct client *client = context;

	if (events & EPOLLOUT)
		write_client(client);
	else if (events & EPOLLIN)
		read_client(client);
	else if (events & (EPOLLERR | EPOLLHUP))
		drop_client(client);
}

void
control_answer(struct control *control, uint64_t ticket, const char *json, size_t n)
{
	for (size_t i = 0; control && i < CLIENTS; i++) {
		struct client *client = &control->clients[i];
		if (client->fd < 0 || client->ticket != ticket)
			continue;
		str_fini(&client->text);
		str_init(&client->text, CONTROL_MAX);
		str_add_n(&client->text, json, n);
		if (client->text.full) {
			drop_client(client);
			return;
		}
		loop_modify(client->source, EPOLLOUT);
		loop_timer_set(&client->timer, CONTROL_PATIENCE_MS);
		return;
	}
}

static struct client *
free_client(struct control *control)
{
	for (size_t i = 0; i < CLIENTS; i++)
		if (control->clients[i].fd < 0)
			return &control->clients[i];
	return NULL;
}

static void
take_client(void *context, uint32_t events)
{
	struct control *control = context;
	int fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client *client = free_client(control);

	(void)events;
	if (fd < 0)
		return;
	if (!client || loop_add(control->loop, fd, EPOLLIN, serve_client, client, &client->source)) {
		close(fd);
		return;
	}
	client->fd = fd;
	client->ticket = ++control->tickets;
	client->asked = false;
	client->sent = 0;
	str_init(&client->text, CONTROL_LINE_MAX);
	loop_timer_set(&client->timer, CONTROL_PATIENCE_MS);
}

static int
listen_at(const char *path)
{
	struct sockaddr_un address;
	int error = name_socket(path, &address);
	int fd = error ? -1 : socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (error)
		return error;
	if (fd < 0)
		return -errno;
	unlink(path);
	/* Until listen() nobody can connect, so the mode is right in time. */
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || chmod(path, 0600) < 0 || listen(fd, CLIENTS) < 0) {
		error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

int
control_open(struct control **out, struct loop *loop, const char *path,
		void (*asked)(void *context, uint64_t ticket, const char *request), void *context)
{
	int fd = listen_at(path);

	if (fd < 0)
		return error_trace(fd);
	struct control *control = xcalloc(1, sizeof(*control));
	*control = (struct control){ .loop = loop, .fd = fd, .asked = asked, .context = context };
	for (size_t i = 0; i < CLIENTS; i++) {
		struct client *client = &control->clients[i];
		client->control = control;
		client->fd = -1;
		loop_timer_init(&client->timer, loop, time_out, client);
	}
	control->path = xstrdup(path);
	int r = loop_add(loop, fd, EPOLLIN, take_client, control, &control->source);
	if (r) {
		control_close(control);
		return error_trace(r);
	}
	*out = control;
	return 0;
}

void
control_close(struct control *control)
{
	if (!control)
		return;
	for (size_t i = 0; i < CLIENTS; i++)
		drop_client(&control->clients[i]);
	loop_remove(control->source);
	close(control->fd);
	unlink(control->path);
	free(control->path);
	free(control);
}

/* ---- the other end ---- */

static int
read_all(int fd, int64_t until, struct str *text)
{
	char buffer[4096];

	for (;;) {
		struct pollfd wait = { .fd = fd, .events = POLLIN };
		int64_t left = until - now_monotonic_ms();
		int ready = left > 0 ? poll(&wait, 1, (int)left) : 0;
		if (ready < 0 && errno != EINTR)
			return -errno;
		if (ready == 0)
			return -ETIMEDOUT;
		ssize_t n = ready > 0 ? recv(fd, buffer, sizeof(buffer), 0) : 1;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return text->full || !text->n ? -EPROTO : 0;
		if (ready > 0 && n > 0)
			str_add_n(text, buffer, (size_t)n);
	}
}

/* The line fits into the socket's buffer, so it does not block. */
static int
write_line(int fd, const char *request)
{
	AUTO_FREE char *line = xasprintf("%s\n", request);
	size_t n = strlen(line);

	return send(fd, line, n, MSG_NOSIGNAL) == (ssize_t)n ? 0 : -EPROTO;
}

int
control_ask(const char *path, const char *request, int64_t patience_ms, char **out)
{
	struct sockaddr_un address;
	struct timeval patience = { patience_ms / 1000, patience_ms % 1000 * 1000 };
	int error = name_socket(path, &address);
	int fd = error ? -1 : socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct str text;

	if (error)
		return error;
	if (fd < 0)
		return -errno;
	str_init(&text, CONTROL_MAX);
	/* unix(7): connect() waits while the queue is full, which that of a daemon that hangs is after some health checks. */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	error = connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : write_line(fd, request);
	if (error == -EAGAIN)
		error = -ETIMEDOUT;
	if (!error)
		error = read_all(fd, now_monotonic_ms() + patience_ms, &text);
	close(fd);
	if (!error)
		*out = str_take(&text);
	str_fini(&text);
	return error;
}
