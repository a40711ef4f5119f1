/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that one pass of the loop produced for a connection leaves by one write at its end. A connection that takes
 * nothing is asked again when it can; who fills it looks at buffer_left() and goes on in `drained`.
 */
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_SIZE 262144
#define LOW_WATER 131072
#define EVENTS 64

static int epoll_fd = -1;
static struct peer *dirty, *dead;
static void (*on_accepted)(struct peer *peer);
static void (*on_command)(char *line);
static void (*on_tick)(void);
static int tick_ms = -1;
static bool running = true;

_Noreturn void
wire_die(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s\n", what, why);
	exit(2);
}

int64_t
wire_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t
wire_real_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- buffers ---- */

static void
reserve(struct buffer *buffer, size_t more)
{
	if (buffer->done && buffer->done == buffer->n)
		buffer->done = buffer->n = 0;
	if (buffer->n + more + 1 <= buffer->room)
		return;
	if (buffer->done) {
		memmove(buffer->p, buffer->p + buffer->done, buffer->n - buffer->done);
		buffer->n -= buffer->done;
		buffer->done = 0;
	}
	while (buffer->n + more + 1 > buffer->room)
		buffer->room = buffer->room ? 2 * buffer->room : 4096;
	buffer->p = realloc(buffer->p, buffer->room);
	if (!buffer->p)
		wire_die("memory", "exhausted");
}

void
buffer_add(struct buffer *buffer, const char *p, size_t n)
{
	reserve(buffer, n);
	memcpy(buffer->p + buffer->n, p, n);
	buffer->n += n;
	buffer->p[buffer->n] = '\0';
}

void
buffer_addf(struct buffer *buffer, const char *format, ...)
{
	va_list args;

	for (size_t room = 2048;; room *= 4) {
		reserve(buffer, room);
		va_start(args, format);
		int n = vsnprintf(buffer->p + buffer->n, room, format, args);
		va_end(args);
		if (n < 0)
			wire_die("format", format);
		if ((size_t)n < room) {
			buffer->n += (size_t)n;
			return;
		}
	}
}

size_t
buffer_left(const struct buffer *buffer)
{
	return buffer->n - buffer->done;
}

/* ---- connections ---- */

struct peer *
wire_watch(int fd, void (*heard)(struct peer *peer), void *context)
{
	struct peer *peer = calloc(1, sizeof(*peer));
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = peer };

	if (!peer)
		wire_die("memory", "exhausted");
	*peer = (struct peer){ .fd = fd, .heard = heard, .context = context };
	if (epoll_fd < 0)
		epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		wire_die("epoll", strerror(errno));
	return peer;
}

void
wire_dirty(struct peer *peer)
{
	if (peer->dirty || peer->closed)
		return;
	peer->dirty = true;
	peer->next = dirty;
	dirty = peer;
}

void
wire_close(struct peer *peer)
{
	if (peer->closed)
		return;
	peer->closed = true;
	close(peer->fd);
	if (peer->gone)
		peer->gone(peer);
	if (!peer->dirty) {
		peer->next = dead;
		dead = peer;
	}
}

static void
arm(struct peer *peer, bool wanted)
{
	struct epoll_event event = { .events = EPOLLIN | (wanted ? (uint32_t)EPOLLOUT : 0), .data.ptr = peer };

	if (peer->armed == wanted)
		return;
	peer->armed = wanted;
	epoll_ctl(epoll_fd, EPOLL_CTL_MOD, peer->fd, &event);
}

static void
write_out(struct peer *peer)
{
	while (buffer_left(&peer->out) > 0) {
		ssize_t n = send(peer->fd, peer->out.p + peer->out.done, buffer_left(&peer->out), MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			wire_close(peer);
		if (n < 0)
			break;
		peer->out.done += (size_t)n;
		if (peer->drained && buffer_left(&peer->out) < LOW_WATER)
			peer->drained(peer);
	}
	if (!peer->closed)
		arm(peer, buffer_left(&peer->out) > 0);
}

static void
write_dirty(void)
{
	while (dirty) {
		struct peer *peer = dirty;
		dirty = peer->next;
		peer->dirty = false;
		if (!peer->closed)
			write_out(peer);
		if (peer->closed) {
			peer->next = dead;
			dead = peer;
		}
	}
	while (dead) {
		struct peer *peer = dead;
		dead = peer->next;
		free(peer->in.p);
		free(peer->out.p);
		free(peer);
	}
}

static void
read_in(struct peer *peer)
{
	reserve(&peer->in, READ_SIZE);
	ssize_t n = read(peer->fd, peer->in.p + peer->in.n, READ_SIZE);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		wire_close(peer);
		return;
	}
	peer->in.n += (size_t)n;
	peer->in.p[peer->in.n] = '\0';
	peer->heard(peer);
}

