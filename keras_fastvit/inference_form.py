"""`fuse(model)`: any functional model that contains FastViT layers, in its inference form."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import tree
from keras.src.models.functional import Functional

from keras_fastvit.layers import Dropout, FastViTLayer

_FUSIBLE = (FastViTLayer, Dropout)


def fuse(model: keras.Model) -> keras.Model:
    """Returns the inference form of a model: plain Keras layers only, all that folds folded.

    The model itself is left as it is. Layers that are not FastViT's are copied with their
    weights, and keep their names; what is shared in the model (a layer or a nested model that is
    called twice) is shared in the result. The result is not compiled.

    Args:
        model: A `FastViT`, or any functional or Sequential model; FastViT models and layers may
            be nested in it at any depth.

    Returns:
        A `keras.Model` with the same inputs and outputs. Saved as `.keras`, it loads without this
        package (unless the model has custom layers of the user's own). On the result of a
        `FastViT`, `pyramid_outputs` holds the stages' outputs.

    Raises:
        ValueError: If the model is subclassed, has not been built, or hides FastViT layers in a
            layer of another kind, so that there is no graph to rewrite.

    Example:
    >>> import keras, keras_fastvit
    >>> backbone = keras_fastvit.FastViTT8(weights=None, include_top=False, pooling="avg")
    >>> model = keras.Sequential([backbone, keras.layers.Dense(3)])
    >>> model.count_params() > keras_fastvit.fuse(model).count_params()
    True
    """
    return _GraphFuser().fuse(model)


class _GraphFuser:
    """Rebuilds graphs; one instance a call of `fuse`, so that what is shared stays shared."""

    def __init__(self) -> None:
        # Keyed by identity; the model that is being fused keeps the keys' objects alive.
        self._forms: dict[int, Any] = {}

    def fuse(self, model: keras.Model) -> keras.Model:
        graph = _graph_of(model)
        pyramid = dict(getattr(model, "pyramid_outputs", {}))
        twins = {id(x): _copy(x._keras_history.operation).output for x in graph.inputs}
        copied = list(twins.values())
        # The pyramid's outputs need not lie on the way to the model's.
        for node in _nodes(keras.Model(graph.inputs, [*graph.outputs, *pyramid.values()])):
            args, kwargs = node.arguments.fill_in(twins)
            outputs = tree.flatten(self._call(node.operation, args, kwargs))
            for old, new in zip(node.outputs, outputs, strict=True):
                twins[id(old)] = new
            if not isinstance(node.operation, _FUSIBLE):
                copied += outputs

        def twin(x: Any) -> Any:
            return twins[id(x)]

        _make_names_unique([twin(x) for x in graph.outputs], copied)
        fused = keras.Model(
            tree.map_structure(twin, graph.input),
            tree.map_structure(twin, graph.output),
            name=model.name,
        )
        if pyramid:
            set_pyramid_outputs(fused, tree.map_structure(twin, pyramid))
        return fused

    def _call(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if isinstance(operation, _FUSIBLE):
            # Its tensor alone, without `training`: the inference form has one behaviour.
            (x,) = filter(keras.backend.is_keras_tensor, tree.flatten((args, kwargs)))
            return self._form(operation, operation.fuse)(x)
        if isinstance(operation, (Functional, keras.Sequential)):
            return self._form(operation, lambda: self.fuse(operation))(*args, **kwargs)
        copy = self._form(operation, lambda: _copy(operation))
        outputs = copy(*args, **kwargs)
        if isinstance(operation, keras.Layer):
            _copy_state(operation, copy)
        return outputs

    def _form(self, operation: Any, make: Callable[[], Any]) -> Any:
        if id(operation) not in self._forms:
            self._forms[id(operation)] = make()
        return self._forms[id(operation)]


def set_pyramid_outputs(model: keras.Model, outputs: dict[str, Any]) -> None:
    """Sets `model.pyramid_outputs` to a plain dict, which Keras does not track."""
    object.__setattr__(model, "pyramid_outputs", outputs)


def _graph_of(model: Any) -> Functional:
    if isinstance(model, keras.Sequential):
        if not model.built:
            raise ValueError(
                "A Sequential model must be built before it is fused. Give it a `keras.Input`, "
                f"or call it on data once. Received: model '{model.name}', not built"
            )
        (inputs,), outputs = model.inputs, model.outputs
        return keras.Model(inputs, outputs[0] if len(outputs) == 1 else outputs)
    if not isinstance(model, Functional) or type(model).call is not Functional.call:
        raise ValueError(
            "Only functional and Sequential models can be fused: another model has no graph to "
            "rewrite. Fuse the functional models inside it one by one. "
            f"Received: {getattr(model, 'name', model)!r} of type {type(model).__name__}"
        )
    return model


def _nodes(graph: Functional) -> Iterator[Any]:
    """The calls in the graph, inputs left out, each after those that it depends on."""
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in graph._nodes_by_depth[depth]:
            if not node.is_input:
                yield node


def _make_names_unique(outputs: list[Any], copied: list[Any]) -> None:
    """Renames what fusing has made where its name is taken, which Keras refuses in one graph.

    Copies keep the user's names. These can be Keras' automatic ones, which start anew in each
    process: a model that was loaded may hold an `add_1` as old as the one made here.
    """
    copies = {id(operation): operation for operation, _ in map(_origin, copied)}
    taken = {operation.name for operation in copies.values()}
    seen = set(copies)
    for operation in _operations(outputs):
        if id(operation) not in seen:
            seen.add(id(operation))
            name, number = operation.name, 0
            while operation.name in taken:
                number += 1
                operation.name = f"{name}_{number}"
            taken.add(operation.name)


def _operations(outputs: list[Any]) -> Iterator[Any]:
    """What computes the tensors, from the last operation to the first, some more than once."""
    seen, waiting = set(), list(outputs)
    while waiting:
        operation, node = _origin(waiting.pop())
        if id(node) not in seen:
            seen.add(id(node))
            waiting += node.input_tensors
            yield operation


def _origin(x: Any) -> tuple[Any, Any]:
    """The operation that made a `KerasTensor`, and the call of it that did."""
    operation, node_index, _ = x._keras_history
    return operation, operation._inbound_nodes[node_index]


def _copy(operation: Any) -> Any:
    if isinstance(operation, keras.Layer) and any(
        isinstance(layer, _FUSIBLE) for layer in operation._flatten_layers(include_self=False)
    ):
        raise ValueError(
            "FastViT layers inside another layer cannot be fused: its code, not the graph, says "
            "how they are called. Call them in the functional graph. "
            f"Received: layer '{operation.name}' of type {type(operation).__name__}"
        )
    if isinstance(operation, keras.layers.Lambda):
        # A function need not survive serialisation: the copy calls the same one.
        return keras.layers.Lambda(
            operation.function,
            output_shape=operation._output_shape,
            mask=operation.mask,
            arguments=operation.arguments,
            **keras.Layer.get_config(operation),
        )
    return type(operation).from_config(operation.get_config())


def _copy_state(layer: keras.Layer, copy: keras.Layer) -> None:
    # By each layer's own protocol, as what a layer computes from its weights (the mean of a
    # `Normalization`) must follow them.
    pairs = zip(layer._flatten_layers(), copy._flatten_layers(), strict=True)
    for old, new in pairs:
        state: dict[str, Any] = {}
        old.save_own_variables(state)
        # Through NumPy: JAX's arrays would be shared, and `fit` of one model frees the other's.
        new.load_own_variables({name: np.array(x) for name, x in state.items()})
