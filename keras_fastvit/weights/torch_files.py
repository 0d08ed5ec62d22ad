"""Reads PyTorch checkpoints: `.safetensors` without torch, pickles without trust."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_fastvit.arrays import Array
from keras_fastvit.weights.file_kinds import PICKLES, contents, existing_file, refusal

STATE_KEYS = ("state_dict", "state_dict_ema", "model")
"""Where training checkpoints keep the weights, the first that is there."""

INERT_GLOBALS = (
    "argparse.Namespace",
    "numpy.dtype",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
)
"""What training checkpoints carry beside the weights. It is read past: none of it is called."""


def read_torch_file(path: str | os.PathLike[str]) -> dict[str, Array]:
    """Reads the tensors of a `.safetensors`, `.pth`, `.pth.tar` or `.pt` file.

    A pickle (all but the first) cannot run code: only tensors, plain containers and the names in
    `INERT_GLOBALS` are accepted in it.

    Returns:
        Name to array, in the file's dtype (bfloat16 of a pickle as float32); a `module.` in front
        of all names, which parallel training leaves, is removed.

    Raises:
        FileNotFoundError: If there is nothing at `path`.
        ImportError: If a pickle is to be read and PyTorch is not installed.
        ValueError: If the file is not a whole checkpoint of its suffix's kind.
    """
    path = existing_file(path)
    if path.name.endswith(PICKLES):
        state = _state_dict(_unpickled(path), path)
    else:
        state = _read_safetensors(path)
    if state and all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): array for name, array in state.items()}
    return state


def _read_safetensors(path: Path) -> dict[str, Array]:
    import safetensors
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        received = f"{contents(path)} ({type(error).__name__}: {error})"
        raise refusal(path, "a complete safetensors file", received) from error


class _Inert:
    """Stands for an object that is read past."""

    def __new__(cls, *args: Any) -> "_Inert":
        return super().__new__(cls)

    def __init__(self, *args: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def _unpickled(path: Path) -> Any:
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            f"Reading '{path}' needs PyTorch: pip install 'keras-fastvit[torch]'. Without it, "
            "weights are read from .safetensors, .weights.h5 and .keras files. "
            f"Received: {error}"
        ) from error

    inert: list[Any] = [(_Inert, name) for name in INERT_GLOBALS]
    try:
        with torch.serialization.safe_globals(inert):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        message = str(error)
    # Not chained: torch's messages say how to load the file without protection.
    if refused := re.search(r"GLOBAL ([\w.]+)", message):
        expected = f"a pickle of tensors, plain containers and {', '.join(INERT_GLOBALS)} only"
        received = f"one that calls for {refused[1]}, which was not run"
        raise refusal(path, expected, received)
    reason = message.rpartition("WeightsUnpickler error: ")[2].partition(" In PyTorch")[0]
    received = f"{contents(path)} ({reason.strip().partition(chr(10))[0]})"
    raise refusal(path, "a complete checkpoint of PyTorch", received)


def _state_dict(content: Any, path: Path) -> dict[str, Array]:
    import torch

    if isinstance(content, Mapping):
        content = next((content[key] for key in STATE_KEYS if key in content), content)
    if not isinstance(content, Mapping):
        expected = f"a dictionary of tensors, on its own or under {', '.join(STATE_KEYS)}"
        raise refusal(path, expected, f"a {type(content).__name__}")
    state = {}
    for name, tensor in content.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            expected = "a name and a tensor in each entry of the state dict"
            raise refusal(path, expected, f"{name!r} with a {type(tensor).__name__}")
        tensor = tensor.detach()
        try:
            # NumPy knows no bfloat16.
            state[name] = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
        except (TypeError, RuntimeError) as error:
            received = f"'{name}' with layout {tensor.layout}, {tensor.dtype}, on {tensor.device}"
            raise refusal(path, "dense tensors", received) from error
    return state
