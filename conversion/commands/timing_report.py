"""A table and a chart of how long `.tflite` files take."""

import os
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from keras_fastvit.atomic_file import written_beside
from keras_fastvit.conversion.tflite.timing import Timing


def to_table(timings: Sequence[Timing]) -> Table:
    """The table that the command prints."""
    table = Table()
    table.add_column("file", overflow="fold")
    for heading in ("median", "p90", "ratio"):
        table.add_column(heading, justify="right")
    for timing in timings:
        table.add_row(
            str(timing.path),
            f"{1e3 * timing.median:.3g} ms",
            f"{1e3 * timing.p90:.3g} ms",
            f"{timing.ratio:.2f}",
        )
    return table


def plot(timings: Sequence[Timing], path: str | os.PathLike[str]) -> None:
    """Draws a bar for each file's median, with a mark for its 90th percentile, as a PNG file.

    Raises:
        ImportError: If Matplotlib is not installed.
        OSError: If the file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.2 + 0.45 * len(timings)), layout="constrained")
    axes = figure.subplots()
    names = _short_names([timing.path for timing in timings])
    medians = [1e3 * timing.median for timing in timings]
    late = [1e3 * max(timing.p90 - timing.median, 0.0) for timing in timings]
    places = range(len(timings))
    axes.barh(places, medians, xerr=[[0.0] * len(late), late], capsize=3, color="#4878a8")
    for place, timing in zip(places, timings, strict=True):
        label = f" {1e3 * timing.median:.3g} ms  ×{timing.ratio:.2f}"
        axes.text(1e3 * timing.p90, place, label, va="center")
    axes.set_yticks(places, names)
    axes.invert_yaxis()  # the first file on top
    axes.margins(x=0.25)
    axes.set_xlabel("milliseconds: median, whisker to the 90th percentile; × of the first median")
    axes.spines[["top", "right"]].set_visible(False)
    with written_beside(path) as unfinished:
        figure.savefig(unfinished, format="png", dpi=150)


def _short_names(paths: Sequence[Path]) -> list[str]:
    """Returns the files' names; the paths where two files have the same name."""
    names = [path.name for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]
