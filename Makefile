# jeton: one Makefile, every flavour under build/FLAVOUR/. `make help` lists the
# targets; V=1 shows the commands.
FLAVOUR ?= release
O := build/$(FLAVOUR)
R := $(O)/results
PREFIX ?= /usr/local
SECONDS ?= 10
VERSION := 0.1.0

CSTD := -std=c17 -D_GNU_SOURCE -DJT_VERSION='"$(VERSION)"' -I.
WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes \
	-Wmissing-prototypes -Wpointer-arith -Wcast-qual -Wwrite-strings \
	-Wundef -Wvla -Wformat=2 -Wno-unused-parameter -Wno-format-truncation
HARD := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
FLAGS_release := -O2 -g $(HARD)
FLAGS_asan := -O1 -g -fno-var-tracking-assignments \
	-fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer
FLAGS_tsan := -O1 -g -fsanitize=thread -fno-omit-frame-pointer
FLAGS_clang := -O2 -g
FLAGS_fuzz := -O1 -g -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=all
ifneq ($(filter clang fuzz,$(FLAVOUR)),)
CC := clang
WARN += -Wno-unknown-warning-option
endif
CFLAGS += $(CSTD) $(WARN) $(FLAGS_$(FLAVOUR))
LDFLAGS += $(filter -fsanitize%,$(FLAGS_$(FLAVOUR))) \
	$(if $(filter release,$(FLAVOUR)),-pie -Wl$(,)-z$(,)relro$(,)-z$(,)now)
, := ,

LIBS_shm := -lsodium -lxxhash -lhiredis
LIBS_admin := $(LIBS_shm) -ljansson -lcsv
LIBS_all := $(LIBS_admin) -luring -lmicrohttpd -linih -lseccomp -lm -lpthread

