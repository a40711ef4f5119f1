/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What encrypting for a room costs without Sourdine: the libolm calls, the signatures made and checked, the pickles, the rows and the
 * commits that nobody can leave out, and nothing else; no HTTP, no JSON is parsed. What is counted are first(), each() and rotate()
 * (callgrind --toggle-collect and --dump-after).
 *
 *   raw_seal DIR FOLDER GHOSTS MESSAGES
 *
 * FOLDER: of devices.c; the identities and devices are checked before (the bot speaks first). first(): each of GHOSTS devices of ours is made, its keys are signed; it checks one one-time key of each device of
 * the others, begins an Olm session with it, and gives it the key of a new Megolm session, with which one message is encrypted. each():
 * MESSAGES more of each. rotate(): one more, then another Megolm session of each, for the same devices, and one message.
 */
#include <olm/olm.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEVICES_MAX 1000
#define GHOSTS_MAX 200
#define KEYS 5   /* one-time keys of a ghost */
#define LETTER 50 /* devices in one request */
#define TEXT 96
#define ROOM "!r0:hs.test"

static const char schema[] =
	"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON;"
	"CREATE TABLE account (id INTEGER PRIMARY KEY, user TEXT, device TEXT, state, pickle TEXT, device_keys TEXT, UNIQUE (user, device));"
	"CREATE TABLE device (user TEXT, device TEXT, curve TEXT, ed TEXT, trust, PRIMARY KEY (user, device)) WITHOUT ROWID;"
	"CREATE TABLE olm (account, peer TEXT, session TEXT, pickle TEXT, created, received, PRIMARY KEY (account, peer, session)) WITHOUT ROWID;"
	"CREATE TABLE megolm (account, room TEXT, session TEXT, pickle TEXT, created, messages, PRIMARY KEY (account, room)) WITHOUT ROWID;"
	"CREATE TABLE share (session TEXT, user TEXT, device TEXT, curve TEXT, idx, state, PRIMARY KEY (session, user, device)) WITHOUT ROWID;"
	"CREATE TABLE post (id INTEGER PRIMARY KEY AUTOINCREMENT, account, txn TEXT UNIQUE, body TEXT, session TEXT);";

enum { BEGIN, COMMIT, ACCOUNT, DEVICE, OLM, OLM_GET, MEGOLM, SHARE, SENT, UNSHARE, POST, POST_GET, UNPOST, STATEMENTS };

static const char *const statement_sql[STATEMENTS] = {
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ACCOUNT] = "INSERT OR REPLACE INTO account VALUES (?1, 'ghost ' || ?1, 'DEVICE', ?2, ?3, ?4)",
	[DEVICE] = "INSERT INTO device VALUES (?3, ?4, ?5, ?6, 1)",
	[OLM] = "INSERT OR REPLACE INTO olm VALUES (?1, ?3, ?4, ?5, 1790000000000, 1790000000000)",
	[OLM_GET] = "SELECT pickle FROM olm WHERE account = ?1 AND peer = ?3",
	[MEGOLM] = "INSERT OR REPLACE INTO megolm VALUES (?1, '" ROOM "', ?3, ?4, 1790000000000, ?2)",
	[SHARE] = "INSERT INTO share VALUES (?3, ?4, ?5, ?6, 0, 0)",
	[SENT] = "UPDATE share SET state = 1 WHERE session = ?3",
	[UNSHARE] = "DELETE FROM share WHERE session = ?3",
	[POST] = "INSERT INTO post (account, txn, body, session) VALUES (?1, lower(hex(randomblob(12))), ?3, ?4)",
	[POST_GET] = "SELECT id, body FROM post WHERE account = ?1 ORDER BY id LIMIT 1",
	[UNPOST] = "DELETE FROM post WHERE id = ?1",
};

struct device {
	char *user, *id, *signed_part, *signature, *self_signature; /* signed_part: without its signatures */
	char curve[TEXT], ed[TEXT];
	char **keys, **key_signatures;
	size_t count, used;
};

struct person {
	char *id, *key, *key_signed, *signature; /* key_signed: the self-signing key's object */
	char master[TEXT], self_signing[TEXT];
};

struct ghost {
	int id;
	OlmAccount *account;
	char curve[TEXT], ed[TEXT], device_keys[2048];
	OlmOutboundGroupSession *megolm;
	char session[TEXT];
	int messages;
};

