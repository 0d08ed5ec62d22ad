"""Weights and images made from names and seeds, so that a fixture need not store them.

A fixture holds a checkpoint's names and shapes and the outputs that the reference
implementation gave with `generate(shapes)`. Whoever has the names has the weights.

Every number comes from `numpy.random.RandomState`, whose stream NumPy has frozen, by IEEE
additions, multiplications and square roots only: the same bits on every platform and with every
NumPy version. For this reason the draws are uniform, also where a normal one would be usual.
"""

import math
import zlib
from collections.abc import Mapping

import numpy as np

# Standard deviation of a kernel's response to white noise of unit variance. Chosen such that in
# all variants and both forms the activations of every stage stay between 0.1 and 10, each tensor
# and the image matter to the logits, and float32 keeps them to 1e-6. A depthwise kernel of the
# training form is one branch of several; a fused kernel stands for a whole sum.
DENSE_GAIN = 1.0
DEPTHWISE_GAIN = 0.5
FUSED_GAIN = 1.5
FUSED_MIXER_GAIN = 0.2

# How the names of fused kernels end.
FUSED = (".reparam_conv.weight", ".lkb_reparam.weight")
FUSED_MIXER = ".token_mixer.reparam_conv.weight"


def generate(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Returns a float32 array for each name of a FastViT `state_dict`, timm's or Apple's.

    The kind of a tensor follows from the last part of its name and from its rank:

    | kind | values |
    |---|---|
    | `running_var`; `weight` of rank 1 (a batch norm's) | uniform in [0.5, 1.5) |
    | `running_mean`, `bias` | uniform, mean 0, standard deviation 0.1 |
    | rank 3, `(channels, 1, 1)` (a layer scale) | either sign, magnitude in [0.05, 1) |
    | `weight` of rank 2 or 4 | uniform, mean 0, standard deviation gain / sqrt(fan_in) |
    | `proj` of rank 2, stored as `(in, out)` | the same |

    A RepMixer's fused kernel is the identity plus a smaller draw, as fusion makes it: without the
    identity a deep model would forget its input.

    Args:
        shapes: Name to shape, in PyTorch's layout: `(out, in / groups, height, width)`.

    Raises:
        ValueError: for a name of no known kind, `num_batches_tracked` for one.
    """
    return {name: _tensor(name, tuple(shape)) for name, shape in shapes.items()}


def generate_image(seed: int, shape: tuple[int, int, int]) -> np.ndarray:
    """Returns float32 noise in [-2, 2), about the range of a normalised photograph.

    Fine noise over coarse squares: with fine noise alone, which global pooling averages away,
    the logits would hardly depend on the image.

    Args:
        seed: Any 32-bit non-negative integer.
        shape: `(batch, height, width)`.

    Returns:
        `(batch, height, width, 3)`.
    """
    batch, height, width = shape
    rng = np.random.RandomState(seed)
    fine = rng.random_sample((batch, height, width, 3))
    squares = rng.random_sample((batch, -(-height // 16), -(-width // 16), 3))
    coarse = squares.repeat(16, axis=1).repeat(16, axis=2)[:, :height, :width]
    return (2.0 * (fine + coarse) - 2.0).astype(np.float32)


def _tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    draws = np.random.RandomState(zlib.crc32(name.encode())).random_sample(shape)
    signed = 2.0 * draws - 1.0
    unit_deviation = math.sqrt(3.0) * signed
    leaf, rank = name.rpartition(".")[2], len(shape)

    if rank == 1 and leaf in ("running_var", "weight"):
        values = 0.5 + draws
    elif rank == 1 and leaf in ("running_mean", "bias"):
        values = 0.1 * unit_deviation
    elif rank == 3 and shape[1:] == (1, 1):
        values = np.copysign(0.05 + 0.95 * np.abs(signed * signed * signed), signed)
    elif rank == 2 and leaf == "proj":
        values = DENSE_GAIN / math.sqrt(shape[0]) * unit_deviation
    elif rank in (2, 4) and leaf == "weight":
        values = _gain(name, shape) / math.sqrt(math.prod(shape[1:])) * unit_deviation
        if name.endswith(FUSED_MIXER):
            values[:, :, shape[2] // 2, shape[3] // 2] += 1.0
    else:
        raise ValueError(
            "Expected the name and shape of a convolution, dense layer, batch norm or layer "
            f"scale. Received: name={name!r}, shape={shape}"
        )
    return values.astype(np.float32)


def _gain(name: str, shape: tuple[int, ...]) -> float:
    if name.endswith(FUSED_MIXER):
        return FUSED_MIXER_GAIN
    if name.endswith(FUSED):
        return FUSED_GAIN
    return DEPTHWISE_GAIN if shape[1] == 1 else DENSE_GAIN
