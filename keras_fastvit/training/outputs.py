"""Writes the files of a finished run, each of them whole or not at all."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from keras_fastvit.architecture.model import FastViT
from keras_fastvit.atomic_file import written_beside
from keras_fastvit.training.data.folders import TrainingData
from keras_fastvit.training.recipes import Recipe
from keras_fastvit.training.report import plot_curves, plot_predictions, write_history, write_report
from keras_fastvit.training.run_folder import Row
from keras_fastvit.training.starting_point import StartingPoint


def with_probabilities(model: FastViT) -> FastViT:
    """Returns a model with the same weights and a softmax at its end."""
    config = {**model.get_config(), "classifier_activation": "softmax"}
    twin = FastViT.from_config(config)
    twin.set_weights(model.get_weights())
    return twin


def write_outputs(
    folder: Path,
    model: FastViT,
    logits: NDArray[np.float32],
    test_accuracy: float | None,
    history: Sequence[Row],
    data: TrainingData,
    start: StartingPoint,
    recipe: Recipe,
    command: Sequence[str],
) -> None:
    """Writes `model.keras`, `fused.keras`, `labels.txt`, the pictures and the report.

    Args:
        folder: Folder of the run.
        model: The trained model, giving probabilities.
        logits: Logits of the validation images, `(images, classes)`.
        test_accuracy: Share of the test images that the model is right about; None without any.
        history: A row an epoch.
        data: Images that it was trained on and validated with.
        start: What the training started from.
        recipe: Recipe of the training.
        command: The command that made the run, as words.

    Raises:
        OSError: If a file cannot be written.
        ImportError: If Matplotlib is not installed.
    """
    with written_beside(folder / "labels.txt") as unfinished:
        unfinished.write_text("\n".join(data.class_names) + "\n", encoding="utf-8")
    for name, form in (("model.keras", model), ("fused.keras", model.fuse())):
        with written_beside(folder / name) as unfinished:
            form.save(unfinished)
    write_history(history, folder)  # again: it is the state that is certain to be there
    plot_curves(history, folder / "curves.png")
    plot_predictions(data, logits, folder / "confusion.png")
    write_report(folder, command, start, recipe, data, history, test_accuracy)
