"""Running the fetched tools."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .tools import JAVA_HOME, LIBRARY_PATH

SHORT_RUN = ("-XX:TieredStopAtLevel=1",)
"""Options of Java's for a tool that ends before optimising its code has paid."""


class ToolError(Exception):
    """A tool refused what it was given; the message holds what it said."""


def run(command: Sequence[str | Path], *, quiet: bool = True) -> str:
    """Runs a command and returns what it printed on its standard output.

    Args:
        command: The program and its arguments.
        quiet: False where what it prints is for people: it is then shown as it comes.

    Raises:
        ToolError: If it cannot be started, or ends with another status than 0.
    """
    libraries = ":".join(str(folder) for folder in LIBRARY_PATH)
    try:
        finished = subprocess.run(
            [str(part) for part in command],
            capture_output=quiet,
            text=True,
            env={**os.environ, "LD_LIBRARY_PATH": libraries, "JAVA_HOME": str(JAVA_HOME)},
        )
    except OSError as error:
        raise ToolError(f"Expected a program that runs. Received: {error}") from error
    if finished.returncode:
        said = f"{finished.stdout or ''}{finished.stderr or ''}".strip() or "nothing more"
        name = Path(str(command[0])).name
        raise ToolError(f"{name} ended with {finished.returncode}. Received: {said}")
    return finished.stdout or ""


def java(
    classpath: Sequence[Path],
    main: str,
    *arguments: str | Path,
    options: Sequence[str] = SHORT_RUN,
    quiet: bool = True,
) -> str:
    """Runs a class of Java's, with options of the machine's, in a process of its own; see `run`."""
    path = ":".join(str(entry) for entry in classpath)
    machine = ("-XX:+UseSerialGC", "-Xmx2g", *options)
    return run(
        [JAVA_HOME / "bin" / "java", *machine, "-cp", path, main, *arguments],
        quiet=quiet,
    )
