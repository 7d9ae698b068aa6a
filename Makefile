# The few commands a person types. The build itself is CMake's (CMakePresets.json); this file is a thin front for it.
SHELL = /bin/sh
.DEFAULT_GOAL = all
MAKEFLAGS += --no-print-directory
.PHONY: all setup demo test soak bench cross analyze install uninstall clean help asan tsan clang-build fuzz cov format

PREFIX ?= /usr/local
DESTDIR ?=
JOBS ?= $(shell nproc)
# What `make test` hands to tests/run, e.g. make test TESTS='--only babel'
TESTS ?=

# $(call build,PRESET,TARGETS): configure (quick when nothing changed), then build. One at a time in one clone.
folder = $(if $(filter release,$(1)),build,build-$(1))
build = flock Makefile sh -c 'out=$$(cmake --preset $(1) 2>&1) || { echo "$$out"; exit 1; }; \
        exec cmake --build $(folder) -j $(JOBS) $(if $(2),--target $(2))'

all:
	@tools/setup --check build
	@$(call build,release,byway)
	@echo "built build/byway"

setup:
	@tools/setup build demo test interop

demo:
	@tools/setup build demo
	@$(call build,release,byway)
	@build/byway lab demo

# Release for the lab, sanitizers for everything that decodes or decides, the thread sanitizer for what has threads.
test: setup
	@$(call build,release,byway benches)
	@$(call build,asan,byway unit_tests fuzz_targets)
	@$(call build,tsan,byway threaded_tests)
	@tests/run $(TESTS)

# The long ones: random link cuts for ten minutes, millions of mutated inputs, other machines, static analysis.
soak: setup analyze
	@tools/setup cross
	@$(call build,release,byway benches)
	@$(call build,asan,byway unit_tests fuzz_targets)
	@$(call build,tsan,byway threaded_tests)
	@JOBS=$(JOBS) tools/cross
	@tests/run --soak $(TESTS)

# A big-endian machine, a 32-bit one, 64-bit ARM: see tools/cross.
cross:
	@tools/setup build test cross
	@$(call build,release,byway)
	@JOBS=$(JOBS) tools/cross
	@tests/run --soak --only cross/

analyze:
	@tools/setup build test analyze
	@JOBS=$(JOBS) tools/analyze

bench: setup
	@$(call build,release,byway benches)
	@for b in build/bench/bench_* tests/bench/*.py; do \
	    if [ -x "$$b" ]; then echo "---- $$b"; "$$b" || exit 1; fi; \
	done

install: all
	@DESTDIR='$(DESTDIR)' cmake --install build --prefix '$(PREFIX)' >build/install.log || { cat build/install.log; exit 1; }
	@sed -n 's/^-- Installing: /installed /p; s/^-- Up-to-date: /kept /p' build/install.log

# Knows what to take away from the sources, not from a list that an earlier run may have left.
uninstall:
	@tools/uninstall '$(DESTDIR)$(PREFIX)'

asan tsan fuzz cov:
	@tools/setup --check build test
	@$(call build,$@,)
clang-build:
	@tools/setup --check build test
	@$(call build,clang,)

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

clean:
	@rm -rf build build-release build-dev build-asan build-tsan build-fuzz build-clang build-cov build-analyze build-s390x build-armhf build-arm64 tests/tmp

help:
	@echo 'make              builds build/byway (tools/setup build installs what that needs)'
	@echo 'make demo         installs what is missing, builds, shows a mesh at work on this machine'
	@echo 'make test         installs what is missing, builds, runs every test; TESTS="--only NAME" for some'
	@echo 'make soak         the same with the long runs'
	@echo 'make cross        builds and tests for other machines (s390x, armhf, arm64) under qemu'
	@echo 'make analyze      static analysis: cppcheck, clang-tidy, gcc -fanalyzer, clang -Wconversion'
	@echo 'make bench        compares with the peers that Debian packages'
	@echo 'make install      into PREFIX (now $(PREFIX)), below DESTDIR if set; make uninstall takes it away'
	@echo 'make asan|tsan|clang-build|fuzz|cov    a build of that kind in build-NAME'
	@echo 'make clean        removes what was built'
