"""Semantic FPN: a class for every pixel, from a FastViT's feature pyramid.

The head of the paper's segmentation (arXiv 2303.14189, section 4.5), which is PoolFormer's: the
feature pyramid of arXiv 1612.03144, 256 channels wide, and the head of arXiv 1901.02446, 128 wide.
Details are those of mmsegmentation's `FPN` and `FPNHead` with `fpn_poolformer_s12.py`, and of the
batch normalisations that Apple's `fastvit.py` ends its levels with. Nothing is taken from either.
"""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import keras
from keras import layers

from keras_fastvit.architecture import fusion
from keras_fastvit.architecture.fusion import Kernel
from keras_fastvit.architecture.layers import (
    ConvBN,
    FastViTLayer,
    InferenceForm,
    affine_of,
    kernel_of,
    register,
)
from keras_fastvit.architecture.model import FastViT

LEVELS = ("P2", "P3", "P4", "P5")
CLASSIFIER_STDDEV = 0.01


@register
class Lateral(FastViTLayer):
    """`conv(batch_norm(x))`, a 1x1 convolution with bias: a pyramid's level, made of a stage.

    The stages of a FastViT end in sums that nothing normalises. Inference form: one convolution.

    Args:
        filters: Output channels.
    """

    config_names = ("filters",)

    def __init__(self, filters: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = filters

    def build(self, input_shape: Any) -> None:
        self.bn = self._batch_norm("bn")
        self.conv = layers.Conv2D(self.filters, 1, **self._like("conv"))
        self.bn.build(input_shape)
        self.conv.build(input_shape)

    def call(self, x: Any, training: bool | None = None) -> Any:
        return self.conv(self.bn(x, training=training))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self._map_shape(input_shape, self.filters)

    def _inference_form(self) -> InferenceForm:
        kernel, bias = kernel_of(self.conv)
        dense = fusion.affine_before_dense(affine_of(self.bn), Kernel(kernel[0, 0], bias))
        return self._folded_conv(Kernel(dense.kernel[None, None], dense.bias), depthwise=False)


def SemanticFPN(  # noqa: N802 - a model's constructor, like those of the backbones
    backbone: FastViT,
    classes: int,
    levels: Sequence[str] = LEVELS,
    neck_filters: int = 256,
    head_filters: int = 128,
    dropout: float = 0.1,
    dtype: Any = None,
    name: str | None = None,
) -> keras.Model:
    """Returns a model whose logits are `(batch, height, width, classes)`, those of each pixel.

    The classes are the last axis for either layout of the images, as `keras.losses` and
    `keras.metrics` want them. Its layers up to the levels are the backbone's own, so that training
    it trains the backbone. `keras_fastvit.fuse` folds all of it.

    Neck: `lateral(P_i) + nearest_2x(level above)`, then a 3x3 convolution, for each level. Head:
    on each level as many times 3x3 convolution, batch normalisation, ReLU and bilinear upsampling
    by 2 as bring it to the finest level's size (once without upsampling on that one); their sum;
    dropout of whole channels; a 1x1 convolution; bilinear upsampling to the image's size.

    Args:
        backbone: A `FastViT` in training form, with or without its top. Sides of its images are
            None or multiples of the coarsest level's stride, 32 for `"P5"`; so are those of the
            images where they are None. Then, on TensorFlow, the model runs eagerly only
            (`run_eagerly=True`), as Keras' bilinear upsampling needs a known size in a graph.
        classes: Number of classes, the background among them.
        levels: Names in `backbone.pyramid_outputs`, one after the other from fine to coarse.
        neck_filters: Channels of the neck's levels.
        head_filters: Channels of the head.
        dropout: Dropout rate before the classifier.
        dtype: Dtype or dtype policy of the head's layers; default: Keras' configuration. The
            logits are float32 under mixed precision too.
        name: Name of the model; default: the backbone's, with `_semantic_fpn`.

    Raises:
        ValueError: If an argument is not as above.

    Example:
    >>> from keras_fastvit import FastViTT8
    >>> backbone = FastViTT8(weights=None, include_top=False, input_shape=(64, 96, 3))
    >>> model = SemanticFPN(backbone, classes=11)
    >>> model.compile("adamw", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> model.output_shape
    (None, 64, 96, 11)
    """
    _check_backbone(backbone)
    _check_levels(levels, backbone)
    _check_sides(levels, backbone)
    for argument, number in (
        ("classes", classes),
        ("neck_filters", neck_filters),
        ("head_filters", head_filters),
    ):
        _check_positive(argument, number)
    if not 0 <= dropout < 1:
        raise ValueError(f"`dropout` must be at least 0 and below 1. Received: dropout={dropout!r}")

    policy = keras.dtype_policies.get(dtype)
    common = {"data_format": "channels_last", "dtype": policy}
    maps = [_channels_last(backbone, level, policy) for level in levels]
    pyramid = _neck(maps, levels, int(neck_filters), common)
    x = _head(pyramid, levels, int(head_filters), common)
    x = layers.SpatialDropout2D(dropout, name="segmentation_dropout", **common)(x)
    init = keras.initializers.RandomNormal(stddev=CLASSIFIER_STDDEV)
    x = layers.Conv2D(
        int(classes), 1, kernel_initializer=init, name="segmentation_classifier", **common
    )(x)
    # A loss loses too much in 16 bits.
    output_dtype = keras.backend.result_type(policy.compute_dtype, "float32")
    x = layers.UpSampling2D(
        _stride(levels[0]),
        interpolation="bilinear",
        data_format="channels_last",
        dtype=output_dtype,
        name="segmentation_logits",
    )(x)
    return keras.Model(backbone.input, x, name=name or f"{backbone.name}_semantic_fpn")


def _channels_last(backbone: FastViT, level: str, policy: Any) -> Any:
    x = backbone.pyramid_outputs[level]
    if backbone.data_format == "channels_last":
        return x
    return layers.Permute((2, 3, 1), dtype=policy, name=f"{level}_to_channels_last")(x)


def _neck(
    maps: Sequence[Any], levels: Sequence[str], filters: int, common: dict[str, Any]
) -> list[Any]:
    """Returns the feature pyramid, from fine to coarse like its levels."""
    pyramid: list[Any] = []
    above = None
    for x, level in reversed(list(zip(maps, levels, strict=True))):
        x = Lateral(filters, name=f"neck_{level}_lateral", **common)(x)
        if above is not None:
            above = layers.UpSampling2D(2, name=f"neck_{level}_from_above", **common)(above)
            x = layers.Add(name=f"neck_{level}_sum", dtype=common["dtype"])([x, above])
        above = x
        conv = layers.Conv2D(filters, 3, padding="same", name=f"neck_{level}_conv", **common)
        pyramid.insert(0, conv(x))
    return pyramid


def _head(
    pyramid: Sequence[Any], levels: Sequence[str], filters: int, common: dict[str, Any]
) -> Any:
    """Returns the sum of all levels at the finest one's size."""
    total = None
    for doublings, (x, level) in enumerate(zip(pyramid, levels, strict=True)):
        for step in range(max(doublings, 1)):
            stem = f"head_{level}_{step}"
            x = ConvBN(filters, 3, name=stem, **common)(x)
            x = layers.Activation("relu", name=f"{stem}_relu", dtype=common["dtype"])(x)
            if doublings:
                x = layers.UpSampling2D(
                    2, interpolation="bilinear", name=f"{stem}_upsampling", **common
                )(x)
        if total is None:
            total = x
        else:
            total = layers.Add(name=f"head_{level}_sum", dtype=common["dtype"])([total, x])
    return total


def _stride(level: str) -> int:
    return 2 ** int(level[1:])


def _check_backbone(backbone: Any) -> None:
    if not isinstance(backbone, FastViT):
        raise ValueError(
            "`backbone` must be a FastViT in training form; fuse the whole model when it is "
            f"trained. Received: {getattr(backbone, 'name', backbone)!r} of type "
            f"{type(backbone).__name__}"
        )


def _check_levels(levels: Sequence[str], backbone: FastViT) -> None:
    known = list(backbone.pyramid_outputs)
    start = known.index(levels[0]) if levels and levels[0] in known else 0
    if not levels or list(levels) != known[start : start + len(levels)]:
        raise ValueError(
            f"`levels` must be levels of the backbone's pyramid, one after the other from fine to "
            f"coarse. Expected: some of {', '.join(known)}. Received: levels={levels!r}"
        )


def _check_sides(levels: Sequence[str], backbone: FastViT) -> None:
    stride = _stride(levels[-1])
    shape = tuple(backbone.input.shape[1:])
    sides = shape[:2] if backbone.data_format == "channels_last" else shape[1:]
    if any(side is not None and side % stride for side in sides):
        raise ValueError(
            f"Both sides of the image must be None or multiples of {stride}, the stride of "
            f"{levels[-1]}: only then do the levels double from one to the next. Received: a "
            f"backbone with input_shape={shape}"
        )


def _check_positive(argument: str, number: Any) -> None:
    if isinstance(number, bool) or not isinstance(number, Integral) or number < 1:
        raise ValueError(
            f"`{argument}` must be a positive integer. Received: {argument}={number!r}"
        )
