# SPDX-License-Identifier: Apache-2.0
# One target a parser that meets bytes from outside. Without --enable-fuzzing each replays its corpus in `make check`;
# tests/fuzz/run builds them with libFuzzer and lets them run.
fuzz_tests =

# The core over a database that forgets, with clocks and chance of our own.
fuzz_bridge = tests/fuzz/bridge.c tests/fuzz/bridge.h tests/fuzz/replay.h
fuzz_bridge_wraps = -Wl,--wrap=sqlite3_exec -Wl,--wrap=sqlite3_prepare_v3 -Wl,--wrap=now_rules_ms -Wl,--wrap=now_real_ms -Wl,--wrap=now_monotonic_ms \
	-Wl,--wrap=seal_random_text

# The XMPP port, its stream replaced.
fuzz_muc = $(fuzz_bridge) tests/fuzz/muc.c tests/fuzz/muc.h
fuzz_muc_wraps = -Wl,--wrap=stream_open -Wl,--wrap=stream_start -Wl,--wrap=stream_close -Wl,--wrap=stream_is_up \
	-Wl,--wrap=stream_send -Wl,--wrap=stream_flush -Wl,--wrap=stream_backlog -Wl,--wrap=stream_handed \
	-Wl,--wrap=stream_refusal -Wl,--wrap=stream_trouble -Wl,--wrap=inbox_accept

fuzz_tests += tests/fuzz/fuzz_stanza
tests_fuzz_fuzz_stanza_SOURCES = tests/fuzz/fuzz_stanza.c $(fuzz_muc)
tests_fuzz_fuzz_stanza_LDFLAGS = $(fuzz_ldflags) $(fuzz_bridge_wraps) $(fuzz_muc_wraps)

# The Matrix port, HTTP replaced on both sides.
fuzz_homeserver = tests/fuzz/homeserver.c tests/fuzz/homeserver.h
fuzz_homeserver_wraps = -Wl,--wrap=http_open -Wl,--wrap=http_close -Wl,--wrap=http_send -Wl,--wrap=http_cancel \
	-Wl,--wrap=appservice_open -Wl,--wrap=appservice_close

fuzz_tests += tests/fuzz/fuzz_http
tests_fuzz_fuzz_http_SOURCES = tests/fuzz/fuzz_http.c $(fuzz_bridge) $(fuzz_homeserver)
tests_fuzz_fuzz_http_LDFLAGS = $(fuzz_ldflags) $(fuzz_bridge_wraps) $(fuzz_homeserver_wraps)

fuzz_tests += tests/fuzz/fuzz_archive
tests_fuzz_fuzz_archive_SOURCES = tests/fuzz/fuzz_archive.c $(fuzz_muc) $(fuzz_homeserver)
tests_fuzz_fuzz_archive_LDFLAGS = $(fuzz_ldflags) $(fuzz_bridge_wraps) $(fuzz_muc_wraps) $(fuzz_homeserver_wraps)

fuzz_tests += tests/fuzz/fuzz_command
tests_fuzz_fuzz_command_SOURCES = tests/fuzz/fuzz_command.c $(fuzz_bridge)
tests_fuzz_fuzz_command_LDFLAGS = $(fuzz_ldflags) $(fuzz_bridge_wraps)

fuzz_tests += tests/fuzz/fuzz_config
tests_fuzz_fuzz_config_SOURCES = tests/fuzz/fuzz_config.c tests/fuzz/replay.h tests/fuzz/memory_file.h
tests_fuzz_fuzz_config_LDFLAGS = $(fuzz_ldflags)

fuzz_tests += tests/fuzz/fuzz_names
tests_fuzz_fuzz_names_SOURCES = tests/fuzz/fuzz_names.c tests/fuzz/replay.h tests/fuzz/memory_file.h
tests_fuzz_fuzz_names_LDFLAGS = $(fuzz_ldflags)

fuzz_tests += tests/fuzz/fuzz_registration
tests_fuzz_fuzz_registration_SOURCES = tests/fuzz/fuzz_registration.c tests/fuzz/replay.h tests/fuzz/memory_file.h
tests_fuzz_fuzz_registration_LDFLAGS = $(fuzz_ldflags)

fuzz_tests += tests/fuzz/fuzz_text
tests_fuzz_fuzz_text_SOURCES = tests/fuzz/fuzz_text.c tests/fuzz/replay.h
tests_fuzz_fuzz_text_LDFLAGS = $(fuzz_ldflags)

