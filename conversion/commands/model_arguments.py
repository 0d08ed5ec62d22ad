"""The arguments by which a command is told its model."""

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from keras_fastvit.architecture.variants import VARIANTS
from keras_fastvit.conversion.commands.running import UsageError
from keras_fastvit.images.normalizations import (
    DEFAULT_CROP_PCT,
    DEFAULT_NORMALIZATION,
    NORMALIZATIONS,
)
from keras_fastvit.weights.file_kinds import MODEL_SUFFIX as SUFFIX
from keras_fastvit.weights.file_kinds import SUFFIXES
from keras_fastvit.weights.named import weights_names

if TYPE_CHECKING:
    from keras_fastvit.conversion.model_source import ModelSource

RANDOM = "random"
"""What `--weights` is for a model that has not been trained, of which only speed is of interest."""

TFLITE_SUFFIX = ".tflite"


def add_model_arguments(parser: argparse.ArgumentParser, files: bool = False) -> None:
    """Adds the model, and all that `add_source_arguments` adds.

    Args:
        parser: Of the command.
        files: Whether the model may be a `.tflite` file.
    """
    file = f", a {TFLITE_SUFFIX} file" if files else ""
    parser.add_argument(
        "--model",
        type=model_or_file if files else model_name,
        metavar="MODEL",
        help=f"{', '.join(VARIANTS)}{file}, or a {SUFFIX} file with a model of your own",
    )
    add_source_arguments(parser)


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds a model's weights, sides and classes, and how images are prepared for it."""
    parser.add_argument(
        "--weights",
        metavar="W",
        help=f"{', '.join(weights_names())}, {RANDOM} (untrained, to measure speed), or the path "
        f"of a {', '.join(SUFFIXES)} file",
    )
    add_ema_argument(parser)
    parser.add_argument(
        "--classes",
        type=int,
        metavar="N",
        help="classes of a file's classifier, or channels of its embedding; default: the variant's",
    )
    parser.add_argument(
        "--text-embeddings",
        type=Path,
        metavar="T.npz",
        help="make an image tower a classifier by the texts in this file, which has the arrays "
        "names and embeddings (see keras_fastvit.clip.text_embeddings)",
    )
    parser.add_argument(
        "--image-size",
        type=image_size,
        metavar="H[xW]",
        help="sides in pixels; default: those that named weights were trained at, 256 for a file",
    )
    parser.add_argument(
        "--crop-pct",
        type=crop_pct,
        metavar="P",
        help="share of an image's short side that the crop keeps; default: that of named weights "
        f"or of the variant, {DEFAULT_CROP_PCT} for a model of your own",
    )
    parser.add_argument(
        "--normalization",
        choices=NORMALIZATIONS,
        help="mean and standard deviation that images are normalised with; default: pixels or unit "
        "for a model that normalises them itself, else those of the variant that the model is or "
        f"has the name of, else {DEFAULT_NORMALIZATION}",
    )


def add_ema_argument(parser: argparse.ArgumentParser) -> None:
    """Adds `--no-ema`."""
    parser.add_argument(
        "--no-ema",
        dest="ema",
        action="store_false",
        help="of a checkpoint that holds weights averaged over the training (EMA) too, take the "
        "others",
    )


def add_labels_argument(parser: argparse.ArgumentParser) -> None:
    """Adds `--labels`."""
    parser.add_argument(
        "--labels", type=Path, metavar="FILE", help="text with the name of a class in each line"
    )


def add_run_argument(parser: argparse.ArgumentParser, images: str) -> None:
    """Adds `--run RUN`.

    Args:
        parser: Of the command.
        images: What its images are for.
    """
    parser.add_argument(
        "--run",
        type=Path,
        dest="trained",
        metavar="RUN",
        help="folder that `train` has written: its fused model, labels, crop and normalisation, "
        f"and {images}",
    )


def model_name(text: str) -> str:
    """Reads the name of a variant or the path of a `.keras` file.

    Raises:
        ArgumentTypeError: If it is neither.
    """
    if text in VARIANTS or text.endswith(SUFFIX):
        return text
    raise argparse.ArgumentTypeError(
        f"expected one of {', '.join(VARIANTS)}, or a {SUFFIX} file. Received: {text}"
    )


def model_or_file(text: str) -> str:
    """Reads the name of a variant or the path of a `.keras` or `.tflite` file.

    Raises:
        ArgumentTypeError: If it is none of them.
    """
    if text in VARIANTS or text.endswith((SUFFIX, TFLITE_SUFFIX)):
        return text
    raise argparse.ArgumentTypeError(
        f"expected one of {', '.join(VARIANTS)}, or a {TFLITE_SUFFIX} or {SUFFIX} file. "
        f"Received: {text}"
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


def crop_pct(text: str) -> float:
    """Reads the share of an image that a crop keeps.

    Raises:
        ArgumentTypeError: If it is not in 0..1.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"expected 0 < P <= 1, such as 0.9. Received: {text}")
    return value


def weights_of(args: argparse.Namespace) -> str | None:
    """Returns what `weights=` of a variant takes."""
    return None if args.weights == RANDOM else args.weights


def source_of(args: argparse.Namespace) -> "ModelSource":
    """Returns the Keras model that `add_model_arguments`' arguments name.

    Raises:
        UsageError: If they do not say what it computes with.
    """
    check_weights(args.model, args.weights)
    if not args.ema and args.model not in VARIANTS:
        raise UsageError(
            f"--no-ema is for a checkpoint of a variant's weights. Received: {args.model}"
        )
    from keras_fastvit.conversion.model_source import ModelSource

    return ModelSource(
        args.model,
        weights_of(args),
        args.classes,
        args.image_size,
        args.text_embeddings,
        args.crop_pct,
        args.normalization,
        args.ema,
    )


def check_weights(model: str, weights: str | None) -> None:
    """Checks that the arguments say what a variant computes with.

    Raises:
        UsageError: If they do not.
    """
    if weights is None and model in VARIANTS:
        raise UsageError(
            f"expected --weights: {', '.join(weights_names())}, a file, or {RANDOM} for an "
            f"untrained {model}"
        )
