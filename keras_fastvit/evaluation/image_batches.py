"""The images of folders, read batch by batch; those that cannot be read are left out."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from keras_fastvit.arrays import Array
from keras_fastvit.images.folders import ImageFolders

BATCH = 32
"""How many images are in memory at a time."""


def read_batches(
    folders: ImageFolders,
    prepare: Callable[[str | os.PathLike[str]], Array],
    skipped: dict[Path, str],
    advance: Callable[[], None] = lambda: None,
) -> Iterator[tuple[list[int], Array]]:
    """Yields images with their places in `folders.images`.

    Args:
        folders: Where they are.
        prepare: Makes an array of a file, always of the same shape.
        skipped: Is given, by path, why a file was left out.
        advance: Called after each file.

    Yields:
        Places, at most `BATCH` of them, and images `(len(places), …)`.

    Raises:
        ValueError: At the end, if no file could be read.
    """
    any_read = False
    for start in range(0, len(folders.images), BATCH):
        places, batch = [], []
        for place in range(start, min(start + BATCH, len(folders.images))):
            path = folders.images[place]
            try:
                batch.append(prepare(path))
                places.append(place)
            except (OSError, ValueError) as error:
                skipped[path] = str(error)
            advance()
        if batch:
            any_read = True
            yield places, np.stack(batch)
    if not any_read:
        path, reason = next(iter(skipped.items()))
        raise ValueError(
            f"None of the {len(skipped)} files in the sub-folders of '{folders.root}' is an image "
            f"that can be read. Received: '{path}': {reason}"
        )
