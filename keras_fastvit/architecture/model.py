"""FastViT: a row of `variants.py` becomes a functional Keras model."""

from collections.abc import Callable
from functools import partial
from numbers import Integral
from typing import Any, TypedDict

import keras
import numpy as np
from keras import layers

from keras_fastvit.architecture.blocks import AttentionBlock, Downsample, RepMixerBlock
from keras_fastvit.architecture.inference_form import fuse, set_pyramid_outputs
from keras_fastvit.architecture.layers import (
    KERNEL_STDDEV,
    ConditionalPositionalEncoding,
    Dropout,
    MobileOneBlock,
)
from keras_fastvit.architecture.overrides import Overrides, inherited, overrides_of
from keras_fastvit.architecture.variants import ATTENTION, Variant, get_variant

MIN_SIDE = 32
DEFAULT_SIDE = 256
_ON_TENSORFLOW = keras.backend.backend() == "tensorflow"

Settings = Callable[[str], dict[str, Any]]
"""Gives a layer of this name its constructor's arguments that are the same for all layers."""


class ModelArguments(TypedDict, total=False):
    """Arguments that the constructors in `applications.py` pass on to `FastViT`."""

    input_tensor: Any
    input_shape: tuple[int | None, ...] | None
    pooling: str | None
    classes: int
    classifier_activation: str | None
    drop_path_rate: float | None
    dropout: float
    layer_scale_init_value: float | None
    data_format: str | None
    dtype: Any
    name: str | None


