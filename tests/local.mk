# SPDX-License-Identifier: Apache-2.0
# One program a module under tests/unit/, each speaking TAP; `make check` runs them and the scripts.
# What several tests stand on; a test links what it uses.
check_LIBRARIES = tests/libtests.a
tests_libtests_a_SOURCES = tests/unit/core_scene.c tests/unit/core_scene.h tests/unit/fake_port.c tests/unit/fake_port.h \
	tests/unit/scratch.c tests/unit/scratch.h

test_libs = tests/libtests.a libbridge.a librules.a $(bridge_libs) $(CMOCKA_LIBS)
LDADD = $(test_libs)
unit_tests =

unit_tests += tests/unit/test_command_rights
tests_unit_test_command_rights_SOURCES = tests/unit/test_command_rights.c

unit_tests += tests/unit/test_store
tests_unit_test_store_SOURCES = tests/unit/test_store.c
EXTRA_DIST += tests/schema/1.sql tests/schema/3.sql

unit_tests += tests/unit/test_log
tests_unit_test_log_SOURCES = tests/unit/test_log.c

unit_tests += tests/unit/test_core
tests_unit_test_core_SOURCES = tests/unit/test_core.c

unit_tests += tests/unit/test_digests
tests_unit_test_digests_SOURCES = tests/unit/test_digests.c

unit_tests += tests/unit/test_again
tests_unit_test_again_SOURCES = tests/unit/test_again.c

unit_tests += tests/unit/test_relay
tests_unit_test_relay_SOURCES = tests/unit/test_relay.c

unit_tests += tests/unit/test_unread
tests_unit_test_unread_SOURCES = tests/unit/test_unread.c

plumb_scene = tests/unit/plumb_scene.c tests/unit/plumb_scene.h
unit_tests += tests/unit/test_command tests/unit/test_plumb tests/unit/test_unplumb tests/unit/test_consent
tests_unit_test_consent_SOURCES = tests/unit/test_consent.c $(plumb_scene)
tests_unit_test_consent_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=now_monotonic_ms
tests_unit_test_command_SOURCES = tests/unit/test_command.c $(plumb_scene)
tests_unit_test_command_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=now_monotonic_ms
tests_unit_test_plumb_SOURCES = tests/unit/test_plumb.c $(plumb_scene)
tests_unit_test_plumb_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=now_monotonic_ms
tests_unit_test_unplumb_SOURCES = tests/unit/test_unplumb.c $(plumb_scene)
tests_unit_test_unplumb_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=now_monotonic_ms

# rules/: pure, so these link nothing else.
rules_libs = librules.a $(UTF8PROC_LIBS) $(CMOCKA_LIBS)
rules_fixture = tests/unit/rules_fixture.c tests/unit/rules_fixture.h
unit_tests += tests/unit/test_zone tests/unit/test_calendar tests/unit/test_parse
tests_unit_test_zone_SOURCES = tests/unit/test_zone.c $(rules_fixture)
tests_unit_test_zone_LDADD = $(rules_libs)
tests_unit_test_calendar_SOURCES = tests/unit/test_calendar.c $(rules_fixture)
tests_unit_test_calendar_LDADD = $(rules_libs)
tests_unit_test_parse_SOURCES = tests/unit/test_parse.c $(rules_fixture)
tests_unit_test_parse_LDADD = $(rules_libs)
unit_tests += tests/unit/test_judge tests/unit/test_explain tests/unit/test_digest tests/unit/test_edit
tests_unit_test_judge_SOURCES = tests/unit/test_judge.c $(rules_fixture)
tests_unit_test_judge_LDADD = $(rules_libs)
tests_unit_test_explain_SOURCES = tests/unit/test_explain.c $(rules_fixture)
tests_unit_test_explain_LDADD = $(rules_libs)
tests_unit_test_digest_SOURCES = tests/unit/test_digest.c $(rules_fixture)
tests_unit_test_digest_LDADD = $(rules_libs)
tests_unit_test_edit_SOURCES = tests/unit/test_edit.c $(rules_fixture)
tests_unit_test_edit_LDADD = $(rules_libs)

