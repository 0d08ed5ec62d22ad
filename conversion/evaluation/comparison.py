"""`evaluate(models, data)`: Keras models and `.tflite` files side by side on the same images."""

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_fastvit.arrays import Array
from keras_fastvit.conversion.evaluation.classifiers import (
    TFLiteClassifier,
    is_tflite,
    keras_classifier,
    load_reference,
    named_reference,
)
from keras_fastvit.conversion.model_source import ModelSource
from keras_fastvit.evaluation.classifier import Answers, Classifier, classify, readings
from keras_fastvit.evaluation.metrics import (
    agreement,
    calibration_error,
    per_class_accuracy,
    ranks,
    softmax,
    sqnr_db,
)
from keras_fastvit.evaluation.robustness import RUNS, Robustness, measure
from keras_fastvit.images.folders import ImageFolders, find_images
from keras_fastvit.progress import Progress
from keras_fastvit.weights.file_kinds import MODEL_SUFFIX


@dataclass(frozen=True)
class Evaluation:
    """The measurements of one model.

    Attributes:
        classifier: The model, and how images are prepared for it.
        data: Folder of the images.
        answers: To the images.
        reference: Name of the Keras model that the logits are compared with; None without one.
        agreement: Share of the images for which that has the same best class, 0..1.
        sqnr_db: Signal-to-quantisation-noise ratio of the logits against that, in decibels.
        no_reference: Why there is no such model; None if there is, or this is the one.
        robustness: Accuracy under corruptions; None if it was not asked for.
    """

    classifier: Classifier
    data: Path
    answers: Answers
    reference: str | None = None
    agreement: float | None = None
    sqnr_db: float | None = None
    no_reference: str | None = None
    robustness: Robustness | None = None

    def figures(self) -> dict[str, float | None]:
        """Returns top-1, top-5 and mean per-class accuracy and calibration error, each 0..1.

        The calibration error is None where it is not known how outputs become probabilities.
        """
        logits, labels = self.answers.logits, self.answers.labels
        found = ranks(logits, labels)
        known = self.classifier.activation is not None
        return {
            "top1": float(np.mean(found < 1)),
            "top5": float(np.mean(found < 5)),
            "mean_per_class": float(np.nanmean(per_class_accuracy(logits, labels))),
            "calibration_error": calibration_error(softmax(logits), labels) if known else None,
        }


def evaluate(
    models: Sequence[str | os.PathLike[str]],
    data: str | os.PathLike[str] | ImageFolders,
    *,
    weights: str | None = None,
    classes: int | None = None,
    image_size: tuple[int, int] | None = None,
    text_embeddings: str | os.PathLike[str] | None = None,
    labels: Sequence[str] | None = None,
    crop_pct: float | None = None,
    normalization: str | None = None,
    corrupted: int = 0,
    ema: bool = True,
    progress: Progress | None = None,
) -> list[Evaluation]:
    """Runs models on the images of a folder, and compares their answers with the folders' names.

    The logits are compared with those of the first Keras model among them, on each model's own
    images. Where there is none, a `.tflite` file's are with those of the model that its sidecar
    names, if its weights have a name.

    Args:
        models: Each the path of a `.tflite` or `.keras` file, or the name of a variant. A `.tflite`
            file tells by its sidecar, or by the copy in it, how images are prepared for it and what
            its classes are called; what is said of that below is for the others.
        data: A folder with one sub-folder of images a class, such as ImageNet's validation set, or
            what `find_images` returns of one; which class a folder holds, see `classes_of_folders`.
        weights: All that `weights=` of a variant takes.
        classes: Of a variant's classifier; default: those of a `.tflite` file beside it, of the
            weights, or of the variant.
        image_size: `(height, width)` in pixels, for Keras models whose sides are None.
        text_embeddings: File that makes image towers classifiers.
        labels: Names of the classes.
        crop_pct: Share of an image's short side that the crop keeps; default: that of the weights
            or of the variant, 0.9 of others.
        normalization: `"imagenet"`, `"clip"` or `"unit"`; default: the variant's.
        corrupted: How many images to classify under each of ImageNet-C's 19 corruptions at five
            severities as well, evenly from all of them.
        ema: Whether of a checkpoint with weights averaged over the training (EMA), those are taken.
        progress: Where progress is shown; default: nowhere.

    Returns:
        What was measured of each model, in the order of `models`.

    Raises:
        OSError: If a file or folder is not there or cannot be read, or weights not be fetched.
        ImportError: If LiteRT is not installed and a `.tflite` file is to be run, or SciPy is not
            and images are to be corrupted.
        ValueError: If a file is damaged, is no classifier of images, or has another file's
            sidecar; if the folders do not fit the classes; if no image can be read; if there are
            no models, or an argument does not fit them.

    Example:
    >>> found = evaluate(  # doctest: +SKIP
    ...     ["int8.tflite", "run/fused.keras"], "photographs/val"
    ... )
    >>> [x.figures()["top1"] for x in found], found[0].agreement  # doctest: +SKIP
    ([0.93, 0.94], 0.98)
    """
    if not models:
        raise ValueError(f"Expected at least one model to evaluate. Received: models={models}")
    folders = data if isinstance(data, ImageFolders) else find_images(data)
    found: dict[int, Classifier] = {
        i: TFLiteClassifier(model, crop_pct, normalization, labels)
        for i, model in enumerate(models)
        if is_tflite(model)
    }
    beside = next((file.classes for file in found.values()), None)
    names = [os.fspath(model) for model in models]
    sources = {
        i: ModelSource(
            model,
            weights=None if model.endswith(MODEL_SUFFIX) else weights,
            classes=None if model.endswith(MODEL_SUFFIX) else classes or beside,
            image_size=image_size,
            text_embeddings=None if text_embeddings is None else Path(text_embeddings),
            crop_pct=crop_pct,
            normalization=normalization,
            ema=ema,
        )
        for i, model in enumerate(names)
        if i not in found
    }
    found |= {i: keras_classifier(source, labels) for i, source in sources.items()}
    classifiers = [found[i] for i in range(len(models))]
    given = next(((found[i], source) for i, source in sources.items()), None)
    load = functools.cache(load_reference)  # once for all files that share it
    references = [_reference(classifier, given, load) for classifier in classifiers]
    everyone = [*classifiers, *(x for x in references if isinstance(x, Classifier))]
    advance = _shown(progress, "Classifying images", readings(everyone) * len(folders.images))
    answers = dict(zip(everyone, classify(everyone, folders, advance), strict=True))
    robustness = {}
    if corrupted:
        robustness = _robustness({x: answers[x] for x in classifiers}, corrupted, progress)
    return [
        Evaluation(
            classifier=classifier,
            data=folders.root,
            answers=answers[classifier],
            robustness=robustness.get(classifier),
            **_compared(answers, classifier, reference),
        )
        for classifier, reference in zip(classifiers, references, strict=True)
    ]


