"""Text embeddings that images are compared with, and the names of what they say.

A text tower makes them. There is none in this package; with open_clip (`pip install
open_clip_torch`) three lines make those of any list of names, and one writes the file:

    import numpy as np, open_clip
    names = ["cat", "dog", "red fox"]

    clip = open_clip.create_model("MobileCLIP2-S0", pretrained="dfndr2b").eval()
    text = open_clip.get_tokenizer("MobileCLIP2-S0")([f"a photo of a {name}" for name in names])
    text, scale = clip.encode_text(text).detach(), clip.logit_scale.exp().item()
    np.savez("labels.npz", names=names, embeddings=text, logit_scale=scale)

The image tower must be of the same CLIP: `"MobileCLIP2-S0"`, `-S2`, `-S3` and `-S4`, all
`"dfndr2b"`, are for FastViTMCi0, MCi2, MCi3 and MCi4 with `"mobileclip2"` weights;
`"MobileCLIP-S1"` and `-S2`, `"datacompdr"`, for MCi1 and MCi2 with `"mobileclip"` ones. open_clip
lacks MobileCLIP-S0, MCi0's other weights, whose text tower is in Apple's package `mobileclip`.
These lines follow open_clip's documentation and have not been run here.
"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from keras_fastvit.archives import array_names, read_arrays
from keras_fastvit.arrays import Array
from keras_fastvit.plain_text import in_short, is_name

LOGIT_SCALE = 100.0
"""What CLIP multiplies cosines with if nothing else is said: the largest factor that it lets
training come to (Radford et al., arXiv 2103.00020, section 2.5)."""

NEAR_UNIT = 1e-3
"""How far from 1 a length may be that is no more than rounded."""

_ARRAYS = ("names", "embeddings")
_EXPECTED = "Expected an .npz file with the arrays names and embeddings, as numpy.savez writes it"


@dataclass(frozen=True, eq=False)
class TextEmbeddings:
    """The classes of a zero-shot classifier.

    Attributes:
        names: Names of the classes; two or more, each a line of text, all different.
        embeddings: float32 `(classes, width)`, each row of length 1. Rows may be given in other
            lengths and in any float type.
        logit_scale: What the cosine of an image's and a text's embedding is multiplied with.
        note: That the rows were given in other lengths; None if they were not.

    Raises:
        ValueError: If names, embeddings or scale are not as above.

    Example:
    >>> text = TextEmbeddings(["left", "up"], np.array([[-2.0, 0.0], [0.0, 1.0]]))
    >>> text.embeddings.tolist()
    [[-1.0, 0.0], [0.0, 1.0]]
    >>> text.note
    'The text embeddings had lengths from 1 to 2, and have been normalised.'
    """

    names: Sequence[str]
    embeddings: Array
    logit_scale: float = LOGIT_SCALE
    note: str | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        names = _checked_names(self.names)
        embeddings, lengths = _normalized(_checked_rows(self.embeddings, names))
        self._set("names", names)
        self._set("embeddings", embeddings)
        self._set("logit_scale", _checked_scale(self.logit_scale))
        if np.abs(lengths - 1).max() > NEAR_UNIT:
            self._set(
                "note",
                f"The text embeddings had lengths from {lengths.min():.3g} to {lengths.max():.3g}, "
                "and have been normalised.",
            )

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)  # the way to complete a frozen dataclass


def read_text_embeddings(path: str | os.PathLike[str]) -> TextEmbeddings:
    """Reads an `.npz` file with the arrays `names`, `embeddings` and perhaps `logit_scale`.

    As `numpy.savez` writes them: `names` strings `(classes,)`, `embeddings` floats
    `(classes, width)`, `logit_scale` one number (default: `LOGIT_SCALE`). The file cannot run code:
    arrays of Python objects are refused.

    Args:
        path: Path of the file.

    Raises:
        FileNotFoundError: If there is nothing at `path`.
        ValueError: If it is no whole `.npz` file, or an array is missing or not as above.

    Example:
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/labels.npz", names=["cat", "dog"], embeddings=np.eye(2, 512))
    ...     text = read_text_embeddings(f"{folder}/labels.npz")
    >>> text.names, text.embeddings.shape, text.logit_scale
    (('cat', 'dog'), (2, 512), 100.0)
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{_EXPECTED}. Received: nothing at '{path}'")
    try:
        return TextEmbeddings(**_arrays(path))
    except ValueError as error:
        raise ValueError(f"Cannot use '{path}' as text embeddings. {error}") from error


