# Ray Ingest. The environment is .venv, pinned with hashes in requirements.lock; `make help` lists the rest.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.setup-done
DEMO   := $(or $(XDG_STATE_HOME),$(HOME)/.local/state)/ray-ingest/demo

.DEFAULT_GOAL := help
.PHONY: help setup run test lint bench chaos fuzz soak lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-6s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## make or update .venv with everything the project uses

run: setup ## the main job: simulated exchange → Ray → embedded store → candles; ends by itself
	@$(BIN)/python -m ray_ingest.main redis.data_dir="$(DEMO)" redis.fresh=true

test: setup ## the whole test suite; tests of absent system servers skip and say why
	@$(BIN)/python -m pytest

lint: setup ## ruff's rules and format, mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: setup ## our pipeline against the per-tick design and bare Ray transport
	@$(BIN)/python -m benchmarks

chaos: setup ## seeded faults under load, SEEDS=200 or 20-39; ARGS="--resume --keep --only 7"
	@$(BIN)/python -m tests.chaos --seeds $(or $(SEEDS),200) $(ARGS)

fuzz: setup ## a million mutated frames a broker through its decoder; ARGS="--broker dhan --seed 7"
	@$(BIN)/python -m tests.venues.fuzz $(ARGS)

soak: setup ## 24 market hours at speed, memory and descriptors of every process watched
	@$(BIN)/python -m tests.chaos.soak $(ARGS)

lock: setup ## pin requirements.lock anew after a change of pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --all-extras --generate-hashes --no-annotate --no-header \
		pyproject.toml -o requirements.lock

clean: ## remove .venv, caches and built packages
	rm -rf $(VENV) dist outputs .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# uv alone comes through pip, by the lock's own pin and hashes; uv then makes the environment equal the lock,
# without resolving anything; compiled, since a dozen processes of Ray import at once. The stamp makes a set-up
# with nothing to do take no time.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "$(PYTHON) must be Python 3.11, 3.12 or 3.13: try make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@echo "Setting up $(VENV): up to three minutes, once …"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > $(VENV)/uv.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.txt
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes --compile-bytecode requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@