def _reference(
    classifier: Classifier,
    given: tuple[Classifier, ModelSource] | None,
    load: Callable[[ModelSource, tuple[int, int], int], Classifier],
) -> Classifier | str | None:
    """Returns what to compare a classifier with, on its own images.

    Args:
        classifier: To compare.
        given: The Keras model that all are compared with; None if there is none.
        load: Returns a Keras model for images of a size and a number of classes.

    Returns:
        The Keras model; or why there is none; or None for the Keras model itself.
    """
    if given is not None and given[0] is classifier:
        return None
    size, classes = classifier.preparation.size, classifier.classes
    try:
        if given is None:
            assert isinstance(classifier, TFLiteClassifier)  # the others are Keras models
            model = load(named_reference(classifier.description), size, classes)
        elif (given[0].preparation.size, given[0].classes) == (size, classes):
            model = given[0]
        else:
            model = load(given[1], size, classes)
    except (ImportError, OSError, ValueError) as error:
        return str(error)
    return Classifier(model.name, model.forward, classifier.preparation, classes, classifier.labels)


def _compared(
    answers: Mapping[Classifier, Answers],
    classifier: Classifier,
    reference: Classifier | str | None,
) -> dict[str, Any]:
    if not isinstance(reference, Classifier):
        return {"no_reference": reference}
    expected, received = answers[reference].logits, answers[classifier].logits
    return {
        "reference": reference.name,
        "agreement": agreement(expected, received),
        "sqnr_db": sqnr_db(expected, received),
    }


def _robustness(
    answers: Mapping[Classifier, Answers], count: int, progress: Progress | None
) -> dict[Classifier, Robustness]:
    """Measures classifiers on some of the images; those that see the same pixels share them."""
    groups: dict[Any, list[Classifier]] = {}
    for classifier, found in answers.items():
        how = classifier.preparation
        key = (how.size, how.crop_pct, how.interpolation, tuple(found.labels))
        groups.setdefault(key, []).append(classifier)
    advance = _shown(progress, "Classifying corrupted images", RUNS * len(groups))
    measured: dict[Classifier, Robustness] = {}
    for group in groups.values():
        found = answers[group[0]]
        last = len(found.paths) - 1
        places = np.unique(np.linspace(0, last, min(count, last + 1)).round().astype("int64"))
        load = group[0].preparation.load
        pixels = np.stack([load(found.paths[place]) for place in places])
        scores = {x: _considered_logits(x, answers[x].considered) for x in group}
        measured |= measure(scores, pixels, found.labels[places], advance)
    return measured


def _considered_logits(classifier: Classifier, considered: Array) -> Callable[[Array], Array]:
    return lambda pixels: classifier.logits(pixels)[:, considered]


def _shown(progress: Progress | None, what: str, total: int) -> Callable[[], None]:
    """Begins a piece of work; returns what says that a step of it is done."""
    if progress is None:
        return lambda: None
    progress.begin(what, total)
    return progress.advance
