"""Trains the hand-mesh head on rendered synthetic hands, and measures what int8 costs it.

    make bench-hand-mesh

that is `python -m benchmarks.hand_mesh` with KERAS_BACKEND=tensorflow. A FastViT-T8 that starts
from the weights shipped with the package learns MANO's parameters from 12,000 pictures of 64×64
pixels, in about half an hour of two cores. It is kept in the folder `--run`, from which an
interrupted run goes on, and which must be deleted to train anew. On 1,000 other pictures joints and
vertices are compared with the true ones: of Keras' model, and of the fused whole as float32 and
int8 `.tflite`. Writes `hand_mesh.json`, `hand_mesh.md`, which it prints, and `hand_mesh.png` to
`benchmarks`.

The hand is synthetic, as are its pictures: see `synthetic_hand.py`. The errors say that the head,
the layer and the export work, and nothing about photographs.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import ops
from rich.progress import track

from benchmarks.hand_mesh_report import Errors, plot, to_json, to_markdown
from benchmarks.rendering import render
from benchmarks.synthetic_hand import random_parameters, synthetic_hand_model
from benchmarks.train_fashion_mnist import adamw
from keras_fastvit import FastViTT8, fuse, preprocess_input
from keras_fastvit.arrays import Array
from keras_fastvit.atomic_file import written_beside
from keras_fastvit.conversion.exporting.export import export
from keras_fastvit.conversion.tflite.runtime import TFLiteModel
from keras_fastvit.evaluation.metrics import sqnr_db
from keras_fastvit.evaluation.point_errors import mean_point_error, procrustes_error
from keras_fastvit.tasks import HandMesh, HandModel, Mano, split_parameters
from keras_fastvit.training.hand_mesh.losses import LOSSES, PARTS, learner, meshes
from keras_fastvit.weights.model_files import read_model_file

SIDE = 64
TRAINING, TEST, CALIBRATION = 12_000, 1_000, 200
EPOCHS = 16
BATCH = 64
PEAK_LEARNING_RATE = 2e-3

TRAINED, INT8 = "Keras, training form", "int8 .tflite"


@dataclass(frozen=True)
class Hands:
    """Rendered hands.

    Attributes:
        images: uint8 `(hands, 64, 64, 3)`.
        parameters: float32 `(hands, 61)`.
        vertices: float32 `(hands, vertices, 3)` in metres, relative to the wrist.
        joints: float32 `(hands, 16, 3)`, the same.
        image_joints: float32 `(hands, 16, 2)` in half image sides.
    """

    images: Array
    parameters: Array
    vertices: Array
    joints: Array
    image_joints: Array


def pictured(mano: Mano, faces: Array, parameters: Array, seed: int) -> Hands:
    """Draws hands of given parameters."""
    vertices, joints, image_vertices, image_joints = meshes(mano, parameters)
    rng = np.random.default_rng(seed)
    images = [
        render(solid.astype("float64"), flat.astype("float64"), faces, SIDE, rng)
        for solid, flat in track(
            zip(vertices, image_vertices, strict=True), "Rendering hands", len(parameters)
        )
    ]
    root = joints[:, :1]
    return Hands(np.stack(images), parameters, vertices - root, joints - root, image_joints)


class Batches(keras.utils.PyDataset):
    """Shuffled batches of normalised images, and what is to be learnt of them."""

    def __init__(self, hands: Hands) -> None:
        super().__init__()
        self.hands, self.epoch = hands, 0
        parts = zip(PARTS, split_parameters(hands.parameters), strict=True)
        self.targets = {
            **{name: ops.convert_to_numpy(part) for name, part in parts},
            "joints": hands.joints,
            "image_joints": hands.image_joints,
        }

    def on_epoch_end(self) -> None:
        self.epoch += 1

    def __len__(self) -> int:
        return len(self.hands.images) // BATCH

    def __getitem__(self, index: int) -> tuple[Array, dict[str, Array]]:
        order = np.random.default_rng(self.epoch).permutation(len(self.hands.images))
        chosen = order[index * BATCH : (index + 1) * BATCH]
        targets = {name: x[chosen] for name, x in self.targets.items()}
        return preprocess_input(self.hands.images[chosen], "channels_last"), targets


def train(mano: Mano, hands: Hands, epochs: int, run: Path) -> keras.Model:
    """Trains a head and its backbone; goes on where an earlier call stopped."""
    keras.utils.set_random_seed(0)
    backbone = FastViTT8(
        weights="fashion_mnist",
        include_top=False,
        input_shape=(SIDE, SIDE, 3),
        data_format="channels_last",
    )
    head = HandMesh(backbone)
    data = Batches(hands)
    learning = learner(head, mano)
    learning.compile(
        adamw(epochs * len(data), PEAK_LEARNING_RATE),
        dict.fromkeys(LOSSES, "mae"),
        loss_weights=LOSSES,
        # XLA's depthwise convolutions on CPU are many times slower than TensorFlow's own.
        jit_compile=False,
    )
    backup = keras.callbacks.BackupAndRestore(run / "backup", delete_checkpoint=False)
    log = keras.callbacks.CSVLogger(str(run / "history.csv"), append=True)
    learning.fit(data, epochs=epochs, callbacks=[backup, log], verbose=2)
    return head


def measure(mano: Mano, parameters: Array, true: Hands) -> Errors:
    """Compares predicted parameters' hands with the true ones."""
    vertices, joints, _, image_joints = meshes(mano, parameters)
    root = joints[:, :1]
    joints, vertices = joints - root, vertices - root
    flat = np.linalg.norm(image_joints - true.image_joints, axis=-1).mean()
    return Errors(
        mpjpe=1000 * mean_point_error(joints, true.joints),
        pa_mpjpe=1000 * procrustes_error(joints, true.joints),
        mpvpe=1000 * mean_point_error(vertices, true.vertices),
        pa_mpvpe=1000 * procrustes_error(vertices, true.vertices),
        pixels=float(flat) * SIDE / 2,
    )


