"""What the tests of the lowering share: exact comparison, and looks at a model's operations."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from tests.models import BACKEND, randomize, relative_difference, run

# In float64, where TensorFlow has it, rounding does not hide a tap in the wrong place.
ON_TENSORFLOW = BACKEND == "tensorflow"
EXACT = 1e-12 if ON_TENSORFLOW else 1e-5


def set_precision(dtype: str) -> None:
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)


@pytest.fixture(autouse=True)
def precision() -> Iterator[None]:
    set_precision("float64" if ON_TENSORFLOW else "float32")
    yield
    set_precision("float32")


def image(*shape: int) -> Any:
    return keras.Input(batch_shape=(1, *shape))


def noise(model: keras.Model) -> np.ndarray:
    return np.random.default_rng(0).normal(size=model.inputs[0].shape).astype(keras.config.floatx())


def check(lowered: keras.Model, model: keras.Model, tolerance: float = EXACT) -> keras.Model:
    """Checks that both compute the same and are sound; returns the first."""
    x = noise(lowered)
    expected, received = run(model, x), run(lowered, x)
    assert np.ptp(expected) > 0
    assert relative_difference(received, expected) < tolerance
    names = [operation.name for operation in lowered.operations]
    assert len(set(names)) == len(names)
    return lowered


def of_type(model: keras.Model, kind: Any) -> list[Any]:
    return [operation for operation in model.operations if isinstance(operation, kind)]


def kinds(model: keras.Model) -> list[str]:
    """The types of a model's operations, the input left out, in the order of their names."""
    return sorted(type(operation).__name__ for operation in model.operations[1:])


def taps(model: keras.Model) -> list[int]:
    """How many taps the depthwise convolutions have."""
    return [int(np.prod(c.kernel_size)) for c in of_type(model, layers.DepthwiseConv2D)]


def depthwise(*shape: int, strides: int = 1, size: int = 7, **kwargs: Any) -> keras.Model:
    """A depthwise convolution as FastViT's inference form has it, by random weights."""
    x = inputs = image(*shape)
    if strides == 2:
        x = layers.ZeroPadding2D(size // 2, name="pad")(x)
    padding = "same" if strides == 1 else "valid"
    conv = layers.DepthwiseConv2D(size, strides, padding, name="conv", **kwargs)
    return randomize(keras.Model(inputs, conv(x)))
