/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What decrypts is not yet true. The session must be one that its sender gave as his, made by a device that his server names and, by policy, that he
 * has signed; the text must be for this room; and an index belongs to one event of its owner for ever, since libolm opens a message
 * as often as it comes.
 */
#include "matrix/crypto/decipher.h"

#include "base/log.h"
#include "base/metric.h"
#include "base/text.h"
#include "matrix/crypto/devicekeys.h"
#include "matrix/crypto/peers.h"
#include "matrix/crypto/received.h"
#include "matrix/crypto/waiting.h"

#include <string.h>

/* Why an event cannot be read: for its author, and for who watches. */
struct why {
	const char *sentence;
	enum metric metric;
};

static const struct why
	why_missing = { N_("Your message could not be decrypted: your client has not sent its key. It crosses if the key arrives within a day; otherwise please send it again."), METRIC_UNREAD_NO_KEY },
	why_withheld = { N_("Your message could not be decrypted: your client keeps its key from the bridge. If it only sends keys to verified devices, allow this room's unverified ones, or verify the bridge by its fingerprint."), METRIC_UNREAD_WITHHELD },
	why_unsigned = { N_("Your message did not cross: the device that sent it is not verified by your account. Verify it with another device of yours or with your recovery key."), METRIC_UNREAD_UNSIGNED },
	why_stranger = { N_("Your message did not cross: your homeserver does not name the device that sent it."), METRIC_UNREAD_UNKNOWN },
	why_broken = { N_("Your message could not be decrypted: it was damaged on its way. Please send it again."), METRIC_UNREAD_DAMAGED };

/* An event, taken apart. All lent by it. */
struct cipher {
	struct waiting_event event;
	const char *text;
	int64_t origin_ms;
};

static bool
take_apart(const char *room, const json_t *event, struct cipher *out)
{
	const json_t *content = json_child(event, "content");
	const char *curve = json_text(content, "sender_key");

	*out = (struct cipher){ .text = json_text(content, "ciphertext") };
	out->event = (struct waiting_event){
		.room = room, .id = json_text(event, "event_id"), .session = json_text(content, "session_id"), .sender = json_text(event, "sender"),
		.curve = curve && strlen(curve) < RATCHET_ID_SIZE ? curve : "",
	};
	json_whole(event, "origin_server_ts", &out->origin_ms);
	return out->text && out->event.id && out->event.session && out->event.sender && out->event.sender[0] == '@' && strlen(room) < KEEP_ID_MAX &&
		strlen(out->event.session) < RATCHET_ID_SIZE && strlen(out->event.sender) < KEEP_ID_MAX &&
		str_equal(json_text(content, "algorithm"), DEVICEKEYS_MEGOLM);
}

static enum decipher_result
wait_for(struct crypto *crypto, const struct cipher *cipher, bool hopeless, const struct why *why, struct deciphered *out)
{
	static const enum decipher_result results[] = {
		[WAITING_MORE] = DECIPHER_LATER, [WAITING_ASIDE] = DECIPHER_ASIDE, [WAITING_OVER] = DECIPHER_LOST,
	};

	out->why = why->sentence;
	return results[waiting_for(crypto->waiting, &cipher->event, hopeless, why->metric)];
}

/* It will be read no more, one way or the other. */
static enum decipher_result
end(struct crypto *crypto, const struct cipher *cipher, enum decipher_result result, struct deciphered *out)
{
	out->strayed = waiting_end(crypto->waiting, cipher->event.room, cipher->event.id);
	if (result == DECIPHER_LOST)
		metric_add(METRIC_DECRYPTED_NEVER, 1);
	return result;
}

static enum decipher_result
distrust(struct crypto *crypto, const struct cipher *cipher, enum metric metric, struct deciphered *out)
{
	metric_add(metric, 1);
	log_warning(LOG_MATRIX, "an encrypted event is not what it claims, ignored room=%s id=%s", cipher->event.room, cipher->event.id);
	return end(crypto, cipher, DECIPHER_IGNORED, out);
}

/* The event as its author wrote it: everything around the content is the homeserver's. */
static json_t *
unwrap(const json_t *event, const char *type, const json_t *content)
{
	const json_t *relation = json_child(json_child(event, "content"), "m.relates_to");
	json_t *plain = json_copy((json_t *)(uintptr_t)event), *said = json_copy((json_t *)(uintptr_t)content);

	if (relation && !json_object_get(said, "m.relates_to"))
		json_object_set(said, "m.relates_to", (json_t *)(uintptr_t)relation);
	json_object_set_new(plain, "type", json_string(type));
	json_object_set_new(plain, "content", said);
	return plain;
}

