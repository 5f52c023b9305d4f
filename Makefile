# connspread: see README.md. `make`, `make demo`, `make check`, `make check-full`, `make install`.
VERSION = 0.1.0
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
BUILD ?= build
CC ?= gcc

WARN = -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
CFLAGS ?= -O2 -g
BASE = -std=gnu11 -Isrc -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DVERSION='"$(VERSION)"' $(WARN) $(WERROR) -fstack-protector-strong -fno-common -MMD -MP
# The shim keeps glibc's own (32-bit on ILP32) names: it wraps both variants itself.
SHIM_CFLAGS = $(filter-out -D_FILE_OFFSET_BITS=64,$(BASE)) -fPIC -fvisibility=hidden -ftls-model=initial-exec -fno-semantic-interposition
TOOL_CFLAGS = $(BASE) -fPIE -D_FORTIFY_SOURCE=2
MODULE_CFLAGS = $(BASE) -fPIC -fvisibility=hidden -D_FORTIFY_SOURCE=2
HARDEN = -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,-z,defs
SHIM_LDFLAGS = -shared $(HARDEN) -Wl,--version-script=$(BUILD)/shim.map -Wl,-soname,libconnspread.so -Wl,--as-needed

# What runs inside the client. The tool uses state/ and net/ as well.
SHIM_STATE = $(addprefix src/state/,state.c create.c control.c ring.c policy.c pair.c)
SHIM_NET = $(addprefix src/net/,addr.c diag.c)
SHIM_SRC = $(wildcard src/shim/*.c) $(SHIM_STATE) $(SHIM_NET)
CONFIG_SRC = $(wildcard src/config/*.c) src/net/parse.c src/net/addr.c src/state/policy.c
TOOL_SRC = $(sort $(wildcard src/cli/*.c) $(wildcard src/state/*.c) $(wildcard src/net/*.c) $(CONFIG_SRC))

SHIM_OBJ = $(SHIM_SRC:src/%.c=$(BUILD)/shim-obj/%.o)
TOOL_OBJ = $(TOOL_SRC:src/%.c=$(BUILD)/tool-obj/%.o)
MODULE_OBJ = $(CONFIG_SRC:src/%.c=$(BUILD)/module-obj/%.o)

all: $(BUILD)/libconnspread.so $(BUILD)/connspread-config.so $(BUILD)/connspread

$(BUILD)/shim-obj/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(SHIM_CFLAGS) $(CFLAGS) -c $< -o $@
$(BUILD)/tool-obj/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(TOOL_CFLAGS) $(CFLAGS) -c $< -o $@
$(BUILD)/module-obj/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(MODULE_CFLAGS) $(CFLAGS) -c $< -o $@
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

# The export map is made from the one list of wrapped calls.
$(BUILD)/shim.map: src/shim/wrapped.def
	@mkdir -p $(@D)
	sed -n 's/^WRAP[A-Z_]*(\([a-z0-9_A-Z]*\).*/    \1;/p' $< | (echo '{ global:'; cat; echo '  local: *; };') > $@

$(BUILD)/libconnspread.so: $(SHIM_OBJ) $(BUILD)/shim.map
	$(CC) $(CFLAGS) $(SHIM_LDFLAGS) $(SHIM_OBJ) -o $@
$(BUILD)/connspread-config.so: $(MODULE_OBJ)
	$(CC) $(CFLAGS) -shared $(HARDEN) $(MODULE_OBJ) -lconfuse -o $@
$(BUILD)/connspread: $(TOOL_OBJ)
	$(CC) $(CFLAGS) -pie $(HARDEN) $(TOOL_OBJ) -lconfuse -lmnl -ljansson -o $@

clean:
	rm -rf $(BUILD)

.PHONY: all clean
.DELETE_ON_ERROR:
