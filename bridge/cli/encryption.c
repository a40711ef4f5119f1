/* SPDX-License-Identifier: Apache-2.0 */
/* Two connections to one database are avoided: while the daemon runs it is asked, page by page. Secret keys are never told. */
#include "cli/encryption.h"

#include "base/now.h"
#include "cli/answer.h"
#include "cli/control.h"
#include "core/consent.h"
#include "matrix/matrix.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE 500                   /* devices: far below CONTROL_MAX */
#define START_MS (30 * 1000)       /* as long as it may take to make a device */
#define SILENCE_MS (3 * 60 * 1000) /* of the homeserver, which answers twice a minute */

/* ---- in the daemon ---- */

static void
judge(const struct matrix_encryption *standing, bool connected, json_t *problems)
{
	int64_t silence_ms = standing->synced_ms ? now_real_ms() - standing->synced_ms : 0;

	if (!standing->on || !connected)
		return;
	if (!standing->ready && now_real_ms() - standing->since_ms > START_MS)
		answers_add_problem(problems, "encryption: the device of the bot is not ready: \"sourdine check encryption\" says more");
	else if (silence_ms > SILENCE_MS)
		answers_add_problem(problems, "encryption: the homeserver has not answered for the device of the bot for %" PRId64 " s: no keys come", silence_ms / 1000);
}

static json_t *
describe_counts(struct store *store)
{
	static const char *const names[] = { "devices", "rooms", "sessions_of_others", "sessions_of_ours", "waiting_for_keys", "given_up_for_now" };
	struct query query = store_query(store, C_COUNTS);
	json_t *counts = json_object();
	bool found = query_step(&query);

	for (int i = 0; i < 6; i++)
		json_object_set_new(counts, names[i], json_integer(found ? (json_int_t)query_get_int(&query, i) : 0));
	query_done(&query);
	return counts;
}

json_t *
encryption_describe(const struct config *config, struct core *core, struct port *matrix, json_t *problems)
{
	AUTO_FREE char *bot = config_mxid(config, config->appservice.bot);
	struct matrix_encryption standing;

	matrix_encryption(matrix, &standing);
	judge(&standing, matrix_connected(matrix), problems);
	json_t *device = report_device(core->store, core->seal, bot), *counts = describe_counts(core->store);
	json_t *object = json_pack("{s:b, s:s, s:s, s:b, s:s?, s:s?, s:s?, s:o, s:o}", "allowed", config->encryption.allow, "libolm", report_library(),
			"trust", config->encryption.trust, "ready", standing.ready, "device", json_text(device, "device"), "device_key",
			json_text(device, "ed25519"), "identity", json_text(device, "master"), "synced_s",
			standing.synced_ms ? json_integer((json_int_t)((now_real_ms() - standing.synced_ms) / 1000)) : json_null(), "one_time_keys",
			standing.one_time < 0 ? json_null() : json_integer((json_int_t)standing.one_time));
	json_object_set_new(object, "fallback_key", standing.one_time < 0 ? json_null() : json_boolean(standing.fallback));
	json_object_set_new(object, "generation", json_integer((json_int_t)report_generation(core->store)));
	json_object_update(object, counts);
	json_decref(device);
	json_decref(counts);
	return object;
}

/* Who has agreed to an encrypted room being joined with a plain one; NULL: nobody. malloc'd. */
static char *
find_giver(struct core *core, const struct group *group)
{
	if (group->agreed)
		return xstrdup("the configuration");
	struct query query = store_query(core->store, CONSENT_GET);
	query_text(&query, group->room[NETWORK_MATRIX]);
	query_text(&query, group->room[NETWORK_XMPP]);
	char *giver = xstrdup(query_step(&query) ? query_get_text(&query, 0) : NULL);
	query_done(&query);
	return giver;
}

/* How an encrypted room and a plain one stand to each other, in a word; what stops them is a problem. */
static const char *
describe_consent(struct core *core, const struct group *group, json_t *problems)
{
	static const struct {
		const char *word, *problem;
	} table[] = {
		[CONSENT_NEEDLESS] = { "needless", NULL },
		[CONSENT_GIVEN] = { "given", NULL },
		[CONSENT_MISSING] = { "missing", "its Matrix room is encrypted, its MUC is not: nothing crosses until a moderator says \"!sd encrypted allow\", or groups.NAME.encrypted does" },
		[CONSENT_FORBIDDEN] = { "forbidden", "its Matrix room is encrypted, and encryption.allow is false: nothing crosses" },
		[CONSENT_PLAIN] = { "plain", "its Matrix room is not encrypted, and encryption.require is true: nothing crosses" },
	};
	enum consent consent = consent_of(core, group);

	if (table[consent].problem)
		answers_add_problem(problems, "%s: %s", group->name, table[consent].problem);
	return table[consent].word;
}

