/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backup and restore. A running daemon copies its own database (a second connection to it is what SQLite's WAL-reset bug
 * wants); what belongs to it is added here. Restore first makes every file beside its place, then renames them, the database
 * last: broken off half-way it can simply be run again.
 */
#include "cli/cli.h"

#include "base/json.h"
#include "base/now.h"
#include "base/seal.h"
#include "cli/control.h"
#include "store/bundle.h"
#include "store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_PATIENCE_MS (15 * 60 * 1000)
#define FILE_MAX (1 << 20) /* of charters and keys */

/* ---- files ---- */

/* The whole file, which is the admin's and may be a link; malloc'd. 0 or -errno. */
static int
read_file(const char *path, char **out, size_t *n)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text = xcalloc(1, FILE_MAX + 1);
	ssize_t got = 1;

	for (*n = 0; fd >= 0 && got > 0 && *n < FILE_MAX; *n += got > 0 ? (size_t)got : 0)
		got = read(fd, text + *n, FILE_MAX - *n);
	int error = fd < 0 || got < 0 ? -errno : *n == FILE_MAX ? -EFBIG : 0;
	if (fd >= 0)
		close(fd);
	if (error)
		free(text);
	else
		*out = text;
	return error;
}

static int
write_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t written = write(fd, p, n);
		if (written < 0)
			return -errno;
		p += written;
		n -= (size_t)written;
	}
	return 0;
}

/* PATH.new, durable, for install(). 0 or -errno. */
static int
write_new(const char *path, const char *p, size_t n, mode_t mode)
{
	AUTO_FREE char *fresh = xasprintf("%s.new", path);

	unlink(fresh);
	int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return -errno;
	int error = write_all(fd, p, n);
	if (!error && (fchmod(fd, mode) < 0 || fsync(fd) < 0))
		error = -errno;
	close(fd);
	if (error)
		unlink(fresh);
	return error;
}

/*
 * Takes over owner and group of what lies there, or of the directory: the daemon is another user than root. It may write there, so a
 * link that it puts in the place of the file is not followed.
 */
static void
adopt(const char *fresh, const char *path)
{
	struct stat info;
	AUTO_FREE char *directory = xstrdup(path);
	char *slash = strrchr(directory, '/');

	if (slash)
		*slash = '\0';
	if (stat(path, &info) == 0 || stat(slash ? directory : ".", &info) == 0)
		(void)!lchown(fresh, info.st_uid, info.st_gid);
}

static int
install(const char *path)
{
	AUTO_FREE char *fresh = xasprintf("%s.new", path);

	adopt(fresh, path);
	return rename(fresh, path) < 0 ? -errno : 0;
}

/* Makes the file and its directory's entry durable. */
static int
settle(const char *path)
{
	AUTO_FREE char *directory = xstrdup(path);
	char *slash = strrchr(directory, '/');
	int error = 0;

	if (slash)
		slash[1] = '\0';
	const char *paths[] = { path, slash ? directory : "." };
	for (size_t i = 0; i < 2; i++) {
		int fd = open(paths[i], O_RDONLY | O_CLOEXEC);
		if (fd < 0 || fsync(fd) < 0)
			error = -errno;
		if (fd >= 0)
			close(fd);
	}
	return error;
}

static int
copy_file(const char *from, const char *to)
{
	int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	int error = in < 0 || out < 0 ? -errno : 0;
	char buffer[65536];

	while (!error) {
		ssize_t n = read(in, buffer, sizeof(buffer));
		if (n <= 0) {
			error = n < 0 ? -errno : 0;
			break;
		}
		error = write_all(out, buffer, (size_t)n);
	}
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	return error;
}

/* ---- backup ---- */

/* Of a stopped daemon's database, directly. 0, or a status. */
static int
copy_stopped(const struct config *config, const char *to)
{
	struct store *store = NULL;
	struct store_copy *copy = NULL;
	int r = store_open_reading(&store, config->state);

	if (!r)
		r = store_copy_begin(&copy, store, to);
	for (int more = 1; !r && more;) {
		more = store_copy_step(copy);
		r = more < 0 ? more : 0;
	}
	store_copy_end(copy);
	store_close(store);
	if (!r)
		return CLI_FINE;
	return cli_fail(CLI_PROBLEM, "the database in %s cannot be copied to %s: %s", config->state, to, r == STORE_E_OLDER ?
			"it is an older release's; start the daemon once" : r > 0 ? "\"sourdine check database\" says why" : strerror(-r));
}

