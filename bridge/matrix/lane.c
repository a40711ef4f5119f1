/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lane has at most one request in flight, so its order is that of the rows. A few more wait behind it, their intent committed, so that
 * the next request leaves with the answer to the one before, and no commit stands between them. The transaction id is the row's name and
 * every request carries the device, which makes the homeserver remember the pair for a day, beyond its own restarts: a row whose
 * outcome is unknown is simply sent again (delivery.md F1, F2); an older one is looked for first (readback.c). What an answer means
 * is the table at `reactions`. For an encrypted room a row is encrypted when it is handed over, once: the ciphertext takes the row's
 * place in the same transaction as the ratchet that made it, and leaves after that commit, so no index is ever used for two texts. What is not
 * encrypted never leaves for a room that is known as encrypted: begin() looks at each.
 */
#include "matrix/lane.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/now.h"
#include "base/seal.h"
#include "matrix/cipher.h"
#include "matrix/crypto/outbound.h"
#include "matrix/direct.h"
#include "matrix/event.h"
#include "matrix/ghost.h"
#include "matrix/readback.h"
#include "matrix/room.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AHEAD 16 /* rows in the port, of which one is in flight */
#define WRITE_MS 20 /* what was said is written down together, but not later than that */
#define BACKOFF_MS 1000
#define BACKOFF_MAX_MS 300000
#define UNKNOWN_TOKEN_MS 60000
#define PATIENCE_MS (10 * 60 * 1000) /* with a row that the homeserver fails on, while it does other things well */
#define MEMORY_MS (20 * 3600 * 1000) /* so long the homeserver surely knows our names (Synapse: 24 h) */
#define READ_BEFORE_MS (5 * 60 * 1000) /* its clock may be behind ours by that */

/* A row to be sent. */
struct post {
	struct list link; /* lane::posts, then lane::said */
	int64_t id;
	struct ghost *ghost; /* who sends it */
	char *path, *content;
	char *device;        /* of the path */
	char *exposed;       /* the room, when its members' servers could read the content; else NULL */
	char *event_id;      /* in lane::said */
	bool unkept;         /* it may not leave before a commit */
};

/* Who was read back in a lane that has rows in doubt. */
struct reader {
	struct list link; /* lane::readers */
	const struct ghost *ghost;
};

struct lane {
	struct list link;   /* matrix::lanes */
	struct matrix *matrix;
	char *address;      /* a room id, or "@person:server" */
	struct http_request *request; /* of the first post */
	struct list posts;  /* owns: post::link */
	struct list said;   /* owns: post::link; the homeserver has them, the outbox does not know yet */
	unsigned count, said_count; /* of both; of said */
	int64_t written_ms; /* monotonic: when what was said was last written down */
	int64_t begun_ms;   /* monotonic: of the request */
	unsigned failures;  /* in a row, for the back-off */
	int64_t failing;    /* the row that fails; 0: none */
	int64_t failing_ms; /* monotonic: since when */
	char failure[320];  /* its last answer */
	int64_t forbidden;  /* the row that was answered 403 once */
	unsigned long arrival; /* matrix::arrivals when doubts were last looked for */
	bool halted;        /* a row went back: what was picked behind it goes back as well */
	bool doubtful;      /* it has rows that must be read back first */
	bool forgotten;     /* a device was made anew: that holds for every row in doubt, however young */
	struct list readers; /* owns: reader::link */
	struct readback *readback;
	struct direct *direct; /* owns; NULL: the lane of a room */
};

static void begin(struct lane *lane);

static struct lane *
lane_get(struct matrix *matrix, const char *address)
{
	struct lane *lane;

	LIST_FOR_EACH(lane, &matrix->lanes, struct lane, link)
		if (strcmp(lane->address, address) == 0)
			return lane;
	lane = xcalloc(1, sizeof(*lane));
	lane->matrix = matrix;
	lane->address = xstrdup(address);
	list_init(&lane->posts);
	list_init(&lane->said);
	list_init(&lane->readers);
	lane->direct = address[0] == '@' ? direct_new(matrix, lane->address) : NULL;
	list_append(&matrix->lanes, &lane->link);
	return lane;
}

