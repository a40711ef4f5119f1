/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device still lacks is decided anew after each answer, by the table at the end, as in ghost.c. Keys are made and
 * committed first; uploading them again is harmless, because the same keys have the same signatures. Only when the homeserver has
 * other keys than ours is the device lost: it is never argued with, but replaced.
 *
 * The identity goes first, and the device's keys carry its signature: nobody ever sees a device of ours that is not cross-signed, which
 * a strict client would refuse to read, for good.
 *
 * The bot's first step of all asks for the generation: the number that its account data has. A database with a lower one is an
 * old copy, whose ratchets were used since; then every device dies before anything is encrypted.
 */
#include "matrix/crypto/own.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/now.h"
#include "matrix/crypto/crosssign.h"
#include "matrix/crypto/devicekeys.h"
#include "matrix/crypto/sync.h"
#include "matrix/ghost.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOT_KEYS 50   /* one-time keys on the homeserver */
#define GHOST_KEYS 5
#define EDITIONS_AHEAD 8 /* of an identity, that a lost database may have used */
#define EDITIONS_MAX 32
#define HOUR_MS ((int64_t)60 * 60 * 1000)
#define DRAIN_SOON_MS 2000
#define DRAIN_MS (10 * 60 * 1000)
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

struct own_step {
	const char *word, *method;
	bool early;
	bool (*needed)(struct own *own);
	char *(*path)(const struct own *own);
	json_t *(*body)(struct own *own);
	bool (*took)(struct own *own, const struct judged *judged);
};

/* ---- life ---- */

static struct devicekeys
device_of(const struct own *own)
{
	return (struct devicekeys){ own->record.account, own->record.user, own->record.device };
}

static void
load(struct own *own)
{
	own->living = keep_find_account(own->crypto->keep, own->record.user, &own->record);
	if (!own->living)
		return;
	if (own->record.account)
		ratchet_account_keys(own->record.account, own->curve, own->ed);
	else
		own_die(own, "its keys are damaged");
}

static void
on_drain(void *context)
{
	struct own *own = context;

	own->drains = true;
	own->used = false;
	ghost_recall(own->ghost);
}

static void
on_rest(void *context)
{
	const struct own *own = context;

	ghost_recall(own->ghost);
}

struct own *
own_open(struct crypto *crypto, struct ghost *ghost, const char *user, bool bot)
{
	struct own *own = xcalloc(1, sizeof(*own));

	own->crypto = crypto;
	own->ghost = ghost;
	own->bot = bot;
	own->one_time = -1;
	snprintf(own->record.user, sizeof(own->record.user), "%s", user);
	loop_timer_init(&own->drain, crypto->matrix->parts.loop, on_drain, own);
	loop_timer_init(&own->rest, crypto->matrix->parts.loop, on_rest, own);
	load(own);
	return own;
}

void
own_close(struct own *own)
{
	if (!own)
		return;
	loop_timer_stop(&own->drain);
	loop_timer_stop(&own->rest);
	keep_account_fini(&own->record);
	free(own);
}

void
own_save(struct own *own)
{
	keep_save_account(own->crypto->keep, &own->record);
}

static unsigned
keys_wanted(const struct own *own)
{
	return own->bot ? BOT_KEYS : GHOST_KEYS;
}

static void
init_identity(const struct own *own, struct crosssign *identity)
{
	crosssign_init(identity, own->crypto->bridge_secret, keep_edition(own->crypto->keep, own->record.user), own->record.user);
}

/* What peers are sent: signed by the device, and by its owner's self-signing key. */
static char *
make_device_keys(const struct own *own)
{
	struct devicekeys device = device_of(own);
	struct crosssign identity;
	AUTO_STR struct str text;
	json_t *keys = devicekeys_make(&device);

	init_identity(own, &identity);
	if (crosssign_sign_device(&identity, keys))
		log_error(LOG_MATRIX, "a device cannot be signed user=%s", own->record.user);
	crosssign_fini(&identity);
	str_init(&text, 65536);
	json_add(&text, keys);
	json_decref(keys);
	return str_take(&text);
}