# The cases: charter, timeline, verdicts.
rules_cases = tests/cases/broken.case tests/cases/clock-changes.case tests/cases/conditions.case tests/cases/digests.case \
	tests/cases/french.case tests/cases/holidays.case tests/cases/office.case tests/cases/stages.case
check_PROGRAMS += tests/cases/run_cases
TESTS += tests/cases/run_cases
EXTRA_DIST += tests/cases/README.md $(rules_cases)
tests_cases_run_cases_SOURCES = tests/cases/run_cases.c $(rules_fixture)
tests_cases_run_cases_LDADD = librules.a $(UTF8PROC_LIBS)

# The Matrix port, without a server.
unit_tests += tests/unit/test_json tests/unit/test_event tests/unit/test_appservice tests/unit/test_matrix_ghost
tests_unit_test_json_SOURCES = tests/unit/test_json.c
tests_unit_test_event_SOURCES = tests/unit/test_event.c
tests_unit_test_appservice_SOURCES = tests/unit/test_appservice.c
tests_unit_test_matrix_ghost_SOURCES = tests/unit/test_matrix_ghost.c
unit_tests += tests/unit/test_matrix tests/unit/test_matrix_faults tests/unit/test_poison tests/unit/test_cipher
tests_unit_test_cipher_SOURCES = tests/unit/test_cipher.c $(matrix_scene)
matrix_scene = tests/unit/matrix_scene.c tests/unit/matrix_scene.h tests/unit/fake_homeserver.c tests/unit/fake_homeserver.h
tests_unit_test_matrix_SOURCES = tests/unit/test_matrix.c $(matrix_scene)
tests_unit_test_matrix_faults_SOURCES = tests/unit/test_matrix_faults.c $(matrix_scene)
tests_unit_test_poison_SOURCES = tests/unit/test_poison.c $(matrix_scene)

# Encryption: what it is made of.
if HAVE_OLM
unit_tests += tests/unit/test_crypto_text tests/unit/test_primitive tests/unit/test_ratchet
tests_unit_test_ratchet_SOURCES = tests/unit/test_ratchet.c tests/unit/hex.h tests/unit/ratchet_vectors.h
unit_tests += tests/unit/test_inbound
tests_unit_test_inbound_SOURCES = tests/unit/test_inbound.c
tests_unit_test_inbound_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=now_real_ms
unit_tests += tests/unit/test_attachment tests/unit/test_peer
tests_unit_test_attachment_SOURCES = tests/unit/test_attachment.c tests/unit/hex.h
tests_unit_test_peer_SOURCES = tests/unit/test_peer.c tests/unit/hex.h
unit_tests += tests/unit/test_outbound
tests_unit_test_outbound_SOURCES = tests/unit/test_outbound.c $(matrix_scene)
unit_tests += tests/unit/test_forgotten
tests_unit_test_forgotten_SOURCES = tests/unit/test_forgotten.c
tests_unit_test_forgotten_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=free
unit_tests += tests/unit/test_report
tests_unit_test_report_SOURCES = tests/unit/test_report.c
unit_tests += tests/unit/test_keep tests/unit/test_own
tests_unit_test_own_SOURCES = tests/unit/test_own.c $(matrix_scene)
tests_unit_test_keep_SOURCES = tests/unit/test_keep.c
tests_unit_test_crypto_text_SOURCES = tests/unit/test_crypto_text.c
tests_unit_test_primitive_SOURCES = tests/unit/test_primitive.c tests/unit/hex.h
endif

# The XMPP port, without a server.
unit_tests += tests/unit/test_ghost tests/unit/test_jabber tests/unit/test_jid tests/unit/test_nick tests/unit/test_sent \
	tests/unit/test_stanza tests/unit/test_stream
