# What one does here: `make demo` and `make test` set everything up on a fresh machine with Python 3.11 or newer.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test lint readme bench browser soak fuzz clean

demo: $(VENV)/demo
	$(BIN)/batchedit run manifests/demo.csv --sandbox

test: $(VENV)/dev
	$(BIN)/python -m pytest -n auto

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

browser: $(VENV)/dev $(VENV)/browser
	$(BIN)/python -m pytest -m browser tests/browser

bench: $(VENV)-bench/bench
	$(VENV)-bench/bin/python benchmarks/run.py

soak: $(VENV)/dev
	$(BIN)/python benchmarks/soak.py

readme: $(VENV)/dev
	BATCHEDIT_WRITE_README=1 $(BIN)/python -m pytest -q tests/e2e/test_readme.py

fuzz: $(VENV)/dev
	BATCHEDIT_FUZZ=20000 $(BIN)/python -m pytest tests/manifest -k fuzz

$(VENV)/demo: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable .
	touch $@

# Without what tests need: httpcore loads trio wherever it finds it, and no user has it.
$(VENV)-bench/bench: pyproject.toml
	$(PYTHON) -m venv $(VENV)-bench
	$(VENV)-bench/bin/pip install --quiet --editable '.[bench]'
	touch $@

$(VENV)/dev $(VENV)/browser: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[$(notdir $@)]'
	touch $@ $(VENV)/demo

clean:
	rm -rf $(VENV) $(VENV)-bench build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
