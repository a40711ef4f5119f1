/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `rules check FILE` and `rules explain FILE EVENT.json`: what a moderator's charter says, without a daemon. The event is
 * one of Matrix as a homeserver gives it, or an object of our own: sender, text, at, kind, moderator (sourdine(8)).
 */
#include "cli/cli.h"

#include "base/config.h"
#include "base/json.h"
#include "base/now.h"
#include "cli/charter.h"
#include "core/speech.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct event {
	json_t *json; /* owns */
	struct message message;
	struct facts facts;
	int64_t at_ms;
};

static const char *
language_of(const struct charter *charter)
{
	const char *language = rules_language(charter->rules);

	return language ? language : "en";
}

/* A target that no group of the configuration has is most likely a typing error; it may also be a group joined from chat. */
static void
warn_of_targets(const struct rules *rules, const char *path, const char *config_path)
{
	struct config *config = NULL;
	char why[CONFIG_WHY];
	const char *target;

	/* A moderator checks his charter on a machine without a configuration, too. */
	if (config_read(&config, config_path, why, sizeof(why)))
		return;
	for (size_t i = 0; (target = rules_target(rules, i)); i++) {
		size_t at = 0;
		while (at < config->group_count && !str_equal(config->groups[at].name, target))
			at++;
		if (at == config->group_count)
			fprintf(stderr, "%s: warning: it sends to the group \"%s\", which %s does not have: is it spelled so, or joined from chat?\n",
					path, target, config_path);
	}
	config_free(config);
}

static int
check(const char *path, const char *config_path)
{
	struct charter charter;
	char why[CHARTER_WHY];
	int status = CLI_FINE;

	if (charter_open(&charter, path, why, sizeof(why))) {
		status = cli_fail(CLI_PROBLEM, "%s", why);
	} else {
		const struct rules_speech speech = speech_in(language_of(&charter));
		const char *group = rules_group(charter.rules);
		size_t size = rules_say_rules(charter.rules, &speech, NULL, 0) + 1;
		AUTO_FREE char *words = xmalloc(size);
		rules_say_rules(charter.rules, &speech, words, size);
		printf("%s: fine: %s%s, zone %s\n", path, group ? "group " : "the site", group ? group : "",
				rules_zone_name(charter.rules));
		printf("%s%s", words, *words && words[strlen(words) - 1] != '\n' ? "\n" : "");
		warn_of_targets(charter.rules, path, config_path);
	}
	charter_close(&charter);
	return status;
}

/* ---- one event ---- */

static const struct {
	const char *plain, *matrix;
	enum message_kind kind;
} kinds[] = {
	{ "text", "m.text", MESSAGE_TEXT },
	{ "emote", "m.emote", MESSAGE_EMOTE },
	{ "notice", "m.notice", MESSAGE_NOTICE },
	{ "media", "m.image", MESSAGE_MEDIA },
	{ "media", "m.file", MESSAGE_MEDIA },
	{ "media", "m.audio", MESSAGE_MEDIA },
	{ "media", "m.video", MESSAGE_MEDIA },
};

static bool
read_kind(const char *word, enum message_kind *out)
{
	*out = MESSAGE_TEXT;
	if (!word)
		return true;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (str_equal(kinds[i].plain, word) || str_equal(kinds[i].matrix, word)) {
			*out = kinds[i].kind;
			return true;
		}
	return false;
}

/* What is wrong with it, or NULL. */
static const char *
understand(struct event *event)
{
	const json_t *json = event->json, *content = json_child(json, "content");
	const char *sender = json_text(json, "sender"), *at = json_text(json, "at");
	const char *text = content ? json_text(content, "body") : json_text(json, "text");

	event->message.sender = sender;
	event->message.text = text;
	event->facts.sender_moderator = json_is_on(json, "moderator");
	if (!json_is_object(json))
		return "it is no JSON object";
	if (!sender || !(*sender == '@' || str_starts(sender, "xmpp:")))
		return "\"sender\" must be \"@name:example.org\" or \"xmpp:name@example.org\"";
	event->message.network = *sender == '@' ? NETWORK_MATRIX : NETWORK_XMPP;
	if (!text)
		return content ? "\"content\" has no \"body\"" : "\"text\" is missing";
	if (!read_kind(content ? json_text(content, "msgtype") : json_text(json, "kind"), &event->message.kind))
		return "its kind is none of text, emote, notice, media";
	if (at && !now_parse_utc(at, &event->at_ms))
		return "\"at\" must be an instant such as \"2026-11-23T18:04:00Z\"";
	if (!at && !json_whole(json, "origin_server_ts", &event->at_ms))
		event->at_ms = now_real_ms();
	return NULL;
}

static int
read_event(struct event *event, const char *path)
{
	struct str bytes;
	char buffer[4096];
	size_t n;
	const char *why = NULL;
	FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");

	*event = (struct event){ 0 };
	if (!file)
		return cli_fail(CLI_PROBLEM, "%s: cannot be read", path);
	str_init(&bytes, JSON_EVENT_MAX);
	while ((n = fread(buffer, 1, sizeof(buffer), file)) > 0)
		str_add_n(&bytes, buffer, n);
	if (file != stdin)
		fclose(file);
	event->json = bytes.full ? NULL : json_read(str_get(&bytes), bytes.n, &why);
	str_fini(&bytes);
	if (!event->json)
		return cli_fail(CLI_PROBLEM, "%s: %s", path, why ? why : "it is too large");
	why = understand(event);
	return why ? cli_fail(CLI_PROBLEM, "%s: %s", path, why) : 0;
}

static void
print_verdict(const struct charter *charter, const struct event *event)
{
	const struct rules_speech speech = speech_in(language_of(charter));
	struct verdict verdict;

	rules_judge(charter->rules, &event->message, &event->facts, event->at_ms, &verdict);
	size_t size = rules_say_verdict(charter->rules, &verdict, event->at_ms, &speech, NULL, 0) + 1;
	AUTO_FREE char *words = xmalloc(size);
	rules_say_verdict(charter->rules, &verdict, event->at_ms, &speech, words, size);
	printf("%s%s", words, *words && words[strlen(words) - 1] != '\n' ? "\n" : "");
}

static int
explain(const char *path, const char *event_path)
{
	struct charter charter;
	struct event event;
	char why[CHARTER_WHY];
	int status = read_event(&event, event_path);

	if (!status) {
		if (charter_open(&charter, path, why, sizeof(why)))
			status = cli_fail(CLI_PROBLEM, "%s", why);
		else
			print_verdict(&charter, &event);
		charter_close(&charter);
	}
	json_decref(event.json);
	return status;
}

int
cli_rules(const struct cli_options *options)
{
	static const char *const later[] = { "replay", "export", "apply" };
	const char *verb = options->words[0];

	if (str_equal(verb, "check") && options->count == 2)
		return check(options->words[1], options->config);
	if (str_equal(verb, "explain") && options->count == 3)
		return explain(options->words[1], options->words[2]);
	for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++)
		if (str_equal(verb, later[i]))
			return cli_fail(CLI_USAGE, "rules %s: not yet; it comes with a later release", verb);
	return cli_fail(CLI_USAGE, "usage: sourdine rules check FILE | sourdine rules explain FILE EVENT.json");
}
