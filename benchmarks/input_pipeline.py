"""Measures how many augmented images a second the training's batches are made at.

    KERAS_BACKEND=tensorflow python -m benchmarks.input_pipeline

prints a row a recipe: the batches of `keras_fastvit.training` with one thread and with one a core,
and the same images through `tf.data` with as many parallel calls as cores. The images are cuts of
scikit-image's photographs, 300 to 400 pixels square, as JPEG; the results 224 pixels square.
"""

import os
import tempfile
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import skimage
from PIL import Image

from keras_fastvit.training.data.folders import Examples
from keras_fastvit.training.data.pipeline import TrainingBatches
from keras_fastvit.training.recipes import RECIPES

PHOTOGRAPHS = ("astronaut.png", "coffee.png")
IMAGES = 512
SIDE = 224
BATCH = 32
ROUNDS = 3


def write_images(folder: Path) -> Examples:
    """Writes JPEG files; returns them as examples of two classes."""
    rng = np.random.default_rng(0)
    source = Path(skimage.__file__).with_name("data")
    photographs = [Image.open(source / name).convert("RGB") for name in PHOTOGRAPHS]
    names, labels = [], np.arange(IMAGES) % len(photographs)
    for index, label in enumerate(labels):
        photograph = photographs[label]
        side = int(rng.integers(300, 400))
        left, top = (int(rng.integers(0, length - side)) for length in photograph.size)
        names.append(f"{index}.jpg")
        photograph.crop((left, top, left + side, top + side)).save(folder / names[-1], quality=90)
    return Examples(tuple(names), labels)


def by_tf_data(data: TrainingBatches) -> Iterable[Any]:
    """An epoch of the same batches, each made in a call of `tf.data`'s threads."""
    import tensorflow as tf

    def make(index: Any) -> Any:
        return tf.numpy_function(lambda i: data.make(0, int(i)), [index], [tf.float32] * 2)

    return (
        tf.data.Dataset.range(len(data))
        .map(make, num_parallel_calls=os.cpu_count(), deterministic=True)
        .prefetch(tf.data.AUTOTUNE)
    )


def rate(epoch: Iterable[Any]) -> float:
    """Images a second, from the first request to the last batch."""
    start = time.perf_counter()
    count = sum(1 for _ in epoch)
    return count * BATCH / (time.perf_counter() - start)


def main() -> None:
    """Measures and prints: see the module's docstring."""
    print(f"images a second, {os.cpu_count()} cores, median of {ROUNDS} epochs of {IMAGES}\n")
    print("| recipe | one thread | a thread a core | tf.data |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        examples = write_images(folder)
        for recipe in (RECIPES["finetune"], RECIPES["paper"]):
            data = TrainingBatches(
                *(folder, examples, len(PHOTOGRAPHS), SIDE, BATCH),
                *(recipe.augmentation, recipe.label_smoothing, 0),
            )
            in_turn = partial(data.make, 0)
            ways = (
                partial(map, in_turn, range(len(data))),
                data.__iter__,
                partial(by_tf_data, data),
            )
            # In turns, so that what else the machine does falls on all of them.
            rounds = [[rate(way()) for way in ways] for _ in range(ROUNDS)]
            cells = " | ".join(f"{x:.0f}" for x in np.median(rounds, axis=0))
            print(f"| {recipe.name} | {cells} |", flush=True)
            data.close()


if __name__ == "__main__":
    main()
