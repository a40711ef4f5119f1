/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One bad byte in what we send closes the stream and so every room. Therefore stanza_write() is the only way
 * out, and it trusts nobody: each name and value is reduced to XML 1.0 characters and escaped, attributes with
 * white space included. libstrophe's own serialiser does neither.
 *
 * A request is known by its id, its sender and its addressee together: libstrophe's id handlers match any
 * stanza with that id.
 */
#include "xmpp/stanza.h"

#include "base/metric.h"
#include "base/seal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the context ---- */

static void *
take(size_t size, void *unused)
{
	(void)unused;
	return xmalloc(size);
}

static void
give(void *p, void *unused)
{
	(void)unused;
	free(p);
}

static void *
grow(void *p, size_t size, void *unused)
{
	(void)unused;
	return xrealloc(p, size);
}

xmpp_ctx_t *
stanza_context(void)
{
	static const xmpp_mem_t memory = { .alloc = take, .free = give, .realloc = grow };

	return xmpp_ctx_new(&memory, NULL);
}

/* ---- building ---- */

xmpp_stanza_t *
stanza_new(xmpp_ctx_t *ctx, const char *name, const char *ns)
{
	xmpp_stanza_t *stanza = xmpp_stanza_new(ctx);

	xmpp_stanza_set_name(stanza, name);
	if (ns)
		xmpp_stanza_set_ns(stanza, ns);
	return stanza;
}

xmpp_stanza_t *
stanza_make(xmpp_ctx_t *ctx, const char *kind, const char *type, const char *id, const char *from, const char *to)
{
	xmpp_stanza_t *stanza = stanza_new(ctx, kind, NS_COMPONENT);

	stanza_set(stanza, "type", type);
	stanza_set(stanza, "id", id);
	stanza_set(stanza, "from", from);
	stanza_set(stanza, "to", to);
	return stanza;
}

void
stanza_free(xmpp_stanza_t *stanza)
{
	if (stanza)
		xmpp_stanza_release(stanza);
}

void
stanza_set(xmpp_stanza_t *stanza, const char *key, const char *value)
{
	if (value)
		xmpp_stanza_set_attribute(stanza, key, value);
}

xmpp_stanza_t *
stanza_add(xmpp_stanza_t *parent, const char *name, const char *ns)
{
	const char *inherited = xmpp_stanza_get_ns(parent);
	xmpp_stanza_t *child = stanza_new(xmpp_stanza_get_context(parent), name, ns ? ns : inherited);

	xmpp_stanza_add_child_ex(parent, child, 0);
	return child;
}

void
stanza_set_text(xmpp_stanza_t *stanza, const char *text)
{
	xmpp_stanza_t *child = xmpp_stanza_new(xmpp_stanza_get_context(stanza));

	xmpp_stanza_set_text(child, text);
	xmpp_stanza_add_child_ex(stanza, child, 0);
}

xmpp_stanza_t *
stanza_add_text(xmpp_stanza_t *parent, const char *name, const char *text)
{
	xmpp_stanza_t *child = stanza_add(parent, name, NULL);

	stanza_set_text(child, text);
	return child;
}

void
stanza_add_field(xmpp_stanza_t *form, const char *var, const char *type, const char *value)
{
	xmpp_stanza_t *field = stanza_add(form, "field", NULL);

	stanza_set(field, "var", var);
	stanza_set(field, "type", type);
	stanza_add_text(field, "value", value);
}

/* ---- looking ---- */

const char *
stanza_get(xmpp_stanza_t *stanza, const char *key)
{
	const char *value = stanza ? xmpp_stanza_get_attribute(stanza, key) : NULL;

	return value ? value : "";
}

bool
stanza_is(xmpp_stanza_t *stanza, const char *name, const char *ns)
{
	const char *own = xmpp_stanza_get_name(stanza), *space = own ? xmpp_stanza_get_ns(stanza) : NULL;

	return own && (!name || strcmp(own, name) == 0) && (!ns || (space && strcmp(space, ns) == 0));
}

xmpp_stanza_t *
stanza_find(xmpp_stanza_t *stanza, const char *name, const char *ns)
{
	if (!stanza)
		return NULL;
	for (xmpp_stanza_t *child = xmpp_stanza_get_children(stanza); child; child = xmpp_stanza_get_next(child))
		if (stanza_is(child, name, ns))
			return child;
	return NULL;
}

bool
stanza_has_status(xmpp_stanza_t *x, const char *code)
{
	for (xmpp_stanza_t *child = x ? xmpp_stanza_get_children(x) : NULL; child; child = xmpp_stanza_get_next(child))
		if (stanza_is(child, "status", NULL) && strcmp(stanza_get(child, "code"), code) == 0)
			return true;
	return false;
}

char *
stanza_text(xmpp_stanza_t *stanza)
{
	char *text = stanza ? xmpp_stanza_get_text(stanza) : NULL;

	return text ? text : xstrdup("");
}

