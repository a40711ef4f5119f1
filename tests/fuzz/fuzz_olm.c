/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a message of either type to a session, which is what it was when they are refused; and as a saved session. */
#include "ratchets.h"

#include "replay.h"

static void
check_message(int64_t type, const char *body)
{
	struct ratchet_session *session = NULL;
	struct secret before, after, plain;

	require(ratchet_session_load(&session, libolm_session, strlen(libolm_session), ratchets_key) == 0);
	require(ratchet_session_save(session, ratchets_key, &before) == 0);
	int r = ratchet_session_decrypt(session, type, body, &plain);
	require(r >= 0);
	if (!r) {
		secret_fini(&plain);
		require(ratchet_session_is_answered(session));
		require(ratchet_session_decrypt(session, type, body, &plain) == RATCHET_E_MAC);
	}
	require(ratchet_session_save(session, ratchets_key, &after) == 0);
	require(same_saved(&before, &after) == (r > 0));
	ratchet_session_free(session);
}

static void
check_saved(const uint8_t *data, size_t size)
{
	struct ratchet_session *session = NULL;
	struct ratchet_account *account = NULL;
	struct ratchet_outbound *outbound = NULL;
	struct ratchet_inbound *inbound = NULL;

	int r = ratchet_session_load(&session, data, size, ratchets_key);
	require(r == 0 || r == RATCHET_E_PICKLE);
	r = ratchet_account_load(&account, data, size, ratchets_key);
	require(r == 0 || r == RATCHET_E_PICKLE);
	require(ratchet_outbound_load(&outbound, data, size, ratchets_key) == RATCHET_E_PICKLE);
	require(ratchet_inbound_load(&inbound, data, size, ratchets_key) == RATCHET_E_PICKLE);
	ratchet_session_free(session);
	ratchet_account_free(account);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FREE char *body = message_text(data, size);

	check_message(RATCHET_PRE_KEY, body);
	check_message(RATCHET_NORMAL, body);
	check_message(2, body);
	check_saved(data, size);
	return 0;
}

REPLAY_MAIN("olm")
