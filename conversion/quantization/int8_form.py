"""A lowered model as int8 computes it: one operation wherever LiteRT rounds, each with a name."""

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from keras_fastvit.conversion.operations import known
from keras_fastvit.graph.keras_internals import calls_made_of
from keras_fastvit.graph.rewriting import GraphRewriter

GELU_SLOPE = 1.702
"""Of `x · sigmoid(1.702 x)`, which differs from GELU by 0.02 at most (arXiv 1606.08415)."""

GATE_SUFFIX, LINEAR_SUFFIX = "_gelu_gate", "_linear"


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
    """Returns whether this is the sigmoid of a `u · sigmoid(u)` that stands for a GELU."""
    return isinstance(operation, layers.Activation) and GATE_SUFFIX in operation.name


def is_gelu(operation: Any) -> bool:
    """Returns whether this is a GELU as `fuse` writes it."""
    return (
        isinstance(operation, layers.Activation) and operation.activation is keras.activations.gelu
    )


def linear_copy(layer: Any, name: str) -> Any:
    """Returns a convolution or dense layer of the same weights that applies no activation."""
    linear = type(layer).from_config({**layer.get_config(), "activation": None, "name": name})
    linear.build(calls_made_of(layer)[0].input_tensors[0].shape)
    linear.set_weights(layer.get_weights())
    return linear


class _Int8Form(GraphRewriter):
    def __init__(self, gelu: str) -> None:
        super().__init__()
        self._gelu = gelu
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
            gate = self.keep_name(layers.Activation("sigmoid", name=name + GATE_SUFFIX))
            product = self.keep_name(layers.Multiply(name=name))
            return product([args[0], gate(args[0])])
        if isinstance(operation, layers.Activation):
            if operation.activation is keras.activations.linear:
                return args[0]
        elif known(operation).pairwise:
            total, *others = args[0]
            for number, x in enumerate(others[:-1]):
                partial = type(operation)(name=f"{name}_{number}")
                total = partial([total, x])
            args = ([total, *others[-1:]],)
        elif hasattr(operation, "kernel"):
            activation = layers.Activation(operation.activation, name=name)
            if not known(activation).fused:
                linear = self.keep_name(linear_copy(operation, name + LINEAR_SUFFIX))
                return self.keep_name(activation)(linear(*args, **kwargs))
        return super().call(operation, args, kwargs)
