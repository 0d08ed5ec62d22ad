"""Blur: out of focus, through frosted glass, in motion, while zooming; and plain Gaussian.

Lengths are in pixels of an image whose short side is 224: see `canvas`.
"""

import numpy as np

from keras_fastvit.arrays import Array
from keras_fastvit.evaluation.corruptions.canvas import (
    canvas_shape,
    convolved,
    magnified,
    resized,
    scale,
)

_SUBPIXELS = 9
"""By which a pixel's side is divided where a disk's edge cuts it; odd, so that one is in the middle
of even the smallest disk."""


def gaussian_blur(image: Array, rng: np.random.Generator, deviation: float) -> Array:
    """Convolves with a Gaussian.

    Args:
        image: Float `(height, width, 3)`, RGB in 0..1.
        rng: Not used: there is nothing random.
        deviation: Its standard deviation.
    """
    return _gaussian(image, deviation * scale(image))


def _gaussian(image: Array, deviation: float) -> Array:
    from scipy.ndimage import gaussian_filter

    blurred: Array = gaussian_filter(image, (deviation, deviation, 0), mode="nearest")
    return blurred


def defocus_blur(
    image: Array, rng: np.random.Generator, radius: float, edge_deviation: float
) -> Array:
    """Convolves with a disk whose edge is softened, as a lens out of focus does.

    Args:
        image: Float `(height, width, 3)`, RGB in 0..1.
        rng: Not used: there is nothing random.
        radius: Of the disk.
        edge_deviation: Standard deviation of the Gaussian that softens the edge.
    """
    kernel = disk(radius * scale(image), edge_deviation * scale(image))
    return convolved(image, kernel, "reflect")


def disk(radius: float, edge_deviation: float) -> Array:
    """Returns a disk's share of each pixel around its centre, softened; its sum is 1."""
    from scipy.ndimage import gaussian_filter

    reach = int(np.ceil(radius + 4 * edge_deviation))
    side = (2 * reach + 1) * _SUBPIXELS
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    fine = (x**2 + y**2 <= (radius * _SUBPIXELS) ** 2).astype("float64")
    fine = gaussian_filter(fine, edge_deviation * _SUBPIXELS)
    pixels = fine.reshape(2 * reach + 1, _SUBPIXELS, 2 * reach + 1, _SUBPIXELS).mean(axis=(1, 3))
    kernel: Array = pixels / pixels.sum()
    return kernel


def motion_blur(
    image: Array, rng: np.random.Generator, radius: int, deviation: float, half_turn: float = 45.0
) -> Array:
    """Smears an image to one side, at an angle of at most 45 degrees from the horizontal.

    Args:
        image: Float `(height, width, 3)`, RGB in 0..1.
        rng: Source of the angle.
        radius: The trail is `2 · radius + 1` long.
        deviation: Standard deviation of the half Gaussian by which the trail fades.
        half_turn: Largest angle to either side, in degrees.
    """
    angle = rng.uniform(-half_turn, half_turn)
    return smeared(image, radius, deviation, angle, scale(image))


def smeared(image: Array, radius: int, deviation: float, angle: float, step: float = 1.0) -> Array:
    """Averages copies of an image along a trail, each a step further and fainter.

    Args:
        image: Float `(height, width)` or `(height, width, channels)`.
        radius: There are `2 · radius + 1` copies.
        deviation: Of the half Gaussian that weighs them, in steps.
        angle: Of the trail in degrees: 0 to the left, 90 upwards.
        step: Its length in pixels.
    """
    places = np.arange(2 * radius + 1)
    weights = np.exp(-((places / deviation) ** 2) / 2)
    weights /= weights.sum()
    turn = np.deg2rad(angle)
    ys, xs = places * step * np.sin(turn), places * step * np.cos(turn)
    reach = int(np.ceil(places[-1] * step)) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    # A place between pixels counts for the four around it.
    for y, x, weight in zip(reach - ys, reach - xs, weights, strict=True):
        row, column = int(y), int(x)
        below, right = y - row, x - column
        kernel[row, column] += weight * (1 - below) * (1 - right)
        kernel[row, column + 1] += weight * (1 - below) * right
        kernel[row + 1, column] += weight * below * (1 - right)
        kernel[row + 1, column + 1] += weight * below * right
    return convolved(image, kernel, "edge")


def zoom_blur(image: Array, rng: np.random.Generator, largest: float, count: int) -> Array:
    """Averages an image with magnified ones, as when a camera zooms in.

    Args:
        image: Float `(height, width, 3)`, RGB in 0..1.
        rng: Not used: there is nothing random.
        largest: The last magnification.
        count: How many there are, evenly from 1.
    """
    total = image + sum(magnified(image, factor) for factor in np.linspace(1, largest, count))
    average: Array = total / (count + 1)
    return average


def glass_blur(
    image: Array, rng: np.random.Generator, deviation: float, reach: int, rounds: int
) -> Array:
    """Blurs, lets pixels take the colours of random neighbours, and blurs again.

    Neighbours are whole pixels away, so a smaller image is enlarged, and reduced at the end.

    Args:
        image: Float `(height, width, 3)`, RGB in 0..1.
        rng: Source of the neighbours.
        deviation: Standard deviation of both blurs.
        reach: How far a neighbour may be.
        rounds: How often each pixel takes one.
    """
    large = resized(image, canvas_shape(image)) if scale(image) < 1 else image
    factor = scale(large)
    large = _gaussian(large, deviation * factor)
    for _ in range(rounds):
        large = _taken_from_neighbours(large, rng, round(reach * factor))
    return resized(_gaussian(large, deviation * factor), image.shape[:2])


def _taken_from_neighbours(image: Array, rng: np.random.Generator, reach: int) -> Array:
    """Gives each pixel, from the last to the first, the colour that a neighbour has by then.

    A frame of `reach` pixels keeps its own. Neighbours are −reach … reach − 1 away, as published.
    """
    height, width = image.shape[:2]
    if min(height, width) <= 2 * reach + 1:
        return image
    rows, columns = np.mgrid[reach + 1 : height - reach + 1, reach + 1 : width - reach + 1]
    down, right = rng.integers(-reach, reach, (2, *rows.shape))
    pixels = height * width
    takers = (rows * width + columns).ravel()
    givers = ((rows + down) * width + columns + right).ravel()
    # Where each pixel's colour comes from, as of two images: what it was, and what it becomes.
    # A giver that comes later in the image has become something else already.
    origins = np.arange(2 * pixels)
    origins[pixels:] -= pixels
    changed = np.zeros(pixels, bool)
    changed[takers] = True
    origins[pixels + takers] = givers + pixels * (changed[givers] & (givers > takers))
    while (origins >= pixels).any():
        origins = origins[origins]
    return image.reshape(pixels, -1)[origins[pixels:]].reshape(image.shape)
