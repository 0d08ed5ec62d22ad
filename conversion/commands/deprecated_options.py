"""Options of earlier releases: they work until 0.3, with a warning, and are not in `--help`."""

import argparse
import warnings
from typing import Any

INSTEAD = {
    ("evaluate", "--model"): "name the model beside the files: `evaluate M.tflite MODEL`",
    ("evaluate", "--plot"): "`--output DIR` draws confusion.png",
    ("predict", "--tflite"): "`--model M.tflite` runs a file",
}
"""By command and option: what to do in its place."""


def add_deprecated_option(
    parser: argparse.ArgumentParser, command: str, option: str, **kwargs: Any
) -> None:
    """Adds an option of `INSTEAD`, with `add_argument`'s keywords."""
    assert (command, option) in INSTEAD
    parser.add_argument(option, dest=_name(option), help=argparse.SUPPRESS, **kwargs)


def warn_of_deprecated_options(command: str, args: argparse.Namespace) -> None:
    """Warns of each deprecated option that was given."""
    for (of, option), instead in INSTEAD.items():
        if of == command and getattr(args, _name(option)) is not None:
            # As if from the script itself: Python shows users no other deprecations.
            warnings.warn_explicit(
                f"`{command} {option}` works until 0.3: {instead}",
                DeprecationWarning,
                filename="keras-fastvit",
                lineno=1,
                module="__main__",
            )


def _name(option: str) -> str:
    return "deprecated_" + option.removeprefix("--").replace("-", "_")
