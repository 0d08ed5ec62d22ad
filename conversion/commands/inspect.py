"""Shows what a .tflite file is made of: operators and who runs them, work, sizes, quantisation.

    keras-fastvit inspect M.tflite

prints which operators the file has, how many of them the CPU delegate runs and in how many
partitions (one is best), their multiply-accumulates, the bytes of the weights by dtype, how input,
output and tensors are quantised, and what the metadata and the sidecar beside the file say.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("file", type=Path, metavar="M.tflite")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the tables")


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    import json
    from dataclasses import asdict

    from rich.console import Console

    from keras_fastvit.conversion.commands.inspection_tables import facts_table, operators_table
    from keras_fastvit.conversion.tflite.inspection import inspect

    found = inspect(args.file)
    if args.json:
        print(json.dumps(asdict(found), indent=2, default=str))
    else:
        Console(markup=False).print(operators_table(found), facts_table(found))
    return 0
