/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQLite behind a table of prepared statements. One connection (with two, SQLite before 3.51.3 can corrupt its WAL);
 * the transaction of a turn begins with its first write and ends in store_commit(), and whoever must answer
 * for a write is called back after it.
 */
#include "store/store.h"

#include "base/disk.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/str.h"
#include "store/migrations.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define CHECKPOINT_PAGES 1000
#define BALLAST_BYTES (16 << 20)

struct callback {
	struct callback *next;
	void (*then)(void *context, bool done);
	void *context;
};

struct store {
	sqlite3 *db;
	char *path, *ballast; /* owns */
	int lock;
	bool open, failed, full, in_part, broken;
	sqlite3_stmt *statements[STATEMENT_COUNT];
	struct callback *first, **last; /* owns */
};

static const char *const statement_sql[STATEMENT_COUNT] = {
#define X(name, sql) [name] = sql,
	STATEMENTS(X)
#undef X
};

static const char *const statement_names[STATEMENT_COUNT] = {
#define X(name, sql) [name] = #name,
	STATEMENTS(X)
#undef X
};

/* Logs what failed and marks the transaction. A failed fsync ends the process: see the header. */
static void
note_failure(struct store *store, const char *what)
{
	int code = sqlite3_extended_errcode(store->db);

	log_error(LOG_STORE, "statement failed what=%s code=%d error=\"%s\"", what, code, sqlite3_errmsg(store->db));
	if (code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC) {
		log_error(LOG_STORE, "fsync failed: stopping, because what the disk kept is unknown");
		abort();
	}
	store->failed = true;
	/* A limit on the size of files (RLIMIT_FSIZE, a quota) shows as an error of writing, not as a full disk. */
	store->full |= (code & 0xFF) == SQLITE_FULL || code == SQLITE_IOERR_WRITE || code == SQLITE_IOERR_SHMSIZE;
}

static bool
run(struct store *store, const char *sql)
{
	if (sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK)
		return true;
	note_failure(store, sql);
	return false;
}

/* The same for what is run with every message. */
static bool
run_prepared(struct store *store, enum statement statement)
{
	bool good = sqlite3_step(store->statements[statement]) == SQLITE_DONE;

	if (!good)
		note_failure(store, statement_sql[statement]);
	sqlite3_reset(store->statements[statement]);
	return good;
}

/* Network file systems lose locks and lie about fsync. statfs(2) magic numbers. */
static bool
is_network(const char *directory)
{
	static const long magics[] = { 0x6969 /* NFS */, 0xFF534D42L /* CIFS */, 0x517B /* SMB */, 0xFE534D42L /* SMB2 */, 0x65735546 /* FUSE */ };
	struct statfs info;

	if (statfs(directory, &info) < 0)
		return false;
	for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++)
		if ((long)info.f_type == magics[i])
			return true;
	return false;
}

static int
take_lock(const char *directory, int *out)
{
	AUTO_FREE char *path = xasprintf("%s/lock", directory);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int error = errno == EWOULDBLOCK ? STORE_E_LOCKED : -errno;
		close(fd);
		return error;
	}
	*out = fd;
	return 0;
}

static int
configure(struct store *store)
{
	static const char *const pragmas[] = {
		"PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA foreign_keys = ON", "PRAGMA trusted_schema = OFF",
		"PRAGMA cell_size_check = ON", "PRAGMA mmap_size = 0", "PRAGMA journal_size_limit = 67108864",
		"PRAGMA secure_delete = ON", "PRAGMA cache_size = -1024", "PRAGMA temp_store = MEMORY",
	};

	sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_busy_timeout(store->db, 5000);
	for (size_t i = 0; i < sizeof(pragmas) / sizeof(pragmas[0]); i++)
		if (!run(store, pragmas[i]))
			return migrations_fault(store->db);
	sqlite3_wal_autocheckpoint(store->db, CHECKPOINT_PAGES);
	return 0;
}

static int
prepare_all(struct store *store)
{
	for (int i = 0; i < STATEMENT_COUNT; i++) {
		int r = sqlite3_prepare_v3(store->db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT, &store->statements[i], NULL);
		if (r != SQLITE_OK) {
			note_failure(store, statement_names[i]);
			return migrations_fault(store->db);
		}
	}
	return 0;
}

static void
drop_database(struct store *store)
{
	for (int i = 0; i < STATEMENT_COUNT; i++) {
		sqlite3_finalize(store->statements[i]);
		store->statements[i] = NULL;
	}
	sqlite3_close(store->db);
	store->db = NULL;
}

