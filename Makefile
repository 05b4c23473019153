# SPDX-License-Identifier: Apache-2.0
# The front door. `make help` lists the targets; each installs what it lacks (tools/packages.txt), builds and does its job.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

# On a terminal one status line, elsewhere only what went wrong.
NINJA = ninja $$([ -t 1 ] || echo --quiet)
JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 60
SOAK_FROM ?= 10001
SOAK_SEEDS ?= 100000
PREFIX ?= /usr/local
PROGRAM := build/release/apps/kith/kith

# ctest on a build folder; of thousands of tests only what failed and the count is shown.
tests = ctest --test-dir build/$(1) --output-on-failure --no-tests=error -j $(JOBS)
quiet = { grep --line-buffered -vE '^ +Start +[0-9]+:|^ *[0-9]+/[0-9]+ Test .* Passed +[0-9.]+ sec$$|^Internal ctest|^(house|packaging) +=|^Label Time Summary' || true; }

.PHONY: help run build test check check-deep bench interop e2e fuzz soak mutants coverage asan tsan install setup clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# A build folder is configured once; ninja itself re-runs cmake when a CMake file changes.
build/%/build.ninja: CMakePresets.json
	@cmake --preset $* --log-level=WARNING $(if $(filter release,$*),-DKITH_BUILD_BENCH=OFF)
	@touch $@

run:  ## build the program and start it (without a terminal: the demo)
	@tools/setup.sh build
	@$(MAKE) -s build/release/build.ninja
	@$(NINJA) -C build/release kith-cli
	@if [ -t 0 ] && [ -t 1 ]; then exec $(PROGRAM); else exec $(PROGRAM) demo; fi

build:  ## build everything for tests (build/dev)
	@tools/setup.sh build test bench
	@$(MAKE) -s build/dev/build.ninja
	@$(NINJA) -C build/dev -j $(JOBS)

test: build  ## build and run all tests but the long ones
	@start=$$SECONDS; $(call tests,dev) | $(quiet) \
	  || { echo "make test: FAILED after $$((SECONDS - start)) s (log: build/dev/Testing/Temporary/LastTest.log)"; exit 1; }; \
	  echo "make test: passed in $$((SECONDS - start)) s"

check: build  ## formatting, edges, purity, headers, sizes, clang-tidy
	@tools/setup.sh build test check
	@tools/check.sh

check-deep: build  ## the clang static analyzer over everything (slow)
	@tools/setup.sh build test check
	@tools/check_tidy.py --build build/dev --deep

bench:  ## benchmarks beside the machine's limits and ZeroMQ
	@tools/setup.sh build bench
	@$(MAKE) -s build/release/build.ninja
	@grep -q 'KITH_BUILD_BENCH:BOOL=ON' build/release/CMakeCache.txt || cmake -S . -B build/release -DKITH_BUILD_BENCH=ON --log-level=WARNING
	@$(NINJA) -C build/release -j $(JOBS)
	@$(call script,bench/run.sh)

interop:  ## js-libp2p (and go-libp2p when Go is present) against us
	@tools/setup.sh build interop
	@$(MAKE) -s build/release/build.ninja
	@$(NINJA) -C build/release kith-cli
	@$(call script,tests/interop/run.sh)

e2e: build  ## the long tests between network namespaces
	@$(call script,tests/e2e/run.sh)

fuzz:  ## every fuzz target for FUZZ_SECONDS (60)
	@tools/setup.sh build fuzz
	@$(MAKE) -s build/fuzz/build.ninja
	@$(NINJA) -C build/fuzz -j $(JOBS) fuzz_targets
	@tools/fuzz.sh build/fuzz $(FUZZ_SECONDS)

soak:  ## SOAK_SEEDS (100000) random runs of the simulator of each kind
	@tools/setup.sh build test
	@$(MAKE) -s build/dev/build.ninja
	@$(NINJA) -C build/dev -j $(JOBS) sim_seeds
	@build/dev/tests/sim/sim_seeds links $(SOAK_FROM) $(SOAK_SEEDS) && build/dev/tests/sim/sim_seeds deaths $(SOAK_FROM) $(SOAK_SEEDS)

mutants:  ## plants each known defect and shows how many runs of the simulator find it
	@tools/setup.sh build test
	@$(MAKE) -s build/mutants/build.ninja
	@$(NINJA) -C build/mutants -j $(JOBS) sim_mutants
	@build/mutants/tests/sim/sim_mutants

coverage:  ## line coverage of src/ by the tests
	@tools/setup.sh build test coverage
	@$(MAKE) -s build/coverage/build.ninja
	@$(NINJA) -C build/coverage -j $(JOBS)
	@find build/coverage -name '*.gcda' -delete
	@$(call tests,coverage) -LE 'packaging|house' | $(quiet)
	@gcovr -r . --object-directory build/coverage --filter src/ --exclude-throw-branches -j $(JOBS) \
	  --txt build/coverage/coverage.txt --html-details build/coverage/coverage.html --print-summary >build/coverage/summary.txt
	@cat build/coverage/coverage.txt; echo "make coverage: $$(grep -m1 '^lines' build/coverage/summary.txt) (build/coverage/coverage.html)"

asan:  ## the tests under the address and undefined behaviour sanitizers
tsan:  ## the tests under the thread sanitizer
asan tsan:
	@tools/setup.sh build test fuzz
	@$(MAKE) -s build/$@/build.ninja
	@$(NINJA) -C build/$@ -j $(JOBS)
	@$(call tests,$@) -LE 'packaging|house' | $(quiet)
	@echo "make $@: passed"

install:  ## library and program into PREFIX (/usr/local)
	@tools/setup.sh build
	@$(MAKE) -s build/release/build.ninja
	@$(NINJA) -C build/release -j $(JOBS)
	@cmake --install build/release --prefix $(PREFIX)

setup:  ## install what every target needs
	@tools/setup.sh build test check bench fuzz coverage

clean:  ## remove build/
	@rm -rf build

# Runs a script that belongs to another part of the tree, or says what is missing.
define script
if [ ! -f $(1) ]; then echo "make: $(1) does not exist in this tree; nothing was run" >&2; exit 1; fi; bash $(1)
endef
