# Two commands matter: `make demo` and `make test`. Both set up .venv by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Those that need nothing but what is here; the others ask for data or templates of other packages.
BENCHES := windows sorting sorting_parts sorting_ceiling sorting_calibration poyo poyo_transfer eit eit_step molds \
	brainbits

.PHONY: demo test test-slow setup bench lint types docs clean
.DEFAULT_GOAL := help

help:
	@echo "make demo       set up and run the main job on a simulated recording"
	@echo "make test       set up and run lint, types and tests"
	@echo "make test-slow  the tests marked slow"
	@echo "make bench      run every benchmark beside its peers"
	@echo "make setup      only set up"

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
	$(BIN)/ruff check src tests benchmarks examples
	$(BIN)/ruff format --check src tests benchmarks examples

types: setup
	$(BIN)/basedpyright

test: lint types
	$(BIN)/python -m pytest -q --durations=15

test-slow: setup
	$(BIN)/python -m pytest -q -m slow --timeout=3600

bench: setup
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	mkdir -p benchmarks/results
	set -e; for name in $(BENCHES); do \
		echo "== $$name"; $(BIN)/python benchmarks/$$name.py --json benchmarks/results/$$name.json; done

clean:
	rm -rf $(VENV) build dist demo