bool
own_make(struct own *own, char *device, size_t size)
{
	bool other = !*device || keep_is_dead(own->crypto->keep, own->record.user, device);
	struct ratchet_account *account = ratchet_account_new();

	if (other && size > 10)
		seal_random_text(device, 10, LETTERS);
	if (ratchet_account_make_keys(account, keys_wanted(own)))
		log_error(LOG_MATRIX, "one-time keys cannot be made user=%s", own->record.user);
	ratchet_account_make_fallback(account);
	ratchet_account_keys(account, own->curve, own->ed);
	own->record.account = account;
	own->record.state = KEEP_NEW;
	own->record.fallback_ms = now_real_ms();
	own->record.since = xstrdup("");
	snprintf(own->record.device, sizeof(own->record.device), "%s", device);
	own->record.device_keys = make_device_keys(own);
	keep_add_account(own->crypto->keep, &own->record);
	own->living = true;
	return other;
}

void
own_forget(struct own *own)
{
	char user[KEEP_ID_MAX];

	memcpy(user, own->record.user, sizeof(user));
	keep_account_fini(&own->record);
	memcpy(own->record.user, user, sizeof(user));
	own->living = own->identified = own->useless = false;
	own->checked_ms = 0;
	loop_timer_stop(&own->rest);
}

bool
own_die(struct own *own, const char *why)
{
	int64_t now_ms = now_monotonic_ms();

	if (!own->living)
		return true;
	if (own->rests_ms > now_ms) {
		log_error(LOG_MATRIX, "a new device is unusable too, nothing is encrypted with it for an hour user=%s device=%s why=\"%s\"",
			own->record.user, own->record.device, why);
		own->useless = true;
		own->checked_ms = 0;
		loop_timer_set(&own->rest, own->rests_ms - now_ms);
		return false;
	}
	log_warning(LOG_MATRIX, "a device is given up, another takes its place user=%s device=%s why=\"%s\"", own->record.user,
		own->record.device, why);
	own->rests_ms = now_ms + HOUR_MS;
	metric_add(METRIC_DEVICES_LOST, 1);
	keep_kill_account(own->crypto->keep, own->record.id);
	crypto_devices_changed(own->crypto);
	own_forget(own);
	return true;
}

static bool
rests(const struct own *own)
{
	return own->useless && own->rests_ms > now_monotonic_ms();
}

bool
own_is_ready(const struct own *own)
{
	const struct crypto *crypto = own->crypto;

	return own->living && !own->useless && crypto->guarded && own->record.state == KEEP_SIGNED &&
		own->checked_ms == crypto->matrix->arriving_ms;
}

void
own_used(struct own *own)
{
	own->used = true;
	if (!loop_timer_armed(&own->drain) && !own->bot)
		loop_timer_set(&own->drain, DRAIN_SOON_MS);
}

/* ---- keys that run out ---- */

static void
count_one(void *context, bool fallback, const char *id, const char *key)
{
	(void)fallback, (void)id, (void)key;
	++*(unsigned *)context;
}

static bool
has_unpublished(const struct own *own)
{
	unsigned n = 0;

	ratchet_account_unpublished(own->record.account, count_one, &n);
	return n > 0;
}

void
own_counted(struct own *own, int64_t one_time, bool fallback)
{
	struct keep_account *record = &own->record;
	int64_t wanted = keys_wanted(own);

	own->one_time = one_time;
	own->fallback = fallback;
	/* What an upload under way carries is marked as published by its answer: nothing may be made meanwhile. */
	if (!own->living || record->state == KEEP_NEW || has_unpublished(own))
		return;
	if (one_time < wanted / 2 && one_time >= 0 && ratchet_account_make_keys(record->account, (unsigned)(wanted - one_time)))
		log_error(LOG_MATRIX, "one-time keys cannot be made user=%s", record->user);
	if (!fallback) {
		ratchet_account_make_fallback(record->account);
		record->fallback_ms = now_real_ms();
		record->fallback_old = true;
	} else if (record->fallback_old && now_real_ms() - record->fallback_ms > HOUR_MS) {
		ratchet_account_forget_fallback(record->account);
		record->fallback_old = false;
	} else if (one_time >= wanted / 2) {
		return;
	}
	own_save(own);
	ghost_recall(own->ghost);
}

/* ---- steps: the generation ---- */

#define GENERATION_TYPE "org.sourdine.generation"

static char *
path_generation(const struct own *own)
{
	return matrix_path("/_matrix/client/v3/user/%s/account_data/" GENERATION_TYPE "?user_id=%s", own->record.user, own->record.user);
}

static bool
needs_guard(struct own *own)
{
	return own->bot && !own->crypto->guarded && !own->crypto->raised;
}

