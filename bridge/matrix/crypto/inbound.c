/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An Olm message is decrypted by the session that it belongs to, then judged (envelope.h), and only then is its content looked
 * at. Whose device wrote it may not be known yet: a key is kept under the keys that the message was signed and encrypted with, and
 * used only once a device of that user with both of them was heard of (decipher.c), so nobody is asked in between.
 */
#include "matrix/crypto/inbound.h"

#include "base/log.h"
#include "base/metric.h"
#include "matrix/crypto/devicekeys.h"
#include "matrix/crypto/envelope.h"
#include "matrix/crypto/mend.h"
#include "matrix/crypto/peers.h"
#include "matrix/crypto/received.h"
#include "matrix/crypto/roster.h"
#include "matrix/crypto/waiting.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One event on its way in. Everything is lent. */
struct arrival {
	struct crypto *crypto;
	struct keep_account *own; /* to whom */
	const char *sender;
	const json_t *content;
	const char *curve, *ed; /* of the device that wrote it, when it came through Olm; else NULL */
};

static void
ignore(const char *why)
{
	metric_add(METRIC_IGNORED_OLM, 1);
	log_debug(LOG_MATRIX, "to-device event ignored reason=\"%s\"", why);
}

static bool
copy_id(char *out, size_t size, const char *id)
{
	bool fits = id && *id && strlen(id) < size;

	snprintf(out, size, "%s", fits ? id : "");
	return fits;
}

/* ---- room keys ---- */

static bool
read_names(const json_t *content, struct received *out)
{
	return str_equal(json_text(content, "algorithm"), DEVICEKEYS_MEGOLM) && copy_id(out->room, sizeof(out->room), json_text(content, "room_id")) &&
		out->room[0] == '!' && copy_id(out->id, sizeof(out->id), json_text(content, "session_id"));
}

static bool
open_key(const json_t *content, enum ratchet_key_kind kind, struct received *out)
{
	const char *key = json_text(content, "session_key");
	char id[RATCHET_ID_SIZE];

	if (!key || ratchet_inbound_open(&out->session, kind, key))
		return false;
	ratchet_inbound_id(out->session, id);
	out->first = ratchet_inbound_first(out->session);
	return strcmp(id, out->id) == 0;
}

/* A key is replaced only by one that its owner sent and that opens more (e2ee.md 3.6.6). */
static bool
is_better(struct crypto *crypto, const struct received *new)
{
	struct received old;
	bool known = received_find(crypto, new->room, new->id, new->user, &old) && old.session;
	bool owner = strcmp(old.curve, new->curve) == 0 && strcmp(old.ed, new->ed) == 0;

	received_fini(&old);
	return !known || (owner && new->first < old.first);
}

static void
keep_key(const struct arrival *arrival, struct received *received)
{
	snprintf(received->user, sizeof(received->user), "%s", arrival->sender);
	snprintf(received->curve, sizeof(received->curve), "%s", arrival->curve);
	snprintf(received->ed, sizeof(received->ed), "%s", arrival->ed);
	/* By the specification "shared_history"; clients of matrix-rust-sdk write the second (e2ee.md 3.6.6). */
	received->shared_history = json_is_on(arrival->content, "shared_history") || json_is_on(arrival->content, "m.shared_history") ||
		json_is_on(arrival->content, "org.matrix.msc3061.shared_history");
	if (!is_better(arrival->crypto, received))
		return;
	received_save(arrival->crypto, received);
	metric_add(METRIC_ROOM_KEYS, 1);
	log_debug(LOG_MATRIX, "room key room=%s from=%s index=%lld", received->room, received->user, (long long)received->first);
	waiting_session(arrival->crypto->waiting, received->room, received->id, received->user, true);
}

static void
take_room_key(const struct arrival *arrival)
{
	struct received received = { .source = RECEIVED_SHARED };

	if (read_names(arrival->content, &received) && open_key(arrival->content, RATCHET_SHARED, &received))
		keep_key(arrival, &received);
	else
		ignore("a room key that is none");
	received_fini(&received);
}

/* Only from the device that made it, only because we asked (e2ee.md 3.9): nobody else can prove whose it is. */
static bool
may_forward(const struct arrival *arrival, const struct received *received)
{
	const json_t *chain = json_object_get(arrival->content, "forwarding_curve25519_key_chain");
	struct received_device device;

	return received_find_device(arrival->crypto, arrival->sender, arrival->curve, &device) && strcmp(device.ed, arrival->ed) == 0 &&
		str_equal(json_text(arrival->content, "sender_key"), arrival->curve) &&
		str_equal(json_text(arrival->content, "sender_claimed_ed25519_key"), arrival->ed) && json_is_array(chain) && json_array_size(chain) == 0 &&
		waiting_has_asked(arrival->crypto->waiting, received->room, received->id, arrival->sender);
}

static void
take_forwarded(const struct arrival *arrival)
{
	struct received received = { .source = RECEIVED_FORWARDED };

	if (read_names(arrival->content, &received) && may_forward(arrival, &received) && open_key(arrival->content, RATCHET_EXPORTED, &received))
		keep_key(arrival, &received);
	else
		ignore("a forwarded key that nobody asked for, or from another than its maker");
	received_fini(&received);
}

