"""Times .tflite files side by side, on this machine's CPU.

    keras-fastvit benchmark A.tflite B.tflite

runs all files in one process, in turns, so that what disturbs the machine disturbs all of them,
and prints the median and the 90th percentile of one run of each file, and the medians' ratios to
the first file's. Milliseconds are this machine's; the ratios are what to compare.
"""

import argparse
from pathlib import Path

from keras_fastvit.conversion.commands.running import UsageError

THREADS, ROUNDS = 2, 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("files", nargs="+", type=Path, metavar="M.tflite")
    parser.add_argument("--threads", type=int, default=THREADS, metavar="N", help=f"({THREADS})")
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, metavar="N", help=f"runs of each file ({ROUNDS})"
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="where to write the figures")
    parser.add_argument("--plot", type=Path, metavar="PATH.png", help="where to draw a chart")


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    import json
    from dataclasses import asdict

    from rich.console import Console

    from keras_fastvit.atomic_file import written_beside
    from keras_fastvit.conversion.commands.machine import machine
    from keras_fastvit.conversion.commands.timing_report import plot, to_table
    from keras_fastvit.conversion.tflite import sidecar
    from keras_fastvit.conversion.tflite.timing import benchmark

    if args.json in map(sidecar.beside, args.files):
        raise UsageError(f"--json would overwrite a sidecar. Received: {args.json}")
    console = Console(markup=False)
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
    return 0
