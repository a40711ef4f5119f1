/* SPDX-License-Identifier: Apache-2.0 */
/* The Matrix port when things go wrong: a sick homeserver, a full disk, rooms that put us out, rows whose fate is unknown. */
#include "matrix_scene.h"

#include "base/metric.h"
#include "core/inbox_rows.h"
#include "core/outbox_rows.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FORBIDDEN "{\"errcode\":\"M_FORBIDDEN\",\"error\":\"no\"}"
#define BANNED "{\"errcode\":\"M_BAD_STATE\",\"error\":\"Cannot join user who was banned\"}"
#define INSIDE "{\"joined_rooms\":[\"" ROOM "\"]}"

/* Bob's ghost has spoken: from here on a message is one request. */
static void
warm(struct scene *scene)
{
	JOINED(scene);
	scene_hear(scene, "xbob@x\nBob\nfirst");
	WAIT(scene, scene_sends(scene) == 1 && scene_is_quiet(scene));
}

static const struct fake_asked *
last_send(const struct scene *scene)
{
	return fake_homeserver_find(&scene->fake, 0, "PUT", "/send/m.room.message/", scene_sends(scene) - 1);
}

/* What the bot told somebody on XMPP, newest last; NULL: nothing that contains this. */
static const char *
told(const struct scene *scene, const char *part)
{
	for (int i = 0; i < scene->xmpp.count; i++)
		if (strstr(scene->xmpp.rows[i].payload, part))
			return scene->xmpp.rows[i].payload;
	return NULL;
}

/* ---- 429 ---- */

static void
test_waits_as_told(void **state)
{
	struct scene *scene = *state;
	static const struct {
		const char *body, *headers;
		int64_t least_ms, most_ms;
	} cases[] = {
		{ "{\"errcode\":\"M_LIMIT_EXCEEDED\",\"retry_after_ms\":1800}", "", 1900, 1980 },
		{ "{\"errcode\":\"M_LIMIT_EXCEEDED\",\"retry_after_ms\":1800}", "Retry-After: 1\r\n", 1900, 1980 },
		{ "{\"errcode\":\"M_LIMIT_EXCEEDED\",\"retry_after_ms\":100}", "Retry-After: 3\r\n", 3200, 3300 },
		{ "{\"errcode\":\"M_LIMIT_EXCEEDED\"}", "Retry-After: 2\r\n", 2100, 2200 },
		{ "<html>slow down</html>", "Retry-After: 2\r\n", 2100, 2200 },
		{ "{\"errcode\":\"M_LIMIT_EXCEEDED\"}", "Retry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n", 450, 550 },
		{ "{\"errcode\":\"M_LIMIT_EXCEEDED\"}", "Retry-After: Fri, 31 Dec 2100 23:59:59 GMT\r\n", 590000, 600000 },
		{ "{\"errcode\":\"M_LIMIT_EXCEEDED\"}", "", 450, 550 },
		{ "{\"errcode\":\"M_LIMIT_EXCEEDED\",\"retry_after_ms\":0}", "", 450, 550 },
		{ "{\"errcode\":\"M_LIMIT_EXCEEDED\",\"retry_after_ms\":-5}", "", 450, 550 },
		{ "{\"errcode\":\"M_LIMIT_EXCEEDED\",\"retry_after_ms\":\"soon\"}", "", 450, 550 },
		{ "{\"errcode\":\"M_LIMIT_EXCEEDED\",\"retry_after_ms\":1000000000000}", "", 590000, 600000 },
		{ "{\"errcode\":\"M_LIMIT_EXCEEDED\",\"retry_after_ms\":1e300}", "Retry-After: 99999999999999999999\r\n", 590000, 600000 },
	};

	warm(scene);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int from = scene->fake.count;
		int64_t limited = metric_get(METRIC_MATRIX_RATELIMITED);
		struct fake_rule *rule = fake_homeserver_say(&scene->fake, "PUT", "/send/", 429, cases[i].body, 1);
		rule->headers = cases[i].headers;
		scene_hear(scene, "xbob@x\nBob\nafter a while");
		WAIT(scene, fake_homeserver_count(&scene->fake, from, "PUT", "/send/") == 1 && outbox_blocked_ms(scene->core->outbox) > 0);
		int64_t left_ms = outbox_blocked_ms(scene->core->outbox);
		if (left_ms < cases[i].least_ms || left_ms > cases[i].most_ms)
			fail_msg("case %zu: waits %" PRId64 " ms", i, left_ms);
		assert_int_equal(metric_get(METRIC_MATRIX_RATELIMITED), limited + 1);
		/* Another process does not know of the wait; the order holds and nothing comes twice under another name. */
		scene_close(scene);
		scene->fake.joined = INSIDE;
		scene_open(scene);
		WAIT(scene, fake_homeserver_count(&scene->fake, from, "PUT", "/send/") == 2 && scene_is_quiet(scene));
		assert_string_equal(fake_homeserver_find(&scene->fake, from, "PUT", "/send/", 0)->path,
			fake_homeserver_find(&scene->fake, from, "PUT", "/send/", 1)->path);
	}
}

