/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device lacks is read off its row in c_mg_share: none, one for another key than it has now, or one from before it
 * began a new Olm session. The advanced Olm sessions, the shares and the exact bytes are written in one transaction, so that
 * nothing is encrypted twice, and nobody is counted who was not written to. An Olm session is opened once and kept once in that, also
 * one that has just begun.
 */
#include "matrix/crypto/share.h"

#include "base/log.h"
#include "base/now.h"
#include "matrix/crypto/crypto.h"
#include "matrix/crypto/devicekeys.h"
#include "matrix/crypto/envelope.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 50 /* devices in one letter */
#define PLAIN_MAX 65535 /* of a letter; with its last byte a power of two, so that it takes no more place than that */
#define CLAIM_RETRY_MS 15000
#define CLAIM_RETRY_MAX_MS (15 * 60 * 1000)

static bool
is_trusted(const struct share *share, const struct roster_device *device)
{
	return share->all_trusted || device->keys.trust == PEER_CROSS_SIGNED;
}

/* ---- rotation ---- */

struct holders {
	const struct share *share;
	struct roster_devices *devices;
	bool good;
};

/* It has the key, or was told that it gets none and that is still so. */
static bool
is_served(const struct share *share, const struct roster_device *device, const struct roster_share *given)
{
	if (given->state == ROSTER_WITHHELD)
		return !is_trusted(share, device);
	return strcmp(given->curve, device->keys.curve) == 0 && given->wedge_seq >= device->wedge_seq;
}

static void
look_at_share(void *context, const char *user, const char *id, const struct roster_share *given)
{
	struct holders *holders = context;
	struct roster_device *device = roster_find_device(holders->devices, user, id);
	bool may = device && !device->gone && is_trusted(holders->share, device) && strcmp(device->keys.curve, given->curve) == 0;

	if (given->state != ROSTER_WITHHELD && !may)
		holders->good = false;
	if (device)
		device->served = is_served(holders->share, device, given);
}

bool
share_is_entitled(const struct share *share, struct roster_devices *devices)
{
	struct holders holders = { share, devices, true };

	for (size_t i = 0; i < devices->n; i++)
		devices->p[i].served = false;
	roster_each_share(share->crypto->store, share->session->session, look_at_share, &holders);
	return holders.good;
}

/* ---- what is needed ---- */

static struct ratchet_session *
load_session(const struct share *share, const struct roster_device *device)
{
	struct ratchet_session *session = NULL;

	return keep_load_sessions(share->crypto->keep, share->account->id, device->keys.curve, &session, 1) ? session : NULL;
}

enum share_need
share_need_of(const struct share *share, struct roster_device *device, int64_t *retry_ms)
{
	struct roster_claim claim;

	if (device->gone || device->served)
		return SHARE_NOTHING;
	if (!is_trusted(share, device))
		return SHARE_LETTER;
	if (!device->session)
		device->session = load_session(share, device);
	if (device->session)
		return SHARE_LETTER;
	roster_get_claim(share->crypto->store, share->account->id, device->user, device->id, &claim);
	*retry_ms = claim.retry_ms;
	return claim.retry_ms > now_real_ms() ? SHARE_LATER : SHARE_CLAIM;
}

/* ---- letters ---- */

/* Letters of one type, being filled. */
struct mail {
	const struct share *share;
	const char *type;
	json_t *messages; /* own; {user: {device: content}} */
	unsigned count, letters;
};

static void
seal_mail(struct mail *mail)
{
	const struct share *share = mail->share;
	AUTO_STR struct str text;
	char txn[24];

	str_init(&text, 16 << 20);
	if (!mail->count)
		return;
	json_t *body = json_pack("{s:O}", "messages", mail->messages);
	json_add(&text, body);
	json_decref(body);
	seal_random_text(txn, sizeof(txn) - 1, "abcdefghijklmnopqrstuvwxyz234567");
	roster_add_letter(share->crypto->store, share->account->id, share->session->session, mail->type, txn, str_get(&text));
	json_object_clear(mail->messages);
	mail->count = 0;
	mail->letters++;
}

