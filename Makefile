# One command for each thing that a person does here; `make` alone lists them.
# What a command needs and the machine lacks is installed first (Tools/require).

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

BINARY := .build/release/chimera
VENV := .build/venv
PYTEST_FLAGS ?= -n 2
FUZZ_SECONDS ?= 20
BENCH_FLAGS ?=
AUTOBAHN_CASES ?=
TENANTS_FLAGS ?=

SWIFT_FILES = Package.swift $(shell find Sources Tests -name '*.swift' -not -path '*/.build/*')
# A plain user's PATH on Debian is without the folder that nginx is in.
TEST_ENVIRONMENT = CHIMERA_BINARY=$(abspath $(BINARY)) PATH="$$PATH:/usr/sbin:/sbin"
# Exclusive access to stored properties is checked in debug and test builds; in the product the checks would cost 11 %
# of the instructions of a proxied request. Bounds are checked everywhere.
RELEASE = -c release --static-swift-stdlib -Xswiftc -enforce-exclusivity=unchecked
THREAD_SANITIZER = --sanitize thread --scratch-path .build/thread-sanitizer

.PHONY: help build run test check lint format bench fuzz docs clean
.PHONY: bench-tenants test-slow test-unit test-end-to-end test-autobahn check-end-to-end latency soak samples

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build .build/release/chimera, which needs Debian's libraries only
	@Tools/require build
	swift build $(RELEASE) --product chimera
	@Tools/check-linkage $(BINARY)

run: build samples ## serve the sample tenants of conf.d/ on ports 8080 and 8443 (TLS), with their backends
	@Tools/require run
	@Tools/run $(BINARY) chimera.conf

test: lint test-unit build test-end-to-end ## lint, unit tests, and the release binary against real clients
	@echo "make test: everything passed"

# The samples' one program that has to be compiled.
samples: conf.d/life/life

conf.d/life/life: conf.d/life/life.c
	@Tools/require samples
	$(CC) -O2 -Wall -Wextra -o $@ $<

test-unit:
	@Tools/require build
	@Tools/unit-tests

test-end-to-end: samples
	@Tools/require test
	@Tools/python-packages $(VENV) Tests/EndToEnd/requirements.txt
	$(TEST_ENVIRONMENT) $(VENV)/bin/python -m pytest $(PYTEST_FLAGS) Tests/EndToEnd
	$(TEST_ENVIRONMENT) $(VENV)/bin/python -m pytest -q -p no:cacheprovider Tests/Tools

test-autobahn: build ## Autobahn|Testsuite, strictly, against a session that echoes (AUTOBAHN_CASES="9.*")
	@Tools/require test
	@Tools/autobahn .build/autobahn
	python3 Tests/Autobahn/run.py .build/autobahn/wstest $(BINARY) .build/autobahn-reports $(AUTOBAHN_CASES)

test-slow: build ## the tests that take minutes: gigabytes through real applications, a long WebSocket
	@Tools/require test
	@Tools/python-packages $(VENV) Tests/EndToEnd/requirements.txt
	$(TEST_ENVIRONMENT) $(VENV)/bin/python -m pytest $(PYTEST_FLAGS) -m slow Tests/EndToEnd

check: ## the unit tests, and a short load on the server, under ThreadSanitizer
	@Tools/require build
	swift build --build-tests $(THREAD_SANITIZER)
	Tools/under-thread-sanitizer swift test --skip-build --no-parallel $(THREAD_SANITIZER)
	@$(MAKE) --no-print-directory check-end-to-end

check-end-to-end:
	@Tools/require run
	swift build --product chimera $(THREAD_SANITIZER)
	@Tools/check-under-load .build/thread-sanitizer/debug/chimera

lint: ## refuse what the style and the design rule out
	@Tools/require lint
	@Tools/lint
	@python3 Tools/generate/field-names.py --check
	@python3 Tools/generate/mime_types.py --check
	@python3 Tools/generate/hpack-tables.py --check
	@swift format lint --strict --parallel $(SWIFT_FILES)

format: ## rewrite the Swift sources in the project's format
	@Tools/require lint
	@swift format --in-place --parallel $(SWIFT_FILES)

bench: build ## CPU time for a request, beside nginx and HAProxy (BENCH_FLAGS="--rounds 15")
	@Tools/require bench
	python3 Tests/Benchmark/bench.py $(BENCH_FLAGS)

bench-tenants: build ## ten thousand tenant files: cold start, one change, what others notice (TENANTS_FLAGS="--windows 5")
	@Tools/require bench
	$(TEST_ENVIRONMENT) python3 Tests/Benchmark/tenants.py $(TENANTS_FLAGS)

latency: build ## latency at half of the capacity, beside nginx
	@Tools/require bench
	python3 Tests/Benchmark/latency.py $(BENCH_FLAGS)

soak: build ## ten minutes of mixed load: memory and descriptors stay flat (SOAK_SECONDS)
	@Tools/require test
	@Tools/python-packages $(VENV) Tests/EndToEnd/requirements.txt
	$(TEST_ENVIRONMENT) $(VENV)/bin/python -m pytest -m slow Tests/EndToEnd/test_soak.py

fuzz: ## run each fuzz target for FUZZ_SECONDS (20)
	@Tools/require build run
	@Tools/fuzz $(FUZZ_SECONDS)

docs: build ## write docs/reference.md and docs/metrics.md from the tables of the program
	$(BINARY) reference > .build/reference.md
	mv .build/reference.md docs/reference.md
	$(BINARY) reference --metrics > .build/metrics.md
	mv .build/metrics.md docs/metrics.md

clean: ## remove all that was built
	rm -rf .build Tests/Fuzz/.build conf.d/life/life
	find Tests Tools conf.d -name __pycache__ -type d -prune -exec rm -rf {} +
