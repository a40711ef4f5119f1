/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

/*
 * The log: one line a fact on stderr, "area: verb key=value ...", in English. Control
 * characters and what is no UTF-8 are escaped and long lines cut, because names come from strangers.
 * Nobody is waited for: lines that are not read are dropped, and their number is said when somebody reads again.
 * NEVER a message body, a token or a key, at any level; ids and sizes only.
 */

#include "base/mem.h"

#include <stdbool.h>

enum log_level { LOG_ERROR = 3, LOG_WARNING = 4, LOG_NOTICE = 5, LOG_INFO = 6, LOG_DEBUG = 7 }; /* syslog's numbers */
enum log_area { LOG_MAIN, LOG_STORE, LOG_RELAY, LOG_OUTBOX, LOG_RULES, LOG_COMMAND, LOG_MATRIX, LOG_XMPP, LOG_AREAS };

enum log_format { LOG_TEXT, LOG_JSON };

/*
 * Lines above `level` are dropped (default LOG_INFO). LOG_JSON writes an object a line: time, level, area, message. When stderr is
 * the journal ($JOURNAL_STREAM names it, systemd.exec(5)), text lines carry its "<N>" and no time. Below LOG_DEBUG people's addresses are
 * shortened: who= of a line says "@al...:example.org".
 */
void log_open(enum log_level level, enum log_format format, const char *journal_stream);
/* "error" to "debug"; false: no such level. */
bool log_level_named(const char *name, enum log_level *out);

/* Tests: every line goes to `hook` instead of stderr; NULL ends that. */
void log_register(void (*hook)(enum log_level level, const char *line));

/* A line as it is, with its own end, for whoever waits for these very words; never anything of strangers. */
void log_plain(const char *format, ...) PRINTF_LIKE(1, 2);

/* Keeps errno. */
void log_line(enum log_level level, enum log_area area, const char *format, ...) PRINTF_LIKE(3, 4);

#define log_error(area, ...) log_line(LOG_ERROR, area, __VA_ARGS__)
#define log_warning(area, ...) log_line(LOG_WARNING, area, __VA_ARGS__)
#define log_notice(area, ...) log_line(LOG_NOTICE, area, __VA_ARGS__)
#define log_info(area, ...) log_line(LOG_INFO, area, __VA_ARGS__)
#define log_debug(area, ...) log_line(LOG_DEBUG, area, __VA_ARGS__)

/* Logs a failure of our own machine where it was noticed and forwards its code: return error_trace(r); */
#define error_trace(code) log_failure((code), __FILE__, __LINE__, __func__)
int log_failure(int code, const char *file, int line, const char *function);

#endif
