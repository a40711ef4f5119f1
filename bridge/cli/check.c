/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The doctor: from our own files outwards to the peers, so that the first FAIL is the one to mend. Each finding is a
 * sentence, and where something is to be done, a second one that says what. It changes nothing.
 */
#include "cli/check.h"

#include "base/text.h"
#include "cli/charter.h"
#include "cli/cli.h"
#include "cli/control.h"
#include "matrix/http.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void
check_say(struct check *check, enum level level, const char *area, const char *fix, const char *format, ...)
{
	static const char *const names[] = { "ok", "note", "warn", "FAIL" };
	va_list args;

	va_start(args, format);
	AUTO_FREE char *raw = xvasprintf(format, args);
	va_end(args);
	AUTO_FREE char *sentence = str_clean(raw, strlen(raw));
	check->failed |= level == LEVEL_FAIL;
	if (check->json) {
		json_array_append_new(check->findings, json_pack("{s:s, s:s, s:s, s:s?}", "level", names[level], "area", area,
				"sentence", sentence, "fix", fix));
		return;
	}
	printf("%-5s %s: %s\n", names[level], area, sentence);
	if (fix)
		printf("      Fix: %s\n", fix);
	fflush(stdout);
}

bool
check_leave(struct check *check, const char *area)
{
	if (check->silent)
		check_say(check, LEVEL_WARN, area, "see what stands above of the daemon", "not looked at, for a daemon may run that cannot be asked");
	return check->silent;
}

/* ---- config ---- */

static void
misconfigured(struct check *check, const char *why, const char *fix)
{
	check_say(check, LEVEL_FAIL, "config", fix, "%s", why);
	check->misconfigured = true;
}

static void
check_modes(struct check *check)
{
	const struct config *config = check->config;
	static const char component[] = "chmod o-rwx that file, then give the component another secret, here and on the XMPP server";
	const struct {
		const char *path, *fix;
	} files[] = {
		{ config->appservice.registration, "chmod o-rwx that file, then make new secrets (\"sourdine registration --rotate-tokens\")" },
		{ config->xmpp.secret_file ? config->xmpp.secret_file : config->path, component },
	};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (config_is_exposed(files[i].path))
			check_say(check, LEVEL_FAIL, "config", files[i].fix, "%s holds a secret, and everybody on this machine may read it", files[i].path);
}

static void
check_config(struct check *check)
{
	const struct config *config = check->config;

	if (check->with_registration && strcmp(config->registration.url, config->appservice.address) != 0)
		check_say(check, LEVEL_WARN, "config", "run \"sourdine registration\", then restart the homeserver",
				"the registration says url: %s, the configuration appservice.address: %s", config->registration.url,
				config->appservice.address);
	check_modes(check);
	if (!text_knows(config->language))
		check_say(check, LEVEL_WARN, "config", "install the catalogues (make install), or name their directory in SOURDINE_LOCALEDIR",
				"there are no texts for language: %s; people will read English", config->language);
	if (!config->permission_count)
		check_say(check, LEVEL_WARN, "config", "name yourself under permissions:", "nobody is an operator");
	if (!config->group_count)
		check_say(check, LEVEL_WARN, "config", "name two rooms under groups:", "there are no groups, so nothing will be joined");
	if (!check->misconfigured)
		check_say(check, LEVEL_OK, "config", NULL, "%s: %zu groups, component %s, homeserver %s", config->path, config->group_count,
				config->xmpp.component, config->homeserver.domain);
	if (check->daemon && json_is_on(check->daemon, "test_clock"))
		check_say(check, LEVEL_WARN, "config", "start the daemon without --test-clock", "the running daemon is on a test clock");
}

/* ---- rules ---- */

/* False when there is no such file. */
static bool
check_charter(struct check *check, const char *path, const char *group)
{
	struct charter charter = { 0 };
	char why[CHARTER_WHY];

	if (access(path, F_OK) != 0)
		return false;
	int r = charter_open(&charter, path, why, sizeof(why));
	const char *name = r ? NULL : rules_group(charter.rules);
	if (r) {
		check_say(check, LEVEL_FAIL, "rules", "\"sourdine rules check FILE\" says more", "%s", why);
		check->misconfigured = true;
	} else if (group && !str_equal(name, group)) {
		check_say(check, LEVEL_FAIL, "rules", "name its block as its file", "%s: its block is for group \"%s\"", path, name ? name : "");
	} else {
		check_say(check, LEVEL_OK, "rules", NULL, "%s: zone %s", path, rules_zone_name(charter.rules));
	}
	charter_close(&charter);
	return true;
}

static bool
is_configured(const struct config *config, const char *file)
{
	size_t stem = strlen(file) - strlen(".charter");

	if (strcmp(file, "site.charter") == 0)
		return true;
	for (size_t i = 0; i < config->group_count; i++)
		if (strlen(config->groups[i].name) == stem && strncmp(config->groups[i].name, file, stem) == 0)
			return true;
	return false;
}

