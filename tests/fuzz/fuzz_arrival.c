/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever a homeserver and somebody else's device may send to one of ours, and encrypted events of a room; the device's words are encrypted
 * as it would do it, so that what comes after the ratchets is reached. Parts of an input come one after the other:
 *
 *   "S{JSON}"  an answer to /sync. Where the content of a to-device event has "plain", that is encrypted by Alice's device
 *   "E{JSON}"  an event of the room. Where its content has "plain", that is encrypted with Alice's Megolm session
 *   "R{JSON}"  the same, with the ciphertext of the last one
 *   "D"        Alice's device is known
 *   "+N"       N seconds pass
 *
 * In all of them $S is that session's id, $K and $X its key (shared, exported), $a and $c the Ed25519 and Curve25519 key of Alice's device,
 * $b and $d those of ours.
 */
#include "homeserver.h"

#include "matrix/crypto/decipher.h"
#include "matrix/crypto/inbound.h"
#include "matrix/crypto/own.h"
#include "matrix/crypto/received.h"
#include "matrix/crypto/roster.h"
#include "matrix/crypto/sync.h"
#include "matrix/ghost.h"
#include "matrix/inside.h"
#include "replay.h"

#include <string.h>

#define ALICE "@alice:hs"
#define BOT "@sourdine:hs"

/* Made once; what an input changes is opened anew for each. */
static struct {
	struct ratchet_account *ours, *hers;
	char our_curve[RATCHET_ID_SIZE], our_ed[RATCHET_ID_SIZE], curve[RATCHET_ID_SIZE], ed[RATCHET_ID_SIZE], session[RATCHET_ID_SIZE];
	struct secret our_account, olm, megolm, key, exported;
} fixed;

static const unsigned char pickle_key[PRIMITIVE_KEY] = "a key that is the same each tim";

struct alice {
	struct ratchet_session *olm;
	struct ratchet_outbound *megolm;
	char *last; /* own: a ciphertext */
	bool known;
};

static void
take_key(void *context, bool fallback, const char *id, const char *key)
{
	(void)fallback, (void)id;
	snprintf(context, RATCHET_ID_SIZE, "%s", key);
}

static void
make_fixed(void)
{
	struct ratchet_session *olm = NULL;
	struct ratchet_outbound *megolm = ratchet_outbound_new();
	struct ratchet_inbound *inbound = NULL;
	char one_time[RATCHET_ID_SIZE] = "";

	fixed.ours = ratchet_account_new();
	fixed.hers = ratchet_account_new();
	ratchet_account_keys(fixed.ours, fixed.our_curve, fixed.our_ed);
	ratchet_account_keys(fixed.hers, fixed.curve, fixed.ed);
	REQUIRE(ratchet_account_make_keys(fixed.ours, 1) == 0);
	ratchet_account_unpublished(fixed.ours, take_key, one_time);
	ratchet_account_mark_published(fixed.ours);
	REQUIRE(ratchet_session_open(&olm, fixed.hers, fixed.our_curve, one_time) == 0);
	ratchet_outbound_id(megolm, fixed.session);
	ratchet_outbound_key(megolm, &fixed.key);
	REQUIRE(ratchet_inbound_open(&inbound, RATCHET_SHARED, fixed.key.p) == 0 && ratchet_inbound_export(inbound, 0, &fixed.exported) == 0);
	REQUIRE(ratchet_account_save(fixed.ours, pickle_key, &fixed.our_account) == 0);
	REQUIRE(ratchet_session_save(olm, pickle_key, &fixed.olm) == 0 && ratchet_outbound_save(megolm, pickle_key, &fixed.megolm) == 0);
	ratchet_inbound_free(inbound);
	ratchet_outbound_free(megolm);
	ratchet_session_free(olm);
}

/* Our device, as if all of its steps had been made. */
static struct own *
make_own(struct matrix *matrix)
{
	static const struct author bot = { NULL, NULL, NULL };
	struct own *own = ghost_own(ghost_get(matrix, &bot));
	struct keep_account *record = &own->record;

	REQUIRE(ratchet_account_load(&record->account, fixed.our_account.p, fixed.our_account.n, pickle_key) == 0);
	snprintf(record->device, sizeof(record->device), "OURS");
	record->state = KEEP_SIGNED;
	record->device_keys = xstrdup("{}");
	record->since = xstrdup("s0");
	keep_add_account(matrix->crypto->keep, record);
	memcpy(own->curve, fixed.our_curve, sizeof(own->curve));
	memcpy(own->ed, fixed.our_ed, sizeof(own->ed));
	own->living = true;
	own->checked_ms = matrix->arriving_ms;
	matrix->crypto->guarded = true;
	return own;
}

/* ---- an input's words ---- */

static char *
expand(const char *text)
{
	const struct {
		char mark;
		const char *value;
	} marks[] = { { 'S', fixed.session }, { 'K', fixed.key.p }, { 'X', fixed.exported.p }, { 'a', fixed.ed }, { 'c', fixed.curve },
		{ 'b', fixed.our_ed }, { 'd', fixed.our_curve } };
	struct str out;

	str_init(&out, 1 << 18);
	for (const char *p = text; *p; p++) {
		size_t i = 0, n = sizeof(marks) / sizeof(marks[0]);
		while (p[0] == '$' && i < n && marks[i].mark != p[1])
			i++;
		if (p[0] == '$' && i < n)
			str_add(&out, marks[i].value);
		else
			str_add_char(&out, *p);
		p += p[0] == '$' && i < n;
	}
	return str_take(&out);
}

