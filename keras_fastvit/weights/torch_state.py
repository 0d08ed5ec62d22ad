"""A PyTorch state dict into a FastViT and back: strict, every tensor and variable exactly once."""

from collections.abc import Mapping
from typing import Any

from keras_fastvit.architecture.model import FastViT
from keras_fastvit.architecture.variants import get_variant
from keras_fastvit.arrays import Array
from keras_fastvit.weights.torch_names import (
    Convention,
    detect,
    folded_shapes,
    from_torch,
    image_tower,
    torch_name,
    unfold,
)
from keras_fastvit.weights.variables import HEAD, check_names, checked, listed, weights_of


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
        for weight in weights_of(model)
    }


def load_torch_state(
    model: FastViT, state: Mapping[str, Any], source: str, skip_head: bool = False
) -> bool:
    """Loads a state dict with timm's or Apple's names; on an error the model is left as it was.

    Args:
        model: A FastViT in training form. Without a classifier, the checkpoint's is not used.
        state: Name to array; of a whole CLIP its image tower is taken. Branches may have been
            folded: they are taken apart again.
        source: What to call the checkpoint in an error.
        skip_head: Whether to leave the model's classifier as it is and the checkpoint's unused.

    Returns:
        Whether the checkpoint's branches were folded.

    Raises:
        ValueError: If a tensor is missing, left over, of another shape, or not finite.
    """
    state = image_tower(state)
    found = detect(state)
    if found is None:
        raise ValueError(
            f"'{source}' holds no FastViT weights. Expected tensors with timm's names "
            "('stem.0.…') or Apple's ('patch_embed.0.…'). "
            f"Received: {len(state)} tensors{listed(state.keys())}"
        )
    convention, folded = found
    variant = get_variant(model.variant)
    what = f"'{source}' for {model.variant}"
    weights = {weight.path: weight for weight in weights_of(model, skip_head)}
    shapes = {path: weight.torch_shape for path, weight in weights.items()}
    stored_shapes = folded_shapes(shapes) if folded else shapes
    names = {path: torch_name(path, variant, convention) for path in stored_shapes}

    present = {name for name in state if not name.endswith("num_batches_tracked")}
    if not any(path.startswith(HEAD) for path in weights):
        head = torch_name(HEAD, variant, convention)
        present = {name for name in present if not name.startswith(head)}
    check_names(names.values(), present, what)
    arrays = {
        path: checked(state[name], name, stored_shapes[path], what) for path, name in names.items()
    }
    if folded:
        arrays = unfold(arrays, shapes)
    for path, weight in weights.items():
        weight.variable.assign(from_torch(arrays[path], weight.layout, weight.shape))
    return folded
