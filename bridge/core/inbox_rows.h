/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_INBOX_ROWS_H
#define CORE_INBOX_ROWS_H

/* The core's side of the inbox: what was accepted, in the order of judging. Ports use inbox.h. */

#include "base/seal.h"
#include "core/groups.h"
#include "core/inbox.h"
#include "store/store.h"

enum inbox_state {
	INBOX_NEW,         /* to be judged */
	INBOX_GATED,       /* waits for its room's gate */
	INBOX_DONE_STATE,  /* judged, or of no interest */
	INBOX_QUARANTINED, /* could not be read or judged; `reason` says why */
	INBOX_STALLED,     /* cannot be read yet, or stands behind one of its room that cannot */
	INBOX_ASIDE,       /* cannot be read yet, and the room went on without it */
};

/* What judging made of a row; the ledger (ledger.h) adds them up. */
enum inbox_fate {
	FATE_OPEN,        /* not judged yet */
	FATE_IGNORED,     /* nothing of interest: an echo, a command, a room of no group */
	FATE_RELAYED,     /* carried by `copies` rows of the outbox */
	FATE_DIGESTED,    /* only in digests */
	FATE_REJECTED,    /* by a rule; its author was told */
	FATE_REFUSED,     /* could not be carried; its author was told */
	FATE_QUARANTINED, /* could not be read or judged: kept raw */
};

/* How a row ends. */
struct inbox_end {
	enum inbox_state state;
	enum inbox_fate fate;
	int copies;
	bool keep_raw;      /* a held message is judged again when the charter changes */
	const char *reason; /* of quarantine, or NULL */
};

struct inbox_row {
	int64_t seq;
	enum network network;
	char *room, *source_id; /* owned by the row */
	char *raw;              /* owned by the row; NULL once erased */
	size_t size;
	int64_t received_ms;    /* the one clock sample: when it was accepted, by the rules' clock */
	int attempts;           /* 1 for a new row */
	bool recovered;         /* accepted by an earlier process */
};

struct inbox *inbox_open(struct store *store, struct seal *seal, struct groups *groups) MUST_USE;
void inbox_close(struct inbox *inbox);

/* The next row to judge; false when there is none. The caller ends it with inbox_row_fini(). */
bool inbox_next(struct inbox *inbox, struct inbox_row *row);
/* A row by its number, for judging a held message again; false when it is unknown. */
bool inbox_get(struct inbox *inbox, int64_t seq, struct inbox_row *row);
void inbox_row_fini(struct inbox_row *row);

/* One more attempt: committed before the work, so that a row that kills the process is recognised. */
void inbox_attempt(struct inbox *inbox, int64_t seq);
/* Ends a row; its raw bytes are destroyed unless end->keep_raw. */
void inbox_finish(struct inbox *inbox, int64_t seq, const struct inbox_end *end);
/* What is kept of a row while it may be judged again, instead of its raw bytes: sealed like them. After inbox_finish(). */
void inbox_replace(struct inbox *inbox, int64_t seq, const void *raw, size_t size);
/* This row, the next one to judge, and all of its room wait for inbox_retry(). */
void inbox_stall(struct inbox *inbox, const struct inbox_row *row);
/* This one waits alone, for inbox_retry_aside(). */
void inbox_put_aside(struct inbox *inbox, const struct inbox_row *row);
/* Destroys the raw bytes, unless something of this row still waits in the outbox. */
void inbox_erase(struct inbox *inbox, int64_t seq);
/* What inbox_has_room() answers from now on. */
void inbox_set_room(struct inbox *inbox, bool room);
/* Closes every gate: a turn was rolled back, and with it what the gates were opened for. */
void inbox_close_all(struct inbox *inbox);
/* Whether the group has a room on that network which is not read up to now. */
bool inbox_is_behind(struct inbox *inbox, const struct group *group, enum network network);
/* How many gates were opened since the start: another number, and somebody may be behind no longer. */
unsigned inbox_openings(const struct inbox *inbox);
/* Rows behind the room's gate are judged now, in the order in which they came. The gate stays as it is. */
void inbox_ungate(struct inbox *inbox, const char *room);
/* The row of a source id; 0 when unknown. */
int64_t inbox_seq(struct inbox *inbox, const char *room, const char *source_id);

#endif