static struct device devices[DEVICES_MAX];
static struct person persons[DEVICES_MAX];
static struct ghost ghosts[GHOSTS_MAX];
static size_t device_count, person_count, ghost_count;
static sqlite3 *db;
static sqlite3_stmt *statements[STATEMENTS];
static unsigned long verified;

_Noreturn static void
fail(const char *what, const char *why)
{
	fprintf(stderr, "raw_seal: %s: %s\n", what, why);
	exit(1);
}

/* ---- what a homeserver said, read before anything is counted ---- */

static char *
read_file(const char *folder, const char *name)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	FILE *file = fopen(path, "r");
	if (!file)
		fail(path, "cannot be read");
	fseek(file, 0, SEEK_END);
	long size = ftell(file);
	char *text = calloc(1, (size_t)size + 1);
	rewind(file);
	if (fread(text, 1, (size_t)size, file) != (size_t)size)
		fail(path, "cannot be read");
	fclose(file);
	return text;
}

/* What follows `mark`, up to a quote. */
static char *
text_after(const char *where, const char *mark)
{
	const char *at = strstr(where, mark);

	if (!at)
		fail(mark, "is missing");
	at += strlen(mark);
	return strndup(at, strcspn(at, "\""));
}

/* The object as it was signed. */
static char *
without_signatures(const char *object)
{
	const char *at = strstr(object, ",\"signatures\":");
	char *text = malloc((size_t)(at - object) + 2);

	memcpy(text, object, (size_t)(at - object));
	strcpy(text + (at - object), "}");
	return text;
}

static void
read_device(const struct person *person, const char *at)
{
	struct device *device = &devices[device_count++];
	char mark[200];

	*device = (struct device){ .user = person->id, .id = strndup(at + 1, strcspn(at + 1, "\"")) };
	const char *object = strchr(at, '{');
	device->signed_part = without_signatures(object);
	snprintf(mark, sizeof(mark), "\"curve25519:%s\":\"", device->id);
	snprintf(device->curve, TEXT, "%s", text_after(object, mark));
	snprintf(mark, sizeof(mark), "\"ed25519:%s\":\"", device->id);
	snprintf(device->ed, TEXT, "%s", text_after(object, mark));
	device->signature = text_after(strstr(object, "\"signatures\""), mark);
	snprintf(mark, sizeof(mark), "\"ed25519:%s\":\"", person->self_signing);
	device->self_signature = text_after(strstr(object, "\"signatures\""), mark);
}

static void
read_person(char *line)
{
	struct person *person = &persons[person_count++];
	char *rest = NULL;

	person->id = strtok_r(line, "\t", &rest);
	const char *master = strtok_r(NULL, "\t", &rest), *self_signing = strtok_r(NULL, "\t", &rest), *all = strtok_r(NULL, "\t", &rest);
	snprintf(person->master, TEXT, "%s", text_after(master, "\"ed25519:"));
	snprintf(person->self_signing, TEXT, "%s", text_after(self_signing, "\"ed25519:"));
	person->key_signed = without_signatures(self_signing);
	char mark[200];
	snprintf(mark, sizeof(mark), "\"ed25519:%s\":\"", person->master);
	person->signature = text_after(strstr(self_signing, "\"signatures\""), mark);
	for (const char *at = all; (at = strstr(at, "\"DEVICE")); at = strstr(at, "}}}") + 3)
		read_device(person, at);
}

