"""Rebuilds a functional model's graph, call by call: what `fuse` and the lowering share."""

import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from keras_fastvit.graph.keras_internals import Functional, calls_made_of, layers_within


class GraphRewriter:
    """Copies a graph; subclasses say which calls become something else.

    One instance a rewriting, so that what is shared in a graph (a layer or a nested model that is
    called twice) stays shared. Copies have the weights and the names of their originals; what a
    subclass makes is renamed where its name is taken, which Keras refuses in one graph.
    """

    def __init__(self) -> None:
        self._forms: dict[tuple[Any, ...], Any] = {}
        self._kept_names: dict[int, Any] = {}

    def rewrite(self, model: keras.Model) -> keras.Model:
        """Returns a functional or Sequential model, rewritten; the model is left as it is.

        Raises:
            ValueError: If the model is of another kind, or has not been built.
        """
        return self.rebuild(graph_of(model), model.name)[0]

    def rebuild(
        self, graph: Functional, name: str, further: Iterable[Any] = ()
    ) -> tuple[keras.Model, dict[int, Any]]:
        """Rebuilds a graph on inputs of its own.

        Args:
            graph: What to rebuild.
            name: Of the result.
            further: Tensors to rebuild too, which need not lie on the way to the outputs.

        Returns:
            The new model, and what has taken the place of each tensor, by the tensor's identity.
        """
        twins = {id(x): self.input(x) for x in graph.inputs}
        outputs = [*graph.outputs, *further]
        self.walk(keras.Model(graph.inputs, outputs), twins)
        twins |= {id(x): self.output(twins[id(x)]) for x in outputs}
        self._make_names_unique([twins[id(x)] for x in outputs])
        inputs, outputs = tree.map_structure(lambda x: twins[id(x)], (graph.input, graph.output))
        return _model_like(graph, inputs, outputs, name=name), twins

    def walk(self, graph: Functional, twins: dict[int, Any]) -> None:
        """Makes a graph's calls anew; `twins` has its inputs, the results are added to it."""
        for node in calls_of(graph):
            args, kwargs = _first_in_place(node.operation, *node.arguments.fill_in(twins))
            outputs = tree.flatten(self.call(node.operation, args, kwargs))
            for old, new in zip(node.outputs, outputs, strict=True):
                twins[id(old)] = new

    def input(self, x: Any) -> Any:
        """Returns the input that takes the place of one."""
        return self.keep_name(copy_of(origin(x)[0])).output

    def output(self, x: Any) -> Any:
        """Returns what the new model gives where it has computed `x` for an output."""
        return x

    def call(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Returns what takes the place of `operation(*args, **kwargs)`: here a copy's outputs."""
        copy = self.form(lambda: self.keep_name(copy_of(operation)), operation)
        outputs = copy(*args, **kwargs)
        if isinstance(operation, keras.Layer):
            copy_state(operation, copy)
        return outputs

    def form(self, make: Callable[[], Any], *key: Any) -> Any:
        """Returns what was made for this key (an operation, mostly); makes it the first time."""
        if key not in self._forms:
            self._forms[key] = make()
        return self._forms[key]

    def keep_name(self, operation: Any) -> Any:
        """Returns the operation, which will not be renamed."""
        self._kept_names[id(operation)] = operation
        return operation

    def _make_names_unique(self, outputs: list[Any]) -> None:
        # Copies keep the user's names. These can be Keras' automatic ones, which start anew in
        # each process: a model that was loaded may hold an `add_1` as old as the one made here.
        operations = {id(operation): operation for operation in operations_of(outputs)}
        taken = {x.name for key, x in operations.items() if key in self._kept_names}
        for key, operation in operations.items():
            if key not in self._kept_names:
                name, number = operation.name, 0
                while operation.name in taken:
                    number += 1
                    operation.name = f"{name}_{number}"
                taken.add(operation.name)


def _first_in_place(
    operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Returns arguments whose first is in its place, though it was given by its name."""
    if args:
        return args, kwargs
    first = next(iter(inspect.signature(operation.call).parameters))
    return (kwargs[first],), {name: x for name, x in kwargs.items() if name != first}


def graph_of(model: Any) -> Functional:
    """Returns the graph of a functional or Sequential model.

    Raises:
        ValueError: If the model is of another kind, or has not been built.
    """
    if isinstance(model, keras.Sequential):
        if not model.built:
            raise ValueError(
                "A Sequential model must be built before it is rewritten. Give it a "
                "`keras.Input`, or call it on data once. "
                f"Received: model '{model.name}', not built"
            )
        (inputs,), outputs = model.inputs, model.outputs
        return _model_like(model, inputs, outputs[0] if len(outputs) == 1 else outputs)
    if not isinstance(model, Functional) or type(model).call is not Functional.call:
        raise ValueError(
            "Only functional and Sequential models can be rewritten: another model has no graph "
            "to rewrite. Take the functional models inside it one by one. "
            f"Received: {getattr(model, 'name', model)!r} of type {type(model).__name__}"
        )
    return model


def _model_like(model: keras.Model, inputs: Any, outputs: Any, **kwargs: Any) -> Functional:
    # Its own `trainable` only: the layers have theirs.
    copy = keras.Model(inputs, outputs, trainable=model.trainable, **kwargs)
    copy.dtype_policy = model.dtype_policy
    return copy


def origin(x: Any) -> tuple[Any, Any]:
    """The operation that made a `KerasTensor`, and the call of it that did."""
    operation, node_index, _ = x._keras_history
    return operation, operation._inbound_nodes[node_index]


def named(x: Any, name: str) -> Any:
    """Names the operation that made a `KerasTensor`; returns the tensor.

    For functions of `keras.ops`, which take no name.
    """
    origin(x)[0].name = name
    return x


def infer(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Calls an operation as a model of it does that is called with `training=False`."""
    if getattr(operation, "_call_has_training_arg", False):
        kwargs = {**kwargs, "training": False}
    return operation(*args, **kwargs)


def copy_of(operation: Any) -> Any:
    """Returns an operation like this one, a layer without its weights, and without LoRA.

    `copy_state` adds LoRA's product to the kernel, as Keras does in files. Beside that, its factors
    would be zeros that no training moves.

    Raises:
        ValueError: If it cannot be made anew from its configuration.
    """
    if isinstance(operation, keras.layers.Lambda):
        # A function need not survive serialisation: the copy calls the same one.
        return keras.layers.Lambda(
            operation.function,
            output_shape=operation._output_shape,
            mask=operation.mask,
            arguments=operation.arguments,
            **keras.Layer.get_config(operation),
        )
    try:
        return type(operation).from_config(_config_of(operation))
    except Exception as error:  # whatever the layer's code raises
        raise ValueError(
            "A layer must be one that its `from_config` can make anew from its `get_config()`. "
            f"Received: layer '{operation.name}' of type {type(operation).__name__} "
            f"({type(error).__name__}: {str(error).partition(chr(10))[0]})"
        ) from error


def _config_of(operation: Any) -> dict[str, Any]:
    """Returns a configuration with the activation itself, which need not survive serialisation."""
    function = last_activation(operation)
    if function is None or isinstance(function, keras.Layer):
        config = dict(operation.get_config())
    else:
        operation.activation = keras.activations.linear
        try:
            config = {**operation.get_config(), "activation": function}
        finally:
            operation.activation = function
    if hasattr(operation, "enable_lora"):
        config = {k: v for k, v in config.items() if k not in ("lora_rank", "lora_alpha")}
    return config


def last_activation(operation: Any) -> Any:
    """Returns the function or layer that a layer applies to its result; None if there is none."""
    if isinstance(operation, keras.layers.RNN):  # at each step
        return None
    return getattr(operation, "activation", None)


def linear_copy(layer: keras.Layer, name: str) -> keras.Layer:
    """Returns a layer of the same weights that applies no activation.

    Args:
        layer: Of a graph.
        name: Of the new layer.
    """
    linear = type(layer).from_config({**_config_of(layer), "activation": None, "name": name})
    linear.build(calls_made_of(layer)[0].input_tensors[0].shape)
    activation = last_activation(layer)
    copy_state(layer, linear, activation if isinstance(activation, keras.Layer) else None)
    return linear


def copy_state(layer: keras.Layer, copy: keras.Layer, without: keras.Layer | None = None) -> None:
    """Gives a copy of a layer, which has been built, the layer's weights.

    Args:
        layer: Of a graph.
        copy: Of the same layers.
        without: A layer inside it that the copy lacks.
    """
    # By each layer's own protocol, as what a layer computes from its weights (the mean of a
    # `Normalization`) must follow them.
    left_out = [] if without is None else layers_within(without)
    kept = [x for x in layers_within(layer) if not any(x is y for y in left_out)]
    for old, new in zip(kept, layers_within(copy), strict=True):
        state: dict[str, Any] = {}
        old.save_own_variables(state)
        # Through NumPy: JAX's arrays would be shared, and `fit` of one model frees the other's.
        # Not by NumPy alone: a kernel with LoRA is no variable but a sum, which on torch has a
        # gradient.
        arrays = {name: np.array(ops.convert_to_numpy(x)) for name, x in state.items()}
        new.load_own_variables(arrays)


def calls_of(graph: Functional) -> Iterator[Any]:
    """The calls in the graph, inputs left out, each after those that it depends on."""
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in graph._nodes_by_depth[depth]:
            if not node.is_input:
                yield node


def operations_of(outputs: list[Any]) -> Iterator[Any]:
    """Yields the operations that compute the tensors, last to first, some more than once."""
    seen, waiting = set(), list(outputs)
    while waiting:
        operation, node = origin(waiting.pop())
        if id(node) not in seen:
            seen.add(id(node))
            waiting += node.input_tensors
            yield operation
