"""Reads PyTorch checkpoints: `.safetensors` without torch, pickles without trust."""

import contextlib
import os
import re
import zipfile
from collections import deque
from collections.abc import Iterator, Mapping
from functools import partial
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

from keras_fastvit.archives import checked_entries
from keras_fastvit.arrays import Array
from keras_fastvit.weights.candidates import LONGEST_NAME
from keras_fastvit.weights.file_kinds import (
    PICKLES,
    contents,
    existing_file,
    listed,
    refusal,
    shown,
)
from keras_fastvit.weights.stored_tensor import StoredTensor

INERT_GLOBALS = (
    "argparse.Namespace",
    "numpy.dtype",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
)
"""What training checkpoints carry beside the weights. It is read past: none of it is called."""


_BYTEARRAY = tuple(f"c{module}\nbytearray\n".encode() for module in ("builtins", "__builtin__"))
"""What torch calls though it takes any memory that its argument says; no checkpoint has it."""


_LONGEST_MESSAGE = 2000


def read_torch_file(path: str | os.PathLike[str]) -> dict[str, StoredTensor]:
    """Finds the tensors of a `.safetensors` file, or of a pickle (`.pth`, `.ckpt`, `.bin` …).

    A pickle cannot run code: only tensors, plain containers and the names in `INERT_GLOBALS` are
    accepted in it. No tensor's values are read before they are needed.

    Returns:
        Name to tensor; in front of a name stand the keys of the containers around it, such as
        `state_dict.`.

    Raises:
        FileNotFoundError: If there is nothing at `path`.
        ImportError: If a pickle is to be read and PyTorch is not installed.
        ValueError: If the file is not a whole checkpoint of its suffix's kind.
    """
    path = existing_file(path)
    if path.name.endswith(PICKLES):
        return _tensors(_unpickled(path), path)
    return _read_safetensors(path)


def _read_safetensors(path: Path) -> dict[str, StoredTensor]:
    import safetensors

    found = {}
    try:
        file = safetensors.safe_open(path, framework="np")
        for name in file.keys():  # noqa: SIM118 - it is no mapping
            entry = file.get_slice(name)
            # "F16" and "BF16" as NumPy says it; what is left is no floating dtype.
            dtype = entry.get_dtype().replace("BF", "bfloat").replace("F", "float")
            read = partial(file.get_tensor, name)
            found[name] = StoredTensor(tuple(entry.get_shape()), dtype, read)
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        received = f"{contents(path)} ({type(error).__name__}: {shown(str(error))})"
        raise refusal(path, "a complete safetensors file", received) from error
    return found


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

    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        if any(data.find(call) >= 0 for call in _BYTEARRAY):
            raise refusal(path, "a pickle of tensors", "one that calls for bytearray")
    archive = _checked_archive(path)
    inert: list[Any] = [(_Inert, name) for name in INERT_GLOBALS]
    try:
        with torch.serialization.safe_globals(inert), _short_messages():
            # An archive's tensors are mapped, not read: an optimizer's state is never needed.
            return torch.load(path, map_location="cpu", weights_only=True, mmap=archive)
    except Exception as error:
        message = str(error)
    # Not chained: torch's messages say how to load the file without protection.
    if refused := re.search(r"GLOBAL ([\w.]+)", message):
        expected = f"a pickle of tensors, plain containers and {', '.join(INERT_GLOBALS)} only"
        received = f"one that calls for {shown(refused[1])}, which was not run"
        raise _with_a_way_on(refusal(path, expected, received), path)
    reason = message.rpartition("WeightsUnpickler error: ")[2].partition(" In PyTorch")[0]
    received = f"{contents(path)} ({shown(reason.strip().partition(chr(10))[0])})"
    raise refusal(path, "a complete checkpoint of PyTorch", received)


