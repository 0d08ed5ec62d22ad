"""FastViT's stages are made of these: downsampling, RepMixer blocks, attention blocks."""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from keras_fastvit.architecture import fusion
from keras_fastvit.architecture.fusion import Affine, Array
from keras_fastvit.architecture.layers import (
    DOWNSAMPLE_SE_RATIO,
    KERNEL_STDDEV,
    ConvBN,
    DropPath,
    FastViTLayer,
    InferenceForm,
    LayerNorm,
    LayerScale,
    MobileOneBlock,
    SqueezeExcite,
    affine_of,
    chain,
    float64,
    kernel_of,
    learns,
    register,
    residual,
)
from keras_fastvit.architecture.variants import BATCH_NORM, LAYER_NORM

HEAD_DIM = 32


@register
class Downsample(FastViTLayer):
    """Halves height and width: a large depthwise kernel -> SE? -> GELU?, then 1x1 and GELU.

    Training form: `pointwise(gelu(large_se(large_conv(x) + small_conv(x))))`, depthwise 7x7 and
    3x3, each with a batch normalisation; inference form: a depthwise 7x7 convolution, SE and GELU
    if there are any, a 1x1 convolution, GELU.

    Args:
        filters: Output channels, a multiple of the input's.
        squeeze_excite: Whether channel attention follows the large kernel.
        activation: Whether GELU does, behind the channel attention.
    """

    config_names = ("filters", "squeeze_excite", "activation")

    def __init__(
        self,
        filters: int,
        squeeze_excite: bool = False,
        activation: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.squeeze_excite = squeeze_excite
        self.activation = activation

    def build(self, input_shape: Any) -> None:
        self.large_conv = ConvBN(self.filters, 7, 2, depthwise=True, **self._like("large_conv"))
        self.small_conv = ConvBN(self.filters, 3, 2, depthwise=True, **self._like("small_conv"))
        self.pointwise = MobileOneBlock(self.filters, 1, **self._like("pointwise"))
        self.large_conv.build(input_shape)
        self.small_conv.build(input_shape)
        self.pointwise.build(self.compute_output_shape(input_shape))
        self.large_se = None
        if self.squeeze_excite:
            self.large_se = SqueezeExcite(DOWNSAMPLE_SE_RATIO, **self._like("large_se"))
            self.large_se.build(self.compute_output_shape(input_shape))

    def call(self, x: Any, training: bool | None = None) -> Any:
        y = self.large_conv(x, training=training) + self.small_conv(x, training=training)
        if self.large_se is not None:
            y = self.large_se(y)
        if self.activation:
            y = keras.activations.gelu(y)
        return self.pointwise(y, training=training)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self._map_shape(input_shape, self.filters, strides=2)

    def _inference_form(self) -> InferenceForm:
        parts = (self.large_conv, self.small_conv)
        both = fusion.sum_branches(*(part.folded() for part in parts))
        forms = [
            self._folded_conv(both, depthwise=True, strides=2, suffix="large_conv", parts=parts)
        ]
        if self.large_se is not None:
            forms.append(self.large_se.fuse())
        if self.activation:
            forms.append(self._gelu())
        return chain(*forms, self.pointwise.fuse())


@register
class RepMixer(FastViTLayer):
    """The token mixer `x + layer_scale * (mixer(x) - norm(x))` (paper, section 3.2).

    `mixer` is a depthwise MobileOne block without activation, `norm` a bare batch normalisation.
    Inference form: one depthwise convolution.
    """

    config_names = ("kernel_size", "layer_scale_init_value")

    def __init__(
        self, kernel_size: int = 3, layer_scale_init_value: float = 1e-5, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.kernel_size = kernel_size
        self.layer_scale_init_value = layer_scale_init_value

    def build(self, input_shape: Any) -> None:
        self.mixer = MobileOneBlock(
            self._channels(input_shape),
            self.kernel_size,
            depthwise=True,
            activation=False,
            **self._like("mixer"),
        )
        self.norm = self._batch_norm("norm")
        self.layer_scale = LayerScale(self.layer_scale_init_value, **self._like("layer_scale"))
        for layer in (self.mixer, self.norm, self.layer_scale):
            layer.build(input_shape)

    def call(self, x: Any, training: bool | None = None) -> Any:
        mixed = self.mixer(x, training=training) - self.norm(x, training=training)
        return x + self.layer_scale(mixed)

    def _inference_form(self) -> InferenceForm:
        folded = fusion.rep_mixer(
            self.mixer.folded(), affine_of(self.norm), self.layer_scale.folded()
        )
        return self._folded_conv(folded, depthwise=True)


@register
class ConvFFN(FastViTLayer):
    """`fc2(gelu(fc1(batch_norm(conv(x)))))`: a depthwise 7x7, then two 1x1 convolutions with bias.

    Inference form: the same three convolutions, the batch normalisation folded into the first.

    Args:
        hidden_filters: Channels between the 1x1 convolutions.
    """

    config_names = ("hidden_filters",)

    def __init__(self, hidden_filters: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hidden_filters = hidden_filters

    def build(self, input_shape: Any) -> None:
        channels = self._channels(input_shape)
        hidden_shape = self._map_shape(input_shape, self.hidden_filters)
        init = {"kernel_initializer": keras.initializers.RandomNormal(stddev=KERNEL_STDDEV)}
        self.conv = ConvBN(
            channels, 7, depthwise=True, kernel_stddev=KERNEL_STDDEV, **self._like("conv")
        )
        self.fc1 = layers.Conv2D(self.hidden_filters, 1, **init, **self._like("fc1"))
        self.fc2 = layers.Conv2D(channels, 1, **init, **self._like("fc2"))
        self.conv.build(input_shape)
        self.fc1.build(input_shape)
        self.fc2.build(hidden_shape)

    def call(self, x: Any, training: bool | None = None) -> Any:
        return self.fc2(keras.activations.gelu(self.fc1(self.conv(x, training=training))))

    def _inference_form(self) -> InferenceForm:
        return self.scaled_inference_form(None)

    def scaled_inference_form(self, layer_scale: LayerScale | None) -> InferenceForm:
        """The inference form of `layer_scale(self(x))`, the factor folded into `fc2`."""
        fc1, fc2 = kernel_of(self.fc1), kernel_of(self.fc2)
        if layer_scale is not None:
            fc2 = fusion.scale_outputs(fc2, layer_scale.folded())
        return chain(
            self.conv.fuse(),
            self._folded_conv(fc1, depthwise=False, suffix="fc1", parts=(self.fc1,)),
            self._gelu(),
            self._folded_conv(fc2, depthwise=False, suffix="fc2", parts=(self.fc2, layer_scale)),
        )


@register
class RepMixerBlock(FastViTLayer):
    """`y = token_mixer(x); y + drop_path(layer_scale * mlp(y))`.

    Inference form: four convolutions, GELU and one addition.

    Args:
        mlp_ratio: Hidden channels of the ConvFFN over the input's.
        drop_path_rate: Share of the samples whose ConvFFN is dropped in training.
        layer_scale_init_value: Initial value of both layer scales.
    """

    config_names = ("mlp_ratio", "drop_path_rate", "layer_scale_init_value")

    def __init__(
        self,
        mlp_ratio: float = 4,
        drop_path_rate: float = 0.0,
        layer_scale_init_value: float = 1e-5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.mlp_ratio = mlp_ratio
        self.drop_path_rate = drop_path_rate
        self.layer_scale_init_value = layer_scale_init_value

    def build(self, input_shape: Any) -> None:
        scale = self.layer_scale_init_value
        hidden = int(self._channels(input_shape) * self.mlp_ratio)
        self.token_mixer = RepMixer(layer_scale_init_value=scale, **self._like("token_mixer"))
        self.mlp = ConvFFN(hidden, **self._like("mlp"))
        self.layer_scale = LayerScale(scale, **self._like("layer_scale"))
        self.drop_path = DropPath(self.drop_path_rate, **self._inherited("drop_path"))
        for layer in (self.token_mixer, self.mlp, self.layer_scale):
            layer.build(input_shape)

    def call(self, x: Any, training: bool | None = None) -> Any:
        x = self.token_mixer(x, training=training)
        y = self.layer_scale(self.mlp(x, training=training))
        return x + self.drop_path(y, training=training)

    def _inference_form(self) -> InferenceForm:
        mlp = self.mlp.scaled_inference_form(self.layer_scale)
        return chain(self.token_mixer.fuse(), residual(mlp))


@register
class Attention(FastViTLayer):
    """Multi-head self-attention over all pixels: `proj(softmax(q @ k^T / sqrt(32)) @ v)`.

    `qkv` has no bias; heads have 32 channels. Inference form: query, key and value are separate
    projections, the scale is folded into the query.
    """

    def build(self, input_shape: Any) -> None:
        channels = self._channels(input_shape)
        if channels % HEAD_DIM:
            raise ValueError(
                f"Attention layer '{self.name}' needs channels that are a multiple of {HEAD_DIM}. "
                f"Received: input_shape={input_shape}"
            )
        init = {"kernel_initializer": keras.initializers.RandomNormal(stddev=KERNEL_STDDEV)}
        self.qkv = layers.Dense(3 * channels, use_bias=False, **init, **self._inherited("qkv"))
        self.proj = layers.Dense(channels, **init, **self._inherited("proj"))
        self.qkv.build((None, None, channels))
        self.proj.build((None, None, channels))

    def call(self, x: Any) -> Any:
        if self.data_format == "channels_first":
            return ops.moveaxis(self._attend(ops.moveaxis(x, 1, -1)), -1, 1)
        return self._attend(x)

    def _attend(self, x: Any) -> Any:
        batch, height, width, channels = ops.shape(x)
        qkv = self.qkv(ops.reshape(x, (batch, height * width, channels)))
        qkv = ops.reshape(qkv, (batch, height * width, 3, channels // HEAD_DIM, HEAD_DIM))
        query, key, value = qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2]
        # Not `ops.dot_product_attention`: JAX has it in bfloat16 and float32 only on CPUs.
        logits = ops.einsum("bqnd,bknd->bnqk", query * HEAD_DIM**-0.5, key)
        # A softmax; `ops.softmax` warns of the single pixel that an image of 32×32 leaves here.
        weights = ops.exp(logits - ops.logsumexp(logits, axis=-1, keepdims=True))
        y = ops.einsum("bnqk,bknd->bqnd", weights, value)
        return self.proj(ops.reshape(y, (batch, height, width, channels)))

    def _inference_form(self) -> InferenceForm:
        return self.folded_inference_form(None, None)

    def folded_inference_form(
        self, norm: LayerNorm | layers.BatchNormalization | None, layer_scale: LayerScale | None
    ) -> InferenceForm:
        """The inference form of `layer_scale(self(norm(x)))`; of a `LayerNorm` its affine part.

        Written without a reshape back to height and width, so that these may be unknown: the
        query keeps both axes, key and value have one axis of tokens.
        """
        channels = self.proj.units
        ones, zeros = np.ones(channels), np.zeros(channels)
        if norm is None:
            affine = Affine(ones, zeros)
        else:
            affine = norm.folded() if isinstance(norm, LayerNorm) else affine_of(norm)
        factors = ones if layer_scale is None else layer_scale.folded()
        folded = fusion.attention(
            affine, float64(self.qkv.kernel), kernel_of(self.proj), factors, HEAD_DIM
        )
        to_qkv = {"trainable": learns(norm, self.qkv)}
        from_heads = {"trainable": learns(self.proj, layer_scale)}
        heads = (channels // HEAD_DIM, HEAD_DIM)
        last = self.data_format == "channels_last"
        image = self._shape_of(channels)
        flat = (None, None, channels) if last else (None, channels, None)
        pixels, tokens = ("bhwc", "bkc") if last else ("bchw", "bck")

        flatten = layers.Reshape(
            (-1, channels) if last else (channels, -1),
            **self._inherited(self._inference_name("tokens")),
        )
        mixed = (None, None, None, *heads)
        query = self._einsum(f"{pixels},cnd->bhwnd", image, mixed, "query", *folded.query, **to_qkv)
        key, value = (
            self._einsum(f"{tokens},cnd->bknd", flat, (None, None, *heads), suffix, x, **to_qkv)
            for suffix, x in (("key", folded.key), ("value", folded.value))
        )
        proj = self._einsum(
            f"bhwnd,ndc->{pixels}", mixed, image, "proj", *folded.projection, **from_heads
        )

        def attend(x: Any) -> Any:
            x_flat = flatten(x)
            weights = ops.softmax(ops.einsum("bhwnd,bknd->bnhwk", query(x), key(x_flat)))
            return proj(ops.einsum("bnhwk,bknd->bhwnd", weights, value(x_flat)))

        return attend

    def _einsum(
        self,
        equation: str,
        input_shape: tuple[int | None, ...],
        output_shape: tuple[int | None, ...],
        suffix: str,
        *weights: Array,
        trainable: bool,
    ) -> layers.EinsumDense:
        """A dense layer that holds a folded kernel and perhaps a bias of the output's channels."""
        kernel_axes, output_axes = equation.split(",")[1].split("->")
        layer = layers.EinsumDense(
            equation,
            output_shape[1:],
            bias_axes="".join(a for a in kernel_axes if a in output_axes) if weights[1:] else None,
            **{**self._inherited(self._inference_name(suffix)), "trainable": trainable},
        )
        layer.build(input_shape)
        layer.set_weights([w.reshape(v.shape) for w, v in zip(weights, layer.weights, strict=True)])
        return layer


@register
class AttentionBlock(FastViTLayer):
    """`y = x + drop_path(layer_scale_1 * token_mixer(norm(x)))`, then `+ layer_scale_2 * mlp(y)`.

    In inference form a batch normalisation is gone; of a layer normalisation, whose affine part
    folds too, the bare normalisation is left.

    Args:
        mlp_ratio: Hidden channels of the ConvFFN over the input's.
        drop_path_rate: Share of the samples whose branch is dropped in training.
        layer_scale_init_value: Initial value of both layer scales.
        norm_type: `"batch_norm"` or `"layer_norm"`, over channels.
    """

    config_names = ("mlp_ratio", "drop_path_rate", "layer_scale_init_value", "norm_type")

    def __init__(
        self,
        mlp_ratio: float = 4,
        drop_path_rate: float = 0.0,
        layer_scale_init_value: float = 1e-5,
        norm_type: str = BATCH_NORM,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if norm_type not in (BATCH_NORM, LAYER_NORM):
            raise ValueError(
                f"Invalid `norm_type`. Expected '{BATCH_NORM}' or '{LAYER_NORM}'. "
                f"Received: norm_type={norm_type!r}"
            )
        self.mlp_ratio = mlp_ratio
        self.drop_path_rate = drop_path_rate
        self.layer_scale_init_value = layer_scale_init_value
        self.norm_type = norm_type

    def build(self, input_shape: Any) -> None:
        scale, rate = self.layer_scale_init_value, self.drop_path_rate
        hidden = int(self._channels(input_shape) * self.mlp_ratio)
        self.norm = (
            LayerNorm(**self._like("norm"))
            if self.norm_type == LAYER_NORM
            else self._batch_norm("norm")
        )
        self.token_mixer = Attention(**self._like("token_mixer"))
        self.layer_scale_1 = LayerScale(scale, **self._like("layer_scale_1"))
        self.drop_path_1 = DropPath(rate, **self._inherited("drop_path_1"))
        self.mlp = ConvFFN(hidden, **self._like("mlp"))
        self.layer_scale_2 = LayerScale(scale, **self._like("layer_scale_2"))
        self.drop_path_2 = DropPath(rate, **self._inherited("drop_path_2"))
        for layer in (
            self.norm,
            self.token_mixer,
            self.layer_scale_1,
            self.mlp,
            self.layer_scale_2,
        ):
            layer.build(input_shape)

    def call(self, x: Any, training: bool | None = None) -> Any:
        y = self.layer_scale_1(self.token_mixer(self.norm(x, training=training)))
        x = x + self.drop_path_1(y, training=training)
        y = self.layer_scale_2(self.mlp(x, training=training))
        return x + self.drop_path_2(y, training=training)

    def _inference_form(self) -> InferenceForm:
        attention = self.token_mixer.folded_inference_form(self.norm, self.layer_scale_1)
        if self.norm_type == LAYER_NORM:
            attention = chain(self.norm.bare_inference_form(), attention)
        mlp = self.mlp.scaled_inference_form(self.layer_scale_2)
        return chain(residual(attention), residual(mlp))
