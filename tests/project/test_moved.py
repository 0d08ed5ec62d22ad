"""Old names of modules, as documents have shown them and as users' files carry them."""

import importlib.util
import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import keras_fastvit
from keras_fastvit.conversion import __main__ as command_line
from keras_fastvit.moved import COMMANDS, KEPT, MODULES, run_command

pytestmark = pytest.mark.single_backend

ROOT = Path(__file__).resolve().parents[2]
# By old module: the public names that it had.
NAMES = {
    "keras_fastvit.blocks": "ConvFFN Downsample RepMixer",
    "keras_fastvit.fake_quantization": "FakeQuantize FakeQuantizedWeights",
    "keras_fastvit.inlining": "inline",
    "keras_fastvit.layers": "ConvBN LayerScale MobileOneBlock",
    "keras_fastvit.model": "FastViT",
    "keras_fastvit.preprocessing": "IMAGENET_MEAN NORMALIZATIONS class_names decode_predictions "
    "load_image preprocess_input",
    "keras_fastvit.pretrained": "NAMED_WEIGHTS find_weights load_weights weights_names",
    "keras_fastvit.segformer": "SegFormerEncoder",
    "keras_fastvit.text_embeddings": "TextEmbeddings read_text_embeddings",
    "keras_fastvit.variants": "VARIANTS Variant get_variant",
    "keras_fastvit.conversion.export_tflite": "export",
    "keras_fastvit.conversion.lowering": "lower",
    "keras_fastvit.conversion.quantization": "Quantized quantize quantize_as_trained",
    "keras_fastvit.conversion.quantization_aware": "fine_tune",
}
NAME_PAIRS = [(old, name) for old, names in NAMES.items() for name in names.split()]


@pytest.fixture
def anew() -> None:
    """Old modules are imported and their names looked up for the first time in this process."""
    for old, name in NAME_PAIRS:
        module = sys.modules.get(old)
        if module is not None and hasattr(module, "__path__"):
            vars(module).pop(name, None)
        else:
            sys.modules.pop(old, None)
            vars(keras_fastvit).pop(old.split(".")[1], None)


def test_every_row_has_its_names_here() -> None:
    assert NAMES.keys() == MODULES.keys()
    assert MODULES.keys() >= KEPT


@pytest.mark.parametrize(("old", "name"), NAME_PAIRS)
@pytest.mark.usefixtures("anew")
def test_an_old_name_is_the_new_object_and_warns_once(old: str, name: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found: dict[str, object] = {}
        for _ in range(2):
            exec(f"from {old} import {name}", {"__name__": "users_module"}, found)
    new, *_ = [x for x in MODULES[old] if hasattr(importlib.import_module(x), name)]
    assert found[name] is getattr(importlib.import_module(new), name)
    messages = [str(x.message) for x in caught]
    if old in KEPT:
        assert messages == []
    else:
        (message,) = messages
        assert message.startswith(f"`{old}.{name}` works until 0.3: it is `")
        shown = message.split("`")[3]
        assert getattr(importlib.import_module(shown.rpartition(".")[0]), name) is found[name]


@pytest.mark.usefixtures("anew")
def test_old_modules_are_attributes_of_the_package() -> None:
    with pytest.warns(DeprecationWarning, match=r"it is `keras_fastvit.load_image` now") as caught:
        assert keras_fastvit.preprocessing.load_image is keras_fastvit.load_image  # type: ignore[attr-defined]
    assert caught[0].filename == __file__


@pytest.mark.usefixtures("anew")
def test_a_name_that_never_was_is_an_error() -> None:
    with pytest.raises(ImportError, match="no_such_name"):
        exec("from keras_fastvit.preprocessing import no_such_name")
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("keras_fastvit.no_such_module")


@pytest.mark.usefixtures("anew")
def test_pickles_find_classes_silently_where_they_were() -> None:
    from keras_fastvit.architecture.layers import ConvBN

    assert pickle.loads(b"ckeras_fastvit.layers\nConvBN\n.") is ConvBN


@pytest.mark.parametrize("old", COMMANDS)
def test_an_old_command_runs_the_new_one(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(command_line, "main", lambda argv: ran.append(["keras-fastvit", *argv]))
    monkeypatch.setattr(
        "runpy.run_module", lambda name, **_: ran.append(["python", "-m", name, *sys.argv[1:]])
    )
    monkeypatch.setattr(sys, "argv", [])
    with pytest.warns(DeprecationWarning, match=f"write `{COMMANDS[old]}`"):
        run_command(old, ["--help"])
    assert ran == [[*COMMANDS[old].split(), "--help"]]


@pytest.mark.parametrize("old", COMMANDS)
def test_an_old_command_is_found_by_python_m(old: str) -> None:
    spec = importlib.util.find_spec(old)
    assert spec is not None
    assert spec.loader is not None
    code = spec.loader.get_code(old)  # type: ignore[attr-defined]  # what `python -m` runs
    assert "run_command" in code.co_names


def test_python_m_shows_the_warning_and_the_help() -> None:
    finished = run_python("-m", "keras_fastvit.evaluate", "--help")
    assert finished.stdout.startswith("usage: keras-fastvit evaluate")
    assert "DeprecationWarning: `python -m keras_fastvit.evaluate` works until" in finished.stderr


def test_the_bare_name_of_the_folder_is_refused() -> None:
    finished = run_python("-c", "import conversion.export_tflite")
    assert finished.stderr.splitlines()[-1] == (
        "ImportError: This folder is the package keras_fastvit.conversion. Expected `import "
        "keras_fastvit.conversion`, after `pip install --editable .` in the checkout. Received: "
        "`import conversion`"
    )


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs Python in the root of the checkout."""
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=os.environ, capture_output=True, text=True
    )
