-- SPDX-License-Identifier: Apache-2.0
-- The schema of a new database. Old ones reach the same by the steps in migrations.c; a test compares both ends.
-- Columns named raw, payload, text or body hold sealed bytes (base/seal.h) and become NULL once nobody needs them.
-- Instants are milliseconds since the epoch, UTC. Networks: 0 Matrix, 1 XMPP.

CREATE TABLE meta (
	key TEXT PRIMARY KEY,
	value TEXT NOT NULL
) WITHOUT ROWID;

-- Where the archive of a room was last read to without a gap.
CREATE TABLE room (
	address TEXT PRIMARY KEY,
	network INTEGER NOT NULL,
	cursor TEXT NOT NULL,
	cursor_ms INTEGER NOT NULL
) WITHOUT ROWID;

-- Everything that ever arrived, for ever: the ids alone are what keeps a message from being seen twice.
CREATE TABLE inbox (
	seq INTEGER PRIMARY KEY AUTOINCREMENT,
	network INTEGER NOT NULL,
	room TEXT NOT NULL,
	source_id TEXT NOT NULL,
	place INTEGER NOT NULL,          -- the order of judging
	raw BLOB,
	received_ms INTEGER NOT NULL,    -- the rules' clock
	state INTEGER NOT NULL,          -- enum inbox_state
	attempts INTEGER NOT NULL DEFAULT 1,
	reason TEXT,                     -- of quarantine
	fate INTEGER NOT NULL DEFAULT 0, -- enum inbox_fate: what judging made of it
	copies INTEGER NOT NULL DEFAULT 0, -- outbox rows that carry it; the ledger counts them
	UNIQUE (room, source_id)
);
CREATE INDEX inbox_new ON inbox (place) WHERE state = 0;
CREATE INDEX inbox_gated ON inbox (room, place) WHERE state = 1;
CREATE INDEX inbox_place ON inbox (place);
CREATE INDEX inbox_stalled ON inbox (room) WHERE state = 4;
CREATE INDEX inbox_aside ON inbox (seq) WHERE state = 5;

-- Why: one row a judged message. Never its text.
CREATE TABLE decision (
	inbox_seq INTEGER PRIMARY KEY REFERENCES inbox (seq),
	grp TEXT NOT NULL,
	person TEXT NOT NULL,
	reply_lane TEXT NOT NULL,        -- where its author can be told in private
	revision INTEGER NOT NULL,
	at_ms INTEGER NOT NULL,
	due_ms INTEGER NOT NULL,
	period_ms INTEGER NOT NULL,
	notice INTEGER NOT NULL,
	target TEXT NOT NULL,
	reason TEXT NOT NULL,
	stages TEXT NOT NULL             -- "action rule inputs name" of each stage, parted by newlines
);
CREATE INDEX decision_person ON decision (grp, person, inbox_seq);

CREATE TABLE outbox (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	place INTEGER NOT NULL,          -- the order within the lane
	network INTEGER NOT NULL,
	lane TEXT NOT NULL,
	name TEXT NOT NULL UNIQUE,
	kind INTEGER NOT NULL,           -- enum outgoing_kind
	grp TEXT NOT NULL,
	inbox_seq INTEGER,               -- what it came from, or NULL
	part INTEGER NOT NULL DEFAULT 0,
	person TEXT,                     -- author; NULL: the bot
	stem TEXT,
	author TEXT,                     -- his name, as rendered
	text BLOB,
	payload BLOB,
	state INTEGER NOT NULL,          -- enum outbox_state
	held INTEGER NOT NULL DEFAULT 0, -- 1: by a rule, planned again when the charter changes; 2: released
	due_ms INTEGER NOT NULL,         -- the rules' clock
	tries INTEGER NOT NULL DEFAULT 0,
	first_try_ms INTEGER,            -- real time
	remote_id TEXT,
	reason TEXT,
	strikes INTEGER NOT NULL DEFAULT 0 -- how often it was out when the far side ended the stream
);
CREATE INDEX outbox_open ON outbox (lane, place, due_ms) WHERE state IN (0, 1);
CREATE INDEX outbox_due ON outbox (due_ms) WHERE state IN (0, 1);
CREATE INDEX outbox_flying ON outbox (network) WHERE state = 2;
CREATE INDEX outbox_source ON outbox (inbox_seq);
CREATE INDEX outbox_refused ON outbox (grp) WHERE state = 4;
CREATE INDEX outbox_remote ON outbox (remote_id) WHERE remote_id IS NOT NULL;

