"""Reads the arrays of a hand model in MANO's layout, which the user brings.

MANO is described in J. Romero, D. Tzionas and M. J. Black, "Embodied Hands: Modeling and Capturing
Hands and Bodies Together" (SIGGRAPH Asia 2017). Its licence does not allow passing it on: whoever
wants it registers at its authors' site. What is made of it, a saved model with its arrays among it,
stays under that licence.

MANO comes as a pickle of Python 2, `MANO_RIGHT.pkl`. To read a pickle is to run what is in it, so
nothing here does. It is converted once, at the user's own risk and best in an environment made for
it, with scipy and chumpy installed:

    import pickle, numpy
    names = ["v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table",
             "f", "hands_mean", "hands_components"]
    content = pickle.load(open("MANO_RIGHT.pkl", "rb"), encoding="latin1")
    content["J_regressor"] = content["J_regressor"].toarray()
    numpy.savez("mano_right.npz", **{name: numpy.asarray(content[name]) for name in names})
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_fastvit.archives import read_arrays
from keras_fastvit.arrays import Array

JOINTS = 16
"""The wrist, and three of each finger."""

SHAPES = 10
"""Directions in which hands differ."""

ARTICULATION = 3 * (JOINTS - 1)
"""Numbers of the fingers' pose: an axis-angle vector a joint behind the wrist."""

_ROOT = (-1, 2**32 - 1)
"""What the root has for a parent: −1, or that in the file's unsigned numbers."""

_SHAPES: dict[str, tuple[int | str, ...]] = {
    "v_template": ("vertices", 3),
    "shapedirs": ("vertices", 3, SHAPES),
    "posedirs": ("vertices", 3, 9 * (JOINTS - 1)),
    "J_regressor": (JOINTS, "vertices"),
    "weights": ("vertices", JOINTS),
    "kintree_table": (2, JOINTS),
    "f": ("faces", 3),
    "hands_mean": (ARTICULATION,),
    "hands_components": (ARTICULATION, ARTICULATION),
}


@dataclass(frozen=True, eq=False)
class HandModel:
    """The arrays of a hand model, under the names that they have in MANO's file.

    MANO has 778 vertices and 1538 faces; other numbers will do. Lengths are in metres.

    Attributes:
        v_template: float32 `(vertices, 3)`: the mean hand with its fingers stretched.
        shapedirs: float32 `(vertices, 3, 10)`: what one unit of each shape parameter adds to it.
        posedirs: float32 `(vertices, 3, 135)`: what the nine numbers of the rotations of joints
            1 to 15, less the identity, add to it.
        J_regressor: float32 `(16, vertices)`: the joints as weighted means of the vertices.
        weights: float32 `(vertices, 16)`: how much each joint moves a vertex.
        kintree_table: int64 `(2, 16)`: each joint's parent, which precedes it, and the joint; the
            root's parent is −1.
        f: int64 `(faces, 3)`: the vertices of each triangle.
        hands_mean: float32 `(45,)`: axis-angle vectors of the joints 1 to 15 of the mean pose, in
            radians.
        hands_components: float32 `(45, 45)`: principal components of poses, one a row:
            `coefficients @ hands_components` is a pose relative to the mean.

    Example:
    >>> hand = read_mano("mano_right.npz")  # doctest: +SKIP
    >>> hand.v_template.shape, hand.f.shape  # doctest: +SKIP
    ((778, 3), (1538, 3))
    """

    v_template: Array
    shapedirs: Array
    posedirs: Array
    J_regressor: Array
    weights: Array
    kintree_table: Array
    f: Array
    hands_mean: Array
    hands_components: Array

    @property
    def parents(self) -> tuple[int, ...]:
        """The parent of each joint, −1 of the root."""
        return tuple(int(parent) for parent in self.kintree_table[0])


