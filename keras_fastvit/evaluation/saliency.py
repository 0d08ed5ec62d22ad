"""Grad-CAM: which places of an image speak for a class.

Selvaraju, Cogswell, Das, Vedantam, Parikh and Batra, "Grad-CAM: Visual Explanations from Deep
Networks via Gradient-based Localization" (ICCV 2017).
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_fastvit.arrays import Array
from keras_fastvit.graph.keras_internals import Functional
from keras_fastvit.graph.rewriting import calls_of, graph_of


def grad_cam(model: keras.Model, images: Array, classes: Array) -> Array:
    """Returns for each image where the last feature map speaks for a class.

    `ReLU(Σ_k α_k · A_k)`, A being the feature map before pooling, k its channels, and α_k the mean
    over all places of the derivative of the class's logit by A_k (equations 1 and 2).

    Args:
        model: In inference form, functional or Sequential, with its channels last, giving logits.
        images: As the model takes them, `(images, height, width, channels)`.
        classes: `(images,)`: of each image the class that is asked for, from 0.

    Returns:
        float32 `(images, rows, columns)`, 0 or more: as many rows and columns as the feature map
        has, 1/32 of a FastViT's image.

    Raises:
        ValueError: If the model has no feature map that all of its output comes from.

    Example:
    >>> from keras_fastvit import FastViTT8
    >>> model = FastViTT8(weights=None, input_shape=(64, 64, 3), classifier_activation=None)
    >>> grad_cam(model.fuse(), np.zeros((1, 64, 64, 3), "float32"), np.array([281])).shape
    (1, 2, 2)
    """
    to_features, to_logits = split_at_features(model)
    features = ops.convert_to_numpy(to_features.predict(images, verbose=0))
    chosen = ops.one_hot(classes, model.output_shape[1])
    slopes = gradient(lambda x: ops.sum(to_logits(x, training=False) * chosen), features)
    weights = slopes.mean(axis=(1, 2), keepdims=True)
    return np.maximum((weights * features).sum(axis=-1), 0)


def split_at_features(model: keras.Model) -> tuple[keras.Model, keras.Model]:
    """Cuts a model in two before the last operation that pools or flattens its feature map.

    Returns:
        What maps images to the feature map `(batch, rows, columns, channels)`, and what maps this
        to the model's output. They share the model's layers.

    Raises:
        ValueError: If there is no such operation, or it is not all that the output comes from.
    """
    graph = graph_of(model)
    for node in reversed(list(calls_of(graph))):
        inputs, outputs = node.input_tensors, node.outputs
        if len(inputs) != 1 or len(inputs[0].shape) != 4 or len(outputs[0].shape) != 2:
            continue
        try:
            if not isinstance(node.operation, (Functional, keras.Sequential)):
                return keras.Model(graph.input, inputs[0]), keras.Model(inputs[0], graph.outputs[0])
            inner, pooled = split_at_features(node.operation)
            rest = keras.Model(outputs[0], graph.output)
            return (
                keras.Model(graph.input, inner(inputs[0])),
                keras.Model(pooled.input, rest(pooled.output)),
            )
        except ValueError:
            break  # Keras found another way to the output
    raise ValueError(
        "Grad-CAM needs a model all of whose output comes from one feature map (batch, rows, "
        f"columns, channels) that is pooled or flattened. Received: model '{model.name}'"
    )


def gradient(function: Callable[[Any], Any], x: Array) -> Array:
    """Returns the derivative of a scalar function of `keras.ops` at `x`, on any backend."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        place = tf.convert_to_tensor(x)
        with tf.GradientTape() as tape:
            tape.watch(place)
            value = function(place)
        slopes = tape.gradient(value, place)
    elif backend == "jax":
        import jax

        slopes = jax.grad(function)(ops.convert_to_tensor(x))
    else:
        import torch

        place = ops.convert_to_tensor(x).requires_grad_()
        (slopes,) = torch.autograd.grad(function(place), place)
    return np.asarray(ops.convert_to_numpy(slopes))
