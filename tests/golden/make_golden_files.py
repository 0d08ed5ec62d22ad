"""Writes the golden files of a version, once; `README.md` says what they are.

    KERAS_BACKEND=jax .venv/bin/python -m tests.golden.make_golden_files 0.1.0

writes `tests/golden/0.1.0/jax/`, on TensorFlow also what is written once for all backends. Of what
is there already nothing is written anew.
"""

import csv
import gzip
import json
import os
import shutil
import signal
import sys
import tempfile
import zipfile
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import keras
import numpy as np
from keras import layers
from PIL import Image

from keras_fastvit import FastViT, FastViTT8
from keras_fastvit.conversion.__main__ import main as keras_fastvit_command
from keras_fastvit.conversion.exporting.export import export
from keras_fastvit.conversion.quantization.fine_tuning import fine_tune
from keras_fastvit.conversion.tflite.runtime import TFLiteModel
from keras_fastvit.tasks import HandMesh, SemanticFPN
from keras_fastvit.training import callbacks
from tests.golden.measures import digest, waves
from tests.golden.small_variant import SMALL

CLASSES = ("rings", "slopes", "stripes")
SIDE = 64
KEPT_EPOCHS = 2
RUN = [
    *("--data", "images", "--output", "run", "--model", SMALL.name, "--recipe", "paper"),
    *("--epochs", "4", "--batch-size", "5", "--image-size", "32", "--learning-rate", "0.004"),
]


def fill(model: keras.Model) -> keras.Model:
    """Gives every weight a pattern that repeats: as good as random ones, and it compresses."""
    for i, variable in enumerate(model.variables):
        pattern, shape = np.cos(np.arange(1, 62) * (1 + i % 7)), variable.shape
        if variable.name == "moving_variance":
            value = 1 + 0.5 * pattern
        elif variable.name == "gamma":
            value = np.sign(pattern) * (0.75 + 0.25 * pattern**2)
        elif variable.name in ("beta", "bias", "moving_mean"):
            value = 0.3 * pattern
        elif "kernel" in variable.name:
            depthwise = len(shape) == 4 and shape[-1] == 1
            fan_in = np.prod(shape[:2] if depthwise else shape[:-1])
            value = pattern * (2 / fan_in) ** 0.5
        else:
            continue
        variable.assign(np.resize(value, shape).astype("float32"))
    return model


def small(side: int = SIDE, **kwargs: object) -> FastViT:
    return fill(FastViT(SMALL.name, input_shape=(side, side, 3), **kwargs))


def with_own_head() -> keras.Model:
    """A user's: a frozen T8 in another model, whose head has been trained for a step."""
    backbone = FastViTT8(weights=None, include_top=False, pooling="avg", input_shape=(32, 32, 3))
    backbone.trainable = False
    image = keras.Input((32, 32, 3))
    x = layers.Dense(8, activation="gelu", name="hidden")(backbone(image))
    x = layers.Dense(3, activation="softmax", name="own_head")(layers.Dropout(0.2)(x))
    model = fill(keras.Model(image, x, name="own"))
    model.compile("adamw", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(waves(4, 32, 32, 3), np.arange(4) % 3, batch_size=4, verbose=0)
    return model


def fake_quantized() -> keras.Model:
    photographs = waves(16, 32, 32, 3)
    model = small(32, classes=3, classifier_activation=None).fuse()
    return fine_tune(model, photographs, photographs, epochs=1)


def models() -> dict[str, keras.Model]:
    features = small(include_top=False)
    return {
        "t8": fill(FastViTT8(weights=None, classes=5, input_shape=(32, 32, 3))),
        "t8_own_head": with_own_head(),
        "training": small(classes=3),
        "fused": small(classes=3).fuse(),
        "pyramid": keras.Model(features.input, features.pyramid_outputs),
        "semantic_fpn": fill(SemanticFPN(features, 3, neck_filters=4, head_filters=4)),
        "hand_mesh": fill(HandMesh(features, units=8)),
        "fake_quantized": fake_quantized(),
    }


def compress(path: Path) -> None:
    """Replaces a zip file by one of the same entries, deflated; Keras and NumPy do not deflate."""
    with zipfile.ZipFile(path) as file:
        entries = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for name, content in entries.items():
            file.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED, 9)


