/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For each of our users and rooms, what is still missing is decided anew, from the database, each time it is asked, and the first
 * missing thing is worked at: who is there, which devices they have, a session that nobody has who should not, a way to write to
 * each device, the key itself. So a restart resumes where the last commit was and asks for nothing again. No ratchet lives in memory:
 * it is read, used and saved in one transaction, and what it made leaves after the commit. Between two changes of anything that
 * counts (generation) READY is remembered.
 */
#include "matrix/crypto/outbound.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/now.h"
#include "matrix/crypto/crypto.h"
#include "matrix/crypto/devicekeys.h"
#include "matrix/crypto/own.h"
#include "matrix/crypto/peers.h"
#include "matrix/crypto/recipients.h"
#include "matrix/crypto/share.h"
#include "matrix/event.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_MS 1000
#define RETRY_MAX_MS 60000
#define NEWCOMER_MS 1000
#define REFUSAL_MS 60000 /* what the homeserver refused is not asked again before */
#define CLAIMS_MAX 200   /* devices in one claim */
#define AROUND_MAX 4096  /* what stands around the content, before it is encrypted */

/* One of our users in one room. */
struct work {
	struct list link; /* outbound::works */
	struct outbound *outbound;
	char *user, *room;
	char device[KEEP_DEVICE_MAX]; /* of the last request */
	struct http_request *request; /* a letter */
	int64_t letter;               /* of the request */
	struct http_request *claim;
	bool aside;                   /* the claim is for devices that had none before: nothing waits for it */
	struct roster_devices claimed; /* of the claim */
	bool unkept;                  /* letters wait for their commit */
	struct loop_timer retry;
	unsigned failures;
	bool ready;
	int64_t account;              /* with `ready`: row */
	unsigned long generation;     /* with `ready`: of everything */
	bool all_trusted;             /* with `ready`: it was so then */
	int64_t until_ms;             /* with `ready`: real time */
	int64_t refused_ms;           /* monotonic; 0: it was not */
	char why[256];
};

struct outbound {
	struct matrix *matrix;
	struct list works; /* owns: work::link */
};

struct outbound *
outbound_open(struct matrix *matrix)
{
	struct outbound *outbound = xcalloc(1, sizeof(*outbound));

	outbound->matrix = matrix;
	list_init(&outbound->works);
	return outbound;
}

void
outbound_stop(struct outbound *outbound)
{
	struct work *work;

	LIST_FOR_EACH(work, &outbound->works, struct work, link) {
		http_cancel(work->request);
		http_cancel(work->claim);
		loop_timer_stop(&work->retry);
		roster_devices_fini(&work->claimed);
		list_remove(&work->link);
		free(work->user);
		free(work->room);
		free(work);
	}
}

void
outbound_close(struct outbound *outbound)
{
	if (!outbound)
		return;
	outbound_stop(outbound);
	free(outbound);
}

static struct matrix *
matrix_of(const struct work *work)
{
	return work->outbound->matrix;
}

static struct crypto *
crypto_of(const struct work *work)
{
	return work->outbound->matrix->crypto;
}

/* The keys of our device, which are there; NULL when they are not. */
static struct own *
own_of(const struct work *work)
{
	struct ghost *ghost = ghost_find(matrix_of(work), work->user);
	struct own *own = ghost ? ghost_own(ghost) : NULL;

	return own && own->living && own->record.account ? own : NULL;
}

static struct share
share_of(const struct work *work, const struct own *own, const struct keep_outbound *session)
{
	struct crypto *crypto = crypto_of(work);

	return (struct share){ .crypto = crypto, .account = &own->record, .curve = own->curve, .ed = own->ed, .session = session,
		.all_trusted = crypto_trusts_all(crypto, work->room) };
}

static void
on_retry(void *context)
{
	const struct work *work = context;

	outbox_wake(matrix_of(work)->parts.outbox);
}

static struct work *
find_work(struct outbound *outbound, const char *user, const char *room)
{
	struct work *work;

	LIST_FOR_EACH(work, &outbound->works, struct work, link)
		if (strcmp(work->user, user) == 0 && strcmp(work->room, room) == 0)
			return work;
	return NULL;
}

static struct work *
get_work(struct outbound *outbound, const char *user, const char *room)
{
	struct work *work = find_work(outbound, user, room);

	if (work)
		return work;
	work = xcalloc(1, sizeof(*work));
	work->outbound = outbound;
	work->user = xstrdup(user);
	work->room = xstrdup(room);
	loop_timer_init(&work->retry, outbound->matrix->parts.loop, on_retry, work);
	list_append(&outbound->works, &work->link);
	return work;
}

