/* SPDX-License-Identifier: Apache-2.0 */
/* The state directory, the key, the database and its books. */
#include "cli/check.h"

#include "base/seal.h"
#include "cli/control.h"
#include "core/ledger.h"
#include "store/store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void
check_key(struct check *check)
{
	const char *path = check->config->master_key_file, *fault;
	struct seal *seal = NULL;
	int r = seal_open(&seal, path, false);

	seal_close(seal);
	if (!r) {
		check_say(check, LEVEL_OK, "database", NULL, "the master key can be read");
		return;
	}
	fault = r == SEAL_E_MISSING ? "is missing" : r == SEAL_E_SHORT ? "does not hold 32 bytes" : r == SEAL_E_READABLE ?
		"may be read by everybody" : strerror(-r);
	check_say(check, LEVEL_FAIL, "database", r == SEAL_E_READABLE ? "chmod 0600 that file" :
			"bring it back from your backup: without it nothing in the database can be read", "%s: the master key %s", path, fault);
	check->misconfigured = true;
}

/* Over the newest rows when the daemon runs, over all of them when it does not. */
static void
say_ledger(struct check *check, int64_t accepted, int64_t difference)
{
	if (!difference)
		check_say(check, LEVEL_OK, "database", NULL, "of %" PRId64 " accepted messages every one is accounted for", accepted);
	else
		check_say(check, LEVEL_FAIL, "database", "\"sourdine audit GROUP --repair\" looks for them in the rooms' archives; please report it",
				"of %" PRId64 " accepted messages %" PRId64 " are not accounted for", accepted, difference);
}

static void
check_ledger(struct check *check, struct store *store)
{
	struct ledger ledger;

	ledger_count(store, 0, &ledger);
	say_ledger(check, ledger.accepted, ledger_difference(&ledger));
}

/* Reads, and writes nothing: neither the schema nor the WAL is brought up to date by a look. */
static void
check_database(struct check *check, const char *directory)
{
	static const char *const faults[] = {
		[STORE_E_NEWER] = "was made by a newer Sourdine", [STORE_E_CORRUPT] = "is damaged",
		[STORE_E_NETWORK] = "lies on a network file system, where its locks do not hold", [STORE_E_LOCKED] = "is in use",
	};
	static const char *const fixes[] = {
		[STORE_E_NEWER] = "install that release again", [STORE_E_CORRUPT] = "restore your last backup (\"sourdine restore FILE\")",
		[STORE_E_NETWORK] = "let state: name a directory on a disk of this machine", [STORE_E_LOCKED] = "end the other process",
	};
	struct store *store = NULL;
	char why[256] = "";
	int r = store_open_reading(&store, directory);

	if (r == STORE_E_OLDER) {
		check_say(check, LEVEL_NOTE, "database", NULL, "the database is an older release's; the next start brings it up to date");
		return;
	}
	if (!r)
		r = store_verify_whole(store, why, sizeof(why));
	if (!r) {
		check_say(check, LEVEL_OK, "database", NULL, "the database is whole (%lld bytes)", (long long)store_size(store));
		check_ledger(check, store);
	} else {
		check_say(check, LEVEL_FAIL, "database", r > 0 ? fixes[r] : r == -ENOSPC ? "make room on the disk of the state directory" :
				"run this as the user that the daemon runs as",
				"the database in %s %s%s%s", directory, r > 0 ? faults[r] : "cannot be read", r < 0 || *why ? ": " : "",
				r < 0 ? strerror(-r) : why);
		check->misconfigured |= r > 0;
	}
	store_close(store);
}

static void
check_running(struct check *check)
{
	AUTO_FREE char *path = config_state_file(check->config, "control"), *text = NULL;
	int64_t accepted = 0, difference = 0, bytes = 0;

	json_whole(check->daemon, "database_bytes", &bytes);
	check_say(check, LEVEL_OK, "database", NULL, "in use by the running daemon (%" PRId64 " bytes)", bytes);
	if (control_ask(path, "ledger", CONTROL_PATIENCE_MS, &text))
		return;
	json_t *ledger = json_read_answer(text, strlen(text));
	if (json_whole(ledger, "accepted", &accepted) && json_whole(ledger, "difference", &difference))
		say_ledger(check, accepted, difference);
	json_decref(ledger);
}

static void
check_engine(struct check *check)
{
	if (check_sqlite_is_faulty(store_engine()))
		check_say(check, LEVEL_NOTE, "database", NULL, "SQLite %s has the WAL-reset bug (mended in 3.44.6, 3.50.7 and 3.51.3), which takes two "
				"connections at once; Sourdine has one, so let no other program open the database", store_engine());
}

/* The state directory, or when there is none yet the one it will be made in. */
static bool
check_directory(struct check *check)
{
	const char *state = check->config->state;
	struct stat info;

	if (stat(state, &info) < 0) {
		check_say(check, errno == ENOENT ? LEVEL_OK : LEVEL_FAIL, "database", errno == ENOENT ? NULL : "make it readable for this user",
				"%s: %s", state, errno == ENOENT ? "there is none yet; the first start makes it" : strerror(errno));
		return false;
	}
	if (!S_ISDIR(info.st_mode) || access(state, R_OK | W_OK | X_OK) < 0) {
		check_say(check, LEVEL_FAIL, "database", "give it to the user that the daemon runs as, with mode 0700, on a disk that can be written",
				"%s: %s", state, S_ISDIR(info.st_mode) ? strerror(errno) : "is no directory");
		check->misconfigured = true;
		return false;
	}
	if (info.st_mode & (S_IRWXG | S_IRWXO))
		check_say(check, LEVEL_WARN, "database", "chmod 0700 it", "%s: other users may enter it", state);
	return true;
}

void
check_store(struct check *check)
{
	AUTO_FREE char *path = config_state_file(check->config, "sourdine.db");

	check_engine(check);
	if (check->daemon) {
		check_running(check);
		return;
	}
	if (!check_directory(check) || check_leave(check, "database"))
		return;
	if (access(path, F_OK) < 0) {
		check_say(check, LEVEL_OK, "database", NULL, "%s: there is none yet; the first start makes it", path);
		return;
	}
	check_key(check);
	check_database(check, check->config->state);
}

bool
check_sqlite_is_faulty(const char *version)
{
	static const unsigned mended[][3] = { { 3, 44, 6 }, { 3, 50, 7 } };
	unsigned long part[3];
	char *end;

	for (size_t i = 0; i < 3; i++) {
		part[i] = strtoul(version, &end, 10);
		version = *end == '.' ? end + 1 : end;
	}
	if (part[0] != 3)
		return false;
	for (size_t i = 0; i < 2; i++)
		if (part[1] == mended[i][1] && part[2] >= mended[i][2])
			return false;
	return part[1] >= 7 && (part[1] < 51 || (part[1] == 51 && part[2] < 3));
}
