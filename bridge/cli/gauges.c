/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of names and values; nothing here is kept. */
#include "config.h"

#include "cli/gauges.h"

#include "base/metric.h"
#include "base/now.h"
#include "core/inbox_rows.h"
#include "core/ledger.h"
#include "core/outbox_rows.h"
#include "core/pressure.h"
#include "matrix/crypto/report.h"
#include "matrix/matrix.h"
#include "xmpp/jabber.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define LEDGER_WINDOW 10000

struct gauge {
	const char *name, *labels, *help; /* help NULL: a further row of the name before */
	int64_t value;
};

static void
write_gauges(struct str *out, const struct gauge *gauges, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (gauges[i].help)
			str_addf(out, "# HELP %s %s\n# TYPE %s gauge\n", gauges[i].name, gauges[i].help, gauges[i].name);
		str_addf(out, "%s%s %" PRId64 "\n", gauges[i].name, gauges[i].labels, gauges[i].value);
	}
}

static int64_t
ask(struct store *store, enum statement statement)
{
	struct query query = store_query(store, statement);

	return query_number(&query);
}

static int64_t
ledger_newest_difference(struct store *store)
{
	int64_t newest = ledger_newest(store);
	struct ledger ledger;

	ledger_count(store, newest > LEDGER_WINDOW ? newest - LEDGER_WINDOW : 0, &ledger);
	return ledger_difference(&ledger);
}

static void
write_messages(const struct gauges_parts *parts, struct str *out)
{
	struct store *store = parts->core->store;
	struct outbox_counts counts;
	int64_t now_ms = now_rules_ms();

	outbox_count(parts->core->outbox, &counts);
	int64_t oldest_ms = ask(store, OUTBOX_OLDEST_HELD);
	AUTO_FREE char *build = xasprintf("{version=\"" PACKAGE_VERSION "\",libolm=\"%s\",libstrophe=\"" STROPHE_VERSION "\"}", report_library());
	const struct gauge gauges[] = {
		{ "sourdine_build_info", build, "The version that runs, and of what it is made; libolm is empty when it was built without.", 1 },
		{ "sourdine_test_clock", "", "1: rules do not follow the real time.", now_is_test_clock() },
		{ "sourdine_up", "{side=\"matrix\"}", "Whether the link to this side is up.", matrix_connected(parts->matrix) },
		{ "sourdine_up", "{side=\"xmpp\"}", NULL, jabber_connected(parts->jabber) },
		{ "sourdine_rooms_joined", "{side=\"matrix\"}", "Rooms that we are in.", matrix_joined(parts->matrix) },
		{ "sourdine_rooms_joined", "{side=\"xmpp\"}", NULL, jabber_joined(parts->jabber) },
		{ "sourdine_unjudged_messages", "", "Accepted and not judged yet.", ask(store, INBOX_COUNT) },
		{ "sourdine_held_messages", "", "Held by a rule.", counts.held },
		{ "sourdine_held_oldest_seconds", "", "Since when the oldest of them waits.", oldest_ms ? (now_ms - oldest_ms) / 1000 : 0 },
		{ "sourdine_outbox_messages", "{state=\"waiting\"}", "Rows that are due.", counts.waiting },
		{ "sourdine_outbox_messages", "{state=\"in_flight\"}", NULL, counts.flying },
		{ "sourdine_outbox_messages", "{state=\"in_doubt\"}", NULL, counts.tried },
		{ "sourdine_quarantined_messages", "", "Set aside, raw.", ask(store, QUARANTINE_COUNT) },
		{ "sourdine_ledger_difference", "", "Accepted minus all states, over the newest 10000 messages; anything but 0 is a fault.",
			ledger_newest_difference(store) },
		{ "sourdine_accepting", "", "0: the disk is full, or the backlog too long.", inbox_has_room(parts->core->inbox) },
		{ "sourdine_db_size_bytes", "", "Database and its log.", store_size(store) },
	};

	write_gauges(out, gauges, sizeof(gauges) / sizeof(gauges[0]));
}

static void
write_crypto(struct store *store, struct str *out)
{
	struct query query = store_query(store, C_COUNTS);
	int64_t n[6] = { 0 };

	bool found = query_step(&query);
	for (int i = 0; found && i < 6; i++)
		n[i] = query_get_int(&query, i);
	query_done(&query);
	const struct gauge gauges[] = {
		{ "sourdine_olm_devices", "", "Devices of our users, the bot's among them.", n[0] },
		{ "sourdine_encrypted_rooms", "", "Matrix rooms that were ever seen encrypted.", n[1] },
		{ "sourdine_megolm_sessions", "{direction=\"in\"}", "Megolm sessions whose key is kept: of others, and our own.", n[2] },
		{ "sourdine_megolm_sessions", "{direction=\"out\"}", NULL, n[3] },
		{ "sourdine_undecrypted_messages", "{state=\"waiting\"}", "Encrypted messages without their key: their room waits, or went on.", n[4] },
		{ "sourdine_undecrypted_messages", "{state=\"aside\"}", NULL, n[5] },
	};

	write_gauges(out, gauges, sizeof(gauges) / sizeof(gauges[0]));
}

static int64_t
count_files(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int64_t count = -3; /* ".", ".." and the directory's own */

	if (!directory)
		return 0;
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static int64_t
resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	char line[256];

	if (!file)
		return 0;
	long long pages = fgets(line, sizeof(line), file) ? strtoll(line + strcspn(line, " "), NULL, 10) : 0;
	fclose(file);
	return pages * sysconf(_SC_PAGESIZE);
}

static void
write_process(struct str *out)
{
	struct rusage usage = { 0 };
	const struct gauge gauges[] = {
		{ "process_resident_memory_bytes", "", "Resident memory.", resident_bytes() },
		{ "process_open_fds", "", "Open file descriptors.", count_files() },
	};

	write_gauges(out, gauges, sizeof(gauges) / sizeof(gauges[0]));
	getrusage(RUSAGE_SELF, &usage);
	int64_t ms = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
	str_addf(out, "# HELP process_cpu_seconds_total CPU time.\n# TYPE process_cpu_seconds_total counter\n"
			"process_cpu_seconds_total %" PRId64 ".%03d\n", ms / 1000, (int)(ms % 1000));
}

void
gauges_write(const struct gauges_parts *parts, struct str *out)
{
	write_messages(parts, out);
	write_crypto(parts->core->store, out);
	write_process(out);
	metric_write(out);
}

bool
gauges_health(const struct gauges_parts *parts, struct str *out)
{
	const struct {
		const char *name;
		bool well;
	} rows[] = {
		{ "database", !pressure_reason(parts->core->pressure) },
		{ "matrix", matrix_connected(parts->matrix) },
		{ "xmpp", jabber_connected(parts->jabber) },
	};
	bool all = *parts->ready;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		all = all && rows[i].well;
	str_addf(out, "{\"ready\":%s", all ? "true" : "false");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		str_addf(out, ",\"%s\":%s", rows[i].name, rows[i].well ? "true" : "false");
	str_add(out, "}\n");
	return all;
}
