"""The folder of a run: its arguments, its images, and its state after each epoch.

Each file is written beside its place and renamed, so that a run which is killed at any moment
leaves the state of its last whole epoch, and the same command goes on from there.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_fastvit.architecture.variants import get_variant
from keras_fastvit.archives import read_arrays
from keras_fastvit.arrays import Array
from keras_fastvit.atomic_file import sweep, written_beside
from keras_fastvit.json_files import fault_of, read_object
from keras_fastvit.plain_text import in_short
from keras_fastvit.training.data.folders import TrainingData, read_training_data
from keras_fastvit.weights.named import NAMED_WEIGHTS

_OF_A_CLASSIFIER = {"data": str, "model": str, "weights": (str, NoneType), "image_size": int}
"""What of a run's arguments is read again, with its types in JSON."""

Row = dict[str, float]
"""A row of the history: what was measured in an epoch, by name."""


@dataclass(frozen=True)
class Saved:
    """The state of a run after an epoch.

    Attributes:
        epoch: Number of epochs that are done.
        history: A row an epoch.
        arrays: The values of all variables, by name.
        path: The file that they are from.
    """

    epoch: int
    history: list[Row]
    arrays: dict[str, Any]
    path: Path


@dataclass(frozen=True)
class FinishedRun:
    """A classifier that a run has trained, and all that is needed to export and evaluate it.

    Attributes:
        fused: Path of the inference form, which gives probabilities.
        variant: Name of the variant.
        image_size: Side of the images in pixels.
        crop_pct: Share of an image's short side that the crop keeps.
        normalization: How images are normalised; see `preprocess_input`.
        root: Folder of the images.
        data: The names of the classes, and which images were trained on and validated with, by
            their paths relative to `root`.

    Example:
    >>> import dataclasses
    >>> [field.name for field in dataclasses.fields(FinishedRun)][:3]
    ['fused', 'variant', 'image_size']
    """

    fused: Path
    variant: str
    image_size: int
    crop_pct: float
    normalization: str
    root: Path
    data: TrainingData


def read_run(folder: str | os.PathLike[str]) -> FinishedRun:
    """Reads what a finished run has trained on which images.

    Args:
        folder: The run's, as `train` has written it.

    Raises:
        FileNotFoundError: If it is no folder of a classifier's run, or the run is not finished.
        ValueError: If one of its files is damaged.

    Example:
    >>> try:
    ...     read_run("nowhere")
    ... except FileNotFoundError as error:
    ...     print(error)
    Expected the folder of a run of `keras-fastvit train`. Received: 'nowhere', without a data.json
    """
    path = Path(folder)
    for name in ("data.json", "run.json"):  # a run of another task has only the latter
        if not (path / name).is_file():
            raise FileNotFoundError(
                "Expected the folder of a run of `keras-fastvit train`. Received: "
                f"'{path}', without a {name}"
            )
    fused = path / "fused.keras"
    if not fused.is_file():
        raise FileNotFoundError(
            "Expected the folder of a finished run; the command that began it goes on with it. "
            f"Received: '{path}', without a {fused.name}"
        )
    arguments = _read_arguments(path / "run.json", _OF_A_CLASSIFIER)
    variant = get_variant(arguments["model"])
    of_weights = {(row.name, row.variant): row.crop_pct for row in NAMED_WEIGHTS}
    return FinishedRun(
        fused=fused,
        variant=variant.name,
        image_size=arguments["image_size"],
        crop_pct=of_weights.get((arguments["weights"], variant.name), variant.crop_pct),
        normalization=variant.normalization,
        root=Path(arguments["data"]),
        data=read_training_data(path / "data.json"),
    )


