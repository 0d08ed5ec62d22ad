"""The rewrites for heads that are not FastViT's: exact, and of few operations."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_fastvit.conversion.lowering.batch_norm import fold_batch_norms
from keras_fastvit.conversion.lowering.static_graph import static_graph
from keras_fastvit.conversion.lowering.upsampling import repeat_pixels
from tests.lowered_models import check, image, kinds, precision
from tests.models import randomize

__all__ = ["precision"]  # applies to every test here

pytestmark = pytest.mark.single_backend

LINEAR = {
    "a convolution": lambda: layers.Conv2D(5, 3, padding="same", name="conv"),
    "without a bias": lambda: layers.Conv2D(5, 3, use_bias=False, dilation_rate=2, name="conv"),
    "groups": lambda: layers.Conv2D(6, 3, groups=3, strides=2, name="conv"),
    "depthwise": lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, name="conv"),
    "dense": lambda: layers.Dense(4, name="conv"),
}


def model_of(make, *shape):
    inputs = image(*(shape or (9, 10, 3)))
    return randomize(keras.Model(inputs, make(inputs)))


@pytest.mark.parametrize("linear", LINEAR.values(), ids=LINEAR)
@pytest.mark.parametrize("norm", [{}, {"scale": False}, {"center": False, "axis": 3}], ids=str)
def test_a_batch_norm_and_a_relu_become_part_of_the_layer_before(linear, norm):
    def head(x):
        return layers.ReLU(name="last")(layers.BatchNormalization(epsilon=0.1, **norm)(linear()(x)))

    model = static_graph(model_of(head))
    lowered = check(fold_batch_norms(model), model)
    assert kinds(lowered) == [type(linear()).__name__]
    assert lowered.operations[-1].name == "last"


RELUS = {
    "a layer": lambda x: layers.ReLU()(x),
    "an activation": lambda x: layers.Activation("relu")(x),
    "a function": keras.activations.relu,
    "an operation": ops.relu,
}


@pytest.mark.parametrize("relu", RELUS.values(), ids=RELUS)
def test_every_relu(relu):
    model = static_graph(model_of(lambda x: relu(layers.Conv2D(2, 1)(x))))
    assert kinds(check(fold_batch_norms(model), model)) == ["Conv2D"]


def test_layers_that_are_called_twice_together():
    conv, norm = layers.Conv2D(3, 1, name="conv"), layers.BatchNormalization()

    def twice(x):
        return ops.relu(norm(conv(ops.relu(norm(conv(x))))))

    model = static_graph(model_of(twice))
    lowered = check(fold_batch_norms(model), model)
    assert [operation.name for operation in lowered.operations[1:]] == ["conv"]


def shared_norm(x):
    norm = layers.BatchNormalization(name="norm")
    return layers.Add()([norm(layers.Conv2D(3, 1)(x)), norm(x)])


def read_twice(x):
    x = layers.Conv2D(3, 1)(x)
    return layers.Add()([layers.BatchNormalization()(x), x])


def also_an_output(x):
    x = layers.Conv2D(3, 1)(x)
    return [x, layers.BatchNormalization()(x)]


LEFT = {
    "a norm of several": shared_norm,
    "a layer that others read": read_twice,
    "a norm of rows": lambda x: layers.BatchNormalization(axis=1)(layers.Conv2D(3, 1)(x)),
    "an activation between": lambda x: layers.BatchNormalization()(
        layers.Conv2D(3, 1, activation="tanh")(x)
    ),
    "a norm of nothing": lambda x: layers.BatchNormalization()(layers.MaxPooling2D()(x)),
    "another relu": lambda x: layers.ReLU(max_value=0.5)(layers.Conv2D(3, 1)(x)),
    "a leaky one": lambda x: layers.ReLU(negative_slope=0.5)(layers.Conv2D(3, 1)(x)),
}


@pytest.mark.parametrize("make", LEFT.values(), ids=LEFT)
def test_leaves_what_does_not_fold(make):
    model = static_graph(model_of(make))
    assert kinds(check(fold_batch_norms(model), model)) == kinds(model)


def test_leaves_an_output_of_the_model():
    model = static_graph(model_of(also_an_output))
    assert kinds(fold_batch_norms(model)) == ["BatchNormalization", "Conv2D"]


def test_a_layer_that_upsamples_maps_of_several_sizes():
    up = layers.UpSampling2D(name="up")
    model = model_of(lambda x: up(up(x)), 3, 4, 2)
    check(repeat_pixels(model), model)


def test_what_changes_nothing_is_left_out():
    def head(x):
        x = layers.Resizing(9, 10)(ops.cast(x, x.dtype))
        return layers.Resizing(4, 4, interpolation="bilinear")(x)

    model = model_of(head)
    assert kinds(check(static_graph(model), model)) == ["Resizing"]


def test_a_function_that_concatenates_is_a_layer():
    model = model_of(lambda x: ops.concatenate([x, 2 * x], axis=-1))
    flat = check(static_graph(model), model)
    assert any(isinstance(x, layers.Concatenate) for x in flat.operations)
    assert np.prod(flat.output.shape) == 2 * np.prod(flat.input.shape)
