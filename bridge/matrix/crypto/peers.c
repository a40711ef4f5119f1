/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A user is outdated from the moment something hints at a change until an answer that was asked for after it. One question is
 * under way at a time, for as many users as one may ask for; who is needed by nobody is not asked about. A server that fails costs its
 * users one waiting message each: from then on they are asked about beside the sending, further and further apart.
 */
#include "matrix/crypto/peers.h"

#include "base/log.h"
#include "base/now.h"
#include "matrix/crypto/crypto.h"
#include "matrix/crypto/roster.h"
#include "matrix/crypto/waiting.h"
#include "matrix/ghost.h"

#include <stdlib.h>
#include <string.h>

#define USERS_MAX 100 /* in one question */
#define DEVICES_MAX 500 /* of one user: his server could name any number, and each costs a key for every ghost */
#define RETRY_MS 1000
#define RETRY_MAX_MS 60000
#define FAILED_MS 15000 /* until a user whose server failed is asked about again: doubled each time */
#define FAILED_MAX_MS (60 * 60 * 1000)

/* A user whose server did not answer. */
struct failing {
	struct list link; /* peers::failing */
	char *user;
	unsigned failures;
	int64_t retry_ms; /* monotonic */
};

struct asked {
	char *user;
	int64_t seq; /* when the question was asked */
};

struct peers {
	struct matrix *matrix;
	unsigned long generation;
	struct http_request *request;
	struct asked asked[USERS_MAX]; /* of the request */
	size_t count;
	struct list failing; /* owns: failing::link */
	struct loop_timer retry;
	unsigned failures;
};

static void
on_retry(void *context)
{
	struct peers *peers = context;

	outbox_wake(peers->matrix->parts.outbox);
}

struct peers *
peers_open(struct matrix *matrix)
{
	struct peers *peers = xcalloc(1, sizeof(*peers));

	peers->matrix = matrix;
	list_init(&peers->failing);
	loop_timer_init(&peers->retry, matrix->parts.loop, on_retry, peers);
	return peers;
}

static void
forget_question(struct peers *peers)
{
	for (size_t i = 0; i < peers->count; i++)
		free(peers->asked[i].user);
	peers->count = 0;
}

static void
recover(struct failing *failing)
{
	list_remove(&failing->link);
	free(failing->user);
	free(failing);
}

void
peers_stop(struct peers *peers)
{
	http_cancel(peers->request);
	peers->request = NULL;
	loop_timer_stop(&peers->retry);
	forget_question(peers);
}

void
peers_close(struct peers *peers)
{
	struct failing *failing;

	if (!peers)
		return;
	peers_stop(peers);
	LIST_FOR_EACH(failing, &peers->failing, struct failing, link)
		recover(failing);
	free(peers);
}

unsigned long
peers_generation(const struct peers *peers)
{
	return peers->generation;
}

static struct store *
store_of(const struct peers *peers)
{
	return peers->matrix->parts.store;
}

void
peers_touch(struct peers *peers, const char *user)
{
	if (matrix_is_own(peers->matrix, user, strlen(user)))
		return;
	roster_touch_user(store_of(peers), user);
	peers->generation++;
}

void
peers_touch_all(struct peers *peers)
{
	roster_touch_all(store_of(peers));
	peers->generation++;
}

void
peers_wedged(struct peers *peers, const char *user, const char *curve)
{
	if (roster_wedge_device(store_of(peers), user, curve))
		peers->generation++;
}

/* ---- servers that fail ---- */

static struct failing *
find_failing(struct peers *peers, const char *user)
{
	struct failing *failing;

	LIST_FOR_EACH(failing, &peers->failing, struct failing, link)
		if (strcmp(failing->user, user) == 0)
			return failing;
	return NULL;
}

static void
note_failure(struct peers *peers, const char *user)
{
	struct failing *failing = find_failing(peers, user);

	if (!failing) {
		failing = xcalloc(1, sizeof(*failing));
		failing->user = xstrdup(user);
		list_append(&peers->failing, &failing->link);
		log_warning(LOG_MATRIX, "his server does not tell the devices of user=%s: those that are known are written to", user);
	}
	int64_t delay_ms = (int64_t)FAILED_MS << (failing->failures < 8 ? failing->failures : 8);
	failing->failures++;
	failing->retry_ms = now_monotonic_ms() + (delay_ms < FAILED_MAX_MS ? delay_ms : FAILED_MAX_MS);
}

/* ---- answers ---- */

/* One user's devices while they are read. */
struct reading {
	struct peers *peers;
	const char *user;
	struct roster_devices known;
	size_t taken; /* devices that were believed */
};

static const struct peer_device *
find_known(void *context, const char *device_id)
{
	struct reading *reading = context;
	const struct roster_device *device = roster_find_device(&reading->known, reading->user, device_id);

	return device ? &device->keys : NULL;
}

static void
take_device(void *context, const char *device_id, int refusal, const struct peer_device *keys)
{
	struct reading *reading = context;
	struct roster_device *known = roster_find_device(&reading->known, reading->user, device_id);

	if (refusal) {
		if (refusal != PEER_E_ALGORITHMS)
			log_warning(LOG_MATRIX, "a device is not believed user=%s why=%s", reading->user, peer_refusal_word(refusal));
		return;
	}
	if (++reading->taken > DEVICES_MAX) {
		if (reading->taken == DEVICES_MAX + 1)
			log_warning(LOG_MATRIX, "his server names too many devices, the first %d are written to user=%s", DEVICES_MAX, reading->user);
		return;
	}
	if (known)
		known->told = true;
	if (known && !known->gone && known->keys.trust == keys->trust)
		return;
	roster_save_device(store_of(reading->peers), reading->user, device_id, keys);
}

