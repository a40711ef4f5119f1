/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_METRICS_H
#define CLI_METRICS_H

/*
 * The loopback listener for machines: GET /metrics (Prometheus text 0.0.4), /live and /ready (200 or 503, JSON).
 * No user or room is ever named in a metric.
 */

#include "base/loop.h"
#include "base/str.h"

#include <stdint.h>

struct metrics;

struct metrics_source {
	/* Appends a JSON object that names what is well and what is not; returns whether everything is. */
	bool (*ready)(void *context, struct str *out);
	/* Appends the exposition to `out`. */
	void (*write)(void *context, struct str *out);
	void *context;
};

/* Listens on a numeric address. `source` is copied, its context borrowed. 0 or -errno (-EADDRINUSE). */
int metrics_open(struct metrics **out, struct loop *loop, const char *host, uint16_t port, const struct metrics_source *source) MUST_USE;
/* NULL is fine. */
void metrics_close(struct metrics *metrics);

#endif
