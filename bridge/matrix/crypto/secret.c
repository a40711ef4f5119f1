/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that forgets. It never grows in place, since a moved block would leave its former bytes behind. */
#include "matrix/crypto/secret.h"

#include <string.h>

void
secret_make(struct secret *secret, size_t n)
{
	*secret = (struct secret){ xcalloc(1, n + 1), n };
}

void
secret_copy(struct secret *secret, const void *p, size_t n)
{
	secret_make(secret, n);
	if (n)
		memcpy(secret->p, p, n);
}

void
secret_fini(struct secret *secret)
{
	mem_free_secret(secret->p, secret->n);
	*secret = (struct secret){ NULL, 0 };
}