const char *
stanza_error(xmpp_stanza_t *stanza, const char **type)
{
	xmpp_stanza_t *error = stanza_find(stanza, "error", NULL);

	if (type)
		*type = stanza_get(error, "type");
	if (!error)
		return "undefined-condition";
	for (xmpp_stanza_t *child = xmpp_stanza_get_children(error); child; child = xmpp_stanza_get_next(child))
		if (stanza_is(child, NULL, NS_STANZAS) && strcmp(xmpp_stanza_get_name(child), "text") != 0)
			return xmpp_stanza_get_name(child);
	return "undefined-condition";
}

char *
stanza_error_text(xmpp_stanza_t *stanza)
{
	return stanza_text(stanza_find(stanza_find(stanza, "error", NULL), "text", NS_STANZAS));
}

/* ---- writing ---- */

static const char *
escape_of(char c, bool attribute)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&apos;";
	case '\r': /* a parser would turn it into a newline */
		return "&#13;";
	case '\t':
		return attribute ? "&#9;" : NULL;
	case '\n':
		return attribute ? "&#10;" : NULL;
	default:
		return NULL;
	}
}

static void
write_escaped(struct str *out, const char *text, bool attribute)
{
	size_t n = strlen(text);
	AUTO_FREE char *clean = str_is_clean(text, n) ? NULL : str_clean(text, n);
	const char *p = clean ? clean : text, *start = p;

	for (; *p; p++) {
		const char *escape = escape_of(*p, attribute);
		if (!escape)
			continue;
		str_add_n(out, start, (size_t)(p - start));
		str_add(out, escape);
		start = p + 1;
	}
	str_add_n(out, start, (size_t)(p - start));
}

static void
write_attribute(struct str *out, const char *key, const char *value)
{
	str_add_char(out, ' ');
	str_add(out, key);
	str_add(out, "=\"");
	write_escaped(out, value, true);
	str_add_char(out, '"');
}

/* The addresses first and in this order, so that a payload's `from` can be found again; the rest as libstrophe keeps it. */
static void
write_attributes(struct str *out, xmpp_stanza_t *stanza, const char *outer_ns)
{
	static const char *const first[] = { "from", "to", "type", "id" };
	const char *ns = xmpp_stanza_get_ns(stanza);
	int count = xmpp_stanza_get_attribute_count(stanza);

	if (!str_equal(ns, outer_ns))
		write_attribute(out, "xmlns", ns ? ns : "");
	for (size_t i = 0; i < sizeof(first) / sizeof(*first); i++) {
		const char *value = xmpp_stanza_get_attribute(stanza, first[i]);
		if (value)
			write_attribute(out, first[i], value);
	}
	if (count <= 0)
		return;
	const char **pairs = xcalloc((size_t)count * 2, sizeof(*pairs));
	int n = xmpp_stanza_get_attributes(stanza, pairs, count * 2);
	for (int i = 0; i + 1 < n; i += 2) {
		bool done = strcmp(pairs[i], "xmlns") == 0;
		for (size_t j = 0; j < sizeof(first) / sizeof(*first); j++)
			done = done || strcmp(pairs[i], first[j]) == 0;
		if (!done)
			write_attribute(out, pairs[i], pairs[i + 1]);
	}
	free(pairs);
}

static void
write_open(struct str *out, xmpp_stanza_t *stanza, const char *outer_ns)
{
	str_add_char(out, '<');
	str_add(out, xmpp_stanza_get_name(stanza));
	write_attributes(out, stanza, outer_ns);
}

static void
write_close(struct str *out, xmpp_stanza_t *stanza)
{
	str_add(out, "</");
	str_add(out, xmpp_stanza_get_name(stanza));
	str_add_char(out, '>');
}

static void
write_element(struct str *out, xmpp_stanza_t *stanza, const char *outer_ns)
{
	if (xmpp_stanza_is_text(stanza)) {
		write_escaped(out, xmpp_stanza_get_text_ptr(stanza), false);
		return;
	}
	const char *ns = xmpp_stanza_get_ns(stanza);
	xmpp_stanza_t *child = xmpp_stanza_get_children(stanza);
	write_open(out, stanza, outer_ns);
	if (!child) {
		str_add(out, "/>");
		return;
	}
	str_add_char(out, '>');
	for (; child; child = xmpp_stanza_get_next(child))
		write_element(out, child, ns);
	write_close(out, stanza);
}

void
stanza_write_around(struct str *out, xmpp_stanza_t *envelope, xmpp_stanza_t *stanza)
{
	write_open(out, envelope, NS_COMPONENT);
	str_add_char(out, '>');
	write_element(out, stanza, xmpp_stanza_get_ns(envelope));
	write_close(out, envelope);
}

/* A stanza's `from` is an address, so neither domain nor slash can hide in an escape. */
static bool
is_from_us(xmpp_stanza_t *stanza, const char *component)
{
	const char *from = stanza_get(stanza, "from"), *at = strchr(from, '@');
	const char *domain = at && at < from + strcspn(from, "/") ? at + 1 : from;
	size_t n = strcspn(domain, "/");

	return n == strlen(component) && memcmp(domain, component, n) == 0;
}

