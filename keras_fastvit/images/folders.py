"""A folder with one sub-folder of images a class, and which class of a model each one is."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_fastvit.arrays import Array
from keras_fastvit.images.preprocessing import decode_predictions

_IMAGENET_CLASSES = 1000


@dataclass(frozen=True)
class ImageFolders:
    """The images of a data set.

    Attributes:
        root: The folder that the others are in.
        names: Of the sub-folders, sorted.
        images: Paths of all files in them.
        folders: `(images,)`: for each image the index of its sub-folder in `names`.
    """

    root: Path
    names: tuple[str, ...]
    images: tuple[Path, ...]
    folders: Array


def find_images(root: str | os.PathLike[str]) -> ImageFolders:
    """Lists the files in a folder's sub-folders, at any depth; those with leading dots are hidden.

    Raises:
        FileNotFoundError: If there is nothing at `root`.
        NotADirectoryError: If it is no folder.
        ValueError: If it has no sub-folders, or there are no files in them.
    """
    root = Path(root)
    if not root.exists():
        raise FileNotFoundError(
            f"Expected a folder with one sub-folder a class. Received: nothing at '{root}'"
        )
    if not root.is_dir():
        raise NotADirectoryError(
            f"Expected a folder with one sub-folder a class. Received: '{root}', which is no folder"
        )
    names = sorted(path.name for path in root.iterdir() if path.is_dir() and _is_shown(path))
    if not names:
        raise ValueError(
            f"Expected a folder with one sub-folder a class. Received: '{root}', without any"
        )
    images, folders = [], []
    for index, name in enumerate(names):
        files = [path for path in sorted((root / name).rglob("*")) if path.is_file()]
        found = [path for path in files if _is_shown(path)]
        images += found
        folders += [index] * len(found)
    if not images:
        raise ValueError(
            f"Expected images in the sub-folders of '{root}'. "
            f"Received: {len(names)} folders without a file"
        )
    return ImageFolders(root, tuple(names), tuple(images), np.array(folders))


def _is_shown(path: Path) -> bool:
    return not path.name.startswith(".")


def classes_of_folders(
    names: Sequence[str], classes: int, labels: Sequence[str] | None = None
) -> tuple[list[int], str]:
    """Finds out which class each sub-folder holds, by the first of these rules that applies.

    1. A folder is named as its label or, where that is clear, as its label but for case and all
       signs except letters and digits.
    2. ImageNet's synsets, for a model of 1,000 classes: `n01440764`, …
    3. A folder's name begins with the number of its class, counted from 0: `3_Dress`, `07`.
    4. There are as many folders as classes: they are the classes, sorted by name.

    A rule that applies to one folder must apply to all of them, since it would be by chance that
    a data set with a misspelt folder was sorted as the classes are. Not every class needs a folder.

    Args:
        names: Of the folders, sorted.
        classes: Number of the model's classes.
        labels: The classes' names, where they are known.

    Returns:
        The class of each folder, from 0, and the rule in words.

    Raises:
        ValueError: If no rule applies, a rule fits some of the folders only, a number is no class,
            or two folders are of one class.

    >>> classes_of_folders(["ankle-boot", "bag"], 3, ["Bag", "Sandal", "Ankle boot"])
    ([2, 0], 'by the labels')
    >>> classes_of_folders(["0_T-shirt", "2_Dress"], 3)
    ([0, 2], 'by their numbers')
    """
    exactly = {label: i for i, label in enumerate(labels or ())}
    if len(exactly) < len(labels or ()):  # two classes of one name
        exactly = {}
    by_label = _by_name(labels or ())
    for rule, find in (
        ("by the labels", lambda name: exactly.get(name, by_label.get(_sanitized(name)))),
        ("by their synsets", _synsets(classes).get),
        ("by their numbers", _leading_number),
    ):
        found = [find(name) for name in names]
        if any(index is not None for index in found):
            return _checked(names, found, classes, rule), rule
    if len(names) == classes:
        return list(range(classes)), "in sorted order"
    raise ValueError(
        f"It must be clear which of the {classes} classes a folder holds: by its name, a label of "
        "the sidecar or a number from 0 in front, or by as many folders as classes. "
        f"Received: {len(names)} folders, '{names[0]}' the first of them"
    )


def _checked(
    names: Sequence[str], found: Sequence[int | None], classes: int, rule: str
) -> list[int]:
    indices = []
    for name, index in zip(names, found, strict=True):
        if index is None or index >= classes:
            one = next(n for n, i in zip(names, found, strict=True) if i is not None)
            raise ValueError(
                f"The folders are told apart {rule}, as '{one}' shows, so each must be one of the "
                f"{classes} classes, 0 to {classes - 1}. Received: folder '{name}'"
            )
        indices.append(index)
    (index, count), *_ = Counter(indices).most_common(1)
    if count > 1:
        same = [name for name, other in zip(names, indices, strict=True) if other == index]
        raise ValueError(
            f"There must be one folder a class. Received: '{same[0]}' and '{same[1]}', both class "
            f"{index} {rule}"
        )
    return indices


def _by_name(labels: Sequence[str]) -> dict[str, int]:
    """Returns the labels' indices by sanitised name, without those that several labels share."""
    names = [_sanitized(label) for label in labels]
    counts = Counter(names)
    return {name: i for i, name in enumerate(names) if name and counts[name] == 1}


def _sanitized(name: str) -> str:
    return "".join(sign for sign in name.casefold() if sign.isalnum())


def _synsets(classes: int) -> dict[str, int]:
    if classes != _IMAGENET_CLASSES:
        return {}
    (best,) = decode_predictions(-np.arange(float(classes))[None], top=classes)
    return {str(synset): i for i, (synset, _, _) in enumerate(best)}


def _leading_number(name: str) -> int | None:
    match = re.match(r"(\d+)(?![^\W_])", name)  # no letter behind: 3d_printer is no class 3
    return None if match is None else int(match[1])
