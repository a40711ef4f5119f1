/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A room gets a struct cipher, and a row in c_room, when it is first known to be encrypted, and keeps both for ever: neither a later
 * state nor a rollback makes it plain again. Who may read there is kept up to date by events, and asked for as a whole, when it is
 * needed, after each entry and whenever an event may have been missed: until that answer is there, nothing is said. A transaction may
 * bring the past as well, with what came while we were away: an event from before the answer does not change it, but has it asked again.
 *
 * Who comes may have other devices than those that are known of him: they are asked for anew from the moment his coming is heard of, since
 * what is said next goes to him already. Whoever is there when we come is the same, unless we share another room with him: nobody told us
 * meanwhile. That they were looked at is kept, so that a restart does not ask about everybody.
 */
#include "matrix/cipher.h"

#include "base/log.h"
#include "base/now.h"
#include "matrix/crypto/crypto.h"
#include "matrix/room.h"

#include <stdlib.h>
#include <string.h>

#define RETRY_MS 5000
#define SKEW_MS 5000 /* of other servers' clocks */

struct member {
	char *user;
	bool invited;
};

struct cipher {
	struct list link;         /* matrix::ciphers */
	struct matrix *matrix;
	char *room;
	char *algorithm;
	int64_t since_ms;         /* its server's clock: when it was turned on; 0: it does not say */
	int64_t rotation_ms, rotation_messages;
	bool kept;                /* as it is, in c_room */
	bool denied;              /* its state does not say so any more */
	char *visibility;         /* NULL: to be asked for */
	bool complete;            /* members are known */
	int64_t asked_ms;         /* real time: when the answer that they are known by was asked for */
	bool moved;               /* while they were asked for, one came or went */
	struct member *members;   /* owns; by id */
	size_t count;
	struct http_request *request;
	struct loop_timer retry;
};

static void ask(struct cipher *cipher);

/* ---- the list ---- */

static struct cipher *
find(const struct matrix *matrix, const char *room)
{
	struct cipher *cipher;

	LIST_FOR_EACH(cipher, (struct list *)(uintptr_t)&matrix->ciphers, struct cipher, link)
		if (strcmp(cipher->room, room) == 0)
			return cipher;
	return NULL;
}

static void
on_retry(void *context)
{
	ask(context);
}

static struct cipher *
add(struct matrix *matrix, const char *room)
{
	struct cipher *cipher = xcalloc(1, sizeof(*cipher));

	cipher->matrix = matrix;
	cipher->room = xstrdup(room);
	cipher->algorithm = xstrdup("");
	loop_timer_init(&cipher->retry, matrix->parts.loop, on_retry, cipher);
	list_append(&matrix->ciphers, &cipher->link);
	return cipher;
}

static void
forget_members(struct cipher *cipher)
{
	for (size_t i = 0; i < cipher->count; i++)
		free(cipher->members[i].user);
	free(cipher->members);
	cipher->members = NULL;
	cipher->count = 0;
	cipher->complete = false;
}

/* What was known of who reads there may be out of date. */
static void
forget(struct cipher *cipher)
{
	http_cancel(cipher->request);
	cipher->request = NULL;
	loop_timer_stop(&cipher->retry);
	forget_members(cipher);
	free(cipher->visibility);
	cipher->visibility = NULL;
}

void
cipher_open(struct matrix *matrix)
{
	struct query query = store_query(matrix->parts.store, C_ROOM_ALL);

	list_init(&matrix->ciphers);
	while (query_step(&query)) {
		struct cipher *cipher = add(matrix, query_get_text(&query, 0));
		free(cipher->algorithm);
		cipher->algorithm = xstrdup(query_get_text(&query, 1));
		cipher->rotation_ms = query_get_int(&query, 2);
		cipher->rotation_messages = query_get_int(&query, 3);
		cipher->since_ms = query_get_int(&query, 4);
		cipher->kept = true;
	}
	query_done(&query);
}

void
cipher_close(struct matrix *matrix)
{
	struct cipher *cipher;

	LIST_FOR_EACH(cipher, &matrix->ciphers, struct cipher, link) {
		forget(cipher);
		list_remove(&cipher->link);
		free(cipher->algorithm);
		free(cipher->room);
		free(cipher);
	}
}

