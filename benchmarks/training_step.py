"""One engine of the training benchmark, in a process of its own: a training step a line of input.

    KERAS_BACKEND=jax python -m benchmarks.training_step keras fastvit_t8 64 4 W.safetensors

Prints the loss of a first step, then for each line that it reads the milliseconds of one more, on
the same images. A step is timed until its loss is a number in Python: forward, backward, AdamW,
and the moving statistics of the normalisations. Without drop path and augmentation, so that all
engines do the same.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from keras_fastvit.arrays import Array

Step = Callable[[], float]

CLASSES = 1000
LEARNING_RATE = 1e-4
WEIGHT_DECAY = 0.05
CHANNELS_FIRST_FROM = 256
"""Side of the images from which timm keeps its channels first."""


def main(engine: str, variant: str, side: str, batch: str, weights: str) -> None:
    """Runs the command in the module's docstring; `engine` is a key of `_ENGINES`."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(int(batch), int(side), int(side), 3)).astype("float32")
    labels = rng.integers(0, CLASSES, int(batch))
    step = _ENGINES[engine](variant, images, labels, Path(weights))
    print(step(), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        step()
        print(1e3 * (time.perf_counter() - start), flush=True)


def _keras(variant: str, images: Array, labels: Array, weights: Path) -> Step:
    import keras

    from keras_fastvit.applications import CONSTRUCTORS

    model = CONSTRUCTORS[variant](
        weights=weights,
        input_shape=images.shape[1:],
        classes=CLASSES,
        classifier_activation=None,
        drop_path_rate=0.0,
        data_format="channels_last",
        dtype="float32",
    )
    model.compile(
        keras.optimizers.AdamW(LEARNING_RATE, weight_decay=WEIGHT_DECAY),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=keras.backend.backend() == "jax",
    )
    return lambda: float(model.train_on_batch(images, labels))


def _timm(variant: str, images: Array, labels: Array, weights: Path) -> Step:
    import torch

    from keras_fastvit.conversion.references import timm as timm_reference

    model = timm_reference.create_model(variant, CLASSES)
    timm_reference.load(model, weights)
    # On larger images torch 2.13's backward pass overruns its memory with channels last on CPUs.
    last = images.shape[1] < CHANNELS_FIRST_FROM
    layout = torch.channels_last if last else torch.contiguous_format
    model = model.to(memory_format=layout).train()
    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    x = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=layout)
    y = torch.from_numpy(labels)

    def step() -> float:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


_ENGINES = {"keras": _keras, "timm": _timm}


if __name__ == "__main__":
    main(*sys.argv[1:])
