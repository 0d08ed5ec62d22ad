"""`inline(model)`: layers that others have composed of Keras' layers, as the graphs they stand for.

KerasHub's heads are such layers. Inlined, a model loads and converts where only Keras is known, and
whoever rewrites its graph sees every convolution.
"""

from typing import Any

import keras
from keras import tree

from keras_fastvit.graph.keras_internals import Functional
from keras_fastvit.graph.rewriting import (
    GraphRewriter,
    copy_of,
    copy_state,
    graph_of,
    last_activation,
    linear_copy,
    operations_of,
    origin,
)


def inline(model: keras.Model) -> keras.Model:
    """Returns a model of Keras' own layers and operations only, with the same outputs.

    Each call of a layer of another package becomes the graph of what the layer's `call` does, in
    inference; so does a `Lambda`, and a function of a user's that a layer has as its activation.
    Nested models are dissolved. A layer that was inside such a layer has its name, with that of the
    layer around it before it: `box_head_conv2d_0`. The model is left as it is; one that has Keras'
    layers and functions only is itself the result.

    Args:
        model: A functional or Sequential model in inference form (`keras_fastvit.fuse`).

    Raises:
        ValueError: If a layer of another package has weights of its own, beside those of Keras'
            layers in it, or it or a function does what cannot be traced; if the model has no graph.

    Example:
    >>> import keras
    >>> class Head(keras.layers.Layer):
    ...     def __init__(self, **kwargs):
    ...         super().__init__(**kwargs)
    ...         self.dense = keras.layers.Dense(2, name="dense")
    ...     def call(self, x):
    ...         return keras.ops.relu(self.dense(x))
    >>> model = keras.Sequential([keras.Input((3,)), Head(name="head")])
    >>> [operation.name for operation in inline(model).operations[1:]]
    ['head_dense', 'head_relu']
    """
    layers = model._flatten_layers(include_self=False)
    if all(_is_keras_own(layer) and not _has_own_function(layer) for layer in layers):
        return model
    return _Inliner().rewrite(model)


class _Inliner(GraphRewriter):
    def __init__(self) -> None:
        super().__init__()
        self._names: set[str] = set()

    def keep_name(self, operation: Any) -> Any:
        # Two nested models may each have a layer of a name: the first keeps it.
        if operation.name in self._names:
            return operation
        self._names.add(operation.name)
        return super().keep_name(operation)

    def call(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if isinstance(operation, (Functional, keras.Sequential)):
            return self._dissolved(graph_of(operation), (args, kwargs))
        if isinstance(operation, keras.Layer) and not _is_keras_own(operation):
            return self._dissolved(self._traced(operation, args, kwargs), (args, kwargs))
        if _has_own_function(operation):
            return self._applied(operation, args, kwargs)
        return super().call(operation, args, kwargs)

    def _dissolved(self, graph: Functional, arguments: Any) -> Any:
        inputs = [x for x in tree.flatten(arguments) if keras.backend.is_keras_tensor(x)]
        twins = {id(x): y for x, y in zip(graph.inputs, inputs, strict=True)}
        self.walk(graph, twins)
        return tree.map_structure(lambda x: twins[id(x)], graph.output)

    def _applied(self, layer: keras.Layer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Calls a layer, and the function that is its activation behind it."""
        if isinstance(layer, keras.layers.Activation):
            output = args[0]
        else:
            linear = self.form(lambda: linear_copy(layer, f"{layer.name}_linear"), layer)
            output = linear(*args, **kwargs)
        function = keras.layers.Lambda(layer.activation, name=layer.name)
        return self._dissolved(self._traced(function, (output,), {}), output)

    def _traced(
        self, layer: keras.Layer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Functional:
        """The graph of what a call does, on inputs of its own."""
        copy = self.form(lambda: _copy_with_weights(layer, args, kwargs), layer)
        args, kwargs = tree.map_structure(_input_like, (args, kwargs))
        inputs = [x for x in tree.flatten((args, kwargs)) if keras.backend.is_keras_tensor(x)]
        if layer._call_has_training_arg:
            kwargs = {**kwargs, "training": False}
        try:
            outputs = copy.call(*args, **kwargs)
            flat = tree.flatten(outputs)
            found = {id(x): x for x in operations_of(flat)}.values()
        except Exception as error:  # whatever the layer's code raises
            raise ValueError(
                "Only a layer that calls Keras' layers and `keras.ops` can be written as a graph "
                f"of Keras' own. Received: layer '{layer.name}' of type {type(layer).__name__} "
                f"({type(error).__name__}: {error})"
            ) from error
        known = {id(x) for x in [*(origin(x)[0] for x in inputs), *copy._flatten_layers()]}
        for operation in found:
            if id(operation) not in known:  # a function, or a layer that the call has made
                operation.name = f"{layer.name}_{type(operation).__name__.lower()}"
        self._make_names_unique(flat)
        return keras.Model(inputs, outputs)


def _copy_with_weights(
    layer: keras.Layer, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> keras.Layer:
    if own := [*layer._trainable_variables, *layer._non_trainable_variables]:
        raise ValueError(
            "A layer's weights can be those of Keras' layers in it only: others have no place in a "
            f"graph of Keras' own. Received: layer '{layer.name}' of type {type(layer).__name__} "
            f"with the weight '{own[0].name}'"
        )
    # A copy, as tracing leaves calls behind in the layers inside.
    copy = copy_of(layer)
    args, kwargs = tree.map_structure(_input_like, (args, kwargs))
    copy(*args, **kwargs)
    copy_state(layer, copy)
    for inner in copy._flatten_layers(include_self=False):
        inner.name = f"{layer.name}_{inner.name}"
    return copy


def _input_like(x: Any) -> Any:
    if not keras.backend.is_keras_tensor(x):
        return x
    return keras.Input(batch_shape=x.shape, dtype=x.dtype)


def _is_keras_own(layer: keras.Layer) -> bool:
    # A model made of layers: nobody's, whatever its class.
    if isinstance(layer, (Functional, keras.Sequential)):
        return type(layer).call in (Functional.call, keras.Sequential.call)
    if isinstance(layer, keras.layers.Lambda):
        return False
    return type(layer).__module__.startswith("keras.")


def _has_own_function(operation: Any) -> bool:
    """Returns whether a layer's activation is a function that Keras does not have by its name."""
    function = last_activation(operation)
    if function is None or isinstance(function, keras.Layer) or not _is_keras_own(operation):
        return False
    name = getattr(function, "__name__", "")
    # A backend's, such as `tf.nn.relu`, is saved and loaded as Keras' of its name.
    package = str(getattr(function, "__module__", "")).partition(".")[0]
    alike = package in ("tensorflow", "jax", "torch")
    return not alike and function is not getattr(keras.activations, name, None)
