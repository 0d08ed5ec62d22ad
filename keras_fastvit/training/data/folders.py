"""Images to train on, to validate with and to test, from a folder with one sub-folder a class.

`DIR/train/CLASS/…`, `DIR/val/CLASS/…` and `DIR/test/CLASS/…` in any of their usual spellings, or
`DIR/CLASS/…`. Without `val` a share of each class is set aside; there may be no `test`.
"""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from keras_fastvit.arrays import Array
from keras_fastvit.atomic_file import written_beside
from keras_fastvit.images.files import image_suffixes, named, read_rgb
from keras_fastvit.images.folders import (
    TEST,
    TRAIN,
    VALIDATION,
    ImageFolders,
    find_images,
    find_splits,
    folders_in,
)
from keras_fastvit.json_files import fault_of, read_object, shown
from keras_fastvit.plain_text import is_name
from keras_fastvit.training.data.randomness import Purpose, generator

VALIDATION_SHARE = 0.2
"""Share of each class that is set aside where there is no folder `val`: at least one of two."""

_LARGEST_LIST = 1 << 30
"""Bytes of the file that lists a run's images: ten times what ImageNet's take."""


@dataclass(frozen=True)
class Examples:
    """Images and their classes.

    Attributes:
        images: Paths, relative to the data's folder.
        labels: int64 `(images,)`: for each image its class, an index of the class names.
    """

    images: tuple[str, ...]
    labels: Array

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class TrainingData:
    """The images of a run.

    Attributes:
        class_names: Names of the sub-folders, sorted.
        train: Images to train on.
        validation: Images to validate with.
        test: Images that nothing is decided by, to measure the finished model with; may be empty.
        skipped: Why a file or folder is not used, by its path relative to the data's folder.
    """

    class_names: tuple[str, ...]
    train: Examples
    validation: Examples
    test: Examples
    skipped: dict[str, str]


def find_training_data(
    root: str | os.PathLike[str],
    seed: int,
    track: Callable[[Iterable[Any], int], Iterable[Any]] = lambda items, total: items,
) -> TrainingData:
    """Lists a folder's images, and decodes each of them once: those that cannot be are skipped.

    Args:
        root: The folder.
        seed: Decides which images are set aside for validation.
        track: Shows progress: given an iterable and its length, returns it.

    Raises:
        OSError: If there is no such folder.
        ValueError: If it has fewer than two classes, a class has no image to train on or a name
            that cannot be written down, `val` has a class that `train` has not, or it is not clear
            what a folder is for.
    """
    root = Path(root)
    splits = find_splits(root)
    if splits and TRAIN not in splits:
        named_so = " and ".join(f"'{path.name}'" for path in splits.values())
        raise ValueError(
            f"Beside {named_so}, images to train on are expected in a folder 'train'. "
            f"Received: '{root}' without one"
        )
    skipped: dict[str, str] = {}
    folders = {TRAIN: find_images(splits.get(TRAIN, root))}
    names = folders[TRAIN].names
    if len(names) < 2:
        raise ValueError(
            f"Expected at least two sub-folders, one a class. Received: '{folders[TRAIN].root}' "
            f"with '{names[0]}' alone"
        )
    for purpose, folder in splits.items():
        if purpose == TRAIN:
            continue
        try:
            folders[purpose] = _of_classes(find_images(folder), folders[TRAIN])
        except ValueError as error:
            if purpose == VALIDATION:
                raise
            skipped[folder.name] = str(error)  # images without classes, often: no reason to stop
    if splits:
        used = [path.name for path in splits.values()]
        others = [name for name in folders_in(root) if name not in used]
        skipped |= dict.fromkeys(others, "neither train, val nor test")
    reasons = _unusable(folders, track)
    skipped |= {str(path.relative_to(root)): reason for path, reason in reasons.items()}
    usable = {part: _usable(found, root, names, skipped) for part, found in folders.items()}
    train, validation = usable[TRAIN], usable.get(VALIDATION)
    if validation is None:
        train, validation = stratified_split(train, seed)
    for label, name in enumerate(names):
        if label not in train.labels:
            found_none = f"; not images: {named(map(Path, skipped))}" if skipped else ""
            raise ValueError(
                f"Each class needs images to train on. Received: none in "
                f"'{folders[TRAIN].root / name}'{found_none}"
            )
    if not len(validation):
        raise ValueError(
            "Validation needs images: expected a folder 'val' with some that are not in 'train', "
            f"or a class with two or more. Received: none in '{root}'"
        )
    none = Examples((), np.zeros(0, "int64"))
    return TrainingData(names, train, validation, usable.get(TEST, none), skipped)


def _of_classes(found: ImageFolders, train: ImageFolders) -> ImageFolders:
    """Returns a split's images, having checked that the training knows their classes."""
    for name in found.names:
        if name not in train.names:
            raise ValueError(
                f"Each class must have images to train on. Received: '{found.root / name}' "
                f"without a '{train.root / name}'"
            )
    return found