def read_mano(path: str | os.PathLike[str]) -> HandModel:
    """Reads an `.npz` file with the arrays of `HandModel`; other arrays in it are ignored.

    Args:
        path: Path of the file. Pickles are refused: this module's docstring says how to convert
            one.

    Raises:
        FileNotFoundError: If there is nothing at `path`.
        ValueError: If it is not an `.npz` file, or an array is missing, has another shape or
            values that cannot be.

    Example:
    >>> import tempfile
    >>> shapes = {
    ...     "v_template": (4, 3), "shapedirs": (4, 3, 10), "posedirs": (4, 3, 135),
    ...     "J_regressor": (16, 4), "weights": (4, 16), "f": (2, 3),
    ...     "hands_mean": (45,), "hands_components": (45, 45),
    ... }
    >>> arrays = {name: np.zeros(shape) for name, shape in shapes.items()}
    >>> arrays["kintree_table"] = np.array([[-1, *range(15)], range(16)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/hand.npz", **arrays)
    ...     hand = read_mano(f"{folder}/hand.npz")
    >>> hand.v_template.shape, hand.parents[:4]
    ((4, 3), (-1, 0, 1, 2))
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(
            f"There is no hand model at this path. Expected an existing .npz file. "
            f"Received: '{path}'"
        )
    try:
        return hand_model(read_arrays(path, _SHAPES))
    except ValueError as error:
        raise ValueError(
            f"Cannot use '{path}' as a hand model. Expected an .npz file of arrays (how to make "
            "one of MANO's pickle is told in keras_fastvit/tasks/mano_file.py; pickles are not "
            f"read). Received: {error}"
        ) from error


def hand_model(arrays: Mapping[str, Any]) -> HandModel:
    """Checks the arrays of a hand model, and returns them with the dtypes of `HandModel`.

    Args:
        arrays: By their names.

    Raises:
        ValueError: As `read_mano`.
    """
    found: dict[str, Array] = {}
    sizes: dict[str, int] = {}
    for name, expected in _SHAPES.items():
        if name not in arrays:
            received = ", ".join(sorted(arrays)) or "no arrays"
            raise _refusal(name, f"an array of shape {_text(expected, sizes)}", received)
        array = np.asarray(arrays[name])
        if not _fits(array.shape, expected, sizes):
            raise _refusal(name, f"an array of shape {_text(expected, sizes)}", str(array.shape))
        if array.dtype.kind not in "fiu":
            raise _refusal(name, "real numbers", f"dtype {array.dtype}")
        with np.errstate(over="ignore"):
            single = array.astype("float32")
        if not np.isfinite(single).all():
            count = np.count_nonzero(~np.isfinite(single))
            raise _refusal(name, "finite float32 numbers", f"{count} NaN or infinite values")
        integers = name in ("kintree_table", "f")
        if integers and (array != np.round(array)).any():
            raise _refusal(name, "whole numbers", f"dtype {array.dtype} with fractions")
        found[name] = array.astype("int64") if integers else single
    _check_tree(found["kintree_table"])
    found["kintree_table"][0, 0] = -1
    low, high = int(found["f"].min()), int(found["f"].max())
    if low < 0 or high >= sizes["vertices"]:
        raise _refusal(
            "f", f"numbers of vertices, 0 to {sizes['vertices'] - 1}", f"{low} to {high}"
        )
    return HandModel(**found)


def _check_tree(table: Array) -> None:
    parents = table[0].tolist()
    rooted = parents[0] in _ROOT
    if not rooted or not all(0 <= parent < i for i, parent in enumerate(parents) if i > 0):
        raise _refusal(
            "kintree_table",
            f"parents that precede their children, {_ROOT[1]} or -1 for the root",
            str(parents),
        )
    if table[1].tolist() != list(range(JOINTS)):
        expected = f"the joints 0 to {JOINTS - 1} in its second row"
        raise _refusal("kintree_table", expected, str(table[1].tolist()))


def _fits(shape: tuple[int, ...], expected: tuple[int | str, ...], sizes: dict[str, int]) -> bool:
    """Compares shapes; a size that has a name only is noted when it is first seen."""
    if len(shape) != len(expected):
        return False
    for size, wanted in zip(shape, expected, strict=True):
        known = sizes.get(wanted) if isinstance(wanted, str) else wanted
        if size == 0 or known not in (None, size):
            return False
    sizes.update({e: n for n, e in zip(shape, expected, strict=True) if isinstance(e, str)})
    return True


def _text(expected: tuple[int | str, ...], sizes: dict[str, int]) -> str:
    sides = [
        str(sizes.get(side, side)) if isinstance(side, str) else str(side) for side in expected
    ]
    return f"({', '.join(sides)}{',' if len(sides) == 1 else ''})"


def _refusal(name: str, expected: str, received: str) -> ValueError:
    return ValueError(
        f"The hand model's array '{name}' cannot be used. Expected {expected}. Received: {received}"
    )
