"""Weights rounded to int8 such that a layer's outputs, not its weights, stay what they were.

All arrays come in a batch of independent problems `outputs = inputs @ kernel`: a depthwise
convolution is one problem a channel, any other layer one problem.
"""

import numpy as np

from keras_fastvit.architecture.fake_quantization import INT8_LEVELS
from keras_fastvit.arrays import Array

_BLOCK = 64
_DAMPING = 0.01
"""Added to the inputs' second moments, over their mean: few images do not tell everything."""


def refit(inputs: Array, outputs: Array, kernel: Array, ridge: float) -> Array:
    """Returns the kernel near `kernel` that makes the outputs of these inputs, by least squares.

    `argmin_K  |centred(inputs) @ K - centred(outputs)|² / rows + ridge · m · |K - kernel|²`, `m`
    being the mean square of an input; the means are the bias' affair.

    Args:
        inputs: `(problems, rows, taps)`, as the int8 layer gets them.
        outputs: `(problems, rows, filters)`, as the float layer gives them.
        kernel: `(problems, taps, filters)`, the float layer's.
        ridge: The more, the nearer.
    """
    inputs = inputs - inputs.mean(1, keepdims=True)
    residual = outputs - outputs.mean(1, keepdims=True) - inputs @ kernel
    moments = _moments(inputs) + ridge * _mean_power(inputs)
    correction = np.linalg.solve(moments, _transposed(inputs) @ residual / inputs.shape[1])
    return (kernel + correction).astype("float32")


def round_kernel(inputs: Array, kernel: Array, levels: int = INT8_LEVELS) -> Array:
    """Rounds a kernel to some steps a filter, each weight's error made up for by later ones.

    Frantar et al., arXiv 2210.17323 (GPTQ): the weights of the strongest inputs are rounded
    first, and the rest is moved by what best cancels the error in the outputs. The filter's
    largest weight keeps its place at the end of the scale, which so stays the filter's scale.

    Args:
        inputs: `(problems, rows, taps)`.
        kernel: `(problems, taps, filters)`.
        levels: How many steps the largest weight of a filter has; with fewer than int8's, these
            are put on int8's own, as by `fake_quantization.round_weights`.

    Returns:
        Multiples of `max|filter| / 127`, the same shape.
    """
    inputs = inputs - inputs.mean(1, keepdims=True)  # the means are the bias' affair
    moments = _moments(inputs) + _DAMPING * _mean_power(inputs)
    order = np.argsort(-np.diagonal(moments, axis1=1, axis2=2), axis=1, kind="stable")
    moments = np.take_along_axis(moments, order[:, :, None], 1)
    moments = np.take_along_axis(moments, order[:, None, :], 2)
    weights = np.take_along_axis(kernel.astype("float64"), order[:, :, None], 1)

    largest = np.abs(weights).argmax(1)
    scales = np.abs(weights).max(1) / INT8_LEVELS
    divisors = np.where(scales > 0, scales, 1.0)  # a filter of zeros stays one: its scale is 0
    # The rows of this factor tell how the error of one weight is best spread over the later ones.
    spread = _transposed(np.linalg.cholesky(np.linalg.inv(moments)))
    steps, ratio = np.empty_like(weights), INT8_LEVELS / levels
    taps = weights.shape[1]
    for start in range(0, taps, _BLOCK):
        stop = min(start + _BLOCK, taps)
        errors = np.empty((len(weights), stop - start, weights.shape[2]))
        for i in range(start, stop):
            weight = weights[:, i]
            own = np.clip(np.rint(weight / divisors / ratio), -levels, levels)
            steps[:, i] = np.rint(own * ratio)
            end = np.where(weight < 0, -INT8_LEVELS, INT8_LEVELS)
            steps[:, i] = np.where(largest == i, end, steps[:, i])
            error = (weight - steps[:, i] * scales) / spread[:, i, i, None]
            errors[:, i - start] = error
            weights[:, i:stop] -= spread[:, i, i:stop, None] * error[:, None]
        weights[:, stop:] -= _transposed(spread[:, start:stop, stop:]) @ errors
    rounded = steps * scales[:, None]
    return np.take_along_axis(rounded, np.argsort(order, 1)[:, :, None], 1).astype("float32")


def bias_for(inputs: Array, outputs: Array, kernel: Array) -> Array:
    """Returns the bias `(problems, filters)` that gives the outputs' means with this kernel."""
    return (outputs.mean(1) - (inputs.mean(1, keepdims=True) @ kernel)[:, 0]).astype("float32")


def _transposed(x: Array) -> Array:
    return np.swapaxes(x, 1, 2)


def _moments(inputs: Array) -> Array:
    return (_transposed(inputs) @ inputs).astype("float64") / inputs.shape[1]


def _mean_power(inputs: Array) -> Array:
    """The inputs' mean square times the identity, a problem each; never singular."""
    power = np.square(inputs, dtype="float64").mean((1, 2)) + 1e-12
    return power[:, None, None] * np.eye(inputs.shape[2])
