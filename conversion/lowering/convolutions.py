"""Helpers of the rewrites: a layer's weights, and copies of a layer that hold others."""

from typing import Any

import keras
from keras import ops

from keras_fastvit.arrays import Array


def weights_of(layer: keras.Layer) -> tuple[Array, Array | None]:
    """Returns the kernel and, if the layer has one, the bias of a convolution or dense layer."""
    bias = ops.convert_to_numpy(layer.bias) if layer.use_bias else None
    return ops.convert_to_numpy(layer.kernel), bias


def with_weights(
    layer: keras.Layer, name: str, kernel: Array, bias: Array | None, **config: Any
) -> keras.Layer:
    """Returns a layer like this convolution or dense layer, channels last, with other weights.

    Args:
        layer: The layer whose configuration and dtype policy the new one has.
        name: Of the new layer.
        kernel: Its kernel.
        bias: Its bias; if None, it has none.
        config: What else differs in the configuration.
    """
    config = {**layer.get_config(), "name": name, "use_bias": bias is not None, **config}
    new = type(layer).from_config(config)
    inputs = kernel.shape[-2] * getattr(layer, "groups", 1)
    new.build((None, inputs) if isinstance(layer, keras.layers.Dense) else (1, None, None, inputs))
    new.set_weights([kernel] if bias is None else [kernel, bias])
    return new


def is_depthwise(operation: Any, **attributes: Any) -> bool:
    """Returns whether this is a depthwise convolution with these attributes, not dilated.

    One with an activation of its own is none of those that the rewrites are for: FastViT has
    none, and a sum of parts would need it after the sum.
    """
    if not isinstance(operation, keras.layers.DepthwiseConv2D):
        return False
    attributes |= {"dilation_rate": (1, 1), "activation": keras.activations.linear}
    return all(getattr(operation, name) == value for name, value in attributes.items())
