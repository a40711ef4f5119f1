/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a pre-key message to an account: refused with nothing changed, or a session that takes the next message. */
#include "ratchets.h"

#include "replay.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ratchet_account *account = NULL;
	struct ratchet_session *session = NULL;
	struct secret before, after, plain;
	unsigned char hash[PRIMITIVE_HASH];
	AUTO_FREE char *body = message_text(data, size);

	require(ratchet_account_load(&account, libolm_account, strlen(libolm_account), ratchets_key) == 0);
	require(ratchet_account_save(account, ratchets_key, &before) == 0);
	int r = ratchet_session_accept(&session, &plain, account, vodozemac_curve, body);
	require(r >= 0 && (r > 0) == !session);
	require(ratchet_account_save(account, ratchets_key, &after) == 0);
	require(same_saved(&before, &after) == (r > 0));
	if (!r) {
		/* Only what the other side wrote gets this far, and it was written once. */
		require(ratchet_hash(body, hash) == 0 && ratchet_session_matches(session, vodozemac_curve, body));
		require(plain.n == strlen(plain.p));
		secret_fini(&plain);
		require(ratchet_session_decrypt(session, RATCHET_PRE_KEY, body, &plain) == RATCHET_E_MAC);
		struct ratchet_session *again = NULL;
		require(ratchet_session_accept(&again, &plain, account, vodozemac_curve, body) == RATCHET_E_KEY);
	}
	ratchet_session_free(session);
	ratchet_account_free(account);
	return 0;
}

REPLAY_MAIN("prekey")
