"""Checks that a model can be exported, and for which shape of image."""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from keras_fastvit.architecture.layers import Dropout, FastViTLayer
from keras_fastvit.graph.keras_internals import Functional, calls_made_of, layers_within
from keras_fastvit.graph.rewriting import operations_of


def input_shape(
    model: keras.Model, image_size: int | tuple[int, int] | None = None
) -> tuple[int, int, int, int]:
    """Returns the shape of the file's input, `(1, height, width, channels)`.

    Args:
        model: In inference form.
        image_size: Side in pixels or `(height, width)`, for a model whose sides are None.

    Raises:
        ValueError: If the model is not one of Keras' own layers, from one float32 image with its
            channels last, in float32; or if the size does not fit it.
    """
    if len(model.inputs) != 1:
        raise ValueError(
            "Only a model with one input can be exported. Received: model "
            f"'{model.name}' with {len(model.inputs)} inputs"
        )
    (image,) = model.inputs
    if len(image.shape) != 4 or image.dtype != "float32" or image.shape[3] is None:
        raise ValueError(
            "The model's input must be an image, float32 of shape (batch, height, width, "
            f"channels). Received: model '{model.name}' with an input of {image.dtype}, "
            f"shape {image.shape}"
        )
    check_layers(model)
    _check_own_layers(model)
    _check_variables(model)
    batch, height, width, channels = image.shape
    if batch not in (None, 1):
        raise ValueError(
            "The file takes one image at a time, so the model's batch must be None or 1. "
            f"Received: model '{model.name}' with an input of shape {image.shape}"
        )
    if image_size is not None:
        sides = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
        if any(own not in (None, side) for own, side in zip((height, width), sides, strict=True)):
            raise ValueError(
                f"The image size must fit the model's input of shape {image.shape}. "
                f"Received: image_size={image_size}"
            )
        height, width = sides
    if height is None or width is None:
        raise ValueError(
            "A model that takes images of any size is exported for one size, which must be given "
            f"as image_size. Received: image_size={image_size}, model '{model.name}' with an "
            f"input of shape {image.shape}"
        )
    return 1, height, width, channels


def check_layers(model: keras.Model) -> None:
    """Checks that a model is an inference form whose images have their channels last.

    Raises:
        ValueError: If it is not, with the layer's name.
    """
    for layer in layers_within(model):
        if isinstance(layer, (FastViTLayer, Dropout)):
            raise ValueError(
                "Only an inference form can be lowered: `keras_fastvit.fuse(model)` gives it. "
                f"Received: layer '{layer.path}' of type {type(layer).__name__}"
            )
        if getattr(layer, "data_format", None) == "channels_first" or _moves_the_inputs(layer):
            raise ValueError(
                "A phone's images have their channels last, and so must the model's layers. Build "
                "it with data_format='channels_last'; its weights are the same. Received: "
                f"layer '{layer.name}', which is for channels first"
            )


def _moves_the_inputs(layer: keras.Layer) -> bool:
    """Returns whether this is what a FastViT for channels first begins with on TensorFlow.

    Behind other layers too, but for convolutions: the lowering's attention has such a layer.
    """
    if not isinstance(layer, layers.Permute) or layer.dims != (2, 3, 1):
        return False
    inputs = [x for call in calls_made_of(layer) for x in call.input_tensors]
    return not any(map(_has_convolutions, operations_of(inputs)))


def _has_convolutions(operation: Any) -> bool:
    within = layers_within(operation) if isinstance(operation, layers.Layer) else []
    return any(isinstance(x, (layers.Conv2D, layers.DepthwiseConv2D)) for x in within)


def _check_own_layers(model: keras.Model) -> None:
    for layer in layers_within(model):
        is_graph = isinstance(layer, (Functional, keras.Sequential))
        own = type(layer).__module__.startswith("keras.") and not isinstance(layer, layers.Lambda)
        if not is_graph and not own:
            raise ValueError(
                "The model is converted in a process that knows Keras' own layers only. "
                f"Received: layer '{layer.name}' of type {type(layer).__name__}"
            )
        if not _is_keras_function(getattr(layer, "activation", None)):
            raise ValueError(
                "The model is converted in a process that knows Keras' own functions only. Apply "
                "one of `keras.activations`, or call `keras.ops` on what the layer gives. "
                f"Received: layer '{layer.name}' with the activation {layer.activation!r}"
            )


def _is_keras_function(function: object) -> bool:
    """Returns whether this is found by its name, as what a saved model has."""
    if function is None or isinstance(function, layers.Layer):
        return True
    try:
        return callable(keras.activations.get(keras.activations.serialize(function)))
    except (TypeError, ValueError):
        return False


def _check_variables(model: keras.Model) -> None:
    for variable in model.variables:
        if variable.dtype in ("float16", "bfloat16", "float64"):
            raise ValueError(
                "The model's variables must be float32, which they are in mixed precision too. "
                f"Received: variable '{variable.path}' of {variable.dtype}"
            )
        if "float" in variable.dtype and not np.isfinite(ops.convert_to_numpy(variable)).all():
            raise ValueError(
                "The model's variables must be finite. "
                f"Received: variable '{variable.path}' with NaN or infinite values"
            )
