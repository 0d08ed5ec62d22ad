"""The results of an evaluation: a table for the terminal, figures, and a folder of files."""

import csv
import io
import json
import math
import os
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from keras_fastvit.atomic_file import written_beside
from keras_fastvit.conversion.evaluation.comparison import Evaluation
from keras_fastvit.evaluation import grad_cam_sheet, robustness_report
from keras_fastvit.evaluation.classifier import Answers, KerasClassifier
from keras_fastvit.evaluation.confusion_plot import confusion, plot_confusion
from keras_fastvit.evaluation.metrics import (
    BINS,
    per_class_accuracy,
    reliability,
    softmax,
)
from keras_fastvit.evaluation.robustness import COMMON
from keras_fastvit.images.files import named
from keras_fastvit.plain_text import in_markdown, shown

NAMED = 5
"""How many of the images that were left out are named on the terminal."""

_EXTREMES = 5
"""How many classes the report names as the hardest, and as the easiest."""

_HEADINGS = ("top-1", "top-5", "classes", "ECE", "agreement", "SQNR")


def to_tables(evaluations: Sequence[Evaluation]) -> list[Table]:
    """Returns the tables that the command prints: accuracy, and under corruptions if measured."""
    names = _short_names(evaluations)
    images = " or ".join(map(str, sorted({len(found.answers.paths) for found in evaluations})))
    rules = " or ".join(dict.fromkeys(found.answers.rule for found in evaluations))
    table = _table(
        f"{images} images, folders told apart {rules}",
        _HEADINGS,
        ((name, *_cells(x)) for name, x in zip(names, evaluations, strict=True)),
    )
    table.caption = "classes: mean of their top-1; ECE: expected calibration error"
    references = dict.fromkeys(found.reference for found in evaluations if found.reference)
    if references:
        table.caption += f"; agreement and SQNR: with the logits of {' or '.join(references)}"
    tables = [table]
    if any(found.robustness is not None for found in evaluations):
        heading = "top-1 under corruptions"
        tables.append(_table(heading, _ROBUSTNESS_HEADINGS, _robustness_rows(evaluations)))
    return tables


def _short_names(evaluations: Sequence[Evaluation]) -> list[str]:
    """Returns the names without folders, where these differ."""
    names = [found.classifier.name for found in evaluations]
    short = [Path(name).name for name in names]
    return short if len(set(short)) == len(short) else names


