/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies are searched, not parsed: an appservice asks for devices by names that occur nowhere else. Each one-time key is given once. */
#include "fake_keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct person {
	const char *id, *master, *self_signing, *devices; /* in one block */
};

struct device {
	const char *id, **keys; /* keys: JSON */
	size_t count, given;
	size_t owner; /* of persons */
};

static struct person *persons;
static struct device *devices;
static size_t person_count, device_count;
static long rotation;

static struct {
	long expected, sealed, letters, plain;
	size_t count;
	char sessions[KEYS_SESSIONS_MAX][48];
} seen;

static char *
read_all(const char *folder, const char *name)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	FILE *file = fopen(path, "r");
	if (!file || fseek(file, 0, SEEK_END))
		wire_die(path, "cannot be read");
	long size = ftell(file);
	char *text = calloc(1, (size_t)size + 1);
	rewind(file);
	if (!text || fread(text, 1, (size_t)size, file) != (size_t)size)
		wire_die(path, "cannot be read");
	fclose(file);
	return text;
}

static struct device *
find_device(const char *id)
{
	for (size_t i = 0; i < device_count; i++)
		if (strcmp(devices[i].id, id) == 0)
			return &devices[i];
	devices = realloc(devices, (device_count + 1) * sizeof(*devices));
	devices[device_count] = (struct device){ .id = id, .owner = person_count };
	for (size_t i = 0; i < person_count; i++)
		if (strstr(persons[i].devices, id))
			devices[device_count].owner = i;
	return &devices[device_count++];
}

