"""`FastViTT8` … `FastViTMCi4`: variants with weights, as in `keras.applications`.

Each takes `include_top` and `weights`, in this order, and by keyword what `FastViT` takes.

Released weights are fetched from the Hugging Face hub once, and cached. Those of the classifiers
are under Apple's licence. Those of the image towers, and what is made of them, Apple licenses for
non-commercial research only: a warning that is logged once says so. NOTICE has the texts.

ImageNet's and the image towers' weights are loaded without their head, and a warning is logged, if
the model has another number of `classes`. A file may be a `.weights.h5`, `.keras` or `.safetensors`
file, or a pickle of PyTorch's (`.pth`, `.pt`, `.tar`, `.ckpt`, `.bin`), which needs PyTorch. Of a
training's checkpoint the weights averaged over the training (EMA) are taken, as in timm, and a
warning says so; `ema=False` takes the others. A file of folded branches (Apple's `_reparam`) gives
the inference form, a plain `keras.Model`.
"""

import os
from typing import Any, Unpack, cast

import keras

from keras_fastvit.architecture.model import FastViT, ModelArguments
from keras_fastvit.architecture.variants import get_variant
from keras_fastvit.weights.loading import load_weights
from keras_fastvit.weights.named import NamedWeights, find_weights


class ConstructorArguments(ModelArguments, total=False):
    """Arguments of the constructors by keyword: those of `FastViT`, and of a file of weights.

    Attributes:
        ema: Whether of a checkpoint that holds weights averaged over the training (EMA) too, those
            are taken. Default: True.
    """

    ema: bool


def FastViTT8(
    include_top: bool = True,
    weights: str | os.PathLike[str] | None = "imagenet",
    **arguments: Unpack[ConstructorArguments],
) -> keras.Model:
    """FastViT-T8, 4.0 million parameters: 76.2 % ImageNet-1k top-1 released, 77.2 % distilled.

    Args:
        include_top: Whether global pooling and a classifier follow the feature map.
        weights: `"imagenet"`, `"imagenet_distilled"` or `"fashion_mnist"` (10 classes at 64×64,
            part of this package); the path of a file; None for random weights.
        **arguments: `ema` of a checkpoint, and further arguments of `FastViT`. Default of
            `input_shape` with the top and named weights: the size that they were trained at.

    Returns:
        A `FastViT`, or its inference form if the file holds that.

    Raises:
        ValueError: If an argument is not as described, or the weights do not fit the model.
        OSError: If a file cannot be read or fetched.
        ImportError: If the file needs PyTorch, which is not installed.

    Example:
    >>> model = FastViTT8(weights="fashion_mnist", classes=10)
    >>> model.input_shape, model.output_shape
    ((None, 64, 64, 3), (None, 10))
    """
    return _instantiate("fastvit_t8", include_top, weights, arguments)


def FastViTT12(
    include_top: bool = True,
    weights: str | os.PathLike[str] | None = "imagenet",
    **arguments: Unpack[ConstructorArguments],
) -> keras.Model:
    """FastViT-T12, 7.6 million parameters: 79.3 % ImageNet-1k top-1 released, 80.3 % distilled.

    Args:
        include_top: Whether global pooling and a classifier follow the feature map.
        weights: `"imagenet"` or `"imagenet_distilled"`; the path of a file; None for random
            weights.
        **arguments: `ema` of a checkpoint, and further arguments of `FastViT`. Default of
            `input_shape` with the top and named weights: the size that they were trained at.

    Returns:
        A `FastViT`, or its inference form if the file holds that.

    Raises:
        ValueError: If an argument is not as described, or the weights do not fit the model.
        OSError: If a file cannot be read or fetched.
        ImportError: If the file needs PyTorch, which is not installed.

    Example:
    >>> FastViTT12(weights=None, input_shape=(64, 64, 3)).output_shape  # doctest: +SKIP
    (None, 1000)
    """
    return _instantiate("fastvit_t12", include_top, weights, arguments)


