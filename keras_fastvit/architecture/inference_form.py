"""`fuse(model)`: any functional model that contains FastViT layers, in its inference form."""

from typing import Any

import keras
from keras import tree

from keras_fastvit.architecture.layers import Dropout, FastViTLayer
from keras_fastvit.graph.keras_internals import Functional, layers_within
from keras_fastvit.graph.rewriting import GraphRewriter, graph_of

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
    return _Fuser().rewrite(model)


class _Fuser(GraphRewriter):
    """Replaces FastViT layers by their inference forms; one instance a call of `fuse`."""

    def rewrite(self, model: keras.Model) -> keras.Model:
        graph = graph_of(model)
        pyramid = dict(getattr(model, "pyramid_outputs", {}))
        fused, twins = self.rebuild(graph, model.name, pyramid.values())
        if pyramid:
            set_pyramid_outputs(fused, tree.map_structure(lambda x: twins[id(x)], pyramid))
        return fused

    def call(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if isinstance(operation, _FUSIBLE):
            # Its tensor alone, without `training`: the inference form has one behaviour.
            (x,) = filter(keras.backend.is_keras_tensor, tree.flatten((args, kwargs)))
            return self.form(operation.fuse, operation)(x)
        if isinstance(operation, (Functional, keras.Sequential)):
            fused = self.form(lambda: self.keep_name(self.rewrite(operation)), operation)
            return fused(*args, **kwargs)
        _check_hides_none(operation)
        return super().call(operation, args, kwargs)


def set_pyramid_outputs(model: keras.Model, outputs: dict[str, Any]) -> None:
    """Sets `model.pyramid_outputs` to a plain dict, which Keras does not track."""
    object.__setattr__(model, "pyramid_outputs", outputs)


def _check_hides_none(operation: Any) -> None:
    if isinstance(operation, keras.Layer) and any(
        isinstance(layer, _FUSIBLE) for layer in layers_within(operation, include_self=False)
    ):
        raise ValueError(
            "FastViT layers inside another layer cannot be fused: its code, not the graph, says "
            "how they are called. Call them in the functional graph. "
            f"Received: layer '{operation.name}' of type {type(operation).__name__}"
        )