-- What a digest may be made of; kept only while somebody subscribes.
CREATE TABLE item (
	seq INTEGER PRIMARY KEY AUTOINCREMENT,
	grp TEXT NOT NULL,
	inbox_seq INTEGER NOT NULL,
	person TEXT NOT NULL,
	author TEXT NOT NULL,
	body BLOB,
	origin_ms INTEGER NOT NULL,
	due_ms INTEGER NOT NULL,         -- not in a digest before
	room_digest INTEGER NOT NULL DEFAULT 0 -- a rule said digest: bits, 1 << network, of the rooms that are owed it
);
CREATE INDEX item_group ON item (grp, seq);

CREATE TABLE subscription (
	person TEXT NOT NULL,
	grp TEXT NOT NULL,
	network INTEGER NOT NULL,
	lane TEXT NOT NULL,              -- where the digest goes; a room's address for what rules batch for the room
	after_seq INTEGER NOT NULL,      -- items up to here came before
	since_ms INTEGER NOT NULL,       -- slots up to here are past
	PRIMARY KEY (person, grp)
) WITHOUT ROWID;

-- One row a slot, for ever: the key is what makes a digest go out once.
CREATE TABLE digest (
	person TEXT NOT NULL,            -- or a room's address, for a room's digest
	grp TEXT NOT NULL,
	slot TEXT NOT NULL,              -- "2026-10-26/09:00"
	from_seq INTEGER NOT NULL,
	to_seq INTEGER NOT NULL,
	messages INTEGER NOT NULL,       -- 0: empty, nothing was sent
	frozen_ms INTEGER NOT NULL,
	PRIMARY KEY (person, grp, slot)
) WITHOUT ROWID;

CREATE TABLE charter (
	grp TEXT NOT NULL,               -- "" is the site block
	revision INTEGER NOT NULL,
	text TEXT NOT NULL,
	actor TEXT NOT NULL,
	at_ms INTEGER NOT NULL,
	PRIMARY KEY (grp, revision)
) WITHOUT ROWID;

-- A command that waits for its author's yes.
CREATE TABLE pending (
	person TEXT NOT NULL,
	grp TEXT NOT NULL,
	command TEXT NOT NULL,
	revision INTEGER NOT NULL,       -- of the charter that was previewed
	expires_ms INTEGER NOT NULL,
	PRIMARY KEY (person, grp)
) WITHOUT ROWID;

-- A code that proves an XMPP account: given in the room, sent back from the account.
CREATE TABLE link (
	code TEXT PRIMARY KEY,
	person TEXT NOT NULL,
	grp TEXT NOT NULL,
	expires_ms INTEGER NOT NULL
) WITHOUT ROWID;

-- Groups that were joined from chat; those of the configuration stand in its file. Kept after their end: a name is given once.
CREATE TABLE plumbing (
	grp TEXT PRIMARY KEY,
	matrix TEXT NOT NULL,
	xmpp TEXT NOT NULL,
	at_ms INTEGER NOT NULL,
	ended_ms INTEGER
) WITHOUT ROWID;

-- Rooms that the bot is in, or enters, although they belong to no group.
CREATE TABLE visit (
	address TEXT PRIMARY KEY,        -- an alias until its room id is known
	network INTEGER NOT NULL,
	person TEXT NOT NULL,            -- who invited or asked
	until_ms INTEGER NOT NULL,
	hello INTEGER NOT NULL           -- it has yet to say why it is there
) WITHOUT ROWID;

-- A plumbing that waits for a room to be entered, or for the other side's consent.
CREATE TABLE request (
	code TEXT PRIMARY KEY,
	network INTEGER NOT NULL,        -- of the asker
	person TEXT NOT NULL,
	lane TEXT NOT NULL,              -- where he is answered; "": in the room, under his command
	room TEXT NOT NULL,
	source_id TEXT NOT NULL,
	home TEXT NOT NULL,
	away TEXT NOT NULL,
	told INTEGER NOT NULL,
	expires_ms INTEGER NOT NULL
) WITHOUT ROWID;

-- Consent to an encrypted room being joined with a plain one: of these two rooms, and no others.
CREATE TABLE consent (
	matrix TEXT NOT NULL,
	xmpp TEXT NOT NULL,
	actor TEXT NOT NULL,
	at_ms INTEGER NOT NULL,
	PRIMARY KEY (matrix, xmpp)
) WITHOUT ROWID;

-- Groups whose messages wait, because such a consent is missing, or the site refuses them as they are.
CREATE TABLE stopped (
	grp TEXT PRIMARY KEY
) WITHOUT ROWID;