class RunFolder:
    """The folder that a run is written to.

    Args:
        path: Its path; it is made if it is not there.
        arguments: What the run depends on, as JSON has it.

    Raises:
        ValueError: If the folder holds a run with other arguments or damaged ones, or other files.
        OSError: If it cannot be made or written.
    """

    def __init__(self, path: str | os.PathLike[str], arguments: dict[str, Any]) -> None:
        self.path = Path(path)
        self.arguments = self.path / "run.json"
        self.data = self.path / "data.json"
        self.state = self.path / "state.npz"
        self.path.mkdir(parents=True, exist_ok=True)
        sweep(self.path)
        if self.arguments.exists():
            before = _read_arguments(self.arguments)
            now = json.loads(json.dumps(arguments))
            different = [name for name in {**before, **now} if before.get(name) != now.get(name)]
            if not different:
                return
            if self.state.exists():
                name = different[0]
                raise ValueError(
                    f"'{self.path}' is the folder of another run, with {in_short(name)}="
                    f"{in_short(repr(before.get(name)))}. Expected the same arguments or another "
                    f"--output. Received: {in_short(name)}={now.get(name)!r}"
                )
            self.data.unlink(missing_ok=True)  # a run without a whole epoch has nothing to keep
        elif any(self.path.iterdir()):
            raise ValueError(
                "A run is written to a new or empty folder, or to its own. "
                f"Received: '{self.path}', which has other files and no {self.arguments.name}"
            )
        with written_beside(self.arguments) as unfinished:
            unfinished.write_text(json.dumps(arguments, indent=2) + "\n", encoding="utf-8")

    def save(
        self,
        epoch: int,
        history: list[Row],
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
    ) -> None:
        """Writes the state after an epoch, in place of that of the epoch before.

        Args:
            epoch: Number of epochs that are done.
            history: A row an epoch.
            model: Whose variables are kept, the random states of its layers among them.
            optimizer: Whose variables are kept, the moving average of the weights among them.

        Raises:
            OSError: If it cannot be written; then the state before is still there.
        """
        arrays = {
            name: ops.convert_to_numpy(variable)
            for name, variable in _variables(model, optimizer).items()
        }
        with written_beside(self.state) as unfinished, unfinished.open("wb") as file:
            np.savez(file, epoch=epoch, history=json.dumps(history), **arrays)

    def load(self) -> Saved:
        """Returns the state of the run, which is at epoch 0 for a new one.

        Raises:
            ValueError: If the file is damaged.
        """
        if not self.state.exists():
            return Saved(0, [], {}, self.state)
        try:
            arrays = read_arrays(self.state)
            epoch = _epoch(arrays.pop("epoch"))
            return Saved(epoch, _history(arrays.pop("history"), epoch), arrays, self.state)
        except (KeyError, ValueError) as error:
            raise ValueError(
                f"Expected the state of a run in '{self.state}'; remove the file to start anew. "
                f"Received: {f'no {error}' if isinstance(error, KeyError) else error}"
            ) from error


def _epoch(array: Array) -> int:
    if array.shape != () or array.dtype.kind not in "iu" or array < 0:
        raise ValueError(f"{array.dtype} of shape {array.shape} for the number of epochs")
    return int(array)


def _history(array: Array, epochs: int) -> list[Row]:
    try:
        rows = json.loads(str(array))
    except RecursionError as error:
        raise ValueError("a history that is nested too deeply") from error
    if not isinstance(rows, list) or len(rows) != epochs or not all(map(_is_row, rows)):
        raise ValueError(f"another history than that of {epochs} epochs")
    return rows


def _is_row(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(x, (int, float)) for x in value.values())


def _read_arguments(path: Path, schema: Any = None) -> dict[str, Any]:
    """Reads the arguments of a run.

    Raises:
        ValueError: If the file is damaged, or what it holds is not as `schema` says.
    """
    try:
        arguments = read_object(path)
        if fault := fault_of(arguments, schema or {}):
            raise ValueError(fault)
        if schema:
            get_variant(arguments["model"])
    except ValueError as error:
        raise ValueError(
            f"Expected in '{path}' the arguments of a run: restore the file, or take another "
            f"folder. Received: {error}"
        ) from error
    return arguments


def restore(saved: Saved, model: keras.Model, optimizer: keras.optimizers.Optimizer | None) -> None:
    """Gives a model, and its optimizer if there is one, the values that were saved.

    Raises:
        ValueError: If they are another model's or optimizer's.
    """
    for name, variable in _variables(model, optimizer).items():
        value = saved.arrays.get(name)
        if value is None or value.shape != tuple(variable.shape) or value.dtype.kind not in "biuf":
            received = "nothing" if value is None else f"{value.dtype} of shape {value.shape}"
            raise ValueError(
                f"The state of a run in '{saved.path}' is not this model's: remove the file to "
                f"start anew. Expected numbers of shape {tuple(variable.shape)} for '{name}'. "
                f"Received: {received}"
            )
        variable.assign(value)


def _variables(model: keras.Model, optimizer: keras.optimizers.Optimizer | None) -> dict[str, Any]:
    # Not by path: those of optimizers change with each one that is made in a process.
    parts = {"model": model.variables, "optimizer": optimizer.variables if optimizer else []}
    return {f"{part}_{i}": x for part, found in parts.items() for i, x in enumerate(found)}
