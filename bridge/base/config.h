/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H

/*
 * The administrator's file, sourdine.yaml(5), and the registration beside it: read once, strictly, never written.
 * Everything that is wrong is one sentence with file:line:col. The only reader of the environment.
 */

#include "base/mem.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_WHY 512 /* room enough for any sentence of this module */
#define CONFIG_DEFAULT_PATH "/etc/sourdine/config.yaml"

enum { CONFIG_E_BAD = 1 };

struct config_group {
	char *name;   /* "marketing": its charter is CHARTERS/marketing.charter */
	char *matrix; /* "#alias:server" or "!id:server"; NULL when the group has no Matrix room */
	char *xmpp;   /* bare JID of the MUC; NULL when it has none. One of both is there */
	bool create;  /* an alias that does not exist is created */
	char *encrypted; /* "allow": an encrypted room may be joined to a plain one without a moderator's consent; or NULL */
	char *trust;     /* "cross-signed" or "all"; NULL: as encryption.trust */
};

struct config_permission {
	char *person; /* "@admin:example.org" or "xmpp:admin@example.org" */
	char *role;   /* "admin", the only one so far */
};

/* The registration that the homeserver loads, and the only home of both tokens. */
struct config_registration {
	char *id, *url, *sender_localpart;
	char *as_token, *hs_token;
};

/* Paths are absolute, or relative to the process when the file itself was named so. All texts are the config's. */
struct config {
	char *path; /* of the file */
	struct {
		char *address; /* "http://127.0.0.1:8008", without a slash at its end */
		char *domain;
	} homeserver;
	struct {
		char *address;      /* where the homeserver reaches us */
		char *hostname;     /* what we listen on, numeric */
		uint16_t port;
		char *registration; /* path */
		char *bot;          /* localpart */
		char *ghosts;       /* prefix of localparts */
	} appservice;
	struct {
		char *host;
		uint16_t port;
		char *component;
		char *secret;      /* without its line's end; NULL after config_read() when it stands in a file */
		char *secret_file; /* path, or NULL */
		char *nick;
	} xmpp;
	char *state;           /* directory */
	char *charters;        /* directory */
	char *language;        /* "en" or "fr" */
	struct {
		char *level;   /* "error" to "debug" */
		char *format;  /* "text" or "json" */
	} logging;
	char *master_key_file; /* path */
	bool master_key_given; /* named by the admin (or a credential): never to be written */
	struct {
		char *hostname;
		uint16_t port;     /* 0: off */
	} metrics;
	struct {
		bool allow;      /* false: encrypted rooms are refused */
		bool require;    /* true: plain rooms are refused */
		char *trust;     /* "cross-signed" or "all" */
	} encryption;
	struct {
		unsigned ghosts;     /* in one MUC; above it the bot speaks for people */
		unsigned idle_hours; /* after which a silent ghost leaves */
	} limits;
	struct config_permission *permissions; /* owns */
	size_t permission_count;
	struct config_group *groups; /* owns; in the order of the file */
	size_t group_count;
	struct config_registration registration; /* empty after config_read() */
};

/*
 * Reads the file, and what it points to: the component's secret and the registration. Of two places for one secret
 * the supervisor's credential ($CREDENTIALS_DIRECTORY/xmpp-secret, master-key) wins over the file named here.
 * 0 and *out (the caller's); CONFIG_E_BAD and one sentence in `why` (no secret ever stands in it).
 */
int config_load(struct config **out, const char *path, char *why, size_t size) MUST_USE;
/* Whether everybody on this machine may read the file. config_load() takes no secret from such a one. */
bool config_is_exposed(const char *path);
/* The same without secret and registration: for the sub-commands that make them or need none. */
int config_read(struct config **out, const char *path, char *why, size_t size) MUST_USE;
/* The two parts that config_load() adds. */
int config_read_secret(struct config *config, char *why, size_t size) MUST_USE;
int config_read_registration(struct config *config, char *why, size_t size) MUST_USE;
/* NULL is fine; secrets are cleared. */
void config_free(struct config *config);

/*
 * Takes over from a configuration that was read anew what can change while we run: permissions and logging, whose old values `fresh`
 * gets. Names of the other keys, and of those of the registration, in which both differ are added to `rest`, parted by ", ".
 */
void config_renew(struct config *config, struct config *fresh, struct str *rest);

/* Whether `permissions:` makes this person an operator. */
bool config_is_admin(const struct config *config, const char *person);

/* "@LOCALPART:DOMAIN". malloc'd, the caller's. */
char *config_mxid(const struct config *config, const char *localpart) MUST_USE;
/* STATE/NAME. malloc'd, the caller's. */
char *config_state_file(const struct config *config, const char *name) MUST_USE;

/* Every variable of the environment that we heed. */
enum config_variable {
	CONFIG_ENV_FILE,        /* SOURDINE_CONFIG */
	CONFIG_ENV_LOCALEDIR,   /* SOURDINE_LOCALEDIR: catalogues of a build that is not installed */
	CONFIG_ENV_CREDENTIALS, /* CREDENTIALS_DIRECTORY, systemd.exec(5) */
	CONFIG_ENV_JOURNAL,     /* JOURNAL_STREAM: "device:inode" of stderr */
	CONFIG_ENV_NOTIFY,      /* NOTIFY_SOCKET, sd_notify(3) */
	CONFIG_ENV_WATCHDOG,    /* WATCHDOG_USEC */
	CONFIG_ENV_TZDIR,       /* TZDIR; see config_zones() */
	CONFIG_ENV_CRASH_AT,    /* CRASH_AT, only read by builds with fault points */
	CONFIG_ENV_BREAK,       /* SOURDINE_BREAK, likewise */
	CONFIG_ENV_COUNT,
};
/* Its value, or NULL when unset or empty. Lent by the environment. */
const char *config_environment(enum config_variable variable);
/* Where zone files are: $TZDIR, else /usr/share/zoneinfo. */
const char *config_zones(void);
/* $SOURDINE_CONFIG, else CONFIG_DEFAULT_PATH. */
const char *config_default_path(void);

/* One line of the table of keys, for the test that the manual names each. NULL after the last. */
const char *config_key(size_t index);

#endif
