"""FastViT's building blocks: the training form of each, and `fuse()` to its inference form.

All of them take feature maps `(batch, height, width, channels)`, or `(batch, channels, height,
width)` with `data_format="channels_first"`, of any height and width, and return feature maps of
the same kind. Attribute names follow the PyTorch implementations, so that a checkpoint's tensor
is found by reading the path to it. Sources: the paper (arXiv 2303.14189, section 3) and the
`fastvit.py` of Apple and of timm.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from keras_fastvit.architecture import fusion
from keras_fastvit.architecture.fusion import Affine, Array, Kernel
from keras_fastvit.architecture.overrides import Overrides, inherited, overrides_of
from keras_fastvit.graph.keras_internals import layers_within

InferenceForm = Callable[[Any], Any]
"""Maps a `KerasTensor` to a `KerasTensor` through plain Keras layers, the same at each call."""

SE_RATIO = 1 / 16
DOWNSAMPLE_SE_RATIO = 1 / 4
KERNEL_STDDEV = 0.02
"""Of the normal start of all kernels in the ConvFFN, in attention and in the classifier."""


def register(cls: type) -> type:
    """Registers a layer, so that a `.keras` file that holds one loads."""
    return keras.saving.register_keras_serializable(package="keras_fastvit")(cls)


def float64(variable: Any) -> Array:
    """A variable's value, in the precision that weights are folded in."""
    return ops.convert_to_numpy(variable).astype("float64")


def _torch_conv_initializer(fan_in_scale: float = 1.0) -> keras.initializers.Initializer:
    """PyTorch's default for convolutions: uniform in ±1 / sqrt(fan_in)."""
    return keras.initializers.VarianceScaling(fan_in_scale / 3, "fan_in", "uniform")