static void
read_all(const char *folder)
{
	char *rest = NULL, *words = NULL, mark[200];

	for (char *line = strtok_r(read_file(folder, "people"), "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		read_person(line);
	for (char *line = strtok_r(read_file(folder, "claims"), "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char *id = strtok_r(line, "\t", &words), *object = strtok_r(NULL, "\t", &words);
		size_t i = 0;
		while (i < device_count && strcmp(devices[i].id, id) != 0)
			i++;
		struct device *device = &devices[i];
		device->keys = realloc(device->keys, (device->count + 1) * sizeof(char *));
		device->key_signatures = realloc(device->key_signatures, (device->count + 1) * sizeof(char *));
		device->keys[device->count] = text_after(object, "\"key\":\"");
		snprintf(mark, sizeof(mark), "\"ed25519:%s\":\"", id);
		device->key_signatures[device->count++] = text_after(object, mark);
	}
}

/* ---- rows ---- */

static void
open_rows(const char *directory)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/seal.db", directory);
	if (sqlite3_open(path, &db) || sqlite3_exec(db, schema, NULL, NULL, NULL))
		fail(path, sqlite3_errmsg(db));
	for (int i = 0; i < STATEMENTS; i++)
		if (sqlite3_prepare_v3(db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT, &statements[i], NULL))
			fail(statement_sql[i], sqlite3_errmsg(db));
}

static sqlite3_stmt *
bind(int which, long first, long second, const char *const texts[], int count)
{
	sqlite3_stmt *statement = statements[which];

	sqlite3_bind_int64(statement, 1, first);
	sqlite3_bind_int64(statement, 2, second);
	for (int i = 0; i < count; i++)
		sqlite3_bind_text(statement, 3 + i, texts[i], -1, SQLITE_STATIC);
	return statement;
}

static void
run(int which, long first, long second, const char *a, const char *b, const char *c, const char *d)
{
	const char *const texts[] = { a, b, c, d };
	int count = !a ? 0 : !b ? 1 : !c ? 2 : !d ? 3 : 4;
	sqlite3_stmt *statement = bind(which, first, second, texts, count);
	int r = sqlite3_step(statement);

	if (r != SQLITE_DONE && r != SQLITE_ROW)
		fail(statement_sql[which], sqlite3_errmsg(db));
	sqlite3_reset(statement);
}

static void
begin(void)
{
	run(BEGIN, 0, 0, NULL, NULL, NULL, NULL);
}

static void
commit(void)
{
	run(COMMIT, 0, 0, NULL, NULL, NULL, NULL);
}

/* ---- what libolm and OpenSSL do ---- */

static void
check(size_t n, const char *what)
{
	if (n == olm_error())
		fail(what, "libolm");
}

static unsigned char noise[4096];

static void *
draw(size_t n)
{
	if (n > sizeof(noise) || RAND_bytes(noise, (int)n) != 1)
		fail("random", "none");
	return noise;
}

static size_t
decode(const char *text, unsigned char *out, size_t size)
{
	unsigned char block[256];
	size_t n = strlen(text), padded = (n + 3) / 4 * 4;

	memcpy(block, text, n);
	memset(block + n, '=', padded - n);
	unsigned char bytes[256];
	EVP_DecodeBlock(bytes, block, (int)padded);
	memcpy(out, bytes, size);
	return size;
}

static void
verify(const char *key, const char *text, const char *signature)
{
	unsigned char public[32], bytes[64];

	decode(key, public, sizeof(public));
	decode(signature, bytes, sizeof(bytes));
	EVP_PKEY *own = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public, sizeof(public));
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	if (EVP_DigestVerifyInit(context, NULL, NULL, NULL, own) != 1 ||
			EVP_DigestVerify(context, bytes, sizeof(bytes), (const unsigned char *)text, strlen(text)) != 1)
		fail(text, "its signature is wrong");
	EVP_MD_CTX_free(context);
	EVP_PKEY_free(own);
	verified++;
}

static const char pickle_key[] = "a key for what is kept, 32 bytes";

#define PICKLE(kind, object, out) do { \
		size_t pickled = olm_pickle_##kind##_length(object); \
		out = malloc(pickled + 1); \
		check(olm_pickle_##kind(object, pickle_key, 32, out, pickled), "pickle"); \
		out[pickled] = '\0'; \
	} while (0)

static void
save_account(struct ghost *ghost, int state)
{
	char *pickle;

	PICKLE(account, ghost->account, pickle);
	begin();
	run(ACCOUNT, ghost->id, state, pickle, ghost->device_keys, NULL, NULL);
	commit();
	free(pickle);
}

static void
account_sign(struct ghost *ghost, const char *text, char signature[TEXT])
{
	size_t n = olm_account_sign(ghost->account, text, strlen(text), signature, TEXT - 1);

	check(n, "sign");
	signature[n] = '\0';
}

static EVP_PKEY *
derive(const char *user, const char *usage)
{
	unsigned char seed[32];
	char label[200];
	size_t n = sizeof(seed);
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, NULL);

	snprintf(label, sizeof(label), "xsign/1/%s/%s", user, usage);
	if (EVP_PKEY_derive_init(context) != 1 || EVP_PKEY_CTX_set_hkdf_md(context, EVP_sha256()) != 1 ||
			EVP_PKEY_CTX_set1_hkdf_key(context, (const unsigned char *)pickle_key, 32) != 1 ||
			EVP_PKEY_CTX_add1_hkdf_info(context, (const unsigned char *)label, (int)strlen(label)) != 1 ||
			EVP_PKEY_derive(context, seed, &n) != 1)
		fail("derive", "hkdf");
	EVP_PKEY_CTX_free(context);
	return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof(seed));
}

