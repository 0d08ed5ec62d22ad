"""Times `.tflite` files side by side, on this machine's CPU.

    keras-fastvit benchmark A.tflite B.tflite

runs all files in one process, in turns, so that what disturbs the machine disturbs all of them,
and prints the median and the 90th percentile of one run of each file, and the medians' ratios to
the first file's. Milliseconds are this
machine's; what to compare is the ratios.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from keras_fastvit.atomic_file import written_beside
from keras_fastvit.conversion.commands.machine import machine
from keras_fastvit.conversion.tflite import sidecar
from keras_fastvit.conversion.tflite.runtime import TFLiteModel, check

Array = NDArray[Any]

THREADS, ROUNDS, WARM_UP = 2, 50, 10


@dataclass(frozen=True)
class Timing:
    """How long a file takes for one input.

    Attributes:
        path: The file.
        median: Seconds.
        p90: The 90th percentile, in seconds.
        ratio: `median` over that of the first file.
    """

    path: Path
    median: float
    p90: float
    ratio: float


def benchmark(
    paths: Sequence[str | os.PathLike[str]],
    threads: int = THREADS,
    rounds: int = ROUNDS,
    warm_up: int = WARM_UP,
    console: Console | None = None,
) -> list[Timing]:
    """Times files on random inputs of their own shapes and dtypes.

    What is timed is the run alone, not the copying of input and output. In each round each file
    runs once; which one begins changes from round to round, since a file may find the processor
    as the one before has left it.

    Args:
        paths: The files, with one input and one output each.
        threads: Number of threads that each file runs with.
        rounds: How often each file is timed.
        warm_up: How many rounds go before, untimed.
        console: Where a progress bar is to be shown.

    Returns:
        One `Timing` a file, in the order of `paths`.

    Raises:
        FileNotFoundError: If a file is not there.
        ImportError: If LiteRT is not installed.
        ValueError: If there are no files, a number is out of range, or a file is damaged or takes
            something else than numbers of 8 or 16 bits or floats.
    """
    if not paths or threads < 1 or rounds < 1 or warm_up < 0:
        raise ValueError(
            "Expected at least one file, thread and round. Received: "
            f"{len(paths)} files, threads={threads}, rounds={rounds}, warm_up={warm_up}"
        )
    models = []
    for path in paths:
        check(path)
        models.append(TFLiteModel(path, threads))
        models[-1](_random_input(models[-1], path))
    seconds = np.empty((warm_up + rounds, len(models)))
    order = list(range(len(models)))
    # Drawn between rounds; a thread that draws on its own would take time from the files.
    progress = Progress(
        console=console, auto_refresh=False, transient=True, disable=console is None
    )
    with progress:
        for row in progress.track(seconds, description="Timing"):
            for i in order:
                start = time.perf_counter()
                models[i].invoke()
                row[i] = time.perf_counter() - start
            order.append(order.pop(0))
    medians = np.median(seconds[warm_up:], axis=0).tolist()
    p90s = np.percentile(seconds[warm_up:], 90, axis=0).tolist()
    return [
        Timing(Path(path), median, p90, median / medians[0])
        for path, median, p90 in zip(paths, medians, p90s, strict=True)
    ]


def _random_input(model: TFLiteModel, path: str | os.PathLike[str]) -> Array:
    rng, dtype = np.random.default_rng(0), model.input_dtype
    if dtype.kind == "f":
        return rng.normal(size=model.input_shape).astype(dtype)
    if dtype.kind not in "iu" or dtype.itemsize > 2:  # what might be indices into a table
        raise ValueError(
            "Expected a .tflite file that takes numbers of 8 or 16 bits or floats. "
            f"Received: '{path}', which takes {dtype}"
        )
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, model.input_shape, dtype, endpoint=True)


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


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(description="Times .tflite files side by side.")
    parser.add_argument("files", nargs="+", type=Path, metavar="M.tflite")
    parser.add_argument("--threads", type=int, default=THREADS, metavar="N", help=f"({THREADS})")
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, metavar="N", help=f"runs of each file ({ROUNDS})"
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="where to write the figures")
    parser.add_argument("--plot", type=Path, metavar="PATH.png", help="where to draw a chart")
    args = parser.parse_args(argv)
    if args.json in map(sidecar.beside, args.files):
        parser.error(f"--json would overwrite a sidecar. Received: {args.json}")
    console = Console(markup=False)
    try:
        for path in args.files:
            sidecar.read(path)  # refuses a file that is not what the sidecar says
        timings = benchmark(args.files, args.threads, args.rounds, console=console)
        console.print(to_table(timings))
        if args.json is not None:
            content = {
                "machine": machine(["ai_edge_litert"]),
                "threads": args.threads,
                "rounds": args.rounds,
                "unit": "seconds",
                "files": [asdict(timing) for timing in timings],
            }
            with written_beside(args.json) as unfinished:
                unfinished.write_text(json.dumps(content, indent=2, default=str) + "\n", "utf-8")
        if args.plot is not None:
            plot(timings, args.plot)
    except (ImportError, OSError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
