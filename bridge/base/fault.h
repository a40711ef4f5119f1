/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

/*
 * Named points at which a test may end the process, as a power cut would. They exist only in builds configured with
 * --enable-fault-points; elsewhere FAULT_POINT() is nothing. CRASH_AT=NAME ends it at the first pass, CRASH_AT=NAME:7 at the
 * seventh. tests/faults lists the names by searching the sources for FAULT_POINT(.
 */

#ifdef FAULT_POINTS
#define FAULT_POINT(name) fault_pass(name)
/* A message that ends the process whenever it is judged: CRASH_AT=text:MARKER. */
#define FAULT_TEXT(text) fault_text(text)
void fault_text(const char *text);
/* Ends the process with status 70 when $CRASH_AT says so. */
void fault_pass(const char *name);
#else
#define FAULT_POINT(name) ((void)0)
#define FAULT_TEXT(text) ((void)0)
#endif

#endif