tests_unit_test_ghost_SOURCES = tests/unit/test_ghost.c
tests_unit_test_jabber_SOURCES = tests/unit/test_jabber.c
unit_tests += tests/unit/test_muc
tests_unit_test_muc_SOURCES = tests/unit/test_muc.c tests/unit/fake_server.c tests/unit/fake_server.h
tests_unit_test_jid_SOURCES = tests/unit/test_jid.c
tests_unit_test_nick_SOURCES = tests/unit/test_nick.c
tests_unit_test_sent_SOURCES = tests/unit/test_sent.c
tests_unit_test_stanza_SOURCES = tests/unit/test_stanza.c
tests_unit_test_stream_SOURCES = tests/unit/test_stream.c

# The base and the command line.
unit_tests += tests/unit/test_audit tests/unit/test_check tests/unit/test_config tests/unit/test_control tests/unit/test_http tests/unit/test_loop tests/unit/test_now tests/unit/test_seal \
	tests/unit/test_str tests/unit/test_text
tests_unit_test_audit_SOURCES = tests/unit/test_audit.c
tests_unit_test_check_SOURCES = tests/unit/test_check.c
tests_unit_test_config_SOURCES = tests/unit/test_config.c
tests_unit_test_control_SOURCES = tests/unit/test_control.c
unit_tests += tests/unit/test_look
tests_unit_test_look_SOURCES = tests/unit/test_look.c
tests_unit_test_http_SOURCES = tests/unit/test_http.c
tests_unit_test_loop_SOURCES = tests/unit/test_loop.c
tests_unit_test_now_SOURCES = tests/unit/test_now.c
tests_unit_test_seal_SOURCES = tests/unit/test_seal.c
tests_unit_test_str_SOURCES = tests/unit/test_str.c
tests_unit_test_text_SOURCES = tests/unit/test_text.c

# Lives that end badly: a power cut, a damaged database.
check_PROGRAMS += tests/faults/lives
TESTS += tests/faults/lives
tests_faults_lives_SOURCES = tests/faults/lives.c tests/faults/disk.c tests/faults/disk.h

# What system calls do when they fail, and the clock: replaced by the linker.
unit_tests += tests/unit/test_outbox
tests_unit_test_outbox_SOURCES = tests/unit/test_outbox.c
unit_tests += tests/unit/test_names tests/unit/test_instants tests/unit/test_rights
tests_unit_test_rights_SOURCES = tests/unit/test_rights.c
tests_unit_test_names_SOURCES = tests/unit/test_names.c
tests_unit_test_instants_SOURCES = tests/unit/test_instants.c $(rules_fixture)
tests_unit_test_instants_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=malloc -Wl,--wrap=calloc
unit_tests += tests/unit/test_stream_life
tests_unit_test_stream_life_SOURCES = tests/unit/test_stream_life.c
tests_unit_test_stream_life_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=now_monotonic_ms -Wl,--wrap=socket -Wl,--wrap=connect \
	-Wl,--wrap=getsockopt -Wl,--wrap=setsockopt -Wl,--wrap=recv -Wl,--wrap=send -Wl,--wrap=getaddrinfo -Wl,--wrap=loop_add

if HAVE_CMOCKA
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
endif

# The shape of the house, the words, the command line, the manual.
script_tests = tests/layering.sh tests/layering-sees.sh tests/po.sh tests/cli.sh tests/install.sh tests/manual.sh
TESTS += $(script_tests)
EXTRA_DIST += $(script_tests) tests/analyse
TEST_EXTENSIONS = .sh
SH_LOG_DRIVER = $(LOG_DRIVER)
SH_LOG_COMPILER = sh

