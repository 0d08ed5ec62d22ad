"""Fractal noise: the fog's plasma, and the frost's crystals."""

import numpy as np

from keras_fastvit.arrays import Array
from keras_fastvit.evaluation.corruptions.blur import smeared

_DIRECTIONS = 8
_NEEDLE = 12
"""Half the length of needles of ice, in pixels."""


def plasma(side: int, decay: float, rng: np.random.Generator) -> Array:
    """Returns a plasma fractal, by the diamond-square algorithm on a torus.

    Fournier, Fussell and Carpenter, "Computer rendering of stochastic models" (1982): the centre of
    each square is the mean of its corners and a random value, the middle of each edge that of its
    ends, of the centres beside it and a random value; then squares are half as large, and random
    values smaller by `decay²`.

    Args:
        side: A power of two.
        decay: At least 1.
        rng: Source of the randomness.

    Returns:
        Float `(side, side)`, from 0 to 1.
    """
    grid, amplitude = np.zeros((1, 1)), 1.0
    while len(grid) < side:
        n = len(grid)
        finer = np.empty((2 * n, 2 * n))

        def disturbed(total: Array, n: int = n, amplitude: float = amplitude) -> Array:
            return total / 4 + amplitude * rng.uniform(-1, 1, (n, n))

        below = np.roll(grid, -1, axis=0)
        corners = grid + below + np.roll(grid + below, -1, axis=1)
        finer[::2, ::2] = grid
        finer[1::2, 1::2] = centres = disturbed(corners)
        right = np.roll(grid, -1, axis=1)
        finer[::2, 1::2] = disturbed(grid + right + centres + np.roll(centres, 1, axis=0))
        finer[1::2, ::2] = disturbed(grid + below + centres + np.roll(centres, 1, axis=1))
        grid = finer
        amplitude /= decay**2
    grid -= grid.min()
    return grid / grid.max()


def crystals(shape: tuple[int, int], rng: np.random.Generator) -> Array:
    """Returns a texture of needles, as ice on a window: patches, each grown in one direction.

    For each direction, random values smeared along it are streaks; a smooth noise, of two octaves,
    says where that direction lies on top of the others.

    Args:
        shape: Height and width in pixels.
        rng: Source of the randomness.

    Returns:
        Float `(height, width)` in 0..1.
    """
    first, ice = rng.uniform(0, 180), np.full(shape, -np.inf)
    for direction in range(_DIRECTIONS):
        angle = first + direction * 180 / _DIRECTIONS
        streaks = smeared(rng.standard_normal(shape), _NEEDLE, _NEEDLE, angle)
        patches = _smooth_noise(shape, 36, rng) + 0.5 * _smooth_noise(shape, 18, rng)
        ice = np.maximum(ice, streaks / streaks.std() + 2 * patches / patches.std())
    low, high = np.percentile(ice, [1, 99])
    return np.clip((ice - low) / (high - low), 0, 1)


def _smooth_noise(shape: tuple[int, int], spacing: int, rng: np.random.Generator) -> Array:
    """Interpolates random values in −1..1 that are `spacing` pixels apart."""
    from scipy.ndimage import zoom

    height, width = shape
    values = rng.uniform(-1, 1, (height // spacing + 2, width // spacing + 2))
    noise: Array = zoom(values, spacing, order=3, mode="nearest")[:height, :width]
    return noise
