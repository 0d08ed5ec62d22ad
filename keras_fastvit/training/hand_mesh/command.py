"""Trains and evaluates the hand-mesh head on FreiHAND, as the paper's table of hands wants it.

    keras-fastvit train --task hand-mesh --data FreiHAND_pub_v2 --mano mano_right.npz \
        --model fastvit_ma36 --weights imagenet --output RUN

prints a line an epoch, and the errors of joints and vertices on the 3,960 evaluation images after
Procrustes alignment: PA-MPJPE and PA-MPVPE, for which the paper has 6.6 and 6.7 mm (MA36). To RUN
it writes `model.keras`, which gives a hand's 61 parameters and has nothing of MANO in it, and
`history.csv`. Interrupted at any moment, the same command goes on after the last whole epoch.

    keras-fastvit train --task hand-mesh --data FreiHAND_pub_v2 --mano mano_right.npz \
        --evaluate RUN/model.keras

only evaluates, in training or inference form. The layout of the data is described in `freihand.py`,
how to come by `mano_right.npz` in `mano_file.py`.

Schedule, batch and augmentation are those of METRO's `run_metro_handmesh.py` for FreiHAND: Adam at
1e-4, a tenth of it in the second half of 200 epochs, batches of 256 images of 224 pixels, turned,
scaled and tinted. The losses and their weights are this package's own, as the paper names none; the
hand's orientation is learnt from its joints alone, as axis-angle vectors jump at half a turn.
FreiHAND's own alignment may mirror a hand, here it may not.

Written to that layout and tested on a small folder of the same. Not run on FreiHAND itself.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import track

from keras_fastvit.architecture.variants import get_variant
from keras_fastvit.atomic_file import written_beside
from keras_fastvit.evaluation.point_errors import procrustes_error
from keras_fastvit.images.normalizations import normalization_of
from keras_fastvit.images.preprocessing import preprocess_input
from keras_fastvit.tasks.hand_mesh import PARAMETERS, HandMesh
from keras_fastvit.tasks.mano import Mano
from keras_fastvit.training.hand_mesh.batches import HandBatches
from keras_fastvit.training.hand_mesh.freihand import (
    FINGERTIPS,
    ORDER,
    EvaluationHands,
    TrainingHands,
    find_evaluation_hands,
    find_training_hands,
    read_square,
)
from keras_fastvit.training.hand_mesh.losses import LOSSES, learner, meshes
from keras_fastvit.training.heads import (
    add_training_arguments,
    backbone,
    compiled,
    fit,
    positive_int,
    run,
)
from keras_fastvit.training.run_folder import RunFolder
from keras_fastvit.weights.model_files import read_model_file

Array = NDArray[Any]

EPOCHS = 200
BATCH = 256
SIDE = 224
LEARNING_RATE = 1e-4
"""Of the first half, for a batch of `BATCH`."""


def articulation_error(true: Any, predicted: Any) -> Any:
    """Mean absolute error of poses `(batch, 48)` without the hand's orientation, in radians."""
    return ops.mean(ops.abs(true[:, 3:] - predicted[:, 3:]), axis=-1)


