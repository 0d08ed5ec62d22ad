"""Keras' internals that this package needs: nothing else imports `keras.src`."""

import contextlib
from collections.abc import Iterator
from typing import Any

from keras.src.backend.common.global_state import get_global_attribute, set_global_attribute
from keras.src.backend.common.variables import Variable, initialize_all_variables
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
    "forget_variables_without_values",
    "initialize_all_variables",
    "layers_within",
    "saving_lib",
    "values_in_a_stateless_scope",
]


def layers_within(layer: Any, include_self: bool = True, recursive: bool = True) -> list[Any]:
    """Returns a layer or model and all layers in it, at any depth or the uppermost alone."""
    return list(layer._flatten_layers(include_self, recursive))


def calls_made_of(operation: Any) -> list[Any]:
    """Returns the calls of an operation on tensors of a graph, each with its tensors."""
    return list(operation._inbound_nodes)


def forget_variables_without_values() -> None:
    """Drops what a `keras.StatelessScope` has made, to which the next one would give memory."""
    set_global_attribute("uninitialized_variables", [])


@contextlib.contextmanager
def values_in_a_stateless_scope() -> Iterator[None]:
    """Lets variables be made of values in a `keras.StatelessScope`, which allows initializers only.

    An optimizer makes its learning rate so, and a task of KerasHub its optimizer, when it is made.
    """
    make = Variable.__init__

    def made(self: Any, initializer: Any, *args: Any, **kwargs: Any) -> None:
        scope = get_global_attribute("stateless_scope")
        if not callable(initializer):
            set_global_attribute("stateless_scope", None)
        try:
            make(self, initializer, *args, **kwargs)
        finally:
            set_global_attribute("stateless_scope", scope)

    Variable.__init__ = made
    try:
        yield
    finally:
        Variable.__init__ = make
