/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

/*
 * The sub-commands, a file each. Each gets what the option table parsed and returns the exit status:
 * 0 fine, 1 a problem was found, EX_USAGE 2 by our interface, EX_UNAVAILABLE 69, EX_CONFIG 78.
 */

#include "base/config.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CLI_FINE = 0, CLI_PROBLEM = 1, CLI_USAGE = 2, CLI_UNAVAILABLE = 69, CLI_CONFIG = 78 };

/* Every option of every sub-command; which of them a sub-command takes is in the table of cli.c. */
struct cli_options {
	const char *config;     /* -c, never NULL */
	const char *output;     /* -o */
	const char *group;      /* --group */
	const char *test_clock; /* --test-clock */
	const char *since;      /* --since */
	bool rotate_tokens, json, quiet, with_key, repair, csv;
	char **words;           /* what follows the sub-command's options */
	int count;
};

/* Parses argv, runs the sub-command, returns its status: all of the program but main(). */
int cli_main(int argc, char **argv);

/* The daemon, until SIGTERM; at SIGHUP it changes the configuration by config_renew(). `test_clock` may be NULL. */
int cli_run(struct config *config, const char *test_clock);
/* The log, as the configuration wants it. */
void cli_open_log(const struct config *config);

int cli_check(const struct cli_options *options);
int cli_registration(const struct cli_options *options);
int cli_example_config(const struct cli_options *options);
int cli_status(const struct cli_options *options);
int cli_backup(const struct cli_options *options);
int cli_restore(const struct cli_options *options);
int cli_audit(const struct cli_options *options);
int cli_fingerprints(const struct cli_options *options);
int cli_log(const struct cli_options *options);
int cli_completion(const struct cli_options *options);
int cli_rules(const struct cli_options *options);

/* Prints "sourdine: SENTENCE" on stderr and returns `status`. */
int cli_fail(int status, const char *format, ...) PRINTF_LIKE(2, 3);

/* The tables of cli.c, for the completion: the i-th command that there is, the i-th option. False after the last. All lent. */
struct cli_command_view {
	const char *name, *arguments, *help;
	unsigned bit;
};
struct cli_option_view {
	char letter; /* or 0 */
	const char *name, *argument, *help; /* argument NULL: it takes none */
	unsigned commands; /* bits of those that take it */
};
bool cli_command_at(size_t i, struct cli_command_view *out);
bool cli_option_at(size_t i, struct cli_option_view *out);

/* Whether the word can be the name of a group, of the configuration or made in chat. */
bool cli_is_group(const char *word);

/* "30d", "24h", "15m" in milliseconds. False: it is none. */
bool cli_parse_span(const char *text, int64_t *out);

#endif
