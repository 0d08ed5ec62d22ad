"""The examples in docstrings run and print what they say."""

import doctest
import importlib
import pkgutil

import pytest

pytestmark = pytest.mark.single_backend

PACKAGES = (
    "keras_fastvit",
    "keras_fastvit.conversion",  # a folder of its own in the checkout
    "benchmarks",
    "android_demo.core.reference",
    "android_demo.toolchain",
)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def modules() -> list[str]:
    """Names of all modules, found without importing more than packages."""
    found = []
    for name in PACKAGES:
        folders = importlib.import_module(name).__path__
        found += [name, *(x.name for x in pkgutil.walk_packages(folders, f"{name}."))]
    return [name for name in dict.fromkeys(found) if not name.endswith("__main__")]


@pytest.mark.parametrize("name", modules())
def test_examples(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name), optionflags=FLAGS)
    assert found.failed == 0, f"{found.failed} of {found.attempted} examples: see the output"
