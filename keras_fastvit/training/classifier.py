"""Trains a classifier on a folder of images, by a recipe; an interrupted run goes on."""

import os
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras
from rich.console import Console

from keras_fastvit.architecture.model import FastViT
from keras_fastvit.progress import Progress
from keras_fastvit.training.data.folders import (
    TrainingData,
    find_training_data,
    read_training_data,
    write_training_data,
)
from keras_fastvit.training.data.pipeline import TrainingBatches, ValidationBatches
from keras_fastvit.training.devices import all_devices, idle_devices, synchronize
from keras_fastvit.training.outputs import with_probabilities, write_outputs
from keras_fastvit.training.phases import fit_phases
from keras_fastvit.training.recipes import Recipe
from keras_fastvit.training.report import skipped_line
from keras_fastvit.training.run_folder import Row, RunFolder
from keras_fastvit.training.starting_point import starting_point
from keras_fastvit.training.validation import accuracy, predict
from keras_fastvit.weights.model_files import read_model_file


@dataclass(frozen=True)
class Trained:
    """The result of a run.

    Attributes:
        model: The FastViT in training form, giving probabilities `(batch, classes)`.
        history: A row for each epoch: `"epoch"`, `"loss"`, `"accuracy"`, `"val_loss"`,
            `"val_accuracy"`, `"learning_rate"` and `"images_per_second"`.
        data: The images that it was trained on, validated with and tested on.
        test_accuracy: Share of the test images that it is right about, 0..1; None without any.

    Example:
    >>> import dataclasses
    >>> [field.name for field in dataclasses.fields(Trained)]
    ['model', 'history', 'data', 'test_accuracy']
    """

    model: FastViT
    history: list[Row]
    data: TrainingData
    test_accuracy: float | None = None


def train(
    data: str | os.PathLike[str],
    output: str | os.PathLike[str],
    variant: str,
    recipe: Recipe,
    *,
    weights: str | os.PathLike[str] | None = None,
    ema: bool = True,
    teacher: keras.Model | str | os.PathLike[str] | None = None,
    seed: int = 0,
    command: Sequence[str] | None = None,
    console: Console | None = None,
) -> Trained:
    """Trains a variant on a folder of images, or goes on where the run in `output` stopped.

    Writes to `output`: `model.keras` (training form, probabilities), `fused.keras` (inference
    form), `labels.txt`, `history.csv`, `curves.png`, `confusion.png` and `report.md`; and, to go on
    from, `run.json`, `data.json` and `state.npz`. `read_run` reads it back.

    Args:
        data: `DIR` with images in `DIR/train/CLASS/…` and `DIR/val/CLASS/…`, or in `DIR/CLASS/…`
            or `DIR/train/CLASS/…` alone, of which a fifth of each class is set aside for
            validation. On those in `DIR/test/CLASS/…`, if there are some, only the finished model
            is measured. The three may be in other cases, and be called `training`, `valid`,
            `validation`, … as well. Hidden files and folders are not looked at.
        output: Folder of the run: new, empty, or of a run with the same arguments.
        variant: Name of a row of `variants.py`, such as `"fastvit_t8"`.
        recipe: How to train, from `get_recipe`.
        weights: What to start from, as in the variants' constructors; None for random weights.
        ema: Whether of a checkpoint with weights averaged over its training, those are taken.
        teacher: For a distilled recipe: a model, or a `.keras` file with one, that maps the same
            normalised images to scores of the same classes, sorted by name. It is frozen.
        seed: Seed of all that is random, 0 or more.
        command: What the report says made the run, as words; default: this process's.
        console: Where progress is shown; None for nowhere.

    Raises:
        OSError: If the data or weights cannot be read, or the run cannot be written.
        ValueError: If an argument does not fit the others, `output` is another run's, or an image
            has been damaged since the run began.
        FloatingPointError: If the loss becomes infinite or NaN.
        ImportError: If Matplotlib is not installed, or the weights need PyTorch.
        KeyboardInterrupt: After the step in which Ctrl-C was pressed.

    Example, of what is found out before the training begins:
    >>> from keras_fastvit.training import get_recipe
    >>> try:
    ...     train("photographs", "run", "fastvit_t8", get_recipe("finetune"))
    ... except ValueError as error:
    ...     print(error)  # doctest: +ELLIPSIS
    Recipe 'finetune' changes a trained model: ... Received: weights=None
    """
    console = Console(quiet=True, force_terminal=False) if console is None else console
    root = Path(data).resolve()
    start = starting_point(variant, weights, recipe, ema)
    recipe = replace(recipe, image_size=start.side)
    if recipe.distilled != (teacher is not None):
        expected = "a teacher" if recipe.distilled else "no teacher"
        raise ValueError(
            f"Recipe '{recipe.name}' expects {expected}. Received: teacher={teacher!r}"
        )
    folder = RunFolder(output, _arguments(root, variant, weights, ema, recipe, teacher, seed))
    found = _training_data(root, folder, seed, console)
    saved = folder.load()
    _describe(found, saved.epoch, recipe, console)

    keras.utils.set_random_seed(seed)
    classes = len(found.class_names)
    with all_devices() as devices:
        if isinstance(teacher, (str, os.PathLike)):
            teacher = read_model_file(teacher)
        size = _batch_size(recipe, found, devices, console)
        batches = TrainingBatches(
            root,
            found.train,
            classes,
            start.side,
            size,
            recipe.augmentation,
            recipe.label_smoothing,
            seed,
            start.normalization,
        )
        validation, test = (
            ValidationBatches(root, x, start.side, size, start.crop_pct, start.normalization)
            for x in (found.validation, found.test)
        )
        model = start.build(classes)
        if saved.epoch == 0:
            start.load_weights(model)
        if devices > 1:
            synchronize(model)
        with closing(batches), closing(validation), closing(test):
            trained = fit_phases(
                model, teacher, recipe, batches, validation, folder, saved, console
            )
            logits = predict(trained, validation)
            tested = accuracy(predict(trained, test), found.test.labels) if len(test) else None
    finished = with_probabilities(model)
    command = [Path(sys.argv[0]).name, *sys.argv[1:]] if command is None else command
    write_outputs(
        folder.path, finished, logits, tested, saved.history, found, start, recipe, command
    )
    return Trained(finished, saved.history, found, tested)


