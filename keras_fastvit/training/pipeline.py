"""Batches of images for Keras' `fit` and `predict`, made ahead by a few threads.

One mechanism for TensorFlow, JAX and torch: `keras.utils.PyDataset`, whose batches are a function
of the epoch and their index alone. Pillow decodes, resizes and augments outside of Python's global
lock, so threads keep all cores busy; processes would each import a backend. `tf.data` would hand
the same Python code to threads of its own; `benchmarks/input_pipeline.py` compares the two. Keras'
own `workers` start before a dataset knows its epoch, so the threads here are this module's.
"""

import functools
import os
from abc import abstractmethod
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_fastvit.preprocessing import load_image, preprocess_input

from .augmentation import augmented_batch, augmented_image
from .folders import Examples
from .randomness import Purpose, generator
from .recipes import Augmentation

Array = NDArray[Any]

AHEAD = 2
"""Batches that are made before they are asked for."""


class Batches(keras.utils.PyDataset):
    """Batches of a folder's images, normalised, channels last.

    Attributes:
        epoch: Which epoch's batches these are; to be set before each.
        failure: What went wrong while a batch was made, if something did. `fit` may have raised
            another error from it.
    """

    def __init__(
        self, root: Path, examples: Examples, side: int, batch_size: int, normalization: str
    ) -> None:
        super().__init__()
        self.root, self.examples, self.side = root, examples, side
        self.batch_size, self._normalization = batch_size, normalization
        self.failure: Exception | None = None
        self._epoch = 0
        self._lock = Lock()
        self._image_threads = ThreadPoolExecutor(os.cpu_count())
        # Not one of the others, which would all wait for images when each had a batch.
        self._batch_thread = ThreadPoolExecutor(1)
        self._ahead: dict[int, Future[Any]] = {}

    @property
    def epoch(self) -> int:
        return self._epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        with self._lock:
            if epoch != self._epoch:
                self._epoch = epoch
                self._ahead.clear()

    def close(self) -> None:
        """Stops the threads."""
        self._image_threads.shutdown(cancel_futures=True)
        self._batch_thread.shutdown(cancel_futures=True)

    def __getitem__(self, index: int) -> Any:
        with self._lock:
            for i in range(index, min(index + 1 + AHEAD, len(self))):
                if i not in self._ahead:
                    self._ahead[i] = self._begin(self._epoch, i)
            future = self._ahead.pop(index)
        try:
            return future.result()
        except Exception as error:
            self.failure = self.failure or error
            raise

    def _begin(self, epoch: int, index: int) -> Future[Any]:
        images = [
            self._image_threads.submit(self.image, epoch, index, place)
            for place in range(self.images_in(index))
        ]
        return self._batch_thread.submit(
            lambda: self.batch(epoch, index, [image.result() for image in images])
        )

    def normalized(self, images: list[NDArray[np.uint8]]) -> Array:
        """Returns images as the model takes them, float32 `(batch, side, side, 3)`."""
        stacked: Array = preprocess_input(np.stack(images), "channels_last", self._normalization)
        return stacked

    def make(self, epoch: int, index: int) -> Any:
        """Returns a batch, made in this thread."""
        places = range(self.images_in(index))
        return self.batch(epoch, index, [self.image(epoch, index, place) for place in places])

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def images_in(self, index: int) -> int:
        """Returns how many images a batch is made of."""

    @abstractmethod
    def image(self, epoch: int, index: int, place: int) -> NDArray[np.uint8]:
        """Returns an image of a batch, `(side, side, 3)`, the same one each time.

        Raises:
            FileNotFoundError: If it is no longer there.
            ValueError: If the file is no image any more.
        """

    @abstractmethod
    def batch(self, epoch: int, index: int, images: list[NDArray[np.uint8]]) -> Any:
        """Returns the batch that images make, the same one each time."""


class TrainingBatches(Batches):
    """Augmented images in another order each epoch; an incomplete batch at the end is left out.

    Args:
        root: Folder that the examples' paths start at.
        examples: Images and their classes.
        classes: How many there are.
        side: Of the images in pixels.
        batch_size: Images a batch.
        augmentation: What is done to images.
        label_smoothing: Share of each label that is spread over all classes.
        seed: Of all that is random.
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
        order = _order(self.seed, epoch, len(self.examples))
        return int(order[index * self.batch_size + place])

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


@functools.lru_cache(maxsize=2)
def _order(seed: int, epoch: int, examples: int) -> Array:
    return generator(seed, Purpose.ORDER, epoch).permutation(examples)


class ValidationBatches(Batches):
    """The images in order, as `load_image` reads them.

    All batches are of one size, for which alone a program is compiled and which several devices
    can share: the last image is repeated to fill the last one.

    Args:
        root: Folder that the examples' paths start at.
        examples: Images and their classes.
        side: Of the images in pixels.
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
