"""Runs the command line in the tests' process."""

from keras_fastvit.conversion.__main__ import main


def command(*arguments: object) -> int:
    """Runs `keras-fastvit` with these words; returns its exit status."""
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as error:  # argparse's
        return int(error.code or 0)
