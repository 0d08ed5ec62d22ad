"""Classifiers, how images are prepared for them, and their answers to a folder of images."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_fastvit.architecture.inference_form import fuse
from keras_fastvit.arrays import Array
from keras_fastvit.evaluation.image_batches import BATCH, read_batches
from keras_fastvit.evaluation.metrics import softmax
from keras_fastvit.graph.logits import to_logits
from keras_fastvit.graph.normalization import normalization_of
from keras_fastvit.images.folders import ImageFolders, classes_of_folders
from keras_fastvit.images.labels import check_labels
from keras_fastvit.images.normalizations import DEFAULT_CROP_PCT
from keras_fastvit.images.preparation import Preparation

Forward = Callable[[Array], Array]
"""Maps normalised images, float32 `(batch, height, width, 3)`, to logits `(batch, classes)`."""

_PARTIAL = 200
"""Folders of ImageNet-A and -R: 200 of ImageNet's 1,000 classes, of which answers are taken."""


class Classifier:
    """A classifier that maps images to logits: a Keras model or a `.tflite` file.

    Args:
        name: For reports.
        forward: Maps normalised images, float32 `(batch, height, width, 3)`, to logits
            `(batch, classes)`.
        preparation: How an image file becomes such an image.
        classes: Their number.
        labels: Names of the classes, where they are known.
        activation: What maps the outputs to scores: `"softmax"`, or `"linear"` for nothing; None
            if that is not known.
        model: The Keras model that computes the logits; None of another runtime's.

    Raises:
        ValueError: If there is not one label a class.
    """

    def __init__(
        self,
        name: str,
        forward: Forward,
        preparation: Preparation,
        classes: int,
        labels: Sequence[str] | None = None,
        activation: str | None = "softmax",
        model: keras.Model | None = None,
    ) -> None:
        if labels is not None:
            check_labels(labels, (1, classes))
        self.name, self.forward, self.preparation = name, forward, preparation
        self.classes, self.labels = classes, None if labels is None else tuple(labels)
        self.activation, self.model = activation, model

    def logits(self, pixels: Array) -> Array:
        """Maps uint8 images `(images, height, width, 3)` to float32 `(images, classes)`."""
        return self.forward(self.preparation.normalize(pixels))

    def scores(self, pixels: Array) -> Array:
        """Maps the same to probabilities, or to the logits of a model without a softmax."""
        logits = self.logits(pixels)
        return softmax(logits) if self.activation == "softmax" else logits


class KerasClassifier(Classifier):
    """A Keras model in inference form, without a softmax at its end.

    Args:
        model: Takes RGB images `(batch, height, width, 3)`, normalised as by `preprocess_input`,
            and gives logits or probabilities `(batch, classes)`. FastViT layers may be in it.
        crop_pct: Share of the resized image's short side that the crop keeps.
        labels: Names of the classes, where they are known.
        image_size: Height and width in pixels, for a model whose sides are None.
        normalization: How images are normalised, see `preprocess_input`; default: as the model
            tells (`normalization_of`).
        name: For reports; default: the model's.

    Raises:
        ValueError: If the model is of another kind, or labels or size do not fit it.

    Example:
    >>> from keras_fastvit import FastViTT8
    >>> model = FastViTT8(weights=None, input_shape=(32, 32, 3), classes=10)
    >>> classifier = KerasClassifier(model, crop_pct=0.9)
    >>> classifier.logits(np.zeros((2, 32, 32, 3), "uint8")).shape
    (2, 10)
    """

    model: keras.Model

    def __init__(
        self,
        model: keras.Model,
        crop_pct: float = DEFAULT_CROP_PCT,
        labels: Sequence[str] | None = None,
        image_size: tuple[int, int] | None = None,
        normalization: str | None = None,
        name: str | None = None,
    ) -> None:
        logits, activation = to_logits(fuse(model))
        shape: Any = logits.input_shape
        one_image = isinstance(shape, tuple) and len(shape) == 4 and shape[3] == 3
        own = shape[1:3] if one_image else (None, None)
        height, width = (a or b for a, b in zip(own, image_size or (None, None), strict=True))
        fits = image_size is None or (height, width) == image_size
        scores = len(logits.output_shape) == 2
        if not (one_image and fits and scores) or height is None or width is None:
            raise ValueError(
                "The model must take RGB images of one size, which --image-size can give, with "
                "their channels last, and give scores (batch, classes). Received: input "
                f"{shape}, output {logits.output_shape}, image_size={image_size}"
            )

        def forward(images: Array) -> Array:
            outputs = logits.predict(images, batch_size=BATCH, verbose=0)
            return np.asarray(outputs, "float32")

        super().__init__(
            model.name if name is None else name,
            forward,
            Preparation.normalized(
                (height, width), crop_pct, normalization or normalization_of(model)
            ),
            logits.output_shape[1],
            labels,
            activation,
            logits,
        )


