/* SPDX-License-Identifier: Apache-2.0 */
/* What lives as long as the port: the tables, and the secret that identities are derived from. */
#include "matrix/crypto/crypto.h"

#include "matrix/crypto/keep.h"

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
	*out = crypto;
	return 0;
}

void
crypto_close(struct crypto *crypto)
{
	if (!crypto)
		return;
	keep_close(crypto->keep);
	mem_free_secret(crypto, sizeof(*crypto));
}
