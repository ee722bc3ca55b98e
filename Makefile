# Everything here needs python3 (3.11 or newer), pip and make; the first target run sets up .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Files at a time of what waits for processes and clients, the longest first; the others mind the clock, and leave it half idle.
JOBS ?= 3
PATIENT := tests/acceptance/test_kills.py tests/integration/simulation tests/acceptance tests/integration/gateway
PIP := $(BIN)/python -m pip --disable-pip-version-check
READY := $(VENV)/.ready

.PHONY: setup demo test check format bench chaos lock clean

setup: $(READY)

$(READY): requirements-pip.lock requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Waypost needs Python 3.11 or newer; name one with make PYTHON=python3.12")'
	@echo "setup: making the virtual environment $(VENV)"
	@$(PYTHON) -m venv $(if $(wildcard $(READY)),,--clear) --without-pip $(VENV)
	@echo "setup: installing the locked dependencies, hashes checked (a minute or two)"
	@# Older pips cannot check hashes where one package is asked for with and without an extra.
	@$(PYTHON) -m pip --disable-pip-version-check --python $(BIN)/python install -qq --require-hashes -r requirements-pip.lock
	@$(PIP) install -qq --require-hashes -r requirements.lock
	@echo "setup: installing waypost itself"
	@$(PIP) install -qq --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY)  ## Start everything, send samples, show what happened. KEEP=1 leaves it running.
	@$(BIN)/python -m waypost.demo $(if $(filter-out 0 no false,$(KEEP)),--keep)

test: $(READY)
	@echo "test: running every tier; this takes some minutes"
	@failed=0; \
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/unit tests/integration $(PATIENT:%=--ignore=%) $(ARGS) || failed=1; \
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(PATIENT) $(ARGS) || failed=1; \
	exit $$failed

check: $(READY)
	@echo "check: ruff, codespell, the rules of imports, then pyright in strict mode"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/codespell
	@$(BIN)/lint-imports --no-logo >/dev/null || $(BIN)/lint-imports
	@PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright

format: $(READY)
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format .

bench: $(READY)  ## Measure everything; each program ends with a line per bar.
	@$(BIN)/python -m benchmarks.trigger
	@$(BIN)/python -m benchmarks.ledger
	@$(BIN)/python -m benchmarks.delivery
	@$(BIN)/python -m benchmarks.gateway

chaos: $(READY)  ## Kill 200 workers and 200 gateways at work, then restart PostgreSQL under one, then stop it under two.
	@echo "chaos: 200 workers and 200 gateways killed, half on each database; this takes some fifty minutes"
	@PYTHONPATH=tests $(BIN)/python -m chaos.kills $(KILLS)
	@PYTHONPATH=tests $(BIN)/python -m chaos.gateways $(KILLS)
	@PYTHONPATH=tests $(BIN)/python -m chaos.restarts
	@PYTHONPATH=tests $(BIN)/python -m chaos.outages

lock: $(READY)  ## Resolve pyproject.toml anew into requirements.lock.
	@$(PIP) install -qq uv
	@echo pip | $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --no-annotate -o requirements-pip.lock -
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --extra dev \
		--generate-hashes --no-emit-index-url --no-strip-extras --no-header --no-annotate -o requirements.lock pyproject.toml

clean:
	rm -rf $(VENV) .demo .pytest_cache .ruff_cache .hypothesis dist
