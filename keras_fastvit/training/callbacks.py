"""What happens between steps and epochs: the progress bar, validation, the state that is kept."""

import math
import time
from typing import Any

import keras
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from keras_fastvit.training.data.ahead import BatchesAhead
from keras_fastvit.training.data.pipeline import TrainingBatches, ValidationBatches
from keras_fastvit.training.report import write_history
from keras_fastvit.training.run_folder import Row, RunFolder
from keras_fastvit.training.validation import accuracy, averaged_weights, cross_entropy, predict


def progress_bar(console: Console | None) -> Progress:
    """Returns the bar of a run: epoch, loss, images a second, time that is left."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
        disable=console is None or not console.is_terminal,
    )


class Steps(keras.callbacks.Callback):
    """Advances the bar, and ends a training whose loss is no number.

    Args:
        progress: The bar.
        epochs: Of the whole run.
        done: Epochs that are behind it.
        batches: What is trained on.
    """

    async_safe = True  # for Keras: no step waits for it

    def __init__(self, progress: Progress, epochs: int, done: int, batches: BatchesAhead) -> None:
        super().__init__()
        self.progress, self.epochs, self.batch_size = progress, epochs, batches.batch_size
        steps = len(batches)
        self.task = progress.add_task("", total=epochs * steps, completed=done * steps, rate="")
        self.epoch = done

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        loss = logs["loss"]
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"The loss must be a finite number; a lower --learning-rate may help. "
                f"Received: loss={loss} in epoch {self.epoch + 1}, step {batch + 1}"
            )
        speed = self.progress.tasks[self.task].speed
        self.progress.update(
            self.task,
            advance=1,
            description=f"epoch {self.epoch + 1}/{self.epochs}, loss {loss:.3f}",
            rate=f"{speed * self.batch_size:.1f} images/s" if speed else "",
        )


class EpochEnds(keras.callbacks.Callback):
    """Validates after each epoch, keeps the run's state, writes the history.

    Args:
        folder: Of the run.
        student: The model that is trained, without its teacher.
        batches: What is trained on.
        validation: What is not.
        history: Rows of the epochs before; a row is added each epoch.
        console: Where a line an epoch is printed; None for nowhere.
        interruption: What ends the validation, too.
    """

    def __init__(
        self,
        folder: RunFolder,
        student: keras.Model,
        batches: TrainingBatches,
        validation: ValidationBatches,
        history: list[Row],
        console: Console | None,
        interruption: keras.callbacks.Callback,
    ) -> None:
        super().__init__()
        self.folder, self.student = folder, student
        self.batches, self.validation = batches, validation
        self.history, self.console, self.interruption = history, console, interruption

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.batches.epoch = epoch
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        seconds = time.perf_counter() - self.start
        optimizer = self.model.optimizer
        with averaged_weights(self.student, optimizer):
            logits = predict(self.model, self.validation, [self.interruption])
        labels = self.validation.examples.labels
        row = {
            "epoch": epoch + 1,
            "loss": float(logs["loss"]),
            "accuracy": float(logs["accuracy"]),
            "val_loss": cross_entropy(logits, labels),
            "val_accuracy": accuracy(logits, labels),
            "learning_rate": float(optimizer.learning_rate),
            "images_per_second": len(self.batches) * self.batches.batch_size / seconds,
        }
        if not math.isfinite(row["val_loss"]):
            raise FloatingPointError(
                "The validation loss must be a finite number; a lower --learning-rate may help. "
                f"Received: val_loss={row['val_loss']} after epoch {epoch + 1}"
            )
        self.folder.save(epoch + 1, [*self.history, row], self.student, optimizer)
        self.history.append(row)
        write_history(self.history, self.folder.path)
        if self.console is not None:
            self.console.print(
                f"epoch {epoch + 1:3}  loss {row['loss']:.4f}  accuracy {row['accuracy']:.2%}  "
                f"val_loss {row['val_loss']:.4f}  val_accuracy {row['val_accuracy']:.2%}  "
                f"{row['images_per_second']:.1f} images/s",
                soft_wrap=True,
            )
