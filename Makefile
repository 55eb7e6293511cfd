# Everything a person needs: `make demo` runs the main job, `make test` all checks and tests.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready
WORKERS ?= 2
SEEDS ?= 2000

.PHONY: help setup demo test lint format simulate clean

help:
	@echo "make demo          run the whole pipeline on real NBA dates (STAY=1 keeps the daemon running)"
	@echo "make test          lint, types and all tests"
	@echo "make lint          format check, lint and types alone"
	@echo "make format        format the code"
	@echo "make simulate      the engine in simulated worlds: make simulate SEEDS=100000"

setup: $(READY)

$(READY): pyproject.toml
	@echo "setting up $(VENV) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	@$(BIN)/python -m pip install --quiet --editable . --group dev
	@touch $@

demo: $(READY)
	@$(BIN)/backfilld demo $(if $(STAY),--stay)

test: lint
	@$(BIN)/python -m pytest -n $(WORKERS)

lint: $(READY)
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy

format: $(READY)
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

simulate: $(READY)
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS)

clean:
	rm -rf $(VENV) .venv-emulator build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
