/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_MIGRATIONS_H
#define STORE_MIGRATIONS_H

#include "base/mem.h"

struct sqlite3;

/*
 * Brings a database to the schema of this program: a new one by schema.sql, an old one by numbered steps
 * (PRAGMA user_version), each in a transaction of its own.
 * 0; STORE_E_NEWER: made by a later program; STORE_E_CORRUPT: not ours, or broken; -errno: our machine failed, and nothing is wrong with it.
 */
int migrations_run(struct sqlite3 *db) MUST_USE;

/* Looks only: 0: up to date; STORE_E_OLDER, STORE_E_NEWER, STORE_E_CORRUPT; -errno. */
int migrations_look(struct sqlite3 *db) MUST_USE;

/* What the last failure was: STORE_E_CORRUPT when it is the database's, else -errno (-ENOSPC: a full disk). */
int migrations_fault(struct sqlite3 *db) MUST_USE;

#endif