/* Rows that wait behind a limited one in the port keep their places. */
static void
test_order_through_limits(void **state)
{
	struct scene *scene = *state;

	warm(scene);
	fake_homeserver_say(&scene->fake, "PUT", "/send/", 429, "{\"errcode\":\"M_LIMIT_EXCEEDED\"}", 1);
	fake_homeserver_say(&scene->fake, "PUT", "/send/", 502, "<html>", 1);
	for (int i = 0; i < 40; i++) {
		AUTO_FREE char *raw = xasprintf("xbob@x\nBob\nline %d.", i);
		scene_hear(scene, raw);
	}
	WAIT(scene, scene_is_quiet(scene));
	for (int i = 0; i < 40; i++) {
		AUTO_FREE char *line = xasprintf("\"line %d.\"", i);
		const struct fake_asked *sent = fake_homeserver_find(&scene->fake, 0, "PUT", "/send/", i + 1 + (i ? 2 : 0));
		assert_non_null(strstr(sent->body, line));
	}
	assert_int_equal(scene_sends(scene), 43);
}

/* ---- refused ---- */

static void
test_banned_ghost(void **state)
{
	struct scene *scene = *state;

	warm(scene);
	fake_homeserver_say(&scene->fake, "PUT", "/send/", 403, FORBIDDEN, 1);
	fake_homeserver_say(&scene->fake, "POST", "/join/", 403, BANNED, -1);
	fake_homeserver_say(&scene->fake, "POST", "/invite", 403, FORBIDDEN, -1);
	int from = scene->fake.count;
	scene_hear(scene, "xbob@x\nBob\nsecond");
	WAIT(scene, told(scene, "has banned you") && scene_is_quiet(scene));
	/* Asked once, and not for each further message. */
	int asked = fake_homeserver_count(&scene->fake, from, "POST", "/join/");
	for (int i = 0; i < 5; i++)
		scene_hear(scene, "xbob@x\nBob\nmore");
	WAIT(scene, scene_is_quiet(scene));
	assert_int_equal(asked, 2);
	assert_int_equal(fake_homeserver_count(&scene->fake, from, "POST", "/join/"), asked);
}

static void
test_not_a_member(void **state)
{
	struct scene *scene = *state;

	warm(scene);
	fake_homeserver_say(&scene->fake, "PUT", "/send/", 403, FORBIDDEN, 1);
	fake_homeserver_say(&scene->fake, "POST", "/join/", 403, FORBIDDEN, -1);
	fake_homeserver_say(&scene->fake, "POST", "/invite", 403, FORBIDDEN, -1);
	scene_hear(scene, "xbob@x\nBob\nsecond");
	WAIT(scene, told(scene, "admits members only") && scene_is_quiet(scene));
}

static void
test_no_power(void **state)
{
	struct scene *scene = *state;

	warm(scene);
	fake_homeserver_say(&scene->fake, "PUT", "/send/", 403, FORBIDDEN, 2);
	scene_hear(scene, "xbob@x\nBob\nsecond");
	WAIT(scene, told(scene, "does not let us speak") && scene_is_quiet(scene));
}

/* Only the homeserver's own word is final; what a proxy says in its place is not. */
static void
test_a_proxy_is_not_the_homeserver(void **state)
{
	struct scene *scene = *state;
	static const int statuses[] = { 307, 401, 403, 404 };

	warm(scene);
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		int sent = scene_sends(scene);
		struct fake_rule *rule = fake_homeserver_say(&scene->fake, "PUT", "/send/", statuses[i], "<html>not me</html>", 1);
		rule->headers = "Location: http://127.0.0.1:1/\r\n";
		scene_hear(scene, "xbob@x\nBob\nagain");
		WAIT(scene, scene_sends(scene) == sent + 2 && scene_is_quiet(scene));
		assert_string_equal(fake_homeserver_find(&scene->fake, 0, "PUT", "/send/", sent)->path,
			fake_homeserver_find(&scene->fake, 0, "PUT", "/send/", sent + 1)->path);
	}
	assert_null(matrix_failure(scene->port));
	assert_null(told(scene, "did not cross"));
}

