/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libolm behind our own words. Its habits that this file takes upon itself: most of its calls destroy the text they are given,
 * so each gets a copy; any of its sizes may be olm_error(), even with "success" as the reason; what it writes has no NUL; it
 * takes random bytes from whoever calls, and an empty key for a pickle. It is lenient where we are not: any character passes
 * as base64, a signature passes with the group's order added, and a message in forms that make it write beyond its buffers.
 * So texts are decoded here first, messages have one form, and Megolm's signatures are checked by OpenSSL before libolm sees them.
 */
#include "matrix/crypto/ratchet.h"

#include "base/json.h"
#include "base/log.h"
#include "base/seal.h"
#include "matrix/crypto/base64.h"
#include "matrix/crypto/form.h"

#include <errno.h>
#include <olm/olm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PICKLE_TEXT_MAX (256 * 1024)

/* A Megolm session key: version, index, ratchet, the session's public key and, when it is shared, a signature of all that. */
#define KEY_SIGNER (1 + 4 + 128)
#define KEY_EXPORTED (KEY_SIGNER + PRIMITIVE_KEY)
#define KEY_SHARED (KEY_EXPORTED + PRIMITIVE_SIGNATURE)

/* What cannot happen with sizes that libolm named itself. */
static void
require(bool ok)
{
	if (ok)
		return;
	log_error(LOG_MATRIX, "libolm failed, stopping");
	abort();
}

static int
refusal_of(enum OlmErrorCode code)
{
	static const int refusals[] = {
		[OLM_BAD_MESSAGE_MAC] = RATCHET_E_MAC,
		[OLM_BAD_MESSAGE_KEY_ID] = RATCHET_E_KEY,
		[OLM_UNKNOWN_MESSAGE_INDEX] = RATCHET_E_INDEX,
		[OLM_BAD_SIGNATURE] = RATCHET_E_SIGNATURE,
	};
	size_t at = (size_t)code;

	return at < sizeof(refusals) / sizeof(refusals[0]) && refusals[at] ? refusals[at] : RATCHET_E_FORM;
}

const char *
ratchet_library(void)
{
	static char text[16];
	uint8_t major, minor, patch;

	olm_get_library_version(&major, &minor, &patch);
	snprintf(text, sizeof(text), "%u.%u.%u", major, minor, patch);
	return text;
}

/* ---- bytes ---- */

/* The bytes of a text from outside. */
static int
read_text(const char *text, size_t n, struct secret *bytes)
{
	size_t size = 0;

	secret_make(bytes, BASE64_ROOM(n));
	bool good = base64_decode(BASE64_PLAIN, text, n, bytes->p, &size);
	bytes->n = size;
	return good ? 0 : RATCHET_E_FORM;
}

/* The same for what a message says, which may be missing. */
static int
read_body(const char *body, struct secret *bytes)
{
	size_t n = body ? strnlen(body, RATCHET_TEXT_MAX + 1) : 0;

	return n && n <= RATCHET_TEXT_MAX ? read_text(body, n, bytes) : RATCHET_E_FORM;
}

/* A text for libolm to destroy. */
static void
write_text(const struct secret *bytes, struct secret *text)
{
	secret_make(text, BASE64_SIZE(bytes->n) - 1);
	base64_encode(BASE64_PLAIN, bytes->p, bytes->n, text->p);
}

static int
read_key(const char *text, char key[RATCHET_ID_SIZE])
{
	unsigned char bytes[PRIMITIVE_KEY];

	if (!base64_decode_exact(BASE64_PLAIN, text, bytes, sizeof(bytes)))
		return RATCHET_E_FORM;
	base64_encode(BASE64_PLAIN, bytes, sizeof(bytes), key);
	return 0;
}

static void
draw(struct secret *random, size_t n)
{
	require(n != olm_error());
	secret_make(random, n);
	if (n)
		seal_random(random->p, n);
}

