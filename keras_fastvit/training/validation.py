"""Measures of a model on images that it was not trained on."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import keras
import numpy as np
from keras import ops

from keras_fastvit.arrays import Array
from keras_fastvit.training.data.pipeline import ValidationBatches


@contextmanager
def averaged_weights(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
    """Within it, a model has the moving average of its weights, if its optimizer keeps one.

    Keras' `SwapEMAWeights` does the same, but on TensorFlow by sums and differences, after which
    the weights are others by a rounding error.
    """
    # Of a model in float16 Keras wraps the optimizer, to scale the loss.
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if not inner.use_ema:
        yield
        return
    variables = model.trainable_variables
    weights = [np.array(ops.convert_to_numpy(variable)) for variable in variables]
    inner.finalize_variable_values(variables)
    for variable in variables:
        # On JAX they now share their memory with the average, which `predict` gives away.
        variable.assign(ops.copy(variable))
    try:
        yield
    finally:
        for variable, value in zip(variables, weights, strict=True):
            variable.assign(value)


def predict(
    model: keras.Model,
    batches: ValidationBatches,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Array:
    """Returns the logits of a data set, float32 `(images, classes)`."""
    logits = model.predict(batches, verbose=0, callbacks=list(callbacks))
    return np.asarray(logits[: len(batches.examples)], "float32")


def cross_entropy(logits: Array, labels: Array) -> float:
    """Mean of `-log softmax(logits)[label]` over the images, in nats.

    Args:
        logits: `(images, classes)`.
        labels: `(images,)`, integers from 0.

    >>> round(cross_entropy(np.zeros((2, 4)), np.array([0, 3])), 4)
    1.3863
    """
    shifted = logits - logits.max(axis=1, keepdims=True)
    own = np.take_along_axis(shifted, labels[:, None], axis=1)[:, 0]
    return float(np.mean(np.log(np.exp(shifted).sum(axis=1)) - own))


def accuracy(logits: Array, labels: Array) -> float:
    """Share of the images whose class has the highest logit, 0..1."""
    return float(np.mean(logits.argmax(axis=1) == labels))
