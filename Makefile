# statweir: make help lists the targets.

B       ?= build/dev
# make's own default is cc
ifeq ($(origin CC),default)
CC      := gcc
endif
V       ?= @

LLHTTP_SRC := /usr/share/llhttp
LLHTTP_INC := /usr/share/include/llhttp

WARN := -Wall -Wextra -Werror -Wformat=2 -Wno-format-nonliteral -Wconversion -Wsign-conversion -Wshadow -Wvla \
	-Wimplicit-fallthrough -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Werror=format-security -Werror=implicit -Werror=incompatible-pointer-types \
	-Werror=int-conversion
BRANCHES := $(if $(filter aarch64,$(shell uname -m)),-mbranch-protection=standard,-fcf-protection=full)
HARDEN := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong \
	-fstack-clash-protection $(BRANCHES) -fno-delete-null-pointer-checks \
	-fno-strict-overflow -fno-strict-aliasing -fPIE
LDHARDEN := -pie -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,-z,nodlopen -Wl,--as-needed \
	-Wl,--no-copy-dt-needed-entries
ifeq ($(findstring clang,$(CC)),)
WARN   += -Wtrampolines -Wbidi-chars=any
HARDEN += -ftrivial-auto-var-init=zero
LTO    := -flto=auto
endif

ifdef SAN
# Sanitizers replace the run-time checks of FORTIFY_SOURCE.
CFLAGS  ?= -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
	-fno-sanitize-recover=all -DSTATWEIR_DEBUG
LDFLAGS ?= -fsanitize=address,undefined
HARDEN  := -fPIE
LDHARDEN := -pie
else
CFLAGS  ?= -O3 -g $(LTO)
LDFLAGS ?=
endif

STD  := -std=c11 -D_GNU_SOURCE -I. -isystem $(LLHTTP_INC)
LIBS := -levent -lhiredis -ldeflate -linih -ljansson -lcrypto -lpthread
ALLCFLAGS = $(STD) $(CFLAGS) $(WARN) $(HARDEN) -MMD -MP
TESTCFLAGS = $(ALLCFLAGS) -Wno-missing-prototypes

