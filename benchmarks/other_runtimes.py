"""Runs this project's `.tflite` files and litert-torch's on an emulated ARM64 and on a GPU driver.

    make bench-runtimes

that is `python -m benchmarks.other_runtimes` with KERAS_BACKEND=tensorflow, where
`make test-runtimes` has installed the runtimes and `make bench-litert` litert-torch; some minutes.
Writes `benchmarks/runtimes.json` and `benchmarks/runtimes.md`, which it prints.

The files are those of `make bench-litert`, at 256×256 pixels. Of ARM64 the CPU time of one image
on one thread is given. It is the emulator's, no latency, but hints at how many instructions a file
takes; of int8 alone, as vectors of floats are emulated dearly. Of the GPU, a driver in software, it
is given whether LiteRT's accelerator takes all of a file, and no time.
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import litert_files as benchmark_files
from benchmarks.litert_report import LITERT_TORCH, OURS
from keras_fastvit.atomic_file import written_beside
from tests.runtimes.processes import ARM64, GPU, RefusedError, run

VARIANTS = ("fastvit_t8", "fastvit_sa12")
IMAGES = 3

LARGEST_RATIO = 0.4
"""Wanted of our int8 file's emulated time over that of litert-torch's, of T8."""


@dataclass(frozen=True)
class Row:
    """The results of running one file.

    Attributes:
        variant: Such as `"fastvit_t8"`.
        maker: `OURS` or `LITERT_TORCH`.
        precision: Such as `"int8"`.
        arm64_seconds: Of int8, emulated CPU time of one image on one thread, the least of some.
        on_gpu: Whether the accelerator takes all of the file.
    """

    variant: str
    maker: str
    precision: str
    arm64_seconds: float | None
    on_gpu: bool


def measure(build: Path) -> list[Row]:
    """Makes the files, unless others' are there, and runs each; `build` is the folder for files."""
    kept, exported = benchmark_files.kept_folder(build), build / "keras_fastvit"
    for folder in (kept, exported):
        folder.mkdir(parents=True, exist_ok=True)
    images = benchmark_files.random_images(IMAGES)
    rows = []
    for variant in VARIANTS:
        weights = benchmark_files.write_weights(variant, kept)
        for maker, files in (
            (LITERT_TORCH, benchmark_files.litert_torch_files(variant, weights, kept)),
            (OURS, benchmark_files.our_files(variant, weights, exported)),
        ):
            for precision, path in files.items():
                print(f"{variant}: {maker}'s {precision} file", flush=True)
                seconds = None
                if precision == "int8":
                    _, report = run(ARM64, path, images)
                    seconds = report["cpu_seconds"]
                rows.append(Row(variant, maker, precision, seconds, _runs_on_gpu(path)))
    return rows


def _runs_on_gpu(path: Path) -> bool:
    try:
        _, report = run(GPU, path, benchmark_files.random_images(1))
    except RefusedError as error:
        if "Some ops are not accelerated" not in str(error):
            raise
        return False
    return bool(report["fully_accelerated"])


def ratio(rows: list[Row], variant: str) -> float:
    """Our int8 file's emulated time over that of litert-torch's."""
    seconds = {
        row.maker: row.arm64_seconds
        for row in rows
        if row.variant == variant and row.arm64_seconds is not None
    }
    return seconds[OURS] / seconds[LITERT_TORCH]


def to_markdown(rows: list[Row]) -> str:
    """The table of `benchmarks/runtimes.md`."""
    lines = [
        "# Other runtimes",
        "",
        "Written by `make bench-runtimes`, 256×256 pixels. Seconds are an emulator's, no latency;",
        "the GPU is a driver in software, of which no time is given.",
        "",
        "| model | file | precision | emulated ARM64 | GPU alone |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.variant} | {row.maker} | {row.precision} "
        f"| {'' if row.arm64_seconds is None else f'{row.arm64_seconds:.2f} s'} "
        f"| {'whole file' if row.on_gpu else 'refused'} |"
        for row in rows
    ]
    lines += ["", "Emulated time of ours over litert-torch's, int8:", ""]
    lines += [f"- {variant}: {ratio(rows, variant):.2f}" for variant in VARIANTS]
    reached = "reached" if ratio(rows, VARIANTS[0]) <= LARGEST_RATIO else "missed"
    lines += ["", f"Wanted of {VARIANTS[0]}: at most {LARGEST_RATIO}, {reached}."]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(description="Runs .tflite files on an ARM64 and on a GPU.")
    parser.add_argument("--output", type=Path, default=Path("benchmarks"), help="folder")
    parser.add_argument("--build", type=Path, default=Path("build/litert"), help="folder for files")
    args = parser.parse_args()
    try:
        rows = measure(args.build)
        with written_beside(args.output / "runtimes.json") as unfinished:
            unfinished.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
        with written_beside(args.output / "runtimes.md") as unfinished:
            unfinished.write_text(to_markdown(rows), encoding="utf-8")
    except (ArithmeticError, ImportError, OSError, RefusedError, RuntimeError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    print(to_markdown(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
