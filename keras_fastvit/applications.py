"""`FastViTT8` … `FastViTMA36`: variants with weights, and the signature of `keras.applications`."""

import inspect
import os
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec

import keras

from keras_fastvit.model import FastViT
from keras_fastvit.pretrained import NamedWeights, find_weights, load_weights
from keras_fastvit.variants import get_variant

Arguments = ParamSpec("Arguments")

_DOC = """Instantiates {title}: {top1} % ImageNet-1k top-1 released, {top1_distilled} % distilled.

Args:
    include_top: Whether global pooling and a classifier follow the feature map.
    weights: `"imagenet"` or `"imagenet_distilled"` (fetched from the Hugging Face hub once, and
        cached; under Apple's licence, see NOTICE){others}; None for random weights; or the path
        of a `.weights.h5`, `.keras`, `.safetensors`, `.pth` or `.pth.tar` file.
    input_tensor: Optional `KerasTensor` to use as the image input.
    input_shape: Shape of one image, e.g. `(256, 256, 3)`, channels first with that data format;
        sides None or at least 32. Default: with the top the size that the named weights were
        trained at, or 256×256; without it sides None. Named weights need 3 channels.
    pooling: With `include_top=False`: None for the feature map, `"avg"` or `"max"`.
    classes: Number of classes. If it is not 1000, all of the ImageNet weights but their
        classifier is loaded, and a warning logged.
    classifier_activation: Activation of the classifier; None returns logits.
    drop_path_rate: Stochastic depth rate of the last block; default: the variant's.
    dropout: Dropout rate before the classifier.
    layer_scale_init_value: Default: the variant's.
    data_format: `"channels_last"` or `"channels_first"`; default: Keras' configuration.
    dtype: Dtype or dtype policy of the layers; default: Keras' configuration.
    name: Name of the model; default: `"{variant}"`.

Returns:
    A `FastViT`; a plain `keras.Model`, its inference form, if `weights` is a file whose branches
    have been folded already (Apple's `_reparam`).

Raises:
    ValueError: If an argument is not one of the above, or the weights do not fit the model.
    OSError: If a file cannot be read or fetched.
    ImportError: If a `.pth` or `.pth.tar` file is to be read and PyTorch is not installed.
"""


def _instantiate(
    variant: str,
    include_top: bool = True,
    weights: str | os.PathLike[str] | None = "imagenet",
    input_tensor: Any = None,
    input_shape: tuple[int | None, ...] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    drop_path_rate: float | None = None,
    dropout: float = 0.0,
    layer_scale_init_value: float | None = None,
    data_format: str | None = None,
    dtype: Any = None,
    name: str | None = None,
) -> keras.Model:
    found = None if weights is None else find_weights(weights, variant)
    if data_format is None:
        data_format = keras.config.image_data_format()
    if isinstance(found, NamedWeights):
        _check_channels(found, input_tensor, input_shape, data_format)
        if found.name == "fashion_mnist" and include_top and classes != found.classes:
            raise ValueError(
                f"'{found.name}' weights have a classifier for {found.classes} classes. Expected "
                f"classes={found.classes} or include_top=False. Received: classes={classes}"
            )
        if include_top and input_tensor is None and input_shape is None:
            side = found.image_size
            input_shape = (3, side, side) if data_format == "channels_first" else (side, side, 3)
    model = FastViT(
        variant,
        include_top=include_top,
        input_tensor=input_tensor,
        input_shape=input_shape,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        drop_path_rate=drop_path_rate,
        dropout=dropout,
        layer_scale_init_value=layer_scale_init_value,
        data_format=data_format,
        dtype=dtype,
        name=name,
    )
    if found is not None and load_weights(model, found):
        return model.fuse()
    return model


def _check_channels(
    weights: NamedWeights, input_tensor: Any, input_shape: Any, data_format: str
) -> None:
    shape = input_shape if input_tensor is None else tuple(input_tensor.shape[1:])
    if shape is None:
        return
    channels = shape[0 if data_format == "channels_first" else -1]
    if channels != 3:
        raise ValueError(
            f"'{weights.name}' weights are for RGB images. Expected 3 channels in the shape of an "
            f"image, data_format={data_format!r}. Received: input_shape={shape}"
        )


def _constructor(
    title: str, variant: str, instantiate: Callable[Concatenate[str, Arguments], keras.Model]
) -> Callable[Arguments, keras.Model]:
    """Returns `instantiate` for one variant, as a function of that title with its own help."""

    def constructor(*args: Arguments.args, **kwargs: Arguments.kwargs) -> keras.Model:
        return instantiate(variant, *args, **kwargs)

    row = get_variant(variant)
    _, *parameters = inspect.signature(instantiate).parameters.values()
    signature = inspect.Signature(parameters, return_annotation=keras.Model)
    constructor.__signature__ = signature  # type: ignore[attr-defined]  # read by `inspect`
    constructor.__name__ = constructor.__qualname__ = title
    others = '; `"fashion_mnist"`, in this package,\n        for 10 classes at 64×64'
    constructor.__doc__ = _DOC.format(
        title=title,
        variant=variant,
        top1=row.top1,
        top1_distilled=row.top1_distilled,
        others=others if variant == "fastvit_t8" else "",
    )
    return constructor


FastViTT8 = _constructor("FastViTT8", "fastvit_t8", _instantiate)
FastViTT12 = _constructor("FastViTT12", "fastvit_t12", _instantiate)
FastViTS12 = _constructor("FastViTS12", "fastvit_s12", _instantiate)
FastViTSA12 = _constructor("FastViTSA12", "fastvit_sa12", _instantiate)
FastViTSA24 = _constructor("FastViTSA24", "fastvit_sa24", _instantiate)
FastViTSA36 = _constructor("FastViTSA36", "fastvit_sa36", _instantiate)
FastViTMA36 = _constructor("FastViTMA36", "fastvit_ma36", _instantiate)

CONSTRUCTORS = {
    "fastvit_t8": FastViTT8,
    "fastvit_t12": FastViTT12,
    "fastvit_s12": FastViTS12,
    "fastvit_sa12": FastViTSA12,
    "fastvit_sa24": FastViTSA24,
    "fastvit_sa36": FastViTSA36,
    "fastvit_ma36": FastViTMA36,
}
"""By the name of the variant."""
