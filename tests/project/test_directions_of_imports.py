"""Modules import only what lies below them, and what is private to Keras in one place."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.single_backend

ROOT = Path(__file__).resolve().parents[2]
# From the bottom up. A module belongs to the longest prefix of its name; modules of one layer may
# import each other.
LAYERS = (
    (
        "keras_fastvit.archives",
        "keras_fastvit.arrays",
        "keras_fastvit.atomic_file",
        "keras_fastvit.json_files",
        "keras_fastvit.moved",
        "keras_fastvit.plain_text",
        "keras_fastvit.progress",
    ),
    ("keras_fastvit.architecture.variants", "keras_fastvit.architecture.fusion"),
    ("keras_fastvit.graph", "keras_fastvit.images"),
    ("keras_fastvit.architecture",),
    ("keras_fastvit.weights",),
    ("keras_fastvit.clip", "keras_fastvit.tasks"),
    ("keras_fastvit.applications", "keras_fastvit.registration"),
    ("keras_fastvit",),  # the public names
    ("keras_fastvit.evaluation",),
    ("keras_fastvit.training",),
    ("keras_fastvit.conversion.native_output", "keras_fastvit.conversion.operations"),
    ("keras_fastvit.conversion.tflite",),
    ("keras_fastvit.conversion.lowering",),
    ("keras_fastvit.conversion.quantization",),
    ("keras_fastvit.conversion.exporting",),
    ("keras_fastvit.conversion",),  # the public names
    ("keras_fastvit.conversion.commands",),
    ("keras_fastvit.conversion.__main__", "keras_fastvit.conversion.references"),
    ("benchmarks",),
)
NOTHING_OF_OURS = {"keras_fastvit.architecture.variants", "keras_fastvit.architecture.fusion"}


def layer_of(module: str) -> int:
    """Returns the number of a module's layer, from the bottom."""
    found = [
        (len(prefix), number)
        for number, prefixes in enumerate(LAYERS)
        for prefix in prefixes
        if f"{module}.".startswith(f"{prefix}.")
    ]
    return max(found)[1]


def imports() -> Iterator[tuple[str, str]]:
    """Yields each module with each module that it imports, wherever in its text."""
    for folder, package in (
        ("keras_fastvit", "keras_fastvit"),
        ("conversion", "keras_fastvit.conversion"),
        ("benchmarks", "benchmarks"),
    ):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            module = ".".join((package, *parts)).removesuffix(".__init__")
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    yield from ((module, x.name) for x in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module:
                    # `from package import module` imports the module.
                    for name in (f"{node.module}.{x.name}" for x in node.names):
                        place = name.replace("keras_fastvit.conversion", "conversion", 1)
                        file = ROOT / place.replace(".", "/")
                        is_module = file.with_suffix(".py").exists() or file.is_dir()
                        yield module, name if is_module else node.module


def test_imports_go_downwards() -> None:
    ours = [x for x in imports() if x[1].startswith(("keras_fastvit", "benchmarks"))]
    upwards = {
        (importer, imported)
        for importer, imported in ours
        if layer_of(importer) < layer_of(imported)
        # The package's own `__init__` is imported with any module of it.
        and importer != "keras_fastvit"
    }
    assert not upwards
    assert not [x for x in ours if x[0] in NOTHING_OF_OURS]
    assert len(ours) > 500


def test_one_module_imports_what_keras_keeps_private() -> None:
    importers = {importer for importer, imported in imports() if imported.startswith("keras.src")}
    assert importers == {"keras_fastvit.graph.keras_internals"}


def test_one_folder_reads_private_attributes_of_keras() -> None:
    private = {"_flatten_layers", "_inbound_nodes", "_keras_history", "_nodes_by_depth"}
    readers = {
        path.relative_to(ROOT).parent.as_posix()
        for folder in ("keras_fastvit", "conversion", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in private
    }
    assert readers == {"keras_fastvit/graph"}