-- What did not cross, by author, reason and hour: the first are told one by one, the rest as a number.
CREATE TABLE refusal (
	room TEXT NOT NULL,
	person TEXT NOT NULL,
	grp TEXT NOT NULL,
	why INTEGER NOT NULL,            -- enum refusal
	hour INTEGER NOT NULL,
	count INTEGER NOT NULL,
	inbox_seq INTEGER NOT NULL,      -- the latest
	PRIMARY KEY (room, person, grp, why, hour)
) WITHOUT ROWID;

-- What people were told once: one notice a person and closed period.
CREATE TABLE notice (
	room TEXT NOT NULL,
	person TEXT NOT NULL,
	kind TEXT NOT NULL,
	period_ms INTEGER NOT NULL,
	PRIMARY KEY (room, person, kind, period_ms)
) WITHOUT ROWID;

-- Append-only. Verbs and ids, never an argument's text.
CREATE TABLE audit (
	seq INTEGER PRIMARY KEY AUTOINCREMENT,
	at_ms INTEGER NOT NULL,
	actor TEXT NOT NULL,
	grp TEXT NOT NULL,
	verb TEXT NOT NULL,
	before INTEGER NOT NULL,
	after INTEGER NOT NULL
);

CREATE TABLE name (
	room TEXT NOT NULL,
	person TEXT NOT NULL,
	name TEXT NOT NULL,
	PRIMARY KEY (room, person)
) WITHOUT ROWID;

CREATE TABLE ghost (
	network INTEGER NOT NULL,
	person TEXT NOT NULL,            -- "" is the bot
	address TEXT NOT NULL,
	device TEXT NOT NULL,
	name TEXT NOT NULL,
	ready INTEGER NOT NULL,
	PRIMARY KEY (network, person)
) WITHOUT ROWID;

CREATE TABLE occupant (
	network INTEGER NOT NULL,
	room TEXT NOT NULL,
	person TEXT NOT NULL,
	nick TEXT NOT NULL,
	PRIMARY KEY (network, room, person)
) WITHOUT ROWID;

