/* SPDX-License-Identifier: Apache-2.0 */
/* The mark tells a crash from a kill: only a crash can be the fault of a message that was on its way. */
#include "cli/supervisor.h"

#include "base/config.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void
supervisor_notify(const char *state)
{
	const char *path = config_environment(CONFIG_ENV_NOTIFY);
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (!path || strlen(path) >= sizeof(address.sun_path))
		return;
	memcpy(address.sun_path, path, strlen(path));
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	/* A supervisor that hears nothing must not be what stops us. */
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, size) < 0)
		log_warning(LOG_MAIN, "notify failed error=\"%s\"", strerror(errno));
	close(fd);
}

int64_t
supervisor_watchdog_ms(void)
{
	const char *text = config_environment(CONFIG_ENV_WATCHDOG);
	long long microseconds = text ? strtoll(text, NULL, 10) : 0;

	return microseconds > 0 ? microseconds / 2000 : 0;
}

#ifdef __SANITIZE_ADDRESS__
#define OWN_SIGNALS false
#else
#define OWN_SIGNALS true
#endif

static char mark[4096]; /* the path, ready for a signal handler */

/* Only what is async-signal-safe; SA_RESETHAND has put the default action back. */
static void
on_fault(int signal_number)
{
	int fd = open(mark, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd >= 0)
		close(fd);
	raise(signal_number);
}

bool
supervisor_watch_crashes(const char *directory)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
	struct sigaction action = { .sa_handler = on_fault, .sa_flags = (int)SA_RESETHAND };

	if (snprintf(mark, sizeof(mark), "%s/crashed", directory) >= (int)sizeof(mark))
		return false;
	bool crashed = unlink(mark) == 0;
	sigemptyset(&action.sa_mask);
	for (size_t i = 0; OWN_SIGNALS && i < sizeof(faults) / sizeof(faults[0]); i++)
		sigaction(faults[i], &action, NULL);
	return crashed;
}
