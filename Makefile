# What one does here: `make demo` and `make test` set everything up on a fresh machine with Python 3.11 or newer.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

# Also where a shell asks for no compiled files: without them each worker, and each process that a test starts, compiles
# every module and rewrites every test anew.
unexport PYTHONDONTWRITEBYTECODE

# The line that names the version of docutils.
UNVERSIONED = /^[.].. by the Docutils/d

.PHONY: demo demo-store test test-all lint wheel readme docs man bench browser screenshots soak soak-store fuzz clean

demo: $(VENV)/demo
	$(BIN)/batchedit run manifests/demo.csv --sandbox

# PostgreSQL, an object store and three workers on this machine, one of them killed
demo-store: $(VENV)/dev
	PYTHONPATH=. $(BIN)/python deploy/demo_store.py

# A fifth of the examples of what could go on for ever, and fewer of what is alike, in memory where there is room: the files
# of the last session alone are kept. test-all takes all of them, on the disk.
test: $(VENV)/dev
	BATCHEDIT_TESTS=few $(BIN)/python -m pytest -n auto -m "not process and not browser" -o tmp_path_retention_count=1

test-all: $(VENV)/dev
	BATCHEDIT_TESTS=all $(BIN)/python -m pytest -n 3 --durations=15

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

browser: $(VENV)/dev $(VENV)/browser
	$(BIN)/python -m pytest -m browser tests/browser

# Every screen of the browser's app, light and dark, into docs/screens: to be looked at one by one.
screenshots: $(VENV)/dev $(VENV)/browser
	$(BIN)/python -m tests.browser.screens

bench: $(VENV)-bench/bench $(VENV)/dev
	BATCHEDIT_TESTS_PYTHON=$(BIN)/python $(VENV)-bench/bin/python benchmarks/run.py

soak: $(VENV)/dev
	$(BIN)/python benchmarks/soak.py

# The same of a shared ledger: four workers, PostgreSQL and an object store that are killed and come back.
soak-store: $(VENV)/dev
	$(BIN)/python benchmarks/soak_store.py

readme: $(VENV)/dev
	BATCHEDIT_WRITE_README=1 $(BIN)/python -m pytest -q tests/e2e/test_readme.py tests/cli/test_json.py

wheel:
	.ci/wheel --all

docs: $(VENV)/docs
	$(BIN)/sphinx-build -W --keep-going -q -b html docs build/docs
	$(BIN)/sphinx-build -E -W --keep-going -q -b man docs build/man
	sed '$(UNVERSIONED)' build/man/batchedit.1 | diff -q docs/man/batchedit.1 - || (echo "type: make man" && false)

# The man page as the wheel has it. It is committed, for who installs a checkout has no Sphinx; a test compares the two.
man: $(VENV)/docs
	$(BIN)/sphinx-build -E -W --keep-going -q -b man docs build/man
	sed '$(UNVERSIONED)' build/man/batchedit.1 >docs/man/batchedit.1

fuzz: $(VENV)/dev
	BATCHEDIT_FUZZ=20000 $(BIN)/python -m pytest tests/manifest/test_fuzz.py

$(VENV)/demo: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable .
	touch $@

# Without what tests need: httpcore loads trio wherever it finds it, and no user has it.
$(VENV)-bench/bench: pyproject.toml
	$(PYTHON) -m venv $(VENV)-bench
	$(VENV)-bench/bin/pip install --quiet --editable '.[bench]'
	touch $@

$(VENV)/dev $(VENV)/browser $(VENV)/docs: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[$(notdir $@)]'
	touch $@ $(VENV)/demo

clean:
	rm -rf $(VENV) $(VENV)-bench build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