/* Said in the clear, by anybody: it explains, and proves nothing, so it never stands in a key's way. */
static void
take_withheld(const struct arrival *arrival)
{
	struct received new = { .source = RECEIVED_SHARED }, old;
	const char *code = json_text(arrival->content, "code"), *curve = json_text(arrival->content, "sender_key");

	if (str_equal(code, "m.no_olm")) {
		if (!copy_id(new.curve, sizeof(new.curve), curve))
			ignore("withheld by no device");
		else
			mend_session(arrival->crypto, arrival->own, arrival->sender, new.curve);
		return;
	}
	if (!read_names(arrival->content, &new) || !copy_id(new.withheld, sizeof(new.withheld), code)) {
		ignore("withheld, but not what");
		return;
	}
	snprintf(new.user, sizeof(new.user), "%s", arrival->sender);
	snprintf(new.curve, sizeof(new.curve), "%.*s", RATCHET_ID_SIZE - 1, curve ? curve : "");
	bool known = received_find(arrival->crypto, new.room, new.id, new.user, &old) && old.session;
	received_fini(&old);
	if (known)
		return;
	received_save(arrival->crypto, &new);
	waiting_session(arrival->crypto->waiting, new.room, new.id, new.user, false);
}

static void
take_nothing(const struct arrival *arrival)
{
	(void)arrival;
}

/* What may come through Olm. All else is ignored: keys in bundles and secrets are not for us (e2ee.md 3.6.7). */
static const struct {
	const char *type;
	void (*take)(const struct arrival *arrival);
} sealed[] = {
	{ "m.room_key", take_room_key },
	{ "m.forwarded_room_key", take_forwarded },
	{ "m.dummy", take_nothing },
	{ "m.room_key_bundle", take_nothing },
	{ "m.secret.send", take_nothing },
};

/* ---- Olm ---- */

struct letter {
	struct keep_account *own;
	const char *sender, *curve, *body;
	int64_t type;
	struct secret plain; /* owns */
	bool began;          /* it began a new session */
};

enum opening { OPENED, WEDGED, STRANGE };

static void
keep_session(struct crypto *crypto, const struct letter *letter, const struct ratchet_session *session)
{
	keep_save_session(crypto->keep, letter->own->id, letter->curve, session, true);
}

/* By the session that it belongs to. A pre-key message that fails in its own session is not tried in a new one. */
static enum opening
open_by_known(struct crypto *crypto, struct letter *letter)
{
	struct ratchet_session *sessions[KEEP_SESSIONS_MAX];
	size_t n = keep_load_sessions(crypto->keep, letter->own->id, letter->curve, sessions, KEEP_SESSIONS_MAX);
	enum opening opening = letter->type == RATCHET_PRE_KEY ? STRANGE : WEDGED;

	for (size_t i = 0; i < n && opening != OPENED; i++) {
		if (letter->type == RATCHET_PRE_KEY && !ratchet_session_matches(sessions[i], letter->curve, letter->body))
			continue;
		if (ratchet_session_decrypt(sessions[i], letter->type, letter->body, &letter->plain) == 0) {
			keep_session(crypto, letter, sessions[i]);
			opening = OPENED;
		} else if (letter->type == RATCHET_PRE_KEY) {
			opening = WEDGED;
			break;
		}
	}
	for (size_t i = 0; i < n; i++)
		ratchet_session_free(sessions[i]);
	return opening;
}

static enum opening
open_letter(struct crypto *crypto, struct letter *letter)
{
	struct ratchet_session *session = NULL;
	enum opening opening = open_by_known(crypto, letter);

	if (opening != STRANGE)
		return opening;
	if (ratchet_session_accept(&session, &letter->plain, letter->own->account, letter->curve, letter->body))
		return WEDGED;
	keep_session(crypto, letter, session);
	keep_save_account(crypto->keep, letter->own); /* its one-time key is used up */
	ratchet_session_free(session);
	letter->began = crypto->strangers = true;
	return OPENED;
}

/*
 * The keys that came along were checked with the letter (envelope.h). They stand for a device that its server may not name any more:
 * one that logged out while we were away has written all the same, and its owner's signature is as good as it was.
 */
static void
meet_device(struct crypto *crypto, const char *user, const json_t *keys)
{
	const char *id = json_text(keys, "device_id");
	struct peer_identity identity;
	struct peer_device device;
	bool named = roster_get_identity(crypto->store, user, &identity);

	if (id && peer_read_device(&device, keys, user, id, named ? &identity : NULL, NULL) == 0)
		roster_meet_device(crypto->store, user, id, &device);
}

