"""The arguments by which a command is told its model, and the model that they name."""

import argparse
import re

import keras

from keras_fastvit.applications import CONSTRUCTORS
from keras_fastvit.pretrained import NamedWeights, find_weights
from keras_fastvit.variants import VARIANTS


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds `--model`, `--weights`, `--classes` and `--image-size`."""
    parser.add_argument(
        "--model", required=True, choices=VARIANTS, metavar="VARIANT", help=", ".join(VARIANTS)
    )
    parser.add_argument(
        "--weights",
        metavar="W",
        help="imagenet, imagenet_distilled, fashion_mnist, or the path of a .weights.h5, .keras, "
        ".safetensors, .pth or .pth.tar file",
    )
    parser.add_argument(
        "--classes", type=int, metavar="N", help="classes of a file's classifier; default: 1000"
    )
    parser.add_argument(
        "--image-size",
        type=image_size,
        metavar="H[xW]",
        help="sides in pixels; default: those that named weights were trained at, 256 for a file",
    )


def image_size(text: str) -> tuple[int, int]:
    """Reads a side, or height and width, in pixels.

    >>> image_size("192x320"), image_size("256")
    ((192, 320), (256, 256))

    Raises:
        ArgumentTypeError: If it is neither.
    """
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"expected H or HxW, such as 192x320. Received: {text}")
    return int(match[1]), int(match[2] or match[1])


def load_model(args: argparse.Namespace) -> keras.Model:
    """Returns the model that the arguments name, in float32, giving probabilities.

    Raises:
        ValueError: If an argument is out of range, or the weights do not fit the others.
        OSError: If the weights cannot be read or fetched.
        ImportError: If they are a `.pth` or `.pth.tar` file and PyTorch is not installed.
    """
    found = find_weights(args.weights, args.model)
    classes = 1000 if args.classes is None else args.classes
    if isinstance(found, NamedWeights):
        # The constructors would make a classifier of another size, at random.
        if args.classes not in (None, found.classes):
            raise ValueError(
                f"'{found.name}' weights have a classifier for {found.classes} classes. Expected "
                f"that number, or none. Received: {args.classes}"
            )
        classes = found.classes
    return CONSTRUCTORS[args.model](
        weights=args.weights,
        classes=classes,
        input_shape=None if args.image_size is None else (*args.image_size, 3),
        data_format="channels_last",
        dtype="float32",
    )