@contextlib.contextmanager
def _short_messages() -> Iterator[None]:
    """Cuts what torch's unpickler says, in which torch searches for long.

    In 100 kB without a space, such as a damaged name, that takes minutes.
    """
    from torch import _weights_only_unpickler as unpickler

    made = unpickler.UnpicklingError

    class ShortError(made):  # type: ignore[misc, valid-type]
        def __str__(self) -> str:
            return super().__str__()[:_LONGEST_MESSAGE]

    unpickler.UnpicklingError = ShortError
    try:
        yield
    finally:
        unpickler.UnpicklingError = made


def _checked_archive(path: Path) -> bool:
    """Returns whether a file is a zip archive, as `torch.save` writes them, and not another's.

    Raises:
        ValueError: If it is damaged, a program, compressed, or unpacks to far more than its size:
            torch takes the memory that its entries say.
    """
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":  # what torch looks at, too
            return False
    try:
        entries = checked_entries(path)
    except ValueError as error:
        received = f"{contents(path)} ({shown(str(error))})"
        raise refusal(path, "a complete checkpoint of PyTorch", received) from error
    if any(entry.filename.endswith("/constants.pkl") for entry in entries):
        refused = refusal(path, "a checkpoint of tensors", "a TorchScript program, not run")
        raise _with_a_way_on(refused, path, program=True)
    compressed = [x.filename for x in entries if x.compress_type != zipfile.ZIP_STORED]
    if compressed:
        expected = "an archive as torch.save writes it, not compressed"
        raise refusal(path, expected, f"compressed entries{listed(compressed)}")
    return True


def _with_a_way_on(error: ValueError, path: Path, program: bool = False) -> ValueError:
    """Adds the lines that save a file's weights alone, for those who trust it."""
    load, arguments, state = "torch.load", ", weights_only=False", 'content["state_dict"]'
    if program:
        load, arguments, state = "torch.jit.load", "", "content.state_dict()"
    hint = "" if program else "  # or another key; of a whole model: content.state_dict()"
    error.add_note(
        "If you trust where the file comes from (these lines run its code), save its weights "
        "alone, where what made it is installed:\n"
        "    import torch\n"
        f'    content = {load}({str(path)!r}, map_location="cpu"{arguments})\n'
        f'    torch.save({state}, "weights.pth"){hint}'
    )
    return error


def _tensors(content: Any, path: Path) -> dict[str, StoredTensor]:
    """Returns the tensors in nested containers; each container is looked into once."""
    import torch

    if not isinstance(content, (Mapping, list, tuple)):
        raise refusal(path, "tensors with names", f"a {type(content).__name__}")
    found: dict[str, StoredTensor] = {}
    containers, seen = deque([("", content)]), {id(content)}
    while containers:
        prefix, container = containers.popleft()
        items = container.items() if isinstance(container, Mapping) else enumerate(container)
        for key, value in items:
            if not isinstance(key, (str, int)):
                continue
            name = f"{prefix}{key}"
            if len(name) > LONGEST_NAME:
                continue  # In a pickle one long name may stand in many places.
            if isinstance(value, torch.Tensor) and not value.is_nested:
                found.setdefault(name, _stored(value, name, path))
            elif isinstance(value, (Mapping, list, tuple)) and id(value) not in seen:
                seen.add(id(value))
                containers.append((f"{name}.", value))
    if not found:
        received = f"a {type(content).__name__} without any"
        if isinstance(content, Mapping):
            keys = listed([str(key) for key in content if isinstance(key, (str, int))])
            received += f", of {len(content)} keys{keys}"
        raise refusal(path, "tensors with names", received)
    return found


def _stored(tensor: Any, name: str, path: Path) -> StoredTensor:
    def read() -> Array:
        try:
            # NumPy knows no bfloat16.
            dense = tensor.detach()
            array: Array = (dense.float() if dense.is_floating_point() else dense).numpy()
        except (TypeError, RuntimeError) as error:
            received = f"'{shown(name)}' with layout {tensor.layout}, {tensor.dtype}"
            raise refusal(path, "dense tensors", f"{received}, on {tensor.device}") from error
        return array

    return StoredTensor(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."), read)