LIB_SRC  := $(filter-out proxy/core/main.c proxy/ctl/main.c,$(wildcard proxy/*/*.c filters/*.c))
LIB_OBJ  := $(LIB_SRC:%.c=$(B)/%.o)
LLHTTP_OBJ := $(B)/llhttp/api.o $(B)/llhttp/http.o $(B)/llhttp/llhttp.o
TOOL_SRC := $(wildcard tests/tools/*_main.c)
TOOLS    := $(TOOL_SRC:tests/tools/%_main.c=$(B)/%)
TOOLLIB_OBJ := $(patsubst %.c,$(B)/%.o,$(filter-out $(TOOL_SRC),$(wildcard tests/tools/*.c)))
UNIT_SRC := $(wildcard tests/unit/test_*.c tests/unit/*/test_*.c tests/sim/test_*.c)
UNIT_BIN := $(UNIT_SRC:%.c=$(B)/%)
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_REPLAY := $(FUZZ_SRC:%.c=$(B)/%)

.PHONY: all tools unit fuzz-replay demo run check check-lint check-build check-unit check-fuzz \
	check-func lint fuzz bench torture bench-insn bench-throttle format install clean help setup-%
.DEFAULT_GOAL := help

all: $(B)/statweir $(B)/statweirctl tools
tools: $(TOOLS) $(B)/nth_call.so $(B)/nth_malloc.so

# Packages, said before they are installed; nothing happens when all are there.
setup-%:
	@deploy/setup.sh $(subst -, ,$*)

help:
	@echo "make demo                     watch the flood of KB 924842 become a trickle (KEEP=1 stays up)"
	@echo "make run UPSTREAM=host:port   build and run in front of a management point"
	@echo "make check                    all tests"
	@echo "make lint                     layout, sizes, layers, banned calls"
	@echo "make fuzz [T=name] [SECS=60]  fuzz one target, or each"
	@echo "make bench                    beside HAProxy and nginx, CPU time per request (BENCH_ARGS=--quick)"
	@echo "make bench-throttle           a wave, a slow-down, an outage, a greedy client"
	@echo "make bench-insn               instructions of the hot functions, against the table in the tree"
	@echo "make torture [KILLS=1600] [TORTURE_ARGS=--seed=N]  kill at random, compare the books"
	@echo "make format                   clang-format the tree"
	@echo "make install [DESTDIR=] [PREFIX=/usr/local]"
	@echo "make clean"

demo: setup-build-run
	@$(MAKE) --no-print-directory -j2 all
	@tests/demo.sh

run: setup-build-run
	@test -n "$(UPSTREAM)" || { echo "say which management point: make run UPSTREAM=host:port"; exit 64; }
	@$(MAKE) --no-print-directory -j2 $(B)/statweir
	@mkdir -p build/run-state
	$(B)/statweir --listen 127.0.0.1:8080 --upstream $(UPSTREAM) --admin 127.0.0.1:9180 --state build/run-state

check: setup-build-run-check
	@$(MAKE) --no-print-directory check-lint
	@$(MAKE) --no-print-directory check-build
	@$(MAKE) --no-print-directory check-unit
	@$(MAKE) --no-print-directory check-fuzz
	@$(MAKE) --no-print-directory check-func
	@echo "make check: everything passed"

check-lint:
	@tests/lint/run.sh
check-build:
	@$(MAKE) --no-print-directory -s -j2 V=@ all
	@$(MAKE) --no-print-directory -s -j2 CC=clang B=build/clang all
check-unit:
	@$(MAKE) --no-print-directory -s -j2 SAN=1 CC=clang B=build/san all unit
	@tests/run_unit.sh $(UNIT_SRC:%.c=build/san/%)
check-fuzz:
	@$(MAKE) --no-print-directory -s -j2 SAN=1 CC=clang B=build/san fuzz-replay
	@tests/run_fuzz_replay.sh build/san $(FUZZ_SRC)
# They wait more than they work: several at a time, each with processes and ports of its own.
FUNC_JOBS ?= 6
check-func:
	@STATWEIR_BIN=build/san/statweir /usr/bin/python3 -m pytest -q -p no:cacheprovider -n $(FUNC_JOBS) tests/func

lint: setup-build-check
	@tests/lint/run.sh

FUZZ_TARGETS := $(if $(T),$(T),$(patsubst tests/fuzz/fuzz_%.c,%,$(FUZZ_SRC)))
SECS ?= 60
fuzz: setup-build
	@for t in $(FUZZ_TARGETS); do $(MAKE) --no-print-directory -s CC=clang SAN=1 B=build/fuzz \
		CFLAGS="-O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -DSTATWEIR_DEBUG" \
		build/fuzz/run_$$t || exit 1; \
		mkdir -p build/fuzz/corpus/$$t build/fuzz/findings; \
		build/fuzz/run_$$t -max_total_time=$(SECS) -print_final_stats=1 -artifact_prefix=build/fuzz/findings/$$t- \
			build/fuzz/corpus/$$t tests/fuzz/corpus/$$t || exit 1; done

build/fuzz/run_%: build/fuzz/tests/fuzz/fuzz_%.o build/fuzz/libstatweir.a
	$(V)$(CC) -fsanitize=fuzzer,address,undefined -o $@ $^ $(LIBS) -lexpat -lz

bench: setup-build-run-bench
	@$(MAKE) --no-print-directory -s -j2 $(B)/statweir
	@STATWEIR_BIN=$(CURDIR)/$(B)/statweir /usr/bin/python3 tests/bench/bench.py $(BENCH_ARGS)

bench-throttle: setup-build-run-bench
	@$(MAKE) --no-print-directory -s -j2 all
	@/usr/bin/python3 tests/bench/pace.py $(BENCH_ARGS)

bench-insn: setup-build-insn
	@$(MAKE) --no-print-directory -s -j2 $(B)/insn
	@/usr/bin/python3 tests/bench/insn.py $(BENCH_ARGS) $(B)/insn

$(B)/insn: $(B)/tests/bench/insn_main.o $(TOOLLIB_OBJ) $(B)/libstatweir.a
	$(V)echo "  link $@" && $(CC) $(LDFLAGS) $(LDHARDEN) -o $@ $^ $(LIBS) -lz

# With failpoints' build flags but without sanitizers, so that 1000 kills take minutes.
KILLS ?= 1600
torture: setup-build-run-check
	@$(MAKE) --no-print-directory -s -j2 B=build/torture CFLAGS="-O2 -g -DSTATWEIR_DEBUG" build/torture/statweir
	@STATWEIR_BIN=build/torture/statweir /usr/bin/python3 tests/fault/torture.py --kills $(KILLS) $(TORTURE_ARGS)

format:
	clang-format -i $(shell git ls-files '*.c' '*.h')

PREFIX ?= /usr/local
install: $(B)/statweir $(B)/statweirctl
	install -D -m 755 $(B)/statweir $(DESTDIR)$(PREFIX)/sbin/statweir
	install -D -m 755 $(B)/statweirctl $(DESTDIR)$(PREFIX)/bin/statweirctl

clean:
	rm -rf build

$(B)/libstatweir.a: $(LIB_OBJ) $(LLHTTP_OBJ)
	$(V)rm -f $@ && ar rcs $@ $^

$(B)/statweirctl: $(B)/proxy/ctl/main.o $(B)/libstatweir.a
	$(V)echo "  link $@" && $(CC) $(LDFLAGS) $(LDHARDEN) -o $@ $^ -ljansson -linih -lpthread

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

# For LD_PRELOAD, so without sanitizers even in their builds.
$(B)/nth_malloc.so: NTH := -DNTH_MALLOC
$(B)/nth_call.so $(B)/nth_malloc.so: tests/fault/nth_call.c
	$(V)mkdir -p $(@D) && echo "  link $@" && $(CC) $(STD) -O1 -g $(WARN) $(NTH) -fPIC -shared -o $@ $< -ldl

unit: $(UNIT_BIN)
fuzz-replay: $(FUZZ_REPLAY)

.SECONDARY:
-include $(shell find $(B) -name '*.d' 2>/dev/null)