/* A row on which the homeserver fails again and again, while it does other things well, costs itself. */
static void
test_a_row_that_kills_its_request(void **state)
{
	struct scene *scene = *state;

	warm(scene);
	scene_close(scene);
	scene->settings.row_patience_ms = 500;
	scene->fake.joined = INSIDE;
	scene_open(scene);
	JOINED(scene);
	fake_homeserver_say(&scene->fake, "PUT", "/send/", 500, "{\"errcode\":\"M_UNKNOWN\",\"error\":\"bug\"}", 2);
	int from = scene->fake.count;
	scene_hear(scene, "xbob@x\nBob\nbad");
	scene_hear(scene, "xbob@x\nBob\ngood");
	WAIT(scene, told(scene, "the other side refused it") && scene_is_quiet(scene));
	assert_int_equal(fake_homeserver_count(&scene->fake, from, "PUT", "/send/"), 3);
	assert_int_equal(fake_homeserver_count(&scene->fake, from, "PUT", "/devices/"), 1);
	assert_non_null(strstr(last_send(scene)->body, "good"));
}

/* One that fails on everything is ill, and is waited for. */
static void
test_a_sick_homeserver_is_waited_for(void **state)
{
	struct scene *scene = *state;

	warm(scene);
	scene_close(scene);
	scene->settings.row_patience_ms = 1;
	scene->fake.joined = INSIDE;
	scene_open(scene);
	JOINED(scene);
	fake_homeserver_say(&scene->fake, "PUT", "/send/", 500, "{\"errcode\":\"M_UNKNOWN\"}", 3);
	fake_homeserver_say(&scene->fake, "PUT", "/devices/", 500, "{\"errcode\":\"M_UNKNOWN\"}", 2);
	scene_hear(scene, "xbob@x\nBob\nlater");
	WAIT_FOR(scene, 12000, scene_is_quiet(scene));
	assert_null(told(scene, "did not cross"));
	assert_int_equal(scene_sends(scene), 5);
	assert_non_null(strstr(last_send(scene)->body, "later"));
}

/* ---- doubts ---- */

/* One row is taken, its answer lost, its process killed; the next one does not trust the homeserver's memory. */
static char *
leave_a_doubt(struct scene *scene)
{
	warm(scene);
	fake_homeserver_say(&scene->fake, "PUT", "/send/", 200, NULL, 1);
	scene_hear(scene, "xbob@x\nBob\nsecond");
	WAIT(scene, scene_sends(scene) == 2);
	char *shown = xasprintf("{\"chunk\":[{\"type\":\"m.room.message\",\"event_id\":\"$sent\",\"sender\":\"@_xmpp_bob=40x:hs\","
		"\"origin_server_ts\":%" PRId64 ",\"content\":%s}]}", now_real_ms(), last_send(scene)->body);
	scene_close(scene);
	scene->fake.joined = INSIDE;
	scene->settings.memory_ms = 1;
	return shown;
}

static void
test_old_doubt_found(void **state)
{
	struct scene *scene = *state;
	AUTO_FREE char *shown = leave_a_doubt(scene);

	scene->fake.archive_of_one = shown;
	int from = scene->fake.count;
	scene_open(scene);
	WAIT(scene, scene_is_quiet(scene));
	assert_int_equal(scene_sends(scene), 2);
	const struct fake_asked *asked = fake_homeserver_find(&scene->fake, from, "GET", "limit=100", 0);
	assert_non_null(strstr(asked->path, "filter={\"senders\":[\"@_xmpp_bob=40x:hs\"]}"));
	assert_non_null(strstr(asked->path, "user_id=@_xmpp_bob=40x:hs"));
	scene_hear(scene, "xbob@x\nBob\nthird");
	WAIT(scene, scene_sends(scene) == 3 && scene_is_quiet(scene));
}

static void
test_old_doubt_not_found(void **state)
{
	struct scene *scene = *state;
	int64_t possible = metric_get(METRIC_DUPLICATES_POSSIBLE);

	free(leave_a_doubt(scene));
	scene_open(scene);
	WAIT(scene, scene_sends(scene) == 3 && scene_is_quiet(scene));
	assert_int_equal(metric_get(METRIC_DUPLICATES_POSSIBLE), possible);
	assert_string_equal(fake_homeserver_find(&scene->fake, 0, "PUT", "/send/", 1)->path, last_send(scene)->path);
}

