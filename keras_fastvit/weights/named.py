"""Weights that have names, as data: whose they are, where they are, and how they are used."""

import os
from dataclasses import dataclass
from pathlib import Path

from keras_fastvit.architecture.variants import VARIANTS, Variant, get_variant
from keras_fastvit.weights.file_kinds import SUFFIXES, existing_file

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
        """The place of the file, for people to read."""
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
