"""The console script `keras-fastvit`, for commands of this package that need what stands on it.

Export and quantisation are built on this package, not part of it, so it does not import them: they
are reached by the name under which they are installed.
"""

import argparse
from collections.abc import Sequence
from importlib.metadata import entry_points


def run_installed(
    parser: argparse.ArgumentParser, option: str, command: str, arguments: Sequence[str]
) -> int:
    """Runs `keras-fastvit COMMAND ARGUMENTS` in this process; returns its exit status.

    Args:
        parser: Which ends the process with a message if the script is not installed.
        option: What the user has asked for.
        command: Name of a subcommand.
        arguments: The subcommand's own.
    """
    found = entry_points(group="console_scripts", name="keras-fastvit")
    if not found:
        parser.error(
            f"{option} runs `keras-fastvit {command}`. Expected it to be installed. "
            "Received: no command keras-fastvit in this environment"
        )
    (script,) = found
    status: int = script.load()([command, *arguments])
    return status
