"""The algebra of folding: what a linear branch becomes when its neighbours are folded into it.

Pure NumPy in float64, so that a folded model differs from its training form by the rounding of
its float32 weights alone. Kernels are in Keras' layout: `(height, width, in, out)` for dense
convolutions and `(height, width, in, multiplier)` for depthwise ones, whose output channel
`c * multiplier + j` is `kernel[:, :, c, j]`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Affine(NamedTuple):
    """The map `x -> scale * x + shift` of each channel."""

    scale: Array
    shift: Array


class Kernel(NamedTuple):
    """A convolution or dense layer: its kernel and its bias (one value an output channel)."""

    kernel: Array
    bias: Array


def batch_norm(gamma: Array, beta: Array, mean: Array, variance: Array, epsilon: float) -> Affine:
    """Batch normalisation with frozen statistics: `gamma * (x - mean) / sqrt(var + eps) + beta`."""
    scale = gamma / np.sqrt(variance + epsilon)
    return Affine(scale, beta - mean * scale)


def scale_outputs(layer: Kernel, scale: Array) -> Kernel:
    """Multiplies each output channel of a layer by `scale`.

    >>> layer = Kernel(np.ones((1, 1, 2, 1)), np.zeros(2))
    >>> scale_outputs(layer, np.array([2.0, 3.0])).kernel.ravel()
    array([2., 3.])
    """
    # (1, out) for a dense kernel, (in, multiplier) for a depthwise one.
    per_output = scale.reshape(-1, layer.kernel.shape[-1])
    return Kernel(layer.kernel * per_output, layer.bias * scale)


def affine_after(layer: Kernel, affine: Affine) -> Kernel:
    """Folds an affine map of the outputs into the layer before it."""
    kernel, bias = scale_outputs(layer, affine.scale)
    return Kernel(kernel, bias + affine.shift)


def affine_before_dense(affine: Affine, layer: Kernel) -> Kernel:
    """Folds an affine map of the inputs into the dense layer `(in, out)` behind it.

    Exact for dense layers only: a convolution that pads with zeros sees no shift at the border.
    """
    kernel, bias = layer
    return Kernel(kernel * affine.scale[:, None], bias + affine.shift @ kernel)


def pad_kernel(kernel: Array, size: int) -> Array:
    """Centres a `k x k` kernel in a `size x size` one; both are odd, or both even."""
    height, width = kernel.shape[:2]
    top, left = (size - height) // 2, (size - width) // 2
    return np.pad(kernel, ((top, size - height - top), (left, size - width - left), (0, 0), (0, 0)))


def identity_kernel(size: int, channels: int, depthwise: bool) -> Array:
    """The kernel that returns its input."""
    if depthwise:
        return pad_kernel(np.ones((1, 1, channels, 1)), size)
    return pad_kernel(np.eye(channels)[None, None], size)


def sum_branches(*branches: Kernel) -> Kernel:
    """Adds parallel convolutions, the smaller kernels centred in the largest."""
    size = max(branch.kernel.shape[0] for branch in branches)
    kernels = [pad_kernel(branch.kernel, size) for branch in branches]
    return Kernel(sum(kernels[1:], kernels[0]), np.sum([b.bias for b in branches], axis=0))


def rep_mixer(mixer: Kernel, norm: Affine, layer_scale: Array) -> Kernel:
    """`x + layer_scale * (mixer(x) - norm(x))` as one convolution (paper, section 3.2)."""
    size, channels = mixer.kernel.shape[0], mixer.kernel.shape[2]
    identity = Kernel(identity_kernel(size, channels, depthwise=True), np.zeros(channels))
    norm_branch = affine_after(identity, norm)
    difference = Kernel(mixer.kernel - norm_branch.kernel, mixer.bias - norm_branch.bias)
    return sum_branches(identity, scale_outputs(difference, layer_scale))


class AttentionKernels(NamedTuple):
    """Attention without biases on keys and values, `1 / sqrt(head_dim)` folded into the query."""

    query: Kernel
    key: Array
    value: Array
    projection: Kernel


def attention(
    norm: Affine, qkv: Array, projection: Kernel, layer_scale: Array, head_dim: int
) -> AttentionKernels:
    """Folds the norm before attention, its scale, and the layer scale behind it.

    The folded norm gives query, key and value a bias each. The key's adds the same amount to
    every logit of a query, which softmax ignores; the value's passes through attention unchanged,
    as the weights of a query sum to one, and so ends in the projection's bias.

    Args:
        norm: The normalisation before the attention, as an affine map of `(channels,)`.
        qkv: Kernel of the joint projection, `(channels, 3 * channels)`.
        projection: The output projection, kernel `(channels, channels)`.
        layer_scale: `(channels,)`.
        head_dim: Channels of one head.
    """
    zero = np.zeros(qkv.shape[0])
    query, key, value = (
        affine_before_dense(norm, Kernel(kernel, zero)) for kernel in np.split(qkv, 3, axis=1)
    )
    scale = np.full(qkv.shape[0], head_dim**-0.5)
    with_value_bias = Kernel(projection.kernel, projection.bias + value.bias @ projection.kernel)
    return AttentionKernels(
        query=scale_outputs(query, scale),
        key=key.kernel,
        value=value.kernel,
        projection=scale_outputs(with_value_bias, layer_scale),
    )
