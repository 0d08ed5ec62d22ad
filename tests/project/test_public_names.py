"""What the packages make public is described, and is no module."""

import inspect
import json
import re
import subprocess
import sys
from dataclasses import is_dataclass
from importlib import import_module

import pytest

pytestmark = pytest.mark.single_backend

PACKAGES = [
    "keras_fastvit",
    "keras_fastvit.conversion",
    "keras_fastvit.evaluation",
    "keras_fastvit.tasks",
    "keras_fastvit.training",
]
# Imports every module of the package, then prints the public names that are modules.
MODULES = """
import importlib, json, pkgutil, types
import keras_fastvit, keras_fastvit.conversion
for package in (keras_fastvit, keras_fastvit.conversion):
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
print(json.dumps([
    f"{name}.{public}"
    for name in PACKAGES
    for public in importlib.import_module(name).__all__
    if isinstance(getattr(importlib.import_module(name), public), types.ModuleType)
]))
"""


def public() -> list[tuple[str, str]]:
    """Returns the packages' functions and classes; data cannot be described to `inspect`."""
    return [
        (package, name)
        for package in PACKAGES
        for name in import_module(package).__all__
        if callable(getattr(import_module(package), name))
    ]


@pytest.mark.parametrize(("package", "name"), public())
def test_a_public_name_is_described(package: str, name: str) -> None:
    """Its arguments, what it raises, and an example, which `test_examples.py` runs.

    The dataclass that a function returns is part of that function's example.
    """
    found = getattr(import_module(package), name)
    doc = inspect.getdoc(found)
    assert doc
    for argument in inspect.signature(found).parameters:
        assert re.search(rf"^ +\**{argument}: ", doc, re.MULTILINE), f"no word on {argument}"
    assert ">>> " in doc or is_dataclass(found), "no example"
    for error in re.findall(r"^ +raise (\w+Error)\(", inspect.getsource(found), re.MULTILINE):
        assert error in doc.partition("Raises:")[2], f"no word on {error}"


def test_no_public_name_is_a_module() -> None:
    code = f"PACKAGES = {PACKAGES}{MODULES}"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    assert json.loads(finished.stdout.splitlines()[-1]) == []