fuzz_tests += tests/fuzz/fuzz_charter
tests_fuzz_fuzz_charter_SOURCES = tests/fuzz/fuzz_charter.c tests/fuzz/replay.h
tests_fuzz_fuzz_charter_LDADD = librules.a $(UTF8PROC_LIBS)
tests_fuzz_fuzz_charter_LDFLAGS = $(fuzz_ldflags)

fuzz_tests += tests/fuzz/fuzz_event
tests_fuzz_fuzz_event_SOURCES = tests/fuzz/fuzz_event.c tests/fuzz/replay.h
tests_fuzz_fuzz_event_LDFLAGS = $(fuzz_ldflags)

fuzz_tests += tests/fuzz/fuzz_stream
tests_fuzz_fuzz_stream_SOURCES = tests/fuzz/fuzz_stream.c tests/fuzz/replay.h
tests_fuzz_fuzz_stream_LDFLAGS = $(fuzz_ldflags)

fuzz_tests += tests/fuzz/fuzz_transaction
tests_fuzz_fuzz_transaction_SOURCES = tests/fuzz/fuzz_transaction.c tests/fuzz/replay.h
tests_fuzz_fuzz_transaction_LDFLAGS = $(fuzz_ldflags)

fuzz_tests += tests/fuzz/fuzz_zone
tests_fuzz_fuzz_zone_SOURCES = tests/fuzz/fuzz_zone.c tests/fuzz/replay.h
tests_fuzz_fuzz_zone_LDADD = librules.a
tests_fuzz_fuzz_zone_LDFLAGS = $(fuzz_ldflags)

# Encryption: whatever meets bytes of others before or after they were decrypted.
fuzz_ratchets = tests/fuzz/ratchets.h tests/fuzz/replay.h tests/unit/ratchet_vectors.h
if HAVE_OLM
fuzz_tests += tests/fuzz/fuzz_prekey
tests_fuzz_fuzz_prekey_SOURCES = tests/fuzz/fuzz_prekey.c $(fuzz_ratchets)
tests_fuzz_fuzz_prekey_LDFLAGS = $(fuzz_ldflags)
fuzz_tests += tests/fuzz/fuzz_olm
tests_fuzz_fuzz_olm_SOURCES = tests/fuzz/fuzz_olm.c $(fuzz_ratchets)
tests_fuzz_fuzz_olm_LDFLAGS = $(fuzz_ldflags)
fuzz_tests += tests/fuzz/fuzz_megolm
tests_fuzz_fuzz_megolm_SOURCES = tests/fuzz/fuzz_megolm.c $(fuzz_ratchets)
tests_fuzz_fuzz_megolm_LDFLAGS = $(fuzz_ldflags)
fuzz_tests += tests/fuzz/fuzz_roomkey
tests_fuzz_fuzz_roomkey_SOURCES = tests/fuzz/fuzz_roomkey.c $(fuzz_ratchets)
tests_fuzz_fuzz_roomkey_LDFLAGS = $(fuzz_ldflags)
fuzz_tests += tests/fuzz/fuzz_peer
tests_fuzz_fuzz_peer_SOURCES = tests/fuzz/fuzz_peer.c tests/fuzz/replay.h
tests_fuzz_fuzz_peer_LDFLAGS = $(fuzz_ldflags)
fuzz_tests += tests/fuzz/fuzz_arrival
tests_fuzz_fuzz_arrival_SOURCES = tests/fuzz/fuzz_arrival.c $(fuzz_bridge) $(fuzz_homeserver)
tests_fuzz_fuzz_arrival_LDFLAGS = $(fuzz_ldflags) $(fuzz_bridge_wraps) $(fuzz_homeserver_wraps)
fuzz_tests += tests/fuzz/fuzz_file
tests_fuzz_fuzz_file_SOURCES = tests/fuzz/fuzz_file.c tests/fuzz/replay.h
tests_fuzz_fuzz_file_LDFLAGS = $(fuzz_ldflags)
fuzz_tests += tests/fuzz/fuzz_canonical
tests_fuzz_fuzz_canonical_SOURCES = tests/fuzz/fuzz_canonical.c tests/fuzz/replay.h
tests_fuzz_fuzz_canonical_LDFLAGS = $(fuzz_ldflags)
endif

fuzz_ldflags = $(AM_LDFLAGS)
if FUZZING
fuzz_ldflags += -fsanitize=fuzzer
endif

# A single program is made without these otherwise.
made-sources: $(BUILT_SOURCES)
.PHONY: made-sources
check_PROGRAMS += $(fuzz_tests)
TESTS += $(fuzz_tests)
EXTRA_DIST += tests/fuzz/run tests/fuzz/corpus tests/fuzz/words tests/coverage tests/coverage-explained.txt
