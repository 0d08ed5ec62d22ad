"""The files that weights and models come in, by the ends of their names."""

import os
from pathlib import Path

PICKLES = (".pth", ".pth.tar", ".pt")
TORCH_SUFFIXES = (".safetensors", *PICKLES)
KERAS_SUFFIXES = (".weights.h5", ".keras")
SUFFIXES = (*TORCH_SUFFIXES, *KERAS_SUFFIXES)

MODEL_SUFFIX = ".keras"
"""A whole model of Keras, not its weights alone."""


def existing_file(path: str | os.PathLike[str]) -> Path:
    """Returns the path of a file that is there and not empty.

    Raises:
        FileNotFoundError: If there is nothing at `path`.
        ValueError: If it is no file, or an empty one.
    """
    file = Path(path)
    if not file.exists():
        raise FileNotFoundError(
            f"There is no weights file at this path. Expected an existing file. Received: '{file}'"
        )
    if not file.is_file():
        kind = "a directory" if file.is_dir() else "neither a file nor a directory"
        raise refusal(file, "a file", kind)
    if file.stat().st_size == 0:
        raise refusal(file, "a checkpoint", "an empty file (0 bytes)")
    return file


def refusal(path: Path, expected: str, received: str) -> ValueError:
    """Returns the error for a file that is not what it should be."""
    return ValueError(
        f"Cannot load weights from '{path}'. Expected {expected}. Received: {received}"
    )


def contents(path: Path) -> str:
    """Describes a file that failed to read by its size and its first bytes."""
    with path.open("rb") as file:
        start = file.read(24)
    return f"{path.stat().st_size} bytes that begin with {start!r}"
