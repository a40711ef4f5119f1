/* SPDX-License-Identifier: Apache-2.0 */
/* Plain SQLite, on a connection of its own; nothing here is in a hurry. */
#include "store/bundle.h"

#include "base/log.h"
#include "store/migrations.h"

#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct bundle {
	sqlite3 *db;
};

static bool
run(sqlite3 *db, const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK)
		return true;
	log_error(LOG_STORE, "backup failed error=\"%s\"", sqlite3_errmsg(db));
	return false;
}

static int
open_at(struct bundle **out, const char *path, int flags)
{
	struct bundle *bundle = xcalloc(1, sizeof(*bundle));

	if (sqlite3_open_v2(path, &bundle->db, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
		bundle_close(bundle);
		return -EIO;
	}
	*out = bundle;
	return 0;
}

int
bundle_make(struct bundle **out, const char *path)
{
	struct bundle *bundle;
	int r = open_at(&bundle, path, SQLITE_OPEN_READWRITE);

	if (r)
		return r;
	/* One file: the copy says that it has a WAL, as the original. */
	if (!run(bundle->db, "PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL;"
			"CREATE TABLE backup_file (name TEXT PRIMARY KEY, content BLOB NOT NULL) WITHOUT ROWID")) {
		bundle_close(bundle);
		return -EIO;
	}
	*out = bundle;
	return 0;
}

int
bundle_put(struct bundle *bundle, const char *name, const void *p, size_t n)
{
	sqlite3_stmt *statement;
	int r = sqlite3_prepare_v2(bundle->db, "INSERT INTO backup_file (name, content) VALUES (?, ?)", -1, &statement, NULL);

	if (r != SQLITE_OK)
		return -EIO;
	sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
	sqlite3_bind_blob64(statement, 2, n ? p : "", n, SQLITE_STATIC);
	r = sqlite3_step(statement);
	sqlite3_finalize(statement);
	return r == SQLITE_DONE ? 0 : -EIO;
}

/* The first column of the first row as text. malloc'd; NULL when there is none. */
static char *
ask(sqlite3 *db, const char *sql, const char *value)
{
	sqlite3_stmt *statement;
	char *text = NULL;

	if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
		return NULL;
	if (value)
		sqlite3_bind_text(statement, 1, value, -1, SQLITE_STATIC);
	if (sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_text(statement, 0))
		text = xstrdup((const char *)sqlite3_column_text(statement, 0));
	sqlite3_finalize(statement);
	return text;
}

static int
look(struct bundle *bundle)
{
	AUTO_FREE char *whole = ask(bundle->db, "PRAGMA integrity_check(1)", NULL);
	AUTO_FREE char *table = ask(bundle->db, "SELECT name FROM sqlite_schema WHERE name = 'backup_file'", NULL);

	if (!whole || strcmp(whole, "ok") != 0 || !table)
		return STORE_E_CORRUPT;
	int r = migrations_look(bundle->db);
	return r == STORE_E_OLDER ? 0 : r;
}

int
bundle_open(struct bundle **out, const char *path)
{
	struct bundle *bundle;

	if (access(path, R_OK) < 0)
		return -errno;
	int r = open_at(&bundle, path, SQLITE_OPEN_READONLY);
	if (r)
		return r;
	r = look(bundle);
	if (r) {
		bundle_close(bundle);
		return r;
	}
	*out = bundle;
	return 0;
}

char *
bundle_get(struct bundle *bundle, const char *name, size_t *n)
{
	sqlite3_stmt *statement;
	char *copy = NULL;

	if (sqlite3_prepare_v2(bundle->db, "SELECT content FROM backup_file WHERE name = ?", -1, &statement, NULL) != SQLITE_OK)
		return NULL;
	sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
	if (sqlite3_step(statement) == SQLITE_ROW) {
		const void *p = sqlite3_column_blob(statement, 0);
		*n = (size_t)sqlite3_column_bytes(statement, 0);
		copy = xcalloc(1, *n + 1);
		if (*n)
			memcpy(copy, p, *n);
	}
	sqlite3_finalize(statement);
	return copy;
}

void
bundle_each(struct bundle *bundle, const char *beginning, void (*each)(void *context, const char *name, const char *p, size_t n),
		void *context)
{
	sqlite3_stmt *statement;

	if (sqlite3_prepare_v2(bundle->db, "SELECT name, content FROM backup_file ORDER BY name", -1, &statement, NULL) != SQLITE_OK)
		return;
	while (sqlite3_step(statement) == SQLITE_ROW) {
		const char *name = (const char *)sqlite3_column_text(statement, 0), *p = sqlite3_column_blob(statement, 1);
		if (strncmp(name, beginning, strlen(beginning)) == 0)
			each(context, name + strlen(beginning), p ? p : "", (size_t)sqlite3_column_bytes(statement, 1));
	}
	sqlite3_finalize(statement);
}

char *
bundle_meta(struct bundle *bundle, const char *key)
{
	return ask(bundle->db, "SELECT value FROM meta WHERE key = ?", key);
}

static int
copy_all(sqlite3 *from, sqlite3 *to)
{
	sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");

	if (!backup)
		return -EIO;
	int r = sqlite3_backup_step(backup, -1);
	sqlite3_backup_finish(backup);
	return r == SQLITE_DONE ? 0 : -EIO;
}

int
bundle_unpack(struct bundle *bundle, const char *path, int64_t taken_ms)
{
	sqlite3 *db = NULL;
	int r = -EIO;

	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK)
		r = copy_all(bundle->db, db);
	if (!r) {
		AUTO_FREE char *sql = xasprintf("PRAGMA secure_delete = ON; BEGIN; DROP TABLE backup_file; INSERT OR REPLACE INTO meta (key, value)"
				" SELECT 'restored', '%" PRId64 " ' || coalesce(max(seq), 0) FROM inbox; COMMIT", taken_ms);
		r = run(db, sql) ? 0 : -EIO;
	}
	sqlite3_close(db);
	return r;
}

int
bundle_close(struct bundle *bundle)
{
	if (!bundle)
		return 0;
	int r = sqlite3_close(bundle->db) == SQLITE_OK ? 0 : -EIO;
	free(bundle);
	return r;
}
