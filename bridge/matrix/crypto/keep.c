/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pickle is read under the key of its row only, so a row that was copied to another place opens nothing. That the key is the
 * right one is known before any pickle is read: meta has a check value beside the salt. A pickle that then does not open is
 * damaged, not foreign.
 */
#include "matrix/crypto/keep.h"

#include "base/log.h"
#include "base/now.h"
#include "matrix/crypto/base64.h"
#include "matrix/crypto/derive.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK_SIZE BASE64_SIZE(PRIMITIVE_KEY)
#define SALT_SIZE BASE64_SIZE(DERIVE_SALT)

struct keep {
	struct store *store; /* borrowed */
	unsigned char key[PRIMITIVE_KEY];
	unsigned char salt[DERIVE_SALT];
	uint64_t writes;
};

/* ---- single values ---- */

int64_t
keep_number(struct keep *keep, const char *name)
{
	char text[32];

	return store_get_value(keep->store, name, text, sizeof(text)) ? strtoll(text, NULL, 10) : 0;
}

void
keep_set_number(struct keep *keep, const char *name, int64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRId64, value);
	store_set_value(keep->store, name, text);
}

int64_t
keep_edition(struct keep *keep, const char *user)
{
	AUTO_FREE char *name = xasprintf("c_identity %s", user);
	int64_t edition = keep_number(keep, name);

	return edition ? edition : 1;
}

void
keep_set_edition(struct keep *keep, const char *user, int64_t edition)
{
	AUTO_FREE char *name = xasprintf("c_identity %s", user);

	keep_set_number(keep, name, edition);
}

uint64_t
keep_writes(const struct keep *keep)
{
	return keep->writes;
}

/* ---- the key ---- */

void
keep_row_key(const struct keep *keep, const char *table, const char *row, unsigned char key[PRIMITIVE_KEY])
{
	derive_row_key(keep->key, keep->salt, table, row, key);
}

/* What tells two keys apart, and nothing about them. */
static void
make_check(const struct keep *keep, char out[CHECK_SIZE])
{
	unsigned char check[PRIMITIVE_KEY];

	keep_row_key(keep, "meta", "pickle_check", check);
	base64_encode(BASE64_PLAIN, check, sizeof(check), out);
}

static int
check_key(struct keep *keep)
{
	char salt[SALT_SIZE], kept[CHECK_SIZE], check[CHECK_SIZE];

	if (!store_get_value(keep->store, "pickle_salt", salt, sizeof(salt)))
		return KEEP_E_UNUSED;
	if (!base64_decode_exact(BASE64_PLAIN, salt, keep->salt, sizeof(keep->salt)))
		return KEEP_E_KEY;
	make_check(keep, check);
	return store_get_value(keep->store, "pickle_check", kept, sizeof(kept)) && strcmp(kept, check) == 0 ? 0 : KEEP_E_KEY;
}

static void
use_key(struct keep *keep)
{
	char salt[SALT_SIZE], check[CHECK_SIZE];

	seal_random(keep->salt, sizeof(keep->salt));
	base64_encode(BASE64_PLAIN, keep->salt, sizeof(keep->salt), salt);
	make_check(keep, check);
	store_set_value(keep->store, "pickle_salt", salt);
	store_set_value(keep->store, "pickle_check", check);
}

static int
open_with(struct keep **out, struct store *store, const struct seal *seal, bool writing)
{
	struct keep *keep = xcalloc(1, sizeof(*keep));

	keep->store = store;
	seal_derive(seal, "pickles", keep->key);
	int r = check_key(keep);
	if (r == KEEP_E_UNUSED && writing) {
		use_key(keep);
		r = 0;
	}
	if (r)
		keep_close(keep);
	else
		*out = keep;
	return r;
}

int
keep_open(struct keep **out, struct store *store, const struct seal *seal)
{
	return open_with(out, store, seal, true);
}

int
keep_open_reading(struct keep **out, struct store *store, const struct seal *seal)
{
	return open_with(out, store, seal, false);
}

void
keep_close(struct keep *keep)
{
	mem_free_secret(keep, sizeof(*keep));
}

/* ---- devices of ours ---- */

/* The row is named by what never changes, since its number is not known before it is made. */
static void
account_key(const struct keep *keep, const struct keep_account *account, unsigned char key[PRIMITIVE_KEY])
{
	AUTO_FREE char *row = xasprintf("%s|%s", account->user, account->device);

	keep_row_key(keep, "c_account", row, key);
}

static void
load_account(struct keep *keep, struct keep_account *account, const char *pickle)
{
	unsigned char key[PRIMITIVE_KEY];

	account_key(keep, account, key);
	if (ratchet_account_load(&account->account, pickle, strlen(pickle), key))
		log_error(LOG_STORE, "the keys of a device are damaged user=%s device=%s", account->user, account->device);
	explicit_bzero(key, sizeof(key));
}

