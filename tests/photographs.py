"""Small data sets of real colour images: cuts of scikit-image's photographs."""

from pathlib import Path

import numpy as np
import skimage
from PIL import Image

PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png")
CLASSES = ("astronaut", "chelsea", "coffee")
SIDE = 48


def write_photographs(root: Path, count: int = 12, seed: int = 0) -> Path:
    """Writes `root/CLASS/00.png`, …: a class a photograph, `count` cuts of each."""
    rng = np.random.default_rng(seed)
    for file, name in zip(PHOTOGRAPHS, CLASSES, strict=True):
        photograph = Image.open(Path(skimage.__file__).with_name("data") / file).convert("RGB")
        (root / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            side = int(rng.integers(SIDE, 2 * SIDE))
            left, top = (int(rng.integers(0, length - side)) for length in photograph.size)
            cut = photograph.crop((left, top, left + side, top + side)).resize((SIDE, SIDE))
            cut.save(root / name / f"{index:02}.png")
    return root
