"""The steps from an image file to a model's input, as plain data that a sidecar can hold."""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_fastvit.arrays import Array
from keras_fastvit.images.normalizations import (
    DEFAULT_CROP_PCT,
    IMAGENET_MEAN,
    IMAGENET_STD,
    NORMALIZATIONS,
)
from keras_fastvit.images.preprocessing import load_image


@dataclass(frozen=True)
class Preparation:
    """The steps that an image takes; by default those of `load_image` and `preprocess_input`.

    Attributes:
        size: Height and width in pixels.
        crop_pct: Share of the resized image's short side that the crop keeps.
        interpolation: `"bicubic"` or `"bilinear"`.
        mean: Of red, green and blue, on the 0..1 scale.
        std: Of red, green and blue, on the 0..1 scale.
    """

    size: tuple[int, int]
    crop_pct: float = DEFAULT_CROP_PCT
    interpolation: str = "bicubic"
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    @classmethod
    def normalized(
        cls, size: tuple[int, int], crop_pct: float, normalization: str
    ) -> "Preparation":
        """Returns the steps of `preprocess_input` with that normalisation."""
        mean, std = NORMALIZATIONS[normalization]
        return cls(size, crop_pct, mean=mean, std=std)

    @classmethod
    def from_sidecar(cls, description: dict[str, Any], size: tuple[int, int]) -> "Preparation":
        """Reads the sidecar of a `.tflite` file whose images are of that size."""
        image = description["input"]
        mean, std = tuple(image["mean"]), tuple(image["std"])
        return cls(size, image["crop_pct"], image["interpolation"], mean, std)

    def load(self, path: str | os.PathLike[str]) -> Array:
        """Returns an image file's pixels, uint8 `(height, width, 3)`.

        Raises:
            OSError: If the file cannot be read.
            ValueError: If it is no image.
        """
        return load_image(path, self.size, self.crop_pct, self.interpolation)

    def normalize(self, pixels: Array) -> Array:
        """Maps uint8 pixels `(…, 3)` to the model's input, float32."""
        mean, std = np.array(self.mean, "float32"), np.array(self.std, "float32")
        normalised: Array = (pixels.astype("float32") / 255.0 - mean) / std
        return normalised

    def __call__(self, path: str | os.PathLike[str]) -> Array:
        """Returns the normalised image, float32 `(height, width, 3)`.

        Raises:
            OSError: If the file cannot be read.
            ValueError: If it is no image.
        """
        return self.normalize(self.load(path))