static void
encode_key(EVP_PKEY *own, char text[TEXT])
{
	unsigned char public[32];
	size_t n = sizeof(public);

	EVP_PKEY_get_raw_public_key(own, public, &n);
	EVP_EncodeBlock((unsigned char *)text, public, sizeof(public));
	text[43] = '\0';
}

static void
identity_sign(EVP_PKEY *own, const char *text, char signature[TEXT])
{
	unsigned char bytes[64];
	size_t n = sizeof(bytes);
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	if (EVP_DigestSignInit(context, NULL, NULL, NULL, own) != 1 ||
			EVP_DigestSign(context, bytes, &n, (const unsigned char *)text, strlen(text)) != 1)
		fail("sign", "openssl");
	EVP_MD_CTX_free(context);
	EVP_EncodeBlock((unsigned char *)signature, bytes, sizeof(bytes));
	signature[86] = '\0';
}

/* ---- the parts of a first message ---- */

static void
make_identity(struct ghost *ghost, const char *user, const char *text, const char *own_signature)
{
	char master_text[TEXT], self_text[TEXT], object[512], signature[TEXT];
	EVP_PKEY *master = derive(user, "master"), *self = derive(user, "self_signing");

	encode_key(master, master_text);
	encode_key(self, self_text);
	snprintf(object, sizeof(object), "{\"keys\":{\"ed25519:%s\":\"%s\"},\"usage\":[\"self_signing\"],\"user_id\":\"%s\"}", self_text, self_text, user);
	identity_sign(master, object, signature);
	identity_sign(self, text, signature);
	snprintf(ghost->device_keys, sizeof(ghost->device_keys), "%.*s,\"signatures\":{\"%s\":{\"ed25519:DEVICEIDXX\":\"%s\",\"ed25519:%s\":\"%s\"}}}",
			(int)strlen(text) - 1, text, user, own_signature, self_text, signature);
	EVP_PKEY_free(master);
	EVP_PKEY_free(self);
}

static void
sign_keys(struct ghost *ghost)
{
	char text[4096], object[200], signature[TEXT];

	check(olm_account_one_time_keys(ghost->account, text, sizeof(text)), "one-time keys");
	for (int i = 0; i < KEYS + 1; i++) {
		snprintf(object, sizeof(object), "{\"key\":\"%.43s\"}", text + 20);
		account_sign(ghost, object, signature);
	}
}

static void
make_device(struct ghost *ghost)
{
	char keys[512], text[1024], user[64], signature[TEXT];

	ghost->account = olm_account(malloc(olm_account_size()));
	check(olm_create_account(ghost->account, draw(olm_create_account_random_length(ghost->account)),
			olm_create_account_random_length(ghost->account)), "account");
	size_t n = olm_account_generate_one_time_keys_random_length(ghost->account, KEYS);
	check(olm_account_generate_one_time_keys(ghost->account, KEYS, draw(n), n), "one-time keys");
	n = olm_account_generate_fallback_key_random_length(ghost->account);
	check(olm_account_generate_fallback_key(ghost->account, draw(n), n), "fallback key");
	n = olm_account_identity_keys(ghost->account, keys, sizeof(keys));
	check(n, "identity keys");
	keys[n] = '\0';
	snprintf(ghost->curve, TEXT, "%.43s", strstr(keys, "\"curve25519\":\"") + 14);
	snprintf(ghost->ed, TEXT, "%.43s", strstr(keys, "\"ed25519\":\"") + 11);
	snprintf(user, sizeof(user), "@_xmpp_n%d=40localhost:hs.test", ghost->id);
	snprintf(text, sizeof(text), "{\"algorithms\":[\"m.olm.v1.curve25519-aes-sha2\",\"m.megolm.v1.aes-sha2\"],\"device_id\":\"DEVICEIDXX\","
			"\"keys\":{\"curve25519:DEVICEIDXX\":\"%s\",\"ed25519:DEVICEIDXX\":\"%s\"},\"user_id\":\"%s\"}", ghost->curve, ghost->ed, user);
	account_sign(ghost, text, signature);
	make_identity(ghost, user, text, signature);
	save_account(ghost, 0);
	sign_keys(ghost);
	olm_account_mark_keys_as_published(ghost->account);
	/* Uploaded, identified, signed: three answers. */
	for (int state = 1; state <= 3; state++)
		save_account(ghost, state);
}

