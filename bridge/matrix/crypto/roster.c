/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bookkeeping without judgement. A device is not removed: its keys stay, so that one that comes back under its id with other
 * keys is known for what it is. Only of who has had thousands are those that are gone forgotten.
 */
#include "matrix/crypto/roster.h"

#include "matrix/crypto/base64.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
take_text(struct query *query, int column, char *out, size_t size)
{
	const char *text = query_get_text(query, column);

	snprintf(out, size, "%s", text ? text : "");
}

/* ---- users ---- */

void
roster_get_user(struct store *store, const char *user, struct roster_user *out)
{
	struct query query = store_query(store, C_USER_GET);

	*out = (struct roster_user){ .known = false };
	query_text(&query, user);
	if (query_step(&query)) {
		out->known = true;
		out->outdated = query_get_int(&query, 0) != 0;
		out->seq = query_get_int(&query, 1);
		take_text(&query, 2, out->pinned, sizeof(out->pinned));
	}
	query_done(&query);
}

void
roster_touch_user(struct store *store, const char *user)
{
	struct query query = store_query(store, C_USER_TOUCH);

	query_text(&query, user);
	query_run(&query);
}

void
roster_touch_all(struct store *store)
{
	struct query query = store_query(store, C_USER_TOUCH_ALL);

	query_run(&query);
}

bool
roster_is_here(struct store *store, const char *user)
{
	struct query query = store_query(store, C_USER_IS_HERE);

	query_text(&query, user);
	return query_any(&query);
}

bool
roster_get_identity(struct store *store, const char *user, struct peer_identity *out)
{
	struct query query = store_query(store, C_USER_IDENTITY);

	*out = (struct peer_identity){ .changed = false };
	query_text(&query, user);
	if (query_step(&query)) {
		take_text(&query, 0, out->master, sizeof(out->master));
		take_text(&query, 1, out->self_signing, sizeof(out->self_signing));
	}
	query_done(&query);
	return base64_decode_exact(BASE64_PLAIN, out->self_signing, out->self_signing_key, sizeof(out->self_signing_key));
}

void
roster_take_user(struct store *store, const char *user, const struct peer_identity *identity, int64_t seq)
{
	struct query query = store_query(store, C_USER_TAKE);

	query_text(&query, user);
	query_int(&query, seq);
	query_text(&query, identity->master);
	query_text(&query, identity->self_signing);
	query_run(&query);
}

/* ---- devices ---- */

static struct roster_device *
add_device(struct roster_devices *devices)
{
	if (devices->n == devices->room) {
		devices->room = devices->room ? 2 * devices->room : 16;
		devices->p = xrealloc(devices->p, devices->room * sizeof(*devices->p));
	}
	devices->p[devices->n] = (struct roster_device){ .user = NULL };
	return &devices->p[devices->n++];
}

void
roster_add_devices(struct store *store, const char *user, struct roster_devices *out)
{
	struct query query = store_query(store, C_DEVICE_EACH);

	query_text(&query, user);
	while (query_step(&query)) {
		struct roster_device *device = add_device(out);
		device->user = xstrdup(user);
		device->id = xstrdup(query_get_text(&query, 0));
		take_text(&query, 1, device->keys.curve, sizeof(device->keys.curve));
		take_text(&query, 2, device->keys.ed, sizeof(device->keys.ed));
		device->keys.trust = query_get_int(&query, 3) == PEER_CROSS_SIGNED ? PEER_CROSS_SIGNED : PEER_UNSIGNED;
		device->gone = query_get_int(&query, 4) != 0;
		device->wedge_seq = query_get_int(&query, 5);
	}
	query_done(&query);
}

void
roster_copy_device(struct roster_devices *out, const struct roster_device *device)
{
	struct roster_device *copy = add_device(out);

	*copy = *device;
	copy->user = xstrdup(device->user);
	copy->id = xstrdup(device->id);
	copy->session = NULL;
	copy->fresh = false;
}

void
roster_devices_fini(struct roster_devices *devices)
{
	for (size_t i = 0; i < devices->n; i++) {
		free(devices->p[i].user);
		free(devices->p[i].id);
		ratchet_session_free(devices->p[i].session);
	}
	free(devices->p);
	*devices = (struct roster_devices){ .p = NULL };
}

static int
compare(const void *a, const void *b)
{
	const struct roster_device *one = a, *other = b;
	int r = strcmp(one->user, other->user);

	return r ? r : strcmp(one->id, other->id);
}

void
roster_sort_devices(struct roster_devices *devices)
{
	if (devices->n)
		qsort(devices->p, devices->n, sizeof(*devices->p), compare);
}

struct roster_device *
roster_find_device(const struct roster_devices *devices, const char *user, const char *id)
{
	struct roster_device key = { .user = (char *)(uintptr_t)user, .id = (char *)(uintptr_t)id };

	return devices->n ? bsearch(&key, devices->p, devices->n, sizeof(key), compare) : NULL;
}

static void
write_device(struct store *store, enum statement statement, const char *user, const char *id, const struct peer_device *keys)
{
	struct query query = store_query(store, statement);

	query_text(&query, user);
	query_text(&query, id);
	query_text(&query, keys->curve);
	query_text(&query, keys->ed);
	query_int(&query, keys->trust);
	query_run(&query);
}

void
roster_save_device(struct store *store, const char *user, const char *id, const struct peer_device *keys)
{
	write_device(store, C_DEVICE_SAVE, user, id, keys);
}

