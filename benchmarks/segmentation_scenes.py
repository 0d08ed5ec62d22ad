"""Scenes for segmentation: Fashion-MNIST's items in colour on textures, each pixel labelled.

Training scenes are made of the training images on some of scikit-image's textures and photographs,
or on noise; evaluation scenes of the test images on others. A scene depends on nothing but its
split, seed and number.
"""

from pathlib import Path

import keras
import numpy as np
import skimage
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from benchmarks.train_fashion_mnist import DATA, load_split
from keras_fastvit import class_names, preprocess_input

Pixels = NDArray[np.uint8]
Generator = np.random.Generator

SIDE = 128
"""Of a scene, in pixels."""

ITEM_SIDES = (72, 112)
"""Of the square that an item's 28×28 pixels are resized to, the smallest and the largest."""

MOST_ITEMS = 2
MOST_HIDDEN = 0.3
"""Of the area of an item that others may lie on."""

CLASSES = {
    "background": (),
    "top or dress": ("T-shirt/top", "Pullover", "Coat", "Shirt", "Dress"),
    "trouser": ("Trouser",),
    "footwear": ("Sandal", "Sneaker", "Ankle boot"),
    "bag": ("Bag",),
}
"""Of pixels, each with the kinds of items that it holds: those that 28×28 pixels tell apart. Which
top one has, people and classifiers of single items often get wrong."""

TEXTURES = {
    "train": (
        *("astronaut.png", "brick.png", "camera.png", "cell.png", "clock_motion.png", "coffee.png"),
        *("coins.png", "grass.png", "hubble_deep_field.jpg", "ihc.png", "moon.png", "page.png"),
        *("motorcycle_left.png", "retina.jpg", "text.png"),
    ),
    "t10k": ("gravel.png", "chelsea.png", "rocket.jpg"),
}
"""By split of the data set: files that come with scikit-image."""

_LEAST_GREY = 8
"""Of an item's pixels: what is around the item is black, nearly."""

_TRIES = 10


