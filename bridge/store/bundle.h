/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_BUNDLE_H
#define STORE_BUNDLE_H

/*
 * A backup is one file: a copy of the database (store_copy_begin()) in which a further table holds the files that belong to
 * it. So one rename makes it, and one integrity check tells whether it is whole.
 */

#include "base/mem.h"
#include "store/store.h"

#include <stddef.h>
#include <stdint.h>

struct bundle;

/* Makes a backup of the copied database at `path`: adds the table. 0; -EIO. */
int bundle_make(struct bundle **out, const char *path) MUST_USE;
/* Adds a file under a name of our own ("registration", "charter/marketing"). 0; -EIO. */
int bundle_put(struct bundle *bundle, const char *name, const void *p, size_t n) MUST_USE;

/* Opens a backup, for reading, and checks every page of it. 0; STORE_E_NEWER; STORE_E_CORRUPT: damaged, or none; -errno. */
int bundle_open(struct bundle **out, const char *path) MUST_USE;
/* A file of it: malloc'd, NUL-terminated beyond *n, the caller's; NULL when it has none of this name. */
char *bundle_get(struct bundle *bundle, const char *name, size_t *n) MUST_USE;
/* Every file whose name begins so; `name` without that beginning. */
void bundle_each(struct bundle *bundle, const char *beginning, void (*each)(void *context, const char *name, const char *p, size_t n),
		void *context);
/* A value of the database's table meta; malloc'd, NULL when there is none. */
char *bundle_meta(struct bundle *bundle, const char *key) MUST_USE;

/*
 * Writes the database, without the table of files, to `path` (which must not exist), and notes in it that it was restored:
 * meta "restored" is "TAKEN_MS LAST_SEQ", see core/restored.h. 0; -EIO.
 */
int bundle_unpack(struct bundle *bundle, const char *path, int64_t taken_ms) MUST_USE;

/* Commits what was put. 0; -EIO. NULL is fine. */
int bundle_close(struct bundle *bundle);

#endif
