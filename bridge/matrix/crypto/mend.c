/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new session is kept and committed before its first message leaves, as every ratchet is. Should the process end in between, the device
 * hears of it an hour later, by the next message that cannot be read.
 */
#include "matrix/crypto/mend.h"

#include "base/log.h"
#include "base/now.h"
#include "matrix/crypto/devicekeys.h"
#include "matrix/crypto/envelope.h"
#include "matrix/crypto/keep.h"
#include "matrix/crypto/received.h"
#include "matrix/intake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AGAIN_MS (3600 * 1000)
#define REFUSALS_MAX 8 /* a minute: an answer costs a request, an asking nothing */

struct mend {
	struct crypto *crypto;
	struct http_request *request;
	char own[KEEP_ID_MAX]; /* whose device of ours */
	char user[KEEP_ID_MAX], device[KEEP_ID_MAX];
	char curve[RATCHET_ID_SIZE], ed[RATCHET_ID_SIZE];
	char *path, *body; /* own: what leaves after the commit */
	bool awaited;      /* a commit is waited for */
	int64_t minute;    /* of the refusals that are counted */
	int refusals;
};

struct mend *
mend_open(struct crypto *crypto)
{
	struct mend *mend = xcalloc(1, sizeof(*mend));

	mend->crypto = crypto;
	return mend;
}

static void
forget(struct mend *mend)
{
	free(mend->path);
	free(mend->body);
	mend->path = mend->body = NULL;
	mend->user[0] = '\0';
}

void
mend_stop(struct mend *mend)
{
	http_cancel(mend->request);
	mend->request = NULL;
	forget(mend);
}

void
mend_close(struct mend *mend)
{
	if (!mend)
		return;
	forget(mend);
	free(mend);
}

/* A to-device message's body: {"messages": {user: {device: content}}}. Takes the content. */
static char *
address(const char *user, const char *device, json_t *content)
{
	json_t *body = json_pack("{s:{s:{s:o}}}", "messages", user, device, content);
	struct str text;

	str_init(&text, 256 * 1024);
	json_add(&text, body);
	json_decref(body);
	return str_take(&text);
}

static char *
path_of(const struct keep_account *bot, const char *type)
{
	char txn[25];

	seal_random_text(txn, sizeof(txn) - 1, "abcdefghijklmnopqrstuvwxyz0123456789");
	return matrix_path("/_matrix/client/v3/sendToDevice/%s/%s?user_id=%s&device_id=%s", type, txn, bot->user, bot->device);
}

/* ---- a new session ---- */

static void
on_sent(void *context, const struct http_answer *answer)
{
	struct mend *mend = context;
	struct judged judged;

	mend->request = NULL;
	matrix_judge(mend->crypto->matrix, answer, &judged);
	if (judged.is != JUDGED_FINE)
		log_info(LOG_MATRIX, "a device was not told of its new session status=%ld errcode=%s", judged.status, judged.errcode);
	judged_fini(&judged);
	forget(mend);
}

static void
on_committed(void *context, bool done)
{
	struct mend *mend = context;

	mend->awaited = false;
	if (done && mend->path && mend->crypto->matrix->http)
		mend->request = matrix_ask(mend->crypto->matrix, "PUT", mend->path, mend->body, on_sent, mend);
	else
		forget(mend);
}

static json_t *
seal_dummy(struct mend *mend, const struct keep_account *bot, struct ratchet_session *session)
{
	char curve[RATCHET_ID_SIZE], ed[RATCHET_ID_SIZE];
	const char *why;
	json_t *keys = json_read(bot->device_keys, strlen(bot->device_keys), &why), *nothing = json_object();
	enum ratchet_type type;
	char *body;

	ratchet_account_keys(bot->account, curve, ed);
	struct envelope_ends ends = { .sender = bot->user, .sender_ed = ed, .recipient = mend->user, .recipient_ed = mend->ed };
	json_t *plain = envelope_make(&ends, "m.dummy", nothing, keys);
	struct str text AUTO_STR;
	str_init(&text, 65536);
	json_add(&text, plain);
	json_decref(plain);
	json_decref(nothing);
	json_decref(keys);
	ratchet_session_encrypt(session, str_get(&text), text.n, &type, &body);
	json_t *content = json_pack("{s:s, s:s, s:{s:{s:i, s:s}}}", "algorithm", DEVICEKEYS_OLM, "sender_key", curve, "ciphertext", mend->curve,
		"type", (int)type, "body", body);
	free(body);
	return content;
}

