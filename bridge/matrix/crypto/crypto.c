/* SPDX-License-Identifier: Apache-2.0 */
/* What lives as long as the port: the tables, the secret that identities are derived from, and the generation. */
#include "matrix/crypto/crypto.h"

#include "base/log.h"
#include "base/now.h"
#include "matrix/crypto/keep.h"
#include "matrix/crypto/inbound.h"
#include "matrix/crypto/mend.h"
#include "matrix/crypto/outbound.h"
#include "matrix/crypto/peers.h"
#include "matrix/crypto/recipients.h"
#include "matrix/crypto/roster.h"
#include "matrix/crypto/own.h"
#include "matrix/ghost.h"
#include "matrix/link.h"
#include "matrix/crypto/waiting.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define RAISE_MS (10 * 60 * 1000) /* what a copy can be behind and go unnoticed, when the process was not started again since */

int64_t
crypto_generation(struct crypto *crypto)
{
	return keep_number(crypto->keep, "c_generation");
}

void
crypto_raise(struct crypto *crypto)
{
	keep_set_number(crypto->keep, "c_generation", crypto_generation(crypto) + 1);
	crypto->writes = keep_writes(crypto->keep);
	crypto->raised = true;
	loop_timer_set(&crypto->raise, RAISE_MS);
}

static void
on_raise(void *context)
{
	static const struct author bot = { NULL, NULL, NULL };
	struct crypto *crypto = context;

	if (crypto->guarded && crypto->writes != keep_writes(crypto->keep) && inbox_has_room(crypto->matrix->parts.inbox)) {
		crypto_raise(crypto);
		ghost_recall(ghost_get(crypto->matrix, &bot));
	}
	loop_timer_set(&crypto->raise, RAISE_MS);
}

void
crypto_devices_changed(struct crypto *crypto)
{
	crypto->matrix->forgot_ms = now_real_ms();
	crypto->matrix->arrivals++;
	keep_set_number(crypto->keep, "c_forgot_ms", crypto->matrix->forgot_ms);
}

void
crypto_go_on_from(struct crypto *crypto, int64_t generation)
{
	keep_set_number(crypto->keep, "c_generation", generation);
}

void
crypto_kill_all(struct crypto *crypto, int64_t generation)
{
	keep_kill_all(crypto->keep);
	crypto_go_on_from(crypto, generation);
	crypto_devices_changed(crypto);
}

void
crypto_became_ready(struct crypto *crypto, const struct own *own)
{
	if (own->bot)
		link_poll_again(crypto->matrix);
	outbox_wake(crypto->matrix->parts.outbox);
}

/* `sourdine restore` says so: whatever the homeserver knows, these ratchets were used since. Once for each restoring. */
static void
look_if_restored(struct crypto *crypto)
{
	int64_t taken_ms = keep_number(crypto->keep, "restored");

	if (!taken_ms || taken_ms == keep_number(crypto->keep, "c_restored"))
		return;
	log_notice(LOG_MATRIX, "the database was restored: every device gets a successor");
	crypto_kill_all(crypto, crypto_generation(crypto));
	keep_set_number(crypto->keep, "c_restored", taken_ms);
}

static void
take_event(struct own *own, const json_t *event)
{
	inbound_olm(own->crypto, &own->record, event);
}

int
crypto_open(struct crypto **out, struct matrix *matrix)
{
	struct crypto *crypto = xcalloc(1, sizeof(*crypto));

	crypto->matrix = matrix;
	crypto->store = matrix->parts.store;
	crypto->all_trusted = matrix->settings.trusts_all;
	loop_timer_init(&crypto->raise, matrix->parts.loop, on_raise, crypto);
	if (keep_open(&crypto->keep, crypto->store, matrix->parts.seal)) {
		crypto_close(crypto);
		return MATRIX_E_KEY;
	}
	seal_derive(matrix->parts.seal, "cross-signing", crypto->bridge_secret);
	crypto->peers = peers_open(matrix);
	crypto->recipients = recipients_open(matrix);
	crypto->outbound = outbound_open(matrix);
	crypto->waiting = waiting_open(crypto);
	crypto->mend = mend_open(crypto);
	crypto->on_event = take_event;
	look_if_restored(crypto);
	matrix->forgot_ms = keep_number(crypto->keep, "c_forgot_ms");
	*out = crypto;
	return 0;
}

void
crypto_close(struct crypto *crypto)
{
	if (!crypto)
		return;
	mend_close(crypto->mend);
	waiting_close(crypto->waiting);
	outbound_close(crypto->outbound);
	recipients_close(crypto->recipients);
	peers_close(crypto->peers);
	loop_timer_stop(&crypto->raise);
	keep_close(crypto->keep);
	mem_free_secret(crypto, sizeof(*crypto));
}

void
crypto_stop(struct crypto *crypto)
{
	if (!crypto)
		return;
	mend_stop(crypto->mend);
	waiting_stop(crypto->waiting);
	outbound_stop(crypto->outbound);
	recipients_stop(crypto->recipients);
	peers_stop(crypto->peers);
}

void
crypto_saw_readers(struct crypto *crypto, const char *room)
{
	if (crypto)
		recipients_changed(crypto->recipients, room);
}

void
crypto_saw_rules(struct crypto *crypto, const char *room)
{
	if (crypto)
		roster_forget_room(crypto->store, room);
}

void
crypto_saw_member(struct crypto *crypto, const char *user)
{
	if (crypto)
		peers_touch(crypto->peers, user);
}

bool
crypto_trusts_all(const struct crypto *crypto, const char *room)
{
	const struct group *group = groups_of_room(crypto->matrix->parts.groups, room);

	return group && group->trust ? group->trust == TRUST_ALL : crypto->all_trusted;
}

void
crypto_arrived(struct crypto *crypto)
{
	if (crypto)
		crypto->heard = false;
}

void
crypto_reset(struct crypto *crypto)
{
	if (crypto && !crypto->guarded)
		crypto->raised = false;
}