static void
on_listener(struct peer *listener)
{
	int on = 1, fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	on_accepted(wire_watch(fd, NULL, NULL));
}

void
wire_listen(uint16_t port, void (*accepted)(struct peer *peer))
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 128) < 0)
		wire_die("listen", strerror(errno));
	on_accepted = accepted;
	wire_watch(fd, on_listener, NULL);
}

int
wire_dial(uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

/* ---- the loop ---- */

static void
on_input(struct peer *input)
{
	char *end;

	while ((end = memchr(input->in.p + input->in.done, '\n', buffer_left(&input->in)))) {
		char *line = input->in.p + input->in.done;
		*end = '\0';
		input->in.done += (size_t)(end - line) + 1;
		on_command(line);
	}
}

void
wire_tick(void (*tick)(void), int ms)
{
	on_tick = tick;
	tick_ms = ms;
}

static void
look_at(const struct epoll_event *event, const struct peer *input)
{
	struct peer *peer = event->data.ptr;

	if (peer->closed)
		return;
	if (event->events & EPOLLOUT)
		wire_dirty(peer);
	if (!(event->events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	if (peer->fd == 0 || peer->heard == on_input) {
		read_in(peer);
		running = running && !input->closed;
	} else if (peer->heard == on_listener) {
		on_listener(peer);
	} else {
		read_in(peer);
	}
}

void
wire_run(void (*command)(char *line))
{
	struct epoll_event events[EVENTS];
	int64_t next_ns = wire_now_ns();

	on_command = command;
	struct peer *input = wire_watch(0, on_input, NULL);
	while (running) {
		int n = epoll_wait(epoll_fd, events, EVENTS, tick_ms);
		for (int i = 0; i < n; i++)
			look_at(&events[i], input);
		if (on_tick && wire_now_ns() >= next_ns) {
			on_tick();
			next_ns = wire_now_ns() + (int64_t)tick_ms * 1000000;
		}
		if (running)
			write_dirty();
	}
}

/* ---- what was said and what arrived ---- */

static struct {
	long expected, got, duplicated, reordered;
	long next[ROOMS_MAX];
	int64_t first_ns, last_ns;
	int32_t *waits_us; /* of each arrival */
	unsigned char *seen[ROOMS_MAX];
} count;

int
body_write(char *out, size_t size, long number)
{
	return snprintf(out, size, "fake %ld %lld " TEXT, number, (long long)wire_now_ns());
}

void
count_expect(long wanted)
{
	free(count.waits_us);
	for (int i = 0; i < ROOMS_MAX; i++)
		free(count.seen[i]);
	memset(&count, 0, sizeof(count));
	count.expected = wanted;
	count.waits_us = calloc((size_t)wanted + 1, sizeof(*count.waits_us));
}

static bool
is_new(unsigned room, long number)
{
	if (number < 0 || number >= count.expected)
		return false;
	if (!count.seen[room])
		count.seen[room] = calloc((size_t)count.expected + 1, 1);
	bool fresh = !count.seen[room][number];
	count.seen[room][number] = 1;
	return fresh;
}

static int
compare(const void *a, const void *b)
{
	int32_t left = *(const int32_t *)a, right = *(const int32_t *)b;

	return (left > right) - (left < right);
}

void
count_report(const char *word)
{
	size_t got = (size_t)count.got;

	if (count.waits_us)
		qsort(count.waits_us, got, sizeof(*count.waits_us), compare);
	double p50 = got ? count.waits_us[got / 2] / 1e3 : 0, p99 = got ? count.waits_us[got - 1 - got / 100] / 1e3 : 0;
	printf("%s %ld %.6f %.6f %.2f %.2f %ld %ld\n", word, count.got, (double)count.first_ns / 1e9, (double)count.last_ns / 1e9, p50,
			p99, count.duplicated, count.reordered);
	fflush(stdout);
}

void
count_arrived(unsigned room, const char *body)
{
	char *end;
	long number = strtol(body + 5, &end, 10);
	int64_t said_ns = strtoll(end, NULL, 10), now_ns = wire_now_ns();

	if (!count.expected)
		return;
	if (!is_new(room % ROOMS_MAX, number)) {
		count.duplicated++;
		return;
	}
	if (number < count.next[room % ROOMS_MAX])
		count.reordered++;
	else
		count.next[room % ROOMS_MAX] = number + 1;
	if (!count.got)
		count.first_ns = now_ns;
	count.last_ns = now_ns;
	count.waits_us[count.got++] = (int32_t)((now_ns - said_ns) / 1000);
	if (count.got == count.expected)
		count_report("got");
}