static void
drop_post(struct lane *lane, struct post *post)
{
	list_remove(&post->link);
	lane->count--;
	mem_free_secret(post->content, strlen(post->content));
	free(post->path);
	free(post->device);
	free(post->exposed);
	free(post->event_id);
	free(post);
}

static void
forget_readers(struct lane *lane)
{
	struct reader *reader;

	LIST_FOR_EACH(reader, &lane->readers, struct reader, link) {
		list_remove(&reader->link);
		free(reader);
	}
}

static void
drop_posts(struct lane *lane)
{
	while (!list_empty(&lane->posts))
		drop_post(lane, LIST_ENTRY(lane->posts.next, struct post, link));
	while (!list_empty(&lane->said))
		drop_post(lane, LIST_ENTRY(lane->said.next, struct post, link));
}

void
lane_free_all(struct matrix *matrix)
{
	struct lane *lane;

	LIST_FOR_EACH(lane, &matrix->lanes, struct lane, link) {
		http_cancel(lane->request);
		readback_cancel(lane->readback);
		forget_readers(lane);
		drop_posts(lane);
		direct_free(lane->direct);
		list_remove(&lane->link);
		free(lane->address);
		free(lane);
	}
}

/* Everything that waits goes back to the outbox, which hands it out again in order, after delay_ms. */
static void
give_back(struct lane *lane, int64_t delay_ms)
{
	struct post *post;

	LIST_FOR_EACH(post, &lane->posts, struct post, link) {
		outbox_again(lane->matrix->parts.outbox, post->id, delay_ms);
		drop_post(lane, post);
	}
}

/* ---- rooms ---- */

/* The room of a lane; NULL while there is none, or the bot is not in it. */
static struct room *
find_room(const struct lane *lane, char *id, size_t size)
{
	struct matrix *matrix = lane->matrix;

	if (!lane->direct)
		snprintf(id, size, "%s", lane->address);
	else if (!people_direct(matrix->parts.people, lane->address, id, size))
		return NULL;
	struct room *room = room_find(matrix, id);
	if (room && !lane->direct)
		room_hurry(room);
	if (!room || !room_is_inside(room))
		return NULL;
	/* Who must not be told anything in the clear gets another room. */
	return lane->direct && matrix->settings.refuse_plain && !cipher_is_on(matrix, id) ? NULL : room;
}

/* Why nothing will ever be said in this lane as things are; false: it may be. */
static bool
is_hopeless(const struct lane *lane, enum refusal *why, const char **detail)
{
	const struct matrix *matrix = lane->matrix;
	const struct room *room = room_find(lane->matrix, lane->address);
	struct group *group;

	if (lane->direct && direct_is_refused(lane->direct, why, detail))
		return true;
	*why = REFUSAL_NOT_MEMBER;
	*detail = "the bot may not enter the room";
	if (lane->direct || room)
		return room && room_is_kept_out(room, why);
	/* The alias of its group leads elsewhere now; unless one is not followed yet. */
	*detail = "the room belongs to no group any more";
	*why = REFUSAL_ROOM_GONE;
	LIST_FOR_EACH(group, &matrix->parts.groups->all, struct group, link)
		if (group->matrix_wanted && !*group->room[NETWORK_MATRIX])
			return false;
	return groups_of_room(matrix->parts.groups, lane->address) == NULL;
}

/* The room is encrypted, and the administrator refuses that. */
static bool
is_forbidden(const struct matrix *matrix, const char *id)
{
	return matrix->settings.refuse_encrypted && cipher_is_on(matrix, id);
}

/* Whether it is plain, or it is known who is to read. Otherwise what is to be said there waits, without libolm for ever. */
static bool
may_encrypt(struct matrix *matrix, const char *id)
{
	return !cipher_is_on(matrix, id) || (matrix->crypto && cipher_prepare(matrix, id));
}

