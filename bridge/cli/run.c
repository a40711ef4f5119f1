/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon: opens everything in order, turns until SIGTERM, closes in reverse. Whatever cannot be opened
 * ends in one sentence for the admin and the exit status that tells his supervisor whether to try again.
 */
#include "config.h"

#include "cli/cli.h"

#include "base/config.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/now.h"
#include "base/seal.h"
#include "cli/answer.h"
#include "cli/gauges.h"
#include "cli/metrics.h"
#include "cli/supervisor.h"
#include "core/charters.h"
#include "core/core.h"
#include "core/outbox_rows.h"
#include "matrix/matrix.h"
#include "store/store.h"
#include "xmpp/jabber.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define LONGEST_WAIT_MS (60 * 1000)

/* Everything that runs. Opened in the order of the fields. */
struct daemon {
	struct config *config;
	const char *clock_path; /* or NULL */
	struct loop *loop;
	struct loop_timer timer; /* the next due instant */
	struct loop_timer alive; /* the next sign of life */
	int signal_fd, clock_fd, step_fd;
	struct loop_source *signal_source, *clock_source, *step_source;
	struct store *store;
	struct seal *seal;
	struct core *core;
	struct port *matrix, *jabber;
	struct answers *answers;
	struct metrics *metrics; /* or NULL */
	char *bot, *xmpp_bot; /* owns */
	int64_t started_ms;   /* monotonic */
	bool ready;
	int status;
};

/* ---- the turn ---- */

/* Both peers take us. Rooms are entered behind: with some hundred of them that takes longer, and each waits only for itself. */
static void
announce_ready(struct daemon *daemon)
{
	const struct list *all = &daemon->core->groups.all;
	struct group *group;
	unsigned groups = 0;

	if (daemon->ready || !matrix_connected(daemon->matrix) || !jabber_connected(daemon->jabber))
		return;
	LIST_FOR_EACH(group, all, struct group, link)
		groups++;
	daemon->ready = true;
	log_plain("ready: %u groups, %.1f s\n", groups, (double)(now_monotonic_ms() - daemon->started_ms) / 1000);
	supervisor_notify("READY=1\nSTATUS="); /* no longer waiting, as say_alive() said */
}

/* A peer that refuses us for good: nothing is lost by stopping, and nothing gets better by going on. */
static void
stop_if_refused(struct daemon *daemon)
{
	const char *why = matrix_failure(daemon->matrix);

	if (!why)
		why = jabber_failure(daemon->jabber);
	if (!why)
		return;
	daemon->status = cli_fail(CLI_CONFIG, "%s", why);
	loop_stop(daemon->loop);
}

static bool
turn(void *context)
{
	struct daemon *daemon = context;
	bool more = core_turn(daemon->core);

	more |= answers_turn(daemon->answers);

	announce_ready(daemon);
	stop_if_refused(daemon);
	int64_t due = core_next_due(daemon->core);
	loop_timer_set(&daemon->timer, due < 0 || due > LONGEST_WAIT_MS ? LONGEST_WAIT_MS : due);
	return more;
}

/*
 * The supervisor hears from us as long as the loop turns; a full disk is no reason to be restarted, for we go on by ourselves.
 * Before both peers take us, it must not lose patience with them.
 */
static void
say_alive(void *context)
{
	struct daemon *daemon = context;

	supervisor_notify(daemon->ready ? "WATCHDOG=1" :
			"WATCHDOG=1\nEXTEND_TIMEOUT_USEC=180000000\nSTATUS=waiting for the homeserver and the XMPP server");
	loop_timer_set(&daemon->alive, supervisor_watchdog_ms());
}

static void
timer_fired(void *context)
{
	(void)context; /* the turn that follows does the work */
}

/* ---- signals and clocks ---- */

static void
reload_config(struct daemon *daemon)
{
	struct config *fresh;
	char why[CONFIG_WHY];
	AUTO_STR struct str rest;

	str_init(&rest, CONFIG_WHY);
	if (config_load(&fresh, daemon->config->path, why, sizeof(why))) {
		log_error(LOG_MAIN, "configuration not read again, what was in force stays: %s", why);
		return;
	}
	config_renew(daemon->config, fresh, &rest);
	config_free(fresh);
	cli_open_log(daemon->config);
	log_notice(LOG_MAIN, "configuration read again%s%s", rest.n ? "; what changed in these keys waits for the next start: " : "",
			str_get(&rest));
}

