/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_METRIC_H
#define BASE_METRIC_H

/*
 * What the daemon counts about itself, written in Prometheus' text format 0.0.4. One table of series; whoever notices
 * something adds to a row of it. Names, units and labels follow the usual conventions: base units, counters end in _total,
 * never a user, a room or a text in a label. What is read off other modules at the moment of a scrape (held messages, sizes)
 * is written by cli/metrics.c and not kept here.
 */

#include "base/mem.h"
#include "base/str.h"

#include <stdint.h>

/* X(identifier, type, name without "sourdine_", labels or "", help). Rows of one name stand together. */
#define METRICS(X) \
	X(METRIC_XMPP_RECONNECTS, "counter", "xmpp_reconnects_total", "", "Component streams that had to be opened again.") \
	X(METRIC_TRANSACTION_ACCEPTED, "counter", "matrix_transactions_total", "result=\"accepted\"", "Transactions of the homeserver.") \
	X(METRIC_TRANSACTION_REFUSED, "counter", "matrix_transactions_total", "result=\"refused\"", "") \
	X(METRIC_TRANSACTION_UNREADABLE, "counter", "matrix_transactions_total", "result=\"unreadable\"", "") \
	X(METRIC_TRANSACTION_BUSY, "counter", "matrix_transactions_total", "result=\"unavailable\"", "") \
	X(METRIC_TRANSACTION_LAST, "gauge", "last_matrix_transaction_timestamp_seconds", "", "When the homeserver last pushed.") \
	X(METRIC_STANZA_LAST, "gauge", "last_xmpp_stanza_timestamp_seconds", "", "When the XMPP server last said anything.") \
	X(METRIC_EVENT_DELIVER, "counter", "events_total", "verdict=\"deliver\"", "Messages judged.") \
	X(METRIC_EVENT_HOLD, "counter", "events_total", "verdict=\"hold\"", "") \
	X(METRIC_EVENT_DIGEST, "counter", "events_total", "verdict=\"digest\"", "") \
	X(METRIC_EVENT_REJECT, "counter", "events_total", "verdict=\"reject\"", "") \
	X(METRIC_SETTLED_MATRIX, "counter", "delivered_total", "direction=\"to_matrix\"", "Rows of the outbox that arrived.") \
	X(METRIC_SETTLED_XMPP, "counter", "delivered_total", "direction=\"to_xmpp\"", "") \
	X(METRIC_REFUSED_MATRIX, "counter", "refused_total", "direction=\"to_matrix\"", "Rows of the outbox that the other side will never take.") \
	X(METRIC_REFUSED_XMPP, "counter", "refused_total", "direction=\"to_xmpp\"", "") \
	X(METRIC_STRIKES, "counter", "strikes_total", "", "Rows in flight when a server ended the stream.") \
	X(METRIC_QUARANTINED, "counter", "quarantined_total", "", "Messages set aside, raw.") \
	X(METRIC_DIGESTS, "counter", "digests_total", "", "Digests frozen.") \
	X(METRIC_MATRIX_REQUESTS, "counter", "matrix_api_requests_total", "result=\"good\"", "Our requests to the homeserver.") \
	X(METRIC_MATRIX_REQUESTS_FAILED, "counter", "matrix_api_requests_total", "result=\"failed\"", "") \
	X(METRIC_MATRIX_RATELIMITED, "counter", "matrix_ratelimited_total", "", "Answers 429 of the homeserver.") \
	X(METRIC_STANZA_IN, "counter", "xmpp_stanzas_total", "direction=\"in\",result=\"read\"", "Stanzas on the component stream.") \
	X(METRIC_STANZA_SKIPPED, "counter", "xmpp_stanzas_total", "direction=\"in\",result=\"skipped\"", "") \
	X(METRIC_STANZA_OUT, "counter", "xmpp_stanzas_total", "direction=\"out\",result=\"written\"", "") \
	X(METRIC_STANZA_HELD_BACK, "counter", "xmpp_stanzas_total", "direction=\"out\",result=\"held_back\"", "") \
	X(METRIC_STANZA_OVER_LIMIT, "counter", "ignored_total", "reason=\"over_limit\"", "Input that was ignored.") \
	X(METRIC_IGNORED_MALFORMED, "counter", "ignored_total", "reason=\"malformed\"", "") \
	X(METRIC_IGNORED_FORGED, "counter", "ignored_total", "reason=\"forged\"", "") \
	X(METRIC_IGNORED_ECHO, "counter", "ignored_total", "reason=\"echo\"", "") \
	X(METRIC_IGNORED_UNASKED, "counter", "ignored_total", "reason=\"unasked\"", "") \
	X(METRIC_IGNORED_FLOOD, "counter", "ignored_total", "reason=\"flood\"", "") \
	X(METRIC_IGNORED_OLM, "counter", "ignored_total", "reason=\"to_device\"", "") \
	X(METRIC_IGNORED_REPLAY, "counter", "ignored_total", "reason=\"replay\"", "") \
	X(METRIC_DECRYPTED, "counter", "matrix_decrypted_total", "result=\"good\"", "Encrypted events of Matrix rooms, each time one was looked at.") \
	X(METRIC_DECRYPTED_LATER, "counter", "matrix_decrypted_total", "result=\"waits\"", "") \
	X(METRIC_DECRYPTED_NEVER, "counter", "matrix_decrypted_total", "result=\"undecryptable\"", "") \
	X(METRIC_UNREAD_NO_KEY, "counter", "olm_decrypt_failures_total", "reason=\"no_key\"", "What came encrypted and could not be read, by why.") \
	X(METRIC_UNREAD_WITHHELD, "counter", "olm_decrypt_failures_total", "reason=\"withheld\"", "") \
	X(METRIC_UNREAD_UNSIGNED, "counter", "olm_decrypt_failures_total", "reason=\"unsigned_device\"", "") \
	X(METRIC_UNREAD_UNKNOWN, "counter", "olm_decrypt_failures_total", "reason=\"unknown_device\"", "") \
	X(METRIC_UNREAD_DAMAGED, "counter", "olm_decrypt_failures_total", "reason=\"damaged\"", "") \
	X(METRIC_UNREAD_NO_SESSION, "counter", "olm_decrypt_failures_total", "reason=\"no_session\"", "") \
	X(METRIC_UNREAD_FORGED, "counter", "olm_decrypt_failures_total", "reason=\"forged\"", "") \
	X(METRIC_UNREAD_MALFORMED, "counter", "olm_decrypt_failures_total", "reason=\"malformed\"", "") \
	X(METRIC_DEVICES_LOST, "counter", "olm_devices_lost_total", "", "Devices of ours that were given up for a successor.") \
	X(METRIC_SYNC_LAST, "gauge", "last_matrix_sync_timestamp_seconds", "", "When the homeserver last answered for the device of the bot.") \
	X(METRIC_ROOM_KEYS, "counter", "matrix_room_keys_total", "", "Keys of Megolm sessions that were received.") \
	X(METRIC_GAP_FILLED, "counter", "gap_filled_total", "", "Messages learnt from an archive.") \
	X(METRIC_DUPLICATES_POSSIBLE, "counter", "possible_duplicates_total", "", "Rows sent again where no archive could be asked.") \
	X(METRIC_COMMITS, "counter", "db_commits_total", "", "Durable commits.") \
	X(METRIC_COMMITS_FAILED, "counter", "db_commits_failed_total", "", "Commits that were rolled back.")

enum metric {
#define X(identifier, type, name, labels, help) identifier,
	METRICS(X)
#undef X
	METRIC_COUNT,
};

void metric_add(enum metric metric, int64_t n);
void metric_set(enum metric metric, int64_t value);
int64_t metric_get(enum metric metric);

/* Durations, as histograms. */
#define DURATIONS(X) \
	X(DURATION_TRANSACTION, "matrix_transaction_duration_seconds", "From the first byte of a transaction to its answer.") \
	X(DURATION_PUT, "matrix_send_duration_seconds", "From a PUT to its answer.") \
	X(DURATION_REFLECTION, "xmpp_send_duration_seconds", "From a stanza to its reflection.") \
	X(DURATION_DIGEST, "digest_delay_seconds", "From a digest's slot to its freezing.")

enum duration {
#define X(identifier, name, help) identifier,
	DURATIONS(X)
#undef X
	DURATION_COUNT,
};

/* Counts one duration, in milliseconds. */
void metric_observe(enum duration duration, int64_t ms);

/* Appends every series. */
void metric_write(struct str *out);

#endif
