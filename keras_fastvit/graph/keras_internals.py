"""Keras' internals that this package needs: nothing else imports `keras.src`."""

from typing import Any

from keras.src.models.functional import Functional
from keras.src.ops.nn import Gelu, Softmax
from keras.src.ops.numpy import Einsum
from keras.src.saving import saving_lib

__all__ = [
    "Einsum",
    "Functional",
    "Gelu",
    "Softmax",
    "calls_made_of",
    "layers_within",
    "saving_lib",
]


def layers_within(layer: Any, include_self: bool = True, recursive: bool = True) -> list[Any]:
    """Returns a layer or model and all layers in it, at any depth or the uppermost alone."""
    return list(layer._flatten_layers(include_self, recursive))


def calls_made_of(operation: Any) -> list[Any]:
    """Returns the calls of an operation on tensors of a graph, each with its tensors."""
    return list(operation._inbound_nodes)
