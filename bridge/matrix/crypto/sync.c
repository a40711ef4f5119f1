/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of devices come first, for who sent the events must be known as he is now. Each event is a part of the transaction
 * that can fail alone: a wrong one costs only itself.
 */
#include "matrix/crypto/sync.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/now.h"
#include "matrix/crypto/devicekeys.h"
#include "matrix/crypto/peers.h"
#include "matrix/crypto/waiting.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 100 /* events of an answer, while there are more */

/* Rooms come by transactions. */
static const char filter[] = "{\"room\":{\"rooms\":[]},\"presence\":{\"not_types\":[\"*\"]},\"account_data\":{\"not_types\":[\"*\"]}}";

char *
sync_path(const struct own *own, int timeout_ms)
{
	char timeout[16];

	/* Whether there is more is to be known at once. */
	snprintf(timeout, sizeof(timeout), "%d", own->bot && waiting_is_behind(own->crypto->waiting) ? 0 : timeout_ms);
	AUTO_FREE char *path = matrix_path("/_matrix/client/v3/sync?user_id=%s&device_id=%s&set_presence=offline&timeout=%s&filter=%s",
		own->record.user, own->record.device, timeout, filter);
	AUTO_FREE char *since = *own->record.since ? matrix_path("&since=%s", own->record.since) : xstrdup("");
	return xasprintf("%s%s", path, since);
}

/* Only the bot shares every room, so only its lists are whole. */
static void
take_lists(struct own *own, const json_t *lists)
{
	struct crypto *crypto = own->crypto;
	const json_t *user;
	size_t i;

	json_array_foreach(json_object_get(lists, "changed"), i, user) {
		const char *mxid = json_string_value(user);
		if (mxid && !matrix_is_own(crypto->matrix, mxid, strlen(mxid)))
			peers_touch(crypto->peers, mxid);
	}
}

static void
take_events(struct own *own, const json_t *events)
{
	struct crypto *crypto = own->crypto;
	const json_t *event;
	size_t i;

	json_array_foreach(events, i, event) {
		if (!json_text(event, "type") || !json_text(event, "sender") || !crypto->on_event)
			continue;
		store_savepoint(crypto->store);
		crypto->on_event(own, event);
		if (!store_release(crypto->store, true))
			log_error(LOG_MATRIX, "what a device was sent could not be kept user=%s", own->record.user);
		FAULT_POINT("crypto_event_taken");
	}
	/* In all at once: they are counted. */
	if (crypto->strangers && own->living)
		keep_trim_strangers(crypto->keep, own->record.id);
	crypto->strangers = false;
	if (own->bot)
		waiting_caught_up(crypto->waiting, json_array_size(events) < PAGE);
}

/* A missing algorithm means that there are none. */
static void
take_counts(struct own *own, const json_t *answer)
{
	const json_t *left = json_child(answer, "device_one_time_keys_count"), *unused = json_object_get(answer, "device_unused_fallback_key_types");
	int64_t one_time = 0;
	bool fallback = false;
	const json_t *type;
	size_t i;

	json_whole(left, DEVICEKEYS_ONE_TIME, &one_time);
	json_array_foreach(unused, i, type)
		fallback |= str_equal(json_string_value(type), DEVICEKEYS_ONE_TIME);
	if (left)
		own_counted(own, one_time, fallback || !unused);
}

void
sync_take(struct own *own, const json_t *answer)
{
	const char *next = json_text(answer, "next_batch");

	if (!next)
		return;
	if (own->bot) {
		own->synced_ms = now_real_ms();
		metric_set(METRIC_SYNC_LAST, own->synced_ms / 1000);
		/* What a first answer says begins with it: nobody's list is known to be the latest. */
		if (!*own->record.since)
			peers_touch_all(own->crypto->peers);
		take_lists(own, json_child(answer, "device_lists"));
	}
	take_events(own, json_object_get(json_child(answer, "to_device"), "events"));
	if (!own->living)
		return;
	take_counts(own, answer);
	if (own->bot && !own->crypto->heard) {
		own->crypto->heard = true;
		outbox_wake(own->crypto->matrix->parts.outbox);
	}
	if (strcmp(own->record.since, next) == 0)
		return;
	free(own->record.since);
	own->record.since = xstrdup(next);
	own_save(own);
	FAULT_POINT("crypto_batch_taken");
}