def _arrays(path: Path) -> dict[str, Any]:
    try:
        found = read_arrays(path, (*_ARRAYS, "logit_scale"))
    except ValueError as error:
        raise ValueError(f"{_EXPECTED}. Received: {error}") from error
    if missing := [name for name in _ARRAYS if name not in found]:
        raise ValueError(
            f"{_EXPECTED}. Received: none named {' or '.join(missing)} among "
            f"{_some(array_names(path))}"
        )
    return found


def _checked_names(names: Any) -> tuple[str, ...]:
    array = names if isinstance(names, np.ndarray) else np.asarray(names, dtype=object)
    fits = array.dtype.kind == "U" or all(isinstance(name, str) for name in array.flat)
    if array.ndim != 1 or not fits:
        raise ValueError(
            "`names` must be strings of shape (classes,). "
            f"Received: {array.dtype} of shape {array.shape}"
        )
    stripped = tuple(str(name).strip() for name in array)
    if len(stripped) < 2:
        raise ValueError(
            "Classifying takes the names of two or more classes, if only 'something else'. "
            f"Received: {_some(stripped)}"
        )
    unfit = [name for name in stripped if not is_name(name)]
    if "" in stripped or unfit:
        raise ValueError(
            "Each name must be a line of text. Received: "
            + (_some(unfit) if unfit else f"an empty one in place {stripped.index('')}")
        )
    if double := [name for name, count in Counter(stripped).items() if count > 1]:
        raise ValueError(f"Names must differ from each other. Received: twice {_some(double)}")
    return stripped


def _checked_rows(embeddings: Any, names: tuple[str, ...]) -> Array:
    array = np.asarray(embeddings)
    if array.dtype.kind != "f" or array.ndim != 2 or not array.size:
        raise ValueError(
            "`embeddings` must be floats of shape (classes, width). "
            f"Received: {array.dtype} of shape {array.shape}"
        )
    if len(array) != len(names):
        raise ValueError(
            "There must be a name for each row of `embeddings`. "
            f"Received: {len(names)} names for embeddings of shape {array.shape}"
        )
    bad = ~np.isfinite(array).all(axis=1)
    if not bad.any():
        bad = ~array.any(axis=1)
    if bad.any():
        raise ValueError(
            "Text embeddings must be finite, and not zero. Received: NaN, infinity or zeros alone "
            f"for {_some([name for name, is_bad in zip(names, bad, strict=True) if is_bad])}"
        )
    return array


def _normalized(rows: Array) -> tuple[Array, Array]:
    """Returns the rows in length 1, and the lengths that they had, `(rows, 1)`."""
    rows = rows.astype("float64")
    # Squares of float64's largest numbers are infinite, and of its smallest zero.
    largest = np.abs(rows).max(axis=1, keepdims=True)
    rows = rows / largest
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    with np.errstate(over="ignore"):
        return (rows / lengths).astype("float32"), largest * lengths


def _checked_scale(logit_scale: Any) -> float:
    array = np.asarray(logit_scale)
    if array.dtype.kind in "fiu" and array.size == 1:
        with np.errstate(over="ignore"):
            value = float(array.astype("float32").item())
        if 0 < value < np.inf:
            return value
    raise ValueError(
        "`logit_scale` must be a positive, finite number. Received: "
        + (f"{array.item()!r}" if array.size == 1 else f"{array.dtype} of shape {array.shape}")
    )


def _some(names: Sequence[str]) -> str:
    """Names for a message: the first three."""
    shown = ", ".join(in_short(repr(name)) for name in names[:3]) or "none"
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
