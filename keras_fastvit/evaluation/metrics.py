"""Measures of a classifier's outputs, and of how near they are to another's. Pure NumPy."""

import numpy as np

from keras_fastvit.arrays import Array

BINS = 15
"""Of the calibration error, as in the paper."""

_NEVER = np.iinfo("int64").max


def softmax(logits: Array) -> Array:
    """Returns the probabilities of logits `(images, classes)`, float64."""
    powers = np.exp(logits.astype("float64") - logits.max(axis=-1, keepdims=True))
    probabilities: Array = powers / powers.sum(axis=-1, keepdims=True)
    return probabilities


def ranks(scores: Array, labels: Array) -> Array:
    """Returns the number of classes ranked before each image's own class: 0 if it is the best.

    Equal scores, frequent in int8, rank in the order of their classes, as with `argmax`. A NaN
    ranks above every number, and a label whose score is NaN is never among the best.

    Args:
        scores: `(images, classes)`: logits or probabilities.
        labels: `(images,)`: the right classes, integers from 0.

    Returns:
        int64 `(images,)`.
    """
    own = np.take_along_axis(scores, labels[:, None], axis=1)
    ahead = ~(scores <= own)
    ahead |= (scores == own) & (np.arange(scores.shape[1]) < labels[:, None])
    found: Array = np.where(np.isnan(own[:, 0]), _NEVER, ahead.sum(axis=1))
    return found


def top_k_accuracy(scores: Array, labels: Array, k: int = 1) -> float:
    """Share of the images whose label is among the `k` best classes, 0..1; see `ranks`.

    Args:
        scores: `(images, classes)`: logits or probabilities.
        labels: `(images,)`: the right classes, integers from 0.
        k: How many classes an image may be given.

    >>> scores = np.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]])
    >>> top_k_accuracy(scores, np.array([1, 2])), top_k_accuracy(scores, np.array([1, 2]), k=2)
    (0.5, 1.0)
    """
    return float(np.mean(ranks(scores, labels) < k))


def per_class_accuracy(scores: Array, labels: Array, k: int = 1) -> Array:
    """Share of each class's images whose label is among the `k` best classes: the recall.

    Args:
        scores: `(images, classes)`: logits or probabilities.
        labels: `(images,)`: the right classes, integers from 0.
        k: How many classes an image may be given.

    Returns:
        float64 `(classes,)`; NaN of a class without images.

    >>> scores = np.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3], [0.3, 0.4, 0.3]])
    >>> per_class_accuracy(scores, np.array([1, 1, 0]))
    array([0. , 0.5, nan])
    """
    classes = scores.shape[1]
    images = np.bincount(labels, minlength=classes)
    right = np.bincount(labels[ranks(scores, labels) < k], minlength=classes)
    return np.where(images > 0, right / np.maximum(images, 1), np.nan)


def reliability(probabilities: Array, labels: Array, bins: int = BINS) -> tuple[Array, ...]:
    """Puts images into bins of equal width by their confidence, the best class's probability.

    Args:
        probabilities: `(images, classes)`, of sum 1.
        labels: `(images,)`: the right classes, integers from 0.
        bins: How many there are: `(0, 1/bins]`, …, `((bins − 1)/bins, 1]`.

    Returns:
        `(bins,)` each: the share of the images that is in a bin, their mean confidence and the
        share of them that is right; the last two are NaN of a bin without images.
    """
    confidence = probabilities.max(axis=1)
    right = ranks(probabilities, labels) == 0
    edges = np.linspace(0, 1, bins + 1)
    # Rounding may leave a sum of probabilities, and so one of them, just above 1.
    place = np.clip(np.searchsorted(edges, confidence) - 1, 0, bins - 1)
    images = np.bincount(place, minlength=bins)
    divisor = np.where(images > 0, images, np.nan)
    confidences = np.bincount(place, confidence, bins) / divisor
    return images / len(labels), confidences, np.bincount(place, right, bins) / divisor


def calibration_error(probabilities: Array, labels: Array, bins: int = BINS) -> float:
    """Expected calibration error: how far confidences are from the shares that are right, 0..1.

    Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks" (ICML 2017),
    equation 3: the mean of `|accuracy − mean confidence|` over `reliability`'s bins, weighted by
    their images.

    Args:
        probabilities: `(images, classes)`, of sum 1.
        labels: `(images,)`: the right classes, integers from 0.
        bins: How many there are.

    >>> sure = np.array([[0.9, 0.1], [0.9, 0.1]])
    >>> round(calibration_error(sure, np.array([0, 1])), 3)  # 90 % sure, 50 % right
    0.4
    """
    shares, confidences, accuracies = reliability(probabilities, labels, bins)
    return float(np.nansum(shares * np.abs(accuracies - confidences)))


def agreement(reference: Array, received: Array) -> float:
    """Returns the share of the images for which both have the same best class, 0..1.

    Args:
        reference: `(images, classes)`.
        received: The same shape.

    >>> agreement(np.array([[0, 1], [2, 1]]), np.array([[3, 4], [0, 5]]))
    0.5
    """
    return float(np.mean(reference.argmax(axis=1) == received.argmax(axis=1)))


def sqnr_db(reference: Array, received: Array) -> float:
    """Returns the signal-to-quantisation-noise ratio in decibels, of all values together.

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
