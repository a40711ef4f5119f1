/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys are kept as the text that their bytes have, so that one key has one text and texts can be compared. Nothing is copied
 * out before all checks have passed.
 */
#include "matrix/crypto/peer.h"

#include "matrix/crypto/base64.h"
#include "matrix/crypto/devicekeys.h"
#include "matrix/crypto/signing.h"

#include <stdint.h>
#include <string.h>

struct key {
	unsigned char bytes[PRIMITIVE_KEY];
	char text[RATCHET_ID_SIZE];
};

const char *
peer_refusal_word(int refusal)
{
	static const char *const words[PEER_REFUSALS] = {
		[0] = "", [PEER_E_ABSENT] = "absent", [PEER_E_FORM] = "form", [PEER_E_NAME] = "name", [PEER_E_USAGE] = "usage",
		[PEER_E_ALGORITHMS] = "algorithms", [PEER_E_KEY] = "key", [PEER_E_SIGNATURE] = "signature", [PEER_E_CROSS] = "cross",
		[PEER_E_CHANGED] = "changed",
	};

	return words[refusal];
}

static bool
read_key(const char *text, struct key *key)
{
	if (!base64_decode_exact(BASE64_PLAIN, text, key->bytes, sizeof(key->bytes)))
		return false;
	base64_encode(BASE64_PLAIN, key->bytes, sizeof(key->bytes), key->text);
	return true;
}

static bool
has_text(const json_t *array, const char *text)
{
	for (size_t i = 0; i < json_array_size(array); i++)
		if (str_equal(json_string_value(json_array_get(array, i)), text))
			return true;
	return false;
}

static bool
is_named(const json_t *object, const char *key, const char *name)
{
	return str_equal(json_text(object, key), name);
}

/* ---- identities ---- */

/* A cross-signing key: one key, named by itself. */
static int
read_cross_key(const json_t *object, const char *user_id, const char *usage, struct key *out)
{
	static const char prefix[] = "ed25519:";
	const json_t *keys = json_child(object, "keys");
	struct key name;

	if (!object || json_object_size(keys) != 1)
		return PEER_E_FORM;
	if (!is_named(object, "user_id", user_id))
		return PEER_E_NAME;
	if (!has_text(json_object_get(object, "usage"), usage))
		return PEER_E_USAGE;
	void *only = json_object_iter((json_t *)(uintptr_t)keys);
	const char *key_id = json_object_iter_key(only);
	if (!str_starts(key_id, prefix) || !read_key(key_id + strlen(prefix), &name) ||
			!read_key(json_string_value(json_object_iter_value(only)), out) || strcmp(name.text, out->text) != 0)
		return PEER_E_KEY;
	return 0;
}

int
peer_read_identity(struct peer_identity *out, const json_t *answer, const char *user_id, const char *pinned)
{
	const json_t *master = json_object_get(json_child(answer, "master_keys"), user_id);
	const json_t *self_signing = json_object_get(json_child(answer, "self_signing_keys"), user_id);
	struct key master_key, key;

	*out = (struct peer_identity){ .changed = false };
	if (!master)
		return PEER_E_ABSENT;
	int r = read_cross_key(json_is_object(master) ? master : NULL, user_id, "master", &master_key);
	if (r)
		return r;
	memcpy(out->master, master_key.text, sizeof(out->master));
	out->changed = pinned && strcmp(pinned, out->master) != 0;
	if (!self_signing)
		return PEER_E_ABSENT;
	r = read_cross_key(json_is_object(self_signing) ? self_signing : NULL, user_id, "self_signing", &key);
	if (r)
		return r;
	if (signing_check(self_signing, user_id, master_key.text, master_key.bytes))
		return PEER_E_SIGNATURE;
	memcpy(out->self_signing, key.text, sizeof(out->self_signing));
	memcpy(out->self_signing_key, key.bytes, sizeof(out->self_signing_key));
	return 0;
}

/* ---- devices ---- */

static bool
read_device_key(const json_t *keys, const char *algorithm, const char *device_id, struct key *out)
{
	AUTO_FREE char *name = xasprintf("%s:%s", algorithm, device_id);

	return read_key(json_text(keys, name), out);
}