/* When it cannot be read a repeat is possible, and counted. */
static void
test_old_doubt_unreadable(void **state)
{
	struct scene *scene = *state;
	int64_t possible = metric_get(METRIC_DUPLICATES_POSSIBLE);

	free(leave_a_doubt(scene));
	fake_homeserver_say(&scene->fake, "GET", "limit=100", 403, FORBIDDEN, -1);
	scene_open(scene);
	WAIT(scene, scene_sends(scene) == 3 && scene_is_quiet(scene));
	assert_int_equal(metric_get(METRIC_DUPLICATES_POSSIBLE), possible + 1);
}

/* The homeserver forgot the device, and our names with it. */
static void
test_doubt_after_a_lost_device(void **state)
{
	struct scene *scene = *state;
	AUTO_FREE char *shown = leave_a_doubt(scene);

	scene->settings.memory_ms = 0;
	scene->fake.archive_of_one = shown;
	fake_homeserver_say(&scene->fake, "PUT", "/send/", 400, "{\"errcode\":\"M_UNKNOWN_DEVICE\"}", 1);
	scene_open(scene);
	WAIT(scene, scene_is_quiet(scene));
	assert_int_equal(scene_sends(scene), 3); /* the third was refused */
	assert_int_equal(fake_homeserver_count(&scene->fake, 0, "GET", "limit=100"), 1);
}

/* ---- starting over, and nothing can be kept ---- */

static void
test_reset(void **state)
{
	struct scene *scene = *state;

	warm(scene);
	scene->fake.joined = INSIDE;
	fake_homeserver_say(&scene->fake, "PUT", "/send/", 200, NULL, 1);
	scene_hear(scene, "xbob@x\nBob\nunder way");
	WAIT(scene, scene_sends(scene) == 2);
	/* As the core does when a turn was rolled back. */
	outbox_forget(scene->core->outbox);
	inbox_close_all(scene->core->inbox);
	inbox_set_room(scene->core->inbox, false);
	scene->port->ops->reset(scene->port);
	assert_false(matrix_connected(scene->port));
	scene_spin(scene, 700);
	assert_false(matrix_connected(scene->port));
	assert_true(inbox_gate_closed(scene->core->inbox, ROOM));
	outbox_land_all(scene->core->outbox);
	inbox_set_room(scene->core->inbox, true);
	scene->port->ops->reset(scene->port);
	JOINED(scene);
	WAIT(scene, scene_is_quiet(scene));
	assert_int_equal(scene_sends(scene), 3);
	assert_string_equal(fake_homeserver_find(&scene->fake, 0, "PUT", "/send/", 1)->path, last_send(scene)->path);
	assert_int_equal(scene_say(scene, "$after", "@alice:hs", ROOM, "after"), 200);
	WAIT(scene, told(scene, "Alice|after"));
}

/* The status line comes although none of the announced body was sent. */
static unsigned
push_head(struct scene *scene)
{
	static const char head[] = "PUT /_matrix/app/v1/transactions/9 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer hs-token\r\n"
		"Content-Length: 1000000\r\n\r\n";
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(scene->settings.listen_port) };
	char answer[1024] = "";
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	ssize_t n = -1;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(send(fd, head, sizeof(head) - 1, MSG_NOSIGNAL), (ssize_t)sizeof(head) - 1);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	WAIT(scene, n > 0 || (n = recv(fd, answer, sizeof(answer) - 1, 0)) > 0);
	close(fd);
	assert_true(strtoul(answer + 9, NULL, 10) != 503 || strcasestr(answer, "\r\nretry-after: "));
	return (unsigned)strtoul(answer + 9, NULL, 10);
}

static void
test_no_room(void **state)
{
	struct scene *scene = *state;
	int64_t busy = metric_get(METRIC_TRANSACTION_BUSY);

	JOINED(scene);
	int pings = fake_homeserver_count(&scene->fake, 0, "POST", "/ping");
	inbox_set_room(scene->core->inbox, false);
	assert_int_equal(push_head(scene), 503);
	assert_int_equal(scene_say(scene, "$1", "@alice:hs", ROOM, "one"), 503);
	assert_int_equal(metric_get(METRIC_TRANSACTION_BUSY), busy + 2);
	scene_spin(scene, 1500);
	assert_int_equal(fake_homeserver_count(&scene->fake, 0, "POST", "/ping"), pings);
	inbox_set_room(scene->core->inbox, true);
	WAIT(scene, fake_homeserver_count(&scene->fake, 0, "POST", "/ping") == pings + 1);
	assert_int_equal(scene_say(scene, "$1", "@alice:hs", ROOM, "one"), 200);
	WAIT(scene, told(scene, "Alice|one"));
}

/* ---- rooms ---- */

