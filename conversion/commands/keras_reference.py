"""The float Keras model that the answers of a `.tflite` file are compared with."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from keras_fastvit import fuse
from keras_fastvit.conversion.commands.model_loading import load_model
from keras_fastvit.conversion.lowering.exportable import input_shape
from keras_fastvit.conversion.tflite.sidecar_schema import Description
from keras_fastvit.graph.logits import to_logits
from keras_fastvit.weights.file_kinds import MODEL_SUFFIX as SUFFIX
from keras_fastvit.weights.named import NamedWeights, find_weights

Array = NDArray[Any]

Forward = Callable[[Array], Array]
"""Maps normalised images, float32 `(batch, height, width, 3)`, to logits `(batch, classes)`."""


@dataclass(frozen=True)
class Reference:
    """A Keras model, as the command line names it.

    Attributes:
        model: A variant's name or the path of a `.keras` file.
        weights: All that `weights=` takes; None for a `.keras` file.
        text_embeddings: File of those that make an image tower a classifier; None if it is one.
    """

    model: str
    weights: str | None
    text_embeddings: Path | None = None


def named_reference(description: Description | None) -> Reference:
    """Returns the model that a sidecar names.

    Args:
        description: What `sidecar.read` or `sidecar.embedded` has returned.

    Raises:
        ValueError: If there is none, or it does not name a variant and weights of a name:
            the file that other weights came from may be anywhere by now.
    """
    if description is None:
        raise ValueError(
            "neither a sidecar nor the file itself names one; --model and --weights do"
        )
    model, weights = description["model"], description["weights"]
    try:
        named = isinstance(find_weights(weights, model), NamedWeights)
    except (OSError, ValueError):
        named = False
    if not named:
        raise ValueError(
            f"its sidecar names model {model!r} and weights {weights!r}, which are not to be had "
            "by name; --model and --weights say where they are"
        )
    return Reference(model, weights)


def load_reference(reference: Reference, size: tuple[int, int], classes: int) -> Forward:
    """Builds a model in inference form, without the softmax at its end.

    Args:
        reference: Which one.
        size: Height and width of the images in pixels.
        classes: How many logits there must be.

    Raises:
        ImportError: If the weights are a pickle (`.pth`, `.pt`) and PyTorch is not installed.
        OSError: If the weights or text embeddings cannot be read or fetched.
        ValueError: If weights or text embeddings are not the model's, or size or classes do not
            fit it.
    """
    own_classes = reference.model.endswith(SUFFIX) or reference.text_embeddings is not None
    model = load_model(
        argparse.Namespace(
            model=reference.model,
            weights=reference.weights,
            classes=None if own_classes else classes,
            image_size=size,
            text_embeddings=reference.text_embeddings,
        )
    )
    model, _ = to_logits(fuse(model))
    input_shape(model, size)
    if model.output_shape[1:] != (classes,):
        raise ValueError(
            f"The Keras model must have the file's {classes} classes. "
            f"Received: '{reference.model}' with outputs {model.output_shape}"
        )
    forward: Forward = model.predict_on_batch
    return forward
