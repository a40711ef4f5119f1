/* SPDX-License-Identifier: Apache-2.0 */
/*
 * expat tokenises; the elements of one stanza are built in an arena where every parent knows its last
 * child and text grows by doubling, so that a stanza costs what its bytes cost, whatever its shape. Only a
 * stanza that stayed within every limit becomes libstrophe's, whose own parser is quadratic. What is not wanted, or
 * too much, is counted down to its end tag and nothing of it is kept.
 */
#include "xmpp/reader.h"

#include <expat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- an arena for one stanza ---- */

#define CHUNK_SIZE 16384

struct chunk {
	struct chunk *next;
	size_t used, room;
	max_align_t data[];
};

struct heap {
	struct chunk *chunks; /* owns; the newest first */
};

static void *
heap_take(struct heap *heap, size_t size)
{
	size = (size + sizeof(max_align_t) - 1) & ~(sizeof(max_align_t) - 1);
	if (!heap->chunks || heap->chunks->room - heap->chunks->used < size) {
		size_t room = size > CHUNK_SIZE ? size : CHUNK_SIZE;
		struct chunk *chunk = xmalloc(sizeof(*chunk) + room);
		*chunk = (struct chunk){ .next = heap->chunks, .room = room };
		heap->chunks = chunk;
	}
	void *p = (char *)heap->chunks->data + heap->chunks->used;
	heap->chunks->used += size;
	return p;
}

/* Keeps one small chunk for the next stanza. */
static void
heap_clear(struct heap *heap, bool all)
{
	struct chunk *kept = NULL;

	while (heap->chunks) {
		struct chunk *chunk = heap->chunks;
		heap->chunks = chunk->next;
		if (!all && !kept && chunk->room == CHUNK_SIZE) {
			kept = chunk;
			kept->next = NULL;
			kept->used = 0;
		} else {
			free(chunk);
		}
	}
	heap->chunks = kept;
}

static char *
heap_copy(struct heap *heap, const char *text, size_t n)
{
	char *copy = heap_take(heap, n + 1);

	if (n)
		memcpy(copy, text, n);
	copy[n] = '\0';
	return copy;
}

/* ---- the reader ---- */

#define SEPARATOR '\x1f' /* between namespace and name; no XML character */

struct node {
	struct node *parent, *next, *first, *last;
	const char *name, *ns; /* name NULL: text */
	const char **pairs;    /* attributes: key, value... */
	int pair_count;
	unsigned children;
	char *text;
	size_t text_n, text_room;
};

struct reader {
	xmpp_ctx_t *ctx;
	const struct reader_events *events;
	void *context;
	XML_Parser parser;
	struct heap heap;
	struct node *root, *at; /* of the stanza being built; NULL while it is skipped */
	int depth;              /* open elements; the stream is the first */
	unsigned elements;
	XML_Index start;        /* of the stanza */
	size_t size_max;
	size_t silent;          /* bytes since the last event */
	bool skipping, stopped;
	struct stream_tag tag;  /* of the stanza being built, in the arena */
	char fault[128];
};

static void
stop_reading(struct reader *reader, const char *why)
{
	if (!reader->fault[0])
		snprintf(reader->fault, sizeof(reader->fault), "%s", why);
	reader->stopped = true;
	XML_StopParser(reader->parser, XML_FALSE);
}

/* A wanted stanza passed a limit: nothing of it is kept, and the rest of it is only counted down. */
static void
skip(struct reader *reader, const char *limit)
{
	reader->skipping = true;
	reader->root = reader->at = NULL;
	if (reader->events->skipped)
		reader->events->skipped(reader->context, &reader->tag, limit);
	heap_clear(&reader->heap, false);
}

/* True when the stanza has grown too large and is skipped now. */
static bool
is_too_large(struct reader *reader)
{
	if ((size_t)(XML_GetCurrentByteIndex(reader->parser) - reader->start) <= reader->size_max)
		return false;
	skip(reader, "size");
	return true;
}

/* "ns<separator>name" -> both, in the arena. */
static void
split_name(struct reader *reader, const char *full, struct node *node)
{
	const char *at = strchr(full, SEPARATOR);

	node->ns = at ? heap_copy(&reader->heap, full, (size_t)(at - full)) : NULL;
	node->name = heap_copy(&reader->heap, at ? at + 1 : full, strlen(at ? at + 1 : full));
}

/* The key of an attribute, or NULL: of foreign namespaces only xml: can be kept. */
static const char *
attribute_key(struct reader *reader, const char *full)
{
	const char *at = strchr(full, SEPARATOR);

	if (!at)
		return heap_copy(&reader->heap, full, strlen(full));
	if ((size_t)(at - full) != strlen("http://www.w3.org/XML/1998/namespace") || !str_starts(full, "http://www.w3.org/XML/1998/namespace"))
		return NULL;
	char *key = heap_take(&reader->heap, strlen(at) + 4);
	memcpy(key, "xml:", 4);
	memcpy(key + 4, at + 1, strlen(at));
	return key;
}

