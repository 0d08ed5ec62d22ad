# Everything runs in .venv, which belongs to this file: it is made, filled and replaced from here.
#
#   make demo        the whole way once: checkpoint -> Keras -> fused -> .tflite, with a table
#   make test        lint, then the tests on TensorFlow, JAX and torch
#   make test-jax    the tests on one backend (test-tensorflow, test-jax, test-torch)
#   make test-fast   one backend, no large model, one export: under five minutes
#   make test-kills  export, port, download and training, killed a hundred times
#   make coverage    the lines and branches that the tests on TensorFlow run
#   make test-runtimes  the exported files on other runtimes: tflite-runtime, ARM64, GPU
#   make test-gpu    on one of them (test-tflite-runtime, test-arm64, test-gpu)
#   make lint        ruff and mypy
#   make bench       both of: bench-keras, forward passes beside timm's; bench-litert, .tflite files
#                    beside litert-torch's and a bound; as ratios
#   make bench-runtimes  the same files on an emulated ARM64 and a GPU driver
#   make bench-accuracy  what each precision costs in accuracy, on Fashion-MNIST
#   make bench-training  training steps beside timm's, as ratios
#   make bench-robustness  float32 and int8 under ImageNet-C's corruptions
#   make bench-hand-mesh  the hand-mesh head on synthetic hands: joint errors, float32 and int8
#   make bench-segmentation  Semantic FPN, trained on scenes of Fashion-MNIST; what int8 costs it
#   make fuzz        damaged files to every reader of files from outside; FUZZ="--minutes 1"
#   make android     the camera demo: tools, lint, tests, a signed APK (android_demo/android.mk)
#   make android-fuzz  its readers of files, fed with 100,000 damaged ones
#   make android-benchmark  its frame pipeline beside Pillow, as a ratio
#   make parity      the same weights through timm and through this package
#   make constraints the pins of constraints.txt, anew
#   make clean       removes .venv and everything built
#   make help        this list

# An assignment, so that a PYTHON in the environment does not count but `make PYTHON=…` does.
# The candidates are run, not looked up: a version manager's shim can exist and still not work.
PYTHON = $(shell for python in python3 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	>/dev/null 2>&1 && command -v "$$python" && break; done)

VENV := .venv
# On Windows, for `make test-fast` from Git's bash. Never run there; not done: the other targets, and
# finding that the environment is usable, so that each `make` makes it anew.
RUN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts/python.exe,bin/python)
LITERT_TORCH := .venv-litert-torch
BACKENDS := tensorflow jax torch

PIP_INSTALL = $(RUN) -m pip install --quiet --progress-bar off --constraint constraints.txt
# Two tests at a time: building a model's graph is one thread's work.
PYTEST = $(RUN) -m pytest --numprocesses auto --maxprocesses 4 --dist loadgroup

RUNTIMES := tflite-runtime arm64 gpu
INSTALLED := build/runtimes

.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: demo test test-fast test-kills coverage lint types package bench bench-keras bench-litert \
	bench-runtimes bench-accuracy bench-training bench-robustness bench-hand-mesh \
	bench-segmentation parity fuzz \
	constraints clean help $(BACKENDS:%=test-%) test-runtimes $(RUNTIMES:%=test-%)

demo: $(VENV)/.demo
	KERAS_BACKEND=tensorflow $(RUN) -m benchmarks.demo

test: lint $(BACKENDS:%=test-%)

# Small models, and what needs none: no file of timm's, no training, an export of a hand-mesh head.
FAST := $(addprefix tests/, $(addprefix architecture/test_, \
	fusion.py inference_form.py layers.py model.py) evaluation graph images \
	tasks/test_hand_mesh.py tasks/test_mano.py training/data training/test_recipes.py)

test-fast: $(VENV)/.test
	KERAS_BACKEND=tensorflow $(PYTEST) $(FAST)

# A hundred times, by chance and where files move; the tests kill each command twice.
test-kills: $(VENV)/.test
	KERAS_BACKEND=tensorflow KERAS_FASTVIT_KILLS=27 $(PYTEST) tests/test_kills.py
	KERAS_BACKEND=tensorflow KERAS_FASTVIT_KILLS=19 $(PYTEST) tests/training/test_kill.py -k same

coverage: $(VENV)/.test
	KERAS_BACKEND=tensorflow $(PYTEST) --cov --cov-report=term

