# SPDX-License-Identifier: Apache-2.0
# libbridge.a is everything but main(), so that tests link the real thing.
noinst_LIBRARIES += libbridge.a
libbridge_a_SOURCES = $(base_sources) $(store_sources) $(core_sources) $(matrix_sources) $(xmpp_sources) $(cli_sources)

base_sources = \
	bridge/base/json.c bridge/base/json.h \
	bridge/base/list.h \
	bridge/base/log.c bridge/base/log.h \
	bridge/base/loop.c bridge/base/loop.h \
	bridge/base/mem.c bridge/base/mem.h \
	bridge/base/now.c bridge/base/now.h \
	bridge/base/seal.c bridge/base/seal.h \
	bridge/base/str.c bridge/base/str.h

store_sources =

core_sources =

matrix_sources =

xmpp_sources =

cli_sources =

bin_PROGRAMS += sourdine
sourdine_SOURCES = bridge/main.c
sourdine_LDADD = libbridge.a librules.a $(bridge_libs)
bridge_libs = $(STROPHE_LIBS) $(EXPAT_LIBS) $(JANSSON_LIBS) $(CURL_LIBS) $(SQLITE_LIBS) $(MICROHTTPD_LIBS) \
	$(YAML_LIBS) $(CRYPTO_LIBS) $(UTF8PROC_LIBS) $(IDN_LIBS)
