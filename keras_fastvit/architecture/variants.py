"""Every architecture as data: one row a variant.

Source: the paper (arXiv 2303.14189, table 2) and the configurations released with it; of the image
towers of MobileCLIP (arXiv 2311.17049, 2508.20691) timm's `fastvit.py`. Released accuracies are
ImageNet-1k top-1 in percent, as published for 256×256 pixels.
"""

from dataclasses import dataclass
from typing import Any

REPMIXER = "repmixer"
ATTENTION = "attention"

BATCH_NORM = "batch_norm"
LAYER_NORM = "layer_norm"

IMAGENET_CLASSES = 1000


@dataclass(frozen=True)
class Variant:
    """One FastViT architecture.

    Attributes:
        name: Name, as timm spells it.
        layers: Number of blocks in each stage.
        widths: Number of channels of each stage.
        mlp_ratio: Hidden channels of the ConvFFN over the stage's channels.
        token_mixers: `"repmixer"` or `"attention"` for each stage; a stage of attention starts
            with a conditional positional encoding.
        drop_path_rate: Rate of the last block when training from labels; rates rise linearly
            over all blocks.
        drop_path_rate_distilled: The same when training with distillation.
        layer_scale_init_value: Initial value of every layer scale.
        crop_pct: Share of the resized image's short side that the evaluation crop keeps.
        top1: Released ImageNet-1k top-1 in percent, trained from labels; None for a tower.
        top1_distilled: The same, trained with distillation.
        embedding_width: Channels of the embedding that an image tower's head projects to, which
            the text tower's shares; None for a classifier of ImageNet.
        normalization: How images are normalised for it, a key of `preprocessing.NORMALIZATIONS`.
        attention_norm: What normalises before attention, `"batch_norm"` or `"layer_norm"`.
        squeeze_excite_stages: Stages whose downsampling has channel attention.
        downsample_activation: Whether GELU follows the large kernel of the downsamplings.
        stem_scale_branches: Whether the stem's 3×3 convolutions have 1×1 branches.
    """

    name: str
    layers: tuple[int, ...]
    widths: tuple[int, ...]
    mlp_ratio: int
    token_mixers: tuple[str, ...]
    drop_path_rate: float
    drop_path_rate_distilled: float
    layer_scale_init_value: float
    crop_pct: float
    top1: float | None
    top1_distilled: float | None
    embedding_width: int | None = None
    normalization: str = "imagenet"
    attention_norm: str = BATCH_NORM
    squeeze_excite_stages: tuple[int, ...] = ()
    downsample_activation: bool = False
    stem_scale_branches: bool = True

    @property
    def classes(self) -> int:
        """The width of released weights' head: ImageNet's classes, or the embedding."""
        return IMAGENET_CLASSES if self.embedding_width is None else self.embedding_width

    @property
    def classifier_activation(self) -> str | None:
        """The activation behind the head: a softmax over classes, none behind an embedding."""
        return "softmax" if self.embedding_width is None else None


_CONV = (REPMIXER,) * 4
_HYBRID = (REPMIXER,) * 3 + (ATTENTION,)
_SMALL = (48, 96, 192, 384)
_MEDIUM = (64, 128, 256, 512)
_LARGE = (76, 152, 304, 608)

_FIVE_STAGES = (REPMIXER,) * 3 + (ATTENTION,) * 2
_TOWER: dict[str, Any] = {
    "drop_path_rate": 0.0,
    "drop_path_rate_distilled": 0.0,
    "layer_scale_init_value": 1e-5,
    "crop_pct": 0.95,
    "top1": None,
    "top1_distilled": None,
    "downsample_activation": True,
}
_MCI_0_TO_2 = _TOWER | {
    "embedding_width": 512,
    "normalization": "unit",
    "squeeze_excite_stages": (2, 3),
}
_MCI_3_AND_4 = _TOWER | {
    "embedding_width": 768,
    "normalization": "clip",
    "attention_norm": LAYER_NORM,
    "stem_scale_branches": False,
}

# fmt: off
VARIANTS = {
    row.name: row
    for row in (
        #        name            layers         widths   ratio mixers drop path   scale  crop  top-1
        Variant("fastvit_t8",   (2, 2, 4, 2),  _SMALL,  3, _CONV,   0.00, 0.00, 1e-5, 0.90, 76.2, 77.2),
        Variant("fastvit_t12",  (2, 2, 6, 2),  _MEDIUM, 3, _CONV,   0.00, 0.00, 1e-5, 0.90, 79.3, 80.3),
        Variant("fastvit_s12",  (2, 2, 6, 2),  _MEDIUM, 4, _CONV,   0.00, 0.00, 1e-5, 0.90, 79.9, 81.1),
        Variant("fastvit_sa12", (2, 2, 6, 2),  _MEDIUM, 4, _HYBRID, 0.10, 0.00, 1e-5, 0.90, 80.9, 81.9),
        Variant("fastvit_sa24", (4, 4, 12, 4), _MEDIUM, 4, _HYBRID, 0.10, 0.05, 1e-5, 0.90, 82.7, 83.4),
        Variant("fastvit_sa36", (6, 6, 18, 6), _MEDIUM, 4, _HYBRID, 0.20, 0.10, 1e-6, 0.95, 83.6, 84.2),
        Variant("fastvit_ma36", (6, 6, 18, 6), _LARGE,  4, _HYBRID, 0.35, 0.20, 1e-6, 0.95, 83.9, 84.6),
        # Image towers of MobileCLIP.
        Variant("fastvit_mci0", (2, 6, 10, 2),  _MEDIUM,              3, _HYBRID, **_MCI_0_TO_2),
        Variant("fastvit_mci1", (4, 12, 20, 4), _MEDIUM,              3, _HYBRID, **_MCI_0_TO_2),
        Variant("fastvit_mci2", (4, 12, 24, 4), (80, 160, 320, 640),  3, _HYBRID, **_MCI_0_TO_2),
        Variant("fastvit_mci3", (2, 12, 24, 4, 2), (96, 192, 384, 768, 1536),   4, _FIVE_STAGES, **_MCI_3_AND_4),
        Variant("fastvit_mci4", (2, 12, 24, 4, 4), (128, 256, 512, 1024, 2048), 4, _FIVE_STAGES, **_MCI_3_AND_4),
    )
}
# fmt: on


def get_variant(name: str) -> Variant:
    """Returns the row of that name.

    >>> get_variant("fastvit_sa12").widths
    (64, 128, 256, 512)

    Raises:
        ValueError: If there is no such variant.
    """
    if name not in VARIANTS:
        raise ValueError(
            f"Unknown FastViT variant. Expected one of {', '.join(VARIANTS)}. "
            f"Received: variant={name!r}"
        )
    return VARIANTS[name]
