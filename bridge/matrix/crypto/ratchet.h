/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_CRYPTO_RATCHET_H
#define MATRIX_CRYPTO_RATCHET_H

/*
 * Olm and Megolm (Matrix olm-megolm specification): the one file that uses libolm, so that another implementation can take
 * its place. No JSON, sizes or errors of libolm cross it. What came from outside is untouched by every call, and a call
 * that fails changes nothing. Every text is base64, read strictly (base64.h).
 *
 * An object belongs to the daemon's one thread. Nothing is written to disk here: whoever calls saves what a call changed
 * before anything leaves the process.
 */

#include "matrix/crypto/primitive.h"
#include "matrix/crypto/secret.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RATCHET_ID_SIZE 44        /* a key or the id of a session, with its NUL */
#define RATCHET_SIGNATURE_SIZE 87 /* with its NUL */
#define RATCHET_ONE_TIME_MAX 100  /* keys that an account holds at most */
#define RATCHET_TEXT_MAX (128 * 1024) /* of a message; an event and a to-device content have at most 64 KiB */

enum ratchet_refusal {
	RATCHET_E_FORM = 1,  /* no base64, or not what it should be inside; too long */
	RATCHET_E_KEY,       /* it names a one-time key that we do not have, or another identity key than its sender's */
	RATCHET_E_MAC,       /* made with another key, or changed on its way: not decrypted */
	RATCHET_E_SIGNATURE, /* a Megolm message or session key whose signature is wrong */
	RATCHET_E_INDEX,     /* a Megolm message from before the session was shared with us */
	RATCHET_E_PICKLE,    /* not saved under this key, or damaged */
};

/* libolm's version, "3.2.13". Static. */
const char *ratchet_library(void);

/* The "type" of an Olm message. */
enum ratchet_type { RATCHET_PRE_KEY = 0, RATCHET_NORMAL = 1 };

struct ratchet_account;  /* a device of ours: identity keys, one-time keys */
struct ratchet_session;  /* Olm, with one device of somebody */
struct ratchet_outbound; /* Megolm, ours, for a room */
struct ratchet_inbound;  /* Megolm, somebody's, for a room */

/*
 * Each kind of object is freed (cleared first; NULL is fine), saved under a 32-byte key of its row's own (derive.h), and loaded.
 * Saving makes text; equal objects under equal keys give equal text. Both: 0; -EINVAL when the key is all zero, which is a
 * key that nobody set. Loading: RATCHET_E_PICKLE, and *out untouched.
 */
void ratchet_account_free(struct ratchet_account *account);
int ratchet_account_save(const struct ratchet_account *account, const unsigned char key[PRIMITIVE_KEY], struct secret *out) MUST_USE;
int ratchet_account_load(struct ratchet_account **out, const void *p, size_t n, const unsigned char key[PRIMITIVE_KEY]) MUST_USE;
void ratchet_session_free(struct ratchet_session *session);
int ratchet_session_save(const struct ratchet_session *session, const unsigned char key[PRIMITIVE_KEY], struct secret *out) MUST_USE;
int ratchet_session_load(struct ratchet_session **out, const void *p, size_t n, const unsigned char key[PRIMITIVE_KEY]) MUST_USE;
void ratchet_outbound_free(struct ratchet_outbound *outbound);
int ratchet_outbound_save(const struct ratchet_outbound *outbound, const unsigned char key[PRIMITIVE_KEY], struct secret *out) MUST_USE;
int ratchet_outbound_load(struct ratchet_outbound **out, const void *p, size_t n, const unsigned char key[PRIMITIVE_KEY]) MUST_USE;
void ratchet_inbound_free(struct ratchet_inbound *inbound);
int ratchet_inbound_save(const struct ratchet_inbound *inbound, const unsigned char key[PRIMITIVE_KEY], struct secret *out) MUST_USE;
int ratchet_inbound_load(struct ratchet_inbound **out, const void *p, size_t n, const unsigned char key[PRIMITIVE_KEY]) MUST_USE;

/*
 * The SHA-256 of a message's bytes, to remember that it was read. A message has one only: padding apart, which is not hashed,
 * whatever else could be changed without breaking its MAC or signature is refused. 0, or RATCHET_E_FORM.
 */
int ratchet_hash(const char *body, unsigned char hash[PRIMITIVE_HASH]) MUST_USE;

/* ---- an account ---- */

/* New identity keys, no one-time keys. */
struct ratchet_account *ratchet_account_new(void) MUST_USE;
/* Its public Curve25519 and Ed25519 keys. */
void ratchet_account_keys(const struct ratchet_account *account, char curve[RATCHET_ID_SIZE], char ed[RATCHET_ID_SIZE]);
/* The Ed25519 signature of n bytes; the same bytes always have the same one. */
void ratchet_account_sign(const struct ratchet_account *account, const void *p, size_t n, char signature[RATCHET_SIGNATURE_SIZE]);

