/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded: the n-th allocation of the process, of ours or of a library, fails ($FAIL_MALLOC_AT); one word on stderr says that it
 * came to it. libcrypto is spared: OpenSSL 3.0 uses a lock that it could not make (RAND_get0_public), which is not ours to mend.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *(*real_malloc)(size_t size);
static void *(*real_calloc)(size_t count, size_t size);
static void *(*real_realloc)(void *p, size_t size);
static long left = -1;

/* dlsym() itself allocates; what it gets then is never freed. */
static char early[65536];
static size_t early_used;

static void *
take_early(size_t size)
{
	size = (size + 15) & ~(size_t)15;
	if (early_used + size > sizeof(early))
		_exit(99);
	early_used += size;
	return early + early_used - size;
}

static int
is_early(const void *p)
{
	return (const char *)p >= early && (const char *)p < early + sizeof(early);
}

static void
find(void)
{
	static int finding;

	if (real_realloc || finding)
		return;
	finding = 1;
	*(void **)&real_malloc = dlsym(RTLD_NEXT, "malloc");
	*(void **)&real_calloc = dlsym(RTLD_NEXT, "calloc");
	*(void **)&real_realloc = dlsym(RTLD_NEXT, "realloc");
	const char *text = getenv("FAIL_MALLOC_AT");
	left = text ? strtol(text, NULL, 10) : 0;
	finding = 0;
}

/* Whether this one fails. */
static int
fails(const void *caller)
{
	static const char word[] = "malloc: failed\n", spared[] = "malloc: spared\n";
	Dl_info info;

	if (left <= 0 || --left)
		return 0;
	int spare = dladdr(caller, &info) && info.dli_fname && strstr(info.dli_fname, "libcrypto");
	ssize_t n = write(2, spare ? spared : word, sizeof(word) - 1);
	errno = n < 0 ? errno : ENOMEM;
	return !spare;
}

void *
malloc(size_t size)
{
	find();
	if (!real_realloc)
		return take_early(size);
	return fails(__builtin_return_address(0)) ? NULL : real_malloc(size);
}

void *
calloc(size_t count, size_t size)
{
	find();
	if (!real_realloc)
		return take_early(count * size);
	return fails(__builtin_return_address(0)) ? NULL : real_calloc(count, size);
}

void *
realloc(void *p, size_t size)
{
	find();
	if (!real_realloc || is_early(p)) {
		void *fresh = malloc(size);
		if (fresh && p)
			memcpy(fresh, p, size);
		return fresh;
	}
	return fails(__builtin_return_address(0)) ? NULL : real_realloc(p, size);
}

void
free(void *p)
{
	static void (*real_free)(void *p);

	if (!p || is_early(p))
		return;
	if (!real_free)
		*(void **)&real_free = dlsym(RTLD_NEXT, "free");
	real_free(p);
}
