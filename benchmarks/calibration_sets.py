"""Sets of images that `make bench-accuracy` calibrates on, to see how much the choice matters."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.train_fashion_mnist import DATA, SIDE, load_split, to_inputs, upscale
from keras_fastvit.arrays import Array
from keras_fastvit.images.preprocessing import preprocess_input

SEED = 0
PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")
"""scikit-image's own colour photographs: an astronaut, a cat, a cup, a motorcycle, a rocket."""


def calibration_set(source: str, count: int) -> Array:
    """Returns the same images each time, normalised.

    Args:
        source: A key of `SOURCES`.
        count: How many.

    Returns:
        float32 `(count, 64, 64, 3)`.

    Raises:
        FileNotFoundError: If Fashion-MNIST is wanted and not there.
        ImportError: If photographs are wanted and scikit-image is not installed.
    """
    return SOURCES[source](count, np.random.default_rng(SEED))


def _split(split: str, count: int, rng: np.random.Generator) -> Array:
    pixels, _ = load_split(DATA, split)
    return to_inputs(upscale(pixels[rng.choice(len(pixels), count, replace=False)]))


def _photographs(count: int, rng: np.random.Generator) -> Array:
    """Square cuts of random size, from a whole photograph to the pixels as they are."""
    import skimage

    folder = Path(skimage.__file__).with_name("data")
    photographs = [Image.open(folder / name).convert("RGB") for name in PHOTOGRAPHS]
    pixels = np.empty((count, SIDE, SIDE, 3), "uint8")
    for i in range(count):
        photograph = photographs[i % len(photographs)]
        side = int(rng.integers(SIDE, min(photograph.size), endpoint=True))
        left, top = (int(rng.integers(0, length - side + 1)) for length in photograph.size)
        cut = photograph.crop((left, top, left + side, top + side))
        pixels[i] = cut.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return preprocess_input(pixels, "channels_last")


def _noise(count: int, rng: np.random.Generator) -> Array:
    pixels = rng.integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)
    return preprocess_input(pixels, "channels_last")


SOURCES: dict[str, Callable[[int, np.random.Generator], Array]] = {
    "training images": lambda count, rng: _split("train", count, rng),
    "test images": lambda count, rng: _split("t10k", count, rng),
    "photographs": _photographs,
    "noise": _noise,
}
"""Of Fashion-MNIST, as the model sees them; colour photographs of other things; random pixels."""
