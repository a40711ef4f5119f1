# SPDX-License-Identifier: Apache-2.0
# libbridge.a is everything but main(), so that tests link the real thing.
noinst_LIBRARIES += libbridge.a
libbridge_a_SOURCES = $(base_sources) $(store_sources) $(core_sources) $(matrix_sources) $(crypto_sources) $(xmpp_sources) $(cli_sources)

base_sources = \
	bridge/base/config.c bridge/base/config.h \
	bridge/base/config_keys.c bridge/base/config_keys.h \
	bridge/base/config_walk.c bridge/base/config_walk.h \
	bridge/base/disk.c bridge/base/disk.h \
	bridge/base/document.c bridge/base/document.h \
	bridge/base/fault.c bridge/base/fault.h \
	bridge/base/json.c bridge/base/json.h \
	bridge/base/list.h \
	bridge/base/log.c bridge/base/log.h \
	bridge/base/loop.c bridge/base/loop.h \
	bridge/base/hush.c bridge/base/hush.h \
	bridge/base/look.c bridge/base/look.h \
	bridge/base/mem.c bridge/base/mem.h \
	bridge/base/metric.c bridge/base/metric.h \
	bridge/base/now.c bridge/base/now.h \
	bridge/base/seal.c bridge/base/seal.h \
	bridge/base/str.c bridge/base/str.h \
	bridge/base/text.c bridge/base/text.h

store_sources = \
	bridge/store/bundle.c bridge/store/bundle.h \
	bridge/store/migrations.c bridge/store/migrations.h \
	bridge/store/statements.h \
	bridge/store/store.c bridge/store/store.h
nodist_libbridge_a_SOURCES = bridge/store/schema.h
BUILT_SOURCES += bridge/store/schema.h
CLEANFILES += bridge/store/schema.h
EXTRA_DIST += bridge/store/schema.sql

# The schema as an array of lines, without its comments.
bridge/store/schema.h: bridge/store/schema.sql
	$(AM_V_GEN)$(MKDIR_P) bridge/store && { \
	echo '/* Made from schema.sql. */'; echo 'static const char *const schema_sql[] = {'; \
	sed -e 's/ *--.*//' -e '/^$$/d' -e 's/.*/"&\\n",/' $(srcdir)/bridge/store/schema.sql; echo 'NULL };'; } >$@.tmp && mv $@.tmp $@

core_sources = \
	bridge/core/arena.c \
	bridge/core/arena.h \
	bridge/core/audit.c \
	bridge/core/audit.h \
	bridge/core/charters.c \
	bridge/core/charters.h \
	bridge/core/command.c \
	bridge/core/command.h \
	bridge/core/command_charter.c \
	bridge/core/command_inside.h \
	bridge/core/command_people.c \
	bridge/core/command_plumb.c \
	bridge/core/command_rights.c \
	bridge/core/core.c \
	bridge/core/core.h \
	bridge/core/decisions.c \
	bridge/core/decisions.h \
	bridge/core/digests.c \
	bridge/core/digests.h \
	bridge/core/groups.c \
	bridge/core/groups.h \
	bridge/core/inbox.c \
	bridge/core/inbox.h \
	bridge/core/inbox_rows.h \
	bridge/core/ledger.c \
	bridge/core/ledger.h \
	bridge/core/notices.c \
	bridge/core/notices.h \
	bridge/core/outbox.c \
	bridge/core/outbox.h \
	bridge/core/outbox_answer.c \
	bridge/core/outbox_due.c \
	bridge/core/outbox_inside.h \
	bridge/core/outbox_rows.h \
	bridge/core/outbox_write.c \
	bridge/core/people.c \
	bridge/core/people.h \
	bridge/core/people_open.h \
	bridge/core/plumb.c \
	bridge/core/plumb_inside.h \
	bridge/core/plumb.h \
	bridge/core/plumb_open.h \
	bridge/core/plumb_pair.c \
	bridge/core/consent.c \
	bridge/core/consent.h \
	bridge/core/command_encrypted.c \
	bridge/core/plumb_request.c \
	bridge/core/plumb_visit.c \
	bridge/core/port.h \
	bridge/core/pressure.c \
	bridge/core/pressure.h \
	bridge/core/refusals.c \
	bridge/core/refusals.h \
	bridge/core/relay.c \
	bridge/core/relay.h \
	bridge/core/restored.c \
	bridge/core/restored.h \
	bridge/core/speech.c \
	bridge/core/speech.h \
	bridge/core/withdrawal.c \
	bridge/core/withdrawal.h

