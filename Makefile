# The verbs of this project; `make help` lists them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ACTIVE := . $(BIN)/activate &&
PYTEST := python -m pytest -q -ra -n auto --dist loadfile --no-loadscope-reorder
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Tests start hundreds of short programs, none of which needs to compile what it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo dr20 main ui test test-all lint format docs validate bench slurm-up slurm-down clean

help:  ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

# The environment is made anew when what it is made from changes.
$(VENV)/.installed: pyproject.toml constraints.txt deploy/activate.sh deploy/dagster.yaml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; type make PYTHON=python3.12 (or the like)" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	PROJECT='$(CURDIR)' $(BIN)/python -c 'import os, sys; sys.stdout.write(sys.stdin.read().replace("@PROJECT@", os.environ["PROJECT"]))' < deploy/activate.sh >> $(BIN)/activate
	mkdir -p .dagster
	test -e .dagster/dagster.yaml || cp deploy/dagster.yaml .dagster/dagster.yaml
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

setup: $(VENV)/.installed  ## install into .venv (the other verbs do so themselves)

setup-dev: $(VENV)/.installed-dev

demo: setup  ## make the synthetic demo survey below $ASTRA_HOME/demo
	$(ACTIVE) astra-assets demo

dr20: setup  ## run the job dr20 (on the demo survey unless SAS_BASE_DIR is set) and list the products
	$(ACTIVE) dagster job execute -j dr20
	$(ACTIVE) astra-assets products --release dr20

main: setup  ## run the job main and list the products
	$(ACTIVE) dagster job execute -j main
	$(ACTIVE) astra-assets products --release main

ui: setup  ## the web UI on http://127.0.0.1:3000
	$(ACTIVE) dagster dev --workspace workspace.yaml --host 127.0.0.1 --port 3000

test: setup-dev  ## show that everything works, in minutes; tests whose programs are missing say what to install
	$(ACTIVE) $(PYTEST) -m "smoke or not (end_to_end or processes or slurm or browser)"

test-all: setup-dev  ## these and the exhaustive tests: kills at every step, everything on a cluster, each page
	$(ACTIVE) $(PYTEST)

lint: setup-dev  ## ruff, format, types, and who imports whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup-dev  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup  ## write docs/data-model.md anew from the column registry
	$(ACTIVE) (sed '/^## /,$$d' docs/data-model.md; astra-assets datamodel) > docs/data-model.new
	mv docs/data-model.new docs/data-model.md

# Spectra that validation runs through besides simulated ones; used when the folder is there.
SPECTRA ?= ../shared/real-spectra

validate: setup  ## the white-dwarf pipelines against known answers -> docs/validation.md (SPECTRA=folder with truth.csv)
	$(ACTIVE) astra-assets validate --simulated 700 --write docs/validation.md $(wildcard $(SPECTRA))

bench: setup-dev  ## speed and memory against named peers, as ratios of one run; options in BENCH (see benchmarks/README.md)
	$(ACTIVE) python benchmarks/run.py $(BENCH)

slurm-up:  ## start a Slurm cluster for tests here (as root; INSTALL=1 installs Slurm, ACCOUNTING=1 adds sacct)
	@deploy/slurm-test-cluster/start-slurm.sh $(if $(INSTALL),--install) $(if $(ACCOUNTING),--accounting)
	@echo 'type the line above, then: ASTRA_COMPUTE=slurm make dr20' >&2

slurm-down:  ## end that cluster and remove it
	@deploy/slurm-test-cluster/stop-slurm.sh --purge

clean:  ## remove the environment, Dagster's own records and caches (never $ASTRA_HOME)
	rm -rf $(VENV) .dagster build *.egg-info .mypy_cache .ruff_cache .pytest_cache