static void
test_bot_kept_out(void **state)
{
	struct scene *scene = *state;
	char trouble[400];

	fake_homeserver_say(&scene->fake, "POST", "/join/", 403, FORBIDDEN, 1);
	WAIT(scene, fake_homeserver_count(&scene->fake, 0, "POST", "/join/") == 1);
	scene_hear(scene, "xbob@x\nBob\nnobody home");
	WAIT(scene, told(scene, "admits members only") && scene_is_quiet(scene));
	matrix_trouble(scene->port, "m", trouble, sizeof(trouble));
	assert_non_null(strstr(trouble, "invite it"));
	int asked = scene->fake.count;
	scene_spin(scene, 1000);
	assert_int_equal(scene->fake.count, asked);
	assert_int_equal(scene_push(scene, "{\"type\":\"m.room.member\",\"event_id\":\"$i\",\"sender\":\"@alice:hs\",\"room_id\":\"" ROOM "\","
		"\"state_key\":\"@sourdine:hs\",\"content\":{\"membership\":\"invite\"}}"), 200);
	JOINED(scene);
	matrix_trouble(scene->port, "m", trouble, sizeof(trouble));
	assert_string_equal(trouble, "");
	scene_hear(scene, "xbob@x\nBob\nnow");
	WAIT(scene, scene_sends(scene) == 1 && scene_is_quiet(scene));
}

/* A room of elsewhere whose servers are away: it is tried ever more rarely, and the admin can see why. */
static void
test_room_that_cannot_be_reached(void **state)
{
	struct scene *scene = *state;
	char trouble[400];

	fake_homeserver_say(&scene->fake, "POST", "/join/", 502, "{\"errcode\":\"M_UNKNOWN\",\"error\":\"Failed to make_join via any server\"}", 3);
	WAIT_FOR(scene, 10000, fake_homeserver_count(&scene->fake, 0, "POST", "/join/") == 3);
	scene_spin(scene, 50);
	matrix_trouble(scene->port, "m", trouble, sizeof(trouble));
	assert_non_null(strstr(trouble, "Failed to make_join"));
	scene_spin(scene, 4500);
	assert_int_equal(fake_homeserver_count(&scene->fake, 0, "POST", "/join/"), 3);
	WAIT_FOR(scene, 10000, matrix_joined(scene->port) == 1);
	matrix_trouble(scene->port, "m", trouble, sizeof(trouble));
	assert_string_equal(trouble, "");
}

static void
test_bot_banned(void **state)
{
	struct scene *scene = *state;
	char trouble[400];

	fake_homeserver_say(&scene->fake, "POST", "/join/", 403, BANNED, -1);
	WAIT(scene, fake_homeserver_count(&scene->fake, 0, "POST", "/join/") == 1);
	scene_hear(scene, "xbob@x\nBob\nnobody home");
	WAIT(scene, told(scene, "banned") && scene_is_quiet(scene));
	matrix_trouble(scene->port, "m", trouble, sizeof(trouble));
	assert_non_null(strstr(trouble, "is banned"));
}

static void
test_kicked(void **state)
{
	struct scene *scene = *state;
	char trouble[400];

	warm(scene);
	fake_homeserver_say(&scene->fake, "POST", "/join/", 403, FORBIDDEN, -1);
	int from = scene->fake.count;
	AUTO_FREE char *kick = xasprintf("{\"type\":\"m.room.member\",\"event_id\":\"$k\",\"sender\":\"@mod:hs\",\"room_id\":\"" ROOM "\","
		"\"origin_server_ts\":%" PRId64 ",\"state_key\":\"@sourdine:hs\",\"content\":{\"membership\":\"leave\"}}", now_real_ms() + 60000);
	AUTO_FREE char *old = xasprintf("{\"type\":\"m.room.member\",\"event_id\":\"$o\",\"sender\":\"@mod:hs\",\"room_id\":\"" ROOM "\","
		"\"origin_server_ts\":%" PRId64 ",\"state_key\":\"@sourdine:hs\",\"content\":{\"membership\":\"leave\"}}", now_real_ms());
	/* One that may be older than the bot's coming is asked about first. */
	assert_int_equal(scene_push(scene, old), 200);
	WAIT(scene, fake_homeserver_count(&scene->fake, from, "GET", "/joined_members") == 1);
	JOINED(scene);
	from = scene->fake.count;
	assert_int_equal(scene_push(scene, kick), 200);
	WAIT(scene, matrix_joined(scene->port) == 0);
	matrix_trouble(scene->port, "m", trouble, sizeof(trouble));
	if (!strstr(trouble, "put out"))
		fail_msg("%s", trouble);
	/* It does not run back in at once, and what is said meanwhile waits for a minute at most. */
	scene_hear(scene, "xbob@x\nBob\nmeanwhile");
	scene_spin(scene, 500);
	assert_int_equal(fake_homeserver_count(&scene->fake, from, "POST", "/join/"), 0);
}