matrix_sources = \
	bridge/matrix/appservice.c bridge/matrix/appservice.h \
	bridge/matrix/cipher.c bridge/matrix/cipher.h \
	bridge/matrix/event.c bridge/matrix/event.h \
	bridge/matrix/gap.c bridge/matrix/gap.h \
	bridge/matrix/ghost.c bridge/matrix/ghost.h \
	bridge/matrix/http.c bridge/matrix/http.h \
	bridge/matrix/inside.h \
	bridge/matrix/intake.c bridge/matrix/intake.h \
	bridge/matrix/direct.c bridge/matrix/direct.h \
	bridge/matrix/lane.c bridge/matrix/lane.h \
	bridge/matrix/link.c bridge/matrix/link.h \
	bridge/matrix/matrix.c bridge/matrix/matrix.h \
	bridge/matrix/power.c bridge/matrix/power.h \
	bridge/matrix/expelled.c bridge/matrix/expelled.h \
	bridge/matrix/readback.c bridge/matrix/readback.h \
	bridge/matrix/room.c bridge/matrix/room.h \
	bridge/matrix/survey.c bridge/matrix/survey.h \
	bridge/matrix/walk.c bridge/matrix/walk.h

# End-to-end encryption: nothing of it without libolm.
crypto_sources = bridge/matrix/crypto/crypto.h bridge/matrix/crypto/outbound.h bridge/matrix/crypto/report.h
if HAVE_OLM
crypto_sources += \
	bridge/matrix/crypto/attachment.c bridge/matrix/crypto/attachment.h \
	bridge/matrix/crypto/base64.c bridge/matrix/crypto/base64.h \
	bridge/matrix/crypto/canonical.c bridge/matrix/crypto/canonical.h \
	bridge/matrix/crypto/crosssign.c bridge/matrix/crypto/crosssign.h \
	bridge/matrix/crypto/crypto.c \
	bridge/matrix/crypto/decipher.c bridge/matrix/crypto/decipher.h \
	bridge/matrix/crypto/derive.c bridge/matrix/crypto/derive.h \
	bridge/matrix/crypto/devicekeys.c bridge/matrix/crypto/devicekeys.h \
	bridge/matrix/crypto/envelope.c bridge/matrix/crypto/envelope.h \
	bridge/matrix/crypto/form.c bridge/matrix/crypto/form.h \
	bridge/matrix/crypto/inbound.c bridge/matrix/crypto/inbound.h \
	bridge/matrix/crypto/keep.c bridge/matrix/crypto/keep.h \
	bridge/matrix/crypto/mend.c bridge/matrix/crypto/mend.h \
	bridge/matrix/crypto/outbound.c \
	bridge/matrix/crypto/own.c bridge/matrix/crypto/own.h \
	bridge/matrix/crypto/peer.c bridge/matrix/crypto/peer.h \
	bridge/matrix/crypto/peers.c bridge/matrix/crypto/peers.h \
	bridge/matrix/crypto/primitive.c bridge/matrix/crypto/primitive.h \
	bridge/matrix/crypto/ratchet.c bridge/matrix/crypto/ratchet.h \
	bridge/matrix/crypto/received.c bridge/matrix/crypto/received.h \
	bridge/matrix/crypto/recipients.c bridge/matrix/crypto/recipients.h \
	bridge/matrix/crypto/report.c \
	bridge/matrix/crypto/roster.c bridge/matrix/crypto/roster.h \
	bridge/matrix/crypto/secret.c bridge/matrix/crypto/secret.h \
	bridge/matrix/crypto/share.c bridge/matrix/crypto/share.h \
	bridge/matrix/crypto/signing.c bridge/matrix/crypto/signing.h \
	bridge/matrix/crypto/sync.c bridge/matrix/crypto/sync.h \
	bridge/matrix/crypto/waiting.c bridge/matrix/crypto/waiting.h
