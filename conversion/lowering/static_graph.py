"""The graph that lowering starts from: flat, for one image of one size, each operation named."""

import functools
import inspect
import re
from typing import Any

import keras
import numpy as np
from keras import layers, ops, tree

from keras_fastvit.conversion.lowering.exportable import check_layers
from keras_fastvit.conversion.operations import known
from keras_fastvit.graph.keras_internals import Functional, calls_made_of
from keras_fastvit.graph.rewriting import (
    GraphRewriter,
    copy_of,
    copy_state,
    graph_of,
    infer,
    last_activation,
    linear_copy,
    origin,
)


def static_graph(
    model: keras.Model, image_size: int | tuple[int, int] | None = None
) -> keras.Model:
    """Returns a model on an input `(1, height, width, channels)`, without nested models.

    Functions of `keras.ops`, whose names Keras numbers from the start of the process, are named
    after the operation that their last operand comes from: `stage_0_block_0_mlp_fc2_add`.

    Args:
        model: A functional or Sequential model in inference form, with one image as its input.
        image_size: Side in pixels or `(height, width)`, for a model whose sides are None.

    Raises:
        ValueError: If the model has training forms, layers for channels first, more than one
            input, or no size that fits `image_size`.
    """
    flat = _StaticGraph(static_shape(model, image_size)).rewrite(model)
    _name_functions(flat)
    return flat


def static_shape(
    model: keras.Model, image_size: int | tuple[int, int] | None = None
) -> tuple[int, int, int, int]:
    """Returns the input's `(1, height, width, channels)`; see `static_graph`."""
    graph = graph_of(model)
    check_layers(model)
    received = [tuple(x.shape) for x in graph.inputs]
    if len(received) != 1 or len(received[0]) != 4 or received[0][3] is None:
        raise ValueError(
            "Only a model of one image `(batch, height, width, channels)` can be lowered. "
            f"Received: model '{model.name}' with inputs of shapes {received}"
        )
    batch, *own_sides, channels = received[0]
    sides = own_sides if image_size is None else _sides(image_size)
    fits = all(own in (None, side) for own, side in zip(own_sides, sides, strict=True))
    if None in sides or not fits or batch not in (None, 1):
        raise ValueError(
            "A model is lowered for one image of one size: its own, or `image_size` where its "
            f"sides are None. Received: image_size={image_size}, model '{model.name}' with an "
            f"input of shape {received[0]}"
        )
    return 1, *sides, channels


def _sides(image_size: int | tuple[int, int]) -> tuple[int, int]:
    sides = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise ValueError(
            "`image_size` must be a side in pixels or (height, width). "
            f"Received: image_size={image_size}"
        )
    return sides


