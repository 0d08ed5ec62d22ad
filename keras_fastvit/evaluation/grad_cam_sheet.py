"""A sheet of pictures: what a classifier looked at where it was right, and where it was wrong."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_fastvit.arrays import Array
from keras_fastvit.atomic_file import written_beside
from keras_fastvit.evaluation.classifier import Answers, KerasClassifier
from keras_fastvit.evaluation.metrics import ranks, softmax
from keras_fastvit.evaluation.saliency import grad_cam

COLUMNS = 6
"""How many right answers are shown, and how many wrong ones, if there are as many."""


@dataclass(frozen=True)
class Picture:
    """An image and where the classifier looked.

    Attributes:
        pixels: uint8 `(height, width, 3)`.
        map: Grad-CAM of the class it was taken for, `(rows, columns)`.
        label: The right class.
        prediction: What it was taken for.
        confidence: Probability of that, 0..1.
    """

    pixels: Array
    map: Array
    label: str
    prediction: str
    confidence: float


def choose(answers: Answers) -> tuple[Array, Array]:
    """Chooses images to look at: right answers spread over all, and the most confident wrong ones.

    Returns:
        Places in `answers.paths` of each, int64, at most `COLUMNS`.
    """
    right = ranks(answers.logits, answers.labels) == 0
    confidence = softmax(answers.logits).max(axis=1)
    (hits,), (misses,) = np.nonzero(right), np.nonzero(~right)
    spread = np.linspace(0, len(hits) - 1, min(COLUMNS, len(hits))).round().astype("int64")
    return hits[spread], misses[np.argsort(-confidence[misses], kind="stable")[:COLUMNS]]


def pictures(classifier: KerasClassifier, answers: Answers, places: Array) -> list[Picture]:
    """Makes pictures of some of the images, with the class that each was taken for.

    Raises:
        OSError, ValueError: If an image can no longer be read, or the model has no feature map.
    """
    if not len(places):
        return []
    probabilities = softmax(answers.logits[places])
    best = probabilities.argmax(axis=1)
    pixels = np.stack([classifier.preparation.load(answers.paths[place]) for place in places])
    inputs = classifier.preparation.normalize(pixels)
    maps = grad_cam(classifier.model, inputs, answers.considered[best])
    return [
        Picture(
            pixels=pixels[i],
            map=maps[i],
            label=answers.names[answers.labels[place]],
            prediction=answers.names[best[i]],
            confidence=float(probabilities[i, best[i]]),
        )
        for i, place in enumerate(places)
    ]


def draw(right: Sequence[Picture], wrong: Sequence[Picture], path: str | os.PathLike[str]) -> None:
    """Draws pictures, each above its map laid over it, as a PNG file.

    Raises:
        ImportError: If Matplotlib is not installed.
        OSError: If the file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.1 * COLUMNS, 9.6), layout="constrained")
    panels = figure.subplots(4, COLUMNS)
    for axes in panels.flat:
        axes.axis("off")
    for row, shown, caption in ((0, right, _caption_right), (2, wrong, _caption_wrong)):
        for column, picture in enumerate(shown):
            height, width = picture.pixels.shape[:2]
            above, below = panels[row, column], panels[row + 1, column]
            above.imshow(picture.pixels)
            # Matplotlib reads what is between $ as formulas.
            above.set_title(caption(picture), fontsize=8, parse_math=False)
            below.imshow(picture.pixels.mean(axis=-1), cmap="gray", vmin=0, vmax=255)
            below.imshow(
                picture.map / max(float(picture.map.max()), 1e-12),
                cmap="turbo",
                alpha=0.5,
                vmin=0,
                vmax=1,
                extent=(-0.5, width - 0.5, height - 0.5, -0.5),
                interpolation="bilinear",
            )
    figure.suptitle("Grad-CAM of the class that each image was taken for; right above, wrong below")
    with written_beside(path) as unfinished:
        figure.savefig(unfinished, format="png", dpi=110)


def _caption_right(picture: Picture) -> str:
    return f"{picture.label}\n{picture.confidence:.0%} sure"


def _caption_wrong(picture: Picture) -> str:
    return f"{picture.label}, taken for\n{picture.prediction}, {picture.confidence:.0%} sure"