/* All five checks (e2ee.md 3.6.4), and then what it says. */
static void
read_letter(struct crypto *crypto, const struct letter *letter)
{
	struct arrival arrival = { .crypto = crypto, .own = letter->own, .sender = letter->sender, .curve = letter->curve };
	char own_curve[RATCHET_ID_SIZE], own_ed[RATCHET_ID_SIZE];
	struct received_device device;
	const char *why, *type;
	json_t *plain = json_read(letter->plain.p, letter->plain.n, &why);
	bool known = received_find_device(crypto, letter->sender, letter->curve, &device);

	arrival.ed = json_text(json_child(plain, "keys"), "ed25519");
	ratchet_account_keys(letter->own->account, own_curve, own_ed);
	struct envelope_ends ends = {
		.sender = letter->sender, .sender_curve = letter->curve, .recipient = letter->own->user, .recipient_ed = own_ed,
		/* A device that we have not heard of and that does not prove itself is checked when its key is used. */
		.sender_ed = known ? device.ed : json_object_get(plain, "sender_device_keys") ? NULL : arrival.ed,
	};
	if (!plain || !arrival.ed || strlen(arrival.ed) >= RATCHET_ID_SIZE || envelope_check(plain, &ends, &type, &arrival.content)) {
		ignore("an Olm message that is not what it claims");
		metric_add(METRIC_UNREAD_FORGED, 1);
		json_decref(plain);
		return;
	}
	/* Anybody can write to us. Who comes to a room only afterwards is asked about when he says something there. */
	if (!known && roster_is_here(crypto->store, letter->sender)) {
		meet_device(crypto, letter->sender, json_object_get(plain, "sender_device_keys"));
		peers_touch(crypto->peers, letter->sender);
	}
	/*
	 * It could not read what we wrote, and says so with a session of its own (e2ee.md 3.6.5). Any other first letter is an ordinary
	 * first contact: to give keys again then would give them from a later index on, and some clients forget the earlier one for it.
	 */
	if (letter->began && strcmp(type, "m.dummy") == 0)
		peers_wedged(crypto->peers, letter->sender, letter->curve);
	for (size_t i = 0; i < sizeof(sealed) / sizeof(sealed[0]); i++)
		if (strcmp(type, sealed[i].type) == 0)
			sealed[i].take(&arrival);
	json_decref(plain);
}

static void
take_letter(struct crypto *crypto, struct letter *letter)
{
	unsigned char hash[PRIMITIVE_HASH];

	if (ratchet_hash(letter->body, hash)) {
		ignore("an Olm message of a wrong form");
		metric_add(METRIC_UNREAD_MALFORMED, 1);
		return;
	}
	if (received_has_read(crypto, letter->own->id, hash))
		return; /* brought again: a cached answer, a second channel */
	if (open_letter(crypto, letter) != OPENED) {
		ignore("an Olm message that no session opens");
		metric_add(METRIC_UNREAD_NO_SESSION, 1);
		mend_session(crypto, letter->own, letter->sender, letter->curve);
		return;
	}
	received_note_read(crypto, letter->own->id, hash);
	read_letter(crypto, letter);
}

static void
take_encrypted(const struct arrival *arrival)
{
	struct letter letter = { .own = arrival->own, .sender = arrival->sender, .curve = json_text(arrival->content, "sender_key") };
	char curve[RATCHET_ID_SIZE], ed[RATCHET_ID_SIZE];

	if (!arrival->own->account)
		return;
	ratchet_account_keys(arrival->own->account, curve, ed);
	const json_t *part = json_child(json_child(arrival->content, "ciphertext"), curve);
	letter.body = json_text(part, "body");
	if (letter.body && json_whole(part, "type", &letter.type) && letter.curve && strlen(letter.curve) == RATCHET_ID_SIZE - 1 &&
			str_equal(json_text(arrival->content, "algorithm"), DEVICEKEYS_OLM))
		take_letter(arrival->crypto, &letter);
	else {
		ignore("an Olm message with a field missing, or not for this device");
		metric_add(METRIC_UNREAD_MALFORMED, 1);
	}
	secret_fini(&letter.plain);
}

static void
take_verification(const struct arrival *arrival)
{
	mend_refuse_verification(arrival->crypto, arrival->own, arrival->sender, arrival->content);
}

/* What may come in the clear. */
static const struct {
	const char *type;
	void (*take)(const struct arrival *arrival);
} plain[] = {
	{ "m.room.encrypted", take_encrypted },
	{ "m.room_key.withheld", take_withheld },
	{ "m.key.verification.request", take_verification },
	{ "m.key.verification.start", take_verification },
	{ "m.key.verification.cancel", take_nothing },
	{ "m.room_key_request", take_nothing }, /* answered with silence (e2ee.md 3.9) */
};

void
inbound_olm(struct crypto *crypto, struct keep_account *own, const json_t *event)
{
	const char *type = json_text(event, "type");
	struct arrival arrival = { .crypto = crypto, .own = own, .sender = json_text(event, "sender"), .content = json_child(event, "content") };

	if (!type || !arrival.sender || arrival.sender[0] != '@' || strlen(arrival.sender) >= KEEP_ID_MAX || !arrival.content) {
		ignore("a field is missing or of a wrong type");
		return;
	}
	if (matrix_is_own(crypto->matrix, arrival.sender, strlen(arrival.sender)))
		return;
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		if (strcmp(type, plain[i].type) == 0)
			plain[i].take(&arrival);
}
