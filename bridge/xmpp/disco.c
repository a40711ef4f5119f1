/* SPDX-License-Identifier: Apache-2.0 */
/* A table of what can be asked; everything else is service-unavailable. Rooms relay such requests to ghosts. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "xmpp/disco.h"

#include "base/log.h"
#include "base/metric.h"
#include "base/now.h"
#include "xmpp/jid.h"

#include <inttypes.h>
#include <string.h>

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

static void
answer_info(struct jabber *jabber, xmpp_stanza_t *query, const char *to)
{
	static const char *const features[] = { NS_DISCO_INFO, NS_DISCO_ITEMS, NS_PING, NS_VERSION, NS_VCARD, NS_MUC, NS_REPLY };
	xmpp_stanza_t *identity = stanza_add(query, "identity", NULL);

	stanza_set(identity, "category", "gateway");
	stanza_set(identity, "type", "matrix");
	stanza_set(identity, "name", strchr(to, '@') && !jid_same_bare(to, jabber->bot) ? "Matrix user" : "Sourdine");
	for (size_t i = 0; i < sizeof(features) / sizeof(*features); i++)
		stanza_set(stanza_add(query, "feature", NULL), "var", features[i]);
}

static void
answer_items(struct jabber *jabber, xmpp_stanza_t *query, const char *to)
{
	if (strchr(to, '@'))
		return;
	xmpp_stanza_t *item = stanza_add(query, "item", NULL);
	stanza_set(item, "jid", jabber->bot);
	stanza_set(item, "name", jabber->nick);
}

static void
answer_version(struct jabber *jabber, xmpp_stanza_t *query, const char *to)
{
	(void)jabber, (void)to;
	stanza_add_text(query, "name", "Sourdine");
	stanza_add_text(query, "version", PACKAGE_VERSION);
}

/* The card of a ghost says whose he is: his address on the other network. */
static void
answer_card(struct jabber *jabber, xmpp_stanza_t *card, const char *to)
{
	char local[JID_PART_MAX + 1], stem[JID_PART_MAX + 1];
	size_t n = strcspn(to, "@/");

	if (to[n] != '@' || n >= sizeof(local) || jid_same_bare(to, jabber->bot)) {
		stanza_add_text(card, "FN", "Sourdine");
		return;
	}
	memcpy(local, to, n);
	local[n] = '\0';
	if (jid_unescape(local, stem, sizeof(stem)))
		stanza_add_text(card, "FN", stem);
}

static const struct {
	const char *name, *ns;
	void (*fill)(struct jabber *jabber, xmpp_stanza_t *child, const char *to); /* NULL: an empty result */
	bool echo;                                                                /* the child goes back */
} table[] = {
	{ "query", NS_DISCO_INFO, answer_info, true },
	{ "query", NS_DISCO_ITEMS, answer_items, true },
	{ "ping", NS_PING, NULL, false },
	{ "query", NS_VERSION, answer_version, true },
	{ "vCard", NS_VCARD, answer_card, true },
};

static void
refuse(struct jabber *jabber, xmpp_stanza_t *iq)
{
	xmpp_stanza_t *reply = stanza_make(jabber->ctx, "iq", "error", stanza_get(iq, "id"), stanza_get(iq, "to"), stanza_get(iq, "from"));
	xmpp_stanza_t *error = stanza_add(reply, "error", NULL);

	stanza_set(error, "type", "cancel");
	stanza_add(error, "service-unavailable", NS_STANZAS);
	jabber_send(jabber, reply);
}

/* ---- how much is answered ---- */

#define ANSWERS_BURST 1000 /* whoever enters a room may ask two things of each of 500 ghosts */
#define ANSWERS_A_SECOND 50

static size_t
bucket_of(const char *from)
{
	size_t value = 5381;

	for (; *from; from++)
		value = value * 33 ^ (unsigned char)*from;
	return value % ASKERS_MAX;
}

/* RFC 6120 §8.2.3 wants an answer to each, but not that a flood of them shuts others out. */
static bool
is_flood(struct jabber *jabber, const char *from)
{
	size_t i = bucket_of(from);
	unsigned *left = &jabber->disco.askers[i].left;
	int64_t *at_ms = &jabber->disco.askers[i].at_ms, now_ms = now_monotonic_ms();
	int64_t more = *at_ms ? (now_ms - *at_ms) * ANSWERS_A_SECOND / 1000 : ANSWERS_BURST;

	if (more > 0) {
		*left = more + *left > ANSWERS_BURST ? ANSWERS_BURST : *left + (unsigned)more;
		*at_ms = now_ms;
	}
	if (*left == 0 || stream_backlog(jabber->stream) > STREAM_HIGH_WATER)
		return true;
	--*left;
	return false;
}

/* What comes from our own domain is a heartbeat, or a ping behind private messages; of this process, unless another is connected. */
static void
look_for_twin(struct jabber *jabber, const char *id)
{
	if (!requests_made(&jabber->requests, id) && !stream_is_beat(jabber->stream, id) && hush_may(&jabber->disco.hush, "twin"))
		log_error(LOG_XMPP, "a second daemon is connected as component=%s and gets a part of what is for us: stop it, or give it a component"
				" of its own", jabber->settings.component);
}

void
disco_answer(struct jabber *jabber, xmpp_stanza_t *iq)
{
	const char *to = stanza_get(iq, "to"), *from = stanza_get(iq, "from");

	if (jid_in_domain(from, jabber->settings.component)) {
		look_for_twin(jabber, stanza_get(iq, "id"));
	} else if (is_flood(jabber, from)) {
		metric_add(METRIC_IGNORED_FLOOD, 1);
		if (hush_may(&jabber->disco.hush, from))
			log_warning(LOG_XMPP, "too many requests from=%s: not all are answered total=%" PRId64, from, metric_get(METRIC_IGNORED_FLOOD));
		return;
	}
	if (strcmp(stanza_get(iq, "type"), "get") != 0) {
		refuse(jabber, iq);
		return;
	}
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		xmpp_stanza_t *asked = stanza_find(iq, table[i].name, table[i].ns);
		if (!asked)
			continue;
		xmpp_stanza_t *reply = stanza_make(jabber->ctx, "iq", "result", stanza_get(iq, "id"), to, stanza_get(iq, "from"));
		xmpp_stanza_t *child = table[i].echo ? stanza_add(reply, table[i].name, table[i].ns) : NULL;
		/* XEP-0030 §3: the node is repeated. */
		if (child && stanza_get(asked, "node")[0])
			stanza_set(child, "node", stanza_get(asked, "node"));
		if (child && table[i].fill)
			table[i].fill(jabber, child, to);
		jabber_send(jabber, reply);
		return;
	}
	refuse(jabber, iq);
}

void
disco_hear_presence(struct jabber *jabber, xmpp_stanza_t *presence)
{
	const char *type = stanza_get(presence, "type"), *to = stanza_get(presence, "to"), *from = stanza_get(presence, "from");

	if (!jid_same_bare(to, jabber->bot) && !jid_same_bare(to, jabber->settings.component))
		return;
	AUTO_FREE char *us = jid_bare(to);
	AUTO_FREE char *them = jid_bare(from);
	if (strcmp(type, "subscribe") == 0)
		jabber_send(jabber, stanza_make(jabber->ctx, "presence", "subscribed", NULL, us, them));
	if (strcmp(type, "subscribe") == 0 || strcmp(type, "probe") == 0)
		jabber_send(jabber, stanza_make(jabber->ctx, "presence", NULL, NULL, us, them));
}
