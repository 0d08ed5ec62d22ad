"""Noise: each value is disturbed on its own, so that the size of the image does not matter."""

import numpy as np

from keras_fastvit.arrays import Array


def gaussian_noise(image: Array, rng: np.random.Generator, deviation: float) -> Array:
    """Adds normal noise, as in poor light.

    Args:
        image: Float `(height, width, 3)`, RGB in 0..1.
        rng: Source of the randomness.
        deviation: Standard deviation of the noise, on the 0..1 scale.
    """
    return image + deviation * rng.standard_normal(image.shape)


def shot_noise(image: Array, rng: np.random.Generator, photons: float) -> Array:
    """Counts photons: `Poisson(photons · image) / photons`.

    Args:
        image: Float `(height, width, 3)`, RGB in 0..1.
        rng: Source of the randomness.
        photons: How many make white.
    """
    return rng.poisson(image * photons) / photons


def impulse_noise(image: Array, rng: np.random.Generator, share: float) -> Array:
    """Salt and pepper: a share of the values becomes 0 or 1, as often the one as the other.

    Args:
        image: Float `(height, width, 3)`, RGB in 0..1.
        rng: Source of the randomness.
        share: Of the values, each channel's on its own.
    """
    chance = rng.random(image.shape)
    return np.where(chance < share, (chance < share / 2).astype(image.dtype), image)


def speckle_noise(image: Array, rng: np.random.Generator, deviation: float) -> Array:
    """Adds normal noise in proportion to the brightness.

    Args:
        image: Float `(height, width, 3)`, RGB in 0..1.
        rng: Source of the randomness.
        deviation: Standard deviation of the noise where the image is 1.
    """
    return image + image * deviation * rng.standard_normal(image.shape)
