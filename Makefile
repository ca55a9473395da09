# Two commands matter: `make demo` and `make test`. Both set up .venv by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Those that need nothing but what is here; the others ask for data or templates of other packages.
BENCHES := windows sorting sorting_parts sorting_ceiling sorting_calibration poyo poyo_transfer eit eit_step molds \
	brainbits

SOURCES := src tests benchmarks examples tools docs/conf.py
SPHINX = $(BIN)/python -m sphinx --fresh-env --fail-on-warning --keep-going --quiet docs

.PHONY: demo test test-slow setup bench lint types docs docs-setup docs-links dist licences clean
.DEFAULT_GOAL := help

help:
	@echo "make demo       set up and run the main job on a simulated recording"
	@echo "make test       set up and run lint, types and tests"
	@echo "make test-slow  the tests marked slow"
	@echo "make bench      run every benchmark beside its peers"
	@echo "make setup      only set up"
	@echo "make docs       build the guide into docs/_build/html; a broken link or reference fails"
	@echo "make docs-links ask every address that the guide names whether it is there (needs a network)"
	@echo "make dist       build the wheel and the source archive into dist"
	@echo "make licences   write docs/licences.md from what is installed"

# The stamp is newer than its inputs once everything is installed, so a second call installs nothing.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "neuroloom needs Python 3.11 or newer; this is " + sys.version + ". Call make with PYTHON=python3.11.")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

setup: $(STAMP)

demo: setup
	$(BIN)/neuroloom demo --out demo

lint: setup
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

types: setup
	$(BIN)/basedpyright

test: lint types
	$(BIN)/python -m pytest -q --durations=15 --numprocesses=auto --maxprocesses=8 --dist=loadfile

test-slow: setup
	$(BIN)/python -m pytest -q -m slow --timeout=3600

bench: setup
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	mkdir -p benchmarks/results
	set -e; for name in $(BENCHES); do \
		echo "== $$name"; $(BIN)/python benchmarks/$$name.py --json benchmarks/results/$$name.json; done

docs-setup: setup
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'

# Pages of the API are written anew, so that none outlives what it is about.
docs: docs-setup
	rm -rf docs/generated
	$(SPHINX) -b html docs/_build/html
	@echo "wrote docs/_build/html/index.html"

docs-links: docs-setup
	$(SPHINX) -b linkcheck docs/_build/links

# From what is installed, so that it needs no network.
dist: setup
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist

licences: setup
	$(BIN)/python tools/licences.py --out docs/licences.md

clean:
	rm -rf $(VENV) build dist demo docs/_build docs/generated
