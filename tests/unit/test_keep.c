/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of encryption: what was saved is there after a restart, opens with its key only, and dies as a whole. */
#include "matrix/crypto/keep.h"

#include "base/log.h"
#include "matrix/crypto/roster.h"
#include "scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define USER "@sourdine:hs"

struct scene {
	char directory[SCRATCH_SIZE];
	struct store *store;
	struct seal *seal;
	struct keep *keep;
};

/* As after a restart, with the key in this file. */
static int
restart(struct scene *scene, const char *key_name)
{
	AUTO_FREE char *path = xasprintf("%s/%s", scene->directory, key_name);
	bool created;

	keep_close(scene->keep);
	seal_close(scene->seal);
	store_close(scene->store);
	scene->keep = NULL;
	assert_int_equal(store_open(&scene->store, scene->directory, &created), 0);
	assert_int_equal(seal_open(&scene->seal, path, true), 0);
	return keep_open(&scene->keep, scene->store, scene->seal);
}

static int
set_up(void **state)
{
	struct scene *scene = xcalloc(1, sizeof(*scene));

	log_register(scratch_drop_line);
	scratch_make(scene->directory);
	*state = scene;
	return restart(scene, "key");
}

static int
tear_down(void **state)
{
	struct scene *scene = *state;

	keep_close(scene->keep);
	seal_close(scene->seal);
	store_close(scene->store);
	scratch_remove(scene->directory);
	free(scene);
	return 0;
}

/* A new device, committed. Its Ed25519 key in `ed`. */
static int64_t
add(struct scene *scene, const char *user, const char *device, char ed[RATCHET_ID_SIZE])
{
	struct keep_account account = { .state = KEEP_NEW, .account = ratchet_account_new(), .device_keys = xstrdup("{}"),
		.since = xstrdup("") };
	char curve[RATCHET_ID_SIZE];

	snprintf(account.user, sizeof(account.user), "%s", user);
	snprintf(account.device, sizeof(account.device), "%s", device);
	ratchet_account_keys(account.account, curve, ed);
	keep_add_account(scene->keep, &account);
	int64_t id = account.id;
	keep_account_fini(&account);
	assert_int_equal(store_commit(scene->store), 0);
	return id;
}

static void
test_a_device_survives(void **state)
{
	struct scene *scene = *state;
	struct keep_account account;
	char made[RATCHET_ID_SIZE], curve[RATCHET_ID_SIZE], ed[RATCHET_ID_SIZE];

	assert_false(keep_find_account(scene->keep, USER, &account));
	int64_t id = add(scene, USER, "DEVICE", made);
	assert_int_equal(restart(scene, "key"), 0);
	assert_true(keep_find_account(scene->keep, USER, &account));
	assert_int_equal(account.id, id);
	assert_int_equal(account.state, KEEP_NEW);
	assert_string_equal(account.device, "DEVICE");
	ratchet_account_keys(account.account, curve, ed);
	assert_string_equal(ed, made);

	account.state = KEEP_SIGNED;
	account.fallback_ms = 7;
	account.fallback_old = true;
	free(account.since);
	account.since = xstrdup("s1");
	keep_save_account(scene->keep, &account);
	keep_account_fini(&account);
	assert_int_equal(store_commit(scene->store), 0);
	assert_int_equal(restart(scene, "key"), 0);
	assert_true(keep_find_account(scene->keep, USER, &account));
	assert_int_equal(account.state, KEEP_SIGNED);
	assert_int_equal(account.fallback_ms, 7);
	assert_true(account.fallback_old);
	assert_string_equal(account.since, "s1");
	ratchet_account_keys(account.account, curve, ed);
	assert_string_equal(ed, made);
	keep_account_fini(&account);
}

static void
test_a_wrong_key_writes_nothing(void **state)
{
	struct scene *scene = *state;
	struct keep_account account;
	char made[RATCHET_ID_SIZE], curve[RATCHET_ID_SIZE], ed[RATCHET_ID_SIZE];

	add(scene, USER, "DEVICE", made);
	keep_set_number(scene->keep, "n", -5);
	assert_int_equal(store_commit(scene->store), 0);
	assert_int_equal(restart(scene, "other"), KEEP_E_KEY);
	assert_null(scene->keep);
	assert_int_equal(store_commit(scene->store), 0);
	assert_int_equal(restart(scene, "key"), 0);
	assert_int_equal(keep_number(scene->keep, "n"), -5);
	assert_int_equal(keep_number(scene->keep, "m"), 0);
	assert_true(keep_find_account(scene->keep, USER, &account));
	ratchet_account_keys(account.account, curve, ed);
	assert_string_equal(ed, made);
	keep_account_fini(&account);
}

/* A row's pickle under another row's name. */
static void
test_a_pickle_opens_in_its_row_only(void **state)
{
	struct scene *scene = *state;
	struct keep_account account;
	char ed[RATCHET_ID_SIZE];

	int64_t id = add(scene, USER, "DEVICE", ed);
	assert_true(keep_find_account(scene->keep, USER, &account));
	snprintf(account.device, sizeof(account.device), "OTHER");
	keep_save_account(scene->keep, &account);
	keep_account_fini(&account);
	assert_true(keep_find_account(scene->keep, USER, &account));
	assert_int_equal(account.id, id);
	assert_string_equal(account.device, "DEVICE");
	assert_null(account.account);
	keep_account_fini(&account);
}