/* What was decrypted is judged. */
static enum decipher_result
accept(struct crypto *crypto, const struct cipher *cipher, const json_t *event, const struct secret *text, uint32_t index, struct deciphered *out)
{
	const char *why;
	json_t *inner = json_read(text->p, text->n, &why);
	const char *type = json_text(inner, "type");
	const json_t *content = json_child(inner, "content");

	if (!type || !content || !str_equal(json_text(inner, "room_id"), cipher->event.room)) {
		json_decref(inner);
		return distrust(crypto, cipher, type && content ? METRIC_IGNORED_FORGED : METRIC_IGNORED_MALFORMED, out);
	}
	if (!received_is_first(crypto, cipher->event.session, cipher->event.sender, index, cipher->event.id, cipher->origin_ms)) {
		json_decref(inner);
		return distrust(crypto, cipher, METRIC_IGNORED_REPLAY, out);
	}
	out->plain = unwrap(event, type, content);
	json_decref(inner);
	metric_add(METRIC_DECRYPTED, 1);
	return end(crypto, cipher, DECIPHER_DONE, out);
}

static enum decipher_result
open_text(struct crypto *crypto, const struct cipher *cipher, const struct received *received, const json_t *event, struct deciphered *out)
{
	AUTO_SECRET struct secret text = { NULL, 0 };
	uint32_t index;
	int r = ratchet_inbound_decrypt(received->session, cipher->text, &text, &index);

	if (r == RATCHET_E_INDEX) /* its key came, but only from a later message on */
		return wait_for(crypto, cipher, false, &why_missing, out);
	if (r) {
		out->why = why_broken.sentence;
		metric_add(why_broken.metric, 1);
		return end(crypto, cipher, DECIPHER_LOST, out);
	}
	return accept(crypto, cipher, event, &text, index, out);
}

/* His devices as they are now; waiting_user() follows. True: they are known. `anew`: although they are thought to be known, now and then. */
static bool
ask_about(struct crypto *crypto, const char *user, bool anew)
{
	if (crypto->matrix->state != MATRIX_HERE)
		return false;
	if (anew && waiting_may_touch(crypto->waiting, user))
		peers_touch(crypto->peers, user);
	return peers_know(crypto->peers, &user, 1);
}

/* By which of his devices: only his key was looked for, whatever others' opens. */
static enum decipher_result
check_owner(struct crypto *crypto, const struct cipher *cipher, const struct received *received, const json_t *event, struct deciphered *out)
{
	struct received_device device;

	if (!received_find_device(crypto, received->user, received->curve, &device)) {
		ask_about(crypto, received->user, true);
		return wait_for(crypto, cipher, false, &why_stranger, out);
	}
	if (strcmp(device.ed, received->ed) != 0)
		return distrust(crypto, cipher, METRIC_IGNORED_FORGED, out);
	if (!device.trusted && !crypto_trusts_all(crypto, cipher->event.room))
		return wait_for(crypto, cipher, ask_about(crypto, received->user, false), &why_unsigned, out);
	return open_text(crypto, cipher, received, event, out);
}

enum decipher_result
decipher_event(struct crypto *crypto, const char *room, const json_t *event, struct deciphered *out)
{
	struct received received;
	struct cipher cipher;
	enum decipher_result result;

	*out = (struct deciphered){ .plain = NULL };
	if (!take_apart(room, event, &cipher)) {
		metric_add(METRIC_IGNORED_MALFORMED, json_object_size(json_child(event, "content")) > 0); /* a redacted one is empty */
		return DECIPHER_IGNORED;
	}
	bool known = received_find(crypto, room, cipher.event.session, cipher.event.sender, &received);
	bool withheld = known && !received.session;
	if (known && received.session)
		result = check_owner(crypto, &cipher, &received, event, out);
	else
		result = wait_for(crypto, &cipher, withheld, withheld ? &why_withheld : &why_missing, out);
	received_fini(&received);
	return result;
}

void
decipher_expect(struct crypto *crypto, const char *room, const char *raw, size_t size)
{
	struct cipher cipher;
	const char *why;
	json_t *event = json_read(raw, size, &why);

	if (event && take_apart(room, event, &cipher))
		waiting_expect(crypto->waiting, &cipher.event);
	json_decref(event);
}
