"""Batches of images of a folder with one sub-folder a class, to train on or to validate with."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from keras_fastvit.arrays import Array
from keras_fastvit.images.preprocessing import load_image, preprocess_input
from keras_fastvit.training.data.ahead import BatchesAhead
from keras_fastvit.training.data.augmentation import augmented_batch, augmented_image
from keras_fastvit.training.data.folders import Examples
from keras_fastvit.training.data.randomness import Purpose, generator, order
from keras_fastvit.training.recipes import Augmentation


class Batches(BatchesAhead):
    """Batches of a folder's images, uint8 `(side, side, 3)`, normalised, channels last."""

    def __init__(
        self, root: Path, examples: Examples, side: int, batch_size: int, normalization: str
    ) -> None:
        super().__init__(batch_size)
        self.root, self.examples, self.side = root, examples, side
        self._normalization = normalization

    def normalized(self, images: list[NDArray[np.uint8]]) -> Array:
        """Returns images as the model takes them, float32 `(batch, side, side, 3)`."""
        stacked: Array = preprocess_input(np.stack(images), "channels_last", self._normalization)
        return stacked


class TrainingBatches(Batches):
    """Augmented images in another order each epoch; an incomplete batch at the end is left out.

    Args:
        root: Folder that the examples' paths start at.
        examples: Images and their classes.
        classes: Number of classes.
        side: Side of the images in pixels.
        batch_size: Images a batch.
        augmentation: Changes of the images.
        label_smoothing: Share of each label that is spread over all classes.
        seed: Seed of all that is random.
        normalization: How images are normalised; see `preprocess_input`.
    """

    def __init__(
        self,
        root: Path,
        examples: Examples,
        classes: int,
        side: int,
        batch_size: int,
        augmentation: Augmentation,
        label_smoothing: float,
        seed: int,
        normalization: str = "imagenet",
    ) -> None:
        super().__init__(root, examples, side, batch_size, normalization)
        spread = label_smoothing / classes
        self._labels = np.eye(classes, dtype="float32") * (1 - label_smoothing) + spread
        self._labels = self._labels.astype("float32")
        self.augmentation, self.seed = augmentation, seed

    def __len__(self) -> int:
        return len(self.examples) // self.batch_size

    def images_in(self, index: int) -> int:
        return self.batch_size

    def _example(self, epoch: int, index: int, place: int) -> int:
        return int(order(self.seed, epoch, len(self.examples))[index * self.batch_size + place])

    def image(self, epoch: int, index: int, place: int) -> NDArray[np.uint8]:
        return augmented_image(
            self.root / self.examples.images[self._example(epoch, index, place)],
            self.side,
            self.augmentation,
            generator(self.seed, Purpose.SAMPLE, epoch, index, place),
        )

    def batch(self, epoch: int, index: int, images: list[NDArray[np.uint8]]) -> tuple[Array, Array]:
        """Returns images `(batch, side, side, 3)` and labels `(batch, classes)`, both float32."""
        chosen = [self._example(epoch, index, place) for place in range(self.batch_size)]
        return augmented_batch(
            self.normalized(images),
            self._labels[self.examples.labels[chosen]],
            self.augmentation,
            generator(self.seed, Purpose.BATCH, epoch, index),
        )


class ValidationBatches(Batches):
    """The images in order, as `load_image` reads them.

    All batches are of one size, for which alone a program is compiled and which several devices
    can share: the last image is repeated to fill the last one.

    Args:
        root: Folder that the examples' paths start at.
        examples: Images and their classes.
        side: Side of the images in pixels.
        batch_size: Images a batch.
        crop_pct: Share of the resized image's short side that the crop keeps.
        normalization: How images are normalised; see `preprocess_input`.
    """

    def __init__(
        self,
        root: Path,
        examples: Examples,
        side: int,
        batch_size: int,
        crop_pct: float,
        normalization: str = "imagenet",
    ) -> None:
        super().__init__(root, examples, side, batch_size, normalization)
        self.crop_pct = crop_pct

    def __len__(self) -> int:
        return -(-len(self.examples) // self.batch_size)

    def images_in(self, index: int) -> int:
        return min(self.batch_size, len(self.examples) - index * self.batch_size)

    def image(self, epoch: int, index: int, place: int) -> NDArray[np.uint8]:
        path = self.examples.images[index * self.batch_size + place]
        return load_image(self.root / path, self.side, self.crop_pct)

    def batch(self, epoch: int, index: int, images: list[NDArray[np.uint8]]) -> tuple[Array]:
        """Returns images, float32 `(batch, side, side, 3)`, in a tuple."""
        filled = images + images[-1:] * (self.batch_size - len(images))
        return (self.normalized(filled),)
