"""A lowered model as int8 computes it: one operation wherever LiteRT rounds, each with a name."""

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from keras_fastvit.graph.rewriting import GraphRewriter

GELU_SLOPE = 1.702
"""Of `x · sigmoid(1.702 x)`, which differs from GELU by 0.02 at most (arXiv 1606.08415)."""

GATE_SUFFIX, LINEAR_SUFFIX = "_gelu_gate", "_linear"

_FUSED = ("linear", "relu", "relu6")
"""Activations that a convolution of LiteRT's applies before it rounds."""


def int8_form(lowered: keras.Model, gelu: str) -> keras.Model:
    """Returns a model of whose operations each one's output is one int8 tensor in LiteRT.

    A layer that is called twice becomes two, as each of its outputs has a range of its own.

    An operation of the result that gives what one of the lowered model gives has its name.

    - `gelu="sigmoid"`: GELU becomes `u · sigmoid(u)`, to which the scales of its neighbours'
      weights (`channel_scales`) give `u = 1.702 x`: without them the result is not the model.
      XNNPACK has no int8 kernel for GELU, which cuts a model into pieces, but looks up a product
      of this kind in one table.
    - A sum or product of more than two tensors becomes several.
    - A convolution's activation that LiteRT does not fuse becomes an operation of its own.
    - A linear activation, which computes nothing, is left out.
    """
    return _Int8Form(gelu).rewrite(lowered)


def is_gelu_gate(operation: Any) -> bool:
    """Whether this is the sigmoid of an `u · sigmoid(u)` that stands for a GELU."""
    return isinstance(operation, layers.Activation) and GATE_SUFFIX in operation.name


def is_gelu(operation: Any) -> bool:
    """Whether this is a GELU as `fuse` writes it."""
    return (
        isinstance(operation, layers.Activation) and operation.activation is keras.activations.gelu
    )


def linear_copy(layer: Any, name: str) -> Any:
    """Returns a convolution or dense layer of the same weights that applies no activation."""
    linear = type(layer).from_config({**layer.get_config(), "activation": None, "name": name})
    linear.build(layer._inbound_nodes[0].input_tensors[0].shape)
    linear.set_weights(layer.get_weights())
    return linear


class _Int8Form(GraphRewriter):
    def __init__(self, gelu: str) -> None:
        super().__init__()
        self._gelu = gelu
        self._names: set[str] = set()

    def form(self, make: Callable[[], Any], *key: Any) -> Any:
        return make()

    def keep_name(self, operation: Any) -> Any:
        if operation.name in self._names:
            return operation
        self._names.add(operation.name)
        return super().keep_name(operation)

    def call(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        name = operation.name
        if is_gelu(operation) and self._gelu == "sigmoid":
            gate = self._activation("sigmoid", name + GATE_SUFFIX, operation)
            product = self.form(lambda: self.keep_name(layers.Multiply(name=name)), operation)
            return product([args[0], gate(args[0])])
        if isinstance(operation, layers.Activation):
            if operation.activation is keras.activations.linear:
                return args[0]
        elif isinstance(operation, (layers.Add, layers.Multiply)):
            total, *others = args[0]
            for number, x in enumerate(others[:-1]):
                partial = type(operation)(name=f"{name}_{number}")
                total = partial([total, x])
            args = ([total, *others[-1:]],)
        elif hasattr(operation, "kernel"):
            activation = keras.activations.serialize(operation.activation)
            if activation not in _FUSED:
                linear = self.form(
                    lambda: self.keep_name(linear_copy(operation, name + LINEAR_SUFFIX)), operation
                )
                return self._activation(activation, name, operation)(linear(*args, **kwargs))
        return super().call(operation, args, kwargs)

    def _activation(self, activation: Any, name: str, operation: Any) -> keras.Layer:
        return self.form(
            lambda: self.keep_name(layers.Activation(activation, name=name)), operation, "gate"
        )
