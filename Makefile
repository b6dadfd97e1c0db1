# make demo    install segue and follow the objects of the bundled sample
# make dev     install what most tests and lint need; tests of other parts skip and name the line that installs them
# make test    install what all tests need and run the fast ones; further jobs: make test-browser (Chromium),
#              make test-scenes (rendered scenes), make test-processors (as on older processors), make test-slow (takes
#              an hour), make test-week (cameras), make test-all
# make coverage    run the tests and report the lines that they reach, into htmlcov/
# make fuzz    feed damaged files to all readers, interrupt all commands and kill batches at random, for hours
# make mutate  mutation tests with mutmut (hours; see MUTATE)
# make lint    ruff: rules and format       make types   mypy, and pyright on the examples
# make javascript   prettier, eslint, TypeScript and tests of the scripts of the page (needs npm; make format-javascript)
# make docs    build the documentation      make bench   measure speed and memory
# make verify-release NAME=sam2-tiny   run a released checkpoint and compare with published values (network)
# make dist    build and check wheel and source archive; installs all extras
# make image   build the container image `segue` with docker; IMAGE_ARGS="--build-arg TORCH_INDEX=URL"
# make notebooks   execute the notebooks of the documentation again
# make clean   remove everything that make made
#
# VENV=folder         where to install (default .venv)
# PYTHON=python3.12   interpreter, 3.11 or newer
# TORCH_INDEX=URL     package index of the build of PyTorch; the default is the CPU index where there is no
#                     NVIDIA GPU and that index can be reached, TORCH_INDEX=none takes what pip finds
# TRIALS=100          interrupts of each command by make fuzz; only these: PYTEST_ARGS="-k interrupted"
# BENCH_ARGS=--force  measure on a busy machine as well; --long takes what takes longer, --only stm,start
# JOBS=1              processes of the tests, default one for each core; BROWSER_JOBS=2 of those in Chromium
# MUTATE="segue.masks.*"   mutants to test; configured in pyproject.toml, results: mutmut results

PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?= auto
JOBS ?= auto
PYTEST_ARGS ?=
BENCH_ARGS ?=
IMAGE_ARGS ?=
TRIALS ?= 100
MUTATE ?=
SITE ?= site

BIN := $(VENV)/bin
PIP_INSTALL = $(BIN)/python -m pip install --quiet --constraint constraints.txt \
	$$($(BIN)/python tools/torch_index.py "$(TORCH_INDEX)")

# Bytecode is made of what is used, when it is first used: compiling all of PyTorch takes twenty seconds.
export PIP_COMPILE = 0
DEV_PARTS := --editable '.[mqtt,synth,web]' --group dev
ALL_PARTS := --editable '.[apprise,cluster,dicom,exr,matting,mqtt,onnx,synth,train,web]' \
	--group dev --group browser --group hub --group storage --group types --group docs --group release
UV := $(shell command -v uv 2>/dev/null)
SHOWN_INSTALL = $(if $(UV),$(UV) pip install --python $(BIN)/python --index-strategy unsafe-best-match,$\
	$(BIN)/python -m pip install --no-warn-conflicts --progress-bar on) --constraint constraints.txt \
	$$($(BIN)/python tools/torch_index.py "$(TORCH_INDEX)")
INSTALL = $(SHOWN_INSTALL) $(1) $(if $(UV),|| $(PIP_INSTALL) $(1)) || { echo $(FAILED) >&2; exit 1; }
FAILED = "segue is not installed; docs/install.md, 'When the installation fails', names causes and remedies"

.DELETE_ON_ERROR:
.PHONY: help demo dev test test-browser test-scenes test-processors test-slow test-week test-all coverage fuzz mutate lint types javascript \
	format-javascript docs notebooks bench verify-release dist image clean

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | sed -n '1,25p'

demo: $(VENV)/.installed
	PYTHONDONTWRITEBYTECODE= $(BIN)/segue demo --output out/demo --overwrite

dev: $(VENV)/.installed-dev

# One thread each: two processes with two threads on two cores are slower than one after the other. Bytecode is
# kept even where the environment says otherwise: the tests start a hundred interpreters.
TEST_ENV = OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=
PYTEST = $(TEST_ENV) $(BIN)/python -m pytest -n $(JOBS) --dist worksteal
# What failed runs once more when all else has ended. Both runs are shown: a test that failed only beside others
# waits for less than it should. Status 1: all tests ran, and some failed.
KEPT = -o cache_dir=$(abspath $(VENV))/pytest-$@
TWICE = $(PYTEST) $(KEPT) -m $(1) $(2) $(PYTEST_ARGS) || { [ $$? = 1 ] && \
	$(PYTEST) $(KEPT) -m $(1) $(2) $(PYTEST_ARGS) --last-failed --last-failed-no-failures none; }
# Tests that are collected are imported: only the folders that have some. Half the time of a browser is waiting.
BROWSER_TESTS := tests/segue_web/pages tests/segue_watch/test_page_in_browser.py
BROWSER_JOBS ?= $(JOBS)
test: $(VENV)/.installed-all
	$(call TWICE,"not slow and not browser and not scenes")

