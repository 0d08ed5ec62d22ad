"""What every test gets: TensorFlow's backend unless told otherwise, the CPU, seeds, no network."""

import atexit
import ctypes
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.grouping import pytest_collection_modifyitems  # noqa: F401 - a hook

try:
    import resource
except ImportError:  # Windows has none
    resource = None  # type: ignore[assignment]

# No tests in the first two, but scripts that need timm: kept from the search for examples in
# docstrings. The third is for `make test-runtimes`, which installs what its tests need.
collect_ignore = ["fixtures", "reference", "runtimes"]

# Read by the libraries when they are imported, so set before any test module is. A fresh home
# keeps the developer's keras.json and the models in their cache out of the tests.
_home = Path(tempfile.mkdtemp(prefix="keras-fastvit-tests-"))
atexit.register(shutil.rmtree, _home, ignore_errors=True)
os.environ["KERAS_HOME"] = str(_home / "keras")
os.environ["HF_HOME"] = str(_home / "huggingface")
os.environ["HF_ENDPOINT"] = "http://127.0.0.1:9"  # nothing listens on the discard port
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # the bounds on rounding hold for the CPU
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# JAX compiles far more here than it computes: without LLVM's optimisations that takes a third less.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
# The workers share the cores already: torch's threads, which wait by spinning, take the time of the
# other worker's. Tests took 200 s with them and 109 s without.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# What JAX compiles is kept for the rest of the run: most tests meet shapes that others have met.
# The workers and the processes that tests start inherit the folder, which goes with this process.
if "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(_home / "jax")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"


@pytest.fixture(autouse=True, scope="session")
def no_network() -> Iterator[None]:
    """Makes looking up any other machine an error: tests talk to local servers only."""
    getaddrinfo = socket.getaddrinfo

    def getaddrinfo_locally(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host not in (None, "127.0.0.1", "::1", "localhost"):
            raise RuntimeError(
                f"Tests must not use the network. Expected: a local host. Received: {host!r}"
            )
        return getaddrinfo(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", getaddrinfo_locally)
        yield


@pytest.fixture(autouse=True, scope="session")
def initial_weights_from_numpy() -> Iterator[None]:
    """Draws initial weights with NumPy, from the same distributions.

    JAX compiles a program for every shape that it draws: twenty seconds for a FastViT.
    """
    import numpy as np
    from keras import ops
    from keras.src.initializers import random_initializers

    def generator(seed: Any) -> np.random.Generator:
        return np.random.default_rng(seed if isinstance(seed, int) else int(seed.next()[0]))

    def uniform(shape: Any, minval: Any, maxval: Any, dtype: Any, seed: Any) -> Any:
        return ops.convert_to_tensor(generator(seed).uniform(minval, maxval, shape), dtype)

    def normal(
        shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None
    ) -> Any:
        return ops.convert_to_tensor(generator(seed).normal(mean, stddev, shape), dtype)

    with pytest.MonkeyPatch.context() as patch:
        keras_random = random_initializers.random
        numpy_random = SimpleNamespace(
            **{**vars(keras_random), "uniform": uniform, "normal": normal}
        )
        patch.setattr(random_initializers, "random", numpy_random)
        yield


@pytest.fixture(autouse=True, scope="module")
def memory_is_given_back() -> Iterator[None]:
    """Returns what a file of tests has freed to the system, which glibc else keeps: gigabytes."""
    yield
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


@pytest.fixture(autouse=True)
def seed() -> None:
    """Gives each test the same random numbers, whichever tests ran before it."""
    import keras

    keras.utils.set_random_seed(0)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Says how much memory the tests took: of this process, or the largest one it has started."""
    if resource is None:
        return
    users = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peak = max(resource.getrusage(user).ru_maxrss for user in users)  # in KiB on Linux
    terminalreporter.write_line(f"peak memory of one process: {peak / 2**20:.1f} GiB")
