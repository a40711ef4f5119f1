/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XMPP_STANZA_H
#define XMPP_STANZA_H

/*
 * Stanzas are libstrophe's xmpp_stanza_t; this is how we build, look into and write them, and how we wait for
 * the answers to our requests. Functions that add a child lend it: its parent owns it.
 */

#include "base/list.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <strophe.h>

#define NS_COMPONENT "jabber:component:accept"
#define NS_STANZAS "urn:ietf:params:xml:ns:xmpp-stanzas"
#define NS_MUC "http://jabber.org/protocol/muc"
#define NS_MUC_USER "http://jabber.org/protocol/muc#user"
#define NS_MUC_ADMIN "http://jabber.org/protocol/muc#admin"
#define NS_MUC_OWNER "http://jabber.org/protocol/muc#owner"
#define NS_DISCO_INFO "http://jabber.org/protocol/disco#info"
#define NS_DISCO_ITEMS "http://jabber.org/protocol/disco#items"
#define NS_PING "urn:xmpp:ping"
#define NS_MAM "urn:xmpp:mam:2"
#define NS_SID "urn:xmpp:sid:0"
#define NS_OCCUPANT_ID "urn:xmpp:occupant-id:0"
#define NS_DELAY "urn:xmpp:delay"
#define NS_FORWARD "urn:xmpp:forward:0"
#define NS_RSM "http://jabber.org/protocol/rsm"
#define NS_DATA "jabber:x:data"
#define NS_VERSION "jabber:iq:version"
#define NS_VCARD "vcard-temp"
#define NS_REPLY "urn:xmpp:reply:0"
#define NS_FALLBACK "urn:xmpp:fallback:0"
#define NS_HINTS "urn:xmpp:hints"
#define NS_UPLOAD "urn:xmpp:http:upload:0"
#define NS_MARK "urn:sourdine:mark"

#define STANZA_OUT_MAX 65536 /* bytes: nothing larger leaves (delivery 17) */

/* A context whose memory is ours (mem.h) and that logs nothing. */
xmpp_ctx_t *stanza_context(void) MUST_USE;

/* ---- building ---- */

/* An element with a namespace, or none (NULL). The caller's: stanza_free(). */
xmpp_stanza_t *stanza_new(xmpp_ctx_t *ctx, const char *name, const char *ns) MUST_USE;
/* `kind` is message, presence or iq. NULL attributes are left out. */
xmpp_stanza_t *stanza_make(xmpp_ctx_t *ctx, const char *kind, const char *type, const char *id, const char *from, const char *to) MUST_USE;
void stanza_free(xmpp_stanza_t *stanza);
/* NULL removes nothing and sets nothing. */
void stanza_set(xmpp_stanza_t *stanza, const char *key, const char *value);
xmpp_stanza_t *stanza_add(xmpp_stanza_t *parent, const char *name, const char *ns);
xmpp_stanza_t *stanza_add_text(xmpp_stanza_t *parent, const char *name, const char *text);
void stanza_set_text(xmpp_stanza_t *stanza, const char *text);
/* A field of a data form (XEP-0004). */
void stanza_add_field(xmpp_stanza_t *form, const char *var, const char *type, const char *value);

/* ---- looking ---- */

/* "" instead of NULL. Lent. */
const char *stanza_get(xmpp_stanza_t *stanza, const char *key);
bool stanza_is(xmpp_stanza_t *stanza, const char *name, const char *ns);
/* First child element of that name and namespace, or NULL. `name` NULL: any. Lent. */
xmpp_stanza_t *stanza_find(xmpp_stanza_t *stanza, const char *name, const char *ns);
/* Whether a <x/> of muc#user has this status code (XEP-0045 §15.6.2). NULL: no. */
bool stanza_has_status(xmpp_stanza_t *x, const char *code);
/* All the text directly inside; malloc'd, the caller's; "" when there is none or `stanza` is NULL. */
char *stanza_text(xmpp_stanza_t *stanza) MUST_USE;

/* The condition of a stanza of type error ("forbidden"), or "undefined-condition". Lent. Its type ("wait") goes to *type, "" if none. */
const char *stanza_error(xmpp_stanza_t *stanza, const char **type);
/* The sentence that came with it; malloc'd, the caller's; "". */
char *stanza_error_text(xmpp_stanza_t *stanza) MUST_USE;

/* ---- writing: the only way out ---- */

/*
 * Appends the stanza as text, every name and value cleaned and escaped. `component` is our domain: false, and
 * nothing appended, when `from` does not lie in it, when it is an error that is not an iq's, or the text is over STANZA_OUT_MAX. With `component`
 * NULL the text is for ourselves and neither is checked.
 */
bool stanza_write(struct str *out, xmpp_stanza_t *stanza, const char *component);
/* For ourselves: the envelope, which has no children, with the stanza as its child. */
void stanza_write_around(struct str *out, xmpp_stanza_t *envelope, xmpp_stanza_t *stanza);

/* How many leading bytes of a clean text, on a character boundary, take at most `limit` bytes inside an element. */
size_t stanza_fits(const char *text, size_t n, size_t limit);

/* ---- waiting for answers ---- */

enum answer {
	ANSWER_RESULT,
	ANSWER_ERROR,
	ANSWER_NONE, /* it did not come in time, or the stream is gone */
};

/* `iq` is lent, NULL with ANSWER_NONE. */
typedef void stanza_answered(void *context, enum answer answer, xmpp_stanza_t *iq);

struct requests {
	struct loop *loop;
	struct list all; /* owns: request::link */
	char mark[12];   /* that the ids of this process begin with */
};

void requests_init(struct requests *requests, struct loop *loop);
/* Frees them; nobody is called. */
void requests_fini(struct requests *requests);

/*
 * Makes an id (130 random bits) for a request from one of our JIDs to `to` and waits for its answer, which must come from exactly
 * there. `answered` is called once, unless requests_forget() comes first.
 */
void requests_expect(struct requests *requests, const char *from, const char *to, int64_t timeout_ms, stanza_answered *answered,
		void *context, char id[32]);
enum {
	REQUESTS_E_UNASKED = 1,   /* nobody waits for it, or not any more */
	REQUESTS_E_ELSEWHERE = 2, /* somebody waits for it, of another address than this */
};

/* Hands an iq of type result or error to whoever waits for it: 0. */
int requests_answer(struct requests *requests, xmpp_stanza_t *iq) MUST_USE;
/* Whether this id of an iq was made by this process. */
bool requests_made(const struct requests *requests, const char *id);
/* The stream is gone: everybody gets ANSWER_NONE. */
void requests_lose(struct requests *requests);
/* Drops the requests of this context. */
void requests_forget(struct requests *requests, const void *context);

#endif
