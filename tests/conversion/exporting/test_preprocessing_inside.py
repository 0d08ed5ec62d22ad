"""Models that normalise their pixels themselves: the file computes what Keras does on a picture."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from keras_fastvit.conversion.evaluation.classifiers import TFLiteClassifier
from keras_fastvit.conversion.exporting.export import export
from keras_fastvit.conversion.exporting.report import summary
from keras_fastvit.conversion.exporting.request import Request
from keras_fastvit.conversion.tflite import sidecar
from keras_fastvit.evaluation.metrics import sqnr_db
from tests.models import randomize, run
from tests.photographs import write_photographs

pytestmark = pytest.mark.single_backend

SIDE = 32


def of_pixels(x: Any) -> Any:
    """By channel, as each has other statistics: swapped ones would be seen."""
    x = layers.Rescaling(1 / 255)(layers.RandomFlip()(x))
    return layers.Normalization(mean=[0.5, 0.4, 0.3], variance=[0.07, 0.05, 0.06])(x)


def classifier(beginning: Callable[[Any], Any], channels: int = 3) -> keras.Model:
    image = keras.Input((SIDE, SIDE, channels), name="image")
    x = layers.Conv2D(8, 3, strides=2, padding="same")(beginning(image))
    x = layers.Activation("gelu")(x)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(16, 3, activation="relu")(x))
    return randomize(keras.Model(image, layers.Dense(4)(x)))


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: Any) -> Path:
    return write_photographs(tmp_path_factory.mktemp("photographs"))


@pytest.mark.parametrize("quantize", ["none", "int8"])
def test_as_its_description_says_a_file_computes_what_keras_does_on_pixels(
    tmp_path: Path, photographs: Path, quantize: str
) -> None:
    model = classifier(of_pixels)
    path = tmp_path / "model.tflite"
    exported = export(model, path, quantize=quantize, calibration=photographs)
    assert "RGB, 0 to 255: the file normalises them" in summary(exported)
    described = exported.sidecar["input"]
    assert (described["mean"], described["std"]) == ([0, 0, 0], [1 / 255] * 3)
    file = TFLiteClassifier(path)
    pixels = np.stack([file.preparation.load(x) for x in sorted(photographs.rglob("*.png"))])
    expected = run(model, pixels.astype("float32"))
    assert sqnr_db(expected, file.logits(pixels)) > (90 if quantize == "none" else 22)


def test_a_description_that_the_file_is_not_used_rightly_by_is_found(
    tmp_path: Path, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe = Request.describe

    def wrongly(self: Request, *args: Any) -> Any:
        return describe(replace(self, normalization="imagenet"), *args)

    monkeypatch.setattr(Request, "describe", wrongly)
    with pytest.raises(ArithmeticError, match="does not compute what the model does"):
        export(classifier(of_pixels), tmp_path / "model.tflite", calibration=photographs)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("channels", [1, 4])
def test_of_other_channels_nothing_is_made_up(tmp_path: Path, channels: int) -> None:
    model, path = classifier(lambda x: x, channels), tmp_path / "model.tflite"
    exported = export(model, path)
    described = exported.sidecar["input"]
    assert f"{channels} channels, as the model takes them" in summary(exported)
    assert [described[name] for name in ("color", "mean", "std")] == [None] * 3
    assert sidecar.read(path)["input"] == described
    with pytest.raises(ValueError, match=rf"Received: \(1, 32, 32, {channels}\)"):
        TFLiteClassifier(path)
