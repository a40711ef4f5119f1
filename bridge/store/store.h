/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

/*
 * The database: the only user of SQLite. One connection, WAL, synchronous=FULL (delivery.md 3.2).
 * Statements are an enum and a table (statements.h), prepared once; callers bind and step through this header.
 * Writes go into the turn's transaction, opened by the first of them and committed by store_commit().
 * A failed fsync aborts the process: the kernel may already have dropped the pages.
 */

#include "base/mem.h"
#include "store/statements.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;

enum { STORE_E_NEWER = 1, STORE_E_CORRUPT = 2, STORE_E_NETWORK = 3, STORE_E_LOCKED = 4, STORE_E_OLDER = 5 };

/*
 * Opens DIR/sourdine.db, made when missing (*created tells), and locks the directory against a second daemon.
 * 0; STORE_E_NEWER: its schema is newer than this program; STORE_E_CORRUPT; STORE_E_NETWORK: a network file system;
 * STORE_E_LOCKED: another process has it; -errno.
 */
int store_open(struct store **out, const char *directory, bool *created) MUST_USE;
/*
 * The same for a look at it while no daemon runs: writes nothing, takes no lock, brings no schema up to date (STORE_E_OLDER).
 * Only reading statements may be asked for.
 */
int store_open_reading(struct store **out, const char *directory) MUST_USE;
void store_close(struct store *store);

/*
 * A consistent copy of the open database in a new file, made piece by piece, so that a running daemon goes on in between; what
 * is written meanwhile is in it. The file (0600) is complete when step() says 0, but on the disk only after an fsync.
 */
struct store_copy;
/* 0; -EEXIST; -errno. */
int store_copy_begin(struct store_copy **out, struct store *store, const char *path) MUST_USE;
/* 0: complete; 1: call again (nothing is done while a transaction is open); -ENOSPC, -EIO. */
int store_copy_step(struct store_copy *copy) MUST_USE;
/* An incomplete file is removed. NULL is fine. */
void store_copy_end(struct store_copy *copy);

/* Only the lock of a state directory, for whoever replaces its database: *fd is to be closed. 0; STORE_E_LOCKED; -errno. */
int store_lock(const char *directory, int *fd) MUST_USE;

/* SQLite's version: "3.40.1". */
const char *store_engine(void);

/* One run of a statement: bind in the order of its parameters, step, read columns, done. */
struct query {
	struct store *store;
	struct sqlite3_stmt *statement;
	int bound;
};

struct query store_query(struct store *store, enum statement statement);
void query_int(struct query *query, int64_t value);
void query_text(struct query *query, const char *text); /* NULL is SQL's NULL; borrowed until query_done() */
void query_blob(struct query *query, const void *p, size_t n); /* p NULL is SQL's NULL */
/* True: a row is there. False: no more rows, or the write is made. A failing statement is logged and remembered by the transaction. */
bool query_step(struct query *query);
int64_t query_get_int(struct query *query, int column);
const char *query_get_text(struct query *query, int column); /* lent until the next step; NULL for NULL */
const void *query_get_blob(struct query *query, int column, size_t *n);
void query_done(struct query *query);
/* step and done, for a write. */
void query_run(struct query *query);
/* The same for a question: whether there is a row. */
bool query_any(struct query *query);
/* The same: the number in its first column, 0 when there is no row. */
int64_t query_number(struct query *query);
/* A write that wants one number, whole. */
void store_run_for(struct store *store, enum statement statement, int64_t number);
/*
 * A single named value of this database, not a row of anything. get: false when there is none or it does not fit into `size`
 * bytes with its NUL; `out` is then "". set: replaces what was there, in the turn's transaction.
 */
bool store_get_value(struct store *store, const char *name, char *out, size_t size);
void store_set_value(struct store *store, const char *name, const char *value);

int64_t store_last_id(struct store *store);
int store_changes(struct store *store);

/* Whether a statement of the open transaction failed: what was asked for cannot be kept. */
bool store_failed(const struct store *store);

/*
 * Commits the turn's transaction, if one is open. 0; -ENOSPC or -EIO when it could not be (it was rolled back, callbacks of
 * store_after_commit() are called with done = false).
 */
int store_commit(struct store *store) MUST_USE;
/* A part that can fail alone: an error inside undoes only what came since. */
void store_savepoint(struct store *store);
/* True: kept. False: something failed (or `keep` was false) and was undone. */
bool store_release(struct store *store, bool keep);

/* Somebody waits for the commit, or the transaction cannot be kept anyway: it should end before more is written. */
bool store_is_awaited(const struct store *store);

/* Runs once after the next commit (done), or when it failed. */
void store_after_commit(struct store *store, void (*then)(void *context, bool done), void *context);

/*
 * Whether the disk has room for more: at least the larger of 5 % and 256 MiB free (a quarter of a disk below 1 GiB), and 5 %
 * of its inodes (delivery.md 11). Asks the file system each time. A failed question counts as room.
 */
bool store_has_space(const struct store *store);

/* Whether the last commit failed. */
bool store_broken(const struct store *store);
/* Gives up what the open transaction holds; callbacks run with done = false. */
void store_abandon(struct store *store);
/* After a failed commit: frees the ballast and tries a small commit. 0: writing works again. -ENOSPC or -EIO: not yet. */
int store_probe(struct store *store) MUST_USE;
/* Lays the ballast down again when there is room for it: 16 MiB that a full disk gives back, so that confirmations commit. */
void store_keep_ballast(struct store *store);

/* PRAGMA quick_check: 0, or STORE_E_CORRUPT and its first line in `why`. */
int store_verify(struct store *store, char *why, size_t size) MUST_USE;
/* The same by PRAGMA integrity_check, which also compares the indices and takes longer. */
int store_verify_whole(struct store *store, char *why, size_t size) MUST_USE;

/* Bytes of database and WAL. */
int64_t store_size(struct store *store);

#endif
