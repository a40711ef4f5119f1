/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_CRYPTO_PEERS_H
#define MATRIX_CRYPTO_PEERS_H

/*
 * Which devices others have (C-S API, "Device list"). Users of our own namespace have none for us, everywhere.
 */

#include "matrix/inside.h"

struct crypto;
struct peers;

struct peers *peers_open(struct matrix *matrix) MUST_USE;
/* Cancels what is under way. */
void peers_stop(struct peers *peers);
void peers_close(struct peers *peers); /* NULL is fine */

/*
 * His devices may have changed: the bot's /sync says so, he joins a room or is invited, or something came from a device of his
 * that is not known. Asked for when they are next needed.
 */
void peers_touch(struct peers *peers, const char *user);
/* The same of everybody: it is not known who changed. */
void peers_touch_all(struct peers *peers);

/* A device could not read what one of ours wrote, and began a new Olm session: what it was given before is given again, for it may be lost. */
void peers_wedged(struct peers *peers, const char *user, const char *curve);

/*
 * Whether the devices of these users are known well enough to be written to. False: they are being asked for, and
 * outbox_wake() follows. A user whose server does not answer is known by what it said before; it is asked again later.
 */
bool peers_know(struct peers *peers, const char *const *users, size_t n);

/* What somebody could do with a message that is encrypted. */
enum peers_reading {
	PEERS_READ_UNKNOWN, /* his devices are being asked for, and outbox_wake() follows */
	PEERS_READ_SILENT,  /* his server does not answer: it is asked again later, when somebody asks here */
	PEERS_READ_NOT,     /* he has no device that would be given the key */
	PEERS_READ,
};
enum peers_reading peers_reads(struct peers *peers, const char *user);

/* Rises with every change of anybody's devices. */
unsigned long peers_generation(const struct peers *peers);

#endif
