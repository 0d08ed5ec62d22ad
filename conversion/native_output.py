"""Captures what native libraries print: they write past Python, to descriptor 2."""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

_ERROR = re.compile(r"ERROR|F\d{4} |.*Check failed")
"""LiteRT's errors, and what TensorFlow and XLA say before they end the process."""

LONGEST = 20_000
"""How many bytes of the end of the output are kept for an error message."""

_shown = False


class Captured:
    """The text that has been written to descriptor 2 so far."""

    def __init__(self, file: IO[bytes] | None = None) -> None:
        self._file = file

    def text(self) -> str:
        """Returns the end of the output, decoded; empty where nothing is captured."""
        if self._file is None:
            return ""
        size = self._file.seek(0, os.SEEK_END)
        self._file.seek(max(0, size - LONGEST))
        return self._file.read().decode(errors="replace")

    def errors(self) -> str:
        """Returns the lines of it that report an error, not those that describe the machine."""
        return "".join(
            f"{line}\n" for line in self.text().splitlines() if _ERROR.match(line) is not None
        )


@contextmanager
def captured(enabled: bool = True) -> Iterator[Captured]:
    """Keeps what native code writes to descriptor 2 from the screen.

    `sys.stderr` goes on to write where it wrote before, so only native code is captured.

    Args:
        enabled: Whether to do so; if not, captures within this one let everything through too.
    """
    global _shown
    if not enabled:
        before, _shown = _shown, True
        try:
            yield Captured()
        finally:
            _shown = before
        return
    if _shown:
        yield Captured()
        return
    stderr = sys.stderr
    stderr.flush()
    with tempfile.TemporaryFile() as file:
        screen = os.dup(2)
        try:
            os.dup2(file.fileno(), 2)
            with os.fdopen(os.dup(screen), "w", encoding=stderr.encoding, buffering=1) as python:
                # A test or an application may have put something else in its place already.
                if _writes_to(stderr, 2):
                    sys.stderr = python
                try:
                    yield Captured(file)
                finally:
                    sys.stderr = stderr
        finally:
            os.dup2(screen, 2)
            os.close(screen)


def _writes_to(stream: object, descriptor: int) -> bool:
    try:
        return bool(stream.fileno() == descriptor)  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return False
