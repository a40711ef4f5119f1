/* SPDX-License-Identifier: Apache-2.0 */
/* Plain numbers: one thread writes, the same thread reads. */
#include "base/metric.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *type, *name, *labels, *help;
} rows[METRIC_COUNT] = {
#define X(identifier, type, name, labels, help) [identifier] = { type, name, labels, help },
	METRICS(X)
#undef X
};

static const struct {
	const char *name, *help;
} durations[DURATION_COUNT] = {
#define X(identifier, name, help) [identifier] = { name, help },
	DURATIONS(X)
#undef X
};

/* Upper ends of the buckets, ms. A digest may be hours late, an answer should take some milliseconds. */
static const int64_t bounds[] = { 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 30000, 600000 };
#define BOUNDS (sizeof(bounds) / sizeof(bounds[0]))

static int64_t values[METRIC_COUNT];
static struct {
	int64_t buckets[BOUNDS + 1], sum_ms, count;
} observed[DURATION_COUNT];

void
metric_add(enum metric metric, int64_t n)
{
	values[metric] += n;
}

void
metric_set(enum metric metric, int64_t value)
{
	values[metric] = value;
}

int64_t
metric_get(enum metric metric)
{
	return values[metric];
}

void
metric_observe(enum duration duration, int64_t ms)
{
	size_t i = 0;

	while (i < BOUNDS && ms > bounds[i])
		i++;
	observed[duration].buckets[i]++;
	observed[duration].sum_ms += ms;
	observed[duration].count++;
}

static void
write_seconds(char *out, size_t size, int64_t ms)
{
	snprintf(out, size, "%" PRId64 ".%03d", ms / 1000, (int)(ms % 1000));
}

static void
write_duration(struct str *out, enum duration duration)
{
	const char *name = durations[duration].name;
	int64_t so_far = 0;
	char seconds[32];

	str_addf(out, "# HELP sourdine_%s %s\n# TYPE sourdine_%s histogram\n", name, durations[duration].help, name);
	for (size_t i = 0; i < BOUNDS; i++) {
		so_far += observed[duration].buckets[i];
		write_seconds(seconds, sizeof(seconds), bounds[i]);
		str_addf(out, "sourdine_%s_bucket{le=\"%s\"} %" PRId64 "\n", name, seconds, so_far);
	}
	write_seconds(seconds, sizeof(seconds), observed[duration].sum_ms);
	str_addf(out, "sourdine_%s_bucket{le=\"+Inf\"} %" PRId64 "\nsourdine_%s_sum %s\nsourdine_%s_count %" PRId64 "\n", name,
			observed[duration].count, name, seconds, name, observed[duration].count);
}

void
metric_write(struct str *out)
{
	const char *last = "";

	for (int i = 0; i < METRIC_COUNT; i++) {
		if (strcmp(last, rows[i].name) != 0)
			str_addf(out, "# HELP sourdine_%s %s\n# TYPE sourdine_%s %s\n", rows[i].name, rows[i].help, rows[i].name, rows[i].type);
		last = rows[i].name;
		const char *open = *rows[i].labels ? "{" : "", *close = *rows[i].labels ? "}" : "";
		str_addf(out, "sourdine_%s%s%s%s %" PRId64 "\n", rows[i].name, open, rows[i].labels, close, values[i]);
	}
	for (int i = 0; i < DURATION_COUNT; i++)
		write_duration(out, (enum duration)i);
}
