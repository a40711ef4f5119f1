/* SPDX-License-Identifier: Apache-2.0 */
/* Completion for three shells, written from the tables of cli.c and the areas of check.c, so that it cannot be out of date. */
#include "cli/check.h"
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

/* Within single quotes of a shell; zsh's own signs in a description are escaped as well. */
static void
put_quoted(const char *text, bool zsh)
{
	for (; *text; text++)
		if (*text == '\'')
			fputs("'\\''", stdout);
		else if (zsh && strchr(":[]", *text))
			printf("\\%c", *text);
		else
			putchar(*text);
}

static void
put_words(unsigned bit)
{
	struct cli_option_view option;

	for (size_t i = 0; cli_option_at(i, &option); i++)
		if (option.commands & bit)
			printf(" --%s", option.name);
}

static void
put_areas(void)
{
	for (size_t i = 0; check_area(i); i++)
		printf(" %s", check_area(i));
}

/* ---- bash ---- */

static void
print_bash_files(void)
{
	struct cli_option_view option;
	const char *bar = "";

	fputs("\tcase ${COMP_WORDS[COMP_CWORD - 1]} in\n\t", stdout);
	for (size_t i = 0; cli_option_at(i, &option); i++) {
		if (!option.argument)
			continue;
		printf("%s--%s", bar, option.name);
		if (option.letter)
			printf(" | -%c", option.letter);
		bar = " | ";
	}
	fputs(") COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n\tesac\n", stdout);
}

static void
print_bash(void)
{
	struct cli_command_view command;
	const char *bar = "";

	fputs("# Made by \"sourdine completion bash\".\n_sourdine()\n{\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} command= files= words= i\n"
		"\tfor ((i = 1; i < COMP_CWORD; i++)); do\n\t\tcase ${COMP_WORDS[i]} in\n\t\t", stdout);
	for (size_t i = 0; cli_command_at(i, &command); i++, bar = " | ")
		printf("%s%s", bar, command.name);
	fputs(") command=${COMP_WORDS[i]}; break ;;\n\t\tesac\n\tdone\n", stdout);
	print_bash_files();
	fputs("\tcase $command in\n\t'') words='", stdout);
	for (size_t i = 0; cli_command_at(i, &command); i++)
		printf("%s ", command.name);
	fputs("--config --help --version' ;;\n", stdout);
	for (size_t i = 0; cli_command_at(i, &command); i++) {
		printf("\t%s) words='", command.name);
		put_words(command.bit);
		if (strcmp(command.arguments, "[AREA]") == 0)
			put_areas();
		printf("'%s ;;\n", strstr(command.arguments, "FILE") ? " files=yes" : "");
	}
	fputs("\tesac\n\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
		"\t[[ -z $files || $cur == -* ]] || COMPREPLY+=($(compgen -f -- \"$cur\"))\n}\ncomplete -o filenames -F _sourdine sourdine\n", stdout);
}

/* ---- zsh ---- */

static void
print_zsh(void)
{
	struct cli_command_view command;
	struct cli_option_view option;

	fputs("#compdef sourdine\n# Made by \"sourdine completion zsh\".\nlocal -a commands\ncommands=(\n", stdout);
	for (size_t i = 0; cli_command_at(i, &command); i++) {
		printf("\t'%s:", command.name);
		put_quoted(command.help, true);
		fputs("'\n", stdout);
	}
	fputs(")\nif (( CURRENT == 2 )); then\n\t_describe command commands\n\treturn\nfi\ncase $words[2] in\n", stdout);
	for (size_t i = 0; cli_command_at(i, &command); i++) {
		printf("%s)\n\t_arguments", command.name);
		for (size_t j = 0; cli_option_at(j, &option); j++) {
			if (!(option.commands & command.bit))
				continue;
			printf(" \\\n\t\t'--%s[", option.name);
			put_quoted(option.help, true);
			printf("]%s%s%s'", option.argument ? ":" : "", option.argument ? option.argument : "", option.argument ? ":_files" : "");
		}
		if (strcmp(command.arguments, "[AREA]") == 0) {
			fputs(" \\\n\t\t'*:area:(", stdout);
			put_areas();
			fputs(")'", stdout);
		} else if (*command.arguments) {
			fputs(" \\\n\t\t'*:argument:_files'", stdout);
		}
		fputs("\n\t;;\n", stdout);
	}
	fputs("esac\n", stdout);
}

/* ---- fish ---- */

static void
print_fish(void)
{
	struct cli_command_view command;
	struct cli_option_view option;

	fputs("# Made by \"sourdine completion fish\".\n", stdout);
	for (size_t i = 0; cli_command_at(i, &command); i++) {
		printf("complete -c sourdine -f -n __fish_use_subcommand -a %s -d '", command.name);
		put_quoted(command.help, false);
		fputs("'\n", stdout);
		for (size_t j = 0; cli_option_at(j, &option); j++) {
			if (!(option.commands & command.bit))
				continue;
			printf("complete -c sourdine -n '__fish_seen_subcommand_from %s' -l %s", command.name, option.name);
			if (option.letter)
				printf(" -s %c", option.letter);
			printf("%s -d '", option.argument ? " -r" : "");
			put_quoted(option.help, false);
			fputs("'\n", stdout);
		}
		if (strcmp(command.arguments, "[AREA]") == 0) {
			printf("complete -c sourdine -f -n '__fish_seen_subcommand_from %s' -a '", command.name);
			put_areas();
			fputs("'\n", stdout);
		}
	}
}

int
cli_completion(const struct cli_options *options)
{
	static const struct {
		const char *shell;
		void (*print)(void);
	} shells[] = { { "bash", print_bash }, { "zsh", print_zsh }, { "fish", print_fish } };

	for (size_t i = 0; i < 3; i++)
		if (strcmp(shells[i].shell, options->words[0]) == 0) {
			shells[i].print();
			return CLI_FINE;
		}
	return cli_fail(CLI_USAGE, "unknown shell \"%s\": bash, zsh or fish", options->words[0]);
}
