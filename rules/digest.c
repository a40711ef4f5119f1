/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A digest in four steps: put the items in order, write each as one line into
 * the body of a part until the part is full, count what found no room, and only
 * then put head and foot around the bodies, since a head says how many parts
 * there are.
 *
 * Order: what concerns the reader, then announcements, then the rest; inside
 * each, conversations by their first message, and their messages by time.
 *
 * Invariant: foreign text reaches the output cleaned (no control or direction
 * characters, one line), cut on a grapheme boundary, and escaped for HTML; both
 * renderings hold the same items.
 */

#include "digest.h"

#include "fold.h"
#include "say.h"
#include "syntax.h"
#include "zone.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#define EXCERPT_BYTES (DIGEST_EXCERPT * 8) /* a character of many combining marks is no excuse */
#define AUTHOR_EXCERPT 60
#define LINK_MAX 500
#define FRAME_BYTES 2048 /* of a part, for its head and foot */

enum section {
	SECTION_MENTION,
	SECTION_ANNOUNCE,
	SECTION_REST,
	SECTION_COUNT,
};

static const char *const section_names[SECTION_COUNT] = {
	[SECTION_MENTION] = N_("For you"),
	[SECTION_ANNOUNCE] = N_("Announcements"),
	[SECTION_REST] = N_("Messages"),
};

struct entry {
	const struct digest_item *item; /* lent */
	enum section section;
	int64_t thread;           /* seq of the message that began it */
	int64_t first, first_seq; /* of its thread within its section */
	bool follows;             /* not the first one of it */
};

/* A growing text. Latches the lack of memory. */
struct page {
	char *text; /* owned */
	size_t size, room;
	bool failed;
};

/* Both renderings of one part's body. */
struct body {
	struct page plain, html;
	size_t items;
	int64_t day;          /* of the last item, to say a date once */
	enum section section; /* likewise; SECTION_COUNT before the first */
	bool in_list;
};

struct builder {
	const struct rules *rules;
	const struct digest *digest;
	const struct rules_speech *speech;
	struct entry *entries; /* owned; in order */
	struct body bodies[DIGEST_PARTS_MAX];
	size_t parts, shown, people;
	bool sections; /* whether headings are worth their lines */
};

/* ---- pages ---- */

static void
page_bytes(struct page *page, const char *p, size_t n)
{
	if (!page->failed && page->size + n + 1 > page->room) {
		size_t room = (page->size + n + 1) * 2;
		char *text = realloc(page->text, room);

		page->failed = !text;
		if (text) {
			page->text = text;
			page->room = room;
		}
	}
	if (page->failed || n == 0)
		return;
	memcpy(page->text + page->size, p, n);
	page->size += n;
	page->text[page->size] = '\0';
}

static void
page_text(struct page *page, const char *text)
{
	page_bytes(page, text, strlen(text));
}

static void
page_escaped(struct page *page, const char *text)
{
	static const struct {
		char c;
		const char *entity;
	} entities[] = { { '&', "&amp;" }, { '<', "&lt;" }, { '>', "&gt;" }, { '"', "&quot;" }, { '\'', "&#39;" } };

	for (; *text; text++) {
		size_t i = 0;

		while (i < sizeof(entities) / sizeof(entities[0]) && entities[i].c != *text)
			i++;
		if (i < sizeof(entities) / sizeof(entities[0]))
			page_text(page, entities[i].entity);
		else
			page_bytes(page, text, 1);
	}
}

/* The same words on both sides. */
static void
both(struct body *body, const char *text)
{
	page_text(&body->plain, text);
	page_escaped(&body->html, text);
}

/* ---- foreign text ---- */

/* Characters that would break the line or turn its direction. */
static bool
is_unwanted(int32_t symbol)
{
	utf8proc_category_t category = utf8proc_category(symbol);

	if (symbol == 0x200C || symbol == 0x200D)
		return false; /* joiners belong to some scripts and to emoji */
	return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF || (symbol & 0xFFFE) == 0xFFFE;
}

static bool
is_blank(int32_t symbol)
{
	utf8proc_category_t category = utf8proc_category(symbol);

	return symbol == '\n' || symbol == '\t' || symbol == '\r' || symbol == ' ' || category == UTF8PROC_CATEGORY_ZL
			|| category == UTF8PROC_CATEGORY_ZP;
}

