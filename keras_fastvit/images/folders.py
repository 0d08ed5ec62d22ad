"""Folders of images: what counts in them, their splits, and which class a sub-folder holds."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_fastvit.arrays import Array
from keras_fastvit.images.labels import check_names
from keras_fastvit.images.preprocessing import decode_predictions

_IMAGENET_CLASSES = 1000

TRAIN, VALIDATION, TEST = "train", "validation", "test"
"""What the images of a split data set are for."""

_SPLITS = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "eval", "evaluation", "dev"), VALIDATION),
    **dict.fromkeys(("test", "testing"), TEST),
}
"""By the name of a folder, in lower case: what its images are for."""

_HIDDEN = {
    *("__macosx", "icon\r"),  # macOS; the latter is a folder's picture
    *("thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information"),
    *("@eadir", "#recycle", "@recycle", "#snapshot", "@recently-snapshot"),  # network drives
    *("lost+found", "__pycache__"),
}
"""What systems put beside a user's files, some of it small copies of the images; in lower case."""


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
    """Lists the files in a folder's sub-folders, at any depth, without hidden ones.

    Raises:
        FileNotFoundError: If there is nothing at `root`.
        NotADirectoryError: If it is no folder.
        ValueError: If it has no sub-folders, or there are no files in them; if a name cannot be
            that of a class; if there are splits where there should be classes, or in a class.
    """
    expected = "Expected a folder with one sub-folder a class"
    root = existing_folder(root, expected)
    names = folders_in(root)
    if not names:
        raise ValueError(f"{expected}. Received: '{root}', without any")
    if splits := find_splits(root):
        raise ValueError(
            f"{expected}. Received: '{root}', where the folders are splits, "
            f"{_listed(path.name for path in splits.values())}: give the one that is wanted, such "
            f"as '{list(splits.values())[-1]}'"
        )
    check_names(names, f"Cannot use the folders in '{root}' as classes. ")
    stripped = Counter(["", *(name.strip() for name in names)])  # as a file with labels has them
    if same := [name for name in names if stripped[name.strip()] > 1]:
        raise ValueError(
            "The names of classes must differ by more than spaces around them. Received: "
            f"{_listed(same)} in '{root}'"
        )
    images, folders = [], []
    for index, name in enumerate(names):
        if splits := find_splits(root / name):
            raise ValueError(
                f"Expected folders of splits with folders of classes in them, such as "
                f"'{root / 'train' / name}'. Received: '{root / name}', a class that has "
                f"{_listed(path.name for path in splits.values())} in it"
            )
        found = files_in(root / name)
        images += found
        folders += [index] * len(found)
    if not images:
        raise ValueError(
            f"Expected images in the sub-folders of '{root}'. "
            f"Received: {len(names)} folders without a file"
        )
    return ImageFolders(root, tuple(names), tuple(images), np.array(folders))


def find_splits(root: str | os.PathLike[str]) -> dict[str, Path]:
    """Returns the folders of a split data set by what they are for; of another one, nothing.

    A folder is split if it has `train` and `val`, or `train` and `test`, in any of their usual
    spellings; if it has nothing but such folders, with folders in them; or if such a folder has one
    in it that is named as one beside it. Otherwise `test` is the name of a class.

    Args:
        root: The folder.

    Returns:
        Folders by `TRAIN`, `VALIDATION` and `TEST`, in this order, those that there are.

    Raises:
        ValueError: If two folders are for the same, or it cannot be told what one is for, as of
            `training_set` and `test_set`.
    """
    root = Path(root)
    names = folders_in(root)
    named = {name: _SPLITS[name.casefold()] for name in names if name.casefold() in _SPLITS}
    purposes = set(named.values())
    inner = {name: folders_in(root / name) for name in names if _is_like_a_split(name)}
    meant = len(named) == len(names) or any("train" in name.casefold() for name in names)
    only_splits = meant and len(inner) == len(names) and any(inner.values())
    beside_classes = any(set(inner[name]) & set(names) for name in named)
    if not (purposes > {TRAIN} or only_splits or beside_classes):
        return {}
    if only_splits and len(named) < len(names):
        raise ValueError(
            "Expected splits that are called train, val and test. "
            f"Received: {_listed(names)} in '{root}'"
        )
    found = {}
    for purpose in (TRAIN, VALIDATION, TEST):
        folders = [name for name in named if named[name] == purpose]
        if len(folders) > 1:
            raise ValueError(
                f"Expected one folder that is called {purpose}, or another word for it. "
                f"Received: {_listed(folders)} in '{root}'"
            )
        if folders:
            found[purpose] = root / folders[0]
    return found


def _is_like_a_split(name: str) -> bool:
    """Returns whether a word for a split is in a name: `seg_train`, `Test Set`, `val2017`."""
    return not _SPLITS.keys().isdisjoint(re.split("[^a-z]+", name.casefold()))


def files_in(folder: str | os.PathLike[str]) -> list[Path]:
    """Returns the files in a folder and the folders in it, sorted, without hidden ones.

    Links are followed; a folder that several paths lead to is looked at once.

    Raises:
        OSError: If a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise error

    found, seen = [], {*Path(folder).resolve().parents}  # a link may lead to one around it
    for place, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        real = Path(place).resolve()
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        found += [Path(place, name) for name in files if not is_hidden(name)]
    return sorted(path for path in found if path.is_file())


def folders_in(root: Path) -> list[str]:
    """Returns the names of a folder's sub-folders, sorted, without hidden ones."""
    with os.scandir(root) as entries:
        # A link to itself is an error to an entry, and no folder to a path.
        found = [Path(x) if x.is_symlink() else x for x in entries if not is_hidden(x.name)]
    return sorted(x.name for x in found if x.is_dir())


def is_hidden(name: str) -> bool:
    """Returns whether a file or folder is not the user's: by a dot in front, or as systems call it.

    >>> [is_hidden(name) for name in (".ipynb_checkpoints", "__MACOSX", "Thumbs.db", "cat.jpg")]
    [True, True, True, False]
    """
    return name.startswith(".") or name.casefold() in _HIDDEN


def existing_folder(path: str | os.PathLike[str], expected: str) -> Path:
    """Returns a path, having checked that a folder is there.

    Args:
        path: The folder's.
        expected: Begins the error.

    Raises:
        FileNotFoundError: If there is nothing.
        NotADirectoryError: If it is no folder.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{expected}. Received: nothing at '{path}'")
    if not path.is_dir():
        raise NotADirectoryError(f"{expected}. Received: '{path}', which is no folder")
    return path


def _listed(names: Iterable[str]) -> str:
    return " and ".join(map(repr, names))


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
