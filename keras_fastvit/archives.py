"""Zip archives from strangers: what they say of their sizes is looked at before they are read."""

import math
import struct
import sys
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from keras_fastvit.arrays import Array
from keras_fastvit.plain_text import in_short, shown

_ROOM = 2**26
_TIMES = 4

UNREADABLE = (zipfile.BadZipFile, struct.error, EOFError, OSError, RuntimeError, ValueError)
"""What `zipfile` raises for damaged archives, and for ways of compression that it does not know."""


def checked_entries(path: Path) -> list[zipfile.ZipInfo]:
    """Returns an archive's entries, if together they unpack to no more than a file of its size may.

    That is four times its bytes, or 64 MiB: weights hardly shrink, and who writes them does not
    compress them.

    Raises:
        ValueError: If it is no whole archive, or unpacks to more; the message is what was received.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except UNREADABLE as error:
        raise ValueError(f"{type(error).__name__}: {in_short(error)}") from error
    size = sum(entry.file_size for entry in entries)
    if size > max(_TIMES * path.stat().st_size, _ROOM):
        raise ValueError(f"{len(entries)} entries that unpack to {size} bytes")
    return entries


def array_names(path: Path) -> list[str]:
    """Returns the names of the arrays in an `.npz` file.

    Raises:
        ValueError: As `checked_entries` does.
    """
    return [entry.filename.removesuffix(".npy") for entry in checked_entries(path)]


def read_arrays(path: Path, names: Collection[str] | None = None) -> dict[str, Array]:
    """Reads arrays of an `.npz` file, having looked at what each says of itself.

    Args:
        path: The file.
        names: Which to read, of those that are there; default: all.

    Raises:
        ValueError: If it is no whole `.npz` file, or an array is of Python objects, which could run
            code, or says that it has more values than there are; the message is what was received.
    """
    if not path.is_file():
        raise ValueError("a folder" if path.is_dir() else "no file")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path.stat().st_size} other bytes")
    found: dict[str, Array] = {}
    for entry in checked_entries(path):
        name = entry.filename.removesuffix(".npy")
        if names is not None and name not in names:
            continue
        try:
            with zipfile.ZipFile(path) as archive, archive.open(entry) as file:
                _check_array(file, entry.file_size)
            with zipfile.ZipFile(path) as archive, archive.open(entry) as file:
                found[name] = _checked_text(npy.read_array(file, allow_pickle=False))
        except Exception as error:  # of zipfile, zlib and NumPy: damage shows anywhere
            received = f"a damaged array '{shown(name)}' ({in_short(error)})"
            raise ValueError(received) from error
    return found


def _check_array(file: Any, size: int) -> None:
    """Checks what an array says of itself, in so many bytes.

    Raises:
        ValueError: If it is of Python objects, or needs more bytes.
    """
    read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    version = npy.read_magic(file)
    if version not in read_header:
        raise ValueError(f"version {version} of the format")
    shape, _, dtype = read_header[version](file)
    if dtype.hasobject:
        raise ValueError("Python objects, which could run code")
    # A value of no bytes, such as an empty string, takes a place all the same.
    if min(shape, default=0) < 0 or math.prod(shape) * max(dtype.itemsize, 1) > size:
        raise ValueError(f"{dtype} of shape {shape}, for which {size} bytes are too few")


def _checked_text(array: Array) -> Array:
    """Returns an array in which any text is Unicode: NumPy gives out what Python crashes on.

    Raises:
        ValueError: If it is not.
    """
    if array.dtype.kind == "U" and array.size and array.dtype.itemsize:
        signs = np.ascontiguousarray(array).reshape(-1).view(f"{array.dtype.byteorder}u4")
        if signs.max() > sys.maxunicode:
            raise ValueError(f"a text with the sign {hex(signs.max())}, which is not Unicode")
    return array
