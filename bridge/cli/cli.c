/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One table of sub-commands and one of options: getopt_long's arguments, the usage text and the manual's test come
 * from them. An option that the sub-command does not take is a usage error, never ignored.
 */
#include "cli/cli.h"

#include "base/config.h"
#include "base/log.h"
#include "base/str.h"
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int run_daemon(const struct cli_options *options);

enum {
	RUN = 1 << 0,
	CHECK = 1 << 1,
	REGISTRATION = 1 << 2,
	EXAMPLE = 1 << 3,
	STATUS = 1 << 4,
	RULES = 1 << 5,
	BACKUP = 1 << 7,
	RESTORE = 1 << 8,
	AUDIT = 1 << 9,
	LOG = 1 << 10,
	COMPLETION = 1 << 11,
	FINGERPRINTS = 1 << 12,
	LATER = 1 << 6, /* comes with a later release: known, not listed */
	ALL = RUN | CHECK | REGISTRATION | EXAMPLE | STATUS | RULES | BACKUP | RESTORE | AUDIT | LOG | COMPLETION | FINGERPRINTS,
};

static const struct command {
	const char *name;
	unsigned bit;
	const char *arguments;
	int least, most; /* words that follow */
	int (*run)(const struct cli_options *options);
	const char *help;
} commands[] = {
	{ "run", RUN, "", 0, 0, run_daemon, "the daemon, in the foreground; log on stderr" },
	{ "check", CHECK, "[AREA]", 0, 1, cli_check, "the doctor: config, machine, rules, database, homeserver, encryption, xmpp, rooms" },
	{ "registration", REGISTRATION, "", 0, 0, cli_registration, "writes the registration that the homeserver loads" },
	{ "example-config", EXAMPLE, "", 0, 0, cli_example_config, "prints a commented configuration" },
	{ "status", STATUS, "", 0, 0, cli_status, "what the running daemon does" },
	{ "fingerprints", FINGERPRINTS, "[USER]", 0, 1, cli_fingerprints, "public keys of the bot and of the ghosts, for comparing" },
	{ "rules", RULES, "check FILE | explain FILE EVENT.json", 1, 3, cli_rules, "reads a charter; says what it does with a message" },
	{ "audit", AUDIT, "GROUP", 1, 1, cli_audit, "compares both rooms' archives with what was delivered" },
	{ "log", LOG, "GROUP", 1, 1, cli_log, "the moderators' log: who changed what, and when" },
	{ "backup", BACKUP, "FILE", 1, 1, cli_backup, "a consistent copy of everything but the configuration, also while it runs" },
	{ "restore", RESTORE, "FILE", 1, 1, cli_restore, "puts a backup back; the daemon must not run" },
	{ "completion", COMPLETION, "bash | zsh | fish", 1, 1, cli_completion, "prints the completion for a shell" },
	{ "forget", LATER, NULL, 0, 0, NULL, NULL },
	{ "export", LATER, NULL, 0, 0, NULL, NULL },
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

enum kind { KIND_TEXT, KIND_FLAG, KIND_HELP, KIND_VERSION };

static const struct option_row {
	char letter; /* or 0 */
	const char *name, *argument;
	unsigned commands;
	enum kind kind;
	size_t offset; /* in struct cli_options */
	const char *help;
} option_rows[] = {
	{ 'c', "config", "FILE", ALL, KIND_TEXT, offsetof(struct cli_options, config),
		"configuration (default $SOURDINE_CONFIG, else " CONFIG_DEFAULT_PATH ")" },
	{ 'h', "help", NULL, ALL, KIND_HELP, 0, "prints this" },
	{ 'V', "version", NULL, ALL, KIND_VERSION, 0, "prints the version" },
	{ 0, "test-clock", "FILE", RUN, KIND_TEXT, offsetof(struct cli_options, test_clock),
		"takes the rules' clock from the instant in FILE, as \"2026-11-23T18:04:00Z\"" },
	{ 0, "json", NULL, CHECK | STATUS | AUDIT | FINGERPRINTS, KIND_FLAG, offsetof(struct cli_options, json), "prints JSON" },
	{ 'q', "quiet", NULL, STATUS, KIND_FLAG, offsetof(struct cli_options, quiet), "prints nothing, for health checks" },
	{ 0, "since", "SPAN", AUDIT | LOG, KIND_TEXT, offsetof(struct cli_options, since), "how far back, such as 24h or 30d" },
	{ 0, "repair", NULL, AUDIT, KIND_FLAG, offsetof(struct cli_options, repair), "takes in what never reached us" },
	{ 0, "csv", NULL, LOG, KIND_FLAG, offsetof(struct cli_options, csv), "prints comma-separated values" },
	{ 0, "with-key", NULL, BACKUP, KIND_FLAG, offsetof(struct cli_options, with_key), "adds the master key: then the file is as secret as the rooms" },
	{ 'o', "output", "FILE", REGISTRATION, KIND_TEXT, offsetof(struct cli_options, output),
		"writes there instead of appservice.registration" },
	{ 0, "group", "NAME", REGISTRATION, KIND_TEXT, offsetof(struct cli_options, group),
		"gives the file to this group, so that the homeserver can read it" },
	{ 0, "rotate-tokens", NULL, REGISTRATION, KIND_FLAG, offsetof(struct cli_options, rotate_tokens),
		"makes new tokens instead of keeping those in the file" },
};

#define OPTIONS (sizeof(option_rows) / sizeof(option_rows[0]))
#define FIRST_LONG 256 /* getopt's answer for row i is FIRST_LONG + i */

int
cli_fail(int status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	AUTO_FREE char *sentence = xvasprintf(format, args);
	va_end(args);
	fprintf(stderr, "sourdine: %s\n", sentence);
	return status;
}

void
cli_open_log(const struct config *config)
{
	enum log_level level = LOG_INFO;

	if (log_level_named(config->logging.level, &level))
		log_open(level, str_equal(config->logging.format, "json") ? LOG_JSON : LOG_TEXT, config_environment(CONFIG_ENV_JOURNAL));
}

static int
run_daemon(const struct cli_options *options)
{
	struct config *config;
	char why[CONFIG_WHY];

	if (config_load(&config, options->config, why, sizeof(why)))
		return cli_fail(CLI_CONFIG, "%s", why);
	cli_open_log(config);
	int status = cli_run(config, options->test_clock);
	config_free(config);
	return status;
}

bool
cli_command_at(size_t i, struct cli_command_view *out)
{
	size_t n = 0;

	for (size_t j = 0; j < COMMANDS; j++)
		if (commands[j].bit != LATER && n++ == i) {
			*out = (struct cli_command_view){ commands[j].name, commands[j].arguments, commands[j].help, commands[j].bit };
			return true;
		}
	return false;
}

bool
cli_option_at(size_t i, struct cli_option_view *out)
{
	if (i >= OPTIONS)
		return false;
	*out = (struct cli_option_view){
		option_rows[i].letter, option_rows[i].name, option_rows[i].argument, option_rows[i].help, option_rows[i].commands,
	};
	return true;
}

/* ---- words for people ---- */

static void
print_options(unsigned bits)
{
	for (size_t i = 0; i < OPTIONS; i++) {
		const struct option_row *row = &option_rows[i];
		char left[48], letter[] = { '-', row->letter, ',', ' ', '\0' };
		if (!(row->commands & bits))
			continue;
		snprintf(left, sizeof(left), "%s--%s%s%s", row->letter ? letter : "    ", row->name, row->argument ? " " : "",
				row->argument ? row->argument : "");
		printf("  %-24s %s\n", left, row->help);
	}
}

static void
print_usage(const struct command *command)
{
	if (command) {
		printf("usage: sourdine [-c FILE] %s [OPTION]...%s%s\n\n%s\n\n", command->name, *command->arguments ? " " : "",
				command->arguments, command->help);
		print_options(command->bit);
		return;
	}
	puts("usage: sourdine [-c FILE] COMMAND [OPTION]...\n\n"
		"Joins Matrix rooms and XMPP rooms, and gives the joined group its manners.\n");
	for (size_t i = 0; i < COMMANDS; i++)
		if (commands[i].bit != LATER)
			printf("  %-15s %s\n", commands[i].name, commands[i].help);
	puts("");
	print_options(ALL);
	puts("\nExit status: 0 fine, 1 a problem was found, 2 usage, 69 a peer cannot be reached, 78 configuration.\n"
		"sourdine(8) is the manual.");
}

/* ---- arguments ---- */

static const struct command *
find_command(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (str_equal(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static int
complain_command(const char *name)
{
	const char *near = NULL;
	unsigned best = 4;

	for (size_t i = 0; i < COMMANDS; i++) {
		unsigned distance = str_distance(commands[i].name, name);
		if (commands[i].bit != LATER && distance < best && distance < strlen(name)) {
			best = distance;
			near = commands[i].name;
		}
	}
	if (near)
		return cli_fail(CLI_USAGE, "unknown command \"%s\", did you mean \"%s\"?", name, near);
	return cli_fail(CLI_USAGE, "unknown command \"%s\"; sourdine --help lists them", name);
}

/* getopt_long's two descriptions of the table. */
static void
describe_options(struct option longs[OPTIONS + 1], char *letters)
{
	*letters++ = '+'; /* the first word ends the options before it */
	for (size_t i = 0; i < OPTIONS; i++) {
		const struct option_row *row = &option_rows[i];
		longs[i] = (struct option){ row->name, row->argument ? required_argument : no_argument, NULL, FIRST_LONG + (int)i };
		if (row->letter)
			*letters++ = row->letter;
		if (row->letter && row->argument)
			*letters++ = ':';
	}
	longs[OPTIONS] = (struct option){ NULL, 0, NULL, 0 };
	*letters = '\0';
}

static const struct option_row *
row_of(int answer)
{
	if (answer >= FIRST_LONG)
		return &option_rows[answer - FIRST_LONG];
	for (size_t i = 0; i < OPTIONS; i++)
		if (option_rows[i].letter && option_rows[i].letter == answer)
			return &option_rows[i];
	return NULL;
}

/* Takes options up to the next word. `command` is NULL before it is known. -1: go on; else the exit status. */
static int
take_options(int argc, char **argv, const struct command *command, struct cli_options *options)
{
	struct option longs[OPTIONS + 1];
	char letters[2 * OPTIONS + 2];
	int answer;

	describe_options(longs, letters);
	while ((answer = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		const struct option_row *row = row_of(answer);
		if (!row)
			return CLI_USAGE; /* getopt has said why */
		if (!(row->commands & (command ? command->bit : ALL)) || (!command && row->commands != ALL))
			return cli_fail(CLI_USAGE, "--%s is no option of %s", row->name, command ? command->name : "sourdine itself");
		if (row->kind == KIND_HELP) {
			print_usage(command);
			return CLI_FINE;
		}
		if (row->kind == KIND_VERSION) {
			puts("sourdine " PACKAGE_VERSION);
			return CLI_FINE;
		}
		if (row->kind == KIND_FLAG)
			*(bool *)(void *)((char *)options + row->offset) = true;
		else
			*(const char **)(void *)((char *)options + row->offset) = optarg;
	}
	return -1;
}

/* The rest of argv into words, options between them included. -1 or the exit status. */
static int
take_words(int argc, char **argv, const struct command *command, struct cli_options *options)
{
	for (;;) {
		int status = take_options(argc, argv, command, options);
		if (status >= 0)
			return status;
		if (optind >= argc)
			break;
		options->words[options->count++] = argv[optind++];
	}
	if (options->count < command->least || options->count > command->most)
		return cli_fail(CLI_USAGE, "usage: sourdine %s %s", command->name, command->arguments);
	return -1;
}

static int
run_command(int argc, char **argv, struct cli_options *options)
{
	int status = take_options(argc, argv, NULL, options);

	if (status >= 0)
		return status;
	if (optind >= argc)
		return cli_fail(CLI_USAGE, "a command is missing; sourdine --help lists them");
	const struct command *command = find_command(argv[optind]);
	if (!command)
		return complain_command(argv[optind]);
	if (command->bit == LATER)
		return cli_fail(CLI_USAGE, "%s: not yet; it comes with a later release", command->name);
	optind++;
	status = take_words(argc, argv, command, options);
	return status >= 0 ? status : command->run(options);
}

int
cli_main(int argc, char **argv)
{
	struct cli_options options = { .words = xcalloc((size_t)argc + 1, sizeof(*options.words)) };

	options.config = config_default_path();
	int status = run_command(argc, argv, &options);
	free(options.words);
	/* A file that is cut short, a log or an example, must not pass for a whole one. */
	if ((fflush(stdout) || ferror(stdout)) && status == CLI_FINE)
		status = cli_fail(CLI_PROBLEM, "what was printed could not all be written: %s", strerror(errno));
	return status;
}
