"""Quantisation-aware fine-tuning of a model that `keras-fastvit train` has just trained."""

import argparse
from contextlib import closing

import keras
import numpy as np
from rich.console import Console

from keras_fastvit.atomic_file import written_beside
from keras_fastvit.conversion.quantization.calibration import LIMIT
from keras_fastvit.conversion.quantization.fine_tuning import BATCH_SIZE, fine_tune
from keras_fastvit.images.preprocessing import load_image, preprocess_input
from keras_fastvit.progress import Progress
from keras_fastvit.training.callbacks import Steps
from keras_fastvit.training.classifier import Trained
from keras_fastvit.training.data.pipeline import TrainingBatches
from keras_fastvit.training.interruption import Interruption
from keras_fastvit.training.recipes import RECIPES, Recipe
from keras_fastvit.training.starting_point import starting_point
from keras_fastvit.weights.file_kinds import MODEL_SUFFIX as SUFFIX

NAME = "quantization_aware"


def fine_tune_trained(
    args: argparse.Namespace, recipe: Recipe, trained: Trained, console: Console
) -> None:
    """Writes the fine-tuned model beside the trained one."""
    keras.utils.set_random_seed(args.seed)
    side = trained.model.input_shape[1]
    start = starting_point(args.model, args.weights, recipe)
    examples = trained.data.train
    batches = TrainingBatches(
        args.data.resolve(),
        examples,
        len(trained.data.class_names),
        side,
        min(BATCH_SIZE, len(examples)),
        # Mild: int8 is to be good at photographs, not at mixtures of them.
        RECIPES["finetune"].augmentation,
        label_smoothing=0.0,
        seed=args.seed,
        normalization=start.normalization,
    )
    paths = examples.images[:: -(-len(examples) // LIMIT)]
    images = [load_image(args.data / path, side, start.crop_pct) for path in paths]
    with closing(batches), Progress(console) as progress, Interruption(console) as interruption:
        model = fine_tune(
            trained.model.fuse(),
            batches,
            preprocess_input(np.stack(images), "channels_last", start.normalization),
            args.quantization_aware,
            callbacks=[
                interruption,
                keras.callbacks.LambdaCallback(
                    on_epoch_begin=lambda epoch, logs: setattr(batches, "epoch", epoch)
                ),
                Steps(progress, args.quantization_aware, 0, batches),
                keras.callbacks.CSVLogger(args.output / f"{NAME}.csv"),
            ],
        )
    path = args.output / f"{NAME}{SUFFIX}"
    with written_beside(path) as unfinished:
        model.save(unfinished)
    console.print(f"{path}: export it with --quantize int8", soft_wrap=True)
