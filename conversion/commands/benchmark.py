"""Times .tflite files side by side, on this machine's CPU.

    keras-fastvit benchmark A.tflite B.tflite

runs all files in one process, in turns, so that what disturbs the machine disturbs all of them,
and prints the median and the 90th percentile of one run of each file, and the medians' ratios to
the first file's. Milliseconds are this machine's; the ratios are what to compare.
"""

import argparse
from pathlib import Path

from keras_fastvit.conversion.commands.figures import (
    add_json_argument,
    check_json,
    console_beside,
    write_json,
)

THREADS, ROUNDS = 2, 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("files", nargs="+", type=Path, metavar="M.tflite")
    parser.add_argument("--threads", type=int, default=THREADS, metavar="N", help=f"({THREADS})")
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, metavar="N", help=f"runs of each file ({ROUNDS})"
    )
    add_json_argument(parser)
    parser.add_argument("--plot", type=Path, metavar="PATH.png", help="where to draw a chart")


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    check_json(args.json, args.files)
    from dataclasses import asdict

    from keras_fastvit.conversion.commands.machine import machine
    from keras_fastvit.conversion.commands.timing_report import plot, to_table
    from keras_fastvit.conversion.tflite import sidecar
    from keras_fastvit.conversion.tflite.timing import benchmark

    console = console_beside(args.json)
    for path in args.files:
        sidecar.read(path)  # refuses a file that is not what the sidecar says
    timings = benchmark(args.files, args.threads, args.rounds, console=console)
    console.print(to_table(timings))
    content = {
        "machine": machine(["ai_edge_litert"]),
        "threads": args.threads,
        "rounds": args.rounds,
        "unit": "seconds",
        "files": [asdict(timing) for timing in timings],
    }
    write_json(content, args.json)
    if args.plot is not None:
        plot(timings, args.plot)
    return 0