/* 404: it was never written. */
static bool
took_guard(struct own *own, const struct judged *judged)
{
	struct crypto *crypto = own->crypto;
	int64_t there = 0;

	if (judged->is != JUDGED_FINE && judged->status != 404)
		return false;
	if (judged->is == JUDGED_FINE)
		json_whole(judged->json, "generation", &there);
	if (there && !crypto_generation(crypto)) {
		/* Its keys are new as well. */
		log_notice(LOG_MATRIX, "another database was used with this homeserver before, this one is new");
		crypto_go_on_from(crypto, there);
	} else if (there > crypto_generation(crypto)) {
		log_error(LOG_MATRIX, "the database is an old copy: it is at generation %" PRId64 ", the homeserver saw %" PRId64 ";"
			" every device gets a successor, and no key of the copy is used", crypto_generation(crypto), there);
		crypto_kill_all(crypto, there);
		ghost_forget_keys(crypto->matrix);
	}
	FAULT_POINT("crypto_guarded");
	crypto_raise(crypto);
	return true;
}

static bool
needs_mirror(struct own *own)
{
	return own->bot && own->crypto->raised;
}

static json_t *
body_mirror(struct own *own)
{
	own->crypto->mirroring = crypto_generation(own->crypto);
	return json_pack("{s:I}", "generation", (json_int_t)own->crypto->mirroring);
}

static bool
took_mirror(struct own *own, const struct judged *judged)
{
	struct crypto *crypto = own->crypto;

	if (judged->is != JUDGED_FINE)
		return false;
	if (!crypto->guarded)
		outbox_wake(crypto->matrix->parts.outbox);
	crypto->guarded = true;
	crypto->raised = crypto->mirroring != crypto_generation(crypto);
	return true;
}

/* ---- steps: burial ---- */

static bool
needs_burial(struct own *own)
{
	char device[KEEP_DEVICE_MAX];

	return own->living && keep_find_dead(own->crypto->keep, own->record.user, device, sizeof(device), &own->died);
}

static char *
path_burial(const struct own *own)
{
	char device[KEEP_DEVICE_MAX] = "";
	int64_t id;

	(void)!keep_find_dead(own->crypto->keep, own->record.user, device, sizeof(device), &id);
	return matrix_path("/_matrix/client/v3/devices/%s?user_id=%s", device, own->record.user);
}

/* One that is gone already is as good. */
static bool
took_burial(struct own *own, const struct judged *judged)
{
	if (judged->is != JUDGED_FINE && judged->status != 404)
		return false;
	keep_forget_account(own->crypto->keep, own->died);
	return true;
}

/* ---- steps: is it still there ---- */

static char *
path_with_device(const char *path, const struct own *own)
{
	AUTO_FREE char *query = matrix_path("?user_id=%s&device_id=%s", own->record.user, own->record.device);

	return xasprintf("%s%s", path, query);
}

static bool
needs_check(struct own *own)
{
	return own->doubts || (own->record.state != KEEP_NEW && own->checked_ms != own->crypto->matrix->arriving_ms);
}

static char *
path_check(const struct own *own)
{
	AUTO_FREE char *query = matrix_path("?user_id=%s", own->record.user);

	return xasprintf("/_matrix/client/v3/keys/query%s", query);
}

static json_t *
body_check(struct own *own)
{
	return json_pack("{s:{s:[]}}", "device_keys", own->record.user);
}

/* The keys that the homeserver shows for our device are ours. */
static bool
has_our_keys(const struct own *own, const json_t *device)
{
	AUTO_FREE char *curve = xasprintf("curve25519:%s", own->record.device), *ed = xasprintf("ed25519:%s", own->record.device);
	const json_t *keys = json_child(device, "keys");

	return str_equal(json_text(keys, curve), own->curve) && str_equal(json_text(keys, ed), own->ed);
}

/* So are the identity, and its signature of the device. */
static bool
has_our_identity(const struct own *own, const json_t *answer, const json_t *device)
{
	struct crosssign identity;
	bool there;

	init_identity(own, &identity);
	AUTO_FREE char *master = xasprintf("ed25519:%s", identity.master_key), *self = xasprintf("ed25519:%s", identity.self_signing_key);
	there = json_text(json_child(json_child(json_child(answer, "master_keys"), own->record.user), "keys"), master) &&
		json_text(json_child(json_child(json_child(answer, "self_signing_keys"), own->record.user), "keys"), self) &&
		json_text(json_child(json_child(device, "signatures"), own->record.user), self);
	crosssign_fini(&identity);
	return there;
}

static bool
shows_master(const json_t *answer, const struct own *own, const char *master)
{
	AUTO_FREE char *name = xasprintf("ed25519:%s", master);

	return json_text(json_child(json_child(json_child(answer, "master_keys"), own->record.user), "keys"), name);
}

