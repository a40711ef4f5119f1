/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of other people's devices, as a homeserver would hold them: real ones, with signatures that verify. Nobody keeps the
 * private halves, so what is written to these devices is read by none of them.
 *
 *   devices FOLDER PEOPLE DEVICES CLAIMS
 *
 * Person I is @mI:hs.test and has DEVICES devices, each signed by itself and by its owner's identity. FOLDER/people has a line for each:
 * MXID, master key, self-signing key, devices, with tabs between; all but the first are JSON. FOLDER/claims has CLAIMS one-time keys of each
 * device: device, key. What is signed is written here in the order and form of canonical JSON.
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY 32
#define SIGNATURE 64
#define TEXT 96 /* of either, as base64 */

struct pair {
	EVP_PKEY *own;
	char text[TEXT]; /* the public key */
};

_Noreturn static void
fail(const char *what)
{
	fprintf(stderr, "devices: %s\n", what);
	exit(1);
}

static void
encode(const unsigned char *bytes, int n, char text[TEXT])
{
	EVP_EncodeBlock((unsigned char *)text, bytes, n);
	text[strcspn(text, "=")] = '\0';
}

static struct pair
make_pair(int type)
{
	struct pair pair = { NULL, "" };
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_id(type, NULL);
	unsigned char public[KEY];
	size_t n = KEY;

	if (!context || EVP_PKEY_keygen_init(context) != 1 || EVP_PKEY_keygen(context, &pair.own) != 1 ||
			EVP_PKEY_get_raw_public_key(pair.own, public, &n) != 1)
		fail("no key");
	EVP_PKEY_CTX_free(context);
	encode(public, KEY, pair.text);
	return pair;
}

static void
sign(const struct pair *by, const char *text, char signature[TEXT])
{
	unsigned char bytes[SIGNATURE];
	size_t n = SIGNATURE;
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	if (!context || EVP_DigestSignInit(context, NULL, NULL, NULL, by->own) != 1 ||
			EVP_DigestSign(context, bytes, &n, (const unsigned char *)text, strlen(text)) != 1)
		fail("no signature");
	EVP_MD_CTX_free(context);
	encode(bytes, SIGNATURE, signature);
}

/* The object with a member "signatures"; `text` without its last brace stays canonical. */
static void
print_signed(FILE *file, const char *text, const char *user, const char *const names[2], char signatures[2][TEXT], int count)
{
	fprintf(file, "%.*s,\"signatures\":{\"%s\":{", (int)strlen(text) - 1, text, user);
	for (int i = 0; i < count; i++)
		fprintf(file, "%s\"ed25519:%s\":\"%s\"", i ? "," : "", names[i], signatures[i]);
	fprintf(file, "}}}");
}

static void
print_device(FILE *people, FILE *claims, const char *user, const char *device, const struct pair *self_signing, long keys)
{
	struct pair ed = make_pair(EVP_PKEY_ED25519), curve = make_pair(EVP_PKEY_X25519);
	const char *const names[2] = { device, self_signing->text };
	char text[1024], signatures[2][TEXT];

	snprintf(text, sizeof(text), "{\"algorithms\":[\"m.olm.v1.curve25519-aes-sha2\",\"m.megolm.v1.aes-sha2\"],\"device_id\":\"%s\","
			"\"keys\":{\"curve25519:%s\":\"%s\",\"ed25519:%s\":\"%s\"},\"user_id\":\"%s\"}", device, device, curve.text, device, ed.text, user);
	sign(&ed, text, signatures[0]);
	sign(self_signing, text, signatures[1]);
	fprintf(people, "\"%s\":", device);
	print_signed(people, text, user, names, signatures, 2);
	for (long i = 0; i < keys; i++) {
		struct pair key = make_pair(EVP_PKEY_X25519);
		snprintf(text, sizeof(text), "{\"key\":\"%s\"}", key.text);
		sign(&ed, text, signatures[0]);
		fprintf(claims, "%s\t", device);
		print_signed(claims, text, user, names, signatures, 1);
		fputc('\n', claims);
		EVP_PKEY_free(key.own);
	}
	EVP_PKEY_free(ed.own);
	EVP_PKEY_free(curve.own);
}

static void
print_person(FILE *people, FILE *claims, long number, long devices, long keys)
{
	struct pair master = make_pair(EVP_PKEY_ED25519), self_signing = make_pair(EVP_PKEY_ED25519);
	const char *const names[2] = { master.text, NULL };
	char user[64], device[32], text[1024], signatures[2][TEXT];

	snprintf(user, sizeof(user), "@m%ld:hs.test", number);
	fprintf(people, "%s\t{\"keys\":{\"ed25519:%s\":\"%s\"},\"usage\":[\"master\"],\"user_id\":\"%s\"}\t", user, master.text, master.text, user);
	snprintf(text, sizeof(text), "{\"keys\":{\"ed25519:%s\":\"%s\"},\"usage\":[\"self_signing\"],\"user_id\":\"%s\"}", self_signing.text,
			self_signing.text, user);
	sign(&master, text, signatures[0]);
	print_signed(people, text, user, names, signatures, 1);
	fprintf(people, "\t{");
	for (long i = 0; i < devices; i++) {
		snprintf(device, sizeof(device), "DEVICE%04ld", number * devices + i);
		fprintf(people, "%s", i ? "," : "");
		print_device(people, claims, user, device, &self_signing, keys);
	}
	fprintf(people, "}\n");
	EVP_PKEY_free(master.own);
	EVP_PKEY_free(self_signing.own);
}

static FILE *
open_file(const char *folder, const char *name)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	FILE *file = fopen(path, "w");
	if (!file)
		fail(path);
	return file;
}

int
main(int argc, char **argv)
{
	if (argc != 5) {
		fprintf(stderr, "usage: see the top of devices.c\n");
		return 2;
	}
	FILE *people = open_file(argv[1], "people"), *claims = open_file(argv[1], "claims");
	for (long i = 0; i < strtol(argv[2], NULL, 10); i++)
		print_person(people, claims, i, strtol(argv[3], NULL, 10), strtol(argv[4], NULL, 10));
	if (fclose(people) || fclose(claims))
		fail("cannot be written");
	return 0;
}
