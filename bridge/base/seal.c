/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing and naming. Sub-keys come from the master key by HMAC under labels of their own
 * (the expansion step of RFC 5869 with a one-block output). A sealing key is used for one
 * text only, hence the fixed nonce. Keyed contexts are made once and started over for each text: to make
 * one costs ten times what it does then.
 */
#include "base/seal.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY 32
#define SALT 16
#define TAG 16
#define SALTS 64 /* drawn at a time */

struct salts {
	size_t left;
	unsigned char salt[SALTS][SALT];
};

struct seal {
	EVP_MAC_CTX *bodies, *names, *aliases, *print, *derived; /* own */
	EVP_CIPHER_CTX *wrap, *unwrap;                           /* own */
	struct salts *salts;                                     /* owns; each is used once, and no secret */
};

static void
require(bool ok)
{
	if (ok)
		return;
	log_error(LOG_MAIN, "cryptography failed, stopping");
	abort();
}

static EVP_MAC_CTX *
keyed_mac(const unsigned char key[KEY])
{
	char digest[] = "SHA256";
	OSSL_PARAM settings[] = { OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end() };
	EVP_MAC *kind = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *mac = EVP_MAC_CTX_new(kind);

	require(mac && EVP_MAC_init(mac, key, KEY, settings) == 1);
	EVP_MAC_free(kind);
	return mac;
}

/* The MAC under its own key. */
static void
hmac(EVP_MAC_CTX *mac, const void *p, size_t n, unsigned char out[KEY])
{
	size_t size = 0;

	require(EVP_MAC_init(mac, NULL, 0, NULL) == 1 && EVP_MAC_update(mac, p, n) == 1);
	require(EVP_MAC_final(mac, out, &size, KEY) == 1 && size == KEY);
}

static EVP_MAC_CTX *
sub_key(EVP_MAC_CTX *master, const char *label)
{
	unsigned char key[KEY];

	hmac(master, label, strlen(label), key);
	EVP_MAC_CTX *mac = keyed_mac(key);
	OPENSSL_cleanse(key, sizeof(key));
	return mac;
}

static EVP_CIPHER_CTX *
make_cipher(bool encrypts)
{
	EVP_CIPHER *kind = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();

	require(kind && cipher && EVP_CipherInit_ex2(cipher, kind, NULL, NULL, encrypts, NULL) == 1);
	EVP_CIPHER_free(kind);
	return cipher;
}

static int
make_key_file(const char *path)
{
	unsigned char key[KEY];
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	seal_random(key, sizeof(key));
	bool written = write(fd, key, sizeof(key)) == KEY && fsync(fd) == 0;
	int error = written ? 0 : -(errno ? errno : EIO);
	OPENSSL_cleanse(key, sizeof(key));
	close(fd);
	return error;
}

static int
read_key_file(const char *path, unsigned char key[KEY])
{
	unsigned char more;
	struct stat info;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? SEAL_E_MISSING : -errno;
	ssize_t n = read(fd, key, KEY);
	/* One that is longer is a text, as base64: the bytes that were meant are others. */
	int error = n < 0 ? -errno : n == KEY && read(fd, &more, 1) == 0 ? 0 : SEAL_E_SHORT;
	if (!error && (fstat(fd, &info) < 0 || info.st_mode & S_IRWXO))
		error = SEAL_E_READABLE;
	close(fd);
	return error;
}

int
seal_open(struct seal **out, const char *path, bool create)
{
	unsigned char key[KEY];
	int r = read_key_file(path, key);

	if (r == SEAL_E_MISSING && create) {
		r = make_key_file(path);
		if (!r)
			r = read_key_file(path, key);
	}
	if (r)
		return r;
	EVP_MAC_CTX *master = keyed_mac(key);
	OPENSSL_cleanse(key, sizeof(key));
	*out = xcalloc(1, sizeof(**out));
	**out = (struct seal){
		.bodies = sub_key(master, "bodies"), .names = sub_key(master, "names"), .aliases = sub_key(master, "aliases"),
		.print = sub_key(master, "print"), .derived = sub_key(master, "derived"),
		.wrap = make_cipher(true), .unwrap = make_cipher(false), .salts = xcalloc(1, sizeof(struct salts)),
	};
	EVP_MAC_CTX_free(master);
	return 0;
}

void
seal_close(struct seal *seal)
{
	if (!seal)
		return;
	EVP_MAC_CTX_free(seal->bodies);
	EVP_MAC_CTX_free(seal->names);
	EVP_MAC_CTX_free(seal->aliases);
	EVP_MAC_CTX_free(seal->print);
	EVP_MAC_CTX_free(seal->derived);
	EVP_CIPHER_CTX_free(seal->wrap);
	EVP_CIPHER_CTX_free(seal->unwrap);
	free(seal->salts);
	free(seal);
}

static void
take_salt(struct salts *salts, unsigned char out[SALT])
{
	if (!salts->left) {
		seal_random(salts->salt, sizeof(salts->salt));
		salts->left = SALTS;
	}
	memcpy(out, salts->salt[--salts->left], SALT);
}

/* The key of one text, into a cipher. */
static void
set_key(const struct seal *seal, EVP_CIPHER_CTX *cipher, const unsigned char salt[SALT])
{
	static const unsigned char nonce[12];
	unsigned char key[KEY];

	hmac(seal->bodies, salt, SALT, key);
	require(EVP_CipherInit_ex2(cipher, NULL, key, nonce, -1, NULL) == 1);
	OPENSSL_cleanse(key, sizeof(key));
}

