"""The files of a run for people to read: a table, curves, a confusion matrix, a report."""

import csv
import shlex
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from keras_fastvit.atomic_file import written_beside
from keras_fastvit.evaluation.confusion_plot import confusion, plot_confusion
from keras_fastvit.images.files import named
from keras_fastvit.plain_text import in_markdown
from keras_fastvit.training.data.folders import TrainingData
from keras_fastvit.training.recipes import Recipe
from keras_fastvit.training.run_folder import Row
from keras_fastvit.training.starting_point import StartingPoint
from keras_fastvit.training.validation import accuracy


def write_history(history: Sequence[Row], folder: Path) -> None:
    """Writes `history.csv`, a table with a row an epoch."""
    with (
        written_beside(folder / "history.csv") as unfinished,
        unfinished.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, list(history[0]))
        writer.writeheader()
        writer.writerows(history)


def plot_curves(history: Sequence[Row], path: Path) -> None:
    """Draws loss, accuracy and learning rate by epoch, as a PNG file.

    Raises:
        ImportError: If Matplotlib is not installed.
        OSError: If the file cannot be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    epochs = [row["epoch"] for row in history]
    marker = "o" if len(epochs) < 50 else None
    figure = Figure(figsize=(13, 4), layout="constrained")
    panels = figure.subplots(1, 3)
    titles = {
        "loss": "cross-entropy",
        "accuracy": "accuracy",
        "learning_rate": "learning rate after the epoch",
    }
    for axes, (name, title) in zip(panels, titles.items(), strict=True):
        for key, label in ((name, "training"), (f"val_{name}", "validation")):
            if key in history[0]:
                axes.plot(epochs, [row[key] for row in history], marker=marker, label=label)
        axes.set(xlabel="epoch", title=title)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    panels[0].legend()
    panels[1].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    panels[1].legend()
    panels[2].set_yscale("log")
    with written_beside(path) as unfinished:
        figure.savefig(unfinished, format="png", dpi=150)


def plot_predictions(data: TrainingData, logits: NDArray[np.float32], path: Path) -> None:
    """Draws the confusion matrix of the validation images, as a PNG file.

    Raises:
        ImportError: If Matplotlib is not installed.
        OSError: If the file cannot be written.
    """
    labels = data.validation.labels
    counts = confusion(labels, logits.argmax(axis=1), len(data.class_names))
    title = f"{len(logits)} validation images: {accuracy(logits, labels):.1%}"
    plot_confusion([counts], [title], data.class_names, path)


def write_report(
    folder: Path,
    command: Sequence[str],
    start: StartingPoint,
    recipe: Recipe,
    data: TrainingData,
    history: Sequence[Row],
    test_accuracy: float | None,
) -> None:
    """Writes `report.md`: what was trained on what, how good it is, and what to do next.

    Args:
        folder: Folder of the run.
        command: The command that made the run, as words.
        start: Architecture and images of the model.
        recipe: Recipe of the training.
        data: Images that it was trained on and validated with.
        history: A row an epoch.
        test_accuracy: Share of the test images that the model is right about; None without any.
    """
    last, best = history[-1], max(history, key=lambda row: row["val_accuracy"])
    weights = "the weights" if recipe.ema_momentum is None else "the weights' moving average"
    lines = [
        f"# {start.variant} on {len(data.class_names)} classes, recipe `{recipe.name}`",
        "",
        "```sh",
        shlex.join(command),
        "```",
        "",
        f"Keras {keras.__version__} on {keras.backend.backend()}; {len(data.train)} images to "
        f"train on, {len(data.validation)} to validate with, at {start.side}×{start.side} pixels.",
        "",
        "| after epoch | training loss | validation loss | validation accuracy |",
        "|---|---|---|---|",
        *(
            f"| {row['epoch']:.0f}{what} | {row['loss']:.4f} | {row['val_loss']:.4f} "
            f"| {row['val_accuracy']:.2%} |"
            for row, what in ((last, ", the last, which is saved"), (best, ", the best"))
        ),
        "",
        f"Validated and saved: {weights}. Training loss is that of augmented images with smoothed "
        "labels, so it may lie above the validation loss.",
        "",
    ]
    if test_accuracy is not None:
        lines += [
            f"The saved model is right about **{test_accuracy:.2%}** of the {len(data.test)} test "
            "images, by which nothing was decided.",
            "",
        ]
    if data.skipped:
        lines += [
            f"{len(data.skipped)} files or folders were skipped:",
            "",
            *(f"- {in_markdown(x)}: {in_markdown(why)}" for x, why in data.skipped.items()),
            "",
        ]
    run, tflite = shlex.quote(str(folder)), shlex.quote(str(folder / "int8.tflite"))
    on_test = ""
    if test_accuracy is not None:
        on_test = " (`--data` and the folder of the test images measure it on those)"
    lines += [
        "![curves](curves.png)",
        "",
        "![confusion matrix](confusion.png)",
        "",
        "## Next",
        "",
        "A file for the phone, calibrated on the training images; its accuracy on the validation "
        f"images{on_test}; its times:",
        "",
        "```sh",
        f"keras-fastvit export --run {run} --quantize int8 --output {tflite}",
        f"keras-fastvit evaluate {tflite} --run {run}",
        f"keras-fastvit benchmark {tflite}",
        "```",
        "",
    ]
    with written_beside(folder / "report.md") as unfinished:
        # A path need not be Unicode.
        unfinished.write_text("\n".join(lines), encoding="utf-8", errors="backslashreplace")


def skipped_line(data: TrainingData) -> str:
    """Returns the line that names files and folders which were skipped."""
    return f"Skipped, for reasons that the report names: {named(map(Path, data.skipped))}"
