"""`FastViTT8` … `FastViTMCi4`: variants with weights, and the signature of `keras.applications`."""

import inspect
import os
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec

import keras

from keras_fastvit.architecture.model import FastViT
from keras_fastvit.architecture.variants import Variant, get_variant
from keras_fastvit.weights.loading import load_weights
from keras_fastvit.weights.named import NAMED_WEIGHTS, NamedWeights, find_weights

Arguments = ParamSpec("Arguments")

_DOC = """Instantiates {summary}

Args:
    include_top: Whether global pooling and {head} follow the feature map.
    weights: {weights};
        None for random weights; or the path of a `.weights.h5`, `.keras`, `.safetensors`,
        `.pth`, `.pth.tar` or `.pt` file.
    input_tensor: Optional `KerasTensor` to use as the image input.
    input_shape: Shape of one image, e.g. `(256, 256, 3)`, channels first with that data format;
        sides None or at least 32. Default: with the top the size that the named weights were
        trained at, or 256×256; without it sides None. Named weights need 3 channels.
    pooling: With `include_top=False`: None for the feature map, `"avg"` or `"max"`.
    classes: {classes}
    classifier_activation: Activation of the classifier; None returns {raw}.
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
    ImportError: If a `.pth`, `.pth.tar` or `.pt` file is to be read and PyTorch is not installed.
"""

_CLASSIFIER = {
    "summary": "{title}: {top1} % ImageNet-1k top-1 released, {top1_distilled} % distilled.",
    "head": "a classifier",
    "weights": (
        '`"imagenet"` or `"imagenet_distilled"` (fetched from the Hugging Face hub once, and\n'
        "        cached; under Apple's licence, see NOTICE){others}"
    ),
    "classes": (
        "Number of classes. If it is not 1000, all of the ImageNet weights but their\n"
        "        classifier is loaded, and a warning logged."
    ),
    "raw": "logits",
}
_TOWER = {
    "summary": (
        "{title}, an image tower of MobileCLIP: zero-shot ImageNet-1k top-1 {top1s}.\n\n"
        'Its images are normalised by `preprocess_input(images, normalization="{normalization}")`.'
    ),
    "head": "a projection to the embedding",
    "weights": (
        "{names} (fetched from the Hugging Face hub once, and cached;\n"
        "        Apple licenses them for non-commercial research only, and what is made of them:\n"
        "        see NOTICE; a warning that is logged once says so too)"
    ),
    "classes": (
        "Channels of the embedding. If it is not {width}, all of the named weights but\n"
        "        their projection is loaded, and a warning logged."
    ),
    "raw": "the embedding",
}


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
    """Returns `instantiate` for one variant, as a function of that title with its own help.

    Its defaults are those of `instantiate`, or the variant's where that is an image tower.
    """
    row = get_variant(variant)
    _, *parameters = inspect.signature(instantiate).parameters.values()
    if row.embedding_width is not None:
        # Weights for research only are asked for by name.
        defaults: dict[str, Any] = {"weights": None, "classes": row.classes}
        defaults["classifier_activation"] = row.classifier_activation
        parameters = [x.replace(default=defaults.get(x.name, x.default)) for x in parameters]
    signature = inspect.Signature(parameters, return_annotation=keras.Model)

    def constructor(*args: Arguments.args, **kwargs: Arguments.kwargs) -> keras.Model:
        given = signature.bind(*args, **kwargs)
        given.apply_defaults()
        return instantiate(variant, *given.args, **given.kwargs)

    constructor.__signature__ = signature  # type: ignore[attr-defined]  # read by `inspect`
    constructor.__name__ = constructor.__qualname__ = title
    constructor.__doc__ = _doc(title, row)
    return constructor


def _doc(title: str, row: Variant) -> str:
    found = {x.name: x.top1 for x in NAMED_WEIGHTS if x.variant == row.name}
    others = '; `"fashion_mnist"`, in this package,\n        for 10 classes at 64×64'
    facts = {
        "title": title,
        "top1": row.top1,
        "top1_distilled": row.top1_distilled,
        "others": others if "fashion_mnist" in found else "",
        "normalization": row.normalization,
        "names": " or ".join(f'`"{name}"`' for name in found),
        "top1s": ", ".join(f"{top1} % ({name})" for name, top1 in found.items()),
        "width": row.embedding_width,
    }
    parts = _CLASSIFIER if row.embedding_width is None else _TOWER
    return _DOC.format(
        variant=row.name, **{name: part.format(**facts) for name, part in parts.items()}
    )


FastViTT8 = _constructor("FastViTT8", "fastvit_t8", _instantiate)
FastViTT12 = _constructor("FastViTT12", "fastvit_t12", _instantiate)
FastViTS12 = _constructor("FastViTS12", "fastvit_s12", _instantiate)
FastViTSA12 = _constructor("FastViTSA12", "fastvit_sa12", _instantiate)
FastViTSA24 = _constructor("FastViTSA24", "fastvit_sa24", _instantiate)
FastViTSA36 = _constructor("FastViTSA36", "fastvit_sa36", _instantiate)
FastViTMA36 = _constructor("FastViTMA36", "fastvit_ma36", _instantiate)
FastViTMCi0 = _constructor("FastViTMCi0", "fastvit_mci0", _instantiate)
FastViTMCi1 = _constructor("FastViTMCi1", "fastvit_mci1", _instantiate)
FastViTMCi2 = _constructor("FastViTMCi2", "fastvit_mci2", _instantiate)
FastViTMCi3 = _constructor("FastViTMCi3", "fastvit_mci3", _instantiate)
FastViTMCi4 = _constructor("FastViTMCi4", "fastvit_mci4", _instantiate)

CONSTRUCTORS = {
    "fastvit_t8": FastViTT8,
    "fastvit_t12": FastViTT12,
    "fastvit_s12": FastViTS12,
    "fastvit_sa12": FastViTSA12,
    "fastvit_sa24": FastViTSA24,
    "fastvit_sa36": FastViTSA36,
    "fastvit_ma36": FastViTMA36,
    "fastvit_mci0": FastViTMCi0,
    "fastvit_mci1": FastViTMCi1,
    "fastvit_mci2": FastViTMCi2,
    "fastvit_mci3": FastViTMCi3,
    "fastvit_mci4": FastViTMCi4,
}
"""By the name of the variant."""
