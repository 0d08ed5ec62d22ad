"""A PyTorch state dict into a FastViT and back: strict, every tensor and variable exactly once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_fastvit.layers import LayerScale
from keras_fastvit.model import FastViT
from keras_fastvit.torch_names import (
    Array,
    Convention,
    Layout,
    detect,
    folded_shapes,
    from_torch,
    layer_names,
    to_torch,
    torch_name,
    unfold,
)
from keras_fastvit.variants import get_variant

_HEAD = "head/"


@dataclass(frozen=True)
class _Weight:
    """A variable of a FastViT: where it stands and how PyTorch lays it out."""

    path: str
    layout: Layout
    variable: Any

    def to_torch(self) -> Array:
        return to_torch(keras.ops.convert_to_numpy(self.variable), self.layout)

    @property
    def torch_shape(self) -> tuple[int, ...]:
        return to_torch(np.broadcast_to(np.float32(0), self.variable.shape), self.layout).shape


def to_torch_state(model: FastViT, convention: Convention = "timm") -> dict[str, Array]:
    """Returns a model's weights under PyTorch's names, in PyTorch's layout.

    Args:
        model: A FastViT in training form.
        convention: Whose names: `"timm"` or `"apple"`.

    Returns:
        Name to float32 array; without `num_batches_tracked`, which no layer here counts.
    """
    variant = get_variant(model.variant)
    return {
        torch_name(weight.path, variant, convention): weight.to_torch()
        for weight in _weights(model)
    }


def load_torch_state(
    model: FastViT, state: Mapping[str, Any], source: str, skip_head: bool = False
) -> bool:
    """Loads a state dict with timm's or Apple's names; on an error the model is left as it was.

    Args:
        model: A FastViT in training form. Without a classifier, the checkpoint's is not used.
        state: Name to array. Branches may have been folded: they are taken apart again.
        source: What to call the checkpoint in an error.
        skip_head: Whether to leave the model's classifier as it is and the checkpoint's unused.

    Returns:
        Whether the checkpoint's branches were folded.

    Raises:
        ValueError: If a tensor is missing, left over, of another shape, or not finite.
    """
    found = detect(state)
    if found is None:
        raise ValueError(
            f"'{source}' holds no FastViT weights. Expected tensors with timm's names "
            "('stem.0.…') or Apple's ('patch_embed.0.…'). "
            f"Received: {len(state)} tensors{_listed(state)}"
        )
    convention, folded = found
    variant = get_variant(model.variant)
    weights = {w.path: w for w in _weights(model) if not (skip_head and w.path.startswith(_HEAD))}
    ignored = ["num_batches_tracked"]
    if not any(path.startswith(_HEAD) for path in weights):
        ignored.append(torch_name(_HEAD, variant, convention))

    shapes = {path: weight.torch_shape for path, weight in weights.items()}
    stored_shapes = folded_shapes(shapes) if folded else shapes
    names = {path: torch_name(path, variant, convention) for path in stored_shapes}
    present = {name for name in state if not any(part in name for part in ignored)}
    _check_names(set(names.values()), present, f"'{source}' for {model.variant}")
    arrays = {
        path: _checked(state[name], name, stored_shapes[path], f"'{source}' for {model.variant}")
        for path, name in names.items()
    }
    if folded:
        arrays = unfold(arrays, shapes)
    for path, weight in weights.items():
        shape = tuple(weight.variable.shape)
        weight.variable.assign(from_torch(arrays[path], weight.layout, shape))
    return folded


def _weights(model: FastViT) -> Iterator[_Weight]:
    layouts: dict[type, Layout] = {
        keras.layers.DepthwiseConv2D: "depthwise",
        keras.layers.Conv2D: "conv",
        keras.layers.Dense: "dense",
        LayerScale: "layer_scale",
    }
    for name in layer_names(get_variant(model.variant)):
        if name not in {layer.name for layer in model.layers}:
            continue  # A model without a top has no head.
        top = model.get_layer(name)
        for layer in top._flatten_layers():
            for variable in layer._trainable_variables + layer._non_trainable_variables:
                path = f"{name}{layer.path.removeprefix(top.path)}/{variable.name}"
                layout = layouts.get(type(layer), "vector")
                yield _Weight(path, "vector" if variable.name == "bias" else layout, variable)


def _check_names(expected: set[str], received: set[str], what: str) -> None:
    missing, unexpected = expected - received, received - expected
    if missing or unexpected:
        raise ValueError(
            f"The tensors in {what} do not match; is it another variant? "
            f"Expected {len(expected)} tensors. Received: {len(received)}, of which "
            f"{len(missing)} missing{_listed(missing)} and "
            f"{len(unexpected)} unexpected{_listed(unexpected)}"
        )


def _checked(array: Any, name: str, shape: tuple[int, ...], what: str) -> Array:
    array = np.asarray(array)
    if array.shape != shape:
        raise ValueError(
            f"Tensor '{name}' in {what} has another shape; is it another variant, or another "
            f"number of classes? Expected {shape}. Received: {array.shape}"
        )
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(
            f"Tensor '{name}' in {what} must be of a floating dtype. Received: {array.dtype}"
        )
    array = array.astype("float32")
    if not np.isfinite(array).all():
        raise ValueError(
            f"Tensor '{name}' in {what} must be finite. "
            f"Received: {np.count_nonzero(~np.isfinite(array))} values that are NaN or infinite"
        )
    return array


def _listed(names: Any) -> str:
    shown = sorted(names)[:3]
    return f" ({', '.join(shown)}{', …' if len(names) > 3 else ''})" if shown else ""
