# Everything a person needs; the first make sets up .venv, and again only when pyproject.toml or constraints.txt changes.
PYTHON ?= python3
VENV ?= .venv
SEEDS ?= 2000
# The versions that the package claims to work with, beside the one of make test.
PYTHONS ?= python3.12 python3.13
# How many tests run at once, and what else pytest shall be told: make test T="tests/unit -k judge"
# Two for each processor: many tests wait for processes.
WORKERS ?= $(shell echo $$(($$(nproc) * 2)))
T ?=

BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_DEV := $(VENV)/.ready-dev
EMULATOR := .venv-emulator/installed.txt
DBT := .venv-dbt/installed.txt
CLIENTS := .venv-clients/installed.txt
NODE_TOOLS := .venv-node/installed.txt
COMPILED := .pytest_cache/compiled
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check
CONSTRAINTS := constraints.txt
PARALLEL = $(MAKE) --no-print-directory --keep-going --jobs 4

# Debian packages that some tests need; make test-packages installs those that are missing, as root or by sudo.
SYSTEM_PACKAGES := chromium postgresql prometheus systemd

define CHECK_PYTHON
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
  { echo "$(PYTHON) is missing or older than 3.11: name another, such as make PYTHON=python3.12"; exit 1; }; \
$(PYTHON) -c 'import ensurepip, venv' || \
  { echo "$(PYTHON) cannot make environments: on Debian, apt-get install python3-venv"; exit 1; }
endef
# The interpreter of $(VENV) where there is one: it is recent enough, whatever $(PYTHON) is.
INTERPRETER = $(if $(wildcard $(READY)),$(BIN)/python,$(PYTHON))

# The tests start hundreds of processes, and each would compile all modules anew.
unexport PYTHONDONTWRITEBYTECODE

.DELETE_ON_ERROR:
.PHONY: help demo test test-packages test-all test-pythons test-hosts test-systemd check lint format docs docs-site simulate setup lock system-packages clean

help:
	@echo "make demo             see three faults caught on real NBA dates (STAY=1 keeps the daemon running)"
	@echo "make test             lint, format, types and the tests that need no root (T=\"tests/unit -k judge\" for some)"
	@echo "make test-packages    the tests that need Debian packages ($(SYSTEM_PACKAGES)), which it installs"
	@echo "make test-all         both"
	@echo "make test-pythons     the unit tests with the other versions of Python: $(PYTHONS)"
	@echo "make test-hosts       jobs on several hosts and in containers, which are namespaces: as root, with iproute2 and tini"
	@echo "make test-systemd     the service on a machine that systemd boots: as root, with debootstrap; takes minutes"
	@echo "make check            lint, format and types alone; make lint leaves out the types"
	@echo "make format           fix what a tool can fix"
	@echo "make docs             write the tables of docs/reference/ from the code"
	@echo "make docs-site        build the documentation as a site in build/docs/site"
	@echo "make simulate         the engine in simulated worlds (SEEDS=$(SEEDS))"
	@echo "make setup            set up $(VENV) alone (PYTHON=$(PYTHON), 3.11 or newer)"
	@echo "make lock             write the newest versions that fit to $(CONSTRAINTS); needs uv"
	@echo "make system-packages  install the Debian packages that tests need: $(or $(SYSTEM_PACKAGES),none)"
	@echo "make clean            remove $(VENV) and all that tools leave behind"

demo: $(READY)
	@$(BIN)/backfilld demo $(if $(filter-out 0,$(STAY)),--stay)

# The tests run even if a check fails, and their summary comes last: one run shows everything.
# The emulator's environment is made beside the other one and the checks, which use one processor each.
test:
	@checks=0; $(PARALLEL) check $(EMULATOR) $(COMPILED) || checks=1; \
	$(MAKE) --no-print-directory $(READY_DEV) $(EMULATOR) || exit $$?; \
	$(PYTEST) -m "not packages and not hosts and not boot" $(T) || exit $$?; \
	if [ $$checks = 1 ]; then echo "the tests passed, but make check did not: see above"; exit 1; fi

test-packages:
	@$(PARALLEL) system-packages $(READY_DEV) $(EMULATOR) $(DBT) $(CLIENTS) $(NODE_TOOLS)
	@$(PYTEST) -m "packages and not hosts and not boot" $(T)

test-all: test test-packages

# Apart from the others: each version gets an environment of its own, which takes a minute.
test-pythons:
	@for version in $(PYTHONS); do \
	  $(MAKE) --no-print-directory VENV=.venv-$$version PYTHON=$$version setup && \
	  .venv-$$version/bin/python -m pytest -n $(WORKERS) -m "not packages" tests/unit $(T) || exit $$?; \
	done

