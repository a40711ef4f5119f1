/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Version 1 is the first release's. A later version appends one entry to `steps` and changes schema.sql; entries are never
 * edited. The frozen old schemas lie in tests/schema/.
 */
#include "store/migrations.h"

#include "base/log.h"
#include "base/str.h"
#include "store/schema.h"
#include "store/store.h"

#include <sqlite3.h>
#include <stdio.h>

#define APPLICATION_ID 0x736F7264 /* "sord" */

/* steps[n] leads from version n + 1 to n + 2. */
static const char *const steps[] = {
	/* 2: the ledger, and strikes. What an older version judged is taken as settled; messages that wait are counted by their rows. */
	"ALTER TABLE inbox ADD COLUMN fate INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE inbox ADD COLUMN copies INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE outbox ADD COLUMN strikes INTEGER NOT NULL DEFAULT 0;"
	"UPDATE inbox SET fate = CASE state WHEN 2 THEN 1 WHEN 3 THEN 6 ELSE 0 END;"
	"UPDATE inbox SET fate = 2, copies = (SELECT count(*) FROM outbox WHERE inbox_seq = inbox.seq AND kind = 0)"
	" WHERE state = 2 AND EXISTS (SELECT 1 FROM outbox WHERE inbox_seq = inbox.seq AND kind = 0)",
	/* 3: plumbing from chat. */
	"CREATE TABLE plumbing ( grp TEXT PRIMARY KEY, matrix TEXT NOT NULL, xmpp TEXT NOT NULL, at_ms INTEGER NOT NULL, ended_ms INTEGER ) WITHOUT ROWID;"
	"CREATE TABLE visit ( address TEXT PRIMARY KEY, network INTEGER NOT NULL, person TEXT NOT NULL, until_ms INTEGER NOT NULL, hello INTEGER NOT NULL ) WITHOUT ROWID;"
	"CREATE TABLE request ( code TEXT PRIMARY KEY, network INTEGER NOT NULL, person TEXT NOT NULL, lane TEXT NOT NULL, room TEXT NOT NULL, source_id TEXT NOT NULL, home TEXT NOT NULL, away TEXT NOT NULL, told INTEGER NOT NULL, expires_ms INTEGER NOT NULL ) WITHOUT ROWID;"
	"CREATE TABLE refusal (room TEXT NOT NULL, person TEXT NOT NULL, grp TEXT NOT NULL, why INTEGER NOT NULL, hour INTEGER NOT NULL,"
	" count INTEGER NOT NULL, inbox_seq INTEGER NOT NULL, PRIMARY KEY (room, person, grp, why, hour)) WITHOUT ROWID;"
	"CREATE INDEX outbox_refused ON outbox (grp) WHERE state = 4;",
};
#define SCHEMA_VERSION (int)(sizeof(steps) / sizeof(steps[0]) + 1)

static int
pragma(sqlite3 *db, const char *sql, int *out)
{
	sqlite3_stmt *statement;

	if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
		return STORE_E_CORRUPT;
	int r = sqlite3_step(statement) == SQLITE_ROW ? 0 : STORE_E_CORRUPT;
	*out = sqlite3_column_int(statement, 0);
	sqlite3_finalize(statement);
	return r;
}

static int
apply(sqlite3 *db, const char *sql, int version)
{
	AUTO_FREE char *all = xasprintf("BEGIN IMMEDIATE; %s; PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT", sql,
			APPLICATION_ID, version);

	if (sqlite3_exec(db, all, NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	log_error(LOG_STORE, "migration failed to=%d error=\"%s\"", version, sqlite3_errmsg(db));
	sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return STORE_E_CORRUPT;
}

static int
create(sqlite3 *db)
{
	struct str sql AUTO_STR;

	str_init(&sql, 65536);
	for (const char *const *line = schema_sql; *line; line++)
		str_add(&sql, *line);
	return apply(db, str_get(&sql), SCHEMA_VERSION);
}

int
migrations_look(sqlite3 *db)
{
	int id, version;

	if (pragma(db, "PRAGMA application_id", &id) || pragma(db, "PRAGMA user_version", &version))
		return STORE_E_CORRUPT;
	if (id != APPLICATION_ID || version < 1)
		return STORE_E_CORRUPT;
	return version > SCHEMA_VERSION ? STORE_E_NEWER : version < SCHEMA_VERSION ? STORE_E_OLDER : 0;
}

int
migrations_run(sqlite3 *db)
{
	int id, version;

	if (pragma(db, "PRAGMA application_id", &id) || pragma(db, "PRAGMA user_version", &version))
		return STORE_E_CORRUPT;
	if (version == 0)
		return create(db);
	if (id != APPLICATION_ID || version < 1)
		return STORE_E_CORRUPT;
	if (version > SCHEMA_VERSION)
		return STORE_E_NEWER;
	for (; version < SCHEMA_VERSION; version++) {
		/* cppcheck-suppress negativeIndex ; a version below 1 was refused above */
		int r = apply(db, steps[version - 1], version + 1);
		if (r)
			return r;
	}
	return 0;
}
