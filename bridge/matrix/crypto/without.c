/* SPDX-License-Identifier: Apache-2.0 */
/* A build without libolm: what the port calls, and nothing behind it. */
#include "matrix/crypto/crypto.h"
#include "matrix/crypto/outbound.h"

int
crypto_open(struct crypto **out, struct matrix *matrix)
{
	(void)matrix;
	*out = NULL;
	return 0;
}

void
crypto_stop(struct crypto *crypto)
{
	(void)crypto;
}

void
crypto_saw_readers(struct crypto *crypto, const char *room)
{
	(void)crypto, (void)room;
}

void
crypto_saw_member(struct crypto *crypto, const char *room, const char *user, const char *membership)
{
	(void)crypto, (void)room, (void)user, (void)membership;
}

enum outbound_readiness
outbound_prepare(struct matrix *matrix, struct ghost *ghost, const char *room, const char **why)
{
	(void)matrix, (void)ghost, (void)room, (void)why;
	return OUTBOUND_READY;
}

bool
outbound_concerns(struct matrix *matrix, const char *room, const char *type)
{
	(void)matrix, (void)room, (void)type;
	return false;
}

bool
outbound_encrypt(struct matrix *matrix, const struct ghost *ghost, const char *room, const char *type, const char *content, const char *name,
		struct str *out)
{
	(void)matrix, (void)ghost, (void)room, (void)type, (void)content, (void)name, (void)out;
	return false;
}

void
crypto_close(struct crypto *crypto)
{
	(void)crypto;
}
