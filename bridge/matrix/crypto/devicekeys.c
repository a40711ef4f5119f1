/* SPDX-License-Identifier: Apache-2.0 */
/* Everything here is public. What makes it ours is the signature, which libolm makes: the private key never leaves the account. */
#include "matrix/crypto/devicekeys.h"

#include "matrix/crypto/canonical.h"
#include "matrix/crypto/signing.h"

#include <assert.h>

#define SIGNED_MAX 65536

struct upload {
	const struct devicekeys *device;
	json_t *one_time, *fallback;
};

int
devicekeys_sign(const struct devicekeys *device, json_t *object)
{
	char signature[RATCHET_SIGNATURE_SIZE];
	AUTO_STR struct str text;

	str_init(&text, SIGNED_MAX);
	if (!canonical_add_signed(&text, object))
		return SIGNING_E_CONTENT;
	ratchet_account_sign(device->account, str_get(&text), text.n, signature);
	signing_put(object, device->user_id, device->device_id, signature);
	return 0;
}

json_t *
devicekeys_make(const struct devicekeys *device)
{
	AUTO_FREE char *curve_name = xasprintf("curve25519:%s", device->device_id), *ed_name = xasprintf("ed25519:%s", device->device_id);
	char curve[RATCHET_ID_SIZE], ed[RATCHET_ID_SIZE];

	ratchet_account_keys(device->account, curve, ed);
	json_t *keys = json_pack("{s:s, s:s, s:[s, s], s:{s:s, s:s}}", "user_id", device->user_id, "device_id", device->device_id,
			"algorithms", DEVICEKEYS_OLM, DEVICEKEYS_MEGOLM, "keys", curve_name, curve, ed_name, ed);
	int r = devicekeys_sign(device, keys);
	assert(r == 0);
	return keys;
}

static void
add_key(void *context, bool fallback, const char *id, const char *key)
{
	const struct upload *upload = context;
	AUTO_FREE char *name = xasprintf(DEVICEKEYS_ONE_TIME ":%s", id);
	json_t *object = json_pack("{s:s}", "key", key);

	/* Before signing: the signature covers it. */
	if (fallback)
		json_object_set_new(object, "fallback", json_true());
	int r = devicekeys_sign(upload->device, object);
	assert(r == 0);
	json_object_set_new(fallback ? upload->fallback : upload->one_time, name, object);
}

json_t *
devicekeys_make_upload(const struct devicekeys *device, json_t *device_keys)
{
	struct upload upload = { device, json_object(), json_object() };

	ratchet_account_unpublished(device->account, add_key, &upload);
	json_t *body = json_pack("{s:o, s:o}", "one_time_keys", upload.one_time, "fallback_keys", upload.fallback);
	if (device_keys)
		json_object_set(body, "device_keys", device_keys);
	return body;
}