test-browser: $(VENV)/.installed-all
	$(call TWICE,"browser and not slow",--numprocesses $(BROWSER_JOBS) $(BROWSER_TESTS))

test-scenes: $(VENV)/.installed-all
	$(call TWICE,"scenes and not slow",tests/segue_isd)

# Once without the features that segue asks for, and once with libraries that use AVX2 alone.
PROCESSOR_TESTS := tests/inference tests/sessions tests/weights
test-processors: $(VENV)/.installed-all
	export SEGUE_CPU_WITHOUT=fma,avx512,vnni,bfloat16,amx; $(call TWICE,"not slow",$(PROCESSOR_TESTS))
	export ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2; $(call TWICE,"not slow",$(PROCESSOR_TESTS))

test-all: test test-browser test-scenes test-processors test-slow

coverage: $(VENV)/.installed-all
	$(PYTEST) --cov --cov-report=html --cov-report=xml --cov-report=term:skip-covered $(PYTEST_ARGS)

test-slow: $(VENV)/.installed-all
	$(BIN)/python -m pytest -m slow $(PYTEST_ARGS)

test-week: $(VENV)/.installed-all
	$(BIN)/python -m pytest -m slow tests/segue_watch/test_camera_week.py $(PYTEST_ARGS)

fuzz: $(VENV)/.installed-all
	OMP_NUM_THREADS=1 SEGUE_FUZZ_INTERRUPTS=$(TRIALS) $(BIN)/python -m pytest -s -m slow tests/fuzz $(PYTEST_ARGS)

mutate: $(VENV)/.installed-mutate
	nice $(BIN)/mutmut run $(MUTATE)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-all
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

JAVASCRIPT = "src/segue_web/static/*.js" "tests/segue_web/scripts/*.js" "tools/page/*.js"
PRETTIER = tools/page/node_modules/.bin/prettier --config tools/page/prettier.config.js --log-level warn
javascript: tools/page/node_modules/.installed
	$(PRETTIER) --check $(JAVASCRIPT)
	tools/page/node_modules/.bin/eslint --config tools/page/eslint.config.js src/segue_web/static
	tools/page/node_modules/.bin/tsc --project tools/page/tsconfig.json
	node --test tests/segue_web/scripts/*.test.js

format-javascript: tools/page/node_modules/.installed
	$(PRETTIER) --write $(JAVASCRIPT)

docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir $(abspath $(SITE))

notebooks: $(VENV)/.installed-notebooks
	$(BIN)/python tools/notebooks.py docs/notebooks/*.ipynb

bench: $(VENV)/.installed-all
	$(BIN)/python -m benchmarks.$(if $(AGAINST),speed.against $(AGAINST),bench) $(BENCH_ARGS)

verify-release: $(VENV)/.installed
	$(BIN)/python tools/verify_release.py $(if $(NAME),"$(NAME)",--list)

dist: $(VENV)/.installed-extras
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/twine check --strict dist/*
	$(BIN)/python tools/check_dist.py dist

image:
	docker build --tag segue $(IMAGE_ARGS) .

clean:
	rm -rf .venv out mutants site build dist htmlcov coverage.xml .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis

# An editable install: the stamps below go stale only when the dependencies change.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing segue into $(VENV) (a few minutes the first time)"
	$(call INSTALL,--editable .)
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing segue and the tools of development into $(VENV) (a minute or two the first time)"
	$(BIN)/python -m pip install --quiet 'pip>=25.1' # knows dependency groups
	$(call INSTALL,$(DEV_PARTS))
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-all: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing what all tests and the documentation need into $(VENV) (a few minutes the first time)"
	$(BIN)/python -m pip install --quiet 'pip>=25.1'
	$(call INSTALL,$(ALL_PARTS))
	@touch $(VENV)/.installed $(VENV)/.installed-dev $(VENV)/.installed-docs $@

$(VENV)/.installed-docs: $(VENV)/.installed-dev
	$(PIP_INSTALL) --group docs
	@touch $@

$(VENV)/.installed-extras: $(VENV)/.installed-all
	$(PIP_INSTALL) --editable '.[apprise,cluster,dicom,hf,matting,mqtt,notebooks,onnx,synth,train,web]'
	@touch $@

$(VENV)/.installed-mutate: $(VENV)/.installed-all
	$(PIP_INSTALL) --group mutate
	@touch $@

$(VENV)/.installed-notebooks: $(VENV)/.installed-all
	$(PIP_INSTALL) --editable '.[train,notebooks]'
	@touch $@

tools/page/node_modules/.installed: tools/page/package-lock.json
	npm ci --prefix tools/page --no-audit --no-fund --ignore-scripts
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "segue needs Python 3.11 or newer, '$(PYTHON)' is missing or older;" \
			"try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "making the environment $(VENV)"
	@{ $(PYTHON) -m venv --without-pip $(VENV) && \
		$(PYTHON) -m pip --python $(BIN)/python install --quiet 'pip>=25.1'; } 2>/dev/null || \
		$(PYTHON) -m venv --clear $(VENV)
