/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CONFIG_KEYS_H
#define BASE_CONFIG_KEYS_H

/* The table of keys: what sourdine.yaml(5) may hold, and where each value goes. For config.c and config_walk.c only. */

#include "base/config.h"

enum config_kind {
	KIND_TEXT,
	KIND_PATH,  /* made relative to the file's directory */
	KIND_URL,   /* loses the slashes at its end */
	KIND_PORT,
	KIND_COUNT, /* a number from 0 to 10000 */
	KIND_SPAN,  /* "14d", "36h": kept in hours */
	KIND_FLAG,
	KIND_PEOPLE, /* permissions: */
	KIND_GROUPS,
	KIND_LATER,  /* a word of later releases */
};

struct config_row {
	const char *name; /* of its section and itself; "*" stands for the name of a group */
	enum config_kind kind;
	bool required;    /* only texts are */
	size_t offset;    /* in struct config; below groups.*, in struct config_group */
	const char *fallback;
	const char *(*judge)(const char *value); /* NULL when good, else the rest of `"key" ...` */
};

/* Both end with a row without a name. */
extern const struct config_row config_rows[];
extern const struct config_row config_registration_rows[];

/* `section` ends with its dot; "" is the whole file. NULL when the section has no such key. */
const struct config_row *config_keys_find(const char *section, const char *key);
/* Whether keys begin with `name`, which ends with its dot. */
bool config_keys_is_section(const char *name);
/* The nearest key of the section, else one of another section; false when none is near. */
bool config_keys_nearest(const char *section, const char *key, char *out, size_t size);

/* Puts a value that the row's judge() found good, or its fallback, into `base`: a struct config, or a struct config_group. */
void config_keys_set(const struct config_row *row, const char *text, const char *directory, void *base);
/* Where `base` has the row's text; NULL when it is no text. */
char **config_keys_text(const struct config_row *row, void *base);
/* Whether two of them have the same value there; permissions and groups are not looked at. */
bool config_keys_same(const struct config_row *row, const void *one, const void *other);
/* Frees all texts of a struct config, or of a struct config_group. */
void config_keys_free(void *base, bool group);

/* judge() of a bare JID. */
const char *config_judge_jid(const char *value);

#endif
