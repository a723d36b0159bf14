# `make demo` and `make test` set up everything they need and run from a fresh clone. `make help` lists the rest.

SHELL := /bin/sh
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
# Stamps live in the virtual environment, so removing it removes them.
READY := $(VENV)/.ready
READY_BENCH := $(VENV)/.ready-bench
READY_RELEASE := $(VENV)/.ready-release
# What flags are held against lives in an environment of its own beside it: its versions are nobody else's.
READY_REFERENCE := $(VENV)/.ready-reference
READY_SDKS := $(VENV)/.ready-sdks
REFERENCE := tests/flags/reference/requirements.txt
SDKS := tests/e2e/npm/package.json tests/e2e/npm/package-lock.json

# How many processes run tests side by side; 0 for one after another in pytest's own. Those that start processes wait a lot.
TESTERS := 3
TESTERS_E2E := 4

LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url

# command:package, Debian's names. What the tests start besides Python.
NEEDED := nginx:nginx-light node:nodejs npm:npm curl:curl pgrep:procps prometheus:prometheus chromium:chromium

.PHONY: help demo test coverage lint format bench docs screenshots dashboard-load vendor lock dist dist-check pythons sbom image-check system clean

help:
	@echo 'make demo     the proxy in front of two demo backends, live traffic, the report, a rollout'
	@echo '              FAULT=errors, slow or diff: only the rollout, which is rolled back'
	@echo 'make test     all tests, with branch coverage'
	@echo 'make coverage  branch coverage with the processes that tests start (long)'
	@echo 'make lint     style, types, import contracts, the Dockerfile'
	@echo 'make format   rewrite the sources in the project style'
	@echo 'make bench    the benchmark against the peers (long)'
	@echo 'make docs     regenerate the reference pages that are made from the code'
	@echo 'make screenshots  pictures of the dashboard for the documents'
	@echo 'make dashboard-load  how soon the dashboard paints with 5,000 causes, and its longest task'
	@echo 'make vendor   make the dashboard'\''s one file of libraries anew'
	@echo 'make dist     wheel and source archive in dist/'
	@echo 'make dist-check  the wheel runs the demo in an empty environment, with each Python that is here'
	@echo 'make pythons  the tests without processes, with each Python that is here'
	@echo 'make sbom     what is delivered, as CycloneDX, and its licences, in dist/'
	@echo 'make lock     requirements.lock anew, with the newest versions that pyproject.toml admits'
	@echo 'make image-check  the steps of the Dockerfile in a chroot (root), the size, and a trial of the result'
	@echo 'make clean    remove the environment and everything generated'

demo: $(READY)
	$(BIN)/shadowproxy demo $(if $(FAULT),--fault $(FAULT))

# First what runs in the testers themselves, measured; then what starts processes, unmeasured: that takes them half of the time.
test: $(READY) $(READY_REFERENCE) system $(READY_SDKS)
ifdef ARGS
	$(BIN)/pytest -n $(TESTERS) --dist worksteal $(ARGS)
else
	@failed=0; \
	$(BIN)/pytest -n $(TESTERS) --dist worksteal -m 'not e2e' --cov --cov-report=term-missing:skip-covered || failed=1; \
	$(BIN)/pytest -n $(TESTERS_E2E) --dist worksteal -m e2e || failed=1; \
	exit $$failed
endif

# The same lines by everything, the processes that tests start included.
coverage: $(READY) $(READY_REFERENCE) system $(READY_SDKS)
	$(BIN)/pytest -n $(TESTERS) --dist worksteal --cov --cov-report=term-missing:skip-covered --cov-fail-under=96

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile

format: $(READY)
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

bench: $(READY_BENCH)
	$(BIN)/python -m benchmarks.run $(ARGS)

docs: $(READY)
	$(BIN)/python -m shadowproxy.config.reference > docs/configuration.md
	$(BIN)/python -m shadowproxy.metrics.series > docs/metrics.md
	$(BIN)/python -m shadowproxy.admin.reference > docs/api.md
	$(BIN)/python -m shadowproxy.rollout.table > docs/rollout-states.md
	$(BIN)/python deploy/grafana/generate.py > deploy/grafana/shadowproxy.json

screenshots: $(READY) system
	$(BIN)/python tools/screenshots.py

dashboard-load: $(READY) system
	$(BIN)/python -m tools.dashboard_load

vendor: system
	npm ci --prefix tools/vendor --no-audit --no-fund --silent
	npm run --silent --prefix tools/vendor build

# A lock for every Linux and Python that is supported; with --upgrade: without it uv keeps what the file names.
lock: $(READY_RELEASE)
	@{ echo '# What the image installs besides shadowproxy itself, made from pyproject.toml: make lock'; \
	$(LOCK) --upgrade pyproject.toml; } > requirements.lock.new
	@{ echo '# What the wheel is built with, made from [build-system] in pyproject.toml: make lock'; \
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
	| $(LOCK) --upgrade -; } > requirements-build.lock.new
	mv requirements.lock.new requirements.lock
	mv requirements-build.lock.new requirements-build.lock

dist: $(READY_RELEASE)
	rm -rf dist/*.whl dist/*.tar.gz
	$(BIN)/python -m build --outdir dist .

dist-check: dist
	$(BIN)/python -m tools.dist_check

pythons: $(READY) $(READY_REFERENCE)
	$(BIN)/python -m tools.pythons $(ARGS)

sbom: $(READY_RELEASE)
	$(BIN)/python -m tools.sbom

image-check: $(READY)
	@command -v debootstrap >/dev/null || apt-get install -q -y --no-install-recommends debootstrap
	$(BIN)/python -m tools.image

# The packages of nginx and Prometheus start servers when installed: RUNLEVEL=1 keeps them from doing so.
system:
	@PATH="$$PATH:/usr/sbin"; missing=; \
	for need in $(NEEDED); do command -v "$${need%%:*}" >/dev/null || missing="$$missing $${need##*:}"; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -q && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing; \
	else \
		echo "make: the tests also need:$$missing. As root: apt-get install$$missing" >&2; exit 1; \
	fi

# A Python counts when it is new enough and can make virtual environments (Debian splits that off).
$(BIN)/python:
	@for python in python3 python3.14 python3.13 python3.12 python3.11; do \
		if $$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "$$python -m venv $(VENV)"; exec $$python -m venv $(VENV); \
		fi; \
	done; \
	echo 'make: no Python 3.11 or newer with venv and ensurepip was found; on Debian: apt-get install python3-venv' >&2; exit 1

$(READY): pyproject.toml $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

$(READY_BENCH): $(READY)
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	@touch $@

$(READY_RELEASE): $(READY)
	$(BIN)/python -m pip install --quiet --editable '.[release]'
	@touch $@

$(READY_REFERENCE): $(REFERENCE) $(BIN)/python
	$(BIN)/python -m venv $(VENV)/reference
	$(VENV)/reference/bin/python -m pip install --quiet --no-deps --requirement $(REFERENCE)
	@touch $@

$(READY_SDKS): $(SDKS) $(BIN)/python | system
	mkdir -p $(VENV)/sdks
	cp $(SDKS) $(VENV)/sdks
	npm ci --prefix $(VENV)/sdks --ignore-scripts --no-audit --no-fund --silent
	@touch $@

clean:
	rm -rf $(VENV) build dist htmlcov .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
