/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XMPP_INSIDE_H
#define XMPP_INSIDE_H

/* What the files of the port share: its structs, and nothing that the core could see. */

#include "base/hush.h"
#include "base/list.h"
#include "base/loop.h"
#include "base/mem.h"
#include "core/port.h"
#include "xmpp/ghost.h"
#include "xmpp/jabber.h"
#include "xmpp/sent.h"
#include "xmpp/stanza.h"
#include "xmpp/stream.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct room;

/* One occupant of ours in one room: a ghost, or the listener. */
struct member {
	struct list link;    /* room::members; the listener is in no list */
	struct list queue;   /* service::joins, while its join waits for others */
	struct room *room;
	char *person, *stem; /* owns; NULL for the listener */
	char *name;          /* owns: as the nick was made of it; NULL when it was not made by this process */
	char *jid;           /* owns: full */
	char *nick;          /* owns: the one it has, or tries to get */
	enum ghost_state state;
	enum ghost_reason reason;
	unsigned conflicts;  /* of this join */
	unsigned failures;   /* joins since the last success */
	unsigned long epoch; /* room::epoch when its join was sent */
	bool joining;        /* counted in service::joining */
	bool simple;         /* its nick was simplified once */
	bool let_in;         /* the bot has made it a member of the room once, since it was last inside */
	char *said;          /* owns: the room's own words for why it was refused or sent away, or NULL */
	char *renamed;       /* owns: the nick made of a name that cannot be one, until its person was told; or NULL */
	int64_t alive_ms;    /* last sign that it is in */
	int64_t spoke_ms;    /* monotonic: last message; since the process began for those that were there before */
	struct loop_timer timer;
};

/* Anybody in a room, as the listener sees him. */
struct occupant {
	struct occupant *next; /* of its bucket */
	char *nick;            /* owns */
	char *jid;             /* owns: real bare JID, or NULL */
	char *occupant_id;     /* owns: trusted, or NULL */
	bool moderator;        /* affiliation owner or admin */
	const char *affiliation; /* static: "owner", "admin", "member", "none" */
	unsigned long epoch;   /* when he came, in room::epoch */
};

struct occupants {
	struct occupant **buckets; /* owns all */
	size_t bucket_count, count;
};

enum room_phase {
	ROOM_OUT,      /* no stream, or waiting for another try */
	ROOM_ASKING,   /* disco#info on its way */
	ROOM_JOINING,  /* the listener joins */
	ROOM_MAKING,   /* we created it and configure it */
	ROOM_CATCHING, /* the archive is read from the cursor on; the gate is closed */
	ROOM_SETTLING, /* the archive is read backwards for what may have been sent */
	ROOM_READY,
	ROOM_SHUT,     /* it does not let us in */
};

/* A row of a room, sent and not yet reflected; or a private one, sent and not yet behind a barrier. */
struct speech {
	struct list link; /* room::speeches or jabber::privates */
	int64_t id;
	char *name;            /* owns */
	struct member *member; /* who said it; NULL for a private one */
	int64_t sent_ms;       /* monotonic */
	int64_t sent_real_ms;
	char *lane;            /* private: owns */
	uint64_t position;     /* private: of its last byte in the stream */
	bool handed;           /* private: the kernel has it, and sent.h knows */
	unsigned long barrier; /* private: the ping that it waits for; 0: none was sent yet */
};

/* A reading of the archive, in pages. */
struct archive {
	enum archive_aim { ARCHIVE_NONE, ARCHIVE_NEWEST, ARCHIVE_GAP, ARCHIVE_DOUBTS } aim;
	char query_id[40];
	char *page_end;      /* owns: id to go on from */
	size_t page_count;
	int64_t oldest_ms;   /* of the page */
	int64_t until_ms;    /* backwards: how far */
	char until_id[128];  /* or to this message, "": unknown */
	bool met;            /* it was there */
	int64_t start_ms;    /* forwards: lower bound; 0 none */
	unsigned failures;   /* in a row */
	int64_t failing_ms;  /* monotonic: since the first of them; 0: none */
	bool lost_anchor;    /* the archive does not know the cursor's id */
};

/* What was read of a gap, until the gate can be opened with it. */
struct gap {
	char **ids;          /* owns, and each: source ids in the archive's order */
	size_t count, room;
	char *last_id;       /* owns: the newest seen */
	int64_t last_ms;
	int64_t waiting_ms;  /* monotonic: read, but other rooms' addresses are not known since then; 0: not waiting */
};

