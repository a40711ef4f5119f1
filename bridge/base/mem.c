/* SPDX-License-Identifier: Apache-2.0 */
/* Allocation that aborts: recovering from exhausted memory is a path nobody tests. */
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static NORETURN void
exhausted(size_t size)
{
	fprintf(stderr, "<2>memory exhausted size=%zu: restarting is safe, nothing accepted is lost\n", size);
	abort();
}

static void *
check(void *p, size_t size)
{
	if (!p && size)
		exhausted(size);
	return p;
}

void *
xmalloc(size_t size)
{
	return check(malloc(size ? size : 1), size);
}

void *
xcalloc(size_t count, size_t size)
{
	return check(calloc(count ? count : 1, size ? size : 1), count);
}

void *
xrealloc(void *p, size_t size)
{
	return check(realloc(p, size ? size : 1), size);
}

char *
xstrdup(const char *s)
{
	return s ? xstrndup(s, strlen(s)) : NULL;
}

char *
xstrndup(const char *s, size_t n)
{
	n = strnlen(s, n);
	char *copy = xmalloc(n + 1);

	memcpy(copy, s, n);
	copy[n] = '\0';
	return copy;
}

char *
xvasprintf(const char *format, va_list args)
{
	char *out = NULL;

	if (vasprintf(&out, format, args) < 0)
		exhausted(1);
	return out;
}

char *
xasprintf(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	char *out = xvasprintf(format, args);
	va_end(args);
	return out;
}

void
mem_free_pointer(void *p)
{
	void *owned;

	memcpy(&owned, p, sizeof(owned));
	free(owned);
}

void
mem_free_secret(void *p, size_t size)
{
	if (p)
		explicit_bzero(p, size);
	free(p);
}
