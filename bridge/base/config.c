/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files: sourdine.yaml(5), which config_walk.c reads along the table of config_keys.c; the secret and the registration that
 * it points to; the environment. Nothing that was half read is left behind, and what held a secret is cleared.
 */
#include "base/config.h"

#include "base/config_keys.h"
#include "base/config_walk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (1u << 20)
#define SECRET_MAX 4096

/* A whole small file. 0 and *out (malloc'd, NUL-terminated), or -errno. */
static int
read_file(const char *path, size_t max, char **out, size_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	size_t n = 0;

	if (fd < 0)
		return errno ? -errno : -EIO;
	char *text = xmalloc(max + 1);
	ssize_t got = 1;
	while (n < max && (got = read(fd, text + n, max - n)) > 0)
		n += (size_t)got;
	int error = got < 0 ? -errno : n == max ? -EFBIG : 0;
	close(fd);
	if (error) {
		mem_free_secret(text, n);
		return error;
	}
	text[n] = '\0';
	*out = text;
	*size = n;
	return 0;
}

int
config_read(struct config **out, const char *path, char *why, size_t size)
{
	struct document document = { .path = path, .why = why, .size = size };
	char *text = NULL;
	size_t length = 0;
	int r = read_file(path, FILE_MAX, &text, &length);

	if (r) {
		snprintf(why, size, "%s: cannot be read: %s", path, strerror(-r));
		return CONFIG_E_BAD;
	}
	struct config *config = xcalloc(1, sizeof(*config));
	config->path = xstrdup(path);
	r = config_walk(config, &document, text, length);
	mem_free_secret(text, length);
	if (r) {
		config_free(config);
		return CONFIG_E_BAD;
	}
	*out = config;
	return 0;
}

int
config_read_secret(struct config *config, char *why, size_t size)
{
	const char *path = config->xmpp.secret_file, *fault = NULL;
	char *text = NULL;
	size_t length = 0;

	if (!path)
		return 0;
	int r = read_file(path, SECRET_MAX, &text, &length);
	if (r) {
		snprintf(why, size, "%s: the secret of the XMPP component cannot be read: %s", path, strerror(-r));
		return CONFIG_E_BAD;
	}
	size_t whole = length;
	while (length && strchr("\r\n", text[length - 1]))
		text[--length] = '\0';
	if (!length)
		fault = "is empty";
	else if (strlen(text) != length || !str_is_clean(text, length) || strpbrk(text, "\r\n"))
		fault = "must hold one line of text";
	if (!fault) {
		mem_free_secret(config->xmpp.secret, config->xmpp.secret ? strlen(config->xmpp.secret) : 0);
		config->xmpp.secret = xstrdup(text);
	}
	mem_free_secret(text, whole);
	if (!fault)
		return 0;
	snprintf(why, size, "%s: the secret of the XMPP component %s", path, fault);
	return CONFIG_E_BAD;
}

static void
free_secret_text(char **text)
{
	if (*text)
		mem_free_secret(*text, strlen(*text));
	*text = NULL;
}

static void
forget_registration(struct config *config)
{
	for (const struct config_row *row = config_registration_rows; row->name; row++)
		free_secret_text(config_keys_text(row, config));
}

int
config_read_registration(struct config *config, char *why, size_t size)
{
	const char *path = config->appservice.registration;
	struct document document = { .path = path, .why = why, .size = size };
	char *text = NULL;
	size_t length = 0;
	int r = read_file(path, FILE_MAX, &text, &length);

	if (r == -ENOENT) {
		snprintf(why, size, "%s: there is no registration yet: \"sourdine registration\" makes it", path);
		return CONFIG_E_BAD;
	}
	if (r) {
		snprintf(why, size, "%s: the registration cannot be read: %s", path, strerror(-r));
		return CONFIG_E_BAD;
	}
	forget_registration(config);
	r = config_walk_registration(config, &document, text, length);
	mem_free_secret(text, length);
	if (r)
		forget_registration(config);
	return r ? CONFIG_E_BAD : 0;
}

bool
config_is_exposed(const char *path)
{
	struct stat info;

	return stat(path, &info) == 0 && info.st_mode & S_IROTH;
}

static int
refuse_exposed(const struct config *config, char *why, size_t size)
{
	const char *files[] = { config->appservice.registration, config->xmpp.secret_file ? config->xmpp.secret_file : config->path };

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (!config_is_exposed(files[i]))
			continue;
		snprintf(why, size, "%s: it holds a secret, and everybody on this machine may read it: \"sourdine check\" says what to do", files[i]);
		return CONFIG_E_BAD;
	}
	return 0;
}

