/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small reader of chat text, as far as a '#' asks for it: fenced blocks and
 * `code` as Markdown has them, lines quoted with '>', links from their scheme (or
 * "www.") to the next space. A '#' begins a tag at the start of the text or
 * after a character that is not part of a word or an address, and what follows
 * it must not go on as a room alias does (#room:example.org).
 */

#include "tags.h"

#include "fold.h"

#include <string.h>

void
tags_open(struct tags *tags, const char *text, size_t size)
{
	tags->p = tags->start = text;
	tags->end = text + size;
	tags->fenced = false;
}

static const char *
line_end(const char *p, const char *end)
{
	const char *newline = memchr(p, '\n', (size_t)(end - p));

	return newline ? newline : end;
}

static size_t
run_of(const char *p, const char *end, char c)
{
	size_t n = 0;

	while (p + n < end && p[n] == c)
		n++;
	return n;
}

static bool
begins(const char *p, const char *end, const char *what)
{
	size_t n = strlen(what);

	return (size_t)(end - p) >= n && memcmp(p, what, n) == 0;
}

/* At the start of a line: skips it when it is quoted, part of a fenced block, or a fence. */
static bool
skip_line(struct tags *tags)
{
	const char *p = tags->p;
	bool fence;

	while (p < tags->end && (*p == ' ' || *p == '\t'))
		p++;
	fence = begins(p, tags->end, "```");
	if (!fence && !tags->fenced && (p == tags->end || *p != '>'))
		return false;
	if (fence && !tags->fenced && memchr(p + 3, '`', (size_t)(line_end(p, tags->end) - p - 3)))
		return false; /* ```code``` on one line is not a fence */
	if (fence)
		tags->fenced = !tags->fenced;
	tags->p = line_end(p, tags->end);
	return true;
}

/* Longer runs begin no code: each different length means another walk to the end of the text. */
enum { TICKS_MAX = 32 };

/* Over a run of backticks, and over the code that it begins when the same run ends it before the paragraph does. */
static void
skip_code(struct tags *tags)
{
	size_t ticks = run_of(tags->p, tags->end, '`');
	const char *p = tags->p + ticks;

	tags->p = p;
	if (ticks > TICKS_MAX)
		return;
	while (p < tags->end && !begins(p, tags->end, "\n\n")) {
		size_t n = run_of(p, tags->end, '`');

		if (n == ticks) {
			tags->p = p + n;
			return;
		}
		p += n > 0 ? n : 1;
	}
}

static bool
begins_link(const struct tags *tags)
{
	const char *p = tags->p;

	if (begins(p, tags->end, "://"))
		return p > tags->start && fold_is_word((unsigned char)p[-1]);
	if (begins(p, tags->end, "www.") || begins(p, tags->end, "mailto:") || begins(p, tags->end, "xmpp:"))
		return p == tags->start || !fold_is_word((unsigned char)p[-1]);
	return false;
}

static void
skip_link(struct tags *tags)
{
	while (tags->p < tags->end && !strchr(" \t\r\n<>\"", *tags->p))
		tags->p++;
}

/* What may not stand before a tag: a word, another '#', what joins the parts of an address, a byte of a letter. */
static bool
may_follow(const struct tags *tags)
{
	const unsigned char *p = (const unsigned char *)tags->p, *start = (const unsigned char *)tags->start, *back = p;
	int32_t before;

	if (p == start)
		return true;
	do
		back--;
	while (back > start && (*back & 0xC0) == 0x80 && p - back < 4);
	if (!fold_read(&back, p, &before))
		return true;
	return !fold_is_word(before) && (before == 0 || before >= 0x80 || !strchr("#/&@=?~%", (char)before));
}

static bool
is_tag_symbol(int32_t symbol)
{
	return symbol == '-' || fold_is_word(symbol);
}

/* The end of the tag that begins at `p`; `p` itself when it is none. */
static const char *
tag_end(const char *p, const char *end)
{
	const unsigned char *at = (const unsigned char *)p, *stop = (const unsigned char *)end, *last = at, *next;
	int32_t symbol;

	for (next = at; fold_read(&next, stop, &symbol) && is_tag_symbol(symbol); at = next) {
		if (symbol != '-')
			last = next;
	}
	next = at + 1;
	if (at < stop && *at == ':' && fold_read(&next, stop, &symbol) && fold_is_word(symbol))
		return p; /* a room alias */
	return p + (last - (const unsigned char *)p);
}

bool
tags_next(struct tags *tags, char out[TAGS_FOLDED_MAX])
{
	while (tags->p < tags->end) {
		if ((tags->p == tags->start || tags->p[-1] == '\n') && skip_line(tags)) {
			tags->p += tags->p < tags->end;
		} else if (*tags->p == '`') {
			skip_code(tags);
		} else if (begins_link(tags)) {
			skip_link(tags);
		} else if (*tags->p == '#' && may_follow(tags)) {
			const char *name = tags->p + 1, *end = tag_end(name, tags->end);

			tags->p = end;
			if (end > name && fold_text(name, (size_t)(end - name), out, TAGS_FOLDED_MAX) < TAGS_FOLDED_MAX
					&& out[0] != '\0')
				return true;
		} else {
			tags->p++;
		}
	}
	return false;
}
