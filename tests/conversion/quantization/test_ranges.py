"""Ranges: TensorFlow's and LiteRT's arithmetic, and the least error."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_fastvit import fuse
from keras_fastvit.conversion.lowering.lower import lower
from keras_fastvit.conversion.operations import TANH_RANGE, UNIT_RANGE, known
from keras_fastvit.conversion.quantization.ranges import (
    best_range,
    exact_range,
    keeps_range,
    rounded,
    scale_and_zero_point,
    symmetric,
    symmetric_tensors,
)
from tests.models import tiny

pytestmark = pytest.mark.single_backend

LIMITS = [
    (-1.0, 1.0),
    (0.0, 6.0),
    (-3.7, 0.0),
    (-0.17, 5.3),
    (-1e-4, 3e-5),
    (-2e4, 1e3),
    (0.5, 2.0),
]


def silu(x):
    return x / (1 + np.exp(-x))


def values(count=20_000, seed=0):
    return np.random.default_rng(seed).normal(size=count).astype("float32")


@pytest.mark.parametrize("limits", LIMITS)
def test_rounding_is_tensorflows(limits):
    import tensorflow as tf

    low, high = exact_range(limits)
    x = np.linspace(1.2 * low - 0.1 * high, 1.2 * high - 0.1 * low, 10_007, dtype="float32")
    scale, _ = scale_and_zero_point(limits)
    ties = np.abs(np.abs(x / scale - np.rint(x / scale)) - 0.5) < 1e-2
    expected = tf.quantization.fake_quant_with_min_max_args(x, low, high).numpy()
    assert ties.mean() < 0.05
    np.testing.assert_allclose(rounded(x, limits)[~ties], expected[~ties], atol=1e-3 * scale)


@pytest.mark.parametrize("limits", LIMITS)
def test_rounding_is_a_round_trip_through_int8(limits):
    scale, zero_point = scale_and_zero_point(limits)
    x = values() * max(-limits[0], limits[1])
    integers = np.clip(np.round(x / np.float32(scale)) + zero_point, -128, 127).astype("int8")
    expected = (integers.astype("float32") - zero_point) * np.float32(scale)
    received = rounded(x, limits)
    assert received.dtype == np.float32
    np.testing.assert_allclose(received, expected, rtol=1e-6)
    assert len(np.unique(received)) <= 256
    np.testing.assert_array_equal(rounded(received, limits), received)


@pytest.mark.parametrize("limits", LIMITS)
def test_exact_ranges(limits):
    low, high = exact_range(limits)
    scale, zero_point = scale_and_zero_point(limits)
    assert -128 <= zero_point <= 127
    assert rounded(np.zeros(1), limits)[0] == 0
    assert low <= 0 <= high
    assert abs(low - min(limits[0], 0)) <= scale / 2 * 1.001
    assert abs(high - max(limits[1], 0)) <= scale / 2 * 1.001
    np.testing.assert_allclose(exact_range((low, high)), (low, high), rtol=1e-6)
    assert scale_and_zero_point((low, high))[1] == zero_point
    np.testing.assert_allclose(rounded(np.array([low, high]), limits), [low, high], rtol=1e-6)


def test_a_range_of_nothing_but_zero():
    assert scale_and_zero_point((0.0, 0.0))[0] > 0
    assert best_range(np.zeros(10)) == (0.0, 1.0)
    np.testing.assert_array_equal(rounded(np.zeros(10), (0.0, 0.0)), np.zeros(10))


@pytest.mark.parametrize("function", [lambda x: x, silu])
@pytest.mark.parametrize("kind", ["normal", "relu", "negative", "laplace", "uniform", "shifted"])
def test_the_best_range_is_never_worse_than_that_of_the_values(kind, function):
    x = values()
    x = {
        "normal": x,
        "relu": np.maximum(x, 0),
        "negative": -np.abs(x) * 8,
        "laplace": x * np.abs(x) * 4,
        "uniform": np.random.default_rng(0).uniform(-1, 3, x.size),
        "shifted": x + 4,
    }[kind]

    def error(limits):
        return np.square(function(rounded(x, limits)) - function(x)).mean()

    whole = min(float(x.min()), 0.0), max(float(x.max()), 0.0)
    best = best_range(x, function)
    assert error(best) <= 1.01 * error(whole)
    assert whole[0] * 1.001 - 1e-9 <= best[0] <= 0 <= best[1] <= whole[1] * 1.001 + 1e-9
    if kind in ("relu", "negative"):
        assert 0 in best


@pytest.mark.parametrize("side", [1, -1])
def test_an_outlier_is_cut_off(side):
    x = np.random.default_rng(0).uniform(-1, 1, 2_000_000)
    x[17] = side * 8.0
    low, high = best_range(x) if side > 0 else best_range(x)[::-1]
    assert 0.95 < side * high < 2
    assert 0.95 < -side * low < 2


def test_what_gelu_does_not_tell_apart_is_cut_off():
    x = np.random.default_rng(0).uniform(-12, 3, 50_000)
    assert best_range(x)[0] < -11
    low, high = best_range(x, silu)
    assert -9 < low < -3
    assert high > 2.9


@pytest.mark.parametrize("limits", LIMITS)
def test_symmetric_ranges(limits):
    wide = symmetric(limits)
    assert scale_and_zero_point(wide)[1] == 0
    assert wide[0] <= limits[0]
    assert wide[1] >= limits[1]
    scale = max(-limits[0] / 128, limits[1] / 127)
    np.testing.assert_allclose(wide, (-128 * scale, 127 * scale))


def test_fixed_ranges_and_kept_ones():
    def fixed(function):
        return known(layers.Activation(function)).range

    assert fixed("sigmoid") == fixed("softmax") == known(layers.Softmax()).range == UNIT_RANGE
    assert scale_and_zero_point(UNIT_RANGE) == (1 / 256, -128)
    assert fixed("tanh") == TANH_RANGE
    assert scale_and_zero_point(TANH_RANGE) == (1 / 128, 0)
    assert fixed("gelu") is fixed("relu") is known(layers.Conv2D(1, 1)).range is None
    assert keeps_range(layers.Reshape((1,)))
    assert keeps_range(layers.AveragePooling2D(2))
    assert not keeps_range(layers.GlobalAveragePooling2D())
    assert not keeps_range(layers.Add())


def test_symmetric_tensors_are_those_that_matrices_are_multiplied_with():
    lowered = lower(fuse(tiny(data_format="channels_last")))
    mixer = "stage_3_block_0_token_mixer"
    parts = ("", "_heads", "_transposed")
    expected = {f"{mixer}_{name}{part}" for name in ("key", "value") for part in parts}
    assert set(symmetric_tensors(lowered)) == expected


def test_models_without_a_product_of_matrices_have_no_symmetric_tensors():
    x = keras.Input((4, 4, 3))
    y = layers.Flatten()(layers.Conv2D(2, 3)(x))
    assert not set(symmetric_tensors(keras.Model(x, y)))
