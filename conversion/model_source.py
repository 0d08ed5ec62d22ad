"""A Keras model as users name it: by a variant and weights, or by a `.keras` file."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras

from keras_fastvit.applications import CONSTRUCTORS
from keras_fastvit.architecture.variants import get_variant
from keras_fastvit.clip.classifier import zero_shot
from keras_fastvit.clip.text_embeddings import read_text_embeddings
from keras_fastvit.images.normalizations import DEFAULT_CROP_PCT
from keras_fastvit.images.preprocessing import class_names
from keras_fastvit.weights.file_kinds import MODEL_SUFFIX as SUFFIX
from keras_fastvit.weights.model_files import read_model_file
from keras_fastvit.weights.named import NamedWeights, find_weights


@dataclass(frozen=True)
class ModelSource:
    """A Keras model as arguments name it, with what they say about it.

    Attributes:
        model: A variant's name or the path of a `.keras` file.
        weights: All that `weights=` of a variant takes, None for random ones; of a `.keras` file,
            None.
        classes: Of a variant's classifier; None for those of the weights or of the variant.
        image_size: Height and width in pixels; None for the model's own.
        text_embeddings: File of those that make an image tower a classifier; None if it is one.
        crop_pct: Share of an image's short side that the crop keeps; None for the weights' own.
        normalization: How images are normalised; None for the variant's own.
        ema: Whether of a checkpoint with weights averaged over the training (EMA), those are taken.
    """

    model: str
    weights: str | None = None
    classes: int | None = None
    image_size: tuple[int, int] | None = None
    text_embeddings: Path | None = None
    crop_pct: float | None = None
    normalization: str | None = None
    ema: bool = True


@dataclass(frozen=True)
class ModelFacts:
    """The facts about a model that are known without loading it.

    Attributes:
        weights: Name of the weights, or of the file, and of the text embeddings'; None if random.
        crop_pct: Share of the resized image's short side that the evaluation crop keeps.
        labels: Names of the classes; None if not known.
        normalization: How images are normalised, a key of `NORMALIZATIONS`; None if
            only the model itself may tell.
    """

    weights: str | None
    crop_pct: float
    labels: tuple[str, ...] | None
    normalization: str | None


def load_model(source: ModelSource) -> keras.Model:
    """Returns the model; a variant in float32.

    It gives probabilities, or an embedding if it is an image tower without text embeddings.

    Raises:
        ValueError: If an argument is out of range, or weights or text embeddings do not fit the
            others.
        OSError: If the weights or the text embeddings cannot be read or fetched.
        ImportError: If the weights are a pickle (`.pth`, `.ckpt` …) and PyTorch is not installed.
    """
    if source.text_embeddings is None:
        return _without_text(source)
    # First, as a fault in it is quicker to find than a model is to load.
    text = read_text_embeddings(source.text_embeddings)
    return zero_shot(_without_text(source), text)


def _without_text(source: ModelSource) -> keras.Model:
    if source.model.endswith(SUFFIX):
        if source.weights is not None or source.classes is not None:
            raise ValueError(
                f"A {SUFFIX} file has its own weights and classes: expected no --weights and no "
                f"--classes. Received: weights={source.weights!r}, classes={source.classes}"
            )
        return read_model_file(source.model)
    found = None if source.weights is None else find_weights(source.weights, source.model)
    classes = get_variant(source.model).classes if source.classes is None else source.classes
    if isinstance(found, NamedWeights):
        # The constructors would make a classifier of another size, at random.
        if source.classes not in (None, found.classes):
            raise ValueError(
                f"'{found.name}' weights have a classifier for {found.classes} classes. Expected "
                f"that number, or none. Received: {source.classes}"
            )
        classes = found.classes
    return CONSTRUCTORS[source.model](
        weights=source.weights,
        ema=source.ema,
        classes=classes,
        input_shape=None if source.image_size is None else (*source.image_size, 3),
        data_format="channels_last",
        dtype="float32",
    )


def model_facts(source: ModelSource) -> ModelFacts:
    """Returns what is known of a model, without loading it.

    Raises:
        ValueError: If there are no such weights, or the text embeddings are unusable.
        FileNotFoundError: If there is no such file.
    """
    if source.model.endswith(SUFFIX):
        facts = ModelFacts(Path(source.model).name, DEFAULT_CROP_PCT, None, None)
    else:
        row = get_variant(source.model)
        found = None if source.weights is None else find_weights(source.weights, source.model)
        if isinstance(found, NamedWeights):
            labels = None if found.dataset is None else class_names(found.dataset)
            facts = ModelFacts(found.name, found.crop_pct, labels, row.normalization)
        else:
            name = None if found is None else found.name
            facts = ModelFacts(name, row.crop_pct, None, row.normalization)
    given: dict[str, Any] = {"crop_pct": source.crop_pct, "normalization": source.normalization}
    if source.text_embeddings is not None:
        given["labels"] = read_text_embeddings(source.text_embeddings).names
        # Nobody is to take the tower's weights alone for the classifier's.
        given["weights"] = ", ".join(filter(None, [facts.weights, source.text_embeddings.name]))
    return replace(facts, **{name: x for name, x in given.items() if x is not None})
