"""FreiHAND as `FreiHAND_pub_v2` has it: files, joints, batches to train on.

    training/rgb/00000000.jpg …          224×224, 130,240 of them
    training_K.json training_mano.json training_xyz.json
    evaluation/rgb/00000000.jpg …        3,960 of them
    evaluation_xyz.json evaluation_verts.json

The last two are in the archive of the evaluation's annotations, to be unpacked into the same
folder. Each of the 32,560 hands to train on is pictured on four backgrounds, the first of which is
a green screen: image `i` has annotation `i % 32560`. An annotation of MANO has 61 numbers: pose 48
(axis-angle vectors, the fingers' relative to the mean pose), shape 10, and the root's place and
scale, which are not used. Points are in metres in the camera's frame: x right, y down, z forward.

The layout and the order of joints are those of `fh_utils.py`, `model.py` and `mano_utils.py` in
lmb-freiburg/freihand.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from keras_fastvit.arrays import Array
from keras_fastvit.images.files import read_rgb, refusal
from keras_fastvit.images.folders import is_hidden
from keras_fastvit.json_files import read_list
from keras_fastvit.plain_text import in_short
from keras_fastvit.tasks.mano import POSE
from keras_fastvit.tasks.mano_file import SHAPES

POINTS = 21

FINGERTIPS = (744, 320, 443, 555, 672)
"""MANO's vertices that are the tips of thumb, index, middle, ring and little finger."""

ORDER = (
    *(0, 13, 14, 15, 16),  # wrist, thumb
    *(1, 2, 3, 17),  # index finger
    *(4, 5, 6, 18),  # middle finger
    *(10, 11, 12, 19),  # ring finger
    *(7, 8, 9, 20),  # little finger
)
"""Joints of a `Mano` with these `FINGERTIPS`, in FreiHAND's order."""

_MANO = POSE + SHAPES + 3
_LARGEST = 1 << 30
"""Bytes of a file: five times what the largest one, of the evaluation's vertices, has."""


@dataclass(frozen=True, eq=False)
class TrainingHands:
    """Hands to train on.

    Attributes:
        images: Paths of the images; image `i` has row `i % hands` of the others.
        pose: float32 `(hands, 48)`.
        shape: float32 `(hands, 10)`.
        joints: float32 `(hands, 21, 3)` in metres, in the camera's frame.
        pixels: float32 `(hands, 21, 2)`: where they are in the image, from its left upper corner.
    """

    images: tuple[Path, ...]
    pose: Array
    shape: Array
    joints: Array
    pixels: Array


@dataclass(frozen=True, eq=False)
class EvaluationHands:
    """Hands to evaluate on.

    Attributes:
        images: Paths of the images.
        joints: float32 `(hands, 21, 3)` in metres.
        vertices: float32 `(hands, vertices, 3)` in metres.
    """

    images: tuple[Path, ...]
    joints: Array
    vertices: Array


def find_training_hands(root: str | os.PathLike[str]) -> TrainingHands:
    """Reads the annotations to train on, and lists their images; none is opened.

    Args:
        root: The folder `FreiHAND_pub_v2`.

    Raises:
        FileNotFoundError: If a folder or file is missing.
        ValueError: If a file is not as above, or the numbers of rows and images do not fit.
    """
    root = Path(root)
    images = _images(root / "training" / "rgb")
    cameras = _array(root / "training_K.json", (3, 3))
    joints = _array(root / "training_xyz.json", (POINTS, 3))
    mano = _array(root / "training_mano.json", (1, _MANO))[:, 0]
    for name, rows in (("training_K.json", cameras), ("training_mano.json", mano)):
        if len(rows) != len(joints):
            raise ValueError(
                f"Expected as many rows as training_xyz.json has, {len(joints)}. Received: "
                f"{len(rows)} in '{root / name}'"
            )
    if len(images) % len(joints):
        raise ValueError(
            f"Expected each of the {len(joints)} annotated hands on as many images as the others. "
            f"Received: {len(images)} images in '{root / 'training' / 'rgb'}'"
        )
    if not (joints[..., 2] > 0).all():
        raise ValueError(
            "Expected all joints in front of the camera, z > 0. Received: "
            f"z={joints[..., 2].min()} in '{root / 'training_xyz.json'}'"
        )
    projected = joints @ np.swapaxes(cameras, 1, 2)
    pixels = projected[..., :2] / projected[..., 2:]
    return TrainingHands(images, mano[:, :POSE], mano[:, POSE : POSE + SHAPES], joints, pixels)


def find_evaluation_hands(root: str | os.PathLike[str]) -> EvaluationHands:
    """Reads the annotations to evaluate on, and lists their images; none is opened.

    Raises:
        FileNotFoundError, ValueError: As `find_training_hands` does.
    """
    root = Path(root)
    images = _images(root / "evaluation" / "rgb")
    joints = _array(root / "evaluation_xyz.json", (POINTS, 3))
    vertices = _array(root / "evaluation_verts.json", (None, 3))
    if not len(images) == len(joints) == len(vertices):
        raise ValueError(
            "Expected as many images as rows of evaluation_xyz.json and evaluation_verts.json. "
            f"Received: {len(images)}, {len(joints)} and {len(vertices)} in '{root}'"
        )
    return EvaluationHands(images, joints, vertices)


def read_square(path: str | os.PathLike[str]) -> Image.Image:
    """Reads an image, as wide as it is high.

    Raises:
        FileNotFoundError, ValueError: As `read_rgb` does; ValueError too if it is not square.
    """
    image = read_rgb(path)
    if image.width != image.height:
        raise refusal(path, "as many rows as columns", f"{image.width}x{image.height} pixels")
    return image


def _images(folder: Path) -> tuple[Path, ...]:
    if not folder.is_dir():
        raise FileNotFoundError(
            "Expected FreiHAND as FreiHAND_pub_v2 has it, with images in training/rgb and "
            f"evaluation/rgb. Received: no '{folder}'"
        )
    images = sorted(path for path in folder.glob("*.jpg") if not is_hidden(path.name))
    if not images:
        raise ValueError(f"Expected images, *.jpg. Received: '{folder}' without any")
    for number, path in enumerate(images):
        if path.stem != f"{number:08d}":
            raise ValueError(
                f"Expected images numbered from 00000000.jpg without a gap. Received: '{path}' "
                f"in the place of {number:08d}.jpg"
            )
    return tuple(images)


def _array(path: Path, row: tuple[int | None, ...]) -> NDArray[np.float32]:
    """Reads `(rows, *row)` numbers; None is any length."""
    if not path.is_file():
        raise FileNotFoundError(f"Expected one of FreiHAND's annotations. Received: no '{path}'")
    try:
        with np.errstate(over="ignore"):
            values = np.array(read_list(path, _LARGEST), "float32")
        received = f"shape {values.shape}"
    # NumPy's, of rows that differ, of what is no number, of numbers that no float holds.
    except (TypeError, ValueError, OverflowError) as error:
        values, received = np.zeros(0, "float32"), in_short(error)
    fits = len(values.shape) == 1 + len(row) and len(values) > 0
    if not fits or any(n not in (None, m) for n, m in zip(row, values.shape[1:], strict=True)):
        shape = ", ".join("rows" if n is None else str(n) for n in row).replace("rows", "vertices")
        raise ValueError(
            f"Cannot use '{path}'. Expected numbers of shape (hands, {shape}). Received: {received}"
        )
    if not np.isfinite(values).all():
        raise ValueError(f"Cannot use '{path}'. Expected finite numbers. Received: NaN or infinite")
    return values
