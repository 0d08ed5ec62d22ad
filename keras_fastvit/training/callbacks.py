"""Callbacks of a training: progress, validation, and keeping the state."""

import math
import time
from typing import Any

import keras
from rich.console import Console

from keras_fastvit.progress import Progress
from keras_fastvit.training.data.ahead import BatchesAhead
from keras_fastvit.training.data.pipeline import ValidationBatches
from keras_fastvit.training.report import write_history
from keras_fastvit.training.run_folder import Row, RunFolder
from keras_fastvit.training.validation import accuracy, averaged_weights, cross_entropy, predict

COMPILING = "The first step is being compiled, which may take minutes"


class Steps(keras.callbacks.Callback):
    """Shows progress, and ends a training whose loss is not finite.

    Args:
        progress: Where it is shown.
        epochs: Number of epochs of the whole run.
        done: Number of epochs that are done already.
        batches: Batches to train on.
    """

    async_safe = True  # for Keras: no step waits for it

    def __init__(self, progress: Progress, epochs: int, done: int, batches: BatchesAhead) -> None:
        super().__init__()
        self.progress, self.epochs, self.batch_size = progress, epochs, batches.batch_size
        self.steps = len(batches)
        self.left = (epochs - done) * self.steps
        self.epoch = done

    def on_train_begin(self, logs: Any = None) -> None:
        self.timed: int | None = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self.timed is None and keras.backend.backend() in ("jax", "tensorflow"):
            self.progress.console.print(COMPILING)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        loss = logs["loss"]
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"The loss must be a finite number; a lower --learning-rate may help. "
                f"Received: loss={loss} in epoch {self.epoch + 1}, step {batch + 1}"
            )
        what = (
            f"epoch {self.epoch + 1} of {self.epochs}, step {batch + 1} of {self.steps}, "
            f"loss {loss:.3f}"
        )
        self.left -= 1
        if self.timed is None:  # times are those of the steps that follow, which are compiled
            self.timed, self.start = 0, time.perf_counter()
            self.progress.begin(what, self.left)
            return
        self.timed += 1
        rate = self.timed * self.batch_size / (time.perf_counter() - self.start)
        self.progress.reach(self.timed, what=f"{what}, {rate:.1f} images/s")


class EpochEnds(keras.callbacks.Callback):
    """Keeps the run's state after each epoch, and writes a row of its history.

    Args:
        folder: Folder of the run.
        trained: The model whose variables are kept.
        batches: Batches to train on.
        history: Rows of the epochs before; a row is added each epoch.
        console: Where a line an epoch is printed.
    """

    def __init__(
        self,
        folder: RunFolder,
        trained: keras.Model,
        batches: BatchesAhead,
        history: list[Row],
        console: Console,
    ) -> None:
        super().__init__()
        self.folder, self.trained, self.batches = folder, trained, batches
        self.history, self.console = history, console

    def measure(self, epoch: int, logs: dict[str, Any]) -> Row:
        """Returns what the epoch has come to.

        Args:
            epoch: Its number, from 1.
            logs: What Keras has measured.
        """
        return {name: float(value) for name, value in logs.items()}

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.batches.epoch = epoch
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        seconds = time.perf_counter() - self.start
        row = {
            "epoch": epoch + 1,
            **self.measure(epoch + 1, logs),
            "learning_rate": float(self.model.optimizer.learning_rate),
            "images_per_second": len(self.batches) * self.batches.batch_size / seconds,
        }
        self.folder.save(epoch + 1, [*self.history, row], self.trained, self.model.optimizer)
        self.history.append(row)
        write_history(self.history, self.folder.path)
        formats = {"loss": ".4f", "accuracy": ".2%", "val_loss": ".4f", "val_accuracy": ".2%"}
        measured = [f"{name} {row[name]:{x}}" for name, x in formats.items() if name in row]
        speed = f"{row['images_per_second']:.1f} images/s"
        self.console.print("  ".join([f"epoch {epoch + 1:3}", *measured, speed]), soft_wrap=True)


class ValidatedEpochEnds(EpochEnds):
    """Validates a classifier, too, with the moving average of its weights if there is one.

    Args:
        folder: Folder of the run.
        student: The model that is trained, without its teacher.
        batches: Batches to train on.
        validation: Images to validate with.
        history: Rows of the epochs before; a row is added each epoch.
        console: Where a line an epoch is printed.
        interruption: Ends the validation, too.
    """

    def __init__(
        self,
        folder: RunFolder,
        student: keras.Model,
        batches: BatchesAhead,
        validation: ValidationBatches,
        history: list[Row],
        console: Console,
        interruption: keras.callbacks.Callback,
    ) -> None:
        super().__init__(folder, student, batches, history, console)
        self.validation, self.interruption = validation, interruption

    def measure(self, epoch: int, logs: dict[str, Any]) -> Row:
        with averaged_weights(self.trained, self.model.optimizer):
            logits = predict(self.model, self.validation, [self.interruption])
        labels = self.validation.examples.labels
        row = {
            "loss": float(logs["loss"]),
            "accuracy": float(logs["accuracy"]),
            "val_loss": cross_entropy(logits, labels),
            "val_accuracy": accuracy(logits, labels),
        }
        if not math.isfinite(row["val_loss"]):
            raise FloatingPointError(
                "The validation loss must be a finite number; a lower --learning-rate may help. "
                f"Received: val_loss={row['val_loss']} after epoch {epoch}"
            )
        return row