def stratified_split(examples: Examples, seed: int) -> tuple[Examples, Examples]:
    """Sets `VALIDATION_SHARE` of each class aside, the same images each time.

    Args:
        examples: All of them.
        seed: Decides which ones.

    Returns:
        Examples to train on and to validate with, in the order that they had.
    """
    validated = np.zeros(len(examples), bool)
    for label in np.unique(examples.labels):
        (places,) = np.nonzero(examples.labels == label)
        count = max(round(VALIDATION_SHARE * len(places)), 1) if len(places) > 1 else 0
        chosen = generator(seed, Purpose.SPLIT, int(label)).permutation(len(places))[:count]
        validated[places[chosen]] = True
    return _chosen(examples, ~validated), _chosen(examples, validated)


def _chosen(examples: Examples, mask: Array) -> Examples:
    images = tuple(path for path, keep in zip(examples.images, mask, strict=True) if keep)
    return Examples(images, examples.labels[mask])


def _usable(
    found: ImageFolders, root: Path, names: Sequence[str], skipped: dict[str, str]
) -> Examples:
    images = [str(path.relative_to(root)) for path in found.images]
    labels = np.array([names.index(name) for name in found.names])[found.folders]
    return _chosen(Examples(tuple(images), labels), np.array([i not in skipped for i in images]))


def _unusable(
    folders: dict[str, ImageFolders], track: Callable[[Iterable[Any], int], Iterable[Any]]
) -> dict[Path, str]:
    """Returns the reasons why files cannot be used, by their paths."""
    suffixes = image_suffixes()

    def reason(path: Path) -> str | None:
        if path.suffix.lower() not in suffixes:  # may be gigabytes of film: not even opened
            return f"'{path.suffix}' is no suffix of an image"
        try:
            read_rgb(path)
        except (OSError, ValueError) as error:
            return str(error)
        return None

    paths = [path for found in folders.values() for path in found.images]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        reasons = list(track(pool.map(reason, paths), len(paths)))
    unusable = {path: why for path, why in zip(paths, reasons, strict=True) if why is not None}
    seen: dict[Path, str] = {}
    for part, found in folders.items():
        real = {path: path.resolve() for path in found.images}
        unusable |= {x: f"is an image of '{seen[y]}' too" for x, y in real.items() if y in seen}
        seen |= dict.fromkeys(real.values(), part)
    return unusable


def write_training_data(data: TrainingData, path: str | os.PathLike[str]) -> None:
    """Writes what a run is trained on as JSON, so that it goes on with the same images."""
    content = {
        "class_names": data.class_names,
        **{
            part: [[image, int(label)] for image, label in zip(x.images, x.labels, strict=True)]
            for part, x in {
                TRAIN: data.train,
                VALIDATION: data.validation,
                TEST: data.test,
            }.items()
        },
        "skipped": data.skipped,
    }
    with written_beside(path) as unfinished:
        unfinished.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_training_data(path: str | os.PathLike[str]) -> TrainingData:
    """Reads what `write_training_data` has written, of earlier versions without `test`.

    Raises:
        ValueError: If the file is damaged.
        OSError: If it cannot be read.
    """
    try:
        return _training_data(read_object(Path(path), _LARGEST_LIST))
    except ValueError as error:
        raise ValueError(
            f"Expected in '{path}' the lists of images that a training writes: restore the file, "
            f"or train anew. Received: {error}"
        ) from error


def _training_data(content: dict[str, Any]) -> TrainingData:
    schema = {"class_names": list, TRAIN: list, VALIDATION: list, "skipped": dict}
    if fault := fault_of({TEST: [], **content}, {**schema, TEST: list}):
        raise ValueError(fault)
    names = content["class_names"]
    if not all(isinstance(name, str) and is_name(name) for name in names) or len(names) < 2:
        raise ValueError(f"class_names: {shown(names)}")
    train, validation, test = (
        _examples(content.get(part, []), part, len(names)) for part in (TRAIN, VALIDATION, TEST)
    )
    skipped = {path: str(reason) for path, reason in content["skipped"].items()}
    return TrainingData(tuple(names), train, validation, test, skipped)


def _examples(rows: list[Any], part: str, classes: int) -> Examples:
    for row in rows:
        fits = isinstance(row, list) and list(map(type, row)) == [str, int]
        if not (fits and 0 <= row[1] < classes and _is_within(row[0])):
            raise ValueError(
                f"{part}: {shown(row)}, where an image in the data's folder and its class of "
                f"{classes} are expected"
            )
    return Examples(
        tuple(image for image, _ in rows), np.array([label for _, label in rows], "int64")
    )


def _is_within(image: str) -> bool:
    path = PurePath(image)
    return not path.is_absolute() and ".." not in path.parts and "\0" not in image
