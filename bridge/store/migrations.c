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

#include <errno.h>
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
	/* 4: encryption of Matrix rooms. */
	"CREATE TABLE c_account (id INTEGER PRIMARY KEY AUTOINCREMENT, user_id TEXT NOT NULL, device_id TEXT NOT NULL,"
	" state INTEGER NOT NULL, pickle TEXT NOT NULL, device_keys TEXT NOT NULL, since TEXT NOT NULL, fallback_ms"
	" INTEGER NOT NULL, fallback_old INTEGER NOT NULL, UNIQUE (user_id, device_id));"
	"CREATE TABLE c_user (user_id TEXT PRIMARY KEY, outdated INTEGER NOT NULL, seq INTEGER NOT NULL, master TEXT"
	" NOT NULL, master_first TEXT NOT NULL, self_signing TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE c_device (user_id TEXT NOT NULL, device_id TEXT NOT NULL, curve TEXT NOT NULL, ed TEXT NOT NULL,"
	" trust INTEGER NOT NULL, gone INTEGER NOT NULL DEFAULT 0, wedge_seq INTEGER NOT NULL DEFAULT 0, unwedged_ms"
	" INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (user_id, device_id)) WITHOUT ROWID;"
	"CREATE INDEX c_device_curve ON c_device (curve);"
	"CREATE TABLE c_claim (account INTEGER NOT NULL, user_id TEXT NOT NULL, device_id TEXT NOT NULL, failures"
	" INTEGER NOT NULL, retry_ms INTEGER NOT NULL, told INTEGER NOT NULL, PRIMARY KEY (account, user_id,"
	" device_id)) WITHOUT ROWID;"
	"CREATE TABLE c_olm (account INTEGER NOT NULL, peer_curve TEXT NOT NULL, session_id TEXT NOT NULL, pickle TEXT"
	" NOT NULL, created_ms INTEGER NOT NULL, received_ms INTEGER NOT NULL, PRIMARY KEY (account, peer_curve,"
	" session_id)) WITHOUT ROWID;"
	"CREATE TABLE c_olm_seen (account INTEGER NOT NULL, hash BLOB NOT NULL, at_ms INTEGER NOT NULL, PRIMARY KEY"
	" (account, hash)) WITHOUT ROWID;"
	"CREATE INDEX c_olm_seen_at ON c_olm_seen (at_ms);"
	"CREATE TABLE c_mg_in (room_id TEXT NOT NULL, session_id TEXT NOT NULL, owner_user TEXT NOT NULL, owner_device"
	" TEXT NOT NULL, owner_curve TEXT NOT NULL, owner_ed TEXT NOT NULL, pickle TEXT, first_index INTEGER NOT NULL,"
	" source INTEGER NOT NULL, shared_history INTEGER NOT NULL, withheld TEXT, received_ms INTEGER NOT NULL,"
	" PRIMARY KEY (room_id, session_id)) WITHOUT ROWID;"
	"CREATE TABLE c_mg_index (session_id TEXT NOT NULL, idx INTEGER NOT NULL, event_id TEXT NOT NULL, origin_ms"
	" INTEGER NOT NULL, PRIMARY KEY (session_id, idx)) WITHOUT ROWID;"
	"CREATE TABLE c_mg_out (account INTEGER NOT NULL, room_id TEXT NOT NULL, session_id TEXT NOT NULL, pickle TEXT"
	" NOT NULL, created_ms INTEGER NOT NULL, messages INTEGER NOT NULL, shared_history INTEGER NOT NULL, PRIMARY"
	" KEY (account, room_id)) WITHOUT ROWID;"
	"CREATE TABLE c_mg_share (session_id TEXT NOT NULL, user_id TEXT NOT NULL, device_id TEXT NOT NULL, curve TEXT"
	" NOT NULL, idx INTEGER NOT NULL, wedge_seq INTEGER NOT NULL, state INTEGER NOT NULL, PRIMARY KEY (session_id,"
	" user_id, device_id)) WITHOUT ROWID;"
	"CREATE TABLE c_post (id INTEGER PRIMARY KEY AUTOINCREMENT, account INTEGER NOT NULL, type TEXT NOT NULL, txn"
	" TEXT NOT NULL UNIQUE, content TEXT NOT NULL, session_id TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 0);"
	"CREATE INDEX c_post_account ON c_post (account, id);"
	"CREATE TABLE c_room (room_id TEXT PRIMARY KEY, algorithm TEXT NOT NULL, rotation_ms INTEGER NOT NULL,"
	" rotation_messages INTEGER NOT NULL, visibility TEXT NOT NULL, since_ms INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE c_utd (inbox_seq INTEGER PRIMARY KEY REFERENCES inbox (seq), room_id TEXT NOT NULL, session_id"
	" TEXT NOT NULL, sender TEXT NOT NULL, since_ms INTEGER NOT NULL, request TEXT);"
	"CREATE INDEX c_utd_session ON c_utd (room_id, session_id);"
	"CREATE TABLE consent (matrix TEXT NOT NULL, xmpp TEXT NOT NULL, actor TEXT NOT NULL, at_ms INTEGER NOT NULL,"
	" PRIMARY KEY (matrix, xmpp)) WITHOUT ROWID;"
	"CREATE TABLE stopped (grp TEXT PRIMARY KEY) WITHOUT ROWID;",
	/* 5: rows that cannot be read yet, and why. */
	"CREATE INDEX inbox_stalled ON inbox (room) WHERE state = 4;"
	"DROP TABLE c_utd;"
	"CREATE TABLE c_utd (room_id TEXT NOT NULL, event_id TEXT NOT NULL, session_id TEXT NOT NULL, sender TEXT NOT NULL, curve TEXT NOT NULL, since_ms"
	" INTEGER NOT NULL, aside INTEGER NOT NULL, request TEXT NOT NULL, PRIMARY KEY (room_id, event_id)) WITHOUT ROWID;"
	"CREATE INDEX c_utd_session ON c_utd (room_id, session_id);"
	"CREATE INDEX c_utd_sender ON c_utd (sender);",
	/* 6: a session is its owner's, so that another who says that it is his takes nothing from him. */
	"ALTER TABLE c_mg_in RENAME TO c_mg_in_5;"
	"CREATE TABLE c_mg_in (room_id TEXT NOT NULL, session_id TEXT NOT NULL, owner_user TEXT NOT NULL, owner_device"
	" TEXT NOT NULL, owner_curve TEXT NOT NULL, owner_ed TEXT NOT NULL, pickle TEXT, first_index INTEGER NOT NULL,"
	" source INTEGER NOT NULL, shared_history INTEGER NOT NULL, withheld TEXT, received_ms INTEGER NOT NULL,"
	" PRIMARY KEY (room_id, session_id, owner_user)) WITHOUT ROWID;"
	"INSERT INTO c_mg_in SELECT * FROM c_mg_in_5;"
	"DROP TABLE c_mg_in_5;",
	/* 7: what waits is counted without a walk through all that ever came. */
	"CREATE INDEX inbox_aside ON inbox (seq) WHERE state = 5;",
};
#define SCHEMA_VERSION (int)(sizeof(steps) / sizeof(steps[0]) + 1)

int
migrations_fault(sqlite3 *db)
{
	int code = sqlite3_extended_errcode(db), reason = sqlite3_system_errno(db);

	switch (code & 0xFF) {
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_READONLY:
	case SQLITE_PERM:
		return -EACCES;
	case SQLITE_BUSY:
		return -EBUSY;
	case SQLITE_IOERR:
		/* A limit on the size of files shows so, too; SQLite does not keep the reason for its shared memory. */
		if (code == SQLITE_IOERR_WRITE || code == SQLITE_IOERR_SHMSIZE)
			return -ENOSPC;
		return reason ? -reason : -EIO;
	case SQLITE_CANTOPEN:
		return reason ? -reason : -EIO;
	default:
		return STORE_E_CORRUPT;
	}
}

static int
pragma(sqlite3 *db, const char *sql, int *out)
{
	sqlite3_stmt *statement;

	if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
		return migrations_fault(db);
	int r = sqlite3_step(statement) == SQLITE_ROW ? 0 : migrations_fault(db);
	*out = sqlite3_column_int(statement, 0);
	sqlite3_finalize(statement);
	return r;
}

/* Whose file it is, and of which version. */
static int
identify(sqlite3 *db, int *id, int *version)
{
	int r = pragma(db, "PRAGMA application_id", id);

	return r ? r : pragma(db, "PRAGMA user_version", version);
}

static int
apply(sqlite3 *db, const char *sql, int version)
{
	AUTO_FREE char *all = xasprintf("BEGIN IMMEDIATE; %s; PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT", sql,
			APPLICATION_ID, version);

	if (sqlite3_exec(db, all, NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	int r = migrations_fault(db);
	log_error(LOG_STORE, "migration failed to=%d error=\"%s\"", version, sqlite3_errmsg(db));
	sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return r;
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
	int id = 0, version = 0, r = identify(db, &id, &version);

	if (r)
		return r;
	if (id != APPLICATION_ID || version < 1)
		return STORE_E_CORRUPT;
	return version > SCHEMA_VERSION ? STORE_E_NEWER : version < SCHEMA_VERSION ? STORE_E_OLDER : 0;
}

int
migrations_run(sqlite3 *db)
{
	int id = 0, version = 0, r = identify(db, &id, &version);

	if (r)
		return r;
	if (version == 0)
		return create(db);
	if (id != APPLICATION_ID || version < 1)
		return STORE_E_CORRUPT;
	if (version > SCHEMA_VERSION)
		return STORE_E_NEWER;
	for (; version < SCHEMA_VERSION; version++) {
		/* cppcheck-suppress negativeIndex ; a version below 1 was refused above */
		r = apply(db, steps[version - 1], version + 1);
		if (r)
			return r;
	}
	return 0;
}
