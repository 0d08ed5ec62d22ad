"""The model that a command's arguments name, and what is known of it."""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras

from keras_fastvit.applications import CONSTRUCTORS
from keras_fastvit.architecture.variants import get_variant
from keras_fastvit.clip.classifier import zero_shot
from keras_fastvit.clip.text_embeddings import read_text_embeddings
from keras_fastvit.conversion.commands.model_arguments import RANDOM
from keras_fastvit.images.normalizations import DEFAULT_CROP_PCT
from keras_fastvit.images.preprocessing import class_names
from keras_fastvit.weights.file_kinds import MODEL_SUFFIX as SUFFIX
from keras_fastvit.weights.model_files import read_model_file
from keras_fastvit.weights.named import NamedWeights, find_weights


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
    weights = None if args.weights == RANDOM else args.weights
    found = None if weights is None else find_weights(weights, args.model)
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
        weights=weights,
        classes=classes,
        input_shape=None if args.image_size is None else (*args.image_size, 3),
        data_format="channels_last",
        dtype="float32",
    )


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
        found = None if args.weights in (None, RANDOM) else find_weights(args.weights, args.model)
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