else
crypto_sources += bridge/matrix/crypto/without.c
endif
EXTRA_DIST += bridge/matrix/crypto/without.c

xmpp_sources = \
	bridge/xmpp/archive.c bridge/xmpp/archive.h \
	bridge/xmpp/disco.c bridge/xmpp/disco.h \
	bridge/xmpp/expelled.c bridge/xmpp/expelled.h \
	bridge/xmpp/ghost.c bridge/xmpp/ghost.h \
	bridge/xmpp/hear.c bridge/xmpp/hear.h \
	bridge/xmpp/inside.h \
	bridge/xmpp/jabber.c bridge/xmpp/jabber.h \
	bridge/xmpp/jid.c bridge/xmpp/jid.h \
	bridge/xmpp/member.c bridge/xmpp/member.h \
	bridge/xmpp/muc.c bridge/xmpp/muc.h \
	bridge/xmpp/nick.c bridge/xmpp/nick.h \
	bridge/xmpp/pace.c bridge/xmpp/pace.h \
	bridge/xmpp/presence.c bridge/xmpp/presence.h \
	bridge/xmpp/probe.c \
	bridge/xmpp/reader.c bridge/xmpp/reader.h \
	bridge/xmpp/review.c bridge/xmpp/review.h \
	bridge/xmpp/roster.c bridge/xmpp/roster.h \
	bridge/xmpp/sent.c bridge/xmpp/sent.h \
	bridge/xmpp/speak.c bridge/xmpp/speak.h \
	bridge/xmpp/stanza.c bridge/xmpp/stanza.h \
	bridge/xmpp/stream.c bridge/xmpp/stream.h

cli_sources = \
	bridge/cli/answer.c bridge/cli/answer.h \
	bridge/cli/audit.c \
	bridge/cli/backup.c \
	bridge/cli/charter.c bridge/cli/charter.h \
	bridge/cli/check.c bridge/cli/check.h \
	bridge/cli/check_encryption.c \
	bridge/cli/check_homeserver.c \
	bridge/cli/check_machine.c \
	bridge/cli/check_ping.c \
	bridge/cli/check_rooms.c \
	bridge/cli/check_store.c \
	bridge/cli/check_words.c \
	bridge/cli/check_xmpp.c \
	bridge/cli/cli.c bridge/cli/cli.h \
	bridge/cli/completion.c \
	bridge/cli/control.c bridge/cli/control.h \
	bridge/cli/encryption.c bridge/cli/encryption.h \
	bridge/cli/example_config.c \
	bridge/cli/fingerprints.c \
	bridge/cli/gauges.c bridge/cli/gauges.h \
	bridge/cli/log.c bridge/cli/log.h \
	bridge/cli/metrics.c bridge/cli/metrics.h \
	bridge/cli/registration.c \
	bridge/cli/rules.c \
	bridge/cli/run.c \
	bridge/cli/status.c \
	bridge/cli/supervisor.c bridge/cli/supervisor.h
nodist_libbridge_a_SOURCES += bridge/cli/example_config.h
BUILT_SOURCES += bridge/cli/example_config.h
CLEANFILES += bridge/cli/example_config.h

# The example configuration as an array of lines.
bridge/cli/example_config.h: packaging/example.config.yaml
	$(AM_V_GEN)$(MKDIR_P) bridge/cli && { \
	echo '/* Made from packaging/example.config.yaml. */'; echo 'static const char *const example_config[] = {'; \
	sed -e 's/[\\"]/\\&/g' -e 's/.*/"&\\n",/' $(srcdir)/packaging/example.config.yaml; echo 'NULL };'; } >$@.tmp && mv $@.tmp $@

bin_PROGRAMS += sourdine
sourdine_SOURCES = bridge/main.c
sourdine_LDADD = libbridge.a librules.a $(bridge_libs)
bridge_libs = $(STROPHE_LIBS) $(EXPAT_LIBS) $(JANSSON_LIBS) $(CURL_LIBS) $(SQLITE_LIBS) $(MICROHTTPD_LIBS) \
	$(YAML_LIBS) $(OLM_LIBS) $(CRYPTO_LIBS) $(UTF8PROC_LIBS) $(IDN_LIBS)
