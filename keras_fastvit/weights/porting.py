"""Writes weights in the layout of Keras, of timm or of Apple."""

from pathlib import Path
from typing import Literal

from safetensors import SafetensorError
from safetensors.numpy import save_file

from keras_fastvit.architecture.model import FastViT
from keras_fastvit.architecture.variants import get_variant
from keras_fastvit.atomic_file import written_beside
from keras_fastvit.weights.keras_files import save_keras_file
from keras_fastvit.weights.loading import load_weights
from keras_fastvit.weights.named import NamedWeights, find_weights
from keras_fastvit.weights.torch_state import to_torch_state

Layout = Literal["keras", "timm", "apple"]

SUFFIXES: dict[Layout, str] = {
    "keras": ".weights.h5",
    "timm": ".safetensors",
    "apple": ".safetensors",
}


def port_weights(
    weights: str | Path,
    variant: str,
    output: str | Path,
    to: Layout = "keras",
    classes: int | None = None,
    ema: bool = True,
) -> None:
    """Writes weights in another layout.

    They are always written in training form: if the branches of the input have been folded, as in
    Apple's `_reparam` files, they are written as a training form that computes the same.

    Args:
        weights: As for `weights=` of the model: a name or the path of a file.
        variant: Such as `"fastvit_t8"`.
        output: File to write: `.weights.h5`, or `.safetensors` for timm's and Apple's layout.
        to: Whose layout.
        classes: Number of classes; default: that of the named weights, of a file the variant's.
        ema: Whether of a checkpoint that holds weights averaged over the training (EMA) too, those
            are taken.

    Raises:
        ValueError: If an argument is not one of the above, or the weights do not fit the variant.
        OSError: If a file cannot be read, fetched or written.
        ImportError: If a pickle (`.pth`, `.ckpt` …) is to be read and PyTorch is not installed.
    """
    if to not in SUFFIXES or not str(output).endswith(SUFFIXES[to]):
        expected = ", ".join(f"{suffix} for {name!r}" for name, suffix in SUFFIXES.items())
        raise ValueError(
            f"The output's name must end in its layout's suffix. Expected {expected}. "
            f"Received: output='{output}' for {to!r}"
        )
    write(load(weights, variant, classes, ema), output, to)


def load(
    weights: str | Path, variant: str, classes: int | None = None, ema: bool = True
) -> FastViT:
    """Returns a variant in training form that takes images of any size and returns logits.

    Raises:
        Exception: As `port_weights`.
    """
    found = find_weights(weights, variant)
    known = found.classes if isinstance(found, NamedWeights) else None
    if known is not None and classes not in (None, known):
        raise ValueError(
            f"'{weights}' weights have a classifier for {known} classes. Expected "
            f"classes={known}, or none at all. Received: classes={classes}"
        )
    model = FastViT(
        variant,
        input_shape=(None, None, 3),
        classes=known or classes or get_variant(variant).classes,
        classifier_activation=None,
        data_format="channels_last",
        dtype="float32",
    )
    load_weights(model, found, ema)
    return model


def write(model: FastViT, output: str | Path, to: Layout) -> None:
    """Writes the weights of a model in training form, whole or not at all."""
    with written_beside(output) as unfinished:
        try:
            if to == "keras":
                save_keras_file(model, unfinished)
            else:
                save_file(to_torch_state(model, to), unfinished, {"format": "pt"})
        except (OSError, SafetensorError) as error:
            raise OSError(
                f"Cannot write '{output}'; nothing was left there. Expected room for about "
                f"{4 * model.count_params()} bytes. Received: {error}"
            ) from error
