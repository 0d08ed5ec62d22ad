"""The photographs that int8 is calibrated on, from a folder, as the model sees them.

Any that look like what the app will see. They need no labels, and a few hundred do: of a larger
folder an even spread is taken, the same one each time.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from keras_fastvit.arrays import Array
from keras_fastvit.conversion.quantization.techniques import FEWEST_IMAGES
from keras_fastvit.images.files import image_suffixes, named
from keras_fastvit.images.folders import TRAIN, existing_folder, files_in, find_splits
from keras_fastvit.images.preprocessing import load_image, preprocess_input

LIMIT = 200
"""How many images are taken of a larger folder."""


@dataclass(frozen=True)
class Calibration:
    """Images to calibrate on.

    Attributes:
        images: float32 `(images, height, width, 3)`, normalised.
        skipped: Why each file that could not be used was not, by its path.
        pixels: What the images were made of, uint8; None of images that were given normalised.
    """

    images: Array
    skipped: dict[Path, str]
    pixels: Array | None = None

    @property
    def counts(self) -> dict[str, int]:
        """The numbers of images and of files that were skipped."""
        return {"images": len(self.images), "skipped": len(self.skipped)}


def read_calibration(
    calibration: str | os.PathLike[str] | Sequence[Path] | Array,
    shape: tuple[int, int, int, int],
    crop_pct: float,
    normalization: str = "imagenet",
) -> Calibration:
    """Returns the images that a folder, a list of files or an array holds.

    Args:
        calibration: Folder, files in a list, or array `(images, height, width, channels)` of
            normalised images.
        shape: Of the model's input, `(1, height, width, channels)`.
        crop_pct: Share of the resized image's short side that the crop keeps, of a folder's.
        normalization: How a folder's images are normalised; see `preprocess_input`.

    Raises:
        OSError: If there is no such folder.
        ValueError: If there are fewer than `FEWEST_IMAGES` images, or not of the model's shape.
    """
    if isinstance(calibration, np.ndarray):
        if calibration.shape[1:] != shape[1:] or len(calibration) < FEWEST_IMAGES:
            raise ValueError(
                f"Calibration needs at least {FEWEST_IMAGES} images of shape {shape[1:]}. "
                f"Received: an array of shape {calibration.shape}"
            )
        return Calibration(calibration.astype("float32"), {})
    if shape[3] != 3:
        raise ValueError(
            "A folder of images calibrates a model that takes RGB images; give an array to "
            f"another. Received: calibration={str(calibration)!r} for an input of shape {shape}"
        )
    if isinstance(calibration, (str, os.PathLike)):
        return read_folder(calibration, shape[1:3], crop_pct, normalization=normalization)
    where = "a list of files"
    return _read(list(calibration), where, shape[1:3], crop_pct, LIMIT, normalization)


def read_folder(
    folder: str | os.PathLike[str],
    image_size: tuple[int, int],
    crop_pct: float,
    limit: int = LIMIT,
    normalization: str = "imagenet",
) -> Calibration:
    """Reads the images in a folder and the folders in it.

    Deterministic: the same files give the same images in the same order. Hidden files are not
    looked at; what is no image is skipped, and another file read instead. Of a folder with splits,
    such as `train` and `val`, only the images to train on are read: the others measure the file.

    Args:
        folder: Where they are.
        image_size: Height and width in pixels of the model's input.
        crop_pct: Share of the resized image's short side that the crop keeps, as in `load_image`.
        limit: How many images to take at most.
        normalization: How they are normalised; see `preprocess_input`.

    Raises:
        FileNotFoundError: If there is nothing at `folder`.
        NotADirectoryError: If it is no folder.
        ValueError: If it has fewer than `FEWEST_IMAGES` images that can be read, or two folders
            to train on.
    """
    folder = existing_folder(folder, "Calibration needs a folder of images")
    folder = find_splits(folder).get(TRAIN, folder)
    where = f"'{folder}' and the folders in it"
    return _read(files_in(folder), where, image_size, crop_pct, limit, normalization)


def _read(
    files: list[Path],
    where: str,
    image_size: tuple[int, int],
    crop_pct: float,
    limit: int,
    normalization: str,
) -> Calibration:
    """Reads some of the files; `where` says in errors where they are."""
    suffixes = image_suffixes()
    loaded: dict[Path, Array] = {}
    skipped: dict[Path, str] = {}
    console = Console(stderr=True)
    for path in track(
        _spread(files),
        "Reading calibration images",
        total=min(limit, len(files)),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ):
        if len(loaded) == limit:
            break
        if path.suffix.lower() not in suffixes:  # may be gigabytes of film: not even opened
            skipped[path] = f"'{path.suffix}' is no suffix of an image"
            continue
        try:
            loaded[path] = load_image(path, image_size, crop_pct)
        except (OSError, ValueError) as error:
            skipped[path] = str(error)
    if len(loaded) < FEWEST_IMAGES:
        others = f"; other files, or damaged: {named(skipped)}" if skipped else ""
        raise ValueError(
            f"Calibration needs at least {FEWEST_IMAGES} images. Received: {len(loaded)} in "
            f"{where}{others}"
        )
    pixels = np.stack([loaded[path] for path in sorted(loaded)])
    images = preprocess_input(pixels, "channels_last", normalization)
    return Calibration(images, skipped, pixels)


def _spread(files: list[Path]) -> list[Path]:
    """Reorders files so that the first few, however many, are spread over all of them.

    By the bits of their places, backwards: 0, the middle, the quarters, the eighths, …
    """
    width = max(len(files) - 1, 1).bit_length()
    return [files[i] for i in sorted(range(len(files)), key=lambda i: f"{i:0{width}b}"[::-1])]