/* ---- doubts ---- */

struct doubts {
	int64_t before_ms, oldest_ms; /* real time */
};

static void
note_doubt(void *context, int64_t id, const char *name, int64_t first_try_ms)
{
	struct doubts *doubts = context;

	(void)id;
	(void)name;
	if (first_try_ms < doubts->before_ms && (!doubts->oldest_ms || first_try_ms < doubts->oldest_ms))
		doubts->oldest_ms = first_try_ms;
}

/* When the oldest row was first tried that the homeserver may have taken and forgotten; 0: there is none. */
static int64_t
oldest_doubt(struct lane *lane, const char *room)
{
	int64_t exposed_ms = cipher_since(lane->matrix, room);
	int64_t memory_ms = lane->matrix->settings.memory_ms ? lane->matrix->settings.memory_ms : MEMORY_MS;
	struct doubts doubts = { .before_ms = lane->forgotten ? INT64_MAX : now_real_ms() - memory_ms };

	if (doubts.before_ms < lane->matrix->forgot_ms)
		doubts.before_ms = lane->matrix->forgot_ms;
	/* Tried in the clear, it would go out under another path. */
	if (exposed_ms && doubts.before_ms < exposed_ms + READ_BEFORE_MS)
		doubts.before_ms = exposed_ms + READ_BEFORE_MS;
	outbox_each_doubt(lane->matrix->parts.outbox, lane->address, note_doubt, &doubts);
	return doubts.oldest_ms;
}

static void
on_read_back(void *context, bool certain)
{
	struct lane *lane = context;

	lane->readback = NULL;
	if (!certain) {
		metric_add(METRIC_DUPLICATES_POSSIBLE, 1);
		log_warning(LOG_MATRIX, "the archive does not tell whether a row arrived, it is sent again lane=%s", lane->address);
	}
	outbox_wake(lane->matrix->parts.outbox);
}

/* True: the next row, of this ghost, may go. Otherwise outbox_wake() follows. */
static bool
is_read_back(struct lane *lane, const char *room, const struct ghost *ghost)
{
	struct matrix *matrix = lane->matrix;
	struct reader *reader;

	if (lane->arrival != matrix->arrivals) {
		lane->arrival = matrix->arrivals;
		lane->doubtful = true;
		forget_readers(lane);
	}
	if (!lane->doubtful)
		return true;
	int64_t oldest_ms = lane->readback ? 1 : oldest_doubt(lane, room);
	lane->doubtful = oldest_ms != 0;
	if (!lane->doubtful) {
		lane->forgotten = false;
		return true;
	}
	LIST_FOR_EACH(reader, &lane->readers, struct reader, link)
		if (reader->ghost == ghost)
			return !lane->readback;
	if (lane->readback)
		return false;
	reader = xcalloc(1, sizeof(*reader));
	reader->ghost = ghost;
	list_append(&lane->readers, &reader->link);
	lane->readback = readback_begin(matrix, room, lane->address, ghost_mxid(ghost), oldest_ms - READ_BEFORE_MS, on_read_back, lane);
	return false;
}

/* ---- ready ---- */

struct coming {
	struct matrix *matrix;
	const char *room;
};

static void
foresee(void *context, const struct author *author)
{
	const struct coming *coming = context;
	struct ghost *ghost = ghost_get(coming->matrix, author);
	const char *why;

	if (ghost_foresee(ghost, coming->room, author->name) == GHOST_READY && may_encrypt(coming->matrix, coming->room))
		(void)outbound_prepare(coming->matrix, ghost, coming->room, &why);
}

/* The ghost of the next row can speak, or must not. */
static bool
is_prepared(struct matrix *matrix, const char *room, struct ghost *ghost, enum ghost_readiness readiness)
{
	const char *why;

	if (readiness == GHOST_BUSY || !may_encrypt(matrix, room))
		return false;
	return readiness == GHOST_REFUSED || outbound_prepare(matrix, ghost, room, &why) != OUTBOUND_BUSY;
}

