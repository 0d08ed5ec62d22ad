"""The files that weights and models come in, by the ends of their names."""

import os
from collections.abc import Collection
from pathlib import Path

PICKLES = (".pth", ".pth.tar", ".pt", ".ckpt", ".bin", ".tar")
TORCH_SUFFIXES = (".safetensors", *PICKLES)
KERAS_SUFFIXES = (".weights.h5", ".keras")
SUFFIXES = (*TORCH_SUFFIXES, *KERAS_SUFFIXES)

_LONGEST = 100

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


def shown(text: str) -> str:
    r"""Returns a file's text as it may stand in a message: in one line, and not endless.

    >>> shown("stem.0"), shown("a\x1b[2J"), len(shown("a" * 1000))
    ('stem.0', 'a\\x1b[2J', 101)
    """
    escaped = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:_LONGEST])
    return escaped if len(text) <= _LONGEST else f"{escaped}…"


def listed(names: Collection[str]) -> str:
    """Names the first three, in brackets.

    >>> listed({"b", "a", "c", "d"})
    ' (a, b, c, …)'
    """
    first = ", ".join(shown(name) for name in sorted(names)[:3])
    return f" ({first}{', …' if len(names) > 3 else ''})" if first else ""