static void
copy_attributes(struct reader *reader, struct node *node, const char **attributes)
{
	int count = 0;

	while (attributes[count])
		count += 2;
	if (!count)
		return;
	node->pairs = heap_take(&reader->heap, (size_t)count * sizeof(*node->pairs));
	for (int i = 0; i < count; i += 2) {
		const char *key = attribute_key(reader, attributes[i]);
		if (!key)
			continue;
		node->pairs[node->pair_count++] = key;
		node->pairs[node->pair_count++] = heap_copy(&reader->heap, attributes[i + 1], strlen(attributes[i + 1]));
	}
}

static void
append(struct node *parent, struct node *child)
{
	child->parent = parent;
	if (parent->last)
		parent->last->next = child;
	else
		parent->first = child;
	parent->last = child;
	parent->children++;
}

/* What a start tag says, lent by expat. */
static struct stream_tag
read_tag(const char *name, const char **attributes)
{
	const char *at = strchr(name, SEPARATOR);
	struct stream_tag tag = { at ? at + 1 : name, "", "", "", "" };

	for (int i = 0; attributes[i]; i += 2) {
		const char *key = attributes[i], **slot = strcmp(key, "type") == 0 ? &tag.type : strcmp(key, "from") == 0 ? &tag.from
			: strcmp(key, "to") == 0 ? &tag.to : strcmp(key, "id") == 0 ? &tag.id : NULL;
		if (slot)
			*slot = attributes[i + 1];
	}
	return tag;
}

/* For skip(): of the stanza whose limit is passed later. */
static struct stream_tag
keep_tag(struct reader *reader, const struct stream_tag *tag)
{
	struct heap *heap = &reader->heap;

	return (struct stream_tag){
		heap_copy(heap, tag->name, strlen(tag->name)), heap_copy(heap, tag->type, strlen(tag->type)),
		heap_copy(heap, tag->from, strlen(tag->from)), heap_copy(heap, tag->to, strlen(tag->to)),
		heap_copy(heap, tag->id, strlen(tag->id)),
	};
}

static void
open_stream(struct reader *reader, const char **attributes)
{
	const char *id = "";

	for (int i = 0; attributes[i]; i += 2)
		if (strcmp(attributes[i], "id") == 0)
			id = attributes[i + 1];
	if (reader->events->opened)
		reader->events->opened(reader->context, id);
}

static void
begin_stanza(struct reader *reader, const char *name, const char **attributes)
{
	struct stream_tag tag = read_tag(name, attributes);

	reader->skipping = reader->events->wanted && !reader->events->wanted(reader->context, &tag);
	if (reader->skipping)
		return;
	reader->tag = keep_tag(reader, &tag);
	reader->start = XML_GetCurrentByteIndex(reader->parser);
	reader->elements = 0;
}

static void
on_start(void *context, const char *name, const char **attributes)
{
	struct reader *reader = context;

	reader->silent = 0;
	if (reader->stopped)
		return;
	if (reader->depth++ == 0) {
		open_stream(reader, attributes);
		return;
	}
	if (reader->depth == 2)
		begin_stanza(reader, name, attributes);
	if (reader->skipping || is_too_large(reader))
		return;
	int count = XML_GetSpecifiedAttributeCount(reader->parser) / 2;
	const char *limit = reader->depth - 1 > STREAM_DEPTH_MAX ? "depth" : ++reader->elements > STREAM_ELEMENTS_MAX + 1 ? "elements"
		: count > STREAM_ATTRIBUTES_MAX ? "attributes" : NULL;
	if (limit) {
		skip(reader, limit);
		return;
	}
	struct node *node = heap_take(&reader->heap, sizeof(*node));
	*node = (struct node){ 0 };
	split_name(reader, name, node);
	copy_attributes(reader, node, attributes);
	if (reader->at)
		append(reader->at, node);
	else
		reader->root = node;
	reader->at = node;
}

static void
on_text(void *context, const char *text, int length)
{
	struct reader *reader = context;
	size_t n = (size_t)length;

	reader->silent = 0;
	if (reader->stopped || reader->skipping || reader->depth < 2 || is_too_large(reader))
		return;
	struct node *node = reader->at->last;
	if (!node || node->name) {
		node = heap_take(&reader->heap, sizeof(*node));
		*node = (struct node){ 0 };
		append(reader->at, node);
	}
	if (node->text_n + n + 1 > node->text_room) {
		size_t room = 2 * (node->text_n + n) + 32;
		char *larger = heap_take(&reader->heap, room);
		if (node->text_n)
			memcpy(larger, node->text, node->text_n);
		node->text = larger;
		node->text_room = room;
	}
	memcpy(node->text + node->text_n, text, n);
	node->text_n += n;
	node->text[node->text_n] = '\0';
}

/* The tree is not deeper than STREAM_DEPTH_MAX. */
static xmpp_stanza_t *
convert(xmpp_ctx_t *ctx, const struct node *node)
{
	xmpp_stanza_t *stanza = xmpp_stanza_new(ctx);
	unsigned kept = 0;

	if (!node->name) {
		xmpp_stanza_set_text_with_size(stanza, node->text, node->text_n);
		return stanza;
	}
	xmpp_stanza_set_name(stanza, node->name);
	for (int i = 0; i < node->pair_count; i += 2)
		xmpp_stanza_set_attribute(stanza, node->pairs[i], node->pairs[i + 1]);
	if (node->ns)
		xmpp_stanza_set_ns(stanza, node->ns);
	for (const struct node *child = node->first; child && kept < STREAM_CHILDREN_MAX; child = child->next, kept++)
		xmpp_stanza_add_child_ex(stanza, convert(ctx, child), 0);
	return stanza;
}

static void
end_stanza(struct reader *reader)
{
	if (!reader->skipping) {
		xmpp_stanza_t *stanza = convert(reader->ctx, reader->root);
		reader->events->stanza(reader->context, stanza);
		xmpp_stanza_release(stanza);
		heap_clear(&reader->heap, false);
	}
	reader->root = reader->at = NULL;
	reader->skipping = false;
}

static void
on_end(void *context, const char *name)
{
	struct reader *reader = context;

	(void)name;
	reader->silent = 0;
	if (reader->stopped)
		return;
	reader->depth--;
	if (reader->depth == 0) {
		if (reader->events->closed)
			reader->events->closed(reader->context);
		return;
	}
	if (!reader->skipping && !is_too_large(reader) && reader->at)
		reader->at = reader->at->parent;
	if (reader->depth == 1)
		end_stanza(reader);
}

static void
on_doctype(void *context, const char *name, const char *system, const char *public, int internal)
{
	(void)name, (void)system, (void)public, (void)internal;
	stop_reading(context, "a document type declaration");
}

/* Comments and processing instructions: RFC 6120 §11.1 forbids them, they carry nothing. */
static void
on_other(void *context, const char *text, int length)
{
	(void)text, (void)length;
	((struct reader *)context)->silent = 0;
}

struct reader *
reader_new(xmpp_ctx_t *ctx, const struct reader_events *events, void *context)
{
	struct reader *reader = xcalloc(1, sizeof(*reader));

	*reader = (struct reader){ .ctx = ctx, .events = events, .context = context, .size_max = STREAM_STANZA_MAX };
	reader->parser = XML_ParserCreateNS("UTF-8", SEPARATOR);
	if (!reader->parser)
		abort();
	XML_SetUserData(reader->parser, reader);
	XML_SetElementHandler(reader->parser, on_start, on_end);
	XML_SetCharacterDataHandler(reader->parser, on_text);
	XML_SetStartDoctypeDeclHandler(reader->parser, on_doctype);
	XML_SetDefaultHandler(reader->parser, on_other);
#ifdef HAVE_XML_SETREPARSEDEFERRALENABLED
	/* A deferred end tag would wait for the next stanza's bytes. STREAM_TOKEN_MAX bounds what deferral protects from. */
	XML_SetReparseDeferralEnabled(reader->parser, XML_FALSE);
#endif
	return reader;
}

void
reader_free(struct reader *reader)
{
	if (!reader)
		return;
	XML_ParserFree(reader->parser);
	heap_clear(&reader->heap, true);
	free(reader);
}

int
reader_feed(struct reader *reader, const char *p, size_t n)
{
	while (n && !reader->stopped) {
		int piece = n > CHUNK_SIZE ? CHUNK_SIZE : (int)n;
		if (XML_Parse(reader->parser, p, piece, 0) == XML_STATUS_ERROR && !reader->stopped)
			stop_reading(reader, XML_ErrorString(XML_GetErrorCode(reader->parser)));
		reader->silent += (size_t)piece;
		if (reader->silent > STREAM_TOKEN_MAX && !reader->stopped)
			stop_reading(reader, "a tag without end");
		p += piece;
		n -= (size_t)piece;
	}
	return reader->stopped ? READER_E_XML : 0;
}

const char *
reader_fault(const struct reader *reader)
{
	return reader->fault;
}

void
reader_stop(struct reader *reader)
{
	reader->stopped = true;
	XML_StopParser(reader->parser, XML_FALSE);
}

static void
take_first(void *context, xmpp_stanza_t *stanza)
{
	xmpp_stanza_t **first = context;

	if (!*first)
		*first = xmpp_stanza_clone(stanza);
}

xmpp_stanza_t *
reader_parse(xmpp_ctx_t *ctx, const char *text, size_t n)
{
	static const struct reader_events events = { .stanza = take_first };
	static const char head[] = "<s xmlns='" NS_COMPONENT "'>";
	xmpp_stanza_t *first = NULL;
	struct reader *reader = reader_new(ctx, &events, &first);

	reader->size_max = (size_t)8 * STREAM_STANZA_MAX;
	int r = reader_feed(reader, head, sizeof(head) - 1);
	if (r == 0)
		r = reader_feed(reader, text, n);
	reader_free(reader);
	if (r == 0)
		return first;
	stanza_free(first);
	return NULL;
}