def write_models(folder: Path) -> None:
    expected = {}
    for name, model in models().items():
        model.save(folder / f"{name}.keras")
        compress(folder / f"{name}.keras")
        outputs = model.predict(waves(2, *model.input_shape[1:]), verbose=0)
        for level, x in (outputs if isinstance(outputs, dict) else {"": outputs}).items():
            expected[name + level] = x
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "training.weights.h5"
        small(classes=3).save_weights(path)
        (folder / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    np.savez_compressed(folder / "expected.npz", **expected)


def write_images(folder: Path) -> None:
    """A class a pattern, six images of each, of other colours and frequencies."""
    rows, columns = np.mgrid[:40, :40] / 40 - 0.5
    shapes = (np.hypot(rows, columns) * 2, rows + columns, columns)
    for name, values in zip(CLASSES, shapes, strict=True):
        (folder / name).mkdir(parents=True)
        for i in range(6):
            phases = np.array([0, 2 + i, 4 - i]) / 3
            pixels = np.sin(values[..., None] * (8 + 3 * i) + phases)
            pixels = np.uint8(np.round(pixels * 8) * 15 + 128)
            Image.fromarray(pixels).save(folder / name / f"{i}.png", optimize=True)


def train() -> int:
    """Runs the command in the folder where it is, on the images there."""
    return keras_fastvit_command(["train", *RUN])


def train_until_interrupted() -> None:
    """Presses Ctrl-C in the epoch after those that are kept."""
    proceed = callbacks.Steps.on_train_batch_end

    def press(self: callbacks.Steps, batch: int, logs: object = None) -> None:
        proceed(self, batch, logs)
        if self.epoch == KEPT_EPOCHS:
            signal.raise_signal(signal.SIGINT)

    callbacks.Steps.on_train_batch_end = press
    assert train() == 130
    callbacks.Steps.on_train_batch_end = proceed


def write_run(images: Path, folder: Path) -> None:
    """The folder of a run that was interrupted; and what it came to when it went on."""
    with tempfile.TemporaryDirectory() as temporary:
        shutil.copytree(images, Path(temporary) / "images")
        os.chdir(temporary)
        train_until_interrupted()
        shutil.copytree("run", folder / "run")
        compress(folder / "run" / "state.npz")
        arguments = json.loads((folder / "run" / "run.json").read_text())
        arguments["data"] = "images"  # in place of a path on the machine where it was written
        (folder / "run" / "run.json").write_text(json.dumps(arguments, indent=2) + "\n")
        assert train() == 0
        shutil.copy("run/history.csv", folder / "expected_history.csv")
        model = keras.models.load_model("run/model.keras")
        outputs = model.predict(waves(2, 32, 32, 3), verbose=0)
        np.savez_compressed(folder / "expected_of_run.npz", outputs=outputs, digest=digest(model))


def write_tflite(images: Path, folder: Path) -> None:
    expected = {}
    for precision in ("none", "int8"):
        with tempfile.TemporaryDirectory() as temporary:
            path = Path(temporary) / f"{precision}.tflite"
            options = {"quantize": precision, "calibration": images, "labels": CLASSES}
            export(small(classes=3), path, **options)
            for written in (path, path.with_suffix(".json")):
                shutil.copy(written, folder)
        model = TFLiteModel(folder / path.name)
        expected[precision] = model.predict(waves(2, SIDE, SIDE, 3))
    np.savez_compressed(folder / "expected.npz", **expected)
    command = ["evaluate", *(str(folder / f"{name}.tflite") for name in expected)]
    result = folder / "expected_evaluation.json"
    assert keras_fastvit_command([*command, "--data", str(images), "--json", str(result)]) == 0
    found = json.loads(result.read_text())
    for row in found:
        row["path"] = Path(row["path"]).name  # in place of one on the machine where it was written
    result.write_text(json.dumps(found, indent=2) + "\n")


def main(version: str) -> None:
    root = Path(__file__).resolve().with_name(version)
    images = root / "images"
    folder = root / keras.backend.backend()
    folder.mkdir(parents=True)  # fails if it is there
    keras.utils.set_random_seed(0)
    if not images.exists():
        write_images(images)
    write_models(folder)
    if keras.backend.backend() == "tensorflow":
        (root / "tflite").mkdir()
        write_tflite(images, root / "tflite")
    write_run(images, folder)
    with (folder / "expected_history.csv").open() as file:
        print(*csv.reader(file), sep="\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