void
keys_open(const char *folder, long messages)
{
	char *rest = NULL, *words = NULL;

	rotation = messages;
	for (char *line = strtok_r(read_all(folder, "people"), "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		persons = realloc(persons, (person_count + 1) * sizeof(*persons));
		struct person *person = &persons[person_count++];
		person->id = strtok_r(line, "\t", &words);
		person->master = strtok_r(NULL, "\t", &words);
		person->self_signing = strtok_r(NULL, "\t", &words);
		person->devices = strtok_r(NULL, "\t", &words);
	}
	for (char *line = strtok_r(read_all(folder, "claims"), "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		struct device *device = find_device(strtok_r(line, "\t", &words));
		device->keys = realloc(device->keys, (device->count + 1) * sizeof(*device->keys));
		device->keys[device->count++] = strtok_r(NULL, "\t", &words);
	}
}

bool
keys_are_there(void)
{
	return person_count > 0;
}

/* ---- answers ---- */

static bool
names(const char *body, const char *id)
{
	char quoted[300];

	snprintf(quoted, sizeof(quoted), "\"%s\"", id);
	return strstr(body, quoted) != NULL;
}

static void
add_part(struct buffer *out, const char *part, const char *body, size_t which)
{
	bool first = true;

	buffer_addf(out, "\"%s\":{", part);
	for (size_t i = 0; i < person_count; i++) {
		const char *const parts[] = { persons[i].devices, persons[i].master, persons[i].self_signing };
		if (!names(body, persons[i].id))
			continue;
		buffer_addf(out, "%s\"%s\":", first ? "" : ",", persons[i].id);
		buffer_add(out, parts[which], strlen(parts[which]));
		first = false;
	}
	buffer_addf(out, "}");
}

static void
answer_query(const char *path, const char *body, struct buffer *out)
{
	(void)path;
	buffer_addf(out, "{\"failures\":{},");
	add_part(out, "device_keys", body, 0);
	buffer_addf(out, ",");
	add_part(out, "master_keys", body, 1);
	buffer_addf(out, ",");
	add_part(out, "self_signing_keys", body, 2);
	buffer_addf(out, "}");
}

static void
answer_claim(const char *path, const char *body, struct buffer *out)
{
	static unsigned long number;
	size_t owner = person_count;

	(void)path;
	buffer_addf(out, "{\"failures\":{},\"one_time_keys\":{");
	for (size_t i = 0; i < device_count; i++) {
		struct device *device = &devices[i];
		if (!names(body, device->id) || device->given == device->count)
			continue;
		if (device->owner != owner)
			buffer_addf(out, "%s\"%s\":{", owner == person_count ? "" : "},", persons[device->owner].id);
		else
			buffer_addf(out, ",");
		owner = device->owner;
		buffer_addf(out, "\"%s\":{\"signed_curve25519:AAAA%06lx\":%s}", device->id, ++number, device->keys[device->given++]);
	}
	buffer_addf(out, "%s}}", owner == person_count ? "" : "}");
}

/* Letters are counted by the device. */
static void
answer_letter(const char *path, const char *body, struct buffer *out)
{
	if (strstr(path, "/m.room.encrypted/"))
		for (const char *at = body; (at = strstr(at, "\"sender_key\"")); at++)
			seen.letters++;
	buffer_addf(out, "{}");
}

static void
answer_upload(const char *path, const char *body, struct buffer *out)
{
	(void)path, (void)body;
	buffer_addf(out, "{\"one_time_key_counts\":{\"signed_curve25519\":50}}");
}

static void
answer_members(const char *path, const char *body, struct buffer *out)
{
	(void)path, (void)body;
	buffer_addf(out, "{\"chunk\":[");
	for (size_t i = 0; i < person_count; i++)
		buffer_addf(out, "%s{\"type\":\"m.room.member\",\"state_key\":\"%s\",\"sender\":\"%s\",\"content\":{\"membership\":\"join\"}}", i ? "," : "",
				persons[i].id, persons[i].id);
	buffer_addf(out, "]}");
}

static void
answer_encryption(const char *path, const char *body, struct buffer *out)
{
	(void)path, (void)body;
	buffer_addf(out, "{\"type\":\"m.room.encryption\",\"state_key\":\"\",\"sender\":\"@m0:hs.test\",\"origin_server_ts\":1000,"
			"\"content\":{\"algorithm\":\"m.megolm.v1.aes-sha2\",\"rotation_period_msgs\":%ld}}", rotation);
}

static void
answer_visibility(const char *path, const char *body, struct buffer *out)
{
	(void)path, (void)body;
	buffer_addf(out, "{\"history_visibility\":\"shared\"}");
}

bool
keys_answer(const char *path, const char *body, struct buffer *out)
{
	static const struct {
		const char *part;
		void (*answer)(const char *path, const char *body, struct buffer *out);
	} all[] = {
		{ "/keys/query?", answer_query }, { "/keys/claim?", answer_claim }, { "/keys/upload?", answer_upload },
		{ "/sendToDevice/", answer_letter }, { "/members?", answer_members }, { "/state/m.room.encryption", answer_encryption },
		{ "/state/m.room.history_visibility", answer_visibility },
	};

	for (size_t i = 0; keys_are_there() && i < sizeof(all) / sizeof(all[0]); i++)
		if (strstr(path, all[i].part)) {
			all[i].answer(path, body, out);
			return true;
		}
	return false;
}

/* ---- what arrived ---- */

void
keys_report(void)
{
	printf("sealed %ld %zu %ld %ld %.6f\n", seen.sealed, seen.count, seen.letters, seen.plain, (double)wire_now_ns() / 1e9);
	fflush(stdout);
}

void
keys_expect(long sealed)
{
	seen.sealed = seen.plain = 0;
	seen.count = 0;
	seen.expected = sealed;
}

static void
note_session(const char *id)
{
	size_t n = strcspn(id, "\"");

	for (size_t i = 0; i < seen.count; i++)
		if (strlen(seen.sessions[i]) == n && memcmp(seen.sessions[i], id, n) == 0)
			return;
	if (seen.count < KEYS_SESSIONS_MAX && n < sizeof(seen.sessions[0]))
		memcpy(seen.sessions[seen.count++], id, n);
}

void
keys_sent(const char *path, const char *body)
{
	const char *session = strstr(body, "\"session_id\":\"");

	if (!keys_are_there())
		return;
	if (!strstr(path, "/send/m.room.encrypted/") || !session) {
		seen.plain++;
		return;
	}
	note_session(session + strlen("\"session_id\":\""));
	if (++seen.sealed == seen.expected)
		keys_report();
}
