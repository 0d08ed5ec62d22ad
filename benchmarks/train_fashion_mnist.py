"""Trains the checkpoint that ships with the package: FastViT-T8 on Fashion-MNIST at 64×64.

    python -m benchmarks.train_fashion_mnist --output RUN

(or with `--variant` another one) needs the data set (Debian: `apt-get install
dataset-fashion-mnist`) and about an hour on two cores. An interrupted run goes on from its last
whole epoch. It writes to RUN the weights in timm's layout as float16
(`fashion_mnist_t8.safetensors`), the first 20 test images of each class as PNG
(`images/<class>/<index>.png`), and `report.json` with the accuracy that those float16 weights
reach on the 10,000 test images, which it also prints.
"""

import argparse
import gzip
import json
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import save_file

from keras_fastvit.architecture.model import FastViT
from keras_fastvit.atomic_file import written_beside
from keras_fastvit.images.preprocessing import class_names, preprocess_input
from keras_fastvit.weights.torch_state import load_torch_state, to_torch_state

DATA = Path("/usr/share/datasets/fashion-mnist")
SIDE = 64
CLASSES = 10
BATCH = 64
EPOCHS = 6
PEAK_LEARNING_RATE = 2e-3
MAX_SHIFT = 4
IMAGES_PER_CLASS = 20