/*
 * The running daemon's answer: its copy lies in the state directory, or a sentence. Whoever runs this may do more than the daemon's
 * user, so the daemon does not say which file is read and deleted.
 */
static int
fetch_copy(const struct config *config, const char *text, const char *to)
{
	json_t *answer = json_read_answer(text, strlen(text));
	const char *error = json_text(answer, "error");
	AUTO_FREE char *path = config_state_file(config, CONTROL_COPY);
	int status = CLI_FINE;

	if (!json_is_on(answer, "copied")) {
		status = cli_fail(CLI_PROBLEM, "%s", error ? error : "the daemon's answer cannot be read");
	} else {
		int r = copy_file(path, to);
		unlink(path);
		if (r)
			status = cli_fail(CLI_PROBLEM, "%s: cannot be written: %s", to, strerror(-r));
	}
	json_decref(answer);
	return status;
}

static int
copy_database(const struct config *config, const char *to)
{
	AUTO_FREE char *socket = config_state_file(config, "control"), *text = NULL;
	int r = control_ask(socket, "backup", COPY_PATIENCE_MS, &text);

	if (r == -ENOENT || r == -ECONNREFUSED)
		return copy_stopped(config, to);
	if (r)
		return cli_fail(CLI_UNAVAILABLE, "%s: the daemon does not answer: %s", socket, strerror(-r));
	return fetch_copy(config, text, to);
}

static int
put_file(struct bundle *bundle, const char *name, const char *path)
{
	char *text = NULL;
	size_t n = 0;
	int r = read_file(path, &text, &n);

	if (!r)
		r = bundle_put(bundle, name, text, n);
	if (text)
		mem_free_secret(text, n);
	return r ? cli_fail(CLI_PROBLEM, "%s: cannot be added to the backup: %s", path, strerror(-r)) : CLI_FINE;
}

static int
put_charters(struct bundle *bundle, const char *directory, unsigned *count)
{
	DIR *folder = opendir(directory);
	int status = CLI_FINE;

	for (struct dirent *entry; folder && !status && (entry = readdir(folder));) {
		const char *dot = strrchr(entry->d_name, '.');
		if (!dot || dot == entry->d_name || strcmp(dot, ".charter") != 0)
			continue;
		AUTO_FREE char *name = xasprintf("charter/%s", entry->d_name), *path = xasprintf("%s/%s", directory, entry->d_name);
		status = put_file(bundle, name, path);
		++*count;
	}
	if (folder)
		closedir(folder);
	return status;
}

static int
put_all(const struct config *config, const char *path, bool with_key, int64_t taken_ms, unsigned *charters)
{
	struct bundle *bundle = NULL;
	char taken[32];

	if (bundle_make(&bundle, path))
		return cli_fail(CLI_PROBLEM, "%s: cannot be written", path);
	snprintf(taken, sizeof(taken), "%" PRId64, taken_ms);
	int status = bundle_put(bundle, "taken", taken, strlen(taken)) ? CLI_PROBLEM : CLI_FINE;
	if (!status)
		status = put_file(bundle, "registration", config->appservice.registration);
	if (!status)
		status = put_charters(bundle, config->charters, charters);
	if (!status && with_key)
		status = put_file(bundle, "key", config->master_key_file);
	if (bundle_close(bundle) && !status)
		status = cli_fail(CLI_PROBLEM, "%s: cannot be written", path);
	return status;
}

static int
make_backup(const struct config *config, const char *file, bool with_key)
{
	AUTO_FREE char *fresh = xasprintf("%s.new", file);
	int64_t taken_ms = now_real_ms(); /* before the copy: what comes during it is asked after as well */
	unsigned charters = 0;

	unlink(fresh);
	int status = copy_database(config, fresh);
	if (!status)
		status = put_all(config, fresh, with_key, taken_ms, &charters);
	if (!status && (settle(fresh) || rename(fresh, file) < 0 || settle(file)))
		status = cli_fail(CLI_PROBLEM, "%s: cannot be written: %s", file, strerror(errno));
	if (status) {
		unlink(fresh);
		return status;
	}
	printf("%s: the database, the registration and %u charters%s.\n", file, charters, with_key ? ", and the master key" : "");
	if (!with_key)
		printf("It lacks the master key %s, without which it cannot be read: keep that elsewhere.\n", config->master_key_file);
	printf("It lacks %s and the component's secret: these are yours.\n", config->path);
	return CLI_FINE;
}

