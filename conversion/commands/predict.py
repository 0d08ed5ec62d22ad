"""Classifies image files by a model or by a `.tflite` file.

    keras-fastvit predict cat.jpg --model fastvit_sa12 --weights imagenet
    keras-fastvit predict cat.jpg --tflite sa12.tflite
    keras-fastvit predict cat.jpg --model fastvit_mci0 --weights mobileclip2 \
        --text-embeddings labels.npz

prints for each image its best classes with their scores; the third, those of any list of texts,
without training (`keras_fastvit.clip.text_embeddings` says how such a file is made). How to prepare an image for a `.tflite` file, how to read its output
and the names of its classes are in the sidecar beside it or, without one, in the file itself; of a
file that tells nothing they are those of `--model` and `--weights`.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_fastvit.conversion.commands.model_arguments import (
    DEFAULT_NORMALIZATION,
    add_model_arguments,
    load_model,
    model_facts,
    normalization_of,
)
from keras_fastvit.conversion.tflite import sidecar
from keras_fastvit.conversion.tflite.preparation import Preparation
from keras_fastvit.conversion.tflite.runtime import TFLiteModel, check
from keras_fastvit.images.preprocessing import class_names, decode_predictions
from keras_fastvit.weights.file_kinds import MODEL_SUFFIX as SUFFIX

Array = NDArray[Any]


@dataclass(frozen=True)
class Classifier:
    """A model and how it is used.

    Attributes:
        scores: Maps normalised float32 images `(1, height, width, 3)` to scores `(1, classes)`.
        prepare: Makes such an image of a file.
        labels: Names of the classes; None if not known.
    """

    scores: Callable[[Array], Array]
    prepare: Preparation
    labels: tuple[str, ...] | None

    def classify(self, path: str, top: int) -> list[tuple[str | int, str, float]]:
        """Returns the best classes of an image file: label, name and score.

        Raises:
            OSError: If the file cannot be read.
            ValueError: If it is no image, or `top` is under 1.
        """
        scores = self.scores(self.prepare(path)[None])
        (best,) = decode_predictions(scores, top, self._names(scores.shape[1]))
        return best

    def _names(self, classes: int) -> Sequence[str] | None:
        """The classes' names, as `decode_predictions` takes them; numbers if not known."""
        imagenet = class_names("imagenet")
        if self.labels == imagenet or (self.labels is None and classes == len(imagenet)):
            return None
        return self.labels or [f"class {label}" for label in range(classes)]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(description="Names the best classes of images.")
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="JPEG, PNG, WebP, …")
    add_model_arguments(parser, required=False)
    parser.add_argument(
        "--tflite",
        type=Path,
        metavar="M.tflite",
        help="file to run in place of the model; a file that export has written needs no --model",
    )
    parser.add_argument("--top", type=int, default=5, metavar="K", help="classes to name (5)")
    args = parser.parse_args(argv)
    if args.model is None and args.tflite is None:
        parser.error("expected --model, --tflite, or both")
    if args.tflite is not None and (args.classes or args.image_size or args.text_embeddings):
        parser.error("--tflite knows its own classes and image size")
    if args.tflite is None and args.weights is None and not args.model.endswith(SUFFIX):
        parser.error("expected --weights: what --model is to classify with")
    try:
        classifier = _of_model(args) if args.tflite is None else _of_file(args)
        for path in args.images:
            best = classifier.classify(path, args.top)
            print(path)
            for label, name, score in best:
                print(f"  {score:8.4f}  {label}  {name}", flush=True)
    except (ImportError, OSError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    return 0


def _of_model(args: argparse.Namespace) -> Classifier:
    model, facts = load_model(args), model_facts(args)
    own: tuple[Any, ...] = model.input_shape if len(model.input_shape) == 4 else (None,) * 4
    given: tuple[Any, ...] = args.image_size or (None, None)
    height, width = own[1] or given[0], own[2] or given[1]
    if None in (height, width) or own[3] != 3 or len(model.output_shape) != 2:
        raise ValueError(
            "The model must take RGB images of one size, which --image-size can give, and give "
            f"scores (batch, classes). Received: input {model.input_shape}, output "
            f"{model.output_shape}, image_size={args.image_size}"
        )
    return Classifier(
        lambda images: model.predict(images, verbose=0),
        Preparation.normalized(
            (height, width), facts.crop_pct, facts.normalization or normalization_of(model)
        ),
        facts.labels,
    )


def _of_file(args: argparse.Namespace) -> Classifier:
    check(args.tflite)
    tflite = TFLiteModel(args.tflite)
    if len(tflite.input_shape) != 4 or tflite.input_shape[3] != 3 or len(tflite.output_shape) != 2:
        raise ValueError(
            f"'{args.tflite}' must take images (1, height, width, 3) and give scores "
            f"(1, classes). Received: {tflite.input_shape} and {tflite.output_shape}"
        )
    _, height, width, _ = tflite.input_shape
    described = sidecar.read(args.tflite) or sidecar.embedded(args.tflite.read_bytes())
    if described is None:
        if args.model is None:
            raise ValueError(
                "A file without a sidecar is used as its --model is. "
                f"Received: no --model, and no '{sidecar.beside(args.tflite)}'"
            )
        facts = model_facts(args)
        preparation = Preparation.normalized(
            (height, width), facts.crop_pct, facts.normalization or DEFAULT_NORMALIZATION
        )
        return Classifier(tflite.predict, preparation, facts.labels)
    softmax = described["output"]["activation"] == "softmax"
    return Classifier(
        (lambda images: _softmax(tflite.predict(images))) if softmax else tflite.predict,
        Preparation.from_sidecar(described, (height, width)),
        tuple(described["labels"]) if described["labels"] else None,
    )


def _softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: Array = powers / powers.sum(axis=-1, keepdims=True)
    return probabilities


if __name__ == "__main__":
    sys.exit(main())
