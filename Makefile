# connspread: see README.md, and `make help` for the targets.
# The one place of the version.
VERSION = 0.1.0
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
SYSCONFDIR ?= /etc
MANDIR ?= $(PREFIX)/share/man
DOCDIR ?= $(PREFIX)/share/doc/connspread
COMPLETIONDIR ?= $(PREFIX)/share/bash-completion/completions
SHIM_HOME = $(LIBDIR)/connspread
# What stands in LD_PRELOAD: ld.so expands $$LIB, so that one value serves programs of both word sizes (contrib/debian).
SHIM_PRELOAD ?= $(SHIM_HOME)/libconnspread.so
BUILD ?= build
ifeq ($(origin CC),default)
CC = gcc
endif

WARN = -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
CFLAGS ?= -O2 -g
SETTINGS = -DVERSION='"$(VERSION)"' -DSHIM_DIR='"$(SHIM_HOME)"' -DSHIM_PRELOAD='"$(SHIM_PRELOAD)"' -DSYSCONFDIR='"$(SYSCONFDIR)"'
BASE = -std=gnu11 -Isrc -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 $(SETTINGS) $(WARN) $(WERROR) -fstack-protector-strong -fno-common -MMD -MP
# The shim keeps glibc's own (32-bit on ILP32) names: it wraps both variants itself.
SHIM_CFLAGS = $(filter-out -D_FILE_OFFSET_BITS=64,$(BASE)) -fPIC -fno-plt -fvisibility=hidden -ftls-model=initial-exec -fno-semantic-interposition
TOOL_CFLAGS = $(BASE) -fPIE -D_FORTIFY_SOURCE=2
MODULE_CFLAGS = $(BASE) -fPIC -fvisibility=hidden -D_FORTIFY_SOURCE=2
HARDEN = -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,-z,defs
# Across files the compiler saves the client some 130 ns a connection; clang needs a linker plugin for that.
SHIM_LTO = $(if $(findstring gcc,$(CC)),-flto=auto)
# ... and so do what -O3 inlines, and small structures cleared without `rep stos`, which takes 10 ns to begin: for any
# processor, in the order that suits the recent ones.
SHIM_TUNE := $(if $(findstring x86_64,$(shell $(CC) -dumpmachine)),-mtune=skylake)
# BTI and PAC, which newer systems may demand of every library of a program: said of the whole only if it is true of each part. Debian 12's start files
# have no landing pads, and were the property forced on them (-z force-bti), their _init would end every client on a processor that has BTI. So the
# shim does without them, and without libgcc's atomics.
ifneq ($(findstring aarch64,$(shell $(CC) -dumpmachine)),)
SHIM_CFLAGS += -mbranch-protection=standard -mno-outline-atomics
SHIM_LDFLAGS_MACHINE = -mbranch-protection=standard -mno-outline-atomics -nostartfiles
endif
SHIM_OPT = $(patsubst -O2,-O3 $(SHIM_TUNE),$(filter -O2,$(CFLAGS)))
# Never unmapped, also when a program opens it by hand and closes it: its exit handler would be called all the same.
SHIM_LDFLAGS = -shared $(SHIM_LDFLAGS_MACHINE) $(SHIM_LTO) $(HARDEN) -Wl,-z,nodelete -Wl,--version-script=$(BUILD)/shim.map -Wl,-soname,libconnspread.so -Wl,--as-needed

