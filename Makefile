# Two commands do everything: `make demo` and `make test`. Both first make the environment in .venv from the lock.

# The newest Python that will do.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
UV := $(BIN)/uv pip install --python $(BIN)/python --require-hashes

.PHONY: help demo up test test-fast fuzz lint format models evaluate bench lock clean

help: ## list these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

demo: .venv/run.stamp ## cameras, servers, detection and a live view of it, all on this machine
	@$(BIN)/detector demo

up: .venv/run.stamp ## the same without demo cameras and view: for your own cameras and CMS
	@$(BIN)/detector up

test: lint ## everything that must pass
	$(BIN)/pytest -n 3 --dist loadfile

test-fast: .venv/dev.stamp ## tests that start no process: seconds
	$(BIN)/pytest tests/unit

fuzz: .venv/dev.stamp ## look for a stranger's package that breaks the checks: five minutes
	HYPOTHESIS_PROFILE=nightly $(BIN)/pytest tests/unit/mpta/test_fuzz.py --timeout 3600

lint: .venv/dev.stamp ## style, types, and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: .venv/dev.stamp ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

models: .venv/dev.stamp ## train the demo package again, from rendered scenes
	$(BIN)/python -m training

evaluate: .venv/run.stamp ## how good the demo package is on scenes it has not seen
	$(BIN)/detector evaluate

bench: .venv/dev.stamp ## measure, and print as tables
	$(BIN)/python -m benchmarks

lock: .venv/dev.stamp ## resolve the dependencies anew
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --upgrade \
		-o requirements.lock pyproject.toml
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --upgrade \
		-c requirements.lock --extra dev -o requirements-dev.lock pyproject.toml

clean: ## remove the environment and what was written at run time
	rm -rf .venv .detector .mypy_cache .ruff_cache .pytest_cache .hypothesis

# pip reads requirements-bootstrap.lock, which holds nothing but uv; uv reads the rest, many times faster.
$(BIN)/uv: requirements-bootstrap.lock
	@test -n "$(PYTHON)" || { echo "detector needs Python 3.11, 3.12 or 3.13 on PATH"; exit 1; }
	@echo "Making the environment in .venv with $(PYTHON); the first time this fetches up to 3 GB (torch)."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bootstrap.lock
	@touch $@

.venv/run.stamp: $(BIN)/uv requirements.lock pyproject.toml
	$(UV) -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

.venv/dev.stamp: .venv/run.stamp requirements-dev.lock
	$(UV) -r requirements-dev.lock
	@touch $@
