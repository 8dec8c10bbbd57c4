# make run: everything from a fresh clone to outputs/<period>/index.html. make test: everything that must hold.
# Variables: PYTHON=python3.12, PERIOD=2026Q3, STUDY=path/to/study
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: install run test lab check bench pictures lock

install: $(READY)

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed, for example: make PYTHON=python3.12 run")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(READY)

run: $(READY)
	$(BIN)/icsat run $(PERIOD) $(if $(STUDY),--study "$(STUDY)")

test: check
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_notebook_style.py

lab: $(READY)
	$(BIN)/jupyter lab notebooks

# How long a run takes beside a loop of papermill, how it grows with sites, and reading beside DuckDB: half an hour.
bench: $(READY)
	$(BIN)/python -m tests.bench

# The README's pictures, from a run of the example in a browser.
pictures: $(READY)
	$(BIN)/python -m tests.pictures

# After a change of bounds in pyproject.toml.
lock: $(READY)
	$(BIN)/python -m pip install --quiet 'uv>=0.9,<1'
	$(BIN)/uv pip compile pyproject.toml --extra sql --extra cluster --extra test --group build --universal --python-version 3.11 --upgrade --quiet \
		--generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header --output-file requirements.lock
