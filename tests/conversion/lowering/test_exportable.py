"""The softmax at a model's end, however it is written, and the shape of the file's input."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_fastvit.conversion.lowering.exportable import input_shape
from keras_fastvit.graph.logits import to_logits
from tests.models import images

pytestmark = pytest.mark.single_backend


def on_features(ending) -> keras.Model:
    image = keras.Input((4, 4, 3))
    return keras.Model(image, ending(layers.Flatten()(image)), name="of_a_user")


def nested(ending) -> keras.Model:
    return keras.Sequential([keras.Input((4, 4, 3)), on_features(ending)], name="of_a_user")


def dense_softmax(x):
    return layers.Dense(3, activation="softmax", bias_initializer="normal")(x)


SOFTMAX = {
    "in a Dense": on_features(dense_softmax),
    "an Activation": on_features(lambda x: layers.Activation("softmax")(layers.Dense(3)(x))),
    "a Softmax": on_features(lambda x: layers.Softmax()(layers.Dense(3)(x))),
    "an operation": on_features(lambda x: ops.softmax(layers.Dense(3)(x))),
    "a function": on_features(lambda x: keras.activations.softmax(layers.Dense(3)(x))),
    "Sequential": keras.Sequential(
        [keras.Input((4, 4, 3)), layers.Flatten(), layers.Dense(3, activation="softmax")],
        name="of_a_user",
    ),
    "nested": nested(dense_softmax),
    "nested twice": keras.Sequential(
        [keras.Input((4, 4, 3)), nested(lambda x: ops.softmax(layers.Dense(3)(x)))],
        name="of_a_user",
    ),
}

OTHERS = {
    "logits": on_features(layers.Dense(3)),
    "sigmoid": on_features(layers.Dense(3, activation="sigmoid")),
    "over another axis": on_features(lambda x: layers.Softmax(axis=1)(x[:, :, None])),
    "not last": on_features(lambda x: 2 * ops.softmax(x)),
    "log": on_features(lambda x: ops.log_softmax(x)),
    "nested": nested(layers.Dense(3)),
}


@pytest.mark.parametrize("model", SOFTMAX.values(), ids=SOFTMAX)
def test_a_softmax_is_taken_off(model):
    inputs = images(5, 4, 4, 3)
    before = model.predict(inputs, verbose=0)
    logits, activation = to_logits(model)
    assert activation == "softmax"
    assert logits.name == "of_a_user"
    received = logits.predict(inputs, verbose=0)
    assert received.min() < 0
    powers = np.exp(received)
    np.testing.assert_allclose(powers / powers.sum(-1, keepdims=True), before, atol=1e-6)
    # The model itself is as it was.
    np.testing.assert_array_equal(model.predict(inputs, verbose=0), before)


@pytest.mark.parametrize("model", OTHERS.values(), ids=OTHERS)
def test_another_ending_is_left(model):
    assert to_logits(model) == (model, "linear")


def test_the_batch_becomes_one_and_the_size_is_the_models_or_the_given():
    model = keras.Sequential([keras.Input((None, 8, 3)), layers.Conv2D(1, 3)])
    assert input_shape(model, (6, 8)) == (1, 6, 8, 3)
    assert input_shape(model, 8) == (1, 8, 8, 3)
    fixed = keras.Sequential([keras.Input((6, 8, 1), batch_size=1), layers.Conv2D(1, 3)])
    assert input_shape(fixed) == (1, 6, 8, 1)


def test_channels_that_are_moved_behind_another_layer():
    image = keras.Input((3, 8, 8))
    moved = keras.layers.Permute((2, 3, 1))(keras.layers.Rescaling(2.0)(image))
    model = keras.Model(image, keras.layers.Conv2D(4, 3)(moved))
    with pytest.raises(ValueError, match=r"layer 'permute.*', which is for channels first"):
        input_shape(model)