void
keep_account_fini(struct keep_account *account)
{
	ratchet_account_free(account->account);
	free(account->device_keys);
	free(account->since);
	*account = (struct keep_account){ .id = 0 };
}

/* Ends a query with what changes of a device. Its pickle is "" for none. */
static void
write_account(struct keep *keep, struct query *query, const struct keep_account *account)
{
	AUTO_SECRET struct secret pickle = { NULL, 0 };
	unsigned char key[PRIMITIVE_KEY];

	account_key(keep, account, key);
	bool made = account->account && ratchet_account_save(account->account, key, &pickle) == 0;
	explicit_bzero(key, sizeof(key));
	query_int(query, account->state);
	query_text(query, made ? pickle.p : "");
	query_text(query, account->device_keys);
	query_text(query, account->since);
	query_int(query, account->fallback_ms);
	query_int(query, account->fallback_old);
	query_run(query);
	keep->writes++;
}

void
keep_add_account(struct keep *keep, struct keep_account *account)
{
	struct query query = store_query(keep->store, C_ACCOUNT_ADD);

	query_text(&query, account->user);
	query_text(&query, account->device);
	write_account(keep, &query, account);
	account->id = store_last_id(keep->store);
}

void
keep_save_account(struct keep *keep, const struct keep_account *account)
{
	struct query query = store_query(keep->store, C_ACCOUNT_SAVE);

	query_int(&query, account->id);
	write_account(keep, &query, account);
}

bool
keep_find_account(struct keep *keep, const char *user, struct keep_account *out)
{
	struct query query = store_query(keep->store, C_ACCOUNT_GET);

	query_text(&query, user);
	bool found = query_step(&query);
	if (found) {
		/* `user` may be that of *out. */
		struct keep_account account = {
			.id = query_get_int(&query, 0), .state = (enum keep_state)query_get_int(&query, 2),
			.device_keys = xstrdup(query_get_text(&query, 4)), .since = xstrdup(query_get_text(&query, 5)),
			.fallback_ms = query_get_int(&query, 6), .fallback_old = query_get_int(&query, 7) != 0,
		};
		snprintf(account.user, sizeof(account.user), "%s", user);
		snprintf(account.device, sizeof(account.device), "%s", query_get_text(&query, 1));
		load_account(keep, &account, query_get_text(&query, 3));
		*out = account;
	}
	query_done(&query);
	return found;
}

bool
keep_find_dead(struct keep *keep, const char *user, char *device, size_t size, int64_t *id)
{
	struct query query = store_query(keep->store, C_ACCOUNT_DEAD);

	query_text(&query, user);
	bool found = query_step(&query);
	if (found) {
		*id = query_get_int(&query, 0);
		snprintf(device, size, "%s", query_get_text(&query, 1));
	}
	query_done(&query);
	return found;
}

bool
keep_is_dead(struct keep *keep, const char *user, const char *device)
{
	struct query query = store_query(keep->store, C_ACCOUNT_IS_DEAD);

	query_text(&query, user);
	query_text(&query, device);
	return query_any(&query);
}

void
keep_kill_account(struct keep *keep, int64_t id)
{
	/* Shares are found by the sessions that they are of, so they go first. */
	static const enum statement all[] = { C_MG_SHARE_END, C_MG_OUT_END, C_OLM_END, C_OLM_SEEN_END, C_POST_END, C_CLAIM_END,
		C_ACCOUNT_KILL };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		store_run_for(keep->store, all[i], id);
}

void
keep_kill_all(struct keep *keep)
{
	for (;;) {
		struct query query = store_query(keep->store, C_ACCOUNT_LIVING);
		int64_t id = query_number(&query);
		if (!id || store_failed(keep->store))
			return;
		keep_kill_account(keep, id);
	}
}

void
keep_forget_account(struct keep *keep, int64_t id)
{
	store_run_for(keep->store, C_ACCOUNT_END, id);
}

/* ---- Olm sessions ---- */

static void
session_key(const struct keep *keep, int64_t account, const char *peer_curve, const char *id, unsigned char key[PRIMITIVE_KEY])
{
	AUTO_FREE char *row = xasprintf("%" PRId64 "|%s|%s", account, peer_curve, id);

	keep_row_key(keep, "c_olm", row, key);
}

void
keep_save_session(struct keep *keep, int64_t account, const char *peer_curve, const struct ratchet_session *session, bool received)
{
	AUTO_SECRET struct secret pickle = { NULL, 0 };
	unsigned char key[PRIMITIVE_KEY];
	char id[RATCHET_ID_SIZE];

	ratchet_session_id(session, id);
	session_key(keep, account, peer_curve, id, key);
	int r = ratchet_session_save(session, key, &pickle);
	explicit_bzero(key, sizeof(key));
	struct query query = store_query(keep->store, C_OLM_SAVE);
	query_int(&query, account);
	query_text(&query, peer_curve);
	query_text(&query, id);
	query_text(&query, r ? "" : pickle.p);
	query_int(&query, now_real_ms());
	query_int(&query, received);
	query_run(&query);
	query = store_query(keep->store, C_OLM_TRIM);
	query_int(&query, account);
	query_text(&query, peer_curve);
	query_run(&query);
	keep->writes++;
}

