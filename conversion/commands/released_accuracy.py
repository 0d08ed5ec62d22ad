"""Measures released weights on ImageNet: the float model and the int8 file made from it."""

import functools
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress

from keras_fastvit.applications import CONSTRUCTORS
from keras_fastvit.architecture.variants import get_variant
from keras_fastvit.conversion.commands.released_report import (
    Released,
    read_rows,
    write_rows,
)
from keras_fastvit.conversion.exporting.export import export
from keras_fastvit.conversion.tflite.runtime import TFLiteModel
from keras_fastvit.evaluation.classifier import Classifier, considered_classes
from keras_fastvit.evaluation.image_batches import read_batches
from keras_fastvit.evaluation.metrics import top_k_accuracy
from keras_fastvit.images.folders import ImageFolders, classes_of_folders, find_images
from keras_fastvit.images.preprocessing import class_names, preprocess_input
from keras_fastvit.weights.named import NAMED_WEIGHTS, NamedWeights

DATASET = "imagenet"
RELEASED = tuple(row for row in NAMED_WEIGHTS if row.dataset == DATASET)
"""The 14 weights."""


def published_top1(weights: NamedWeights) -> float:
    """Returns the published ImageNet top-1 in percent.

    >>> [published_top1(row) for row in RELEASED if row.variant == "fastvit_sa12"]
    [80.9, 81.9]
    """
    variant = get_variant(weights.variant)
    top1 = variant.top1_distilled if weights.name.endswith("distilled") else variant.top1
    assert top1 is not None  # only the rows of image towers have none
    return top1


def measure(
    weights: NamedWeights,
    folders: ImageFolders,
    calibration: Path,
    advance: Callable[[], None] = lambda: None,
) -> Released:
    """Runs the float model and the int8 file of released weights on the same images.

    Args:
        weights: One of `RELEASED`.
        folders: The images, one folder a class.
        calibration: Folder of images to calibrate int8 on.
        advance: Called after each file.

    Raises:
        ArithmeticError: If the int8 file does not compute what the model does.
        ImportError: If TensorFlow or LiteRT is not installed.
        OSError: If the weights cannot be fetched, or a folder cannot be read.
        ValueError: If the folders do not fit ImageNet's classes, or no image can be read.
    """
    labels = class_names(DATASET)
    found, _ = classes_of_folders(folders.names, weights.classes, labels)
    considered = considered_classes(folders.names, found, weights.classes)
    model = CONSTRUCTORS[weights.variant](
        weights=weights.name, data_format="channels_last", dtype="float32"
    )
    classifier = Classifier(model, weights.crop_pct, labels)
    skipped: dict[Path, str] = {}
    places: list[int] = []
    scores: dict[str, list[np.ndarray]] = {"float32": [], "int8": []}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{weights.variant}.tflite"
        export(
            model,
            path,
            quantize="int8",
            calibration=calibration,
            crop_pct=weights.crop_pct,
            labels=labels,
            weights=weights.name,
        )
        tflite = TFLiteModel(path, os.cpu_count())
        for read, pixels in read_batches(folders, classifier.load, skipped, advance):
            places += read
            scores["float32"].append(classifier.logits(pixels)[:, considered])
            inputs = preprocess_input(pixels, "channels_last")
            scores["int8"].append(tflite.predict(inputs)[:, considered])
    right = np.searchsorted(considered, np.array(found)[folders.folders[places]])
    top1 = {
        name: 100 * top_k_accuracy(np.concatenate(found), right) for name, found in scores.items()
    }
    return Released(
        *(weights.variant, weights.name, published_top1(weights), top1["float32"], top1["int8"]),
        *(len(places), len(considered), {str(path): why for path, why in skipped.items()}),
    )


def measure_all(
    data: Path, calibration: Path, output: Path, variants: Sequence[str], console: Console
) -> tuple[list[Released], int]:
    """Measures the weights of some variants that `output` does not have yet.

    Returns:
        All rows, and the number of weights that could not be measured.
    """
    chosen = [row for row in RELEASED if row.variant in variants]
    failed = 0
    folders = find_images(data)
    output.mkdir(parents=True, exist_ok=True)
    run_of = (str(data.resolve()), str(calibration.resolve()))
    rows = read_rows(output / "released.json", *run_of)
    measured = {(row.variant, row.weights) for row in rows}
    with Progress(console=console, transient=True) as progress:
        for weights in chosen:
            if (weights.variant, weights.name) in measured:
                continue
            name = f"{weights.variant} {weights.name}"
            task = progress.add_task(name, total=len(folders.images))
            advance = functools.partial(progress.advance, task)
            try:
                row = measure(weights, folders, calibration.resolve(), advance)
            except (ArithmeticError, OSError) as error:  # the others may do
                failed += 1
                console.print(f"{name} was not measured: {error}")
            else:
                rows.append(row)
                write_rows(output, rows, *run_of)
            progress.remove_task(task)
    return rows, failed
