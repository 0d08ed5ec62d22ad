"""Measures released weights on ImageNet: the float model and the int8 file made from it."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from keras_fastvit.applications import CONSTRUCTORS
from keras_fastvit.architecture.variants import get_variant
from keras_fastvit.conversion.commands.released_report import (
    Released,
    read_rows,
    write_rows,
)
from keras_fastvit.conversion.evaluation.classifiers import TFLiteClassifier
from keras_fastvit.conversion.exporting.export import export
from keras_fastvit.evaluation.classifier import KerasClassifier, classify
from keras_fastvit.evaluation.metrics import top_k_accuracy
from keras_fastvit.images.folders import ImageFolders, classes_of_folders, find_images
from keras_fastvit.images.preprocessing import class_names
from keras_fastvit.progress import Progress
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
    # First, as a fault in the folders is quicker to find than a model is to fetch.
    classes_of_folders(folders.names, weights.classes, labels)
    model = CONSTRUCTORS[weights.variant](
        weights=weights.name, data_format="channels_last", dtype="float32"
    )
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
        classifiers = [KerasClassifier(model, weights.crop_pct, labels), TFLiteClassifier(path)]
        float32, int8 = classify(classifiers, folders, advance)
    return Released(
        variant=weights.variant,
        weights=weights.name,
        published=published_top1(weights),
        float32=100 * top_k_accuracy(float32.logits, float32.labels),
        int8=100 * top_k_accuracy(int8.logits, int8.labels),
        images=len(float32.paths),
        classes=len(float32.considered),
        skipped={str(path): why for path, why in float32.skipped.items()},
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
    with Progress() as progress:
        for weights in chosen:
            if (weights.variant, weights.name) in measured:
                continue
            name = f"{weights.variant} {weights.name}"
            progress.begin(name, len(folders.images))
            try:
                row = measure(weights, folders, calibration.resolve(), progress.advance)
            except (ArithmeticError, OSError) as error:  # the others may do
                failed += 1
                console.print(f"{name} was not measured: {error}")
            else:
                rows.append(row)
                write_rows(output, rows, *run_of)
    return rows, failed