/*
 * Makes one-time keys. Beyond RATCHET_ONE_TIME_MAX in all the oldest are forgotten, published or not, so ask for what the
 * server lacks. -EINVAL for more than that at once.
 */
int ratchet_account_make_keys(struct ratchet_account *account, unsigned count) MUST_USE;
/* Makes a fallback key. The former one is still good until ratchet_account_forget_fallback(). */
void ratchet_account_make_fallback(struct ratchet_account *account);
/* Forgets the fallback key before the present one: an hour or more after the server has the present one. */
void ratchet_account_forget_fallback(struct ratchet_account *account);

/* Calls `each` for every key that is not marked as published; id and key are lent for the call. */
void ratchet_account_unpublished(const struct ratchet_account *account, void (*each)(void *context, bool fallback, const char *id, const char *key),
		void *context);
/* Once the server has them: all keys that were unpublished are published. */
void ratchet_account_mark_published(struct ratchet_account *account);

/* ---- an Olm session ---- */

/*
 * A session to a device, by its identity key and a one-time key of it whose signature was checked (peer.h). 0; RATCHET_E_FORM
 * when one of them is no key.
 */
int ratchet_session_open(struct ratchet_session **out, const struct ratchet_account *account, const char *peer_curve, const char *one_time_key) MUST_USE;

/*
 * The session that a pre-key message of this device begins, and what it says. All or nothing: the one-time key is removed
 * from the account only when the message was decrypted (C-S API "m.olm.v1.curve25519-aes-sha2"). A fallback key stays, so the
 * same message can be taken again: remember the messages. 0, or enum ratchet_refusal.
 */
int ratchet_session_accept(struct ratchet_session **out, struct secret *plain, struct ratchet_account *account, const char *peer_curve,
		const char *body) MUST_USE;

/* Whether a pre-key message belongs to this session, so that no new one is needed. */
bool ratchet_session_matches(const struct ratchet_session *session, const char *peer_curve, const char *body) MUST_USE;
/* Its id, the same on both sides. */
void ratchet_session_id(const struct ratchet_session *session, char id[RATCHET_ID_SIZE]);
/* Whether something was received through it: until then what it encrypts are pre-key messages. */
bool ratchet_session_is_answered(const struct ratchet_session *session);

/* Encrypts. *body is malloc'd, the caller's. The session is another afterwards: save it before the message leaves. */
void ratchet_session_encrypt(struct ratchet_session *session, const void *p, size_t n, enum ratchet_type *type, char **body);
/* Decrypts a message of any `type` that was read. 0, or enum ratchet_refusal; *plain is the caller's to fini. */
int ratchet_session_decrypt(struct ratchet_session *session, int64_t type, const char *body, struct secret *plain) MUST_USE;

/* ---- a Megolm session of ours ---- */

struct ratchet_outbound *ratchet_outbound_new(void) MUST_USE;
void ratchet_outbound_id(const struct ratchet_outbound *outbound, char id[RATCHET_ID_SIZE]);
/* The index that the next message will have. */
uint32_t ratchet_outbound_index(const struct ratchet_outbound *outbound);
/* The key from that index on, to be shared as "session_key". */
void ratchet_outbound_key(const struct ratchet_outbound *outbound, struct secret *key);
/* Encrypts; *index is the message's. *body is malloc'd. The session is another afterwards: save it before the message leaves. */
void ratchet_outbound_encrypt(struct ratchet_outbound *outbound, const void *p, size_t n, char **body, uint32_t *index);

/* ---- a Megolm session of somebody ---- */

enum ratchet_key_kind { RATCHET_SHARED, RATCHET_EXPORTED };

/*
 * A session by its key: RATCHET_SHARED as in m.room_key, which is signed, or RATCHET_EXPORTED as in m.forwarded_room_key, which
 * is not. 0; RATCHET_E_FORM, RATCHET_E_SIGNATURE. Compare its id with what the event said.
 */
int ratchet_inbound_open(struct ratchet_inbound **out, enum ratchet_key_kind kind, const char *session_key) MUST_USE;
void ratchet_inbound_id(const struct ratchet_inbound *inbound, char id[RATCHET_ID_SIZE]);
/* The first index that it can decrypt. */
uint32_t ratchet_inbound_first(const struct ratchet_inbound *inbound);
/*
 * Decrypts; *index is the message's. The same message is decrypted as often as it comes: whoever calls remembers which message
 * an index belongs to. 0, or enum ratchet_refusal.
 */
int ratchet_inbound_decrypt(struct ratchet_inbound *inbound, const char *body, struct secret *plain, uint32_t *index) MUST_USE;
/* The key from an index on, RATCHET_EXPORTED. 0; RATCHET_E_INDEX when it is before the first. */
int ratchet_inbound_export(const struct ratchet_inbound *inbound, uint32_t index, struct secret *key) MUST_USE;

#endif
