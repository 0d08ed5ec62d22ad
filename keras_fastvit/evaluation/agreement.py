"""How near a classifier's outputs are to another's. Pure NumPy."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def agreement(reference: Array, received: Array) -> float:
    """Share of the images for which both have the same best class, 0..1.

    Args:
        reference: `(images, classes)`.
        received: The same shape.
    """
    return float(np.mean(reference.argmax(axis=1) == received.argmax(axis=1)))


def sqnr_db(reference: Array, received: Array) -> float:
    """Signal-to-quantisation-noise ratio in decibels, of all values together.

    `10·log10(Σ y² / Σ (y − ŷ)²)`, y being the reference. Infinite where both are equal.

    Args:
        reference: Array of any shape, such as the logits `(images, classes)` of a float model.
        received: The same shape.

    >>> round(sqnr_db(np.array([3.0, 4.0]), np.array([3.0, 4.5])), 2)
    20.0
    """
    reference = reference.astype("float64")
    noise = np.sum((reference - received) ** 2)
    if noise == 0:
        return float("inf")
    with np.errstate(divide="ignore"):  # an all-zero reference: minus infinity
        return float(10 * np.log10(np.sum(reference**2) / noise))
