"""A lowered model as int8 computes it: one operation wherever LiteRT rounds, each with a name."""

import math
from collections.abc import Callable, Collection
from typing import Any

import keras
from keras import layers, tree
from keras.initializers import Constant

from keras_fastvit.conversion.operations import known
from keras_fastvit.graph.keras_internals import Gelu
from keras_fastvit.graph.rewriting import GraphRewriter, infer, last_activation, linear_copy, origin

GELU_SLOPE = 1.702
"""Of `x · sigmoid(1.702 x)`, which differs from GELU by 0.02 at most (arXiv 1606.08415)."""

GATE_SUFFIX, PRODUCT_SUFFIX = "_gelu_gate", "_gelu_product"


def int8_form(lowered: keras.Model, gelu: str, scaled: Collection[str] = ()) -> keras.Model:
    """Returns a model of whose operations each one's output is one int8 tensor in LiteRT.

    A layer that is called twice becomes two, as each of its outputs has a range of its own.

    An operation of the result that gives what one of the lowered model gives has its name.

    - `gelu="sigmoid"`: GELU becomes `u · sigmoid(u)`, to which the scales of its neighbours'
      weights (`channel_scales`) give `u = 1.702 x`: without them the result is not the model.
      XNNPACK has no int8 kernel for GELU, which cuts a model into pieces, but looks up a product
      of this kind in one table. Where no weights beside it can take up its factor, an identity is
      put there whose weights can: a depthwise 1×1 convolution of ones.
    - A mean of pixels becomes a depthwise convolution, for which XNNPACK has an int8 kernel.
    - A sum or product of more than two tensors becomes several.
    - A convolution's activation that LiteRT does not fuse becomes an operation of its own.
    - An operation with several outputs becomes one for each.
    - A linear activation, which computes nothing, is left out.

    Args:
        lowered: See `lower`; it is left as it is.
        gelu: `"sigmoid"` or `"operator"`.
        scaled: Between which tensors and their GELU's gate or product an identity is needed, of
            `channel_scales.without_weights`.
    """
    return _Int8Form(gelu, scaled).rewrite(lowered)


def is_gelu_gate(operation: Any) -> bool:
    """Returns whether this is the sigmoid of a `u · sigmoid(u)` that stands for a GELU."""
    return isinstance(operation, layers.Activation) and GATE_SUFFIX in operation.name


def is_gelu(operation: Any) -> bool:
    """Returns whether this is a GELU: exact, as `fuse` writes it, or by a tanh."""
    if isinstance(operation, layers.Activation):
        return operation.activation in (keras.activations.gelu, keras.ops.gelu)
    return isinstance(operation, Gelu)


class _Int8Form(GraphRewriter):
    def __init__(self, gelu: str, scaled: Collection[str]) -> None:
        super().__init__()
        self._gelu, self._scaled = gelu, scaled
        self._names: set[str] = set()

    def form(self, make: Callable[[], Any], *key: Any) -> Any:
        """Returns a new operation for every call, as the output of each has a range of its own."""
        return make()

    def keep_name(self, operation: Any) -> Any:
        if operation.name in self._names:
            return operation
        self._names.add(operation.name)
        return super().keep_name(operation)

    def call(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        name = operation.name
        if is_gelu(operation) and self._gelu == "sigmoid":
            return self._gated(args[0], name)
        if isinstance(operation, layers.Activation):
            if operation.activation is keras.activations.linear:
                return args[0]
        elif known(operation).pairwise:
            total, *others = args[0]
            for number, x in enumerate(others[:-1]):
                partial = type(operation)(name=f"{name}_{number}")
                total = partial([total, x])
            args = ([total, *others[-1:]],)
        elif _pools_whole_windows(operation, args[0]):
            (*_, stride) = operation.strides
            size = (*operation.pool_size, 1)[:2]
            shape = operation.compute_output_shape(args[0].shape)
            return self._means(args[0], name, shape, size, (stride, stride))
        elif (function := last_activation(operation)) is not None:
            activation = layers.Activation(function, name=name)
            if not known(activation).fused:
                linear = self.keep_name(linear_copy(operation, f"{name}_linear"))
                return self.call(activation, (linear(*args, **kwargs),), {})
        outputs = super().call(operation, args, kwargs)
        flat = tree.flatten(outputs)
        if len(flat) == 1:
            return outputs
        parts = [_Part(origin(flat[0])[0], i, f"{name}_{i}") for i in range(len(flat))]
        return tree.pack_sequence_as(outputs, [part(*args, **kwargs) for part in parts])

    def _gated(self, x: Any, name: str) -> Any:
        gate = self.keep_name(layers.Activation("sigmoid", name=name + GATE_SUFFIX))
        if gate.name in self._scaled:
            x = self._means(x, f"{name}_gelu_input", x.shape)
        if name not in self._scaled:
            return self.keep_name(layers.Multiply(name=name))([x, gate(x)])
        product = self.keep_name(layers.Multiply(name=name + PRODUCT_SUFFIX))
        return self._means(product([x, gate(x)]), name, x.shape)

    def _means(
        self, x: Any, name: str, shape: tuple[int, ...], size: Any = (1, 1), strides: Any = (1, 1)
    ) -> Any:
        """Returns the means of so many pixels, by weights a channel; of one pixel, that itself."""
        options = {"use_bias": False, "depthwise_initializer": Constant(1 / math.prod(size))}
        if len(x.shape) == 4:
            conv = layers.DepthwiseConv2D(size, strides, name=name, **options)
            return self.keep_name(conv)(x)
        as_map = layers.Reshape((-1, 1, x.shape[-1]), name=f"{name}_map")
        conv = layers.DepthwiseConv2D(size, strides, name=f"{name}_means", **options)
        back = layers.Reshape(shape[1:], name=name)
        return self.keep_name(back)(self.keep_name(conv)(self.keep_name(as_map)(x)))


class _Part(keras.Operation):
    """One of the outputs of an operation that has several."""

    def __init__(self, operation: Any, index: int, name: str) -> None:
        super().__init__(name=name)
        self.operation, self.index = operation, index

    def call(self, *args: Any, **kwargs: Any) -> Any:
        return tree.flatten(infer(self.operation, args, kwargs))[self.index]

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        return tree.flatten(self.operation.compute_output_spec(*args, **kwargs))[self.index]


def _pools_whole_windows(operation: Any, x: Any) -> bool:
    """Returns whether this is a mean of as many pixels everywhere, which a convolution can give."""
    if not isinstance(operation, (layers.AveragePooling1D, layers.AveragePooling2D)):
        return False
    windows = zip(x.shape[1:-1], operation.pool_size, operation.strides, strict=True)
    whole = all((-(-side // stride) - 1) * stride + size <= side for side, size, stride in windows)
    return len({*operation.strides}) == 1 and (operation.padding == "valid" or whole)
