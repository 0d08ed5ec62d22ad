"""Trains and evaluates the hand-mesh head on FreiHAND, as the paper's table of hands wants it.

Schedule, batch and augmentation are those of METRO's `run_metro_handmesh.py` for FreiHAND: Adam at
1e-4, a tenth of it in the second half of 200 epochs, batches of 256 images of 224 pixels, turned,
scaled and tinted. The losses and their weights are this package's own, as the paper names none; the
hand's orientation is learnt from its joints alone, as axis-angle vectors jump at half a turn.
FreiHAND's own alignment may mirror a hand, here it may not.

Written to the layout of `freihand.py`, and tested on a small folder of the same. Not run on
FreiHAND itself.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console

from keras_fastvit.architecture.variants import get_variant
from keras_fastvit.arrays import Array
from keras_fastvit.atomic_file import written_beside
from keras_fastvit.evaluation.point_errors import procrustes_error
from keras_fastvit.graph.normalization import normalization_of
from keras_fastvit.images.preprocessing import preprocess_input
from keras_fastvit.progress import Progress
from keras_fastvit.tasks.hand_mesh import PARAMETERS, HandMesh
from keras_fastvit.tasks.mano import Mano
from keras_fastvit.training.hand_mesh.batches import HandBatches
from keras_fastvit.training.hand_mesh.freihand import (
    ORDER,
    EvaluationHands,
    TrainingHands,
    read_square,
)
from keras_fastvit.training.hand_mesh.losses import LOSSES, learner, meshes
from keras_fastvit.training.heads import backbone, compiled, fit
from keras_fastvit.training.run_folder import RunFolder
from keras_fastvit.weights.model_files import read_model_file

EPOCHS = 200
BATCH = 256
SIDE = 224
LEARNING_RATE = 1e-4
"""Learning rate of the first half, for a batch of `BATCH`."""


def articulation_error(true: Any, predicted: Any) -> Any:
    """Mean absolute error of poses `(batch, 48)` without the hand's orientation, in radians."""
    return ops.mean(ops.abs(true[:, 3:] - predicted[:, 3:]), axis=-1)


def train(
    hands: TrainingHands,
    mano: Mano,
    output: str | os.PathLike[str],
    variant: str,
    console: Console,
    *,
    data: str | os.PathLike[str],
    mano_file: str | os.PathLike[str],
    weights: str | os.PathLike[str] | None = None,
    ema: bool = True,
    epochs: int = EPOCHS,
    batch_size: int = BATCH,
    image_size: int = SIDE,
    learning_rate: float | None = None,
    seed: int = 0,
) -> keras.Model:
    """Trains a hand-mesh head, or goes on where the run in `output` stopped.

    Writes `model.keras`, which gives a hand's 61 parameters and has nothing of MANO in it, and
    `history.csv`.

    Args:
        hands: To train on.
        mano: Hand model with FreiHAND's fingertips.
        output: Folder of the run: new, empty, or of a run with the same arguments.
        variant: Name of a row of `variants.py`.
        console: Where progress is shown.
        data: Folder of the hands.
        mano_file: File of the hand model.
        weights: Weights of the backbone to start from, as in the variants' constructors.
        ema: Whether of a checkpoint with weights averaged over its training, those are taken.
        epochs: Number of epochs.
        batch_size: Images a step.
        image_size: Side of the images in pixels.
        learning_rate: Learning rate of the first half; None for the recipe's, in proportion to the
            batch size.
        seed: Seed of all that is random, 0 or more.

    Raises:
        OSError: If a file cannot be read or written.
        ValueError: If an argument does not fit, a file is damaged, or `output` is another run's.
        FloatingPointError: If the loss becomes infinite or NaN.
        KeyboardInterrupt: After the step in which Ctrl-C was pressed.
    """
    normalization = get_variant(variant).normalization
    batches = HandBatches(hands, image_size, batch_size, seed, normalization)
    if not len(batches):
        raise ValueError(
            f"Expected a batch of at most {len(hands.images)} images, as many as there are. "
            f"Received: --batch-size {batch_size}"
        )
    rate = learning_rate or LEARNING_RATE * batch_size / BATCH
    arguments = {
        "data": str(Path(data).resolve()),
        "mano": str(Path(mano_file).resolve()),
        "model": variant,
        "weights": None if weights is None else str(weights),
        "ema": None if ema else False,  # runs of earlier versions have none
        "image_size": image_size,
        "batch_size": batch_size,
        "epochs": epochs,
        "learning_rate": rate,
        "seed": seed,
        "backend": keras.backend.backend(),
    }
    folder = RunFolder(output, arguments)
    console.print(
        f"{len(hands.images)} images of {len(hands.joints)} hands to train on, {epochs} "
        f"epochs of {len(batches)} steps"
    )
    keras.utils.set_random_seed(seed)
    head = HandMesh(backbone(variant, weights, image_size, ema=ema), name=variant)
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay(
        [epochs * len(batches) // 2], [rate, rate / 10]
    )
    losses = dict.fromkeys(("shape", "joints", "image_joints"), "mae")
    learning = compiled(
        learner(head, mano, ORDER),
        optimizer=keras.optimizers.Adam(schedule),
        # FreiHAND has no weak-perspective camera: it is learnt from the joints in the image.
        loss={"pose": articulation_error, **losses},
        loss_weights={name: LOSSES[name] for name in ("pose", *losses)},
    )
    fit(learning, batches, epochs, folder, console)
    with written_beside(folder.path / "model.keras") as unfinished:
        head.save(unfinished)
    return head


def predict(
    model: keras.Model, images: Sequence[Path], batch_size: int, progress: Progress
) -> NDArray[np.float32]:
    """Returns the parameters of the hands in square images, `(images, 61)`.

    Raises:
        FileNotFoundError, ValueError: If an image cannot be read.
    """
    side = model.input_shape[1]
    normalization = normalization_of(model)
    found = []
    starts = range(0, len(images), batch_size)
    for start in progress.track(starts, "Evaluating", len(starts)):
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


def read_model(path: str | os.PathLike[str]) -> keras.Model:
    """Reads a trained model, in training or inference form.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If it is not one that `train` can have written, or its inference form.
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


def evaluate(
    model: keras.Model,
    mano: Mano,
    hands: EvaluationHands,
    batch_size: int,
    console: Console,
) -> None:
    """Prints the errors of joints and vertices after Procrustes alignment.

    Args:
        model: As `read_model` returns it. It is compiled anew.
        mano: Hand model with FreiHAND's fingertips.
        hands: To evaluate on.
        batch_size: Images at once.
        console: Where they are printed.

    Raises:
        OSError, ValueError: If a file cannot be read.
    """
    with Progress(console) as progress:
        parameters = predict(compiled(model), hands.images, batch_size, progress)
    joints, vertices = errors(mano, parameters, hands)
    console.print(
        f"PA-MPJPE {joints:.2f} mm, PA-MPVPE {vertices:.2f} mm on {len(parameters)} images"
    )