static bool
is_unset(const unsigned char key[PRIMITIVE_KEY])
{
	static const unsigned char zero[PRIMITIVE_KEY];

	return primitive_same(key, zero, PRIMITIVE_KEY);
}

int
ratchet_hash(const char *body, unsigned char hash[PRIMITIVE_HASH])
{
	AUTO_SECRET struct secret bytes = { NULL, 0 };

	if (read_body(body, &bytes))
		return RATCHET_E_FORM;
	primitive_sha256(bytes.p, bytes.n, hash);
	return 0;
}

/* ---- messages ---- */

/* The bytes of a message that libolm may see. */
static int
read_message(const char *body, struct secret *bytes, bool (*has_form)(const void *p, size_t n))
{
	return read_body(body, bytes) == 0 && has_form(bytes->p, bytes->n) ? 0 : RATCHET_E_FORM;
}

/* ---- what all kinds have in common ---- */

/*
 * libolm gives each of its types the same functions under other names. This makes of them: the struct, a fresh one, and the
 * public free, save and load.
 */
#define RATCHET_KIND(kind, Type, olm_kind) \
	struct ratchet_##kind { \
		Type *olm; /* own: a block of olm_<kind>_size() bytes */ \
	}; \
\
	static struct ratchet_##kind *make_##kind(void) \
	{ \
		struct ratchet_##kind *made = xcalloc(1, sizeof(*made)); \
\
		made->olm = olm_##olm_kind(xcalloc(1, olm_##olm_kind##_size())); \
		return made; \
	} \
\
	void ratchet_##kind##_free(struct ratchet_##kind *kind) \
	{ \
		if (!kind) \
			return; \
		olm_clear_##olm_kind(kind->olm); \
		free(kind->olm); \
		free(kind); \
	} \
