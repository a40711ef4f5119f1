/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_STATEMENTS_H
#define STORE_STATEMENTS_H

/* A message of a group that is stopped waits (core/consent.h). */
#define MAY_GO " AND NOT (kind = 0 AND grp IN (SELECT grp FROM stopped))"

/* The partial indexes hold what is not done yet. SQLite takes one only where its condition stands literally. */
#define UNTRIED "state IN (0, 1) AND state = 0"
#define TRIED "state IN (0, 1) AND state = 1"
#define COUNT_INBOX(state) "(SELECT count(*) FROM inbox WHERE state = " state ")"

/*
 * Every SQL statement of the program. Parameters are bound in their order of appearance
 * (?1 is used again where a value is needed twice). States: see inbox_rows.h and outbox_rows.h.
 */
#define STATEMENTS(X) \
	X(TURN_BEGIN, "BEGIN IMMEDIATE") \
	X(TURN_COMMIT, "COMMIT") \
	X(PART_BEGIN, "SAVEPOINT part") \
	X(PART_UNDO, "ROLLBACK TO part") \
	X(PART_END, "RELEASE part") \
	\
	X(META_GET, "SELECT value FROM meta WHERE key = ?") \
	X(META_SET, "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value") \
	\
	X(META_END, "DELETE FROM meta WHERE key = ?") \
	X(ROOM_CURSOR, "SELECT cursor, cursor_ms FROM room WHERE address = ?") \
	X(ROOM_MOVE, "INSERT INTO room (address, network, cursor, cursor_ms) VALUES (?, ?, ?, ?)" \
		" ON CONFLICT DO UPDATE SET cursor = excluded.cursor, cursor_ms = excluded.cursor_ms") \
	\
	X(INBOX_ADD, "INSERT OR IGNORE INTO inbox (network, room, source_id, place, raw, received_ms, state, fate)" \
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?)") \
	X(INBOX_KNOWS, "SELECT 1 FROM inbox WHERE room = ? AND source_id = ? AND state <> 1") \
	X(INBOX_NEXT, "SELECT seq, network, room, source_id, raw, received_ms, attempts FROM inbox WHERE state = 0" \
		" ORDER BY place LIMIT 1") \
	X(INBOX_STALL, "UPDATE inbox INDEXED BY inbox_new SET state = 4, attempts = 1 WHERE state = 0 AND room = ?") \
	X(INBOX_RETRY, "UPDATE inbox SET state = 0 WHERE state = 4 AND room = ?") \
	X(INBOX_RETRY_ALL, "UPDATE inbox SET state = 0 WHERE state = 4") \
	X(INBOX_STALLED_IN, "SELECT 1 FROM inbox WHERE state = 4 AND room = ? LIMIT 1") \
	X(INBOX_STALLED_ANY, "SELECT 1 FROM inbox WHERE state = 4 LIMIT 1") \
	X(INBOX_SET_ASIDE, "UPDATE inbox SET state = 5, attempts = 1 WHERE seq = ?") \
	X(INBOX_RETRY_ASIDE, "UPDATE inbox SET state = 0 WHERE room = ? AND source_id = ? AND state = 5") \
	X(INBOX_REPLACE, "UPDATE inbox SET raw = ? WHERE seq = ?") \
	X(INBOX_LAST_PLACE, "SELECT coalesce(max(place), 0), coalesce((SELECT max(seq) FROM inbox), 0) FROM inbox") \
	X(INBOX_ATTEMPT, "UPDATE inbox SET attempts = attempts + 1 WHERE seq = ?") \
	X(INBOX_DONE, "UPDATE inbox SET state = ?2, raw = CASE WHEN ?3 THEN raw END, reason = ?4, fate = ?5, copies = ?6 WHERE seq = ?1") \
	X(INBOX_PLACE, "UPDATE inbox SET state = 0, place = ? WHERE room = ? AND source_id = ? AND state = 1") \
	X(INBOX_GATED_NEXT, "SELECT seq FROM inbox WHERE room = ? AND state = 1 ORDER BY place LIMIT 1") \
	X(INBOX_NEW_OF, "SELECT 1 FROM inbox INDEXED BY inbox_new WHERE state = 0 AND room = ?1 UNION ALL SELECT 1 FROM inbox WHERE state = 4 AND room = ?1 LIMIT 1") \
	X(INBOX_UNGATE, "UPDATE inbox SET state = 0, place = ? WHERE seq = ?") \
	X(INBOX_GET, "SELECT seq, network, room, source_id, raw, received_ms, attempts FROM inbox WHERE seq = ?") \
	X(INBOX_ERASE, "UPDATE inbox SET raw = NULL WHERE seq = ?1 AND raw IS NOT NULL AND NOT EXISTS" \
		" (SELECT 1 FROM outbox WHERE inbox_seq = ?1 AND state IN (0, 1, 2))") \
	X(INBOX_COUNT, "SELECT " COUNT_INBOX("0") " + " COUNT_INBOX("1") " + " COUNT_INBOX("4")) \
	X(INBOX_SEQ, "SELECT seq FROM inbox WHERE room = ? AND source_id = ?") \
	X(BACKLOG, "SELECT (SELECT count(*) FROM outbox WHERE state IN (0, 1)) + " COUNT_INBOX("0") " + " COUNT_INBOX("1") " + " COUNT_INBOX("4") \
		" + " COUNT_INBOX("5")) \
	X(LEDGER_JUDGED, "SELECT count(*), coalesce(sum(state IN (0, 1, 4, 5)), 0), coalesce(sum(state = 2 AND fate = 1), 0)," \
		" coalesce(sum(state = 2 AND fate = 3), 0), coalesce(sum(state = 2 AND fate = 4), 0), coalesce(sum(state = 2 AND fate = 5), 0)," \
		" coalesce(sum(state = 3), 0) FROM inbox WHERE seq > ?") \
	X(LEDGER_CARRIED, "SELECT coalesce(sum(held > 0), 0), coalesce(sum(held = 0 AND open > 0), 0)," \
		" coalesce(sum(open = 0 AND refused > 0), 0), coalesce(sum(open = 0 AND refused = 0), 0) FROM" \
		" (SELECT i.copies AS copies, count(o.id) AS n, coalesce(sum(o.state = 0 AND o.held = 1), 0) AS held," \
		" coalesce(sum(o.state IN (0, 1, 2)), 0) AS open, coalesce(sum(o.state = 4), 0) AS refused" \
		" FROM inbox i LEFT JOIN outbox o ON o.inbox_seq = i.seq AND o.kind = 0 WHERE i.seq > ? AND i.state = 2 AND i.fate = 2" \
		" GROUP BY i.seq) WHERE n = copies") \
	X(QUARANTINE_ADD, "INSERT INTO quarantine (at_ms, network, room, source_id, reason, raw) VALUES (?, ?, ?, ?, ?, ?)") \
	X(QUARANTINE_COUNT, "SELECT count(*) FROM quarantine") \
	\
	X(DECISION_ADD, "INSERT OR REPLACE INTO decision (inbox_seq, grp, person, reply_lane, revision, at_ms, due_ms, period_ms, notice, target," \
		" reason, stages) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)") \
	X(DECISION_GET, "SELECT inbox_seq, grp, person, reply_lane, revision, at_ms, due_ms, period_ms, notice, target, reason, stages" \
		" FROM decision WHERE inbox_seq = ?") \
	X(DECISION_LAST, "SELECT inbox_seq, grp, person, reply_lane, revision, at_ms, due_ms, period_ms, notice, target, reason, stages" \
		" FROM decision WHERE grp = ? AND person = ? ORDER BY inbox_seq DESC LIMIT 1") \
	\
	X(OUTBOX_ADD, "INSERT OR IGNORE INTO outbox (place, network, lane, name, kind, grp, inbox_seq, part, person, stem, author, text," \
		" payload, state, held, due_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)") \
	X(OUTBOX_LAST_PLACE, "SELECT max(coalesce((SELECT max(place) FROM outbox WHERE state IN (0, 1)), 0)," \
		" coalesce((SELECT max(place) FROM outbox WHERE state = 2), 0))") \
	X(OUTBOX_LANES, "SELECT DISTINCT lane, network FROM outbox WHERE state IN (0, 1) AND due_ms <= ?") \
	X(OUTBOX_NEXT, "SELECT id, name, kind, person, stem, author, payload, state, strikes FROM outbox" \
		" WHERE lane = ? AND state IN (0, 1) AND due_ms <= ?" MAY_GO " ORDER BY place LIMIT 1") \
	X(OUTBOX_AUTHORS, "SELECT person, stem, author, min(place) FROM (SELECT person, stem, author, place FROM outbox" \
		" WHERE lane = ? AND state IN (0, 1) AND due_ms <= ?" MAY_GO " ORDER BY place LIMIT ?)" \
		" WHERE person IS NOT NULL GROUP BY person ORDER BY 4") \
	X(OUTBOX_NEXT_DUE, "SELECT min(due_ms) FROM outbox WHERE state IN (0, 1) AND due_ms > ?") \
	X(OUTBOX_FLY, "UPDATE outbox SET state = 2, tries = tries + 1, first_try_ms = coalesce(first_try_ms, ?2) WHERE id = ?1") \
	X(OUTBOX_STRIKE, "UPDATE outbox SET strikes = strikes + 1 WHERE id = ?") \
	X(OUTBOX_STRIKE_ALL, "UPDATE outbox SET strikes = strikes + 1 WHERE state = 2") \
	X(OUTBOX_LAND, "UPDATE outbox SET state = 1 WHERE id = ? AND state = 2") \
	X(OUTBOX_LAND_ALL, "UPDATE outbox SET state = 1 WHERE network = ? AND state = 2") \
	X(OUTBOX_END, "UPDATE outbox SET state = ?2, remote_id = ?3, reason = ?4, text = NULL, payload = NULL" \
		" WHERE id = ?1 AND state IN (0, 1, 2)") \
	X(OUTBOX_GET, "SELECT lane, network, kind, grp, inbox_seq, held FROM outbox WHERE id = ?") \
	X(OUTBOX_BY_NAME, "SELECT id FROM outbox WHERE name = ? AND lane = ? AND state IN (0, 1, 2)") \
	X(OUTBOX_DOUBTS, "SELECT id, name, coalesce(first_try_ms, 0) FROM outbox WHERE lane = ? AND " TRIED " ORDER BY place") \
	X(OUTBOX_BEFORE_DOUBTS, "SELECT remote_id FROM outbox WHERE lane = ?1 AND state = 3 AND remote_id <> '' AND" \
		" id < (SELECT min(id) FROM (SELECT id FROM outbox WHERE lane = ?1 AND " TRIED \
		" UNION ALL SELECT id FROM outbox WHERE lane = ?1 AND state = 2)) ORDER BY id DESC LIMIT 1 OFFSET ?2") \
	X(OUTBOX_WAITS, "SELECT 1 FROM outbox WHERE lane = ?1 AND person = ?2 AND state IN (0, 1)" \
		" UNION ALL SELECT 1 FROM outbox WHERE lane = ?1 AND person = ?2 AND state = 2 LIMIT 1") \
	X(OUTBOX_OVERFLOW, "SELECT id, name, kind, author, text FROM (SELECT id, name, kind, author, text, state, person FROM outbox" \
		" WHERE lane = ? AND state IN (0, 1) AND due_ms <= ?" MAY_GO " ORDER BY place LIMIT 1)" \
		" WHERE state = 0 AND kind = 0 AND person = coalesce(?, person)") \
	X(OUTBOX_REVOICE, "UPDATE outbox SET person = NULL, stem = NULL, author = NULL, payload = ? WHERE id = ? AND state = 0") \
	X(OUTBOX_REWRITE, "UPDATE outbox SET payload = ? WHERE id = ? AND state IN (1, 2)") \
	X(OUTBOX_COUNTS, "SELECT coalesce(sum(state = 0 AND held <> 1), 0), coalesce(sum(state = 1), 0)," \
		" coalesce(sum(state = 0 AND held = 1), 0) FROM outbox WHERE state IN (0, 1)") \
	X(OUTBOX_OLDEST_HELD, "SELECT min(received_ms) FROM inbox WHERE seq IN (SELECT inbox_seq FROM outbox WHERE " UNTRIED " AND held = 1)") \
	X(OUTBOX_FLYING_COUNT, "SELECT count(*) FROM outbox WHERE state = 2") \
	X(OUTBOX_HELD_OF, "SELECT o.inbox_seq, min(o.due_ms) FROM outbox o INDEXED BY outbox_due JOIN decision d ON d.inbox_seq = o.inbox_seq" \
		" WHERE o.grp = ? AND d.person = ? AND " UNTRIED " AND o.held = 1 AND o.kind = 0 GROUP BY o.inbox_seq ORDER BY o.inbox_seq") \
	X(OUTBOX_HELD, "SELECT DISTINCT inbox_seq FROM outbox INDEXED BY outbox_due WHERE grp = ? AND " UNTRIED " AND held = 1 AND kind = 0 ORDER BY inbox_seq") \
	X(LOG_SINCE, "SELECT at_ms, actor, verb, before, after FROM audit WHERE grp = ? AND at_ms >= ? ORDER BY seq DESC LIMIT 5000") \
	X(AUDIT_COPIES, "SELECT state, remote_id FROM outbox WHERE inbox_seq = ? AND lane = ? AND kind = 0") \
	X(AUDIT_PLACE, "SELECT coalesce(i.place, 0), o.kind = 0 AND o.held = 0 AND i.place IS NOT NULL FROM outbox o" \
		" LEFT JOIN inbox i ON i.seq = o.inbox_seq WHERE o.name = ? AND o.lane = ?") \
	X(OUTBOX_DOUBT_ALL, "UPDATE outbox SET state = 1, first_try_ms = coalesce(first_try_ms, ?1)" \
		" WHERE state IN (0, 1) AND (due_ms <= ?2 OR inbox_seq > ?3)") \
	X(OUTBOX_REPLAN, "UPDATE outbox SET due_ms = ? WHERE inbox_seq = ? AND grp = ? AND state = 0 AND held = 1") \
	X(OUTBOX_REFUSED_OF, "SELECT 1 FROM outbox WHERE inbox_seq = ?1 AND kind = 0 AND state = 4 AND reason IS NOT 'withdrawn'" \
		" UNION ALL SELECT 1 FROM inbox WHERE seq = ?1 AND fate = 5 LIMIT 1") \
	X(OUTBOX_WITHDRAW, "UPDATE outbox SET state = 4, reason = 'withdrawn', text = NULL, payload = NULL WHERE inbox_seq = ? AND kind = 0 AND state = 0") \
	X(OUTBOX_DUE_OF, "SELECT max(due_ms) FROM outbox WHERE inbox_seq = ? AND lane = ? AND state = 0") \
	X(OUTBOX_RELEASING, "SELECT lane, network, grp, count(DISTINCT inbox_seq), min(place), min(inbox_seq) FROM outbox INDEXED BY outbox_due" \
		" WHERE " UNTRIED " AND held = 1 AND kind = 0 AND due_ms > 0 AND due_ms <= ?" MAY_GO " GROUP BY lane") \
	X(OUTBOX_RELEASED, "UPDATE outbox SET held = 2, due_ms = 0 WHERE " UNTRIED " AND held = 1 AND due_ms > 0 AND due_ms <= ?" MAY_GO) \
	X(OUTBOX_REMOTE_OF, "SELECT remote_id FROM outbox WHERE inbox_seq = ? AND lane = ? AND kind = 0 AND remote_id IS NOT NULL" \
		" ORDER BY part LIMIT 1") \
	X(OUTBOX_SOURCE_OF, "SELECT inbox_seq FROM outbox WHERE remote_id = ? AND lane = ? AND inbox_seq IS NOT NULL AND kind = 0") \
	\
	X(ITEM_ADD, "INSERT INTO item (grp, inbox_seq, person, author, body, origin_ms, due_ms, room_digest)" \
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?)") \
	X(ITEM_LAST, "SELECT coalesce(max(seq), 0) FROM item") \
	X(ITEM_REPLAN, "UPDATE item SET due_ms = ? WHERE inbox_seq = ? AND grp = ?") \
	X(ITEM_RANGE, "SELECT seq, inbox_seq, person, author, body, origin_ms FROM item WHERE grp = ?1 AND seq > ?2 AND due_ms > ?3" \
		" AND due_ms <= ?4 AND (?5 = 0 OR room_digest & ?5) AND person <> ?6 ORDER BY seq") \
	X(ITEM_FORGET, "UPDATE item SET body = NULL WHERE origin_ms < ? AND body IS NOT NULL") \
	X(ITEM_DROP, "DELETE FROM item WHERE due_ms <= (SELECT min(since_ms) FROM subscription s WHERE s.grp = item.grp) - ?" \
		" OR NOT EXISTS (SELECT 1 FROM subscription s WHERE s.grp = item.grp)") \
	X(ITEM_WITHDRAW, "DELETE FROM item WHERE inbox_seq = ?") \
	X(ITEM_END, "DELETE FROM item WHERE grp = ?") \
	\
	X(SUBSCRIPTION_SET, "INSERT INTO subscription (person, grp, network, lane, after_seq, since_ms) VALUES (?, ?, ?, ?, ?, ?)" \
		" ON CONFLICT DO UPDATE SET lane = excluded.lane") \
	X(SUBSCRIPTION_END, "DELETE FROM subscription WHERE grp = ?2 AND (person = ?1 OR 'xmpp:' || lane = ?1)") \
	X(SUBSCRIPTION_GET, "SELECT network, lane, after_seq, since_ms, person FROM subscription WHERE grp = ?2" \
		" AND (person = ?1 OR 'xmpp:' || lane = ?1)") \
	X(SUBSCRIPTION_ANY, "SELECT 1 FROM subscription WHERE grp = ? LIMIT 1") \
	X(SUBSCRIPTION_LATEST, "SELECT coalesce(max(since_ms), 0) FROM subscription") \
	X(SUBSCRIPTION_ALL, "SELECT person, grp, network, lane, after_seq, since_ms FROM subscription") \
	X(SUBSCRIPTION_MOVE, "UPDATE subscription SET since_ms = ? WHERE person = ? AND grp = ?") \
	X(DIGEST_ADD, "INSERT OR IGNORE INTO digest (person, grp, slot, from_seq, to_seq, messages, frozen_ms) VALUES (?, ?, ?, ?, ?, ?, ?)") \
	\
	X(CHARTER_LAST, "SELECT revision, text FROM charter WHERE grp = ? ORDER BY revision DESC LIMIT 1") \
	X(CHARTER_GET, "SELECT text FROM charter WHERE grp = ? AND revision = ?") \
	X(CHARTER_ADD, "INSERT INTO charter (grp, revision, text, actor, at_ms) VALUES (?, ?, ?, ?, ?)") \
	X(PENDING_SET, "INSERT OR REPLACE INTO pending (person, grp, command, revision, expires_ms) VALUES (?, ?, ?, ?, ?)") \
	X(PENDING_GET, "SELECT command, revision, expires_ms, grp FROM pending WHERE person = ?1 AND (grp = ?2 OR ?2 IS NULL)") \
	X(PENDING_END, "DELETE FROM pending WHERE person = ? AND grp = ?") \
	X(LINK_ADD, "INSERT OR REPLACE INTO link (code, person, grp, expires_ms) VALUES (?, ?, ?, ?)") \
	X(LINK_GET, "SELECT person, grp, expires_ms FROM link WHERE code = ?") \
	X(LINK_VOID, "DELETE FROM link WHERE person = ? AND grp = ?") \
	X(LINK_END, "DELETE FROM link WHERE code = ?1 OR expires_ms < ?2") \
	X(PLUMBING_SET, "INSERT OR REPLACE INTO plumbing (grp, matrix, xmpp, at_ms) VALUES (?, ?, ?, ?)") \
	X(PLUMBING_END, "UPDATE plumbing SET ended_ms = ? WHERE grp = ?") \
	X(PLUMBING_ALL, "SELECT grp, matrix, xmpp FROM plumbing WHERE ended_ms IS NULL ORDER BY at_ms, grp") \
	X(PLUMBING_GET, "SELECT 1 FROM plumbing WHERE grp = ?") \
	X(PLUMBING_NOW, "SELECT 1 FROM plumbing WHERE grp = ? AND matrix = ? AND xmpp = ? AND ended_ms IS NULL") \
	X(PLUMBING_AT, "SELECT grp FROM plumbing WHERE (matrix = ?1 OR xmpp = ?1)" \
		" AND at_ms <= ?2 AND ended_ms >= ?2 ORDER BY at_ms DESC LIMIT 1") \
	X(PLUMBING_OF, "SELECT grp FROM plumbing WHERE matrix = ? AND xmpp = ?") \
	X(VISIT_SET, "INSERT OR REPLACE INTO visit (address, network, person, until_ms, hello) VALUES (?, ?, ?, ?, ?)") \
	X(VISIT_END, "DELETE FROM visit WHERE address = ?") \
	X(VISIT_GET, "SELECT until_ms, hello FROM visit WHERE address = ?") \
	X(VISIT_ALL, "SELECT address, network, person, until_ms, hello FROM visit") \
	X(REQUEST_SET, "INSERT OR REPLACE INTO request (code, network, person, lane, room, source_id, home, away, told, expires_ms)" \
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)") \
	X(REQUEST_END, "DELETE FROM request WHERE code = ?") \
	X(REQUEST_ALL, "SELECT code, network, person, lane, room, source_id, home, away, told, expires_ms FROM request") \
	X(OUTBOX_WAITING_OF, "SELECT id FROM outbox WHERE grp = ? AND kind = 0 AND " UNTRIED) \
	X(OUTBOX_COUNTS_OF, "SELECT (SELECT count(*) FROM outbox WHERE grp = ?1 AND kind = 0 AND held <> 1 AND state IN (0, 1)) +" \
		" (SELECT count(*) FROM outbox WHERE grp = ?1 AND kind = 0 AND state = 2)," \
		" (SELECT count(*) FROM outbox WHERE grp = ?1 AND kind = 0 AND held = 1 AND state IN (0, 1))," \
		" (SELECT count(*) FROM outbox WHERE grp = ?1 AND kind = 0 AND state = 4 AND reason IS NOT 'withdrawn')") \
	X(OUTBOX_MARK_OF, "SELECT coalesce(remote_id, '') FROM outbox WHERE inbox_seq = ? AND kind = 3 AND state = 3") \
	X(OUTBOX_FATE_OF, "SELECT coalesce(sum(state IN (0, 1, 2)), 0), coalesce(sum(state = 3), 0) FROM outbox WHERE inbox_seq = ? AND kind = 0") \
	X(REFUSAL_COUNT_ONE, "INSERT INTO refusal (room, person, grp, why, hour, count, inbox_seq) VALUES (?, ?, ?, ?, ?, 1, ?)" \
		" ON CONFLICT DO UPDATE SET count = count + (excluded.inbox_seq > inbox_seq), inbox_seq = max(inbox_seq, excluded.inbox_seq)") \
	X(REFUSAL_GET, "SELECT count FROM refusal WHERE room = ? AND person = ? AND grp = ? AND why = ? AND hour = ?") \
	X(REFUSAL_PAST, "SELECT grp, why, hour, count, inbox_seq FROM refusal WHERE hour <> ?") \
	X(REFUSAL_END, "DELETE FROM refusal WHERE inbox_seq = ? AND hour = ? AND grp = ? AND why = ?") \
	X(SUBSCRIPTION_OF_LANE, "SELECT person FROM subscription WHERE grp = ? AND lane = ?") \
	X(OUTBOX_OPEN_OF, "SELECT id FROM outbox WHERE state IN (0, 1) AND (lane = ?1 OR substr(lane, 1, length(?1) + 1) = ?1 || '/')" \
		" UNION ALL SELECT id FROM outbox WHERE state = 2 AND (lane = ?1 OR substr(lane, 1, length(?1) + 1) = ?1 || '/')") \
	X(C_ROOM_SET, "INSERT INTO c_room (room_id, algorithm, rotation_ms, rotation_messages, since_ms, visibility) VALUES (?, ?, ?, ?, ?, ?)" \
		" ON CONFLICT DO UPDATE SET algorithm = excluded.algorithm, rotation_ms = excluded.rotation_ms," \
		" rotation_messages = excluded.rotation_messages, visibility = excluded.visibility") \
	X(C_ROOM_ALL, "SELECT room_id, algorithm, rotation_ms, rotation_messages, since_ms FROM c_room") \
	X(CONSENT_SET, "INSERT OR REPLACE INTO consent (matrix, xmpp, actor, at_ms) VALUES (?, ?, ?, ?)") \
	X(CONSENT_END, "DELETE FROM consent WHERE matrix = ? AND xmpp = ?") \
	X(CONSENT_GET, "SELECT actor FROM consent WHERE matrix = ? AND xmpp = ?") \
	X(STOPPED_SET, "INSERT OR IGNORE INTO stopped (grp) VALUES (?)") \
	X(STOPPED_END, "DELETE FROM stopped WHERE grp = ?") \
	X(STOPPED_GET, "SELECT 1 FROM stopped WHERE grp = ?") \
	X(STOPPED_OVERDUE, "SELECT o.id FROM outbox o INDEXED BY outbox_due JOIN inbox i ON i.seq = o.inbox_seq WHERE o.state IN (0, 1) AND o.kind = 0" \
		" AND o.grp IN (SELECT grp FROM stopped) AND i.received_ms < ? ORDER BY o.id") \
	X(NOTICE_ADD, "INSERT OR IGNORE INTO notice (room, person, kind, period_ms) VALUES (?, ?, ?, ?)") \
	X(NOTICE_END, "DELETE FROM notice WHERE room = ? AND person = ? AND kind = ?") \
	X(AUDIT_ADD, "INSERT INTO audit (at_ms, actor, grp, verb, before, after) VALUES (?, ?, ?, ?, ?, ?)") \
	\
	X(NAME_SET, "INSERT INTO name (room, person, name) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET name = excluded.name") \
	X(NAME_END, "DELETE FROM name WHERE room = ? AND person = ?") \
	X(NAME_EACH, "SELECT name FROM name WHERE room = ? LIMIT 20000") \
	X(NAME_GET, "SELECT name FROM name WHERE room = ? AND person = ?") \
	X(NAME_WHO, "SELECT person FROM name WHERE room = ?") \
	X(GHOST_GET, "SELECT address, device, name, ready FROM ghost WHERE network = ? AND person = ?") \
	X(GHOST_WHO, "SELECT person FROM ghost WHERE network = ? AND address = ?") \
	X(GHOST_SET, "INSERT OR REPLACE INTO ghost (network, person, address, device, name, ready) VALUES (?, ?, ?, ?, ?, ?)") \
	X(OCCUPANT_SET, "INSERT OR REPLACE INTO occupant (network, room, person, nick) VALUES (?, ?, ?, ?)") \
	X(OCCUPANT_END, "DELETE FROM occupant WHERE network = ? AND room = ? AND person = ?") \
	X(OCCUPANT_GET, "SELECT nick FROM occupant WHERE network = ? AND room = ? AND person = ?") \
	X(OCCUPANT_ALL, "SELECT person, nick FROM occupant WHERE network = ? AND room = ?") \
	X(DIRECT_SET, "INSERT OR REPLACE INTO direct (person, room) VALUES (?, ?)") \
	X(DIRECT_GET, "SELECT room FROM direct WHERE person = ?") \
	X(DIRECT_OF, "SELECT person FROM direct WHERE room = ?") \
	\
	X(C_ACCOUNT_ADD, "INSERT INTO c_account (user_id, device_id, state, pickle, device_keys, since, fallback_ms, fallback_old)" \
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?)") \
	X(C_ACCOUNT_SAVE, "UPDATE c_account SET state = ?2, pickle = ?3, device_keys = ?4, since = ?5, fallback_ms = ?6, fallback_old = ?7" \
		" WHERE id = ?1") \
	X(C_ACCOUNT_GET, "SELECT id, device_id, state, pickle, device_keys, since, fallback_ms, fallback_old FROM c_account" \
		" WHERE user_id = ? AND state <> 9") \
	X(C_ACCOUNT_PAGE, "SELECT user_id, device_id, state, device_keys FROM c_account WHERE state <> 9 AND user_id > ? ORDER BY user_id LIMIT ?") \
	X(C_ACCOUNT_SHOW, "SELECT user_id, device_id, state, device_keys FROM c_account WHERE state <> 9 AND user_id = ?") \
	X(C_ACCOUNT_DEAD, "SELECT id, device_id FROM c_account WHERE user_id = ? AND state = 9 ORDER BY id LIMIT 1") \
	X(C_ACCOUNT_IS_DEAD, "SELECT 1 FROM c_account WHERE user_id = ? AND device_id = ? AND state = 9") \
	X(C_ACCOUNT_LIVING, "SELECT id FROM c_account WHERE state <> 9") \
	X(C_ACCOUNT_KILL, "UPDATE c_account SET state = 9, pickle = '', device_keys = '', since = '' WHERE id = ?") \
	X(C_ACCOUNT_END, "DELETE FROM c_account WHERE id = ? AND state = 9") \
	X(C_OLM_SAVE, "INSERT INTO c_olm (account, peer_curve, session_id, pickle, created_ms, received_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?5)" \
		" ON CONFLICT DO UPDATE SET pickle = excluded.pickle," \
		" received_ms = CASE WHEN ?6 THEN max(received_ms + 1, excluded.received_ms) ELSE received_ms END") \
	X(C_OLM_TRIM, "DELETE FROM c_olm WHERE account = ?1 AND peer_curve = ?2 AND session_id NOT IN (SELECT session_id FROM c_olm" \
		" WHERE account = ?1 AND peer_curve = ?2 ORDER BY received_ms DESC, created_ms DESC LIMIT 5)") \
	X(C_OLM_TRIM_STRANGERS, "DELETE FROM c_olm WHERE account = ?1 AND (peer_curve, session_id) IN (SELECT peer_curve, session_id FROM c_olm s" \
		" WHERE account = ?1 AND NOT EXISTS (SELECT 1 FROM c_device d WHERE d.curve = s.peer_curve)" \
		" ORDER BY received_ms DESC, created_ms DESC LIMIT -1 OFFSET ?2)") \
	X(C_OLM_OF, "SELECT session_id, pickle FROM c_olm WHERE account = ? AND peer_curve = ? ORDER BY received_ms DESC, created_ms DESC LIMIT ?") \
	X(C_OLM_DROP, "DELETE FROM c_olm WHERE account = ? AND peer_curve = ? AND session_id = ?") \
	X(C_OLM_END, "DELETE FROM c_olm WHERE account = ?") \
	X(C_OLM_SEEN_END, "DELETE FROM c_olm_seen WHERE account = ?") \
	X(C_MG_SHARE_END, "DELETE FROM c_mg_share WHERE session_id IN (SELECT session_id FROM c_mg_out WHERE account = ?)") \
	X(C_MG_OUT_END, "DELETE FROM c_mg_out WHERE account = ?") \
	X(C_POST_END, "DELETE FROM c_post WHERE account = ?") \
	X(C_CLAIM_END, "DELETE FROM c_claim WHERE account = ?") \
	X(C_USER_GET, "SELECT outdated, seq, master_first FROM c_user WHERE user_id = ?") \
	X(C_USER_TOUCH, "INSERT INTO c_user (user_id, outdated, seq, master, master_first, self_signing) VALUES (?, 1, 1, '', '', '')" \
		" ON CONFLICT DO UPDATE SET outdated = 1, seq = seq + 1") \
	X(C_USER_TOUCH_ALL, "UPDATE c_user SET outdated = 1, seq = seq + 1") \
	X(C_USER_IS_HERE, "SELECT 1 FROM c_room CROSS JOIN name ON name.room = c_room.room_id AND name.person = ? LIMIT 1") \
	X(C_USER_IDENTITY, "SELECT master, self_signing FROM c_user WHERE user_id = ?") \
	X(C_USER_TAKE, "UPDATE c_user SET outdated = seq <> ?2, master = ?3, self_signing = ?4," \
		" master_first = CASE master_first WHEN '' THEN ?3 ELSE master_first END WHERE user_id = ?1") \
	X(C_DEVICE_EACH, "SELECT device_id, curve, ed, trust, gone, wedge_seq FROM c_device WHERE user_id = ?") \
	X(C_DEVICE_SAVE, "INSERT INTO c_device (user_id, device_id, curve, ed, trust) VALUES (?, ?, ?, ?, ?)" \
		" ON CONFLICT DO UPDATE SET trust = excluded.trust, gone = 0") \
	X(C_DEVICE_MEET, "INSERT OR IGNORE INTO c_device (user_id, device_id, curve, ed, trust, gone)" \
		" SELECT ?1, ?2, ?3, ?4, ?5, 1 WHERE (SELECT count(*) FROM c_device WHERE user_id = ?1) < 2000") \
	X(C_DEVICE_TRIM, "DELETE FROM c_device WHERE user_id = ?1 AND gone = 1 AND (SELECT count(*) FROM c_device WHERE user_id = ?1) > 2000") \
	X(C_DEVICE_LOSE, "UPDATE c_device SET gone = 1 WHERE user_id = ? AND device_id = ?") \
	X(C_DEVICE_WEDGE, "UPDATE c_device SET wedge_seq = wedge_seq + 1 WHERE user_id = ? AND curve = ?") \
	X(C_CLAIM_GET, "SELECT failures, retry_ms, told FROM c_claim WHERE account = ? AND user_id = ? AND device_id = ?") \
	X(C_CLAIM_SAVE, "INSERT OR REPLACE INTO c_claim (account, user_id, device_id, failures, retry_ms, told) VALUES (?, ?, ?, ?, ?, ?)") \
	X(C_CLAIM_FORGET, "DELETE FROM c_claim WHERE account = ? AND user_id = ? AND device_id = ?") \
	X(C_MG_SHARE_SAVE, "INSERT OR REPLACE INTO c_mg_share (session_id, user_id, device_id, curve, idx, wedge_seq, state)" \
		" VALUES (?, ?, ?, ?, ?, ?, ?)") \
	X(C_MG_SHARE_EACH, "SELECT user_id, device_id, curve, idx, wedge_seq, state FROM c_mg_share WHERE session_id = ?") \
	X(C_MG_SHARE_SENT, "UPDATE c_mg_share SET state = 1 WHERE session_id = ? AND state = 0") \
	X(C_MG_SHARE_FORGET, "DELETE FROM c_mg_share WHERE session_id = ?") \
	X(C_MG_SHARE_FORGET_ROOM, "DELETE FROM c_mg_share WHERE session_id IN (SELECT session_id FROM c_mg_out WHERE room_id = ?)") \
	X(C_POST_FORGET, "DELETE FROM c_post WHERE session_id = ?") \
	X(C_POST_FORGET_ROOM, "DELETE FROM c_post WHERE session_id IN (SELECT session_id FROM c_mg_out WHERE room_id = ?)") \
	X(C_POST_ADD, "INSERT INTO c_post (account, type, txn, content, session_id) VALUES (?, ?, ?, ?, ?)") \
	X(C_POST_NEXT, "SELECT id, type, txn, content FROM c_post WHERE account = ? AND session_id = ? ORDER BY id LIMIT 1") \
	X(C_POST_DROP, "DELETE FROM c_post WHERE id = ?") \
	X(C_ROOM_TERMS, "SELECT rotation_ms, rotation_messages, visibility FROM c_room WHERE room_id = ?") \
	X(C_MG_OUT_FORGET, "DELETE FROM c_mg_out WHERE session_id = ?") \
	X(C_MG_OUT_FORGET_ROOM, "DELETE FROM c_mg_out WHERE room_id = ?") \
	X(C_MG_OUT_SAVE, "INSERT OR REPLACE INTO c_mg_out (account, room_id, session_id, pickle, created_ms, messages, shared_history)" \
		" VALUES (?, ?, ?, ?, ?, ?, ?)") \
	X(C_MG_OUT_GET, "SELECT session_id, pickle, created_ms, messages, shared_history FROM c_mg_out WHERE account = ? AND room_id = ?") \
	\
	X(C_OLM_SEEN_GET, "SELECT 1 FROM c_olm_seen WHERE account = ? AND hash = ?") \
	X(C_OLM_SEEN_ADD, "INSERT OR IGNORE INTO c_olm_seen (account, hash, at_ms) VALUES (?, ?, ?)") \
	X(C_OLM_SEEN_TRIM, "DELETE FROM c_olm_seen WHERE at_ms < ?") \
	X(C_MG_IN_GET, "SELECT owner_curve, owner_ed, pickle, first_index, source, withheld FROM c_mg_in" \
		" WHERE room_id = ? AND session_id = ? AND owner_user = ?") \
	X(C_MG_IN_SET, "INSERT OR REPLACE INTO c_mg_in (room_id, session_id, owner_user, owner_device, owner_curve, owner_ed, pickle, first_index," \
		" source, shared_history, withheld, received_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)") \
	X(C_MG_IN_TRIM, "DELETE FROM c_mg_in WHERE received_ms < ?1 - 2 * max(604800000, coalesce((SELECT rotation_ms FROM c_room r" \
		" WHERE r.room_id = c_mg_in.room_id), 0))") \
	X(C_MG_INDEX_TRIM, "DELETE FROM c_mg_index WHERE session_id NOT IN (SELECT session_id FROM c_mg_in" \
		" UNION ALL SELECT session_id || ' ' || owner_user FROM c_mg_in)") \
	X(C_MG_INDEX_ADD, "INSERT OR IGNORE INTO c_mg_index (session_id, idx, event_id, origin_ms) VALUES (?1 || ' ' || ?2, ?3, ?4, ?5)") \
	X(C_MG_INDEX_GET, "SELECT event_id, origin_ms FROM c_mg_index WHERE session_id IN (?1, ?1 || ' ' || ?2) AND idx = ?3" \
		" ORDER BY session_id LIMIT 1") \
	X(C_DEVICE_OF_CURVE, "SELECT device_id, ed, trust FROM c_device WHERE user_id = ? AND curve = ? ORDER BY gone, trust DESC LIMIT 1") \
	X(C_DEVICE_UNWEDGED, "UPDATE c_device SET unwedged_ms = ? WHERE user_id = ? AND device_id = ? AND unwedged_ms <= ?") \
	X(C_UTD_ADD, "INSERT OR IGNORE INTO c_utd (room_id, event_id, session_id, sender, curve, since_ms, aside, request)" \
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, coalesce((SELECT max(request) FROM c_utd WHERE room_id = ?1 AND session_id = ?3 AND sender = ?4), ''))") \
	X(C_UTD_GET, "SELECT aside, since_ms, (SELECT min(since_ms) FROM c_utd b WHERE b.room_id = c_utd.room_id AND b.session_id = c_utd.session_id" \
		" AND b.sender = c_utd.sender) FROM c_utd WHERE room_id = ? AND event_id = ?") \
	X(C_UTD_ASIDE, "UPDATE c_utd SET aside = 1 WHERE room_id = ? AND event_id = ?") \
	X(C_UTD_END, "DELETE FROM c_utd WHERE room_id = ? AND event_id = ?") \
	X(C_UTD_ASIDES, "SELECT count(*) FROM c_utd WHERE sender = ? AND aside = 1") \
	X(C_UTD_OF_SESSION, "SELECT event_id, aside, request FROM c_utd WHERE room_id = ? AND session_id = ? AND sender = ? ORDER BY since_ms") \
	X(C_UTD_OF_SENDER, "SELECT room_id, event_id, aside FROM c_utd WHERE sender = ? ORDER BY since_ms") \
	X(C_UTD_TO_ASK, "SELECT room_id, session_id, sender, curve FROM c_utd WHERE request = '' AND since_ms <= ? LIMIT 1") \
	X(C_UTD_ASKED, "UPDATE c_utd SET request = ? WHERE room_id = ? AND session_id = ? AND sender = ?") \
	X(C_UTD_IMPATIENT, "SELECT DISTINCT room_id FROM c_utd WHERE aside = 0 AND since_ms <= ?") \
	X(C_UTD_OLD, "SELECT room_id, event_id FROM c_utd WHERE aside = 1 AND since_ms <= ? LIMIT 64") \
	X(C_UTD_OF_ROOM, "SELECT count(*) FROM c_utd WHERE room_id = ?") \
	X(C_COUNTS, "SELECT (SELECT count(*) FROM c_account WHERE state <> 9), (SELECT count(*) FROM c_room)," \
		" (SELECT count(*) FROM c_mg_in WHERE pickle IS NOT NULL), (SELECT count(*) FROM c_mg_out)," \
		" (SELECT count(*) FROM c_utd WHERE aside = 0), (SELECT count(*) FROM c_utd WHERE aside = 1)") \
	X(C_UTD_COUNTS, "SELECT coalesce(sum(aside = 0), 0), count(*) FROM c_utd")

enum statement {
#define X(name, sql) name,
	STATEMENTS(X)
#undef X
	STATEMENT_COUNT,
};

#endif
