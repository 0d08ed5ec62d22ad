"""A Keras classifier, how images are prepared for it, and its answers to a folder of images."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_fastvit.architecture.inference_form import fuse
from keras_fastvit.evaluation.image_batches import BATCH, read_batches
from keras_fastvit.graph.logits import to_logits
from keras_fastvit.images.folders import ImageFolders, classes_of_folders
from keras_fastvit.images.labels import check_labels
from keras_fastvit.images.preprocessing import load_image, preprocess_input

Array = NDArray[Any]

_PARTIAL = 200
"""Folders of ImageNet-A and -R: 200 of ImageNet's 1,000 classes, of which answers are taken."""


class Classifier:
    """A model in inference form, without a softmax at its end.

    Args:
        model: Takes RGB images `(batch, height, width, 3)`, normalised as by `preprocess_input`,
            and gives logits or probabilities `(batch, classes)`. FastViT layers may be in it.
        crop_pct: Share of the resized image's short side that the crop keeps.
        labels: Names of the classes, where they are known.
        image_size: Height and width in pixels, for a model whose sides are None.
        normalization: How images are normalised; see `preprocess_input`.

    Attributes:
        model: What computes the logits.
        size: Height and width in pixels.
        classes: Their number.
        labels: As given.

    Raises:
        ValueError: If the model is of another kind, or labels or size do not fit it.
    """

    def __init__(
        self,
        model: keras.Model,
        crop_pct: float,
        labels: Sequence[str] | None = None,
        image_size: tuple[int, int] | None = None,
        normalization: str = "imagenet",
    ) -> None:
        self.model, _ = to_logits(fuse(model))
        shape: Any = self.model.input_shape
        one_image = isinstance(shape, tuple) and len(shape) == 4 and shape[3] == 3
        own = shape[1:3] if one_image else (None, None)
        height, width = (a or b for a, b in zip(own, image_size or (None, None), strict=True))
        fits = image_size is None or (height, width) == image_size
        scores = len(self.model.output_shape) == 2
        if not (one_image and fits and scores) or height is None or width is None:
            raise ValueError(
                "The model must take RGB images of one size, which --image-size can give, with "
                "their channels last, and give scores (batch, classes). Received: input "
                f"{shape}, output {self.model.output_shape}, image_size={image_size}"
            )
        self.size: tuple[int, int] = (height, width)
        self.classes: int = self.model.output_shape[1]
        if labels is not None:
            check_labels(labels, self.model.output_shape)
        self.crop_pct, self.labels = crop_pct, labels
        self._normalization = normalization

    def load(self, path: str | os.PathLike[str]) -> NDArray[np.uint8]:
        """Returns an image file's pixels, uint8 `(height, width, 3)`.

        Raises:
            OSError: If the file cannot be read.
            ValueError: If it is no image.
        """
        return load_image(path, self.size, self.crop_pct)

    def normalized(self, pixels: Array) -> Array:
        """Maps uint8 images `(images, height, width, 3)` to the model's input, float32."""
        normalized: Array = preprocess_input(pixels, "channels_last", self._normalization)
        return normalized

    def logits(self, pixels: Array) -> Array:
        """Maps uint8 images `(images, height, width, 3)` to float32 `(images, classes)`."""
        inputs = self.normalized(pixels)
        return np.asarray(self.model.predict(inputs, batch_size=BATCH, verbose=0), "float32")


@dataclass(frozen=True)
class Answers:
    """What a classifier answered to the images of a folder.

    Attributes:
        paths: Of the images that could be read.
        logits: float32 `(images, considered)`.
        labels: int64 `(images,)`: the right classes, as indices of `considered`.
        considered: Classes that count, of the model's: all, or those that have folders.
        partial: Whether these are not all.
        names: Of these classes.
        rule: How it was known which class a folder holds.
        skipped: By path, why a file was left out.
    """

    paths: tuple[Path, ...]
    logits: Array
    labels: Array
    considered: Array
    partial: bool
    names: tuple[str, ...]
    rule: str
    skipped: dict[Path, str]


def classify(
    classifier: Classifier, folders: ImageFolders, advance: Callable[[], None] = lambda: None
) -> Answers:
    """Runs a classifier on the images of folders, and finds out which classes these hold.

    Of 200 folders named as ImageNet's synsets (ImageNet-A, ImageNet-R) only these 200 classes
    count, as their authors have it: what a model makes of the other 800 is not looked at.

    Args:
        classifier: To run.
        folders: One a class: ImageNet's validation set, ImageNet-A, -R, -Sketch by their synsets,
            ImageNet-V2 by its numbers, others by `classes_of_folders`' rules.
        advance: Called after each file.

    Raises:
        ValueError: If the folders do not fit the classes, or no image can be read.
    """
    found, rule = classes_of_folders(folders.names, classifier.classes, classifier.labels)
    considered = considered_classes(folders.names, found, classifier.classes)
    places: list[int] = []
    logits: list[Array] = []
    skipped: dict[Path, str] = {}
    for read, pixels in read_batches(folders, classifier.load, skipped, advance):
        places += read
        logits.append(classifier.logits(pixels)[:, considered])
    return Answers(
        paths=tuple(folders.images[place] for place in places),
        logits=np.concatenate(logits),
        labels=np.searchsorted(considered, np.array(found)[folders.folders[places]]),
        considered=considered,
        partial=len(considered) < classifier.classes,
        names=_names(classifier, folders, found, considered),
        rule=rule,
        skipped=skipped,
    )


def considered_classes(names: Sequence[str], found: Sequence[int], classes: int) -> Array:
    """Returns the classes that answers are chosen from, in ascending order.

    Args:
        names: Of the folders.
        found: The class of each folder.
        classes: Number of the model's classes.
    """
    synsets = all(re.fullmatch(r"n\d{8}", name) for name in names)
    partial = len(names) == _PARTIAL and classes == 1000 and synsets
    return np.array(sorted(found)) if partial else np.arange(classes)


def _names(
    classifier: Classifier, folders: ImageFolders, found: Sequence[int], considered: Array
) -> tuple[str, ...]:
    """Labels, or else folders' names, or else numbers."""
    if classifier.labels is not None:
        return tuple(classifier.labels[i] for i in considered)
    by_class = dict(zip(found, folders.names, strict=True))
    return tuple(by_class.get(int(i), f"class {i}") for i in considered)