# A room's library is all of it but its entry points.
entry := %/main.c $(wildcard admin/cmd_*.c)
obj = $(patsubst %.c,$(O)/%.o,$(1))
lib = $(call obj,$(filter-out $(entry),$(wildcard $(1)/*.c)))
SHM := $(call lib,shm)
ADMIN := $(call lib,admin) $(SHM)
SIDECAR := $(call lib,sidecar) $(ADMIN)
BINS := $(O)/jetond $(O)/jeton $(O)/jeton-bench
LIBRARY := $(O)/libjeton.so.1 $(O)/libjeton.a
program = $(patsubst tests/%.c,$(O)/tests/%,$(wildcard tests/$(1)_*.c))

DEST = $(DESTDIR)$(PREFIX)
MAN = $(DEST)/share/man
PAGES := shm/libjeton.3 admin/jeton-journal.5 sidecar/jeton-http.7 \
	sidecar/jeton-protocol.7 sidecar/jetond.8 sidecar/jetond.conf.5
UNITS := $(wildcard sidecar/systemd/*.service sidecar/systemd/*.socket \
	sidecar/systemd/*.timer)
UNIT_FILES = $(patsubst sidecar/systemd/%,$(DEST)/lib/systemd/system/%,$(UNITS))
SNIPPETS = $(DEST)/lib/sysusers.d/jeton.conf $(DEST)/lib/tmpfiles.d/jeton.conf
COMPLETIONS = $(DEST)/share/bash-completion/completions/jeton \
	$(DEST)/share/zsh/site-functions/_jeton \
	$(DEST)/share/fish/vendor_completions.d/jeton.fish

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-5s %s\n' $(1) $@;)
link = $(call say,LINK)$(CC) $(if $(filter %.so.1,$@),$(filter-out -pie,$(LDFLAGS)),$(LDFLAGS)) \
	$(filter %.o,$^) -o $@ $(1)

all: $(BINS) $(LIBRARY) ## build jetond, jeton, jeton-bench and libjeton

$(O)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(CFLAGS) -MMD -MP -c $< -o $@
$(O)/jetond: $(O)/sidecar/main.o $(SIDECAR)
	$(call link,$(LIBS_all))
$(O)/jeton: $(call obj,admin/main.c $(wildcard admin/cmd_*.c)) $(ADMIN)
	$(call link,$(LIBS_admin))
$(O)/jeton-bench: $(O)/bench/main.o $(call lib,bench) $(SIDECAR)
	$(call link,$(LIBS_all))
# Of the library only what shm/jeton.h exports is seen, whichever is linked.
$(SHM): CFLAGS += -fPIC -fvisibility=hidden
$(O)/libjeton.so.1: $(SHM)
	$(call link,-shared -Wl$(,)-soname$(,)$(@F) $(LIBS_shm))
	$(Q)ln -sf $(@F) $(O)/libjeton.so
$(O)/libjeton.a: $(SHM)
	$(call say,AR)$(LD) -r $^ -o $(@D)/jeton.all.o && \
		objcopy --localize-hidden $(@D)/jeton.all.o && \
		rm -f $@ && $(AR) rcs $@ $(@D)/jeton.all.o
$(O)/tests/unit: $(call obj,$(wildcard tests/test_*.c tests/help_*.c)) \
		$(call lib,bench) $(SIDECAR)
	$(call link,$(LIBS_all) -lcriterion)
$(call program,stress): $(O)/tests/%: $(O)/tests/%.o $(SIDECAR)
	$(call link,$(LIBS_all))
$(O)/tests/timing: $(O)/tests/timing.o $(SHM)
	$(call link,$(LIBS_shm) -lm)
$(O)/tests/torture: $(call obj,$(wildcard tests/torture*.c) tests/help_io.c \
		tests/help_disk.c) $(SIDECAR)
	$(call link,$(LIBS_all))
# In every flavour but its own a fuzzer only goes through its corpus.
FUZZ := $(filter fuzz,$(FLAVOUR))
$(call program,fuzz): $(O)/tests/%: $(O)/tests/%.o $(SIDECAR) \
		$(if $(FUZZ),,$(O)/tests/drive.o)
	$(call link,$(FUZZ:fuzz=-fsanitize=fuzzer) $(LIBS_all))

$(O)/tests/fuzz_completions: $(O)/tests/help_completions.o

# A jetond of another layout, and one of other meters besides: only these look
# at the versions.
other := $(addprefix $(O)/other/,shm/segment.o shm/attach.o sidecar/attach.o \
	sidecar/snapshot.o)
meters := $(subst /other/shm/segment,/meters/shm/segment,$(other))
OTHERS := $(addprefix $(O)/tests/jetond-other-,layout meters)
$(O)/other/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(CFLAGS) -DJT_LAYOUT_VERSION=99u -MMD -MP -c $< -o $@
$(O)/meters/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(CFLAGS) -DJT_LAYOUT_VERSION=99u \
		-DJT_METERS_VERSION=99u -MMD -MP -c $< -o $@
$(OTHERS): $(O)/sidecar/main.o \
		$(filter-out $(subst /other/,/,$(other)),$(SIDECAR))
	$(call link,$(LIBS_all))
$(O)/tests/jetond-other-layout: $(other)
$(O)/tests/jetond-other-meters: $(meters)

deps: ## install what building needs (Debian packages)
	$(Q)tests/deps.sh build
deps-test: deps ## install what testing needs; starts no service
	$(Q)tests/deps.sh test
demo: deps ## the main job in plain sentences, under 20 s
	$(Q)$(MAKE) --no-print-directory all
	$(Q)tests/demo.sh $(O)
test: deps-test ## everything that must pass: unit, stress, end to end
	$(Q)$(MAKE) --no-print-directory all unit corpus stress e2e
unit: $(O)/tests/unit ## Criterion unit tests
	$(Q)mkdir -p $(R)/tests
	$(Q)LSAN_OPTIONS=suppressions=tests/leaks.supp:print_suppressions=0 \
		$< -j2 --xml=$(R)/tests/unit.xml
corpus: $(call program,fuzz) ## what fuzzers begin with and have found, once
	$(Q)tests/result.sh $(R) tests/fuzz.sh --corpus $(O)
stress: $(call program,stress) $(O)/tests/torture ## concurrency: threads under TSan, processes
	$(Q)tests/stress.sh $(O)
e2e: all $(OTHERS) ## real binaries, real clients
	$(Q)tests/e2e.sh $(O)
e2e-epoll: all $(OTHERS) ## the same where io_uring is forbidden, as in containers
	$(Q)JETON_TEST_WRAP="strace -D -f -qq --seccomp-bpf -o /dev/null \
		-e trace=io_uring_setup -e inject=io_uring_setup:error=EPERM" \
		tests/e2e.sh $(O) -n 4 --dist loadfile \
		--junitxml=$(R)/tests/e2e-epoll.xml
torture: deps $(O)/tests/torture ## a journal broken in every way, about 7 minutes
	$(Q)tests/result.sh $(R) $(O)/tests/torture --seconds 420
torture-real: deps-test all $(O)/tests/stress_peers ## the same to the real binaries, about 15 minutes
	$(Q)tests/result.sh $(R) $(O)/tests/stress_peers --cycles 10000000
	$(Q)JETON_TORTURE=1 tests/e2e.sh $(O) --junitxml=$(R)/tests/e2e-long.xml \
		-k "test_torture or test_crowd or test_upgrade or test_deny"
torture-report: ## the failure matrix, row by row, from what was run last
	$(Q)tests/report.py $(O)
asan: deps-test ## all tests under address and undefined-behaviour sanitizers
	$(Q)$(MAKE) --no-print-directory FLAVOUR=asan all unit corpus stress e2e
timing: $(O)/tests/timing ## do times tell where a wrong secret differs? SAMPLES of each
	$(Q)tests/result.sh $(R) $< --samples $(or $(SAMPLES),1000000)
tsan: deps ## stress programs under ThreadSanitizer
	$(Q)$(MAKE) --no-print-directory FLAVOUR=tsan stress-programs
stress-programs: $(call program,stress)
fuzz: deps ## parsers, replay, verdicts under libFuzzer, SECONDS each; ONLY="a b"
	$(Q)$(MAKE) --no-print-directory FLAVOUR=fuzz fuzz-programs
	$(Q)RESULTS=$(R) tests/fuzz.sh build/fuzz $(SECONDS) $(ONLY)
fuzz-programs: $(call program,fuzz)
mutants: deps ## planted bugs: each must be killed by its test; ONLY="a b"
	$(Q)tests/result.sh $(R) tests/plants/run.sh $(ONLY)
bench: deps-test ## measure beside Redis and bare echoes; under 5 minutes
	$(Q)$(MAKE) --no-print-directory all
	$(Q)bench/measure.sh $(O) quick
bench-full: deps-test ## more subjects, rounds and sizes, slices of 3 s; about an hour
	$(Q)$(MAKE) --no-print-directory all
	$(Q)bench/measure.sh $(O) full
bench-page: ## what was measured so far, as results/bench.html
	$(Q)$(O)/jeton-bench page $(R)/*.json --html $(R)/bench.html \
		--commit "$$(git describe --always --dirty 2>/dev/null)"
check-layers: ## rooms include only to the left: shm < admin < sidecar < bench < tests
	$(Q)tests/layers.sh
lint: ## formatting, what static analysis sees, and the names in the matrix
	$(Q)tests/lint.sh
	$(Q)tests/report.py --names
install: all ## binaries, library, manual pages, units, completions to PREFIX
	install -D -t $(DEST)/bin $(BINS)
	install -D -m 644 -t $(DEST)/lib $(LIBRARY)
	ln -sf libjeton.so.1 $(DEST)/lib/libjeton.so
	install -D -m 644 -t $(DEST)/include shm/jeton.h
	install -d $(DEST)/lib/pkgconfig
	sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|' shm/jeton.pc.in \
		>$(DEST)/lib/pkgconfig/jeton.pc
	$(foreach p,$(PAGES),install -D -m 644 -t $(MAN)/man$(lastword $(subst ., ,$(p))) $(p);)
	install -d $(MAN)/man1 $(dir $(COMPLETIONS))
	$(O)/jeton help --man >$(MAN)/man1/jeton.1
	$(O)/jeton completion bash >$(word 1,$(COMPLETIONS))
	$(O)/jeton completion zsh >$(word 2,$(COMPLETIONS))
	$(O)/jeton completion fish >$(word 3,$(COMPLETIONS))
	install -d $(sort $(dir $(UNIT_FILES) $(SNIPPETS)))
	$(foreach u,$(UNITS),sed 's,/usr/local/bin/,$(PREFIX)/bin/,' $(u) | install -m 644 /dev/stdin $(DEST)/lib/systemd/system/$(notdir $(u));)
	install -m 644 sidecar/systemd/jeton.sysusers $(word 1,$(SNIPPETS))
	install -m 644 sidecar/systemd/jeton.tmpfiles $(word 2,$(SNIPPETS))
uninstall: ## remove them
	rm -f $(patsubst $(O)/%,$(DEST)/bin/%,$(BINS)) \
		$(patsubst $(O)/%,$(DEST)/lib/%,$(LIBRARY)) \
		$(DEST)/lib/libjeton.so $(DEST)/include/jeton.h \
		$(DEST)/lib/pkgconfig/jeton.pc $(MAN)/man1/jeton.1 \
		$(foreach p,$(PAGES),$(MAN)/man$(lastword $(subst ., ,$(p)))/$(notdir $(p))) \
		$(COMPLETIONS) $(UNIT_FILES) $(SNIPPETS)
clean: ## remove build/
	rm -rf build
help: ## this list
	@sed -nE 's/^([a-z0-9-]+):[^#]*## (.*)/  \1\t\2/p' Makefile | expand -t 18

$(O)/bench/redis.o: bench/verify.lua bench/verify_packed.lua # .incbin
$(O)/bench/page.o: bench/page.css # likewise

-include $(shell find $(O) -name '*.d' 2>/dev/null)
.PHONY: all deps deps-test demo test unit corpus stress stress-programs e2e asan \
	tsan e2e-epoll timing torture torture-real torture-report \
	fuzz fuzz-programs mutants bench bench-full bench-page check-layers lint \
	install uninstall clean help
.DELETE_ON_ERROR:
