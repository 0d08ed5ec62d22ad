"""Runs a command: quietly, with errors in one line, and an end to it at Ctrl-C."""

import argparse
import io
import os
import sys
import warnings

from keras_fastvit.conversion.native_output import captured

QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_CPP_MIN_VLOG_LEVEL": "0",
    "GLOG_minloglevel": "3",
    "GRPC_VERBOSITY": "ERROR",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}
"""Environment variables by which TensorFlow, XLA and their like are told to print errors alone."""

FAILURES = (ArithmeticError, ImportError, OSError, ValueError)
"""What functions of this package raise, with a message for the user."""

EXTRAS = {
    "ai_edge_litert": "convert",
    "matplotlib": "evaluate",
    "rich": "convert",
    "scipy": "evaluate",
    "tensorflow": "convert",
}
"""By the name of a package that is not always installed: the extra that installs it."""


class UsageError(Exception):
    """Arguments that do not go together; the message says what was expected."""


def run(args: argparse.Namespace) -> int:
    """Runs the command that the arguments name; returns its exit status.

    What native libraries print while it runs is kept from the screen, unless `--verbose` is given.
    If the command fails, their errors are printed before its own.

    Raises:
        UsageError: If the arguments do not go together.
    """
    program = args.parser.prog
    if not args.verbose:
        os.environ.update(QUIET)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as of stderr: paths need not be Unicode
    with warnings.catch_warnings(), captured(enabled=not args.verbose) as output:
        warnings.showwarning = _show_warning
        try:
            status: int = args.run(args)
        except KeyboardInterrupt:
            print(f"{program}: interrupted", file=sys.stderr)
            return 130
        except BrokenPipeError:
            raise
        except FAILURES as error:
            sys.stderr.write(output.errors())
            package = (getattr(error, "name", None) or "").partition(".")[0]
            if isinstance(error, ModuleNotFoundError) and package in EXTRAS:
                error.add_note(f'`pip install "keras-fastvit[{EXTRAS[package]}]"` installs it.')
            message = " ".join([str(error), *getattr(error, "__notes__", [])])
            print(f"{program}: {message}", file=sys.stderr)
            return 2
        except UsageError:
            raise
        except BaseException:
            sys.stderr.write(output.text())
            raise
    return status


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: object = None,
    line: str | None = None,
) -> None:
    """Prints a warning in a line of its own, without the line of code that caused it."""
    print(f"warning: {message}", file=sys.stderr)
