/* SPDX-License-Identifier: Apache-2.0 */
/* One writer for every line, so that escaping and cutting cannot be forgotten. */
#include "base/log.h"

#include "base/now.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024

static const char *const area_names[LOG_AREAS] = {
	[LOG_MAIN] = "main",
	[LOG_STORE] = "store",
	[LOG_RELAY] = "relay",
	[LOG_OUTBOX] = "outbox",
	[LOG_RULES] = "rules",
	[LOG_COMMAND] = "command",
	[LOG_MATRIX] = "matrix",
	[LOG_XMPP] = "xmpp",
};

static struct {
	enum log_level level;
	int journal;
	void (*hook)(enum log_level level, const char *line);
} log_state = { .level = LOG_INFO };

void
log_open(enum log_level level, int journal)
{
	log_state.level = level;
	log_state.journal = journal;
}

void
log_register(void (*hook)(enum log_level level, const char *line))
{
	log_state.hook = hook;
}

/* Escapes in place into `out`; what does not fit is cut. */
static void
escape(char *out, size_t size, const char *text)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0;

	for (const unsigned char *p = (const unsigned char *)text; *p && n + 5 < size; p++) {
		if (*p >= 0x20 && *p != 0x7F) {
			out[n++] = (char)*p;
			continue;
		}
		out[n++] = '\\';
		out[n++] = 'x';
		out[n++] = hex[*p >> 4];
		out[n++] = hex[*p & 15];
	}
	out[n] = '\0';
}

static void
write_line(enum log_level level, const char *line)
{
	char stamped[LINE_MAX_BYTES + 64];
	int n;

	if (log_state.journal) {
		n = snprintf(stamped, sizeof(stamped), "<%d>%s\n", (int)level, line);
	} else {
		char when[32];
		now_format_utc(now_real_ms(), when, sizeof(when));
		n = snprintf(stamped, sizeof(stamped), "%s %s\n", when, line);
	}
	ssize_t ignored = write(STDERR_FILENO, stamped, (size_t)n);
	(void)ignored;
}

void
log_line(enum log_level level, enum log_area area, const char *format, ...)
{
	if (level > log_state.level)
		return;
	int saved = errno;
	char line[LINE_MAX_BYTES];
	va_list args;
	va_start(args, format);
	AUTO_FREE char *text = xvasprintf(format, args);
	va_end(args);
	int n = snprintf(line, sizeof(line), "%s%s: ", level <= LOG_WARNING ? (level == LOG_ERROR ? "error: " : "warning: ") : "",
			area_names[area]);
	escape(line + n, sizeof(line) - (size_t)n, text);
	if (log_state.hook)
		log_state.hook(level, line);
	else
		write_line(level, line);
	errno = saved;
}

int
log_failure(int code, const char *file, int line, const char *function)
{
	log_error(LOG_MAIN, "failed at=%s:%d in=%s error=\"%s\"", file, line, function, strerror(code < 0 ? -code : code));
	return code;
}
