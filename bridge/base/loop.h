/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

/*
 * The one epoll loop. A turn: wait, call what is ready, call the timers that are due, then
 * call the turn hook (which commits and sends). Sources and timers may be removed or
 * stopped at any time, also from within their own callback.
 */

#include "base/list.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct loop_source;

int loop_open(struct loop **out) MUST_USE;
/* Every source must have been removed. NULL is fine. */
void loop_close(struct loop *loop);

/* Watches fd (not owned) for EPOLLIN, EPOLLOUT...; `ready` gets the events. 0 or -errno. */
int loop_add(struct loop *loop, int fd, uint32_t events, void (*ready)(void *context, uint32_t events), void *context,
		struct loop_source **out) MUST_USE;
void loop_modify(struct loop_source *source, uint32_t events);
/* Does not close the fd, and must come before its close. NULL is fine. */
void loop_remove(struct loop_source *source);

/* A timer, embedded in its owner. Fires once, on the monotonic clock; it is stopped before its callback runs. */
struct loop_timer {
	struct list link; /* loop::timers, while armed */
	struct loop *loop;
	int64_t due_ms;
	void (*fire)(void *context);
	void *context;
};

void loop_timer_init(struct loop_timer *timer, struct loop *loop, void (*fire)(void *context), void *context);
/* Arms it anew, `delay_ms` from now (0: in the next turn). */
void loop_timer_set(struct loop_timer *timer, int64_t delay_ms);
/* Harmless when it is not armed. */
void loop_timer_stop(struct loop_timer *timer);
bool loop_timer_armed(const struct loop_timer *timer);

/* Called at the end of every turn; returning true means there is more to do and the next wait must not block. */
void loop_on_turn(struct loop *loop, bool (*turn)(void *context), void *context);

/* Runs until loop_stop(). 0 or -errno. */
int loop_run(struct loop *loop) MUST_USE;
/* One turn, waiting at most max_ms; for tests and sub-commands. */
int loop_once(struct loop *loop, int max_ms) MUST_USE;
void loop_stop(struct loop *loop);

#endif
