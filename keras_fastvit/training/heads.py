"""What the commands that train heads share: a run of epochs that can be interrupted."""

import argparse
import math
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import keras
from rich.console import Console

from keras_fastvit.architecture.model import FastViT
from keras_fastvit.architecture.variants import VARIANTS
from keras_fastvit.training.callbacks import Steps, progress_bar
from keras_fastvit.training.data.ahead import BatchesAhead
from keras_fastvit.training.interruption import Interruption
from keras_fastvit.training.report import write_history
from keras_fastvit.training.run_folder import Row, RunFolder, restore
from keras_fastvit.weights.loading import load_weights
from keras_fastvit.weights.named import find_weights


def add_training_arguments(parser: argparse.ArgumentParser, data: str) -> None:
    """Adds the arguments that all of these commands have.

    Args:
        parser: Of the command.
        data: What `--data` is.
    """
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help=data)
    parser.add_argument("--model", choices=VARIANTS, metavar="MODEL", help=", ".join(VARIANTS))
    parser.add_argument(
        "--weights",
        metavar="W",
        help="what the backbone starts from: imagenet, imagenet_distilled, or the path of a file; "
        "default: random weights",
    )
    parser.add_argument("--output", type=Path, metavar="RUN", help="folder to write to")
    parser.add_argument(
        "--evaluate", type=Path, metavar="M.keras", help="only evaluate this trained model"
    )
    parser.add_argument(
        "--learning-rate",
        type=_positive(float),
        metavar="R",
        help="default: the recipe's, in proportion to the batch size",
    )
    parser.add_argument("--seed", type=_positive(int, zero=True), default=0, metavar="N")


def _positive(kind: Callable[[str], Any], zero: bool = False) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not math.isfinite(value) or value < 0 or (value == 0 and not zero):
            expected = "0 or more" if zero else "a positive number"
            raise argparse.ArgumentTypeError(f"expected {expected}. Received: {text}")
        return value

    return read


positive_int = _positive(int)
"""Reads an argument that counts something."""


def run(
    parser: argparse.ArgumentParser,
    args: argparse.Namespace,
    work: Callable[[argparse.Namespace, Console], None],
) -> int:
    """Does a command's work; tells what is wrong in one line, and returns the exit status."""
    if (args.model is None or args.output is None) == (args.evaluate is None):
        parser.error("expected --model and --output to train, or --evaluate alone")
    try:
        work(args, Console(markup=False, highlight=False))
    except KeyboardInterrupt:
        print(
            f"{parser.prog}: interrupted; the same command goes on after the last whole epoch",
            file=sys.stderr,
        )
        return 130
    except (ArithmeticError, ImportError, OSError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    return 0


def backbone(variant: str, weights: str | None, side: int | None) -> FastViT:
    """Returns a backbone for square images, without stochastic depth.

    Args:
        variant: Name of a row of `variants.py`.
        weights: A name or the path of a file, as for the variants' constructors, or None.
        side: Of the images in pixels; None for any.

    Raises:
        ImportError, OSError, ValueError: As `load_weights` does.
    """
    model = FastViT(
        variant,
        include_top=False,
        input_shape=(side, side, 3),
        drop_path_rate=0.0,
        data_format="channels_last",
    )
    if weights is not None:
        load_weights(model, find_weights(weights, variant))
    return model


def compiled(model: keras.Model, **arguments: Any) -> keras.Model:
    """Compiles a model as all training here does, and returns it."""
    # XLA's depthwise convolutions on CPU are many times slower than TensorFlow's own.
    model.compile(jit_compile=keras.backend.backend() == "jax", **arguments)
    return model


def fit(
    model: keras.Model, batches: BatchesAhead, epochs: int, folder: RunFolder, console: Console
) -> None:
    """Trains for as many epochs as a run lacks, and keeps its state after each of them.

    Args:
        model: Compiled, with the weights that the run starts from.
        batches: What to train on. Closed afterwards.
        epochs: Of the whole run.
        folder: Of the run; `history.csv` is written there too.
        console: Where progress is shown.

    Raises:
        OSError: If a file is gone or the state cannot be written.
        ValueError: If a file is damaged, or the state is another run's.
        FloatingPointError: If the loss becomes infinite or no number.
        KeyboardInterrupt: After the step in which Ctrl-C was pressed.
    """
    model.optimizer.build(model.trainable_variables)
    saved = folder.load()
    if saved.epoch:
        restore(saved, model, model.optimizer)
        console.print(f"Going on after epoch {saved.epoch} of {epochs}")
    batches.epoch = saved.epoch
    with closing(batches), progress_bar(console) as bar, Interruption() as interruption:
        steps = Steps(bar, epochs, saved.epoch, batches)
        ends = _EpochEnds(folder, batches, saved.history, console)
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


class _EpochEnds(keras.callbacks.Callback):
    """Keeps the state, writes the history and a line an epoch."""

    def __init__(
        self, folder: RunFolder, batches: BatchesAhead, history: list[Row], console: Console
    ) -> None:
        super().__init__()
        self.folder, self.batches = folder, batches
        self.history, self.console = history, console

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.batches.epoch = epoch
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        seconds = time.perf_counter() - self.start
        row = {
            "epoch": epoch + 1,
            **{name: float(value) for name, value in logs.items()},
            "learning_rate": float(self.model.optimizer.learning_rate),
            "images_per_second": len(self.batches) * self.batches.batch_size / seconds,
        }
        self.folder.save(epoch + 1, [*self.history, row], self.model, self.model.optimizer)
        self.history.append(row)
        write_history(self.history, self.folder.path)
        self.console.print(
            f"epoch {epoch + 1:3}  loss {row['loss']:.4f}  {row['images_per_second']:.1f} images/s",
            soft_wrap=True,
        )
