"""The algebra of folding beside brute force: convolutions written out here, in float64."""

from typing import Any

import numpy as np
import pytest

from keras_fastvit.architecture import fusion
from keras_fastvit.architecture.fusion import Affine, Kernel

pytestmark = pytest.mark.single_backend

CLOSE = {"rtol": 0, "atol": 1e-12}


def convolve(x: np.ndarray, layer: Kernel, strides: int = 1, depthwise: bool = False) -> np.ndarray:
    """A convolution of `(height, width, channels)`, padded by `kernel_size // 2` with zeros."""
    kernel, bias = layer
    size = kernel.shape[0]
    padded = np.pad(x, ((size // 2, size // 2), (size // 2, size // 2), (0, 0)))
    rows = range(0, padded.shape[0] - size + 1, strides)
    columns = range(0, padded.shape[1] - size + 1, strides)
    output = np.empty((len(rows), len(columns), bias.size))
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            window = padded[row : row + size, column : column + size]
            for channel in range(bias.size):
                if depthwise:
                    source, multiple = divmod(channel, kernel.shape[3])
                    total = np.sum(window[:, :, source] * kernel[:, :, source, multiple])
                else:
                    total = np.sum(window * kernel[:, :, :, channel])
                output[i, j, channel] = total + bias[channel]
    return output


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def random_kernel(
    rng: np.random.Generator, size: int, channels: int, filters: int, depthwise: bool = False
) -> Kernel:
    last = filters // channels if depthwise else filters
    return Kernel(rng.normal(size=(size, size, channels, last)), rng.normal(size=filters))


def random_affine(rng: np.random.Generator, channels: int) -> Affine:
    return Affine(rng.normal(size=channels), rng.normal(size=channels))


def apply(affine: Affine, x: np.ndarray) -> np.ndarray:
    return x * affine.scale + affine.shift


def test_batch_norm(rng: np.random.Generator) -> None:
    gamma, beta, mean = rng.normal(size=(3, 5))
    variance, x = rng.uniform(0, 2, 5), rng.normal(size=(4, 5))
    affine = fusion.batch_norm(gamma, beta, mean, variance, 1e-5)
    expected = gamma * (x - mean) / np.sqrt(variance + 1e-5) + beta
    np.testing.assert_allclose(apply(affine, x), expected, **CLOSE)


def test_batch_norm_of_a_channel_that_never_varied() -> None:
    affine = fusion.batch_norm(np.ones(1), np.zeros(1), np.ones(1), np.zeros(1), 1e-5)
    np.testing.assert_allclose(affine.scale, 1e5**0.5)


CONVOLUTIONS = [
    # kernel size, strides, channels, filters, depthwise
    (1, 1, 3, 4, False),
    (3, 1, 3, 4, False),
    (3, 2, 2, 4, False),
    (3, 1, 4, 4, True),
    (3, 2, 3, 6, True),
    (7, 2, 2, 6, True),
    (7, 1, 3, 3, True),
]
convolutions = pytest.mark.parametrize(
    ("size", "strides", "channels", "filters", "depthwise"), CONVOLUTIONS
)


@convolutions
def test_affine_after_a_convolution(
    rng: np.random.Generator, size: int, strides: int, channels: int, filters: int, depthwise: bool
) -> None:
    x = rng.normal(size=(7, 6, channels))
    layer = random_kernel(rng, size, channels, filters, depthwise)
    affine = random_affine(rng, filters)
    folded = fusion.affine_after(layer, affine)
    expected = apply(affine, convolve(x, layer, strides, depthwise))
    np.testing.assert_allclose(convolve(x, folded, strides, depthwise), expected, **CLOSE)


@convolutions
def test_scaled_outputs(
    rng: np.random.Generator, size: int, strides: int, channels: int, filters: int, depthwise: bool
) -> None:
    x, scale = rng.normal(size=(7, 6, channels)), rng.normal(size=filters)
    layer = random_kernel(rng, size, channels, filters, depthwise)
    scaled = fusion.scale_outputs(layer, scale)
    expected = scale * convolve(x, layer, strides, depthwise)
    np.testing.assert_allclose(convolve(x, scaled, strides, depthwise), expected, **CLOSE)


@convolutions
def test_sum_of_branches(
    rng: np.random.Generator, size: int, strides: int, channels: int, filters: int, depthwise: bool
) -> None:
    """A strided 1x1 branch reads the pixels that the large kernel's centre stands on."""
    x = rng.normal(size=(8, 5, channels))
    sizes = sorted({1, min(3, size), size})
    branches = [random_kernel(rng, s, channels, filters, depthwise) for s in sizes]
    expected = sum(convolve(x, branch, strides, depthwise) for branch in branches)
    for order in (branches, branches[::-1]):
        summed = fusion.sum_branches(*order)
        assert summed.kernel.shape[:2] == (size, size)
        np.testing.assert_allclose(convolve(x, summed, strides, depthwise), expected, **CLOSE)


def test_affine_before_dense(rng: np.random.Generator) -> None:
    x, affine = rng.normal(size=(5, 3)), random_affine(rng, 3)
    layer = Kernel(rng.normal(size=(3, 4)), rng.normal(size=4))
    folded = fusion.affine_before_dense(affine, layer)
    expected = apply(affine, x) @ layer.kernel + layer.bias
    np.testing.assert_allclose(x @ folded.kernel + folded.bias, expected, **CLOSE)


@pytest.mark.parametrize("depthwise", [True, False])
@pytest.mark.parametrize("size", [1, 3, 7])
def test_identity(rng: np.random.Generator, size: int, depthwise: bool) -> None:
    x = rng.normal(size=(6, 5, 4))
    layer = Kernel(fusion.identity_kernel(size, 4, depthwise), np.zeros(4))
    assert layer.kernel.shape[:2] == (size, size)
    np.testing.assert_array_equal(convolve(x, layer, depthwise=depthwise), x)


def test_padding_centres() -> None:
    kernel = np.arange(9.0).reshape(3, 3, 1, 1)
    padded = fusion.pad_kernel(kernel, 7)
    np.testing.assert_array_equal(padded[2:5, 2:5], kernel)
    assert padded.shape == (7, 7, 1, 1)
    assert padded.sum() == kernel.sum()
    assert fusion.pad_kernel(kernel, 3) is not kernel
    np.testing.assert_array_equal(fusion.pad_kernel(kernel, 3), kernel)


def test_rep_mixer(rng: np.random.Generator) -> None:
    x, mixer = rng.normal(size=(6, 5, 4)), random_kernel(rng, 3, 4, 4, depthwise=True)
    norm, layer_scale = random_affine(rng, 4), rng.normal(size=4)
    folded = fusion.rep_mixer(mixer, norm, layer_scale)
    expected = x + layer_scale * (convolve(x, mixer, depthwise=True) - apply(norm, x))
    np.testing.assert_allclose(convolve(x, folded, depthwise=True), expected, **CLOSE)


def attend(query: Any, key: Any, value: Any, head_dim: int) -> np.ndarray:
    """Attention of `(tokens, channels)` each, head by head, without a scale."""
    heads = []
    for first in range(0, query.shape[1], head_dim):
        head = slice(first, first + head_dim)
        weights = np.exp(query[:, head] @ key[:, head].T)
        heads.append(weights / weights.sum(1, keepdims=True) @ value[:, head])
    return np.concatenate(heads, axis=1)


def test_attention(rng: np.random.Generator) -> None:
    tokens, channels, head_dim = 5, 8, 4
    x, norm = rng.normal(size=(tokens, channels)), random_affine(rng, channels)
    qkv = rng.normal(size=(channels, 3 * channels)) / 3
    projection = Kernel(rng.normal(size=(channels, channels)), rng.normal(size=channels))
    layer_scale = rng.normal(size=channels)

    query, key, value = np.split(apply(norm, x) @ qkv, 3, axis=1)
    attended = attend(query / np.sqrt(head_dim), key, value, head_dim)
    expected = layer_scale * (attended @ projection.kernel + projection.bias)

    folded = fusion.attention(norm, qkv, projection, layer_scale, head_dim)
    query = x @ folded.query.kernel + folded.query.bias
    attended = attend(query, x @ folded.key, x @ folded.value, head_dim)
    received = attended @ folded.projection.kernel + folded.projection.bias
    np.testing.assert_allclose(received, expected, **CLOSE)


# --- properties ---------------------------------------------------------------------------------


def test_folding_is_linear(rng: np.random.Generator) -> None:
    """The sum of folded branches is the folded sum: one kernel, however it is grouped."""
    first, second, third = (random_kernel(rng, size, 3, 6, depthwise=True) for size in (7, 3, 1))
    affine = random_affine(rng, 6)
    for grouped in (
        fusion.sum_branches(fusion.sum_branches(first, second), third),
        fusion.sum_branches(first, fusion.sum_branches(second, third)),
    ):
        together = fusion.sum_branches(first, second, third)
        np.testing.assert_allclose(grouped.kernel, together.kernel, **CLOSE)
        np.testing.assert_allclose(grouped.bias, together.bias, **CLOSE)
    without_shift = Affine(affine.scale, np.zeros(6))
    apart = fusion.sum_branches(
        fusion.affine_after(first, affine), fusion.affine_after(second, without_shift)
    )
    at_once = fusion.affine_after(fusion.sum_branches(first, second), affine)
    np.testing.assert_allclose(apart.kernel, at_once.kernel, **CLOSE)
    np.testing.assert_allclose(apart.bias, at_once.bias, **CLOSE)


def test_identity_affine_changes_nothing(rng: np.random.Generator) -> None:
    layer, affine = random_kernel(rng, 3, 2, 4), Affine(np.ones(4), np.zeros(4))
    folded = fusion.affine_after(layer, affine)
    np.testing.assert_array_equal(folded.kernel, layer.kernel)
    np.testing.assert_array_equal(folded.bias, layer.bias)


def test_a_layer_scale_of_zero_leaves_the_identity(rng: np.random.Generator) -> None:
    mixer = random_kernel(rng, 3, 4, 4, depthwise=True)
    folded = fusion.rep_mixer(mixer, random_affine(rng, 4), np.zeros(4))
    np.testing.assert_array_equal(folded.kernel, fusion.identity_kernel(3, 4, depthwise=True))
    np.testing.assert_array_equal(folded.bias, np.zeros(4))


def test_arguments_are_left_alone(rng: np.random.Generator) -> None:
    layer, affine = random_kernel(rng, 3, 4, 4, depthwise=True), random_affine(rng, 4)
    copies = [array.copy() for array in (*layer, *affine)]
    fusion.affine_after(layer, affine)
    fusion.rep_mixer(layer, affine, affine.scale)
    fusion.sum_branches(layer, layer)
    for array, copy in zip((*layer, *affine), copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_precision_is_float64(rng: np.random.Generator) -> None:
    """An error of float32's size would show: 1e-7, of 1e-12 allowed."""
    layer = random_kernel(rng, 3, 4, 4, depthwise=True)
    affine = fusion.batch_norm(*rng.uniform(0.5, 1.5, (4, 4)), epsilon=1e-5)
    folded = fusion.rep_mixer(layer, affine, rng.normal(size=4))
    assert affine.scale.dtype == affine.shift.dtype == np.float64
    assert folded.kernel.dtype == folded.bias.dtype == np.float64