class Scenes:
    """Makes scenes.

    Args:
        split: `"train"` or `"t10k"`, of the items and of the textures.
        seed: Of all scenes.
        side: Of a scene, in pixels, at least `ITEM_SIDES[1]`.
        data: Folder of the data set.

    Raises:
        FileNotFoundError: If the data set is not there.
        ValueError: If the side is too small.
    """

    def __init__(self, split: str, seed: int, side: int = SIDE, data: Path = DATA) -> None:
        if side < ITEM_SIDES[1]:
            raise ValueError(
                f"A scene must have room for an item. Expected: a side of at least {ITEM_SIDES[1]} "
                f"pixels. Received: side={side}"
            )
        self.items, labels = load_split(data, split)
        names = class_names("fashion_mnist")
        self._of_class = [
            [np.flatnonzero(labels == names.index(kind)) for kind in kinds]
            for kinds in CLASSES.values()
        ]
        folder = Path(skimage.__file__).with_name("data")
        self._textures = [Image.open(folder / x).convert("RGB") for x in TEXTURES[split]]
        self._with_noise = split == "train"
        self.seed, self.side = seed, side

    def scene(self, number: int) -> tuple[Pixels, Pixels]:
        """Returns a scene.

        Returns:
            The image `(side, side, 3)` in 0..255, and the index in `CLASSES` of each pixel's class,
            `(side, side)`.
        """
        rng = np.random.default_rng([self.seed, number])
        image = self._background(rng)
        owner = np.zeros((self.side, self.side), int)
        classes, areas = [0], [owner.size]
        for _ in range(rng.integers(1, MOST_ITEMS + 1)):
            label = int(rng.integers(1, len(CLASSES)))
            kinds = self._of_class[label]
            colours, shape = item(self.items[rng.choice(kinds[rng.integers(len(kinds))])], rng)
            place = self._place(shape, owner, areas, rng)
            if place is None:
                continue
            image[place][shape] = colours[shape]
            owner[place][shape] = len(classes)
            classes.append(label)
            areas.append(int(shape.sum()))
        return image, np.array(classes, "uint8")[owner]

    def batch(self, numbers: range) -> tuple[Pixels, Pixels]:
        """Returns the scenes of these numbers: images `(count, side, side, 3)`, labels."""
        images, labels = zip(*map(self.scene, numbers), strict=True)
        return np.stack(images), np.stack(labels)

    def _place(
        self, shape: NDArray[np.bool_], owner: NDArray[np.int_], areas: list[int], rng: Generator
    ) -> tuple[slice, slice] | None:
        """Finds a place where the item hides no other one; None if there seems to be none."""
        side = len(shape)
        for _ in range(_TRIES):
            top, left = rng.integers(0, self.side - side + 1, 2)
            place = slice(top, top + side), slice(left, left + side)
            left_over = owner.copy()
            left_over[place][shape] = 0
            seen = np.bincount(left_over.ravel(), minlength=len(areas))[1:]
            if np.all(seen >= (1 - MOST_HIDDEN) * np.array(areas[1:])):
                return place
        return None

    def _background(self, rng: Generator) -> Pixels:
        """A piece of a texture, turned, scaled and tinted; every other time in training, noise."""
        if self._with_noise and rng.integers(2):
            pixels = self._noise(rng)
        else:
            texture = self._textures[rng.integers(len(self._textures))]
            length = min(int(rng.uniform(0.75, 2.5) * self.side), *texture.size)
            left, top = (int(rng.integers(0, x - length + 1)) for x in texture.size)
            piece = texture.crop((left, top, left + length, top + length))
            pixels = np.asarray(piece.resize((self.side, self.side)), "float64")
        pixels = np.rot90(pixels, int(rng.integers(4)))
        return np.clip(pixels * rng.uniform(0.5, 1.3, 3), 0, 255).astype("uint8")

    def _noise(self, rng: Generator) -> NDArray[np.float64]:
        """Noise of several scales, some with stripes or edges: blobs, weaves and grains."""
        total = np.zeros((self.side, self.side, 3))
        for _ in range(rng.integers(1, 4)):
            cells = rng.integers(2, 33, 2)
            # One row or column alone makes stripes.
            cells[rng.integers(2)] *= rng.integers(2)
            grid = rng.integers(0, 256, (*np.maximum(cells, 1), 3), "uint8")
            filters = (Image.Resampling.NEAREST, Image.Resampling.BICUBIC)
            larger = Image.fromarray(grid).resize((self.side,) * 2, filters[rng.integers(2)])
            total += rng.uniform(0.2, 1) * (np.asarray(larger, "float64") - 128)
        return total + rng.uniform(60, 200, 3)


def item(grey: Pixels, rng: Generator) -> tuple[Pixels, NDArray[np.bool_]]:
    """Returns an item in a random size and colour, perhaps mirrored.

    Args:
        grey: One image of the data set, `(28, 28)`.
        rng: The source of randomness.

    Returns:
        Colours `(side, side, 3)`, and which pixels belong to the item: those that are not black,
        and what they enclose.
    """
    # Closed first: a dark item's own pixels are black too, here and there.
    closed = ndimage.binary_closing(np.pad(grey >= _LEAST_GREY, 1), np.ones((3, 3)))[1:-1, 1:-1]
    filled = ndimage.binary_fill_holes(closed)
    side = int(rng.integers(ITEM_SIDES[0], ITEM_SIDES[1] + 1))
    light, shape = (
        np.asarray(Image.fromarray(x).resize((side, side), Image.Resampling.BICUBIC))
        for x in (grey, np.uint8(255) * filled)
    )
    step = int(rng.choice([1, -1]))
    colour = rng.uniform(80, 255, 3)
    shaded = colour * (0.25 + 0.75 * light[:, ::step, None] / 255)
    return shaded.astype("uint8"), shape[:, ::step] >= 128


class TrainingScenes(keras.utils.PyDataset):
    """Batches of normalised scenes and labels, new ones in each epoch."""

    def __init__(self, scenes: Scenes, batch: int, steps: int) -> None:
        super().__init__(workers=2, max_queue_size=8)
        self.scenes, self.batch, self.steps, self.epoch = scenes, batch, steps, 0

    def on_epoch_end(self) -> None:
        self.epoch += 1

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], Pixels]:
        start = (self.epoch * self.steps + index) * self.batch
        images, labels = self.scenes.batch(range(start, start + self.batch))
        return preprocess_input(images, "channels_last"), labels
