/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_DOCUMENT_H
#define BASE_DOCUMENT_H

/*
 * A file with one YAML document, whose top is keys and values. It is read strictly: a key is a word and stands once, and the
 * first thing that is wrong is one sentence with file:line:col. The only home of libyaml; nodes live while document_read() runs.
 */

#include "base/mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <yaml.h>

enum { DOCUMENT_E_BAD = 1 };

struct document {
	const char *path; /* for complaints; lent */
	char *why;        /* the caller's, of `size` bytes: what is wrong */
	size_t size;
	yaml_document_t yaml; /* document_read()'s own */
};

/* Calls walk() on the top of the text. 0; DOCUMENT_E_BAD and a complaint; what walk() returned. */
int document_read(struct document *document, const char *text, size_t size,
		int (*walk)(void *context, const yaml_node_t *root), void *context) MUST_USE;
/* Calls each() for every pair of a mapping until one does not return 0, which is then returned. Or DOCUMENT_E_BAD: of a bad key. */
int document_each(struct document *document, const yaml_node_t *mapping,
		int (*each)(void *context, const char *key, const yaml_node_t *at, const yaml_node_t *value), void *context) MUST_USE;
/* The first key of a mapping that has these `n` bytes, or NULL. */
const yaml_node_t *document_find_key(struct document *document, const yaml_node_t *mapping, const char *name, size_t n);

/* Writes "FILE:LINE:COLUMN: SENTENCE", on one line. `at` NULL is the top of the file. Returns DOCUMENT_E_BAD. */
int document_complain(struct document *document, const yaml_node_t *at, const char *format, ...) PRINTF_LIKE(3, 4);

/* As much of a key as may be shown: behind a colon without a space there may be a secret that was to be its value. malloc'd. */
char *document_show_key(const char *key) MUST_USE;

/* As it was written, without quotes; NULL when it is a list or a section. Lent. */
const char *document_text(const yaml_node_t *node);
/* Whether a text has no control characters, and is UTF-8. */
bool document_is_clean(const yaml_node_t *scalar);
/* Whether nothing was written, "~" or "null". */
bool document_is_nothing(const yaml_node_t *node);

#endif
