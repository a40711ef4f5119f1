/* SPDX-License-Identifier: Apache-2.0 */
/* A device's keys are read from the signed object that its peers are sent, and its owner's from the master key: no pickle is opened for them. */
#include "matrix/crypto/report.h"

#include "matrix/crypto/crosssign.h"
#include "matrix/crypto/keep.h"
#include "matrix/crypto/peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *
report_library(void)
{
	return ratchet_library();
}

enum report_key
report_key(struct store *store, const struct seal *seal)
{
	struct keep *keep = NULL;
	int r = keep_open_reading(&keep, store, seal);

	keep_close(keep);
	return r == 0 ? REPORT_KEY_GOOD : r == KEEP_E_UNUSED ? REPORT_KEY_UNUSED : REPORT_KEY_OTHER;
}

bool
report_opens(struct store *store, const struct seal *seal, const char *user)
{
	AUTO_KEEP_ACCOUNT struct keep_account account = { .id = 0 };
	struct keep *keep = NULL;
	bool opens = keep_open_reading(&keep, store, seal) == 0 && keep_find_account(keep, user, &account) && account.account;

	keep_close(keep);
	return opens;
}

static const char *
state_word(int64_t state)
{
	static const char *const words[] = {
		[KEEP_NEW] = "new", [KEEP_UPLOADED] = "uploaded", [KEEP_IDENTIFIED] = "identified", [KEEP_SIGNED] = "signed",
	};

	return state >= 0 && state <= KEEP_SIGNED ? words[state] : "unknown";
}

static const char *
key_of(const json_t *keys, const char *algorithm, const char *device)
{
	AUTO_FREE char *name = xasprintf("%s:%s", algorithm, device);
	const char *key = json_text(json_child(keys, "keys"), name);

	return key ? key : "";
}

static int64_t
number(struct store *store, const char *name)
{
	char value[32];

	return store_get_value(store, name, value, sizeof(value)) ? strtoll(value, NULL, 10) : 0;
}

/* As keep_edition() says it. */
static int64_t
edition_of(struct store *store, const char *user)
{
	AUTO_FREE char *name = xasprintf("c_identity %s", user);
	int64_t edition = number(store, name);

	return edition ? edition : 1;
}

/* The row at which a question for them stands. */
static json_t *
describe(struct query *query, const unsigned char secret[SEAL_KEY_SIZE])
{
	const char *user = query_get_text(query, 0), *device = query_get_text(query, 1), *device_keys = query_get_text(query, 3);
	json_t *keys = json_read_answer(device_keys, strlen(device_keys));
	struct crosssign identity;

	crosssign_init(&identity, secret, edition_of(query->store, user), user);
	json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "user", user, "device", device, "state", state_word(query_get_int(query, 2)),
			"ed25519",
			key_of(keys, "ed25519", device), "curve25519", key_of(keys, "curve25519", device), "master", identity.master_key, "self_signing",
			identity.self_signing_key);
	crosssign_fini(&identity);
	json_decref(keys);
	return object;
}

/* The rows of a question for them. */
static json_t *
describe_all(struct query *query, const struct seal *seal)
{
	unsigned char secret[SEAL_KEY_SIZE];
	json_t *devices = json_array();

	seal_derive(seal, "cross-signing", secret);
	while (query_step(query))
		json_array_append_new(devices, describe(query, secret));
	query_done(query);
	explicit_bzero(secret, sizeof(secret));
	return devices;
}

json_t *
report_device(struct store *store, const struct seal *seal, const char *user)
{
	struct query query = store_query(store, C_ACCOUNT_SHOW);

	query_text(&query, user);
	json_t *devices = describe_all(&query, seal), *device = json_incref(json_array_get(devices, 0));
	json_decref(devices);
	return device;
}

json_t *
report_devices(struct store *store, const struct seal *seal, const char *after, int64_t max)
{
	struct query query = store_query(store, C_ACCOUNT_PAGE);

	query_text(&query, after);
	query_int(&query, max);
	return describe_all(&query, seal);
}

static enum report_fault
compare_identity(const json_t *ours, int refusal, const struct peer_identity *identity)
{
	if (identity->changed || (*identity->self_signing && !str_equal(identity->self_signing, json_text(ours, "self_signing"))))
		return REPORT_OTHER_IDENTITY;
	return refusal == PEER_E_ABSENT ? REPORT_NO_IDENTITY : refusal ? REPORT_BROKEN_IDENTITY : REPORT_FINE;
}

enum report_fault
report_compare(const json_t *ours, const json_t *answer)
{
	const char *user = json_text(ours, "user"), *id = json_text(ours, "device");
	const json_t *keys = json_child(json_child(json_child(answer, "device_keys"), user), id);
	AUTO_FREE char *ed = xasprintf("ed25519:%s", id), *curve = xasprintf("curve25519:%s", id);
	struct peer_identity identity;
	struct peer_device device;

	if (!keys)
		return REPORT_ABSENT;
	if (!str_equal(json_text(json_child(keys, "keys"), ed), json_text(ours, "ed25519")) ||
			!str_equal(json_text(json_child(keys, "keys"), curve), json_text(ours, "curve25519")))
		return REPORT_OTHER_KEYS;
	int refusal = peer_read_identity(&identity, answer, user, json_text(ours, "master"));
	if (peer_read_device(&device, keys, user, id, &identity, NULL))
		return REPORT_BAD_KEYS;
	enum report_fault fault = compare_identity(ours, refusal, &identity);
	return fault ? fault : device.trust == PEER_CROSS_SIGNED ? REPORT_FINE : REPORT_UNSIGNED;
}

int64_t
report_generation(struct store *store)
{
	return number(store, "c_generation");
}
