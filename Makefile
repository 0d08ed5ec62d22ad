# Everything runs in .venv, which belongs to this file: it is made, filled and replaced from here.
#
#   make demo        the whole way once: checkpoint -> Keras -> fused -> .tflite, with a table
#   make test        lint, then the tests on TensorFlow, JAX and torch
#   make test-jax    the tests on one backend (test-tensorflow, test-jax, test-torch)
#   make lint        ruff and mypy
#   make bench       forward passes beside timm's, as ratios
#   make parity      the same weights through timm and through this package
#   make constraints the pins of constraints.txt, anew
#   make clean       removes .venv and everything built

# An assignment, so that a PYTHON in the environment does not count but `make PYTHON=…` does.
# The candidates are run, not looked up: a version manager's shim can exist and still not work.
PYTHON = $(shell for python in python3 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	>/dev/null 2>&1 && command -v "$$python" && break; done)

VENV := .venv
RUN := $(VENV)/bin/python
BACKENDS := tensorflow jax torch

PIP_INSTALL = $(RUN) -m pip install --quiet --progress-bar off --constraint constraints.txt
# Two tests at a time: building a model's graph is one thread's work.
PYTEST = $(RUN) -m pytest --numprocesses auto --maxprocesses 4 --dist loadgroup

.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: demo test lint bench parity constraints clean $(BACKENDS:%=test-%)

demo: $(VENV)/.demo
	KERAS_BACKEND=tensorflow TF_CPP_MIN_LOG_LEVEL=3 $(RUN) -m conversion.demo

test: lint $(BACKENDS:%=test-%)

# The first backend also runs what needs only one, and the examples in docstrings.
test-tensorflow: $(VENV)/.test
	KERAS_BACKEND=tensorflow $(PYTEST) --doctest-modules keras_fastvit conversion tests

test-jax test-torch: test-%: $(VENV)/.test
	KERAS_BACKEND=$* $(PYTEST) -m "not single_backend"

lint: $(VENV)/.test
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

bench: $(VENV)/.reference
	$(RUN) -m conversion.benchmark_keras

parity: $(VENV)/.reference
	$(RUN) -m conversion.port_weights --verify

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

# --- the environment --------------------------------------------------------------------------
# A stamp for each set of packages, newer than what decides its contents.

$(VENV)/.demo: $(RUN) pyproject.toml constraints.txt
	@echo "Installing the demo's packages (TensorFlow among them) into $(VENV): some minutes."
	$(PIP_INSTALL) --editable '.[convert]'
	@touch $@

$(VENV)/.test: $(RUN) pyproject.toml constraints.txt
	@echo "Installing three backends and the development tools into $(VENV): some minutes."
	$(PIP_INSTALL) --editable '.[tensorflow,jax,torch,convert,train,dev]'
	@touch $@

$(VENV)/.reference: $(VENV)/.test requirements/reference.txt
	$(PIP_INSTALL) --no-deps --requirement requirements/reference.txt
	@touch $@

# An environment that is half made, was made in another folder, or has lost its Python is made anew.
ifneq ($(shell grep -qF '$(CURDIR)/$(VENV)' $(VENV)/bin/activate 2>/dev/null \
	&& $(RUN) -m pip --version >/dev/null 2>&1 && echo usable),usable)
.PHONY: $(RUN)
endif

$(RUN):
	@test -n "$(PYTHON)" || { echo >&2 "No suitable Python found. Expected: Python 3.11, 3.12 or 3.13\
	 (TensorFlow has no release for others) as python3, python3.13, python3.12 or python3.11, or\
	 named by 'make PYTHON=/path/to/python'. Received: python3 is\
	 $$(python3 --version 2>/dev/null || echo missing)."; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo >&2 "$(PYTHON) cannot make\
	 virtual environments: its module ensurepip or venv is missing. On Debian and Ubuntu, install\
	 the package python3-venv."; exit 1; }
	rm -rf $(VENV)
	"$(PYTHON)" -m venv $(VENV)

# The newest releases that pyproject.toml's ranges allow. torch keeps its pin: its newest release
# may exist only as a build with gigabytes of CUDA libraries. Ours and pip itself are left out.
constraints: NEW := build/constraints
constraints:
	rm -rf $(NEW) && mkdir -p build
	"$(PYTHON)" -m venv $(NEW)
	grep '^torch==' constraints.txt > $(NEW)/torch.txt
	$(NEW)/bin/python -m pip install --quiet --progress-bar off --constraint $(NEW)/torch.txt \
		'.[tensorflow,jax,torch,convert,train,dev]'
	{ grep '^#' constraints.txt; $(NEW)/bin/python -m pip freeze --all \
		| grep -v -e '^pip==' -e '^wheel==' -e '^keras-fastvit' | sed 's/+cpu$$//'; } \
		> $(NEW)/constraints.txt
	mv $(NEW)/constraints.txt constraints.txt
	rm -rf $(NEW)
