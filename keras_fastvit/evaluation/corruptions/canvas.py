"""Sizes: what was published for photographs of 224 pixels, on images of any size.

Lengths, such as the radius of a blur, grow with the image's short side. What is drawn over an
image, such as snow, is drawn on a canvas whose short side is 224, and resized to the image. So a
corruption is as strong for the eye at every size, and at 224 pixels as it was published.
"""

from collections.abc import Sequence

import numpy as np

from keras_fastvit.arrays import Array

SIDE = 224
"""Short side in pixels of the images that the parameters were chosen for."""


def scale(image: Array) -> float:
    """Returns by what lengths in pixels are multiplied for an image `(height, width, …)`."""
    return min(image.shape[:2]) / SIDE


def canvas_shape(image: Array) -> tuple[int, int]:
    """Returns height and width of an image's canvas.

    >>> canvas_shape(np.zeros((64, 96, 3)))
    (224, 336)
    """
    height, width = image.shape[:2]
    factor = SIDE / min(height, width)
    return round(height * factor), round(width * factor)


def fitted(layer: Array, image: Array) -> Array:
    """Resizes a canvas `(height, width)` to the size of an image."""
    return resized(layer, image.shape[:2])


def resized(image: Array, size: Sequence[int]) -> Array:
    """Resizes `(height, width)` or `(height, width, channels)` bilinearly, with antialiasing."""
    from PIL import Image

    height, width = map(int, size)
    if image.shape[:2] == (height, width):
        return image
    if image.ndim == 3:
        return np.stack([resized(channel, size) for channel in np.moveaxis(image, -1, 0)], axis=-1)
    picture = Image.fromarray(image.astype("float32"))
    return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR), "float64")


def magnified(image: Array, factor: float) -> Array:
    """Magnifies `(height, width)` or `(height, width, channels)` about its centre, bilinearly.

    The size stays; what leaves the frame is cut off. `factor` is at least 1.
    """
    from scipy.ndimage import affine_transform

    # Pixels have their centres at half numbers, so the middle of n pixels is at (n − 1) / 2.
    steps = np.ones(image.ndim)
    steps[:2] = 1 / factor
    centre = (np.array(image.shape) - 1) / 2
    magnified: Array = affine_transform(image, steps, centre * (1 - steps), order=1, mode="nearest")
    return magnified


def convolved(image: Array, kernel: Array, border: str) -> Array:
    """Convolves `(height, width)` or each channel of `(height, width, channels)` with a kernel.

    Args:
        image: Float.
        kernel: `(2·a + 1, 2·b + 1)`.
        border: What is beyond the image, as `numpy.pad` names it: `"reflect"`, `"edge"`.
    """
    from scipy.signal import fftconvolve

    margins = [(side // 2, side // 2) for side in kernel.shape]
    margins += [(0, 0)] * (image.ndim - 2)
    kernel = kernel.reshape(kernel.shape + (1,) * (image.ndim - 2))
    padded = np.pad(image, margins, mode=border)  # type: ignore[call-overload]
    result: Array = fftconvolve(padded, kernel, "valid", axes=(0, 1))
    return result
