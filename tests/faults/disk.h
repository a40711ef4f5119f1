/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FAULTS_DISK_H
#define TESTS_FAULTS_DISK_H

/*
 * A disk that forgets, as SQLite's default file system. What is written is on it only after a sync; at a crash each write
 * since the last sync of its file is there, is not, or is there in some of its sectors.
 */

/* From now on every database of this process lies on such a disk. */
void disk_install(void);

/* The n-th write, sync or truncation from now on is the last: the disk forgets, and the process ends with DISK_CRASHED. 0: none. */
void disk_crash_at(long n, unsigned seed);

enum { DISK_CRASHED = 71 };

#endif
