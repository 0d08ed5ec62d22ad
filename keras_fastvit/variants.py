"""Every architecture as data: one row a variant.

Source: the paper (arXiv 2303.14189, table 2) and the configurations released with it. Released
accuracies are ImageNet-1k top-1 in percent, as published for 256×256 pixels.
"""

from dataclasses import dataclass

REPMIXER = "repmixer"
ATTENTION = "attention"


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
        top1: Released ImageNet-1k top-1 in percent, trained from labels.
        top1_distilled: The same, trained with distillation.
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
    top1: float
    top1_distilled: float


_CONV = (REPMIXER,) * 4
_HYBRID = (REPMIXER,) * 3 + (ATTENTION,)
_SMALL = (48, 96, 192, 384)
_MEDIUM = (64, 128, 256, 512)
_LARGE = (76, 152, 304, 608)

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
