# connspread: see README.md. `make`, `make demo`, `make check`, `make check-full`, `make install`.
VERSION = 0.1.0
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
BUILD ?= build
ifeq ($(origin CC),default)
CC = gcc
endif

WARN = -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
CFLAGS ?= -O2 -g
BASE = -std=gnu11 -Isrc -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DVERSION='"$(VERSION)"' -DSHIM_DIR='"$(LIBDIR)/connspread"' $(WARN) $(WERROR) -fstack-protector-strong -fno-common -MMD -MP
# The shim keeps glibc's own (32-bit on ILP32) names: it wraps both variants itself.
SHIM_CFLAGS = $(filter-out -D_FILE_OFFSET_BITS=64,$(BASE)) -fPIC -fvisibility=hidden -ftls-model=initial-exec -fno-semantic-interposition
TOOL_CFLAGS = $(BASE) -fPIE -D_FORTIFY_SOURCE=2
MODULE_CFLAGS = $(BASE) -fPIC -fvisibility=hidden -D_FORTIFY_SOURCE=2
HARDEN = -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,-z,defs
# Across files the compiler saves the client some 130 ns a connection; clang needs a linker plugin for that.
SHIM_LTO = $(if $(findstring gcc,$(CC)),-flto)
SHIM_LDFLAGS = -shared $(SHIM_LTO) $(HARDEN) -Wl,--version-script=$(BUILD)/shim.map -Wl,-soname,libconnspread.so -Wl,--as-needed

