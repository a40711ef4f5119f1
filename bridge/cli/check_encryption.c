/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether what is encrypted can be read on both sides: our keys, the homeserver's copy of the public ones, and what it takes to
 * receive others'. The homeserver is asked as the bot's device, and only for what changes nothing: an upload of no keys answers
 * how many are left, and a /sync without a place to go on from forgets nothing.
 */
#include "cli/check.h"

#include "base/now.h"
#include "cli/encryption.h"
#include "matrix/http.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 50              /* users of one question */
#define KEYS_WANTED 25        /* below it the daemon makes more */
#define CLOCK_MS (60 * 1000)
#define NO_DEVICE "SOURDINECHECK" /* a name that no device of ours has: those have ten characters */

/* ---- judgements ---- */

struct check_verdict
check_judge_device(enum report_fault fault)
{
	static const char again[] = "start the daemon again: it notices, and gives the device a successor under the same identity";
	static const char upload[] = "start the daemon again: it uploads its identity anew; whoever else acts as the bot must be stopped first";
	static const struct check_verdict table[REPORT_FAULTS] = {
		[REPORT_FINE] = { LEVEL_OK, "the homeserver shows it with the same keys, signed by its owner's identity", NULL },
		[REPORT_ABSENT] = { LEVEL_FAIL, "the homeserver does not know it: it was deleted there, so no client sends it keys", again },
		[REPORT_OTHER_KEYS] = { LEVEL_FAIL, "the homeserver has other keys under its name: another copy of the database was used", again },
		[REPORT_BAD_KEYS] = { LEVEL_FAIL, "the homeserver shows keys of it that clients refuse",
			"delete this device on the homeserver, then start the daemon again: it makes another" },
		[REPORT_NO_IDENTITY] = { LEVEL_FAIL, "the homeserver has lost its owner's cross-signing keys, so clients warn of it", upload },
		[REPORT_OTHER_IDENTITY] = { LEVEL_FAIL, "the homeserver has other cross-signing keys for its owner than our master key gives",
			"start the daemon: it uploads its own, or where the homeserver takes that back no more, another edition of it" },
		[REPORT_BROKEN_IDENTITY] = { LEVEL_FAIL, "the homeserver shows cross-signing keys of its owner that clients refuse", upload },
		[REPORT_UNSIGNED] = { LEVEL_FAIL, "its owner's identity has not signed it, so clients warn of it, or send it no keys", upload },
	};

	return table[fault];
}

struct check_verdict
check_judge_keys(int64_t one_time, int fallback, bool running)
{
	static const char later[] = "the daemon uploads more within half a minute; if not, its log says why", start[] = "start the daemon: it uploads more";

	if (one_time < 0)
		return (struct check_verdict){ LEVEL_WARN, "the homeserver does not say how many are left", "the homeserver's log says more" };
	/* A fallback key is given out again and again, so keys still come: with less protection of what is sent first. */
	if (one_time == 0 && fallback <= 0)
		return (struct check_verdict){ LEVEL_WARN, "so every new device begins with the same used one", running ? later : start };
	if (one_time < KEYS_WANTED)
		return (struct check_verdict){ LEVEL_NOTE, "which is few; the daemon keeps 50 there", NULL };
	return (struct check_verdict){ LEVEL_OK, "which is enough", NULL };
}

bool
check_clocks_agree(int64_t ours_ms, int64_t theirs_ms)
{
	int64_t apart_ms = ours_ms - theirs_ms;

	return apart_ms >= -CLOCK_MS && apart_ms <= CLOCK_MS + 1000; /* theirs has lost its fraction */
}

/* ---- what is here ---- */

/* Whether the configuration relies on encryption, and does not merely allow it. */
static bool
relies_on_it(const struct config *config)
{
	bool relies = config->encryption.require;

	for (size_t i = 0; i < config->group_count; i++)
		relies |= config->groups[i].encrypted || config->groups[i].trust;
	return relies;
}

/* Of the running daemon, which may be another build than this program. */
static const char *
library_of(const struct check *check)
{
	const char *told = json_text(json_child(check->daemon, "encryption"), "libolm");

	return told ? told : report_library();
}