\
	int ratchet_##kind##_save(const struct ratchet_##kind *kind, const unsigned char key[PRIMITIVE_KEY], struct secret *out) \
	{ \
		if (is_unset(key)) \
			return -EINVAL; \
		secret_make(out, olm_pickle_##olm_kind##_length(kind->olm)); \
		require(olm_pickle_##olm_kind(kind->olm, key, PRIMITIVE_KEY, out->p, out->n) == out->n); \
		return 0; \
	} \
\
	int ratchet_##kind##_load(struct ratchet_##kind **out, const void *p, size_t n, const unsigned char key[PRIMITIVE_KEY]) \
	{ \
		AUTO_SECRET struct secret bytes = { NULL, 0 }, text = { NULL, 0 }; \
\
		if (is_unset(key)) \
			return -EINVAL; \
		if (!p || n > PICKLE_TEXT_MAX || read_text(p, n, &bytes)) \
			return RATCHET_E_PICKLE; \
		write_text(&bytes, &text); \
		struct ratchet_##kind *made = make_##kind(); \
		if (olm_unpickle_##olm_kind(made->olm, key, PRIMITIVE_KEY, text.p, text.n) == olm_error()) { \
			ratchet_##kind##_free(made); \
			return RATCHET_E_PICKLE; \
		} \
		*out = made; \
		return 0; \
	}

RATCHET_KIND(account, OlmAccount, account)
RATCHET_KIND(session, OlmSession, session)
RATCHET_KIND(outbound, OlmOutboundGroupSession, outbound_group_session)
RATCHET_KIND(inbound, OlmInboundGroupSession, inbound_group_session)

/* ---- an account ---- */

struct ratchet_account *
ratchet_account_new(void)
{
	AUTO_SECRET struct secret random = { NULL, 0 };
	struct ratchet_account *account = make_account();

	draw(&random, olm_create_account_random_length(account->olm));
	require(olm_create_account(account->olm, random.p, random.n) != olm_error());
	return account;
}

static void
copy_key(const json_t *keys, const char *name, char key[RATCHET_ID_SIZE])
{
	require(read_key(json_text(keys, name), key) == 0);
}

void
ratchet_account_keys(const struct ratchet_account *account, char curve[RATCHET_ID_SIZE], char ed[RATCHET_ID_SIZE])
{
	AUTO_SECRET struct secret text = { NULL, 0 };
	const char *why;

	secret_make(&text, olm_account_identity_keys_length(account->olm));
	size_t n = olm_account_identity_keys(account->olm, text.p, text.n);
	require(n <= text.n);
	json_t *keys = json_read(text.p, n, &why);
	copy_key(keys, "curve25519", curve);
	copy_key(keys, "ed25519", ed);
	json_decref(keys);
}

void
ratchet_account_sign(const struct ratchet_account *account, const void *p, size_t n, char signature[RATCHET_SIGNATURE_SIZE])
{
	require(olm_account_sign(account->olm, p, n, signature, RATCHET_SIGNATURE_SIZE - 1) == RATCHET_SIGNATURE_SIZE - 1);
	signature[RATCHET_SIGNATURE_SIZE - 1] = '\0';
}

int
ratchet_account_make_keys(struct ratchet_account *account, unsigned count)
{
	AUTO_SECRET struct secret random = { NULL, 0 };

	if (count > RATCHET_ONE_TIME_MAX)
		return -EINVAL;
	draw(&random, olm_account_generate_one_time_keys_random_length(account->olm, count));
	require(olm_account_generate_one_time_keys(account->olm, count, random.p, random.n) != olm_error());
	return 0;
}

void
ratchet_account_make_fallback(struct ratchet_account *account)
{
	AUTO_SECRET struct secret random = { NULL, 0 };

	draw(&random, olm_account_generate_fallback_key_random_length(account->olm));
	require(olm_account_generate_fallback_key(account->olm, random.p, random.n) != olm_error());
}

void
ratchet_account_forget_fallback(struct ratchet_account *account)
{
	olm_account_forget_old_fallback_key(account->olm);
}

/* libolm writes {"curve25519":{id:key}}. */
static void
hand_out(const struct secret *text, size_t n, bool fallback, void (*each)(void *context, bool fallback, const char *id, const char *key),
		void *context)
{
	const char *why, *id;
	json_t *key;

	require(n <= text->n);
	json_t *keys = json_read(text->p, n, &why);
	require(keys != NULL);
	json_object_foreach(json_object_get(keys, "curve25519"), id, key)
		each(context, fallback, id, json_string_value(key));
	json_decref(keys);
}

void
ratchet_account_unpublished(const struct ratchet_account *account, void (*each)(void *context, bool fallback, const char *id, const char *key),
		void *context)
{
	AUTO_SECRET struct secret one_time = { NULL, 0 }, fallback = { NULL, 0 };

	secret_make(&one_time, olm_account_one_time_keys_length(account->olm));
	hand_out(&one_time, olm_account_one_time_keys(account->olm, one_time.p, one_time.n), false, each, context);
	/* Not olm_account_fallback_key(), which names the key also when it is published. */
	secret_make(&fallback, olm_account_unpublished_fallback_key_length(account->olm));
	hand_out(&fallback, olm_account_unpublished_fallback_key(account->olm, fallback.p, fallback.n), true, each, context);
}

void
ratchet_account_mark_published(struct ratchet_account *account)
{
	olm_account_mark_keys_as_published(account->olm);
}

/* ---- an Olm session ---- */

int
ratchet_session_open(struct ratchet_session **out, const struct ratchet_account *account, const char *peer_curve, const char *one_time_key)
{
	AUTO_SECRET struct secret random = { NULL, 0 };
	char peer[RATCHET_ID_SIZE], key[RATCHET_ID_SIZE];

	if (read_key(peer_curve, peer) || read_key(one_time_key, key))
		return RATCHET_E_FORM;
	struct ratchet_session *session = make_session();
	draw(&random, olm_create_outbound_session_random_length(session->olm));
	require(olm_create_outbound_session(session->olm, account->olm, peer, RATCHET_ID_SIZE - 1, key, RATCHET_ID_SIZE - 1, random.p,
				random.n) != olm_error());
	*out = session;
	return 0;
}

static int
decrypt(struct ratchet_session *session, enum ratchet_type type, const struct secret *bytes, struct secret *plain)
{
	AUTO_SECRET struct secret text = { NULL, 0 }, again = { NULL, 0 }, room = { NULL, 0 };

	write_text(bytes, &text);
	size_t most = olm_decrypt_max_plaintext_length(session->olm, (size_t)type, text.p, text.n);
	if (most == olm_error())
		return refusal_of(olm_session_last_error_code(session->olm));
	secret_make(&room, most);
	write_text(bytes, &again);
	size_t n = olm_decrypt(session->olm, (size_t)type, again.p, again.n, room.p, room.n);
	if (n == olm_error())
		return refusal_of(olm_session_last_error_code(session->olm));
	require(n <= room.n);
	secret_copy(plain, room.p, n);
	return 0;
}

static bool
matches(const struct ratchet_session *session, const char peer[RATCHET_ID_SIZE], const struct secret *bytes)
{
	AUTO_SECRET struct secret text = { NULL, 0 };

	write_text(bytes, &text);
	return olm_matches_inbound_session_from(session->olm, peer, RATCHET_ID_SIZE - 1, text.p, text.n) == 1;
}

/*
 * Not olm_create_inbound_session_from(): a message that leaves out its identity key makes that one read through NULL. Whose
 * key it is, is compared afterwards.
 */
static int
begin(struct ratchet_session *session, struct ratchet_account *account, const char peer[RATCHET_ID_SIZE], const struct secret *bytes)
{
	AUTO_SECRET struct secret text = { NULL, 0 };

	write_text(bytes, &text);
	if (olm_create_inbound_session(session->olm, account->olm, text.p, text.n) == olm_error())
		return refusal_of(olm_session_last_error_code(session->olm));
	return matches(session, peer, bytes) ? 0 : RATCHET_E_KEY;
}

int
ratchet_session_accept(struct ratchet_session **out, struct secret *plain, struct ratchet_account *account, const char *peer_curve, const char *body)
{
	AUTO_SECRET struct secret bytes = { NULL, 0 }, said = { NULL, 0 };
	char peer[RATCHET_ID_SIZE];

	if (read_key(peer_curve, peer) || read_message(body, &bytes, form_is_pre_key))
		return RATCHET_E_FORM;
	struct ratchet_session *session = make_session();
	int r = begin(session, account, peer, &bytes);
	if (!r)
		r = decrypt(session, RATCHET_PRE_KEY, &bytes, &said);
	if (!r && olm_remove_one_time_keys(account->olm, session->olm) == olm_error())
		r = RATCHET_E_KEY;
	if (r) {
		ratchet_session_free(session);
		return r;
	}
	*out = session;
	*plain = said;
	said = (struct secret){ NULL, 0 };
	return 0;
}

bool
ratchet_session_matches(const struct ratchet_session *session, const char *peer_curve, const char *body)
{
	AUTO_SECRET struct secret bytes = { NULL, 0 };
	char peer[RATCHET_ID_SIZE];

	return read_key(peer_curve, peer) == 0 && read_message(body, &bytes, form_is_pre_key) == 0 &&
			matches(session, peer, &bytes);
}

void
ratchet_session_id(const struct ratchet_session *session, char id[RATCHET_ID_SIZE])
{
	require(olm_session_id(session->olm, id, RATCHET_ID_SIZE - 1) == RATCHET_ID_SIZE - 1);
	id[RATCHET_ID_SIZE - 1] = '\0';
}

bool
ratchet_session_is_answered(const struct ratchet_session *session)
{
	return olm_session_has_received_message(session->olm);
}

void
ratchet_session_encrypt(struct ratchet_session *session, const void *p, size_t n, enum ratchet_type *type, char **body)
{
	AUTO_SECRET struct secret random = { NULL, 0 };
	size_t size = olm_encrypt_message_length(session->olm, n);

	require(size != olm_error());
	*type = olm_encrypt_message_type(session->olm) == OLM_MESSAGE_TYPE_PRE_KEY ? RATCHET_PRE_KEY : RATCHET_NORMAL;
	draw(&random, olm_encrypt_random_length(session->olm));
	*body = xcalloc(1, size + 1);
	require(olm_encrypt(session->olm, p, n, random.p, random.n, *body, size) == size);
}

int
ratchet_session_decrypt(struct ratchet_session *session, int64_t type, const char *body, struct secret *plain)
{
	AUTO_SECRET struct secret bytes = { NULL, 0 };

	if ((type != RATCHET_PRE_KEY && type != RATCHET_NORMAL) || read_message(body, &bytes, type == RATCHET_PRE_KEY ? form_is_pre_key : form_is_normal))
		return RATCHET_E_FORM;
	return decrypt(session, (enum ratchet_type)type, &bytes, plain);
}

/* ---- a Megolm session of ours ---- */

struct ratchet_outbound *
ratchet_outbound_new(void)
{
	AUTO_SECRET struct secret random = { NULL, 0 };
	struct ratchet_outbound *outbound = make_outbound();

	draw(&random, olm_init_outbound_group_session_random_length(outbound->olm));
	require(olm_init_outbound_group_session(outbound->olm, (uint8_t *)random.p, random.n) != olm_error());
	return outbound;
}

void
ratchet_outbound_id(const struct ratchet_outbound *outbound, char id[RATCHET_ID_SIZE])
{
	require(olm_outbound_group_session_id(outbound->olm, (uint8_t *)id, RATCHET_ID_SIZE - 1) == RATCHET_ID_SIZE - 1);
	id[RATCHET_ID_SIZE - 1] = '\0';
}

uint32_t
ratchet_outbound_index(const struct ratchet_outbound *outbound)
{
	return olm_outbound_group_session_message_index(outbound->olm);
}

void
ratchet_outbound_key(const struct ratchet_outbound *outbound, struct secret *key)
{
	secret_make(key, olm_outbound_group_session_key_length(outbound->olm));
	require(olm_outbound_group_session_key(outbound->olm, (uint8_t *)key->p, key->n) == key->n);
}

void
ratchet_outbound_encrypt(struct ratchet_outbound *outbound, const void *p, size_t n, char **body, uint32_t *index)
{
	size_t size = olm_group_encrypt_message_length(outbound->olm, n);

	require(size != olm_error());
	*index = olm_outbound_group_session_message_index(outbound->olm);
	*body = xcalloc(1, size + 1);
	require(olm_group_encrypt(outbound->olm, p, n, (uint8_t *)*body, size) == size);
}

/* ---- a Megolm session of somebody ---- */

/* A key of the right size and version whose signature, if it has one, is right. */
static int
check_session_key(const struct secret *bytes, enum ratchet_key_kind kind)
{
	static const struct {
		char version;
		size_t size;
	} forms[] = { [RATCHET_SHARED] = { 2, KEY_SHARED }, [RATCHET_EXPORTED] = { 1, KEY_EXPORTED } };
	const unsigned char *p = (const unsigned char *)bytes->p;

	if (bytes->n != forms[kind].size || bytes->p[0] != forms[kind].version)
		return RATCHET_E_FORM;
	if (kind == RATCHET_SHARED && !primitive_verify(p + KEY_SIGNER, p, KEY_EXPORTED, p + KEY_EXPORTED))
		return RATCHET_E_SIGNATURE;
	return 0;
}

int
ratchet_inbound_open(struct ratchet_inbound **out, enum ratchet_key_kind kind, const char *session_key)
{
	AUTO_SECRET struct secret bytes = { NULL, 0 }, text = { NULL, 0 };

	if (read_body(session_key, &bytes))
		return RATCHET_E_FORM;
	int r = check_session_key(&bytes, kind);
	if (r)
		return r;
	write_text(&bytes, &text);
	struct ratchet_inbound *inbound = make_inbound();
	size_t taken = (kind == RATCHET_SHARED ? olm_init_inbound_group_session : olm_import_inbound_group_session)(inbound->olm,
			(const uint8_t *)text.p, text.n);
	if (taken == olm_error()) {
		r = refusal_of(olm_inbound_group_session_last_error_code(inbound->olm));
		ratchet_inbound_free(inbound);
		return r;
	}
	*out = inbound;
	return 0;
}

void
ratchet_inbound_id(const struct ratchet_inbound *inbound, char id[RATCHET_ID_SIZE])
{
	require(olm_inbound_group_session_id(inbound->olm, (uint8_t *)id, RATCHET_ID_SIZE - 1) == RATCHET_ID_SIZE - 1);
	id[RATCHET_ID_SIZE - 1] = '\0';
}

uint32_t
ratchet_inbound_first(const struct ratchet_inbound *inbound)
{
	return olm_inbound_group_session_first_known_index(inbound->olm);
}

/* A message ends with the signature of all before it; the session's id is the key. */
static bool
is_signed(const struct ratchet_inbound *inbound, const struct secret *bytes)
{
	const unsigned char *p = (const unsigned char *)bytes->p;
	unsigned char signer[PRIMITIVE_KEY];
	char id[RATCHET_ID_SIZE];

	size_t n = bytes->n - PRIMITIVE_SIGNATURE;
	ratchet_inbound_id(inbound, id);
	return base64_decode_exact(BASE64_PLAIN, id, signer, sizeof(signer)) && primitive_verify(signer, p, n, p + n);
}

static int
decrypt_group(struct ratchet_inbound *inbound, const struct secret *bytes, struct secret *plain, uint32_t *index)
{
	AUTO_SECRET struct secret text = { NULL, 0 }, again = { NULL, 0 }, room = { NULL, 0 };

	write_text(bytes, &text);
	size_t most = olm_group_decrypt_max_plaintext_length(inbound->olm, (uint8_t *)text.p, text.n);
	if (most == olm_error())
		return refusal_of(olm_inbound_group_session_last_error_code(inbound->olm));
	secret_make(&room, most);
	write_text(bytes, &again);
	size_t n = olm_group_decrypt(inbound->olm, (uint8_t *)again.p, again.n, (uint8_t *)room.p, room.n, index);
	if (n == olm_error())
		return refusal_of(olm_inbound_group_session_last_error_code(inbound->olm));
	require(n <= room.n);
	secret_copy(plain, room.p, n);
	return 0;
}

int
ratchet_inbound_decrypt(struct ratchet_inbound *inbound, const char *body, struct secret *plain, uint32_t *index)
{
	AUTO_SECRET struct secret bytes = { NULL, 0 };
	uint32_t at = 0;

	if (read_message(body, &bytes, form_is_group))
		return RATCHET_E_FORM;
	if (!is_signed(inbound, &bytes))
		return RATCHET_E_SIGNATURE;
	int r = decrypt_group(inbound, &bytes, plain, &at);
	if (!r)
		*index = at;
	return r;
}

int
ratchet_inbound_export(const struct ratchet_inbound *inbound, uint32_t index, struct secret *key)
{
	struct secret text;

	secret_make(&text, olm_export_inbound_group_session_length(inbound->olm));
	size_t n = olm_export_inbound_group_session(inbound->olm, (uint8_t *)text.p, text.n, index);
	if (n == olm_error()) {
		secret_fini(&text);
		return refusal_of(olm_inbound_group_session_last_error_code(inbound->olm));
	}
	require(n == text.n);
	*key = text;
	return 0;
}