def FastViTS12(
    include_top: bool = True,
    weights: str | os.PathLike[str] | None = "imagenet",
    **arguments: Unpack[ConstructorArguments],
) -> keras.Model:
    """FastViT-S12, 9.5 million parameters: 79.9 % ImageNet-1k top-1 released, 81.1 % distilled.

    Args:
        include_top: Whether global pooling and a classifier follow the feature map.
        weights: `"imagenet"` or `"imagenet_distilled"`; the path of a file; None for random
            weights.
        **arguments: `ema` of a checkpoint, and further arguments of `FastViT`. Default of
            `input_shape` with the top and named weights: the size that they were trained at.

    Returns:
        A `FastViT`, or its inference form if the file holds that.

    Raises:
        ValueError: If an argument is not as described, or the weights do not fit the model.
        OSError: If a file cannot be read or fetched.
        ImportError: If the file needs PyTorch, which is not installed.

    Example:
    >>> FastViTS12(weights=None, input_shape=(64, 64, 3)).output_shape  # doctest: +SKIP
    (None, 1000)
    """
    return _instantiate("fastvit_s12", include_top, weights, arguments)


def FastViTSA12(
    include_top: bool = True,
    weights: str | os.PathLike[str] | None = "imagenet",
    **arguments: Unpack[ConstructorArguments],
) -> keras.Model:
    """FastViT-SA12, 11.6 million parameters: 80.9 % ImageNet-1k top-1 released, 81.9 % distilled.

    Args:
        include_top: Whether global pooling and a classifier follow the feature map.
        weights: `"imagenet"` or `"imagenet_distilled"`; the path of a file; None for random
            weights.
        **arguments: `ema` of a checkpoint, and further arguments of `FastViT`. Default of
            `input_shape` with the top and named weights: the size that they were trained at.

    Returns:
        A `FastViT`, or its inference form if the file holds that.

    Raises:
        ValueError: If an argument is not as described, or the weights do not fit the model.
        OSError: If a file cannot be read or fetched.
        ImportError: If the file needs PyTorch, which is not installed.

    Example:
    >>> FastViTSA12(weights=None, input_shape=(64, 64, 3)).output_shape
    (None, 1000)
    """
    return _instantiate("fastvit_sa12", include_top, weights, arguments)


def FastViTSA24(
    include_top: bool = True,
    weights: str | os.PathLike[str] | None = "imagenet",
    **arguments: Unpack[ConstructorArguments],
) -> keras.Model:
    """FastViT-SA24, 21.6 million parameters: 82.7 % ImageNet-1k top-1 released, 83.4 % distilled.

    Args:
        include_top: Whether global pooling and a classifier follow the feature map.
        weights: `"imagenet"` or `"imagenet_distilled"`; the path of a file; None for random
            weights.
        **arguments: `ema` of a checkpoint, and further arguments of `FastViT`. Default of
            `input_shape` with the top and named weights: the size that they were trained at.

    Returns:
        A `FastViT`, or its inference form if the file holds that.

    Raises:
        ValueError: If an argument is not as described, or the weights do not fit the model.
        OSError: If a file cannot be read or fetched.
        ImportError: If the file needs PyTorch, which is not installed.

    Example:
    >>> FastViTSA24(weights=None, input_shape=(64, 64, 3)).output_shape  # doctest: +SKIP
    (None, 1000)
    """
    return _instantiate("fastvit_sa24", include_top, weights, arguments)


def FastViTSA36(
    include_top: bool = True,
    weights: str | os.PathLike[str] | None = "imagenet",
    **arguments: Unpack[ConstructorArguments],
) -> keras.Model:
    """FastViT-SA36, 31.5 million parameters: 83.6 % ImageNet-1k top-1 released, 84.2 % distilled.

    Args:
        include_top: Whether global pooling and a classifier follow the feature map.
        weights: `"imagenet"` or `"imagenet_distilled"`; the path of a file; None for random
            weights.
        **arguments: `ema` of a checkpoint, and further arguments of `FastViT`. Default of
            `input_shape` with the top and named weights: the size that they were trained at.

    Returns:
        A `FastViT`, or its inference form if the file holds that.

    Raises:
        ValueError: If an argument is not as described, or the weights do not fit the model.
        OSError: If a file cannot be read or fetched.
        ImportError: If the file needs PyTorch, which is not installed.

    Example:
    >>> FastViTSA36(weights=None, input_shape=(64, 64, 3)).output_shape  # doctest: +SKIP
    (None, 1000)
    """
    return _instantiate("fastvit_sa36", include_top, weights, arguments)


