"""The range of values that an int8 tensor stands for: how it is chosen, and what rounding it does.

LiteRT's scheme: `value = scale · (q - zero_point)` with `q` in -128..127 and one scale and zero
point a tensor; zero itself is exact, as padding needs it.
"""

from collections.abc import Callable, Collection
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_fastvit.arrays import Array
from keras_fastvit.conversion.operations import Range, known
from keras_fastvit.graph.keras_internals import calls_made_of
from keras_fastvit.graph.rewriting import calls_of, origin

_LEAST_SHARE = 2.0**-9
"""Of a sum's scale that a summand's may have: XNNPACK adds in int8 from 2⁻¹⁰ on."""

_BINS = 4096
_SHRINKAGES = np.concatenate([[1.0], np.linspace(0.98, 0.1, 45)])


def scale_and_zero_point(limits: Range) -> tuple[float, int]:
    """Returns the scale and the zero point of a range.

    >>> scale_and_zero_point((0.0, 255 / 256))
    (0.00390625, -128)
    """
    low, high = min(limits[0], 0.0), max(limits[1], 0.0)
    scale = float(np.float32((high - low) / 255)) or 1.0
    return scale, int(np.clip(np.round(-128 - low / scale), -128, 127))


def exact_range(limits: Range) -> Range:
    """Returns the range that int8 really has where these limits were asked for."""
    scale, zero_point = scale_and_zero_point(limits)
    return scale * (-128 - zero_point), scale * (127 - zero_point)


def rounded(values: Array, limits: Range) -> Array:
    """Returns what is left of values in int8, as float32."""
    scale, zero_point = scale_and_zero_point(limits)
    steps = np.clip(np.rint(values / np.float32(scale)) + zero_point, -128, 127) - zero_point
    return (steps * scale).astype("float32")


def best_range(values: Array, function: Callable[[Array], Array] = lambda x: x) -> Range:
    """Returns the range of the least mean squared error of `function(rounded(values))`.

    Ranges from the values' own down to a tenth of it are tried, at each end.

    Args:
        values: Any shape.
        function: What the values are used for. A GELU's input may be cut off where GELU is zero.
    """
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    if low == high:
        return 0.0, 1.0
    counts, edges = np.histogram(values, _BINS, (low, high))
    centres = ((edges[:-1] + edges[1:]) / 2)[counts > 0].astype("float32")
    counts = counts[counts > 0]
    wanted = function(centres)

    def error(limits: Range) -> float:
        return float(counts @ (function(rounded(centres, limits)) - wanted) ** 2)

    lows = low * _SHRINKAGES if low < -0.02 * high else [low]
    highs = high * _SHRINKAGES if high > -0.02 * low else [high]
    return min(((float(a), float(b)) for a in lows for b in highs), key=error)


def symmetric(limits: Range) -> Range:
    """Returns a range around this one with the zero point 0."""
    scale = max(-limits[0] / 128, limits[1] / 127)
    return -128 * scale, 127 * scale


def wide_enough(limits: Range, total: Array) -> Range:
    """Returns a range around this one, of a summand that XNNPACK can add in int8.

    A narrower one, such as that of a residual branch whose layer scale is still near zero, ends
    before half a step of the sum: wider steps take nothing from it that the sum would show.

    Args:
        limits: Of the summand.
        total: The sum's values.
    """
    low, high = limits
    least = _LEAST_SHARE * float(total.max() - total.min())
    factor = max(least / (high - low), 1.0)
    return low * factor, high * factor


def keeps_range(operation: Any) -> bool:
    """Returns whether LiteRT requires the operation's output to have the range of its input."""
    if isinstance(operation, layers.Concatenate):
        # Of a tensor with itself, as in the lowering of depth multipliers.
        return len({id(x) for x in calls_made_of(operation)[0].input_tensors}) == 1
    return known(operation).keeps_range


def symmetric_tensors(model: keras.Model) -> Collection[str]:
    """The operations whose outputs need the zero point 0.

    XNNPACK multiplies matrices in int8 only if the second one has it, and what that one is a
    rearrangement of has the same range.
    """
    found = set()
    for node in reversed(list(calls_of(model))):
        operation, inputs = node.operation, node.input_tensors
        place = known(operation).symmetric_input
        if place is not None:
            found.add(origin(inputs[place])[0].name)
        elif operation.name in found and keeps_range(operation):
            found.add(origin(inputs[0])[0].name)
    return found
