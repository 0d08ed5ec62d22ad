"""Times the Kotlin frame pipeline beside Pillow, in turns on one core, as a ratio.

    python -m android_demo.core.reference.benchmark 'java -cp CLASSPATH' FOLDER

FOLDER is what `frames.py` has written, CLASSPATH the classes of `core`, of its benchmark, and
Kotlin's library. A frame of 1280×720 in NV21 becomes an int8 input of 256×256 pixels, as it is and
turned by 90 degrees; prints the medians of both sides and their ratio. Pillow's side does the same
steps: `YCbCr` with the chroma doubled -> RGB -> turned -> resized -> cropped -> tables.
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from conversion.preparation import Preparation
from keras_fastvit.preprocessing import _resized_size

WIDTH, HEIGHT, SIZE = 1280, 720, 256
WARM_UP, ROUNDS = 300, 200
MAIN = "org.kerasfastvit.demo.core.FrameBenchmarkKt"


def main() -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(description="Times the frame pipeline beside Pillow.")
    parser.add_argument("java", metavar="'java -cp CLASSPATH'")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    args = parser.parse_args()
    # One core for both: the child inherits it.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    content = _frame(args.folder)
    frame = args.folder / "benchmark.yuv"
    frame.write_bytes(content)
    console = Console()
    for degrees in (0, 90):
        command = [*shlex.split(args.java), MAIN, str(args.folder / f"{SIZE}.json"), str(frame)]
        command += [str(WIDTH), str(HEIGHT), str(degrees)]
        ours, pillow = _turns(command, PillowPipeline(args.folder, degrees), content, console)
        console.print(
            f"{degrees:3} degrees: Kotlin {1e3 * ours:.2f} ms, Pillow {1e3 * pillow:.2f} ms, "
            f"ratio {ours / pillow:.2f}"
        )
    return 0


def _turns(
    command: list[str], pillow: "PillowPipeline", content: bytes, console: Console
) -> tuple[float, float]:
    """Median seconds of a frame, of Kotlin and of Pillow, timed in turns."""
    times: tuple[list[float], list[float]] = ([], [])
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stdin
        assert process.stdout
        for _ in track(range(WARM_UP + ROUNDS), "Timing", console=console, transient=True):
            process.stdin.write("\n")
            times[0].append(int(process.stdout.readline()) / 1e9)
            start = time.perf_counter()
            pillow(content)
            times[1].append(time.perf_counter() - start)
        process.stdin.close()
    ours, theirs = (statistics.median(side[WARM_UP:]) for side in times)
    return ours, theirs


class PillowPipeline:
    """The steps of the frame pipeline in Pillow, on one frame after the other."""

    def __init__(self, folder: Path, degrees: int) -> None:
        description: dict[str, Any] = json.loads((folder / f"{SIZE}.json").read_text())
        self._turn = {0: None, 90: Image.Transpose.ROTATE_270}[degrees]
        self._preparation = Preparation.from_sidecar(description, (SIZE, SIZE))
        mean, std = self._preparation.mean, self._preparation.std
        values = np.arange(256, dtype="float32")[:, None] / 255.0
        values = (values - np.float32(mean)) / np.float32(std)
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


def _frame(folder: Path) -> bytes:
    """A frame of full range without gaps between its rows."""
    for entry in json.loads((folder / "frames.json").read_text()):
        wanted = {"width": WIDTH, "layout": "NV21", "range": "FULL", "row_stride": WIDTH}
        if wanted.items() <= entry.items():
            with (folder / "frames.bin").open("rb") as file:
                file.seek(entry["offset"])
                return file.read(entry["length"])
    raise ValueError(f"Expected a frame {WIDTH} pixels wide. Received: none in '{folder}'")


if __name__ == "__main__":
    sys.exit(main())
