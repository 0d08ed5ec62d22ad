"""Layers that round in training as int8 will round on the phone: fake quantisation.

Rounding has no slope, so going back it is taken for the identity (the straight-through estimator,
Bengio et al., arXiv 1308.3432), as in Jacob et al., arXiv 1712.05877.

`keras.quantizers.fake_quant_with_min_max_vars` gives the same values, but not the same gradients on
every backend: on TensorFlow a range's end learns from the values beyond it, on JAX and torch (Keras
3.15) from those exactly on it as well, which are half of what comes out of a ReLU; and an empty
range gives NaN there. What is here has TensorFlow's gradients everywhere.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from keras_fastvit.architecture.layers import register

STEPS = 255
"""From the lowest to the highest value of an int8 tensor."""

INT8_LEVELS = 127
"""Weights are in -127..127 steps, as LiteRT's specification has it."""


def fake_quantize(x: Any, low: Any, high: Any) -> Any:
    """Returns what int8 leaves of a tensor, as floats.

    `clip(round(x / s), -z, 255 - z) · s` with `s = (high - low) / 255` and the whole number `z`
    nearest to `-low / s`: zero is exact. The gradient of x is 1 within the range and 0 beyond it;
    that of an end is 1 for each value that is cut off there.

    Args:
        x: Of any shape.
        low: The lowest value, a scalar, at most 0.
        high: The highest value, at least 0 and above `low`.

    >>> x = np.array([-9.0, 0.12, 0.124, 9.0], "float32")
    >>> [f"{y:.2f}" for y in ops.convert_to_numpy(fake_quantize(x, -1.0, 1.55))]
    ['-1.00', '0.12', '0.12', '1.55']
    """
    x, low, high = (ops.convert_to_tensor(v, "float32") for v in (x, low, high))
    scale = ops.stop_gradient((high - low) / STEPS)
    zero = ops.clip(ops.round(-ops.stop_gradient(low) / scale), 0, STEPS)
    first, last = -zero * scale, (STEPS - zero) * scale
    within = _straight_through(ops.round(x / scale) * scale, x)
    ends = _straight_through(first, low), _straight_through(last, high)
    return ops.where(x < first, ends[0], ops.where(x > last, ends[1], within))


def round_weights(kernel: Any, levels: int, axes: int | Sequence[int]) -> Any:
    """Returns the weights that an int8 file stores, if each filter has but some levels.

    A filter is in -levels..levels steps of its largest absolute value, as with 7 levels in 4 bits.
    For LiteRT it is -127..127 steps; fewer levels are put on the nearest of these, so that the file
    holds them exactly: 4 bits' 0, 18, 36, 54, 73, 91, 109 and 127 are at most 1/36 of their own
    step away from where 4 bits would have them.

    Args:
        kernel: Of any shape.
        levels: 1 to 127.
        axes: Along which a filter's weights lie.
    """
    kernel = ops.convert_to_tensor(kernel)
    largest = ops.max(ops.abs(kernel), axes, keepdims=True)
    divisors = ops.where(largest > 0, largest, 1.0)  # a filter of zeros stays one
    steps = ops.round(kernel / divisors * levels)
    return ops.round(steps * (INT8_LEVELS / levels)) * (largest / INT8_LEVELS)


def _straight_through(value: Any, x: Any) -> Any:
    """Returns `value`, with the gradient of `x`."""
    return x + ops.stop_gradient(value - x)


@register
class FakeQuantize(keras.layers.Layer):
    """Rounds a tensor to int8, in training and in inference, within a range that it may learn.

    The range is `(low · exp(a), high · exp(b))`. An optimizer such as Adam, whose steps do not
    depend on the size of a gradient, so changes ranges of all sizes by the same share.

    Args:
        low: The lowest value to start from, at most 0.
        high: The highest, at least 0 and above `low`.
        learns: `"ends"`: both of them; `"scale"`: both, but not their ratio (`a = b`), and so not
            the zero point; `"nothing"`.

    Raises:
        ValueError: If the range is not as above, or `learns` is none of these.
    """

    LEARNS = {"ends": 2, "scale": 1, "nothing": 0}  # noqa: RUF012

    def __init__(self, low: float, high: float, learns: str = "ends", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not (low <= 0 <= high and low < high < float("inf") and low > float("-inf")):
            raise ValueError(
                "An int8 range must be finite and hold zero. Expected low <= 0 <= high, and not "
                f"both zero. Received: low={low}, high={high}"
            )
        if learns not in self.LEARNS:
            raise ValueError(
                f"`learns` must be one of {', '.join(self.LEARNS)}. Received: {learns!r}"
            )
        self.low, self.high, self.learns = float(low), float(high), learns

    def build(self, input_shape: Any = None) -> None:
        if count := self.LEARNS[self.learns]:
            self.stretch = self.add_weight(shape=(count,), initializer="zeros", name="stretch")
        self.built = True

    def call(self, x: Any) -> Any:
        return ops.cast(fake_quantize(x, *self._limits()), self.compute_dtype)

    def range(self) -> tuple[float, float]:
        """Returns the lowest and the highest value as they are now, before rounding to a step."""
        low, high = (float(ops.convert_to_numpy(x)) for x in self._limits())
        return low, high

    def _limits(self) -> tuple[Any, Any]:
        if self.learns == "nothing":
            return self.low, self.high
        factors = ops.exp(self.stretch)
        return self.low * factors[0], self.high * factors[-1]

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        own = {"low": self.low, "high": self.high, "learns": self.learns}
        return {**super().get_config(), **own}


@register
class FakeQuantizedWeights(keras.layers.Wrapper):
    """A convolution or dense layer that computes with rounded weights and trains the others.

    The kernel alone is rounded, with a scale for each filter as LiteRT stores it; LiteRT's biases
    have 32 bits.

    Args:
        layer: A `Conv2D`, `DepthwiseConv2D` or `Dense`.
        levels: How many steps the largest weight of a filter has; see `round_weights`.
    """

    def __init__(self, layer: keras.Layer, levels: int = INT8_LEVELS, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.levels = levels

    def rounded_kernel(self) -> Any:
        """Returns the weights that the layer computes with."""
        # A depthwise kernel is (height, width, channels, multiplier), each with a scale.
        depthwise = isinstance(self.layer, keras.layers.DepthwiseConv2D)
        kernel = ops.convert_to_tensor(self.layer.kernel)
        axes = range(len(kernel.shape) - (2 if depthwise else 1))
        return round_weights(kernel, self.levels, tuple(axes))

    def call(self, x: Any) -> Any:
        kernel = self.layer.kernel
        # All of them: within the scope, values of a scope around it are not found.
        values = {id(v): ops.convert_to_tensor(v) for v in self.layer.variables}
        values[id(kernel)] = _straight_through(self.rounded_kernel(), values[id(kernel)])
        with keras.StatelessScope([(v, values[id(v)]) for v in self.layer.variables]):
            return self.layer.call(x)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self.layer.compute_output_shape(input_shape)

    def rounded_weights(self) -> list[NDArray[np.float32]]:
        """Returns the weights that the layer computes with, as `get_weights` of Keras' own has."""
        _, *bias = self.layer.get_weights()
        # A copy: JAX's arrays would be shared with this layer.
        return [np.array(ops.convert_to_numpy(self.rounded_kernel())), *bias]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "levels": self.levels}
