"""ADE20K's scenes as the SceneParse150 benchmark was released: files, labels, batches to train on.

    ADEChallengeData2016/images/{training,validation}/NAME.jpg
    ADEChallengeData2016/annotations/{training,validation}/NAME.png

20,210 scenes to train on and 2,000 to validate with, of any size. An annotation has one byte a
pixel: 0 for what is none of the classes, which is ignored, 1 to 150 for the classes, which here
are 0 to 149 (mmsegmentation's `reduce_zero_label`).
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from keras_fastvit.arrays import Array
from keras_fastvit.images.files import named, read_rgb, refusal
from keras_fastvit.images.folders import is_hidden
from keras_fastvit.images.preprocessing import preprocess_input
from keras_fastvit.plain_text import in_short
from keras_fastvit.training.data.ahead import BatchesAhead
from keras_fastvit.training.data.randomness import Purpose, generator, order
from keras_fastvit.training.segmentation.scene_augmentation import augmented_scene

CLASSES = 150
IGNORED = 255
"""Label of pixels that count neither in the loss nor in the metric."""

SPLITS = ("training", "validation")


@dataclass(frozen=True)
class Scenes:
    """The scenes of a split.

    Attributes:
        images: Paths of the photographs, sorted.
        annotations: Paths of what is in them.
    """

    images: tuple[Path, ...]
    annotations: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.images)

    def read(self, index: int) -> tuple[Image.Image, NDArray[np.uint8]]:
        """Returns an RGB photograph and its labels `(height, width)`, 0..149 or `IGNORED`.

        Raises:
            FileNotFoundError: If a file is no longer there.
            ValueError: If a file is damaged, or the two are not of one size.
        """
        image = read_rgb(self.images[index])
        labels = read_labels(self.annotations[index])
        if labels.shape != (image.height, image.width):
            height, width = labels.shape
            raise ValueError(
                f"An annotation must be of its photograph's size. Expected {image.width}x"
                f"{image.height} pixels as in '{self.images[index]}'. Received: {width}x{height} "
                f"in '{self.annotations[index]}'"
            )
        return image, labels


def find_scenes(root: str | os.PathLike[str], split: str) -> Scenes:
    """Lists a split's files; none is opened.

    Args:
        root: The folder `ADEChallengeData2016`.
        split: `"training"` or `"validation"`.

    Raises:
        FileNotFoundError: If a folder is missing.
        ValueError: If there are no photographs, or not an annotation for each and no other.
    """
    folders = [Path(root) / part / split for part in ("images", "annotations")]
    for folder in folders:
        if not folder.is_dir():
            raise FileNotFoundError(
                "Expected ADE20K as its benchmark SceneParse150 has it, with folders images and "
                f"annotations, and training and validation in both. Received: no '{folder}'"
            )
    images, annotations = (
        {x.stem: x for x in sorted(folder.glob(f"*{suffix}")) if not is_hidden(x.name)}
        for folder, suffix in zip(folders, (".jpg", ".png"), strict=True)
    )
    if not images:
        raise ValueError(f"Expected photographs, *.jpg. Received: '{folders[0]}' without any")
    if images.keys() != annotations.keys():
        without = [path for name, path in images.items() if name not in annotations]
        without += [path for name, path in annotations.items() if name not in images]
        raise ValueError(
            f"Each photograph must have its annotation. Received: {len(images)} in '{folders[0]}' "
            f"and {len(annotations)} in '{folders[1]}'; without the other: {named(without)}"
        )
    return Scenes(tuple(images.values()), tuple(annotations.values()))


def read_labels(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Reads an annotation.

    Returns:
        `(height, width)`: the file's 1..150 as 0..149, its 0 as `IGNORED`.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If it is no PNG of one byte a pixel, or has a greater number.
    """
    try:
        with Image.open(path, formats=["PNG"]) as image:
            mode, values = image.mode, np.array(image)
    except FileNotFoundError:
        raise
    except Exception as error:  # of damaged data Pillow makes OSError, SyntaxError, struct.error
        raise refusal(
            path, "a whole PNG file", f"{type(error).__name__}: {in_short(error)}"
        ) from error
    if mode not in ("L", "P"):
        raise refusal(path, f"one byte a pixel, 0 to {CLASSES}", f"mode {mode!r}")
    if values.max() > CLASSES:
        raise refusal(path, f"labels from 0 to {CLASSES}", f"label {values.max()}")
    labels: NDArray[np.uint8] = np.where(values == 0, IGNORED, values - np.uint8(1))
    return labels


class TrainingScenes(BatchesAhead):
    """Augmented parts of scenes, in another order each time that all have been seen.

    Args:
        scenes: To train on.
        side: Side of the parts in pixels.
        batch_size: Scenes a batch.
        steps: Batches an epoch.
        seed: Seed of all that is random.
        normalization: How photographs are normalised; see `preprocess_input`.
    """

    def __init__(
        self,
        scenes: Scenes,
        side: int,
        batch_size: int,
        steps: int,
        seed: int,
        normalization: str = "imagenet",
    ) -> None:
        super().__init__(batch_size)
        self.scenes, self.side, self.steps = scenes, side, steps
        self.seed, self.normalization = seed, normalization

    def __len__(self) -> int:
        return self.steps

    def images_in(self, index: int) -> int:
        return self.batch_size

    def image(self, epoch: int, index: int, place: int) -> NDArray[np.uint8]:
        """Returns a part of a scene, `(side, side, 4)`: RGB, and the labels behind them."""
        turn, at = divmod((epoch * self.steps + index) * self.batch_size + place, len(self.scenes))
        image, labels = self.scenes.read(int(order(self.seed, turn, len(self.scenes))[at]))
        rng = generator(self.seed, Purpose.SAMPLE, epoch, index, place)
        return augmented_scene(image, labels, self.side, IGNORED, rng)

    def batch(self, epoch: int, index: int, images: list[NDArray[np.uint8]]) -> tuple[Array, Array]:
        """Returns photographs, float32 `(batch, side, side, 3)`, and labels, int32 without 3."""
        stacked = np.stack(images)
        pixels = preprocess_input(stacked[..., :3], "channels_last", self.normalization)
        return pixels, stacked[..., 3].astype("int32")
