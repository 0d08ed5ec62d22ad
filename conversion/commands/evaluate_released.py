"""Measures all released FastViT weights on ImageNet, beside the accuracy that was published.

    keras-fastvit evaluate-released imagenet/val --output RUN

prints for each of the 14 weights (seven variants, plain and distilled) the published top-1, that of
this package's float model, and that of the int8 `.tflite` file that it exports; the same to
`RUN/released.md` and `RUN/released.json`. What is in these already, from a run that was
interrupted, is not measured again.

Weights are fetched from the Hugging Face hub. Published are figures for the whole validation set
at 256×256 pixels, with the crop of each variant. int8 is calibrated on 200 images: of
`--calibration`, such as training images, or else, without their labels, of the set itself.
"""

import argparse
from pathlib import Path

from keras_fastvit.conversion.commands.figures import (
    add_json_argument,
    console_beside,
    write_json,
)
from keras_fastvit.weights.named import NAMED_WEIGHTS

VARIANTS = tuple(dict.fromkeys(row.variant for row in NAMED_WEIGHTS if row.dataset == "imagenet"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("data", type=Path, metavar="DIR", help="one sub-folder of images a synset")
    parser.add_argument("--calibration", type=Path, metavar="DIR", help="images for int8 (DIR)")
    parser.add_argument("--output", type=Path, default=Path("released"), help="folder (released)")
    parser.add_argument(
        "--model", choices=VARIANTS, action="append", help="this variant only; may be repeated"
    )
    add_json_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit status: 1 if some weights could not be measured."""
    from dataclasses import asdict

    from keras_fastvit.conversion.commands.released_accuracy import measure_all
    from keras_fastvit.conversion.commands.released_report import to_table
    from keras_fastvit.images.files import named

    console = console_beside(args.json)
    calibration = args.calibration or args.data
    rows, failed = measure_all(args.data, calibration, args.output, args.model or VARIANTS, console)
    console.print(to_table(rows))
    skipped = {Path(path) for row in rows for path in row.skipped}
    if skipped:
        console.print(f"Left out, as they are no whole images: {named(sorted(skipped))}.")
    write_json([asdict(row) for row in rows], args.json)
    return int(failed > 0)