unsigned
lane_ready(struct matrix *matrix, const char *address, const struct author *author)
{
	struct lane *lane = lane_get(matrix, address);
	char id[PEOPLE_ADDRESS_MAX];
	enum refusal why;
	const char *detail;

	lane->halted = false;
	if (matrix->state != MATRIX_HERE || lane->count == AHEAD)
		return 0;
	if (!find_room(lane, id, sizeof(id))) {
		if (is_hopeless(lane, &why, &detail))
			return 1; /* to be refused with its reason */
		if (lane->direct)
			direct_prepare(lane->direct);
		return 0;
	}
	if (is_forbidden(matrix, id))
		return 1; /* likewise */
	struct ghost *ghost = ghost_get(matrix, author);
	bool bot = !author->person;
	enum ghost_readiness readiness = ghost_prepare(ghost, bot ? NULL : id, bot ? NULL : author->name);
	if (readiness == GHOST_READY && !is_read_back(lane, id, ghost))
		return 0;
	if (is_prepared(matrix, id, ghost, readiness))
		return AHEAD - lane->count;
	/* It takes requests, and sometimes a moment: who speaks after him has his meanwhile. */
	outbox_each_author(matrix->parts.outbox, address, AHEAD, foresee, &(struct coming){ matrix, id });
	return 0;
}

/* ---- answers ---- */

/* One row of delivery.md 8. Each reaction ends the first post, or gives everything back. */
struct reaction {
	long status;         /* 0: any */
	const char *errcode; /* NULL: any */
	void (*react)(struct lane *lane, const struct judged *judged);
};

static struct post *
first(const struct lane *lane)
{
	return LIST_ENTRY(lane->posts.next, struct post, link);
}

static void
refuse(struct lane *lane, enum refusal why, const char *detail)
{
	int64_t row = first(lane)->id;

	lane->failures = 0;
	lane->failing = 0;
	lane->forbidden = 0;
	drop_post(lane, first(lane));
	outbox_refused(lane->matrix->parts.outbox, row, why, detail);
}

static void
refuse_with(struct lane *lane, enum refusal why, const struct judged *judged)
{
	AUTO_FREE char *detail = xasprintf("%s: %s", judged->errcode, judged->error);

	refuse(lane, why, detail);
}

static void
write_down(struct lane *lane)
{
	while (!list_empty(&lane->said)) {
		struct post *post = LIST_ENTRY(lane->said.next, struct post, link);
		outbox_settled(lane->matrix->parts.outbox, post->id, post->event_id);
		drop_post(lane, post);
	}
	lane->said_count = 0;
	lane->written_ms = now_monotonic_ms();
}

/* A commit for each would cost more than a quick homeserver does. */
static void
settle(struct lane *lane, const char *event_id)
{
	struct post *post = first(lane);

	lane->failures = 0;
	lane->failing = 0;
	lane->forbidden = 0;
	post->event_id = xstrdup(event_id);
	list_remove(&post->link);
	list_append(&lane->said, &post->link);
	lane->said_count++;
	if (list_empty(&lane->posts) || lane->said_count >= AHEAD / 2 || now_monotonic_ms() - lane->written_ms >= WRITE_MS)
		write_down(lane);
}

static void
react_unknown_token(struct lane *lane, const struct judged *judged)
{
	(void)judged;
	give_back(lane, UNKNOWN_TOKEN_MS);
}

/* It files names under the device, so its memory of ours is gone with it: what may have arrived is looked for before it is sent again. */
static void
react_unknown_device(struct lane *lane, const struct judged *judged)
{
	struct ghost *ghost = first(lane)->ghost;

	(void)judged;
	log_warning(LOG_MATRIX, "a device is gone, it is made again user=%s", ghost_mxid(ghost));
	ghost_lost_device(ghost, first(lane)->device);
	lane->doubtful = lane->forgotten = true;
	forget_readers(lane);
	give_back(lane, 0);
}

