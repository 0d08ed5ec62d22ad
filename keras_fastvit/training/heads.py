"""Shared by trainings of heads: the backbone, and a run of epochs that can be interrupted."""

import os
from contextlib import closing
from typing import Any

import keras
from rich.console import Console

from keras_fastvit.architecture.model import FastViT
from keras_fastvit.progress import Progress
from keras_fastvit.training.callbacks import EpochEnds, Steps
from keras_fastvit.training.data.ahead import BatchesAhead
from keras_fastvit.training.interruption import Interruption
from keras_fastvit.training.run_folder import RunFolder, restore
from keras_fastvit.weights.loading import load_weights
from keras_fastvit.weights.named import find_weights


def backbone(
    variant: str,
    weights: str | os.PathLike[str] | None,
    side: int | None = None,
    ema: bool = True,
) -> FastViT:
    """Returns a backbone for square images, without stochastic depth.

    Args:
        variant: Name of a row of `variants.py`.
        weights: A name or the path of a file, as for the variants' constructors, or None.
        side: Side of the images in pixels; None for any.
        ema: Whether of a checkpoint with weights averaged over its training, those are taken.

    Raises:
        ImportError: If PyTorch is needed and not installed.
        OSError: If the weights cannot be read or fetched.
        ValueError: If they do not fit.
    """
    model = FastViT(
        variant,
        include_top=False,
        input_shape=(side, side, 3),
        drop_path_rate=0.0,
        data_format="channels_last",
    )
    if weights is not None:
        load_weights(model, find_weights(weights, variant), ema)
    return model


def compiled(model: keras.Model, **arguments: Any) -> keras.Model:
    """Compiles a model as all training here does, and returns it."""
    # XLA's depthwise convolutions on CPU are many times slower than TensorFlow's own.
    model.compile(jit_compile=keras.backend.backend() == "jax", **arguments)
    return model


def fit(
    model: keras.Model, batches: BatchesAhead, epochs: int, folder: RunFolder, console: Console
) -> None:
    """Trains for the epochs that a run lacks, and keeps its state after each of them.

    Args:
        model: Compiled, with the weights that the run starts from.
        batches: Batches to train on. Closed afterwards.
        epochs: Number of epochs of the whole run.
        folder: Folder of the run; `history.csv` is written there too.
        console: Where progress is shown.

    Raises:
        OSError: If a file is gone or the state cannot be written.
        ValueError: If a file is damaged, or the state is another run's.
        FloatingPointError: If the loss becomes infinite or NaN.
        KeyboardInterrupt: After the step in which Ctrl-C was pressed.
    """
    model.optimizer.build(model.trainable_variables)
    saved = folder.load()
    if saved.epoch:
        restore(saved, model, model.optimizer)
        console.print(f"Going on after epoch {saved.epoch} of {epochs}")
    batches.epoch = saved.epoch
    with closing(batches), Progress(console) as progress, Interruption(console) as interruption:
        steps = Steps(progress, epochs, saved.epoch, batches)
        ends = EpochEnds(folder, model, batches, saved.history, console)
        try:
            # Not `model.fit`: that of KerasHub's tasks knows no PyDataset.
            keras.Model.fit(
                model,
                batches,
                epochs=epochs,
                initial_epoch=saved.epoch,
                shuffle=False,  # the batches have their order
                callbacks=[interruption, steps, ends],
                verbose=0,
            )
        except Exception as error:
            if batches.failure is None or batches.failure is error:
                raise
            raise batches.failure from None
