"""RandAugment (arXiv 1909.13719) on Pillow images, as the paper's `m9-mstd0.5-inc1` has it.

Each image draws two operations; each is applied with probability ½, at a magnitude from a normal
distribution of standard deviation 0.5, cut to 0..10; a greater magnitude always changes more. The
ranges of the operations are timm's.

Keras' own `RandAugment` layer is another thing: it draws one pair of operations for the whole
batch, a magnitude that is uniform from 0, rotations by up to half a turn, and computes all of its
operations to keep one.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from keras_fastvit.images.normalizations import IMAGENET_MEAN

OPERATIONS_PER_IMAGE = 2
PROBABILITY = 0.5
MAGNITUDE_STDDEV = 0.5
LARGEST_MAGNITUDE = 10

_FILL = tuple(round(255 * mean) for mean in IMAGENET_MEAN)
"""Colour of what an operation moves into the picture."""

Operation = Callable[[Image.Image, float, float], Image.Image]
"""Maps an image, a magnitude in 0..1 and a sign, -1 or 1, to an image of the same size."""


def rand_augment(image: Image.Image, magnitude: float, rng: np.random.Generator) -> Image.Image:
    """Changes an image by randomly drawn operations.

    Args:
        image: Image of mode `"RGB"`.
        magnitude: Mean magnitude, 0..10.
        rng: Source of all random numbers.
    """
    for index in rng.integers(0, len(OPERATIONS), OPERATIONS_PER_IMAGE):
        applied, sign = rng.random() < PROBABILITY, rng.choice((-1.0, 1.0))
        drawn = np.clip(rng.normal(magnitude, MAGNITUDE_STDDEV), 0, LARGEST_MAGNITUDE)
        if applied:
            image = OPERATIONS[index](image, float(drawn) / LARGEST_MAGNITUDE, float(sign))
    return image


def _affine(image: Image.Image, matrix: tuple[float, ...]) -> Image.Image:
    return image.transform(
        image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC, fillcolor=_FILL
    )


def _enhance(kind: Callable[[Image.Image], ImageEnhance._Enhance]) -> Operation:
    return lambda image, magnitude, sign: kind(image).enhance(max(0.1, 1 + 0.9 * sign * magnitude))


def _posterize(image: Image.Image, magnitude: float, sign: float) -> Image.Image:
    return ImageOps.posterize(image, max(4 - int(4 * magnitude), 1))


def _solarize_add(image: Image.Image, magnitude: float, sign: float) -> Image.Image:
    added = int(110 * magnitude)
    return image.point([min(255, x + added) if x < 128 else x for x in range(256)] * 3)


def _rotate(image: Image.Image, magnitude: float, sign: float) -> Image.Image:
    return image.rotate(30 * sign * magnitude, Image.Resampling.BICUBIC, fillcolor=_FILL)


# All of one kind, and drawn equally often.
OPERATIONS: tuple[Operation, ...] = (
    lambda image, magnitude, sign: ImageOps.autocontrast(image),
    lambda image, magnitude, sign: ImageOps.equalize(image),
    lambda image, magnitude, sign: ImageOps.invert(image),
    _rotate,
    _posterize,
    lambda image, magnitude, sign: ImageOps.solarize(image, 256 - int(256 * magnitude)),
    _solarize_add,
    _enhance(ImageEnhance.Color),
    _enhance(ImageEnhance.Contrast),
    _enhance(ImageEnhance.Brightness),
    _enhance(ImageEnhance.Sharpness),
    lambda image, magnitude, sign: _affine(image, (1, 0.3 * sign * magnitude, 0, 0, 1, 0)),
    lambda image, magnitude, sign: _affine(image, (1, 0, 0, 0.3 * sign * magnitude, 1, 0)),
    lambda image, magnitude, sign: _affine(
        image, (1, 0, 0.45 * sign * magnitude * image.width, 0, 1, 0)
    ),
    lambda image, magnitude, sign: _affine(
        image, (1, 0, 0, 0, 1, 0.45 * sign * magnitude * image.height)
    ),
)
