"""Files that earlier versions wrote load, compute and train on as they did; see golden/README.md.

Where a file does not, the code is wrong, not the file.
"""

import csv
import functools
import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import tree

from keras_fastvit import FastViT
from keras_fastvit.conversion.__main__ import main
from keras_fastvit.conversion.tflite.runtime import TFLiteModel
from keras_fastvit.weights.model_files import read_model_file
from tests.golden import measures
from tests.golden.measures import digest, waves
from tests.golden.small_variant import SMALL
from tests.models import BACKEND, relative_difference

GOLDEN = Path(measures.__file__).parent
VERSIONS = sorted(path.parents[1] for path in GOLDEN.glob(f"*/{BACKEND}/expected.npz"))
NAMES = (
    *("t8", "t8_own_head", "training", "fused", "pyramid", "semantic_fpn", "hand_mesh"),
    "fake_quantized",
)
# What the other backends have written is loaded, too: some of it, which has all kinds of layers.
OF_OTHERS = ("training", "fused", "semantic_fpn", "fake_quantized")
OTHERS = sorted({"tensorflow", "jax", "torch"} - {BACKEND})
# Fake quantisation rounds a value next to the middle between two steps to either.
BOUNDS = {"fake_quantized": 0.02}

every_version = pytest.mark.parametrize("version", VERSIONS, ids=lambda path: path.name)


@functools.cache
def load(path: Path) -> keras.Model:
    return keras.models.load_model(path)


def expected(written: Path, name: str) -> dict[str, np.ndarray]:
    """What a model gave: by level of a pyramid, by "" of others."""
    with np.load(written / "expected.npz") as file:
        return {
            key.removeprefix(name): x
            for key, x in file.items()
            if key in (name, *(f"{name}P{level}" for level in range(2, 6)))
        }


def assert_gives(outputs: object, wanted: dict[str, np.ndarray], bound: float = 1e-4) -> None:
    found = outputs if isinstance(outputs, dict) else {"": outputs}
    assert found.keys() == wanted.keys()
    for key, x in wanted.items():
        assert relative_difference(found[key], x) < bound, key


def outputs_of(model: keras.Model) -> object:
    # Not `predict`, nor compiled as a whole: on JAX the models share the programs of their ops.
    outputs = model(waves(2, *model.input_shape[1:]), training=False)
    return tree.map_structure(keras.ops.convert_to_numpy, outputs)


def rows(path: Path) -> list[dict[str, float]]:
    with path.open() as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


@every_version
def test_nothing_is_missing(version: Path) -> None:
    for backend in (BACKEND, *OTHERS):
        assert {path.stem for path in (version / backend).glob("*.keras")} == set(NAMES)


@every_version
@pytest.mark.parametrize("name", NAMES)
def test_a_model_gives_what_it_gave(version: Path, name: str) -> None:
    written = version / BACKEND
    outputs = outputs_of(load(written / f"{name}.keras"))
    assert_gives(outputs, expected(written, name), BOUNDS.get(name, 1e-4))


@every_version
@pytest.mark.parametrize("name", OF_OTHERS)
@pytest.mark.parametrize("backend", OTHERS)
def test_a_model_of_another_backend_gives_what_it_gave(
    version: Path, backend: str, name: str
) -> None:
    written = version / backend
    outputs = outputs_of(read_model_file(written / f"{name}.keras"))
    assert_gives(outputs, expected(written, name), BOUNDS.get(name, 1e-4))


@every_version
def test_weights_give_what_they_gave(version: Path, tmp_path: Path) -> None:
    model = FastViT(SMALL.name, input_shape=(64, 64, 3), classes=3)
    fresh = model.get_weights()
    path = tmp_path / "training.weights.h5"
    for backend in (BACKEND, *OTHERS):
        model.set_weights(fresh)
        path.write_bytes(gzip.decompress((version / backend / f"{path.name}.gz").read_bytes()))
        model.load_weights(path)
        assert_gives(outputs_of(model), expected(version / backend, "training"))


@every_version
def test_the_training_form_is_fused_to_what_it_was(version: Path) -> None:
    fused = load(version / BACKEND / "training.keras").fuse()
    before = load(version / BACKEND / "fused.keras")
    assert [layer.name for layer in fused.layers[1:]] == [layer.name for layer in before.layers[1:]]
    for x, y in zip(fused.get_weights(), before.get_weights(), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)


@every_version
def test_a_users_model_goes_on_where_it_was(version: Path) -> None:
    model = load(version / BACKEND / "t8_own_head.keras")
    assert int(model.optimizer.iterations) == 1
    names = [f"{layer}/{x}" for layer in ("hidden", "own_head") for x in ("kernel", "bias")]
    assert [variable.path for variable in model.trainable_variables] == names