def FastViTMA36(
    include_top: bool = True,
    weights: str | os.PathLike[str] | None = "imagenet",
    **arguments: Unpack[ConstructorArguments],
) -> keras.Model:
    """FastViT-MA36, 44.1 million parameters: 83.9 % ImageNet-1k top-1 released, 84.6 % distilled.

    Args:
        include_top: Whether global pooling and a classifier follow the feature map.
        weights: `"imagenet"` or `"imagenet_distilled"`; the path of a file; None for random
            weights.
        **arguments: `ema` of a checkpoint, and further arguments of `FastViT`. Default of
            `input_shape` with the top and named weights: the size that they were trained at.

    Returns:
        A `FastViT`, or its inference form if the file holds that.

    Raises:
        ValueError: If an argument is not as described, or the weights do not fit the model.
        OSError: If a file cannot be read or fetched.
        ImportError: If the file needs PyTorch, which is not installed.

    Example:
    >>> FastViTMA36(weights=None, input_shape=(64, 64, 3)).output_shape  # doctest: +SKIP
    (None, 1000)
    """
    return _instantiate("fastvit_ma36", include_top, weights, arguments)


def FastViTMCi0(
    include_top: bool = True,
    weights: str | os.PathLike[str] | None = None,
    **arguments: Unpack[ConstructorArguments],
) -> keras.Model:
    """FastViT-MCi0, an image tower of MobileCLIP, 11.4 million parameters.

    Zero-shot ImageNet-1k top-1: 67.8 % (mobileclip), 71.5 % (mobileclip2).
    Its images are normalised by `preprocess_input(images, normalization="unit")`.

    Args:
        include_top: Whether global pooling and a projection to the embedding follow.
        weights: `"mobileclip"` or `"mobileclip2"`, for non-commercial research only;
            the path of a file; None for random weights.
        **arguments: `ema` of a checkpoint, and further arguments of `FastViT`. Defaults:
            `classes=512`, the embedding's channels, and `classifier_activation=None`.

    Returns:
        A `FastViT`, or its inference form if the file holds that.

    Raises:
        ValueError: If an argument is not as described, or the weights do not fit the model.
        OSError: If a file cannot be read or fetched.
        ImportError: If the file needs PyTorch, which is not installed.

    Example:
    >>> FastViTMCi0(input_shape=(64, 64, 3)).output_shape
    (None, 512)
    """
    return _instantiate("fastvit_mci0", include_top, weights, arguments)


def FastViTMCi1(
    include_top: bool = True,
    weights: str | os.PathLike[str] | None = None,
    **arguments: Unpack[ConstructorArguments],
) -> keras.Model:
    """FastViT-MCi1, an image tower of MobileCLIP, 21.5 million parameters.

    Zero-shot ImageNet-1k top-1: 72.6 % (mobileclip).
    Its images are normalised by `preprocess_input(images, normalization="unit")`.

    Args:
        include_top: Whether global pooling and a projection to the embedding follow.
        weights: `"mobileclip"`, for non-commercial research only;
            the path of a file; None for random weights.
        **arguments: `ema` of a checkpoint, and further arguments of `FastViT`. Defaults:
            `classes=512`, the embedding's channels, and `classifier_activation=None`.

    Returns:
        A `FastViT`, or its inference form if the file holds that.

    Raises:
        ValueError: If an argument is not as described, or the weights do not fit the model.
        OSError: If a file cannot be read or fetched.
        ImportError: If the file needs PyTorch, which is not installed.

    Example:
    >>> FastViTMCi1(input_shape=(64, 64, 3)).output_shape  # doctest: +SKIP
    (None, 512)
    """
    return _instantiate("fastvit_mci1", include_top, weights, arguments)


def FastViTMCi2(
    include_top: bool = True,
    weights: str | os.PathLike[str] | None = None,
    **arguments: Unpack[ConstructorArguments],
) -> keras.Model:
    """FastViT-MCi2, an image tower of MobileCLIP, 35.8 million parameters.

    Zero-shot ImageNet-1k top-1: 74.4 % (mobileclip), 77.2 % (mobileclip2).
    Its images are normalised by `preprocess_input(images, normalization="unit")`.

    Args:
        include_top: Whether global pooling and a projection to the embedding follow.
        weights: `"mobileclip"` or `"mobileclip2"`, for non-commercial research only;
            the path of a file; None for random weights.
        **arguments: `ema` of a checkpoint, and further arguments of `FastViT`. Defaults:
            `classes=512`, the embedding's channels, and `classifier_activation=None`.

    Returns:
        A `FastViT`, or its inference form if the file holds that.

    Raises:
        ValueError: If an argument is not as described, or the weights do not fit the model.
        OSError: If a file cannot be read or fetched.
        ImportError: If the file needs PyTorch, which is not installed.

    Example:
    >>> FastViTMCi2(input_shape=(64, 64, 3)).output_shape  # doctest: +SKIP
    (None, 512)
    """
    return _instantiate("fastvit_mci2", include_top, weights, arguments)


