"""How good a classifier's outputs are, and how near they are to another's. Pure NumPy."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def top_k_accuracy(scores: Array, labels: Array, k: int = 1) -> float:
    """Share of the images whose label is among the `k` best classes, 0..1.

    Equal scores, frequent in int8, rank in the order of their classes, as with `argmax`. A NaN
    ranks above every number, and a label whose score is NaN is wrong.

    Args:
        scores: `(images, classes)`: logits or probabilities.
        labels: `(images,)`: the right classes, integers from 0.
        k: How many classes an image may be given.

    >>> scores = np.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]])
    >>> top_k_accuracy(scores, np.array([1, 2])), top_k_accuracy(scores, np.array([1, 2]), k=2)
    (0.5, 1.0)
    """
    own = np.take_along_axis(scores, labels[:, None], axis=1)
    ahead = ~(scores <= own)
    ahead |= (scores == own) & (np.arange(scores.shape[1]) < labels[:, None])
    right = (ahead.sum(axis=1) < k) & ~np.isnan(own[:, 0])
    return float(np.mean(right))


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