class _StaticGraph(GraphRewriter):
    def __init__(self, shape: tuple[int, int, int, int]) -> None:
        super().__init__()
        self._shape = shape

    def input(self, x: Any) -> Any:
        return keras.Input(batch_shape=self._shape, dtype=x.dtype, name=x.name)

    def call(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if isinstance(operation, (Functional, keras.Sequential)):
            graph = graph_of(operation)
            inputs = filter(keras.backend.is_keras_tensor, tree.flatten((args, kwargs)))
            twins = {id(x): y for x, y in zip(graph.inputs, inputs, strict=True)}
            self.walk(graph, twins)
            return tree.map_structure(lambda x: twins[id(x)], graph.output)
        if known(operation).inert or _changes_nothing(operation, args[0]):
            return args[0]
        if isinstance(last_activation(operation), keras.Layer):
            return self._activated(operation, args, kwargs)
        pooling = next((new for old, new in _ADAPTIVE.items() if isinstance(operation, old)), None)
        if pooling is not None and (size := _windows(operation, args[0].shape)):
            policy = operation.dtype_policy
            make = functools.partial(pooling, size, name=operation.name, dtype=policy)
            return self.keep_name(self.form(make, operation, size))(*args)
        layer = self.form(lambda: _as_layer(operation), operation, "layer")
        if layer is not None:
            return self.keep_name(layer)(*args, **kwargs)
        return super().call(operation, args, kwargs)

    def _activated(self, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Calls a layer whose activation is a layer, then that one, which gets the name."""
        if not isinstance(layer, layers.Activation):
            linear = self.form(lambda: linear_copy(layer, f"{layer.name}_linear"), layer, "linear")
            args, kwargs = (linear(*args, **kwargs),), {}
        activation = layer.activation
        while isinstance(activation, layers.Activation):
            activation = activation.activation
        if _is_plain_relu(activation):
            activation = keras.activations.relu
        if not isinstance(activation, keras.Layer):
            activation = layers.Activation(activation, dtype=layer.dtype_policy)
        own = self.form(lambda: self.keep_name(copy_of(activation)), layer)
        own.name = layer.name
        output = own(*args, **kwargs)
        if activation.built:  # In an `Activation`, a layer is built when that is run.
            copy_state(activation, own)
        return output


def _changes_nothing(operation: Any, x: Any) -> bool:
    """Returns whether this gives `x` as it is: a resizing or cast to what it is, an augmentation.

    What a layer for augmentation does in inference is seen by calling it: a random flip does
    nothing, a random crop cuts or resizes.
    """
    resizes = isinstance(operation, layers.Resizing) or type(operation).__name__ == "Cast"
    if not resizes and not _augments(operation):
        return False
    for node in calls_made_of(operation):
        for old, new in zip(node.input_tensors, node.outputs, strict=True):
            if (old.shape, old.dtype) != (new.shape, new.dtype):
                return False
    if resizes:
        return True
    pixels = np.random.default_rng(0).uniform(-300, 300, x.shape).astype(x.dtype)
    # Of a copy: drawing random numbers changes the layer's state.
    result = infer(copy_of(operation), (pixels,), {})
    return np.array_equal(ops.convert_to_numpy(result), pixels)


def _augments(operation: Any) -> bool:
    """Returns whether this is one of Keras' layers that do something unless told not to train."""
    if not isinstance(operation, keras.Layer):
        return False
    training = inspect.signature(operation.call).parameters.get("training")
    return training is not None and training.default is True


_ADAPTIVE: dict[type, type] = {
    layers.AdaptiveAveragePooling2D: layers.AveragePooling2D,
    layers.AdaptiveMaxPooling2D: layers.MaxPooling2D,
}


def _windows(operation: Any, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Returns the sides of an adaptive pooling's windows; None where they are of several sizes."""
    pairs = list(zip(shape[1:3], operation.output_size, strict=True))
    return None if any(a % b for a, b in pairs) else tuple(a // b for a, b in pairs)


def _as_layer(operation: Any) -> keras.Layer | None:
    """Returns the layer for an operation that has one by which the rewrites and int8 know it."""
    kind, dtype = type(operation).__name__, calls_made_of(operation)[0].outputs[0].dtype
    if kind == "Concatenate" and not isinstance(operation, keras.Layer):
        return layers.Concatenate(operation.axis, name=operation.name, dtype=dtype)
    if _is_plain_relu(operation):
        return layers.Activation("relu", name=operation.name, dtype=dtype)
    return None


def _is_plain_relu(operation: Any) -> bool:
    """Returns whether this is a ReLU of `keras.ops`, of `keras.activations`, or a layer's."""
    bend = [getattr(operation, name, 0) for name in ("negative_slope", "threshold")]
    unbounded = getattr(operation, "max_value", None) is None
    return type(operation).__name__ in ("Relu", "ReLU") and unbounded and not any(bend)


def _name_functions(model: keras.Model) -> None:
    taken = {operation.name for operation in model.operations}
    for operation in model.operations:
        kind = type(operation).__name__.lower()
        named = re.sub(r"_\d+$", "", operation.name).replace("_", "") != kind
        if named or isinstance(operation, keras.Layer):
            continue
        source = origin(calls_made_of(operation)[0].input_tensors[-1])[0].name
        stem = name = f"{source}_{kind}"
        number = 1
        while name in taken:
            number += 1
            name = f"{stem}_{number}"
        operation.name = name
        taken.add(name)
