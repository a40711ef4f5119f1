/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a ghost still lacks is decided anew after each answer, by the table of steps at the end: the first step that is
 * needed is asked for, and nothing more until its answer. What was reached is kept in `people`, so after a restart a ghost
 * that is complete costs no request. A device id is committed before the homeserver hears of it: the next turn asks.
 */
#include "matrix/ghost.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/look.h"
#include "base/now.h"
#include "matrix/crypto/own.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_MS 1000
#define RETRY_MAX_MS 60000
#define REFUSAL_MS 60000
#define FORESEEN_MAX 16  /* with so many ghosts asking for something, nobody asks ahead of his turn */

#define BOT_NAME "Sourdine"
#define NAME_MARK " [xmpp]"

/* A ghost and a room. */
struct stay {
	struct list link; /* ghost::stays */
	char *room;
	bool joined, wanted;
	bool compared;       /* ghost::asked, with the names in this room */
	bool invite;         /* the bot must invite it first */
	bool invited;
	int64_t since_ms;    /* monotonic: since when its next message waits for it to come in; 0: it does not */
	int64_t joined_ms;   /* monotonic: when it came in, in this process; 0: before */
	int64_t refused_ms;  /* monotonic; 0: it was not */
	enum refusal why;
	char refusal[256];
};

struct ghost {
	struct list link; /* matrix::ghosts */
	struct matrix *matrix;
	char *person;        /* "" for the bot */
	char *localpart;
	struct ghost_record record;
	bool registered;
	bool name_refused;   /* the homeserver does not take `name`; not asked again until it changes */
	char asked[PEOPLE_NAME_MAX]; /* the name that its person has over there, tidy */
	char name[PEOPLE_NAME_MAX]; /* wanted: the same, perhaps with a mark */
	char put[PEOPLE_NAME_MAX];  /* what was wanted when it was last put */
	bool marked;
	struct own *own;     /* owns; NULL: it does not encrypt */
	struct list stays;   /* owns: stay::link */
	struct http_request *request;
	const struct step *step; /* of the request */
	struct stay *target;     /* of the request */
	struct loop_timer retry, patience;
	unsigned failures;
};

struct step {
	const char *word;
	bool (*needed)(struct ghost *ghost);
	void (*ask)(struct ghost *ghost);
	/* True: reached. False: the answer is no. */
	bool (*took)(struct ghost *ghost, const struct judged *judged);
};

static void advance(struct ghost *ghost);

/* ---- names ---- */

static bool
is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '/' || c == '-';
}

char *
ghost_localpart(const struct seal *seal, const char *prefix, const char *stem, const char *domain)
{
	struct str out;
	char alias[17];
	const char *fields[] = { "ghost", stem, NULL };

	str_init(&out, 65536);
	str_add(&out, prefix);
	for (const char *p = stem; *p && !out.full; p++) {
		if (is_plain(*p))
			str_add_char(&out, *p);
		else
			str_addf(&out, "=%02x", (unsigned)(unsigned char)*p);
	}
	if (!out.full && out.n + strlen(domain) + 2 <= GHOST_MXID_MAX)
		return str_take(&out);
	/* "=_" cannot begin an escape, so this form meets no other. */
	str_clear(&out);
	seal_alias(seal, fields, alias);
	str_addf(&out, "%s=_%s", prefix, alias);
	return str_take(&out);
}

/* ---- finding ---- */

const char *
ghost_mxid(const struct ghost *ghost)
{
	return ghost->record.address;
}

const char *
ghost_device(const struct ghost *ghost)
{
	return ghost->record.device;
}

static void
on_retry(void *context)
{
	advance(context);
}

/* Its lanes have waited long enough. */
static void
on_patience(void *context)
{
	struct ghost *ghost = context;
	struct stay *stay;

	if (ghost->matrix->state != MATRIX_HERE)
		return;
	LIST_FOR_EACH(stay, &ghost->stays, struct stay, link)
		if (stay->wanted && !stay->joined && stay->since_ms && !outbox_overflow(ghost->matrix->parts.outbox, stay->room, ghost->person))
			stay->since_ms = 0;
	outbox_wake(ghost->matrix->parts.outbox);
}

