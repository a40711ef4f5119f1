/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One listening socket and a few connections, each of which owns the document that it is still writing. Nothing that
 * a client does can hold the daemon up: writes never block, and a client that does not read is cut after five seconds.
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
#include <sys/un.h>
#include <unistd.h>

#define CLIENTS 8
#define PATIENCE_MS 5000

struct client {
	struct control *control;
	int fd; /* -1: free */
	struct loop_source *source;
	struct loop_timer timer;
	struct str text;
	size_t sent;
};

struct control {
	struct loop *loop;
	struct loop_source *source;
	int fd;
	char *path;
	void (*answer)(void *context, struct str *json);
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
write_client(void *context, uint32_t events)
{
	struct client *client = context;
	size_t left = client->text.n - client->sent;
	ssize_t n = events & (EPOLLERR | EPOLLHUP) ? -1 : send(client->fd, str_get(&client->text) + client->sent, left, MSG_NOSIGNAL);

	if (n < 0 && !(events & (EPOLLERR | EPOLLHUP)) && (errno == EAGAIN || errno == EINTR))
		return;
	if (n >= 0)
		client->sent += (size_t)n;
	if (n < 0 || client->sent == client->text.n)
		drop_client(client);
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
	if (!client || loop_add(control->loop, fd, EPOLLOUT, write_client, client, &client->source)) {
		close(fd);
		return;
	}
	client->fd = fd;
	client->sent = 0;
	str_clear(&client->text);
	control->answer(control->context, &client->text);
	loop_timer_set(&client->timer, PATIENCE_MS);
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
control_open(struct control **out, struct loop *loop, const char *path, void (*answer)(void *context, struct str *json),
		void *context)
{
	int fd = listen_at(path);

	if (fd < 0)
		return error_trace(fd);
	struct control *control = xcalloc(1, sizeof(*control));
	*control = (struct control){ .loop = loop, .fd = fd, .answer = answer, .context = context };
	for (size_t i = 0; i < CLIENTS; i++) {
		struct client *client = &control->clients[i];
		client->control = control;
		client->fd = -1;
		str_init(&client->text, CONTROL_MAX);
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
read_all(int fd, struct str *text)
{
	int64_t until = now_monotonic_ms() + PATIENCE_MS;
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

int
control_ask(const char *path, char **out)
{
	struct sockaddr_un address;
	int error = name_socket(path, &address);
	int fd = error ? -1 : socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct str text;

	if (error)
		return error;
	if (fd < 0)
		return -errno;
	str_init(&text, CONTROL_MAX);
	error = connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : read_all(fd, &text);
	close(fd);
	if (!error)
		*out = str_take(&text);
	str_fini(&text);
	return error;
}
