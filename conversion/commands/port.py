"""Converts weights between the layouts of Keras, timm and Apple.

    keras-fastvit port INPUT --model fastvit_t8 --output W.weights.h5
    keras-fastvit port INPUT --model fastvit_t8 --to timm --output W.safetensors

INPUT is anything that `weights=` of the model takes: a name such as `imagenet`, or a checkpoint of
PyTorch (`.safetensors`, `.pth`, `.ckpt` …), a `.weights.h5` or a `.keras` file. Prints what it has
written.
"""

import argparse
from pathlib import Path

from keras_fastvit.architecture.variants import VARIANTS
from keras_fastvit.conversion.commands.model_arguments import add_ema_argument

LAYOUTS = ("keras", "timm", "apple")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("input", help="name or file, as for weights= of the model")
    parser.add_argument(
        "--model", choices=VARIANTS, required=True, help="variant, such as fastvit_t8"
    )
    parser.add_argument("--output", type=Path, required=True, help="file to write")
    parser.add_argument("--to", choices=LAYOUTS, default="keras", help="whose layout to write")
    parser.add_argument(
        "--classes", type=int, help="classes of a file's classifier; default: the variant's"
    )
    add_ema_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    from keras_fastvit.weights.porting import port_weights

    port_weights(args.input, args.model, args.output, args.to, args.classes, args.ema)
    print(f"{args.output}: {args.output.stat().st_size} bytes, {args.to}'s layout")
    return 0
