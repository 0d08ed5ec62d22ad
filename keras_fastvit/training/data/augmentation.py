"""Random changes of training images: of each on its own, then of a batch of them.

In NumPy and Pillow, with random numbers from a generator that is handed in: what happens to a
batch depends on nothing else. Keras' layers `RandomErasing`, `MixUp` and `CutMix` cannot promise
that in threads that make batches ahead: on torch they draw from the random state that the whole
process shares, so timing decides who draws what.
"""

import math
import os

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from keras_fastvit.arrays import Array
from keras_fastvit.images.files import read_rgb
from keras_fastvit.training.data.rand_augment import rand_augment
from keras_fastvit.training.recipes import Augmentation

ASPECT_RATIOS = (3 / 4, 4 / 3)
"""Smallest and largest width over height of a random crop."""

ERASED_AREA = (0.02, 1 / 3)
"""Smallest and largest share of an image's area that is erased."""

ERASED_ASPECT_RATIOS = (0.3, 1 / 0.3)
"""Smallest and largest width over height of what is erased."""

_ATTEMPTS = 10


def augmented_image(
    path: str | os.PathLike[str],
    side: int,
    augmentation: Augmentation,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Reads a file as `load_image` does, and changes the image at random.

    Args:
        path: Path of the image.
        side: Side of the result in pixels.
        augmentation: Changes to make.
        rng: Source of all random numbers.

    Returns:
        uint8 `(side, side, 3)`, RGB.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If it is no image.
    """
    image = read_rgb(path)
    box = random_box(image.width, image.height, augmentation.crop_area, rng)
    image = image.resize((side, side), Image.Resampling.BICUBIC, box)
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if augmentation.rand_augment is not None:
        image = rand_augment(image, augmentation.rand_augment, rng)
    if augmentation.color_jitter:
        image = _jitter(image, augmentation.color_jitter, rng)
    return np.asarray(image)


def random_box(
    width: int,
    height: int,
    area: tuple[float, float],
    rng: np.random.Generator,
    ratios: tuple[float, float] = ASPECT_RATIOS,
) -> tuple[int, int, int, int]:
    """Draws a part of an image: its area uniformly, its aspect ratio log-uniformly.

    Args:
        width: Width of the image in pixels.
        height: Height of the image in pixels.
        area: Smallest and largest share of the image's area.
        rng: Source of all random numbers.
        ratios: Smallest and largest width over height.

    Returns:
        Left, top, right and bottom edge; of an image too narrow for any such part, the largest
        one at its centre whose aspect ratio is one of those allowed.
    """
    low, high = ratios
    for _ in range(_ATTEMPTS):
        pixels = rng.uniform(*area) * width * height
        ratio = math.exp(rng.uniform(math.log(low), math.log(high)))
        w, h = round(math.sqrt(pixels * ratio)), round(math.sqrt(pixels / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = (int(rng.integers(0, end)) for end in (width - w + 1, height - h + 1))
            return left, top, left + w, top + h
    w = min(width, max(1, round(height * high)))
    h = min(height, max(1, round(width / low)))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


def _jitter(image: Image.Image, strength: float, rng: np.random.Generator) -> Image.Image:
    enhancers = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    for index in rng.permutation(len(enhancers)):
        factor = rng.uniform(max(0.0, 1 - strength), 1 + strength)
        image = enhancers[index](image).enhance(factor)
    return image


def augmented_batch(
    images: Array, labels: Array, augmentation: Augmentation, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Erases parts of images, and mixes the batch with itself in another order.

    Args:
        images: float32 `(batch, side, side, 3)`, normalised. Not modified.
        labels: float32 `(batch, classes)`, each row a distribution. Not modified.
        augmentation: Changes to make.
        rng: Source of all random numbers.

    Returns:
        Images and labels of the same shapes and dtypes.
    """
    if augmentation.random_erasing:
        images = _erased(images, augmentation.random_erasing, rng)
    alphas = {_mixup: augmentation.mixup, _cutmix: augmentation.cutmix}
    chosen = [mix for mix, alpha in alphas.items() if alpha]
    if chosen:
        mix = chosen[rng.integers(len(chosen))]
        order = rng.permutation(len(images))
        images, weight = mix(images, images[order], rng.beta(alphas[mix], alphas[mix]), rng)
        labels = np.float32(weight) * labels + np.float32(1 - weight) * labels[order]
    return images, labels


def _erased(images: Array, probability: float, rng: np.random.Generator) -> Array:
    """Random erasing (arXiv 1708.04896), by noise about the mean colour."""
    images = images.copy()
    height, width, channels = images.shape[1:]
    for index in np.flatnonzero(rng.random(len(images)) < probability):
        left, top, right, bottom = random_box(width, height, ERASED_AREA, rng, ERASED_ASPECT_RATIOS)
        noise = rng.standard_normal((bottom - top, right - left, channels), "float32")
        images[index, top:bottom, left:right] = noise
    return images


def _mixup(
    images: Array, others: Array, weight: float, rng: np.random.Generator
) -> tuple[Array, float]:
    """Mixup (arXiv 1710.09412): `weight · images + (1 - weight) · others`."""
    return np.float32(weight) * images + np.float32(1 - weight) * others, weight


def _cutmix(
    images: Array, others: Array, weight: float, rng: np.random.Generator
) -> tuple[Array, float]:
    """Cutmix (arXiv 1905.04899): a rectangle of `others`, of the share `1 - weight` of the area.

    Its centre may be anywhere; what lies outside of the image is cut off, and the weight that is
    returned is that of what is left.
    """
    height, width = images.shape[1:3]
    (top, bottom), (left, right) = (
        _span(length, math.sqrt(1 - weight), rng) for length in (height, width)
    )
    mixed = images.copy()
    mixed[:, top:bottom, left:right] = others[:, top:bottom, left:right]
    return mixed, 1 - (bottom - top) * (right - left) / (height * width)


def _span(length: int, share: float, rng: np.random.Generator) -> tuple[int, int]:
    size = round(length * share)
    start = int(rng.integers(0, length, endpoint=True)) - size // 2
    return max(start, 0), min(start + size, length)
