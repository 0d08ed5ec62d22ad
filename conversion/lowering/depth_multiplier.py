"""Depthwise convolutions with several outputs a channel as convolutions with one."""

from typing import Any

import keras
import numpy as np
from keras import layers, ops, tree

from keras_fastvit.architecture.layers import InferenceForm, chain
from keras_fastvit.arrays import Array
from keras_fastvit.conversion.lowering.convolutions import (
    is_depthwise,
    weights_of,
    with_weights,
)
from keras_fastvit.conversion.operations import known
from keras_fastvit.graph.rewriting import GraphRewriter, copy_of, named, origin

_MIXING = (layers.Conv2D, layers.Dense)
"""Each output depends on all channels: the kernel can take these in any order."""


def split_depth_multipliers(model: keras.Model) -> keras.Model:
    """Makes a depthwise convolution of depth multiplier 2 one of multiplier 1 on its input twice.

    `conv(x)[2c + j] = conv'(concat([x, x]))[jC + c]` for C channels: the same outputs in another
    order. That order is passed on through layers that treat all channels alike (the activation,
    pooling, squeeze-and-excite's product) to the layer that mixes them, the rows of whose kernel
    are put in it; a tensor that is multiplied with it comes from a convolution whose outputs are
    put in it. Only what is an output of the model, or goes to a layer that is neither, is put
    back in order by `take`.

    Neither XNNPACK nor an NPU's compiler has a fast path for depth multipliers. Gain, measured in
    LiteRT on a head of 8×8×384, classifier included, one thread: 1.9 times as fast in float32
    (0.16 ms to 0.08), 4 times in int8 (0.13 to 0.03). Two convolutions on one input, concatenated,
    take as long there, but in the downsamplings, where each is a sum of three, up to 1.7 times as
    long as one on twice the channels.
    """
    return _SplitDepthMultipliers().rewrite(model)


class _SplitDepthMultipliers(GraphRewriter):
    def __init__(self) -> None:
        super().__init__()
        # Where a tensor's channels are from, by its identity; the tensor is kept alive.
        self._orders: dict[int, tuple[Any, Array]] = {}

    def call(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        inputs = [x for x in tree.flatten((args, kwargs)) if keras.backend.is_keras_tensor(x)]
        orders = [order for x in inputs if (order := self._order(x)) is not None]
        if orders and _mixes_channels(operation):
            (x,), (order,) = inputs, orders
            return self._reordered(operation, inputs=order)(x)
        if orders and _keeps_order(operation, inputs, orders):
            inputs = [self._put_in(orders[0], x) for x in inputs]
            outputs = super().call(operation, (inputs if len(inputs) > 1 else inputs[0],), {})
            return self._in_order(orders[0], outputs)
        args, kwargs = tree.map_structure(self.output, (args, kwargs))
        if is_depthwise(operation) and operation.depth_multiplier > 1:
            return self._split(operation, *args)
        return super().call(operation, args, kwargs)

    def output(self, x: Any) -> Any:
        order = self._order(x)
        if order is None:
            return x
        name = f"{origin(x)[0].name}_in_order"
        return named(ops.take(x, np.argsort(order).tolist(), axis=-1), name)

    def _split(self, conv: layers.DepthwiseConv2D, x: Any) -> Any:
        kernel, bias = weights_of(conv)
        channels, multiplier = kernel.shape[2:]
        order = np.arange(channels * multiplier).reshape(channels, multiplier).T.ravel()
        steps = []
        before, node = origin(x)
        if isinstance(before, layers.ZeroPadding2D):
            # Padding stays next to the convolution, which computes it in passing.
            (x,), steps = node.input_tensors, [copy_of(before)]

        def make() -> InferenceForm:
            repeat = layers.Concatenate(name=f"{conv.name}_repeat", dtype=conv.dtype_policy)
            single = with_weights(
                conv,
                conv.name,
                kernel.reshape(*kernel.shape[:2], -1)[..., order, None],
                None if bias is None else bias[order],
                depth_multiplier=1,
            )
            return chain(lambda x: repeat([x] * multiplier), *steps, single)

        return self._in_order(order, self.form(make, conv)(x))

    def _put_in(self, order: Array, x: Any) -> Any:
        if self._order(x) is not None:
            return x
        layer, node = origin(x)
        if _mixes_channels(layer):
            return self._reordered(layer, outputs=order)(*node.input_tensors)
        return named(ops.take(x, order.tolist(), axis=-1), f"{layer.name}_reordered")

    def _reordered(self, layer: keras.Layer, **orders: Array) -> keras.Layer:
        key = (layer, *((axis, order.tobytes()) for axis, order in orders.items()))
        return self.form(lambda: _reordered(layer, **orders), *key)

    def _order(self, x: Any) -> Array | None:
        return self._orders[id(x)][1] if id(x) in self._orders else None

    def _in_order(self, order: Array, x: Any) -> Any:
        self._orders[id(x)] = (x, order)
        return x


def _mixes_channels(operation: Any) -> bool:
    return isinstance(operation, _MIXING) and getattr(operation, "groups", 1) == 1


def _keeps_order(operation: Any, inputs: list[Any], orders: list[Array]) -> bool:
    channels = orders[0].size
    return (
        isinstance(operation, keras.Layer)
        and known(operation).channelwise
        and all(np.array_equal(order, orders[0]) for order in orders)
        and all(x.shape[-1] == channels for x in inputs)
    )


def _reordered(
    layer: keras.Layer, inputs: Any = slice(None), outputs: Any = slice(None)
) -> keras.Layer:
    kernel, bias = weights_of(layer)
    kernel = kernel[..., inputs, :][..., outputs]
    return with_weights(layer, layer.name, kernel, None if bias is None else bias[outputs])
