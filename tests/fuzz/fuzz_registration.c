/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as the registration, and as the component's secret. What is refused leaves no token behind; no sentence
 * holds a token.
 */
#include "base/config.h"

#include "memory_file.h"
#include "replay.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

static const char yaml[] =
	"homeserver: {address: 'http://h', domain: h}\nappservice: {address: 'http://a', registration: %s}\n"
	"xmpp: {component: c.h, secret_file: %s}\nstate: /s\n";

/* Where the mark is not behind a colon it is a key, and keys may be shown. */
static bool
is_key(const uint8_t *data, const uint8_t *mark)
{
	while (mark > data && !strchr(":,{[\n", mark[-1]))
		mark--;
	return mark == data || mark[-1] != ':';
}

/* The value of a token stands nowhere in a sentence about it. */
static void
check_silent(const char *why, const uint8_t *data, size_t size)
{
	static const char mark[] = "SESAME";
	const uint8_t *at = data;

	while ((at = memmem(at, size - (size_t)(at - data), mark, strlen(mark))))
		if (is_key(data, at++))
			return;
	assert(!strstr(why, mark) || !memmem(data, size, mark, strlen(mark)));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[512], why[CONFIG_WHY] = "";
	struct config *config = NULL;
	const char *path = memory_file(1, data, size);

	snprintf(text, sizeof(text), yaml, path, path);
	int r = config_read(&config, memory_file(0, (const uint8_t *)text, strlen(text)), why, sizeof(why));
	assert(r == 0);
	struct config_registration *registration = &config->registration;
	r = config_read_registration(config, why, sizeof(why));
	assert(r == 0 || (r == CONFIG_E_BAD && strncmp(why, path, strlen(path)) == 0));
	assert(!r == (registration->as_token != NULL) && !r == (registration->hs_token != NULL));
	if (r)
		check_silent(why, data, size);
	else
		assert(strcmp(registration->as_token, registration->hs_token) != 0 && *registration->id && *registration->sender_localpart);
	r = config_read_secret(config, why, sizeof(why));
	if (r)
		check_silent(why, data, size);
	else
		assert(*config->xmpp.secret && !strpbrk(config->xmpp.secret, "\r\n"));
	config_free(config);
	return 0;
}

REPLAY_MAIN("registration")
