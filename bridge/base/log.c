/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One writer for every line, so that escaping and cutting cannot be forgotten. It waits for nobody: when whoever reads the log
 * (the journal, a pipe) has stopped, lines are dropped and counted, and messages go on.
 */
#include "base/log.h"

#include "base/now.h"
#include "base/str.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

static const char *const level_names[] = {
	[LOG_ERROR] = "error", [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice", [LOG_INFO] = "info", [LOG_DEBUG] = "debug",
};

/* Keys whose values name a person. A room's address is not hidden: the admin needs it. */
static const char *const person_keys[] = { " who=", " person=", " user=", " ghost=", " jid=", " from=", " to=" };

static struct {
	enum log_level level;
	enum log_format format;
	bool journal;
	unsigned long lost; /* lines that nobody took */
	void (*hook)(enum log_level level, const char *line);
} log_state = { .level = LOG_INFO };

/* systemd.exec(5): "device:inode" of the stream that stdout or stderr is connected to. */
static bool
is_journal(const char *stream)
{
	struct stat info;
	char own[64];

	if (!stream || fstat(STDERR_FILENO, &info))
		return false;
	snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)info.st_dev, (uintmax_t)info.st_ino);
	return strcmp(stream, own) == 0;
}

void
log_open(enum log_level level, enum log_format format, const char *journal_stream)
{
	log_state.level = level;
	log_state.format = format;
	log_state.journal = is_journal(journal_stream);
}

bool
log_level_named(const char *name, enum log_level *out)
{
	for (int level = LOG_ERROR; level <= LOG_DEBUG; level++)
		if (strcmp(level_names[level], name) == 0) {
			*out = (enum log_level)level;
			return true;
		}
	return false;
}

void
log_register(void (*hook)(enum log_level level, const char *line))
{
	log_state.hook = hook;
}

/* Length of the character at p when it can be shown; 0 when it is a control character, or no UTF-8: the journal hides a whole line for one. */
static size_t
shown(const unsigned char *p)
{
	size_t n = *p < 0x80 ? 1 : *p < 0xE0 ? 2 : *p < 0xF0 ? 3 : 4;

	if (*p < 0x20 || *p == 0x7F || (p[0] == 0xC2 && p[1] < 0xA0) || strnlen((const char *)p, n) < n)
		return 0;
	return str_is_clean((const char *)p, n) ? n : 0;
}

/* What cannot be shown becomes \xhh; what does not fit is cut. */
static void
escape(char *out, size_t size, const char *text)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0;

	for (const unsigned char *p = (const unsigned char *)text; *p && n + 5 < size;) {
		size_t length = shown(p);
		if (length) {
			memcpy(out + n, p, length);
			n += length;
			p += length;
			continue;
		}
		out[n++] = '\\';
		out[n++] = 'x';
		out[n++] = hex[*p >> 4];
		out[n++] = hex[*p++ & 15];
	}
	out[n] = '\0';
}

/* "@alice:example.org" to "@al...:example.org", "bob@example.org/phone" to "bo...@example.org". In place: it only gets shorter. */
static char *
shorten_value(char *value)
{
	size_t n = strcspn(value, " "), keep = value[0] == '@' ? 3 : 2;
	const char *server = memchr(value + 1, value[0] == '@' ? ':' : '@', n > 1 ? n - 1 : 0);

	if (!server || (size_t)(server - value) <= keep + 3)
		return value + n;
	size_t domain = strcspn(server, " /"), rest = strlen(value + n) + 1;
	memcpy(value + keep, "...", 3);
	memmove(value + keep + 3, server, domain);
	memmove(value + keep + 3 + domain, value + n, rest);
	return value + keep + 3 + domain;
}

static void
shorten_people(char *line)
{
	for (size_t i = 0; i < sizeof(person_keys) / sizeof(person_keys[0]); i++)
		for (char *at = strstr(line, person_keys[i]); at; at = strstr(at, person_keys[i]))
			at = shorten_value(at + strlen(person_keys[i]));
}

/* Then a line of less than PIPE_BUF goes out without waiting. */
static bool
is_taken(void)
{
	struct pollfd wait = { .fd = STDERR_FILENO, .events = POLLOUT };

	return poll(&wait, 1, 0) > 0;
}

static void
put(const char *line, int n)
{
	if (!is_taken())
		log_state.lost++;
	else if (n > 0)
		(void)!write(STDERR_FILENO, line, (size_t)n);
}

static void
write_text(enum log_level level, const char *line)
{
	char stamped[LINE_MAX_BYTES + 64], when[32];
	const char *word = level > LOG_WARNING ? "" : level == LOG_ERROR ? "error: " : "warning: ";

	now_format_utc(now_real_ms(), when, sizeof(when));
	if (log_state.journal)
		put(stamped, snprintf(stamped, sizeof(stamped), "<%d>%s%s\n", (int)level, word, line));
	else
		put(stamped, snprintf(stamped, sizeof(stamped), "%s %s%s\n", when, word, line));
}

static void
write_json(enum log_level level, enum log_area area, const char *message)
{
	struct str out AUTO_STR;
	char when[32];

	str_init(&out, 8 * LINE_MAX_BYTES);
	now_format_utc(now_real_ms(), when, sizeof(when));
	str_addf(&out, "{\"time\":\"%s\",\"level\":\"%s\",\"area\":\"%s\",\"message\":\"", when, level_names[level], area_names[area]);
	for (const char *p = message; *p; p++) {
		if (*p == '"' || *p == '\\')
			str_add_char(&out, '\\');
		str_add_char(&out, *p);
	}
	str_add(&out, "\"}\n");
	put(str_get(&out), (int)out.n);
}

/* Once somebody reads again. */
static void
tell_lost(void)
{
	unsigned long lost = log_state.lost;

	log_state.lost = 0;
	log_line(LOG_WARNING, LOG_MAIN, "the log was not read for a while lines_lost=%lu", lost);
}

void
log_line(enum log_level level, enum log_area area, const char *format, ...)
{
	if (level > log_state.level)
		return;
	int saved = errno;
	char line[LINE_MAX_BYTES];
	va_list args;
	if (log_state.lost && is_taken())
		tell_lost();
	va_start(args, format);
	AUTO_FREE char *text = xvasprintf(format, args);
	va_end(args);
	if (log_state.level < LOG_DEBUG)
		shorten_people(text);
	int n = snprintf(line, sizeof(line), "%s: ", area_names[area]);
	escape(line + n, sizeof(line) - (size_t)n, text);
	if (log_state.hook)
		log_state.hook(level, line);
	else if (log_state.format == LOG_JSON)
		write_json(level, area, line + n);
	else
		write_text(level, line);
	errno = saved;
}

int
log_failure(int code, const char *file, int line, const char *function)
{
	log_error(LOG_MAIN, "failed at=%s:%d in=%s error=\"%s\"", file, line, function, strerror(code < 0 ? -code : code));
	return code;
}

void
log_plain(const char *format, ...)
{
	char line[LINE_MAX_BYTES];
	va_list args;

	va_start(args, format);
	int n = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	put(line, n < (int)sizeof(line) ? n : (int)sizeof(line) - 1);
}
