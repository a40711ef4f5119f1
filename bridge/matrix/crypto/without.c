/* SPDX-License-Identifier: Apache-2.0 */
/* A build without libolm: what the port calls, and nothing behind it. */
#include "matrix/crypto/crypto.h"

int
crypto_open(struct crypto **out, struct matrix *matrix)
{
	(void)matrix;
	*out = NULL;
	return 0;
}

void
crypto_close(struct crypto *crypto)
{
	(void)crypto;
}
