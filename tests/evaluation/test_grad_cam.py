"""Grad-CAM against models whose maps can be worked out, on every backend."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_fastvit import fuse
from keras_fastvit.evaluation.saliency import grad_cam, gradient, split_at_features
from tests.models import images, run, tiny

FILTERS = np.array([[1.0, -2.0, 0.5], [0.5, 1.0, -1.0]])  # (channels, filters)
CLASSES = np.array([[2.0, -1.0], [0.5, 1.0], [-1.0, 3.0]])  # (filters, classes)


def by_hand() -> keras.Model:
    """A 1×1 convolution, the mean of each filter over all places, and a logit of each class."""
    image = keras.Input((4, 6, 2))
    convolution = layers.Conv2D(3, 1, bias_initializer="ones", data_format="channels_last")
    pooled = layers.GlobalAveragePooling2D(data_format="channels_last")(convolution(image))
    dense = layers.Dense(2)
    model = keras.Model(image, dense(pooled))
    convolution.set_weights([FILTERS.reshape(1, 1, 2, 3), np.ones(3)])
    dense.set_weights([CLASSES, np.array([5.0, -5.0])])
    return model


def test_by_hand():
    """Each place counts 1/24 in the mean, so `α_k` is the class's weight over 24."""
    inputs = images(3, 4, 6, 2)
    features = inputs @ FILTERS + 1
    for chosen in ([0, 0, 0], [1, 0, 1]):
        expected = np.maximum(
            [x @ CLASSES[:, c] / 24 for x, c in zip(features, chosen, strict=True)], 0
        )
        found = grad_cam(by_hand(), inputs, np.array(chosen))
        assert found.shape == (3, 4, 6)
        np.testing.assert_allclose(found, expected, atol=1e-6)
        assert (found == 0).any()
        assert (found > 0).any()


def test_the_derivative_is_taken_at_the_image():
    """With a layer that is not linear behind the pooling, `α` differs from image to image."""
    features = keras.Input((5, 5, 4))
    x = layers.GlobalAveragePooling2D(data_format="channels_last")(features)
    x = layers.Dense(6, activation="tanh")(x)
    model = keras.Model(features, layers.Dense(3)(x))
    inputs = 3 * images(2, 5, 5, 4, seed=1)
    found = grad_cam(model, inputs, np.array([2, 1]))

    kernel, bias, last, _ = model.get_weights()
    for image, chosen, received in zip(inputs, (2, 1), found, strict=True):
        hidden = np.tanh(image.mean(axis=(0, 1)) @ kernel + bias)
        weights = kernel @ ((1 - hidden**2) * last[:, chosen]) / 25
        np.testing.assert_allclose(received, np.maximum(image @ weights, 0), atol=1e-6)


def spot_finder() -> keras.Model:
    """Class 0 for red, class 1 for blue, of a feature map half as large as the image."""
    image = keras.Input((16, 16, 3))
    x = layers.AveragePooling2D(2, data_format="channels_last")(image)
    x = layers.Activation("relu")(x)
    x = layers.Flatten(data_format="channels_last")(x)
    dense = layers.Dense(2, use_bias=False)
    model = keras.Model(image, dense(x))
    red_and_blue = np.tile(np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]), (64, 1))
    dense.set_weights([red_and_blue])
    return model


def test_it_looks_where_the_class_is():
    image = np.zeros((1, 16, 16, 3), "float32")
    image[0, 2:4, 10:12, 0] = 1  # red above, to the right
    image[0, 12:14, 4:6, 2] = 1  # blue below, to the left
    pair = np.concatenate([image, image])
    red, blue = grad_cam(spot_finder(), pair, np.array([0, 1]))
    assert np.unravel_index(red.argmax(), red.shape) == (1, 5)
    assert np.unravel_index(blue.argmax(), blue.shape) == (6, 2)
    assert np.count_nonzero(red) == np.count_nonzero(blue) == 1


@pytest.mark.parametrize("depth", [1, 2])
def test_nested_models(depth):
    model = by_hand()
    expected = grad_cam(model, images(2, 4, 6, 2), np.array([0, 1]))
    for _ in range(depth):
        model = keras.Sequential([keras.Input((4, 6, 2)), model, layers.Rescaling(2.0)])
    found = grad_cam(model, images(2, 4, 6, 2), np.array([0, 1]))
    np.testing.assert_allclose(found, 2**depth * expected, rtol=1e-5, atol=1e-6)


def test_a_fastvit():
    model = fuse(tiny())
    inputs = images()
    to_features, to_logits = split_at_features(model)
    features = run(to_features, inputs)
    assert features.shape == (2, 2, 2, 64)
    np.testing.assert_allclose(run(to_logits, features), run(model, inputs), rtol=1e-4, atol=1e-5)

    found = grad_cam(model, inputs, np.array([3, 1]))
    kernel, _ = to_logits.get_weights()
    expected = [x @ kernel[:, c] / 4 for x, c in zip(features, (3, 1), strict=True)]
    np.testing.assert_allclose(found, np.maximum(expected, 0), rtol=1e-4, atol=1e-5)
    assert not np.allclose(found, grad_cam(model, inputs, np.array([0, 0])))


def test_the_gradient_of_any_function():
    x = images(3, 4)
    np.testing.assert_allclose(gradient(lambda v: ops.sum(v**3), x), 3 * x**2, rtol=1e-5)


def two_ways(image):
    features = layers.Conv2D(4, 3, data_format="channels_last")(image)
    early = layers.GlobalMaxPooling2D(data_format="channels_last")(image)
    late = layers.GlobalAveragePooling2D(data_format="channels_last")(features)
    return layers.Dense(2)(layers.Concatenate()([early, late]))


@pytest.mark.parametrize(
    "model",
    [
        keras.Model(image := keras.Input((8, 8, 3), name="a"), two_ways(image), name="mine"),
        keras.Sequential([keras.Input((8,)), layers.Dense(2)], name="mine"),
    ],
    ids=["another way to the output", "no feature map"],
)
def test_models_that_it_does_not_suit(model):
    with pytest.raises(ValueError, match=r"comes from one feature map.* Received: model 'mine'"):
        split_at_features(model)
