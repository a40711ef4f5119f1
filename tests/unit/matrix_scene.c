/* SPDX-License-Identifier: Apache-2.0 */
/* Everything real but the two ends. */
#include "matrix_scene.h"

#include "base/log.h"
#include "core/outbox_rows.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void
drop_log(enum log_level level, const char *line)
{
	(void)level;
	assert_null(strstr(line, "as-token"));
	assert_null(strstr(line, "hs-token"));
	assert_null(strstr(line, "secret body"));
}

static bool
turn(void *context)
{
	struct scene *scene = context;

	return core_turn(scene->core);
}

static int
is_operator(void *context, const char *person)
{
	(void)context;
	return strcmp(person, "@admin:hs") == 0;
}

void
scene_spin(struct scene *scene, int ms)
{
	int64_t end_ms = now_monotonic_ms() + ms;

	do
		assert_int_equal(loop_once(scene->loop, 5), 0);
	while (now_monotonic_ms() < end_ms);
}

static uint16_t
free_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	close(fd);
	return ntohs(address.sin_port);
}

void
scene_open(struct scene *scene)
{
	AUTO_FREE char *key = xasprintf("%s/master.key", scene->directory);
	struct core_settings settings = { .language = "en", .matrix_bot = "@sourdine:hs", .nick = "Sourdine", .xmpp_bot = "bot@c.x",
		.charters = scene->directory };
	char why[256];
	bool created;

	assert_int_equal(store_open(&scene->store, scene->directory, &created), 0);
	assert_int_equal(seal_open(&scene->seal, key, created), 0);
	scene->core = core_open(scene->store, scene->seal, &settings);
	groups_add(&scene->core->groups, "m", "#m:hs", MUC, false);
	for (int i = 0; i < scene->crowd; i++) {
		AUTO_FREE char *name = xasprintf("g%d", i);
		AUTO_FREE char *alias = xasprintf("#g%d:hs", i);
		AUTO_FREE char *muc = xasprintf("g%d@rooms.x", i);
		groups_add(&scene->core->groups, name, alias, muc, false);
	}
	struct matrix_parts parts = { scene->loop, scene->store, scene->seal, &scene->core->groups, scene->core->inbox,
		scene->core->outbox, scene->core->people, scene->core->plumb };
	assert_int_equal(matrix_open(&scene->port, &scene->settings, &parts), 0);
	fake_port_init(&scene->xmpp, NETWORK_XMPP);
	scene->xmpp.core = scene->core;
	scene->core->port[NETWORK_MATRIX] = scene->port;
	scene->core->port[NETWORK_XMPP] = &scene->xmpp.port;
	assert_int_equal(core_start(scene->core, why, sizeof(why)), 0);
	inbox_open_gate(scene->core->inbox, MUC, NULL, 0, NULL, 0);
	loop_on_turn(scene->loop, turn, scene);
	assert_int_equal(scene->port->ops->start(scene->port), 0);
}

void
scene_close(struct scene *scene)
{
	loop_on_turn(scene->loop, NULL, NULL);
	matrix_close(scene->port);
	core_close(scene->core);
	store_close(scene->store);
	seal_close(scene->seal);
	fake_port_fini(&scene->xmpp);
}

int
scene_set_up(void **state)
{
	struct scene *scene = xcalloc(1, sizeof(*scene));

	log_register(drop_log);
	scratch_make(scene->directory);
	if (loop_open(&scene->loop))
		return -1;
	scene->fake.archive = "{\"chunk\":[{\"event_id\":\"$old\",\"origin_server_ts\":1,\"sender\":\"@alice:hs\",\"type\":\"m.room.message\","
		"\"content\":{\"msgtype\":\"m.text\",\"body\":\"before our time\"}}],\"start\":\"t1\",\"end\":\"t0\"}";
	scene->fake.joined = "{\"joined_rooms\":[]}";
	scene->fake.members = "{\"chunk\":[]}";
	scene->fake.invited = NOBODY;
	fake_homeserver_start(&scene->fake, scene->loop);
	snprintf(scene->address, sizeof(scene->address), "http://127.0.0.1:%u", (unsigned)scene->fake.port);
	scene->settings = (struct matrix_settings){ .address = scene->address, .domain = "hs", .listen_host = "127.0.0.1",
		.listen_port = free_port(), .id = "sourdine", .as_token = "as-token", .hs_token = "hs-token", .bot = "sourdine",
		.ghosts = "_xmpp_", .is_operator = is_operator };
	scene_open(scene);
	*state = scene;
	return 0;
}

