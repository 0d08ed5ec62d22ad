"""Trains and evaluates Semantic FPN on ADE20K, as the paper's table of segmentation wants it.

    keras-fastvit train --task segmentation --data ADEChallengeData2016 \
        --model fastvit_sa12 --weights imagenet --output RUN

prints a line an epoch and the mIoU on the 2,000 validation scenes. To RUN it writes `model.keras`
(training form, logits of 150 classes, for images whose sides are multiples of 32) and
`history.csv`. Interrupted at any moment, the same command goes on after the last whole epoch of
1,000 steps.

    keras-fastvit train --task segmentation --data ADEChallengeData2016 \
        --evaluate RUN/model.keras

only evaluates, in training or inference form. The layout of the data is described in `ade20k.py`.

The recipe is PoolFormer's, which the paper takes (`segmentation/configs/sem_fpn/PoolFormer` of
sail-sg/poolformer, and mmsegmentation's `fpn_poolformer_s12_8xb4-40k_ade20k-512x512.py`): ImageNet
weights, AdamW at 2e-4 with weight decay 1e-4, polynomial decay of power 0.9 to zero, 40,000 steps
of 32 parts of 512 pixels; `scene_augmentation.py` has the augmentation. What differs: the loss is
the mean over labelled pixels, not over all; batch normalisation and all else are on one device;
float32, where mmsegmentation's configuration mixes precisions.

Written to that layout and tested on a small folder of the same. Not run on ADE20K itself.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import keras
from rich.console import Console
from rich.progress import track

from keras_fastvit.architecture.variants import get_variant
from keras_fastvit.atomic_file import written_beside
from keras_fastvit.images.normalizations import normalization_of
from keras_fastvit.tasks.semantic_fpn import SemanticFPN
from keras_fastvit.training.heads import (
    add_training_arguments,
    backbone,
    compiled,
    fit,
    positive_int,
    run,
)
from keras_fastvit.training.run_folder import RunFolder
from keras_fastvit.training.segmentation import ade20k
from keras_fastvit.training.segmentation.ade20k import (
    CLASSES,
    IGNORED,
    Scenes,
    TrainingScenes,
    find_scenes,
)
from keras_fastvit.training.segmentation.evaluation import STRIDE, mean_iou
from keras_fastvit.weights.model_files import read_model_file

STEPS = 40_000
STEPS_PER_EPOCH = 1_000
BATCH = 32
SIDE = 512
LEARNING_RATE = 2e-4
"""At the first step, for a batch of `BATCH`."""
WEIGHT_DECAY = 1e-4
POWER = 0.9


def train(args: argparse.Namespace, scenes: Scenes, console: Console) -> keras.Model:
    """Trains as the command's arguments say, and writes the model.

    Raises:
        ArithmeticError, ImportError, OSError, ValueError: As the pieces do.
    """
    if args.image_size % STRIDE:
        raise ValueError(
            f"--image-size must be a multiple of {STRIDE}. Received: {args.image_size}"
        )
    epochs = max(round(args.steps / STEPS_PER_EPOCH), 1)
    steps = -(-args.steps // epochs)
    rate = args.learning_rate or LEARNING_RATE * args.batch_size / BATCH
    facts = {
        "data": str(args.data.resolve()),
        **{name: getattr(args, name) for name in ("model", "weights", "image_size", "batch_size")},
        **{"steps": epochs * steps, "learning_rate": rate, "seed": args.seed},
        "backend": keras.backend.backend(),
    }
    folder = RunFolder(args.output, facts)
    console.print(f"{len(scenes)} scenes to train on, {epochs} epochs of {steps} steps")
    keras.utils.set_random_seed(args.seed)
    model = SemanticFPN(backbone(args.model, args.weights, None), CLASSES, name=args.model)
    decay = keras.optimizers.schedules.PolynomialDecay(
        rate, epochs * steps, end_learning_rate=0.0, power=POWER
    )
    compiled(
        model,
        optimizer=keras.optimizers.AdamW(decay, weight_decay=WEIGHT_DECAY),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=IGNORED),
    )
    batches = TrainingScenes(
        *(scenes, args.image_size, args.batch_size, steps, args.seed),
        get_variant(args.model).normalization,
    )
    fit(model, batches, epochs, folder, console)
    with written_beside(args.output / "model.keras") as unfinished:
        model.save(unfinished)
    return model


def read(path: Path) -> keras.Model:
    """Reads a trained model.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If it is not one that this command can have written, or its inference form.
    """
    model = read_model_file(path)
    expected = ((None, None, None, 3), (None, None, None, CLASSES))
    if (model.input_shape, model.output_shape) != expected:
        raise ValueError(
            f"Expected a model that maps {expected[0]} to {expected[1]}. Received: '{path}', from "
            f"{model.input_shape} to {model.output_shape}"
        )
    return model


def _work(args: argparse.Namespace, console: Console) -> None:
    validation = find_scenes(args.data, ade20k.SPLITS[1])
    if args.evaluate is None:
        model = train(args, find_scenes(args.data, ade20k.SPLITS[0]), console)
    else:
        model = read(args.evaluate)
    places = track(
        range(len(validation)),
        "Evaluating",
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    found = mean_iou(model, validation, places, args.image_size, normalization_of(model))
    console.print(f"mIoU {found:.2%} on {len(validation)} validation scenes")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="keras-fastvit train --task segmentation",
        description="Trains and evaluates Semantic FPN on ADE20K.",
    )
    add_training_arguments(parser, "the folder ADEChallengeData2016")
    for name, default, text in (
        ("--steps", STEPS, "of training"),
        ("--batch-size", BATCH, "scenes a step"),
        ("--image-size", SIDE, "side of parts to train on, short side of scenes to evaluate"),
    ):
        parser.add_argument(
            name, type=positive_int, default=default, metavar="N", help=f"{text} ({default})"
        )
    return run(parser, parser.parse_args(argv), _work)


if __name__ == "__main__":
    sys.exit(main())