static struct ghost *
ghost_new(struct matrix *matrix, const char *person, const char *stem)
{
	struct ghost *ghost = xcalloc(1, sizeof(*ghost));
	const struct matrix_settings *settings = &matrix->settings;

	ghost->matrix = matrix;
	ghost->person = xstrdup(person);
	list_init(&ghost->stays);
	loop_timer_init(&ghost->retry, matrix->parts.loop, on_retry, ghost);
	loop_timer_init(&ghost->patience, matrix->parts.loop, on_patience, ghost);
	if (people_ghost(matrix->parts.people, NETWORK_MATRIX, person, &ghost->record)) {
		const char *end = strchr(ghost->record.address, ':');
		ghost->registered = ghost->record.ready;
		ghost->localpart = xstrndup(ghost->record.address + 1, end ? (size_t)(end - ghost->record.address) - 1 : 0);
	} else {
		ghost->record = (struct ghost_record){ .ready = false };
		ghost->localpart = *person ? ghost_localpart(matrix->parts.seal, settings->ghosts, stem, settings->domain) :
			xstrdup(settings->bot);
		snprintf(ghost->record.address, sizeof(ghost->record.address), "@%s:%s", ghost->localpart, settings->domain);
	}
	/* All keys of others come to the bot. */
	if (matrix->crypto && !*person)
		ghost->own = own_open(matrix->crypto, ghost, ghost->record.address, true);
	list_append(&matrix->ghosts, &ghost->link);
	return ghost;
}

struct ghost *
ghost_get(struct matrix *matrix, const struct author *author)
{
	const char *person = author->person ? author->person : "";
	struct ghost *ghost;

	LIST_FOR_EACH(ghost, &matrix->ghosts, struct ghost, link)
		if (strcmp(ghost->person, person) == 0)
			return ghost;
	return ghost_new(matrix, person, author->stem ? author->stem : person);
}

struct ghost *
ghost_find(struct matrix *matrix, const char *mxid)
{
	struct ghost *ghost;

	LIST_FOR_EACH(ghost, &matrix->ghosts, struct ghost, link)
		if (strcmp(ghost->record.address, mxid) == 0)
			return ghost;
	return NULL;
}

static struct stay *
stay_get(struct ghost *ghost, const char *room)
{
	struct stay *stay;
	char nick[8];

	LIST_FOR_EACH(stay, &ghost->stays, struct stay, link)
		if (strcmp(stay->room, room) == 0)
			return stay;
	stay = xcalloc(1, sizeof(*stay));
	stay->room = xstrdup(room);
	stay->joined = people_occupant(ghost->matrix->parts.people, NETWORK_MATRIX, room, ghost->person, nick, sizeof(nick));
	list_append(&ghost->stays, &stay->link);
	return stay;
}

/* ---- steps ---- */

static void
save(struct ghost *ghost)
{
	people_save_ghost(ghost->matrix->parts.people, NETWORK_MATRIX, ghost->person, &ghost->record);
}

static void
on_answer(void *context, const struct http_answer *answer);

static void
ask(struct ghost *ghost, const char *method, const char *path, const json_t *body)
{
	AUTO_STR struct str text;

	str_init(&text, 65536);
	if (body)
		json_add(&text, body);
	ghost->request = matrix_ask(ghost->matrix, method, path, body ? str_get(&text) : NULL, on_answer, ghost);
	ghost->matrix->asking++;
}

static bool
needs_register(struct ghost *ghost)
{
	return !ghost->registered;
}

static void
ask_register(struct ghost *ghost)
{
	json_t *body = json_pack("{s:s, s:s, s:b}", "type", "m.login.application_service", "username", ghost->localpart,
		"inhibit_login", 1);

	ask(ghost, "POST", "/_matrix/client/v3/register", body);
	json_decref(body);
}

