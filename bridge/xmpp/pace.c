/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each MUC service has two queues: rooms to be entered and ghosts that join. First go the ghosts that a lane waits for, then the
 * rooms, then the ghosts of later rows, for whom some of the ways in are kept free. So many are under way at once, and whoever
 * ends makes room for the next. A service under the same domain as our component is most likely of the same server: to any other
 * one a step is taken only every fifth of a second.
 */
#include "xmpp/pace.h"

#include "base/now.h"
#include "base/str.h"
#include "xmpp/jid.h"
#include "xmpp/member.h"
#include "xmpp/muc.h"

#include <stdlib.h>
#include <string.h>

#define JOINS_AT_ONCE 16
#define FORESEEN_AT_ONCE 12 /* of them when no lane waits for the next */
#define FORESEEN_QUEUED 8
#define ROOMS_AT_ONCE 5
#define APART_MS 200

struct service {
	struct list link;  /* jabber::services */
	char *domain;      /* owns */
	bool near;
	unsigned joining, entering;
	struct list joins; /* member::queue */
	struct list rooms; /* room::queue */
	int64_t next_ms;   /* monotonic: no step before */
	struct loop_timer timer;
};

/* "rooms.example.org" and "sourdine.example.org". A parent without a dot is a whole top-level domain, but for a test's. */
static bool
is_near(const char *service, const char *component)
{
	const char *parent = strchr(component, '.');
	size_t n = strlen(service), parent_n = parent ? strlen(parent) : 0;

	if (!parent || (!strchr(parent + 1, '.') && strcmp(parent, ".localhost") != 0))
		return false;
	return strcmp(service, parent + 1) == 0 || (n > parent_n && strcmp(service + n - parent_n, parent) == 0);
}

/* Whether a step may be taken now; when it is only too early the timer is set. */
static bool
may_step(struct service *service)
{
	int64_t now_ms = now_monotonic_ms();

	if (service->near)
		return true;
	if (now_ms < service->next_ms) {
		loop_timer_set(&service->timer, service->next_ms - now_ms);
		return false;
	}
	service->next_ms = now_ms + APART_MS;
	return true;
}

/* The first that its lane waits for; NULL when there is none. */
static struct member *
first_awaited(const struct service *service)
{
	struct member *member;

	LIST_FOR_EACH(member, &service->joins, struct member, queue)
		if (member->room->awaited == member)
			return member;
	return NULL;
}

static void
begin_join(struct service *service, struct member *member)
{
	list_remove(&member->queue);
	member->joining = true;
	service->joining++;
	member_begin_join(member);
}

static void
begin_entry(struct service *service)
{
	struct room *room = LIST_ENTRY(service->rooms.next, struct room, queue);

	list_remove(&room->queue);
	room->entering = true;
	service->entering++;
	muc_begin(room);
}

static void
work(void *context)
{
	struct service *service = context;

	for (;;) {
		struct member *awaited = service->joining < JOINS_AT_ONCE ? first_awaited(service) : NULL;
		bool enter = !list_empty(&service->rooms) && service->entering < ROOMS_AT_ONCE;
		bool join = !list_empty(&service->joins) && service->joining < FORESEEN_AT_ONCE;
		if ((!awaited && !enter && !join) || !may_step(service))
			return;
		if (awaited)
			begin_join(service, awaited);
		else if (enter)
			begin_entry(service);
		else
			begin_join(service, LIST_ENTRY(service->joins.next, struct member, queue));
	}
}

void
pace_open(struct room *room)
{
	struct jabber *jabber = room->jabber;
	const char *at = strchr(room->jid, '@'), *domain = at ? at + 1 : room->jid;
	struct service *service;

	LIST_FOR_EACH(service, &jabber->services, struct service, link)
		if (strcmp(service->domain, domain) == 0) {
			room->service = service;
			return;
		}
	service = xcalloc(1, sizeof(*service));
	service->domain = xstrdup(domain);
	service->near = is_near(domain, jabber->settings.component);
	list_init(&service->joins);
	list_init(&service->rooms);
	loop_timer_init(&service->timer, jabber->parts.loop, work, service);
	list_append(&jabber->services, &service->link);
	room->service = service;
}

void
pace_close(struct jabber *jabber)
{
	struct service *service;

	LIST_FOR_EACH(service, &jabber->services, struct service, link) {
		loop_timer_stop(&service->timer);
		list_remove(&service->link);
		free(service->domain);
		free(service);
	}
}

void
pace_enter(struct room *room)
{
	if (room->entering) {
		muc_begin(room);
		return;
	}
	list_remove(&room->queue);
	list_append(&room->service->rooms, &room->queue);
	work(room->service);
}

void
pace_end_entry(struct room *room)
{
	list_remove(&room->queue);
	if (!room->entering)
		return;
	room->entering = false;
	room->service->entering--;
	/* In the next turn: whoever calls is in the middle of something. */
	loop_timer_set(&room->service->timer, 0);
}

void
pace_join(struct member *member)
{
	if (member->joining) {
		member_begin_join(member);
		return;
	}
	list_remove(&member->queue);
	list_append(&member->room->service->joins, &member->queue);
	work(member->room->service);
}

void
pace_hurry(struct member *member)
{
	if (!list_empty(&member->queue))
		work(member->room->service);
}

bool
pace_may_foresee(const struct room *room)
{
	const struct list *joins = &room->service->joins, *link = joins->next;
	unsigned queued = 0;

	for (; link != joins && queued < FORESEEN_QUEUED; link = link->next)
		queued++;
	return queued < FORESEEN_QUEUED;
}

void
pace_end_join(struct member *member)
{
	list_remove(&member->queue);
	if (!member->joining)
		return;
	member->joining = false;
	member->room->service->joining--;
	loop_timer_set(&member->room->service->timer, 0);
}