/* Enters the room again, once; if that does not help it is a matter of power. */
static void
react_forbidden(struct lane *lane, const struct judged *judged)
{
	const struct post *post = first(lane);
	char id[PEOPLE_ADDRESS_MAX];

	if (lane->forbidden == post->id || !find_room(lane, id, sizeof(id))) {
		refuse_with(lane, REFUSAL_MODERATED, judged);
		return;
	}
	lane->forbidden = post->id;
	if (strcmp(ghost_mxid(post->ghost), lane->matrix->bot) == 0)
		room_rejoin(lane->matrix, id);
	else
		ghost_left(post->ghost, id);
	give_back(lane, 0);
}

static void
react_too_big(struct lane *lane, const struct judged *judged)
{
	refuse_with(lane, REFUSAL_TOO_BIG, judged);
}

static void
react_gone(struct lane *lane, const struct judged *judged)
{
	refuse_with(lane, REFUSAL_ROOM_GONE, judged);
}

/* The mark is there already: that is what was wanted. */
static void
react_marked(struct lane *lane, const struct judged *judged)
{
	(void)judged;
	settle(lane, "");
}

static void
react_no(struct lane *lane, const struct judged *judged)
{
	refuse_with(lane, REFUSAL_OTHER, judged);
}

static const struct reaction reactions[] = {
	{ 401, NULL, react_unknown_token },
	{ 0, "M_UNKNOWN_DEVICE", react_unknown_device },
	{ 0, "ORG.MATRIX.MSC4326.M_UNKNOWN_DEVICE", react_unknown_device },
	{ 0, "M_DUPLICATE_ANNOTATION", react_marked },
	{ 0, "M_TOO_LARGE", react_too_big },
	{ 403, NULL, react_forbidden },
	{ 404, NULL, react_gone },
	{ 413, NULL, react_too_big },
	{ 0, NULL, react_no },
};

static void
react(struct lane *lane, const struct judged *judged)
{
	size_t i = 0;

	while ((reactions[i].status && reactions[i].status != judged->status) ||
			(reactions[i].errcode && strcmp(reactions[i].errcode, judged->errcode) != 0))
		i++;
	reactions[i].react(lane, judged);
}

/* 1, 2, 4 ... 300 s, with up to a quarter more, so that lanes do not come in step. */
static int64_t
backoff(struct lane *lane)
{
	int64_t delay_ms = (int64_t)BACKOFF_MS << (lane->failures < 9 ? lane->failures : 9);
	uint16_t jitter;

	lane->failures++;
	if (delay_ms > BACKOFF_MAX_MS)
		delay_ms = BACKOFF_MAX_MS;
	seal_random(&jitter, sizeof(jitter));
	return delay_ms + delay_ms * jitter / (4 * 65536);
}

/* The homeserver can write, so it is this row that it cannot take. */
static void
on_trial(void *context, const struct http_answer *answer)
{
	struct lane *lane = context;
	struct judged judged;

	lane->request = NULL;
	matrix_judge(lane->matrix, answer, &judged);
	if (judged.is == JUDGED_FINE)
		refuse(lane, REFUSAL_OTHER, lane->failure);
	else
		give_back(lane, backoff(lane));
	judged_fini(&judged);
	begin(lane);
}

/* Something harmless that it has to write: whoever fails on that as well is ill, and is waited for. */
static void
make_trial(struct lane *lane)
{
	const struct ghost *ghost = first(lane)->ghost;
	AUTO_FREE char *path = matrix_path("/_matrix/client/v3/devices/%s?user_id=%s", ghost_device(ghost), ghost_mxid(ghost));

	lane->request = matrix_ask(lane->matrix, "PUT", path, "{\"display_name\":\"Sourdine\"}", on_trial, lane);
}