@dataclass(frozen=True)
class Answers:
    """A classifier's answers to the images of a folder.

    Attributes:
        paths: Of the images that could be read.
        logits: float32 `(images, considered)`.
        labels: int64 `(images,)`: the right classes, as indices of `considered`.
        considered: Classes that count, of the model's: all, or those that have folders.
        partial: Whether these are not all.
        names: Of these classes.
        rule: How it was known which class a folder holds.
        skipped: By path, why a file was left out.

    Example:
    >>> answers = Answers(
    ...     (Path("dog/1.png"),), np.array([[0.0, 2.0]]), np.array([1]), np.arange(2),
    ...     partial=False, names=("cat", "dog"), rule="in sorted order", skipped={},
    ... )
    >>> answers.names[answers.logits[0].argmax()]
    'dog'
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
    classifiers: Sequence[Classifier],
    folders: ImageFolders,
    advance: Callable[[], None] = lambda: None,
) -> list[Answers]:
    """Runs classifiers on the images of folders, and finds out which classes these hold.

    Each image is read once for all classifiers that prepare it alike, see `readings`. Of 200
    folders named as ImageNet's synsets (ImageNet-A, ImageNet-R) only these 200 classes count, as
    their authors have it: what a model makes of the other 800 is not looked at.

    Args:
        classifiers: To run.
        folders: One a class: ImageNet's validation set, ImageNet-A, -R, -Sketch by their synsets,
            ImageNet-V2 by its numbers, others by `classes_of_folders`' rules.
        advance: Called after each file that was read.

    Returns:
        The answers of each classifier.

    Raises:
        ValueError: If the folders do not fit the classes, or no image can be read.

    Example:
    >>> import tempfile
    >>> from PIL import Image
    >>> from keras_fastvit import FastViTT8
    >>> from keras_fastvit.images.folders import find_images
    >>> model = FastViTT8(weights=None, input_shape=(32, 32, 3), classes=2)
    >>> with tempfile.TemporaryDirectory() as root:
    ...     for name in ("cat", "dog"):
    ...         (Path(root) / name).mkdir()
    ...         Image.new("RGB", (40, 40)).save(Path(root) / name / "1.png")
    ...     (answers,) = classify([KerasClassifier(model)], find_images(root))
    >>> answers.labels.tolist(), answers.logits.shape, answers.names, answers.rule
    ([0, 1], (2, 2), ('cat', 'dog'), 'in sorted order')
    """
    # Before any image is read, as a fault in the folders' names is quicker to find.
    rules = [classes_of_folders(folders.names, x.classes, x.labels) for x in classifiers]
    runs = {
        preparation: _run(
            [x.forward for x in classifiers if x.preparation == preparation],
            preparation,
            folders,
            advance,
        )
        for preparation in dict.fromkeys(x.preparation for x in classifiers)
    }
    return [
        _answers(classifier, folders, found, rule, runs[classifier.preparation])
        for classifier, (found, rule) in zip(classifiers, rules, strict=True)
    ]


def readings(classifiers: Sequence[Classifier]) -> int:
    """Returns how often `classify` reads each image: once for each way to prepare it."""
    return len({classifier.preparation for classifier in classifiers})


@dataclass(frozen=True)
class _Run:
    """The answers of classifiers to images that are prepared alike."""

    logits: dict[Forward, Array]
    places: list[int]
    skipped: dict[Path, str]


def _run(
    forwards: Sequence[Forward],
    preparation: Preparation,
    folders: ImageFolders,
    advance: Callable[[], None],
) -> _Run:
    logits: dict[Forward, list[Array]] = {forward: [] for forward in forwards}
    places: list[int] = []
    skipped: dict[Path, str] = {}
    for read, images in read_batches(folders, preparation, skipped, advance):
        places += read
        for forward, outputs in logits.items():
            outputs.append(forward(images))
    whole = {forward: np.concatenate(outputs) for forward, outputs in logits.items()}
    return _Run(whole, places, skipped)


def _answers(
    classifier: Classifier, folders: ImageFolders, found: Sequence[int], rule: str, run: _Run
) -> Answers:
    considered = considered_classes(folders.names, found, classifier.classes)
    return Answers(
        paths=tuple(folders.images[place] for place in run.places),
        logits=run.logits[classifier.forward][:, considered],
        labels=np.searchsorted(considered, np.array(found)[folders.folders[run.places]]),
        considered=considered,
        partial=len(considered) < classifier.classes,
        names=_names(classifier, folders, found, considered),
        rule=rule,
        skipped=run.skipped,
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