/* The alias of a known room is gone: the room is kept. That of an unknown one: nothing can cross, and its authors are told. */
static void
test_alias_gone(void **state)
{
	struct scene *scene = *state;
	char trouble[400];

	warm(scene);
	scene_close(scene);
	scene->fake.joined = INSIDE;
	fake_homeserver_say(&scene->fake, "GET", "/directory/room/", 404, "{\"errcode\":\"M_NOT_FOUND\"}", -1);
	scene_open(scene);
	JOINED(scene);
	scene_hear(scene, "xbob@x\nBob\nstill");
	WAIT(scene, scene_sends(scene) == 2 && scene_is_quiet(scene));
	scene_close(scene);
	scene->fake.joined = "{\"joined_rooms\":[]}";
	scene_open(scene);
	scene_hear(scene, "xbob@x\nBob\nno more");
	WAIT(scene, told(scene, "no longer exists") && scene_is_quiet(scene));
	matrix_trouble(scene->port, "m", trouble, sizeof(trouble));
	assert_non_null(strstr(trouble, "leads to no room"));
}

/* One that never led anywhere. */
static void
test_alias_of_nothing(void **state)
{
	struct scene *scene = *state;

	fake_homeserver_say(&scene->fake, "GET", "/directory/room/", 404, "{\"errcode\":\"M_NOT_FOUND\"}", -1);
	WAIT(scene, fake_homeserver_count(&scene->fake, 0, "GET", "/directory/room/") == 1);
	scene_hear(scene, "xbob@x\nBob\nanybody?");
	WAIT(scene, told(scene, "no longer exists") && scene_is_quiet(scene));
	int asked = scene->fake.count;
	scene_spin(scene, 500);
	assert_in_range(scene->fake.count - asked, 0, 1); /* the long poll */
}

/* The room is closed, and its alias leads to another one. */
static void
close_in_favour(struct scene *scene)
{
	fake_homeserver_say(&scene->fake, "GET", "/directory/room/", 200, "{\"room_id\":\"!new:hs\"}", -1);
	fake_homeserver_say(&scene->fake, "POST", "/join/#m:hs", 200, "{\"room_id\":\"!new:hs\"}", -1);
	assert_int_equal(scene_push(scene, "{\"type\":\"m.room.tombstone\",\"event_id\":\"$t\",\"sender\":\"@mod:hs\",\"room_id\":\"" ROOM "\","
		"\"state_key\":\"\",\"content\":{\"body\":\"moved\",\"replacement_room\":\"!new:hs\"}}"), 200);
}

static void
test_tombstone(void **state)
{
	struct scene *scene = *state;

	warm(scene);
	/* A message that cannot go yet is for the old room. */
	fake_homeserver_say(&scene->fake, "PUT", "/send/", 429, "{\"errcode\":\"M_LIMIT_EXCEEDED\",\"retry_after_ms\":3500}", 1);
	scene_hear(scene, "xbob@x\nBob\nfor the old one");
	WAIT(scene, scene_sends(scene) == 2);
	fake_homeserver_say(&scene->fake, "GET", "/rooms/!new:hs/state/m.room.create", 200,
		"{\"sender\":\"@mod:hs\",\"content\":{\"room_version\":\"12\",\"predecessor\":{\"room_id\":\"" ROOM "\"}}}", -1);
	close_in_favour(scene);
	WAIT(scene, matrix_joined(scene->port) == 0);
	JOINED(scene);
	assert_non_null(fake_homeserver_find(&scene->fake, 0, "GET", "/rooms/!new:hs/messages", 0));
	WAIT(scene, told(scene, "no longer exists") && scene_is_quiet(scene));
	scene_hear(scene, "xbob@x\nBob\nfor the new one");
	WAIT(scene, fake_homeserver_count(&scene->fake, 0, "PUT", "/rooms/!new:hs/send/") == 1 && scene_is_quiet(scene));
	assert_int_equal(scene_say(scene, "$n", "@alice:hs", "!new:hs", "here"), 200);
	WAIT(scene, told(scene, "Alice|here"));
}