void
seal_wrap(const struct seal *seal, const void *p, size_t n, unsigned char **out, size_t *out_size)
{
	int size = 0;

	require(n < INT_MAX - SEAL_OVERHEAD);
	unsigned char *sealed = xmalloc(n + SEAL_OVERHEAD);
	take_salt(seal->salts, sealed);
	set_key(seal, seal->wrap, sealed);
	require(EVP_EncryptUpdate(seal->wrap, sealed + SALT, &size, p, (int)n) == 1);
	require(EVP_EncryptFinal_ex(seal->wrap, sealed + SALT + n, &size) == 1);
	require(EVP_CIPHER_CTX_ctrl(seal->wrap, EVP_CTRL_GCM_GET_TAG, TAG, sealed + SALT + n) == 1);
	*out = sealed;
	*out_size = n + SEAL_OVERHEAD;
}

bool
seal_unwrap(const struct seal *seal, const void *p, size_t n, char **out, size_t *out_size)
{
	const unsigned char *sealed = p;
	unsigned char tag[TAG];
	int size = 0;

	if (!p || n < SEAL_OVERHEAD || n > INT_MAX)
		return false;
	size_t length = n - SEAL_OVERHEAD;
	memcpy(tag, sealed + SALT + length, TAG);
	set_key(seal, seal->unwrap, sealed);
	unsigned char *text = xmalloc(length + 1);
	bool good = EVP_DecryptUpdate(seal->unwrap, text, &size, sealed + SALT, (int)length) == 1 &&
			EVP_CIPHER_CTX_ctrl(seal->unwrap, EVP_CTRL_GCM_SET_TAG, TAG, tag) == 1 &&
			EVP_DecryptFinal_ex(seal->unwrap, text + length, &size) == 1;
	if (!good) {
		mem_free_secret(text, length);
		return false;
	}
	text[length] = '\0';
	*out = (char *)text;
	*out_size = length;
	return true;
}

/* RFC 4648 base32 in lower case, without padding; `bits` is a multiple of 5. */
static void
base32(const unsigned char *p, size_t characters, char *out)
{
	static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";

	for (size_t i = 0; i < characters; i++) {
		size_t bit = i * 5, byte = bit / 8;
		unsigned two = (unsigned)p[byte] << 8 | p[byte + 1];
		out[i] = alphabet[two >> (11 - bit % 8) & 31];
	}
	out[characters] = '\0';
}

static void
keyed_hash(EVP_MAC_CTX *mac, const char *const *fields, size_t characters, char *out)
{
	unsigned char hash[KEY + 1] = { 0 };
	struct str all;

	str_init(&all, SIZE_MAX / 2);
	for (; *fields; fields++) {
		str_addf(&all, "%zu:", strlen(*fields));
		str_add(&all, *fields);
	}
	hmac(mac, str_get(&all), all.n, hash);
	str_fini(&all);
	base32(hash, characters, out);
}

void
seal_name(const struct seal *seal, const char *const *fields, char out[SEAL_NAME_SIZE])
{
	keyed_hash(seal->names, fields, SEAL_NAME_SIZE - 1, out);
}

void
seal_alias(const struct seal *seal, const char *const *fields, char out[17])
{
	keyed_hash(seal->aliases, fields, 16, out);
}

static void
hex(const unsigned char *p, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * n] = '\0';
}

void
seal_derive(const struct seal *seal, const char *label, unsigned char key[SEAL_KEY_SIZE])
{
	hmac(seal->derived, label, strlen(label), key);
}

void
seal_fingerprint(const struct seal *seal, char out[17])
{
	unsigned char hash[KEY];

	hmac(seal->print, "", 0, hash);
	hex(hash, 8, out);
}

void
seal_random(void *p, size_t n)
{
	require(n <= INT_MAX && RAND_bytes(p, (int)n) == 1);
}

void
seal_random_text(char *out, size_t n, const char *alphabet)
{
	size_t letters = strlen(alphabet);

	for (size_t i = 0; i < n;) {
		unsigned char byte;
		seal_random(&byte, 1);
		if (byte < 256 / letters * letters)
			out[i++] = alphabet[byte % letters];
	}
	out[n] = '\0';
}

static void
digest(const EVP_MD *kind, const struct span *parts, size_t count, unsigned char *out, unsigned size)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	require(context && EVP_DigestInit_ex(context, kind, NULL) == 1);
	for (size_t i = 0; i < count; i++)
		require(EVP_DigestUpdate(context, parts[i].p, parts[i].n) == 1);
	require(EVP_DigestFinal_ex(context, out, &size) == 1);
	EVP_MD_CTX_free(context);
}

void
seal_sha1_hex(const char *first, const char *second, char out[41])
{
	unsigned char hash[20];
	struct span parts[] = { { first, strlen(first) }, { second, strlen(second) } };

	digest(EVP_sha1(), parts, 2, hash, sizeof(hash));
	hex(hash, sizeof(hash), out);
}

void
seal_sha256_hex(const void *p, size_t n, char out[65])
{
	unsigned char hash[32];
	struct span part = { p, n };

	digest(EVP_sha256(), &part, 1, hash, sizeof(hash));
	hex(hash, sizeof(hash), out);
}

bool
seal_same(const char *a, const char *b)
{
	char left[65], right[65];

	seal_sha256_hex(a, strlen(a), left);
	seal_sha256_hex(b, strlen(b), right);
	return CRYPTO_memcmp(left, right, sizeof(left)) == 0;
}
