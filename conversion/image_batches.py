"""Batches of a folder's images for `fit`, read as they are needed, without labels."""

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_fastvit.image_files import image_suffixes
from keras_fastvit.preprocessing import load_image, preprocess_input

from .calibration import files_in

Array = NDArray[Any]


class ImageBatches(keras.utils.PyDataset):
    """Normalised images `(batch, height, width, 3)`, in another order each epoch.

    Args:
        folder: Where they are, or in folders in it.
        image_size: Height and width in pixels.
        crop_pct: Share of the resized image's short side that the crop keeps, as in `load_image`.
        batch_size: Images a batch; the last one has what is left.

    Raises:
        FileNotFoundError: If there is nothing at `folder`.
        NotADirectoryError: If it is no folder.
        ValueError: If there are no images in it.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        image_size: tuple[int, int],
        crop_pct: float,
        batch_size: int,
    ) -> None:
        super().__init__()
        suffixes = image_suffixes()
        files = files_in(folder, "Training")
        self.paths: list[Path] = [path for path in files if path.suffix.lower() in suffixes]
        if not self.paths:
            raise ValueError(f"Training needs images. Received: none in '{folder}'")
        self.image_size, self.crop_pct, self.batch_size = image_size, crop_pct, batch_size
        self.epoch = 0
        self._shuffle()

    def __len__(self) -> int:
        return -(-len(self.paths) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[Array]:
        chosen = self._order[index * self.batch_size : (index + 1) * self.batch_size]
        images = [load_image(self.paths[i], self.image_size, self.crop_pct) for i in chosen]
        return (preprocess_input(np.stack(images), "channels_last"),)

    def on_epoch_end(self) -> None:
        self.epoch += 1
        self._shuffle()

    def _shuffle(self) -> None:
        self._order = np.random.default_rng(self.epoch).permutation(len(self.paths))
