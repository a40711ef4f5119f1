/* SPDX-License-Identifier: Apache-2.0 */
/* nftw() removes whatever is there: no test names the files that the product makes. */
#include "scratch.h"

#include "base/now.h"

#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

void
scratch_make(char directory[SCRATCH_SIZE])
{
	snprintf(directory, SCRATCH_SIZE, "/tmp/sourdine-test-XXXXXX");
	assert_non_null(mkdtemp(directory));
}

static int
remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
	(void)status, (void)kind, (void)place;
	return remove(path);
}

void
scratch_remove(const char *directory)
{
	assert_int_equal(nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

void
scratch_write(const char *directory, const char *name, const char *text)
{
	AUTO_FREE char *path = xasprintf("%s/%s", directory, name);

	for (char *slash = path + strlen(directory) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(path, 0700);
		*slash = '/';
	}
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

void
scratch_open(const char *directory, const char *key_name, struct store **store, struct seal **seal)
{
	AUTO_FREE char *key = xasprintf("%s/%s", directory, key_name);
	bool created;

	assert_int_equal(store_open(store, directory, &created), 0);
	assert_int_equal(seal_open(seal, key, created), 0);
}

void
scratch_limit_files(uint64_t bytes)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

void
scratch_set_clock(const char *directory, const char *instant)
{
	AUTO_FREE char *path = xasprintf("%s/clock", directory);

	scratch_write(directory, "clock", instant);
	assert_int_equal(now_use_test_clock(path), 0);
}

void
scratch_drop_line(enum log_level level, const char *line)
{
	(void)level, (void)line;
}
