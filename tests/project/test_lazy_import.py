"""`import keras_fastvit` imports no Keras, and Keras knows the layers all the same."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"absl", "jax", "keras", "numpy", "tensorflow", "torch"}
FIRST_IMPORTS = [
    "import keras_fastvit, keras",
    "import keras, keras_fastvit",
    # Modules of ours that import Keras: half imported when it is there.
    "from keras_fastvit import FastViTT8",
    "from keras_fastvit import preprocess_input",
    "import keras_fastvit.architecture.layers",
    "import keras_fastvit.tasks.mano",
]
REGISTERED = """
import json, sys
keras = sys.modules["keras"]
print(json.dumps(sorted(x for x in keras.saving.get_custom_objects() if "keras_fastvit" in x)))
"""
EVERYTHING = """
import importlib, pkgutil
import keras_fastvit.architecture, keras_fastvit.tasks
for package in (keras_fastvit.architecture, keras_fastvit.tasks):
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
"""


def output_of(code: str, **variables: str) -> str:
    """Runs code in a process of its own, with these environment variables."""
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.mark.single_backend
@pytest.mark.parametrize("module", ["keras_fastvit", "keras_fastvit.tasks"])
def test_imports_neither_keras_nor_numpy(module: str) -> None:
    imported = json.loads(
        output_of(f"import json, sys, {module}; dir({module}); print(json.dumps([*sys.modules]))")
    )
    assert not HEAVY & set(imported)


@pytest.mark.single_backend
def test_all_layers_are_registered_whatever_is_imported_first() -> None:
    def registered_after(code: str) -> list[str]:
        names: list[str] = json.loads(output_of(code + REGISTERED, KERAS_BACKEND="numpy"))
        return names

    expected = registered_after(EVERYTHING)
    assert len(expected) == 21
    for code in FIRST_IMPORTS:
        assert registered_after(code) == expected, code


@pytest.mark.single_backend
def test_an_error_of_keras_is_shown_as_keras_raises_it() -> None:
    code = "import os; os.environ['KERAS_BACKEND'] = 'none'; import keras_fastvit, keras"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert finished.stderr.splitlines()[-1] == "ValueError: Unable to import backend : none"


def test_a_saved_model_loads_with_nothing_imported_but_the_package(tmp_path: Path) -> None:

    import keras_fastvit
    from keras_fastvit.tasks.segformer import SegFormerEncoder

    backbone = keras_fastvit.FastViTT8(include_top=False, weights=None, input_shape=(32, 32, 3))
    SegFormerEncoder(backbone).save(path := tmp_path / "encoder.keras")
    output_of(f"import keras_fastvit, keras; keras.saving.load_model({str(path)!r})")


@pytest.mark.single_backend
def test_the_package_knows_its_version_and_names() -> None:
    import keras_fastvit

    assert keras_fastvit.__version__ == "0.1.0"
    assert set(dir(keras_fastvit)) >= {*keras_fastvit.__all__}
    with pytest.raises(AttributeError, match="no_such_name"):
        keras_fastvit.no_such_name  # type: ignore[attr-defined]  # noqa: B018
