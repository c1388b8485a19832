# Every target sets itself up: a fresh clone, Python 3.11 or newer and pip are enough.
# Where packages come from is pip's own business (its configuration, PIP_INDEX_URL); nothing here names a host.

MAKEFLAGS += --no-print-directory
SHELL := /bin/sh
VENV ?= .venv
BIN := $(VENV)/bin
UV ?= uv
PYTEST_ARGS ?= -q -n auto
FUZZ_INPUTS ?= 20000
PROVE_PACKETS ?= 10000000
PROVE_SEEDS ?= fresh:3

.DEFAULT_GOAL := help
.PHONY: help env dev compiled demo test prove check bench fuzz lock man clean

help:
	@sed -n 's/^## //p' Makefile

## make demo    diagnose the project's own incident, then this host
demo: env
	@scripts/report $(BIN)/tablefull diagnose examples/xen-dom0.txt
	@printf '\n--- this host ---\n\n'
	@scripts/report $(BIN)/tablefull diagnose

## make test    set everything up and run every test
test: dev compiled
	@scripts/test-packages
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

## make prove   twin and fixes beside the running kernel: PROVE_PACKETS=10000000 over three fresh seeds (root)
prove: dev
	@scripts/test-packages
	@TABLEFULL_PROVE_PACKETS=$(PROVE_PACKETS) TABLEFULL_PROVE_SEEDS=$(PROVE_SEEDS) \
	  $(BIN)/python -m pytest -q tests/realkernel/test_twin.py tests/realkernel/test_full_table.py tests/twin/test_recorded.py \
	  tests/realkernel/test_fix_verdicts.py

## make check   lint, format, types, imports: what CI runs beside the tests
check: dev
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy --strict
	@PYTHONPATH=src $(BIN)/lint-imports

## make bench   every figure the README states, measured here
bench: $(VENV)/.bench
	@scripts/test-packages
	@set -e; for file in benchmarks/bench_*.py; do \
	  test -e "$$file" || { echo "no benchmarks yet"; break; }; \
	  echo "== $$file"; $(BIN)/python "$$file"; done

## make fuzz    FUZZ_INPUTS=20000 inputs against every parser
fuzz: dev
	@FUZZ_INPUTS=$(FUZZ_INPUTS) HYPOTHESIS_PROFILE=fuzz $(BIN)/python -m pytest $(PYTEST_ARGS) tests/fuzz

## make man     the manual page, from the same source as --help
man: env
	@mkdir -p build && $(BIN)/tablefull man > build/tablefull.1 && echo build/tablefull.1

## make lock    pin requirements/*.in again (needs uv)
lock:
	@scripts/lock $(UV)

## make clean   forget the environment and every cache
clean:
	@rm -rf $(VENV) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -exec rm -rf {} +

# The tests start the program some thousand times: without its compiled files each start takes seconds.
compiled: dev
	@$(BIN)/python -m compileall -q src

env: $(VENV)/.demo
dev: $(VENV)/.dev

$(VENV)/.demo: requirements/demo.lock pyproject.toml scripts/env
	@scripts/env $(VENV) requirements/demo.lock
	@touch $@

$(VENV)/.bench: $(VENV)/.dev requirements/bench.lock
	@scripts/env $(VENV) requirements/bench.lock
	@touch $@

$(VENV)/.dev: $(VENV)/.demo requirements/dev.lock
	@scripts/env $(VENV) requirements/dev.lock
	@touch $@