static void
take_user(struct peers *peers, const json_t *answer, const struct asked *asked)
{
	struct reading reading = { .peers = peers, .user = asked->user };
	struct peer_reader reader = { find_known, take_device, &reading };
	struct peer_identity identity;
	struct roster_user user;

	roster_get_user(store_of(peers), asked->user, &user);
	int r = peer_read_identity(&identity, answer, asked->user, *user.pinned ? user.pinned : NULL);
	if (r && r != PEER_E_ABSENT)
		log_warning(LOG_MATRIX, "an identity is not believed user=%s why=%s", asked->user, peer_refusal_word(r));
	if (identity.changed)
		log_warning(LOG_MATRIX, "an identity is another than the one first seen user=%s", asked->user);
	roster_add_devices(store_of(peers), asked->user, &reading.known);
	roster_sort_devices(&reading.known);
	struct failing *failing = find_failing(peers, asked->user);
	if (peer_read_devices(answer, asked->user, r ? NULL : &identity, &reader)) {
		note_failure(peers, asked->user);
	} else {
		for (size_t i = 0; i < reading.known.n; i++)
			if (!reading.known.p[i].told && !reading.known.p[i].gone)
				roster_lose_device(store_of(peers), asked->user, reading.known.p[i].id);
		roster_take_user(store_of(peers), asked->user, &identity, asked->seq);
		if (reading.known.n > DEVICES_MAX)
			roster_trim_devices(store_of(peers), asked->user);
		if (failing)
			recover(failing);
	}
	roster_devices_fini(&reading.known);
}

static void
retry_later(struct peers *peers, int64_t delay_ms)
{
	int64_t backoff_ms = (int64_t)RETRY_MS << (peers->failures < 6 ? peers->failures : 6);

	peers->failures++;
	if (backoff_ms > RETRY_MAX_MS)
		backoff_ms = RETRY_MAX_MS;
	loop_timer_set(&peers->retry, delay_ms > backoff_ms ? delay_ms : backoff_ms);
}

static void
on_answer(void *context, const struct http_answer *answer)
{
	struct peers *peers = context;
	struct judged judged;

	peers->request = NULL;
	matrix_judge(peers->matrix, answer, &judged);
	if (judged.is == JUDGED_FINE && judged.json) {
		peers->failures = 0;
		peers->generation++;
		for (size_t i = 0; i < peers->count; i++)
			take_user(peers, judged.json, &peers->asked[i]);
		for (size_t i = 0; i < peers->count; i++)
			waiting_user(peers->matrix->crypto->waiting, peers->asked[i].user);
		outbox_wake(peers->matrix->parts.outbox);
	} else {
		log_warning(LOG_MATRIX, "cannot ask for devices status=%ld errcode=%s error=\"%s\"", judged.status, judged.errcode, judged.error);
		retry_later(peers, judged.delay_ms);
	}
	forget_question(peers);
	judged_fini(&judged);
}

/* ---- asking ---- */

static void
ask(struct peers *peers)
{
	const struct author bot = { .person = NULL };
	const struct ghost *ghost = ghost_get(peers->matrix, &bot);
	AUTO_FREE char *path = matrix_path("/_matrix/client/v3/keys/query?user_id=%s&device_id=%s", ghost_mxid(ghost), ghost_device(ghost));
	AUTO_STR struct str text;
	json_t *users = json_object();

	for (size_t i = 0; i < peers->count; i++)
		json_object_set_new(users, peers->asked[i].user, json_array());
	json_t *body = json_pack("{s:o, s:i}", "device_keys", users, "timeout", 10000);
	str_init(&text, 1 << 20);
	json_add(&text, body);
	json_decref(body);
	peers->request = matrix_ask(peers->matrix, "POST", path, str_get(&text), on_answer, peers);
}

bool
peers_know(struct peers *peers, const char *const *users, size_t n)
{
	bool busy = peers->request || loop_timer_armed(&peers->retry), known = true;

	for (size_t i = 0; i < n; i++) {
		struct roster_user user;
		roster_get_user(store_of(peers), users[i], &user);
		if (!user.known)
			roster_touch_user(store_of(peers), users[i]);
		if (user.known && !user.outdated)
			continue;
		const struct failing *failing = find_failing(peers, users[i]);
		known = known && failing;
		if (busy || peers->count == USERS_MAX || (failing && failing->retry_ms > now_monotonic_ms()))
			continue;
		peers->asked[peers->count++] = (struct asked){ .user = xstrdup(users[i]), .seq = user.known ? user.seq : 1 };
	}
	if (!busy && peers->count)
		ask(peers);
	return known;
}

enum peers_reading
peers_reads(struct peers *peers, const char *user)
{
	struct roster_devices devices = { .p = NULL };
	struct roster_user known;
	bool reads = false;

	if (!peers_know(peers, &user, 1))
		return PEERS_READ_UNKNOWN;
	roster_get_user(store_of(peers), user, &known);
	roster_add_devices(store_of(peers), user, &devices);
	for (size_t i = 0; i < devices.n; i++)
		reads |= !devices.p[i].gone && (peers->matrix->crypto->all_trusted || devices.p[i].keys.trust == PEER_CROSS_SIGNED);
	roster_devices_fini(&devices);
	return reads ? PEERS_READ : known.outdated ? PEERS_READ_SILENT : PEERS_READ_NOT;
}
