/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

/*
 * What both fast fakes stand on: buffers, one epoll loop, commands by lines on standard input, and the count of what
 * arrives. Nothing here is Sourdine's, so that a fake costs next to nothing and shares no fault with what it measures.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
	char *p;            /* NUL-terminated; NULL while empty */
	size_t n, room;
	size_t done;        /* leading bytes that are used up */
};

void buffer_add(struct buffer *buffer, const char *p, size_t n);
__attribute__((format(printf, 2, 3))) void buffer_addf(struct buffer *buffer, const char *format, ...);
size_t buffer_left(const struct buffer *buffer);

/* A connection, or standard input. `heard` takes what it can from `in` by moving in.done; `drained` may add to `out`. */
struct peer {
	int fd;
	struct buffer in, out;
	bool dirty, closed, armed;
	void (*heard)(struct peer *peer);
	void (*drained)(struct peer *peer); /* little is left to write; or NULL */
	void (*gone)(struct peer *peer);    /* it is closed, and freed soon; or NULL */
	void *context;
	struct peer *next;
};

struct peer *wire_watch(int fd, void (*heard)(struct peer *peer), void *context);
/* Listens on a loopback port; `accepted` gets each new connection. Ends the program when it cannot. */
void wire_listen(uint16_t port, void (*accepted)(struct peer *peer));
/* A connected loopback socket, or -1. */
int wire_dial(uint16_t port);
void wire_close(struct peer *peer);
void wire_dirty(struct peer *peer);
/* Calls `tick` every `ms` milliseconds. */
void wire_tick(void (*tick)(void), int ms);
/* Until standard input ends; each of its lines goes to `command`. */
void wire_run(void (*command)(char *line));

int64_t wire_now_ns(void);
int64_t wire_real_ms(void);
_Noreturn void wire_die(const char *what, const char *why);

/* ---- what was said and what arrived ---- */

#define ROOMS_MAX 512
#define TEXT "une phrase un peu plus longue, pour que toutes ne tiennent pas dans le même nombre d'octets"

/* Body of message `number` of a room: "fake NUMBER NANOSECONDS text". */
int body_write(char *out, size_t size, long number);

/* Starts to expect `count` messages in all, numbered from 0 in each room. */
void count_expect(long count);
/* A message of `room` arrived; `body` begins with "fake ". Prints the line of figures when it was the last one. */
void count_arrived(unsigned room, const char *body);
/* Prints the figures as they are now: got COUNT FIRST LAST P50 P99 DUPLICATED REORDERED. Times in seconds, latencies in ms. */
void count_report(const char *word);

#endif
