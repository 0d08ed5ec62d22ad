"""What a model tells about the images that it takes."""

from collections.abc import Callable
from typing import Any

import keras
import pytest
from keras import layers, ops

from keras_fastvit import preprocess_input
from keras_fastvit.graph.normalization import normalization_of
from tests.models import tiny

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def normalization(scale: float) -> layers.Layer:
    variance = [(scale * x) ** 2 for x in STD]
    return layers.Normalization(axis=-1, mean=[scale * x for x in MEAN], variance=variance)


def adapted() -> layers.Layer:
    layer = layers.Normalization(axis=None)
    layer.adapt(keras.random.uniform((8, 8, 8, 3), 0, 255, seed=1))
    return layer


def trained_batch_norm() -> layers.Layer:
    layer = layers.BatchNormalization()
    layer.build((None, 16, 16, 3))
    layer.moving_mean.assign([120, 110, 100])
    layer.moving_variance.assign([3000, 3100, 3200])
    return layer


def flips_and_pads(x: Any) -> Any:
    return layers.ZeroPadding2D(3)(layers.RandomFlip()(x))


BEGINNINGS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "1/255": ("pixels", layers.Rescaling(1 / 255)),
    "-1..1": ("pixels", layers.Rescaling(1 / 127.5, offset=-1)),
    "of pixels": ("pixels", normalization(255)),
    "adapted": ("pixels", adapted()),
    "batch norm": ("pixels", trained_batch_norm()),
    "arithmetic": ("pixels", lambda x: (x / 255 - ops.array(MEAN)) / ops.array(STD)),
    "preprocess_input": ("pixels", lambda x: preprocess_input(x, "channels_last")),
    "both": ("pixels", lambda x: normalization(1)(layers.Rescaling(1 / 255)(x))),
    "nested": (
        "pixels",
        keras.Sequential(
            [keras.Input((16, 16, 3)), layers.RandomFlip(), layers.Rescaling(1 / 255)]
        ),
    ),
    "resized first": ("pixels", lambda x: layers.Rescaling(1 / 255)(layers.Resizing(20, 20)(x))),
    "padded first": ("pixels", lambda x: layers.Rescaling(1 / 255)(flips_and_pads(x))),
    "of 0..1": ("unit", layers.Rescaling(2, offset=-1)),
    "of 0..1, by channel": ("unit", normalization(1)),
    "of 0..1, through pixels": ("unit", lambda x: normalization(255)(layers.Rescaling(255)(x))),
    "nothing": ("imagenet", lambda x: x),
    "augmentation": ("imagenet", flips_and_pads),
    "a new batch norm": ("imagenet", layers.BatchNormalization()),
    "an empty model": ("imagenet", keras.Sequential([keras.Input((16, 16, 3)), layers.Identity()])),
}


@pytest.mark.parametrize("name", BEGINNINGS)
def test_a_beginning(name: str) -> None:
    expected, beginning = BEGINNINGS[name]
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(2, 3)(beginning(image))
    assert normalization_of(keras.Model(image, layers.Rescaling(1 / 255)(x))) == expected


@pytest.mark.parametrize("channels", [1, 4])
def test_other_channels_and_unknown_sides(channels: int) -> None:
    image = keras.Input((None, None, channels))
    x = layers.Conv2D(2, 3)(layers.Rescaling(1 / 255)(image))
    assert normalization_of(keras.Model(image, x)) == "pixels"


def test_a_name_of_a_variant() -> None:
    x = keras.Input((4,))
    for name, expected in (("fastvit_mci1", "unit"), ("fastvit_t8", "imagenet"), ("a", "imagenet")):
        assert normalization_of(keras.Model(x, x, name=name)) == expected


def test_a_model_around_a_variant_takes_what_that_takes() -> None:
    inner = tiny(name="fastvit_mci3", data_format="channels_last")
    image = keras.Input(inner.input_shape[1:])
    model = keras.Model(image, layers.Dense(3)(inner(image)))
    assert normalization_of(model) == "clip"
    rescaled = keras.Model(image, inner(layers.Rescaling(1 / 255)(image)))
    assert normalization_of(rescaled) == "pixels"


def test_a_model_without_a_graph_or_one_image_tells_nothing() -> None:
    class Own(keras.Model):
        def call(self, x: Any) -> Any:
            return x

    assert normalization_of(Own(name="fastvit_mci3")) == "clip"
    a, b = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    assert normalization_of(keras.Model([a, b], a / 255 + b)) == "pixels"
    assert normalization_of(keras.Model([a, b], a + b)) == "imagenet"
