"""Trains and evaluates Semantic FPN on ADE20K, as the paper's table of segmentation wants it.

The recipe is PoolFormer's, which the paper takes (`segmentation/configs/sem_fpn/PoolFormer` of
sail-sg/poolformer, and mmsegmentation's `fpn_poolformer_s12_8xb4-40k_ade20k-512x512.py`): ImageNet
weights, AdamW at 2e-4 with weight decay 1e-4, polynomial decay of power 0.9 to zero, 40,000 steps
of 32 parts of 512 pixels; `scene_augmentation.py` has the augmentation. What differs: the loss is
the mean over labelled pixels, not over all; batch normalisation and all else are on one device;
float32, where mmsegmentation's configuration mixes precisions.

Written to the layout of `ade20k.py`, and tested on a small folder of the same. Not run on ADE20K
itself.
"""

import os
from pathlib import Path

import keras
from rich.console import Console

from keras_fastvit.architecture.variants import get_variant
from keras_fastvit.atomic_file import written_beside
from keras_fastvit.graph.normalization import normalization_of
from keras_fastvit.progress import Progress
from keras_fastvit.tasks.semantic_fpn import SemanticFPN
from keras_fastvit.training.heads import backbone, compiled, fit
from keras_fastvit.training.run_folder import RunFolder
from keras_fastvit.training.segmentation.ade20k import CLASSES, IGNORED, Scenes, TrainingScenes
from keras_fastvit.training.segmentation.evaluation import STRIDE, mean_iou
from keras_fastvit.weights.model_files import read_model_file

STEPS = 40_000
STEPS_PER_EPOCH = 1_000
BATCH = 32
SIDE = 512
LEARNING_RATE = 2e-4
"""Learning rate at the first step, for a batch of `BATCH`."""
WEIGHT_DECAY = 1e-4
POWER = 0.9


def train(
    scenes: Scenes,
    data: str | os.PathLike[str],
    output: str | os.PathLike[str],
    variant: str,
    console: Console,
    *,
    weights: str | os.PathLike[str] | None = None,
    ema: bool = True,
    steps: int = STEPS,
    batch_size: int = BATCH,
    image_size: int = SIDE,
    learning_rate: float | None = None,
    seed: int = 0,
) -> keras.Model:
    """Trains a Semantic FPN, or goes on where the run in `output` stopped.

    Writes `model.keras` (training form, logits of 150 classes, for images whose sides are multiples
    of 32) and `history.csv`.

    Args:
        scenes: To train on.
        data: Their folder.
        output: Folder of the run: new, empty, or of a run with the same arguments.
        variant: Name of a row of `variants.py`.
        console: Where progress is shown.
        weights: Weights of the backbone to start from, as in the variants' constructors.
        ema: Whether of a checkpoint with weights averaged over its training, those are taken.
        steps: Number of steps, in epochs of about 1,000.
        batch_size: Scenes a step.
        image_size: Side in pixels of the parts of scenes, a multiple of 32.
        learning_rate: At the first step; None for the recipe's, in proportion to the batch size.
        seed: Seed of all that is random, 0 or more.

    Raises:
        OSError: If a file cannot be read or written.
        ValueError: If an argument does not fit, a file is damaged, or `output` is another run's.
        FloatingPointError: If the loss becomes infinite or NaN.
        KeyboardInterrupt: After the step in which Ctrl-C was pressed.
    """
    if image_size % STRIDE:
        raise ValueError(f"--image-size must be a multiple of {STRIDE}. Received: {image_size}")
    epochs = max(round(steps / STEPS_PER_EPOCH), 1)
    steps_per_epoch = -(-steps // epochs)
    steps = epochs * steps_per_epoch
    rate = learning_rate or LEARNING_RATE * batch_size / BATCH
    arguments = {
        "data": str(Path(data).resolve()),
        "model": variant,
        "weights": None if weights is None else str(weights),
        "ema": None if ema else False,  # runs of earlier versions have none
        "image_size": image_size,
        "batch_size": batch_size,
        "steps": steps,
        "learning_rate": rate,
        "seed": seed,
        "backend": keras.backend.backend(),
    }
    folder = RunFolder(output, arguments)
    console.print(f"{len(scenes)} scenes to train on, {epochs} epochs of {steps_per_epoch} steps")
    keras.utils.set_random_seed(seed)
    model = SemanticFPN(backbone(variant, weights, ema=ema), CLASSES, name=variant)
    decay = keras.optimizers.schedules.PolynomialDecay(
        rate, steps, end_learning_rate=0.0, power=POWER
    )
    compiled(
        model,
        optimizer=keras.optimizers.AdamW(decay, weight_decay=WEIGHT_DECAY),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=IGNORED),
    )
    normalization = get_variant(variant).normalization
    batches = TrainingScenes(scenes, image_size, batch_size, steps_per_epoch, seed, normalization)
    fit(model, batches, epochs, folder, console)
    with written_beside(folder.path / "model.keras") as unfinished:
        model.save(unfinished)
    return model


def read_model(path: str | os.PathLike[str]) -> keras.Model:
    """Reads a trained model, in training or inference form.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If it is not one that `train` can have written, or its inference form.
    """
    model = read_model_file(path)
    expected = ((None, None, None, 3), (None, None, None, CLASSES))
    if (model.input_shape, model.output_shape) != expected:
        raise ValueError(
            f"Expected a model that maps {expected[0]} to {expected[1]}. Received: '{path}', from "
            f"{model.input_shape} to {model.output_shape}"
        )
    return model


def evaluate(model: keras.Model, scenes: Scenes, image_size: int, console: Console) -> None:
    """Prints the mIoU on validation scenes.

    Args:
        model: As `read_model` returns it.
        scenes: To evaluate on.
        image_size: Short side of the scenes in pixels.
        console: Where it is printed.

    Raises:
        OSError, ValueError: If a scene cannot be read.
    """
    with Progress(console) as progress:
        places = progress.track(range(len(scenes)), "Evaluating", len(scenes))
        found = mean_iou(model, scenes, places, image_size, normalization_of(model))
    console.print(f"mIoU {found:.2%} on {len(scenes)} validation scenes")
