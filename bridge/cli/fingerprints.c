/* SPDX-License-Identifier: Apache-2.0 */
/* Keys for people to compare with what their clients show, in groups of four characters as clients write them. */
#include "cli/cli.h"

#include "cli/encryption.h"

#include <stdio.h>
#include <string.h>

static void
print_key(const char *name, const char *key)
{
	printf("  %-14s", name);
	for (size_t i = 0; key && key[i]; i++)
		printf("%s%c", i % 4 ? "" : " ", key[i]);
	putchar('\n');
}

static void
print_device(const json_t *device)
{
	printf("%s  device %s%s\n", json_text(device, "user"), json_text(device, "device"),
			str_equal(json_text(device, "state"), "signed") ? "" : "  (not complete yet)");
	print_key("identity", json_text(device, "master"));
	print_key("session", json_text(device, "ed25519"));
}

static void
print_json(const json_t *devices)
{
	json_dumpf(devices, stdout, JSON_INDENT(1));
	putchar('\n');
}

/* All, or those of one user. */
static json_t *
choose(const struct encryption_facts *facts, const char *user)
{
	const json_t *device = user ? encryption_device_of(facts, user) : NULL;
	json_t *chosen = user ? json_array() : json_incref(facts->devices);

	if (device)
		json_array_append(chosen, (json_t *)(uintptr_t)device);
	return chosen;
}

static int
print_chosen(const struct encryption_facts *facts, const struct cli_options *options)
{
	const char *user = options->count ? options->words[0] : NULL;
	json_t *devices = choose(facts, user), *device;
	size_t i, n = json_array_size(devices);

	if (options->json)
		print_json(devices);
	else
		json_array_foreach(devices, i, device)
			print_device(device);
	json_decref(devices);
	if (n)
		return CLI_FINE;
	return user ? cli_fail(CLI_PROBLEM, "%s has no keys: a ghost has none before it speaks in an encrypted room", user) :
		cli_fail(CLI_PROBLEM, "there are no keys yet: the daemon makes them when it starts and encryption.allow is true");
}

int
cli_fingerprints(const struct cli_options *options)
{
	AUTO_FACTS struct encryption_facts facts = { .devices = NULL };
	struct config *config;
	char why[CONFIG_WHY];

	if (config_read(&config, options->config, why, sizeof(why)))
		return cli_fail(CLI_CONFIG, "%s", why);
	int r = encryption_learn(config, &facts, why, sizeof(why));
	config_free(config);
	return r ? cli_fail(CLI_UNAVAILABLE, "%s", why) : print_chosen(&facts, options);
}
