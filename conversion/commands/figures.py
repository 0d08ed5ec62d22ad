"""`--json PATH`: what a command has measured, for programs."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_fastvit.conversion.commands.running import UsageError

if TYPE_CHECKING:
    from rich.console import Console

STANDARD_OUTPUT = Path("-")


def add_json_argument(parser: argparse.ArgumentParser, optional: bool = False) -> None:
    """Adds `--json PATH`.

    Args:
        parser: Of the command.
        optional: Whether `--json` alone means standard output.
    """
    alone = {"nargs": "?", "const": STANDARD_OUTPUT} if optional else {}
    parser.add_argument(
        "--json",
        type=Path,
        metavar="PATH",
        help="where to write the figures for programs; - for standard output",
        **alone,  # type: ignore[arg-type]  # they are of several types
    )


def check_json(path: Path | None, files: Iterable[Path] = ()) -> None:
    """Checks that figures would not be written over a `.tflite` file or its sidecar.

    Raises:
        UsageError: If they would.
    """
    from keras_fastvit.conversion.tflite import sidecar

    for file in files:
        if path in (file, sidecar.beside(file)):
            what = "the file itself" if path == file else "a sidecar"
            raise UsageError(f"--json would overwrite {what}. Received: {path}")


def console_beside(path: Path | None) -> "Console":
    """Returns where the tables go: standard error if the figures take standard output."""
    from rich.console import Console

    return Console(markup=False, highlight=False, stderr=path == STANDARD_OUTPUT)


def write_json(content: Any, path: Path | None) -> None:
    """Writes figures where `--json` says; nowhere if it is not given.

    Raises:
        OSError: If the file cannot be written.
    """
    if path is None:
        return
    import json

    text = json.dumps(content, indent=2, default=str, ensure_ascii=False) + "\n"
    if path == STANDARD_OUTPUT:
        sys.stdout.write(text)
        return
    from keras_fastvit.atomic_file import written_beside

    with written_beside(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
