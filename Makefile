# Two commands: `make repro` runs the pipeline from photographs to report, `make test` checks everything.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export NO_ALBUMENTATIONS_UPDATE := 1
export RAY_USAGE_STATS_ENABLED := 0
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: help setup repro long ablate test lint test-slow bench bench-madf bench-training bench-uhd photos-uhd params-paper lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: .venv/installed ## .venv with the pinned dependencies

# Torch first: with it there, nothing else asks for a build of several gigabytes.
.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
	  || { echo "error: restorekit needs Python 3.11; set PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv \
	  || { echo "error: this Python cannot make virtual environments: apt-get install python3-venv" >&2; exit 1; }
	$(BIN)/pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

repro: setup ## photographs -> shards -> models -> evaluations -> promotion -> data/report/index.html
	$(BIN)/dvc repro

long: setup ## RUN=madf-inpainting: trains, evaluates and promotes <run>--long of params.yaml, up to two hours; goes on where it was
	@test -n "$(RUN)" || { echo "error: name a run: make long RUN=..., one of long.runs in params.yaml without --long" >&2; exit 1; }
	$(BIN)/dvc repro pipelines/long/dvc.yaml:promote@$(RUN)--long

ablate: setup ## MODEL=dakd, or all: trains and evaluates the ablations of params.yaml, hours; data/ablations/<model>/table/index.html
	$(BIN)/dvc repro $(foreach model,$(or $(MODEL),dakd dmgn glsgn madf),pipelines/ablations/dvc.yaml:table@$(model))

test: setup lint ## lint, types and the tests
	$(BIN)/python -m pytest -q

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test-slow: setup ## the tests that take minutes
	$(BIN)/python -m pytest -q -m slow

bench: setup .venv-bench/installed ## data/bench/degradations.json: milliseconds beside other libraries', one core
	$(BIN)/python tests/bench/degradations.py data/bench/degradations.json .venv-bench/bin/python

bench-madf: setup ## data/bench/madf.json: MADF's time and memory beside the direct form of its filters, one core
	$(BIN)/python tests/bench/madf.py data/bench/madf.json

bench-training: setup ## data/bench/training.json: a step of each run with torch.compile, channels_last and other settings
	$(BIN)/python tests/bench/training.py data/bench/training.json

bench-uhd: setup ## data/bench/uhd.json: frames of 4K and 8K through GLSGN, streamed, and what it is held against; half an hour
	$(BIN)/python tests/bench/uhd.py data/bench/uhd.json

photos-uhd: ## free photographs of up to 16 megapixels from Debian's packages into photos-uhd/, where apt is there
	sh pipelines/photos_uhd.sh photos-uhd

# kornia takes torch from .venv; imagecorruptions needs an older NumPy, which this environment has in front of it.
.venv-bench/installed: tests/bench/requirements.txt
	@rm -rf .venv-bench && $(BIN)/python -m venv .venv-bench \
	  && $(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	    > "$$(.venv-bench/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/project.pth" \
	  && .venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --ignore-installed --no-deps \
	    -r tests/bench/requirements.txt && touch $@ \
	  || { rm -rf .venv-bench; echo "bench: kornia and imagecorruptions cannot be installed here; going on without"; }

params-paper: setup ## writes the papers' settings into params.yaml; `dvc params diff` shows them
	$(BIN)/python -m restorekit.paper_params params.yaml

lock: setup ## requirements.lock from what is installed
	$(BIN)/pip freeze --exclude-editable | grep -viE '^(torch|setuptools|pip|wheel)==' | sed 's/ @ .*//' > requirements.lock

clean: ## removes what the pipeline made, but not .venv
	rm -rf data/photos data/shards data/state data/models data/evaluations data/promotions data/report data/long data/ablations mlflow.db mlruns