# Apart from the others: not every machine lets its user make network namespaces.
test-hosts: $(READY_DEV)
	@$(MAKE) --no-print-directory system-packages SYSTEM_PACKAGES="iproute2 tini"
	@$(BIN)/python -m pytest -m hosts tests/acceptance/test_hosts.py \
	  tests/acceptance/test_container.py tests/integration/test_container.py

# Apart from the others: it takes minutes, and a few hundred megabytes from the Debian mirror the first time.
test-systemd: $(READY_DEV)
	@$(MAKE) --no-print-directory system-packages SYSTEM_PACKAGES="debootstrap systemd-container"
	@$(BIN)/python -m pytest -n 0 -m boot tests/acceptance/boot $(T)

check: lint
	@$(BIN)/mypy

lint: $(READY_DEV)
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || { echo "not formatted: run make format"; exit 1; }

format: $(READY_DEV)
	@$(BIN)/ruff check --quiet --fix . || true
	@$(BIN)/ruff format .

docs: $(READY_DEV)
	@$(BIN)/python -m tests.reference

docs-site: $(READY_DEV)
	@$(BIN)/python -m tests.docs_site build/docs && echo "the site is in build/docs/site"

simulate: $(READY_DEV)
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS)

setup: $(READY_DEV)

$(READY): pyproject.toml $(CONSTRAINTS)
	@$(CHECK_PYTHON)
	@echo "setting up $(VENV); the first time takes a minute"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade "pip>=25.1"
	@$(PIP) install --constraint $(CONSTRAINTS) --editable .
	@touch $@

$(READY_DEV): $(READY)
	@echo "adding the tools for tests"
	@$(PIP) install --constraint $(CONSTRAINTS) --group dev
	@touch $@

# For all supported versions of Python at once, by markers.
lock:
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --all-extras --group dev --no-annotate \
	  --custom-compile-command "make lock" --output-file $(CONSTRAINTS) pyproject.toml

# These environments do not need $(VENV).
$(EMULATOR): tests/integration/emulator.py tests/virtual_environments.py
	@test -e $(READY) || { $(CHECK_PYTHON); }
	@echo "adding a BigQuery emulator for tests"
	@$(INTERPRETER) -c "from tests.integration.emulator import installed; installed()"
	@touch $@

# The first time, the tests are compiled once beside the checks, and not in each process that runs them.
$(COMPILED): $(READY_DEV)
	@$(BIN)/python -m pytest -n 0 -q --collect-only >/dev/null 2>&1 || true
	@mkdir -p $(@D) && touch $@

$(DBT): tests/acceptance/dbt.py tests/virtual_environments.py
	@test -e $(READY) || { $(CHECK_PYTHON); }
	@echo "adding dbt for the test of an example"
	@$(INTERPRETER) -c "from tests.acceptance.dbt import installed; installed()"
	@touch $@

$(CLIENTS): tests/clients/__init__.py tests/virtual_environments.py
	@test -e $(READY) || { $(CHECK_PYTHON); }
	@echo "adding a generator of clients for tests"
	@$(INTERPRETER) -c "from tests.clients import installed; installed()"
	@touch $@

$(NODE_TOOLS): tests/html/package-lock.json
	@command -v npm >/dev/null || { echo "there is no npm: install Node.js 20.19 or newer"; exit 1; }
	@echo "adding an HTML validator and a generator of clients for tests"
	@mkdir -p .venv-node && cp tests/html/package.json tests/html/package-lock.json .venv-node/
	@npm ci --prefix .venv-node --silent --no-audit --no-fund
	@touch $@

system-packages:
	@command -v dpkg-query >/dev/null || \
	  { echo "no Debian packages here: tests that need $(SYSTEM_PACKAGES) fail unless those are there"; exit 0; }; \
	missing=""; for name in $(SYSTEM_PACKAGES); do \
	  dpkg-query --show --showformat='$${db:Status-Status}' $$name 2>/dev/null | grep -qx installed || missing="$$missing $$name"; \
	done; \
	if [ -n "$$missing" ]; then \
	  as_root=$$([ "$$(id -u)" = 0 ] || echo "sudo"); echo "installing$$missing"; \
	  $$as_root apt-get update -qq && \
	  $$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends $$missing; \
	fi

clean:
	rm -rf $(VENV) .venv-emulator .venv-dbt .venv-clients .venv-node .venv-machine build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