static void
keep(struct cipher *cipher)
{
	struct query query = store_query(cipher->matrix->parts.store, C_ROOM_SET);

	query_text(&query, cipher->room);
	query_text(&query, cipher->algorithm);
	query_int(&query, cipher->rotation_ms);
	query_int(&query, cipher->rotation_messages);
	query_int(&query, cipher->since_ms);
	query_text(&query, cipher->visibility ? cipher->visibility : "");
	query_run(&query);
	cipher->kept = true;
}

void
cipher_reset(struct matrix *matrix)
{
	struct cipher *cipher;

	LIST_FOR_EACH(cipher, &matrix->ciphers, struct cipher, link) {
		forget(cipher);
		cipher->kept = false;
	}
}

bool
cipher_is_on(const struct matrix *matrix, const char *room)
{
	return find(matrix, room) != NULL;
}

enum encryption
cipher_state(const struct matrix *matrix, const char *room, bool read)
{
	const struct cipher *cipher = find(matrix, room);

	if (cipher)
		return cipher->denied ? ENCRYPTION_DENIED : ENCRYPTION_ON;
	return read ? ENCRYPTION_OFF : ENCRYPTION_UNKNOWN;
}

bool
cipher_exposes(const struct matrix *matrix, const char *room, int64_t stamp_ms)
{
	const struct cipher *cipher = find(matrix, room);

	return cipher && stamp_ms >= cipher->since_ms;
}

int64_t
cipher_since(const struct matrix *matrix, const char *room)
{
	const struct cipher *cipher = find(matrix, room);

	return cipher ? cipher->since_ms : 0;
}

/* ---- whether it is encrypted ---- */

/* What the room says of itself, unless it says nothing: then what it said before counts. */
static void
take_rules(struct cipher *cipher, const json_t *content, const char *algorithm)
{
	int64_t period_ms = 0, messages = 0;

	json_whole(content, "rotation_period_ms", &period_ms);
	json_whole(content, "rotation_period_msgs", &messages);
	if (strcmp(cipher->algorithm, algorithm) == 0 && cipher->rotation_ms == period_ms && cipher->rotation_messages == messages)
		return;
	crypto_saw_rules(cipher->matrix->crypto, cipher->room);
	free(cipher->algorithm);
	cipher->algorithm = xstrdup(algorithm);
	cipher->rotation_ms = period_ms;
	cipher->rotation_messages = messages;
	cipher->kept = false;
}

static void
deny(struct cipher *cipher)
{
	if (!cipher->denied)
		log_warning(LOG_MATRIX, "a room that was encrypted does not say so any more, it stays encrypted for us room=%s", cipher->room);
	cipher->denied = true;
}

/* `event`: an m.room.encryption. Any such event turns it on, whatever it says. */
static void
turn_on(struct matrix *matrix, const char *room, const json_t *event)
{
	struct cipher *cipher = find(matrix, room);
	const json_t *content = json_child(event, "content");
	const char *algorithm = json_text(content, "algorithm");
	bool known = cipher != NULL;

	if (!known) {
		cipher = add(matrix, room);
		json_whole(event, "origin_server_ts", &cipher->since_ms);
		matrix->arrivals++; /* what was tried in the clear is in doubt now */
		log_notice(LOG_MATRIX, "a room is encrypted room=%s", room);
	}
	if (algorithm) {
		cipher->denied = false;
		take_rules(cipher, content, algorithm);
	} else if (known) {
		deny(cipher);
	}
	if (!cipher->kept)
		keep(cipher);
}

void
cipher_learn(struct matrix *matrix, const char *room, const json_t *event)
{
	struct cipher *cipher;

	if (event)
		turn_on(matrix, room, event);
	cipher = find(matrix, room);
	if (cipher && !event)
		deny(cipher);
	if (cipher) {
		if (!cipher->kept)
			keep(cipher);
		forget(cipher);
	}
	plumb_look(matrix->parts.plumb);
	outbox_wake(matrix->parts.outbox);
}

/* ---- who reads there ---- */

static int
compare(const void *a, const void *b)
{
	return strcmp(((const struct member *)a)->user, ((const struct member *)b)->user);
}

static struct member *
find_member(const struct cipher *cipher, const char *user)
{
	struct member key = { .user = (char *)(uintptr_t)user };

	return cipher->count ? bsearch(&key, cipher->members, cipher->count, sizeof(key), compare) : NULL;
}

static void
append_member(struct cipher *cipher, const char *user, bool invited)
{
	cipher->members = xrealloc(cipher->members, (cipher->count + 1) * sizeof(*cipher->members));
	cipher->members[cipher->count++] = (struct member){ xstrdup(user), invited };
}