void
roster_meet_device(struct store *store, const char *user, const char *id, const struct peer_device *keys)
{
	write_device(store, C_DEVICE_MEET, user, id, keys);
}

void
roster_trim_devices(struct store *store, const char *user)
{
	struct query query = store_query(store, C_DEVICE_TRIM);

	query_text(&query, user);
	query_run(&query);
}

static void
run_on_device(struct store *store, enum statement statement, const char *user, const char *name)
{
	struct query query = store_query(store, statement);

	query_text(&query, user);
	query_text(&query, name);
	query_run(&query);
}

void
roster_lose_device(struct store *store, const char *user, const char *id)
{
	run_on_device(store, C_DEVICE_LOSE, user, id);
}

bool
roster_wedge_device(struct store *store, const char *user, const char *curve)
{
	run_on_device(store, C_DEVICE_WEDGE, user, curve);
	return store_changes(store) > 0;
}

/* ---- claims ---- */

static struct query
query_claim(struct store *store, enum statement statement, int64_t account, const char *user, const char *device)
{
	struct query query = store_query(store, statement);

	query_int(&query, account);
	query_text(&query, user);
	query_text(&query, device);
	return query;
}

void
roster_get_claim(struct store *store, int64_t account, const char *user, const char *device, struct roster_claim *out)
{
	struct query query = query_claim(store, C_CLAIM_GET, account, user, device);

	*out = (struct roster_claim){ 0 };
	if (query_step(&query))
		*out = (struct roster_claim){ query_get_int(&query, 0), query_get_int(&query, 1), query_get_int(&query, 2) != 0 };
	query_done(&query);
}

void
roster_save_claim(struct store *store, int64_t account, const char *user, const char *device, const struct roster_claim *claim)
{
	struct query query = query_claim(store, C_CLAIM_SAVE, account, user, device);

	query_int(&query, claim->failures);
	query_int(&query, claim->retry_ms);
	query_int(&query, claim->told);
	query_run(&query);
}

void
roster_end_claim(struct store *store, int64_t account, const char *user, const char *device)
{
	struct query query = query_claim(store, C_CLAIM_FORGET, account, user, device);

	query_run(&query);
}

/* ---- shares ---- */

void
roster_save_share(struct store *store, const char *session, const char *user, const char *device, const struct roster_share *share)
{
	struct query query = store_query(store, C_MG_SHARE_SAVE);

	query_text(&query, session);
	query_text(&query, user);
	query_text(&query, device);
	query_text(&query, share->curve);
	query_int(&query, share->index);
	query_int(&query, share->wedge_seq);
	query_int(&query, share->state);
	query_run(&query);
}

void
roster_each_share(struct store *store, const char *session, void (*each)(void *context, const char *user, const char *device,
		const struct roster_share *share), void *context)
{
	struct query query = store_query(store, C_MG_SHARE_EACH);

	query_text(&query, session);
	while (query_step(&query)) {
		struct roster_share share = { .index = query_get_int(&query, 3), .wedge_seq = query_get_int(&query, 4) };
		int64_t state = query_get_int(&query, 5);
		take_text(&query, 2, share.curve, sizeof(share.curve));
		share.state = state == ROSTER_WITHHELD ? ROSTER_WITHHELD : state == ROSTER_SENT ? ROSTER_SENT : ROSTER_QUEUED;
		each(context, query_get_text(&query, 0), query_get_text(&query, 1), &share);
	}
	query_done(&query);
}

static void
run_on_session(struct store *store, enum statement statement, const char *session)
{
	struct query query = store_query(store, statement);

	query_text(&query, session);
	query_run(&query);
}

void
roster_end_queue(struct store *store, const char *session)
{
	run_on_session(store, C_MG_SHARE_SENT, session);
}

void
roster_forget_session(struct store *store, const char *session)
{
	run_on_session(store, C_MG_SHARE_FORGET, session);
	run_on_session(store, C_POST_FORGET, session);
	run_on_session(store, C_MG_OUT_FORGET, session);
}

void
roster_forget_room(struct store *store, const char *room)
{
	run_on_session(store, C_MG_SHARE_FORGET_ROOM, room);
	run_on_session(store, C_POST_FORGET_ROOM, room);
	run_on_session(store, C_MG_OUT_FORGET_ROOM, room);
}

/* ---- letters ---- */

void
roster_add_letter(struct store *store, int64_t account, const char *session, const char *type, const char *txn, const char *body)
{
	struct query query = store_query(store, C_POST_ADD);

	query_int(&query, account);
	query_text(&query, type);
	query_text(&query, txn);
	query_text(&query, body);
	query_text(&query, session);
	query_run(&query);
}

bool
roster_next_letter(struct store *store, int64_t account, const char *session, struct roster_letter *out)
{
	struct query query = store_query(store, C_POST_NEXT);

	query_int(&query, account);
	query_text(&query, session);
	bool found = query_step(&query);
	if (found) {
		out->id = query_get_int(&query, 0);
		out->type = xstrdup(query_get_text(&query, 1));
		out->txn = xstrdup(query_get_text(&query, 2));
		out->body = xstrdup(query_get_text(&query, 3));
	}
	query_done(&query);
	return found;
}

void
roster_drop_letter(struct store *store, int64_t id)
{
	store_run_for(store, C_POST_DROP, id);
}

void
roster_letter_fini(struct roster_letter *letter)
{
	free(letter->type);
	free(letter->txn);
	free(letter->body);
	*letter = (struct roster_letter){ .id = 0 };
}
