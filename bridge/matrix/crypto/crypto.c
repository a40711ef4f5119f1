/* SPDX-License-Identifier: Apache-2.0 */
/* What lives as long as the port: the tables, and the secret that identities are derived from. */
#include "matrix/crypto/crypto.h"

#include "matrix/crypto/keep.h"
#include "matrix/crypto/outbound.h"
#include "matrix/crypto/peers.h"
#include "matrix/crypto/recipients.h"

#include <stdlib.h>
#include <string.h>

int
crypto_open(struct crypto **out, struct matrix *matrix)
{
	struct crypto *crypto = xcalloc(1, sizeof(*crypto));

	crypto->matrix = matrix;
	crypto->store = matrix->parts.store;
	if (keep_open(&crypto->keep, crypto->store, matrix->parts.seal)) {
		crypto_close(crypto);
		return MATRIX_E_KEY;
	}
	seal_derive(matrix->parts.seal, "cross-signing", crypto->bridge_secret);
	crypto->peers = peers_open(matrix);
	crypto->recipients = recipients_open(matrix);
	crypto->outbound = outbound_open(matrix);
	*out = crypto;
	return 0;
}

void
crypto_close(struct crypto *crypto)
{
	if (!crypto)
		return;
	outbound_close(crypto->outbound);
	recipients_close(crypto->recipients);
	peers_close(crypto->peers);
	keep_close(crypto->keep);
	mem_free_secret(crypto, sizeof(*crypto));
}

void
crypto_stop(struct crypto *crypto)
{
	if (!crypto)
		return;
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
crypto_saw_member(struct crypto *crypto, const char *room, const char *user, const char *membership)
{
	struct recipients_terms terms;

	if (!crypto || !recipients_terms(crypto->matrix, room, &terms))
		return;
	recipients_changed(crypto->recipients, room);
	if (strcmp(membership, "join") == 0 || strcmp(membership, "invite") == 0)
		peers_touch(crypto->peers, user);
}
