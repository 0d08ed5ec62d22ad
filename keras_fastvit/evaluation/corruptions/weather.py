"""Weather: snow, frost, fog, and water or mud on the lens. Drawn on a canvas: see `canvas`.

Frost is not the published one, which lays photographs of frosted windows over the image. They may
not be passed on, so crystals are drawn here: fractal noise in the photographs' colours.
"""

import numpy as np

from keras_fastvit.arrays import Array
from keras_fastvit.evaluation.corruptions.blur import smeared
from keras_fastvit.evaluation.corruptions.canvas import SIDE, canvas_shape, fitted, magnified
from keras_fastvit.evaluation.corruptions.fractals import crystals, plasma

_LUMA = np.array([0.299, 0.587, 0.114])
"""Of red, green and blue in grey (ITU-R BT.601)."""

FROST_COLOURS = np.array([[0.25, 0.33, 0.38], [0.80, 0.86, 0.90]])
"""Of the glass between crystals and of the crystals: such that a picture has about the mean,
(0.51, 0.58, 0.63), and the deviation, 0.12, of the published photographs."""

WATER = np.array([175, 238, 238]) / 255
MUD = np.array([63, 42, 20]) / 255

_FARTHEST = 20
"""Pixels from the edge of a drop at which its water is no longer deeper."""


def snow(
    image: Array,
    rng: np.random.Generator,
    mean: float,
    deviation: float,
    magnification: float,
    threshold: float,
    radius: int,
    fading: float,
    share: float,
) -> Array:
    """Whitens an image and lets flakes fall over it.

    Args:
        image: Float `(height, width, 3)`, RGB in 0..1.
        rng: Source of the randomness.
        mean: Of the normal noise that flakes are made of.
        deviation: Of that noise.
        magnification: Of the flakes.
        threshold: Below it there is no flake.
        radius: Of the motion blur by which they fall.
        fading: Standard deviation of that blur.
        share: How much of the image is not whitened.
    """
    flakes = magnified(rng.normal(mean, deviation, canvas_shape(image)), magnification)
    flakes = np.where(flakes < threshold, 0, np.clip(flakes, 0, 1))
    flakes = smeared(flakes, radius, fading, rng.uniform(-135, -45))
    falling = fitted(flakes + flakes[::-1, ::-1], image)[..., None]
    white = np.maximum(image, (image @ _LUMA)[..., None] * 1.5 + 0.5)
    return share * image + (1 - share) * white + falling


def frost(image: Array, rng: np.random.Generator, share: float, ice: float) -> Array:
    """Mixes an image with crystals of ice: `share · image + ice · crystals`.

    Args:
        image: Float `(height, width, 3)`, RGB in 0..1.
        rng: Source of the crystals.
        share: Weight of the image.
        ice: Weight of the crystals.
    """
    layer = fitted(crystals(canvas_shape(image), rng), image)[..., None]
    glass, crystal = FROST_COLOURS
    return share * image + ice * (glass + layer * (crystal - glass))


def fog(image: Array, rng: np.random.Generator, thickness: float, decay: float) -> Array:
    """Adds a plasma fractal, and dims the sum to the image's own brightest value.

    Args:
        image: Float `(height, width, 3)`, RGB in 0..1.
        rng: Source of the fractal.
        thickness: Weight of the fractal, whose values are 0..1.
        decay: The larger, the smoother: see `plasma`.
    """
    height, width = canvas_shape(image)
    side = 1 << (max(height, width, SIDE) - 1).bit_length()
    layer = fitted(plasma(side, decay, rng)[:height, :width], image)[..., None]
    brightest = image.max()
    return (image + thickness * layer) * brightest / (brightest + thickness)


def spatter(
    image: Array,
    rng: np.random.Generator,
    mean: float,
    deviation: float,
    smoothness: float,
    threshold: float,
    strength: float,
    is_mud: bool,
) -> Array:
    """Spatters water, which brightens, or mud, which covers.

    Args:
        image: Float `(height, width, 3)`, RGB in 0..1.
        rng: Source of the drops.
        mean: Of the normal noise that drops are made of.
        deviation: Of that noise.
        smoothness: Standard deviation of the Gaussian blur of the noise.
        threshold: Above it there is liquid.
        strength: How much the deepest water adds; or how far the edges of mud are blurred.
        is_mud: Whether it is mud.
    """
    from scipy.ndimage import gaussian_filter

    liquid = rng.normal(mean, deviation, canvas_shape(image))
    liquid = gaussian_filter(liquid, smoothness, mode="nearest")
    if is_mud:
        cover = gaussian_filter((liquid > threshold).astype("float64"), strength, mode="nearest")
        cover = fitted(np.where(cover < 0.8, 0, cover), image)[..., None]
        return image * (1 - cover) + MUD * cover
    depth = _depth_of_water(np.where(liquid < threshold, 0, liquid))
    return image + strength * fitted(depth, image)[..., None] * WATER


def _depth_of_water(liquid: Array) -> Array:
    """Shades drops as if lit from one corner, by the distance from their edges; 0..1."""
    from scipy.ndimage import binary_erosion, correlate, distance_transform_edt, uniform_filter

    drops = liquid > 0
    edges = drops & ~binary_erosion(drops, border_value=1)
    distances = distance_transform_edt(~edges) if edges.any() else np.full(drops.shape, 255.0)
    levels = uniform_filter(np.minimum(distances, _FARTHEST), 3, mode="mirror").astype("uint8")
    relief = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
    lit = np.clip(correlate(_equalized(levels).astype("int64"), relief, mode="mirror"), 0, 255)
    depth = liquid * uniform_filter(lit.astype("float64"), 3, mode="mirror")
    deepest = depth.max()
    return depth / deepest if deepest > 0 else depth


def _equalized(levels: Array) -> Array:
    """Spreads levels, uint8, such that each range of them is as frequent: 0 the lowest, to 255."""
    below = np.cumsum(np.bincount(levels.ravel(), minlength=256))
    lowest = below[levels.min()]
    spread = np.round(255 * (below - lowest) / max(levels.size - lowest, 1))
    equalized: Array = np.clip(spread, 0, 255).astype("uint8")[levels]
    return equalized
