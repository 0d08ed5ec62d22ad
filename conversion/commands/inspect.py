"""Shows what a .tflite file is made of: operators and who runs them, work, sizes, quantisation.

    keras-fastvit inspect M.tflite

prints which operators the file has, how many of them the CPU delegate runs and in how many
partitions (one is best), their multiply-accumulates, the bytes of the weights by dtype, how input,
output and tensors are quantised, and what the metadata and the sidecar beside the file say.
"""

import argparse
from pathlib import Path

from keras_fastvit.conversion.commands.figures import (
    STANDARD_OUTPUT,
    add_json_argument,
    check_json,
    console_beside,
    write_json,
)
from keras_fastvit.conversion.commands.running import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("file", nargs="?", type=Path, metavar="M.tflite")
    add_json_argument(parser, optional=True)


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    file, path = args.file, args.json
    if file is None and path is not None:  # `inspect --json M.tflite`
        file, path = path, STANDARD_OUTPUT
    if file is None:
        raise UsageError("the following arguments are required: M.tflite")
    check_json(path, [file])
    from dataclasses import asdict

    from keras_fastvit.conversion.commands.inspection_tables import facts_table, operators_table
    from keras_fastvit.conversion.tflite.inspection import inspect

    found = inspect(file)
    if path != STANDARD_OUTPUT:
        console_beside(path).print(operators_table(found), facts_table(found))
    write_json(asdict(found), path)
    return 0
