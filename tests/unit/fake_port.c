/* SPDX-License-Identifier: Apache-2.0 */
/* The fake network behind the real port contract. */
#include "fake_port.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *
line(struct arena *arena, const char **at)
{
	size_t n = strcspn(*at, "\n");
	AUTO_FREE char *copy = xstrndup(*at, n);

	*at += n + ((*at)[n] == '\n');
	return arena_copy(arena, copy);
}

static void
need(const struct fake_port *fake, char key, struct incoming *out)
{
	if (fake->keys && strchr(fake->keys, key)) {
		out->keep = "@kept:hs\nKept\nas it was read";
		out->keep_size = strlen(out->keep);
		return;
	}
	out->kind = fake->without;
	out->reason = "Your message needs a key.";
}

static void
fake_read(struct port *port, const char *room, const char *raw, size_t size, struct arena *arena, struct incoming *out)
{
	const char *at = raw;

	(void)room, (void)size;
	*out = (struct incoming){ .kind = INCOMING_MESSAGE, .live = true };
	if (strcmp(raw, "poison") == 0) {
		*out = (struct incoming){ .kind = INCOMING_POISON, .reason = "poison" };
		return;
	}
	out->author.person = line(arena, &at);
	out->author.stem = out->author.person + 1;
	out->author.name = line(arena, &at);
	if (((struct fake_port *)port)->author)
		out->author = *((struct fake_port *)port)->author;
	out->text = line(arena, &at);
	out->reply_address = out->author.person;
	while (*at) {
		char *flag = line(arena, &at);
		out->moderator |= strcmp(flag, "moderator") == 0;
		out->direct |= strcmp(flag, "direct") == 0;
		if (strcmp(flag, "archive") == 0)
			out->live = false;
		if (strncmp(flag, "reply ", 6) == 0)
			out->reply_to = flag + 6;
		if (strncmp(flag, "withdraws ", 10) == 0) {
			out->kind = INCOMING_WITHDRAWAL;
			out->reply_to = flag + 10;
		}
		if (strncmp(flag, "needs ", 6) == 0)
			need(((struct fake_port *)port), flag[6], out);
	}
}

static void
fake_render(struct port *port, const struct outgoing *outgoing, struct str *out)
{
	((struct fake_port *)port)->stamped += outgoing->delay_ms != 0;
	str_addf(out, "%s|%s", outgoing->author.name ? outgoing->author.name : "bot", outgoing->text);
}

static size_t
fake_fits(struct port *port, const char *text, size_t n)
{
	(void)text;
	size_t part = ((struct fake_port *)port)->part;
	return n < part ? n : part;
}

static unsigned
fake_ready(struct port *port, const char *lane, const struct author *author)
{
	(void)lane, (void)author;
	return ((struct fake_port *)port)->window;
}

static void
fake_send(struct port *port, const struct sending *row)
{
	struct fake_port *fake = (struct fake_port *)port;
	struct fake_row *kept = &fake->rows[fake->count++ % FAKE_MAX];
	char remote[32];

	kept->id = row->id;
	kept->tried = row->tried;
	snprintf(kept->lane, sizeof(kept->lane), "%s", row->lane);
	snprintf(kept->name, sizeof(kept->name), "%s", row->name);
	snprintf(kept->author, sizeof(kept->author), "%s", row->author.person ? row->author.person : "");
	free(kept->payload);
	kept->payload = xstrndup(row->payload, row->size);
	snprintf(remote, sizeof(remote), "r%lld", (long long)row->id);
	if (fake->answers)
		outbox_settled(fake->core->outbox, row->id, remote);
}

static int
fake_start(struct port *port)
{
	(void)port;
	return 0;
}

static void
fake_nothing(struct port *port)
{
	(void)port;
}

static void
fake_reset(struct port *port)
{
	((struct fake_port *)port)->resets++;
}

void
fake_port_init(struct fake_port *fake, enum network network)
{
	*fake = (struct fake_port){
		.ops = { network, fake_start, fake_nothing, fake_read, fake_render, fake_fits, fake_ready, fake_send, fake_nothing, fake_reset },
		.window = 16, .part = 60000, .answers = true, .without = INCOMING_LATER,
	};
	fake->port.ops = &fake->ops;
}

void
fake_port_fini(struct fake_port *fake)
{
	for (int i = 0; i < FAKE_MAX; i++)
		free(fake->rows[i].payload);
}

const struct fake_row *
fake_port_last(const struct fake_port *fake)
{
	return fake->count ? &fake->rows[(fake->count - 1) % FAKE_MAX] : NULL;
}

int
fake_port_count(const struct fake_port *fake, const char *lane)
{
	int count = 0;

	for (int i = 0; i < fake->count && i < FAKE_MAX; i++)
		count += strcmp(fake->rows[i].lane, lane) == 0;
	return count;
}
