"""Times this project's `.tflite` files beside litert-torch's of the same weights, and the bound.

    make bench-litert

that is `python -m benchmarks.litert` with KERAS_BACKEND=tensorflow, where timm is
installed, and litert-torch in an environment of its own; about fifteen minutes on two cores.
Writes `benchmarks/litert.json`, `benchmarks/litert.md`, which it prints, and
`benchmarks/litert.png`, all from the one run.

For each variant timm's model gets random weights. litert-torch converts it, as fused by timm, to
float32, and ai-edge-quantizer makes two 8-bit files of that; this package exports the same weights
in each precision; and there is the bound (`benchmarks.bound`). The two float32 files must give the
same logits before anything is timed. The files of a variant take turns, so that what disturbs the
machine disturbs all of them.

What others' tools make is kept in `build/litert`; our files are exported anew in each run.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks import litert_files as benchmark_files
from benchmarks import litert_torch_environment
from benchmarks.litert_report import BOUND, LITERT_TORCH, OURS, THREADS, Report, TimedFile
from keras_fastvit.conversion.commands.machine import machine
from keras_fastvit.conversion.tflite.delegation import delegation
from keras_fastvit.conversion.tflite.runtime import TFLiteModel
from keras_fastvit.conversion.tflite.schema import operators
from keras_fastvit.conversion.tflite.timing import benchmark

BENCHMARKED = ("fastvit_t8", "fastvit_s12", "fastvit_sa12", "fastvit_sa24")
WARM_UP, ROUNDS = 5, 50

PARITY_IMAGES = 4
PARITY = 1e-4
"""Largest difference between the float32 files' logits, over the largest logit."""

PACKAGES = ("keras", "tensorflow", "ai-edge-litert", "numpy")


def parity(ours: Path, theirs: Path) -> float:
    """Returns `max|ours - theirs| / max|theirs|` over the logits for some images.

    Raises:
        ArithmeticError: If that is more than `PARITY`.
    """
    images = benchmark_files.random_images(PARITY_IMAGES)
    received, expected = TFLiteModel(ours)(images), TFLiteModel(theirs)(images)
    difference = float(np.abs(received - expected).max() / np.abs(expected).max())
    # Written so that NaN is refused.
    if not difference <= PARITY:
        raise ArithmeticError(
            f"'{ours}' and '{theirs}' must compute the same. Expected logits within {PARITY:.0e} "
            f"of the largest. Received: a difference of {difference:.1e} of it"
        )
    return difference


def measure(variant: str, files: dict[tuple[str, str], Path]) -> list[TimedFile]:
    """Times a variant's files, by maker and precision, which take turns."""
    paths = list(files.values())
    timings = {
        threads: benchmark(paths, threads=threads, rounds=ROUNDS, warm_up=WARM_UP)
        for threads in THREADS
    }
    return [
        TimedFile(
            variant=variant,
            maker=maker,
            precision=precision,
            size=path.stat().st_size,
            operators=dict(operators(path.read_bytes()).most_common()),
            partitions=delegation(path).partitions,
            median={threads: 1e3 * timings[threads][i].median for threads in THREADS},
            p90={threads: 1e3 * timings[threads][i].p90 for threads in THREADS},
        )
        for i, ((maker, precision), path) in enumerate(files.items())
    ]


def run(variants: Sequence[str], build: Path) -> Report:
    """Makes, compares and times the files of all variants; `build` is the folder for files."""
    kept, exported = benchmark_files.kept_folder(build), build / "keras_fastvit"
    for folder in (kept, exported):
        folder.mkdir(parents=True, exist_ok=True)
    timed, differences = [], {}
    for variant in variants:
        print(f"{variant}: making the files", flush=True)
        weights = benchmark_files.write_weights(variant, kept)
        files = {
            (maker, precision): path
            for maker, made in (
                (LITERT_TORCH, benchmark_files.litert_torch_files(variant, weights, kept)),
                (OURS, benchmark_files.our_files(variant, weights, exported)),
                (BOUND, benchmark_files.bound_files(variant, kept)),
            )
            for precision, path in made.items()
        }
        differences[variant] = parity(files[OURS, "float32"], files[LITERT_TORCH, "float32"])
        print(f"{variant}: timing {len(files)} files", flush=True)
        timed += measure(variant, files)
    return Report(
        timed=timed,
        parity=differences,
        rounds=ROUNDS,
        machine=machine(PACKAGES),
        reference=litert_torch_environment.versions(),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(description="Times .tflite files beside litert-torch's.")
    parser.add_argument(
        "--variant", action="append", choices=BENCHMARKED, help="only these; default: all"
    )
    parser.add_argument("--output", type=Path, default=Path("benchmarks"), help="folder")
    parser.add_argument("--build", type=Path, default=Path("build/litert"), help="folder for files")
    args = parser.parse_args(argv)
    try:
        report = run(args.variant or BENCHMARKED, args.build)
        report.write(args.output)
    except (ArithmeticError, ImportError, OSError, RuntimeError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    print(report.to_markdown())
    return 0


if __name__ == "__main__":
    sys.exit(main())