int
scene_tear_down(void **state)
{
	struct scene *scene = *state;

	scene_close(scene);
	fake_homeserver_fini(&scene->fake);
	loop_close(scene->loop);
	scratch_remove(scene->directory);
	free(scene);
	return 0;
}

/* A message arrives from XMPP. */
void
scene_hear(struct scene *scene, const char *raw)
{
	AUTO_FREE char *id = xasprintf("x%d", ++scene->next);

	assert_int_equal(inbox_accept(scene->core->inbox, NETWORK_XMPP, MUC, id, raw, strlen(raw)), 0);
}

int
scene_sends(const struct scene *scene)
{
	return fake_homeserver_count(&scene->fake, 0, "PUT", "/send/m.room.message/");
}

/* Nothing is to be judged, and nothing to be sent. */
bool
scene_is_quiet(struct scene *scene)
{
	struct query query = store_query(scene->store, INBOX_COUNT);
	int64_t unjudged = query_step(&query) ? query_get_int(&query, 0) : 0;
	struct outbox_counts counts;

	query_done(&query);
	outbox_count(scene->core->outbox, &counts);
	return unjudged + counts.waiting + counts.tried + counts.flying == 0;
}

unsigned
scene_push_body(struct scene *scene, const char *number, const char *body, size_t size)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(scene->settings.listen_port) };
	AUTO_FREE char *head = xasprintf("PUT /_matrix/app/v1/transactions/%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer hs-token\r\n"
		"Content-Length: %zu\r\n\r\n", number, size);
	char answer[512] = "";
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	ssize_t n = -1;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	assert_int_equal(send(fd, head, strlen(head), MSG_NOSIGNAL), (ssize_t)strlen(head));
	for (size_t sent = 0; sent < size;) {
		n = send(fd, body + sent, size - sent, MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			break; /* refused before all of it was read */
		sent += n > 0 ? (size_t)n : 0;
		assert_int_equal(loop_once(scene->loop, 0), 0);
	}
	n = -1;
	WAIT(scene, n > 0 || (n = recv(fd, answer, sizeof(answer) - 1, 0)) > 0);
	close(fd);
	return (unsigned)strtoul(answer + 9, NULL, 10);
}

unsigned
scene_push(struct scene *scene, const char *events)
{
	AUTO_FREE char *body = xasprintf("{\"events\":[%s]}", events);
	AUTO_FREE char *number = xasprintf("%d", ++scene->next);

	return scene_push_body(scene, number, body, strlen(body));
}

unsigned
scene_member(struct scene *scene, const char *id, const char *sender, const char *subject, const char *membership)
{
	AUTO_FREE char *event = xasprintf("{\"type\":\"m.room.member\",\"event_id\":\"%s\",\"sender\":\"%s\",\"room_id\":\"" ROOM "\","
		"\"origin_server_ts\":%" PRId64 ",\"state_key\":\"%s\",\"content\":{\"membership\":\"%s\"}}", id, sender, now_real_ms(), subject, membership);

	return scene_push(scene, event);
}

char *
scene_message(const char *id, const char *sender, const char *room, const char *body)
{
	return xasprintf("{\"type\":\"m.room.message\",\"event_id\":\"%s\",\"sender\":\"%s\",\"room_id\":\"%s\",\"origin_server_ts\":%" PRId64 ","
		"\"content\":{\"msgtype\":\"m.text\",\"body\":\"%s\"}}", id, sender, room, now_real_ms(), body);
}

unsigned
scene_say(struct scene *scene, const char *id, const char *sender, const char *room, const char *body)
{
	AUTO_FREE char *event = scene_message(id, sender, room, body);

	return scene_push(scene, event);
}