static void
begin_session(struct mend *mend, const struct keep_account *bot, const json_t *answer)
{
	struct ratchet_session *session = NULL;
	struct peer_claimed claimed;

	if (peer_read_claimed(&claimed, answer, mend->user, mend->device, mend->ed) ||
			ratchet_session_open(&session, bot->account, mend->curve, claimed.key)) {
		log_info(LOG_MATRIX, "a device that lost step has no key for a new session user=%s device=%s", mend->user, mend->device);
		forget(mend);
		return;
	}
	mend->body = address(mend->user, mend->device, seal_dummy(mend, bot, session));
	mend->path = path_of(bot, "m.room.encrypted");
	keep_save_session(mend->crypto->keep, bot->id, mend->curve, session, true);
	ratchet_session_free(session);
	mend->awaited = true;
	store_after_commit(mend->crypto->store, on_committed, mend);
	log_info(LOG_MATRIX, "a new session with a device that lost step user=%s device=%s", mend->user, mend->device);
}

static void
on_claimed(void *context, const struct http_answer *answer)
{
	struct mend *mend = context;
	struct crypto *crypto = mend->crypto;
	struct keep_account bot;
	struct judged judged;

	mend->request = NULL;
	matrix_judge(crypto->matrix, answer, &judged);
	if (judged.is != JUDGED_FINE || !judged.json || !keep_find_account(crypto->keep, mend->own, &bot)) {
		forget(mend);
		judged_fini(&judged);
		return;
	}
	if (bot.account)
		begin_session(mend, &bot, judged.json);
	else
		forget(mend);
	keep_account_fini(&bot);
	judged_fini(&judged);
}

static void
claim(struct mend *mend, const struct keep_account *bot)
{
	json_t *body = json_pack("{s:{s:{s:s}}, s:i}", "one_time_keys", mend->user, mend->device, DEVICEKEYS_ONE_TIME, "timeout", 10000);
	AUTO_FREE char *path = matrix_path("/_matrix/client/v3/keys/claim?user_id=%s&device_id=%s", bot->user, bot->device);
	struct str text AUTO_STR;

	str_init(&text, 4096);
	json_add(&text, body);
	json_decref(body);
	mend->request = matrix_ask(mend->crypto->matrix, "POST", path, str_get(&text), on_claimed, mend);
}

/* The hour is counted by device, in the table: a restart does not begin it anew. */
static bool
may_mend(struct crypto *crypto, const char *user, const char *device)
{
	struct query query = store_query(crypto->store, C_DEVICE_UNWEDGED);
	int64_t now_ms = now_real_ms();

	query_int(&query, now_ms);
	query_text(&query, user);
	query_text(&query, device);
	query_int(&query, now_ms - AGAIN_MS);
	query_run(&query);
	return store_changes(crypto->store) > 0;
}

void
mend_session(struct crypto *crypto, const struct keep_account *own, const char *user, const char *curve)
{
	struct mend *mend = crypto->mend;
	struct received_device device;

	if (mend->request || mend->awaited || crypto->matrix->state != MATRIX_HERE || !own->account ||
			!received_find_device(crypto, user, curve, &device) || !may_mend(crypto, user, device.id))
		return;
	snprintf(mend->own, sizeof(mend->own), "%s", own->user);
	snprintf(mend->user, sizeof(mend->user), "%s", user);
	snprintf(mend->device, sizeof(mend->device), "%s", device.id);
	snprintf(mend->curve, sizeof(mend->curve), "%s", curve);
	snprintf(mend->ed, sizeof(mend->ed), "%s", device.ed);
	claim(mend, own);
}

/* ---- verification ---- */

static void
on_refused(void *context, const struct http_answer *answer)
{
	struct judged judged;

	matrix_judge(context, answer, &judged);
	judged_fini(&judged);
}

static bool
may_refuse(struct mend *mend)
{
	int64_t minute = now_monotonic_ms() / 60000;

	if (mend->minute != minute)
		mend->refusals = 0;
	mend->minute = minute;
	return mend->refusals++ < REFUSALS_MAX;
}

void
mend_refuse_verification(struct crypto *crypto, const struct keep_account *own, const char *user, const json_t *content)
{
	struct matrix *matrix = crypto->matrix;
	const char *device = json_text(content, "from_device"), *id = json_text(content, "transaction_id");

	if (!device || !id || strlen(device) >= KEEP_ID_MAX || strlen(id) >= KEEP_ID_MAX || matrix->state != MATRIX_HERE || !may_refuse(crypto->mend))
		return;
	AUTO_FREE char *path = path_of(own, "m.key.verification.cancel");
	AUTO_FREE char *body = address(user, device, json_pack("{s:s, s:s, s:s}", "transaction_id", id, "code", "m.user", "reason",
			intake_decline(matrix)));
	(void)matrix_ask(matrix, "PUT", path, body, on_refused, matrix);
}
