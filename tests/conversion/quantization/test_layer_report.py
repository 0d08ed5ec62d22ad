"""The per-layer report: its orders, and that the plot shows what is in it."""

import csv

import numpy as np
import pytest

from keras_fastvit.conversion.quantization.layer_report import (
    WORST,
    LayerError,
    plot,
    to_csv,
    to_markdown,
    worst_first,
)

pytestmark = pytest.mark.single_backend

LAYERS = [
    LayerError("stem_0", "Conv2D", 41.26),
    LayerError("flat", "Reshape", float("inf")),
    LayerError("fc1", "Conv2D", 25.04),
    LayerError("fc2, second", "Conv2D", 41.26),
    LayerError("head", "Dense", -3.0),
]


def test_the_table_is_worst_first_and_tells_the_place_in_the_graph():
    rows = [line.strip("| ").split(" | ") for line in to_markdown(LAYERS).splitlines()[2:]]
    assert rows == [
        ["-3.0", "head", "Dense", "5"],
        ["25.0", "fc1", "Conv2D", "3"],
        ["41.3", "stem_0", "Conv2D", "1"],
        ["41.3", "fc2, second", "Conv2D", "4"],
        ["inf", "flat", "Reshape", "2"],
    ]


def test_the_csv_is_in_the_order_of_the_graph_and_loses_nothing():
    rows = list(csv.DictReader(to_csv(LAYERS).splitlines()))
    assert [int(row["place"]) for row in rows] == [1, 2, 3, 4, 5]
    assert [LayerError(r["layer"], r["kind"], float(r["sqnr_db"])) for r in rows] == LAYERS


def bars(path) -> tuple[np.ndarray, np.ndarray]:
    """Where the picture has a bar's red, and where its grey; by rows and columns."""
    from PIL import Image

    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    red = np.abs(pixels - [214, 39, 40]).max(-1) < 8
    grey = np.abs(pixels - 184).max(-1) < 2
    return red, grey


@pytest.mark.parametrize("count", [5, 60, 250])
def test_the_plot_has_a_bar_for_each_layer_the_worst_in_red(tmp_path, count):
    rng = np.random.default_rng(0)
    ratios = rng.uniform(20, 40, count)
    layers = [LayerError(f"stage_{i}_conv", "Conv2D", ratio) for i, ratio in enumerate(ratios)]
    path = tmp_path / "plot.png"
    plot(layers, path, "model")
    red, grey = bars(path)
    # A column at the left end of the bars, just right of the axis, meets all of them.
    column = np.flatnonzero(grey.sum(0) + red.sum(0) > 0.5 * red.shape[0])
    if count == 5:
        assert red.sum(1).max() > 100
        assert grey.sum(1).max() < 50  # the edges of letters
        return
    column = column[5]
    found = [
        name for name, mask in (("red", red), ("grey", grey)) for _ in range(_runs(mask[:, column]))
    ]
    assert found.count("red") == WORST
    assert found.count("grey") == count - WORST
    assert red.shape[0] / count > 15  # pixels a layer, enough for its name


def _runs(mask: np.ndarray) -> int:
    return int(np.count_nonzero(np.diff(mask.astype(int)) == 1))


def test_bars_are_in_the_order_of_the_graph_and_as_long_as_the_ratio(tmp_path):
    layers = [LayerError(f"l{i}", "Conv2D", 10.0 + i) for i in range(30)]
    plot(layers, tmp_path / "plot.png", "model")
    red, grey = bars(tmp_path / "plot.png")
    assert np.flatnonzero(red.any(1)).mean() < np.flatnonzero(grey.any(1)).mean()
    lengths = [row.sum() for row in grey if row.sum() > 50]
    assert (
        np.diff(lengths).min() > -12
    )  # a bar is 22 longer than the last; the pixels at the ends are blended
    assert lengths[-1] > 1.5 * lengths[0]


@pytest.mark.parametrize(
    "layers",
    [
        LAYERS,
        [LayerError("same", "Reshape", float("inf"))],
        [LayerError("dead", "Conv2D", float("-inf"))],
    ],
)
def test_any_ratio_is_plotted(tmp_path, layers):
    plot(layers, tmp_path / "plot.png", "model")
    assert bars(tmp_path / "plot.png")[0].any()


def test_worst_first_keeps_equal_ones_in_order():
    assert [layer.name for layer in worst_first(LAYERS)][2:4] == ["stem_0", "fc2, second"]
