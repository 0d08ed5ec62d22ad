"""Which models can be exported, for which shape of image, and the logits before their softmax."""

from typing import Any

import keras
import numpy as np
from keras import ops
from keras.src.models.functional import Functional
from keras.src.ops.nn import Softmax

from keras_fastvit.graph_rewriting import graph_of, origin


def input_shape(
    model: keras.Model, image_size: int | tuple[int, int] | None = None
) -> tuple[int, int, int, int]:
    """Returns the shape of the file's input, `(1, height, width, channels)`.

    Args:
        model: In inference form.
        image_size: Side in pixels or `(height, width)`, for a model whose sides are None.

    Raises:
        ValueError: If the model is not one of Keras' own layers, from one float32 image with its
            channels last to one output, in float32; or if the size does not fit it.
    """
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(
            f"Only a model with one input and one output can be exported. Received: model "
            f"'{model.name}' with {len(model.inputs)} inputs and {len(model.outputs)} outputs"
        )
    (image,) = model.inputs
    if len(image.shape) != 4 or image.dtype != "float32" or image.shape[3] is None:
        raise ValueError(
            "The model's input must be an image, float32 of shape (batch, height, width, "
            f"channels). Received: model '{model.name}' with an input of {image.dtype}, "
            f"shape {image.shape}"
        )
    _check_layers(model)
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


def _check_layers(model: keras.Model) -> None:
    for layer in model._flatten_layers():
        if not type(layer).__module__.startswith("keras."):
            raise ValueError(
                "The model is converted in a process that knows Keras' own layers only. "
                f"Received: layer '{layer.name}' of type {type(layer).__name__}"
            )
        first = getattr(layer, "data_format", None) == "channels_first"
        # On TensorFlow a FastViT for channels first begins by moving them to the end.
        if first or getattr(layer, "dims", None) == (2, 3, 1):
            raise ValueError(
                "A phone's images have their channels last, and so must the model's layers. Build "
                "it with data_format='channels_last'; its weights are the same. Received: "
                f"layer '{layer.name}', which is for channels first"
            )
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


def to_logits(model: keras.Model) -> tuple[keras.Model, str]:
    """Takes the softmax off the end of a model, if its last operation is one over the classes.

    int8 has no room for probabilities (XNNPACK has no int8 softmax either), and whoever shows
    them can compute them from the logits.

    Returns:
        The model without it, which shares the other layers, and `"softmax"`; or the model itself
        and `"linear"`.
    """
    graph = graph_of(model)
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
    if getattr(operation, "activation", None) is not keras.activations.softmax:
        return None
    if isinstance(operation, keras.layers.Activation):
        return args[0]
    # A layer that does something else first, such as Dense.
    linear = type(operation).from_config({**operation.get_config(), "activation": None})
    logits = linear(*args, **kwargs)
    linear.set_weights(operation.get_weights())
    return logits