static void
test_the_newest_sessions_stay(void **state)
{
	struct scene *scene = *state;
	struct ratchet_account *peer = ratchet_account_new();
	struct ratchet_session *session, *loaded[KEEP_SESSIONS_MAX + 1];
	struct keep_account account;
	char ids[7][RATCHET_ID_SIZE], id[RATCHET_ID_SIZE], curve[RATCHET_ID_SIZE], ed[RATCHET_ID_SIZE];

	add(scene, USER, "DEVICE", ed);
	assert_true(keep_find_account(scene->keep, USER, &account));
	ratchet_account_keys(peer, curve, ed);
	for (int i = 0; i < 7; i++) {
		/* Any key will do where one-time keys are concerned. */
		assert_int_equal(ratchet_session_open(&session, account.account, curve, curve), 0);
		ratchet_session_id(session, ids[i]);
		keep_save_session(scene->keep, account.id, curve, session, true);
		ratchet_session_free(session);
		usleep(2000);
	}
	assert_int_equal(store_commit(scene->store), 0);
	assert_int_equal(restart(scene, "key"), 0);
	assert_int_equal(keep_load_sessions(scene->keep, account.id, curve, loaded, KEEP_SESSIONS_MAX + 1), KEEP_SESSIONS_MAX);
	for (int i = 0; i < KEEP_SESSIONS_MAX; i++) {
		ratchet_session_id(loaded[i], id);
		assert_string_equal(id, ids[6 - i]);
	}
	/* Something came through the oldest of them: it is the one to use. What was only sent through does not make it so. */
	keep_save_session(scene->keep, account.id, curve, loaded[4], true);
	keep_save_session(scene->keep, account.id, curve, loaded[1], false);
	for (int i = 0; i < KEEP_SESSIONS_MAX; i++)
		ratchet_session_free(loaded[i]);
	assert_int_equal(keep_load_sessions(scene->keep, account.id, curve, loaded, 1), 1);
	ratchet_session_id(loaded[0], id);
	assert_string_equal(id, ids[2]);
	ratchet_session_free(loaded[0]);
	assert_true(keep_writes(scene->keep) >= 2);

	keep_kill_account(scene->keep, account.id);
	assert_int_equal(keep_load_sessions(scene->keep, account.id, curve, loaded, 1), 0);
	keep_account_fini(&account);
	ratchet_account_free(peer);
}

static bool
has_session(const struct scene *scene, int64_t account, const char *curve)
{
	struct ratchet_session *session;
	bool has = keep_load_sessions(scene->keep, account, curve, &session, 1) == 1;

	if (has)
		ratchet_session_free(session);
	return has;
}

/* Who writes under ever new keys costs who is known nothing, and us no more than a thousand sessions. */
static void
test_strangers_are_counted(void **state)
{
	struct scene *scene = *state;
	struct peer_device known = { .trust = PEER_UNSIGNED, .curve = "known" };
	struct ratchet_session *session;
	char curve[RATCHET_ID_SIZE], ed[RATCHET_ID_SIZE];
	struct keep_account account;

	add(scene, USER, "DEVICE", ed);
	assert_true(keep_find_account(scene->keep, USER, &account));
	ratchet_account_keys(account.account, curve, ed);
	assert_int_equal(ratchet_session_open(&session, account.account, curve, curve), 0);
	roster_save_device(scene->store, "@alice:hs", "PHONE", &known);
	keep_save_session(scene->keep, account.id, "known", session, true);
	for (int i = 0; i <= KEEP_STRANGERS_MAX; i++) {
		AUTO_FREE char *stranger = xasprintf("stranger %d", i);
		keep_save_session(scene->keep, account.id, stranger, session, true);
		if (i == 0)
			usleep(2000);
	}
	keep_trim_strangers(scene->keep, account.id);
	assert_true(has_session(scene, account.id, "known"));
	assert_false(has_session(scene, account.id, "stranger 0"));
	for (int i = 1; i <= KEEP_STRANGERS_MAX; i += 37) {
		AUTO_FREE char *stranger = xasprintf("stranger %d", i);
		assert_true(has_session(scene, account.id, stranger));
	}
	keep_account_fini(&account);
	ratchet_session_free(session);
}

static void
test_the_dead_are_named_until_they_are_forgotten(void **state)
{
	struct scene *scene = *state;
	struct keep_account account;
	char ed[RATCHET_ID_SIZE], device[KEEP_DEVICE_MAX];
	int64_t id, dead;

	id = add(scene, USER, "OLD", ed);
	add(scene, "@ghost:hs", "GHOST", ed);
	keep_kill_account(scene->keep, id);
	assert_false(keep_find_account(scene->keep, USER, &account));
	add(scene, USER, "NEW", ed);
	assert_true(keep_find_account(scene->keep, USER, &account));
	assert_string_equal(account.device, "NEW");
	keep_forget_account(scene->keep, account.id); /* it lives */
	keep_account_fini(&account);
	assert_true(keep_find_dead(scene->keep, USER, device, sizeof(device), &dead));
	assert_string_equal(device, "OLD");
	assert_int_equal(dead, id);
	keep_forget_account(scene->keep, dead);
	assert_false(keep_find_dead(scene->keep, USER, device, sizeof(device), &dead));

	keep_kill_all(scene->keep);
	assert_false(keep_find_account(scene->keep, USER, &account));
	assert_true(keep_find_dead(scene->keep, "@ghost:hs", device, sizeof(device), &dead));
	assert_true(keep_find_dead(scene->keep, USER, device, sizeof(device), &dead));
	assert_string_equal(device, "NEW");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		T(test_a_device_survives),
		T(test_a_wrong_key_writes_nothing),
		T(test_a_pickle_opens_in_its_row_only),
		T(test_the_newest_sessions_stay),
		T(test_strangers_are_counted),
		T(test_the_dead_are_named_until_they_are_forgotten),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
