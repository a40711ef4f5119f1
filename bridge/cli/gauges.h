/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_GAUGES_H
#define CLI_GAUGES_H

/* What is read off the daemon's parts when somebody asks: the gauges of /metrics, and what /ready answers. */

#include "base/str.h"
#include "core/core.h"

struct gauges_parts {
	struct core *core;
	struct port *matrix, *jabber;
	const bool *ready;
};

/* Appends every gauge, then the counters of base/metric.h. Looks at the newest 10,000 messages for the ledger, not at all. */
void gauges_write(const struct gauges_parts *parts, struct str *out);

/*
 * Appends one JSON object that names each part and whether it is well: {"ready":...,"database":...,"matrix":...,"xmpp":...}.
 * Returns whether all are.
 */
bool gauges_health(const struct gauges_parts *parts, struct str *out);

#endif
