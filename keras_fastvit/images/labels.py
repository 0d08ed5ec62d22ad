"""The names of a file's classes."""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from keras_fastvit.plain_text import LONGEST_NAME, in_short, is_name


def read_labels(path: str | os.PathLike[str]) -> list[str]:
    """Reads a text file with one name a line, in the order of the classes.

    Raises:
        FileNotFoundError: If there is nothing at `path`.
        ValueError: If it is no UTF-8 text, a line before the last name is empty, or a name cannot
            be shown.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"Expected a text file with the name of a class in each line. Received: '{path}', "
            f"{'a folder' if path.is_dir() else 'where there is nothing'}"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin a file with a mark
    except UnicodeDecodeError as error:
        raise ValueError(
            f"Labels are a text in UTF-8, one name a line. Received: '{path}', where {error}"
        ) from error
    # Not `splitlines`, to which U+2028, U+0085 and others inside a name are ends of lines as well.
    names = [line.strip() for line in re.split(r"\r\n|\r|\n", text.rstrip())]
    if "" in names:
        raise ValueError(
            f"Labels are one name a line, without empty lines between them. Received: '{path}', "
            f"line {names.index('') + 1} of {len(names)} is empty"
        )
    check_names(names, f"Cannot use '{path}' as labels. ")
    return names


def check_names(names: Iterable[str], where: str = "") -> None:
    """Checks that each name can be written, read and shown as one line.

    Args:
        names: Of classes.
        where: Begins the error.

    Raises:
        ValueError: If one has control characters or ends of lines, is no Unicode, or too long.
    """
    if unfit := [name for name in names if not is_name(name)]:
        raise ValueError(
            f"{where}The name of a class must be one line of Unicode text, of at most "
            f"{LONGEST_NAME} characters, without control characters: rename it. "
            f"Received: {in_short(repr(unfit[0]))}"
        )


def check_labels(
    labels: Sequence[str], output_shape: Sequence[int], of_pixels: bool = False
) -> None:
    """Checks that there is a name for each class, and that each can be shown.

    Args:
        labels: Names of the classes.
        output_shape: Shape of the file's output.
        of_pixels: Whether the output may also be `(1, height, width, classes)`.

    Raises:
        ValueError: If the output is not `(1, classes)` with as many classes as labels, or a label
            is not one line of text.
    """
    if len(output_shape) != 2 and not (of_pixels and len(output_shape) == 4):
        pixels = ", or of its pixels, (1, height, width, classes)" if of_pixels else ""
        raise ValueError(
            f"Labels name the classes of an image, whose output is (1, classes){pixels}. "
            f"Received: {len(labels)} labels for an output of shape {tuple(output_shape)}"
        )
    if len(labels) != output_shape[-1]:
        raise ValueError(
            "Labels must match the model's classes, one name each. "
            f"Received: {len(labels)} labels for {output_shape[-1]} classes"
        )
    check_names(labels)