struct service; /* pace.c: the MUC service of a room */

struct room {
	struct list link;  /* jabber::rooms */
	struct list queue; /* service::rooms, while it waits to be entered */
	struct room *next_by_jid, *next_by_address; /* of their buckets */
	struct service *service;
	bool entering;    /* counted in service::entering */
	struct jabber *jabber;
	char *address;    /* owns: as the core calls it */
	char *jid;        /* owns: as the server calls it */
	enum room_phase phase;
	bool described;   /* disco#info was answered since the stream is up */
	bool has_archive, has_ids, has_occupant_ids, open_names, members_only;
	bool cleans_archive; /* real JIDs in its archive are the service's own words */
	bool destroyed;   /* by its owner: it is not made again */
	bool seen_history; /* the listener asked for history instead of the archive */
	struct member *listener; /* owns */
	struct list members;     /* owns: member::link */
	size_t member_count;
	struct occupants occupants;
	unsigned long epoch;
	struct list speeches; /* owns: speech::link */
	unsigned speech_count;
	struct archive archive;
	struct gap gap;
	struct member *awaited; /* the lane's next row is his */
	int64_t awaited_ms;     /* since, monotonic */
	struct member *hopeless; /* he was waited for long enough: a tried row of his is refused */
	int64_t heard_ms;       /* last stanza from the room, monotonic */
	unsigned failures;      /* entries since the last success */
	struct loop_timer retry;    /* ROOM_OUT: enter again */
	int64_t hole_ms;            /* real time: since when its archive was kept from us, and the cursor passed it; 0: nowhere */
	struct loop_timer asking;   /* its archive, once more */
	struct loop_timer gate;     /* the gap is read: look whether the gate may be opened */
	struct loop_timer overflow; /* the awaited one takes too long */
	struct loop_timer watch;    /* reflections that do not come */
	struct loop_timer pulse;    /* self-pings */
};

struct review;

#define CALLERS_MAX 64
#define ROOM_BUCKETS 256
#define ASKERS_MAX 64

/* Who asks how much of us, by the hash of his address; those who meet in a bucket share it. */
struct disco {
	struct {
		int64_t at_ms; /* when `left` was right, monotonic */
		unsigned left; /* requests that will still be answered */
	} askers[ASKERS_MAX];
	struct hush hush;
};

struct jabber {
	struct port port; /* first */
	struct jabber_settings settings;
	struct jabber_parts parts;
	xmpp_ctx_t *ctx;       /* owns */
	struct stream *stream; /* owns */
	struct requests requests;
	struct list rooms;     /* owns: room::link */
	struct review *review; /* owns: an audit's reading, or NULL */
	struct room *by_jid[ROOM_BUCKETS], *by_address[ROOM_BUCKETS]; /* the same */
	struct list services;  /* owns: service::link */
	char *bot;             /* owns: "bot@COMPONENT" */
	char *listener;        /* owns: "bot@COMPONENT/sourdine" */
	char *nick;            /* owns: prepared */
	unsigned speech_count; /* of all rooms */
	struct sent *sent;     /* owns; or NULL */
	struct list privates;  /* owns: speech::link */
	unsigned private_count;
	unsigned long barrier, barriers_answered; /* pings behind private messages: sent, come back */
	char *callers[CALLERS_MAX]; /* owns: bare JIDs that last wrote to the component's own address; a ring */
	size_t next_caller;
	int64_t changed_ms;    /* real time: since when the stream is up, or down */
	struct hush hush;      /* about what is ignored, by the sender's bare JID */
	struct disco disco;
	bool commit_watched;
	bool starting_over;    /* the stream is dropped by ourselves: what the kernel has will be read */
	bool blind, no_archive; /* faults on purpose: SOURDINE_BREAK */
};

/* ---- small ones, in jabber.c ---- */

/* Writes and queues; the stanza is freed. One that cannot leave is logged and dropped. */
void jabber_send(struct jabber *jabber, xmpp_stanza_t *stanza);
/* Completes an iq (which has from and to) with an id, waits for its answer, and sends it. */
void jabber_ask(struct jabber *jabber, xmpp_stanza_t *iq, int64_t timeout_ms, stanza_answered *answered, void *context);
/* Counts a stanza that pretends to be one of ours, or to come from a room's service. */
void jabber_note_forged(struct jabber *jabber, const char *from, const char *what);

#endif
