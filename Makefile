# poplin's errands. `make` alone lists them. Everything runs in a private environment, made at the first
# use from python3 alone and made again only when pyproject.toml changes.

VENV ?= .venv
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
# What pytest is to run: make test TESTS=tests/protocol, or TESTS="-k stls".
TESTS ?=
# What bench/run.py is to measure: make bench BENCH="--modes login", BENCH=--help tells more.
BENCH ?= --quick

BIN := $(VENV)/bin
SOURCES := $(shell find src tests -name '*.py' 2>/dev/null)

.PHONY: help serve test check lint types imports samples docs bench clean
.DELETE_ON_ERROR:

help: ## list what can be made
	@sed -n 's/^\([a-z]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

serve: $(VENV)/.run ## run the server on a demonstration account: POP3 on 127.0.0.1:1110, POP3S on 127.0.0.1:1995
	@exec $(BIN)/poplin serve --init

test: $(VENV)/.dev ## run the test suite; POPLIN_REQUIRE=1 fails where a test would be skipped for a missing program
ifeq ($(strip $(TESTS)),)
	@rm -f .coverage .coverage.*
	$(BIN)/python -m coverage run -m pytest
	@$(BIN)/python -m coverage combine --quiet
else
	$(BIN)/python -m pytest $(TESTS)
endif

check: lint types imports docs samples .coverage ## all that must hold before a commit: lint, types, import rules, docs, coverage
	$(BIN)/python scripts/coverage_floor.py

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.dev
	$(BIN)/mypy

imports: $(VENV)/.dev
	$(BIN)/python -m pytest -q tests/test_imports.py tests/test_repository.py

# The suite ran and no file changed since: its measurement still holds.
.coverage: $(SOURCES) pyproject.toml
	@$(MAKE) --no-print-directory test TESTS=

docs: $(VENV)/.dev ## build the documentation into build/docs
	$(BIN)/python docs/build.py

samples: $(VENV)/.dev ## run every sample of the README and of the documentation
	$(BIN)/python docs/run_samples.py

bench: $(VENV)/.dev ## compare speed with Dovecot on this machine: needs a C compiler, root and 1.3 GB; under ten minutes
	$(BIN)/python bench/run.py $(BENCH)

clean: ## remove what was made: the environment, caches, builds (not var/ and poplin.toml: they are yours)
	rm -rf $(VENV) .venv-other .coverage .coverage.* build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.run: pyproject.toml scripts/environment.py
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or newer found; install python3, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) scripts/environment.py $(VENV) run
	@touch $@

$(VENV)/.dev: pyproject.toml scripts/environment.py
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or newer found; install python3, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) scripts/environment.py $(VENV) dev
	@touch $@ $(VENV)/.run
