/* SPDX-License-Identifier: Apache-2.0 */
/* Asks the running daemon, which reads both archives through its own links, and prints counts and ids. */
#include "cli/cli.h"

#include "base/json.h"
#include "cli/control.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY_MS (INT64_C(86400) * 1000)
#define PATIENCE_MS (15 * 60 * 1000)

bool
cli_parse_span(const char *text, int64_t *out)
{
	static const struct {
		const char *unit;
		int64_t ms;
	} units[] = { { "m", 60000 }, { "h", 3600000 }, { "d", DAY_MS } };
	char *end;
	long long n = strtoll(text, &end, 10);

	for (size_t i = 0; i < 3; i++)
		if (end != text && n > 0 && n < 100000 && strcmp(end, units[i].unit) == 0) {
			*out = n * units[i].ms;
			return true;
		}
	return false;
}

bool
cli_is_group(const char *word)
{
	return *word && strlen(word) < CONTROL_LINE_MAX / 2 && !strpbrk(word, " \t\r\n");
}

static int64_t
whole(const json_t *object, const char *key)
{
	int64_t n = 0;

	json_whole(object, key, &n);
	return n;
}

static void
print_ids(const json_t *list, const char *word)
{
	const json_t *ids = json_object_get(list, "ids");
	size_t i;
	json_t *id;

	json_array_foreach(ids, i, id) {
		AUTO_FREE char *clean = str_clean(json_string_value(id), strlen(json_string_value(id)));
		printf("    %s %s\n", word, clean);
	}
	if ((size_t)whole(list, "count") > json_array_size(ids))
		printf("    ... and %" PRId64 " more\n", whole(list, "count") - (int64_t)json_array_size(ids));
}

static const char *const faults[][2] = {
	{ "missing", "never reached us" }, { "lost", "not in the other room" }, { "duplicated", "twice there" },
	{ "out_of_order", "out of order there" },
};

static int64_t
count_faults(const json_t *direction)
{
	int64_t found = whole(direction, "unknown");

	for (size_t i = 0; i < 4; i++)
		found += whole(json_child(direction, faults[i][0]), "count");
	return found;
}

static void
print_direction(const char *name, const json_t *direction)
{
	printf("%s: %" PRId64 " messages, %" PRId64 " crossed, %" PRId64 " held or on their way, %" PRId64
			" ended otherwise (digest, command, refused), %" PRId64 " too new to tell\n", name, whole(direction, "messages"),
			whole(direction, "crossed"), whole(direction, "waiting"), whole(direction, "ended"), whole(direction, "recent"));
	printf("  missing %" PRId64 ", lost %" PRId64 ", duplicated %" PRId64 ", out of order %" PRId64 ", of ours but not in the journal %" PRId64
			"\n", whole(json_child(direction, "missing"), "count"), whole(json_child(direction, "lost"), "count"),
			whole(json_child(direction, "duplicated"), "count"), whole(json_child(direction, "out_of_order"), "count"),
			whole(direction, "unknown"));
	for (size_t i = 0; i < 4; i++)
		print_ids(json_child(direction, faults[i][0]), faults[i][1]);
}

static int
print_report(const json_t *report, const char *text, bool json)
{
	const char *error = json_text(report, "error");
	const json_t *to_xmpp = json_child(report, "to_xmpp"), *to_matrix = json_child(report, "to_matrix");

	if (error || !to_xmpp)
		return cli_fail(CLI_PROBLEM, "%s", error ? error : "the daemon's answer cannot be read");
	if (json) {
		puts(text);
	} else {
		print_direction("to XMPP", to_xmpp);
		print_direction("to Matrix", to_matrix);
		if (json_is_on(report, "repaired"))
			puts("What never reached us was taken in now; ask again in a minute.");
	}
	return count_faults(to_xmpp) + count_faults(to_matrix) ? CLI_PROBLEM : CLI_FINE;
}

int
cli_audit(const struct cli_options *options)
{
	struct config *config;
	char why[CONFIG_WHY];
	int64_t span_ms = DAY_MS;
	AUTO_FREE char *text = NULL;

	if (options->since && !cli_parse_span(options->since, &span_ms))
		return cli_fail(CLI_USAGE, "--since wants a number and m, h or d, such as 24h");
	if (!cli_is_group(options->words[0]))
		return cli_fail(CLI_USAGE, "\"%s\" is the name of no group", options->words[0]);
	if (config_read(&config, options->config, why, sizeof(why)))
		return cli_fail(CLI_CONFIG, "%s", why);
	AUTO_FREE char *socket = config_state_file(config, "control");
	config_free(config);
	AUTO_FREE char *request = xasprintf("audit %s %" PRId64 " %d", options->words[0], span_ms, options->repair);
	int r = control_ask(socket, request, PATIENCE_MS, &text);
	if (r)
		return cli_fail(CLI_UNAVAILABLE, r == -ENOENT || r == -ECONNREFUSED ? "no daemon is running here (%s: %s)" :
				"%s: the daemon does not answer: %s", socket, strerror(-r));
	json_t *report = json_read_answer(text, strlen(text));
	int status = print_report(report, text, options->json);
	json_decref(report);
	return status;
}