static void
add_mail(struct mail *mail, const char *user, const char *device, json_t *content)
{
	json_t *devices = json_object_get(mail->messages, user);

	if (!devices) {
		devices = json_object();
		json_object_set_new(mail->messages, user, devices);
	}
	json_object_set_new(devices, device, content);
	if (++mail->count == BATCH)
		seal_mail(mail);
}

static unsigned
end_mail(struct mail *mail)
{
	seal_mail(mail);
	json_decref(mail->messages);
	return mail->letters;
}

/* ---- the key ---- */

/* The content of m.room_key, from the session's present index on. */
static json_t *
make_key(const struct share *share)
{
	AUTO_SECRET struct secret key = { NULL, 0 };
	const struct keep_outbound *session = share->session;

	ratchet_outbound_key(session->ratchet, &key);
	/* The specification has the one name, matrix-rust-sdk reads the other. */
	return json_pack("{s:s, s:s, s:s, s:s%, s:b, s:b}", "algorithm", DEVICEKEYS_MEGOLM, "room_id", session->room, "session_id",
		session->session, "session_key", key.p, key.n, "shared_history", session->shared_history, "m.shared_history",
		session->shared_history);
}

/* As it is now; it is opened again when it is needed again. */
static void
keep_session(const struct share *share, struct roster_device *device)
{
	keep_save_session(share->crypto->keep, share->account->id, device->keys.curve, device->session, device->fresh);
	ratchet_session_free(device->session);
	device->session = NULL;
	device->fresh = false;
}

static json_t *
encrypt_to(const struct share *share, struct roster_device *device, json_t *key, json_t *device_keys)
{
	struct envelope_ends ends = { .sender = share->account->user, .sender_ed = share->ed, .recipient = device->user,
		.recipient_ed = device->keys.ed };
	enum ratchet_type type;
	struct str text;
	char *body;

	json_t *plain = envelope_make(&ends, "m.room_key", key, device_keys);
	str_init(&text, PLAIN_MAX);
	str_reserve(&text, PLAIN_MAX); /* the key is in it */
	json_add(&text, plain);
	json_decref(plain);
	ratchet_session_encrypt(device->session, str_get(&text), text.n, &type, &body);
	char *spent = str_take(&text);
	mem_free_secret(spent, strlen(spent));
	keep_session(share, device);
	json_t *content = json_pack("{s:s, s:s, s:{s:{s:i, s:s}}}", "algorithm", DEVICEKEYS_OLM, "sender_key", share->curve, "ciphertext",
		device->keys.curve, "type", (int)type, "body", body);
	free(body);
	return content;
}

static json_t *
make_withheld(const struct share *share, const char *code, const char *reason, bool session)
{
	json_t *content = json_pack("{s:s, s:s, s:s, s:s}", "algorithm", DEVICEKEYS_MEGOLM, "sender_key", share->curve, "code", code, "reason",
		reason);

	if (session) {
		json_object_set_new(content, "room_id", json_string(share->session->room));
		json_object_set_new(content, "session_id", json_string(share->session->session));
	}
	return content;
}

static void
note_share(const struct share *share, const struct roster_device *device, enum roster_share_state state)
{
	struct roster_share given = { .index = ratchet_outbound_index(share->session->ratchet), .wedge_seq = device->wedge_seq, .state = state };

	memcpy(given.curve, device->keys.curve, sizeof(given.curve));
	roster_save_share(share->crypto->store, share->session->session, device->user, device->id, &given);
}

