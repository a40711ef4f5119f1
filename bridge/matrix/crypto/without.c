/* SPDX-License-Identifier: Apache-2.0 */
/* A build without libolm: nothing is ever made, so what would work with it is never called. */
#include "matrix/crypto/decipher.h"
#include "matrix/crypto/outbound.h"
#include "matrix/crypto/peers.h"
#include "matrix/crypto/report.h"
#include "matrix/crypto/sync.h"

#include <stdlib.h>

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
crypto_saw_rules(struct crypto *crypto, const char *room)
{
	(void)crypto, (void)room;
}

void
crypto_saw_member(struct crypto *crypto, const char *user)
{
	(void)crypto, (void)user;
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
peers_touch(struct peers *peers, const char *user)
{
	(void)peers, (void)user;
	abort();
}

enum peers_reading
peers_reads(struct peers *peers, const char *user)
{
	(void)peers, (void)user;
	abort();
}

void
crypto_close(struct crypto *crypto)
{
	(void)crypto;
}

void
crypto_arrived(struct crypto *crypto)
{
	(void)crypto;
}

void
crypto_reset(struct crypto *crypto)
{
	(void)crypto;
}

struct own *
own_open(struct crypto *crypto, struct ghost *ghost, const char *user, bool bot)
{
	(void)crypto, (void)ghost, (void)user, (void)bot;
	abort();
}

void
own_close(struct own *own)
{
	(void)own;
}

bool
own_make(struct own *own, char *device, size_t size)
{
	(void)own, (void)device, (void)size;
	abort();
}

bool
own_lacks(struct own *own, bool early)
{
	(void)own, (void)early;
	abort();
}

void
own_ask(struct own *own, bool early, struct own_ask *out)
{
	(void)own, (void)early, (void)out;
	abort();
}

bool
own_took(struct own *own, const struct judged *judged)
{
	(void)own, (void)judged;
	abort();
}

void
own_failed(struct own *own, const struct judged *judged)
{
	(void)own, (void)judged;
	abort();
}

bool
own_is_ready(const struct own *own)
{
	(void)own;
	abort();
}

void
own_forget(struct own *own)
{
	(void)own;
}

bool
own_die(struct own *own, const char *why)
{
	(void)own, (void)why;
	abort();
}

char *
sync_path(const struct own *own, int timeout_ms)
{
	(void)own, (void)timeout_ms;
	abort();
}

void
sync_take(struct own *own, const json_t *answer)
{
	(void)own, (void)answer;
	abort();
}

enum decipher_result
decipher_event(struct crypto *crypto, const char *room, const json_t *event, struct deciphered *out)
{
	(void)crypto, (void)room, (void)event, (void)out;
	return DECIPHER_IGNORED;
}

void
decipher_expect(struct crypto *crypto, const char *room, const char *raw, size_t size)
{
	(void)crypto, (void)room, (void)raw, (void)size;
}

const char *
report_library(void)
{
	return "";
}

enum report_key
report_key(struct store *store, const struct seal *seal)
{
	(void)store, (void)seal;
	return REPORT_KEY_UNUSED;
}

bool
report_opens(struct store *store, const struct seal *seal, const char *user)
{
	(void)store, (void)seal, (void)user;
	return false;
}

json_t *
report_device(struct store *store, const struct seal *seal, const char *user)
{
	(void)store, (void)seal, (void)user;
	return NULL;
}

json_t *
report_devices(struct store *store, const struct seal *seal, const char *after, int64_t max)
{
	(void)store, (void)seal, (void)after, (void)max;
	return json_array();
}

enum report_fault
report_compare(const json_t *ours, const json_t *answer)
{
	(void)ours, (void)answer;
	return REPORT_FINE;
}

int64_t
report_generation(struct store *store)
{
	(void)store;
	return 0;
}