static bool
check_build(struct check *check)
{
	const struct config *config = check->config;
	const char *library = library_of(check);

	if (!config->encryption.allow && config->encryption.require)
		check_say(check, LEVEL_FAIL, "encryption", "set one of the two",
				"encryption.allow refuses encrypted rooms, encryption.require plain ones: nothing crosses");
	else if (!config->encryption.allow)
		check_say(check, LEVEL_OK, "encryption", NULL, "encrypted rooms are refused, as encryption.allow says");
	else if (!*library)
		check_say(check, relies_on_it(config) ? LEVEL_FAIL : LEVEL_WARN, "encryption",
				"install a build with libolm (without --without-e2ee), or set encryption.allow: false",
				"the configuration allows encrypted rooms, but %s was built without libolm: they are refused",
				check->daemon ? "the running daemon" : "this program");
	else
		check_say(check, LEVEL_OK, "encryption", NULL, "libolm %s; trust: %s", library, config->encryption.trust);
	return config->encryption.allow && *library;
}

/* Whether there are keys worth comparing. */
static bool
check_secrets(struct check *check, const struct encryption_facts *facts, const json_t *bot)
{
	const struct config *config = check->config;

	if (facts->key == REPORT_KEY_OTHER) {
		check_say(check, LEVEL_FAIL, "encryption", "put the key back that they were made with, from your backup",
				"%s does not open the keys of our devices in %s", config->master_key_file, config->state);
		check->misconfigured = true;
	} else if (bot && !facts->opens) {
		check_say(check, LEVEL_FAIL, "encryption", "start the daemon: it gives the device a successor under the same identity",
				"the secret keys of the bot's device %s are damaged", json_text(bot, "device"));
	} else if (!bot) {
		check_say(check, LEVEL_OK, "encryption", NULL, "the bot has no device yet; the first start makes it");
	} else if (facts->running) {
		check_say(check, LEVEL_OK, "encryption", NULL, "the keys of %zu devices are in use by the running daemon", json_array_size(facts->devices));
	} else {
		check_say(check, LEVEL_OK, "encryption", NULL, "the keys of %zu devices, under the master key", json_array_size(facts->devices));
	}
	return facts->key != REPORT_KEY_OTHER && bot;
}

/* ---- the homeserver ---- */

static struct check_answer
ask_as_device(const struct check *check, const char *user, const char *device, const char *method, const char *path, const char *body)
{
	AUTO_FREE char *whole = xasprintf("%s%cdevice_id=%s", path, strchr(path, '?') ? '&' : '?', device);

	return check_request(check, method, whole, user, body);
}

static void
complain(struct check *check, const struct check_answer *answer, const char *fix, const char *what)
{
	check->unreachable |= !answer->status;
	check_say(check, LEVEL_FAIL, "encryption", answer->status ? fix : "is it running? \"sourdine check homeserver\" says more",
			answer->status ? "%s: HTTP %ld: %s" : "%s (%ld): %s", what, answer->status, check_error_of(answer));
}

static void
compare_clocks(struct check *check, int64_t theirs_ms)
{
	int64_t apart_s = (now_real_ms() - theirs_ms) / 1000;

	if (!theirs_ms)
		return;
	if (check_clocks_agree(now_real_ms(), theirs_ms))
		check_say(check, LEVEL_OK, "encryption", NULL, "our clock and the homeserver's agree");
	else
		check_say(check, LEVEL_WARN, "encryption", "set both clocks by NTP",
				"our clock is %" PRId64 " s %s the homeserver's: what was written before a room was encrypted cannot be told for sure",
				apart_s < 0 ? -apart_s : apart_s, apart_s < 0 ? "behind" : "ahead of");
}

enum support { SUPPORT_NONE, SUPPORT_STRANGER /* but it does not know this device */, SUPPORT_FULL };

/*
 * Whether it lets us be a device. One that there is not must be refused; a homeserver that knows no "device_id" answers as
 * if there were none.
 */
