"""The results of `segmentation` as JSON, as Markdown and as a picture."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from benchmarks.segmentation_scenes import CLASSES, MOST_HIDDEN, SIDE, TEXTURES
from keras_fastvit.arrays import Array
from keras_fastvit.atomic_file import written_beside
from keras_fastvit.conversion.exporting.report import Export

KERAS, FLOAT, INT8 = "Keras", "float32", "int8"
SHOWN = 7


@dataclass(frozen=True)
class Found:
    """Predictions for evaluation scenes, of Keras and of the files.

    Attributes:
        scenes: Images, `(count, height, width, 3)` in 0..255.
        labels: Index in `CLASSES` of each pixel's class, `(count, height, width)`.
        predictions: The same as predicted, by `KERAS`, `FLOAT`, `INT8`.
        sqnr_db: Signal-to-quantisation-noise ratio of each file's logits, in decibels.
        exports: What is known of the files, by `FLOAT`, `INT8`.
        parameters: Of the inference form.
    """

    scenes: Array
    labels: Array
    predictions: Mapping[str, Array]
    sqnr_db: Mapping[str, float]
    exports: Mapping[str, Export]
    parameters: int


def intersection_over_union(labels: Array, predictions: Array, classes: int) -> dict[str, Any]:
    """Returns the `mean` over the classes that occur and that of each in `by_class`, 0..1."""
    metric = keras.metrics.MeanIoU(classes)
    metric.update_state(labels, predictions)
    counts = keras.ops.convert_to_numpy(metric.total_cm)
    both = np.diag(counts)
    by_class = both / np.maximum(counts.sum(0) + counts.sum(1) - both, 1)
    return {"mean": float(metric.result()), "by_class": by_class.tolist()}


def figures(found: Found) -> dict[str, Any]:
    """Returns all numbers, by what made the predictions."""
    return {
        name: {
            "iou": intersection_over_union(found.labels, predicted, len(CLASSES)),
            "pixel_accuracy": float(np.mean(predicted == found.labels)),
            "agreement_with_keras": float(np.mean(predicted == found.predictions[KERAS])),
            **_of_file(found, name),
        }
        for name, predicted in found.predictions.items()
    }


def _of_file(found: Found, name: str) -> dict[str, Any]:
    if name not in found.exports:
        return {}
    export = found.exports[name]
    return {
        "sqnr_db": found.sqnr_db[name],
        "size_bytes": export.sidecar["size"],
        "operators": dict(export.operators),
        "delegate_partitions": export.delegation.partitions,
        "operators_outside_the_delegate": dict(export.delegation.outside),
    }


def to_json(found: Found) -> str:
    """The content of `benchmarks/segmentation.json`."""
    content = {
        "scenes": len(found.labels),
        "side": SIDE,
        "parameters": found.parameters,
        "class_names": list(CLASSES),
        **figures(found),
    }
    return json.dumps(content, indent=1) + "\n"


def to_markdown(found: Found) -> str:
    """The text of `benchmarks/segmentation.md`."""
    measured = figures(found)
    names = list(measured)
    lines = [
        "# Semantic FPN on scenes of Fashion-MNIST items",
        "",
        f"Written by `make bench-segmentation`: {len(found.labels):,} scenes of test images, "
        f"{SIDE}×{SIDE} pixels, on backgrounds that training has not seen "
        f"({', '.join(TEXTURES['t10k'])}). Up to {MOST_HIDDEN:.0%} of an item may be hidden by "
        f"another one. The model is the shipped FastViT-T8 with Semantic FPN, "
        f"{found.parameters / 1e6:.1f} million parameters in inference form, exported whole.",
        "",
        f"The classes are groups of Fashion-MNIST's ten: {', '.join(CLASSES)}. Which top an item "
        "is, 28×28 pixels often do not tell: the shipped classifier is wrong about single items "
        "in 7 of 100, most often about these.",
        "",
        _row("", names),
        "|---" + "|---:" * len(names) + "|",
        _row(
            f"mIoU of {len(CLASSES)} classes",
            [f"{measured[name]['iou']['mean']:.3f}" for name in names],
        ),
        _row("pixel accuracy", [f"{measured[name]['pixel_accuracy']:.2%}" for name in names]),
        _row(
            "pixels classified as by Keras",
            [f"{measured[name]['agreement_with_keras']:.2%}" for name in names],
        ),
        _row("SQNR of the logits", [_of(measured[x], "sqnr_db", "{:.1f} dB") for x in names]),
        _row(
            "size of the file",
            [_of(measured[x], "size_bytes", "{:,} bytes") for x in names],
        ),
        _row(
            "partitions of the delegate",
            [_of(measured[x], "delegate_partitions", "{}") for x in names],
        ),
        _row("operators outside of it", [_outside(measured[x]) for x in names]),
        "",
        *_by_class(measured),
        "![Scenes, their classes, and what was predicted](segmentation.png)",
    ]
    return "\n".join(lines) + "\n"


def _by_class(measured: dict[str, Any]) -> list[str]:
    rows = [
        _row(name, [f"{measured[x]['iou']['by_class'][i]:.3f}" for x in measured])
        for i, name in enumerate(CLASSES)
    ]
    return [_row("IoU", list(measured)), "|---" + "|---:" * len(measured) + "|", *rows, ""]


def _row(title: str, cells: list[str]) -> str:
    return f"| {title} | {' | '.join(cells)} |"


def _of(measured: dict[str, Any], key: str, text: str) -> str:
    return text.format(measured[key]) if key in measured else "–"


def _outside(measured: dict[str, Any]) -> str:
    if "delegate_partitions" not in measured:
        return "–"
    outside = measured["operators_outside_the_delegate"]
    return ", ".join(f"{count} {name}" for name, count in outside.items()) or "none"


def plot(found: Found, path: Path) -> None:
    """Draws some scenes, their classes and what float32 and int8 take them for.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    colours = ["#202020", *_COLOURS]
    colour_map = ListedColormap(colours)
    # The first scene of each set of classes.
    sets = [tuple(np.unique(labels)) for labels in found.labels]
    shown = [sets.index(classes) for classes in dict.fromkeys(sets)][:SHOWN]
    figure = Figure(figsize=(1.65 * len(shown), 7.6), layout="constrained")
    FigureCanvasAgg(figure)
    rows = {
        "scene": found.scenes[shown],
        "truth": found.labels[shown],
        **{name: found.predictions[name][shown] for name in (FLOAT, INT8)},
    }
    axes = figure.subplots(len(rows), len(shown), squeeze=False)
    for (title, pictures), line in zip(rows.items(), axes, strict=True):
        for picture, axis in zip(pictures, line, strict=True):
            axis.imshow(
                picture,
                cmap=colour_map,
                vmin=-0.5,
                vmax=len(CLASSES) - 0.5,
                interpolation="nearest",
            )
            axis.set(xticks=[], yticks=[])
        line[0].set_ylabel(title)
    figure.legend(
        [Patch(facecolor=colour, edgecolor="#808080") for colour in colours],
        CLASSES,
        loc="outside lower center",
        ncols=6,
        frameon=False,
        fontsize="small",
    )
    with written_beside(path) as unfinished:
        figure.savefig(unfinished, format="png", dpi=100)


_COLOURS = ("#e6194b", "#4363d8", "#ffe119", "#3cb44b")
"""Of the items, in the order of their classes."""
