/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as text: cleaned once is clean for ever; what is written into a stanza is read back as it was; what fits
 * fits; nothing grows beyond its ceiling; a log line is one line.
 */
#include "base/log.h"
#include "base/str.h"
#include "matrix/event.h"
#include "matrix/http.h"
#include "xmpp/stanza.h"
#include "xmpp/stream.h"

#include "replay.h"

#include <assert.h>
#include <string.h>

static void
check_clean(const char *text, size_t n)
{
	AUTO_FREE char *clean = str_clean(text, n);
	size_t length = strlen(clean);
	AUTO_FREE char *again = str_clean(clean, length);

	assert(str_is_clean(clean, length) && strcmp(clean, again) == 0 && length <= 3 * n);
	/* Clean texts are left alone. */
	assert(str_is_clean(text, n) == (length == n && memcmp(clean, text, n) == 0));
}

/* What stanza_write() puts down, for an attribute and for text, reader_parse() takes up. */
static void
check_stanza(const char *clean)
{
	xmpp_ctx_t *ctx = stanza_context();
	xmpp_stanza_t *message = stanza_make(ctx, "message", "chat", "i", "a@c.x", "b@y");
	struct str out AUTO_STR;

	stanza_set(message, "lang", clean);
	stanza_add_text(message, "body", clean);
	str_init(&out, (size_t)1 << 20);
	if (stanza_write(&out, message, "c.x")) {
		assert(out.n <= STANZA_OUT_MAX && str_is_clean(str_get(&out), out.n));
		xmpp_stanza_t *back = reader_parse(ctx, str_get(&out), out.n);
		AUTO_FREE char *body = stanza_text(stanza_find(back, "body", NULL));
		assert(back && strcmp(body, clean) == 0 && strcmp(stanza_get(back, "lang"), clean) == 0);
		stanza_free(back);
	} else {
		assert(!out.n && strlen(clean) > STANZA_OUT_MAX / 12 - 128);
	}
	/* From a stranger's domain nothing leaves. */
	assert(!stanza_write(&out, message, "x"));
	stanza_free(message);
	xmpp_ctx_free(ctx);
}

static size_t
written_size(xmpp_ctx_t *ctx, const char *text)
{
	xmpp_stanza_t *with = stanza_new(ctx, "b", NULL), *without = stanza_new(ctx, "b", NULL);
	struct str long_one AUTO_STR, short_one AUTO_STR;

	str_init(&long_one, (size_t)1 << 20);
	str_init(&short_one, 64);
	stanza_set_text(with, text);
	stanza_set_text(without, "x");
	assert(stanza_write(&long_one, with, NULL) && stanza_write(&short_one, without, NULL));
	stanza_free(with);
	stanza_free(without);
	return long_one.n - short_one.n + 1;
}

static void
check_fits(const char *clean)
{
	static const size_t limits[] = { 4, 64, 1000, 60000 };
	xmpp_ctx_t *ctx = stanza_context();
	size_t n = strlen(clean), event = event_fits(clean, n);

	assert(event > 0 && event <= n && (clean[event] & 0xC0) != 0x80);
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		size_t fits = stanza_fits(clean, n, limits[i]);
		assert(fits <= n && (clean[fits] & 0xC0) != 0x80);
		AUTO_FREE char *part = xstrndup(clean, fits);
		assert(!fits || written_size(ctx, part) <= limits[i]);
	}
	xmpp_ctx_free(ctx);
}

static void
check_small(const char *text)
{
	struct str out AUTO_STR;
	AUTO_FREE char *filled = str_fill(text, "a", "{a}");

	assert(strcmp(filled, text) == 0);
	assert(str_distance(text, text) == 0 && str_distance(text, "help") == str_distance("help", text));
	str_init(&out, 100);
	for (int i = 0; i < 3; i++) {
		str_add(&out, text);
		str_addf(&out, "%s", text);
		assert(out.n <= 100 && strlen(str_get(&out)) == out.n);
	}
	str_clear(&out);
	http_add_escaped(&out, text);
	assert(!str_get(&out)[strspn(str_get(&out), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%")]);
}

static void
check_line(enum log_level level, const char *line)
{
	(void)level;
	assert(strlen(line) < 1024);
	for (const unsigned char *p = (const unsigned char *)line; *p; p++)
		assert(*p >= 0x20 && *p != 0x7F);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data;
	AUTO_FREE char *text = xstrndup(bytes, size), *clean = str_clean(text, strlen(text));

	check_clean(bytes, size);
	check_stanza(clean);
	if (*clean)
		check_fits(clean);
	check_small(text);
	log_register(check_line);
	log_info(LOG_XMPP, "name=\"%s\"", text);
	return 0;
}

REPLAY_MAIN("text")