# The first backend also runs what needs only one, and the examples in docstrings.
test-tensorflow: $(VENV)/.test
	@echo "=== tests on tensorflow ==="
	KERAS_BACKEND=tensorflow $(PYTEST)

test-jax test-torch: test-%: $(VENV)/.test
	@echo "=== tests on $* ==="
	KERAS_BACKEND=$* $(PYTEST) -m "not single_backend"

# What is installed for them is below. One run, so that each file is exported once.
test-runtimes: $(VENV)/.test package $(RUNTIMES:%=$(INSTALLED)/.test-%)
	KERAS_BACKEND=tensorflow $(PYTEST) tests/runtimes

$(RUNTIMES:%=test-%): test-%: $(VENV)/.test package $(INSTALLED)/.test-%
	KERAS_BACKEND=tensorflow $(PYTEST) tests/runtimes/test_$(subst -,_,$*).py

lint: $(VENV)/.test types
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

types: $(VENV)/.test package
	$(RUN) -m mypy

# The package as it is installed, with conversion/ inside it: what mypy can follow, and for Pythons
# that it is not installed in.
package:
	rm -rf build/package && mkdir -p build/package/keras_fastvit
	ln -s $(CURDIR)/keras_fastvit/* $(CURDIR)/conversion build/package/keras_fastvit/

bench: bench-keras bench-litert

bench-keras: $(VENV)/.reference
	$(RUN) -m benchmarks.forward

bench-litert: $(VENV)/.reference package $(LITERT_TORCH)/.installed
	KERAS_BACKEND=tensorflow TF_CPP_MIN_LOG_LEVEL=3 $(RUN) -m benchmarks.litert

bench-runtimes: $(VENV)/.reference package $(LITERT_TORCH)/.installed \
		$(INSTALLED)/.test-arm64 $(INSTALLED)/.test-gpu
	KERAS_BACKEND=tensorflow TF_CPP_MIN_LOG_LEVEL=3 $(RUN) -m benchmarks.other_runtimes

# Others beside the one that ships: make bench-accuracy CHECKPOINTS=fastvit_sa12=RUN/M.safetensors
bench-accuracy: $(VENV)/.reference package $(LITERT_TORCH)/.installed
	KERAS_BACKEND=tensorflow TF_CPP_MIN_LOG_LEVEL=3 $(RUN) -m benchmarks.accuracy \
		$(CHECKPOINTS:%=--checkpoint %)

bench-training: $(VENV)/.reference
	$(RUN) -m benchmarks.training_throughput

bench-robustness: $(VENV)/.test
	KERAS_BACKEND=tensorflow TF_CPP_MIN_LOG_LEVEL=3 $(RUN) -m benchmarks.robustness

bench-hand-mesh: $(VENV)/.test
	KERAS_BACKEND=tensorflow TF_CPP_MIN_LOG_LEVEL=3 $(RUN) -m benchmarks.hand_mesh

bench-segmentation: $(VENV)/.test
	KERAS_BACKEND=tensorflow TF_CPP_MIN_LOG_LEVEL=3 $(RUN) -m benchmarks.segmentation

# Hours without --minutes. Then it writes docs/robustness.json and the table in docs/robustness.md.
fuzz: $(VENV)/.test
	KERAS_BACKEND=tensorflow TF_CPP_MIN_LOG_LEVEL=3 $(RUN) -m tests.fuzzing $(FUZZ)

parity: $(VENV)/.reference
	$(RUN) -m benchmarks.parity

help:
	@sed -n 's/^#   //p' Makefile

include android_demo/android.mk

clean:
	rm -rf $(VENV) $(LITERT_TORCH) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	cd android_demo && rm -rf .gradle .kotlin build */build
	find . -name __pycache__ -prune -exec rm -rf {} +

# --- the environment --------------------------------------------------------------------------
# A stamp for each set of packages, newer than what decides its contents.

$(VENV)/.demo: $(RUN) pyproject.toml constraints.txt
	@echo "Installing the demo's packages (TensorFlow among them) into $(VENV): some minutes."
	$(PIP_INSTALL) --editable '.[convert]'
	@touch $@

# The tests of the Android demo: with photographs of scikit-image's.
$(VENV)/.android: $(VENV)/.demo
	$(PIP_INSTALL) --editable '.[convert,dev]'
	@touch $@

$(VENV)/.test: $(RUN) pyproject.toml constraints.txt
	@echo "Installing three backends and the development tools into $(VENV): some minutes."
	$(PIP_INSTALL) --editable '.[tensorflow,jax,torch,convert,train,evaluate,dev]'
	@touch $@

