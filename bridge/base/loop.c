/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epoll plus timers in an unsorted list: there are a few per room, and finding the
 * earliest of some hundred is cheaper than a system call. A removed source is only
 * marked, and swept between turns, so that a callback may remove any of them.
 */
#include "base/loop.h"

#include "base/log.h"
#include "base/now.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_PER_TURN 64

struct loop_source {
	struct list link; /* loop::sources or loop::removed */
	struct loop *loop;
	int fd;
	bool removed;
	void (*ready)(void *context, uint32_t events);
	void *context;
};

struct loop {
	int fd;
	bool stopping, more;
	struct list sources; /* owns: loop_source::link */
	struct list removed; /* owns: loop_source::link */
	struct list timers;  /* borrows: loop_timer::link */
	bool (*turn)(void *context);
	void *turn_context;
};

int
loop_open(struct loop **out)
{
	struct loop *loop = xcalloc(1, sizeof(*loop));

	loop->fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->fd < 0) {
		int error = -errno;
		free(loop);
		return error;
	}
	list_init(&loop->sources);
	list_init(&loop->removed);
	list_init(&loop->timers);
	*out = loop;
	return 0;
}

static void
sweep(struct loop *loop)
{
	struct loop_source *source;

	LIST_FOR_EACH(source, &loop->removed, struct loop_source, link) {
		list_remove(&source->link);
		free(source);
	}
}

void
loop_close(struct loop *loop)
{
	if (!loop)
		return;
	sweep(loop);
	close(loop->fd);
	free(loop);
}

int
loop_add(struct loop *loop, int fd, uint32_t events, void (*ready)(void *context, uint32_t events), void *context,
		struct loop_source **out)
{
	struct loop_source *source = xcalloc(1, sizeof(*source));
	struct epoll_event event = { .events = events, .data.ptr = source };

	*source = (struct loop_source){ .loop = loop, .fd = fd, .ready = ready, .context = context };
	if (epoll_ctl(loop->fd, EPOLL_CTL_ADD, fd, &event) < 0) {
		int error = -errno;
		free(source);
		return error;
	}
	list_append(&loop->sources, &source->link);
	*out = source;
	return 0;
}

void
loop_modify(struct loop_source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	epoll_ctl(source->loop->fd, EPOLL_CTL_MOD, source->fd, &event);
}

void
loop_remove(struct loop_source *source)
{
	if (!source || source->removed)
		return;
	epoll_ctl(source->loop->fd, EPOLL_CTL_DEL, source->fd, NULL);
	source->removed = true;
	list_remove(&source->link);
	list_append(&source->loop->removed, &source->link);
}

void
loop_timer_init(struct loop_timer *timer, struct loop *loop, void (*fire)(void *context), void *context)
{
	*timer = (struct loop_timer){ .loop = loop, .fire = fire, .context = context };
	list_init(&timer->link);
}

void
loop_timer_set(struct loop_timer *timer, int64_t delay_ms)
{
	loop_timer_stop(timer);
	timer->due_ms = now_monotonic_ms() + delay_ms;
	list_append(&timer->loop->timers, &timer->link);
}

void
loop_timer_stop(struct loop_timer *timer)
{
	list_remove(&timer->link);
}

bool
loop_timer_armed(const struct loop_timer *timer)
{
	return !list_empty(&timer->link);
}

void
loop_on_turn(struct loop *loop, bool (*turn)(void *context), void *context)
{
	loop->turn = turn;
	loop->turn_context = context;
}

static int
wait_ms(struct loop *loop, int max_ms)
{
	int64_t earliest = INT64_MAX;
	struct loop_timer *timer;

	if (loop->more)
		return 0;
	LIST_FOR_EACH(timer, &loop->timers, struct loop_timer, link)
		if (timer->due_ms < earliest)
			earliest = timer->due_ms;
	if (earliest == INT64_MAX)
		return max_ms;
	int64_t left = earliest - now_monotonic_ms();
	if (left < 0)
		left = 0;
	return max_ms >= 0 && left > max_ms ? max_ms : (int)(left > 3600000 ? 3600000 : left);
}

/* Each call fires at most one timer, because a callback may stop any other. */
static bool
fire_one(struct loop *loop, int64_t now_ms)
{
	struct loop_timer *timer, *first = NULL;

	LIST_FOR_EACH(timer, &loop->timers, struct loop_timer, link)
		if (timer->due_ms <= now_ms && (!first || timer->due_ms < first->due_ms))
			first = timer;
	if (!first)
		return false;
	loop_timer_stop(first);
	first->fire(first->context);
	return true;
}

int
loop_once(struct loop *loop, int max_ms)
{
	struct epoll_event events[EVENTS_PER_TURN];
	int n = epoll_wait(loop->fd, events, EVENTS_PER_TURN, wait_ms(loop, max_ms));

	if (n < 0 && errno != EINTR)
		return -errno;
	for (int i = 0; i < n; i++) {
		struct loop_source *source = events[i].data.ptr;
		if (!source->removed)
			source->ready(source->context, events[i].events);
	}
	/* The instant is taken once, so that a timer armed with 0 waits for the next turn. */
	int64_t now_ms = now_monotonic_ms();
	for (int i = 0; i < 1024 && fire_one(loop, now_ms); i++)
		;
	loop->more = loop->turn && loop->turn(loop->turn_context);
	sweep(loop);
	return 0;
}

int
loop_run(struct loop *loop)
{
	loop->stopping = false;
	while (!loop->stopping) {
		int r = loop_once(loop, -1);
		if (r < 0)
			return error_trace(r);
	}
	return 0;
}

void
loop_stop(struct loop *loop)
{
	loop->stopping = true;
}
