/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_SUPERVISOR_H
#define CLI_SUPERVISOR_H

/*
 * What we tell whoever started us, and the process that will start after us: sd_notify(3) with its watchdog, and a mark in the state
 * directory when we end by a fault of our own.
 */

#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>

/* Sends one sd_notify(3) state, such as "READY=1". Nothing when nobody asked for it. */
void supervisor_notify(const char *state);

/* Milliseconds between two signs of life that the supervisor wants (half of $WATCHDOG_USEC); 0: none. */
int64_t supervisor_watchdog_ms(void);

/*
 * From now on a fault of our own (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT) leaves the file DIRECTORY/crashed before it ends the
 * process as it would have ended. True when an earlier process left one; it is removed. A build with AddressSanitizer
 * leaves the signals to the sanitizer, whose report says more.
 */
bool supervisor_watch_crashes(const char *directory);

#endif
