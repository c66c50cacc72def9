# Two commands set everything up themselves: `make quickstart` and `make test`.
# A second call finds the environment fresh and takes a second.
PYTHON ?= python3
BIN := .venv/bin
ROUNDS ?= 10

.PHONY: quickstart test test-all properties fuzz mutants faults exporters layouts docs setup lock clean

quickstart: setup  ## train proxies on real text and find their best mixture
	@$(BIN)/mixopt run experiments/quickstart/spec.yaml

test: setup  ## formats, types, import rules, tests: under 6 minutes on 2 cores
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/pytest -n 2 --dist loadfile

test-all: setup  ## what needs services, the wheel, or more time; run after `make test`
	$(BIN)/pytest -n 2 --dist loadfile -m "slow or services or packaging"

properties: setup  ## new random examples for every property, ROUNDS times (a minute each)
	@for round in $$(seq $(ROUNDS)); do \
		MIXOPT_NEW_EXAMPLES=1 $(BIN)/pytest -q -n 2 --dist loadfile -m hypothesis --ignore tests/fuzz || exit 1; \
	done

fuzz: setup  ## 2,000 random specs, tables and folders of text
	MIXOPT_NEW_EXAMPLES=1 MIXOPT_FUZZ_CASES=700 $(BIN)/pytest -n 2 --timeout 3000 tests/fuzz

mutants: setup  ## would a test notice? 300 small faults, about an hour; goes on where it was stopped
	@$(BIN)/python -m analysis.mutants --json mutants.json

faults: setup  ## 100 sweeps that something happens to, about half an hour; goes on where it was stopped
	@$(BIN)/python -m analysis.faults --json faults.json

exporters: setup  ## do the frameworks read what `mixopt export` writes? each in an environment of its own
	@$(BIN)/python -m tests.exporters

layouts: setup  ## do we read the shards of tokens that the layouts' own packages write?
	@$(BIN)/python -m tests.layouts

docs: setup  ## the documentation as a site, in site/; links that lead nowhere fail
	@$(BIN)/python -m mkdocs build --strict --quiet
	@echo "Open site/index.html, or, with the search: $(BIN)/python -m http.server --bind 127.0.0.1 --directory site"

setup: .venv/fresh

.venv/fresh: pyproject.toml constraints.txt
	@echo "Setting up .venv (first time: about 2 minutes, 2 GB) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "mixopt needs Python 3.11 or newer; set PYTHON=...")'
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[all,dev]'
	@touch $@

lock:  ## write constraints.txt anew from what is installed
	@$(BIN)/pip freeze --exclude-editable | grep -v -e '^-e' -e '@ ' -e '^nvidia' -e '^triton' \
		| sed 's/+cpu$$//' > constraints.txt

clean:
	rm -rf .venv runs site