static bool
drop_ballast(struct store *store)
{
	if (unlink(store->ballast) < 0)
		return false;
	log_warning(LOG_STORE, "ballast freed bytes=%d: make room on this disk", BALLAST_BYTES);
	return true;
}

static int
try_database(struct store *store)
{
	const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;

	if (sqlite3_open_v2(store->path, &store->db, flags, NULL) != SQLITE_OK)
		return migrations_fault(store->db);
	int r = configure(store);
	if (!r)
		r = migrations_run(store->db);
	if (!r)
		r = prepare_all(store);
	return r;
}

static int
open_database(struct store *store, const char *directory, bool *created)
{
	struct stat info;

	store->path = xasprintf("%s/sourdine.db", directory);
	store->ballast = xasprintf("%s/ballast", directory);
	*created = stat(store->path, &info) < 0 && errno == ENOENT;
	int r = try_database(store);
	/* A start on a full disk: with what the ballast gives back it goes on, and takes nothing until there is room. */
	if (r == -ENOSPC && drop_ballast(store)) {
		drop_database(store);
		store->failed = store->full = false;
		r = try_database(store);
	}
	return r;
}

int
store_open(struct store **out, const char *directory, bool *created)
{
	if (is_network(directory))
		return STORE_E_NETWORK;
	mode_t old = umask(077);
	struct store *store = xcalloc(1, sizeof(*store));
	store->lock = -1;
	store->last = &store->first;
	int r = take_lock(directory, &store->lock);
	if (!r)
		r = open_database(store, directory, created);
	umask(old);
	if (r) {
		store_close(store);
		return r;
	}
	store_keep_ballast(store);
	*out = store;
	return 0;
}

/* SQLite's name of the file, for reading. Without a WAL nothing of it may change, so that nothing is made beside it either. */
static char *
reading_name(const char *path)
{
	AUTO_FREE char *wal = xasprintf("%s-wal", path);
	struct str name AUTO_STR;

	str_init(&name, 4 * PATH_MAX);
	str_add(&name, "file:");
	for (const char *at = path; *at; at++)
		if (strchr("?#%", *at))
			str_addf(&name, "%%%02x", (unsigned)(unsigned char)*at);
		else
			str_add_char(&name, *at);
	str_add(&name, access(wal, F_OK) == 0 ? "?mode=ro" : "?mode=ro&immutable=1");
	return xstrdup(str_get(&name));
}

int
store_open_reading(struct store **out, const char *directory)
{
	struct store *store = xcalloc(1, sizeof(*store));

	store->lock = -1;
	store->last = &store->first;
	store->path = xasprintf("%s/sourdine.db", directory);
	AUTO_FREE char *name = reading_name(store->path);
	int r = sqlite3_open_v2(name, &store->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI, NULL);
	if (r == SQLITE_OK) {
		sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
		r = migrations_look(store->db);
	} else {
		r = migrations_fault(store->db);
	}
	if (!r)
		r = prepare_all(store);
	if (r) {
		store_close(store);
		return r;
	}
	*out = store;
	return 0;
}

const char *
store_engine(void)
{
	return sqlite3_libversion();
}

void
store_close(struct store *store)
{
	if (!store)
		return;
	if (store->open)
		run(store, "ROLLBACK");
	drop_database(store);
	if (store->lock >= 0)
		close(store->lock);
	free(store->path);
	free(store->ballast);
	free(store);
}

static void
begin(struct store *store)
{
	if (!store->open && !store->failed)
		store->open = run_prepared(store, TURN_BEGIN);
}

struct query
store_query(struct store *store, enum statement statement)
{
	struct query query = { .store = store, .statement = store->statements[statement] };

	if (!sqlite3_stmt_readonly(query.statement))
		begin(store);
	return query;
}

void
query_int(struct query *query, int64_t value)
{
	sqlite3_bind_int64(query->statement, ++query->bound, value);
}

void
query_text(struct query *query, const char *text)
{
	sqlite3_bind_text(query->statement, ++query->bound, text, -1, SQLITE_STATIC);
}

void
query_blob(struct query *query, const void *p, size_t n)
{
	if (p)
		sqlite3_bind_blob64(query->statement, ++query->bound, p, n, SQLITE_STATIC);
	else
		sqlite3_bind_null(query->statement, ++query->bound);
}

/*
 * Some errors (a full disk, I/O) make SQLite roll the transaction back by itself. What the turn writes after that would
 * be committed alone, so it is not written at all.
 */
static bool
may_write(struct query *query)
{
	if (sqlite3_stmt_readonly(query->statement))
		return true;
	if (query->store->open && !sqlite3_get_autocommit(query->store->db))
		return true;
	query->store->failed = true;
	return false;
}

bool
query_step(struct query *query)
{
	if (!may_write(query))
		return false;
	int r = sqlite3_step(query->statement);

	if (r != SQLITE_ROW && r != SQLITE_DONE)
		note_failure(query->store, sqlite3_sql(query->statement));
	return r == SQLITE_ROW;
}

int64_t
query_get_int(struct query *query, int column)
{
	return sqlite3_column_int64(query->statement, column);
}

const char *
query_get_text(struct query *query, int column)
{
	return (const char *)sqlite3_column_text(query->statement, column);
}

const void *
query_get_blob(struct query *query, int column, size_t *n)
{
	const void *p = sqlite3_column_blob(query->statement, column);

	*n = (size_t)sqlite3_column_bytes(query->statement, column);
	return p;
}

void
query_done(struct query *query)
{
	sqlite3_reset(query->statement);
	sqlite3_clear_bindings(query->statement);
}

void
query_run(struct query *query)
{
	query_step(query);
	query_done(query);
}

void
store_run_for(struct store *store, enum statement statement, int64_t number)
{
	struct query query = store_query(store, statement);

	query_int(&query, number);
	query_run(&query);
}

bool
query_any(struct query *query)
{
	bool any = query_step(query);

	query_done(query);
	return any;
}

int64_t
query_number(struct query *query)
{
	int64_t number = query_step(query) ? query_get_int(query, 0) : 0;

	query_done(query);
	return number;
}

bool
store_get_value(struct store *store, const char *name, char *out, size_t size)
{
	struct query query = store_query(store, META_GET);

	query_text(&query, name);
	const char *value = query_step(&query) ? query_get_text(&query, 0) : NULL;
	bool found = value && strlen(value) < size;
	snprintf(out, size, "%s", found ? value : "");
	query_done(&query);
	return found;
}

void
store_set_value(struct store *store, const char *name, const char *value)
{
	struct query query = store_query(store, META_SET);

	query_text(&query, name);
	query_text(&query, value);
	query_run(&query);
}

int64_t
store_last_id(struct store *store)
{
	return sqlite3_last_insert_rowid(store->db);
}

int
store_changes(struct store *store)
{
	return sqlite3_changes(store->db);
}

bool
store_failed(const struct store *store)
{
	return store->failed;
}

bool
store_is_awaited(const struct store *store)
{
	return store->first || store->failed;
}

static void
call_back(struct store *store, bool done)
{
	struct callback *all = store->first;

	store->first = NULL;
	store->last = &store->first;
	while (all) {
		struct callback *next = all->next;
		all->then(all->context, done);
		free(all);
		all = next;
	}
}

static void
roll_back(struct store *store)
{
	if (!sqlite3_get_autocommit(store->db))
		sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
	store->open = store->in_part = false;
}

int
store_commit(struct store *store)
{
	int error = 0;

	/* A failed BEGIN leaves nothing open, and the failure must be heard all the same. */
	if (store->open || store->failed) {
		FAULT_POINT("before_commit");
		if (store->failed || !run_prepared(store, TURN_COMMIT))
			error = store->full ? -ENOSPC : -EIO;
		if (error)
			roll_back(store);
		store->open = false;
		store->broken = error != 0;
		metric_add(error ? METRIC_COMMITS_FAILED : METRIC_COMMITS, 1);
		FAULT_POINT("after_commit");
	}
	store->failed = store->full = false;
	call_back(store, error == 0);
	return error;
}

bool
store_broken(const struct store *store)
{
	return store->broken;
}

void
store_abandon(struct store *store)
{
	roll_back(store);
	store->failed = store->full = false;
	call_back(store, false);
}

/* ---- a full disk ---- */

bool
store_has_space(const struct store *store)
{
	struct disk disk;

	return !disk_look(store->path, &disk) || (!disk.low && !disk.low_inodes);
}

/* The ballast must not be what makes the disk short. */
static bool
has_space_for_ballast(const struct store *store)
{
	struct disk disk;

	if (!store_has_space(store) || !disk_look(store->path, &disk) || disk.free_bytes < BALLAST_BYTES)
		return false;
	return !disk_is_low((uint64_t)(disk.free_bytes - BALLAST_BYTES), (uint64_t)disk.size_bytes);
}