def predictions(
    head: keras.Model, images: Array, calibration: Array, run: Path
) -> dict[str, Array]:
    """The parameters that each form of the model gives for normalised images."""
    fused = fuse(head)
    found = {
        TRAINED: head.predict(images, batch_size=100, verbose=0),
        "Keras, fused": fused.predict(images, batch_size=100, verbose=0),
    }
    for name, quantize in (("float32 .tflite", "none"), (INT8, "int8")):
        path = run / f"hand_mesh_{quantize}.tflite"
        export(fused, path, quantize=quantize, calibration=calibration)
        found[name] = TFLiteModel(path, os.cpu_count()).predict(images)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(description="Trains and measures the hand-mesh head.")
    parser.add_argument("--images", type=int, default=TRAINING, metavar="N", help=f"({TRAINING})")
    parser.add_argument("--epochs", type=int, default=EPOCHS, metavar="N", help=f"({EPOCHS})")
    parser.add_argument("--run", type=Path, default=Path("build/hand_mesh"), metavar="DIR")
    parser.add_argument("--output", type=Path, default=Path("benchmarks"), metavar="DIR")
    args = parser.parse_args(argv)
    try:
        if args.images < max(BATCH, CALIBRATION) or args.epochs < 1:
            raise ValueError(
                f"Expected at least {max(BATCH, CALIBRATION)} images and one epoch. "
                f"Received: {args.images} images, {args.epochs} epochs"
            )
        print(_run(synthetic_hand_model(), args))
    except (ArithmeticError, ImportError, OSError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    return 0


def _run(model: HandModel, args: argparse.Namespace) -> str:
    args.run.mkdir(parents=True, exist_ok=True)
    args.output.mkdir(parents=True, exist_ok=True)
    mano = Mano.from_model(model)
    mean = model.hands_mean.astype("float64")
    parameters = random_parameters(args.images, mean, np.random.default_rng(0))
    trained = args.run / "model.keras"
    if not trained.exists():
        head = train(mano, pictured(mano, model.f, parameters, seed=1), args.epochs, args.run)
        with written_beside(trained) as unfinished:
            head.save(unfinished)
    head = read_model_file(trained)
    other = random_parameters(TEST, mean, np.random.default_rng(2))
    test = pictured(mano, model.f, other, seed=3)
    images = preprocess_input(test.images, "channels_last")
    # The first of the training images, drawn as they were.
    calibration = pictured(mano, model.f, parameters[:CALIBRATION], seed=1).images
    constant = np.repeat(parameters.mean(axis=0, keepdims=True), TEST, axis=0)
    found = predictions(head, images, preprocess_input(calibration, "channels_last"), args.run)
    errors = {name: measure(mano, x, test) for name, x in {"mean hand": constant, **found}.items()}
    facts = {
        "training_images": args.images,
        "epochs": args.epochs,
        "test_images": TEST,
        "int8_sqnr_db": sqnr_db(found[TRAINED], found[INT8]),
    }
    text = to_markdown(errors, facts)
    for name, content in (("json", to_json(errors, facts)), ("md", text)):
        with written_beside(args.output / f"hand_mesh.{name}") as unfinished:
            unfinished.write_text(content, encoding="utf-8")
    shown = slice(0, 8)
    vertices, _, _, flat = meshes(mano, found[INT8][shown])
    plot(
        test.images[shown],
        test.image_joints[shown],
        flat,
        vertices,
        model,
        args.output / "hand_mesh.png",
    )
    return text


if __name__ == "__main__":
    sys.exit(main())
