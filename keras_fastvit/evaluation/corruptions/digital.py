"""Digital corruptions: contrast, brightness, colour, compression, warping."""

from io import BytesIO
from typing import Any

import numpy as np

from keras_fastvit.arrays import Array
from keras_fastvit.evaluation.corruptions.canvas import canvas_shape, fitted, scale


def contrast(image: Array, rng: np.random.Generator, factor: float) -> Array:
    """Draws each channel towards its mean.

    Args:
        image: Float `(height, width, 3)`, RGB in 0..1.
        rng: Not used: there is nothing random.
        factor: What is left of the differences from the mean.
    """
    means = image.mean(axis=(0, 1))
    return (image - means) * factor + means


def brightness(image: Array, rng: np.random.Generator, added: float) -> Array:
    """Adds to the value in HSV, the largest of red, green and blue; hue and saturation stay.

    Args:
        image: Float `(height, width, 3)`, RGB in 0..1.
        rng: Not used: there is nothing random.
        added: To the value, which ends at 1.
    """
    value = image.max(axis=-1, keepdims=True)
    brighter = np.minimum(value + added, 1)
    return np.where(value > 0, image / np.where(value > 0, value, 1), 1) * brighter


def saturate(image: Array, rng: np.random.Generator, factor: float, added: float) -> Array:
    """Changes the saturation in HSV to `factor · saturation + added`; hue and value stay.

    Args:
        image: Float `(height, width, 3)`, RGB in 0..1.
        rng: Not used: there is nothing random.
        factor: Below 1 colours fade.
        added: Gives grey a colour too: red, as hue 0 is.
    """
    value = image.max(axis=-1, keepdims=True)
    lack = value - image  # of each channel: value · saturation times a part that the hue decides
    largest = lack.max(axis=-1, keepdims=True)
    saturation = largest / np.where(value > 0, value, 1)
    hue = np.where(largest > 0, lack / np.where(largest > 0, largest, 1), np.array([0.0, 1.0, 1.0]))
    return value * (1 - hue * np.clip(saturation * factor + added, 0, 1))


def jpeg_compression(image: Array, rng: np.random.Generator, quality: int) -> Array:
    """Compresses and decompresses.

    Args:
        image: Float `(height, width, 3)`, RGB in 0..1.
        rng: Not used: there is nothing random.
        quality: libjpeg's, 1..95.
    """
    from PIL import Image

    file = BytesIO()
    _to_pillow(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file), "float64") / 255


def pixelate(image: Array, rng: np.random.Generator, factor: float) -> Array:
    """Shows an image in larger pixels.

    Args:
        image: Float `(height, width, 3)`, RGB in 0..1.
        rng: Not used: there is nothing random.
        factor: Number of pixels along a side, of what it was.
    """
    from PIL import Image

    height, width = image.shape[:2]
    small = max(1, int(width * factor)), max(1, int(height * factor))
    coarse = _to_pillow(image).resize(small, Image.Resampling.BOX)
    large = coarse.resize((width, height), Image.Resampling.NEAREST)
    return np.asarray(large, "float64") / 255


def _to_pillow(image: Array) -> Any:
    from PIL import Image

    return Image.fromarray(np.round(image * 255).astype("uint8"))


def elastic_transform(
    image: Array, rng: np.random.Generator, strength: float, smoothness: float, corners: float
) -> Array:
    """Warps an image: an affine map of random points, and smooth random displacements.

    Lengths are in pixels of an image whose short side is 224; beyond its edge it is reflected.
    Both maps are taken in one interpolation, where the published code takes one for each.

    Args:
        image: Float `(height, width, 3)`, RGB in 0..1.
        rng: Source of the randomness.
        strength: What displacements, uniform in −1..1 before they are blurred, are multiplied by.
        smoothness: Standard deviation of the Gaussian blur of the displacements.
        corners: How far three points, a third of the short side from the centre, may move.
    """
    from scipy.ndimage import gaussian_filter, map_coordinates

    size = np.array(image.shape[:2])
    centre, third = size // 2, min(size) // 3
    points = centre + third * np.array([[1, 1], [1, -1], [-1, -1]])
    moved = points + rng.uniform(-corners, corners, (3, 2)) * scale(image)
    # (y, x, 1) of where a point comes from, by where it has moved to.
    source = np.linalg.solve(np.column_stack([moved, np.ones(3)]), points)
    shifts = [
        fitted(
            strength
            * gaussian_filter(
                rng.uniform(-1, 1, canvas_shape(image)), smoothness, mode="reflect", truncate=3
            ),
            image,
        )
        * scale(image)
        for _ in range(2)
    ]
    y, x = np.indices(image.shape[:2]) + shifts
    places = np.stack([y, x, np.ones_like(y)], axis=-1) @ source
    channels = [
        map_coordinates(channel, np.moveaxis(places, -1, 0), order=1, mode="mirror")
        for channel in np.moveaxis(image, -1, 0)
    ]
    return np.stack(channels, axis=-1)
