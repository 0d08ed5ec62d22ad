"""Where weights live: named ones on the Hugging Face hub and in this package, others in files."""

import contextlib
import functools
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from keras_fastvit.architecture.model import FastViT
from keras_fastvit.architecture.variants import VARIANTS, Variant, get_variant
from keras_fastvit.weights.keras_files import KERAS_SUFFIXES, load_keras_file
from keras_fastvit.weights.torch_files import TORCH_SUFFIXES, existing_file, read_torch_file
from keras_fastvit.weights.torch_names import Array
from keras_fastvit.weights.torch_state import load_torch_state

SUFFIXES = (*TORCH_SUFFIXES, *KERAS_SUFFIXES)

_LOG = logging.getLogger("keras_fastvit")
_DATA = Path(__file__).parents[1] / "data"
_APPLE = "Apple's licence for the weights of FastViT; see NOTICE"
_APPLE_RESEARCH = "Apple's licence for research models; see NOTICE"


@dataclass(frozen=True)
class NamedWeights:
    """Trained weights of a variant, and what one must know to use them.

    Attributes:
        name: What to pass as `weights`.
        variant: Name of the variant.
        classes: Number of classes.
        image_size: Side in pixels of the square images that they were trained on.
        crop_pct: Share of the resized image's short side that the evaluation crop keeps.
        dataset: Whose class names: see `keras_fastvit.class_names`; None for an image tower,
            whose head gives an embedding.
        licence: Under which terms, in a line.
        repository: Repository on the Hugging Face hub; None if the file is in this package.
        file: Name of the file.
        research_only: Whether they, and what is made of them, are for non-commercial research.
        top1: Released ImageNet-1k top-1 in percent, of an image tower zero-shot.
    """

    name: str
    variant: str
    classes: int
    image_size: int
    crop_pct: float
    dataset: str | None
    licence: str
    repository: str | None
    file: str
    research_only: bool = False
    top1: float | None = None

    @property
    def source(self) -> str:
        """Where the file is, for people."""
        return self.file if self.repository is None else f"{self.repository}/{self.file}"


def _on_imagenet(variant: Variant) -> tuple[NamedWeights, NamedWeights]:
    def row(name: str, tag: str, top1: float | None) -> NamedWeights:
        return NamedWeights(
            *(name, variant.name, variant.classes, 256, variant.crop_pct, "imagenet", _APPLE),
            *(f"timm/{variant.name}.{tag}", "model.safetensors"),
            top1=top1,
        )

    return (
        row("imagenet", "apple_in1k", variant.top1),
        row("imagenet_distilled", "apple_dist_in1k", variant.top1_distilled),
    )


def _image_tower(
    name: str, variant: str, repository: str, crop_pct: float, top1: float
) -> NamedWeights:
    return NamedWeights(
        *(name, variant, VARIANTS[variant].classes, 256, crop_pct, None, _APPLE_RESEARCH),
        *(repository, "model.safetensors"),
        research_only=True,
        top1=top1,
    )


_CLASSIFIERS = [row for row in VARIANTS.values() if row.embedding_width is None]
_MCLIP2 = "apple_mclip2_dfndr2b"

NAMED_WEIGHTS = (
    *(row for variant in _CLASSIFIERS for row in _on_imagenet(variant)),
    # Repositories and crops as in timm's table; accuracies as in apple/ml-mobileclip's.
    _image_tower("mobileclip", "fastvit_mci0", "apple/mobileclip_s0_timm", 0.95, 67.8),
    _image_tower("mobileclip", "fastvit_mci1", "apple/mobileclip_s1_timm", 0.95, 72.6),
    _image_tower("mobileclip", "fastvit_mci2", "apple/mobileclip_s2_timm", 0.95, 74.4),
    _image_tower("mobileclip2", "fastvit_mci0", f"timm/fastvit_mci0.{_MCLIP2}", 1.0, 71.5),
    _image_tower("mobileclip2", "fastvit_mci2", f"timm/fastvit_mci2.{_MCLIP2}", 0.95, 77.2),
    _image_tower("mobileclip2", "fastvit_mci3", f"timm/fastvit_mci3.{_MCLIP2}", 0.95, 80.7),
    _image_tower("mobileclip2", "fastvit_mci4", f"timm/fastvit_mci4.{_MCLIP2}", 0.95, 81.9),
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


def weights_names() -> list[str]:
    """Returns every name of weights, whichever variants have them."""
    return list(dict.fromkeys(row.name for row in NAMED_WEIGHTS))


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
        names = ", ".join(map(repr, weights_names()))
        raise ValueError(
            f"Unknown `weights`. Expected None, {names}, or the path of a file that ends in "
            f"{', '.join(SUFFIXES)}. Received: weights={weights!r}"
        )
    return existing_file(weights)


def load_weights(model: FastViT, weights: NamedWeights | Path) -> bool:
    """Loads weights strictly; on an error the model is left as it was.

    Of named weights with another number of classes than the model's all but the classifier is
    loaded, and a warning is logged; another is, once, if they are for research only.

    Args:
        model: A FastViT in training form. Without a classifier, that of the weights is not used.
        weights: What `find_weights` has returned.

    Returns:
        Whether the checkpoint's branches were folded, as in Apple's `_reparam` files; the model
        is in training form all the same, and computes what the folded one does.

    Raises:
        OSError: If the file cannot be read or fetched.
        ImportError: If a pickle (`.pth`, `.pt`) is to be read and PyTorch is not installed.
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
    folded = load_torch_state(model, state, weights.source, skip_head)
    if weights.research_only:
        _say_research_only(weights.licence)
    return folded


@functools.cache  # once
def _say_research_only(licence: str) -> None:
    _LOG.warning(
        "MobileCLIP's weights are licensed by Apple for non-commercial research only, and so is "
        "what is made of them, a fine-tuned model or a .tflite file among it (%s).",
        licence,
    )


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