void
encryption_describe_group(struct core *core, const struct group *group, json_t *object, json_t *problems)
{
	struct port *port = core->port[NETWORK_MATRIX];
	enum encryption encryption = *group->room[NETWORK_MATRIX] ? port->ops->encryption(port, group->room[NETWORK_MATRIX]) : ENCRYPTION_UNKNOWN;
	bool encrypted = encryption == ENCRYPTION_ON || encryption == ENCRYPTION_DENIED;
	struct standing standing = { .connected = false };
	AUTO_FREE char *giver = find_giver(core, group);

	port->ops->stand(port, group->room[NETWORK_MATRIX], &standing);
	json_object_set_new(object, "encrypted", encryption == ENCRYPTION_UNKNOWN ? json_null() : json_boolean(encrypted));
	json_object_set_new(object, "consent", json_string(describe_consent(core, group, problems)));
	json_object_set_new(object, "consent_by", giver ? json_string(giver) : json_null());
	json_object_set_new(object, "trust", encrypted ? json_string(consent_trusts_plain(core, group) ? "all" : "cross-signed") : json_null());
	json_object_set_new(object, "waiting_for_keys", encrypted ? json_integer(standing.keyless) : json_null());
}

json_t *
encryption_page(const struct core *core, const char *after)
{
	json_t *devices = report_devices(core->store, core->seal, strcmp(after, "-") == 0 ? "" : after, PAGE);

	return json_pack("{s:o, s:I}", "devices", devices, "generation", (json_int_t)report_generation(core->store));
}

/* ---- outside of it ---- */

void
encryption_facts_fini(struct encryption_facts *facts)
{
	json_decref(facts->devices);
	facts->devices = NULL;
}

const json_t *
encryption_device_of(const struct encryption_facts *facts, const char *user)
{
	const json_t *device;
	size_t i;

	json_array_foreach(facts->devices, i, device)
		if (str_equal(json_text(device, "user"), user))
			return device;
	return NULL;
}

static const char *
last_user(const json_t *devices)
{
	size_t n = json_array_size(devices);

	return n ? json_text(json_array_get(devices, n - 1), "user") : NULL;
}

/* -ENOENT and -ECONNREFUSED: no daemon runs. */
static int
ask_daemon(const char *socket, struct encryption_facts *facts)
{
	size_t got = PAGE;

	for (int pages = 0; got == PAGE && pages < 1000; pages++) {
		const char *last = last_user(facts->devices);
		AUTO_FREE char *request = xasprintf("devices %s", last ? last : "-"), *text = NULL;
		int r = control_ask(socket, request, CONTROL_PATIENCE_MS, &text);
		if (r)
			return r;
		json_t *page = json_read_answer(text, strlen(text));
		got = json_array_size(json_object_get(page, "devices"));
		bool whole = json_array_extend(facts->devices, json_object_get(page, "devices")) == 0 && json_whole(page, "generation", &facts->generation);
		json_decref(page);
		if (!whole)
			return -EPROTO;
	}
	facts->running = facts->opens = true;
	facts->key = json_array_size(facts->devices) ? REPORT_KEY_GOOD : REPORT_KEY_UNUSED;
	return 0;
}

static int
read_database(const struct config *config, struct encryption_facts *facts, char *why, size_t size)
{
	AUTO_FREE char *path = config_state_file(config, "sourdine.db"), *bot = config_mxid(config, config->appservice.bot);
	struct store *store = NULL;
	struct seal *seal = NULL;

	if (access(path, F_OK) < 0 && errno == ENOENT)
		return 0;
	int r = seal_open(&seal, config->master_key_file, false);
	if (r == 0)
		r = store_open_reading(&store, config->state);
	if (r) {
		snprintf(why, size, "neither does a daemon run, nor can the database and its key be read in %s", config->state);
	} else {
		facts->key = report_key(store, seal);
		json_decref(facts->devices);
		facts->devices = report_devices(store, seal, "", INT64_MAX);
		facts->generation = report_generation(store);
		facts->opens = facts->key == REPORT_KEY_GOOD && report_opens(store, seal, bot);
	}
	store_close(store);
	seal_close(seal);
	return r ? -1 : 0;
}

int
encryption_learn(const struct config *config, struct encryption_facts *out, char *why, size_t size)
{
	AUTO_FREE char *socket = config_state_file(config, "control");

	*out = (struct encryption_facts){ .key = REPORT_KEY_UNUSED, .devices = json_array() };
	int r = ask_daemon(socket, out);
	if (r == -ENOENT || r == -ECONNREFUSED)
		return read_database(config, out, why, size);
	if (r)
		snprintf(why, size, "the running daemon does not answer at %s: %s", socket, strerror(-r));
	return r ? -1 : 0;
}
