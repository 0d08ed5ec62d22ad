"""Where weights live: named ones on the Hugging Face hub and in this package, others in files."""

import contextlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from keras_fastvit.checkpoint_files import TORCH_SUFFIXES, existing_file, read_torch_file
from keras_fastvit.keras_files import KERAS_SUFFIXES, load_keras_file
from keras_fastvit.model import FastViT
from keras_fastvit.torch_names import Array
from keras_fastvit.torch_weights import load_torch_state
from keras_fastvit.variants import VARIANTS, Variant, get_variant

SUFFIXES = (*TORCH_SUFFIXES, *KERAS_SUFFIXES)

_LOG = logging.getLogger("keras_fastvit")
_DATA = Path(__file__).with_name("data")
_APPLE = "Apple's licence for the weights of FastViT; see NOTICE"


@dataclass(frozen=True)
class NamedWeights:
    """Trained weights of a variant, and what one must know to use them.

    Attributes:
        name: What to pass as `weights`.
        variant: Name of the variant.
        classes: Number of classes.
        image_size: Side in pixels of the square images that they were trained on.
        crop_pct: Share of the resized image's short side that the evaluation crop keeps.
        dataset: Whose class names: see `keras_fastvit.class_names`.
        licence: Under which terms, in a line.
        repository: Repository on the Hugging Face hub; None if the file is in this package.
        file: Name of the file.
    """

    name: str
    variant: str
    classes: int
    image_size: int
    crop_pct: float
    dataset: str
    licence: str
    repository: str | None
    file: str

    @property
    def source(self) -> str:
        """Where the file is, for people."""
        return self.file if self.repository is None else f"{self.repository}/{self.file}"


def _on_imagenet(name: str, variant: Variant, tag: str) -> NamedWeights:
    repository = f"timm/{variant.name}.{tag}"
    return NamedWeights(
        *(name, variant.name, 1000, 256, variant.crop_pct, "imagenet"),
        *(_APPLE, repository, "model.safetensors"),
    )


NAMED_WEIGHTS = (
    *(_on_imagenet("imagenet", row, "apple_in1k") for row in VARIANTS.values()),
    *(_on_imagenet("imagenet_distilled", row, "apple_dist_in1k") for row in VARIANTS.values()),
    NamedWeights(
        name="fashion_mnist",
        variant="fastvit_t8",
        classes=10,
        image_size=64,
        crop_pct=1.0,
        dataset="fashion_mnist",
        licence="this package's (Apache-2.0); trained on Fashion-MNIST (MIT)",
        repository=None,
        file="fashion_mnist_t8.safetensors",
    ),
)


def find_weights(weights: str | os.PathLike[str], variant: str) -> NamedWeights | Path:
    """Returns what `weights=` means for a variant: a row of `NAMED_WEIGHTS` or a file's path.

    >>> find_weights("imagenet", "fastvit_sa36").crop_pct
    0.95

    Raises:
        ValueError: If it is neither a name nor a path with a known suffix, or if there are no
            weights of that name for the variant.
        FileNotFoundError: If there is nothing at the path.
    """
    get_variant(variant)
    by_name = {row.variant: row for row in NAMED_WEIGHTS if row.name == weights}
    if variant in by_name:
        return by_name[variant]
    if by_name:
        raise ValueError(
            f"There are no '{weights}' weights for this variant. Expected one of "
            f"{', '.join(by_name)}. Received: weights={weights!r} for {variant}"
        )
    if not isinstance(weights, (str, os.PathLike)) or not str(weights).endswith(SUFFIXES):
        names = ", ".join(repr(name) for name in dict.fromkeys(row.name for row in NAMED_WEIGHTS))
        raise ValueError(
            f"Unknown `weights`. Expected None, {names}, or the path of a file that ends in "
            f"{', '.join(SUFFIXES)}. Received: weights={weights!r}"
        )
    return existing_file(weights)


def load_weights(model: FastViT, weights: NamedWeights | Path) -> bool:
    """Loads weights strictly; on an error the model is left as it was.

    Of named weights with another number of classes than the model's all but the classifier is
    loaded, and a warning is logged.

    Args:
        model: A FastViT in training form. Without a classifier, that of the weights is not used.
        weights: What `find_weights` has returned.

    Returns:
        Whether the checkpoint's branches were folded, as in Apple's `_reparam` files; the model
        is in training form all the same, and computes what the folded one does.

    Raises:
        OSError: If the file cannot be read or fetched.
        ImportError: If a `.pth` or `.pth.tar` file is to be read and PyTorch is not installed.
        ValueError: If the file is damaged or does not fit the model.
    """
    if isinstance(weights, Path):
        if weights.name.endswith(KERAS_SUFFIXES):
            load_keras_file(model, weights)
            return False
        return load_torch_state(model, read_torch_file(weights), str(weights))
    config = model.get_config()
    skip_head = config["include_top"] and config["classes"] != weights.classes
    if skip_head:
        _LOG.warning(
            "The classifier of '%s' weights is for %d classes: all but it is loaded, and the "
            "model's classifier for %d classes starts at random.",
            *(weights.name, weights.classes, config["classes"]),
        )
    state = _read_named(weights)
    return load_torch_state(model, state, weights.source, skip_head)


def _read_named(weights: NamedWeights) -> dict[str, Array]:
    if weights.repository is None:
        return read_torch_file(_DATA / weights.file)
    path = _fetched(weights.repository, weights)
    try:
        return read_torch_file(path)
    except ValueError as error:
        # The hub's client checks the size at most: a later call would take the file for whole.
        _remove_cached(path)
        raise ValueError(
            f"'{weights.source}', as fetched for '{weights.name}' weights of {weights.variant}, is "
            f"damaged and was removed from the cache; call again to fetch it anew. {error}"
        ) from error


def _fetched(repository: str, weights: NamedWeights) -> Path:
    """Returns the file's path in the hub client's cache, downloading it if need be."""
    from huggingface_hub import constants, hf_hub_download

    try:
        return Path(hf_hub_download(repository, weights.file))
    except Exception as error:  # of many libraries: HTTP, TLS, the file system
        raise OSError(
            f"Cannot fetch '{weights.source}' for '{weights.name}' weights of {weights.variant}. "
            f"Expected the file in the cache or from {constants.ENDPOINT}. "
            f"Received: {_reasons(error)}"
        ) from error


def _reasons(error: BaseException | None) -> str:
    """An error and its causes, the first line of each; libraries repeat each other's."""
    reasons: dict[str, None] = {}
    while error is not None:
        reasons[f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"] = None
        error = error.__cause__
    return ", because of ".join(reasons)


def _remove_cached(path: Path) -> None:
    # The path is a link to the content, where the file system has links.
    for file in (path.resolve(), path):
        with contextlib.suppress(OSError):  # a cache that can only be read
            file.unlink()