CREATE TABLE direct (
	person TEXT PRIMARY KEY,
	room TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX direct_room ON direct (room);

CREATE TABLE quarantine (
	seq INTEGER PRIMARY KEY AUTOINCREMENT,
	at_ms INTEGER NOT NULL,
	network INTEGER NOT NULL,
	room TEXT NOT NULL,
	source_id TEXT NOT NULL,
	reason TEXT NOT NULL,
	raw BLOB
);

-- Encryption of Matrix rooms (bridge/matrix/crypto/). A pickle is what libolm saves, under a key that the row's key gives
-- (keep.c), so it opens only with the master key.

-- A device of ours.
CREATE TABLE c_account (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	user_id TEXT NOT NULL,
	device_id TEXT NOT NULL,
	state INTEGER NOT NULL,          -- enum keep_state
	pickle TEXT NOT NULL,
	device_keys TEXT NOT NULL,       -- signed by itself and by its owner's self-signing key: what peers are sent
	since TEXT NOT NULL,             -- of its /sync; "": none yet
	fallback_ms INTEGER NOT NULL,    -- real time: when the present fallback key was made
	fallback_old INTEGER NOT NULL,   -- the one before is still remembered
	UNIQUE (user_id, device_id)
);

-- Users whose devices are followed.
CREATE TABLE c_user (
	user_id TEXT PRIMARY KEY,
	outdated INTEGER NOT NULL,
	seq INTEGER NOT NULL,            -- how often it became outdated
	master TEXT NOT NULL,            -- their identity's keys, "" when there is none
	master_first TEXT NOT NULL,      -- the one that was seen first
	self_signing TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE c_device (
	user_id TEXT NOT NULL,
	device_id TEXT NOT NULL,
	curve TEXT NOT NULL,
	ed TEXT NOT NULL,
	trust INTEGER NOT NULL,          -- enum peer_trust
	gone INTEGER NOT NULL DEFAULT 0, -- its owner's server does not name it any more
	wedge_seq INTEGER NOT NULL DEFAULT 0, -- how often it began a new Olm session: what it was sent before may be lost
	unwedged_ms INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY (user_id, device_id)
) WITHOUT ROWID;
CREATE INDEX c_device_curve ON c_device (curve);

-- One-time keys that could not be had: what one of our devices waits for, and said, about one of theirs.
CREATE TABLE c_claim (
	account INTEGER NOT NULL,
	user_id TEXT NOT NULL,
	device_id TEXT NOT NULL,
	failures INTEGER NOT NULL,
	retry_ms INTEGER NOT NULL,       -- real time
	told INTEGER NOT NULL,           -- it was sent m.no_olm
	PRIMARY KEY (account, user_id, device_id)
) WITHOUT ROWID;

-- Olm, one of our devices with one of theirs: the newest five.
CREATE TABLE c_olm (
	account INTEGER NOT NULL,
	peer_curve TEXT NOT NULL,
	session_id TEXT NOT NULL,
	pickle TEXT NOT NULL,
	created_ms INTEGER NOT NULL,
	received_ms INTEGER NOT NULL,    -- when something was last received through it, or it was made
	PRIMARY KEY (account, peer_curve, session_id)
) WITHOUT ROWID;

-- Hashes of Olm messages that were read.
CREATE TABLE c_olm_seen (
	account INTEGER NOT NULL,
	hash BLOB NOT NULL,
	at_ms INTEGER NOT NULL,
	PRIMARY KEY (account, hash)
) WITHOUT ROWID;
CREATE INDEX c_olm_seen_at ON c_olm_seen (at_ms);

-- Megolm sessions of others; all of our devices share them. Whoever has a session's key can say that it is his, so each keeps his own.
CREATE TABLE c_mg_in (
	room_id TEXT NOT NULL,
	session_id TEXT NOT NULL,
	owner_user TEXT NOT NULL,
	owner_device TEXT NOT NULL,
	owner_curve TEXT NOT NULL,
	owner_ed TEXT NOT NULL,
	pickle TEXT,                     -- NULL: it was withheld
	first_index INTEGER NOT NULL,
	source INTEGER NOT NULL,         -- how it came
	shared_history INTEGER NOT NULL,
	withheld TEXT,                   -- the code
	received_ms INTEGER NOT NULL,
	PRIMARY KEY (room_id, session_id, owner_user)
) WITHOUT ROWID;

-- Which event had an index: another one with the same is a replay. session_id is "SESSION OWNER", as whoever has the key can say the
-- same under his own name; a row of an older version has no owner, and holds for all.
CREATE TABLE c_mg_index (
	session_id TEXT NOT NULL,
	idx INTEGER NOT NULL,
	event_id TEXT NOT NULL,
	origin_ms INTEGER NOT NULL,
	PRIMARY KEY (session_id, idx)
) WITHOUT ROWID;

-- Megolm sessions of our devices.
CREATE TABLE c_mg_out (
	account INTEGER NOT NULL,
	room_id TEXT NOT NULL,
	session_id TEXT NOT NULL,
	pickle TEXT NOT NULL,
	created_ms INTEGER NOT NULL,
	messages INTEGER NOT NULL,
	shared_history INTEGER NOT NULL,
	PRIMARY KEY (account, room_id)
) WITHOUT ROWID;

-- Who has the key of such a session, from which index on.
CREATE TABLE c_mg_share (
	session_id TEXT NOT NULL,
	user_id TEXT NOT NULL,
	device_id TEXT NOT NULL,
	curve TEXT NOT NULL,
	idx INTEGER NOT NULL,
	wedge_seq INTEGER NOT NULL,      -- of the device, when it was shared
	state INTEGER NOT NULL,          -- 0 queued, 1 sent, 2 withheld
	PRIMARY KEY (session_id, user_id, device_id)
) WITHOUT ROWID;

-- To-device messages that wait for their 200: the same bytes under the same name until then.
CREATE TABLE c_post (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	account INTEGER NOT NULL,
	type TEXT NOT NULL,
	txn TEXT NOT NULL UNIQUE,
	content TEXT NOT NULL,
	session_id TEXT NOT NULL,        -- of the shares that it carries, or ""
	tries INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX c_post_account ON c_post (account, id);

-- Matrix rooms that are encrypted, for ever.
CREATE TABLE c_room (
	room_id TEXT PRIMARY KEY,
	algorithm TEXT NOT NULL,
	rotation_ms INTEGER NOT NULL,    -- 0: the room does not say
	rotation_messages INTEGER NOT NULL,
	visibility TEXT NOT NULL,        -- of the history, when it was last asked for; "": not yet
	since_ms INTEGER NOT NULL        -- its server's clock: when it was turned on
) WITHOUT ROWID;

-- Events that wait for their key; their bytes are in the inbox.
CREATE TABLE c_utd (
	room_id TEXT NOT NULL,
	event_id TEXT NOT NULL,
	session_id TEXT NOT NULL,
	sender TEXT NOT NULL,
	curve TEXT NOT NULL,             -- "sender_key" of the event, for asking; ""
	since_ms INTEGER NOT NULL,       -- real time
	aside INTEGER NOT NULL,          -- its room went on without it
	request TEXT NOT NULL,           -- the id under which the key was asked for, "": not yet
	PRIMARY KEY (room_id, event_id)
) WITHOUT ROWID;
CREATE INDEX c_utd_session ON c_utd (room_id, session_id);
CREATE INDEX c_utd_sender ON c_utd (sender);