static char *
text_of(const json_t *value)
{
	struct str out;

	str_init(&out, 1 << 20);
	json_add(&out, value);
	return str_take(&out);
}

/* ---- what Alice's device does ---- */

static void
seal_letter(struct alice *alice, json_t *event)
{
	json_t *content = json_object_get(event, "content"), *plain = json_object_get(content, "plain");
	enum ratchet_type type;
	char *body;

	if (!plain)
		return;
	AUTO_FREE char *text = text_of(plain);
	ratchet_session_encrypt(alice->olm, text, strlen(text), &type, &body);
	json_object_set_new(event, "content", json_pack("{s:s, s:s, s:{s:{s:i, s:s}}}", "algorithm", "m.olm.v1.curve25519-aes-sha2", "sender_key",
			fixed.curve, "ciphertext", fixed.our_curve, "type", (int)type, "body", body));
	free(body);
}

static void
seal_event(struct alice *alice, json_t *content, bool again)
{
	json_t *plain = json_object_get(content, "plain");
	uint32_t index;

	if (!plain)
		return;
	if (!again || !alice->last) {
		AUTO_FREE char *text = text_of(plain);
		free(alice->last);
		ratchet_outbound_encrypt(alice->megolm, text, strlen(text), &alice->last, &index);
	}
	json_object_del(content, "plain");
	json_object_set_new(content, "ciphertext", json_string(alice->last));
	json_object_set_new(content, "algorithm", json_string("m.megolm.v1.aes-sha2"));
	json_object_set_new(content, "session_id", json_string(fixed.session));
}

/* ---- parts ---- */

static void
take_answer(struct alice *alice, struct own *own, const char *text)
{
	json_t *answer = json_read_answer(text, strlen(text));
	json_t *event;
	size_t i;

	json_array_foreach(json_object_get(json_child(answer, "to_device"), "events"), i, event)
		if (json_is_object(event))
			seal_letter(alice, event);
	if (answer)
		sync_take(own, answer);
	json_decref(answer);
}

static void
take_event(struct alice *alice, struct crypto *crypto, const char *text, bool again)
{
	static char first[256]; /* the id of what was read last */
	const char *why;
	json_t *event = json_read(text, strlen(text), &why), *content = json_object_get(event, "content");
	struct deciphered out;

	again = again && alice->last;
	if (json_is_object(content))
		seal_event(alice, content, again);
	if (json_is_object(event)) {
		AUTO_FREE char *raw = text_of(event);
		decipher_expect(crypto, BRIDGE_ROOM, raw, strlen(raw));
		enum decipher_result result = decipher_event(crypto, BRIDGE_ROOM, event, &out);
		const char *id = json_text(event, "event_id");
		/* Only a device that is known, of him whose key it is, is believed; and each message once. */
		REQUIRE((result == DECIPHER_DONE) == (out.plain != NULL));
		REQUIRE(result != DECIPHER_DONE || (alice->known && str_equal(json_text(event, "sender"), ALICE)));
		REQUIRE(result != DECIPHER_DONE || !again || !*first || str_equal(id, first));
		if (result == DECIPHER_DONE && !again)
			snprintf(first, sizeof(first), "%.255s", strlen(id) < sizeof(first) ? id : "");
		else if (!again)
			first[0] = '\0';
		json_decref(out.plain);
	}
	json_decref(event);
}

static void
know(struct alice *alice, struct store *store)
{
	struct peer_device device = { .trust = PEER_CROSS_SIGNED };

	memcpy(device.curve, fixed.curve, sizeof(device.curve));
	memcpy(device.ed, fixed.ed, sizeof(device.ed));
	roster_save_device(store, ALICE, "HERS", &device);
	alice->known = true;
}

static void
play(struct alice *alice, struct bridge *bridge, struct homeserver *homeserver, struct own *own, const char *part)
{
	AUTO_FREE char *text = expand(*part ? part + 1 : part);
	long seconds = strtol(text, NULL, 10);

	if (part[0] == 'S')
		take_answer(alice, own, text);
	else if (part[0] == 'E' || part[0] == 'R')
		take_event(alice, own->crypto, text, part[0] == 'R');
	else if (part[0] == 'D')
		know(alice, bridge->store);
	bridge_turn(bridge, part[0] == '+' && seconds > 0 && seconds < 200000 ? seconds * 1000 : 50);
	/* What was asked for meanwhile: keys, devices, a new session. */
	for (int i = 0; i < 8 && homeserver_asked(homeserver); i++)
		homeserver_answer_well(homeserver);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bridge *bridge = bridge_open(NULL);
	struct homeserver *homeserver = homeserver_open(bridge, true);
	struct matrix *matrix = (struct matrix *)(void *)bridge->core->port[NETWORK_MATRIX];
	struct alice alice = { .last = NULL };
	char *part;
	size_t n;

	if (!fixed.ours)
		make_fixed();
	struct own *own = make_own(matrix);
	homeserver_serve(homeserver, NULL, 6, 50);
	REQUIRE(ratchet_session_load(&alice.olm, fixed.olm.p, fixed.olm.n, pickle_key) == 0);
	REQUIRE(ratchet_outbound_load(&alice.megolm, fixed.megolm.p, fixed.megolm.n, pickle_key) == 0);
	for (int i = 0; i < 40 && bridge_part(&data, &size, &part, &n); i++) {
		play(&alice, bridge, homeserver, own, part);
		free(part);
	}
	ratchet_session_free(alice.olm);
	ratchet_outbound_free(alice.megolm);
	free(alice.last);
	homeserver_end(homeserver);
	bridge_close(bridge);
	return 0;
}

REPLAY_MAIN("arrival")
