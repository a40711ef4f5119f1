/* SPDX-License-Identifier: Apache-2.0 */
/* Rows in the open transaction; nothing is remembered here, so what is rolled back was never there. */
#include "matrix/crypto/received.h"

#include "base/log.h"
#include "base/now.h"
#include "matrix/crypto/peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY_MS (INT64_C(24) * 3600 * 1000)
#define READ_KEPT_MS (8 * DAY_MS)

bool
received_has_read(struct crypto *crypto, int64_t account, const unsigned char hash[PRIMITIVE_HASH])
{
	struct query query = store_query(crypto->store, C_OLM_SEEN_GET);

	query_int(&query, account);
	query_blob(&query, hash, PRIMITIVE_HASH);
	return query_any(&query);
}

void
received_note_read(struct crypto *crypto, int64_t account, const unsigned char hash[PRIMITIVE_HASH])
{
	struct query query = store_query(crypto->store, C_OLM_SEEN_ADD);

	query_int(&query, account);
	query_blob(&query, hash, PRIMITIVE_HASH);
	query_int(&query, now_real_ms());
	query_run(&query);
}

/* ---- sessions ---- */

static void
session_key(const struct received *received, const struct keep *keep, unsigned char key[PRIMITIVE_KEY])
{
	AUTO_FREE char *row = xasprintf("%s|%s", received->room, received->id);

	keep_row_key(keep, "c_mg_in", row, key);
}

static void
open_pickle(struct crypto *crypto, struct received *received, const char *pickle)
{
	unsigned char key[PRIMITIVE_KEY];

	session_key(received, crypto->keep, key);
	if (ratchet_inbound_load(&received->session, pickle, strlen(pickle), key))
		log_error(LOG_STORE, "a Megolm session is damaged room=%s", received->room);
	explicit_bzero(key, sizeof(key));
}

bool
received_find(struct crypto *crypto, const char *room, const char *id, const char *user, struct received *out)
{
	struct query query = store_query(crypto->store, C_MG_IN_GET);

	*out = (struct received){ .first = 0 };
	snprintf(out->room, sizeof(out->room), "%s", room);
	snprintf(out->id, sizeof(out->id), "%s", id);
	snprintf(out->user, sizeof(out->user), "%s", user);
	query_text(&query, room);
	query_text(&query, id);
	query_text(&query, user);
	bool found = query_step(&query);
	if (found) {
		snprintf(out->curve, sizeof(out->curve), "%s", query_get_text(&query, 0));
		snprintf(out->ed, sizeof(out->ed), "%s", query_get_text(&query, 1));
		const char *pickle = query_get_text(&query, 2), *withheld = query_get_text(&query, 5);
		if (pickle)
			open_pickle(crypto, out, pickle);
		out->first = query_get_int(&query, 3);
		out->source = query_get_int(&query, 4) ? RECEIVED_FORWARDED : RECEIVED_SHARED;
		snprintf(out->withheld, sizeof(out->withheld), "%s", withheld ? withheld : "");
	}
	query_done(&query);
	return found;
}

void
received_save(struct crypto *crypto, const struct received *received)
{
	AUTO_SECRET struct secret pickle = { NULL, 0 };
	unsigned char key[PRIMITIVE_KEY];

	session_key(received, crypto->keep, key);
	bool made = received->session && ratchet_inbound_save(received->session, key, &pickle) == 0;
	explicit_bzero(key, sizeof(key));
	struct query query = store_query(crypto->store, C_MG_IN_SET);
	query_text(&query, received->room);
	query_text(&query, received->id);
	query_text(&query, received->user);
	query_text(&query, "");
	query_text(&query, received->curve);
	query_text(&query, received->ed);
	query_text(&query, made ? pickle.p : NULL);
	query_int(&query, received->first);
	query_int(&query, received->source);
	query_int(&query, received->shared_history);
	query_text(&query, *received->withheld ? received->withheld : NULL);
	query_int(&query, now_real_ms());
	query_run(&query);
}

void
received_fini(struct received *received)
{
	ratchet_inbound_free(received->session);
	received->session = NULL;
}

bool
received_is_first(struct crypto *crypto, const char *session, const char *user, uint32_t index, const char *event_id, int64_t origin_ms)
{
	struct query query = store_query(crypto->store, C_MG_INDEX_ADD);

	query_text(&query, session);
	query_text(&query, user);
	query_int(&query, index);
	query_text(&query, event_id);
	query_int(&query, origin_ms);
	query_run(&query);
	query = store_query(crypto->store, C_MG_INDEX_GET);
	query_text(&query, session);
	query_text(&query, user);
	query_int(&query, index);
	bool first = query_step(&query) && str_equal(query_get_text(&query, 0), event_id) && query_get_int(&query, 1) == origin_ms;
	query_done(&query);
	return first;
}

bool
received_find_device(struct crypto *crypto, const char *user, const char *curve, struct received_device *out)
{
	struct query query = store_query(crypto->store, C_DEVICE_OF_CURVE);

	query_text(&query, user);
	query_text(&query, curve);
	bool found = query_step(&query);
	if (found) {
		snprintf(out->id, sizeof(out->id), "%s", query_get_text(&query, 0));
		snprintf(out->ed, sizeof(out->ed), "%s", query_get_text(&query, 1));
		out->trusted = query_get_int(&query, 2) == PEER_CROSS_SIGNED;
	}
	query_done(&query);
	return found;
}

void
received_trim(struct crypto *crypto)
{
	int64_t now_ms = now_real_ms();

	store_run_for(crypto->store, C_OLM_SEEN_TRIM, now_ms - READ_KEPT_MS);
	/* For twice as long as one lives. What is held is kept as it was read, so it needs none. */
	store_run_for(crypto->store, C_MG_IN_TRIM, now_ms);
	struct query query = store_query(crypto->store, C_MG_INDEX_TRIM);
	query_run(&query);
}
