"""Measures the accuracy of `.tflite` files on a folder with one sub-folder of images a class."""

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from keras_fastvit.conversion.commands.evaluation_report import Evaluation
from keras_fastvit.conversion.commands.keras_reference import (
    Forward,
    Reference,
    load_reference,
    named_reference,
)
from keras_fastvit.conversion.tflite import sidecar
from keras_fastvit.conversion.tflite.preparation import CROP_PCT, Preparation
from keras_fastvit.conversion.tflite.runtime import TFLiteModel, check
from keras_fastvit.evaluation.confusion_plot import confusion
from keras_fastvit.evaluation.image_batches import read_batches
from keras_fastvit.evaluation.metrics import agreement, sqnr_db, top_k_accuracy
from keras_fastvit.images.folders import ImageFolders, classes_of_folders, find_images
from keras_fastvit.images.labels import check_labels

Array = NDArray[Any]


@dataclass(frozen=True)
class _Subject:
    """A file to evaluate, and what is known of it."""

    path: Path
    forward: Forward
    preparation: Preparation
    labels: Sequence[str] | None
    classes: int
    classes_of_folders: Array
    rule: str
    reference: Forward | None
    no_reference: str | None


@dataclass(frozen=True)
class _Run:
    """What models answered to the same images."""

    logits: dict[Forward, Array]
    folders: Array
    skipped: dict[Path, str]


def evaluate(
    paths: Sequence[str | os.PathLike[str]],
    data: str | os.PathLike[str],
    *,
    reference: Reference | None = None,
    crop_pct: float = CROP_PCT,
    console: Console | None = None,
) -> list[Evaluation]:
    """Runs files on the images of a folder, and compares their answers with the folders' names.

    Args:
        paths: Files that give logits `(1, classes)` for one image.
        data: A folder with one sub-folder of images a class, such as ImageNet's validation set.
        reference: The Keras model to compare with; default: what each file's sidecar names.
        crop_pct: Share of the image that the crop keeps, for files without a sidecar.
        console: Where a progress bar is to be shown.

    Returns:
        One `Evaluation` a file, in the order of `paths`.

    Raises:
        OSError: If a file or folder is not there or cannot be read.
        ImportError: If LiteRT is not installed.
        ValueError: If a file is damaged, is no classifier of images, or has another file's
            sidecar; if the folders do not fit the classes; if no image can be read; if
            `reference` cannot be built, or has other classes.
    """
    folders = find_images(data)
    load = functools.cache(load_reference)  # once for all files that share it
    subjects = [_subject(Path(path), folders, reference, crop_pct, load) for path in paths]
    preparations = dict.fromkeys(subject.preparation for subject in subjects)
    runs = {}
    with Progress(console=console, transient=True, disable=console is None) as progress:
        total = len(preparations) * len(folders.images)
        task = progress.add_task("Evaluating", total=total)
        for preparation in preparations:
            group = [subject for subject in subjects if subject.preparation == preparation]
            models = [model for subject in group for model in (subject.forward, subject.reference)]
            runs[preparation] = _run(
                [model for model in dict.fromkeys(models) if model is not None],
                preparation,
                folders,
                lambda: progress.advance(task),
            )
    return [_evaluation(subject, runs[subject.preparation]) for subject in subjects]


def _subject(
    path: Path,
    folders: ImageFolders,
    reference: Reference | None,
    crop_pct: float,
    load: Callable[..., Forward],
) -> _Subject:
    check(path)
    model = TFLiteModel(path, os.cpu_count())
    if len(model.input_shape) != 4 or model.input_shape[3] != 3 or len(model.output_shape) != 2:
        raise ValueError(
            f"'{path}' must take images (1, height, width, 3) and give logits (1, classes). "
            f"Received: {model.input_shape} and {model.output_shape}"
        )
    _, height, width, _ = model.input_shape
    _, classes = model.output_shape
    description = sidecar.read(path) or sidecar.embedded(path.read_bytes())
    if description is None:
        preparation, labels = Preparation((height, width), crop_pct), None
    else:
        preparation = Preparation.from_sidecar(description, (height, width))
        labels = description["labels"]
    if labels is not None:
        check_labels(labels, model.output_shape)
    indices, rule = classes_of_folders(folders.names, classes, labels)
    forward, reason = None, None
    try:
        forward = load(reference or named_reference(description), (height, width), classes)
    except (ImportError, OSError, ValueError) as error:
        if reference is not None:
            raise
        reason = str(error)
    return _Subject(
        *(path, model.predict, preparation, labels, classes, np.array(indices), rule),
        *(forward, reason),
    )


def _run(
    models: list[Forward],
    preparation: Preparation,
    folders: ImageFolders,
    advance: Callable[[], None],
) -> _Run:
    logits: dict[Forward, list[Array]] = {model: [] for model in models}
    kept: list[int] = []
    skipped: dict[Path, str] = {}
    for places, images in read_batches(folders, preparation, skipped, advance):
        kept += places
        for model, outputs in logits.items():
            outputs.append(model(images))
    return _Run(
        {model: np.concatenate(outputs) for model, outputs in logits.items()},
        folders.folders[kept],
        skipped,
    )


def _evaluation(subject: _Subject, run: _Run) -> Evaluation:
    received = run.logits[subject.forward]
    labels = subject.classes_of_folders[run.folders]
    expected = None if subject.reference is None else run.logits[subject.reference]
    return Evaluation(
        path=subject.path,
        images=len(labels),
        skipped=run.skipped,
        rule=subject.rule,
        top1=top_k_accuracy(received, labels),
        top5=top_k_accuracy(received, labels, k=5),
        agreement=None if expected is None else agreement(expected, received),
        sqnr_db=None if expected is None else sqnr_db(expected, received),
        no_reference=subject.no_reference,
        labels=subject.labels,
        confusion=confusion(labels, received.argmax(axis=1), subject.classes),
    )
