# SPDX-License-Identifier: Apache-2.0
# One program a module under tests/unit/, each speaking TAP; `make check` runs them and the scripts.
test_libs = libbridge.a librules.a $(bridge_libs) $(CMOCKA_LIBS)
LDADD = $(test_libs)
unit_tests =

unit_tests += tests/unit/test_core
tests_unit_test_core_SOURCES = tests/unit/test_core.c tests/unit/fake_port.c tests/unit/fake_port.h

if HAVE_CMOCKA
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
endif

# End to end, and what it stands on.
EXTRA_DIST += tests/run tests/requirements.txt \
	tests/e2e/checks.py tests/e2e/clients.py tests/e2e/conftest.py tests/e2e/world.py \
	tests/e2e/test_commands.py tests/e2e/test_configuration.py tests/e2e/test_crossing.py tests/e2e/test_digest.py \
	tests/e2e/test_gap.py tests/e2e/test_hold.py tests/e2e/test_hostile.py tests/e2e/test_route.py \
	tests/servers/bare-root.sh tests/servers/ejabberd.yml.in tests/servers/homeserver.yaml.in \
	tests/servers/prosody.cfg.lua.in tests/servers/run-ejabberd.sh tests/servers/run-prosody.sh tests/servers/run-synapse.sh