/* Files that no group of the configuration will read: mostly a typing error in one of both places. */
static void
check_strays(struct check *check)
{
	DIR *directory = opendir(check->config->charters);

	for (struct dirent *entry; directory && (entry = readdir(directory));) {
		const char *dot = strrchr(entry->d_name, '.');
		if (dot && dot > entry->d_name && strcmp(dot, ".charter") == 0 && !is_configured(check->config, entry->d_name))
			check_say(check, LEVEL_WARN, "rules", "name the file as its group under groups:", "%s/%s: no group has this name",
					check->config->charters, entry->d_name);
	}
	if (directory)
		closedir(directory);
}

static void
check_rules(struct check *check)
{
	const struct config *config = check->config;
	AUTO_FREE char *site = xasprintf("%s/site.charter", config->charters);

	check_charter(check, site, NULL);
	for (size_t i = 0; i < config->group_count; i++) {
		const char *name = config->groups[i].name;
		AUTO_FREE char *path = xasprintf("%s/%s.charter", config->charters, name);
		if (!check_charter(check, path, name))
			check_say(check, LEVEL_OK, "rules", NULL, "%s: no file; unless a charter was made in chat, everything is delivered at once",
					path);
	}
	check_strays(check);
}

/* ---- the whole ---- */

static const struct {
	const char *name, *alias; /* alias: another word for it, or NULL */
	void (*look)(struct check *check);
} areas[] = {
	{ "config", NULL, check_config },
	{ "machine", NULL, check_machine },
	{ "rules", NULL, check_rules },
	{ "database", "store", check_store },
	{ "homeserver", NULL, check_homeserver },
	{ "encryption", "crypto", check_encryption },
	{ "xmpp", NULL, check_xmpp },
	{ "rooms", NULL, check_rooms },
};

#define AREAS (sizeof(areas) / sizeof(areas[0]))

const char *
check_area(size_t i)
{
	return i < AREAS ? areas[i].name : NULL;
}

static bool
is_area(size_t i, const char *word)
{
	return str_equal(areas[i].name, word) || str_equal(areas[i].alias, word);
}

/* Who knows our hs_token is a Sourdine. One that is not at our control socket has another state directory. */
static bool
has_rival(const struct config *config)
{
	AUTO_FREE char *address = xasprintf(strchr(config->appservice.hostname, ':') ? "http://[%s]:%d" : "http://%s:%d",
			config->appservice.hostname, config->appservice.port);
	const struct http_ask ask = { .method = "POST", .path = "/_matrix/app/v1/ping", .body = "{}", .timeout_ms = 2000 };
	struct http_answer *answer = http_ask_once(address, config->registration.hs_token, &ask);
	bool rival = answer->status == 200;

	http_answer_free(answer);
	return rival;
}

static void
find_daemon(struct check *check)
{
	AUTO_FREE char *path = config_state_file(check->config, "control"), *text = NULL;
	int r = control_ask(path, "status", CONTROL_PATIENCE_MS, &text);

	if (r == 0)
		check->daemon = json_read_answer(text, strlen(text));
	check->silent = r == -EACCES || r == -ETIMEDOUT || r == -EPROTO || r == -ECONNRESET;
	check->rival = !check->daemon && !check->silent && check->with_registration && has_rival(check->config);
	if (check->silent)
		check_say(check, LEVEL_FAIL, "config", r == -EACCES ? "run this as root, or as the user that the daemon runs as" :
				"if its log stands still, start it again", "%s: the running daemon cannot be asked: %s", path, strerror(-r));
}

/* The configuration comes first whatever area is asked for; false when nothing else can be looked at. */
static bool
open_config(struct check *check, const char *path)
{
	char why[CONFIG_WHY];

	if (config_read(&check->config, path, why, sizeof(why))) {
		misconfigured(check, why, "sourdine.yaml(5) explains every key");
		return false;
	}
	check->with_secret = config_read_secret(check->config, why, sizeof(why)) == 0;
	if (!check->with_secret)
		misconfigured(check, why, "put the component's secret there, readable by the user that the daemon runs as");
	check->with_registration = config_read_registration(check->config, why, sizeof(why)) == 0;
	if (!check->with_registration)
		misconfigured(check, why, "run \"sourdine registration\"; --group lets the homeserver read the file");
	find_daemon(check);
	return true;
}

static int
end_check(struct check *check)
{
	int status = check->misconfigured ? CLI_CONFIG : check->unreachable ? CLI_UNAVAILABLE : check->failed ? CLI_PROBLEM : CLI_FINE;

	if (check->json) {
		json_t *document = json_pack("{s:i, s:O}", "status", status, "findings", check->findings);
		json_dumpf(document, stdout, JSON_INDENT(1));
		putchar('\n');
		json_decref(document);
	}
	json_decref(check->findings);
	json_decref(check->daemon);
	config_free(check->config);
	return status;
}

int
cli_check(const struct cli_options *options)
{
	const char *wanted = options->count ? options->words[0] : NULL;
	struct check check = { .json = options->json };
	size_t known = 0;

	while (wanted && known < AREAS && !is_area(known, wanted))
		known++;
	if (known == AREAS)
		return cli_fail(CLI_USAGE, "unknown area \"%s\": config, machine, rules, database, homeserver, encryption, xmpp or rooms", wanted);
	check.findings = json_array();
	if (open_config(&check, options->config))
		for (size_t i = 0; i < AREAS; i++)
			if (!wanted || is_area(i, wanted))
				areas[i].look(&check);
	return end_check(&check);
}