class FastViTLayer(layers.Layer):
    """The base of all blocks: a data format, sublayers of one dtype policy, an inference form.

    Args:
        data_format: `"channels_last"` or `"channels_first"`; default: Keras' configuration.
        overrides: What sublayers have of their own, as `get_config` gives it: those that are
            frozen alone, or have been quantised.
        **kwargs: Further arguments of `keras.layers.Layer`.
    """

    config_names: tuple[str, ...] = ()
    """The constructor's arguments, which are attributes of the same name."""

    def __init__(
        self,
        data_format: str | None = None,
        overrides: Overrides | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        overrides = keras.saving.serialize_keras_object(overrides) if overrides else {}
        object.__setattr__(self, "overrides", overrides)  # a plain dict, which Keras does not track
        self.data_format = keras.config.image_data_format() if data_format is None else data_format
        if self.data_format not in ("channels_last", "channels_first"):
            raise ValueError(
                "Invalid `data_format`. Expected 'channels_last' or 'channels_first'. "
                f"Received: data_format={data_format!r}"
            )

    def fuse(self) -> InferenceForm:
        """Returns the inference form, a function that makes plain Keras layers of the graph.

        The layers are made once, with copies of this layer's folded weights: calling the function
        twice shares them.

        Raises:
            ValueError: If this layer has no weights yet, or quantised ones.
        """
        if not self.built:
            raise ValueError(
                "Only a built layer has weights to fold. Call it on data once, or build it. "
                f"Received: layer '{self.name}' of type {type(self).__name__}, not built"
            )
        for layer in layers_within(self):
            if isinstance(layer.dtype_policy, keras.dtype_policies.QuantizedDTypePolicy):
                raise ValueError(
                    "Folding needs the weights before they are quantised: fuse first, then "
                    f"quantise the result. Received: layer '{layer.path}' with dtype policy "
                    f"'{layer.dtype_policy.name}'"
                )
        return self._inference_form()

    def _inference_form(self) -> InferenceForm:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        names = ("data_format", *self.config_names)
        config = {**super().get_config(), **{name: getattr(self, name) for name in names}}
        overrides = self.overrides
        if self.built:
            sublayers = layers_within(self, include_self=False, recursive=False)
            overrides = overrides_of(self, sublayers)
        return {**config, "overrides": overrides} if overrides else config

    @property
    def _channel_axis(self) -> int:
        return -1 if self.data_format == "channels_last" else 1

    def _channels(self, shape: tuple[int | None, ...]) -> int:
        channels = shape[self._channel_axis]
        if channels is None:
            raise ValueError(
                f"Layer '{self.name}' needs a defined number of channels. Received: shape={shape}"
            )
        return channels

    def _map_shape(self, shape: Any, filters: int | None = None, strides: int = 1) -> Any:
        """The shape after a convolution padded by `kernel_size // 2` on every side."""
        first = 1 if self.data_format == "channels_last" else 2
        mapped = list(shape)
        for axis in (first, first + 1):
            mapped[axis] = None if shape[axis] is None else (shape[axis] - 1) // strides + 1
        mapped[self._channel_axis] = filters or shape[self._channel_axis]
        return tuple(mapped)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self._map_shape(input_shape)

    def _like(self, name: str) -> dict[str, Any]:
        """Constructor arguments of a sublayer that takes feature maps."""
        return {"data_format": self.data_format, **self._inherited(name)}

    def _inherited(self, name: str) -> dict[str, Any]:
        """Constructor arguments of any sublayer, or of a piece of the inference form.

        `trainable` among them: a frozen layer is built anew when its model is loaded, and its
        batch normalisations must not go on collecting statistics.
        """
        # A piece of the inference form may have a sublayer's name, but it has none of its own.
        overrides = {} if self.built else self.overrides
        return inherited(name, self.dtype_policy, self.trainable, overrides)

    def _batch_norm(self, name: str) -> layers.BatchNormalization:
        return layers.BatchNormalization(
            axis=self._channel_axis,
            epsilon=1e-5,
            momentum=0.9,
            **self._inherited(name),
        )

    def _padding(self, kernel_size: int, strides: int, name: str) -> layers.Layer | None:
        # "same" pads an even side by one less on the left when strided, which would move the
        # kernel off the 1x1 branches' pixels: pad as PyTorch does, by k // 2 on every side.
        if strides == 1 or kernel_size == 1:
            return None
        return layers.ZeroPadding2D(kernel_size // 2, **self._like(name))

    # Below: pieces of inference forms, named after the path of the layer that they come from.

    def _inference_name(self, suffix: str = "") -> str:
        return "_".join(filter(None, [*self.path.split("/"), suffix]))

    def _folded_conv(
        self,
        folded: Kernel,
        depthwise: bool,
        strides: int = 1,
        suffix: str = "",
        parts: Sequence[layers.Layer | None] = (),
    ) -> InferenceForm:
        """A convolution, padded by `kernel_size // 2`, that holds the folded kernel and bias.

        It is trainable if any of the `parts` is that have been folded, by default this layer.
        """
        size, _, channels, _ = folded.kernel.shape
        name = self._inference_name(suffix)
        kwargs = {**self._like(name), "trainable": learns(*parts or [self])}
        kwargs |= {"strides": strides, "padding": "same" if strides == 1 else "valid"}
        if depthwise:
            kwargs["depth_multiplier"] = folded.kernel.shape[-1]
            conv = layers.DepthwiseConv2D(size, **kwargs)
        else:
            conv = layers.Conv2D(folded.bias.size, size, **kwargs)
        padding = self._padding(size, strides, f"{name}_pad")
        conv.build(self._shape_of(channels))
        conv.set_weights([folded.kernel, folded.bias])
        return conv if padding is None else chain(padding, conv)

    def _shape_of(self, channels: int) -> tuple[int | None, ...]:
        last = self.data_format == "channels_last"
        return (None, None, None, channels) if last else (None, channels, None, None)

    def _gelu(self) -> layers.Layer:
        # Exact (erf), as in the checkpoints; `keras.ops.gelu` defaults to the tanh form.
        return layers.Activation("gelu", **self._inherited(self._inference_name("gelu")))


def learns(*parts: layers.Layer | None) -> bool:
    """Returns whether training changes any weight of these layers."""
    return any(weight.trainable for part in parts if part is not None for weight in part.weights)


def chain(*forms: InferenceForm) -> InferenceForm:
    """One after the other."""

    def chained(x: Any) -> Any:
        for form in forms:
            x = form(x)
        return x

    return chained


def residual(branch: InferenceForm) -> InferenceForm:
    """`x + branch(x)`."""
    # `+` keeps the static sides that only one of its operands knows; `layers.Add` forgets them.
    return lambda x: x + branch(x)


def kernel_of(conv: layers.Layer) -> Kernel:
    """A convolution's or dense layer's weights; a missing bias is zero."""
    kernel = float64(conv.kernel)
    if conv.use_bias:
        return Kernel(kernel, float64(conv.bias))
    outputs = kernel.shape[-1] * (
        kernel.shape[-2] if isinstance(conv, layers.DepthwiseConv2D) else 1
    )
    return Kernel(kernel, np.zeros(outputs))


def affine_of(norm: layers.BatchNormalization) -> Affine:
    """Returns the scale and shift of a batch normalisation in inference."""
    return fusion.batch_norm(
        float64(norm.gamma),
        float64(norm.beta),
        float64(norm.moving_mean),
        float64(norm.moving_variance),
        norm.epsilon,
    )


@register
class Dropout(layers.Dropout):
    """Keras' dropout, with a random state at rate 0 too.

    So weight files do not depend on the rate that a model was trained with.
    Training form: `x * mask / (1 - rate)`; inference form: `x`.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        # At rate 0 Keras makes no random state, and a built layer takes none later.
        super().__init__(rate or 0.5, seed=seed, **kwargs)
        self.rate = rate

    def fuse(self) -> InferenceForm:
        return lambda x: x


@register
class DropPath(Dropout):
    """Stochastic depth (arXiv 1603.09382): drops a residual branch for whole samples."""

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(rate, seed, **{**kwargs, "noise_shape": (None, 1, 1, 1)})


@register
class LayerScale(FastViTLayer):
    """`gamma * x`, one learnt factor a channel (arXiv 2103.17239)."""

    config_names = ("init_value",)

    def __init__(self, init_value: float = 1e-5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.init_value = init_value

    def build(self, input_shape: Any) -> None:
        self.gamma = self.add_weight(
            shape=(self._channels(input_shape),),
            initializer=keras.initializers.Constant(self.init_value),
            name="gamma",
        )

    def call(self, x: Any) -> Any:
        if self.data_format == "channels_last":
            return x * self.gamma
        return x * ops.reshape(self.gamma, (-1, 1, 1))

    def _inference_form(self) -> InferenceForm:
        gamma = self.folded()
        kernel = Kernel(gamma.reshape(1, 1, -1, 1), np.zeros(gamma.size))
        return self._folded_conv(kernel, depthwise=True)

    def folded(self) -> Array:
        return float64(self.gamma)


@register
class LayerNorm(FastViTLayer):
    """`gamma * (x - mean) / sqrt(variance + 1e-5) + beta`, of each pixel (arXiv 1607.06450).

    Mean and variance are those of the pixel's channels. Inference form: the bare normalisation,
    then a depthwise 1x1 convolution, unless the next layer has folded `gamma` and `beta`.
    """

    def build(self, input_shape: Any) -> None:
        channels = (self._channels(input_shape),)
        self.gamma = self.add_weight(shape=channels, initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=channels, initializer="zeros", name="beta")
        self.bare = self._bare_form(str)

    def call(self, x: Any) -> Any:
        gamma, beta = self.gamma, self.beta
        if self.data_format == "channels_first":
            gamma, beta = ops.reshape(gamma, (-1, 1, 1)), ops.reshape(beta, (-1, 1, 1))
        return self.bare(x) * gamma + beta

    def _inference_form(self) -> InferenceForm:
        scale, shift = self.folded()
        affine = Kernel(scale.reshape(1, 1, -1, 1), shift)
        return chain(self.bare_inference_form(), self._folded_conv(affine, depthwise=True))

    def folded(self) -> Affine:
        return Affine(float64(self.gamma), float64(self.beta))

    def bare_inference_form(self) -> InferenceForm:
        """The inference form without `gamma` and `beta`."""
        return self._bare_form(self._inference_name)

    def _bare_form(self, name: Callable[[str], str]) -> InferenceForm:
        common = {"center": False, "scale": False, "epsilon": 1e-5}
        norm = layers.LayerNormalization(**common, **self._inherited(name("bare")))
        if self.data_format == "channels_last":
            return norm
        # Keras 3.15 on torch normalises over the last axis whatever the `axis`.
        last, first = (
            layers.Permute(axes, **self._inherited(name(suffix)))
            for axes, suffix in (((2, 3, 1), "to_last"), ((3, 1, 2), "to_first"))
        )
        return chain(last, norm, first)


@register
class ConvBN(FastViTLayer):
    """`batch_norm(conv(x))`, the convolution without bias; in inference form one convolution.

    Args:
        filters: Output channels; if `depthwise`, a multiple of the input channels.
        kernel_size: Odd side of the kernel.
        strides: Step in pixels.
        depthwise: Whether each input channel is convolved on its own.
        kernel_stddev: Standard deviation of a normal start; default: PyTorch's uniform one.
    """

    config_names = ("filters", "kernel_size", "strides", "depthwise", "kernel_stddev")

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        strides: int = 1,
        depthwise: bool = False,
        kernel_stddev: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.depthwise = depthwise
        self.kernel_stddev = kernel_stddev

    def build(self, input_shape: Any) -> None:
        channels = self._channels(input_shape)
        self.pad = self._padding(self.kernel_size, self.strides, "pad")
        strides = 1 if self._subsamples else self.strides
        common = {
            **self._like("conv"),
            "strides": strides,
            "padding": "same" if strides == 1 else "valid",
            "use_bias": False,
        }
        if self.depthwise:
            if self.filters % channels:
                raise ValueError(
                    f"Depthwise layer '{self.name}' needs `filters` to be a multiple of the input "
                    f"channels. Received: filters={self.filters}, input_shape={input_shape}"
                )
            self.conv = layers.DepthwiseConv2D(
                self.kernel_size,
                depth_multiplier=self.filters // channels,
                # Keras counts all input channels into a depthwise kernel's fan-in, PyTorch one.
                depthwise_initializer=self._initializer(fan_in_scale=channels),
                **common,
            )
        else:
            self.conv = layers.Conv2D(
                self.filters,
                self.kernel_size,
                kernel_initializer=self._initializer(),
                **common,
            )
        self.bn = self._batch_norm("bn")
        padded = input_shape
        if self.pad is not None:
            self.pad.build(input_shape)  # a layer that is not cannot pass through `quantize`
            padded = self.pad.compute_output_shape(input_shape)
        self.conv.build(padded)
        self.bn.build(self.compute_output_shape(input_shape))

    def _initializer(self, fan_in_scale: float = 1.0) -> keras.initializers.Initializer:
        if self.kernel_stddev is None:
            return _torch_conv_initializer(fan_in_scale)
        return keras.initializers.RandomNormal(stddev=self.kernel_stddev)

    def call(self, x: Any, training: bool | None = None) -> Any:
        if self.pad is not None:
            x = self.pad(x)
        if self._subsamples:
            step = slice(None, None, self.strides)
            x = x[:, step, step] if self.data_format == "channels_last" else x[:, :, step, step]
        return self.bn(self.conv(x), training=training)

    @property
    def _subsamples(self) -> bool:
        # A strided 1x1 kernel sees every other pixel only: taking those first is the same. Its
        # gradient in oneDNN, the CPU kernels of TensorFlow 2.21 and PyTorch 2.13, writes outside
        # of its memory when channels are last: training ended in a segmentation fault.
        return self.kernel_size == 1 and self.strides > 1

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self._map_shape(input_shape, self.filters, self.strides)

    def _inference_form(self) -> InferenceForm:
        return self._folded_conv(self.folded(), self.depthwise, self.strides)

    def folded(self) -> Kernel:
        return fusion.affine_after(kernel_of(self.conv), affine_of(self.bn))


@register
class SqueezeExcite(FastViTLayer):
    """Channel attention (arXiv 1709.01507): `x * sigmoid(fc2(relu(fc1(mean(x)))))`.

    Args:
        ratio: Hidden channels over the input's.
    """

    config_names = ("ratio",)

    def __init__(self, ratio: float = SE_RATIO, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ratio = ratio

    def build(self, input_shape: Any) -> None:
        channels = self._channels(input_shape)
        hidden = round(channels * self.ratio)
        self.pool, self.fc1, self.fc2, self.multiply = self._parts(channels, hidden, str)
        self.fc1.build(self._shape_of(channels))
        self.fc2.build(self._shape_of(hidden))
        self.multiply.build([input_shape, self.pool.compute_output_shape(input_shape)])

    def _parts(self, channels: int, hidden: int, name: Callable[[str], str]) -> list[layers.Layer]:
        init = {"kernel_initializer": _torch_conv_initializer()}
        return [
            layers.GlobalAveragePooling2D(keepdims=True, **self._like(name("pool"))),
            layers.Conv2D(hidden, 1, activation="relu", **init, **self._like(name("fc1"))),
            layers.Conv2D(channels, 1, activation="sigmoid", **init, **self._like(name("fc2"))),
            layers.Multiply(**self._inherited(name("multiply"))),
        ]

    def call(self, x: Any) -> Any:
        return self.multiply([x, self.fc2(self.fc1(self.pool(x)))])

    def _inference_form(self) -> InferenceForm:
        # Nothing folds here, but the inference form must not hold this class.
        hidden, channels = self.fc1.filters, self.fc2.filters
        pool, fc1, fc2, multiply = self._parts(channels, hidden, self._inference_name)
        for plain, own, inputs in ((fc1, self.fc1, channels), (fc2, self.fc2, hidden)):
            plain.trainable = learns(own)
            plain.build(self._shape_of(inputs))
            plain.set_weights(kernel_of(own))
        return lambda x: multiply([x, fc2(fc1(pool(x)))])


@register
class MobileOneBlock(FastViTLayer):
    """The reparameterizable convolution (arXiv 2206.04040): a sum of branches -> SE? -> GELU?

    Training form: `conv_kxk(x) + conv_scale(x) + identity(x)`, each with a batch normalisation;
    the 1x1 `conv_scale` exists if the kernel is larger than 1x1 and `scale_branch` is set,
    `identity` (a bare batch normalisation) if the block keeps shape and channels. Inference form:
    one convolution.

    Args:
        filters: Output channels; if `depthwise`, a multiple of the input channels.
        kernel_size: Odd side of the kernel.
        strides: Step in pixels.
        depthwise: Whether each input channel is convolved on its own.
        squeeze_excite: Whether channel attention follows the sum.
        activation: Whether GELU comes last.
        scale_branch: Whether a kernel larger than 1x1 has a 1x1 beside it.
    """

    config_names = (
        "filters",
        "kernel_size",
        "strides",
        "depthwise",
        "squeeze_excite",
        "activation",
        "scale_branch",
    )

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        strides: int = 1,
        depthwise: bool = False,
        squeeze_excite: bool = False,
        activation: bool = True,
        scale_branch: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.depthwise = depthwise
        self.squeeze_excite = squeeze_excite
        self.activation = activation
        self.scale_branch = scale_branch

    def build(self, input_shape: Any) -> None:
        def branch(kernel_size: int, name: str) -> ConvBN:
            conv = ConvBN(
                self.filters, kernel_size, self.strides, self.depthwise, **self._like(name)
            )
            conv.build(input_shape)
            return conv

        self.conv_kxk = branch(self.kernel_size, "conv_kxk")
        has_scale = self.scale_branch and self.kernel_size > 1
        self.conv_scale = branch(1, "conv_scale") if has_scale else None
        self.identity = None
        if self.strides == 1 and self._channels(input_shape) == self.filters:
            self.identity = self._batch_norm("identity")
            self.identity.build(input_shape)
        self.se = None
        if self.squeeze_excite:
            self.se = SqueezeExcite(**self._like("se"))
            self.se.build(self.compute_output_shape(input_shape))

    def call(self, x: Any, training: bool | None = None) -> Any:
        y = self.conv_kxk(x, training=training)
        if self.conv_scale is not None:
            y = y + self.conv_scale(x, training=training)
        if self.identity is not None:
            y = y + self.identity(x, training=training)
        if self.se is not None:
            y = self.se(y)
        return keras.activations.gelu(y) if self.activation else y

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self._map_shape(input_shape, self.filters, self.strides)

    def folded(self) -> Kernel:
        branches = [self.conv_kxk.folded()]
        if self.conv_scale is not None:
            branches.append(self.conv_scale.folded())
        if self.identity is not None:
            kernel = fusion.identity_kernel(1, self.filters, self.depthwise)
            identity = Kernel(kernel, np.zeros(self.filters))
            branches.append(fusion.affine_after(identity, affine_of(self.identity)))
        return fusion.sum_branches(*branches)

    def _inference_form(self) -> InferenceForm:
        parts = (self.conv_kxk, self.conv_scale, self.identity)
        forms = [self._folded_conv(self.folded(), self.depthwise, self.strides, parts=parts)]
        if self.se is not None:
            forms.append(self.se.fuse())
        if self.activation:
            forms.append(self._gelu())
        return chain(*forms)


@register
class ConditionalPositionalEncoding(FastViTLayer):
    """`x + conv(x)` with a biased depthwise 7x7 convolution (arXiv 2102.10882); fuses into one."""

    config_names = ("kernel_size",)

    def __init__(self, kernel_size: int = 7, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kernel_size = kernel_size

    def build(self, input_shape: Any) -> None:
        self.pos_enc = layers.DepthwiseConv2D(
            self.kernel_size,
            padding="same",
            depthwise_initializer=_torch_conv_initializer(self._channels(input_shape)),
            **self._like("pos_enc"),
        )
        self.pos_enc.build(input_shape)

    def call(self, x: Any) -> Any:
        return x + self.pos_enc(x)

    def _inference_form(self) -> InferenceForm:
        conv = kernel_of(self.pos_enc)
        identity = fusion.identity_kernel(1, conv.bias.size, depthwise=True)
        both = fusion.sum_branches(conv, Kernel(identity, np.zeros_like(conv.bias)))
        return self._folded_conv(both, depthwise=True)
