/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gettext's catalogues, read by ourselves: glibc chooses them by the process's locale, and since 2.39 it has no way left to change
 * the language within one process on a machine without generated locales (it takes C.UTF-8 for C and ignores LANGUAGE).
 * The format is that of msgfmt ("The Format of GNU MO Files", gettext manual §10.3), in our own byte order, read whole and
 * checked once. Catalogues stay for the life of the process.
 */
#include "base/text.h"

#include "base/config.h"
#include "base/list.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC 0x950412deU
#define FILE_MAX (4u << 20)

struct catalogue {
	struct list link; /* catalogues */
	char *language;   /* owns */
	char *bytes;      /* owns, with one NUL more; NULL: there is none */
	uint32_t size, count, msgids, texts; /* numbers and offsets of the header */
};

static struct list catalogues = { &catalogues, &catalogues }; /* owns: catalogue::link */

static bool
is_english(const char *language)
{
	return !language || !*language || str_equal(language, "en");
}

/* "fr", "pt_BR": nothing that could leave the folder. */
static bool
is_name(const char *language)
{
	return strlen(language) <= 16 && strspn(language, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_") == strlen(language);
}

static uint32_t
number_at(const struct catalogue *catalogue, uint32_t offset)
{
	uint32_t number;

	memcpy(&number, catalogue->bytes + offset, sizeof(number));
	return number;
}

/* The string of a table's row; its NUL lies within the file, or the file was refused. */
static const char *
string_at(const struct catalogue *catalogue, uint32_t table, uint32_t row)
{
	return catalogue->bytes + number_at(catalogue, table + 8 * row + 4);
}

static bool
is_table(const struct catalogue *catalogue, uint32_t table)
{
	if (table > catalogue->size || catalogue->count > (catalogue->size - table) / 8)
		return false;
	for (uint32_t row = 0; row < catalogue->count; row++) {
		uint32_t length = number_at(catalogue, table + 8 * row), offset = number_at(catalogue, table + 8 * row + 4);
		if (offset >= catalogue->size || length >= catalogue->size - offset)
			return false;
	}
	return true;
}

static bool
understand(struct catalogue *catalogue)
{
	if (catalogue->size < 28 || number_at(catalogue, 0) != MAGIC)
		return false;
	catalogue->count = number_at(catalogue, 8);
	catalogue->msgids = number_at(catalogue, 12);
	catalogue->texts = number_at(catalogue, 16);
	return is_table(catalogue, catalogue->msgids) && is_table(catalogue, catalogue->texts);
}

static void
read_file(struct catalogue *catalogue)
{
	const char *directory = config_environment(CONFIG_ENV_LOCALEDIR);
	AUTO_FREE char *path = xasprintf("%s/%s/LC_MESSAGES/sourdine.mo", directory ? directory : LOCALEDIR, catalogue->language);
	FILE *file = is_name(catalogue->language) ? fopen(path, "re") : NULL;

	if (!file)
		return;
	char *bytes = xmalloc(FILE_MAX);
	size_t size = fread(bytes, 1, FILE_MAX - 1, file);
	fclose(file);
	bytes[size] = '\0';
	catalogue->bytes = xrealloc(bytes, size + 1);
	catalogue->size = (uint32_t)size;
	if (understand(catalogue))
		return;
	free(catalogue->bytes);
	catalogue->bytes = NULL;
}

static const struct catalogue *
find_catalogue(const char *language)
{
	struct catalogue *catalogue;

	LIST_FOR_EACH(catalogue, &catalogues, struct catalogue, link)
		if (strcmp(catalogue->language, language) == 0)
			return catalogue;
	catalogue = xcalloc(1, sizeof(*catalogue));
	catalogue->language = xstrdup(language);
	read_file(catalogue);
	list_append(&catalogues, &catalogue->link);
	return catalogue;
}

/* msgids stand sorted. */
static const char *
look_up(const struct catalogue *catalogue, const char *msgid)
{
	uint32_t low = 0, high = catalogue->bytes ? catalogue->count : 0;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int order = strcmp(msgid, string_at(catalogue, catalogue->msgids, middle));
		if (order == 0)
			return string_at(catalogue, catalogue->texts, middle);
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

const char *
text_in(const char *language, const char *msgid)
{
	if (is_english(language) || !*msgid)
		return msgid;
	const char *text = look_up(find_catalogue(language), msgid);
	return text && *text ? text : msgid;
}

int
text_knows(const char *language)
{
	return is_english(language) || find_catalogue(language)->bytes;
}