unsigned
share_queue(const struct share *share, struct roster_devices *devices)
{
	struct mail keys = { .share = share, .type = "m.room.encrypted", .messages = json_object() };
	struct mail words = { .share = share, .type = "m.room_key.withheld", .messages = json_object() };
	json_t *key = make_key(share), *device_keys = json_read_answer(share->account->device_keys, strlen(share->account->device_keys));

	for (size_t i = 0; i < devices->n; i++) {
		struct roster_device *device = &devices->p[i];
		bool trusted = is_trusted(share, device);
		if (device->gone || device->served || (trusted && !device->session))
			continue;
		if (trusted)
			add_mail(&keys, device->user, device->id, encrypt_to(share, device, key, device_keys));
		else
			add_mail(&words, device->user, device->id, make_withheld(share, "m.unverified",
				"This bridge writes only to devices that their owner has verified.", true));
		note_share(share, device, trusted ? ROSTER_QUEUED : ROSTER_WITHHELD);
		device->served = true;
	}
	json_decref(key);
	json_decref(device_keys);
	return end_mail(&keys) + end_mail(&words);
}

/* ---- one-time keys ---- */

json_t *
share_make_claim(struct roster_device *const *devices, size_t n)
{
	json_t *users = json_object();

	for (size_t i = 0; i < n; i++) {
		json_t *user = json_object_get(users, devices[i]->user);
		if (!user) {
			user = json_object();
			json_object_set_new(users, devices[i]->user, user);
		}
		json_object_set_new(user, devices[i]->id, json_string(DEVICEKEYS_ONE_TIME));
	}
	return json_pack("{s:o, s:i}", "one_time_keys", users, "timeout", 10000);
}

static bool
open_session(const struct share *share, struct roster_device *device, const json_t *answer, int *refusal)
{
	struct peer_claimed claimed;

	*refusal = peer_read_claimed(&claimed, answer, device->user, device->id, device->keys.ed);
	device->fresh = !*refusal && ratchet_session_open(&device->session, share->account->account, device->keys.curve, claimed.key) == 0;
	return device->fresh;
}

void
share_keep_fresh(const struct share *share, struct roster_devices *devices)
{
	for (size_t i = 0; i < devices->n; i++)
		if (devices->p[i].fresh)
			keep_session(share, &devices->p[i]);
}

void
share_take_claim(const struct share *share, struct roster_device *device, const json_t *answer, json_t *refused)
{
	struct store *store = share->crypto->store;
	struct roster_claim claim;
	int refusal;

	if (open_session(share, device, answer, &refusal)) {
		roster_end_claim(store, share->account->id, device->user, device->id);
		return;
	}
	roster_get_claim(store, share->account->id, device->user, device->id, &claim);
	int64_t delay_ms = (int64_t)CLAIM_RETRY_MS << (claim.failures < 6 ? claim.failures : 6);
	claim.retry_ms = now_real_ms() + (delay_ms < CLAIM_RETRY_MAX_MS ? delay_ms : CLAIM_RETRY_MAX_MS);
	claim.failures++;
	if (!claim.told) {
		json_t *devices = json_object_get(refused, device->user);
		if (!devices) {
			devices = json_object();
			json_object_set_new(refused, device->user, devices);
		}
		json_object_set_new(devices, device->id, make_withheld(share, "m.no_olm", "No one-time key of this device could be had.", false));
		log_warning(LOG_MATRIX, "a device cannot be written to, it has no one-time key user=%s why=%s", device->user, peer_refusal_word(refusal));
	}
	claim.told = true;
	roster_save_claim(store, share->account->id, device->user, device->id, &claim);
}

unsigned
share_queue_refusals(const struct share *share, const json_t *refused)
{
	struct mail mail = { .share = share, .type = "m.room_key.withheld", .messages = json_object() };
	const char *user, *device;
	json_t *devices, *content;

	json_object_foreach((json_t *)(uintptr_t)refused, user, devices)
		json_object_foreach(devices, device, content)
			add_mail(&mail, user, device, json_incref(content));
	return end_mail(&mail);
}