/* An error in a message or a presence gets its sender out of every room (xmpp.md 3.2); only requests are answered with one. */
static bool
is_forbidden(xmpp_stanza_t *stanza)
{
	return strcmp(stanza_get(stanza, "type"), "error") == 0 && !stanza_is(stanza, "iq", NULL);
}

bool
stanza_write(struct str *out, xmpp_stanza_t *stanza, const char *component)
{
	struct str text AUTO_STR;

	str_init(&text, component ? STANZA_OUT_MAX : (size_t)8 << 20);
	if (component && (!is_from_us(stanza, component) || is_forbidden(stanza))) {
		metric_add(METRIC_STANZA_HELD_BACK, 1);
		return false;
	}
	write_element(&text, stanza, NS_COMPONENT);
	if (text.full)
		return false;
	str_add_n(out, str_get(&text), text.n);
	return !out->full;
}

size_t
stanza_fits(const char *text, size_t n, size_t limit)
{
	size_t used = 0, end = 0;

	for (size_t i = 0; i < n; i++) {
		const char *escape = escape_of(text[i], false);
		/* What is cleaned takes three bytes at most for one. */
		used += escape ? strlen(escape) : (unsigned char)text[i] < 0x20 && text[i] != '\n' && text[i] != '\t' ? 3 : 1;
		if (used > limit)
			return end;
		if (i + 1 == n || ((unsigned char)text[i + 1] & 0xC0) != 0x80)
			end = i + 1;
	}
	return n;
}

/* ---- waiting for answers ---- */

#define MARK_SIZE 8
#define ID_SIZE 26

static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";

struct request {
	struct list link; /* requests::all */
	char id[32];
	char *from, *to; /* owns */
	stanza_answered *answered;
	void *context;
	struct loop_timer timer;
};

void
requests_init(struct requests *requests, struct loop *loop)
{
	*requests = (struct requests){ .loop = loop };
	seal_random_text(requests->mark, MARK_SIZE, alphabet);
	list_init(&requests->all);
}

static void
free_request(struct request *request)
{
	list_remove(&request->link);
	loop_timer_stop(&request->timer);
	free(request->from);
	free(request->to);
	free(request);
}

void
requests_fini(struct requests *requests)
{
	struct request *request;

	LIST_FOR_EACH(request, &requests->all, struct request, link)
		free_request(request);
}

/* The request is gone before its owner is called, who may make or forget others. */
static void
answer(struct request *request, enum answer how, xmpp_stanza_t *iq)
{
	stanza_answered *answered = request->answered;
	void *context = request->context;

	free_request(request);
	answered(context, how, iq);
}

static void
timed_out(void *context)
{
	answer(context, ANSWER_NONE, NULL);
}

void
requests_expect(struct requests *requests, const char *from, const char *to, int64_t timeout_ms, stanza_answered *answered,
		void *context, char id[32])
{
	struct request *request = xcalloc(1, sizeof(*request));

	/* Nobody can guess it, and so answer in another's place (security S6). */
	memcpy(request->id, requests->mark, MARK_SIZE);
	seal_random_text(request->id + MARK_SIZE, ID_SIZE - MARK_SIZE, alphabet);
	memcpy(id, request->id, sizeof(request->id));
	request->from = xstrdup(from);
	request->to = xstrdup(to);
	request->answered = answered;
	request->context = context;
	list_append(&requests->all, &request->link);
	loop_timer_init(&request->timer, requests->loop, timed_out, request);
	loop_timer_set(&request->timer, timeout_ms);
}

bool
requests_made(const struct requests *requests, const char *id)
{
	return strlen(id) == ID_SIZE && memcmp(id, requests->mark, MARK_SIZE) == 0;
}

int
requests_answer(struct requests *requests, xmpp_stanza_t *iq)
{
	const char *id = stanza_get(iq, "id"), *from = stanza_get(iq, "from"), *to = stanza_get(iq, "to");
	bool error = strcmp(stanza_get(iq, "type"), "error") == 0;
	struct request *request;

	LIST_FOR_EACH(request, &requests->all, struct request, link) {
		if (strcmp(request->id, id) != 0)
			continue;
		if (strcmp(request->to, from) != 0 || strcmp(request->from, to) != 0)
			return REQUESTS_E_ELSEWHERE;
		answer(request, error ? ANSWER_ERROR : ANSWER_RESULT, iq);
		return 0;
	}
	return REQUESTS_E_UNASKED;
}

void
requests_lose(struct requests *requests)
{
	struct list lost;

	/* Those that the callbacks make are not among them. */
	list_init(&lost);
	while (!list_empty(&requests->all)) {
		struct list *link = requests->all.next;
		list_remove(link);
		list_append(&lost, link);
	}
	while (!list_empty(&lost))
		answer(LIST_ENTRY(lost.next, struct request, link), ANSWER_NONE, NULL);
}

void
requests_forget(struct requests *requests, const void *context)
{
	struct request *request;

	LIST_FOR_EACH(request, &requests->all, struct request, link)
		if (request->context == context)
			free_request(request);
}