def train(
    args: argparse.Namespace, mano: Mano, hands: TrainingHands, console: Console
) -> keras.Model:
    """Trains as the command's arguments say, and writes the model.

    Raises:
        ArithmeticError, ImportError, OSError, ValueError: As the pieces do.
    """
    normalization = get_variant(args.model).normalization
    batches = HandBatches(hands, args.image_size, args.batch_size, args.seed, normalization)
    if not len(batches):
        raise ValueError(
            f"Expected a batch of at most {len(hands.images)} images, as many as there are. "
            f"Received: --batch-size {args.batch_size}"
        )
    rate = args.learning_rate or LEARNING_RATE * args.batch_size / BATCH
    facts = {
        **{name: str(getattr(args, name).resolve()) for name in ("data", "mano")},
        **{name: getattr(args, name) for name in ("model", "weights", "image_size", "batch_size")},
        **{"epochs": args.epochs, "learning_rate": rate, "seed": args.seed},
        "backend": keras.backend.backend(),
    }
    folder = RunFolder(args.output, facts)
    console.print(
        f"{len(hands.images)} images of {len(hands.joints)} hands to train on, {args.epochs} "
        f"epochs of {len(batches)} steps"
    )
    keras.utils.set_random_seed(args.seed)
    head = HandMesh(backbone(args.model, args.weights, args.image_size), name=args.model)
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay(
        [args.epochs * len(batches) // 2], [rate, rate / 10]
    )
    losses = dict.fromkeys(("shape", "joints", "image_joints"), "mae")
    learning = compiled(
        learner(head, mano, ORDER),
        optimizer=keras.optimizers.Adam(schedule),
        # FreiHAND has no weak-perspective camera: it is learnt from the joints in the image.
        loss={"pose": articulation_error, **losses},
        loss_weights={name: LOSSES[name] for name in ("pose", *losses)},
    )
    fit(learning, batches, args.epochs, folder, console)
    with written_beside(args.output / "model.keras") as unfinished:
        head.save(unfinished)
    return head


def predict(
    model: keras.Model, images: Sequence[Path], batch_size: int, console: Console
) -> NDArray[np.float32]:
    """Returns the parameters of the hands in square images, `(images, 61)`.

    Raises:
        FileNotFoundError, ValueError: If an image cannot be read.
    """
    side = model.input_shape[1]
    normalization = normalization_of(model)
    found = []
    for start in track(
        range(0, len(images), batch_size),
        "Evaluating",
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ):
        read = [read_square(path) for path in images[start : start + batch_size]]
        pixels = [np.asarray(x.resize((side, side), Image.Resampling.BICUBIC)) for x in read]
        batch = preprocess_input(np.stack(pixels), "channels_last", normalization)
        found.append(model.predict_on_batch(batch))
    return np.concatenate(found).astype("float32")


def errors(mano: Mano, parameters: Array, hands: EvaluationHands) -> tuple[float, float]:
    """Returns PA-MPJPE and PA-MPVPE in millimetres.

    Args:
        mano: With FreiHAND's fingertips.
        parameters: `(hands, 61)`.
        hands: The true ones.

    Raises:
        ValueError: If their meshes have other numbers of vertices.
    """
    vertices, joints, _, _ = meshes(mano, parameters)
    if vertices.shape != hands.vertices.shape:
        raise ValueError(
            f"The hand model must be the data set's. Expected {hands.vertices.shape[1]} vertices. "
            f"Received: {vertices.shape[1]}"
        )
    return (
        1000 * procrustes_error(joints[:, np.array(ORDER)], hands.joints),
        1000 * procrustes_error(vertices, hands.vertices),
    )


def read(path: Path) -> keras.Model:
    """Reads a trained model.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If it is not one that this command can have written, or its inference form.
    """
    model = read_model_file(path)
    image = model.input_shape
    square = isinstance(image, tuple) and len(image) == 4 and image[1] == image[2] is not None
    if not square or image[3] != 3 or model.output_shape != (None, PARAMETERS):
        raise ValueError(
            f"Expected a model that maps (None, side, side, 3) to (None, {PARAMETERS}). Received: "
            f"'{path}', from {model.input_shape} to {model.output_shape}"
        )
    return model


def _work(args: argparse.Namespace, console: Console) -> None:
    mano = Mano.from_file(args.mano, FINGERTIPS)
    evaluated = find_evaluation_hands(args.data)
    if args.evaluate is None:
        model = train(args, mano, find_training_hands(args.data), console)
    else:
        model = read(args.evaluate)
    parameters = predict(compiled(model), evaluated.images, args.batch_size, console)
    joints, vertices = errors(mano, parameters, evaluated)
    console.print(
        f"PA-MPJPE {joints:.2f} mm, PA-MPVPE {vertices:.2f} mm on {len(parameters)} images"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="keras-fastvit train --task hand-mesh",
        description="Trains and evaluates the hand-mesh head on FreiHAND.",
    )
    add_training_arguments(parser, "the folder FreiHAND_pub_v2")
    parser.add_argument(
        "--mano", type=Path, required=True, metavar="M.npz", help="the arrays of MANO's right hand"
    )
    for name, default, text in (
        ("--epochs", EPOCHS, "of training"),
        ("--batch-size", BATCH, "images a step"),
        ("--image-size", SIDE, "side of the images in pixels"),
    ):
        parser.add_argument(
            name, type=positive_int, default=default, metavar="N", help=f"{text} ({default})"
        )
    return run(parser, parser.parse_args(argv), _work)


if __name__ == "__main__":
    sys.exit(main())
