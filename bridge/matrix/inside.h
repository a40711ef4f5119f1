/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATRIX_INSIDE_H
#define MATRIX_INSIDE_H

/* What the files of the Matrix port share. Nobody outside bridge/matrix includes it. */

#include "base/json.h"
#include "base/list.h"
#include "matrix/appservice.h"
#include "matrix/http.h"
#include "matrix/matrix.h"

enum matrix_state {
	MATRIX_AWAY,     /* the homeserver does not answer; it is probed */
	MATRIX_ARRIVING, /* it answers; the bot is prepared */
	MATRIX_HERE,     /* rooms are entered, rows are sent */
	MATRIX_REFUSED,  /* it refuses us for good: matrix_failure() */
	MATRIX_STOPPED,
};

struct matrix {
	struct port port; /* first: the core holds a pointer to it */
	struct matrix_settings settings;
	struct matrix_parts parts;
	struct crypto *crypto;   /* owns; NULL: nothing is encrypted */
	struct http *http;
	struct appservice *appservice;
	struct appservice_calls calls;
	enum matrix_state state;
	char *bot;               /* MXID */
	char *failure;
	int64_t started_ms;      /* real time */
	int64_t changed_ms;      /* real time: since when it is here, or away */
	int64_t arrived_ms;      /* monotonic */
	unsigned long arrivals;
	int64_t forgot_ms;       /* real time: when a device of ours was last given up, and what the homeserver remembers of it; 0: never */
	int64_t arriving_ms;     /* monotonic: when the homeserver first answered again */
	int64_t settle_ms;       /* patience after the arrival, see settling_ms() in room.c */
	struct http_request *request; /* of the arrival: probe, ping, rooms */
	struct http_request *sync;
	char *since;
	bool polls_device;       /* `sync` is that of the bot's device, with what it was sent */
	struct list expelled;    /* owns: expelled::link */
	struct survey *survey;   /* owns: an audit's reading, or NULL */
	struct loop_timer probe; /* next attempt to arrive */
	struct loop_timer ping;  /* after a 503 of ours */
	struct loop_timer refill; /* archives are read again */
	bool refilled_soon;
	struct list rooms;       /* owns: room::link */
	struct list walks;       /* borrows: room::turn */
	unsigned walking;        /* requests of rooms under way */
	unsigned asking;         /* ghosts with a request under way */
	struct list ghosts;      /* owns: ghost::link */
	struct list lanes;       /* owns: lane::link */
	struct list ciphers;     /* owns: cipher::link */
	bool no_archive;         /* tests only: gaps are not filled */
	bool encrypts_again;     /* tests only: a row is encrypted anew each time that it is sent, and named by that */
};

/* ---- asking the homeserver ---- */

enum judgement {
	JUDGED_FINE,  /* 2xx */
	JUDGED_AGAIN, /* nothing came, 429, 5xx, or a refusal that is not the homeserver's own but a proxy's: later, the same */
	JUDGED_NO,    /* it will stay so */
};

struct judged {
	enum judgement is;
	long status;
	int64_t delay_ms; /* that a 429 asks for, with its margin; else 0 */
	json_t *json;     /* owns; NULL when the body is none */
	char errcode[64]; /* "" when there is none */
	char error[160];  /* the homeserver's or curl's sentence, for the log */
};

/*
 * Reads an answer, and acts on what concerns the whole port: a connection that broke means the homeserver is gone, an unknown
 * token that it refuses us. Followed by judged_fini().
 */
void matrix_judge(struct matrix *matrix, const struct http_answer *answer, struct judged *out);
void judged_fini(struct judged *judged);
/* Refused at a room's door because of a ban. No code of the specification says so: by Synapse's code, else by the words. */
bool matrix_says_banned(const struct judged *judged);

/* The path of a request: each %s of the format is replaced by the next argument, percent-encoded. malloc'd. */
char *matrix_path(const char *format, ...) PRINTF_LIKE(1, 2) MUST_USE;
struct http_request *matrix_ask(struct matrix *matrix, const char *method, const char *path, const char *body,
		void (*done)(void *context, const struct http_answer *answer), void *context);

/* ---- who is who ---- */

/* Written while no process of ours was there. */
bool matrix_is_late(const struct matrix *matrix, int64_t stamp_ms);

/* A copy with its NUL; false when there is none or it cannot be an id that we know how to keep. */
bool matrix_take_id(struct span span, char *out, size_t size) MUST_USE;

/* permissions: admin. */
bool matrix_is_operator(const struct matrix *matrix, const char *person);

/* Whether this MXID is of our homeserver. */
bool matrix_is_local(const struct matrix *matrix, const char *mxid, size_t n);

/* Whether this MXID is the bot's or one of our ghosts'. */
bool matrix_is_own(const struct matrix *matrix, const char *mxid, size_t n);

#endif