static void
retry_later(struct work *work, int64_t delay_ms)
{
	int64_t backoff_ms = (int64_t)RETRY_MS << (work->failures < 6 ? work->failures : 6);

	work->failures++;
	if (backoff_ms > RETRY_MAX_MS)
		backoff_ms = RETRY_MAX_MS;
	loop_timer_set(&work->retry, delay_ms > backoff_ms ? delay_ms : backoff_ms);
}

/* Anything but success. */
static void
note_failure(struct work *work, const struct judged *judged, const char *what)
{
	struct ghost *ghost = ghost_find(matrix_of(work), work->user);

	log_warning(LOG_MATRIX, "cannot %s user=%s status=%ld errcode=%s error=\"%s\"", what, work->user, judged->status, judged->errcode,
		judged->error);
	if (judged->is == JUDGED_AGAIN) {
		retry_later(work, judged->delay_ms);
	} else if (ghost && strstr(judged->errcode, "M_UNKNOWN_DEVICE")) {
		ghost_lost_device(ghost, work->device);
		retry_later(work, 0);
	} else {
		work->refused_ms = now_monotonic_ms();
		snprintf(work->why, sizeof(work->why), "cannot %s: %s: %.120s", what, judged->errcode, judged->error);
		outbox_wake(matrix_of(work)->parts.outbox);
	}
}

/* ---- letters ---- */

static bool send_letter(struct work *work);

static void
on_letter(void *context, const struct http_answer *answer)
{
	struct work *work = context;
	struct judged judged;

	FAULT_POINT("matrix_room_key_sent");
	work->request = NULL;
	matrix_judge(matrix_of(work), answer, &judged);
	if (judged.is == JUDGED_FINE) {
		work->failures = 0;
		roster_drop_letter(crypto_of(work)->store, work->letter);
		/* What waits for its commit leaves from on_kept(). */
		if (work->unkept || !send_letter(work))
			outbox_wake(matrix_of(work)->parts.outbox);
	} else {
		note_failure(work, &judged, "send a room key");
	}
	judged_fini(&judged);
}

/* The oldest that is committed. False: there is none, so whoever was to have the key has it. */
static bool
send_letter(struct work *work)
{
	struct crypto *crypto = crypto_of(work);
	AUTO_KEEP_OUTBOUND struct keep_outbound session = { .account = 0 };
	struct roster_letter letter;

	if (!keep_look_at_outbound(crypto->keep, work->account, work->room, &session))
		return false;
	if (!roster_next_letter(crypto->store, work->account, session.session, &letter)) {
		roster_end_queue(crypto->store, session.session);
		return false;
	}
	struct ghost *ghost = ghost_find(matrix_of(work), work->user);
	snprintf(work->device, sizeof(work->device), "%s", ghost ? ghost_device(ghost) : "");
	AUTO_FREE char *path = matrix_path("/_matrix/client/v3/sendToDevice/%s/%s?user_id=%s&device_id=%s", letter.type, letter.txn, work->user,
		work->device);
	FAULT_POINT("matrix_room_key_kept");
	work->letter = letter.id;
	work->request = matrix_ask(matrix_of(work), "PUT", path, letter.body, on_letter, work);
	roster_letter_fini(&letter);
	return true;
}

static void
on_kept(void *context, bool done)
{
	struct outbound *outbound = context;
	struct work *work;

	LIST_FOR_EACH(work, &outbound->works, struct work, link) {
		if (!work->unkept || !done)
			continue;
		work->unkept = false;
		if (outbound->matrix->state != MATRIX_HERE || work->request || !send_letter(work))
			outbox_wake(outbound->matrix->parts.outbox);
	}
}

static void
await_commit(struct work *work)
{
	FAULT_POINT("matrix_room_key_queued");
	work->unkept = true;
	store_after_commit(crypto_of(work)->store, on_kept, work->outbound);
}

/* ---- one-time keys ---- */

static enum outbound_readiness prepare(struct work *work, const struct own *own, const struct recipients_terms *terms,
	struct roster_devices *claimed);