# What runs inside the client. The tool uses state/ and net/ as well.
SHIM_STATE = $(addprefix src/state/,state.c create.c control.c ring.c policy.c pair.c stats.c history.c)
SHIM_NET = $(addprefix src/net/,addr.c diag.c ports.c)
SHIM_SRC = $(wildcard src/shim/*.c) $(SHIM_STATE) $(SHIM_NET)
CONFIG_SRC = $(wildcard src/config/*.c) $(addprefix src/net/,parse.c addr.c ports.c) src/state/policy.c
TOOL_SRC = $(sort $(wildcard src/cli/*.c) $(wildcard src/state/*.c) $(wildcard src/net/*.c) $(CONFIG_SRC))

SHIM_OBJ = $(SHIM_SRC:src/%.c=$(BUILD)/shim-obj/%.o)
TOOL_OBJ = $(TOOL_SRC:src/%.c=$(BUILD)/tool-obj/%.o)
MODULE_OBJ = $(CONFIG_SRC:src/%.c=$(BUILD)/module-obj/%.o)

# make V=1 shows the commands.
ifneq ($(V),1)
Q = @
say = @printf '  %-5s %s\n'
else
say = @:
endif

all: $(BUILD)/libconnspread.so $(BUILD)/connspread-config.so $(BUILD)/connspread

$(BUILD)/shim-obj/%.o: src/%.c
	@mkdir -p $(@D)
	$(say) CC $@
	$(Q)$(CC) $(SHIM_CFLAGS) $(CFLAGS) $(SHIM_LTO) -c $< -o $@
$(BUILD)/tool-obj/%.o: src/%.c
	@mkdir -p $(@D)
	$(say) CC $@
	$(Q)$(CC) $(TOOL_CFLAGS) $(CFLAGS) -c $< -o $@
$(BUILD)/module-obj/%.o: src/%.c
	@mkdir -p $(@D)
	$(say) CC $@
	$(Q)$(CC) $(MODULE_CFLAGS) $(CFLAGS) -c $< -o $@
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

# The export map is made from the one list of wrapped calls.
$(BUILD)/shim.map: src/shim/wrapped.def
	@mkdir -p $(@D)
	$(Q)sed -n 's/^WRAP[A-Z_]*(\([a-z0-9_A-Z]*\).*/    \1;/p' $< | (echo '{ global:'; cat; echo '  local: *; };') > $@

$(BUILD)/libconnspread.so: $(SHIM_OBJ) $(BUILD)/shim.map
	$(say) LINK $@
	$(Q)$(CC) $(CFLAGS) $(SHIM_LDFLAGS) $(SHIM_OBJ) -o $@
$(BUILD)/connspread-config.so: $(MODULE_OBJ)
	$(say) LINK $@
	$(Q)$(CC) $(CFLAGS) -shared $(HARDEN) $(MODULE_OBJ) -lconfuse -o $@
$(BUILD)/connspread: $(TOOL_OBJ)
	$(say) LINK $@
	$(Q)$(CC) $(CFLAGS) -pie $(HARDEN) $(TOOL_OBJ) -lconfuse -lmnl -ljansson -o $@

# --- what is needed, shown, tested ---

# Each prints and runs what is missing (DEPS=no: nothing; not root and no sudo: prints the command and stops).
deps:
	contrib/deps.sh full
deps-%:
	@contrib/deps.sh $*
.PHONY: deps

demo: deps-demo
	@$(MAKE) --no-print-directory -s all
	@BUILD='$(abspath $(BUILD))' tests/demo.sh

# Unit tests: each tests/unit/test_NAME.c is a program, linked with everything but main.
UNIT_SRC = $(wildcard tests/unit/test_*.c)
UNIT = $(UNIT_SRC:tests/unit/%.c=$(BUILD)/unit/%)
UNIT_OBJ = $(filter-out %/cli/main.o %/config/module.o,$(TOOL_OBJ)) $(addprefix $(BUILD)/tool-obj/shim/,fate.o order.o fdtab.o)
UNIT_LIB = $(BUILD)/unit/connspread.a
$(UNIT_LIB): $(UNIT_OBJ)
	@mkdir -p $(@D)
	@rm -f $@
	$(Q)$(AR) crs $@ $(UNIT_OBJ)
TEST_CFLAGS = $(filter-out -D_FORTIFY_SOURCE=2,$(TOOL_CFLAGS)) -Itests
$(BUILD)/unit/%: tests/unit/%.c $(UNIT_LIB)
	@mkdir -p $(@D)
	$(say) LINK $@
	$(Q)$(CC) $(TEST_CFLAGS) $(CFLAGS) $< $(UNIT_LIB) -o $@ -lcheck -lsubunit -lm -lrt -lpthread -lconfuse -lmnl -ljansson

# Clients and helpers of the system tests: tests/system/NAME.c -> build/tests/NAME; NAME.so.c is a preload library.
SYSTEM_SRC = $(wildcard tests/system/*.c)
SYSTEM = $(SYSTEM_SRC:tests/system/%.c=$(BUILD)/tests/%)
$(BUILD)/tests/asan_client: TEST_EXTRA = -fsanitize=address
$(BUILD)/tests/own_cfg_client: TEST_EXTRA = -rdynamic
$(BUILD)/tests/%.so: tests/system/%.so.c
	@mkdir -p $(@D)
	$(say) LINK $@
	$(Q)$(CC) $(TEST_CFLAGS) $(CFLAGS) -fPIC -shared $< -o $@ -ldl
$(BUILD)/tests/%: tests/system/%.c
	@mkdir -p $(@D)
	$(say) LINK $@
	$(Q)$(CC) $(TEST_CFLAGS) $(CFLAGS) $(TEST_EXTRA) $< -o $@ -lpthread

units: $(UNIT)
programs: all $(UNIT) $(SYSTEM)

check: deps-check
	@$(MAKE) --no-print-directory -s WERROR=-Werror programs
	@BUILD='$(abspath $(BUILD))' tests/run unit system

check-full: deps-full
	@$(MAKE) --no-print-directory -s WERROR=-Werror programs
	@FULL=1 BUILD='$(abspath $(BUILD))' tests/run unit system full

bench: all
	@BUILD='$(abspath $(BUILD))' tests/bench/run

.PHONY: demo units programs check check-full bench

# --- installing ---

# The library is put in place by rename: overwriting a mapped one would kill its users.
SHIM_HOME = $(LIBDIR)/connspread
install: all
	install -d '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(SHIM_HOME)' '$(DESTDIR)$(PREFIX)/share/doc/connspread'
	install -m 755 $(BUILD)/connspread '$(DESTDIR)$(PREFIX)/bin/connspread'
	for f in libconnspread.so connspread-config.so; do \
	    install -m 644 $(BUILD)/$$f '$(DESTDIR)$(SHIM_HOME)'/.$$f.new && \
	    mv -f '$(DESTDIR)$(SHIM_HOME)'/.$$f.new '$(DESTDIR)$(SHIM_HOME)/'$$f || exit 1; done
	install -m 644 conf/connspread.conf README.md LICENSE '$(DESTDIR)$(PREFIX)/share/doc/connspread/'

.PHONY: install

clean:
	rm -rf $(BUILD)

.PHONY: all clean
.DELETE_ON_ERROR:
