"""What an evaluation has found: a table for the terminal, and a folder of files."""

import csv
import io
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from keras_fastvit.atomic_file import written_beside
from keras_fastvit.evaluation import robustness_report
from keras_fastvit.evaluation.classifier import Answers
from keras_fastvit.evaluation.metrics import (
    BINS,
    calibration_error,
    per_class_accuracy,
    ranks,
    reliability,
    softmax,
)
from keras_fastvit.evaluation.robustness import COMMON, Robustness
from keras_fastvit.images.files import named

Array = NDArray[Any]

_EXTREMES = 5
"""How many classes the report names as the hardest, and as the easiest."""


@dataclass(frozen=True)
class Evaluation:
    """What was measured of a model.

    Attributes:
        model: Its name.
        data: Folder of the images.
        answers: To its images.
        robustness: Under corruptions; None if it was not measured.
        no_pictures: Why there is no Grad-CAM of the model; None if there is.
    """

    model: str
    data: Path
    answers: Answers
    robustness: Robustness | None
    no_pictures: str | None = None

    def figures(self) -> dict[str, float]:
        """Returns top-1, top-5 and mean per-class accuracy and calibration error, each 0..1."""
        logits, labels = self.answers.logits, self.answers.labels
        found = ranks(logits, labels)
        return {
            "top1": float(np.mean(found < 1)),
            "top5": float(np.mean(found < 5)),
            "mean_per_class": float(np.nanmean(per_class_accuracy(logits, labels))),
            "calibration_error": calibration_error(softmax(logits), labels),
        }

    def rows(self) -> list[tuple[str, str]]:
        """Returns names and values of the table."""
        figures = self.figures()
        rows = [
            ("top-1", f"{figures['top1']:.2%}"),
            ("top-5", f"{figures['top5']:.2%}"),
            ("mean over classes", f"{figures['mean_per_class']:.2%}"),
            ("calibration error", f"{figures['calibration_error']:.2%}"),
        ]
        if self.robustness is not None:
            found = self.robustness
            rows += [
                (f"top-1, {found.images} images as they are", f"{found.clean:.2%}"),
                ("the same under 15 common corruptions", f"{found.mean(*COMMON):.2%}"),
                ("the same under all 19", f"{found.mean():.2%}"),
            ]
        return rows

    def remarks(self) -> list[str]:
        """Returns what one must know to read the figures."""
        answers = self.answers
        counts = f"{len(answers.labels):,} images of {len(np.unique(answers.labels)):,} classes"
        lines = [f"{counts}, folders told apart {answers.rule}."]
        if answers.partial:
            lines.append(
                f"Only the {len(answers.considered)} classes that have folders count, as with "
                "ImageNet-A and ImageNet-R: answers are chosen from them."
            )
        if answers.skipped:
            lines.append(f"Left out, as they are no whole images: {named(answers.skipped)}.")
        return lines


def to_table(found: Evaluation) -> Table:
    """The table that the command prints."""
    table = Table(title=found.model, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    for row in found.rows():
        table.add_row(*row)
    return table


def to_json(found: Evaluation) -> str:
    """Returns everything but the answers to single images."""
    answers = found.answers
    bins = reliability(softmax(answers.logits), answers.labels, BINS)
    keys = ("share", "confidence", "accuracy")
    content = {
        "model": found.model,
        "data": str(found.data),
        "images": len(answers.labels),
        "folders": answers.rule,
        "classes": len(answers.considered),
        **found.figures(),
        "reliability": [
            {key: None if np.isnan(x) else float(x) for key, x in zip(keys, row, strict=True)}
            for row in zip(*bins, strict=True)
        ],
        "robustness": None
        if found.robustness is None
        else robustness_report.to_json(found.robustness),
        "skipped": {str(path): reason for path, reason in answers.skipped.items()},
    }
    return json.dumps(content, indent=2) + "\n"


def per_class_csv(found: Evaluation) -> str:
    """Returns a row for each class that has images: number, name, images, top-1, top-5."""
    answers = found.answers
    top1, top5 = (per_class_accuracy(answers.logits, answers.labels, k) for k in (1, 5))
    images = np.bincount(answers.labels, minlength=len(answers.considered))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["class", "name", "images", "top1", "top5"])
    for i in np.flatnonzero(images):
        number, name = answers.considered[i], answers.names[i]
        writer.writerow([number, name, images[i], f"{top1[i]:.6f}", f"{top5[i]:.6f}"])
    return file.getvalue()


def to_markdown(found: Evaluation, command: Sequence[str]) -> str:
    """Returns the report as text."""
    answers = found.answers
    lines = [
        f"# {found.model} on {found.data.name}",
        "",
        f"Written by `{shlex.join(command)}`.",
        "",
        " ".join(found.remarks()),
        "",
        "| | |",
        "|---|---:|",
        *(f"| {name} | {value} |" for name, value in found.rows()),
        "",
        "Calibration error: how far, on average, the confidence in the best class is from the "
        f"share of such answers that are right (expected calibration error, {BINS} bins).",
        "",
        "## Classes",
        "",
        *_extremes(answers),
        "",
        "All of them: `per_class.csv`.",
    ]
    if found.robustness is not None:
        table = robustness_report.to_markdown(found.robustness)
        picture = "![Accuracy under corruptions](robustness.png)"
        lines += ["", "## Robustness", "", *table, "", robustness_report.FOOTNOTE, "", picture]
    lines += ["", "## Where it looks", ""]
    if found.no_pictures is None:
        lines += [
            "Grad-CAM of the class that each image was taken for. Right answers are spread over "
            "all images; the wrong ones are those it was most confident of.",
            "",
            "![Grad-CAM](grad_cam.png)",
        ]
    else:
        lines.append(f"No pictures: {found.no_pictures}")
    return "\n".join(lines) + "\n"


def _extremes(answers: Answers) -> list[str]:
    accuracy = per_class_accuracy(answers.logits, answers.labels)
    known = np.flatnonzero(~np.isnan(accuracy))
    order = known[np.argsort(accuracy[known], kind="stable")]
    chosen = dict.fromkeys([*order[:_EXTREMES], *order[-_EXTREMES:]])
    rows = [f"| {answers.names[i]} | {accuracy[i]:.1%} |" for i in chosen]
    return ["| hardest and easiest | top-1 |", "|---|---:|", *rows]


def write(found: Evaluation, folder: Path, command: Sequence[str]) -> None:
    """Writes `report.md`, `evaluation.json`, `per_class.csv`, and `robustness.csv` and `.png`.

    Args:
        found: What to write.
        folder: Where; must exist.
        command: What was run, as words.

    Raises:
        ImportError: If Matplotlib is not installed.
        OSError: If a file cannot be written.
    """
    texts = {"evaluation.json": to_json(found), "per_class.csv": per_class_csv(found)}
    if found.robustness is not None:
        texts["robustness.csv"] = robustness_report.to_csv(found.robustness)
        robustness_report.plot({found.model: found.robustness}, folder / "robustness.png")
    texts["report.md"] = to_markdown(found, command)
    for name, text in texts.items():
        with written_beside(folder / name) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
