"""COCO's boxes as `instances_train2017.json` and `instances_val2017.json` have them.

    annotations/instances_{train,val}2017.json      {"images": …, "annotations": …, "categories": …}
    {train,val}2017/000000000139.jpg …

A box is `[left, top, width, height]` in pixels. The numbers of the 80 categories have gaps, up to
90: a class here is a category's place in their order.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from keras_fastvit.arrays import Array
from keras_fastvit.images.files import read_rgb
from keras_fastvit.images.normalizations import IMAGENET_MEAN
from keras_fastvit.images.preprocessing import preprocess_input
from keras_fastvit.training.data.ahead import BatchesAhead
from keras_fastvit.training.data.randomness import Purpose, generator

_FILL = tuple(round(255 * mean) for mean in IMAGENET_MEAN)


@dataclass(frozen=True, eq=False)
class Pictures:
    """The images of a split, and what is in them.

    Attributes:
        categories: COCO's number of each class.
        numbers: COCO's number of each image.
        paths: Of the images.
        boxes: For each image float32 `(boxes, 4)`: left, top, right, bottom.
        labels: For each image int32 `(boxes,)`: classes.
    """

    categories: tuple[int, ...]
    numbers: tuple[int, ...]
    paths: tuple[Path, ...]
    boxes: tuple[Array, ...]
    labels: tuple[Array, ...]

    def with_boxes(self) -> "Pictures":
        """Returns those in which something is, as one trains on."""
        kept = [i for i, labels in enumerate(self.labels) if len(labels)]
        return Pictures(
            self.categories,
            tuple(self.numbers[i] for i in kept),
            tuple(self.paths[i] for i in kept),
            tuple(self.boxes[i] for i in kept),
            tuple(self.labels[i] for i in kept),
        )


def find_pictures(root: str | os.PathLike[str], split: str) -> Pictures:
    """Reads a split's annotations; no image is opened.

    Crowds and boxes without an area are left out, as detectors are trained.

    Args:
        root: Folder of COCO.
        split: `"train2017"` or `"val2017"`.

    Raises:
        FileNotFoundError: If the annotations or an image are missing.
        ValueError: If the file is not as above.
    """
    root = Path(root)
    path = root / "annotations" / f"instances_{split}.json"
    if not path.is_file():
        raise FileNotFoundError(f"Expected COCO's annotations. Received: no '{path}'")
    try:
        content = json.loads(path.read_bytes())
        categories = tuple(sorted(row["id"] for row in content["categories"]))
        classes = {number: index for index, number in enumerate(categories)}
        files = {row["id"]: root / split / row["file_name"] for row in content["images"]}
        found: dict[int, list[tuple[list[float], int]]] = {number: [] for number in files}
        for row in content["annotations"]:
            left, top, width, height = row["bbox"]
            if not row["iscrowd"] and width > 0 and height > 0:
                box = [left, top, left + width, top + height]
                found[row["image_id"]].append((box, classes[row["category_id"]]))
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"Cannot use '{path}'. Expected images, annotations and categories as COCO has them. "
            f"Received: {type(error).__name__}: {error}"
        ) from error
    if not files or not categories:
        raise ValueError(
            f"Cannot use '{path}'. Expected images and categories. Received: {len(files)} and "
            f"{len(categories)}"
        )
    for file in files.values():
        if not file.is_file():
            raise FileNotFoundError(
                f"Expected the images that '{path}' names. Received: no '{file}'"
            )
    return Pictures(
        categories,
        tuple(files),
        tuple(files.values()),
        tuple(np.array([b for b, _ in found[i]], "float32").reshape(-1, 4) for i in files),
        tuple(np.array([label for _, label in found[i]], "int32") for i in files),
    )


def fitted(path: Path, side: int) -> tuple[Image.Image, float]:
    """Reads an image into a square's left upper corner, its long side as long as the square's.

    Returns:
        RGB, `side` pixels square, and the factor by which the image has been scaled.

    Raises:
        FileNotFoundError, ValueError: As `read_rgb` does.
    """
    image = read_rgb(path)
    factor = side / max(image.size)
    width, height = (max(round(factor * pixels), 1) for pixels in image.size)
    square = Image.new("RGB", (side, side), _FILL)
    square.paste(image.resize((width, height), Image.Resampling.BILINEAR))
    return square, factor


class DetectionBatches(BatchesAhead):
    """Images, half of them mirrored, in another order each epoch; an incomplete batch is left out.

    Args:
        pictures: To train on, each with a box.
        side: Of the images in pixels.
        batch_size: Images a batch.
        seed: Of all that is random.
        normalization: How images are normalised; see `preprocess_input`.
    """

    def __init__(
        self, pictures: Pictures, side: int, batch_size: int, seed: int, normalization: str
    ) -> None:
        super().__init__(batch_size)
        self.pictures, self.side = pictures, side
        self.seed, self.normalization = seed, normalization
        self.boxes = max(map(len, pictures.labels))

    def __len__(self) -> int:
        return len(self.pictures.paths) // self.batch_size

    def images_in(self, index: int) -> int:
        return self.batch_size

    def image(self, epoch: int, index: int, place: int) -> tuple[Array, Array, Array]:
        """Returns uint8 `(side, side, 3)`, boxes `(boxes, 4)` and labels `(boxes,)`."""
        order = generator(self.seed, Purpose.ORDER, epoch).permutation(len(self.pictures.paths))
        number = int(order[index * self.batch_size + place])
        square, factor = fitted(self.pictures.paths[number], self.side)
        boxes, labels = factor * self.pictures.boxes[number], self.pictures.labels[number]
        if generator(self.seed, Purpose.SAMPLE, epoch, index, place).random() < 0.5:
            square = square.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            boxes = np.stack(
                [self.side - boxes[:, 2], boxes[:, 1], self.side - boxes[:, 0], boxes[:, 3]], axis=1
            )
        # As many for each image: its first box over and over, which no anchor is nearer to.
        places = np.zeros(self.boxes, int)
        places[: len(labels)] = np.arange(len(labels))
        return np.asarray(square), boxes[places].astype("float32"), labels[places]

    def batch(self, epoch: int, index: int, images: list[Any]) -> tuple[Array, dict[str, Array]]:
        """Returns images, float32 `(batch, side, side, 3)`, and KerasHub's labels of them."""
        pixels, boxes, labels = (np.stack(part) for part in zip(*images, strict=True))
        normalized = preprocess_input(pixels, "channels_last", self.normalization)
        return normalized, {"boxes": boxes, "labels": labels}