def _table(title: str, headings: Iterable[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(title=title, pad_edge=False)
    table.add_column("model", overflow="fold")
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*row)
    return table


def _cells(found: Evaluation) -> list[str]:
    shares = [f"{x:.2%}" if x is not None else "" for x in found.figures().values()]
    return [
        *shares,
        "" if found.agreement is None else f"{found.agreement:.2%}",
        "" if found.sqnr_db is None else f"{found.sqnr_db:.1f} dB",
    ]


_ROBUSTNESS_HEADINGS = ("images", "as they are", "15 common corruptions", "all 19")


def _robustness_rows(evaluations: Sequence[Evaluation]) -> list[list[str]]:
    return [
        [
            found.classifier.name,
            f"{found.robustness.images}",
            f"{found.robustness.clean:.2%}",
            f"{found.robustness.mean(*COMMON):.2%}",
            f"{found.robustness.mean():.2%}",
        ]
        for found in evaluations
        if found.robustness is not None
    ]


def remarks(evaluations: Sequence[Evaluation]) -> list[str]:
    """Returns what the table does not say: what was not compared, and what was left out."""
    lines = _notes(evaluations)
    skipped = _skipped(evaluations)
    if skipped:
        lines.append(f"{len(skipped)} files were left out:")
        lines += [f"  {shown(reason)}" for reason in list(skipped.values())[:NAMED]]
        if len(skipped) > NAMED:
            lines.append(f"  and {len(skipped) - NAMED} more, which --json names")
    return lines


def _notes(evaluations: Sequence[Evaluation]) -> list[str]:
    lines = []
    for found in evaluations:
        name, answers = found.classifier.name, found.answers
        if answers.partial:
            lines.append(
                f"Only the {len(answers.considered)} classes that have folders count for {name}, "
                "as with ImageNet-A and ImageNet-R: answers are chosen from them."
            )
        if found.no_reference is not None:
            lines.append(f"{name} has no Keras model beside it: {found.no_reference}.")
    return lines


def _skipped(evaluations: Sequence[Evaluation]) -> dict[Path, str]:
    """Returns why images were left out, by their paths."""
    return {path: why for found in evaluations for path, why in found.answers.skipped.items()}


def to_figures(evaluations: Sequence[Evaluation]) -> list[dict[str, Any]]:
    """Returns what programs may want to read, of each model.

    Everything but the answers to single images. An infinite SQNR, which JSON lacks, is None.
    """
    return [_figures(found) for found in evaluations]


def _figures(found: Evaluation) -> dict[str, Any]:
    answers, sqnr, robustness = found.answers, found.sqnr_db, found.robustness
    figures = found.figures()
    return {
        "model": found.classifier.name,
        "data": str(found.data),
        "images": len(answers.labels),
        "folders": answers.rule,
        "classes": len(answers.considered),
        **figures,
        "reference": found.reference,
        "agreement": found.agreement,
        "sqnr_db": sqnr if sqnr is not None and math.isfinite(sqnr) else None,
        "reliability": None if figures["calibration_error"] is None else _reliability(answers),
        "robustness": None if robustness is None else robustness_report.to_json(robustness),
        "skipped": {str(path): reason for path, reason in answers.skipped.items()},
    }


def _reliability(answers: Answers) -> list[dict[str, float | None]]:
    bins = reliability(softmax(answers.logits), answers.labels, BINS)
    return [
        {
            key: None if np.isnan(x) else float(x)
            for key, x in zip(("share", "confidence", "accuracy"), row, strict=True)
        }
        for row in zip(*bins, strict=True)
    ]


def per_class_csv(evaluations: Sequence[Evaluation]) -> str:
    """Returns a row for each model and class that has images."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["model", "class", "name", "images", "top1", "top5"])
    for found in evaluations:
        answers = found.answers
        top1, top5 = (per_class_accuracy(answers.logits, answers.labels, k) for k in (1, 5))
        images = np.bincount(answers.labels, minlength=len(answers.considered))
        for i in np.flatnonzero(images):
            which = [found.classifier.name, answers.considered[i], answers.names[i]]
            writer.writerow([*which, images[i], f"{top1[i]:.6f}", f"{top5[i]:.6f}"])
    return file.getvalue()


def plot(evaluations: Sequence[Evaluation], path: str | os.PathLike[str]) -> None:
    """Draws for each model which classes it takes for which, as a PNG file.

    Raises:
        ImportError: If Matplotlib is not installed.
        OSError: If the file cannot be written.
    """
    plot_confusion(
        [
            confusion(x.answers.labels, x.answers.logits.argmax(axis=1), len(x.answers.considered))
            for x in evaluations
        ],
        [f"{Path(x.classifier.name).name}: {x.figures()['top1']:.1%}" for x in evaluations],
        evaluations[0].answers.names,
        path,
    )


def write(
    evaluations: Sequence[Evaluation], folder: Path, command: Sequence[str], grad_cam: bool = False
) -> None:
    """Writes `report.md`, `evaluation.json`, `per_class.csv` and pictures.

    Args:
        evaluations: What to write.
        folder: Where; made if it is not there.
        command: What was run, as words.
        grad_cam: Whether to draw where the Keras models looked, `grad_cam.png`; of several Keras
            models, `grad_cam_1.png` and so on.

    Raises:
        ImportError: If Matplotlib is not installed.
        OSError: If a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    looked = _draw_where_they_looked(evaluations, folder) if grad_cam else []
    texts = {
        "evaluation.json": json.dumps(to_figures(evaluations), indent=2) + "\n",
        "per_class.csv": per_class_csv(evaluations),
        "report.md": to_markdown(evaluations, command, looked),
    }
    robustness = {x.classifier.name: x.robustness for x in evaluations if x.robustness is not None}
    if robustness:
        texts["robustness.csv"] = robustness_report.to_csv(robustness)
        robustness_report.plot(robustness, folder / "robustness.png")
    plot(evaluations, folder / "confusion.png")
    for name, text in texts.items():
        with written_beside(folder / name) as unfinished:
            # A path need not be Unicode.
            unfinished.write_text(text, encoding="utf-8", errors="backslashreplace")


def _draw_where_they_looked(evaluations: Sequence[Evaluation], folder: Path) -> list[str]:
    """Draws Grad-CAM of each Keras model; returns the report's lines about all models."""
    lines: list[str] = []
    of_keras = [x for x in evaluations if isinstance(x.classifier, KerasClassifier)]
    for found in evaluations:
        classifier, answers = found.classifier, found.answers
        lines += ["", f"### {classifier.name}", ""]
        if not isinstance(classifier, KerasClassifier):
            lines.append("No pictures: they need gradients, which only Keras models have.")
            continue
        number = f"_{of_keras.index(found) + 1}" if len(of_keras) > 1 else ""
        path = folder / f"grad_cam{number}.png"
        try:
            right, wrong = (
                grad_cam_sheet.pictures(classifier, answers, places)
                for places in grad_cam_sheet.choose(answers)
            )
        except ValueError as error:
            lines.append(f"No pictures: {error}")
        else:
            grad_cam_sheet.draw(right, wrong, path)
            lines.append(f"![Grad-CAM]({path.name})")
    return lines


def to_markdown(
    evaluations: Sequence[Evaluation], command: Sequence[str], looked: Sequence[str] = ()
) -> str:
    """Returns the report as text.

    Args:
        evaluations: What to report.
        command: What was run, as words.
        looked: Lines about where the models looked; none if that was not asked for.
    """
    counts = (
        f"{len(x.answers.labels):,} images of {len(np.unique(x.answers.labels)):,} classes, "
        f"folders told apart {x.answers.rule}."
        for x in evaluations
    )
    skipped = _skipped(evaluations)
    left_out = [f"Left out, as they are no whole images: {named(skipped)}."] if skipped else []
    names = ", ".join(Path(x.classifier.name).name for x in evaluations)
    lines = [
        f"# {names} on {evaluations[0].data.name}",
        "",
        f"Written by `{shlex.join(command)}`.",
        "",
        " ".join([*dict.fromkeys(counts), *_notes(evaluations), *left_out]),
        "",
        *_markdown(_HEADINGS, ((x.classifier.name, *_cells(x)) for x in evaluations)),
        "",
        "Classes: mean of their top-1. ECE: how far, on average, the confidence in the "
        "best class is from the share of such answers that are right (expected calibration error, "
        f"{BINS} bins). Agreement and SQNR: of the logits with those of the Keras model beside it.",
        "",
        "## Classes",
    ]
    for found in evaluations:
        lines += ["", f"### {found.classifier.name}", "", *_extremes(found.answers)]
    lines += ["", "All of them: `per_class.csv`.", "", "![Confusion](confusion.png)"]
    corrupted = [found for found in evaluations if found.robustness is not None]
    if corrupted:
        rows = _robustness_rows(evaluations)
        lines += ["", "## Robustness", "", *_markdown(_ROBUSTNESS_HEADINGS, rows)]
        for found in corrupted:
            assert found.robustness is not None
            table = robustness_report.to_markdown(found.robustness)
            lines += ["", f"### {found.classifier.name}", "", *table]
        picture = "![Accuracy under corruptions](robustness.png)"
        lines += ["", robustness_report.FOOTNOTE, "", picture]
    if looked:
        lines += [
            "",
            "## Where it looks",
            "",
            "Grad-CAM of the class that each image was taken for. Right answers are spread over "
            "all images; the wrong ones are those it was most confident of.",
            *looked,
        ]
    return "\n".join(lines) + "\n"


def _markdown(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [
        f"| model | {' | '.join(headings)} |",
        "|---" + "|---:" * len(headings) + "|",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def _extremes(answers: Answers) -> list[str]:
    accuracy = per_class_accuracy(answers.logits, answers.labels)
    known = np.flatnonzero(~np.isnan(accuracy))
    order = known[np.argsort(accuracy[known], kind="stable")]
    chosen = dict.fromkeys([*order[:_EXTREMES], *order[-_EXTREMES:]])
    rows = [f"| {in_markdown(answers.names[i])} | {accuracy[i]:.1%} |" for i in chosen]
    return ["| hardest and easiest | top-1 |", "|---|---:|", *rows]
