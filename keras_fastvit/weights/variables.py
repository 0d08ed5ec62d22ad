"""The variables of a FastViT, each with its names, and the strict checks that guard loading."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_fastvit.architecture.layers import LayerScale
from keras_fastvit.architecture.model import FastViT
from keras_fastvit.architecture.variants import get_variant
from keras_fastvit.arrays import Array
from keras_fastvit.graph.keras_internals import layers_within
from keras_fastvit.weights.file_kinds import listed
from keras_fastvit.weights.torch_names import Layout, layer_names, to_torch

_FLOATING = ("float16", "float32", "float64", "bfloat16")

HEAD = "head/"
"""How the paths of the classifier's variables begin."""


@dataclass(frozen=True)
class Weight:
    """A variable of a FastViT.

    Attributes:
        path: Layer of the model, sublayers, variable: `"stage_0_block_1/mlp/fc1/kernel"`.
        keras_path: The same in Keras' weight files: `"stage_0_block_1/mlp/fc1/vars/0"`.
        layout: How PyTorch lays it out.
        variable: The Keras variable.
    """

    path: str
    keras_path: str
    layout: Layout
    variable: Any

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.variable.shape)

    @property
    def torch_shape(self) -> tuple[int, ...]:
        return to_torch(np.broadcast_to(np.float32(0), self.shape), self.layout).shape

    def to_torch(self) -> Array:
        """Returns the value as float32, in PyTorch's layout."""
        value = keras.ops.convert_to_numpy(self.variable)
        return to_torch(value.astype("float32"), self.layout)


def weights_of(model: FastViT, skip_head: bool = False) -> list[Weight]:
    """Returns a model's trained state: trainable variables and batch norm statistics.

    Args:
        model: A FastViT in training form.
        skip_head: Whether to leave out the classifier's.
    """
    return [weight for weight in _walk(model) if not (skip_head and weight.path.startswith(HEAD))]


def _walk(model: FastViT) -> Iterator[Weight]:
    layouts: dict[type, Layout] = {
        keras.layers.DepthwiseConv2D: "depthwise",
        keras.layers.Conv2D: "conv",
        keras.layers.Dense: "dense",
        LayerScale: "layer_scale",
    }
    present = {layer.name for layer in model.layers}
    for name in layer_names(get_variant(model.variant)):
        if name not in present:
            continue  # A model without a top has no head.
        top = model.get_layer(name)
        for layer in layers_within(top):
            # The order in which Keras' layers save their variables.
            for i, variable in enumerate(
                layer._trainable_variables + layer._non_trainable_variables
            ):
                inner = name + layer.path.removeprefix(top.path)
                layout = "vector" if variable.name == "bias" else layouts.get(type(layer), "vector")
                yield Weight(f"{inner}/{variable.name}", f"{inner}/vars/{i}", layout, variable)


def check_names(expected: Collection[str], received: Collection[str], what: str) -> None:
    """Checks that the names of a checkpoint's tensors are those that the model needs.

    Raises:
        ValueError: If a name is missing or left over.
    """
    missing, unexpected = set(expected) - set(received), set(received) - set(expected)
    if missing or unexpected:
        raise ValueError(
            f"The tensors in {what} in training form do not match; is it another variant or form? "
            f"Expected {len(expected)} tensors. Received: {len(received)}, of which "
            f"{len(missing)} missing{listed(missing)} and "
            f"{len(unexpected)} unexpected{listed(unexpected)}"
        )


def check_shape(tensor: Any, name: str, shape: tuple[int, ...], what: str) -> None:
    """Checks that a checkpoint's tensor has a variable's shape.

    Raises:
        ValueError: If it has not.
    """
    if tuple(tensor.shape) != shape:
        raise ValueError(
            f"Tensor '{name}' in {what} has another shape; is it another variant, or another "
            f"number of classes? Expected {shape}. Received: {tuple(tensor.shape)}"
        )


def checked(tensor: Any, name: str, shape: tuple[int, ...], what: str) -> Array:
    """Returns a checkpoint's tensor as a float32 array.

    Args:
        tensor: An array, or a tensor of a file, which is not read before its shape is right.
        name: Its name in the checkpoint.
        shape: What its shape must be.
        what: The checkpoint, for the error.

    Raises:
        ValueError: If it has another shape, is not of a floating dtype, or not finite.
    """
    check_shape(tensor, name, shape, what)
    if getattr(tensor.dtype, "name", tensor.dtype) not in _FLOATING:
        raise ValueError(
            f"Tensor '{name}' in {what} holds no weights. Expected a floating dtype. "
            f"Received: {tensor.dtype}"
        )
    with np.errstate(over="ignore"):
        array = np.asarray(tensor).astype("float32")
    if not np.isfinite(array).all():
        raise ValueError(
            f"Tensor '{name}' in {what} is damaged. Expected values that are finite in float32. "
            f"Received: {np.count_nonzero(~np.isfinite(array))} values that are NaN or infinite"
        )
    return array
