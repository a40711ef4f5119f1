/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any JSON as an answer to /keys/query and /keys/claim, and as the text in an Olm message. After an 'S' everything in it is signed
 * by keys that are the same each time, so that what comes after the signatures is reached.
 */
#include "matrix/crypto/base64.h"
#include "matrix/crypto/envelope.h"
#include "matrix/crypto/peer.h"
#include "matrix/crypto/signing.h"

#include "replay.h"

#include <string.h>

#define USER "@a:x"

static const unsigned char device_seed[PRIMITIVE_KEY] = "the device", master_seed[PRIMITIVE_KEY] = "the master key", own_seed[PRIMITIVE_KEY] = "the self-signing key";

static void
require(bool good)
{
	if (!good)
		abort();
}

static void
name_key(const unsigned char seed[PRIMITIVE_KEY], char text[RATCHET_ID_SIZE])
{
	unsigned char key[PRIMITIVE_KEY];

	primitive_public_key(seed, key);
	base64_encode(BASE64_PLAIN, key, sizeof(key), text);
}

static void
sign(json_t *object, const char *key_name, const unsigned char seed[PRIMITIVE_KEY])
{
	if (json_is_object(object))
		(void)!signing_sign(object, USER, key_name, seed);
}

/* {device: object} or {device: {id: object}} */
static void
sign_devices(json_t *devices, bool deeper, const char *own)
{
	const char *id, *name;
	json_t *device, *key;

	json_object_foreach(devices, id, device) {
		if (!deeper) {
			sign(device, id, device_seed);
			sign(device, own, own_seed);
			continue;
		}
		json_object_foreach(device, name, key)
			sign(key, id, device_seed);
	}
}

static void
sign_all(json_t *answer)
{
	char master[RATCHET_ID_SIZE], own[RATCHET_ID_SIZE];

	name_key(master_seed, master);
	name_key(own_seed, own);
	sign(json_object_get(json_object_get(answer, "self_signing_keys"), USER), master, master_seed);
	sign_devices(json_object_get(json_object_get(answer, "device_keys"), USER), false, own);
	sign_devices(json_object_get(json_object_get(answer, "one_time_keys"), USER), true, own);
	json_t *keys = json_object_get(answer, "sender_device_keys");
	const char *id = json_text(keys, "device_id");
	if (id)
		sign(keys, id, device_seed);
}

static bool
is_key(const char *text)
{
	unsigned char key[PRIMITIVE_KEY];

	return strlen(text) == RATCHET_ID_SIZE - 1 && base64_decode_exact(BASE64_PLAIN, text, key, sizeof(key));
}

static const struct peer_device *
find(void *context, const char *device_id)
{
	static struct peer_device known = { .curve = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", .ed = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" };

	(void)context;
	return str_equal(device_id, "KNOWN") ? &known : NULL;
}

static void
take(void *context, const char *device_id, int refusal, const struct peer_device *device)
{
	const struct peer_identity *identity = context;

	require(refusal >= 0 && refusal < PEER_REFUSALS && (refusal == 0) == (device != NULL));
	require(!peer_refusal_word(refusal)[0] == !refusal);
	if (!device)
		return;
	require(*device_id && strlen(device_id) <= PEER_NAME_MAX && strcmp(device_id, identity->master) != 0 && strcmp(device_id, "KNOWN") != 0);
	require(is_key(device->curve) && is_key(device->ed));
	require(device->trust == PEER_UNSIGNED || identity->self_signing[0]);
}

static void
check_envelope(const json_t *plain)
{
	char ed[RATCHET_ID_SIZE];
	const json_t *content;
	const char *type;

	name_key(device_seed, ed);
	const struct envelope_ends ends = { .sender = USER, .sender_ed = ed, .recipient = "@b:x", .recipient_ed = "key", .sender_curve = ed };
	struct envelope_ends unknown = ends;
	unknown.sender_ed = NULL;
	int known_device = envelope_check(plain, &ends, &type, &content), unknown_device = envelope_check(plain, &unknown, &type, &content);
	require(known_device >= 0 && known_device <= ENVELOPE_E_DEVICE && unknown_device >= 0 && unknown_device <= ENVELOPE_E_DEVICE);
	if (!unknown_device)
		require(type && content && json_child(plain, "sender_device_keys"));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool signs = size && data[0] == 'S';
	json_t *answer = json_read_answer((const char *)data + signs, size - signs);
	struct peer_identity identity;
	struct peer_claimed claimed;
	char ed[RATCHET_ID_SIZE];

	if (!answer)
		return 0;
	if (signs)
		sign_all(answer);
	int r = peer_read_identity(&identity, answer, USER, "pinned");
	require(r >= 0 && r < PEER_REFUSALS && (r == 0) == (identity.self_signing[0] != '\0'));
	struct peer_reader reader = { find, take, &identity };
	(void)!peer_read_devices(answer, USER, &identity, &reader);
	name_key(device_seed, ed);
	r = peer_read_claimed(&claimed, answer, USER, "D", ed);
	require(r >= 0 && r < PEER_REFUSALS && (r || is_key(claimed.key)));
	check_envelope(answer);
	json_decref(answer);
	return 0;
}

REPLAY_MAIN("peer")