static enum support
check_support(struct check *check, const char *user, const char *device)
{
	const char *asked = device ? device : NO_DEVICE;
	AUTO_ANSWER struct check_answer answer = ask_as_device(check, user, asked, "GET", "/_matrix/client/v3/account/whoami", NULL);
	bool unknown = answer.status == 400 && strstr(answer.text, "UNKNOWN_DEVICE");

	compare_clocks(check, answer.date_ms);
	if (answer.status == 403 && strstr(answer.text, "has not registered")) {
		check_say(check, LEVEL_NOTE, "encryption", NULL, "%s is not registered yet, so the homeserver cannot be tried; the first start does it", user);
		return SUPPORT_NONE;
	}
	if (answer.status == 200 && !str_equal(json_text(answer.json, "device_id"), asked)) {
		check_say(check, LEVEL_FAIL, "encryption", "Synapse 1.141 or newer does; or set encryption.allow: false",
				"the homeserver does not let us act as a device of %s (MSC4326), so nothing can be encrypted", user);
		return SUPPORT_NONE;
	}
	if (answer.status != 200 && !unknown) {
		complain(check, &answer, "\"sourdine check homeserver\" says more", "we cannot act as the bot");
		return SUPPORT_NONE;
	}
	if (!device)
		check_say(check, LEVEL_OK, "encryption", NULL, "the homeserver lets us act as devices");
	return unknown ? SUPPORT_STRANGER : SUPPORT_FULL;
}

/* POST /keys/query about some of our users; a failure is said. */
static struct check_answer
query_keys(struct check *check, const char *as, json_t *users)
{
	json_t *wanted = json_object(), *body = json_pack("{s:o}", "device_keys", wanted), *user;
	AUTO_STR struct str text;
	size_t i;

	json_array_foreach(users, i, user)
		json_object_set_new(wanted, json_string_value(user), json_array());
	str_init(&text, 1 << 20);
	json_add(&text, body);
	json_decref(body);
	struct check_answer answer = check_request(check, "POST", "/_matrix/client/v3/keys/query", as, str_get(&text));
	if (answer.status != 200)
		complain(check, &answer, "the homeserver's log says more", "it does not answer about our keys");
	return answer;
}

static void
check_bot(struct check *check, const json_t *bot)
{
	const char *user = json_text(bot, "user");
	json_t *users = json_pack("[s]", user);
	AUTO_ANSWER struct check_answer answer = query_keys(check, user, users);

	json_decref(users);
	if (answer.status != 200)
		return;
	struct check_verdict verdict = check_judge_device(report_compare(bot, answer.json));
	check_say(check, verdict.level, "encryption", verdict.fix, "the bot's device %s: %s", json_text(bot, "device"), verdict.sentence);
}

/* A page of ghosts: how many are not shown as they should be; the first of them goes into `first`. */
static size_t
count_faulty(struct check *check, const char *bot, json_t *devices, struct str *first)
{
	json_t *users = json_array(), *device;
	size_t i, faulty = 0;

	json_array_foreach(devices, i, device)
		json_array_append(users, json_object_get(device, "user"));
	AUTO_ANSWER struct check_answer answer = query_keys(check, bot, users);
	json_decref(users);
	json_array_foreach(devices, i, device) {
		struct check_verdict verdict = answer.status == 200 ? check_judge_device(report_compare(device, answer.json)) : check_judge_device(REPORT_FINE);
		if (verdict.level == LEVEL_OK)
			continue;
		if (!faulty++ && !first->n)
			str_addf(first, "%s: %s", json_text(device, "user"), verdict.sentence);
	}
	return faulty;
}

/* Those that are complete; a device on its way is no fault. */
static void
check_ghosts(struct check *check, const struct encryption_facts *facts, const char *bot)
{
	size_t i, asked = 0, faulty = 0, count = json_array_size(facts->devices);
	json_t *batch = json_array(), *device;
	AUTO_STR struct str first;

	str_init(&first, 1024);
	json_array_foreach(facts->devices, i, device) {
		if (str_equal(json_text(device, "state"), "signed") && !str_equal(json_text(device, "user"), bot))
			json_array_append(batch, device);
		if (json_array_size(batch) < BATCH && i + 1 < count)
			continue;
		asked += json_array_size(batch);
		faulty += json_array_size(batch) ? count_faulty(check, bot, batch, &first) : 0;
		json_array_clear(batch);
	}
	json_decref(batch);
	if (faulty)
		check_say(check, LEVEL_FAIL, "encryption", "start the daemon again: it compares each ghost's keys before it speaks",
				"of %zu ghosts %zu are not shown as they are; %s", asked, faulty, str_get(&first));
	else if (asked)
		check_say(check, LEVEL_OK, "encryption", NULL, "the homeserver shows %zu ghosts with the same keys, signed by their identities", asked);
}

/* ---- receiving ---- */

