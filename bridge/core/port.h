/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_PORT_H
#define CORE_PORT_H

/*
 * What a network must offer to the core, and the vocabulary they share. The core calls a
 * port only through struct port_ops; a port calls the core only through inbox.h, outbox.h and people.h.
 *
 * The turn. Everything happens in turns of the loop. While callbacks run, writes go into one open
 * transaction; at the end of the turn it is committed, then store_after_commit() callbacks run (the 200 to
 * the homeserver), then the relay judges what was accepted and the outbox marks what may go, in a second
 * transaction, and only after its commit send() is called. So nothing is acknowledged or sent
 * that was not committed first.
 *
 * Addresses. A room is named by its Matrix room id ("!x:hs") or its MUC's bare JID. A lane is where outbox
 * rows queue in order: a room's address, or a person's private address, which only the port of that network
 * reads: "@alice:hs" (Matrix, the bot's direct room), "bob@example.org" (XMPP chat with the bot's JID),
 * "marketing@rooms.example.org/Bob" (XMPP, private message through the room).
 */

#include "base/mem.h"
#include "base/str.h"
#include "rules/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct port;
struct port_ops;
struct group;

/* Somebody who writes. All borrowed, NUL-terminated UTF-8. */
struct author {
	const char *person; /* "@alice:hs", "xmpp:bob@example.org", or "xmpp:ROOM/key" where the JID is not known; NULL: our bot */
	const char *stem;   /* what his ghost's address is made of: an MXID without its sigil, a bare JID, or an alias; NULL for the bot */
	const char *name;   /* display name or nick, as foreign as it came */
};

enum incoming_kind {
	INCOMING_NOTHING, /* of no interest: settled at once */
	INCOMING_MESSAGE, /* somebody said something */
	INCOMING_POISON,  /* cannot be read: quarantined; `reason` says why */
	/*
	 * What it takes to read it is on its way. The row and all that follows it in its room wait in their order, until the port calls
	 * inbox_retry(), which it must do within a bounded time; a restart reads them again by itself.
	 */
	INCOMING_LATER,
	/*
	 * It did not come in time. The row leaves its place, so that the room goes on, and its author is told `reason`. The port calls
	 * inbox_retry_aside() when it came all the same, and in any case when it gives up, to answer INCOMING_LOST.
	 */
	INCOMING_ASIDE,
	INCOMING_VERIFICATION, /* somebody asks one of ours, `asked`, to prove who he is, interactively: declined */
	INCOMING_WITHDRAWAL,   /* `author`, or a `moderator`, takes back what was said as `reply_to` in the same room */
	INCOMING_LOST,    /* will never be read: destroyed, counted as refused; its author is told `reason`, unless he was before */
};

/* One inbox row, read. Everything points into the arena given to read(), or is static. */
struct incoming {
	enum incoming_kind kind;
	struct author author;
	struct author asked;  /* of VERIFICATION: a ghost's, with no name; person NULL: the bot */
	enum message_kind message;
	const char *text;     /* clean (str_clean), fallbacks stripped; never NULL for a message */
	const char *reply_to; /* source id of the message that this one answers, or NULL */
	const char *reply_address; /* lane for a private answer to the author */
	bool moderator;       /* decisions 2.2, at the moment of the message */
	bool live;            /* false: from an archive; may be bridged, is never obeyed */
	bool stray;           /* its server brought it late, behind what followed it: shown with the instant of its writing (delivery 1.1) */
	bool unencrypted;     /* said in the clear in a room that is encrypted */
	bool direct;          /* said to the bot alone, not to a room of a group */
	const char *direct_room; /* with `direct`: the room whose group is meant (a private message through a MUC), or NULL */
	int64_t origin_ms;    /* by its server's clock; for display only */
	const char *reason;   /* of poison; of ASIDE and LOST a sentence for people, marked N_(); of VERIFICATION what to answer */
	/*
	 * What is kept of the row in place of its raw bytes while it may be judged again, for it could perhaps not be read a second
	 * time; read() takes it like any. NULL: the bytes themselves.
	 */
	const char *keep;
	size_t keep_size;
};

enum outgoing_kind {
	OUTGOING_MESSAGE, /* somebody's message, by his ghost */
	OUTGOING_ROOM,    /* the bot to a room, as a notice */
	OUTGOING_PRIVATE, /* the bot to one person, as a notice */
	OUTGOING_MARK,    /* the bot's reaction to a message: `text` is the emoji, `reply_to` the message (Matrix only) */
	OUTGOING_UNMARK,  /* takes the bot's reaction `reply_to` back (Matrix only) */
	OUTGOING_DECLINE, /* `reply_to` asked its author, or the bot, to verify himself: declined, because of `text` (Matrix only) */
};

/* What render() turns into bytes. All borrowed. */
struct outgoing {
	enum outgoing_kind kind;
	const char *name;     /* the row's name: Matrix transaction id, XMPP id and origin-id */
	const char *lane;
	struct author author; /* person NULL: the bot speaks, `text` is complete */
	enum message_kind message;
	const char *text;     /* clean; fits (port_ops.fits) */
	const char *html;     /* a Matrix formatted body of our own making, or NULL; XMPP ignores it */
	const char *reply_to; /* id, in the lane's network, of the message this one answers, or NULL */
	const char *thread;   /* Matrix: id of the message under which a command's answer is put, or NULL */
	int64_t delay_ms;     /* XEP-0203 stamp (written at, UTC) for what is released late; 0: none */
};

/* A row that the outbox hands to a port: what render() made, to be sent as it is. Borrowed until the call returns. */
struct sending {
	int64_t id;        /* the row; for outbox_settled() and its kin */
	const char *name;
	const char *lane;
	enum outgoing_kind kind;
	struct author author; /* as rendered; person NULL: the bot */
	const char *payload;  /* NUL-terminated, `size` bytes */
	size_t size;
	bool tried;        /* it was handed out before, perhaps by an earlier process */
};

