/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One automaton (Aho and Corasick) for all words of a charter, so that a message
 * costs its own length and nothing more, however many rules there are.
 *
 * The model: a text becomes a stream of symbols, folded code points with the
 * mark EDGE wherever a word begins or ends; runs of white space are one ' '. A
 * pattern is the same stream of its own text, so "whole word" needs no code: the
 * pattern for seo is EDGE s e o EDGE. Tags are few and are looked up by name.
 */

#include "words.h"

#include "fold.h"
#include "tags.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define EDGE INT32_C(0x110000) /* the first number that is no code point */

/* ---- text to symbols ---- */

struct stream {
	struct fold fold;
	int32_t queue[3];
	int count, next;
	bool in_word, begun, space;
};

static void
stream_open(struct stream *s, const char *text, size_t size)
{
	memset(s, 0, sizeof(*s));
	fold_open(&s->fold, text, size);
}

static void
stream_push(struct stream *s, int32_t symbol)
{
	s->queue[s->count++] = symbol;
}

/* White space at either end of the text is not part of the stream. */
static void
stream_fill(struct stream *s, int32_t symbol)
{
	bool word = fold_is_word(symbol);

	s->count = s->next = 0;
	if (s->in_word != word) {
		if (s->in_word)
			stream_push(s, EDGE);
	}
	if (symbol == ' ') {
		s->space = s->begun;
	} else {
		if (s->space)
			stream_push(s, ' ');
		if (word && !s->in_word)
			stream_push(s, EDGE);
		stream_push(s, symbol);
		s->begun = true;
		s->space = false;
	}
	s->in_word = word;
}

static bool
stream_next(struct stream *s, int32_t *out)
{
	int32_t symbol;

	while (s->next == s->count) {
		if (fold_next(&s->fold, &symbol)) {
			stream_fill(s, symbol);
		} else if (s->in_word) {
			s->in_word = false;
			*out = EDGE;
			return true;
		} else {
			return false;
		}
	}
	*out = s->queue[s->next++];
	return true;
}

/* ---- the automaton ---- */

struct node {
	int fail;    /* node of the longest proper suffix that is in the trie */
	int suffix;  /* nearest node on the fail chain with a pattern, or -1 */
	int pattern; /* id, or -1 */
	int parent;
	int32_t symbol;
};

struct edge {
	int from, to; /* from -1: free slot */
	int32_t symbol;
};

struct tag {
	char *name; /* owned, folded */
	int id;
};

struct words {
	struct node *nodes; /* owned; in order of creation, so a parent precedes its children */
	int node_count, node_room;
	struct edge *edges; /* owned; open addressing, at most half full */
	unsigned edge_room;
	struct tag *tags; /* owned; sorted by name after words_finish() */
	size_t tag_count, tag_room;
	int patterns;
};

static unsigned
edge_slot(const struct words *words, int from, int32_t symbol)
{
	uint64_t key = (uint64_t)(unsigned)from << 32 | (uint32_t)symbol;
	unsigned slot = (unsigned)((key * UINT64_C(0x9E3779B97F4A7C15)) >> 40) & (words->edge_room - 1);

	while (words->edges[slot].from >= 0 && (words->edges[slot].from != from || words->edges[slot].symbol != symbol))
		slot = (slot + 1) & (words->edge_room - 1);
	return slot;
}

static int
follow(const struct words *words, int from, int32_t symbol)
{
	const struct edge *edge = &words->edges[edge_slot(words, from, symbol)];

	return edge->from < 0 ? -1 : edge->to;
}