static void
reload(struct daemon *daemon)
{
	char why[CONFIG_WHY];

	reload_config(daemon);
	if (charters_reload(daemon->core->charters, why, sizeof(why)))
		log_error(LOG_RULES, "charters not read again, what was in force stays: %s", why);
	else
		log_notice(LOG_MAIN, "charters read again");
}

static void
on_signal(void *context, uint32_t events)
{
	struct daemon *daemon = context;
	struct signalfd_siginfo info;

	(void)events;
	if (read(daemon->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGHUP)
		reload(daemon);
	else
		loop_stop(daemon->loop);
}

static int
watch_signals(struct daemon *daemon)
{
	struct rlimit none = { 0, 0 };
	sigset_t set;

	setrlimit(RLIMIT_CORE, &none); /* a core would hold message text and keys */
	prctl(PR_SET_DUMPABLE, 0);     /* nor does a pipe of the kernel's get one, which heeds no limit; nor another process of our user */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	daemon->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return daemon->signal_fd < 0 ? -errno : loop_add(daemon->loop, daemon->signal_fd, EPOLLIN, on_signal, daemon,
			&daemon->signal_source);
}

/* The file was replaced: that is a clock step. */
static void
on_clock_file(void *context, uint32_t events)
{
	struct daemon *daemon = context;
	char buffer[4096];
	char when[32];

	(void)events;
	while (read(daemon->clock_fd, buffer, sizeof(buffer)) > 0)
		;
	int64_t before = now_rules_ms();
	if (now_use_test_clock(daemon->clock_path) || now_rules_ms() - before == 0)
		return;
	now_format_utc(now_rules_ms(), when, sizeof(when));
	log_notice(LOG_MAIN, "test clock set to=%s", when);
}

static int
watch_test_clock(struct daemon *daemon)
{
	const char *slash = strrchr(daemon->clock_path, '/');
	AUTO_FREE char *directory = slash ? xstrndup(daemon->clock_path, (size_t)(slash - daemon->clock_path) + 1) : xstrdup(".");

	daemon->clock_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (daemon->clock_fd < 0 || inotify_add_watch(daemon->clock_fd, directory, IN_MOVED_TO | IN_CLOSE_WRITE) < 0)
		return -errno;
	return loop_add(daemon->loop, daemon->clock_fd, EPOLLIN, on_clock_file, daemon, &daemon->clock_source);
}

static void arm_step_watch(struct daemon *daemon);

/* The computer's clock was set: due instants are looked at again in this turn (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET). */
static void
on_clock_step(void *context, uint32_t events)
{
	struct daemon *daemon = context;
	uint64_t ticks;

	(void)events;
	if (read(daemon->step_fd, &ticks, sizeof(ticks)) < 0 && errno == ECANCELED)
		log_notice(LOG_MAIN, "the computer's clock was set");
	arm_step_watch(daemon);
}

static void
arm_step_watch(struct daemon *daemon)
{
	struct itimerspec far = { .it_value = { .tv_sec = now_real_ms() / 1000 + (int64_t)10 * 365 * 86400 } };

	timerfd_settime(daemon->step_fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far, NULL);
}

static int
watch_clock(struct daemon *daemon)
{
	daemon->step_fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (daemon->step_fd < 0)
		return -errno;
	arm_step_watch(daemon);
	int r = loop_add(daemon->loop, daemon->step_fd, EPOLLIN, on_clock_step, daemon, &daemon->step_source);
	return !r && daemon->clock_path ? watch_test_clock(daemon) : r;
}

/* ---- metrics ---- */

static struct gauges_parts
gauges_of(const struct daemon *daemon)
{
	return (struct gauges_parts){ daemon->core, daemon->matrix, daemon->jabber, &daemon->ready };
}

static void
write_metrics(void *context, struct str *out)
{
	struct gauges_parts parts = gauges_of(context);

	gauges_write(&parts, out);
}

static bool
write_health(void *context, struct str *out)
{
	struct gauges_parts parts = gauges_of(context);

	return gauges_health(&parts, out);
}

/* ---- opening ---- */

static int
open_state(struct daemon *daemon, bool *created)
{
	const char *directory = daemon->config->state;

	if (mkdir(directory, 0700) < 0 && errno != EEXIST)
		return cli_fail(CLI_CONFIG, "the state directory %s cannot be made: %s", directory, strerror(errno));
	int r = store_open(&daemon->store, directory, created);
	switch (r) {
	case 0:
		return 0;
	case STORE_E_NEWER:
		return cli_fail(CLI_CONFIG, "the database in %s was made by a newer Sourdine: install that version again", directory);
	case STORE_E_CORRUPT:
		return cli_fail(CLI_CONFIG, "the database in %s is damaged or not ours: restore a backup, or move it away", directory);
	case STORE_E_NETWORK:
		return cli_fail(CLI_CONFIG, "the state directory %s lies on a network file system, which can lose messages: use a local disk", directory);
	case STORE_E_LOCKED:
		return cli_fail(CLI_PROBLEM, "another Sourdine runs with the state directory %s", directory);
	case -ENOSPC:
		return cli_fail(CLI_PROBLEM, "the disk of the state directory %s is full: make room there; nothing is lost", directory);
	default:
		return cli_fail(r == -EIO || r == -ENOMEM || r == -EMFILE || r == -EBUSY ? CLI_PROBLEM : CLI_CONFIG, "the state directory %s cannot be used: %s", directory, strerror(-r));
	}
}

/* The key that the database was made with must be this one. */
static int
check_key(struct daemon *daemon, bool created)
{
	char fingerprint[17], kept[17];

	seal_fingerprint(daemon->seal, fingerprint);
	bool found = store_get_value(daemon->store, "key", kept, sizeof(kept));
	if (found && strcmp(kept, fingerprint) != 0)
		return cli_fail(CLI_CONFIG, "%s is not the key of the database in %s: put the right key back", daemon->config->master_key_file,
				daemon->config->state);
	if (!found && !created)
		return cli_fail(CLI_CONFIG, "the database in %s is damaged: it does not name its key", daemon->config->state);
	if (found)
		return 0;
	store_set_value(daemon->store, "key", fingerprint);
	return store_commit(daemon->store) ? cli_fail(CLI_CONFIG, "the database in %s cannot be written", daemon->config->state) : 0;
}

static int
open_key(struct daemon *daemon, bool created)
{
	const char *path = daemon->config->master_key_file;
	int r = seal_open(&daemon->seal, path, created && !daemon->config->master_key_given);

	switch (r) {
	case 0:
		return check_key(daemon, created);
	case SEAL_E_MISSING:
		return cli_fail(CLI_CONFIG, "the master key %s is missing: a database cannot be read without its key, so put it back", path);
	case SEAL_E_SHORT:
		return cli_fail(CLI_CONFIG, "the master key %s must hold exactly 32 bytes", path);
	case SEAL_E_READABLE:
		return cli_fail(CLI_CONFIG, "the master key %s can be read by everybody: chmod 0600 %s", path, path);
	default:
		return cli_fail(CLI_CONFIG, "the master key %s cannot be read: %s", path, strerror(-r));
	}
}

static int
is_operator(void *context, const char *person)
{
	return config_is_admin(context, person);
}

/* The configuration as context: everybody only reads it. */
static void *
config_context(const struct config *config)
{
	union {
		const struct config *in;
		void *out;
	} context = { .in = config };

	return context.out;
}

/* Without libolm nothing can be said in an encrypted room. */
static bool
can_encrypt(const struct config *config)
{
#ifdef HAVE_OLM
	return config->encryption.allow;
#else
	(void)config;
	return false;
#endif
}

static int
open_core(struct daemon *daemon)
{
	const struct config *config = daemon->config;
	char why[CONFIG_WHY];

	daemon->bot = config_mxid(config, config->appservice.bot);
	daemon->xmpp_bot = xasprintf("bot@%s", config->xmpp.component);
	struct core_settings settings = {
		.language = config->language, .matrix_bot = daemon->bot, .nick = config->xmpp.nick, .xmpp_bot = daemon->xmpp_bot,
		.charters = config->charters, .crashed = supervisor_watch_crashes(config->state),
		.refuse_encrypted = !can_encrypt(config), .refuse_plain = config->encryption.require,
		.trust_all = str_equal(config->encryption.trust, "all"),
	};
	if (settings.crashed)
		log_warning(LOG_MAIN, "the process before this one crashed: what was on its way is looked at with suspicion");
	daemon->core = core_open(daemon->store, daemon->seal, &settings);
	for (size_t i = 0; i < config->group_count; i++) {
		const struct config_group *group = &config->groups[i];
		struct group *made = groups_add(&daemon->core->groups, group->name, group->matrix, group->xmpp, group->create);
		made->agreed = group->encrypted != NULL;
		made->trust = !group->trust ? TRUST_SITE : str_equal(group->trust, "all") ? TRUST_ALL : TRUST_CROSS_SIGNED;
	}
	return core_start(daemon->core, why, sizeof(why)) ? cli_fail(CLI_CONFIG, "%s", why) : 0;
}

static int
open_matrix(struct daemon *daemon)
{
	const struct config *config = daemon->config;
	struct core *core = daemon->core;
	struct matrix_settings settings = {
		.address = config->homeserver.address, .domain = config->homeserver.domain, .listen_host = config->appservice.hostname,
		.listen_port = config->appservice.port, .id = config->registration.id, .as_token = config->registration.as_token,
		.hs_token = config->registration.hs_token, .bot = config->appservice.bot, .ghosts = config->appservice.ghosts,
		.component = config->xmpp.component, .language = config->language, .encrypts = config->encryption.allow,
		.refuse_encrypted = !can_encrypt(config), .refuse_plain = config->encryption.require,
		.trusts_all = str_equal(config->encryption.trust, "all"), .is_operator = is_operator, .context = config_context(config),
	};
	struct matrix_parts parts = {
		.loop = daemon->loop, .store = daemon->store, .seal = daemon->seal, .groups = &core->groups, .inbox = core->inbox,
		.outbox = core->outbox, .people = core->people, .plumb = core->plumb,
	};

	int r = matrix_open(&daemon->matrix, &settings, &parts);
	if (r == MATRIX_E_KEY)
		return cli_fail(CLI_CONFIG, "%s does not open the encryption keys in %s: put the key back that they were made with",
				config->master_key_file, config->state);
	if (r)
		return cli_fail(CLI_CONFIG, "cannot listen on appservice %s port %u: %s", config->appservice.hostname,
				(unsigned)config->appservice.port, strerror(-r));
	core->port[NETWORK_MATRIX] = daemon->matrix;
	return 0;
}

static void
open_jabber(struct daemon *daemon)
{
	const struct config *config = daemon->config;
	struct core *core = daemon->core;
	struct jabber_settings settings = {
		.host = config->xmpp.host, .port = config->xmpp.port, .component = config->xmpp.component, .secret = config->xmpp.secret,
		.nick = config->xmpp.nick, .state = config->state, .matrix_domain = config->homeserver.domain, .is_operator = is_operator,
		.ghosts = config->limits.ghosts, .idle_ms = (int64_t)config->limits.idle_hours * 3600000,
		.context = config_context(config),
	};
	struct jabber_parts parts = {
		.loop = daemon->loop, .store = daemon->store, .seal = daemon->seal, .groups = &core->groups, .inbox = core->inbox,
		.outbox = core->outbox, .people = core->people, .plumb = core->plumb,
	};

	jabber_open(&daemon->jabber, &settings, &parts);
	core->port[NETWORK_XMPP] = daemon->jabber;
}

static int
open_clock(struct daemon *daemon)
{
	if (!daemon->clock_path)
		return 0;
	int r = now_use_test_clock(daemon->clock_path);
	if (r)
		return cli_fail(CLI_CONFIG, "the test clock %s must hold one instant such as 2026-11-23T18:04:00Z: %s", daemon->clock_path,
				strerror(-r));
	log_warning(LOG_MAIN, "the test clock is on: rules, holds and digests do not follow the real time");
	return 0;
}

static int
open_metrics(struct daemon *daemon)
{
	struct metrics_source source = { write_health, write_metrics, daemon };
	const char *host = daemon->config->metrics.hostname;
	uint16_t port = daemon->config->metrics.port;

	if (!port)
		return 0;
	int r = metrics_open(&daemon->metrics, daemon->loop, host, port, &source);
	return r ? cli_fail(CLI_CONFIG, "cannot listen on metrics %s port %u: %s", host, (unsigned)port, strerror(-r)) : 0;
}

static int
start(struct daemon *daemon)
{
	struct answers_parts parts = {
		.config = daemon->config, .loop = daemon->loop, .core = daemon->core, .matrix = daemon->matrix, .jabber = daemon->jabber,
		.ready = &daemon->ready, .started_ms = daemon->started_ms,
	};
	int r = answers_open(&daemon->answers, &parts);

	if (r)
		return cli_fail(CLI_CONFIG, "the control socket in %s cannot be made: %s", daemon->config->state, strerror(-r));
	r = daemon->matrix->ops->start(daemon->matrix);
	if (!r)
		r = daemon->jabber->ops->start(daemon->jabber);
	if (r)
		return cli_fail(CLI_CONFIG, "cannot start: %s", strerror(-r));
	loop_on_turn(daemon->loop, turn, daemon);
	loop_timer_set(&daemon->timer, 0);
	if (supervisor_watchdog_ms())
		say_alive(daemon);
	return 0;
}

static int
open_all(struct daemon *daemon)
{
	bool created = false;
	int status = open_clock(daemon);

	if (!status && (loop_open(&daemon->loop) || watch_signals(daemon) || watch_clock(daemon)))
		status = cli_fail(CLI_PROBLEM, "the event loop cannot be made: %s", strerror(errno));
	if (!status) {
		loop_timer_init(&daemon->timer, daemon->loop, timer_fired, daemon);
		loop_timer_init(&daemon->alive, daemon->loop, say_alive, daemon);
		status = open_state(daemon, &created);
	}
	if (!status)
		status = open_key(daemon, created);
	if (!status)
		status = open_core(daemon);
	if (!status)
		status = open_matrix(daemon);
	if (!status) {
		open_jabber(daemon);
		status = open_metrics(daemon);
	}
	return status ? status : start(daemon);
}

static void
close_watch(struct loop_source *source, int fd)
{
	loop_remove(source);
	if (fd >= 0)
		close(fd);
}

static void
close_all(struct daemon *daemon)
{
	if (daemon->matrix)
		daemon->matrix->ops->stop(daemon->matrix);
	if (daemon->jabber)
		daemon->jabber->ops->stop(daemon->jabber);
	if (daemon->store && store_commit(daemon->store))
		log_warning(LOG_STORE, "last commit failed");
	metrics_close(daemon->metrics);
	answers_close(daemon->answers);
	jabber_close(daemon->jabber);
	matrix_close(daemon->matrix);
	core_close(daemon->core);
	store_close(daemon->store);
	seal_close(daemon->seal);
	close_watch(daemon->signal_source, daemon->signal_fd);
	close_watch(daemon->clock_source, daemon->clock_fd);
	close_watch(daemon->step_source, daemon->step_fd);
	if (daemon->loop) {
		loop_timer_stop(&daemon->timer);
		loop_timer_stop(&daemon->alive);
	}
	loop_close(daemon->loop);
	free(daemon->bot);
	free(daemon->xmpp_bot);
}

int
cli_run(struct config *config, const char *test_clock)
{
	struct daemon daemon = {
		.config = config, .clock_path = test_clock, .signal_fd = -1, .clock_fd = -1, .step_fd = -1, .started_ms = now_monotonic_ms(),
	};

	umask(077);
	daemon.status = open_all(&daemon);
	if (!daemon.status && loop_run(daemon.loop) < 0)
		daemon.status = CLI_PROBLEM;
	supervisor_notify("STOPPING=1");
	close_all(&daemon);
	return daemon.status;
}
