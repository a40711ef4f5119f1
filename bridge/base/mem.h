/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

/*
 * Memory. The x-functions never return NULL: when memory is exhausted they log one
 * line and abort, the supervisor starts us again, and the outbox makes that safe.
 * Sizes that strangers choose are bounded before they reach these functions.
 */

#include <stdarg.h>
#include <stddef.h>

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))
#define NORETURN __attribute__((noreturn))
#define CLEANUP(function) __attribute__((cleanup(function)))
#define AUTO_FREE CLEANUP(mem_free_pointer)

void *xmalloc(size_t size) MUST_USE;
void *xcalloc(size_t count, size_t size) MUST_USE;
void *xrealloc(void *p, size_t size) MUST_USE;
/* xstrdup(NULL) is NULL. */
char *xstrdup(const char *s) MUST_USE;
char *xstrndup(const char *s, size_t n) MUST_USE;
char *xasprintf(const char *format, ...) PRINTF_LIKE(1, 2) MUST_USE;
char *xvasprintf(const char *format, va_list args) PRINTF_LIKE(1, 0) MUST_USE;

/* For AUTO_FREE: frees what the pointer at `p` points to. */
void mem_free_pointer(void *p);

/* Clears, then frees; for secrets and bodies. NULL is fine. */
void mem_free_secret(void *p, size_t size);

#endif