/* One clean line of at most `max` characters, with an ellipsis when it was cut. */
static void
excerpt(char *out, size_t size, const char *text, size_t max)
{
	static const char dots[] = "\xE2\x80\xA6";
	const unsigned char *p = (const unsigned char *)text, *end = p + strlen(text);
	utf8proc_int32_t symbol, before = 0, state = 0;
	size_t n = 0, characters = 0, boundary = 0;
	bool space = false;

	while (fold_read(&p, end, &symbol)) {
		unsigned char bytes[5] = " ";
		size_t length;

		if (is_blank(symbol)) {
			space = n > 0;
			continue;
		}
		if (is_unwanted(symbol))
			continue;
		if (n == 0 || space || utf8proc_grapheme_break_stateful(before, symbol, &state)) {
			characters += 1 + space;
			boundary = n;
		}
		length = space + (size_t)utf8proc_encode_char(symbol, bytes + space);
		if (characters > max || n + length + sizeof(dots) > size) {
			n = boundary;
			memcpy(out + n, dots, sizeof(dots) - 1);
			n += sizeof(dots) - 1;
			break;
		}
		if (space)
			state = 0;
		memcpy(out + n, bytes, length);
		n += length;
		before = symbol;
		space = false;
	}
	out[n] = '\0';
}

static bool
is_link(const char *link)
{
	static const char *const schemes[] = { "https://", "http://", "xmpp:", "matrix:" };
	bool known = false;

	if (!link || strlen(link) > LINK_MAX)
		return false;
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		known = known || strncmp(link, schemes[i], strlen(schemes[i])) == 0;
	for (; known && *link; link++)
		known = (unsigned char)*link > ' ' && *link != 0x7F && !strchr("<>\"'\\`", *link);
	return known;
}

/* ---- order ---- */