/* The bot is kept out, and the alias is moved before it is let in: it is in the new room then, and knows it. */
static void
test_alias_moves_meanwhile(void **state)
{
	struct scene *scene = *state;

	fake_homeserver_say(&scene->fake, "POST", "/join/", 403, FORBIDDEN, 1);
	fake_homeserver_say(&scene->fake, "GET", "/rooms/!new:hs/state/m.room.create", 200,
		"{\"sender\":\"@mod:hs\",\"content\":{\"room_version\":\"12\",\"predecessor\":{\"room_id\":\"" ROOM "\"}}}", -1);
	fake_homeserver_say(&scene->fake, "GET", "/rooms/" ROOM "/state/", 403, FORBIDDEN, -1);
	WAIT(scene, fake_homeserver_count(&scene->fake, 0, "POST", "/join/") == 1);
	scene_spin(scene, 50);
	fake_homeserver_say(&scene->fake, "GET", "/directory/room/", 200, "{\"room_id\":\"!new:hs\"}", -1);
	fake_homeserver_say(&scene->fake, "POST", "/join/#m:hs", 200, "{\"room_id\":\"!new:hs\"}", -1);
	assert_int_equal(scene_push(scene, "{\"type\":\"m.room.member\",\"event_id\":\"$i\",\"sender\":\"@alice:hs\",\"room_id\":\"" ROOM "\","
		"\"state_key\":\"@sourdine:hs\",\"content\":{\"membership\":\"invite\"}}"), 200);
	JOINED(scene);
	assert_non_null(fake_homeserver_find(&scene->fake, 0, "GET", "/rooms/!new:hs/messages", 0));
	assert_string_equal(groups_find(&scene->core->groups, "m")->room[NETWORK_MATRIX], "!new:hs");
}

/* The new room does not say that it continues the old one (CVE-2021-32659): it is left again, and nothing of it crosses. */
static void
test_tombstone_in_favour_of_a_stranger(void **state)
{
	struct scene *scene = *state;
	char trouble[400];

	warm(scene);
	struct fake_rule *creation = fake_homeserver_say(&scene->fake, "GET", "/rooms/!new:hs/state/m.room.create", 200, NULL, -1);
	close_in_favour(scene);
	WAIT(scene, fake_homeserver_count(&scene->fake, 0, "GET", "/rooms/!new:hs/state/m.room.create") == 1);
	assert_int_equal(scene_say(scene, "$v", "@victim:hs", "!new:hs", "nobody asked us"), 200);
	scene_spin(scene, 200);
	assert_int_equal(matrix_joined(scene->port), 0);
	/* No answer, and all is forgotten: it is asked again, and by the next process too. */
	scene->port->ops->reset(scene->port);
	WAIT(scene, fake_homeserver_count(&scene->fake, 0, "GET", "/rooms/!new:hs/state/m.room.create") == 2);
	assert_int_equal(matrix_joined(scene->port), 0);
	creation->body = "{\"sender\":\"@mod:hs\",\"content\":{\"room_version\":\"12\",\"predecessor\":{\"room_id\":\"!other:hs\"}}}";
	scene_close(scene);
	scene->fake.joined = "{\"joined_rooms\":[\"" ROOM "\",\"!new:hs\"]}";
	scene_open(scene);
	WAIT(scene, fake_homeserver_count(&scene->fake, 0, "POST", "/rooms/!new:hs/leave") == 1);
	JOINED(scene);
	WAIT(scene, told(scene, "moved to !new:hs") && scene_is_quiet(scene));
	assert_false(told(scene, "nobody asked us"));
	matrix_trouble(scene->port, "m", trouble, sizeof(trouble));
	assert_non_null(strstr(trouble, "not followed"));
	assert_null(fake_homeserver_find(&scene->fake, 0, "GET", "/rooms/!new:hs/messages", 0));
	/* The old one goes on, as far as it is let. */
	int sent = scene_sends(scene);
	scene_hear(scene, "xbob@x\nBob\nstill the old one");
	WAIT(scene, scene_sends(scene) == sent + 1 && scene_is_quiet(scene));
	/* Nor is it entered again each time the homeserver comes back. */
	int joins = fake_homeserver_count(&scene->fake, 0, "POST", "/join/");
	fake_homeserver_die(&scene->fake);
	WAIT(scene, matrix_joined(scene->port) == 0);
	fake_homeserver_start(&scene->fake, scene->loop);
	JOINED(scene);
	assert_int_equal(fake_homeserver_count(&scene->fake, 0, "POST", "/join/"), joins);
}

#define CROWD 500

