/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: the XMPP stream reader, whole and in pieces, and the way back: what was read is written, and what was
 * written must read the same.
 */
#include "base/str.h"
#include "replay.h"
#include "xmpp/stream.h"

#include <assert.h>
#include <string.h>

struct run {
	xmpp_ctx_t *ctx;
	struct str text; /* all stanzas, written */
	unsigned stanzas;
	bool again;      /* each is read back */
	struct reader *reader;
	bool stopped;    /* by us, at a stanza of type "stop" */
};

static bool
on_wanted(void *context, const struct stream_tag *tag)
{
	struct run *run = context;

	run->stopped = strcmp(tag->type, "stop") == 0;
	if (run->stopped)
		reader_stop(run->reader);
	return strcmp(tag->type, "drop") != 0;
}

static void
on_stanza(void *context, xmpp_stanza_t *stanza)
{
	struct run *run = context;
	struct str once, twice;

	run->stanzas++;
	str_init(&once, (size_t)64 << 20);
	assert(stanza_write(&once, stanza, NULL));
	assert(str_is_clean(str_get(&once), once.n));
	str_add_n(&run->text, str_get(&once), once.n);
	xmpp_stanza_t *back = run->again ? reader_parse(run->ctx, str_get(&once), once.n) : NULL;
	if (back) {
		str_init(&twice, (size_t)64 << 20);
		assert(stanza_write(&twice, back, NULL));
		/* libstrophe keeps attributes in no order. */
		assert(twice.n == once.n);
		str_fini(&twice);
		stanza_free(back);
	}
	str_fini(&once);
}

static void
on_opened(void *context, const char *id)
{
	struct run *run = context;

	str_add(&run->text, id);
}

static void
on_skipped(void *context, const struct stream_tag *tag, const char *limit)
{
	struct run *run = context;

	assert(tag->name[0]);
	str_add(&run->text, limit);
}

static void
on_closed(void *context)
{
	struct run *run = context;

	str_add(&run->text, "closed");
}

static const struct reader_events events = {
	.opened = on_opened, .wanted = on_wanted, .stanza = on_stanza, .skipped = on_skipped, .closed = on_closed,
};

static void
feed(struct run *run, const char *text, size_t n, size_t piece)
{
	struct reader *reader = reader_new(run->ctx, &events, run);

	run->reader = reader;
	str_init(&run->text, (size_t)64 << 20);
	run->stanzas = 0;
	for (size_t at = 0; at < n; at += piece)
		if (reader_feed(reader, text + at, n - at < piece ? n - at : piece) != 0) {
			assert(run->stopped != (reader_fault(reader)[0] != '\0'));
			break;
		}
	reader_free(reader);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run whole = { .ctx = stanza_context(), .again = true }, pieces = { .ctx = whole.ctx };
	const char *text = (const char *)data;

	feed(&whole, text, size, size ? size : 1);
	feed(&pieces, text, size, 3);
	assert(whole.stanzas == pieces.stanzas);
	assert(strcmp(str_get(&whole.text), str_get(&pieces.text)) == 0);
	stanza_free(reader_parse(whole.ctx, text, size));
	str_fini(&whole.text);
	str_fini(&pieces.text);
	xmpp_ctx_free(whole.ctx);
	return 0;
}

REPLAY_MAIN("stream")
