"""Measures what the training form and a teacher are worth: T8 on Fashion-MNIST at 64×64.

    KERAS_BACKEND=tensorflow python -m benchmarks.training_ways --teacher T.safetensors

needs the data set (Debian: `apt-get install dataset-fashion-mnist`), an SA12 that
`python -m benchmarks.train_fashion_mnist --variant fastvit_sa12` has trained, and about two
hours on two cores. Writes `training_ways.json` to this folder after each training, goes on from
there if it was interrupted, and brings `training.md` up to date.

Every way has the same images in the same order, mirrored and shifted alike, and the same number
of steps. The fused form starts at the folded weights of the training form with the same seed, so
that both start as the same function; it has no normalisation to keep large steps in check, and
so is also tried with a lower learning rate. Accuracies are of the 10,000 test images after
the last epoch, whatever they were before.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from benchmarks.train_fashion_mnist import (
    BATCH,
    DATA,
    PEAK_LEARNING_RATE,
    AugmentedImages,
    accuracy,
    adamw,
    build_model,
    load_split,
    upscale,
)
from benchmarks.training_report import write_report
from keras_fastvit import fuse
from keras_fastvit.atomic_file import written_beside
from keras_fastvit.training.distillation import Distillation
from keras_fastvit.weights.loading import load_weights

LIMIT = 10_000
EPOCHS = 3
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Way:
    """A way to train.

    Attributes:
        name: Of its row in the table.
        fused: Whether the fused form is trained, not the training form.
        learning_rate: Its peak.
        distilled: Whether a teacher's answers are half of the labels.
    """

    name: str
    fused: bool = False
    learning_rate: float = PEAK_LEARNING_RATE
    distilled: bool = False


WAYS = (
    Way("training form"),
    Way("training form, distilled", distilled=True),
    Way("fused form", fused=True),
    Way("fused form, a quarter of the learning rate", True, PEAK_LEARNING_RATE / 4),
)


@dataclass(frozen=True)
class Training:
    """The results of a training.

    Attributes:
        way: Name of the `Way`.
        seed: Of the weights and the images' order.
        loss: Mean over the last epoch; of a distilled one, against the labels' and the
            teacher's mean.
        accuracy: Top-1 on the test images, 0..1.
        minutes: How long it took.
    """

    way: str
    seed: int
    loss: float
    accuracy: float
    minutes: float


class OneHot(AugmentedImages):
    """The same batches with labels as the losses of shares want them."""

    def __getitem__(self, index: int) -> Any:
        images, labels = super().__getitem__(index)
        return images, np.eye(10, dtype="float32")[labels]


def train(way: Way, seed: int, folder: Path, limit: int, epochs: int, teacher: Path) -> Training:
    """Trains once, and tests.

    Args:
        way: How.
        seed: Of the weights and the images' order.
        folder: Of the data set.
        limit: Number of training images.
        epochs: How often each is seen.
        teacher: Weights of an SA12.
    """
    begin = time.monotonic()
    keras.utils.set_random_seed(seed)
    images, labels = load_split(folder, "train")
    data = OneHot(upscale(images[:limit]), labels[:limit], BATCH, seed)
    model: keras.Model = build_model()
    if way.fused:
        model = fuse(model)
    trained = model
    if way.distilled:
        master = build_model("fastvit_sa12")
        load_weights(master, teacher)
        trained = Distillation(model, fuse(master))
    trained.compile(
        adamw(epochs * len(data), way.learning_rate),
        keras.losses.CategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    history = trained.fit(data, epochs=epochs, verbose=2)
    top1 = accuracy(model, *load_split(folder, "t10k"))
    minutes = (time.monotonic() - begin) / 60
    return Training(way.name, seed, history.history["loss"][-1], top1, minutes)


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command in the module's docstring."""
    parser = argparse.ArgumentParser(description="Compares ways to train on Fashion-MNIST.")
    parser.add_argument("--teacher", type=Path, required=True, help="weights of an SA12")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the data set's files")
    parser.add_argument("--limit", type=int, default=LIMIT, help=f"training images ({LIMIT})")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help=f"({EPOCHS})")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, metavar="DIR")
    args = parser.parse_args(argv)
    path = args.output / "training_ways.json"
    budget = {"images": args.limit, "epochs": args.epochs, "batch": BATCH}
    found: dict[str, Any] = {**budget, "trainings": []}
    if path.exists():
        earlier = json.loads(path.read_text(encoding="utf-8"))
        if {name: earlier[name] for name in budget} == budget:
            found = earlier
    done = {(row["way"], row["seed"]) for row in found["trainings"]}
    for seed in SEEDS:
        for way in WAYS:
            if (way.name, seed) in done:
                continue
            keras.backend.clear_session()
            row = train(way, seed, args.data, args.limit, args.epochs, args.teacher)
            print(row, flush=True)
            found["trainings"].append(asdict(row))
            with written_beside(path) as unfinished:
                unfinished.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(write_report(args.output).read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
