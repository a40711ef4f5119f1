/* SPDX-License-Identifier: Apache-2.0 */
/* The rules are pure, so somebody has to fetch their bytes: here, for one-off use without a database. */
#include "cli/charter.h"

#include "base/config.h"
#include "base/str.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTES_MAX (1 << 20)

/* A whole file: 0 and *bytes (malloc'd), or -errno. */
static int
read_bytes(const char *path, struct str *bytes)
{
	char buffer[8192];
	size_t n;
	FILE *file = fopen(path, "re");

	if (!file)
		return -errno;
	while ((n = fread(buffer, 1, sizeof(buffer), file)) > 0)
		str_add_n(bytes, buffer, n);
	int error = ferror(file) ? -EISDIR : bytes->full ? -EFBIG : 0;
	fclose(file);
	return error;
}

static int
parse_file(struct rules **out, const char *path, char *why, size_t size)
{
	struct complaint complaint;
	struct str bytes;

	str_init(&bytes, BYTES_MAX);
	int r = read_bytes(path, &bytes);
	if (r) {
		snprintf(why, size, "%s: cannot be read: %s", path, strerror(-r));
		r = CHARTER_E_BAD;
	} else if ((r = rules_parse(out, str_get(&bytes), bytes.n, &complaint))) {
		*out = NULL;
		snprintf(why, size, "%s:%d:%d: %s", path, complaint.line, complaint.column, complaint.text);
		r = CHARTER_E_BAD;
	}
	str_fini(&bytes);
	return r;
}

static int
read_zone(struct charter *charter, const char *path, char *why, size_t size)
{
	const char *name = rules_zone_name(charter->rules);
	AUTO_FREE char *file = xasprintf("%s/%s", config_zones(), name);
	struct str bytes;

	if (str_equal(name, "UTC"))
		return 0;
	str_init(&bytes, BYTES_MAX);
	int r = *name == '/' || strstr(name, "..") ? -EINVAL : read_bytes(file, &bytes);
	if (!r)
		r = zone_parse(&charter->zone, str_get(&bytes), bytes.n);
	str_fini(&bytes);
	if (!r)
		return 0;
	snprintf(why, size, "%s: the time zone \"%s\" is unknown (%s); is tzdata installed?", path, name, file);
	return CHARTER_E_BAD;
}

/* The path of the site's charter beside `path`, or NULL when there is none or it is that one. malloc'd. */
static char *
find_site(const char *path)
{
	const char *slash = strrchr(path, '/');
	int directory = slash ? (int)(slash - path) + 1 : 0;
	char *site = xasprintf("%.*ssite.charter", directory, path);
	FILE *file = strcmp(site, path) == 0 ? NULL : fopen(site, "re");

	if (file) {
		fclose(file);
		return site;
	}
	free(site);
	return NULL;
}

int
charter_open(struct charter *charter, const char *path, char *why, size_t size)
{
	AUTO_FREE char *site = find_site(path);

	*charter = (struct charter){ 0 };
	int r = parse_file(&charter->rules, path, why, size);
	if (!r && site)
		r = parse_file(&charter->site, site, why, size);
	if (r)
		return r;
	rules_set_site(charter->rules, charter->site);
	r = read_zone(charter, path, why, size);
	if (r)
		return r;
	rules_set_zone(charter->rules, charter->zone);
	if (charter->site)
		rules_set_zone(charter->site, charter->zone);
	return 0;
}

void
charter_close(struct charter *charter)
{
	rules_free(charter->rules);
	rules_free(charter->site);
	zone_free(charter->zone);
	*charter = (struct charter){ 0 };
}