$(VENV)/.reference: $(VENV)/.test requirements/reference.txt
	$(PIP_INSTALL) --no-deps --requirement requirements/reference.txt
	@touch $@

# litert-torch wants releases of its own choice. Its packages agree with torch's CPU build.
$(LITERT_TORCH)/.installed: requirements/litert_torch.txt requirements/reference.txt | $(RUN)
	@echo "Installing litert-torch into $(LITERT_TORCH): some minutes, two gigabytes."
	rm -rf $(LITERT_TORCH)
	$(RUN) -m venv $(LITERT_TORCH)
	$(LITERT_TORCH)/bin/python -m pip install --quiet --progress-bar off \
		--requirement requirements/litert_torch.txt
	$(LITERT_TORCH)/bin/python -m pip install --quiet --progress-bar off --no-deps \
		--requirement requirements/reference.txt
	@touch $@

# Other runtimes, in folders of their own. Nothing here needs root.
DEBIAN = $(RUN) tests/runtimes/debian_packages.py

# Run, not looked up, like the others.
PYTHON_3_11 = $(shell for python in "$(PYTHON)" python3.11; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
	>/dev/null 2>&1 && command -v "$$python" && break; done)

$(INSTALLED)/.test-tflite-runtime: requirements/tflite_runtime.txt $(INSTALLED)/.fashion_mnist
	@test -n "$(PYTHON_3_11)" || { echo >&2 "tflite-runtime has no release for Pythons after 3.11.\
	 Expected: python3.11, or Python 3.11 named by 'make PYTHON=/path/to/python'. Received: none.";\
	 exit 1; }
	rm -rf $(INSTALLED)/tflite_runtime
	"$(PYTHON_3_11)" -m venv $(INSTALLED)/tflite_runtime
	$(INSTALLED)/tflite_runtime/bin/python -m pip install --quiet --progress-bar off \
		--only-binary :all: --requirement $<
	@touch $@

# What the ARM64 build of LiteRT needs of Debian: a Python, and below it the libraries of C and C++.
ARM64_DEBIAN := python3.11-minimal libpython3.11-minimal libpython3.11-stdlib libc6 libgcc-s1 \
	libstdc++6 zlib1g libexpat1 libffi8 libssl3 libbz2-1.0 liblzma5
# XNNPACK reads there which ARM it runs on, and crashes where it finds an x86.
ARM64_CPUINFO := tests/runtimes/neoverse_n1_cpuinfo.txt

$(INSTALLED)/.test-arm64: constraints.txt $(ARM64_CPUINFO) | $(RUN)
	rm -rf $(INSTALLED)/arm64
	$(DEBIAN) $(INSTALLED)/arm64 qemu-user-static --only usr/bin/qemu-aarch64-static
	$(DEBIAN) $(INSTALLED)/arm64/root $(ARM64_DEBIAN) --architecture arm64
	mkdir $(INSTALLED)/arm64/root/proc
	cp $(ARM64_CPUINFO) $(INSTALLED)/arm64/root/proc/cpuinfo
	$(PIP_INSTALL) --target $(INSTALLED)/arm64/packages --python-version 3.11 --no-deps \
		--only-binary :all: $(patsubst %,--platform manylinux_2_%_aarch64,17 27 28) \
		ai-edge-litert numpy lazy-loader
	@touch $@

# Chromium brings a Vulkan driver that needs no GPU; the other package is Vulkan's loader.
$(INSTALLED)/.test-gpu: | $(RUN)
	rm -rf $(INSTALLED)/gpu
	$(DEBIAN) $(INSTALLED)/gpu chromium-common libvulkan1
	@touch $@

$(INSTALLED)/.fashion_mnist: | $(RUN)
	rm -rf $(INSTALLED)/fashion_mnist
	$(DEBIAN) $(INSTALLED)/fashion_mnist dataset-fashion-mnist
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
		'.[tensorflow,jax,torch,convert,train,evaluate,dev]'
	{ grep '^#' constraints.txt; $(NEW)/bin/python -m pip freeze --all \
		| grep -v -e '^pip==' -e '^wheel==' -e '^keras-fastvit' | sed 's/+cpu$$//'; } \
		> $(NEW)/constraints.txt
	mv $(NEW)/constraints.txt constraints.txt
	rm -rf $(NEW)