int
cli_backup(const struct cli_options *options)
{
	struct config *config;
	char why[CONFIG_WHY];

	if (config_read(&config, options->config, why, sizeof(why)))
		return cli_fail(CLI_CONFIG, "%s", why);
	mode_t old = umask(077);
	int status = make_backup(config, options->words[0], options->with_key);
	umask(old);
	config_free(config);
	return status;
}

/* ---- restore ---- */

struct restore {
	const struct config *config;
	const char *file;
	struct bundle *bundle;
	int64_t taken_ms;
	char *database;    /* owns: where it will be */
	unsigned charters;
	bool brings_key, failed;
};

/* The key must be that of the backup's database: another one would make every held text unreadable. */
static int
check_key(struct restore *restore)
{
	const char *path = restore->config->master_key_file;
	AUTO_FREE char *wanted = bundle_meta(restore->bundle, "key");
	size_t n;
	char *key = bundle_get(restore->bundle, "key", &n), fingerprint[17] = "";
	struct seal *seal = NULL;

	restore->brings_key = key != NULL;
	if (key)
		mem_free_secret(key, n);
	int r = seal_open(&seal, path, false);
	if (!r)
		seal_fingerprint(seal, fingerprint);
	seal_close(seal);
	if (!r && str_equal(wanted, fingerprint)) {
		restore->brings_key = false; /* it is there already */
		return CLI_FINE;
	}
	if (restore->brings_key && !restore->config->master_key_given)
		return CLI_FINE;
	return cli_fail(CLI_CONFIG, r == SEAL_E_MISSING ? "%s: the master key is missing, and %s does not bring it%s: put it there first" :
			"%s: this is not the master key of %s%s: put the right one there first", path, restore->file,
			restore->brings_key ? " to a place that is yours (master_key_file)" : "");
}

static void
write_charter(void *context, const char *name, const char *p, size_t n)
{
	struct restore *restore = context;

	if (strchr(name, '/') || name[0] == '.') {
		restore->failed = true;
		cli_fail(CLI_PROBLEM, "%s: it was tampered with: a charter's name leads elsewhere", restore->file);
		return;
	}
	AUTO_FREE char *path = xasprintf("%s/%s", restore->config->charters, name);
	int r = write_new(path, p, n, 0644);
	if (r)
		cli_fail(CLI_PROBLEM, "%s: cannot be written: %s", path, strerror(-r));
	restore->failed |= r != 0;
}

static void
install_charter(void *context, const char *name, const char *p, size_t n)
{
	struct restore *restore = context;
	AUTO_FREE char *path = xasprintf("%s/%s", restore->config->charters, name);

	(void)p, (void)n;
	restore->failed |= install(path) != 0;
	restore->charters++;
}

static int
write_member(struct restore *restore, const char *name, const char *path, mode_t mode)
{
	size_t n;
	char *text = bundle_get(restore->bundle, name, &n);

	if (!text)
		return cli_fail(CLI_PROBLEM, "%s: it holds no %s", restore->file, name);
	int r = write_new(path, text, n, mode);
	mem_free_secret(text, n);
	return r ? cli_fail(CLI_PROBLEM, "%s: cannot be written: %s", path, strerror(-r)) : CLI_FINE;
}

/* Everything beside its place. */
static int
write_everything(struct restore *restore)
{
	const struct config *config = restore->config;
	AUTO_FREE char *fresh = xasprintf("%s.new", restore->database);

	unlink(fresh);
	if (bundle_unpack(restore->bundle, fresh, restore->taken_ms))
		return cli_fail(CLI_PROBLEM, "%s: cannot be written: is the disk full?", fresh);
	int status = write_member(restore, "registration", config->appservice.registration, 0640);
	if (!status && restore->brings_key)
		status = write_member(restore, "key", config->master_key_file, 0600);
	if (!status && mkdir(config->charters, 0755) < 0 && errno != EEXIST)
		status = cli_fail(CLI_PROBLEM, "%s: cannot be made: %s", config->charters, strerror(errno));
	if (!status)
		bundle_each(restore->bundle, "charter/", write_charter, restore);
	return restore->failed ? CLI_PROBLEM : status;
}

