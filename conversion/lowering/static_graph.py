"""The graph that lowering starts from: flat, for one image of one size, each operation named."""

import re
from typing import Any

import keras
from keras import layers, tree

from keras_fastvit.conversion.lowering.exportable import check_layers
from keras_fastvit.conversion.operations import known
from keras_fastvit.graph.keras_internals import Functional, calls_made_of
from keras_fastvit.graph.rewriting import GraphRewriter, graph_of, origin


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
        if known(operation).inert or _changes_nothing(operation):
            return args[0]
        layer = self.form(lambda: _as_layer(operation), operation, "layer")
        if layer is not None:
            return self.keep_name(layer)(*args, **kwargs)
        return super().call(operation, args, kwargs)


def _changes_nothing(operation: Any) -> bool:
    """Returns whether this resizes to the size that the map has, or casts to its own type."""
    if not isinstance(operation, layers.Resizing) and type(operation).__name__ != "Cast":
        return False
    return all(
        (x.shape, x.dtype) == (y.shape, y.dtype)
        for node in calls_made_of(operation)
        for x, y in zip(node.input_tensors, node.outputs, strict=True)
    )


def _as_layer(operation: Any) -> keras.Layer | None:
    """Returns the layer for an operation that has one by which the rewrites and int8 know it."""
    kind, dtype = type(operation).__name__, calls_made_of(operation)[0].outputs[0].dtype
    if kind == "Concatenate" and not isinstance(operation, keras.Layer):
        return layers.Concatenate(operation.axis, name=operation.name, dtype=dtype)
    # Of `keras.ops`, of `keras.activations`, or a layer.
    if kind in ("Relu", "ReLU"):
        bend = [getattr(operation, name, 0) for name in ("negative_slope", "threshold")]
        if not any(bend) and getattr(operation, "max_value", None) is None:
            return layers.Activation("relu", name=operation.name, dtype=dtype)
    return None


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