static void
make_megolm(struct ghost *ghost)
{
	ghost->megolm = olm_outbound_group_session(malloc(olm_outbound_group_session_size()));
	size_t n = olm_init_outbound_group_session_random_length(ghost->megolm);
	check(olm_init_outbound_group_session(ghost->megolm, draw(n), n), "megolm");
	n = olm_outbound_group_session_id(ghost->megolm, (uint8_t *)ghost->session, TEXT - 1);
	check(n, "megolm");
	ghost->session[n] = '\0';
	ghost->messages = 0;
}

static void
save_megolm(struct ghost *ghost)
{
	char *pickle;

	PICKLE(outbound_group_session, ghost->megolm, pickle);
	run(MEGOLM, ghost->id, ghost->messages, ghost->session, pickle, NULL, NULL);
	free(pickle);
}

static OlmSession *
begin_session(struct ghost *ghost, struct device *device)
{
	OlmSession *session = olm_session(malloc(olm_session_size()));
	char object[200];
	const char *key = device->keys[device->used], *signature = device->key_signatures[device->used];

	device->used++;
	snprintf(object, sizeof(object), "{\"key\":\"%s\"}", key);
	verify(device->ed, object, signature);
	size_t n = olm_create_outbound_session_random_length(session);
	check(olm_create_outbound_session(session, ghost->account, device->curve, strlen(device->curve), key, strlen(key), draw(n), n), "session");
	return session;
}

static OlmSession *
load_session(struct ghost *ghost, struct device *device)
{
	OlmSession *session = olm_session(malloc(olm_session_size()));
	const char *const texts[] = { device->curve };
	sqlite3_stmt *statement = bind(OLM_GET, ghost->id, 0, texts, 1);

	if (sqlite3_step(statement) != SQLITE_ROW)
		fail("session", "not kept");
	char *pickle = strdup((const char *)sqlite3_column_text(statement, 0));
	sqlite3_reset(statement);
	check(olm_unpickle_session(session, pickle_key, 32, pickle, strlen(pickle)), "unpickle");
	free(pickle);
	return session;
}

/* The request that is being filled. */
static struct {
	char text[1 << 20];
	size_t n;
} letter;

static void
begin_letter(void)
{
	letter.n = (size_t)snprintf(letter.text, sizeof(letter.text), "{\"messages\":{");
}

/* The key for one device. */
static void
seal_key(struct ghost *ghost, struct device *device, OlmSession *session)
{
	char key[512], plain[8192], body[16384], id[TEXT];
	char *pickle;

	size_t n = olm_outbound_group_session_key(ghost->megolm, (uint8_t *)key, sizeof(key));
	check(n, "key");
	int length = snprintf(plain, sizeof(plain), "{\"content\":{\"algorithm\":\"m.megolm.v1.aes-sha2\",\"m.shared_history\":true,\"room_id\":\"%s\","
			"\"session_id\":\"%s\",\"session_key\":\"%.*s\",\"shared_history\":true},\"keys\":{\"ed25519\":\"%s\"},\"recipient\":\"%s\","
			"\"recipient_keys\":{\"ed25519\":\"%s\"},\"sender\":\"@_xmpp_n%d=40localhost:hs.test\",\"sender_device_keys\":%s,\"type\":\"m.room_key\"}",
			ROOM, ghost->session, (int)n, key, ghost->ed, device->user, device->ed, ghost->id, ghost->device_keys);
	size_t type = olm_encrypt_message_type(session), random = olm_encrypt_random_length(session);
	n = olm_encrypt(session, plain, (size_t)length, draw(random), random, body, sizeof(body));
	check(n, "encrypt");
	int wrote = snprintf(letter.text + letter.n, sizeof(letter.text) - letter.n, "\"%s\":{\"algorithm\":\"m.olm.v1.curve25519-aes-sha2\",\"ciphertext\":{\"%s\":{\"body\":\"%.*s\",\"type\":%zu}},"
			"\"sender_key\":\"%s\"},", device->id, device->curve, (int)n, body, type, ghost->curve);
	if (wrote < 0 || (size_t)wrote >= sizeof(letter.text) - letter.n)
		fail("letter", "too long");
	letter.n += (size_t)wrote;
	n = olm_session_id(session, id, sizeof(id) - 1);
	check(n, "session");
	id[n] = '\0';
	PICKLE(session, session, pickle);
	run(OLM, ghost->id, 0, device->curve, id, pickle, NULL);
	run(SHARE, 0, 0, ghost->session, device->user, device->id, device->curve);
	free(pickle);
	olm_clear_session(session);
	free(session);
}