/* Sessions that the answer began are used at once, if that is what is missing now; otherwise they are kept for later. */
static void
take_claims(struct work *work, struct roster_devices *claimed, const json_t *answer)
{
	struct matrix *matrix = matrix_of(work);
	AUTO_KEEP_OUTBOUND struct keep_outbound session = { .account = 0 };
	const struct own *own = own_of(work);
	struct recipients_terms terms;
	json_t *refused = json_object();

	if (own) {
		struct share share = share_of(work, own, &session);
		for (size_t i = 0; i < claimed->n; i++)
			share_take_claim(&share, &claimed->p[i], answer, refused);
		if (!work->request && !work->unkept && !loop_timer_armed(&work->retry) && recipients_terms(matrix, work->room, &terms))
			(void)!prepare(work, own, &terms, claimed);
		share_keep_fresh(&share, claimed);
		if (keep_look_at_outbound(share.crypto->keep, own->record.id, work->room, &session) && share_queue_refusals(&share, refused))
			await_commit(work);
	}
	json_decref(refused);
}

static void
on_claimed(void *context, const struct http_answer *answer)
{
	struct work *work = context;
	struct roster_devices claimed = work->claimed;
	struct judged judged;

	FAULT_POINT("matrix_keys_claimed");
	work->claim = NULL;
	work->claimed = (struct roster_devices){ .p = NULL };
	matrix_judge(matrix_of(work), answer, &judged);
	work->ready = false;
	if (judged.is == JUDGED_FINE) {
		work->failures = 0;
		take_claims(work, &claimed, judged.json);
		outbox_wake(matrix_of(work)->parts.outbox);
	} else {
		note_failure(work, &judged, "claim one-time keys");
	}
	roster_devices_fini(&claimed);
	judged_fini(&judged);
}

static void
claim(struct work *work, const struct keep_account *account, struct roster_device *const *devices, size_t n)
{
	AUTO_FREE char *path = matrix_path("/_matrix/client/v3/keys/claim?user_id=%s&device_id=%s", work->user, account->device);
	json_t *body = share_make_claim(devices, n);
	AUTO_STR struct str text;

	snprintf(work->device, sizeof(work->device), "%s", account->device);
	for (size_t i = 0; i < n; i++)
		roster_copy_device(&work->claimed, devices[i]);
	str_init(&text, 1 << 20);
	json_add(&text, body);
	json_decref(body);
	work->claim = matrix_ask(matrix_of(work), "POST", path, str_get(&text), on_claimed, work);
}

/* Claims what is due. True: something waits for it. */
static bool
claim_due(struct work *work, const struct share *share, struct roster_devices *devices)
{
	struct roster_device *due[CLAIMS_MAX];
	size_t n = 0;

	work->until_ms = INT64_MAX;
	work->aside = true;
	for (size_t i = 0; i < devices->n; i++) {
		int64_t retry_ms = 0;
		enum share_need need = share_need_of(share, &devices->p[i], &retry_ms);
		if (need == SHARE_LATER && retry_ms < work->until_ms)
			work->until_ms = retry_ms;
		if (need != SHARE_CLAIM)
			continue;
		work->aside = work->aside && retry_ms;
		if (n < CLAIMS_MAX)
			due[n++] = &devices->p[i];
	}
	if (n && !work->claim)
		claim(work, share->account, due, n);
	return n && !work->aside;
}

/* ---- the session ---- */

static unsigned long
generation_of(const struct crypto *crypto)
{
	return peers_generation(crypto->peers) + recipients_generation(crypto->recipients);
}

/* It has said as much as it may (3.7 of the design: age, number), or what newcomers may read has changed. */
static bool
is_spent(const struct keep_outbound *session, const struct recipients_terms *terms)
{
	int64_t age_ms = now_real_ms() - session->created_ms;

	return session->messages >= terms->rotation_messages || age_ms >= terms->rotation_ms || age_ms < -terms->rotation_ms ||
		session->shared_history != terms->shared_history;
}

static void
make_session(struct crypto *crypto, const struct keep_account *account, const char *room, const struct recipients_terms *terms,
		struct keep_outbound *out)
{
	*out = (struct keep_outbound){ .account = account->id, .ratchet = ratchet_outbound_new(), .created_ms = now_real_ms(),
		.shared_history = terms->shared_history };
	snprintf(out->room, sizeof(out->room), "%s", room);
	ratchet_outbound_id(out->ratchet, out->session);
	keep_save_outbound(crypto->keep, out);
}

/* The session that is to be used now, made if need be. */
static void
find_session(struct crypto *crypto, const struct share *share, const char *room, const struct recipients_terms *terms,
		struct roster_devices *devices, struct keep_outbound *session)
{
	if (keep_find_outbound(crypto->keep, share->account->id, room, session)) {
		if (session->ratchet && !is_spent(session, terms) && share_is_entitled(share, devices))
			return;
		roster_forget_session(crypto->store, session->session);
		keep_outbound_fini(session);
	}
	make_session(crypto, share->account, room, terms, session);
	(void)share_is_entitled(share, devices); /* nobody has it yet */
}

