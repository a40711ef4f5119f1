/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any text as a name: JIDs, nicks and MXIDs made of it, and back. Different texts give different addresses, what is
 * made is what both servers take, and preparing what is prepared changes nothing.
 */
#include "base/look.h"
#include "base/seal.h"
#include "base/str.h"
#include "matrix/ghost.h"
#include "xmpp/jid.h"
#include "xmpp/nick.h"

#include "memory_file.h"
#include "replay.h"

#include <assert.h>
#include <string.h>
#include <sys/stat.h>

#define DOMAIN "example.org"

static void
check_jid(const char *text)
{
	char local[JID_SIZE], back[JID_SIZE], address[2 * JID_SIZE], prepared[JID_SIZE];

	if (jid_escape(text, local, sizeof(local))) {
		assert(strlen(local) <= JID_PART_MAX);
		assert(jid_unescape(local, back, sizeof(back)) && strcmp(back, text) == 0);
		/* Nodeprep leaves it alone. */
		snprintf(address, sizeof(address), "%s@" DOMAIN, local);
		assert(jid_prepare(address, prepared, sizeof(prepared)) && strcmp(prepared, address) == 0);
		AUTO_FREE char *ghost = jid_ghost(text, DOMAIN), *bare = jid_bare(ghost);
		assert(strcmp(bare, address) == 0 && strcmp(jid_resource(ghost), JID_RESOURCE) == 0);
		assert(jid_in_domain(ghost, DOMAIN) && jid_same_bare(ghost, bare) && !jid_in_domain(ghost, "org"));
	} else {
		assert(!jid_ghost(text, DOMAIN));
	}
	if (jid_unescape(text, back, sizeof(back)))
		assert(jid_escape(back, local, sizeof(local)) && strcmp(local, text) == 0);
	if (jid_prepare(text, prepared, sizeof(prepared))) {
		assert(jid_prepare(prepared, back, sizeof(back)) && strcmp(prepared, back) == 0);
		assert(!*jid_resource(prepared) && str_is_clean(prepared, strlen(prepared)));
	}
	assert(jid_same_bare(text, text));
}

static void
check_nick(const char *text)
{
	char nick[NICK_SIZE], again[NICK_SIZE], variants[3][NICK_SIZE];

	bool same = nick_prepare(text, "alice:" DOMAIN, nick);
	assert(*nick && nick_allowed(nick) && str_is_clean(nick, strlen(nick)));
	assert(nick_prepare(nick, "x", again) && strcmp(nick, again) == 0);
	(void)same;
	for (unsigned i = 0; i < 3; i++) {
		nick_variant(nick, text, i + 1, variants[i]);
		assert(*variants[i] && nick_allowed(variants[i]) && strcmp(variants[i], nick) != 0);
		for (unsigned j = 0; j < i; j++)
			assert(strcmp(variants[i], variants[j]) != 0);
	}
	nick_simple(text, again);
	assert(*again && nick_allowed(again));
}

static void
check_look(const char *text, const char *other)
{
	char tidy[256], again[256];

	assert(look_alike(text, text) && look_alike(text, other) == look_alike(other, text));
	look_tidy(text, tidy, sizeof(tidy));
	look_tidy(tidy, again, sizeof(again));
	assert(strcmp(tidy, again) == 0 && str_is_clean(tidy, strlen(tidy)));
	/* What nobody sees makes no difference. */
	if (strlen(tidy) < sizeof(tidy) - 8)
		assert(look_alike(text, tidy));
}

/* The reverse of what ghost_localpart() says it does; false when the text is none of its escapes. */
static bool
decode(const char *local, char *out)
{
	for (; *local; local++, out++) {
		unsigned byte;
		if (*local != '=') {
			*out = *local;
		} else if (sscanf(local + 1, "%2x", &byte) == 1 && local[1] != '_') {
			*out = (char)byte;
			local += 2;
		} else {
			return false;
		}
	}
	*out = '\0';
	return true;
}

static void
check_mxid(const struct seal *seal, const char *text, const char *other)
{
	char back[GHOST_MXID_MAX + 1];
	AUTO_FREE char *local = ghost_localpart(seal, "_xmpp_", text, DOMAIN), *second = ghost_localpart(seal, "_xmpp_", other, DOMAIN);

	assert(strlen(local) + strlen("@:" DOMAIN) <= GHOST_MXID_MAX);
	assert(!local[strspn(local, "abcdefghijklmnopqrstuvwxyz0123456789._=/-")] && strncmp(local, "_xmpp_", 6) == 0);
	assert((strcmp(text, other) == 0) == (strcmp(local, second) == 0));
	if (decode(local + 6, back))
		assert(strcmp(back, text) == 0);
	else
		assert(strlen(text) * 3 > 200);
}

static void
check_seal(const struct seal *seal, const char *text, const char *other)
{
	char one[SEAL_NAME_SIZE], two[SEAL_NAME_SIZE], alias[17];

	seal_name(seal, (const char *const[]){ text, other, NULL }, one);
	assert(strlen(one) == SEAL_NAME_SIZE - 1 && !one[strspn(one, "abcdefghijklmnopqrstuvwxyz234567")]);
	/* Where one field ends is part of the name. */
	AUTO_FREE char *joined = xasprintf("%s%s", text, other);
	seal_name(seal, (const char *const[]){ joined, "", NULL }, two);
	assert((strcmp(one, two) == 0) == (*other == '\0'));
	seal_alias(seal, (const char *const[]){ text, NULL }, alias);
	assert(strlen(alias) == 16);
}

static struct seal *
open_seal(void)
{
	static const uint8_t key[32] = "a key that is the same each time";
	struct seal *seal = NULL;
	char path[] = "/tmp/fuzz_names.XXXXXX";
	int fd = mkstemp(path);

	if (fd < 0 || fchmod(fd, 0600) || write(fd, key, sizeof(key)) != sizeof(key) || seal_open(&seal, path, false))
		abort();
	unlink(path);
	close(fd);
	return seal;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct seal *seal;
	/* Two texts with a NUL between them. */
	AUTO_FREE char *text = xstrndup((const char *)data, size);
	size_t n = strlen(text) + 1;
	AUTO_FREE char *other = n < size ? xstrndup((const char *)data + n, size - n) : xstrdup("");

	if (!seal)
		seal = open_seal();
	check_jid(text);
	check_nick(text);
	check_look(text, other);
	check_mxid(seal, text, other);
	check_seal(seal, text, other);
	return 0;
}

REPLAY_MAIN("names")