/* What somebody may do in a room, and why (decisions 2.2). All from the room's state as it is now. */
struct rights {
	bool known;              /* the port is in the room and sees the person */
	bool operator;           /* permissions: */
	bool moderator;          /* by the room alone */
	bool creator;            /* Matrix: his power has no limit */
	int64_t level, needed;   /* Matrix: power, and state_default */
	const char *affiliation; /* XMPP: "owner", "admin", "member", "none"; static; NULL on Matrix */
};

/* How a room stands, for people. */
struct standing {
	bool connected;      /* the network's server takes us */
	int64_t since_ms;    /* real time: since when `connected` is as it is; 0: since the start */
	bool inside;         /* the bot is in the room and its gap is filled */
	const char *trouble; /* the far side's or our own English words on what keeps us out; NULL. Lent until the next call */
	unsigned keyless;    /* Matrix: encrypted messages of this room whose key has not come yet */
	unsigned ghosts;     /* of people of the other network, in the room now */
	bool overflowing;    /* some of them speak through the bot, because the room is full of ghosts */
};

/* What a port knows of a room's encryption. Once encrypted, a room counts so for ever. */
enum encryption {
	ENCRYPTION_UNKNOWN, /* not asked yet */
	ENCRYPTION_OFF,
	ENCRYPTION_ON,
	ENCRYPTION_DENIED,  /* it was on, and the room's state does not say so any more */
};

/* An arena: what read() allocates lives until the row is done. Zeroed; arena_copy(NULL) is NULL. */
struct arena;
void *arena_take(struct arena *arena, size_t size) MUST_USE;
char *arena_copy(struct arena *arena, const char *text) MUST_USE;

/* One message of a room's archive, for the audit (core/audit.h). Lent for the call. */
struct archived {
	const char *id;   /* source id: event id, stanza-id */
	const char *name; /* ours: the row's name that it carries; "" otherwise */
	int64_t at_ms;    /* by its server's clock */
	bool own;         /* said by one of ours */
	bool missing;     /* of others, and it never reached us */
};

/* What read_archive() reads for. Lives until done() was called, which happens once. */
struct archive_reader {
	int64_t since_ms; /* server time */
	bool repair;      /* what is missing is accepted, as from any archive */
	void (*each)(void *context, const struct archived *archived); /* oldest first */
	void (*done)(void *context, const char *failure); /* NULL: all was read; else why not, a static sentence */
	void *context;
};

struct port_ops {
	enum network network;

	/* Starts connecting; returns at once. 0 or -errno. Afterwards the port works by loop callbacks. */
	int (*start)(struct port *port);

	/* Leaves in order as far as that takes no waiting; afterwards no callback comes any more. */
	void (*stop)(struct port *port);

	/*
	 * Reads the raw bytes of an inbox row of this port. Deterministic but for what the port has learnt of
	 * the room meanwhile (names, power); must survive any bytes. Fills *out.
	 */
	void (*read)(struct port *port, const char *room, const char *raw, size_t size, struct arena *arena, struct incoming *out);

	/* Bytes for the wire, complete but for what the connection adds. Deterministic. `out` is empty on entry. */
	void (*render)(struct port *port, const struct outgoing *outgoing, struct str *out);

	/* How many leading bytes of `text` fit into one part (on a character boundary, > 0 for non-empty text). */
	size_t (*fits)(struct port *port, const char *text, size_t n);

	/*
	 * How many more rows of this lane the port can take now; 0 while it is not connected, not in the room,
	 * not reconciled or its window is full. `author` of the lane's next row lets it prepare that ghost.
	 * When the answer may have changed from 0 the port calls outbox_wake().
	 */
	unsigned (*ready)(struct port *port, const char *lane, const struct author *author);

	/*
	 * Sends a row, after its intent was committed. Rows of one lane come in order. The port must answer
	 * exactly once, now or later, by outbox_settled(), outbox_refused(), outbox_again() or outbox_lost().
	 */
	void (*send)(struct port *port, const struct sending *row);

	/* Called at the end of each turn, after all send(): one write for everything. */
	void (*flush)(struct port *port);

	/*
	 * The turn's writes were rolled back: nothing that the port told inbox, outbox or people in it has happened. The port
	 * drops what is under way and starts over as after a restart: archives are read from the kept cursors, rows in doubt
	 * are asked after. It stays disconnected, or answers 503, as long as inbox_has_room() says no.
	 */
	void (*reset)(struct port *port);

	/*
	 * The group, or visit, has a room on this network: enters it, or takes over the room if the port is in it already for
	 * another group. Answers by plumb_entered() or plumb_refused() (plumb.h), again whenever that changes. Idempotent.
	 */
	void (*enter)(struct port *port, struct group *group);

	/* The group's ghosts and the bot leave its room for good, as far as the connection stands; then plumb_left(). */
	void (*leave)(struct port *port, struct group *group);

	/* What `person` (as in struct author) may do in this room now. Fills *out. */
	void (*rights)(struct port *port, const char *room, const char *person, struct rights *out);

	/* Fills *out. */
	void (*stand)(struct port *port, const char *room, struct standing *out);

	/* Whether a room is encrypted, by its address. When that has changed the port calls plumb_look(). NULL: this network's rooms never are. */
	enum encryption (*encryption)(struct port *port, const char *room);

	/* Reads a room's archive from an instant on, page by page; done() may come from within the call. NULL: it cannot. */
	void (*read_archive)(struct port *port, const char *room, const struct archive_reader *reader);
};

struct port {
	const struct port_ops *ops;
};

#endif