@keras.saving.register_keras_serializable(package="keras_fastvit")
class FastViT(keras.Model):
    """FastViT in training form (arXiv 2303.14189), as a functional model.

    Args:
        variant: Name of a row of `variants.py`, e.g. `"fastvit_t8"`.
        include_top: Whether global pooling and a classifier follow. Without them the output is
            the feature map behind the head's convolution, squeeze-and-excite and GELU:
            `(batch, ceil(height / 32), ceil(width / 32), 2 * last width)`, at 1/64 of the sides
            with five stages.
        input_tensor: Optional `KerasTensor` to use as the image input.
        input_shape: Shape of one image, `(height, width, channels)` or, with
            `data_format="channels_first"`, `(channels, height, width)`. Sides may be None or at
            least 32. Default: 256×256×3 with the top, sides None without it.
        pooling: With `include_top=False`: None for the feature map, `"avg"` or `"max"` for
            `(batch, 2 * last width)`.
        classes: Number of classes, or channels of an image tower's embedding.
        classifier_activation: Activation of the classifier; None returns logits, or an embedding.
            Computed in float32 under mixed precision too.
        drop_path_rate: Stochastic depth rate of the last block; default: the variant's.
        dropout: Dropout rate before the classifier.
        layer_scale_init_value: Default: the variant's.
        data_format: `"channels_last"` or `"channels_first"`; default: Keras' configuration.
        dtype: Dtype or dtype policy of the model and its layers; default: Keras' configuration.
        name: Name of the model; default: the variant's.
        trainable: Whether the layers are trained.
        overrides: What layers have of their own, as `get_config` gives it: those that are frozen
            alone, or have been quantised.

    Attributes:
        pyramid_outputs: `{"P2": …, "P3": …, "P4": …, "P5": …}`, the stages' outputs at 1/4 to 1/32
            of the image's sides, for `keras.Model(model.input, model.pyramid_outputs)`; with
            five stages `"P6"` too.

    Raises:
        ValueError: If an argument is not one of the above.

    Example:
    >>> model = FastViT("fastvit_t8", input_shape=(64, 64, 3), classes=10)
    >>> model.output_shape, list(model.pyramid_outputs)
    ((None, 10), ['P2', 'P3', 'P4', 'P5'])
    """

    def __init__(
        self,
        variant: str,
        include_top: bool = True,
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
        trainable: bool = True,
        overrides: Overrides | None = None,
    ) -> None:
        row = get_variant(variant)
        data_format = keras.config.image_data_format() if data_format is None else data_format
        if drop_path_rate is None:
            drop_path_rate = row.drop_path_rate
        if layer_scale_init_value is None:
            layer_scale_init_value = row.layer_scale_init_value
        _validate(include_top, pooling, classes, drop_path_rate, dropout, data_format)
        policy = keras.dtype_policies.get(dtype)
        settings = partial(inherited, dtype=policy, trainable=trainable, overrides=overrides or {})
        layout = _Layout(data_format, settings)

        image = _image_input(input_tensor, input_shape, include_top, data_format)
        x, pyramid = _trunk(
            layout.enter(image), row, drop_path_rate, layer_scale_init_value, layout.settings
        )
        pyramid = {level: layout.leave(x, level) for level, x in pyramid.items()}
        if include_top:
            x = layers.GlobalAveragePooling2D(**layout.settings("pool"))(x)
            x = Dropout(dropout, **settings("dropout"))(x)
            init = keras.initializers.RandomNormal(stddev=KERNEL_STDDEV)
            x = layers.Dense(int(classes), kernel_initializer=init, **settings("head"))(x)
            # Probabilities and losses lose too much in 16 bits.
            output_dtype = keras.backend.result_type(policy.compute_dtype, "float32")
            x = layers.Activation(
                classifier_activation, **{**settings("predictions"), "dtype": output_dtype}
            )(x)
        elif pooling == "avg":
            x = layers.GlobalAveragePooling2D(**layout.settings("pool"))(x)
        elif pooling == "max":
            x = layers.GlobalMaxPooling2D(**layout.settings("pool"))(x)
        else:
            x = layout.leave(x, "features")

        inputs = keras.utils.get_source_inputs(image)
        inputs = inputs[0] if len(inputs) == 1 else inputs
        super().__init__(inputs=inputs, outputs=x, name=name or row.name, trainable=trainable)
        self.dtype_policy = policy  # by which `compile` decides whether to scale the loss
        set_pyramid_outputs(self, pyramid)
        self.variant = row.name
        self.data_format = data_format
        self._image = image
        self._config = {
            "variant": row.name,
            "include_top": include_top,
            "input_shape": tuple(image.shape[1:]),
            "pooling": pooling,
            "classes": int(classes),
            "classifier_activation": classifier_activation,
            "drop_path_rate": drop_path_rate,
            "dropout": dropout,
            "layer_scale_init_value": layer_scale_init_value,
            "data_format": data_format,
        }

    def fuse(self) -> keras.Model:
        """Returns the inference form; see `keras_fastvit.fuse`. This model is left as it is."""
        return fuse(self)

    def get_config(self) -> dict[str, Any]:
        # What makes the image: an input, or layers of the user's behind one or more.
        before = keras.Model(self.input, self._image, name=self.name)
        own = [layer for layer in self.layers if layer not in before.layers]
        # Not earlier: where TensorFlow is installed, Keras imports it to serialise anything.
        activation = keras.activations.get(self._config["classifier_activation"])
        return {
            **self._config,
            "classifier_activation": keras.activations.serialize(activation),
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "name": self.name,
            "trainable": self.trainable,
            **({"overrides": overrides} if (overrides := overrides_of(self, own)) else {}),
            **({} if self.input is self._image else {"before": before.get_config()}),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> keras.Model:
        """Rebuilds the model, with the layers before it where its `input_tensor` came from any."""
        if "graph" in config:  # so such models were saved before
            return keras.Model.from_config(config["graph"], custom_objects)
        config = dict(config)
        if "frozen_layers" in config:  # and frozen ones
            frozen = config.pop("frozen_layers")
            config["overrides"] = {name: {"trainable": False} for name in frozen}
        if "before" in config:
            before = keras.Model.from_config(dict(config.pop("before")), custom_objects)
            config["input_tensor"] = before.output
        return cls(**config)


class _Layout:
    """The layout of the maps inside the model, and the ways there and back.

    On TensorFlow the maps have their channels last, whatever the layout of the images. Keras 3.15
    on TensorFlow adds a convolution's bias along the width if channels come first and the width
    equals the number of channels (`keras.ops.add` takes it for `NHWC`), as in the first stage of
    most variants at 256×256; and on CPUs TensorFlow has no 16-bit convolution with channels first.
    """

    def __init__(self, data_format: str, settings: Settings) -> None:
        self._inner_format = "channels_last" if _ON_TENSORFLOW else data_format
        self._permutes = data_format != self._inner_format
        self._settings = settings

    def settings(self, name: str) -> dict[str, Any]:
        """Constructor arguments of a layer that takes feature maps."""
        return {"data_format": self._inner_format, **self._settings(name)}

    def enter(self, image: Any) -> Any:
        if not self._permutes:
            return image
        return layers.Permute((2, 3, 1), **self._settings("to_channels_last"))(image)

    def leave(self, x: Any, what: str) -> Any:
        if not self._permutes:
            return x
        return layers.Permute((3, 1, 2), **self._settings(f"{what}_to_channels_first"))(x)


def _trunk(
    image: Any, row: Variant, drop_path_rate: float, layer_scale: float, settings: Settings
) -> tuple[Any, dict[str, Any]]:
    """Stem, stages and the head's convolution; returns its output and the stages' outputs."""
    width = row.widths[0]
    stem = partial(MobileOneBlock, width, scale_branch=row.stem_scale_branches)
    x = stem(3, strides=2, **settings("stem_0"))(image)
    x = stem(3, strides=2, depthwise=True, **settings("stem_1"))(x)
    x = stem(1, **settings("stem_2"))(x)

    rates = iter(np.linspace(0, drop_path_rate, sum(row.layers)).tolist())
    pyramid = {}
    for stage, (depth, width) in enumerate(zip(row.layers, row.widths, strict=True)):
        if stage > 0:
            x = Downsample(
                width,
                squeeze_excite=stage in row.squeeze_excite_stages,
                activation=row.downsample_activation,
                **settings(f"stage_{stage}_downsample"),
            )(x)
        block_class: Callable[..., keras.Layer] = RepMixerBlock
        if row.token_mixers[stage] == ATTENTION:
            x = ConditionalPositionalEncoding(**settings(f"stage_{stage}_cpe"))(x)
            block_class = partial(AttentionBlock, norm_type=row.attention_norm)
        for block in range(depth):
            x = block_class(
                row.mlp_ratio,
                next(rates),
                layer_scale,
                **settings(f"stage_{stage}_block_{block}"),
            )(x)
        # Feature pyramids number a level by the logarithm of its stride.
        pyramid[f"P{stage + 2}"] = x

    return (
        MobileOneBlock(2 * width, 3, depthwise=True, squeeze_excite=True, **settings("final_conv"))(
            x
        ),
        pyramid,
    )


def _image_input(
    input_tensor: Any,
    input_shape: tuple[int | None, ...] | None,
    include_top: bool,
    data_format: str,
) -> Any:
    last = data_format == "channels_last"
    if input_tensor is not None:
        if not keras.backend.is_keras_tensor(input_tensor):
            raise ValueError(
                "`input_tensor` must be a KerasTensor, such as the result of `keras.Input()`. "
                f"Received: input_tensor={input_tensor!r} of type {type(input_tensor).__name__}"
            )
        shape = tuple(input_tensor.shape[1:])
        if input_shape is not None and tuple(input_shape) != shape:
            raise ValueError(
                "`input_shape` and the shape of `input_tensor` differ. "
                f"Received: input_shape={input_shape}, input_tensor.shape={input_tensor.shape}"
            )
    elif input_shape is not None:
        shape = tuple(input_shape)
    else:
        side = DEFAULT_SIDE if include_top else None
        shape = (side, side, 3) if last else (3, side, side)

    expected = "(height, width, channels)" if last else "(channels, height, width)"
    if len(shape) != 3:
        raise ValueError(
            f"The image's shape must be {expected} for data_format={data_format!r}. "
            f"Received: input_shape={shape}"
        )
    *sides, channels = shape if last else (*shape[1:], shape[0])
    if any(side is not None and side < MIN_SIDE for side in sides):
        raise ValueError(
            f"Both sides of the image must be None or at least {MIN_SIDE} pixels, in a shape "
            f"{expected} for data_format={data_format!r}. Received: input_shape={shape}"
        )
    if channels is None or channels < 1:
        raise ValueError(
            f"The image must have a defined number of channels, in a shape {expected} for "
            f"data_format={data_format!r}. Received: input_shape={shape}"
        )
    return keras.Input(shape) if input_tensor is None else input_tensor


def _validate(
    include_top: bool,
    pooling: str | None,
    classes: Any,
    drop_path_rate: float,
    dropout: float,
    data_format: str,
) -> None:
    if data_format not in ("channels_last", "channels_first"):
        raise ValueError(
            "`data_format` must be 'channels_last' or 'channels_first'. "
            f"Received: data_format={data_format!r}"
        )
    if pooling not in (None, "avg", "max"):
        raise ValueError(f"`pooling` must be None, 'avg' or 'max'. Received: pooling={pooling!r}")
    if include_top and pooling is not None:
        raise ValueError(
            "`pooling` is for `include_top=False`; the classifier pools by itself. "
            f"Received: include_top={include_top}, pooling={pooling!r}"
        )
    if isinstance(classes, bool) or not isinstance(classes, Integral) or classes < 1:
        raise ValueError(f"`classes` must be a positive integer. Received: classes={classes!r}")
    for name, rate in (("drop_path_rate", drop_path_rate), ("dropout", dropout)):
        if not 0 <= rate < 1:
            raise ValueError(f"`{name}` must be at least 0 and below 1. Received: {name}={rate!r}")
