# Two commands: `make repro` runs the pipeline from photographs to report, `make test` checks everything.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
TORCH := torch==2.13.0
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --no-compile
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export NO_ALBUMENTATIONS_UPDATE := 1
export RAY_USAGE_STATS_ENABLED := 0
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: help setup repro repro-all long detector mixed ablate test lint test-slow test-browser fuzz soak audit photos-uhd \
  photos-free params-paper lock clean \
  bench bench-degradations bench-loader bench-madf bench-training bench-uhd bench-gpu bench-quality bench-detector bench-restore

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 24

setup: .venv/installed ## .venv with the pinned dependencies

# Torch first: with it there, nothing else asks for a build of several gigabytes. The lock names everything else, so
# that pip need not search for what fits. Without --no-compile pip compiles all of 330 MB of sources, one file after
# the other; imports compile the quarter that is used.
.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
	  || { echo "error: restorekit needs Python 3.11; set PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv \
	  || { echo "error: this Python cannot make virtual environments: apt-get install python3-venv" >&2; exit 1; }
	$(PIP) $(TORCH)
	$(PIP) --no-deps -r requirements.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	touch $@

repro: setup ## photographs -> shards -> models -> evaluations -> promotion -> data/report/index.html
	$(BIN)/dvc repro

repro-all: repro ## then the seven other runs, and data/more/report/index.html of all eleven
	$(BIN)/dvc repro pipelines/more/dvc.yaml

long: setup ## RUN=madf-inpainting: trains, evaluates and promotes <run>--long, up to four hours; goes on where it was
	@test -n "$(RUN)" || { echo "error: name a run: make long RUN=..., one of pipelines/long/params.yaml without --long" >&2; exit 1; }
	$(BIN)/dvc repro pipelines/long/dvc.yaml:promote@$(RUN)--long

detector: setup ## the network that finds out what is wrong with a photo, an hour: data/long/detector; goes on where it was
	$(BIN)/dvc repro pipelines/long/dvc.yaml:detect

mixed: setup ## RUN=dakd-rain--weather: writes the stages of runs on several data sets, then makes one of pipelines/mixed/params.yaml
	@test -n "$(RUN)" || { echo "error: name a run: make mixed RUN=..., one of pipelines/mixed/params.yaml" >&2; exit 1; }
	$(BIN)/python -m pipelines.mixed.stages
	$(BIN)/dvc repro pipelines/mixed/dvc.yaml:promote-$(RUN)

ablate: setup ## MODEL=dakd, or without it all: trains and evaluates the ablations, hours; data/ablations/tables/<model>/index.html
	$(BIN)/dvc repro pipelines/ablations/dvc.yaml$(if $(MODEL),:table@$(MODEL))

# Types are checked beside the tests, which often wait for Ray's processes to start. A process takes a module at a time:
# fixtures of modules take longer than most tests.
test: setup ## lint, types and the tests, two to four at once; TESTS=--random-order-seed=7 shuffles the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy & types=$$!; $(BIN)/python -m pytest -q --numprocesses logical --maxprocesses 4 --dist loadfile \
	  --no-loadscope-reorder $(TESTS); tests=$$?; wait $$types && exit $$tests

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test-slow: setup ## the tests that take minutes
	$(BIN)/python -m pytest -q -m slow

test-browser: setup ## the page in the system's chromium; needs pip install '.[ui]' playwright
	$(BIN)/python -m pytest -q -m browser

FUZZ := params manifest shard weights record detector detector_weights state state_tensors released pixels photo
FUZZ_S ?= 60

fuzz: setup .venv-fuzz/installed ## FUZZ_S=60: seconds for each reader of outside files; findings go to tests/hostile/corpus
	@test -x .venv-fuzz/bin/python || { echo "error: atheris cannot be installed here" >&2; exit 1; }
	for target in $(FUZZ); do .venv-fuzz/bin/python -m tests.hostile.fuzz $$target $(FUZZ_S) || exit 1; done
	@git status --short tests/hostile/corpus

STEPS ?= 2000
BREAKS ?= 1000
SEED ?= 1

soak: setup ## STEPS=2000 BREAKS=1000 SEED=1: a tiny training, broken off again and again, ends with the same bits
	$(BIN)/python -m tests.faults.soak $(STEPS) $(BREAKS) $(SEED)

audit: .venv-audit/installed ## known vulnerabilities of the pinned dependencies; asks pypi.org, so that it needs a network
	@test -x .venv-audit/bin/pip-audit || { echo "error: pip-audit cannot be installed here: it needs a network" >&2; exit 1; }
	.venv-audit/bin/pip-audit --strict --no-deps --disable-pip --progress-spinner off \
	  --requirement <(echo "$(TORCH)"; cat requirements.lock) \
	  || { echo "audit: vulnerabilities above, or no answer from pypi.org, which it needs" >&2; exit 1; }

bench: bench-degradations bench-loader bench-madf bench-training bench-uhd ## data/bench/*.json: all of the following, over an hour

bench-degradations: setup .venv-bench/installed ## milliseconds a pair beside other libraries', one core; a minute
	$(BIN)/python tests/bench/degradations.py data/bench/degradations.json .venv-bench/bin/python

bench-loader: setup .venv-bench-data/installed ## loaders beside others, seconds to resume, the plan of 10^9 samples
	$(BIN)/python tests/bench/plan.py data/bench/plan.json
	$(BIN)/python tests/bench/loader.py data/bench/loader.json .venv-bench-data/bin/python
	$(BIN)/python tests/bench/resume.py data/bench/resume.json

bench-madf: setup ## MADF's time and memory beside the direct form of its filters, one core
	$(BIN)/python tests/bench/madf.py data/bench/madf.json

bench-training: setup ## a step of each run with torch.compile, the other optimiser and other settings
	$(BIN)/python tests/bench/training.py data/bench/training.json

bench-uhd: setup ## frames of 4K and 8K through GLSGN, streamed, and what it is held against; half an hour
	$(BIN)/python tests/bench/uhd.py data/bench/uhd.json

bench-gpu: setup ## a GPU's gradients against float64, its speed and memory; without a GPU a rehearsal
	$(BIN)/python tests/bench/gpu.py data/bench/gpu.json

bench-quality: setup ## SETS=DIR: shipped models, and MODELS="a b", on the public pairs in DIR/<task>/<set>; data/bench/quality.html
	@test -n "$(SETS)" || { echo "error: name a folder of sets: make bench-quality SETS=DIR, with DIR/<task>/<set>/input and target" >&2; exit 1; }
	$(BIN)/python -m tests.bench.quality data/bench/quality.json --sets $(SETS) $(if $(MODELS),--models $(MODELS))

bench-detector: setup ## SETS=DIR: what the shipped detector, or DETECTOR=DIR, says of public sets; data/bench/detector.json
	@test -n "$(SETS)" || { echo "error: name a folder of sets: make bench-detector SETS=DIR, with DIR/<task>/<set>/input" >&2; exit 1; }
	$(BIN)/python -m tests.bench.detector data/bench/detector.json --sets $(SETS) $(if $(DETECTOR),--detector $(DETECTOR))

bench-restore: setup ## MODELS="shipped:rain ./folder": seconds and memory of photos of 2 to 48 megapixels, tiled and whole; hours
	@test -n "$(MODELS)" || { echo "error: name models: make bench-restore MODELS='shipped:rain glsgn-haze@champion ./folder'" >&2; exit 1; }
	$(BIN)/python -m tests.bench.restore data/bench/restore.json $(MODELS)

photos-uhd: ## free photographs of up to 16 megapixels from Debian's packages into photos-uhd/, where apt is there
	sh pipelines/photos_uhd.sh photos-uhd

photos-free: setup ## photographs whose licences let weights be given away (CC0, CC-BY, public domain), into photos-free/
	$(BIN)/python -m restorekit.sources.free photos-free

# Opponents take torch from .venv; some need older packages, which these environments have in front of it.
define bench_environment
@rm -rf $(@D) && $(BIN)/python -m venv $(@D) \
  && $(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
    > "$$($(@D)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/project.pth" \
  && $(@D)/bin/python -m pip install --quiet --disable-pip-version-check --ignore-installed --no-deps \
    -r $< && touch $@ \
  || { rm -rf $(@D); echo "bench: what $< names cannot be installed here; going on without"; }
endef

.venv-bench/installed: tests/bench/requirements.txt
	$(bench_environment)

.venv-bench-data/installed: tests/bench/requirements-data.txt
	$(bench_environment)

.venv-fuzz/installed: tests/hostile/requirements-fuzz.txt
	$(bench_environment)

.venv-audit/installed: tests/supply/requirements-audit.txt
	@rm -rf $(@D) && $(PYTHON) -m venv $(@D) && $(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $< \
	  && touch $@ || { rm -rf $(@D); echo "audit: what $< names cannot be installed here" >&2; exit 1; }

params-paper: setup ## GPUS=1, or 8, or 64: writes the papers' settings into the parameters files; `dvc params diff` shows them
	$(BIN)/python -m restorekit.paper_params params.yaml $(or $(GPUS),1)

lock: setup ## requirements.lock from what is installed
	$(BIN)/pip freeze --exclude-editable | grep -viE '^(torch|setuptools|pip|wheel)==' | sed 's/ @ .*//' > requirements.lock

clean: ## removes what the pipeline made, but not .venv
	rm -rf data/photos data/shards data/state data/models data/evaluations data/promotions data/report data/more data/long data/ablations data/imported mlflow.db mlruns
