"""A convolution or dense layer as matrix products `outputs = inputs @ kernel`, on some pixels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import layers

from keras_fastvit.arrays import Array

_ROWS = 6000
"""Pixels that are looked at; what a few hundred weights need, tenfold."""

_VALUES = 1e7
"""Of the inputs of a depthwise convolution's many problems: a limit to memory."""


@dataclass(frozen=True)
class LayerProblem:
    """Independent problems: one a group of a convolution, one a channel of a depthwise one.

    Attributes:
        inputs: `(problems, rows, taps)`.
        outputs: `(problems, rows, filters)`.
        kernel: `(problems, taps, filters)`.
    """

    inputs: Array
    outputs: Array
    kernel: Array

    def assign(self, layer: Any, kernel: Array, bias: Array | None) -> None:
        """Gives the layer another kernel and, unless it is None, another bias.

        Args:
            layer: The problem's.
            kernel: As `self.kernel`.
            bias: `(problems, filters)`.
        """
        weights = layer.get_weights()
        weights[0] = kernel.transpose(1, 0, 2).reshape(weights[0].shape)
        if bias is not None:
            weights[1] = bias.reshape(weights[1].shape)
        layer.set_weights(weights)


def layer_problem(layer: Any, inputs: Array, outputs: Array) -> LayerProblem:
    """Takes some output pixels, always the same for the same shapes, and what they are made from.

    Args:
        layer: A `Conv2D`, `DepthwiseConv2D` or `Dense`, channels last.
        inputs: `(images, height, width, channels)`, of a `Dense` `(images, …, channels)`.
        outputs: What is wanted: `(images, height, width, filters)`, of a `Dense` `(images, …,
            filters)`.
    """
    kernel = np.asarray(layer.get_weights()[0])
    rng = np.random.default_rng(0)
    if isinstance(layer, layers.Dense):
        pixels = inputs.reshape(-1, inputs.shape[-1])
        wanted = outputs.reshape(-1, outputs.shape[-1])
        chosen = _some(len(pixels), _ROWS, rng)
        return LayerProblem(pixels[chosen][None], wanted[chosen][None], kernel[None])

    depthwise = isinstance(layer, layers.DepthwiseConv2D)
    rows = int(_VALUES / kernel[..., 0].size) if depthwise else _ROWS
    pixels = np.stack(
        np.unravel_index(_some(int(np.prod(outputs.shape[:3])), rows, rng), outputs.shape[:3])
    )
    taps = _taps(layer, inputs, outputs.shape, pixels)
    count, _, channels = taps.shape
    groups = channels if depthwise else layer.groups
    taps = taps.reshape(count, -1, groups, channels // groups).transpose(2, 0, 1, 3)
    return LayerProblem(
        # Contiguous: NumPy multiplies other matrices without a library, a hundred times slower.
        np.ascontiguousarray(taps).reshape(groups, count, -1),
        outputs[tuple(pixels)].reshape(count, groups, -1).transpose(1, 0, 2),
        kernel.reshape(-1, groups, outputs.shape[3] // groups).transpose(1, 0, 2),
    )


def _some(count: int, limit: int, rng: np.random.Generator) -> Array:
    return np.sort(rng.choice(count, min(count, limit), replace=False))


def _taps(layer: Any, inputs: Array, output_shape: tuple[int, ...], pixels: Array) -> Array:
    """Returns what lies under the kernel at these pixels, `(pixels, taps, channels)`."""
    image, *position = pixels
    size, rate, strides = layer.kernel_size, layer.dilation_rate, layer.strides
    found = []
    starts = []
    for axis in (0, 1):
        extent = (size[axis] - 1) * rate[axis] + 1
        needed = (output_shape[1 + axis] - 1) * strides[axis] + extent
        missing = max(needed - inputs.shape[1 + axis], 0) if layer.padding == "same" else 0
        starts.append(position[axis] * strides[axis] - missing // 2)
    for i in range(size[0]):
        for j in range(size[1]):
            y, x = starts[0] + i * rate[0], starts[1] + j * rate[1]
            inside = (y >= 0) & (y < inputs.shape[1]) & (x >= 0) & (x < inputs.shape[2])
            values = inputs[image, y * inside, x * inside]
            found.append(np.where(inside[:, None], values, 0))
    return np.stack(found, 1)
