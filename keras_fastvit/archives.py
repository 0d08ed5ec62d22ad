"""Zip archives from strangers: what they say of their sizes is looked at before they are read."""

import struct
import zipfile
from pathlib import Path

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
        raise ValueError(f"{type(error).__name__}: {error}") from error
    size = sum(entry.file_size for entry in entries)
    if size > max(_TIMES * path.stat().st_size, _ROOM):
        raise ValueError(f"{len(entries)} entries that unpack to {size} bytes")
    return entries
