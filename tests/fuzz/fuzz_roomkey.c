/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a session key, shared or exported; after an 'S' signed by the key that it names. What is taken can be exported again. */
#include "ratchets.h"

#include "replay.h"

#define SIGNER 133

static char *
finish(const uint8_t *data, size_t size)
{
	static const unsigned char seed[PRIMITIVE_KEY] = "the owner of the session, 32 bts";

	if (!size || data[0] != 'S')
		return message_text(data, size);
	size_t n = size - 1;
	unsigned char *bytes = xcalloc(1, n + SIGNER + PRIMITIVE_KEY + PRIMITIVE_SIGNATURE);
	memcpy(bytes, data + 1, n);
	primitive_public_key(seed, bytes + SIGNER);
	n = n < SIGNER ? n : SIGNER + PRIMITIVE_KEY;
	primitive_sign(seed, bytes, n, bytes + n);
	char *text = xcalloc(1, BASE64_SIZE(n + PRIMITIVE_SIGNATURE));
	base64_encode(BASE64_PLAIN, bytes, n + PRIMITIVE_SIGNATURE, text);
	free(bytes);
	return text;
}

static void
check(enum ratchet_key_kind kind, const char *text)
{
	struct ratchet_inbound *inbound = NULL, *again = NULL;
	char id[RATCHET_ID_SIZE], second[RATCHET_ID_SIZE];
	struct secret key, before, after;

	int r = ratchet_inbound_open(&inbound, kind, text);
	require(r == 0 || r == RATCHET_E_FORM || (r == RATCHET_E_SIGNATURE && kind == RATCHET_SHARED));
	if (r)
		return;
	uint32_t first = ratchet_inbound_first(inbound);
	if (first)
		require(ratchet_inbound_export(inbound, first - 1, &key) == RATCHET_E_INDEX);
	require(ratchet_inbound_export(inbound, first, &key) == 0);
	require(ratchet_inbound_open(&again, RATCHET_EXPORTED, key.p) == 0 && ratchet_inbound_first(again) == first);
	ratchet_inbound_id(inbound, id);
	ratchet_inbound_id(again, second);
	require(strcmp(id, second) == 0);
	ratchet_inbound_free(again);
	require(ratchet_inbound_save(inbound, ratchets_key, &before) == 0);
	require(ratchet_inbound_load(&again, before.p, before.n, ratchets_key) == 0 && ratchet_inbound_save(again, ratchets_key, &after) == 0);
	require(same_saved(&before, &after));
	ratchet_inbound_free(again);
	ratchet_inbound_free(inbound);
	secret_fini(&key);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FREE char *text = finish(data, size);

	check(RATCHET_SHARED, text);
	check(RATCHET_EXPORTED, text);
	return 0;
}

REPLAY_MAIN("roomkey")
