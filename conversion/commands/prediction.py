"""Classifiers of image files: a Keras model, or a `.tflite` file."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_fastvit.conversion.commands.model_loading import (
    load_model,
    model_facts,
)
from keras_fastvit.conversion.tflite import sidecar
from keras_fastvit.conversion.tflite.preparation import Preparation
from keras_fastvit.conversion.tflite.runtime import TFLiteModel, check
from keras_fastvit.images.normalizations import DEFAULT_NORMALIZATION, normalization_of
from keras_fastvit.images.preprocessing import class_names, decode_predictions

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


def of_model(args: argparse.Namespace) -> Classifier:
    """Returns the Keras model that the arguments name, ready to classify files."""
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


def of_file(args: argparse.Namespace) -> Classifier:
    """Returns the `.tflite` file that the arguments name, ready to classify image files."""
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
