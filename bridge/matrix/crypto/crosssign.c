/* SPDX-License-Identifier: Apache-2.0 */
/* A cross-signing key is named by itself: its object has it once as "ed25519:KEY" and once as the value. */
#include "matrix/crypto/crosssign.h"

#include "matrix/crypto/base64.h"
#include "matrix/crypto/derive.h"

#include <assert.h>
#include <string.h>

static void
init_key(const unsigned char bridge_secret[PRIMITIVE_KEY], int64_t edition, const char *user_id, const char *usage,
		unsigned char seed[PRIMITIVE_KEY], char text[SIGNING_KEY_SIZE])
{
	unsigned char key[PRIMITIVE_KEY];

	derive_seed(bridge_secret, edition, user_id, usage, seed);
	primitive_public_key(seed, key);
	base64_encode(BASE64_PLAIN, key, sizeof(key), text);
}

void
crosssign_init(struct crosssign *identity, const unsigned char bridge_secret[PRIMITIVE_KEY], int64_t edition, const char *user_id)
{
	*identity = (struct crosssign){ .user_id = user_id };
	init_key(bridge_secret, edition, user_id, "master", identity->master, identity->master_key);
	init_key(bridge_secret, edition, user_id, "self_signing", identity->self_signing, identity->self_signing_key);
}

void
crosssign_fini(struct crosssign *identity)
{
	explicit_bzero(identity, sizeof(*identity));
}

static json_t *
make_key(const char *user_id, const char *usage, const char *key)
{
	AUTO_FREE char *name = xasprintf("ed25519:%s", key);

	return json_pack("{s:s, s:[s], s:{s:s}}", "user_id", user_id, "usage", usage, "keys", name, key);
}

json_t *
crosssign_make_upload(const struct crosssign *identity)
{
	json_t *master = make_key(identity->user_id, "master", identity->master_key);
	json_t *self_signing = make_key(identity->user_id, "self_signing", identity->self_signing_key);

	/* It has no numbers, so it can be signed. */
	int r = signing_sign(self_signing, identity->user_id, identity->master_key, identity->master);
	assert(r == 0);
	return json_pack("{s:o, s:o}", "master_key", master, "self_signing_key", self_signing);
}

int
crosssign_sign_device(const struct crosssign *identity, json_t *device_keys)
{
	return signing_sign(device_keys, identity->user_id, identity->self_signing_key, identity->self_signing);
}

json_t *
crosssign_make_signatures(const struct crosssign *identity, const char *device_id, json_t *device_keys)
{
	return json_pack("{s:{s:O}}", identity->user_id, device_id, device_keys);
}
