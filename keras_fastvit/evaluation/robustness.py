"""Accuracy under the common corruptions, of one or several models on the same images."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from keras_fastvit.arrays import Array
from keras_fastvit.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from keras_fastvit.evaluation.metrics import top_k_accuracy

Name = TypeVar("Name")

RUNS = 1 + len(CORRUPTIONS) * len(SEVERITIES)
"""How often each image is classified."""


@dataclass(frozen=True)
class Robustness:
    """The measurements of one model.

    Attributes:
        images: How many there were.
        clean: Top-1 accuracy on the images as they are, 0..1.
        accuracy: float64 `(corruptions, severities)`, in the order of `CORRUPTIONS`: top-1, 0..1.

    Example:
    >>> Robustness(100, 0.9, np.full((19, 5), 0.6)).mean()
    0.6
    """

    images: int
    clean: float
    accuracy: Array

    def mean(self, *groups: str) -> float:
        """Mean accuracy over all severities of the corruptions of some groups, or of all.

        Without the group `"extra"` it is what the paper averages: fifteen corruptions.
        """
        rows = [not groups or row.group in groups for row in CORRUPTIONS.values()]
        return float(self.accuracy[rows].mean())


COMMON = ("noise", "blur", "weather", "digital")
"""The groups of the fifteen corruptions that the paper averages."""


def measure(
    models: Mapping[Name, Callable[[Array], Array]],
    pixels: Array,
    labels: Array,
    advance: Callable[[], None] = lambda: None,
) -> dict[Name, Robustness]:
    """Classifies images as they are and corrupted in each way; every model gets the same pixels.

    Args:
        models: By name, or whatever stands for them: what maps uint8 images
            `(images, height, width, 3)` to scores `(images, classes)`.
        pixels: uint8 `(images, height, width, 3)`, RGB. The place of an image is its seed.
        labels: int64 `(images,)`: the right classes.
        advance: Called after each of `RUNS`.

    Returns:
        By name, in the same order.

    Raises:
        ImportError: If SciPy is not installed.

    Example:
    >>> def brightness(images):  # two classes: dark and bright
    ...     mean = images.mean(axis=(1, 2, 3))[:, None]
    ...     return np.concatenate([255 - mean, mean], axis=1)
    >>> pixels = np.stack([np.full((16, 16, 3), value, "uint8") for value in (5, 250)])
    >>> measure({"mine": brightness}, pixels, np.array([0, 1]))["mine"].clean
    1.0
    """

    def top1(images: Array) -> list[float]:
        found = [top_k_accuracy(model(images), labels) for model in models.values()]
        advance()
        return found

    clean = top1(pixels)
    accuracy = np.empty((len(models), len(CORRUPTIONS), len(SEVERITIES)))
    for row, name in enumerate(CORRUPTIONS):
        for column, severity in enumerate(SEVERITIES):
            corrupted = [corrupt(image, name, severity, i) for i, image in enumerate(pixels)]
            accuracy[:, row, column] = top1(np.stack(corrupted))
    return {name: Robustness(len(pixels), clean[i], accuracy[i]) for i, name in enumerate(models)}


def mean_corruption_error(found: Robustness, baseline: Robustness) -> float:
    """The paper's mCE of a model relative to another one, on the same images; 1 if equally good.

    The mean over the fifteen corruptions of `Σ error / Σ error of the baseline`, sums over the
    severities. The paper's baseline is AlexNet, whose errors hold for ImageNet-C only.

    Args:
        found: Of the model.
        baseline: Of the other one. NaN or infinite where it makes no error.
    """
    rows = [row.group in COMMON for row in CORRUPTIONS.values()]
    errors, baselines = ((1 - x.accuracy[rows]).sum(axis=1) for x in (found, baseline))
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.mean(errors / baselines))