static bool
is_recipient(const struct cipher *cipher, const char *user, const char *membership)
{
	return user && membership && !matrix_is_own(cipher->matrix, user, strlen(user)) &&
		(strcmp(membership, "join") == 0 || strcmp(membership, "invite") == 0);
}

/* Whether the devices of who is there were looked at since we are there ourselves. */
static bool
is_met(const struct cipher *cipher)
{
	AUTO_FREE char *name = xasprintf("c_met %s", cipher->room);
	char value[4];

	return store_get_value(cipher->matrix->parts.store, name, value, sizeof(value)) && *value;
}

static void
set_met(struct cipher *cipher, bool met)
{
	AUTO_FREE char *name = xasprintf("c_met %s", cipher->room);

	store_set_value(cipher->matrix->parts.store, name, met ? "1" : "");
}

/* The bot came or went. */
static void
see_bot(struct cipher *cipher)
{
	cipher->moved = true;
	cipher->complete = false;
	set_met(cipher, false);
	crypto_saw_readers(cipher->matrix->crypto, cipher->room);
}

static bool
is_past(const struct cipher *cipher, const json_t *event)
{
	int64_t stamp_ms = 0;

	json_whole(event, "origin_server_ts", &stamp_ms);
	return stamp_ms < cipher->asked_ms + SKEW_MS;
}

static void
see_member(struct cipher *cipher, const json_t *event, bool archive)
{
	const char *user = json_text(event, "state_key"), *membership = json_text(json_child(event, "content"), "membership");
	struct member *member = user ? find_member(cipher, user) : NULL;

	if (user && matrix_is_own(cipher->matrix, user, strlen(user)))
		return; /* ours are no recipients: each of them that enters would have everybody's prepared anew */
	cipher->moved = true;
	crypto_saw_readers(cipher->matrix->crypto, cipher->room);
	if (is_recipient(cipher, user, membership))
		crypto_saw_member(cipher->matrix->crypto, user);
	if (archive || !user || !membership) {
		cipher->complete = false;
	} else if (is_recipient(cipher, user, membership)) {
		bool invited = strcmp(membership, "invite") == 0;
		if (member) {
			member->invited = invited;
			return;
		}
		append_member(cipher, user, invited);
		qsort(cipher->members, cipher->count, sizeof(*cipher->members), compare);
	} else if (member) {
		free(member->user);
		memmove(member, member + 1, (size_t)(cipher->members + --cipher->count - member) * sizeof(*member));
	}
}

static void
see_visibility(struct cipher *cipher, const json_t *event, bool archive)
{
	const char *visibility = json_text(json_child(event, "content"), "history_visibility");

	free(cipher->visibility);
	cipher->visibility = archive ? NULL : xstrdup(visibility ? visibility : "shared");
	keep(cipher);
	crypto_saw_readers(cipher->matrix->crypto, cipher->room);
}

static bool
is_type(struct span type, const char *name)
{
	return type.p && type.n == strlen(name) && memcmp(type.p, name, type.n) == 0;
}

bool
cipher_wants(const struct matrix *matrix, const char *room, struct span type)
{
	return is_type(type, "m.room.encryption") ||
		((is_type(type, "m.room.member") || is_type(type, "m.room.history_visibility")) && find(matrix, room));
}

void
cipher_see(struct matrix *matrix, const char *room, const json_t *event, bool archive)
{
	struct cipher *cipher = find(matrix, room);
	const char *type = json_text(event, "type"), *state_key = json_text(event, "state_key");

	if (!type || !state_key)
		return;
	if (strcmp(type, "m.room.encryption") == 0 && !*state_key) {
		if (cipher && archive)
			return; /* the past */
		turn_on(matrix, room, event);
		plumb_look(matrix->parts.plumb);
	} else if (cipher && strcmp(type, "m.room.history_visibility") == 0 && !*state_key) {
		see_visibility(cipher, event, archive || is_past(cipher, event));
	} else if (cipher && strcmp(type, "m.room.member") == 0 && strcmp(state_key, matrix->bot) == 0) {
		if (!archive)
			see_bot(cipher);
	} else if (cipher && strcmp(type, "m.room.member") == 0) {
		see_member(cipher, event, archive || is_past(cipher, event));
	}
}

/* ---- asking ---- */

