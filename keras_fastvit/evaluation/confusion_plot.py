"""Draws which classes a classifier takes for which."""

import os
from collections.abc import Sequence

import numpy as np

from keras_fastvit.arrays import Array
from keras_fastvit.atomic_file import written_beside

_MOST_NAMED = 40
"""Classes that have room for their names and shares."""

_LONGEST = 40
"""Characters of a name that there is room for."""


def confusion(labels: Array, predicted: Array, classes: int) -> Array:
    """Counts the images by class (rows) and by what they were taken for (columns).

    Args:
        labels: `(images,)`: the right classes, from 0.
        predicted: `(images,)`: the best classes.
        classes: How many there are.

    Returns:
        int64 `(classes, classes)`.
    """
    counts = np.zeros((classes, classes), "int64")
    np.add.at(counts, (labels, predicted), 1)
    return counts


def plot_confusion(
    matrices: Sequence[Array],
    titles: Sequence[str],
    names: Sequence[str] | None,
    path: str | os.PathLike[str],
) -> None:
    """Draws confusion matrices side by side, each row as shares of its class, as a PNG file.

    Few classes have their names and percentages; of many, each is a pixel or more.

    Args:
        matrices: `(classes, classes)` each, as `confusion` gives them.
        titles: One a matrix.
        names: Of the classes; None for numbers, which models of other classes have as well.
        path: Where to write.

    Raises:
        ImportError: If Matplotlib is not installed.
        OSError: If the file cannot be written.
    """
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    classes = max(map(len, matrices))
    named = classes <= _MOST_NAMED
    side = max(5.0, 0.45 * classes) if named else 9.0
    figure = Figure(figsize=(side * len(matrices) + 1, side), layout="constrained")
    panels = figure.subplots(1, len(matrices), squeeze=False)[0]
    for axes, matrix, title in zip(panels, matrices, titles, strict=True):
        shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
        # Logarithmic: a confusion of one image in a hundred is as important as it is rare.
        scale = LogNorm(vmin=0.005, vmax=1, clip=True)
        visible = np.where(shares > 0, shares, np.nan)
        image = axes.imshow(visible, norm=scale, cmap="viridis_r", interpolation="nearest")
        axes.set(xlabel="taken for", ylabel="class")
        axes.set_title(title, parse_math=False)  # Matplotlib reads what is between $ as formulas
        if named:
            places = range(len(matrix))
            texts = names if names is not None and len(names) == len(matrix) else map(str, places)
            texts = [x if len(x) <= _LONGEST else f"{x[: _LONGEST - 1]}…" for x in texts]
            axes.set_xticks(places, texts, parse_math=False)
            axes.set_yticks(places, texts, parse_math=False)
            axes.tick_params(axis="x", rotation=90)
            for row, column in zip(*np.nonzero(matrix), strict=True):
                share = shares[row, column]
                color = "white" if share > 0.2 else "black"
                label = f"{100 * share:.0f}"
                axes.text(column, row, label, ha="center", va="center", color=color, size=8)
    percent = PercentFormatter(1, decimals=0)
    bar = figure.colorbar(image, ax=panels, ticks=[0.01, 0.1, 1], format=percent, shrink=0.8)
    bar.set_label("share of the class's images")
    with written_beside(path) as unfinished:
        figure.savefig(unfinished, format="png", dpi=150)