/* The database that is there, with its log, is kept under another name. */
static int
put_aside(const char *database)
{
	static const char *const endings[] = { "-wal", "-shm", "" };

	for (size_t i = 0; i < 3; i++) {
		AUTO_FREE char *from = xasprintf("%s%s", database, endings[i]), *to = xasprintf("%s.before%s", database, endings[i]);
		if (rename(from, to) < 0 && errno != ENOENT)
			return -errno;
	}
	return 0;
}

static int
install_everything(struct restore *restore)
{
	const struct config *config = restore->config;
	int r = 0;

	bundle_each(restore->bundle, "charter/", install_charter, restore);
	if (restore->failed || install(config->appservice.registration) || (restore->brings_key && install(config->master_key_file)))
		return cli_fail(CLI_PROBLEM, "the files of %s cannot be put into their places: %s; run it again", restore->file, strerror(errno));
	r = put_aside(restore->database);
	if (!r)
		r = install(restore->database);
	if (!r)
		r = settle(restore->database);
	return r ? cli_fail(CLI_PROBLEM, "%s: cannot be replaced: %s; run it again", restore->database, strerror(-r)) : CLI_FINE;
}

static void
tell_restored(const struct restore *restore)
{
	char taken[32];

	now_format_utc(restore->taken_ms, taken, sizeof(taken));
	printf("Restored from %s, made at %s: the database, the registration, %u charters%s.\n", restore->file, taken, restore->charters,
			restore->brings_key ? " and the master key" : "");
	printf("The database that was there is kept as %s.before until you delete it.\n", restore->database);
	puts("At its next start the daemon reads the rooms' archives from then on, and asks the rooms what of it they have\n"
		"already, before it sends anything: no room gets a message twice whose ids the other side still knows. Private\n"
		"notices of that time may come again. What was decided by command since then (modes, charters, releases) is lost.\n"
		"If the homeserver loaded another registration meanwhile, restart it.");
}

static int
restore_locked(struct restore *restore)
{
	AUTO_FREE char *fresh = xasprintf("%s.new", restore->database);
	int status = check_key(restore);

	if (!status)
		status = write_everything(restore);
	if (status)
		unlink(fresh); /* on a full disk above all */
	if (!status)
		status = install_everything(restore);
	if (!status)
		tell_restored(restore);
	return status;
}

static int
open_bundle(struct restore *restore)
{
	size_t n;
	int r = bundle_open(&restore->bundle, restore->file);

	if (r == STORE_E_NEWER)
		return cli_fail(CLI_CONFIG, "%s was made by a newer Sourdine: install that release first", restore->file);
	if (r)
		return cli_fail(CLI_PROBLEM, "%s: %s", restore->file, r > 0 ? "damaged, or no backup of Sourdine" : strerror(-r));
	AUTO_FREE char *taken = bundle_get(restore->bundle, "taken", &n);
	restore->taken_ms = taken ? strtoll(taken, NULL, 10) : 0;
	return restore->taken_ms > 0 ? CLI_FINE : cli_fail(CLI_PROBLEM, "%s: damaged, or no backup of Sourdine", restore->file);
}

static int
make_restore(const struct config *config, const char *file)
{
	struct restore restore = { .config = config, .file = file, .database = config_state_file(config, "sourdine.db") };
	int lock = -1, status = open_bundle(&restore);

	if (!status && mkdir(config->state, 0700) < 0 && errno != EEXIST)
		status = cli_fail(CLI_CONFIG, "%s: cannot be made: %s", config->state, strerror(errno));
	int r = status ? 0 : store_lock(config->state, &lock);
	if (r)
		status = cli_fail(CLI_PROBLEM, r == STORE_E_LOCKED ? "the daemon runs with %s: stop it first" : "%s: cannot be locked", config->state);
	if (!status)
		status = restore_locked(&restore);
	if (lock >= 0)
		close(lock);
	(void)!bundle_close(restore.bundle);
	free(restore.database);
	return status;
}

int
cli_restore(const struct cli_options *options)
{
	struct config *config;
	char why[CONFIG_WHY];

	if (config_read(&config, options->config, why, sizeof(why)))
		return cli_fail(CLI_CONFIG, "%s", why);
	mode_t old = umask(077);
	int status = make_restore(config, options->words[0]);
	umask(old);
	config_free(config);
	return status;
}
