/* SPDX-License-Identifier: Apache-2.0 */
/* Asked of the running daemon, or read from a stopped one's database. */
#include "cli/log.h"

#include "base/now.h"
#include "cli/cli.h"
#include "cli/control.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MONTH_MS (INT64_C(30) * 86400 * 1000)

json_t *
log_rows(struct store *store, const char *group, int64_t since_ms)
{
	struct query query = store_query(store, LOG_SINCE);
	json_t *rows = json_array();

	query_text(&query, group);
	query_int(&query, since_ms);
	while (query_step(&query))
		json_array_insert_new(rows, 0, json_pack("{s:I, s:s, s:s, s:I, s:I}", "at_ms", (json_int_t)query_get_int(&query, 0), "actor",
				query_get_text(&query, 1), "verb", query_get_text(&query, 2), "before", (json_int_t)query_get_int(&query, 3), "after",
				(json_int_t)query_get_int(&query, 4)));
	query_done(&query);
	return json_pack("{s:o}", "rows", rows);
}

/* RFC 4180; what a spreadsheet could take for a formula is kept a text by an apostrophe. */
static void
print_field(const char *text, const char *after)
{
	AUTO_FREE char *clean = str_clean(text, strlen(text));

	putchar('"');
	if (strchr("=+-@", *clean) && *clean)
		putchar('\'');
	for (const char *at = clean; *at; at++) {
		if (*at == '"')
			putchar('"');
		putchar(*at == '\n' || *at == '\r' ? ' ' : *at);
	}
	printf("\"%s", after);
}

static void
print_row(const json_t *row, bool csv)
{
	int64_t at_ms = 0, before = 0, after = 0;
	char when[32];
	const char *actor = json_text(row, "actor"), *verb = json_text(row, "verb");

	json_whole(row, "at_ms", &at_ms);
	json_whole(row, "before", &before);
	json_whole(row, "after", &after);
	now_format_utc(at_ms, when, sizeof(when));
	if (csv) {
		printf("%s,", when);
		print_field(actor ? actor : "", ",");
		print_field(verb ? verb : "", ",");
		printf("%" PRId64 ",%" PRId64 "\r\n", before, after);
		return;
	}
	AUTO_FREE char *line = xasprintf("%s  %s  %s", when, actor ? actor : "", verb ? verb : "");
	AUTO_FREE char *clean = str_clean(line, strlen(line));
	if (before != after)
		printf("%s  revision %" PRId64 " -> %" PRId64 "\n", clean, before, after);
	else
		puts(clean);
}

static int
print_log(const json_t *document, bool csv)
{
	const char *error = json_text(document, "error");
	const json_t *rows = json_object_get(document, "rows");
	size_t i;
	json_t *row;

	if (error || !rows)
		return cli_fail(CLI_PROBLEM, "%s", error ? error : "the daemon's answer cannot be read");
	if (csv)
		fputs("at,actor,verb,before,after\r\n", stdout);
	json_array_foreach(rows, i, row)
		print_row(row, csv);
	return CLI_FINE;
}

/* A group that was joined in chat is in no configuration; one that was parted again has left its log. */
static bool
is_known(const struct config *config, const char *group, const json_t *document)
{
	bool known = json_array_size(json_object_get(document, "rows"));

	for (size_t i = 0; i < config->group_count; i++)
		known |= strcmp(config->groups[i].name, group) == 0;
	return known;
}

static int
print_stopped(const struct config *config, const char *group, int64_t span_ms, bool csv)
{
	struct store *store = NULL;
	int r = store_open_reading(&store, config->state);

	if (r)
		return cli_fail(CLI_PROBLEM, "the database in %s cannot be read; \"sourdine check database\" says why", config->state);
	json_t *document = log_rows(store, group, now_real_ms() - span_ms);
	int status = is_known(config, group, document) ? print_log(document, csv) : cli_fail(CLI_PROBLEM, "there is no such group");
	json_decref(document);
	store_close(store);
	return status;
}

static int
ask_log(const struct config *config, const char *group, int64_t span_ms, bool csv)
{
	AUTO_FREE char *socket = config_state_file(config, "control"), *text = NULL;
	AUTO_FREE char *request = xasprintf("log %s %" PRId64, group, span_ms);

	int r = control_ask(socket, request, CONTROL_PATIENCE_MS, &text);
	if (r == -ENOENT || r == -ECONNREFUSED)
		return print_stopped(config, group, span_ms, csv);
	if (r)
		return cli_fail(CLI_UNAVAILABLE, "%s: the daemon does not answer: %s", socket, strerror(-r));
	json_t *document = json_read_answer(text, strlen(text));
	int status = print_log(document, csv);
	json_decref(document);
	return status;
}

int
cli_log(const struct cli_options *options)
{
	struct config *config;
	char why[CONFIG_WHY];
	int64_t span_ms = MONTH_MS;

	if (options->since && !cli_parse_span(options->since, &span_ms))
		return cli_fail(CLI_USAGE, "--since wants a number and m, h or d, such as 30d");
	if (!cli_is_group(options->words[0]))
		return cli_fail(CLI_USAGE, "\"%s\" is the name of no group", options->words[0]);
	if (config_read(&config, options->config, why, sizeof(why)))
		return cli_fail(CLI_CONFIG, "%s", why);
	int status = ask_log(config, options->words[0], span_ms, options->csv);
	config_free(config);
	return status;
}