/*
 * The homeserver did not take our identity. Synapse takes none back that another one has replaced (of a database under another master
 * key, say), for ever; then the next edition of ours is used, or the one that is there already. As long as it shows none at all it may
 * only have failed: the same is tried again.
 */
static void
choose_edition(struct own *own, const json_t *answer)
{
	int64_t now = keep_edition(own->crypto->keep, own->record.user), next = now + 1;

	own->doubts = false;
	if (!json_child(json_child(answer, "master_keys"), own->record.user))
		return;
	for (int64_t edition = 1; edition <= now + EDITIONS_AHEAD; edition++) {
		struct crosssign identity;
		crosssign_init(&identity, own->crypto->bridge_secret, edition, own->record.user);
		next = shows_master(answer, own, identity.master_key) ? edition : next;
		crosssign_fini(&identity);
	}
	if (next == now || next > EDITIONS_MAX)
		return;
	log_warning(LOG_MATRIX, "the homeserver takes an identity back no more, edition %" PRId64 " of it is used: clients may say that it has changed"
		" user=%s", next, own->record.user);
	keep_set_edition(own->crypto->keep, own->record.user, next);
	free(own->record.device_keys);
	own->record.device_keys = make_device_keys(own);
	own->record.state = own->record.state == KEEP_NEW ? KEEP_NEW : KEEP_UPLOADED;
	own_save(own);
}

static bool
took_check(struct own *own, const struct judged *judged)
{
	if (judged->is != JUDGED_FINE)
		return false;
	const json_t *devices = json_child(json_child(judged->json, "device_keys"), own->record.user);
	const json_t *device = json_child(devices, own->record.device);
	if (!devices)
		return false; /* it says nothing of this user; to one without devices it gives an empty list */
	if (own->record.state != KEEP_NEW && !has_our_keys(own, device))
		return own_die(own, device ? "the homeserver has other keys for it" : "the homeserver does not know it");
	if (own->doubts)
		choose_edition(own, judged->json);
	if (own->record.state == KEEP_NEW)
		return true;
	if (own->record.state == KEEP_SIGNED && !has_our_identity(own, judged->json, device)) {
		log_warning(LOG_MATRIX, "the homeserver does not show a device's identity, it is uploaded again user=%s", own->record.user);
		own->record.state = KEEP_UPLOADED;
		own_save(own);
	}
	own->checked_ms = own->crypto->matrix->arriving_ms;
	own->useless = false;
	if (own_is_ready(own))
		crypto_became_ready(own->crypto, own);
	return true;
}

/* ---- steps: identity ---- */

static bool
needs_identity(struct own *own)
{
	return own->record.state == KEEP_UPLOADED || (own->record.state == KEEP_NEW && !own->identified);
}

static char *
path_identity(const struct own *own)
{
	return path_with_device("/_matrix/client/v3/keys/device_signing/upload", own);
}

static json_t *
body_identity(struct own *own)
{
	struct crosssign identity;

	init_identity(own, &identity);
	json_t *body = crosssign_make_upload(&identity);
	crosssign_fini(&identity);
	return body;
}

static bool
took_identity(struct own *own, const struct judged *judged)
{
	if (judged->is != JUDGED_FINE)
		return false;
	FAULT_POINT("crypto_identity_uploaded");
	own->identified = true;
	if (own->record.state == KEEP_NEW)
		return true;
	own->record.state = KEEP_IDENTIFIED;
	own_save(own);
	return true;
}

/* ---- steps: keys ---- */

static json_t *
read_device_keys(const struct own *own)
{
	return json_read_answer(own->record.device_keys, strlen(own->record.device_keys));
}

/* The homeserver has the device's keys, signed. */
static void
became_signed(struct own *own)
{
	own->record.state = KEEP_SIGNED;
	own->useless = false;
	own->signed_ms = now_monotonic_ms();
	own_save(own);
	log_info(LOG_MATRIX, "a device is cross-signed user=%s device=%s ed25519=%s", own->record.user, own->record.device, own->ed);
	crypto_became_ready(own->crypto, own);
}

static bool
needs_upload(struct own *own)
{
	return own->record.state == KEEP_NEW ? own->identified : has_unpublished(own);
}

static char *
path_upload(const struct own *own)
{
	return path_with_device("/_matrix/client/v3/keys/upload", own);
}

static json_t *
body_upload(struct own *own)
{
	struct devicekeys device = device_of(own);
	json_t *keys = own->record.state == KEEP_NEW ? read_device_keys(own) : NULL;
	json_t *body = devicekeys_make_upload(&device, keys);

	json_decref(keys);
	return body;
}