void
keep_trim_strangers(struct keep *keep, int64_t account)
{
	struct query query = store_query(keep->store, C_OLM_TRIM_STRANGERS);

	query_int(&query, account);
	query_int(&query, KEEP_STRANGERS_MAX);
	query_run(&query);
}

/* It opens nothing any more; the peer is told (mend.h) when it writes through it. */
static void
drop_session(struct keep *keep, int64_t account, const char *peer_curve, const char *id)
{
	struct query query = store_query(keep->store, C_OLM_DROP);

	log_error(LOG_STORE, "an Olm session is damaged, it is forgotten account=%" PRId64, account);
	query_int(&query, account);
	query_text(&query, peer_curve);
	query_text(&query, id);
	query_run(&query);
}

size_t
keep_load_sessions(struct keep *keep, int64_t account, const char *peer_curve, struct ratchet_session **out, size_t max)
{
	struct query query = store_query(keep->store, C_OLM_OF);
	unsigned char key[PRIMITIVE_KEY];
	char damaged[RATCHET_ID_SIZE] = "";
	size_t n = 0;

	query_int(&query, account);
	query_text(&query, peer_curve);
	query_int(&query, (int64_t)max);
	while (query_step(&query)) {
		const char *pickle = query_get_text(&query, 1);
		session_key(keep, account, peer_curve, query_get_text(&query, 0), key);
		if (ratchet_session_load(&out[n], pickle, strlen(pickle), key))
			snprintf(damaged, sizeof(damaged), "%s", query_get_text(&query, 0));
		else
			n++;
	}
	explicit_bzero(key, sizeof(key));
	query_done(&query);
	if (*damaged)
		drop_session(keep, account, peer_curve, damaged);
	return n;
}

/* ---- Megolm sessions of ours ---- */

void
keep_outbound_fini(struct keep_outbound *outbound)
{
	ratchet_outbound_free(outbound->ratchet);
	*outbound = (struct keep_outbound){ .account = 0 };
}

static void
outbound_key(const struct keep *keep, const struct keep_outbound *outbound, unsigned char key[PRIMITIVE_KEY])
{
	AUTO_FREE char *row = xasprintf("%" PRId64 "|%s|%s", outbound->account, outbound->room, outbound->session);

	keep_row_key(keep, "c_mg_out", row, key);
}

void
keep_save_outbound(struct keep *keep, const struct keep_outbound *outbound)
{
	AUTO_SECRET struct secret pickle = { NULL, 0 };
	unsigned char key[PRIMITIVE_KEY];

	outbound_key(keep, outbound, key);
	int r = ratchet_outbound_save(outbound->ratchet, key, &pickle);
	explicit_bzero(key, sizeof(key));
	struct query query = store_query(keep->store, C_MG_OUT_SAVE);
	query_int(&query, outbound->account);
	query_text(&query, outbound->room);
	query_text(&query, outbound->session);
	query_text(&query, r ? "" : pickle.p);
	query_int(&query, outbound->created_ms);
	query_int(&query, outbound->messages);
	query_int(&query, outbound->shared_history);
	query_run(&query);
	keep->writes++;
}

static void
load_outbound(const struct keep *keep, struct keep_outbound *outbound, const char *pickle)
{
	unsigned char key[PRIMITIVE_KEY];

	outbound_key(keep, outbound, key);
	if (ratchet_outbound_load(&outbound->ratchet, pickle, strlen(pickle), key))
		log_error(LOG_STORE, "a Megolm session of ours is damaged, another is begun room=%s", outbound->room);
	explicit_bzero(key, sizeof(key));
}

static bool
find_outbound(struct keep *keep, int64_t account, const char *room, bool open, struct keep_outbound *out)
{
	struct query query = store_query(keep->store, C_MG_OUT_GET);

	query_int(&query, account);
	query_text(&query, room);
	bool found = query_step(&query);
	if (found) {
		*out = (struct keep_outbound){ .account = account, .created_ms = query_get_int(&query, 2),
			.messages = query_get_int(&query, 3), .shared_history = query_get_int(&query, 4) != 0 };
		snprintf(out->room, sizeof(out->room), "%s", room);
		snprintf(out->session, sizeof(out->session), "%s", query_get_text(&query, 0));
		if (open)
			load_outbound(keep, out, query_get_text(&query, 1));
	}
	query_done(&query);
	return found;
}

bool
keep_find_outbound(struct keep *keep, int64_t account, const char *room, struct keep_outbound *out)
{
	return find_outbound(keep, account, room, true, out);
}

bool
keep_look_at_outbound(struct keep *keep, int64_t account, const char *room, struct keep_outbound *out)
{
	return find_outbound(keep, account, room, false, out);
}