/* The devices of those who are to read. False: they are not known yet. */
static bool
gather(struct work *work, struct roster_devices *devices)
{
	struct crypto *crypto = crypto_of(work);
	const char *const *users;
	size_t n;

	if (!recipients_of(crypto->recipients, work->room, &users, &n) || !peers_know(crypto->peers, users, n))
		return false;
	for (size_t i = 0; i < n; i++)
		roster_add_devices(crypto->store, users[i], devices);
	roster_sort_devices(devices);
	return true;
}

/* Works at the first thing that is missing. */
static enum outbound_readiness
advance(struct work *work, const struct own *own, const struct recipients_terms *terms, struct roster_devices *devices)
{
	struct crypto *crypto = crypto_of(work);
	AUTO_KEEP_OUTBOUND struct keep_outbound session = { .account = 0 };
	struct share share = share_of(work, own, &session);

	work->account = own->record.id;
	find_session(crypto, &share, work->room, terms, devices, &session);
	/* Who can be written to is written to at once: else every claim of many would open all sessions that those before it began. */
	bool waits = claim_due(work, &share, devices), queued = share_queue(&share, devices) > 0;
	if (queued)
		await_commit(work);
	if (waits || queued)
		return OUTBOUND_BUSY;
	/* Of an earlier process, or of one that was refused. */
	if (send_letter(work))
		return OUTBOUND_BUSY;
	work->ready = true;
	work->generation = generation_of(crypto);
	work->all_trusted = share.all_trusted;
	return OUTBOUND_READY;
}

static bool
is_ready(const struct work *work, const struct recipients_terms *terms)
{
	struct crypto *crypto = crypto_of(work);
	AUTO_KEEP_OUTBOUND struct keep_outbound session = { .account = 0 };

	return work->ready && work->generation == generation_of(crypto) && work->all_trusted == crypto_trusts_all(crypto, work->room) &&
		now_real_ms() < work->until_ms &&
		keep_look_at_outbound(crypto->keep, work->account, work->room, &session) && !is_spent(&session, terms);
}

/* Fresh sessions go to the same device in another list. */
static void
hand_over(struct roster_devices *from, const struct roster_devices *to)
{
	for (size_t i = 0; i < from->n; i++) {
		struct roster_device *device = &from->p[i], *same = device->fresh ? roster_find_device(to, device->user, device->id) : NULL;
		if (!same || strcmp(same->keys.curve, device->keys.curve) != 0)
			continue;
		same->session = device->session;
		same->fresh = true;
		device->session = NULL;
		device->fresh = false;
	}
}

static enum outbound_readiness
prepare(struct work *work, const struct own *own, const struct recipients_terms *terms, struct roster_devices *claimed)
{
	struct roster_devices devices = { .p = NULL };
	enum outbound_readiness readiness = OUTBOUND_BUSY;

	work->ready = false;
	if (gather(work, &devices)) {
		struct share share = share_of(work, own, NULL);
		if (claimed)
			hand_over(claimed, &devices);
		readiness = advance(work, own, terms, &devices);
		share_keep_fresh(&share, &devices);
	}
	roster_devices_fini(&devices);
	return readiness;
}

/* The database is no old copy, and the device is signed; that the homeserver still has it is looked at meanwhile. */
static bool
has_keys(const struct crypto *crypto, struct ghost *ghost)
{
	bool ready = ghost_prepare_keys(ghost) == GHOST_READY;
	const struct own *own = ghost_own(ghost);

	return ready || (crypto->guarded && own && own->living && own->record.state == KEEP_SIGNED && !own->useless);
}

/*
 * A strict client that is given a key by somebody whose identity it does not know refuses what is said with it, and does not look
 * again by itself: so who has just become known, or has just come where others are, is given a moment to be asked about.
 */
static bool
is_newcomer(struct work *work, struct ghost *ghost)
{
	const struct own *own = ghost_own(ghost);
	const struct matrix_settings *settings = &work->outbound->matrix->settings;
	int64_t rest_ms = settings->newcomer_ms ? settings->newcomer_ms : NEWCOMER_MS;
	int64_t signed_ms = own ? own->signed_ms : 0, joined_ms = ghost_joined_ms(ghost, work->room);
	int64_t new_ms = signed_ms > joined_ms ? signed_ms : joined_ms, left_ms = new_ms + rest_ms - now_monotonic_ms();

	if (!new_ms || left_ms <= 0)
		return false;
	loop_timer_set(&work->retry, left_ms);
	return true;
}