static enum peer_trust
trust_of(const json_t *device, const char *user_id, const struct peer_identity *identity)
{
	bool trusted = identity && identity->self_signing[0] && signing_check(device, user_id, identity->self_signing, identity->self_signing_key) == 0;

	return trusted ? PEER_CROSS_SIGNED : PEER_UNSIGNED;
}

static bool
is_cross_key(const char *device_id, const struct peer_identity *identity)
{
	return identity && *device_id && (strcmp(device_id, identity->master) == 0 || strcmp(device_id, identity->self_signing) == 0);
}

/* What can be judged without arithmetic. */
static int
check_device(const json_t *keys, const char *user_id, const char *device_id, const struct peer_identity *identity)
{
	const json_t *algorithms = json_object_get(keys, "algorithms");

	if (!json_is_object(keys) || !*device_id || strlen(device_id) > PEER_NAME_MAX || strlen(user_id) > PEER_NAME_MAX)
		return PEER_E_FORM;
	if (!is_named(keys, "user_id", user_id) || !is_named(keys, "device_id", device_id))
		return PEER_E_NAME;
	if (is_cross_key(device_id, identity))
		return PEER_E_CROSS;
	return has_text(algorithms, DEVICEKEYS_OLM) && has_text(algorithms, DEVICEKEYS_MEGOLM) ? 0 : PEER_E_ALGORITHMS;
}

int
peer_read_device(struct peer_device *out, const json_t *keys, const char *user_id, const char *device_id, const struct peer_identity *identity,
		const struct peer_device *known)
{
	struct key curve, ed;

	int r = check_device(keys, user_id, device_id, identity);
	if (r)
		return r;
	const json_t *own = json_child(keys, "keys");
	if (!read_device_key(own, "curve25519", device_id, &curve) || !read_device_key(own, "ed25519", device_id, &ed))
		return PEER_E_KEY;
	if (known && (strcmp(known->curve, curve.text) != 0 || strcmp(known->ed, ed.text) != 0))
		return PEER_E_CHANGED;
	if (signing_check(keys, user_id, device_id, ed.bytes))
		return PEER_E_SIGNATURE;
	memcpy(out->curve, curve.text, sizeof(out->curve));
	memcpy(out->ed, ed.text, sizeof(out->ed));
	out->trust = trust_of(keys, user_id, identity);
	return 0;
}

int
peer_read_devices(const json_t *answer, const char *user_id, const struct peer_identity *identity, const struct peer_reader *reader)
{
	const json_t *devices = json_child(json_child(answer, "device_keys"), user_id);
	const char *device_id;
	json_t *keys;

	if (!devices)
		return PEER_E_ABSENT;
	json_object_foreach((json_t *)(uintptr_t)devices, device_id, keys) {
		struct peer_device device;
		int r = peer_read_device(&device, keys, user_id, device_id, identity, reader->find(reader->context, device_id));
		reader->take(reader->context, device_id, r, r ? NULL : &device);
	}
	return 0;
}

/* ---- one-time keys ---- */

/* The server answers for one algorithm with one key; if there are more, the first counts. */
static const json_t *
find_claimed(const json_t *keys)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)keys, name, value)
		if (str_starts(name, DEVICEKEYS_ONE_TIME ":"))
			return value;
	return NULL;
}

int
peer_read_claimed(struct peer_claimed *out, const json_t *answer, const char *user_id, const char *device_id, const char *ed)
{
	const json_t *object = find_claimed(json_child(json_child(json_child(answer, "one_time_keys"), user_id), device_id));
	struct key signer, key;

	if (!object)
		return PEER_E_ABSENT;
	if (!json_is_object(object))
		return PEER_E_FORM;
	if (!read_key(ed, &signer) || !read_key(json_text(object, "key"), &key))
		return PEER_E_KEY;
	if (signing_check(object, user_id, device_id, signer.bytes))
		return PEER_E_SIGNATURE;
	memcpy(out->key, key.text, sizeof(out->key));
	out->fallback = json_is_on(object, "fallback");
	return 0;
}
