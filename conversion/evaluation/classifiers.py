"""Classifiers from what users name: a `.tflite` file, a `.keras` file, a variant with weights."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from keras_fastvit.conversion.model_source import ModelSource, load_model, model_facts
from keras_fastvit.conversion.tflite import sidecar
from keras_fastvit.conversion.tflite.runtime import TFLiteModel, check
from keras_fastvit.conversion.tflite.sidecar_schema import Description
from keras_fastvit.evaluation.classifier import Classifier, KerasClassifier
from keras_fastvit.images.labels import check_labels
from keras_fastvit.images.normalizations import DEFAULT_CROP_PCT, DEFAULT_NORMALIZATION
from keras_fastvit.images.preparation import Preparation
from keras_fastvit.weights.file_kinds import MODEL_SUFFIX
from keras_fastvit.weights.named import NamedWeights, find_weights


class TFLiteClassifier(Classifier):
    """A `.tflite` file that classifies images.

    How an image is prepared for it, and the names of its classes, are read from the sidecar beside
    it or from the copy in it.

    Args:
        path: The file.
        crop_pct: Share of an image's short side that the crop keeps, for a file without either.
        normalization: How images are normalised, for a file without either.
        labels: Names of the classes, for a file that does not tell them.

    Attributes:
        description: The sidecar or its copy; None without either.

    Raises:
        FileNotFoundError: If there is nothing at `path`.
        ImportError: If LiteRT is not installed.
        ValueError: If the file is damaged, is no classifier of images, or has another file's
            sidecar, or the labels do not fit it.
    """

    description: Description | None

    def __init__(
        self,
        path: str | os.PathLike[str],
        crop_pct: float | None = None,
        normalization: str | None = None,
        labels: Sequence[str] | None = None,
    ) -> None:
        path = Path(path)
        check(path)
        file = TFLiteModel(path, os.cpu_count())
        images, output = file.input_shape, file.output_shape
        if len(images) != 4 or images[3] != 3 or len(output) != 2:
            raise ValueError(
                f"'{path}' must take images (1, height, width, 3) and give scores (1, classes). "
                f"Received: {images} and {output}"
            )
        size = (images[1], images[2])
        self.description = sidecar.read(path) or sidecar.embedded(path.read_bytes(), path)
        if self.description is None:
            preparation = Preparation.normalized(
                size, crop_pct or DEFAULT_CROP_PCT, normalization or DEFAULT_NORMALIZATION
            )
            activation = None
        else:
            preparation = Preparation.from_sidecar(self.description, size)
            activation = self.description["output"]["activation"]
            labels = self.description["labels"] or labels
        if labels is not None:
            check_labels(labels, output)
        super().__init__(str(path), file.predict, preparation, output[1], labels, activation)


def keras_classifier(
    source: ModelSource, labels: Sequence[str] | None = None, name: str | None = None
) -> KerasClassifier:
    """Returns a Keras model, ready to classify images.

    Args:
        source: Which one.
        labels: Names of the classes; default: those that are known of named weights.
        name: For reports; default: the file's or the variant's, and the weights'.

    Raises:
        ImportError: If the weights are a pickle (`.pth`, `.ckpt` …) and PyTorch is not installed.
        OSError: If weights or text embeddings cannot be read or fetched.
        ValueError: If weights, text embeddings, labels, size or classes do not fit the model.
    """
    facts, model = model_facts(source), load_model(source)
    words = dict.fromkeys([Path(source.model).name, facts.weights or source.weights or ""])
    return KerasClassifier(
        model,
        facts.crop_pct,
        facts.labels if labels is None else labels,
        source.image_size,
        facts.normalization,
        " ".join(filter(None, words)) if name is None else name,
    )


def is_tflite(model: str | os.PathLike[str]) -> bool:
    """Returns whether a path has the suffix of a `.tflite` file."""
    return Path(model).suffix == ".tflite"


def named_reference(description: Description | None) -> ModelSource:
    """Returns the Keras model that a sidecar names.

    Args:
        description: What `sidecar.read` or `sidecar.embedded` has returned.

    Raises:
        ValueError: If there is none, or it does not name a variant and weights that have a name:
            the file that other weights came from may be anywhere by now.
    """
    if description is None:
        raise ValueError("neither a sidecar nor the file itself names one")
    model, weights = description["model"], description["weights"]
    try:
        named = isinstance(find_weights(weights, model), NamedWeights)
    except (OSError, ValueError):
        named = False
    if not named:
        raise ValueError(
            f"its sidecar names model {model!r} and weights {weights!r}, which cannot be found by "
            "these names"
        )
    return ModelSource(model, weights)


def load_reference(source: ModelSource, size: tuple[int, int], classes: int) -> KerasClassifier:
    """Returns a Keras model for the images and classes of another classifier.

    Args:
        source: Which one.
        size: Height and width of the images in pixels.
        classes: How many logits there must be.

    Raises:
        ImportError, OSError: As `keras_classifier`.
        ValueError: If size or classes do not fit the model, too.
    """
    own_classes = source.model.endswith(MODEL_SUFFIX) or source.text_embeddings is not None
    found = keras_classifier(
        replace(source, image_size=size, classes=None if own_classes else classes)
    )
    if found.classes != classes:
        raise ValueError(
            f"the Keras model must have the same {classes} classes. "
            f"Received: '{found.name}' with {found.classes} classes"
        )
    return found
