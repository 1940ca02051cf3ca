# Every target sets itself up in .venv; the second time there is nothing to do.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-build-isolation
PACKAGES := unlearn recsys graph_influence
# Directories too: their time changes when a file is removed.
SOURCES := $(shell find $(PACKAGES) -name __pycache__ -prune -o -print) README.md LICENSE

# Tests and demo must see the installed package, never the checkout, and write nowhere but here.
unexport PYTHONPATH PYTHONHOME
export PYTHONNOUSERSITE := 1
export PIP_NO_CACHE_DIR ?= 1
export XDG_CACHE_HOME := $(CURDIR)/.cache
export XDG_CONFIG_HOME := $(CURDIR)/.cache/config
export IPYTHONDIR := $(CURDIR)/.cache/ipython
export JUPYTER_RUNTIME_DIR := $(CURDIR)/.cache/jupyter

.PHONY: help demo test lint format bench

help:
	@echo "make demo    train a recommender, serve a deletion request, show the evidence (synthetic data)"
	@echo "make test    the whole test suite and the notebooks; UNLEARN_DATA=DIR adds the tests on real data,"
	@echo "             a chromium on the path those of the pages in a browser"
	@echo "make lint    ruff and pyright (strict)"
	@echo "make format  let ruff rewrite the files"
	@echo "make bench   every benchmark, on the data sets in UNLEARN_DATA=DIR; each prints ratios and writes JSON"

demo: $(VENV)/installed
	@$(BIN)/unlearn demo $(ARGS)

test: $(VENV)/installed $(VENV)/tools
	@$(BIN)/pytest --nbmake -n logical --maxprocesses 8 --dist loadfile tests $(wildcard notebooks) $(ARGS)

lint: $(VENV)/tools
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright --pythonpath $(BIN)/python

format: $(VENV)/tools
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(VENV)/installed $(VENV)/tools
	@mkdir -p benchmarks/results
	@for name in train gradient solver proof closed_form models frontier tune pool audit worst_case social attribution gradient_store influence first_call minimize surrogates surrogate_unlearning network stream drift; do \
		echo "== $$name"; $(BIN)/python benchmarks/$$name.py --json benchmarks/results/$$name.json $(ARGS); \
	done
	@for name in service chaos; do for database in sqlite postgresql; do \
		echo "== $$name, $$database"; \
		$(BIN)/python benchmarks/$$name.py --database $$database --json benchmarks/results/$$name-$$database.json $(ARGS); \
	done; done

$(VENV)/dependencies: pyproject.toml constraints.txt
	@echo "setting up $(VENV) (once; a few minutes, mostly downloads)" >&2
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is required: make PYTHON=python3.11")'
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) hatchling
	@$(PIP) .
	@touch $@

$(VENV)/tools: $(VENV)/dependencies
	@echo "installing the tools for tests and lint (once)" >&2
	@$(PIP) '.[dev]'
	@touch $@

$(VENV)/installed: $(VENV)/dependencies $(SOURCES)
	@$(PIP) --no-deps --force-reinstall .
	@touch $@
