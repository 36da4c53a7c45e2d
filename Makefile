# Every target sets up what it needs in $(VENV): nothing else has to be typed on a machine with Python 3.11 or later.
#   make demo                      make test ARGS="-k sse"                      make test PYTHON=python3.13 VENV=.venv-3.13

PYTHON ?= python3
VENV ?= .venv
ARGS ?=

ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif

.DEFAULT_GOAL := help
.PHONY: help demo test check lint types layers docs bench judges rows soak fuzz clean

help:
	@echo "make demo    stream a recorded completion through streamkit, over loopback; no key needed"
	@echo "make test    the whole suite, with its coverage   (ARGS=\"-k sse\" passes arguments to pytest)"
	@echo "make check   ruff, mypy, pyright, the import contracts, the docs"
	@echo "make docs    build the documentation into build/docs, warnings being errors"
	@echo "make bench   the benchmarks   (ARGS=... passes arguments to them)"
	@echo "make judges  real clients read from the relay, and the driver from real servers; --short: a few of each"
	@echo "make rows    what real feeds do, played to streamkit and its peers; --page docs/rows.md writes the page"
	@echo "make soak    20,000 streams with random faults in one process"
	@echo "make fuzz    a minute of fuzzing for each parser"
	@echo "make clean   remove $(VENV) and what was built"

demo: $(VENV)/.cli
	$(BIN)/streamkit demo $(ARGS)

test: $(VENV)/.test
	$(BIN)/python -m pytest --cov $(ARGS)

check: lint types layers docs

lint: $(VENV)/.check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The types of the tests and the benchmarks include those of what they import. The two checkers read tests/typing too.
types: $(VENV)/.check $(VENV)/.test $(VENV)/.bench
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

layers: $(VENV)/.check
	$(BIN)/lint-imports --no-logo

# The configuration comes by standard input because MkDocs refuses one that lies in the folder of the pages.
docs: $(VENV)/.docs
	$(BIN)/mkdocs build --strict --quiet --site-dir build/docs --config-file - < docs/mkdocs.yml

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks $(ARGS)

# It needs node, and chromium unless ARGS=--short. Clients and servers come from the package registries into build/judges.
judges: $(VENV)/.test $(VENV)/.bench
	$(BIN)/python -m benchmarks judges $(ARGS)

# ARGS="--node DIR" plays openai-node too, ARGS="--python EXE" what is installed in another environment.
rows: $(VENV)/.bench
	$(BIN)/python -m benchmarks rows $(ARGS)

soak: $(VENV)/.test
	$(BIN)/python -m benchmarks soak $(ARGS)

# atheris guides it where it can be installed (CPython on Linux, mostly); without it the fuzzing is blind.
fuzz: $(VENV)/.test
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check atheris
	$(BIN)/python -m benchmarks fuzz $(ARGS)

clean:
	rm -rf $(VENV) build .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache *.egg-info

# One stamp for each extra, older than pyproject.toml when it is out of date. The environment itself is made anew when
# its Python no longer runs (the system's was upgraded, or the folder moved).
$(VENV)/.%: pyproject.toml
	@$(BIN)/python -c "" 2>/dev/null || { \
	    $(PYTHON) -c "import sys; v = sys.version_info; sys.exit(v < (3, 11) and 'streamkit needs Python 3.11 or later, and $(PYTHON) is %d.%d: name another, as in: make PYTHON=python3.12' % v[:2])" && \
	    echo "creating $(VENV)" && $(PYTHON) -m venv --clear $(VENV); }
	@echo "installing streamkit with what '$*' needs"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[$*]"
	@touch $@
