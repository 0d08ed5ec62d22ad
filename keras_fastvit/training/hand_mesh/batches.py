"""Batches of FreiHAND's images: turned, scaled and tinted, with the joints that follow them."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from keras_fastvit.arrays import Array
from keras_fastvit.images.preprocessing import preprocess_input
from keras_fastvit.training.data.ahead import BatchesAhead
from keras_fastvit.training.data.randomness import Purpose, generator, order
from keras_fastvit.training.hand_mesh.freihand import TrainingHands, read_square

TURNED = 0.4
"""Share of the images that are turned."""

ANGLE = math.pi / 2
"""Standard deviation of the angles; they are cut at half a turn either way."""

SCALE = 0.25
"""Standard deviation of the factors of a hand's size, about 1; they are cut at one deviation."""

TINT = 0.4
"""Largest difference from 1 of the factor of a colour channel."""


def augmented_hand(
    image: Image.Image, joints: Array, points: Array, side: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], Array, Array]:
    """Turns an image about its centre, scales and tints it; the joints follow.

    With METRO's numbers (`metro/datasets/hand_mesh_tsv.py` of microsoft/MeshTransformer). The
    camera looks along z through the centre of FreiHAND's images, so a hand that is turned about z
    is seen in the turned image. Scaling changes the camera only. What comes into view is black.

    Args:
        image: RGB, square.
        joints: `(21, 3)`, relative to the wrist.
        points: `(21, 2)`: where they are in the image, in half image sides from its centre.
        side: Side of the result in pixels.
        rng: Source of all random numbers.

    Returns:
        uint8 `(side, side, 3)`, joints and points.
    """
    angle = float(np.clip(rng.normal(0, ANGLE), -math.pi, math.pi))
    if rng.random() >= TURNED:
        angle = 0.0
    scale = float(np.clip(rng.normal(1, SCALE), 1 - SCALE, 1 + SCALE))
    tints = rng.uniform(1 - TINT, 1 + TINT, 3).astype("float32")

    cosine, sine = math.cos(angle), math.sin(angle)
    turn = np.array([[cosine, -sine], [sine, cosine]], "float32")
    # Pillow wants where a pixel comes from: turned back, by the inverse of the scale.
    a, b = cosine / scale, sine / scale
    middle = side / 2
    matrix = (a, b, middle * (1 - a - b), -b, a, middle * (1 + b - a))
    image = image.resize((side, side), Image.Resampling.BICUBIC)
    image = image.transform((side, side), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    pixels = np.clip(np.asarray(image, "float32") * tints, 0, 255).round().astype("uint8")
    joints = np.concatenate([joints[:, :2] @ turn.T, joints[:, 2:]], axis=1)
    return pixels, joints, scale * points @ turn.T


class HandBatches(BatchesAhead):
    """Augmented images in another order each epoch; an incomplete batch at the end is left out.

    Args:
        hands: To train on.
        side: Side of the images in pixels.
        batch_size: Images a batch.
        seed: Seed of all that is random.
        normalization: How images are normalised; see `preprocess_input`.
    """

    def __init__(
        self,
        hands: TrainingHands,
        side: int,
        batch_size: int,
        seed: int,
        normalization: str = "imagenet",
    ) -> None:
        super().__init__(batch_size)
        self.hands, self.side = hands, side
        self.seed, self.normalization = seed, normalization

    def __len__(self) -> int:
        return len(self.hands.images) // self.batch_size

    def images_in(self, index: int) -> int:
        return self.batch_size

    def image(self, epoch: int, index: int, place: int) -> tuple[Array, dict[str, Array]]:
        """Returns uint8 `(side, side, 3)`, and what is to be learnt of it; see `batch`."""
        place_in_order = index * self.batch_size + place
        number = int(order(self.seed, epoch, len(self.hands.images))[place_in_order])
        row = number % len(self.hands.joints)
        image = read_square(self.hands.images[number])
        joints = self.hands.joints[row]
        pixels, joints, points = augmented_hand(
            image,
            joints - joints[:1],
            self.hands.pixels[row] * np.float32(2 / image.width) - 1,
            self.side,
            generator(self.seed, Purpose.SAMPLE, epoch, index, place),
        )
        return pixels, {
            "pose": self.hands.pose[row],
            "shape": self.hands.shape[row],
            "joints": joints,
            "image_joints": points,
        }

    def batch(self, epoch: int, index: int, images: list[Any]) -> tuple[Array, dict[str, Array]]:
        """Returns images, float32 `(batch, side, side, 3)`, and targets, all float32.

        These are `"pose"` `(batch, 48)`, whose first three numbers, the orientation, are the ones
        before the image was turned; `"shape"` `(batch, 10)`; `"joints"` `(batch, 21, 3)` relative
        to the wrist; and `"image_joints"` `(batch, 21, 2)` in half image sides.
        """
        pixels = np.stack([image for image, _ in images])
        targets = {
            name: np.stack([found[name] for _, found in images]).astype("float32")
            for name in images[0][1]
        }
        return preprocess_input(pixels, "channels_last", self.normalization), targets