/* Whether a fallback key is unused; -1: it does not say, 0 too when the inbox cannot be read, which is said. */
static int
check_inbox(struct check *check, const char *user, const char *device)
{
	/* A homeserver keeps its answer to one question for some minutes; the limit, which limits nothing, makes this one new. */
	AUTO_FREE char *filter = xasprintf("{\"room\":{\"rooms\":[],\"timeline\":{\"limit\":%d}},\"presence\":{\"not_types\":[\"*\"]},"
		"\"account_data\":{\"not_types\":[\"*\"]}}", 1 + (int)(now_real_ms() % 1000000));
	AUTO_STR struct str escaped;
	str_init(&escaped, 4096);
	http_add_escaped(&escaped, filter);
	AUTO_FREE char *path = xasprintf("/_matrix/client/v3/sync?set_presence=offline&timeout=0&filter=%s", str_get(&escaped));
	AUTO_ANSWER struct check_answer answer = ask_as_device(check, user, device, "GET", path, NULL);
	const json_t *unused = json_object_get(answer.json, "device_unused_fallback_key_types");
	bool there = false;
	const json_t *type;
	size_t i;

	if (answer.status != 200) {
		complain(check, &answer, "the bot must not be the sender of the registration; else the homeserver's log says more",
				"the bot cannot read what its device is sent (/sync), so no keys come");
		return 0;
	}
	json_array_foreach(unused, i, type)
		there |= str_equal(json_string_value(type), "signed_curve25519");
	check_say(check, LEVEL_OK, "encryption", NULL, "the bot can read what its device is sent");
	return unused ? there : -1;
}

static void
check_keys(struct check *check, const struct encryption_facts *facts, const char *user, const char *device, int fallback)
{
	AUTO_ANSWER struct check_answer answer = ask_as_device(check, user, device, "POST", "/_matrix/client/v3/keys/upload", "{}");
	const json_t *counts = json_child(answer.json, "one_time_key_counts");
	int64_t one_time = answer.status == 200 && counts ? 0 : -1;

	json_whole(counts, "signed_curve25519", &one_time);
	struct check_verdict verdict = check_judge_keys(one_time, fallback, facts->running);
	if (one_time < 0)
		check_say(check, verdict.level, "encryption", verdict.fix, "one-time keys of the bot: %s (%s)", verdict.sentence, check_error_of(&answer));
	else
		check_say(check, verdict.level, "encryption", verdict.fix, "the homeserver has %" PRId64 " one-time keys of the bot%s, %s", one_time,
				fallback > 0 ? " and an unused fallback key" : fallback == 0 ? " and no unused fallback key" : "", verdict.sentence);
}

/* Raised at every start, there and here: who is behind is a copy (decisions 1.8). */
static void
check_generation(struct check *check, const struct encryption_facts *facts, const char *user)
{
	struct str path;
	int64_t there = 0;

	str_init(&path, 4096);
	str_add(&path, "/_matrix/client/v3/user/");
	http_add_escaped(&path, user);
	str_add(&path, "/account_data/org.sourdine.generation");
	AUTO_ANSWER struct check_answer answer = check_request(check, "GET", str_get(&path), user, NULL);
	str_fini(&path);
	if (answer.status == 200 && json_whole(answer.json, "generation", &there) && there > facts->generation)
		check_say(check, LEVEL_FAIL, "encryption", "if a newer copy exists, put that back; else start the daemon: every device gets a successor",
				"the database is an old copy: it is at generation %" PRId64 ", the homeserver saw %" PRId64, facts->generation, there);
}

void
check_encryption(struct check *check)
{
	AUTO_FREE char *user = config_mxid(check->config, check->config->appservice.bot);
	AUTO_FACTS struct encryption_facts facts = { .devices = NULL };
	char why[CONFIG_WHY];

	if (!check_build(check) || check_leave(check, "encryption"))
		return;
	if (encryption_learn(check->config, &facts, why, sizeof(why))) {
		check_say(check, LEVEL_FAIL, "encryption", "\"sourdine check database\" says more", "%s", why);
		return;
	}
	const json_t *bot = encryption_device_of(&facts, user);
	bool comparable = check_secrets(check, &facts, bot);
	if (!check->with_registration)
		return;
	enum support support = check_support(check, user, json_text(bot, "device"));
	if (!comparable || support == SUPPORT_NONE)
		return;
	check_bot(check, bot);
	if (support == SUPPORT_STRANGER)
		return;
	check_keys(check, &facts, user, json_text(bot, "device"), check_inbox(check, user, json_text(bot, "device")));
	check_generation(check, &facts, user);
	check_ghosts(check, &facts, user);
}
