# Everything here needs python3 (3.11 or newer), pip and make; the first target run sets up .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests run in JOBS processes, more than there are processors: many wait for a server. A test marked `long` (pyproject.toml)
# belongs to `make test-long`, every other test to `make test`.
JOBS ?= 4
PYTEST = $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder
PIP := $(BIN)/python -m pip --disable-pip-version-check
READY := $(VENV)/.ready
# pip's lines of output, as a line per 20 packages.
PROGRESS = awk -v of=$$(grep -c '==' requirements.lock) '/^(Collecting|Processing|Requirement already)/ && ++n % 20 == 0 \
	{ printf "setup: %d of %d packages\n", n, of; fflush() } /^Installing/ { print "setup: unpacking them"; fflush() }'
# Tests start hundreds of processes: without bytecode, each compiles Waypost again.
unexport PYTHONDONTWRITEBYTECODE
SHELL := bash
.SHELLFLAGS := -eo pipefail -c

.PHONY: setup demo test test-long check format bench chaos client client-support lock clean pictures

setup: $(READY)

# PYTHON may be the python of .venv itself, where that is activated: the environment is made by its base.
# An environment that is there already is used, and never emptied.
$(READY): requirements-pip.lock requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "setup: Waypost needs Python 3.11 or newer; name one with make PYTHON=python3.12")'
	@base=$$($(PYTHON) -c 'import sys; print("{}/bin/python{}.{}".format(sys.base_prefix, *sys.version_info))'); \
	test -x "$$base" || base=$(PYTHON); \
	if test -e $(BIN)/python; then \
		echo "setup: using the virtual environment $(VENV)"; \
		$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
			|| { echo "setup: $(VENV) has no working Python 3.11 or newer; remove it (rm -r $(VENV)), then try again" >&2; exit 1; }; \
	else \
		echo "setup: making the virtual environment $(VENV)"; \
		"$$base" -m venv --without-pip $(VENV); \
	fi; \
	echo "setup: installing the locked packages, hashes checked (a minute or two)"; \
	: "Older pips cannot check hashes where one package is asked for with and without an extra."; \
	$(BIN)/python -m pip --version >/dev/null 2>&1 && base=$(BIN)/python; \
	"$$base" -m pip --disable-pip-version-check --python $(BIN)/python install -qq --require-hashes -r requirements-pip.lock
	@PYTHONUNBUFFERED=1 $(PIP) install --no-color --require-hashes -r requirements.lock 2> >(grep -v '^WARNING' >&2) | $(PROGRESS)
	@echo "setup: installing waypost itself"
	@$(PIP) install -qq --no-deps --no-build-isolation --editable .
	@touch $@
	@echo "setup: done; activate it with . $(VENV)/bin/activate"

demo: $(READY)  ## Start everything, send samples, show what happened. KEEP=1 leaves it running.
	@$(BIN)/python -m waypost.demo $(if $(filter-out 0 no false,$(KEEP)),--keep)

test: $(READY)  ## Every tier, in minutes.
	@echo "test: running every tier; this takes five to fifteen minutes"
	@$(PYTEST) -m "not long" $(ARGS)

test-long: $(READY)  ## What is long by nature: kills, outages, storms, mutants, schemathesis, the gateway on PostgreSQL.
	@echo "test-long: running the long tests; this takes ten to twenty minutes"
	@$(PYTEST) -m long $(ARGS)

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
	@$(BIN)/python -m benchmarks.prefect_ui
	@$(BIN)/python -m benchmarks.rendering
	@$(BIN)/python -m benchmarks.ledger
	@$(BIN)/python -m benchmarks.recipients
	@$(BIN)/python -m benchmarks.delivery
	@$(BIN)/python -m benchmarks.gateway
	@$(BIN)/python -m benchmarks.start
	@$(BIN)/python -m benchmarks.peers

chaos: $(READY)  ## Kill 200 workers and 200 gateways at work, then restart PostgreSQL under one, then stop it under two.
	@echo "chaos: 200 workers and 200 gateways killed, half on each database; this takes some fifty minutes"
	@PYTHONPATH=tests $(BIN)/python -m chaos.kills $(KILLS)
	@PYTHONPATH=tests $(BIN)/python -m chaos.gateways $(KILLS)
	@PYTHONPATH=tests $(BIN)/python -m chaos.restarts
	@PYTHONPATH=tests $(BIN)/python -m chaos.outages

client: $(READY)  ## Derive the synchronous client from the asynchronous one.
	@PYTHONPATH=tests $(BIN)/python -m support.sync_client

client-support: $(READY)  ## Take what mail programs do not know from caniemail.com anew; needs npm.
	@PYTHONPATH=tests $(BIN)/python -m support.client_support_cut

lock: $(READY)  ## Resolve pyproject.toml anew into requirements.lock, and the Python peers of the benchmarks.
	@$(PIP) install -qq uv
	@echo pip | $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --no-annotate -o requirements-pip.lock -
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --extra dev \
		--generate-hashes --no-emit-index-url --no-strip-extras --no-header --no-annotate -o requirements.lock pyproject.toml
	@cd benchmarks/peers/python && $(CURDIR)/$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-strip-extras --no-header --no-annotate -o requirements.lock requirements.in

clean:
	rm -rf $(VENV) .demo .pytest_cache .ruff_cache .hypothesis dist

pictures: $(READY)  ## Take the README's pictures again; needs chromium.
	@PYTHONPATH=tests $(BIN)/python -m support.pictures
