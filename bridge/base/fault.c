/* SPDX-License-Identifier: Apache-2.0 */
/* _exit() and not abort() at a point: nothing is flushed, nothing is closed, no handler runs, as at a power cut. A marked text is a crash. */
#include "base/fault.h"

#ifdef FAULT_POINTS
#include "base/config.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void
fault_pass(const char *name)
{
	static long passes;
	const char *wanted = config_environment(CONFIG_ENV_CRASH_AT);
	size_t n = strlen(name);

	if (!wanted || strncmp(wanted, name, n) != 0 || (wanted[n] != '\0' && wanted[n] != ':'))
		return;
	long at = wanted[n] == ':' ? strtol(wanted + n + 1, NULL, 10) : 1;
	if (++passes >= at)
		_exit(70);
}

void
fault_text(const char *text)
{
	const char *wanted = config_environment(CONFIG_ENV_CRASH_AT);

	if (wanted && strncmp(wanted, "text:", 5) == 0 && strstr(text, wanted + 5))
		abort();
}
#else
extern int fault_points_are_off; /* a translation unit is never empty (C11 6.9) */
int fault_points_are_off = 1;
#endif