int
config_load(struct config **out, const char *path, char *why, size_t size)
{
	struct config *config;
	int r = config_read(&config, path, why, size);

	if (r)
		return r;
	r = config_read_secret(config, why, size);
	if (!r)
		r = config_read_registration(config, why, size);
	if (!r)
		r = refuse_exposed(config, why, size);
	if (r) {
		config_free(config);
		return r;
	}
	*out = config;
	return 0;
}

void
config_free(struct config *config)
{
	if (!config)
		return;
	free_secret_text(&config->xmpp.secret);
	forget_registration(config);
	config_keys_free(config, false);
	for (size_t i = 0; i < config->permission_count; i++) {
		free(config->permissions[i].person);
		free(config->permissions[i].role);
	}
	for (size_t i = 0; i < config->group_count; i++) {
		free(config->groups[i].name);
		config_keys_free(&config->groups[i], true);
	}
	free(config->permissions);
	free(config->groups);
	free(config->path);
	free(config);
}

/* ---- read again ---- */

static bool
is_same_group(const struct config_group *one, const struct config_group *other)
{
	bool same = str_equal(one->name, other->name);

	for (const struct config_row *row = config_rows; row->name; row++)
		if (str_starts(row->name, "groups.*."))
			same = same && config_keys_same(row, one, other);
	return same;
}

static bool
has_same_groups(const struct config *one, const struct config *other)
{
	bool same = one->group_count == other->group_count;

	for (size_t i = 0; same && i < one->group_count; i++)
		same = is_same_group(&one->groups[i], &other->groups[i]);
	return same;
}

static void
exchange(char **one, char **other)
{
	char *kept = *one;

	*one = *other;
	*other = kept;
}

void
config_renew(struct config *config, struct config *fresh, struct str *rest)
{
	struct config_permission *permissions = config->permissions;
	size_t count = config->permission_count;

	config->permissions = fresh->permissions;
	config->permission_count = fresh->permission_count;
	fresh->permissions = permissions;
	fresh->permission_count = count;
	exchange(&config->logging.level, &fresh->logging.level);
	exchange(&config->logging.format, &fresh->logging.format);
	for (const struct config_row *row = config_rows; row->name; row++)
		if (!str_starts(row->name, "logging.") && !str_starts(row->name, "groups.*.") && !config_keys_same(row, config, fresh))
			str_addf(rest, "%s%s", rest->n ? ", " : "", row->name);
	for (const struct config_row *row = config_registration_rows; row->name; row++)
		if (!config_keys_same(row, config, fresh))
			str_addf(rest, "%s%s", rest->n ? ", " : "", row->name);
	if (!has_same_groups(config, fresh))
		str_addf(rest, "%sgroups", rest->n ? ", " : "");
}

bool
config_is_admin(const struct config *config, const char *person)
{
	for (size_t i = 0; i < config->permission_count; i++)
		if (str_equal(config->permissions[i].person, person))
			return true;
	return false;
}

char *
config_mxid(const struct config *config, const char *localpart)
{
	return xasprintf("@%s:%s", localpart, config->homeserver.domain);
}

char *
config_state_file(const struct config *config, const char *name)
{
	return xasprintf("%s/%s", config->state, name);
}

/* ---- the environment ---- */

const char *
config_environment(enum config_variable variable)
{
	static const char *const names[CONFIG_ENV_COUNT] = {
		[CONFIG_ENV_FILE] = "SOURDINE_CONFIG",
		[CONFIG_ENV_LOCALEDIR] = "SOURDINE_LOCALEDIR",
		[CONFIG_ENV_CREDENTIALS] = "CREDENTIALS_DIRECTORY",
		[CONFIG_ENV_JOURNAL] = "JOURNAL_STREAM",
		[CONFIG_ENV_NOTIFY] = "NOTIFY_SOCKET",
		[CONFIG_ENV_WATCHDOG] = "WATCHDOG_USEC",
		[CONFIG_ENV_TZDIR] = "TZDIR",
		[CONFIG_ENV_CRASH_AT] = "CRASH_AT",
		[CONFIG_ENV_BREAK] = "SOURDINE_BREAK",
	};
	const char *value = getenv(names[variable]);

	return value && *value ? value : NULL;
}

const char *
config_zones(void)
{
	const char *directory = config_environment(CONFIG_ENV_TZDIR);

	return directory ? directory : "/usr/share/zoneinfo";
}

const char *
config_default_path(void)
{
	const char *path = config_environment(CONFIG_ENV_FILE);

	return path ? path : CONFIG_DEFAULT_PATH;
}
