"""The arguments by which a command is told its model, and the model that they name."""

import argparse
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras

from keras_fastvit.applications import CONSTRUCTORS
from keras_fastvit.architecture.variants import VARIANTS, get_variant
from keras_fastvit.clip.classifier import zero_shot
from keras_fastvit.clip.text_embeddings import read_text_embeddings
from keras_fastvit.images.normalizations import NORMALIZATIONS
from keras_fastvit.images.preprocessing import class_names
from keras_fastvit.weights.file_kinds import MODEL_SUFFIX as SUFFIX
from keras_fastvit.weights.file_kinds import SUFFIXES
from keras_fastvit.weights.model_files import read_model_file
from keras_fastvit.weights.named import NamedWeights, find_weights, weights_names

DEFAULT_CROP_PCT = 0.9
"""That of most variants."""

DEFAULT_NORMALIZATION = "imagenet"
"""That of all variants but MobileCLIP's image towers."""


@dataclass(frozen=True)
class ModelFacts:
    """What one must know to use a model.

    Attributes:
        weights: Name of the weights, or of the file, and of the text embeddings'; None if random.
        crop_pct: Share of the resized image's short side that the evaluation crop keeps.
        labels: Names of the classes; None if not known.
        normalization: How images are normalised, a key of `preprocessing.NORMALIZATIONS`; None if
            only the model itself may tell.
    """

    weights: str | None
    crop_pct: float
    labels: tuple[str, ...] | None
    normalization: str | None


def add_model_arguments(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Adds the model, its weights, sides and classes, and how images are prepared for it.

    Args:
        parser: Of the command.
        required: Whether the command always needs a model.
    """
    parser.add_argument(
        "--model",
        required=required,
        type=model_name,
        metavar="MODEL",
        help=f"{', '.join(VARIANTS)}, or a {SUFFIX} file with a model of your own",
    )
    parser.add_argument(
        "--weights",
        metavar="W",
        help=f"{', '.join(weights_names())}, or the path of a {', '.join(SUFFIXES)} file",
    )
    parser.add_argument(
        "--classes",
        type=int,
        metavar="N",
        help="classes of a file's classifier, or channels of its embedding; default: the variant's",
    )
    add_text_embeddings_argument(parser)
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
        help="mean and standard deviation that images are normalised with; default: those of the "
        f"variant that the model is or has the name of, else {DEFAULT_NORMALIZATION}",
    )


def add_text_embeddings_argument(parser: argparse.ArgumentParser) -> None:
    """Adds `--text-embeddings`, which makes an image tower a classifier."""
    parser.add_argument(
        "--text-embeddings",
        type=Path,
        metavar="T.npz",
        help="make an image tower a classifier by the texts in this file, which has the arrays "
        "names and embeddings (see keras_fastvit.clip.text_embeddings)",
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


def load_model(args: argparse.Namespace) -> keras.Model:
    """Returns the model that the arguments name; a variant in float32.

    It gives probabilities, or an embedding if it is an image tower without text embeddings.

    Raises:
        ValueError: If an argument is out of range, or weights or text embeddings do not fit the
            others.
        OSError: If the weights or the text embeddings cannot be read or fetched.
        ImportError: If the weights are a pickle (`.pth`, `.pt`) and PyTorch is not installed.
    """
    if args.text_embeddings is None:
        return _load_as_it_is(args)
    # First, as a fault in it is quicker to find than a model is to load.
    text = read_text_embeddings(args.text_embeddings)
    return zero_shot(_load_as_it_is(args), text)


def _load_as_it_is(args: argparse.Namespace) -> keras.Model:
    if args.model.endswith(SUFFIX):
        if args.weights is not None or args.classes is not None:
            raise ValueError(
                f"A {SUFFIX} file has its own weights and classes: expected no --weights and no "
                f"--classes. Received: weights={args.weights!r}, classes={args.classes}"
            )
        return read_model_file(args.model)
    found = find_weights(args.weights, args.model)
    classes = get_variant(args.model).classes if args.classes is None else args.classes
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


def normalization_of(model: keras.Model) -> str:
    """Returns what images are normalised with for the variant that a model has the name of.

    A FastViT's inference form has it too, and in a `.keras` file nothing else is left to tell.
    """
    row = VARIANTS.get(getattr(model, "name", ""))
    return DEFAULT_NORMALIZATION if row is None else row.normalization


def model_facts(args: argparse.Namespace) -> ModelFacts:
    """Returns what is known of the model that the arguments name, without loading it.

    Raises:
        ValueError: If there are no such weights, or the text embeddings are unusable.
        FileNotFoundError: If there is no such file.
    """
    if args.model.endswith(SUFFIX):
        facts = ModelFacts(Path(args.model).name, DEFAULT_CROP_PCT, None, None)
    else:
        row = get_variant(args.model)
        found = None if args.weights is None else find_weights(args.weights, args.model)
        if isinstance(found, NamedWeights):
            labels = None if found.dataset is None else class_names(found.dataset)
            facts = ModelFacts(found.name, found.crop_pct, labels, row.normalization)
        else:
            name = None if found is None else found.name
            facts = ModelFacts(name, row.crop_pct, None, row.normalization)
    given: dict[str, Any] = {"crop_pct": args.crop_pct, "normalization": args.normalization}
    if args.text_embeddings is not None:
        given["labels"] = read_text_embeddings(args.text_embeddings).names
        # Nobody is to take the tower's weights alone for the classifier's.
        given["weights"] = ", ".join(filter(None, [facts.weights, args.text_embeddings.name]))
    return replace(facts, **{name: x for name, x in given.items() if x is not None})