/* Nothing came, or a failure: the outcome is unknown, so the same name again; but not for ever. */
static void
try_again(struct lane *lane, const struct judged *judged)
{
	int64_t row = first(lane)->id, now_ms = now_monotonic_ms();
	int64_t patience_ms = lane->matrix->settings.row_patience_ms ? lane->matrix->settings.row_patience_ms : PATIENCE_MS;

	/* A homeserver that is gone is waited for by the port's state; its return sends at once. */
	if (lane->matrix->state != MATRIX_HERE) {
		give_back(lane, 0);
	} else if (judged->delay_ms) {
		give_back(lane, judged->delay_ms);
	} else if (lane->failing != row) {
		lane->failing = row;
		lane->failing_ms = now_ms;
		give_back(lane, backoff(lane));
	} else if (now_ms - lane->failing_ms < patience_ms) {
		give_back(lane, backoff(lane));
	} else {
		snprintf(lane->failure, sizeof(lane->failure), "the homeserver failed on it again and again: %ld %s %s", judged->status,
			judged->errcode, judged->error);
		make_trial(lane);
	}
}

/* Anything but plain success. */
static void
look_closer(struct lane *lane, const struct http_answer *answer)
{
	struct judged judged;

	write_down(lane);
	matrix_judge(lane->matrix, answer, &judged);
	if (judged.is == JUDGED_NO)
		react(lane, &judged);
	else
		try_again(lane, &judged);
	judged_fini(&judged);
}

static void
on_sent(void *context, const struct http_answer *answer)
{
	struct lane *lane = context;
	char id[256];

	FAULT_POINT("after_put_answer");
	lane->request = NULL;
	metric_observe(DURATION_PUT, now_monotonic_ms() - lane->begun_ms);
	if (answer->status == 200 && matrix_take_id(json_find_text(answer->body, answer->size, "event_id"), id, sizeof(id))) {
		metric_add(METRIC_MATRIX_REQUESTS, 1);
		settle(lane, id);
	} else {
		look_closer(lane, answer);
	}
	begin(lane);
}

/* ---- sending ---- */

/* The first post, unless a request is under way. */
static void
begin(struct lane *lane)
{
	if (lane->request || list_empty(&lane->posts) || first(lane)->unkept)
		return;
	const struct post *post = first(lane);
	if (post->exposed && cipher_is_on(lane->matrix, post->exposed)) {
		give_back(lane, BACKOFF_MS); /* the room was encrypted meanwhile */
		return;
	}
	FAULT_POINT("before_put");
	lane->begun_ms = now_monotonic_ms();
	lane->request = matrix_ask(lane->matrix, "PUT", post->path, post->content, on_sent, lane);
}

/* True: the row was answered without asking the homeserver. */
static bool
refuse_early(struct lane *lane, const struct sending *row, struct ghost *ghost, char *id, size_t size)
{
	struct outbox *outbox = lane->matrix->parts.outbox;
	enum refusal why;
	const char *detail;

	if (lane->matrix->state == MATRIX_HERE && !find_room(lane, id, size) && is_hopeless(lane, &why, &detail)) {
		outbox_refused(outbox, row->id, why, detail);
		return true;
	}
	if (lane->matrix->state != MATRIX_HERE || !find_room(lane, id, size)) {
		outbox_again(outbox, row->id, 0); /* it went away since ready() */
		return true;
	}
	if (is_forbidden(lane->matrix, id)) {
		outbox_refused(outbox, row->id, REFUSAL_ENCRYPTED, "the room is encrypted, and encryption.allow is false");
		return true;
	}
	if (row->author.person && ghost_prepare(ghost, id, NULL) == GHOST_REFUSED) {
		detail = ghost_refusal(ghost, id, &why);
		outbox_refused(outbox, row->id, why, detail);
		return true;
	}
	if (outbound_prepare(lane->matrix, ghost, id, &detail) == OUTBOUND_REFUSED) {
		outbox_refused(outbox, row->id, REFUSAL_OTHER, detail);
		return true;
	}
	return false;
}

static void
keep_posts(struct lane *lane)
{
	struct post *post;

	LIST_FOR_EACH(post, &lane->posts, struct post, link)
		post->unkept = false;
	begin(lane);
}

