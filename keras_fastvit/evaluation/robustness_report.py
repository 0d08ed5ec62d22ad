"""Accuracy under corruptions as a table, as CSV and as a picture."""

import csv
import io
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_fastvit.atomic_file import written_beside
from keras_fastvit.evaluation.corruptions import CORRUPTIONS, SEVERITIES
from keras_fastvit.evaluation.robustness import COMMON, Robustness

FOOTNOTE = (
    "Top-1 accuracy under ImageNet-C's corruptions by severity, with the published parameters for "
    "224×224 pixels; on other sizes lengths are in proportion to the short side, whereas noise, "
    "pixelate and JPEG work pixel by pixel. Frost is drawn by a program, in place of the "
    "published photographs, so that row compares with no one else's. The common mean is over the "
    "fifteen corruptions before the last four."
)


def to_markdown(found: Robustness) -> list[str]:
    """Returns the lines of a table: a row a corruption, a column a severity, and the means."""
    lines = [
        f"| corruption | {' | '.join(map(str, SEVERITIES))} | mean |",
        f"|---|{'---:|' * (len(SEVERITIES) + 1)}",
    ]
    for name, row in zip(CORRUPTIONS, found.accuracy, strict=True):
        cells = " | ".join(f"{value:.1%}" for value in (*row, row.mean()))
        lines.append(f"| {title(name)} | {cells} |")
    common = [row.group in COMMON for row in CORRUPTIONS.values()]
    for name, rows in (("common mean", common), ("mean of all", [True] * len(common))):
        means = found.accuracy[rows].mean(axis=0)
        cells = " | ".join(f"**{value:.1%}**" for value in (*means, means.mean()))
        lines.append(f"| **{name}** | {cells} |")
    return lines


def title(name: str) -> str:
    """Returns a corruption's name for people.

    >>> title("jpeg_compression")
    'jpeg compression'
    """
    return name.replace("_", " ")


def to_csv(found: Mapping[str, Robustness]) -> str:
    """Returns a row for each model, corruption and severity, and for the images as they are.

    Args:
        found: By the models' names.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["model", "corruption", "group", "severity", "top1"])
    for model, robustness in found.items():
        writer.writerow([model, "none", "", 0, f"{robustness.clean:.6f}"])
        rows = zip(CORRUPTIONS.items(), robustness.accuracy, strict=True)
        for (name, corruption), row in rows:
            for severity, value in zip(SEVERITIES, row, strict=True):
                writer.writerow([model, name, corruption.group, severity, f"{value:.6f}"])
    return file.getvalue()


def to_json(found: Robustness) -> dict[str, Any]:
    """Returns what a program may want to read."""
    return {
        "images": found.images,
        "clean": found.clean,
        "common_mean": found.mean(*COMMON),
        "mean": found.mean(),
        "accuracy": {
            name: row.tolist() for name, row in zip(CORRUPTIONS, found.accuracy, strict=True)
        },
    }


def plot(found: Mapping[str, Robustness], path: str | os.PathLike[str]) -> None:
    """Draws models side by side, a cell for each corruption and severity, as a PNG file.

    Args:
        found: By the models' names.
        path: Where to write.

    Raises:
        ImportError: If Matplotlib is not installed.
        OSError: If the file cannot be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    figure = Figure(figsize=(1.8 + 3.6 * len(found), 7.5), layout="constrained")
    panels = figure.subplots(1, len(found), sharey=True, squeeze=False)[0]
    for axes, (name, robustness) in zip(panels, found.items(), strict=True):
        shares = np.column_stack([np.full(len(CORRUPTIONS), robustness.clean), robustness.accuracy])
        picture = axes.imshow(shares, vmin=0, vmax=1, cmap="viridis", aspect="auto")
        axes.set_title(f"{name}: {robustness.clean:.1%} clean,\n{robustness.mean():.1%} corrupted")
        axes.set_xlabel("severity")
        axes.set_xticks(range(shares.shape[1]), ["clean", *SEVERITIES])
        axes.set_yticks(range(len(CORRUPTIONS)), map(title, CORRUPTIONS))
        for (row, column), share in np.ndenumerate(shares):
            color = "white" if share < 0.6 else "black"
            axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", color=color)
    bar = figure.colorbar(picture, ax=panels, format=PercentFormatter(1, decimals=0), shrink=0.6)
    bar.set_label("top-1 accuracy")
    with written_beside(path) as unfinished:
        figure.savefig(unfinished, format="png", dpi=120)
