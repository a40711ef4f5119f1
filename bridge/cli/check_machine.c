/* SPDX-License-Identifier: Apache-2.0 */
/* What we stand on: the clock, the time zones, the disk, and how many files may be open. */
#include "config.h"

#include "cli/check.h"

#include "base/disk.h"
#include "base/now.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_LEAST 1024
#define LATEST_YEARS 20

bool
check_clock_is_possible(int64_t now_ms, int64_t built_ms)
{
	return now_ms >= built_ms && now_ms - built_ms < INT64_C(1000) * 86400 * 365 * LATEST_YEARS;
}

static void
check_clock(struct check *check)
{
	int64_t now_ms = now_real_ms(), built_ms = INT64_C(1000) * BUILD_EPOCH;
	char now[32], built[32];

	now_format_utc(now_ms, now, sizeof(now));
	now_format_utc(built_ms, built, sizeof(built));
	if (check_clock_is_possible(now_ms, built_ms))
		check_say(check, LEVEL_OK, "machine", NULL, "the clock says %s", now);
	else
		check_say(check, LEVEL_FAIL, "machine", "set the clock (\"timedatectl set-ntp true\"): hours, holds and digests go by it",
				"the clock says %s, but this program was built on %s", now, built);
}

static void
check_zones(struct check *check)
{
	const char *directory = config_zones();
	AUTO_FREE char *one = xasprintf("%s/Europe/Paris", directory);

	if (access(one, R_OK) == 0)
		check_say(check, LEVEL_OK, "machine", NULL, "%s holds the time zones", directory);
	else
		check_say(check, LEVEL_FAIL, "machine", "install the package tzdata (and tzdata-legacy for old names such as US/Eastern)",
				"there are no time zones in %s, so that no charter can be read", directory);
}

/* The state directory's disk, or before the first start that of the directory it will be made in. */
static void
check_disk(struct check *check)
{
	const char *state = check->config->state;
	AUTO_FREE char *parent = xstrdup(state);
	struct disk disk;

	for (char *slash; access(parent, F_OK) < 0 && (slash = strrchr(parent, '/')) && slash > parent;)
		*slash = '\0';
	if (!disk_look(parent, &disk))
		return;
	if (disk.low)
		check_say(check, LEVEL_FAIL, "machine", "make room: below this nothing more is taken from either network, and nothing is lost",
				"%s: only %" PRId64 " MiB are free on its disk; the least is 5 %% or 256 MiB, whichever is more", state,
				disk.free_bytes >> 20);
	if (disk.low_inodes)
		check_say(check, LEVEL_FAIL, "machine", "delete files, or move state: to another disk",
				"%s: its disk has only %" PRId64 " inodes left for new files", state, disk.free_inodes);
	if (!disk.low && !disk.low_inodes)
		check_say(check, LEVEL_OK, "machine", NULL, "%" PRId64 " MiB are free for %s", disk.free_bytes >> 20, state);
}

static void
check_files(struct check *check)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < FILES_LEAST)
		check_say(check, LEVEL_WARN, "machine", "raise it: \"ulimit -n 1024\", or LimitNOFILE= in the unit",
				"only %llu files may be open at once here; under load %d are needed", (unsigned long long)limit.rlim_cur, FILES_LEAST);
}

void
check_machine(struct check *check)
{
	check_clock(check);
	check_zones(check);
	check_disk(check);
	check_files(check);
}

/* ---- Synapse's conf.d ---- */

static bool
sets_list(const char *path)
{
	char line[512];
	bool found = false;
	FILE *file = fopen(path, "re");

	while (file && !found && fgets(line, sizeof(line), file))
		found = strncmp(line, "app_service_config_files:", strlen("app_service_config_files:")) == 0;
	if (file)
		fclose(file);
	return found;
}

unsigned
check_count_lists(const char *directory)
{
	AUTO_FREE char *main_file = xasprintf("%s/homeserver.yaml", directory), *folder = xasprintf("%s/conf.d", directory);
	unsigned lists = sets_list(main_file);
	DIR *open_folder = opendir(folder);

	for (struct dirent *entry; open_folder && (entry = readdir(open_folder));) {
		AUTO_FREE char *path = xasprintf("%s/%s", folder, entry->d_name);
		const char *dot = strrchr(entry->d_name, '.');
		if (dot && strcmp(dot, ".yaml") == 0)
			lists += sets_list(path);
	}
	if (open_folder)
		closedir(open_folder);
	return lists;
}
