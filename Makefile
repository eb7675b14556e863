# Everything that is done with this project; each target is one line of `make help`.
# Needs Python 3.11 or later with venv, make and git. The rest comes from constraints.txt,
# hashes checked, into .venv, which is made anew when what it is made from changes.

PYTHON ?= python3
PY := .venv/bin/python
READY := .venv/ready
INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check
export PATH := $(CURDIR)/.venv/bin:$(PATH)
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

CORE_TESTS := $(wildcard $(addprefix tests/,base crypto log authority crdt wire actor protocol node))

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint types unit bench bench-actors bench-network bench-types soak mutants docs protos changes clean

help: ## say what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

$(READY): constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Comity needs Python 3.11 or later: make PYTHON=python3.11")'
	$(PYTHON) -m venv --clear .venv
	$(INSTALL) --only-binary :all: --require-hashes -r constraints.txt
	$(INSTALL) --no-index --no-deps --no-build-isolation --editable .
	@touch $@

setup: $(READY) ## make .venv, the project and its tools in it

demo: $(READY) ## three devices, one relay that is not trusted, one shared list
	comity demo

test: lint types unit ## all that a change must pass, in less than ten minutes

lint: $(READY) ## style, house rules and import contracts
	ruff check --quiet .
	ruff format --quiet --check .
	$(PY) scripts/tidy.py
	lint-imports

types: $(READY) ## both type checkers
	mypy
	basedpyright --pythonpath $(PY)

unit: $(READY) ## every test once; the core's own tests also meet the coverage floor
	@mkdir -p .cache/coverage
	coverage erase
	coverage run -m pytest -n 2 --dist worksteal $(CORE_TESTS)
	coverage combine --quiet
	coverage report
	$(PY) -m pytest -n 2 --dist worksteal $(addprefix --ignore=,$(CORE_TESTS))

bench: $(READY) ## what it costs, side by side with others
	@for file in benchmarks/bench_*.py; do echo "== $$file"; $(PY) "$$file" || exit 1; done

bench-actors: $(READY) ## what actors cost in one process, beside pykka
	$(PY) benchmarks/bench_dispatch.py

bench-network: $(READY) ## what a message to another process costs, beside grpc.aio
	$(PY) benchmarks/bench_network.py

bench-types: $(READY) ## what counters, maps, sets and lists cost, side by side with others
	$(PY) benchmarks/bench_types.py

soak: $(READY) ## the tests that take long, fuzzing among them
	@$(INSTALL) --only-binary :all: --require-hashes -r tests/fuzz/atheris.txt \
	    || echo "ATHERIS CANNOT BE INSTALLED HERE: fuzzing will NOT be guided by coverage"
	$(PY) -m pytest -m soak --timeout 3600
	COMITY_LONG_LOG=100000 $(PY) -m pytest tests/attacks/test_floods.py -k test_07 --timeout 3600

mutants: $(READY) ## plant bugs in the runtime, and see which oracle of the fault lab finds each
	$(PY) -m tests.chaos.mutants

docs: $(READY) ## the documentation, into build/docs
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet
	@echo "the site is at build/docs/index.html"

protos: $(READY) ## generate the wire's Python from protos/
	scripts/protos

changes: $(READY) ## show the change log of the next release
	towncrier build --draft --version next

clean: ## remove all that is not in git and can be made again
	rm -rf .venv .cache build .coverage* .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
