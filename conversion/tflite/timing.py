"""Times `.tflite` files side by side, in turns, on this machine's CPU."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress

from keras_fastvit.arrays import Array
from keras_fastvit.conversion.tflite.runtime import TFLiteModel, check

THREADS, ROUNDS, WARM_UP = 2, 50, 10


@dataclass(frozen=True)
class Timing:
    """The time that a file takes for one input.

    Attributes:
        path: The file.
        median: Seconds.
        p90: The 90th percentile, in seconds.
        ratio: `median` over that of the first file.

    Example:
    >>> Timing(Path("int8.tflite"), median=0.002, p90=0.003, ratio=0.5).ratio
    0.5
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

    Example:
    >>> import tempfile
    >>> import keras
    >>> from keras_fastvit.conversion import export
    >>> image = keras.Input((8, 8, 3))
    >>> model = keras.Model(image, keras.layers.Conv2D(4, 3)(image))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     exported = export(model, f"{folder}/model.tflite")
    ...     (timing,) = benchmark([exported.path], rounds=5)
    >>> timing.ratio, timing.median <= timing.p90
    (1.0, True)
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