LOAD = """
import json
import sys
import keras_fastvit
import keras
import numpy as np
for path in sys.argv[1:]:
    weights = keras.models.load_model(path).get_weights()
    print(json.dumps([float(np.abs(x).sum(dtype="float64")) for x in weights]))
"""


@every_version
def test_nothing_else_is_imported(version: Path, tmp_path: Path) -> None:
    """All but what has the small variant's name, which a user does not know."""
    names = [name for name in NAMES if name != "training"]
    if BACKEND == "jax":  # it compiles a program for every shape that it draws: few models
        names = ["t8_own_head", "fake_quantized"]
    paths = [version / BACKEND / f"{name}.keras" for name in names]
    finished = subprocess.run(
        [sys.executable, "-c", LOAD, *paths],
        cwd=tmp_path,
        env={**os.environ, "KERAS_BACKEND": BACKEND},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    for path, line in zip(paths, finished.stdout.splitlines(), strict=True):
        sums = [np.abs(x).sum(dtype="float64") for x in load(path).get_weights()]
        assert json.loads(line) == pytest.approx(sums), path.name


@pytest.mark.single_backend
@every_version
def test_tflite_files_give_what_they_gave(version: Path) -> None:
    with np.load(version / "tflite" / "expected.npz") as wanted:
        for name, steps in (("none", 0), ("int8", 2)):
            model = TFLiteModel(version / "tflite" / f"{name}.tflite")
            outputs = model.predict(waves(2, *model.input_shape[1:]))
            bound = steps * model.output_quantization[0] if steps else 1e-5
            np.testing.assert_allclose(outputs, wanted[name], rtol=0, atol=1.01 * bound)


@every_version
def test_evaluate_finds_what_it_found(version: Path, tmp_path: Path) -> None:
    folder, found = version / "tflite", tmp_path / "evaluation.json"
    files = [str(folder / f"{name}.tflite") for name in ("none", "int8")]
    model = str(version / BACKEND / "training.keras")
    command = ["evaluate", *files, model, "--data", str(version / "images"), "--json", str(found)]
    assert main(command) == 0
    float32, int8, _ = json.loads(found.read_text())
    wanted = json.loads((folder / "expected_evaluation.json").read_text())
    for now, before in zip((float32, int8), wanted, strict=True):
        for key in ("images", "skipped", "folders", "top5"):
            assert now[key] == before[key], key
    assert float32["top1"] == wanted[0]["top1"]
    assert abs(int8["top1"] - wanted[1]["top1"]) * int8["images"] < 1.5
    assert float32["agreement"] == 1
    assert float32["sqnr_db"] > 80
    assert int8["sqnr_db"] > 20


@every_version
def test_predict_says_the_same_of_a_file_and_its_model(
    version: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = [str(version / "images" / name / "1.png") for name in ("rings", "slopes", "stripes")]
    file = ["--model", str(version / "tflite" / "none.tflite")]
    model = ["--model", str(version / BACKEND / "fused.keras"), "--crop-pct", "0.9"]
    answers = []
    for options in (file, model):
        assert main(["predict", *images, *options, "--top", "1"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[-6::2] == images
        answers.append([line.split()[:2] for line in lines[-5::2]])
    for (score, label), (other_score, other_label) in zip(*answers, strict=True):
        assert label == other_label
        assert float(score) == pytest.approx(float(other_score), abs=2e-4)


@every_version
def test_an_interrupted_training_goes_on_to_where_it_went(
    version: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written, run, images = version / BACKEND, tmp_path / "run", tmp_path / "images"
    shutil.copytree(written / "run", run)
    shutil.copytree(version / "images", images)
    arguments = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**arguments, "data": str(images.resolve())}))
    command = ["train", f"--data={images}", f"--output={run}"]
    for name in ("model", "recipe", "epochs", "batch_size", "image_size", "learning_rate"):
        command.append(f"--{name.replace('_', '-')}={arguments[name]}")
    assert main(command) == 0
    assert "Going on after epoch 2 of 4" in capsys.readouterr().out

    history, expected_history = (
        rows(path) for path in (run / "history.csv", written / "expected_history.csv")
    )
    for row, wanted in zip(history, expected_history, strict=True):
        for name in row.keys() - {"images_per_second"}:
            assert row[name] == pytest.approx(wanted[name], rel=1e-3, abs=1e-5), name
    model = keras.models.load_model(run / "model.keras")
    with np.load(written / "expected_of_run.npz") as wanted:
        np.testing.assert_allclose(digest(model), wanted["digest"], atol=1e-3)
        assert_gives(outputs_of(model), {"": wanted["outputs"]}, 1e-3)
        assert_gives(outputs_of(load(run / "fused.keras")), {"": wanted["outputs"]}, 1e-3)