/* Whether we hear of his devices in another room, and did all the time. */
static bool
is_followed(const struct cipher *cipher, const char *user)
{
	const struct cipher *other;

	LIST_FOR_EACH(other, &cipher->matrix->ciphers, struct cipher, link) {
		const struct member *member = other != cipher && other->complete ? find_member(other, user) : NULL;
		if (member && !member->invited)
			return true;
	}
	return false;
}

static void
meet_members(struct cipher *cipher)
{
	if (is_met(cipher))
		return;
	for (size_t i = 0; i < cipher->count; i++)
		if (!is_followed(cipher, cipher->members[i].user))
			crypto_saw_member(cipher->matrix->crypto, cipher->members[i].user);
	set_met(cipher, true);
}

static void
take_members(struct cipher *cipher, const json_t *chunk)
{
	const json_t *event;
	size_t i, kept = 0;

	forget_members(cipher);
	json_array_foreach(chunk, i, event) {
		const char *user = json_text(event, "state_key"), *membership = json_text(json_child(event, "content"), "membership");
		if (is_recipient(cipher, user, membership))
			append_member(cipher, user, strcmp(membership, "invite") == 0);
	}
	if (cipher->count)
		qsort(cipher->members, cipher->count, sizeof(*cipher->members), compare);
	for (size_t n = 0; n < cipher->count; n++) {
		if (kept && strcmp(cipher->members[kept - 1].user, cipher->members[n].user) == 0)
			free(cipher->members[n].user);
		else
			cipher->members[kept++] = cipher->members[n];
	}
	cipher->count = kept;
	cipher->complete = !cipher->moved;
	if (cipher->complete)
		meet_members(cipher);
	crypto_saw_readers(cipher->matrix->crypto, cipher->room);
}

static void
on_answer(void *context, const struct http_answer *answer)
{
	struct cipher *cipher = context;
	bool visible = cipher->visibility != NULL;
	struct judged judged;

	cipher->request = NULL;
	matrix_judge(cipher->matrix, answer, &judged);
	const json_t *chunk = json_object_get(judged.json, "chunk");
	if (!visible && (judged.is == JUDGED_FINE || judged.status == 404)) {
		const char *visibility = judged.is == JUDGED_FINE ? json_text(judged.json, "history_visibility") : NULL;
		cipher->visibility = xstrdup(visibility ? visibility : "shared"); /* the specification's default */
		keep(cipher);
	} else if (visible && judged.is == JUDGED_FINE && json_is_array(chunk)) {
		take_members(cipher, chunk);
	} else {
		loop_timer_set(&cipher->retry, judged.delay_ms > RETRY_MS ? judged.delay_ms : RETRY_MS);
	}
	judged_fini(&judged);
	if (loop_timer_armed(&cipher->retry))
		return;
	if (cipher->visibility && cipher->complete)
		outbox_wake(cipher->matrix->parts.outbox);
	else
		ask(cipher);
}

/* One thing after the other. */
static void
ask(struct cipher *cipher)
{
	struct matrix *matrix = cipher->matrix;

	if (cipher->request || matrix->state != MATRIX_HERE)
		return;
	AUTO_FREE char *path = matrix_path(cipher->visibility ? "/_matrix/client/v3/rooms/%s/members?not_membership=leave&user_id=%s" :
		"/_matrix/client/v3/rooms/%s/state/m.room.history_visibility?user_id=%s", cipher->room, matrix->bot);
	cipher->moved = false;
	cipher->asked_ms = now_real_ms();
	cipher->request = matrix_ask(matrix, "GET", path, NULL, on_answer, cipher);
}

/* ---- for who encrypts ---- */

bool
cipher_prepare(struct matrix *matrix, const char *room)
{
	struct cipher *cipher = find(matrix, room);

	if (!cipher || (cipher->visibility && cipher->complete))
		return true;
	if (!loop_timer_armed(&cipher->retry))
		ask(cipher);
	return false;
}

bool
cipher_rules(const struct matrix *matrix, const char *room, struct cipher_rules *out)
{
	const struct cipher *cipher = find(matrix, room);

	if (!cipher)
		return false;
	*out = (struct cipher_rules){ cipher->algorithm, cipher->visibility, cipher->rotation_ms, cipher->rotation_messages };
	return true;
}

void
cipher_each_recipient(const struct matrix *matrix, const char *room, void (*each)(void *context, const char *user), void *context)
{
	const struct cipher *cipher = find(matrix, room);

	for (size_t i = 0; cipher && i < cipher->count; i++)
		if (!cipher->members[i].invited || !str_equal(cipher->visibility, "joined"))
			each(context, cipher->members[i].user);
}
