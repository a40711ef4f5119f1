/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JIDs are kept as text and compared byte for byte: what a server sends is prepared already, and what an
 * admin types goes through jid_prepare() once. The escape is injective because every `=` and every `\` of its output
 * begins an escape.
 */
#include "xmpp/jid.h"

#include "base/str.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stringprep.h>
#include <strings.h>

size_t
jid_bare_length(const char *jid)
{
	return strcspn(jid, "/");
}

char *
jid_bare(const char *jid)
{
	return xstrndup(jid, jid_bare_length(jid));
}

const char *
jid_resource(const char *jid)
{
	const char *slash = strchr(jid, '/');

	return slash ? slash + 1 : "";
}

bool
jid_same_bare(const char *a, const char *b)
{
	size_t n = jid_bare_length(a);

	return n == jid_bare_length(b) && memcmp(a, b, n) == 0;
}

bool
jid_in_domain(const char *jid, const char *domain)
{
	size_t n = jid_bare_length(jid);
	const char *at = memchr(jid, '@', n);
	const char *start = at ? at + 1 : jid;

	n -= (size_t)(start - jid);
	return n == strlen(domain) && strncasecmp(start, domain, n) == 0;
}

/* Prepares one part in place. The size leaves room for what normalisation may add. */
static bool
prepare(char *part, size_t size, const Stringprep_profile *profile)
{
	return stringprep(part, size, STRINGPREP_NO_UNASSIGNED, profile) == STRINGPREP_OK && part[0] && strlen(part) <= JID_PART_MAX;
}

bool
jid_prepare(const char *typed, char *out, size_t size)
{
	char local[4 * JID_PART_MAX] = "", domain[4 * JID_PART_MAX];
	const char *at = strchr(typed, '@');
	const char *host = at ? at + 1 : typed;

	if (strchr(typed, '/') || strlen(typed) > 2 * JID_PART_MAX || !str_is_clean(typed, strlen(typed)))
		return false;
	if (at && at - typed > JID_PART_MAX)
		return false;
	snprintf(domain, sizeof(domain), "%s", host);
	/* Normalising makes some of these out of others: a wide slash, a space that does not break. */
	if (!prepare(domain, sizeof(domain), stringprep_nameprep) || strpbrk(domain, "@/ \"&'<>:"))
		return false;
	if (at) {
		memcpy(local, typed, (size_t)(at - typed));
		local[at - typed] = '\0';
		if (!prepare(local, sizeof(local), stringprep_xmpp_nodeprep))
			return false;
	}
	int n = snprintf(out, size, "%s%s%s", local, at ? "@" : "", domain);
	return n > 0 && (size_t)n < size;
}

/* XEP-0106 §4.2, table 3. */
static bool
escaped_by_xep(unsigned char c)
{
	return c && strchr(" \"&'/:<>@\\", c);
}

bool
jid_escape(const char *text, char *out, size_t size)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = strlen(text), at = 0;

	if (!n)
		return false;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text[i];
		bool end = i == 0 || i == n - 1;
		bool xep = escaped_by_xep(c) && !(c == ' ' && end);
		bool ours = !xep && (c <= ' ' || c >= 0x7F || c == '=' || (c >= 'A' && c <= 'Z'));
		if (at + 4 > size || at + (xep || ours ? 3 : 1) > JID_PART_MAX)
			return false;
		if (xep || ours) {
			out[at++] = xep ? '\\' : '=';
			out[at++] = hex[c >> 4];
			out[at++] = hex[c & 15];
		} else {
			out[at++] = (char)c;
		}
	}
	out[at] = '\0';
	return true;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
jid_unescape(const char *local, char *out, size_t size)
{
	size_t at = 0;

	for (const char *p = local; *p; p++) {
		char c = *p;
		if (c == '\\' || c == '=') {
			int high = hex_digit(p[1]), low = high < 0 ? -1 : hex_digit(p[2]);
			if (low < 0 || (high == 0 && low == 0))
				return false;
			c = (char)(high * 16 + low);
			p += 2;
		}
		if (at + 2 > size)
			return false;
		out[at++] = c;
	}
	if (!at)
		return false;
	out[at] = '\0';
	/* Only one spelling is ours. */
	char again[JID_PART_MAX + 5];
	return jid_escape(out, again, sizeof(again)) && strcmp(again, local) == 0;
}

char *
jid_ghost(const char *stem, const char *component)
{
	char local[JID_PART_MAX + 5];

	if (!jid_escape(stem, local, sizeof(local)))
		return NULL;
	return xasprintf("%s@%s/" JID_RESOURCE, local, component);
}
