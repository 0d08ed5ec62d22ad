"""Times the Kotlin frame pipeline beside Pillow, in turns on one core, as a ratio.

    python -m android_demo.core.reference.benchmark REPORT.md

A frame of 1280×720 in NV21, one of those that `frames.py` has written, becomes an int8 input of
256×256 pixels, as it is and turned by 90 degrees. Prints the medians of both sides and their ratio,
and writes them. Pillow's side does the same steps: `YCbCr` with the chroma doubled -> RGB -> turned
-> resized -> cropped -> tables. `make android-benchmark` compiles what this runs.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL
from PIL import Image
from rich.console import Console
from rich.progress import track

from android_demo.toolchain.modules import classpath, jar
from android_demo.toolchain.tools import BUILD, JAVA_HOME
from keras_fastvit.atomic_file import written_beside
from keras_fastvit.images.preparation import Preparation
from keras_fastvit.images.preprocessing import _resized_size

WIDTH, HEIGHT, SIZE = 1280, 720, 256
WARM_UP, ROUNDS = 300, 200
LIMIT = 1.5
"""How much longer than Pillow Kotlin may take."""

FRAMES = BUILD / "frames"
SIDECAR = BUILD / "models" / "fashion_mnist_256.json"
MODULE, MAIN = "core-benchmark", "org.kerasfastvit.demo.core.FrameBenchmarkKt"


class Timing(NamedTuple):
    """Median seconds of a frame."""

    degrees: int
    kotlin: float
    pillow: float

    @property
    def ratio(self) -> float:
        """Kotlin's time over Pillow's."""
        return self.kotlin / self.pillow


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status: 1 if Kotlin is slower than it may be."""
    parser = argparse.ArgumentParser(description="Times the frame pipeline beside Pillow.")
    parser.add_argument("report", type=Path, metavar="REPORT.md")
    args = parser.parse_args(argv)
    # One core for both: the child inherits it.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    try:
        timings = [_time(_frame(), degrees) for degrees in (0, 90)]
        text = to_markdown(timings)
        with written_beside(args.report) as partial:
            partial.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    print(text)
    return 0 if all(timing.ratio <= LIMIT for timing in timings) else 1


def to_markdown(timings: Sequence[Timing]) -> str:
    """The report."""
    rows = [
        f"| {one.degrees}° | {1e3 * one.kotlin:.2f} ms | {1e3 * one.pillow:.2f} ms "
        f"| {one.ratio:.2f} |"
        for one in timings
    ]
    reached = all(one.ratio <= LIMIT for one in timings)
    return "\n".join(
        [
            "# The Android demo's frame pipeline beside Pillow",
            "",
            f"Written by `make android-benchmark`: a camera frame of {WIDTH}×{HEIGHT} (NV21) to an "
            f"int8 input of {SIZE}×{SIZE}, on a computer's JVM. Both on the same core, in turns; "
            f"medians of {ROUNDS} frames after {WARM_UP} to warm up. Milliseconds are this "
            "machine's; the ratios are what counts.",
            "",
            "| turned by | Kotlin | Pillow | ratio |",
            "|---|---|---|---|",
            *rows,
            "",
            f"Wanted: at most {LIMIT}, {'reached' if reached else 'MISSED'}.",
            f"Pillow {PIL.__version__}; Kotlin on OpenJDK 17.",
            "",
        ]
    )


def _time(content: bytes, degrees: int) -> Timing:
    frame = FRAMES / "benchmark.yuv"
    frame.write_bytes(content)
    path = ":".join(str(entry) for entry in (jar(MODULE), *classpath(MODULE)))
    command = [str(JAVA_HOME / "bin" / "java"), "-cp", path, MAIN, str(SIDECAR), str(frame)]
    command += [str(WIDTH), str(HEIGHT), str(degrees)]
    pillow = PillowPipeline(degrees)
    times: tuple[list[float], list[float]] = ([], [])
    console = Console(stderr=True)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stdin
        assert process.stdout
        for _ in track(
            range(WARM_UP + ROUNDS), "Timing", console=console, disable=not console.is_terminal
        ):
            process.stdin.write("\n")
            times[0].append(int(process.stdout.readline()) / 1e9)
            start = time.perf_counter()
            pillow(content)
            times[1].append(time.perf_counter() - start)
        process.stdin.close()
    kotlin, theirs = (statistics.median(side[WARM_UP:]) for side in times)
    return Timing(degrees, kotlin, theirs)


class PillowPipeline:
    """The steps of the frame pipeline in Pillow, on one frame after the other."""

    def __init__(self, degrees: int) -> None:
        description = json.loads(SIDECAR.read_text(encoding="utf-8"))
        self._turn = {0: None, 90: Image.Transpose.ROTATE_270}[degrees]
        self._preparation = Preparation.from_sidecar(description, (SIZE, SIZE))
        mean = np.array(self._preparation.mean, "float32")
        std = np.array(self._preparation.std, "float32")
        values = np.arange(256, dtype="float32")[:, None] / 255.0
        values = (values - mean) / std
        scale, zero_point = description["input"]["scale"], description["input"]["zero_point"]
        integers = np.clip(np.round(values / np.float32(scale)) + zero_point, -128, 127)
        # `Image.point` looks up one table after the other, one a channel, of bytes.
        self._tables = integers.T.astype("int8").view("uint8").flatten().tolist()

    def __call__(self, content: bytes) -> bytes:
        """Returns the int8 input of a frame."""
        y = Image.frombuffer("L", (WIDTH, HEIGHT), content, "raw", "L", 0, 1)
        half = (WIDTH // 2, HEIGHT // 2)
        # Two bytes a pixel: V, then U.
        chroma = Image.frombuffer("LA", half, content[WIDTH * HEIGHT :], "raw", "LA", 0, 1)
        v, u = (one.resize(y.size, Image.Resampling.NEAREST) for one in chroma.split())
        image = Image.merge("YCbCr", (y, u, v)).convert("RGB")
        if self._turn is not None:
            image = image.transpose(self._turn)
        crop_pct = self._preparation.crop_pct
        image = image.resize(
            _resized_size(image.size, SIZE, SIZE, crop_pct), Image.Resampling.BICUBIC
        )
        left, top = round((image.width - SIZE) / 2), round((image.height - SIZE) / 2)
        return image.crop((left, top, left + SIZE, top + SIZE)).point(self._tables).tobytes()


def _frame() -> bytes:
    """A frame of full range without gaps between its rows."""
    for entry in json.loads((FRAMES / "frames.json").read_text()):
        wanted = {"width": WIDTH, "layout": "NV21", "range": "FULL", "row_stride": WIDTH}
        if wanted.items() <= entry.items():
            with (FRAMES / "frames.bin").open("rb") as file:
                file.seek(entry["offset"])
                return file.read(entry["length"])
    raise ValueError(f"Expected a frame {WIDTH} pixels wide. Received: none in '{FRAMES}'")


if __name__ == "__main__":
    sys.exit(main())