# The folders of src/ (src/README.md); what runs inside the client, what reads a config, and the tool.
CONFIG_FOLDERS = base net policy text config
SHIM_FOLDERS = base net policy state client connect close shim
TOOL_FOLDERS = $(CONFIG_FOLDERS) state client connect close tool $(patsubst src/%/,%,$(wildcard src/tool/*/))
sources = $(foreach f,$(1),$(wildcard src/$(f)/*.c))
SHIM_SRC = $(call sources,$(SHIM_FOLDERS))
CONFIG_SRC = $(call sources,$(CONFIG_FOLDERS))
TOOL_SRC = $(call sources,$(TOOL_FOLDERS))

SHIM_OBJ = $(SHIM_SRC:src/%.c=$(BUILD)/shim-obj/%.o) $(BUILD)/shim-obj/shim/vfork.o
TOOL_OBJ = $(TOOL_SRC:src/%.c=$(BUILD)/tool-obj/%.o)
MODULE_OBJ = $(CONFIG_SRC:src/%.c=$(BUILD)/module-obj/%.o)

# make V=1 shows the commands.
ifneq ($(V),1)
Q = @
say = @printf '  %-5s %s\n'
else
say = @:
endif

all: $(BUILD)/libconnspread.so $(BUILD)/connspread-config.so $(BUILD)/connspread ## builds library, config module and tool

help: ## lists these targets
	@sed -n 's/^\([a-z0-9_.-]*\)%\{0,1\}:.* ## \(.*\)/\1 \2/p' Makefile | sed 's/^\([a-z_.]*-\) /\1NAME /' | \
	    while read -r name text; do printf '  %-22s %s\n' "$$name" "$$text"; done
.PHONY: help

# make install PREFIX=... after make: what was compiled for other paths is compiled again.
$(BUILD)/settings: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' $(SETTINGS) "$(CC) $(CFLAGS) $(LDFLAGS)" | cmp -s - $@ || printf '%s\n' $(SETTINGS) "$(CC) $(CFLAGS) $(LDFLAGS)" >$@
FORCE:
.PHONY: FORCE

$(BUILD)/shim-obj/%.o: src/%.c $(BUILD)/settings
	@mkdir -p $(@D)
	$(say) CC $@
	$(Q)$(CC) $(SHIM_CFLAGS) $(CFLAGS) $(SHIM_OPT) $(SHIM_LTO) -c $< -o $@
$(BUILD)/shim-obj/%.o: src/%.S $(BUILD)/settings
	@mkdir -p $(@D)
	$(say) AS $@
	$(Q)$(CC) $(CFLAGS) -c $< -o $@
$(BUILD)/tool-obj/%.o: src/%.c $(BUILD)/settings
	@mkdir -p $(@D)
	$(say) CC $@
	$(Q)$(CC) $(TOOL_CFLAGS) $(CFLAGS) -c $< -o $@
$(BUILD)/module-obj/%.o: src/%.c $(BUILD)/settings
	@mkdir -p $(@D)
	$(say) CC $@
	$(Q)$(CC) $(MODULE_CFLAGS) $(CFLAGS) -c $< -o $@
-include $(shell find $(BUILD) -name trees -prune -o -type f -name '*.d' -print 2>/dev/null)

# The export map is made from the one list of wrapped calls.
$(BUILD)/shim.map: src/shim/wrapped.def $(BUILD)/settings
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -include sys/types.h -E -xc $< | sed -n 's/^WRAP[A-Z_]*(\([a-z0-9_A-Z]*\).*/    \1;/p' | (echo '{ global:'; cat; echo '  local: *; };') > $@

$(BUILD)/libconnspread.so: $(SHIM_OBJ) $(BUILD)/shim.map
	$(say) LINK $@
	$(Q)$(CC) $(CFLAGS) $(SHIM_OPT) $(LDFLAGS) $(SHIM_LDFLAGS) $(SHIM_OBJ) -o $@
$(BUILD)/connspread-config.so: $(MODULE_OBJ)
	$(say) LINK $@
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -shared $(HARDEN) $(MODULE_OBJ) -lconfuse -o $@
$(BUILD)/connspread: $(TOOL_OBJ)
	$(say) LINK $@
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -pie $(HARDEN) $(TOOL_OBJ) -lconfuse -ljansson -lpthread -o $@

# For images that have no libraries: `connspread install --to DIR` copies it. The linker warns of getpwuid, which then reads /etc/passwd alone.
$(BUILD)/connspread-static: $(TOOL_OBJ)
	$(say) LINK $@
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -static -Wl,-z,relro -Wl,-z,noexecstack -Wl,--no-warnings $(TOOL_OBJ) -lconfuse -ljansson -lpthread -o $@
static: $(BUILD)/connspread-static ## builds a tool that needs no library

# The shim for programs of musl, beside glibc's: `run` takes the one that a program's loader wants. The kernel's headers lie among glibc's;
# musl's own come first, whose macros warn of themselves.
MUSL_CC = musl-gcc -idirafter /usr/include -idirafter /usr/include/$(shell $(CC) -print-multiarch)
musl: ## builds a shim for programs of musl (needs musl-tools)
	@mkdir -p $(BUILD)/musl $(BUILD)/musl-build
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/musl-build WERROR= CC='$(MUSL_CC)' $(BUILD)/musl-build/libconnspread.so
	$(Q)cp $(BUILD)/musl-build/libconnspread.so $(BUILD)/musl/libconnspread.so.new && mv -f $(BUILD)/musl/libconnspread.so.new $(BUILD)/musl/libconnspread.so
# The tool as a distribution of musl builds it, as far as that goes without its libconfuse and jansson: not linked.
musl-objects: ## compiles the tool against musl, as tests/musl.sh wants it
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/musl-build CC='$(MUSL_CC)' tool-objects
tool-objects: $(TOOL_OBJ) ## compiles the tool, and does not link it
.PHONY: static musl musl-objects tool-objects

# --- what is needed, shown, tested ---

# Each prints and runs what is missing (DEPS=no: nothing; not root and no sudo: prints the command and stops).
deps: ## installs what the targets below need
	contrib/deps.sh full
deps-%:
	@contrib/deps.sh $*
deps-full:
	@contrib/deps.sh full
	@test '$(DEPS)' = no || tests/chdb.sh
.PHONY: deps

demo: deps-demo ## shows the problem and the cure in a network namespace of its own
	@$(MAKE) --no-print-directory -s all
	@BUILD='$(abspath $(BUILD))' tests/demo.sh

# Unit tests: each tests/unit/test_NAME.c is a program, linked with everything but main.
UNIT_SRC = $(wildcard tests/unit/test_*.c)
UNIT = $(UNIT_SRC:tests/unit/%.c=$(BUILD)/unit/%)
UNIT_OBJ = $(filter-out %/main.o %/module.o,$(TOOL_OBJ))
UNIT_LIB = $(BUILD)/unit/connspread.a
$(UNIT_LIB): $(UNIT_OBJ)
	@mkdir -p $(@D)
	@rm -f $@
	$(Q)$(AR) crs $@ $(UNIT_OBJ)
TEST_CFLAGS = $(filter-out -D_FORTIFY_SOURCE=2,$(TOOL_CFLAGS)) -Itests
$(BUILD)/unit/%: tests/unit/%.c $(UNIT_LIB)
	@mkdir -p $(@D)
	$(say) LINK $@
	$(Q)$(CC) $(TEST_CFLAGS) $(CFLAGS) $< $(UNIT_LIB) -o $@ -lcheck -lsubunit -lm -lrt -lpthread -lconfuse -ljansson

# Clients and helpers of the system tests: tests/system/[FOLDER/]NAME.c -> build/tests/[FOLDER/]NAME; NAME.so.c is a preload library.
SYSTEM_SRC = $(wildcard tests/system/*.c tests/system/*/*.c)
SYSTEM = $(SYSTEM_SRC:tests/system/%.c=$(BUILD)/tests/%)
$(BUILD)/tests/asan_client: TEST_EXTRA = -fsanitize=address
$(BUILD)/tests/supervise/client: TEST_EXTRA = -static
$(BUILD)/tests/preloads/stack: TEST_EXTRA = -Wl,-z,now
$(BUILD)/tests/own_cfg_client $(BUILD)/tests/own_vfork: TEST_EXTRA = -rdynamic
# Linked with parts of the tool.
WITH_PARTS = $(addprefix $(BUILD)/tests/,many_events every_event later_traffic trust/fill commands/large)
$(WITH_PARTS): TEST_PARTS = $(UNIT_LIB) -lconfuse -ljansson
$(WITH_PARTS): $(UNIT_LIB)
$(BUILD)/tests/%.so: tests/system/%.so.c
	@mkdir -p $(@D)
	$(say) LINK $@
	$(Q)$(CC) $(TEST_CFLAGS) $(CFLAGS) -fPIC -shared $< -o $@ -ldl
$(BUILD)/tests/%: tests/system/%.c
	@mkdir -p $(@D)
	$(say) LINK $@
	$(Q)$(CC) $(TEST_CFLAGS) $(CFLAGS) $(TEST_EXTRA) $< $(TEST_PARTS) -o $@ -lpthread

units: $(UNIT) ## builds the unit tests
programs: all $(UNIT) $(SYSTEM) ## builds everything, with the programs that tests need

unit-%: $(BUILD)/unit/test_% ## builds tests/unit/test_NAME.c and runs it
	@$<

check: deps-check ## tests/layers, then builds and runs unit and system tests
	@AS_GIVEN='$(BUILD)' BUILD='$(abspath $(BUILD))' tests/run layers build unit system

check-full: deps-full ## the same, more clients, long tests, other compilers, sanitizers, analysers, fuzzers
	@AS_GIVEN='$(BUILD)' FULL=1 BUILD='$(abspath $(BUILD))' tests/run layers build unit system full

soak: deps-check ## everything at once for SOAK_MINUTES (10)
	@$(MAKE) --no-print-directory -s WERROR=-Werror programs
	@SOAK_MINUTES='$(or $(SOAK_MINUTES),10)' BUILD='$(abspath $(BUILD))' tests/system/run -v soak

check-arm64: ## by hand: unit tests and system tests of arm64 under qemu-user, 20 minutes
	@tests/arm64.sh '$(abspath $(BUILD))/arm64'

check-musl: ## by hand: Alpine's package, unit tests and system tests in a root that is all musl's, 10 minutes
	@tests/musl_root.sh '$(abspath $(BUILD))/trees/musl'

coverage: deps-full ## lines that tests ran
	@BUILD='$(abspath $(BUILD))' tests/coverage.sh

bench: all ## what a call costs, with and without connspread
	@BUILD='$(abspath $(BUILD))' tests/bench/run

findings: ## by hand: whether what surprised us about other programs (findings/) is still so
	@for f in $(filter-out %/lib.sh,$(wildcard findings/*.sh)); do $$f || failed=1; done; test -z "$$failed"

# --- for those who change it ---

# make has a LINT of its own.
ifeq ($(origin LINT),default)
LINT = HEAD
endif
lint: deps-lint ## format, cppcheck, clang-tidy: files that differ from the commit LINT (HEAD), or LINT=all
	@tests/lint.sh '$(LINT)'

format: deps-lint ## puts every C file into its format
	git ls-files -z -co --exclude-standard '*.c' '*.h' | xargs -0r clang-format -i

# One command for each file, taken from what make would run; the library's comes first.
compile_commands.json: FORCE ## for editors and language servers
	@$(MAKE) --no-print-directory -nB V=1 programs | awk -v folder='$(CURDIR)' ' \
	    match($$0, / (src|tests)\/[^ ]*\.c /) && /^[^ ]*(gcc|cc|clang)[^ ]* / { \
	        file = substr($$0, RSTART + 1, RLENGTH - 2); if (file in seen) next; seen[file]; \
	        gsub(/\\/, "\\\\"); gsub(/"/, "\\\""); \
	        printf "%s{\"directory\":\"%s\",\"file\":\"%s\",\"command\":\"%s\"}", n++ ? ",\n" : "[\n", folder, file, $$0 } \
	    END { print n ? "\n]" : "[]" }' >$@.new && mv -f $@.new $@

pictures: all ## README's pictures, from a staged incident
	contrib/doc/pictures $(BUILD)/connspread contrib/doc

.PHONY: pictures demo units programs check check-full check-arm64 check-musl soak coverage bench findings lint format

# --- installing ---

# Every file is put in place by rename: overwriting a mapped library would kill its users.
put = f='$(DESTDIR)$(strip $(3))'; install -d "$${f%/*}" && install -m $(1) $(2) "$$f.new" && mv -f "$$f.new" "$$f"
# The pages name the paths and the version of this build.
page = f='$(DESTDIR)$(MANDIR)/man$(subst .,,$(suffix $(1)))/$(notdir $(1))'; install -d "$${f%/*}" && \
    sed -e 's|^\.Os$$|.Os "connspread $(VERSION)"|' -e 's|/usr/local/lib/connspread/libconnspread\.so|$(SHIM_PRELOAD)|g' \
    -e 's|/etc/connspread\.conf|$(SYSCONFDIR)/connspread.conf|g' \
    -e 's|/usr/local/share/connspread|$(SHARE)|g' $(1) >"$$f.new" && chmod 644 "$$f.new" && mv -f "$$f.new" "$$f"
EXAMPLES = $(wildcard conf/examples/*)
SCHEMAS = $(wildcard contrib/schema/*.json)
SHARE = $(PREFIX)/share/connspread
# In the folder that README links to.
PAGES = $(wildcard contrib/doc/*.md contrib/doc/*.svg)

install: all ## under DESTDIR: PREFIX (/usr/local), LIBDIR, SYSCONFDIR
	$(call put,755,$(BUILD)/connspread,$(PREFIX)/bin/connspread)
	$(call put,644,$(BUILD)/connspread-config.so,$(SHIM_HOME)/connspread-config.so)
	$(call put,644,$(BUILD)/libconnspread.so,$(SHIM_HOME)/libconnspread.so)
	! test -e $(BUILD)/musl/libconnspread.so || { $(call put,644,$(BUILD)/musl/libconnspread.so,$(SHIM_HOME)/musl/libconnspread.so); }
	! test -e $(BUILD)/connspread-static || { $(call put,755,$(BUILD)/connspread-static,$(SHIM_HOME)/connspread-static); }
	$(foreach p,contrib/man/connspread.1 conf/connspread.conf.5 contrib/man/libconnspread.7,{ $(call page,$(p)); } &&) :
	$(call put,644,contrib/completion/connspread,$(COMPLETIONDIR)/connspread)
	$(foreach f,README.md LICENSE contrib/CHANGELOG.md contrib/SECURITY.md conf/connspread.conf,{ $(call put,644,$(f),$(DOCDIR)/$(notdir $(f))); } &&) :
	$(foreach f,$(EXAMPLES),{ $(call put,644,$(f),$(DOCDIR)/examples/$(notdir $(f))); } &&) :
	$(foreach f,$(PAGES),{ $(call put,644,$(f),$(DOCDIR)/$(f)); } &&) :
	$(foreach f,$(SCHEMAS),{ $(call put,644,$(f),$(SHARE)/schema/$(notdir $(f))); } &&) :
	test -e '$(DESTDIR)$(SYSCONFDIR)/connspread.conf' || { $(call put,644,conf/connspread.conf,$(SYSCONFDIR)/connspread.conf); }

# For packages: units, what Prometheus reads, logrotate's section, with the paths of this build.
UNITDIR ?= $(SYSCONFDIR)/systemd/system
unit = f='$(DESTDIR)$(strip $(3))'; install -d "$${f%/*}" && sed -e 's|/usr/local/bin/|$(PREFIX)/bin/|g' \
    -e 's|/usr/local/lib/connspread/libconnspread\.so|$(SHIM_PRELOAD)|g' $(2) >"$$f.new" && chmod $(1) "$$f.new" && mv -f "$$f.new" "$$f"
UNITS = $(wildcard contrib/systemd/*.service contrib/prometheus/*.service contrib/prometheus/*.timer)
RULES = $(wildcard contrib/prometheus/*.rules.yml)
install-units: ## under DESTDIR: systemd's units (UNITDIR), Prometheus' files, logrotate's section
	$(foreach f,$(UNITS),{ $(call unit,644,$(f),$(UNITDIR)/$(notdir $(f))); } &&) :
	$(foreach f,$(RULES),{ $(call put,644,$(f),$(SHARE)/prometheus/$(notdir $(f))); } &&) :
	$(call unit,644,contrib/systemd/connspread.conf,$(SHARE)/systemd/connspread.conf)
	$(call unit,755,contrib/prometheus/connspread-textfile,$(PREFIX)/bin/connspread-textfile)
	$(call put,644,contrib/logrotate/connspread,$(SYSCONFDIR)/logrotate.d/connspread)
.PHONY: install-units

# All but the config, which is the administrator's.
uninstall: ## removes all but the config
	rm -f $(foreach f,$(PREFIX)/bin/connspread $(SHIM_HOME)/connspread-config.so $(SHIM_HOME)/libconnspread.so \
	    $(SHIM_HOME)/musl/libconnspread.so $(SHIM_HOME)/connspread-static \
	    $(MANDIR)/man1/connspread.1 $(MANDIR)/man5/connspread.conf.5 $(MANDIR)/man7/libconnspread.7 $(COMPLETIONDIR)/connspread \
	    $(addprefix $(SHARE)/schema/,$(notdir $(SCHEMAS))) \
	    $(addprefix $(DOCDIR)/,README.md LICENSE CHANGELOG.md SECURITY.md connspread.conf $(addprefix examples/,$(notdir $(EXAMPLES))) $(PAGES)),'$(DESTDIR)$(f)')
	rm -f $(foreach f,$(addprefix $(UNITDIR)/,$(notdir $(UNITS))) $(addprefix $(SHARE)/prometheus/,$(notdir $(RULES))) $(SHARE)/systemd/connspread.conf \
	    $(PREFIX)/bin/connspread-textfile $(SYSCONFDIR)/logrotate.d/connspread,'$(DESTDIR)$(f)')
	for d in '$(SHARE)/prometheus' '$(SHARE)/systemd' '$(SHARE)/schema' '$(SHARE)' '$(SHIM_HOME)/musl' '$(SHIM_HOME)' '$(DOCDIR)/examples' '$(DOCDIR)/contrib/doc' '$(DOCDIR)/contrib' '$(DOCDIR)'; do \
	    ! test -d "$(DESTDIR)$$d" || rmdir --ignore-fail-on-non-empty "$(DESTDIR)$$d"; done
	test -n '$(DESTDIR)' || test "$$(ls -A /run/connspread 2>/dev/null)" != .lock || rm -rf /run/connspread

# The same bytes from the same commit, wherever and whenever: git's own archive, and gzip without name and time.
DIST = connspread-$(VERSION)
dist: ## archive of the source as committed
	@mkdir -p $(BUILD)
	git -c tar.umask=022 archive --format=tar --prefix=$(DIST)/ HEAD | gzip -9n >$(BUILD)/$(DIST).tar.gz
	@echo $(BUILD)/$(DIST).tar.gz

deb: deps-deb ## Debian packages
	contrib/debian/build '$(VERSION)' '$(abspath $(BUILD))/deb'

rpm: ## RPM package (needs rpmbuild)
	contrib/rpm/build '$(VERSION)' '$(abspath $(BUILD))/rpm'

apk: ## what Alpine's abuild takes, and the package where abuild is
	contrib/alpine/build '$(VERSION)' '$(abspath $(BUILD))/apk'

.PHONY: install uninstall dist deb rpm apk

clean: ## removes BUILD
	rm -rf $(BUILD)

.PHONY: all clean
.DELETE_ON_ERROR:
