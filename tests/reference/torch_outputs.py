"""Runs a PyTorch model on generated weights and images: what both generator scripts share."""

import numpy as np
import torch

from tests.reference.fixtures import Case, Sample
from tests.reference.weights_from_names import generate, generate_image

IMAGE_SEED = 2303


def state_shapes(model: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    """Returns the shapes by the names of `state_dict`, without `num_batches_tracked`."""
    return {
        name: tuple(tensor.shape)
        for name, tensor in model.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }


def load_generated(model: torch.nn.Module) -> dict[str, np.ndarray]:
    """Fills a model with weights made from its names, makes it float64, and returns them."""
    weights = generate(state_shapes(model))
    load_strictly(model, weights)
    return weights


def load_strictly(model: torch.nn.Module, weights: dict[str, np.ndarray]) -> None:
    """Loads weights under the model's own names, all of them, and makes it a float64 model."""
    counters = {
        name: tensor
        for name, tensor in model.state_dict().items()
        if name.endswith("num_batches_tracked")
    }
    tensors = {name: torch.from_numpy(array) for name, array in weights.items()}
    model.load_state_dict(counters | tensors, strict=True)
    model.eval().double()


def parameter_count(model: torch.nn.Module) -> int:
    """Counts the parameters; a batch norm's running statistics are none."""
    return sum(parameter.numel() for parameter in model.parameters())


def outputs(
    model: torch.nn.Module, taps: dict[str, torch.nn.Module], image: np.ndarray
) -> dict[str, np.ndarray]:
    """Returns the outputs of the tapped modules and of the model (`logits`), in float64.

    Args:
        model: In eval mode, float64.
        taps: Output name to the module that gives it, `(batch, channels, height, width)`.
        image: `(batch, height, width, 3)`.

    Returns:
        Name to `(batch, height, width, channels)`; `(batch, classes)` for the logits.
    """
    found: dict[str, np.ndarray] = {}

    def tap(name: str) -> torch.utils.hooks.RemovableHandle:
        def keep(_module: torch.nn.Module, _inputs: object, output: torch.Tensor) -> None:
            found[name] = output.permute(0, 2, 3, 1).numpy().copy()

        return taps[name].register_forward_hook(keep)

    hooks = [tap(name) for name in taps]
    try:
        with torch.no_grad():
            logits = model(torch.from_numpy(image).double().permute(0, 3, 1, 2))
    finally:
        for hook in hooks:
            hook.remove()
    return {"logits": logits.numpy()} | found


def case(
    model: torch.nn.Module, taps: dict[str, torch.nn.Module], shape: tuple[int, int, int]
) -> Case:
    """Runs the model on the generated image of shape `(batch, height, width)`."""
    found = outputs(model, taps, generate_image(IMAGE_SEED, shape))
    return Case(
        name=f"{shape[1]}x{shape[2]}",
        seed=IMAGE_SEED,
        shape=shape,
        expected={name: Sample.of(output) for name, output in found.items()},
    )