static bool
took_register(struct ghost *ghost, const struct judged *judged)
{
	if (judged->is != JUDGED_FINE && strcmp(judged->errcode, "M_USER_IN_USE") != 0)
		return false;
	ghost->registered = true;
	if (!ghost->record.device[0])
		seal_random_text(ghost->record.device, 10, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
	FAULT_POINT("matrix_ghost_registered");
	save(ghost);
	return true;
}

/* Its keys are committed before the homeserver hears of the device. */
static bool
needs_account(struct ghost *ghost)
{
	return ghost->own && !ghost->own->living;
}

static void
ask_account(struct ghost *ghost)
{
	if (own_make(ghost->own, ghost->record.device, sizeof(ghost->record.device)))
		ghost->record.ready = false;
	save(ghost);
	FAULT_POINT("crypto_account_made");
	loop_timer_set(&ghost->retry, 0);
}

static bool
needs_device(struct ghost *ghost)
{
	return !ghost->record.ready;
}

static void
ask_device(struct ghost *ghost)
{
	AUTO_FREE char *path = matrix_path("/_matrix/client/v3/devices/%s?user_id=%s", ghost->record.device, ghost->record.address);
	json_t *body = json_pack("{s:s}", "display_name", BOT_NAME);

	ask(ghost, "PUT", path, body);
	json_decref(body);
}

static bool
took_device(struct ghost *ghost, const struct judged *judged)
{
	if (judged->is != JUDGED_FINE)
		return false;
	ghost->record.ready = true;
	save(ghost);
	return true;
}

static bool
needs_name(struct ghost *ghost)
{
	return ghost->name[0] && !ghost->name_refused && strcmp(ghost->name, ghost->record.name) != 0;
}

static void
ask_name(struct ghost *ghost)
{
	AUTO_FREE char *path = matrix_path("/_matrix/client/v3/profile/%s/displayname?user_id=%s", ghost->record.address,
		ghost->record.address);
	json_t *body = json_pack("{s:s}", "displayname", ghost->name);

	memcpy(ghost->put, ghost->name, sizeof(ghost->put));
	ask(ghost, "PUT", path, body);
	json_decref(body);
}

/* A name that is not taken costs the name, not the message. */
static bool
took_name(struct ghost *ghost, const struct judged *judged)
{
	if (judged->is != JUDGED_FINE) {
		ghost->name_refused = strcmp(ghost->put, ghost->name) == 0;
		log_warning(LOG_MATRIX, "a name was refused ghost=%s status=%ld errcode=%s", ghost->record.address, judged->status,
			judged->errcode);
		return true;
	}
	/* What was wanted may have changed meanwhile; then the next round asks again. */
	memcpy(ghost->record.name, ghost->put, sizeof(ghost->record.name));
	save(ghost);
	return true;
}

/* The next room to enter. */
static struct stay *
next_stay(struct ghost *ghost)
{
	struct stay *stay;

	LIST_FOR_EACH(stay, &ghost->stays, struct stay, link)
		if (stay->wanted && !stay->joined && !stay->refused_ms)
			return stay;
	return NULL;
}

static bool
needs_invite(struct ghost *ghost)
{
	ghost->target = next_stay(ghost);
	return ghost->target && ghost->target->invite;
}

static void
ask_invite(struct ghost *ghost)
{
	AUTO_FREE char *path = matrix_path("/_matrix/client/v3/rooms/%s/invite?user_id=%s", ghost->target->room, ghost->matrix->bot);
	json_t *body = json_pack("{s:s}", "user_id", ghost->record.address);

	ask(ghost, "POST", path, body);
	json_decref(body);
}

static void
refuse(struct stay *stay, const struct judged *judged)
{
	stay->refused_ms = now_monotonic_ms();
	stay->since_ms = 0;
	stay->why = matrix_says_banned(judged) ? REFUSAL_BANNED : REFUSAL_NOT_MEMBER;
	snprintf(stay->refusal, sizeof(stay->refusal), "%s: %.120s", judged->errcode, judged->error);
}

/* Being refused here may mean that it is invited already: the second join decides. */
static bool
took_invite(struct ghost *ghost, const struct judged *judged)
{
	(void)judged;
	ghost->target->invite = false;
	ghost->target->invited = true;
	return true;
}

static bool
needs_join(struct ghost *ghost)
{
	ghost->target = next_stay(ghost);
	return ghost->target != NULL;
}

static void
ask_join(struct ghost *ghost)
{
	AUTO_FREE char *path = matrix_path("/_matrix/client/v3/join/%s?user_id=%s", ghost->target->room, ghost->record.address);
	json_t *body = json_object();

	ask(ghost, "POST", path, body);
	json_decref(body);
}

static bool
took_join(struct ghost *ghost, const struct judged *judged)
{
	struct stay *stay = ghost->target;

	if (judged->is == JUDGED_FINE) {
		stay->joined = true;
		stay->joined_ms = now_monotonic_ms();
		stay->since_ms = 0;
		stay->invited = false;
		people_save_occupant(ghost->matrix->parts.people, NETWORK_MATRIX, stay->room, ghost->person, "", true);
		FAULT_POINT("matrix_ghost_joined");
	} else if (!stay->invited) {
		stay->invite = true;
	} else {
		refuse(stay, judged);
		log_warning(LOG_MATRIX, "a ghost may not enter room=%s ghost=%s why=\"%s\"", stay->room, ghost->record.address, stay->refusal);
	}
	return true;
}

/* What its keys need comes after all else, so that plain rooms do not wait for it. */
static bool
needs_burial(struct ghost *ghost)
{
	return ghost->own && own_lacks(ghost->own, true);
}

static bool
needs_keys(struct ghost *ghost)
{
	return ghost->own && own_lacks(ghost->own, false);
}

static void
ask_own(struct ghost *ghost)
{
	struct own_ask next;

	own_ask(ghost->own, ghost->step->needed == needs_burial, &next);
	ask(ghost, next.method, next.path, next.body);
	free(next.path);
	json_decref(next.body);
}

static bool
took_own(struct ghost *ghost, const struct judged *judged)
{
	return own_took(ghost->own, judged);
}

static const struct step steps[] = {
	{ "register", needs_register, ask_register, took_register },
	{ "account", needs_account, ask_account, NULL },
	{ "burial", needs_burial, ask_own, took_own },
	{ "device", needs_device, ask_device, took_device },
	{ "name", needs_name, ask_name, took_name },
	{ "invite", needs_invite, ask_invite, took_invite },
	{ "join", needs_join, ask_join, took_join },
	{ "keys", needs_keys, ask_own, took_own },
};

static void
advance(struct ghost *ghost)
{
	enum matrix_state state = ghost->matrix->state;

	if (ghost->request || loop_timer_armed(&ghost->retry) || (state != MATRIX_HERE && state != MATRIX_ARRIVING))
		return;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		if (steps[i].needed(ghost)) {
			ghost->step = &steps[i];
			steps[i].ask(ghost);
			return;
		}
	outbox_wake(ghost->matrix->parts.outbox);
}

static void
retry_later(struct ghost *ghost, int64_t delay_ms)
{
	int64_t backoff_ms = (int64_t)RETRY_MS << (ghost->failures < 6 ? ghost->failures : 6);

	ghost->failures++;
	if (backoff_ms > RETRY_MAX_MS)
		backoff_ms = RETRY_MAX_MS;
	loop_timer_set(&ghost->retry, delay_ms > backoff_ms ? delay_ms : backoff_ms);
}

static void
on_answer(void *context, const struct http_answer *answer)
{
	struct ghost *ghost = context;
	struct judged judged;

	FAULT_POINT("after_ghost_step");
	ghost->request = NULL;
	ghost->matrix->asking--;
	matrix_judge(ghost->matrix, answer, &judged);
	if (judged.is == JUDGED_AGAIN) {
		if (ghost->step->ask == ask_own)
			own_failed(ghost->own, &judged);
		retry_later(ghost, judged.delay_ms);
	} else if (ghost->step->took(ghost, &judged)) {
		ghost->failures = 0;
		/* In the next turn, when what was written is committed. */
		loop_timer_set(&ghost->retry, 0);
	} else {
		log_warning(LOG_MATRIX, "cannot prepare ghost=%s step=%s status=%ld errcode=%s error=\"%s\"", ghost->record.address,
			ghost->step->word, judged.status, judged.errcode, judged.error);
		retry_later(ghost, RETRY_MAX_MS / 4);
	}
	judged_fini(&judged);
}

/* ---- asked from outside ---- */

/* Names may be anybody's on XMPP. One that somebody here, or the bot, seems to have says where its bearer is (security S4). */
static void
mark_name(struct ghost *ghost, struct stay *stay)
{
	struct people *people = ghost->matrix->parts.people;

	if (ghost->marked || !stay || stay->compared)
		return;
	stay->compared = true;
	ghost->marked = look_alike(ghost->asked, BOT_NAME) || people_looks_taken(people, stay->room, ghost->asked);
}

static void
want_name(struct ghost *ghost, struct stay *stay, const char *name)
{
	char tidy[PEOPLE_NAME_MAX - sizeof(NAME_MARK)], wanted[PEOPLE_NAME_MAX];
	struct stay *each;

	look_tidy(name, tidy, sizeof(tidy));
	if (strcmp(tidy, ghost->asked) != 0) {
		snprintf(ghost->asked, sizeof(ghost->asked), "%s", tidy);
		snprintf(wanted, sizeof(wanted), "%s" NAME_MARK, tidy);
		ghost->marked = strcmp(wanted, ghost->record.name) == 0;
		LIST_FOR_EACH(each, &ghost->stays, struct stay, link)
			each->compared = false;
	}
	mark_name(ghost, stay);
	snprintf(wanted, sizeof(wanted), "%s%s", tidy, ghost->marked ? NAME_MARK : "");
	if (strcmp(wanted, ghost->name) == 0)
		return;
	memcpy(ghost->name, wanted, sizeof(wanted));
	ghost->name_refused = false;
}

static int64_t
refusal_ms(const struct ghost *ghost)
{
	return ghost->matrix->settings.refusal_ms ? ghost->matrix->settings.refusal_ms : REFUSAL_MS;
}

static enum ghost_readiness
work_on(struct ghost *ghost, struct stay *stay, const char *name)
{
	if (name)
		want_name(ghost, stay, name);
	if (stay) {
		stay->wanted = true;
		if (stay->refused_ms && now_monotonic_ms() - stay->refused_ms > refusal_ms(ghost))
			stay->refused_ms = 0;
		if (stay->refused_ms)
			return GHOST_REFUSED;
	}
	bool complete = ghost->registered && ghost->record.ready && !needs_name(ghost) && (!stay || stay->joined);
	bool keyless = ghost->own && !own_is_ready(ghost->own) && (needs_account(ghost) || needs_burial(ghost) || needs_keys(ghost));
	if (!complete || keyless)
		advance(ghost);
	return complete ? GHOST_READY : GHOST_BUSY;
}

/* Its message waits until it comes in: not for longer than GHOST_PATIENCE_MS. */
static void
lose_patience(struct ghost *ghost, struct stay *stay)
{
	int64_t now_ms = now_monotonic_ms();

	if (!stay->since_ms)
		stay->since_ms = now_ms;
	int64_t left_ms = stay->since_ms + GHOST_PATIENCE_MS - now_ms;
	if (!loop_timer_armed(&ghost->patience))
		loop_timer_set(&ghost->patience, left_ms > 0 ? left_ms : 0);
}

enum ghost_readiness
ghost_prepare(struct ghost *ghost, const char *room, const char *name)
{
	struct stay *stay = room ? stay_get(ghost, room) : NULL;
	enum ghost_readiness readiness = work_on(ghost, stay, name);

	if (readiness == GHOST_BUSY && stay && !stay->joined && *ghost->person)
		lose_patience(ghost, stay);
	return readiness;
}

enum ghost_readiness
ghost_foresee(struct ghost *ghost, const char *room, const char *name)
{
	struct stay *stay = stay_get(ghost, room);
	char tidy[PEOPLE_NAME_MAX - sizeof(NAME_MARK)];

	if (stay->joined)
		return work_on(ghost, stay, NULL);
	look_tidy(name ? name : "", tidy, sizeof(tidy));
	bool renamed = name && ghost->asked[0] && strcmp(tidy, ghost->asked) != 0;
	return renamed || ghost->matrix->asking >= FORESEEN_MAX ? GHOST_BUSY : work_on(ghost, stay, name);
}

int64_t
ghost_joined_ms(struct ghost *ghost, const char *room)
{
	return stay_get(ghost, room)->joined_ms;
}

enum ghost_readiness
ghost_prepare_keys(struct ghost *ghost)
{
	struct crypto *crypto = ghost->matrix->crypto;

	if (!crypto)
		return GHOST_REFUSED;
	if (!ghost->own)
		ghost->own = own_open(crypto, ghost, ghost->record.address, false);
	if (own_is_ready(ghost->own))
		return GHOST_READY;
	if (needs_register(ghost) || needs_account(ghost) || needs_burial(ghost) || needs_device(ghost) || needs_keys(ghost))
		advance(ghost);
	return GHOST_BUSY;
}

struct own *
ghost_own(const struct ghost *ghost)
{
	return ghost->own;
}

void
ghost_forget_keys(struct matrix *matrix)
{
	struct ghost *ghost;

	LIST_FOR_EACH(ghost, &matrix->ghosts, struct ghost, link)
		if (ghost->own)
			own_forget(ghost->own);
}

void
ghost_recall(struct ghost *ghost)
{
	if (!ghost->request && !loop_timer_armed(&ghost->retry))
		loop_timer_set(&ghost->retry, 0);
}

const char *
ghost_refusal(struct ghost *ghost, const char *room, enum refusal *why)
{
	const struct stay *stay = stay_get(ghost, room);

	*why = stay->why;
	return stay->refusal;
}

void
ghost_left(struct ghost *ghost, const char *room)
{
	struct stay *stay = stay_get(ghost, room);

	stay->joined = stay->wanted = stay->invite = stay->invited = false;
	stay->since_ms = stay->refused_ms = 0;
	people_save_occupant(ghost->matrix->parts.people, NETWORK_MATRIX, room, ghost->person, "", false);
}

void
ghost_lost_device(struct ghost *ghost, const char *device)
{
	if (strcmp(ghost->record.device, device) != 0)
		return;
	ghost->registered = ghost->record.ready = false;
	if (ghost->own)
		own_die(ghost->own, "the homeserver does not know it");
	save(ghost);
}

static void
ghost_free(struct ghost *ghost)
{
	struct stay *stay;

	http_cancel(ghost->request);
	loop_timer_stop(&ghost->retry);
	loop_timer_stop(&ghost->patience);
	LIST_FOR_EACH(stay, &ghost->stays, struct stay, link) {
		list_remove(&stay->link);
		free(stay->room);
		free(stay);
	}
	list_remove(&ghost->link);
	own_close(ghost->own);
	free(ghost->person);
	free(ghost->localpart);
	free(ghost);
}

void
ghost_free_all(struct matrix *matrix)
{
	struct ghost *ghost;

	LIST_FOR_EACH(ghost, &matrix->ghosts, struct ghost, link)
		ghost_free(ghost);
}