static int
compare(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

static int
by_thread(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int r = (int)x->section - (int)y->section;

	if (r == 0)
		r = compare(x->thread, y->thread);
	if (r == 0)
		r = compare(x->item->at_ms, y->item->at_ms);
	return r != 0 ? r : compare(x->item->seq, y->item->seq);
}

static int
by_place(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int r = (int)x->section - (int)y->section;

	if (r == 0)
		r = compare(x->first, y->first);
	if (r == 0)
		r = compare(x->first_seq, y->first_seq);
	return r != 0 ? r : by_thread(a, b);
}

static void
sort_entries(struct builder *builder)
{
	size_t count = builder->digest->count;
	struct entry *entries = builder->entries;

	for (size_t i = 0; i < count; i++) {
		const struct digest_item *item = &builder->digest->items[i];

		entries[i] = (struct entry){ .item = item, .thread = item->thread ? item->thread : item->seq,
			.section = item->flags & DIGEST_MENTION ? SECTION_MENTION
					: item->flags & DIGEST_ANNOUNCE ? SECTION_ANNOUNCE : SECTION_REST };
	}
	qsort(entries, count, sizeof(*entries), by_thread);
	for (size_t i = 0; i < count; i++) {
		struct entry *entry = &entries[i], *last = entry - 1;

		entry->follows = i > 0 && last->section == entry->section && last->thread == entry->thread;
		entry->first = entry->follows ? last->first : entry->item->at_ms;
		entry->first_seq = entry->follows ? last->first_seq : entry->item->seq;
		builder->sections = builder->sections || entry->section != SECTION_REST;
	}
	qsort(entries, count, sizeof(*entries), by_place);
}

static int
by_author(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return strcmp(x->item->author, y->item->author);
}

/* Before the entries have their order. */
static void
count_people(struct builder *builder)
{
	size_t count = builder->digest->count;

	for (size_t i = 0; i < count; i++)
		builder->entries[i].item = &builder->digest->items[i];
	qsort(builder->entries, count, sizeof(*builder->entries), by_author);
	for (size_t i = 0; i < count; i++)
		builder->people += i == 0 || by_author(&builder->entries[i - 1], &builder->entries[i]) != 0;
}

/* ---- lines ---- */

static void
close_list(struct body *body)
{
	if (body->in_list)
		page_text(&body->html, "</ul>");
	body->in_list = false;
}

static void
write_heading(struct builder *builder, struct body *body, const struct entry *entry)
{
	if (!builder->sections || body->section == entry->section)
		return;
	close_list(body);
	page_text(&body->plain, "\n\n");
	page_text(&body->html, "<h4>");
	both(body, say_words(builder->speech, section_names[entry->section]));
	page_text(&body->html, "</h4>");
	body->day = INT64_MIN;
}

static void
write_day(struct builder *builder, struct body *body, const struct civil *at)
{
	int64_t day = zone_days(at->year, at->month, at->day);
	struct say_text date = say_date(builder->speech, day, false);

	if (body->day == day)
		return;
	close_list(body);
	page_text(&body->plain, body->section == SECTION_COUNT && !builder->sections ? "\n\n" : "\n");
	page_text(&body->html, "<p>");
	both(body, date.text);
	page_text(&body->html, "</p>");
	body->day = day;
}

static void
write_link(struct body *body, const struct digest_item *item, const char *tag)
{
	if (is_link(item->link)) {
		page_text(&body->html, "<a href=\"");
		page_escaped(&body->html, item->link);
		page_text(&body->html, "\">");
		page_escaped(&body->html, tag);
		page_text(&body->html, "</a>");
	} else {
		page_escaped(&body->html, tag);
	}
	page_text(&body->plain, tag);
}

static void
write_content(struct builder *builder, struct body *body, const struct digest_item *item)
{
	char text[EXCERPT_BYTES];
	bool gone = !item->text || !*item->text;

	both(body, say_words(builder->speech, N_(": ")));
	if (item->flags & DIGEST_SENT) {
		both(body, say_words(builder->speech, N_("(already sent)")));
		return;
	}
	if (item->flags & DIGEST_MEDIA) {
		both(body, say_words(builder->speech, N_("[file]")));
		both(body, " ");
	}
	excerpt(text, sizeof(text), gone ? "" : item->text, DIGEST_EXCERPT);
	both(body, gone ? say_words(builder->speech, N_("(text no longer kept)")) : text);
	if (item->flags & DIGEST_EDITED) {
		both(body, " ");
		both(body, say_words(builder->speech, N_("(edited)")));
	}
}

static void
write_item(struct builder *builder, struct body *body, const struct entry *entry)
{
	const struct digest_item *item = entry->item;
	char author[AUTHOR_EXCERPT * 8], tag[64];
	struct say_text clock;
	struct civil at;

	zone_to_civil(builder->rules->zone, item->at_ms, &at);
	clock = say_clock(builder->speech, at.hour, at.minute);
	excerpt(author, sizeof(author), item->author, AUTHOR_EXCERPT);
	excerpt(tag, sizeof(tag), item->tag ? item->tag : "", 12);
	write_heading(builder, body, entry);
	write_day(builder, body, &at);
	page_text(&body->plain, "\n");
	page_text(&body->html, body->in_list ? "<li>" : "<ul><li>");
	body->in_list = true;
	both(body, entry->follows ? "\xE2\x86\xB3 " : "");
	write_link(body, item, *tag ? tag : clock.text);
	if (*tag) {
		both(body, " ");
		both(body, clock.text);
	}
	both(body, " ");
	page_text(&body->html, "<strong>");
	both(body, author);
	page_text(&body->html, "</strong>");
	write_content(builder, body, item);
	if (is_link(item->link)) {
		page_text(&body->plain, "\n  ");
		page_text(&body->plain, item->link);
	}
	page_text(&body->html, "</li>");
	body->section = entry->section;
	body->items++;
}

/* ---- parts ---- */

static void
body_fini(struct body *body)
{
	free(body->plain.text);
	free(body->html.text);
	memset(body, 0, sizeof(*body));
}

static size_t
frame_of(const struct builder *builder)
{
	return FRAME_BYTES + (builder->digest->footer ? strlen(builder->digest->footer) * 6 : 0);
}

static bool
is_full(const struct builder *builder, const struct body *body)
{
	size_t most = frame_of(builder) < DIGEST_BYTES_MAX ? DIGEST_BYTES_MAX - frame_of(builder) : 0;

	return body->items > DIGEST_ITEMS_MAX || body->plain.size > most || body->html.size > most;
}

/* Takes the last item back: what it wrote is cut off again. */
static void
cut(struct body *body, const struct body *before)
{
	struct page plain = body->plain, html = body->html;

	*body = *before;
	body->plain.text = plain.text;
	body->plain.room = plain.room;
	body->html.text = html.text;
	body->html.room = html.room;
	if (plain.text)
		plain.text[body->plain.size] = '\0';
	if (html.text)
		html.text[body->html.size] = '\0';
}

static void
write_bodies(struct builder *builder)
{
	size_t most = builder->digest->parts_max;
	struct body *body = &builder->bodies[0];

	if (most == 0 || most > DIGEST_PARTS_MAX)
		most = DIGEST_PARTS_MAX;
	builder->parts = 1;
	*body = (struct body){ .day = INT64_MIN, .section = SECTION_COUNT };
	for (size_t i = 0; i < builder->digest->count; i++) {
		struct body before = *body;

		write_item(builder, body, &builder->entries[i]);
		if (body->items > 1 && is_full(builder, body)) {
			cut(body, &before);
			if (builder->parts == most)
				break;
			body = &builder->bodies[builder->parts++];
			*body = (struct body){ .day = INT64_MIN, .section = SECTION_COUNT };
			write_item(builder, body, &builder->entries[i]);
		}
		builder->shown++;
	}
	for (size_t i = 0; i < builder->parts; i++)
		close_list(&builder->bodies[i]);
}

/* ---- head and foot ---- */

struct counted {
	char text[24];
};

static struct counted
number(size_t value)
{
	struct counted out;

	snprintf(out.text, sizeof(out.text), "%zu", value);
	return out;
}

static void
sentence(const struct builder *builder, struct page *plain, struct page *html, const char *msgid,
		const char *const *args, size_t count)
{
	struct say_text text = say_short(builder->speech, msgid, args, count);

	page_text(plain, text.text);
	page_escaped(html, text.text);
}

static void
write_head(struct builder *builder, size_t part, struct page *plain, struct page *html)
{
	const struct digest *digest = builder->digest;
	struct say_text from = say_instant(builder->rules, builder->speech, digest->from_ms, digest->to_ms);
	struct say_text to = say_instant(builder->rules, builder->speech, digest->to_ms, digest->to_ms);
	struct say_text group = say_quoted(builder->speech, digest->group);
	struct counted messages = number(digest->count + digest->older), people = number(builder->people);
	struct counted index = number(part + 1), parts = number(builder->parts);
	const char *zone = say_zone(builder->rules);

	page_text(html, "<p><strong>");
	if (digest->from_ms != 0)
		sentence(builder, plain, html, N_("Digest of {1}, {2} to {3} ({4})"),
				(const char *[]){ group.text, from.text, to.text, zone }, 4);
	else
		sentence(builder, plain, html, N_("Digest of {1}, up to {2} ({3})"),
				(const char *[]){ group.text, to.text, zone }, 3);
	page_text(html, "</strong><br>");
	page_text(plain, "\n");
	sentence(builder, plain, html, N_("Messages: {1}, people: {2}"), (const char *[]){ messages.text, people.text }, 2);
	if (builder->parts > 1) {
		page_text(plain, "\n");
		page_text(html, "<br>");
		sentence(builder, plain, html, N_("Part {1} of {2}"), (const char *[]){ index.text, parts.text }, 2);
	}
	page_text(html, "</p>");
}

static void
write_count(struct builder *builder, struct page *plain, struct page *html, const char *msgid, size_t count)
{
	struct say_text group = say_quoted(builder->speech, builder->digest->group);
	struct counted counted = number(count);

	if (count == 0)
		return;
	page_text(plain, "\n\n");
	page_text(html, "<p>");
	sentence(builder, plain, html, msgid, (const char *[]){ counted.text, group.text }, 2);
	page_text(html, "</p>");
}

static void
write_foot(struct builder *builder, struct page *plain, struct page *html)
{
	const char *footer = builder->digest->footer;

	write_count(builder, plain, html, N_("And {1} more in {2}."), builder->digest->count - builder->shown);
	write_count(builder, plain, html, N_("Only counted, as their text is no longer kept: {1}, in {2}."),
			builder->digest->older);
	if (!footer || !*footer)
		return;
	page_text(plain, "\n\n");
	page_text(plain, footer);
	page_text(html, "<p>");
	page_escaped(html, footer);
	page_text(html, "</p>");
}

static int
finish(struct builder *builder, struct digest_text *out)
{
	for (size_t i = 0; i < builder->parts; i++) {
		struct body *body = &builder->bodies[i];
		struct page plain = { 0 }, html = { 0 };

		write_head(builder, i, &plain, &html);
		page_bytes(&plain, body->plain.text, body->plain.size);
		page_bytes(&html, body->html.text, body->html.size);
		if (i + 1 == builder->parts)
			write_foot(builder, &plain, &html);
		out->part[i] = (struct digest_part){ plain.text, html.text };
		out->count = i + 1;
		if (plain.failed || html.failed || body->plain.failed || body->html.failed)
			return -ENOMEM;
	}
	return 0;
}

int
digest_build(const struct rules *rules, const struct digest *digest, const struct rules_speech *speech,
		struct digest_text *out)
{
	struct builder builder = { .rules = rules, .digest = digest, .speech = speech };
	int r;

	memset(out, 0, sizeof(*out));
	if (digest->count == 0 && digest->older == 0)
		return DIGEST_E_EMPTY;
	builder.entries = calloc(digest->count + 1, sizeof(*builder.entries));
	if (!builder.entries)
		return -ENOMEM;
	count_people(&builder);
	sort_entries(&builder);
	write_bodies(&builder);
	r = finish(&builder, out);
	for (size_t i = 0; i < builder.parts; i++)
		body_fini(&builder.bodies[i]);
	free(builder.entries);
	if (r != 0)
		digest_text_fini(out);
	return r;
}

void
digest_text_fini(struct digest_text *text)
{
	for (size_t i = 0; i < text->count; i++) {
		free(text->part[i].plain);
		free(text->part[i].html);
	}
	memset(text, 0, sizeof(*text));
}
