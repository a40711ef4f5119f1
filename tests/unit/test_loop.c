/* SPDX-License-Identifier: Apache-2.0 */
/* The loop: sources, timers, and their removal from within callbacks. */
#include "base/loop.h"

#include "base/now.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static struct loop *loop;

static int
set_up(void **state)
{
	(void)state;
	return loop_open(&loop);
}

static int
tear_down(void **state)
{
	(void)state;
	loop_close(loop);
	return 0;
}

struct pipe_end {
	int fd[2];
	struct loop_source *source;
	struct pipe_end *victim;
	int calls;
};

static void
open_pipe(struct pipe_end *end, void (*ready)(void *context, uint32_t events))
{
	memset(end, 0, sizeof(*end));
	assert_int_equal(pipe(end->fd), 0);
	assert_int_equal(loop_add(loop, end->fd[0], EPOLLIN, ready, end, &end->source), 0);
	assert_int_equal(write(end->fd[1], "x", 1), 1);
}

static void
close_pipe(struct pipe_end *end)
{
	loop_remove(end->source);
	close(end->fd[0]);
	close(end->fd[1]);
}

static void
read_one(void *context, uint32_t events)
{
	struct pipe_end *end = context;
	char c;

	assert_true(events & EPOLLIN);
	assert_int_equal(read(end->fd[0], &c, 1), 1);
	end->calls++;
}

static void
test_source(void **state)
{
	(void)state;
	struct pipe_end end;

	open_pipe(&end, read_one);
	assert_int_equal(loop_once(loop, 1000), 0);
	assert_int_equal(end.calls, 1);
	assert_int_equal(loop_once(loop, 0), 0);
	assert_int_equal(end.calls, 1);
	loop_modify(end.source, 0);
	assert_int_equal(write(end.fd[1], "x", 1), 1);
	assert_int_equal(loop_once(loop, 0), 0);
	assert_int_equal(end.calls, 1);
	loop_modify(end.source, EPOLLIN);
	assert_int_equal(loop_once(loop, 1000), 0);
	assert_int_equal(end.calls, 2);
	close_pipe(&end);
	loop_remove(NULL);
	struct loop_source *source;
	assert_true(loop_add(loop, -1, EPOLLIN, read_one, NULL, &source) < 0);
}

static void
remove_victim(void *context, uint32_t events)
{
	struct pipe_end *end = context;

	(void)events;
	end->calls++;
	loop_remove(end->victim->source);
	loop_remove(end->source);
}

/* Both are ready in one turn; whichever comes first removes both, and the other must not be called. */
static void
test_removed_by_another(void **state)
{
	(void)state;
	struct pipe_end one, two;

	open_pipe(&one, remove_victim);
	open_pipe(&two, remove_victim);
	one.victim = &two;
	two.victim = &one;
	assert_int_equal(loop_once(loop, 1000), 0);
	assert_int_equal(one.calls + two.calls, 1);
	assert_int_equal(loop_once(loop, 0), 0);
	assert_int_equal(one.calls + two.calls, 1);
	for (int i = 0; i < 2; i++) {
		close(one.fd[i]);
		close(two.fd[i]);
	}
}

struct alarm {
	struct loop_timer timer;
	struct alarm *other;
	int fired, order;
	int64_t again_ms;
};

static int order;

static void
fire(void *context)
{
	struct alarm *alarm = context;

	assert_false(loop_timer_armed(&alarm->timer));
	alarm->fired++;
	alarm->order = ++order;
	if (alarm->other)
		loop_timer_stop(&alarm->other->timer);
	if (alarm->again_ms)
		loop_timer_set(&alarm->timer, alarm->again_ms);
}

static void
arm(struct alarm *alarm, int64_t delay_ms)
{
	memset(alarm, 0, sizeof(*alarm));
	loop_timer_init(&alarm->timer, loop, fire, alarm);
	loop_timer_set(&alarm->timer, delay_ms);
}

static void
run_for(int64_t ms)
{
	for (int64_t until = now_monotonic_ms() + ms, left; (left = until - now_monotonic_ms()) > 0;)
		assert_int_equal(loop_once(loop, (int)left), 0);
}

static void
test_timers(void **state)
{
	(void)state;
	struct alarm late, early, never;

	order = 0;
	arm(&late, 40);
	arm(&early, 10);
	arm(&never, 20);
	loop_timer_stop(&never.timer);
	loop_timer_stop(&never.timer);
	int64_t begin = now_monotonic_ms();
	while (!late.fired)
		assert_int_equal(loop_once(loop, 1000), 0);
	assert_true(now_monotonic_ms() - begin >= 39);
	assert_int_equal(early.fired, 1);
	assert_int_equal(early.order, 1);
	assert_int_equal(late.order, 2);
	assert_int_equal(never.fired, 0);
	loop_timer_set(&early.timer, 100000);
	loop_timer_set(&early.timer, 5); /* armed anew, not twice */
	run_for(30);
	assert_int_equal(early.fired, 2);
}

static void
test_timer_stopped_by_another(void **state)
{
	(void)state;
	struct alarm one, two;

	arm(&one, 5);
	arm(&two, 6);
	one.other = &two;
	usleep(20000); /* both are due in the same turn */
	assert_int_equal(loop_once(loop, 1000), 0);
	assert_int_equal(one.fired, 1);
	assert_int_equal(two.fired, 0);
}

static void
test_timer_again(void **state)
{
	(void)state;
	struct alarm alarm;

	arm(&alarm, 1);
	alarm.again_ms = 5;
	run_for(60);
	assert_in_range(alarm.fired, 3, 12);
	loop_timer_stop(&alarm.timer);
}

static int turns;

static bool
turn(void *context)
{
	turns++;
	if (turns == 3)
		loop_stop(context);
	return turns < 3;
}

/* While the turn says that there is more to do, nothing waits. */
static void
test_turn(void **state)
{
	(void)state;
	struct alarm guard;

	turns = 0;
	loop_on_turn(loop, turn, loop);
	arm(&guard, 1);
	int64_t begin = now_monotonic_ms();
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(turns, 3);
	assert_true(now_monotonic_ms() - begin < 500);
	loop_timer_stop(&guard.timer);
}

#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_LOOP(test_source), WITH_LOOP(test_removed_by_another), WITH_LOOP(test_timers),
		WITH_LOOP(test_timer_stopped_by_another), WITH_LOOP(test_timer_again), WITH_LOOP(test_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