static void
on_kept(void *context, bool done)
{
	struct matrix *matrix = context;
	struct lane *lane;

	if (!done)
		return; /* the port is reset, and the rows say what they said before */
	FAULT_POINT("matrix_encrypted_row_kept");
	LIST_FOR_EACH(lane, &matrix->lanes, struct lane, link)
		keep_posts(lane);
}

/* The row's own, except when broken on purpose: what finds our own events by it would repair that. */
static char *
name_of(const struct lane *lane, const struct sending *row)
{
	return lane->matrix->encrypts_again ? xasprintf("%s.%lld", row->name, (long long)now_real_ms()) : xstrdup(row->name);
}

/* Gives the row its ciphertext, if its room asks for that and it has none yet. False: it cannot be made now. */
static bool
encrypt(struct lane *lane, const struct sending *row, struct ghost *ghost, const char *room, struct event_parts *parts, bool *fresh)
{
	struct matrix *matrix = lane->matrix;
	struct str content AUTO_STR, payload AUTO_STR;
	AUTO_FREE char *name = name_of(lane, row);
	AUTO_FREE char *user = xstrndup(ghost_mxid(ghost) + 1, strcspn(ghost_mxid(ghost) + 1, ":"));

	str_init(&content, 1 << 20);
	str_init(&payload, 1 << 20);
	if (!outbound_concerns(matrix, room, parts->type))
		return true;
	if (!outbound_encrypt(matrix, ghost, room, parts->type, parts->content, name, &content))
		return false;
	FAULT_POINT("matrix_encrypted_row");
	event_render_encrypted(str_get(&content), user, &payload);
	if (!matrix->encrypts_again)
		outbox_rewrite(matrix->parts.outbox, row->id, str_get(&payload), payload.n);
	store_after_commit(matrix->parts.store, on_kept, matrix);
	event_parts_fini(parts);
	*parts = (struct event_parts){ .type = xstrdup(EVENT_ENCRYPTED), .content = str_take(&content) };
	*fresh = true;
	return true;
}

static char *
path_of(const struct lane *lane, const struct sending *row, const struct event_parts *parts, const struct ghost *ghost, const char *room)
{
	AUTO_FREE char *name = name_of(lane, row);

	if (parts->redacts)
		return matrix_path("/_matrix/client/v3/rooms/%s/redact/%s/%s?user_id=%s&device_id=%s", room, parts->redacts, name,
			ghost_mxid(ghost), ghost_device(ghost));
	return matrix_path("/_matrix/client/v3/rooms/%s/send/%s/%s?user_id=%s&device_id=%s", room, parts->type, name,
		ghost_mxid(ghost), ghost_device(ghost));
}

void
lane_send(struct matrix *matrix, const struct sending *row)
{
	struct lane *lane = lane_get(matrix, row->lane);
	struct ghost *ghost = ghost_get(matrix, &row->author);
	struct event_parts parts;
	char id[PEOPLE_ADDRESS_MAX];

	bool fresh = false;
	if (lane->halted) {
		outbox_again(matrix->parts.outbox, row->id, 0);
		return;
	}
	if (refuse_early(lane, row, ghost, id, sizeof(id)))
		return;
	if (!event_unpack(row->payload ? row->payload : "", row->payload ? row->size : 0, &parts)) {
		outbox_refused(matrix->parts.outbox, row->id, REFUSAL_OTHER, "the stored message cannot be read");
	} else if (!encrypt(lane, row, ghost, id, &parts, &fresh)) {
		lane->halted = true;
		outbox_again(matrix->parts.outbox, row->id, 0);
	} else {
		struct post *post = xcalloc(1, sizeof(*post));
		post->id = row->id;
		post->ghost = ghost;
		post->unkept = fresh;
		post->path = path_of(lane, row, &parts, ghost, id);
		post->content = parts.content;
		post->device = xstrdup(ghost_device(ghost));
		post->exposed = strcmp(parts.type, "m.room.message") == 0 ? xstrdup(id) : NULL;
		parts.content = NULL;
		list_append(&lane->posts, &post->link);
		lane->count++;
		begin(lane);
	}
	event_parts_fini(&parts);
}