def FastViTMCi3(
    include_top: bool = True,
    weights: str | os.PathLike[str] | None = None,
    **arguments: Unpack[ConstructorArguments],
) -> keras.Model:
    """FastViT-MCi3, an image tower of MobileCLIP, 125.2 million parameters.

    Zero-shot ImageNet-1k top-1: 80.7 % (mobileclip2).
    Its images are normalised by `preprocess_input(images, normalization="clip")`.

    Args:
        include_top: Whether global pooling and a projection to the embedding follow.
        weights: `"mobileclip2"`, for non-commercial research only;
            the path of a file; None for random weights.
        **arguments: `ema` of a checkpoint, and further arguments of `FastViT`. Defaults:
            `classes=768`, the embedding's channels, and `classifier_activation=None`.

    Returns:
        A `FastViT`, or its inference form if the file holds that.

    Raises:
        ValueError: If an argument is not as described, or the weights do not fit the model.
        OSError: If a file cannot be read or fetched.
        ImportError: If the file needs PyTorch, which is not installed.

    Example:
    >>> FastViTMCi3(input_shape=(64, 64, 3)).output_shape  # doctest: +SKIP
    (None, 768)
    """
    return _instantiate("fastvit_mci3", include_top, weights, arguments)


def FastViTMCi4(
    include_top: bool = True,
    weights: str | os.PathLike[str] | None = None,
    **arguments: Unpack[ConstructorArguments],
) -> keras.Model:
    """FastViT-MCi4, an image tower of MobileCLIP, 321.8 million parameters.

    Zero-shot ImageNet-1k top-1: 81.9 % (mobileclip2).
    Its images are normalised by `preprocess_input(images, normalization="clip")`.

    Args:
        include_top: Whether global pooling and a projection to the embedding follow.
        weights: `"mobileclip2"`, for non-commercial research only;
            the path of a file; None for random weights.
        **arguments: `ema` of a checkpoint, and further arguments of `FastViT`. Defaults:
            `classes=768`, the embedding's channels, and `classifier_activation=None`.

    Returns:
        A `FastViT`, or its inference form if the file holds that.

    Raises:
        ValueError: If an argument is not as described, or the weights do not fit the model.
        OSError: If a file cannot be read or fetched.
        ImportError: If the file needs PyTorch, which is not installed.

    Example:
    >>> FastViTMCi4(input_shape=(64, 64, 3)).output_shape  # doctest: +SKIP
    (None, 768)
    """
    return _instantiate("fastvit_mci4", include_top, weights, arguments)


def _instantiate(
    variant: str,
    include_top: bool,
    weights: str | os.PathLike[str] | None,
    arguments: ConstructorArguments,
) -> keras.Model:
    row = get_variant(variant)
    ema = arguments.pop("ema", True)
    arguments.setdefault("classes", row.classes)
    arguments.setdefault("classifier_activation", row.classifier_activation)
    found = None if weights is None else find_weights(weights, variant)
    if isinstance(found, NamedWeights):
        data_format = arguments.get("data_format") or keras.config.image_data_format()
        image, shape = arguments.get("input_tensor"), arguments.get("input_shape")
        _check_channels(found, image, shape, data_format)
        classes = arguments["classes"]
        if found.name == "fashion_mnist" and include_top and classes != found.classes:
            raise ValueError(
                f"'{found.name}' weights have a classifier for {found.classes} classes. Expected "
                f"classes={found.classes} or include_top=False. Received: classes={classes}"
            )
        if include_top and image is None and shape is None:
            side = found.image_size
            arguments["input_shape"] = (
                (3, side, side) if data_format == "channels_first" else (side, side, 3)
            )
    own = cast(ModelArguments, arguments)  # all but `ema`, which is taken out
    model = FastViT(variant, include_top=include_top, **own)
    if found is not None and load_weights(model, found, ema):
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
"""The constructors by the names of their variants."""