/* With many rooms the port is there at once, a few requests are under way at a time, and who has something to say goes first. */
static void
test_many_rooms(void **state)
{
	struct scene *scene = *state;
	AUTO_STR struct str joined;

	warm(scene);
	fake_homeserver_say(&scene->fake, "PUT", "/send/", 200, NULL, 1);
	scene_hear(scene, "xbob@x\nBob\nin doubt");
	WAIT(scene, scene_sends(scene) == 2);
	str_init(&joined, 1 << 20);
	str_add(&joined, "{\"joined_rooms\":[\"" ROOM "\"");
	for (int i = 0; i < CROWD; i++)
		str_addf(&joined, ",\"!g%d:hs\"", i);
	str_add(&joined, "]}");
	scene->fake.joined = str_get(&joined);
	scene->crowd = CROWD;
	scene_close(scene);
	int from = scene->fake.count;
	int64_t start_ms = now_monotonic_ms();
	scene_open(scene);
	WAIT(scene, matrix_connected(scene->port));
	int64_t connected_ms = now_monotonic_ms() - start_ms;
	WAIT(scene, scene_sends(scene) == 3);
	int64_t sent_ms = now_monotonic_ms() - start_ms;
	int before = fake_homeserver_count(&scene->fake, from, "GET", "/messages");
	WAIT_FOR(scene, 60000, matrix_joined(scene->port) == CROWD + 1);
	print_message("connected %" PRId64 " ms, first row %" PRId64 " ms, %d rooms %" PRId64 " ms\n", connected_ms, sent_ms, CROWD + 1,
		now_monotonic_ms() - start_ms);
	assert_in_range(before, 0, 8);
	assert_in_range(scene->fake.most_open, 1, 6);
}

/* ---- the client ---- */

/* Whatever comes instead of an answer: the same name again, and only that. */
static void
test_nasty_answers(void **state)
{
	struct scene *scene = *state;
	AUTO_STR struct str headers;
	static const char *const raw[] = {
		"", /* closed without a word, after the request was read */
		"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"event_id\":",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"eve\r\nzzz\r\n",
		"HTTP/9.9 200 OK\r\n\r\n{}",
		"\x15\x03\x01\x00\x02\x02\x28",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
	};

	warm(scene);
	str_init(&headers, 1 << 21);
	str_add(&headers, "HTTP/1.1 200 OK\r\n");
	for (int i = 0; i < 16000; i++)
		str_addf(&headers, "X-%d: %064d\r\n", i, i);
	for (size_t i = 0; i <= sizeof(raw) / sizeof(raw[0]); i++) {
		int sent = scene_sends(scene);
		AUTO_FREE char *body = xasprintf("xbob@x\nBob\nanswer %zu", i);
		fake_homeserver_say(&scene->fake, "PUT", "/send/", FAKE_RAW, i < sizeof(raw) / sizeof(raw[0]) ? raw[i] : str_get(&headers), 1);
		scene_hear(scene, body);
		WAIT(scene, scene_sends(scene) >= sent + 2 && scene_is_quiet(scene));
		assert_int_equal(scene_sends(scene), sent + 2);
		assert_string_equal(fake_homeserver_find(&scene->fake, 0, "PUT", "/send/", sent)->path, last_send(scene)->path);
	}
	/* As old as can be. */
	fake_homeserver_say(&scene->fake, "PUT", "/send/", FAKE_RAW, "HTTP/1.0 200 OK\r\n\r\n{\"event_id\":\"$old\"}", 1);
	int sent = scene_sends(scene);
	scene_hear(scene, "xbob@x\nBob\nHTTP/1.0");
	WAIT(scene, scene_sends(scene) == sent + 1 && scene_is_quiet(scene));
}

int
main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, scene_set_up, scene_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_waits_as_told),
		TEST(test_order_through_limits),
		TEST(test_banned_ghost),
		TEST(test_not_a_member),
		TEST(test_no_power),
		TEST(test_a_proxy_is_not_the_homeserver),
		TEST(test_a_row_that_kills_its_request),
		TEST(test_a_sick_homeserver_is_waited_for),
		TEST(test_old_doubt_found),
		TEST(test_old_doubt_not_found),
		TEST(test_old_doubt_unreadable),
		TEST(test_doubt_after_a_lost_device),
		TEST(test_reset),
		TEST(test_no_room),
		TEST(test_bot_kept_out),
		TEST(test_room_that_cannot_be_reached),
		TEST(test_bot_banned),
		TEST(test_kicked),
		TEST(test_alias_gone),
		TEST(test_alias_of_nothing),
		TEST(test_alias_moves_meanwhile),
		TEST(test_tombstone),
		TEST(test_tombstone_in_favour_of_a_stranger),
		TEST(test_many_rooms),
		TEST(test_nasty_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
