"""Layers as matrix products, and models run call by call."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_fastvit import fuse
from keras_fastvit.conversion.lowering.lower import lower
from keras_fastvit.conversion.quantization.graph_values import GraphValues
from keras_fastvit.conversion.quantization.layer_inputs import layer_problem
from keras_fastvit.graph.rewriting import calls_of
from tests.models import images, randomize, run, tiny

pytestmark = pytest.mark.single_backend

CONVOLUTIONS = [
    {"kernel_size": 3},
    {"kernel_size": 1},
    {"kernel_size": (4, 5)},
    {"kernel_size": (2, 4), "strides": 2},
    {"kernel_size": 3, "strides": 2},
    {"kernel_size": 7, "strides": 2},
    {"kernel_size": (3, 5), "dilation_rate": 2},
    {"kernel_size": (4, 2), "dilation_rate": (2, 6)},
    {"kernel_size": (3, 7), "dilation_rate": (2, 1)},
]


def built(layer, *shape):
    x = keras.Input(shape)
    return randomize(keras.Model(x, layer(x)))


def check(layer, *shape):
    """Checks that the problem is what the layer computes, and that its kernel can be changed."""
    model, x = built(layer, *shape), images(3, *shape)
    outputs = run(model, x)
    problem = layer_problem(layer, x, outputs)
    kernel, bias = problem.kernel, layer.get_weights()[1]
    assert len(problem.inputs) == len(problem.outputs) == len(kernel)
    # All pixels there are, in their order.
    problems = len(kernel)
    expected = outputs.reshape(-1, problems, outputs.shape[-1] // problems).transpose(1, 0, 2)
    np.testing.assert_array_equal(problem.outputs, expected)
    products = problem.inputs @ kernel + bias.reshape(problems, 1, -1)
    np.testing.assert_allclose(products, expected, atol=1e-5)

    rng = np.random.default_rng(1)
    other = rng.normal(size=kernel.shape).astype("float32")
    for new_bias in (None, rng.normal(size=(problems, kernel.shape[2])).astype("float32")):
        problem.assign(layer, other, new_bias)
        own = layer.get_weights()[1] if new_bias is None else new_bias
        if new_bias is None:
            np.testing.assert_array_equal(own, bias)
        products = problem.inputs @ other + own.reshape(problems, 1, -1)
        received = run(model, x).reshape(-1, problems, kernel.shape[2]).transpose(1, 0, 2)
        np.testing.assert_allclose(products, received, atol=5e-5)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("arguments", CONVOLUTIONS, ids=str)
def test_convolutions(arguments, padding):
    check(layers.Conv2D(4, padding=padding, **arguments), 9, 14, 3)


@pytest.mark.parametrize("multiplier", [1, 2])
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("arguments", CONVOLUTIONS, ids=str)
def test_depthwise_convolutions(arguments, padding, multiplier):
    layer = layers.DepthwiseConv2D(padding=padding, depth_multiplier=multiplier, **arguments)
    check(layer, 9, 14, 3)


def test_small_images_under_large_kernels():
    check(layers.DepthwiseConv2D(7, padding="same"), 2, 1, 3)
    check(layers.Conv2D(2, 5, 2, padding="same"), 1, 2, 3)


@pytest.mark.parametrize("groups", [2, 3, 6])
def test_grouped_convolutions(groups):
    check(layers.Conv2D(12, 3, groups=groups, padding="same"), 5, 4, 6)


@pytest.mark.parametrize("shape", [(6,), (5, 6), (3, 4, 6)])
def test_dense_layers(shape):
    check(layers.Dense(4), *shape)


def test_a_layer_without_bias():
    layer = layers.Conv2D(2, 3, use_bias=False)
    model, x = built(layer, 6, 6, 3), images(1, 6, 6, 3)
    problem = layer_problem(layer, x, run(model, x))
    problem.assign(layer, 2 * problem.kernel, None)
    np.testing.assert_allclose(run(model, x).reshape(1, -1, 2), 2 * problem.outputs, atol=1e-5)


@pytest.mark.parametrize("layer", [layers.Conv2D(4, 3), layers.Dense(4)], ids=["conv", "dense"])
def test_of_many_pixels_some_are_taken_each_once_and_always_the_same(layer):
    model, x = built(layer, 60, 50, 2), images(4, 60, 50, 2)
    outputs = run(model, x)
    first, second = (layer_problem(layer, x, outputs) for _ in range(2))
    np.testing.assert_array_equal(first.inputs, second.inputs)
    np.testing.assert_array_equal(first.outputs, second.outputs)
    rows = first.inputs.shape[1]
    assert 1000 < rows < outputs.size / 4
    assert len(np.unique(first.outputs[0], axis=0)) == rows
    products = first.inputs @ first.kernel + layer.get_weights()[1]
    np.testing.assert_allclose(products, first.outputs, atol=1e-5)
    # From all over: each image, and each quarter of it, about as often.
    outputs = outputs.reshape(16, -1, 4)
    where = [np.isin(part[:, 0], first.outputs[0, :, 0]).mean() for part in outputs]
    np.testing.assert_allclose(where, rows / outputs[..., 0].size, rtol=0.25)


# --- GraphValues --------------------------------------------------------------------------------


def test_values_are_the_models():
    lowered = lower(fuse(tiny(data_format="channels_last")))
    x = images(30, 64, 64, 3)  # more than at a time, for a model of one
    tensors = [node.outputs[0] for node in calls_of(lowered)]
    every = keras.Model(lowered.inputs, tensors)
    values = GraphValues(lowered, x)
    found = [values.compute(node)[[0, 24, 25, 29]] for node in calls_of(lowered)]
    for place, i in enumerate([0, 24, 25, 29]):
        for received, expected in zip(found, every([x[i : i + 1]]), strict=True):
            np.testing.assert_allclose(received[place], expected[0], rtol=1e-4, atol=1e-4)
    assert values.value(lowered.outputs[0]).shape == (30, 5)


def test_values_are_forgotten_after_their_last_use():
    x = keras.Input(batch_shape=(1, 4, 4, 2))
    a = layers.Conv2D(2, 1)(x)
    b = layers.Concatenate()([a, a])
    c = layers.Conv2D(2, 1)(b)
    model = keras.Model(x, layers.Add()([a, c]))
    values = GraphValues(model, images(3, 4, 4, 2))
    known = []
    for node in calls_of(model):
        values.compute(node)
        known.append([values.knows(tensor) for tensor in (x, a, b, c, model.outputs[0])])
    assert known == [
        [False, True, False, False, False],
        [False, True, True, False, False],
        [False, True, False, True, False],
        [False, False, False, False, True],
    ]


def test_values_can_be_put_in_the_place_of_others():
    x = keras.Input(batch_shape=(1, 2))
    a = layers.Dense(2)(x)
    model = keras.Model(x, layers.Add()([a, x]))
    first, second = calls_of(model)
    for computes in (True, False):
        values = GraphValues(model, images(3, 2))
        if computes:
            values.compute(first)
        values.set(first, np.ones((3, 2), "float32"))
        np.testing.assert_allclose(values.compute(second), 1 + images(3, 2))
        assert not values.knows(x)
        assert not values.knows(a)


def test_what_another_operation_gives_changes_nothing():
    x = keras.Input(batch_shape=(1, 2))
    model = keras.Model(x, layers.Activation("relu")(x))
    (node,) = calls_of(model)
    values = GraphValues(model, images(30, 2))
    np.testing.assert_array_equal(values.give(layers.Activation("linear"), node), images(30, 2))
    assert values.knows(x)
    assert not values.knows(model.outputs[0])
