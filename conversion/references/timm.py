"""timm's models, where timm is installed: what weights and speed are compared with."""

import functools
import importlib
from pathlib import Path
from typing import Any

import numpy as np

from keras_fastvit.arrays import Array

_TORCHVISION_OPERATORS = {
    "torchvision::nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "torchvision::qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


@functools.cache
def import_timm() -> Any:
    """Imports timm, and returns the module.

    timm imports torchvision, whose compiled half loads only beside the build of torch that it was
    made for: a CUDA build of torchvision, which may be all that a package index has, does not
    load beside torch for the CPU. torchvision then fails for want of operators that it only
    registers something for, and that no classifier calls; so they are declared, without code.

    Raises:
        ImportError: If timm, torchvision or torch is not installed.
    """
    try:
        import torch

        try:
            importlib.import_module("torchvision")
        except RuntimeError:
            for name, schema in _TORCHVISION_OPERATORS.items():
                torch.library.define(name, schema)
        import timm
    except ImportError as error:
        raise ImportError(
            "The comparison needs timm with torch and torchvision. Install them with "
            "`pip install --no-deps -r requirements/reference.txt`, or run `make parity`. "
            f"Received: {error}"
        ) from error
    return timm


def create_model(variant: str, classes: int) -> Any:
    """Returns timm's model of that name, at random, in evaluation mode."""
    return import_timm().create_model(variant, num_classes=classes).eval()


def randomize(model: Any, seed: int) -> None:
    """Gives a model of timm's weights and batch norm statistics that all matter to its output.

    timm's own start would hide faults: variances are 1, means and biases 0, and layer scales so
    small that whole branches vanish. Here kernels keep the size of activations about constant
    over the depth, so that no fault drowns in rounding errors either.
    """
    import torch

    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if not tensor.is_floating_point():
                continue  # how many batches a batch norm has seen
            tensor.copy_(torch.from_numpy(_random(name, tuple(tensor.shape), rng)))


def _random(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    if len(shape) == 1:
        is_scale = name.endswith(("running_var", "weight"))
        return rng.uniform(0.5, 1.5, shape) if is_scale else rng.normal(0, 0.1, shape)
    if name.endswith("gamma"):
        return rng.uniform(0.05, 0.5, shape) * rng.choice([-1, 1], shape)
    # Depthwise kernels stand in sums of branches, which would grow from block to block.
    gain = 0.5 if shape[1] == 1 else 1.0
    return rng.normal(0, gain / np.prod(shape[1:]) ** 0.5, shape)


def save(model: Any, path: Path) -> None:
    """Writes a model of timm's as safetensors, as timm publishes them."""
    from safetensors.torch import save_file

    # Contiguous: a model in PyTorch's channels_last format has kernels that are not.
    save_file({name: x.contiguous() for name, x in model.state_dict().items()}, path)


def load(model: Any, path: Path) -> None:
    """Loads a `.safetensors` file into a model of timm's, strictly.

    Raises:
        RuntimeError: If a tensor is missing, left over, or of another shape.
    """
    from safetensors.torch import load_file

    model.load_state_dict(load_file(path), strict=True)


def outputs(model: Any, images: Array) -> dict[str, Array]:
    """Runs a model of timm's.

    Args:
        model: In evaluation mode.
        images: float32 `(batch, height, width, 3)`.

    Returns:
        `"logits"` `(batch, classes)` and `"P2"` to `"P5"` or `"P6"`, the stages' `(batch, height,
        width, channels)`.
    """
    import torch

    with torch.no_grad():
        x = model.stem(torch.from_numpy(images).permute(0, 3, 1, 2))
        found = {}
        for level, stage in enumerate(model.stages, start=2):
            x = stage(x)
            found[f"P{level}"] = x.permute(0, 2, 3, 1).numpy()
        found["logits"] = model.forward_head(model.final_conv(x)).numpy()
    return found


def fused(model: Any) -> Any:
    """Returns timm's own inference form of its model, which is left as it is."""
    import_timm()
    from timm.utils.model import reparameterize_model

    return reparameterize_model(model)
