# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += librules.a
librules_a_SOURCES = \
	rules/limits.h rules/message.h rules/rules.h rules/verdict.h rules/zone.h rules/digest.h \
	rules/calendar.c rules/calendar.h rules/complain.c rules/digest.c rules/edit.c rules/explain.c rules/fold.c rules/fold.h \
	rules/judge.c rules/lex.c rules/lex.h rules/match.c rules/match.h rules/parse.c rules/parse.h \
	rules/parse_rule.c rules/parse_setting.c rules/parse_time.c rules/parse_token.c rules/say.c rules/say.h \
	rules/syntax.c rules/syntax.h rules/tags.c rules/tags.h \
	rules/words.c rules/words.h rules/zone.c
