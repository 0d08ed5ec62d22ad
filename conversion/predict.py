"""Classifies image files by a model or by a `.tflite` file.

    keras-fastvit predict cat.jpg --model fastvit_sa12 --weights imagenet
    keras-fastvit predict cat.jpg --model fastvit_sa12 --tflite sa12.tflite

prints for each image its best classes with their scores. The same as
`python -m conversion.predict`.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from keras_fastvit.preprocessing import (
    class_names,
    decode_predictions,
    load_image,
    preprocess_input,
)
from keras_fastvit.pretrained import NamedWeights, find_weights
from keras_fastvit.variants import get_variant

from .litert import TFLiteModel
from .model_arguments import add_model_arguments, load_model

Array = NDArray[Any]

Classifier = Callable[[Array], Array]
"""Maps images `(1, height, width, 3)`, normalised, to scores `(1, classes)`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(description="Names the best classes of images.")
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="JPEG, PNG, WebP, …")
    add_model_arguments(parser)
    parser.add_argument(
        "--tflite",
        type=Path,
        metavar="M.tflite",
        help="file to run in place of the model; --weights then only tells its classes' names",
    )
    parser.add_argument("--top", type=int, default=5, metavar="K", help="classes to name (5)")
    args = parser.parse_args(argv)
    if args.weights is None and args.tflite is None:
        parser.error("expected --weights, --tflite, or both")
    if args.tflite is not None and (args.classes or args.image_size):
        parser.error("--tflite knows its own classes and image size")
    try:
        classify, sides = _classifier(args)
        found = None if args.weights is None else find_weights(args.weights, args.model)
        named = found if isinstance(found, NamedWeights) else None
        crop_pct = named.crop_pct if named else get_variant(args.model).crop_pct
        for path in args.images:
            image = preprocess_input(load_image(path, sides, crop_pct), "channels_last")
            scores = classify(image[None])
            names = _names(scores.shape[-1], named)
            (best,) = decode_predictions(scores, args.top, names)
            print(path)
            for label, name, score in best:
                print(f"  {score:8.4f}  {label}  {name}", flush=True)
    except (ImportError, OSError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    return 0


def _classifier(args: argparse.Namespace) -> tuple[Classifier, tuple[int, int]]:
    """Returns what classifies, and the height and width of its images."""
    if args.tflite is None:
        model = load_model(args)
        return lambda images: model.predict(images, verbose=0), model.input_shape[1:3]
    tflite = TFLiteModel(args.tflite)
    if len(tflite.input_shape) != 4 or tflite.input_shape[3] != 3 or len(tflite.output_shape) != 2:
        raise ValueError(
            f"'{args.tflite}' must take images (1, height, width, 3) and give scores "
            f"(1, classes). Received: {tflite.input_shape} and {tflite.output_shape}"
        )
    return tflite, tflite.input_shape[1:3]


def _names(classes: int, named: NamedWeights | None) -> Sequence[str] | None:
    """Returns the classes' names, as `decode_predictions` takes them; numbers if not known."""
    dataset = named.dataset if named else "imagenet"
    names = class_names(dataset)
    if len(names) != classes:
        return [f"class {label}" for label in range(classes)]
    return None if dataset == "imagenet" else names


if __name__ == "__main__":
    sys.exit(main())
