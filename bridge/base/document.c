/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libyaml makes a tree of nodes, each of which knows its place. It gives scalars as they were written, so nothing is guessed
 * here: what digits, or "yes", are to mean is known to who asked for the key.
 */
#include "base/document.h"

#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
complain_at(struct document *document, yaml_mark_t mark, const char *sentence)
{
	snprintf(document->why, document->size, "%s:%zu:%zu: %s", document->path, mark.line + 1, mark.column + 1, sentence);
	/* A key may have been written over several lines; the sentence has one. */
	for (char *p = document->why; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			*p = ' ';
	return DOCUMENT_E_BAD;
}

int
document_complain(struct document *document, const yaml_node_t *at, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	AUTO_FREE char *sentence = xvasprintf(format, args);
	va_end(args);
	return complain_at(document, at ? at->start_mark : (yaml_mark_t){ 0, 0, 0 }, sentence);
}

/* ---- nodes ---- */

const char *
document_text(const yaml_node_t *node)
{
	return node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : NULL;
}

bool
document_is_clean(const yaml_node_t *scalar)
{
	const char *text = document_text(scalar);

	return strlen(text) == scalar->data.scalar.length && str_is_clean(text, strlen(text));
}

bool
document_is_nothing(const yaml_node_t *node)
{
	const char *text = document_text(node);

	return text && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
		(*text == '\0' || str_equal(text, "~") || str_equal(text, "null"));
}

static yaml_node_t *
node_at(struct document *document, int index)
{
	return yaml_document_get_node(&document->yaml, index);
}

static const yaml_node_pair_t *
find_pair(struct document *document, const yaml_node_t *mapping, const char *name, size_t n)
{
	for (const yaml_node_pair_t *pair = mapping->data.mapping.pairs.start; pair < mapping->data.mapping.pairs.top; pair++) {
		const yaml_node_t *key = node_at(document, pair->key);
		const char *text = document_text(key);
		if (text && key->data.scalar.length == n && memcmp(text, name, n) == 0)
			return pair;
	}
	return NULL;
}

const yaml_node_t *
document_find_key(struct document *document, const yaml_node_t *mapping, const char *name, size_t n)
{
	const yaml_node_pair_t *pair = find_pair(document, mapping, name, n);

	return pair ? node_at(document, pair->key) : NULL;
}

char *
document_show_key(const char *key)
{
	return xstrndup(key, *key == '@' ? strlen(key) : strcspn(key, ": \t\r\n"));
}

static int
check_key(struct document *document, const yaml_node_t *mapping, const yaml_node_pair_t *pair)
{
	const yaml_node_t *at = node_at(document, pair->key);
	const char *key = document_text(at);

	if (!key || !document_is_clean(at))
		return document_complain(document, at, "a key must be a word");
	const yaml_node_pair_t *first = find_pair(document, mapping, key, strlen(key));
	if (first == pair)
		return 0;
	AUTO_FREE char *shown = document_show_key(key);
	return document_complain(document, at, "\"%s\" stands here twice (first in line %zu)", shown,
			node_at(document, first->key)->start_mark.line + 1);
}

int
document_each(struct document *document, const yaml_node_t *mapping,
		int (*each)(void *context, const char *key, const yaml_node_t *at, const yaml_node_t *value), void *context)
{
	int r = 0;

	for (const yaml_node_pair_t *pair = mapping->data.mapping.pairs.start; !r && pair < mapping->data.mapping.pairs.top; pair++) {
		const yaml_node_t *at = node_at(document, pair->key);
		r = check_key(document, mapping, pair);
		if (!r)
			r = each(context, document_text(at), at, node_at(document, pair->value));
	}
	return r;
}

/* ---- the whole ---- */

/* libyaml's complaint; one about bytes that are no UTF-8 carries an offset only. */
static int
complain_yaml(struct document *document, const yaml_parser_t *parser, const char *text)
{
	yaml_mark_t mark = parser->problem_mark;
	AUTO_FREE char *sentence = xasprintf("no YAML: %s", parser->problem ? parser->problem : "it cannot be read");

	if (parser->error == YAML_READER_ERROR) {
		mark = (yaml_mark_t){ 0, 0, 0 };
		for (size_t i = 0; i < parser->problem_offset && text[i]; i++) {
			mark.column = text[i] == '\n' ? 0 : mark.column + 1;
			mark.line += text[i] == '\n';
		}
	}
	return complain_at(document, mark, sentence);
}

static int
walk_top(struct document *document, int (*walk)(void *context, const yaml_node_t *root), void *context)
{
	const yaml_node_t *root = yaml_document_get_root_node(&document->yaml);

	if (!root)
		return document_complain(document, NULL, "it is empty");
	if (root->type != YAML_MAPPING_NODE)
		return document_complain(document, root, "it must hold keys and values");
	return walk(context, root);
}

static int
load(struct document *document, yaml_parser_t *parser, const char *text)
{
	return yaml_parser_load(parser, &document->yaml) ? 0 : complain_yaml(document, parser, text);
}

int
document_read(struct document *document, const char *text, size_t size,
		int (*walk)(void *context, const yaml_node_t *root), void *context)
{
	yaml_parser_t parser;

	if (!yaml_parser_initialize(&parser))
		return document_complain(document, NULL, "out of memory");
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
	int r = load(document, &parser, text);
	if (!r) {
		r = walk_top(document, walk, context);
		yaml_document_delete(&document->yaml);
	}
	if (!r)
		r = load(document, &parser, text);
	if (!r) {
		const yaml_node_t *second = yaml_document_get_root_node(&document->yaml);
		if (second)
			r = document_complain(document, second, "a second document begins here");
		yaml_document_delete(&document->yaml);
	}
	yaml_parser_delete(&parser);
	return r;
}
