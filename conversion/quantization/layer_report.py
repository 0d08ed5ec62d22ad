"""The noise that int8 adds to every layer's output, as a table, a CSV file and a plot.

A layer's error is its signal-to-quantisation-noise ratio, `10 log10(sum y² / sum (y - q)²)` in
decibels over the values `y` that the float model gives and `q` that the int8 file gives on the
same images. The noise of all layers before it is in it, so a fall from one layer to the next tells
more than a low value: the table is worst first, the plot is in the order of the graph.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

WORST = 10
"""How many layers the plot points out."""

_BAR_INCHES, _MARGIN_INCHES, _WIDTH_INCHES = 0.17, 1.2, 9.0


@dataclass(frozen=True)
class LayerError:
    """One layer's error in the int8 file.

    Attributes:
        name: The layer's name in the lowered Keras model.
        kind: What it is, such as `"DepthwiseConv2D"`.
        sqnr_db: Signal-to-quantisation-noise ratio of its output in decibels; infinite where the
            outputs are equal.
    """

    name: str
    kind: str
    sqnr_db: float


def worst_first(layers: Sequence[LayerError]) -> list[LayerError]:
    """Returns the layers by rising ratio, equal ones in the order of the graph."""
    return sorted(layers, key=lambda layer: layer.sqnr_db)


def to_markdown(layers: Sequence[LayerError]) -> str:
    """Returns a table, worst first, with each layer's place in the graph, from 1."""
    places = {id(layer): place for place, layer in enumerate(layers, start=1)}
    lines = ["| SQNR, dB | layer | kind | place |", "|---:|---|---|---:|"]
    lines += [
        f"| {layer.sqnr_db:.1f} | {layer.name} | {layer.kind} | {places[id(layer)]} |"
        for layer in worst_first(layers)
    ]
    return "\n".join(lines) + "\n"


def to_csv(layers: Sequence[LayerError]) -> str:
    """Returns the same as comma-separated values in the order of the graph, to four decimals."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["place", "layer", "kind", "sqnr_db"])
    for place, layer in enumerate(layers, start=1):
        writer.writerow([place, layer.name, layer.kind, f"{layer.sqnr_db:.4f}"])
    return text.getvalue()


def plot(layers: Sequence[LayerError], path: Path, title: str) -> None:
    """Draws a bar a layer, from the input at the top to the output, the worst in red.

    Args:
        layers: In the order of the graph; at least one.
        path: PNG file to write.
        title: Of the plot.

    Raises:
        ImportError: If matplotlib is not installed.
        OSError: If the file cannot be written.
    """
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    ratios = np.array([layer.sqnr_db for layer in layers])
    finite = ratios[np.isfinite(ratios)]
    low, high = (min(finite.min(), 0.0), max(finite.max(), 1.0)) if finite.size else (0.0, 1.0)
    span = high - low
    worst = {id(layer) for layer in worst_first(layers)[:WORST]}
    height = _MARGIN_INCHES + _BAR_INCHES * len(layers)
    figure = Figure(figsize=(_WIDTH_INCHES, height), layout="constrained")
    axes = figure.add_subplot()
    # Outputs that are equal have an infinite ratio: bars to the edge of the plot.
    lengths = np.clip(np.nan_to_num(ratios, nan=low, posinf=high + span), low, high + span)
    colours = ["tab:red" if id(layer) in worst else "0.72" for layer in layers]
    axes.barh(range(len(layers)), lengths, color=colours, height=0.8)
    for row, layer in enumerate(layers):
        if id(layer) in worst:
            end = min(max(lengths[row], 0), high)
            axes.text(
                end + 0.01 * span,
                row,
                f"{layer.sqnr_db:.1f}",
                va="center",
                fontsize=7,
                color="tab:red",
            )
    axes.set_yticks(range(len(layers)), [layer.name for layer in layers], fontsize=7)
    for label, layer in zip(axes.get_yticklabels(), layers, strict=True):
        if id(layer) in worst:
            label.set_color("tab:red")
    axes.set(ylim=(len(layers) - 0.4, -0.6), xlim=(low, high + 0.08 * span))
    axes.set_xlabel("signal to quantisation noise of the layer's output, dB (higher is better)")
    axes.tick_params(axis="x", top=True, labeltop=True)
    axes.grid(axis="x", alpha=0.4)
    axes.set_axisbelow(True)
    axes.set_title(
        f"{title}\nworst {min(WORST, len(layers))} of {len(layers)} layers in red", fontsize=10
    )
    FigureCanvasAgg(figure).print_figure(path, dpi=110)
