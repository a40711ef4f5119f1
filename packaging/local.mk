# SPDX-License-Identifier: Apache-2.0

EXTRA_DIST += packaging/deps packaging/try packaging/try.py

# Manual, catalogues, unit, examples.
dist_man_MANS += packaging/man/sourdine.8 packaging/man/sourdine-charter.5 packaging/man/sourdine.yaml.5
exampledir = $(docdir)/examples
dist_example_DATA = packaging/example.charter packaging/example.config.yaml
EXTRA_DIST += packaging/sourdine.service.in packaging/po/POTFILES packaging/po/fr.po
systemdsystemunit_DATA = packaging/sourdine.service
sysusersdir = $(prefix)/lib/sysusers.d
sysusers_DATA = packaging/sourdine.conf
CLEANFILES += packaging/sourdine.service packaging/sourdine.conf
EXTRA_DIST += packaging/sourdine.sysusers

packaging/sourdine.conf: packaging/sourdine.sysusers
	$(AM_V_GEN)$(MKDIR_P) packaging && cp $(srcdir)/packaging/sourdine.sysusers $@

packaging/sourdine.service: packaging/sourdine.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) packaging && sed 's|[@]bindir[@]|$(bindir)|g' $(srcdir)/packaging/sourdine.service.in >$@.tmp && mv $@.tmp $@

# Completion, printed by the program itself.
bashcompdir = $(datadir)/bash-completion/completions
zshcompdir = $(datadir)/zsh/site-functions
fishcompdir = $(datadir)/fish/vendor_completions.d
nodist_bashcomp_DATA = packaging/completion/sourdine
nodist_zshcomp_DATA = packaging/completion/_sourdine
nodist_fishcomp_DATA = packaging/completion/sourdine.fish
CLEANFILES += packaging/completion/sourdine packaging/completion/_sourdine packaging/completion/sourdine.fish

packaging/completion/sourdine: sourdine$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) packaging/completion && ./sourdine completion bash >$@.tmp && mv $@.tmp $@

packaging/completion/_sourdine: sourdine$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) packaging/completion && ./sourdine completion zsh >$@.tmp && mv $@.tmp $@

packaging/completion/sourdine.fish: sourdine$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) packaging/completion && ./sourdine completion fish >$@.tmp && mv $@.tmp $@

# In the build tree the catalogue lies where gettext looks for it: packaging/po/LANGUAGE/LC_MESSAGES.
frenchdir = $(localedir)/fr/LC_MESSAGES
french_DATA = packaging/po/fr/LC_MESSAGES/sourdine.mo
CLEANFILES += packaging/po/fr/LC_MESSAGES/sourdine.mo

packaging/po/fr/LC_MESSAGES/sourdine.mo: packaging/po/fr.po
	$(AM_V_GEN)$(MKDIR_P) packaging/po/fr/LC_MESSAGES && $(MSGFMT) --check -o $@.tmp $(srcdir)/packaging/po/fr.po && mv $@.tmp $@
