/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks the running daemon over its socket. The document's shape is the daemon's affair: it is printed member by member,
 * so a new figure needs no change here. What may come from strangers is printed with its control characters escaped.
 */
#include "cli/cli.h"

#include "base/json.h"
#include "cli/control.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
print_text(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			printf("\\x%02x", (unsigned)(unsigned char)*text);
		else
			putchar(*text);
}

static void
print_key(const char *key)
{
	for (; *key; key++)
		putchar(*key == '_' ? ' ' : *key);
}

static bool
is_plain(const json_t *value)
{
	return !json_is_object(value) && !json_is_array(value);
}

static void
print_plain(const json_t *value)
{
	if (json_is_string(value))
		print_text(json_string_value(value));
	else if (json_is_integer(value))
		printf("%" PRId64, (int64_t)json_integer_value(value));
	else if (json_is_real(value))
		printf("%.1f", json_real_value(value));
	else
		fputs(json_is_true(value) ? "yes" : json_is_false(value) ? "no" : "-", stdout);
}

/* One line: the plain members, "name" first and alone, null ones left out. */
static void
print_members(const json_t *object)
{
	const char *key, *name = json_text(object, "name"), *between = name ? "  " : "";
	json_t *value;

	if (name)
		print_text(name);
	json_object_foreach((json_t *)(uintptr_t)object, key, value) {
		if (strcmp(key, "name") == 0 || !is_plain(value) || json_is_null(value))
			continue;
		fputs(between, stdout);
		between = ", ";
		print_key(key);
		putchar(' ');
		print_plain(value);
	}
	putchar('\n');
}

static void
print_member(const char *key, const json_t *value)
{
	size_t i;
	json_t *item;

	if (json_is_null(value))
		return;
	print_key(key);
	fputs(": ", stdout);
	if (is_plain(value)) {
		print_plain(value);
		putchar('\n');
	} else if (json_is_object(value)) {
		print_members(value);
	} else {
		printf("%zu\n", json_array_size(value));
		json_array_foreach(value, i, item) {
			fputs("  ", stdout);
			if (json_is_object(item))
				print_members(item);
			else {
				print_plain(item);
				putchar('\n');
			}
		}
	}
}

static void
print_document(const json_t *document)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)document, key, value)
		print_member(key, value);
}

static int
complain_silence(const char *path, int error, bool quiet)
{
	if (quiet)
		return CLI_UNAVAILABLE;
	if (error == -ENOENT || error == -ECONNREFUSED)
		return cli_fail(CLI_UNAVAILABLE, "no daemon is running here (%s: %s)", path, strerror(-error));
	return cli_fail(CLI_UNAVAILABLE, "%s: the daemon does not answer: %s", path, strerror(-error));
}

int
cli_status(const struct cli_options *options)
{
	struct config *config;
	char why[CONFIG_WHY];
	char *text = NULL;

	if (config_read(&config, options->config, why, sizeof(why)))
		return cli_fail(CLI_CONFIG, "%s", why);
	AUTO_FREE char *path = config_state_file(config, "control");
	config_free(config);
	int error = control_ask(path, "status", CONTROL_PATIENCE_MS, &text);
	if (error)
		return complain_silence(path, error, options->quiet);
	json_t *document = json_read_answer(text, strlen(text));
	int status = json_array_size(json_object_get(document, "problems")) ? CLI_PROBLEM : CLI_FINE;
	if (!json_is_object(document))
		status = cli_fail(CLI_UNAVAILABLE, "%s: the daemon's answer cannot be read", path);
	else if (options->json)
		puts(text);
	else if (!options->quiet)
		print_document(document);
	json_decref(document);
	free(text);
	return status;
}
