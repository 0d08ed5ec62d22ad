"""A teacher's answers as labels, with half of the weight."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_fastvit.training.distillation import Distillation

SHAPE = (8, 8, 3)


def linear(classes: int = 3, shape: Any = SHAPE, bias: Any = None) -> keras.Model:
    model = keras.Sequential(
        [keras.Input(shape), layers.GlobalAveragePooling2D(), layers.Dense(classes)]
    )
    if bias is not None:
        model.layers[-1].set_weights([np.zeros((3, classes)), np.array(bias)])
    return model


def data(count: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    images = rng.normal(size=(count, *SHAPE)).astype("float32")
    return images, np.eye(3, dtype="float32")[np.zeros(count, int)]


def compiled(model: keras.Model, rate: float = 0.5) -> keras.Model:
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(rate), loss, jit_compile=keras.backend.backend() == "jax")
    return model


def cross_entropy(logits: np.ndarray, label: int) -> np.ndarray:
    return np.log(np.exp(logits).sum(axis=-1)) - logits[..., label]


def test_the_loss_is_of_both_with_equal_weight() -> None:
    student = linear()
    images, labels = data()
    logits = ops.convert_to_numpy(student(images))
    expected = (cross_entropy(logits, 0).mean() + cross_entropy(logits, 2).mean()) / 2
    distillation = compiled(Distillation(student, linear(bias=[0.0, 1.0, 1.1])))
    found = distillation.fit(images, labels, batch_size=12, epochs=1, verbose=0)
    assert found.history["loss"][0] == pytest.approx(expected, rel=1e-5)


def test_a_teacher_that_contradicts_the_labels_is_believed_by_half() -> None:
    images, labels = data()
    teacher = linear(bias=[0.0, 0.0, 5.0])
    distillation = compiled(Distillation(linear(), teacher), rate=3.0)
    distillation.fit(images, labels, batch_size=12, epochs=40, verbose=0)
    shares = ops.convert_to_numpy(ops.softmax(distillation.predict(images, verbose=0)))
    np.testing.assert_allclose(shares.mean(axis=0), [0.5, 0.0, 0.5], atol=0.02)
    np.testing.assert_array_equal(teacher.layers[-1].get_weights()[1], [0.0, 0.0, 5.0])


def test_validation_is_of_the_labels_alone() -> None:
    student = linear()
    images, labels = data()
    expected = cross_entropy(ops.convert_to_numpy(student(images)), 0).mean()
    distillation = compiled(Distillation(student, linear(bias=[0.0, 0.0, 5.0])))
    assert distillation.evaluate(images, labels, verbose=0) == pytest.approx(expected, rel=1e-5)


def test_the_teacher_is_not_trained_and_does_not_collect_statistics() -> None:
    image = keras.Input(SHAPE)
    x = layers.BatchNormalization()(image)
    x = layers.Dropout(0.9)(x)
    teacher = keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    before = [w.copy() for w in teacher.get_weights()]
    images, labels = data()
    student = linear()
    distillation = compiled(Distillation(student, teacher))
    assert len(distillation.trainable_variables) == len(student.trainable_variables) == 2
    distillation.fit(images + 3, labels, batch_size=4, epochs=2, verbose=0)
    for x, y in zip(teacher.get_weights(), before, strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize(
    ("teacher", "received"),
    [
        (lambda: linear(classes=4), r"maps \(None, 8, 8, 3\) to \(None, 4\)"),
        (lambda: linear(shape=(16, 16, 3)), r"maps \(None, 16, 16, 3\) to \(None, 3\)"),
    ],
)
def test_a_teacher_that_does_not_fit(teacher: Any, received: str) -> None:
    with pytest.raises(ValueError, match=rf"Received: a teacher that {received}"):
        Distillation(linear(), teacher())


def test_a_teacher_of_images_of_any_size_fits() -> None:
    Distillation(linear(), linear(shape=(None, None, 3)))
