"""ImageNet-C's nineteen common corruptions at five severities, for images of any size.

Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations" (ICLR 2019), with the parameters that its authors published (hendrycks/robustness,
Apache License 2.0) for photographs of 224×224 pixels; of the code itself nothing is used here. How
they carry over to other sizes: see `canvas`. Frost is drawn, not photographed: see `weather`. Other
random numbers are drawn than there, so figures are near the published ones, not equal to them.

    from keras_fastvit.evaluation.corruptions import corrupt
    foggy = corrupt(image, "fog", severity=3, seed=0)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_fastvit.arrays import Array
from keras_fastvit.evaluation.corruptions import blur, digital, noise, weather

SEVERITIES = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Corruption:
    """A corruption as data.

    Attributes:
        group: `"noise"`, `"blur"`, `"weather"` or `"digital"`, of the fifteen that count in
            ImageNet-C's means; `"extra"` of the four that were made to tune methods on.
        apply: Maps an image, float `(height, width, 3)` in 0..1, a source of randomness and the
            parameters of a severity to the image, which may leave 0..1.
        parameters: Of each severity.
    """

    group: str
    apply: Callable[..., Array]
    parameters: tuple[tuple[Any, ...], ...]


_ELASTIC_SIDE = 244  # so in the published code, whose authors say that 224 was meant

CORRUPTIONS = {
    "gaussian_noise": Corruption(
        "noise", noise.gaussian_noise, ((0.08,), (0.12,), (0.18,), (0.26,), (0.38,))
    ),
    "shot_noise": Corruption("noise", noise.shot_noise, ((60,), (25,), (12,), (5,), (3,))),
    "impulse_noise": Corruption(
        "noise", noise.impulse_noise, ((0.03,), (0.06,), (0.09,), (0.17,), (0.27,))
    ),
    "defocus_blur": Corruption(
        "blur", blur.defocus_blur, ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))
    ),
    "glass_blur": Corruption(
        "blur", blur.glass_blur, ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2))
    ),
    "motion_blur": Corruption(
        "blur", blur.motion_blur, ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))
    ),
    "zoom_blur": Corruption(
        "blur", blur.zoom_blur, ((1.11, 12), (1.15, 16), (1.2, 11), (1.24, 13), (1.3, 11))
    ),
    "snow": Corruption(
        "weather",
        weather.snow,
        (
            (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
            (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
            (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
            (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
            (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
        ),
    ),
    "frost": Corruption(
        "weather", weather.frost, ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))
    ),
    "fog": Corruption("weather", weather.fog, ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4))),
    "brightness": Corruption(
        "weather", digital.brightness, ((0.1,), (0.2,), (0.3,), (0.4,), (0.5,))
    ),
    "contrast": Corruption("digital", digital.contrast, ((0.4,), (0.3,), (0.2,), (0.1,), (0.05,))),
    "elastic_transform": Corruption(
        "digital",
        digital.elastic_transform,
        tuple(
            tuple(_ELASTIC_SIDE * share for share in shares)
            for shares in (
                (2, 0.7, 0.1),
                (2, 0.08, 0.2),
                (0.05, 0.01, 0.02),
                (0.07, 0.01, 0.02),
                (0.12, 0.01, 0.02),
            )
        ),
    ),
    "pixelate": Corruption("digital", digital.pixelate, ((0.6,), (0.5,), (0.4,), (0.3,), (0.25,))),
    "jpeg_compression": Corruption(
        "digital", digital.jpeg_compression, ((25,), (18,), (15,), (10,), (7,))
    ),
    "speckle_noise": Corruption(
        "extra", noise.speckle_noise, ((0.15,), (0.2,), (0.35,), (0.45,), (0.6,))
    ),
    "gaussian_blur": Corruption("extra", blur.gaussian_blur, ((1,), (2,), (3,), (4,), (6,))),
    "spatter": Corruption(
        "extra",
        weather.spatter,
        (
            (0.65, 0.3, 4, 0.69, 0.6, False),
            (0.65, 0.3, 3, 0.68, 0.6, False),
            (0.65, 0.3, 2, 0.68, 0.5, False),
            (0.65, 0.3, 1, 0.65, 1.5, True),
            (0.67, 0.4, 1, 0.65, 1.5, True),
        ),
    ),
    "saturate": Corruption(
        "extra", digital.saturate, ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2))
    ),
}
"""By name, in the paper's order; the last four are the extra ones."""


def corrupt(image: Array, corruption: str, severity: int = 1, seed: Any = 0) -> Array:
    """Corrupts an image; the same arguments give the same result.

    Args:
        image: uint8 `(height, width, 3)`, RGB, 0..255; it is not modified.
        corruption: A key of `CORRUPTIONS`.
        severity: 1 to 5.
        seed: What `numpy.random.default_rng` takes; one for each image of a data set.

    Returns:
        uint8, the same shape.

    Raises:
        ImportError: If SciPy is not installed.
        ValueError: If an argument is not as above.

    Example:
    >>> grey = np.full((32, 32, 3), 128, "uint8")
    >>> corrupt(grey, "brightness", 2)[0, 0].tolist()
    [179, 179, 179]
    """
    if corruption not in CORRUPTIONS:
        raise ValueError(
            f"Unknown corruption. Expected one of {', '.join(CORRUPTIONS)}. "
            f"Received: corruption={corruption!r}"
        )
    if severity not in SEVERITIES:
        raise ValueError(
            f"`corrupt` expects a severity from 1 to {len(SEVERITIES)}. "
            f"Received: severity={severity!r}"
        )
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(
            "`corrupt` expects an RGB image, uint8 of shape (height, width, 3). "
            f"Received: {image.dtype} of shape {image.shape}"
        )
    row = CORRUPTIONS[corruption]
    rng = np.random.default_rng(seed)
    changed = row.apply(image / 255, rng, *row.parameters[severity - 1])
    return np.round(255 * np.clip(changed, 0, 1)).astype("uint8")