void
store_keep_ballast(struct store *store)
{
	struct stat info;

	if (stat(store->ballast, &info) == 0 || !has_space_for_ballast(store))
		return;
	int fd = open(store->ballast, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return;
	int error = posix_fallocate(fd, 0, BALLAST_BYTES);
	close(fd);
	if (error)
		unlink(store->ballast);
}

int
store_probe(struct store *store)
{
	(void)drop_ballast(store);
	store_set_value(store, "probe", "1");
	return store_commit(store);
}

void
store_savepoint(struct store *store)
{
	begin(store);
	store->in_part = run_prepared(store, PART_BEGIN);
}

bool
store_release(struct store *store, bool keep)
{
	bool good = keep && store->in_part && !store->failed;

	if (!good && store->in_part) {
		bool full = store->full;
		run_prepared(store, PART_UNDO);
		store->failed = store->full = full; /* a full disk fails the whole turn, anything else only this part */
	}
	if (store->in_part)
		run_prepared(store, PART_END);
	store->in_part = false;
	return good;
}

void
store_after_commit(struct store *store, void (*then)(void *context, bool done), void *context)
{
	struct callback *callback = xcalloc(1, sizeof(*callback));

	*callback = (struct callback){ .then = then, .context = context };
	*store->last = callback;
	store->last = &callback->next;
}

static int
verify(struct store *store, const char *sql, char *why, size_t size)
{
	sqlite3_stmt *check;

	snprintf(why, size, "%s", "cannot be read");
	if (sqlite3_prepare_v2(store->db, sql, -1, &check, NULL) != SQLITE_OK)
		return STORE_E_CORRUPT;
	if (sqlite3_step(check) == SQLITE_ROW)
		snprintf(why, size, "%s", (const char *)sqlite3_column_text(check, 0));
	sqlite3_finalize(check);
	return strcmp(why, "ok") == 0 ? 0 : STORE_E_CORRUPT;
}

int
store_verify(struct store *store, char *why, size_t size)
{
	return verify(store, "PRAGMA quick_check(1)", why, size);
}

int
store_verify_whole(struct store *store, char *why, size_t size)
{
	return verify(store, "PRAGMA integrity_check(1)", why, size);
}

int64_t
store_size(struct store *store)
{
	AUTO_FREE char *wal = xasprintf("%s-wal", store->path);
	struct stat info;
	int64_t size = 0;

	if (stat(store->path, &info) == 0)
		size += info.st_size;
	if (stat(wal, &info) == 0)
		size += info.st_size;
	return size;
}

/* ---- a copy ---- */

#define COPY_PAGES 128 /* a step: half a megabyte */

struct store_copy {
	struct store *store;
	sqlite3 *db;
	sqlite3_backup *backup;
	char *path; /* owns; NULL once it is complete */
};

int
store_copy_begin(struct store_copy **out, struct store *store, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return -errno;
	close(fd);
	struct store_copy *copy = xcalloc(1, sizeof(*copy));
	copy->store = store;
	copy->path = xstrdup(path);
	if (sqlite3_open_v2(path, &copy->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK &&
			sqlite3_exec(copy->db, "PRAGMA synchronous = OFF", NULL, NULL, NULL) == SQLITE_OK)
		copy->backup = sqlite3_backup_init(copy->db, "main", store->db, "main");
	if (!copy->backup) {
		store_copy_end(copy);
		return -EIO;
	}
	*out = copy;
	return 0;
}

int
store_copy_step(struct store_copy *copy)
{
	if (copy->store->open)
		return 1;
	int r = sqlite3_backup_step(copy->backup, COPY_PAGES);
	if (r == SQLITE_OK || r == SQLITE_BUSY || r == SQLITE_LOCKED)
		return 1;
	if (r != SQLITE_DONE)
		return (r & 0xFF) == SQLITE_FULL ? -ENOSPC : -EIO;
	free(copy->path);
	copy->path = NULL;
	return 0;
}

void
store_copy_end(struct store_copy *copy)
{
	if (!copy)
		return;
	if (copy->backup)
		sqlite3_backup_finish(copy->backup);
	sqlite3_close(copy->db);
	if (copy->path)
		unlink(copy->path);
	free(copy->path);
	free(copy);
}

int
store_lock(const char *directory, int *fd)
{
	return take_lock(directory, fd);
}