def load_split(folder: Path, split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Reads a split, `"train"` or `"t10k"`, of the data set's original files.

    Returns:
        Images `(count, 28, 28)` in 0..255 and labels `(count,)` in 0..9.

    Raises:
        FileNotFoundError: If the data set is not there.
    """
    images, labels = (
        folder / f"{split}-{part}-ubyte.gz" for part in ("images-idx3", "labels-idx1")
    )
    for path in (images, labels):
        if not path.exists():
            raise FileNotFoundError(
                "Fashion-MNIST is not installed. Expected the four .gz files of the data set "
                f"(Debian package `dataset-fashion-mnist`). Received: {path}"
            )
    with gzip.open(images) as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(labels) as file:
        return pixels, np.frombuffer(file.read(), np.uint8, offset=8).astype("int64")


def upscale(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Resizes `(count, 28, 28)` to `(count, 64, 64)` as `load_image(size=64, crop_pct=1)` does."""
    size = (SIDE, SIDE)
    resized = [Image.fromarray(x).resize(size, Image.Resampling.BICUBIC) for x in images]
    return np.stack([np.asarray(x) for x in resized])


def to_inputs(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Returns grey images `(count, 64, 64)` in 0..255 as the model takes them, in RGB."""
    return preprocess_input(np.repeat(images[..., None], 3, axis=-1), "channels_last")


class AugmentedImages(keras.utils.PyDataset):
    """Shuffled batches; half of the images mirrored, each shifted by up to 4 pixels."""

    def __init__(
        self, images: NDArray[np.uint8], labels: NDArray[np.int64], batch: int, seed: int
    ) -> None:
        super().__init__()
        pad = ((0, 0), (MAX_SHIFT, MAX_SHIFT), (MAX_SHIFT, MAX_SHIFT))
        self.images, self.labels = np.pad(images, pad), labels
        self.batch, self.seed, self.epoch = batch, seed, 0
        self.on_epoch_begin()

    def on_epoch_begin(self) -> None:
        self.order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.labels))

    def on_epoch_end(self) -> None:
        self.epoch += 1
        self.on_epoch_begin()

    def __len__(self) -> int:
        return len(self.labels) // self.batch

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        chosen = self.order[index * self.batch : (index + 1) * self.batch]
        rng = np.random.default_rng([self.seed, self.epoch, index])
        shifts = rng.integers(0, 2 * MAX_SHIFT + 1, (len(chosen), 2))
        steps = rng.choice([1, -1], len(chosen))
        images = [
            self.images[i, y : y + SIDE, x : x + SIDE][:, ::step]
            for i, (y, x), step in zip(chosen, shifts, steps, strict=True)
        ]
        return to_inputs(np.stack(images)), self.labels[chosen]


def build_model(variant: str = "fastvit_t8") -> FastViT:
    """Returns a FastViT with 10 logits; layer scales start at 0.1: every branch matters soon."""
    return FastViT(
        variant,
        input_shape=(SIDE, SIDE, 3),
        classes=CLASSES,
        classifier_activation=None,
        layer_scale_init_value=0.1,
        data_format="channels_last",
    )


def adamw(steps: int, peak_learning_rate: float = PEAK_LEARNING_RATE) -> keras.optimizers.Optimizer:
    """Returns AdamW with a warm-up over a tenth of the steps, then a cosine decay to zero."""
    optimizer = keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(
            1e-5, steps, warmup_target=peak_learning_rate, warmup_steps=steps // 10
        ),
        weight_decay=0.05,
    )
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    return optimizer


def train(
    folder: Path,
    output: Path,
    epochs: int = EPOCHS,
    limit: int | None = None,
    variant: str = "fastvit_t8",
) -> FastViT:
    """Trains on the first `limit` images (default: all 60,000); goes on where a run stopped."""
    keras.utils.set_random_seed(0)
    images, labels = load_split(folder, "train")
    data = AugmentedImages(upscale(images[:limit]), labels[:limit], BATCH, seed=0)
    model = build_model(variant)
    model.compile(
        adamw(epochs * len(data)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        # XLA's depthwise convolutions on CPU are many times slower than TensorFlow's own.
        jit_compile=False,
    )
    backup = keras.callbacks.BackupAndRestore(output / "backup", delete_checkpoint=False)
    log = keras.callbacks.CSVLogger(str(output / "history.csv"), append=True)
    model.fit(data, epochs=epochs, callbacks=[backup, log], verbose=2)
    return model


def accuracy(model: keras.Model, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> float:
    """Returns the top-1 accuracy, in 0..1, on images `(count, 28, 28)`."""
    logits = model.predict(to_inputs(upscale(images)), batch_size=200, verbose=0)
    return float(np.mean(logits.argmax(-1) == labels))


def write_checkpoint(model: FastViT, path: Path) -> None:
    """Writes the weights in timm's layout as float16, and gives the model those same weights."""
    state = {name: x.astype("float16") for name, x in to_torch_state(model, "timm").items()}
    with written_beside(path) as unfinished:
        save_file(state, unfinished, {"format": "pt"})
    load_torch_state(model, state, str(path))


def folder_name(class_name: str) -> str:
    """Returns a class's name as part of a folder's.

    >>> folder_name("T-shirt/top")
    'T-shirt-top'
    """
    return class_name.replace("/", "-").replace(" ", "-")


def write_images(images: NDArray[np.uint8], labels: NDArray[np.int64], folder: Path) -> None:
    """Writes the first images of each class as `<class>/<index>.png`, grey, 28×28."""
    for label, name in enumerate(class_names("fashion_mnist")):
        class_folder = folder / f"{label}_{folder_name(name)}"
        class_folder.mkdir(parents=True, exist_ok=True)
        for index in np.flatnonzero(labels == label)[:IMAGES_PER_CLASS]:
            with written_beside(class_folder / f"{index:05d}.png") as unfinished:
                Image.fromarray(images[index]).save(unfinished)


def main(argv: list[str] | None = None) -> None:
    """Trains, writes, measures: see the module's docstring."""
    parser = argparse.ArgumentParser(description="Trains FastViT-T8 on Fashion-MNIST.")
    parser.add_argument("--output", type=Path, required=True, help="folder to write to")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the data set's files")
    parser.add_argument("--variant", default="fastvit_t8")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--limit", type=int, help="train on the first images only")
    args = parser.parse_args(argv)

    args.output.mkdir(parents=True, exist_ok=True)
    model = train(args.data, args.output, args.epochs, args.limit, args.variant)
    name = f"fashion_mnist_{args.variant.removeprefix('fastvit_')}.safetensors"
    write_checkpoint(model, args.output / name)
    images, labels = load_split(args.data, "t10k")
    write_images(images, labels, args.output / "images")
    report = {
        "epochs": args.epochs,
        "training_images": len(load_split(args.data, "train")[1][: args.limit]),
        "test_images": len(labels),
        "test_accuracy": accuracy(model, images, labels),
    }
    with written_beside(args.output / "report.json") as unfinished:
        unfinished.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
