/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a Megolm message: as they are; after an 'S', signed by the session's owner; after an 'M', with his MAC as well, so
 * that what a member of the room may write is tried to the last byte of padding.
 */
#include "ratchets.h"

#include "replay.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#define RATCHET 128
#define MAC 8

static const unsigned char seed[PRIMITIVE_KEY] = "the owner of the session, 32 bts";

/* A session whose ratchet is known, from index 5 on. */
static struct ratchet_inbound *
open_session(unsigned char ratchet[RATCHET])
{
	struct ratchet_inbound *inbound = NULL;
	unsigned char key[1 + 4 + RATCHET + PRIMITIVE_KEY + PRIMITIVE_SIGNATURE] = { 2, 0, 0, 0, 5 };
	char text[BASE64_SIZE(sizeof(key))];

	memset(ratchet, 'r', RATCHET);
	memcpy(key + 5, ratchet, RATCHET);
	primitive_public_key(seed, key + 133);
	primitive_sign(seed, key, 165, key + 165);
	base64_encode(BASE64_PLAIN, key, sizeof(key), text);
	require(ratchet_inbound_open(&inbound, RATCHET_SHARED, text) == 0);
	return inbound;
}

/* The message with what is asked for behind it, as text. */
static char *
finish(const unsigned char ratchet[RATCHET], const uint8_t *data, size_t size)
{
	if (!size || (data[0] != 'S' && data[0] != 'M'))
		return message_text(data, size);
	size_t n = size - 1;
	unsigned char *bytes = xcalloc(1, n + 64 + PRIMITIVE_SIGNATURE), keys[80];
	memcpy(bytes, data + 1, n);
	if (data[0] == 'M') {
		primitive_hkdf(ratchet, RATCHET, NULL, 0, "MEGOLM_KEYS", 11, keys, sizeof(keys));
		require(HMAC(EVP_sha256(), keys + 32, 32, bytes, n, bytes + n, NULL) != NULL);
		n += MAC;
	}
	primitive_sign(seed, bytes, n, bytes + n);
	n += PRIMITIVE_SIGNATURE;
	char *text = xcalloc(1, BASE64_SIZE(n));
	base64_encode(BASE64_PLAIN, bytes, n, text);
	free(bytes);
	return text;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned char ratchet[RATCHET];
	struct ratchet_inbound *inbound = open_session(ratchet);
	AUTO_FREE char *body = finish(ratchet, data, size);
	struct secret plain, again;
	uint32_t index, second;

	int r = ratchet_inbound_decrypt(inbound, body, &plain, &index);
	require(r >= 0);
	require(r != RATCHET_E_SIGNATURE || !size || data[0] != 'S');
	if (!r) {
		require(index >= 5 && plain.p[plain.n] == '\0' && plain.n < size);
		require(ratchet_inbound_decrypt(inbound, body, &again, &second) == 0 && second == index && again.n == plain.n);
		secret_fini(&plain);
		secret_fini(&again);
	}
	require(ratchet_inbound_first(inbound) == 5);
	ratchet_inbound_free(inbound);
	return 0;
}

REPLAY_MAIN("megolm")
