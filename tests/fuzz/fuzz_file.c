/* SPDX-License-Identifier: Apache-2.0 */
/* Any JSON as what an event says of an encrypted file: what is read can be written, and reads the same. Any text as base64. */
#include "matrix/crypto/attachment.h"
#include "matrix/crypto/base64.h"

#include "replay.h"

#include <string.h>

static void
require(bool good)
{
	if (!good)
		abort();
}

static void
check_base64(enum base64_alphabet alphabet, const char *text, size_t n)
{
	unsigned char *value = xcalloc(1, BASE64_ROOM(n)), exact[32];
	size_t size;

	if (base64_decode(alphabet, text, n, value, &size)) {
		AUTO_FREE char *again = xcalloc(1, BASE64_SIZE(size));
		base64_encode(alphabet, value, size, again);
		size_t length = strlen(again);
		/* The one text, but for padding. */
		require(length <= n && n - length <= 2 && memcmp(again, text, length) == 0);
		require(n == length || (n % 4 == 0 && text[n - 1] == '='));
		require(base64_decode_exact(alphabet, again, exact, 32) == (size == 32));
	}
	free(value);
}

static void
check_file(const json_t *file)
{
	struct attachment_key key, again;
	const char *url;

	if (attachment_read_file(&key, &url, file))
		return;
	require(str_starts(url, "mxc://"));
	json_t *made = attachment_make_file(&key, url);
	const char *second;
	require(attachment_read_file(&again, &second, made) == 0 && memcmp(&key, &again, sizeof(key)) == 0 && strcmp(url, second) == 0);
	json_decref(made);
	/* It works as a key. */
	unsigned char bytes[3] = "abc";
	struct attachment *sealing = attachment_new(&key, ATTACHMENT_ENCRYPT), *opening = attachment_new(&key, ATTACHMENT_DECRYPT);
	attachment_step(sealing, bytes, bytes, sizeof(bytes));
	require(attachment_end(sealing, &again));
	attachment_step(opening, bytes, bytes, sizeof(bytes));
	require(attachment_end(opening, &again) && memcmp(bytes, "abc", 3) == 0);
	attachment_free(sealing);
	attachment_free(opening);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *why;
	json_t *file = json_read((const char *)data, size, &why);

	if (file)
		check_file(file);
	json_decref(file);
	check_base64(BASE64_PLAIN, (const char *)data, size);
	check_base64(BASE64_URL, (const char *)data, size);
	return 0;
}

REPLAY_MAIN("file")
