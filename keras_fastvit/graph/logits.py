"""A classifier's logits: the model without the softmax at its end."""

from typing import Any

import keras

from keras_fastvit.graph.keras_internals import Functional, Softmax
from keras_fastvit.graph.rewriting import graph_of, last_activation, linear_copy, origin


def to_logits(model: keras.Model) -> tuple[keras.Model, str]:
    """Takes the softmax off the end of a model, if its last operation is one over the classes.

    Who wants probabilities can compute them from the logits, which tell more: int8 has no room for
    probabilities, and gradients vanish where they are near 1.

    Returns:
        The model without it, which shares the other layers, and `"softmax"`; or the model itself
        and `"linear"`, as if it has several outputs.
    """
    graph = graph_of(model)
    if len(graph.outputs) > 1:
        return model, "linear"
    logits = _before_softmax(graph.outputs[0])
    if logits is None:
        return model, "linear"
    return keras.Model(graph.input, logits, name=model.name), "softmax"


def _before_softmax(output: Any) -> Any:
    """Returns the tensor whose softmax `output` is; None if there is none."""
    operation, node = origin(output)
    (args, kwargs) = node.arguments.args, node.arguments.kwargs
    if isinstance(operation, (keras.Sequential, Functional)):
        nested, activation = to_logits(operation)
        return nested(*args, **kwargs) if activation == "softmax" else None
    if isinstance(operation, (Softmax, keras.layers.Softmax)):
        last = operation.axis in (-1, len(output.shape) - 1)
        return args[0] if last and len(node.input_tensors) == 1 else None
    activation = last_activation(operation)
    if isinstance(activation, keras.layers.Softmax):
        if activation.axis not in (-1, len(output.shape) - 1):
            return None
    elif activation is not keras.activations.softmax:
        return None
    if isinstance(operation, keras.layers.Activation):
        return args[0]
    # A layer that does something else first, such as Dense.
    return linear_copy(operation, operation.name)(*args, **kwargs)
