"""What an evaluation of `.tflite` files found, as a table, as JSON and as a plot."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from rich.table import Table

from keras_fastvit.evaluation.confusion_plot import plot_confusion

Array = NDArray[Any]

NAMED = 5
"""How many of the images that were left out are named on the terminal."""


@dataclass(frozen=True)
class Evaluation:
    """What was measured of a file.

    Attributes:
        path: The file.
        images: How many it was run on.
        skipped: By path, why an image was left out.
        rule: How it was known which class a folder holds.
        top1: Share of the images whose class comes first, 0..1.
        top5: Share of the images whose class is among the first five, 0..1.
        agreement: Share of the images with the Keras model's best class, 0..1; None without one.
        sqnr_db: Of the logits against the Keras model's, in decibels; None without one.
        no_reference: Why there is no Keras model to compare with; None if there is one.
        labels: Names of the classes, where the sidecar has them.
        confusion: int64 `(classes, classes)`: images by class and by what they were taken for.
    """

    path: Path
    images: int
    skipped: dict[Path, str]
    rule: str
    top1: float
    top5: float
    agreement: float | None
    sqnr_db: float | None
    no_reference: str | None
    labels: Sequence[str] | None
    confusion: Array


def to_table(evaluations: Sequence[Evaluation]) -> Table:
    """The table that the command prints."""
    images = " or ".join(str(count) for count in sorted({e.images for e in evaluations}))
    rules = " or ".join(dict.fromkeys(e.rule for e in evaluations))
    table = Table(title=f"{images} images, folders told apart {rules}")
    table.add_column("file", overflow="fold")
    for heading in ("top-1", "top-5", "agreement", "SQNR"):
        table.add_column(heading, justify="right")
    for found in evaluations:
        table.add_row(
            str(found.path),
            f"{found.top1:.2%}",
            f"{found.top5:.2%}",
            "" if found.agreement is None else f"{found.agreement:.2%}",
            "" if found.sqnr_db is None else f"{found.sqnr_db:.1f} dB",
        )
    if any(found.agreement is not None for found in evaluations):
        table.caption = "agreement and SQNR: of the logits with those of the Keras model"
    return table


def to_json(evaluations: Sequence[Evaluation]) -> list[dict[str, Any]]:
    """What the command writes for programs; an infinite SQNR, which JSON lacks, is null."""
    return [
        {
            "path": str(found.path),
            "images": found.images,
            "skipped": {str(path): reason for path, reason in found.skipped.items()},
            "folders": found.rule,
            "top1": found.top1,
            "top5": found.top5,
            "agreement": found.agreement,
            "sqnr_db": found.sqnr_db if math.isfinite(found.sqnr_db or 0.0) else None,
        }
        for found in evaluations
    ]


def remarks(evaluations: Sequence[Evaluation]) -> list[str]:
    """What the table does not say: images that were left out, and why a comparison is missing."""
    lines = []
    for found in evaluations:
        if found.no_reference is not None:
            lines.append(f"{found.path} has no Keras model beside it: {found.no_reference}")
    skipped = {path: reason for found in evaluations for path, reason in found.skipped.items()}
    if skipped:
        lines.append(f"{len(skipped)} files were left out:")
        lines += [f"  {reason}" for reason in list(skipped.values())[:NAMED]]
        if len(skipped) > NAMED:
            lines.append(f"  and {len(skipped) - NAMED} more, which --json names")
    return lines


def plot(evaluations: Sequence[Evaluation], path: str | os.PathLike[str]) -> None:
    """Draws for each file which classes it takes for which, as a PNG file.

    Raises:
        ImportError: If Matplotlib is not installed.
        OSError: If the file cannot be written.
    """
    plot_confusion(
        [found.confusion for found in evaluations],
        [f"{found.path.name}: {found.top1:.1%}" for found in evaluations],
        evaluations[0].labels,
        path,
    )