static bool
says_unknown_device(const struct judged *judged)
{
	return str_equal(judged->errcode, "M_UNKNOWN_DEVICE") || str_equal(judged->errcode, "ORG.MATRIX.MSC4326.M_UNKNOWN_DEVICE");
}

/* The homeserver has another key under one of our names: two copies of us have made keys. */
static bool
took_upload(struct own *own, const struct judged *judged)
{
	if (judged->is == JUDGED_NO && strcasestr(judged->error, "already exists"))
		return own_die(own, "the homeserver has other one-time keys of it");
	if (judged->is == JUDGED_NO && says_unknown_device(judged))
		return own_die(own, "the homeserver does not know it");
	if (judged->is != JUDGED_FINE)
		return false;
	FAULT_POINT("crypto_keys_uploaded");
	ratchet_account_mark_published(own->record.account);
	if (own->record.state != KEEP_NEW) {
		own_save(own);
		return true;
	}
	own->checked_ms = own->crypto->matrix->arriving_ms;
	became_signed(own);
	return true;
}

/* ---- steps: the signature, of a device whose identity the homeserver lost, or did not take ---- */

static bool
needs_signature(struct own *own)
{
	return own->record.state == KEEP_IDENTIFIED;
}

static char *
path_signature(const struct own *own)
{
	return path_with_device("/_matrix/client/v3/keys/signatures/upload", own);
}

static json_t *
body_signature(struct own *own)
{
	return json_pack("{s:{s:o}}", own->record.user, own->record.device, read_device_keys(own));
}

static bool
took_signature(struct own *own, const struct judged *judged)
{
	if (judged->is != JUDGED_FINE)
		return false;
	if (json_object_size(json_object_get(judged->json, "failures"))) {
		/* The device may be signed with an identity that another took the place of: from the keys on again. */
		own->record.state = KEEP_UPLOADED;
		own_save(own);
		return false;
	}
	FAULT_POINT("crypto_device_signed");
	became_signed(own);
	return true;
}

/* ---- steps: the inbox ---- */

static bool
needs_drain(struct own *own)
{
	return own->drains && !own->bot && own_is_ready(own);
}

static char *
path_drain(const struct own *own)
{
	return sync_path(own, 0);
}

static bool
took_drain(struct own *own, const struct judged *judged)
{
	if (judged->is != JUDGED_FINE)
		return false;
	own->drains = false;
	sync_take(own, judged->json);
	if (!loop_timer_armed(&own->drain) && own->used)
		loop_timer_set(&own->drain, DRAIN_MS);
	return true;
}

static const struct own_step steps[] = {
	{ "burial", "DELETE", true, needs_burial, path_burial, NULL, took_burial },
	{ "generation", "GET", false, needs_guard, path_generation, NULL, took_guard },
	{ "raise", "PUT", false, needs_mirror, path_generation, body_mirror, took_mirror },
	{ "check", "POST", false, needs_check, path_check, body_check, took_check },
	{ "identity", "POST", false, needs_identity, path_identity, body_identity, took_identity },
	{ "keys", "POST", false, needs_upload, path_upload, body_upload, took_upload },
	{ "signature", "POST", false, needs_signature, path_signature, body_signature, took_signature },
	{ "inbox", "GET", false, needs_drain, path_drain, NULL, took_drain },
};

/* Before the generation is known nothing but that is asked, except to delete what is dead. */
static const struct own_step *
next_step(struct own *own, bool early)
{
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && own->living && !rests(own); i++) {
		const struct own_step *step = &steps[i];
		bool allowed = early || own->crypto->guarded || step->needed == needs_guard || step->needed == needs_mirror;
		if (step->early == early && allowed && step->needed(own))
			return step;
	}
	return NULL;
}

bool
own_lacks(struct own *own, bool early)
{
	return next_step(own, early) != NULL;
}

void
own_ask(struct own *own, bool early, struct own_ask *out)
{
	own->step = next_step(own, early);
	*out = (struct own_ask){ own->step->word, own->step->method, own->step->path(own), own->step->body ? own->step->body(own) : NULL };
}

void
own_failed(struct own *own, const struct judged *judged)
{
	own->doubts |= own->step->needed == needs_identity && judged->status == 500;
}

/* It may have died of something else meanwhile, or be at rest: then what is needed is asked for anew. */
bool
own_took(struct own *own, const struct judged *judged)
{
	return !own->living || rests(own) || own->step->took(own, judged);
}