enum outbound_readiness
outbound_prepare(struct matrix *matrix, struct ghost *ghost, const char *room, const char **why)
{
	struct recipients_terms terms;

	if (!matrix->crypto || !recipients_terms(matrix, room, &terms))
		return OUTBOUND_READY;
	/* A session must not leave for those who were there when we went, if others came meanwhile. */
	if (!matrix->crypto->heard || !has_keys(matrix->crypto, ghost))
		return OUTBOUND_BUSY;
	struct work *work = get_work(matrix->crypto->outbound, ghost_mxid(ghost), room);
	*why = work->why;
	if (work->refused_ms && now_monotonic_ms() - work->refused_ms < REFUSAL_MS)
		return OUTBOUND_REFUSED;
	work->refused_ms = 0;
	if (work->request || work->unkept || (work->claim && !work->aside) || loop_timer_armed(&work->retry))
		return OUTBOUND_BUSY;
	if (is_newcomer(work, ghost))
		return OUTBOUND_BUSY;
	if (is_ready(work, &terms))
		return OUTBOUND_READY;
	const struct own *own = own_of(work);
	if (own)
		return prepare(work, own, &terms, NULL);
	retry_later(work, 0);
	return OUTBOUND_BUSY;
}

/* ---- encrypting ---- */

bool
outbound_concerns(struct matrix *matrix, const char *room, const char *type)
{
	static const char *const plain[] = { EVENT_ENCRYPTED, EVENT_REDACTION, "m.reaction" };
	struct recipients_terms terms;

	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		if (strcmp(type, plain[i]) == 0)
			return false;
	return matrix->crypto && recipients_terms(matrix, room, &terms);
}

/* {"type", "content", "room_id"}: the content as it is, character by character. */
static void
write_plain(const char *room, const char *type, const char *content, struct str *out)
{
	json_t *ends = json_pack("{s:s, s:s}", "room_id", room, "type", type);
	AUTO_STR struct str text;

	str_init(&text, AROUND_MAX);
	json_add(&text, ends);
	json_decref(ends);
	str_addf(out, "{\"content\":%s,%s", content, str_get(&text) + 1);
}

/* What relates events stays in the clear, so that a server can find replies and threads. */
static void
write_encrypted(const struct own *own, const struct keep_outbound *session, const char *body, const char *content, const char *name,
		struct str *out)
{
	struct span relation = json_find_raw(content, strlen(content), "m.relates_to");
	AUTO_STR struct str text;
	json_t *rest = json_pack("{s:s, s:s, s:s, s:s}", "org.sourdine.id", name, "device_id", own->record.device, "sender_key", own->curve,
		"session_id", session->session);

	str_init(&text, 4096);
	json_add(&text, rest);
	json_decref(rest);
	str_addf(out, "{\"algorithm\":\"%s\",\"ciphertext\":\"%s\",", DEVICEKEYS_MEGOLM, body);
	if (relation.p)
		str_addf(out, "\"m.relates_to\":%.*s,", (int)relation.n, relation.p);
	str_add(out, str_get(&text) + 1);
}

bool
outbound_encrypt(struct matrix *matrix, const struct ghost *ghost, const char *room, const char *type, const char *content, const char *name,
		struct str *out)
{
	struct crypto *crypto = matrix->crypto;
	struct work *work = find_work(crypto->outbound, ghost_mxid(ghost), room);
	AUTO_KEEP_OUTBOUND struct keep_outbound session = { .account = 0 };
	struct own *own = ghost_own(ghost);
	struct recipients_terms terms;
	struct str plain;
	uint32_t index;
	char *body;

	if (!work || !own || !own->living || !recipients_terms(matrix, room, &terms) || !is_ready(work, &terms) ||
			!keep_find_outbound(crypto->keep, own->record.id, room, &session) || !session.ratchet)
		return false;
	size_t most = strlen(content) + AROUND_MAX;
	str_init(&plain, most);
	str_reserve(&plain, most); /* what is secret in it stands in one place */
	write_plain(room, type, content, &plain);
	ratchet_outbound_encrypt(session.ratchet, str_get(&plain), plain.n, &body, &index);
	char *spent = str_take(&plain);
	mem_free_secret(spent, strlen(spent));
	session.messages++;
	if (!crypto->forgets_index)
		keep_save_outbound(crypto->keep, &session);
	own_used(own);
	write_encrypted(own, &session, body, content, name, out);
	free(body);
	return true;
}
