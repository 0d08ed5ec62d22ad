"""Batches that a few threads make before they are asked for, for Keras' `fit` and `predict`.

One mechanism for TensorFlow, JAX and torch: `keras.utils.PyDataset`, whose batches are a function
of the epoch and their index alone. Pillow decodes, resizes and augments outside of Python's global
lock, so threads keep all cores busy; processes would each import a backend. `tf.data` would hand
the same Python code to threads of its own; `benchmarks/input_pipeline.py` compares the two. Keras'
own `workers` start before a dataset knows its epoch, so the threads here are this module's.
"""

import os
from abc import abstractmethod
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any

import keras

AHEAD = 2
"""Batches that are made before they are asked for."""


class BatchesAhead(keras.utils.PyDataset):
    """Batches of samples, each of which is made on its own.

    Attributes:
        batch_size: Samples a batch.
        epoch: Which epoch's batches these are; to be set before each.
        failure: What went wrong while a batch was made, if something did. `fit` may have raised
            another error from it.
    """

    def __init__(self, batch_size: int) -> None:
        super().__init__()
        self.batch_size = batch_size
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
    def image(self, epoch: int, index: int, place: int) -> Any:
        """Returns what is made of an image of a batch, the same each time.

        Raises:
            FileNotFoundError: If it is no longer there.
            ValueError: If the file is no image any more.
        """

    @abstractmethod
    def batch(self, epoch: int, index: int, images: list[Any]) -> Any:
        """Returns the batch that images make, the same one each time."""
