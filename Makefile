# statweir: make help lists the targets.

B       ?= build/dev
CC      ?= gcc
V       ?= @

LLHTTP_SRC := /usr/share/llhttp
LLHTTP_INC := /usr/share/include/llhttp

WARN := -Wall -Wextra -Werror -Wformat=2 -Wno-format-nonliteral -Wconversion -Wsign-conversion -Wshadow -Wvla \
	-Wimplicit-fallthrough -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Werror=format-security -Werror=implicit -Werror=incompatible-pointer-types \
	-Werror=int-conversion
HARDEN := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong \
	-fstack-clash-protection -fcf-protection=full -fno-delete-null-pointer-checks \
	-fno-strict-overflow -fno-strict-aliasing -fPIE
LDHARDEN := -pie -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,-z,nodlopen -Wl,--as-needed \
	-Wl,--no-copy-dt-needed-entries
ifeq ($(findstring clang,$(CC)),)
WARN   += -Wtrampolines -Wbidi-chars=any
HARDEN += -ftrivial-auto-var-init=zero
endif

ifdef SAN
# Sanitizers replace the run-time checks of FORTIFY_SOURCE.
CFLAGS  ?= -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
	-fno-sanitize-recover=all -DSTATWEIR_DEBUG
LDFLAGS ?= -fsanitize=address,undefined
HARDEN  := -fPIE
LDHARDEN := -pie
else
CFLAGS  ?= -O2 -g
LDFLAGS ?=
endif

STD  := -std=c11 -D_GNU_SOURCE -I. -isystem $(LLHTTP_INC)
LIBS := -levent -lhiredis -ldeflate -linih -ljansson -lcrypto -lpthread
ALLCFLAGS = $(STD) $(CFLAGS) $(WARN) $(HARDEN) -MMD -MP
TESTCFLAGS = $(ALLCFLAGS) -Wno-missing-prototypes

LIB_SRC  := $(filter-out proxy/core/main.c,$(wildcard proxy/*/*.c filters/*.c))
LIB_OBJ  := $(LIB_SRC:%.c=$(B)/%.o)
LLHTTP_OBJ := $(B)/llhttp/api.o $(B)/llhttp/http.o $(B)/llhttp/llhttp.o
TOOL_SRC := $(wildcard tests/tools/*_main.c)
TOOLS    := $(TOOL_SRC:tests/tools/%_main.c=$(B)/%)
TOOLLIB_OBJ := $(patsubst %.c,$(B)/%.o,$(filter-out $(TOOL_SRC),$(wildcard tests/tools/*.c)))
UNIT_SRC := $(wildcard tests/unit/test_*.c tests/unit/*/test_*.c tests/sim/test_*.c)
UNIT_BIN := $(UNIT_SRC:%.c=$(B)/%)
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_REPLAY := $(FUZZ_SRC:%.c=$(B)/%)

.PHONY: all tools unit fuzz-replay
all: $(B)/statweir tools
tools: $(TOOLS)

$(B)/libstatweir.a: $(LIB_OBJ) $(LLHTTP_OBJ)
	$(V)rm -f $@ && ar rcs $@ $^

$(B)/statweir: $(B)/proxy/core/main.o $(B)/libstatweir.a
	$(V)echo "  link $@" && $(CC) $(LDFLAGS) $(LDHARDEN) -o $@ $^ $(LIBS)

$(B)/llhttp/%.o: $(LLHTTP_SRC)/%.c
	$(V)mkdir -p $(@D) && $(CC) $(STD) $(CFLAGS) $(HARDEN) -DLLHTTP_STRICT_MODE=1 -w -c -o $@ $<

$(B)/tests/%.o: tests/%.c
	$(V)mkdir -p $(@D) && echo "  cc   $<" && $(CC) $(TESTCFLAGS) -c -o $@ $<

$(B)/%.o: %.c
	$(V)mkdir -p $(@D) && echo "  cc   $<" && $(CC) $(ALLCFLAGS) -DLLHTTP_STRICT_MODE=1 -c -o $@ $<

$(TOOLS): $(B)/%: $(B)/tests/tools/%_main.o $(TOOLLIB_OBJ) $(B)/libstatweir.a
	$(V)echo "  link $@" && $(CC) $(LDFLAGS) $(LDHARDEN) -o $@ $^ $(LIBS) -lz

$(UNIT_BIN): $(B)/%: $(B)/%.o $(B)/libstatweir.a
	$(V)echo "  link $@" && $(CC) $(LDFLAGS) $(LDHARDEN) -o $@ $^ $(LIBS) -lcmocka -lexpat -lz

$(FUZZ_REPLAY): $(B)/%: $(B)/%.o $(B)/tests/fuzz/replay.o $(B)/libstatweir.a
	$(V)echo "  link $@" && $(CC) $(LDFLAGS) $(LDHARDEN) -o $@ $^ $(LIBS) -lexpat -lz

unit: $(UNIT_BIN)
fuzz-replay: $(FUZZ_REPLAY)

.SECONDARY:
-include $(shell find $(B) -name '*.d' 2>/dev/null)