static int
grow_edges(struct words *words)
{
	struct edge *old = words->edges;
	unsigned old_room = words->edge_room;

	words->edge_room = old_room ? old_room * 2 : 64;
	words->edges = malloc(words->edge_room * sizeof(*words->edges));
	if (!words->edges) {
		words->edges = old;
		words->edge_room = old_room;
		return -ENOMEM;
	}
	for (unsigned i = 0; i < words->edge_room; i++)
		words->edges[i].from = -1;
	for (unsigned i = 0; i < old_room; i++) {
		if (old[i].from >= 0)
			words->edges[edge_slot(words, old[i].from, old[i].symbol)] = old[i];
	}
	free(old);
	return 0;
}

static int
add_node(struct words *words, int parent, int32_t symbol)
{
	struct node *node;

	if (words->node_count == words->node_room) {
		int room = words->node_room ? words->node_room * 2 : 64;
		struct node *nodes = realloc(words->nodes, (size_t)room * sizeof(*nodes));

		if (!nodes)
			return -ENOMEM;
		words->nodes = nodes;
		words->node_room = room;
	}
	if ((unsigned)words->node_count * 2 >= words->edge_room && grow_edges(words) != 0)
		return -ENOMEM;
	node = &words->nodes[words->node_count];
	*node = (struct node){ .suffix = -1, .pattern = -1, .parent = parent, .symbol = symbol };
	if (parent >= 0)
		words->edges[edge_slot(words, parent, symbol)] =
				(struct edge){ .from = parent, .to = words->node_count, .symbol = symbol };
	return words->node_count++;
}

struct words *
words_new(void)
{
	struct words *words = calloc(1, sizeof(*words));

	if (words && add_node(words, -1, 0) < 0) {
		words_free(words);
		return NULL;
	}
	return words;
}

void
words_free(struct words *words)
{
	if (!words)
		return;
	for (size_t i = 0; i < words->tag_count; i++)
		free(words->tags[i].name);
	free(words->tags);
	free(words->nodes);
	free(words->edges);
	free(words);
}

int
words_add(struct words *words, const char *text, size_t size, int *id)
{
	struct stream stream;
	int32_t symbol;
	int at = 0;

	stream_open(&stream, text, size);
	while (stream_next(&stream, &symbol)) {
		int next = follow(words, at, symbol);

		if (next < 0)
			next = add_node(words, at, symbol);
		if (next < 0)
			return next;
		at = next;
	}
	if (at == 0)
		return WORDS_E_EMPTY;
	if (words->nodes[at].pattern < 0) {
		if (words->patterns == RULES_PATTERNS_MAX)
			return WORDS_E_FULL;
		words->nodes[at].pattern = words->patterns++;
	}
	*id = words->nodes[at].pattern;
	return 0;
}

int
words_add_tag(struct words *words, const char *text, size_t size, int *id)
{
	char name[TAGS_FOLDED_MAX];
	struct tag *tags = words->tags;
	size_t length = fold_text(text, size, name, sizeof(name));

	if (length == 0 || length >= sizeof(name))
		return WORDS_E_EMPTY;
	for (size_t i = 0; i < words->tag_count; i++) {
		if (strcmp(tags[i].name, name) == 0) {
			*id = tags[i].id;
			return 0;
		}
	}
	if (words->patterns == RULES_PATTERNS_MAX)
		return WORDS_E_FULL;
	if (words->tag_count == words->tag_room) {
		words->tag_room = words->tag_room ? words->tag_room * 2 : 16;
		tags = realloc(tags, words->tag_room * sizeof(*tags));
		if (!tags)
			return -ENOMEM;
		words->tags = tags;
	}
	tags[words->tag_count].name = malloc(length + 1);
	if (!tags[words->tag_count].name)
		return -ENOMEM;
	memcpy(tags[words->tag_count].name, name, length + 1);
	*id = tags[words->tag_count++].id = words->patterns++;
	return 0;
}

static int
compare_tags(const void *a, const void *b)
{
	return strcmp(((const struct tag *)a)->name, ((const struct tag *)b)->name);
}

/* Links one node, its shallower ones being linked already. */
static void
link_node(struct words *words, int index)
{
	struct node *node = &words->nodes[index];
	int at, next = -1;

	if (node->parent <= 0) {
		node->fail = 0;
		return;
	}
	at = words->nodes[node->parent].fail;
	while ((next = follow(words, at, node->symbol)) < 0 && at != 0)
		at = words->nodes[at].fail;
	node->fail = next < 0 ? 0 : next;
	node->suffix = words->nodes[node->fail].pattern >= 0 ? node->fail : words->nodes[node->fail].suffix;
}

static int
depth_of(const struct words *words, int index)
{
	int depth = 0;

	while (words->nodes[index].parent >= 0) {
		index = words->nodes[index].parent;
		depth++;
	}
	return depth;
}

/* Breadth first: order by depth with a counting sort, as a pattern is at most a few hundred symbols deep. */
int
words_finish(struct words *words)
{
	int count = words->node_count, *depth = calloc((size_t)count, sizeof(int)), *order = calloc((size_t)count, sizeof(int));
	int *start = calloc((size_t)count + 1, sizeof(int));
	bool good = depth && order && start;

	if (good) {
		for (int i = 0; i < count; i++)
			start[1 + (depth[i] = depth_of(words, i))]++;
		for (int i = 0; i < count; i++)
			start[i + 1] += start[i];
		for (int i = 0; i < count; i++)
			order[start[depth[i]]++] = i;
		for (int i = 1; i < count; i++)
			link_node(words, order[i]);
		if (words->tag_count > 1)
			qsort(words->tags, words->tag_count, sizeof(*words->tags), compare_tags);
	}
	free(depth);
	free(order);
	free(start);
	return good ? 0 : -ENOMEM;
}

/* ---- looking ---- */

static void
mark(struct words_found *found, int id)
{
	found->bits[id / 8] = (unsigned char)(found->bits[id / 8] | 1u << (id % 8));
}

bool
words_has(const struct words_found *found, int id)
{
	return found->bits[id / 8] & 1u << (id % 8);
}

static void
scan_words(const struct words *words, const char *text, size_t size, struct words_found *found)
{
	struct stream stream;
	int32_t symbol;
	int at = 0, next;

	stream_open(&stream, text, size);
	while (stream_next(&stream, &symbol)) {
		while ((next = follow(words, at, symbol)) < 0 && at != 0)
			at = words->nodes[at].fail;
		at = next < 0 ? 0 : next;
		if (words->nodes[at].pattern >= 0)
			mark(found, words->nodes[at].pattern);
		for (int hit = words->nodes[at].suffix; hit >= 0; hit = words->nodes[hit].suffix)
			mark(found, words->nodes[hit].pattern);
	}
}

static void
scan_tags(const struct words *words, const char *text, size_t size, struct words_found *found)
{
	struct tags tags;
	char name[TAGS_FOLDED_MAX];

	tags_open(&tags, text, size);
	while (tags_next(&tags, name)) {
		struct tag key = { .name = name };
		const struct tag *tag = bsearch(&key, words->tags, words->tag_count, sizeof(key), compare_tags);

		if (tag)
			mark(found, tag->id);
	}
}

void
words_scan(const struct words *words, const char *text, struct words_found *found)
{
	size_t size = strlen(text);

	memset(found, 0, sizeof(*found));
	if (words->node_count > 1)
		scan_words(words, text, size, found);
	if (words->tag_count > 0)
		scan_tags(words, text, size, found);
}

bool
words_begins_with_tag(const char *text, const char *name)
{
	struct tags tags;
	char first[TAGS_FOLDED_MAX];

	text += strspn(text, " \t\r\n");
	if (*text != '#')
		return false;
	tags_open(&tags, text, strlen(text));
	/* the first tag may stand later: then the text begins with something else, a room alias for instance */
	return tags_next(&tags, first) && strcmp(first, name) == 0
			&& !memchr(text + 1, '#', (size_t)(tags.p - text - 1));
}
