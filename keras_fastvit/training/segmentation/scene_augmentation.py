"""Random changes of a scene to train a segmentation model on: scale, crop, flip, colours.

The steps and numbers of mmsegmentation's `configs/_base_/datasets/ade20k.py`, on which PoolFormer's
configuration builds; in Pillow and NumPy, with random numbers from a generator that is handed in.
One thing differs: Pillow's bilinear filter averages where a picture shrinks, OpenCV's does not.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from keras_fastvit.arrays import Array
from keras_fastvit.images.normalizations import IMAGENET_MEAN

SCALES = (0.5, 2.0)
"""Smallest and largest scale, as a share of the size at which a scene is evaluated."""

LONGEST = 4
"""Long side at scale one, in short sides: 2048 to 512."""

LARGEST_SHARE = 0.75
"""Largest share of one class in a crop's labels, unless ten crops in a row have more."""

_ATTEMPTS = 10

BRIGHTNESS = 32.0
"""Largest change of all channels together, up or down, in 0..255."""

FACTORS = (0.5, 1.5)
"""Smallest and largest factor of contrast and of saturation."""

HUE = 0.1
"""Largest turn of the hues, as a share of the whole circle: 18 of OpenCV's 180 steps."""

_FILL = tuple(round(255 * mean) for mean in IMAGENET_MEAN)


def fitted_size(size: tuple[int, int], side: float) -> tuple[int, int]:
    """Returns the width and height that give the short side a length, unless the long one limits.

    Args:
        size: Width and height in pixels.
        side: Side of the short side; the long one gets at most `LONGEST` times as much.

    >>> fitted_size((683, 512), 256), fitted_size((1000, 100), 256)
    ((342, 256), (1024, 102))
    """
    factor = min(side / min(size), LONGEST * side / max(size))
    width, height = (max(1, round(factor * pixels)) for pixels in size)
    return width, height


def augmented_scene(
    image: Image.Image,
    labels: NDArray[np.uint8],
    side: int,
    ignored: int,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Scales a scene, cuts a square out of it, mirrors it half of the time, changes its colours.

    Args:
        image: RGB.
        labels: `(height, width)`.
        side: Side of the square in pixels.
        ignored: Label of what is no part of the scene, where it is smaller than the square.
        rng: Source of all random numbers.

    Returns:
        `(side, side, 4)`: red, green, blue, label.
    """
    size = fitted_size(image.size, side * rng.uniform(*SCALES))
    image = image.resize(size, Image.Resampling.BILINEAR)
    annotation = Image.fromarray(labels).resize(size, Image.Resampling.NEAREST)
    left, top = _corner(np.asarray(annotation), side, ignored, rng)
    box = (left, top, min(left + side, size[0]), min(top + side, size[1]))
    image, annotation = image.crop(box), annotation.crop(box)
    if rng.random() < 0.5:
        image, annotation = (
            part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for part in (image, annotation)
        )
    # Mean colour and no label to the right and below.
    scene = np.empty((side, side, 4), "uint8")
    scene[:] = (*_FILL, ignored)
    scene[: image.height, : image.width, :3] = _other_colors(image, rng)
    scene[: image.height, : image.width, 3] = np.asarray(annotation)
    return scene


def _corner(labels: Array, side: int, ignored: int, rng: np.random.Generator) -> tuple[int, int]:
    """Draws a crop's left and top, for a crop of some variety if there is one."""
    height, width = labels.shape
    for _ in range(_ATTEMPTS):
        left = int(rng.integers(0, max(width - side, 0) + 1))
        top = int(rng.integers(0, max(height - side, 0) + 1))
        part = labels[top : top + side, left : left + side]
        counts = np.bincount(part[part != ignored], minlength=1)
        if 0 < counts.max() < LARGEST_SHARE * counts.sum():
            break
    return left, top


def _other_colors(image: Image.Image, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Brightness, contrast, saturation and hue, each half of the time; contrast first or last."""
    pixels = np.asarray(image, "float32")
    contrast_first = rng.random() < 0.5
    if rng.random() < 0.5:
        pixels = pixels + np.float32(rng.uniform(-BRIGHTNESS, BRIGHTNESS))
    contrast = np.float32(rng.uniform(*FACTORS) if rng.random() < 0.5 else 1)
    if contrast_first:
        pixels = pixels * contrast
    saturation = rng.uniform(*FACTORS) if rng.random() < 0.5 else 1.0
    turn = rng.uniform(-HUE, HUE) if rng.random() < 0.5 else 0.0
    if saturation != 1 or turn:  # there and back costs some levels
        hsv = np.array(Image.fromarray(_bytes(pixels)).convert("HSV"))
        hsv[..., 1] = _bytes(hsv[..., 1] * np.float32(saturation))
        hsv[..., 0] = (hsv[..., 0].astype("int16") + round(256 * turn)) % 256
        bands = [Image.fromarray(hsv[..., band]) for band in range(3)]
        pixels = np.asarray(Image.merge("HSV", bands).convert("RGB"), "float32")
    return _bytes(pixels if contrast_first else pixels * contrast)


def _bytes(values: Array) -> NDArray[np.uint8]:
    return np.clip(np.round(values), 0, 255).astype("uint8")