# End to end, and what it stands on.
EXTRA_DIST += tests/run tests/requirements.txt \
	tests/e2e/checks.py tests/e2e/clients.py tests/e2e/conftest.py tests/e2e/world.py \
	tests/e2e/test_admin.py tests/e2e/test_check.py tests/e2e/test_commands.py tests/e2e/test_configuration.py tests/e2e/test_crossing.py tests/e2e/test_digest.py \
	tests/e2e/crypto_client.py tests/e2e/crypto_clients.py tests/e2e/crypto_device.py tests/e2e/crypto_js.py tests/e2e/crypto_nio.py tests/e2e/crypto_wire.py tests/e2e/test_crypto_check.py tests/e2e/test_crypto_controls.py tests/e2e/test_crypto_inbound.py tests/e2e/test_crypto_own.py tests/e2e/test_crypto_sending.py \
	tests/e2e/test_encrypted.py tests/e2e/test_encrypted_direct.py tests/e2e/test_ejabberd.py tests/e2e/test_hostile_xmpp.py tests/e2e/test_matrix_rooms.py tests/e2e/test_muc_life.py \
	tests/e2e/crypto_stage.py tests/e2e/test_crypto_cases.py tests/e2e/test_crypto_cases_crash.py tests/e2e/test_crypto_cases_mend.py \
	tests/e2e/test_plumb.py tests/e2e/wire.py \
	tests/e2e/js/client.mjs tests/e2e/js/package.json tests/e2e/js/package-lock.json \
	tests/e2e/test_gap.py tests/e2e/test_hold.py tests/e2e/test_hostile.py tests/e2e/test_rooms.py tests/e2e/test_route.py \
	tests/servers/bare-root.sh tests/servers/ejabberd.yml.in tests/servers/homeserver.yaml.in \
	tests/servers/prosody.cfg.lua.in tests/servers/run-ejabberd.sh tests/servers/run-prosody.sh tests/servers/run-synapse.sh

# Faults, and figures beside a raw program; neither is part of `make check`.
EXTRA_DIST += tests/faults/run tests/faults/faults.py tests/faults/fakehs.py tests/faults/ledger.py tests/faults/load.py \
	tests/faults/malloc.c tests/faults/poison.py tests/faults/proxy.py tests/faults/row.py tests/faults/rows.py tests/faults/rows_disk.py tests/faults/rows_fake.py \
	tests/faults/rows_kill.py tests/faults/rows_load.py tests/faults/rows_muc.py tests/faults/rows_restored.py tests/faults/rows_sealed.py \
	tests/faults/rows_sentinel.py tests/faults/rows_server.py tests/faults/rows_soak.py tests/faults/rows_talk.py tests/faults/rows_time.py \
	tests/faults/rows_wire.py tests/faults/sealed.py tests/faults/stage.py tests/faults/test_ledger.py

EXTRA_DIST += tests/bench/run tests/bench/bench.py tests/bench/fake.py tests/bench/ghosts.py tests/bench/sealed.py

# What a figure is compared with, and two servers that cost next to nothing; none of them has a line of ours.
check_PROGRAMS += tests/bench/raw tests/bench/raw_way tests/bench/fake_homeserver tests/bench/fake_component
tests_bench_raw_SOURCES = tests/bench/raw.c
tests_bench_raw_LDADD = $(JANSSON_LIBS) $(SQLITE_LIBS) $(CURL_LIBS) $(CRYPTO_LIBS) $(EXPAT_LIBS)
tests_bench_raw_way_SOURCES = tests/bench/raw_way.c
tests_bench_raw_way_LDADD = $(JANSSON_LIBS) $(SQLITE_LIBS) $(CURL_LIBS) $(EXPAT_LIBS)
tests_bench_fake_homeserver_SOURCES = tests/bench/fake_homeserver.c tests/bench/fake_keys.c tests/bench/fake_keys.h tests/bench/wire.c \
	tests/bench/wire.h
tests_bench_fake_homeserver_LDADD =
tests_bench_fake_component_SOURCES = tests/bench/fake_component.c tests/bench/wire.c tests/bench/wire.h
tests_bench_fake_component_LDADD =
if HAVE_OLM
check_PROGRAMS += tests/bench/devices tests/bench/raw_seal
tests_bench_devices_SOURCES = tests/bench/devices.c
tests_bench_devices_LDADD = $(CRYPTO_LIBS)
tests_bench_raw_seal_SOURCES = tests/bench/raw_seal.c
tests_bench_raw_seal_LDADD = $(OLM_LIBS) $(SQLITE_LIBS) $(CRYPTO_LIBS)
endif