def _arguments(
    root: Path, variant: str, weights: Any, ema: bool, recipe: Recipe, teacher: Any, seed: int
) -> dict[str, Any]:
    """Returns what a run depends on, for its folder; what a user can change comes first."""
    return {
        "data": str(root),
        "model": variant,
        "weights": None if weights is None else str(weights),
        "ema": None if ema else False,  # runs of earlier versions have none
        "recipe": recipe.name,
        "teacher": teacher.name if isinstance(teacher, keras.Model) else teacher and str(teacher),
        "epochs": recipe.epochs,
        "batch_size": recipe.batch_size,
        "image_size": recipe.image_size,
        "learning_rate": recipe.phases[-1].learning_rate,
        "seed": seed,
        "backend": keras.backend.backend(),
        "recipe_in_full": asdict(recipe),
    }


def _training_data(root: Path, folder: RunFolder, seed: int, console: Console) -> TrainingData:
    if not root.is_dir():
        raise FileNotFoundError(
            "Expected a folder of images, with one sub-folder a class. "
            f"Received: '{root}', where there is none"
        )
    if folder.data.exists():
        return read_training_data(folder.data)

    with Progress(console) as progress:
        found = find_training_data(
            root, seed, lambda items, total: progress.track(items, "Reading images", total)
        )
    write_training_data(found, folder.data)
    return found


def _describe(found: TrainingData, epoch: int, recipe: Recipe, console: Console) -> None:
    console.print(
        f"{len(found.train)} images of {len(found.class_names)} classes to train on, "
        f"{len(found.validation)} to validate with"
        + (f", {len(found.test)} to test the finished model on" if found.test.images else "")
    )
    if found.skipped:
        console.print(skipped_line(found), soft_wrap=True)
    if epoch:
        console.print(f"Going on after epoch {epoch} of {recipe.epochs}")


def _batch_size(recipe: Recipe, found: TrainingData, devices: int, console: Console) -> int:
    """Returns the recipe's batch size, or the largest one that a smaller data set allows."""
    if recipe.batch_size % devices:
        raise ValueError(
            f"Each batch is shared by {devices} devices: expected a multiple of that. "
            f"Received: batch_size={recipe.batch_size}"
        )
    size = min(recipe.batch_size, len(found.train) // devices * devices)
    if size == 0:
        raise ValueError(
            f"Each of {devices} devices needs an image to train on. "
            f"Received: {len(found.train)} images"
        )
    if size < recipe.batch_size:
        console.print(f"Batches have all {size} images, not {recipe.batch_size}")
    if devices > 1:
        console.print(f"Each batch of {size} is shared by {devices} devices")
    if idle_devices():
        console.print(f"On torch one device trains; idle devices: {idle_devices()}")
    return size