/* Letters of at most LETTER devices are written down, and each is forgotten when it was answered. */
static void
share(struct ghost *ghost, OlmSession *(*get)(struct ghost *ghost, struct device *device))
{
	long letters = 0;

	begin();
	save_megolm(ghost);
	begin_letter();
	for (size_t i = 0; i < device_count; i++) {
		seal_key(ghost, &devices[i], get(ghost, &devices[i]));
		if ((i + 1) % LETTER && i + 1 < device_count)
			continue;
		run(POST, ghost->id, 0, letter.text, ghost->session, NULL, NULL);
		begin_letter();
		letters++;
	}
	commit();
	for (long i = 0; i < letters; i++) {
		if (sqlite3_step(bind(POST_GET, ghost->id, 0, NULL, 0)) != SQLITE_ROW)
			fail("letter", "not kept");
		long id = (long)sqlite3_column_int64(statements[POST_GET], 0);
		sqlite3_reset(statements[POST_GET]);
		begin();
		run(UNPOST, id, 0, NULL, NULL, NULL, NULL);
		if (i + 1 == letters)
			run(SENT, 0, 0, ghost->session, NULL, NULL, NULL);
		commit();
	}
}

static void
say(struct ghost *ghost)
{
	char plain[512], out[4096];
	int length = snprintf(plain, sizeof(plain), "{\"content\":{\"body\":\"fake %d 1790000000000 une phrase un peu plus longue, pour que toutes ne"
			" tiennent pas dans le même nombre d'octets\",\"msgtype\":\"m.text\"},\"room_id\":\"" ROOM "\",\"type\":\"m.room.message\"}", ghost->messages);

	check(olm_group_encrypt(ghost->megolm, (const uint8_t *)plain, (size_t)length, (uint8_t *)out, sizeof(out)), "megolm");
	ghost->messages++;
	begin();
	save_megolm(ghost);
	commit();
}

static void
check_people(void)
{
	begin();
	for (size_t i = 0; i < person_count; i++)
		verify(persons[i].master, persons[i].key_signed, persons[i].signature);
	for (size_t i = 0, at = 0; i < device_count; i++) {
		while (strcmp(persons[at].id, devices[i].user) != 0)
			at++;
		verify(devices[i].ed, devices[i].signed_part, devices[i].signature);
		verify(persons[at].self_signing, devices[i].signed_part, devices[i].self_signature);
		run(DEVICE, 0, 0, devices[i].user, devices[i].id, devices[i].curve, devices[i].ed);
	}
	commit();
}

/* ---- what is counted ---- */

__attribute__((noinline)) void first(void);
__attribute__((noinline)) void each(long messages);
__attribute__((noinline)) void rotate(void);

void
first(void)
{
	for (size_t i = 0; i < ghost_count; i++) {
		make_device(&ghosts[i]);
		make_megolm(&ghosts[i]);
		share(&ghosts[i], begin_session);
		say(&ghosts[i]);
	}
}

void
each(long messages)
{
	for (long n = 0; n < messages; n++)
		for (size_t i = 0; i < ghost_count; i++)
			say(&ghosts[i]);
}

void
rotate(void)
{
	for (size_t i = 0; i < ghost_count; i++) {
		say(&ghosts[i]);
		begin();
		run(UNSHARE, 0, 0, ghosts[i].session, NULL, NULL, NULL);
		commit();
		olm_clear_outbound_group_session(ghosts[i].megolm);
		free(ghosts[i].megolm);
		make_megolm(&ghosts[i]);
		share(&ghosts[i], load_session);
		say(&ghosts[i]);
	}
}

int
main(int argc, char **argv)
{
	if (argc != 5) {
		fprintf(stderr, "usage: see the top of raw_seal.c\n");
		return 2;
	}
	read_all(argv[2]);
	open_rows(argv[1]);
	ghost_count = strtoul(argv[3], NULL, 10);
	for (size_t i = 0; i < ghost_count; i++)
		ghosts[i].id = (int)i + 1;
	check_people();
	first();
	each(strtol(argv[4], NULL, 10));
	rotate();
	printf("%zu %zu %lu\n", ghost_count, device_count, verified);
	return 0;
}
