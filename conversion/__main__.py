"""The console script `keras-fastvit`: the commands of this package under one name.

    keras-fastvit export --help

prints the arguments of `export`, and so on. Neither Keras nor a backend is imported before the
arguments have been read: a command's module describes its arguments, and imports what it needs
when it runs.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

import shtab

from keras_fastvit.conversion.commands.running import UsageError, run

COMMANDS = {
    "train": "train a model on a folder of images",
    "export": "write a model as a .tflite file",
    "predict": "name the classes of images",
    "evaluate": "measure the accuracy of models and .tflite files",
    "benchmark": "time .tflite files side by side",
    "inspect": "show what a .tflite file is made of",
    "port": "convert weights between the layouts of Keras, timm and Apple",
    "evaluate-released": "measure the released weights on ImageNet",
}
"""By name: what the command does. Its module in `commands` has the same name."""


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="keras-fastvit",
        description="FastViT in Keras: from a PyTorch checkpoint or a folder of images to a phone.",
        epilog="`keras-fastvit COMMAND --help` lists a command's arguments.",
    )
    parser.add_argument("--version", action="version", version=version("keras-fastvit"))
    shtab.add_argument_to(parser, "--print-completion", help="print a shell's completion script")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        module = importlib.import_module(
            f"keras_fastvit.conversion.commands.{name.replace('-', '_')}"
        )
        description, _, epilog = (module.__doc__ or "").partition("\n\n")
        subparser = subparsers.add_parser(
            name,
            help=summary,
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(subparser)
        subparser.add_argument(
            "--verbose", action="store_true", help="show what TensorFlow, JAX and LiteRT print"
        )
        subparser.set_defaults(run=module.run, parser=subparser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit status."""
    try:
        args = make_parser().parse_args(argv)
        args.argv = list(sys.argv[1:] if argv is None else argv)
        try:
            return run(args)
        except UsageError as error:
            args.parser.error(str(error))
            raise  # not reached
    except BrokenPipeError:  # whoever reads, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nor does Python complain when it ends
        return 1


if __name__ == "__main__":
    sys.exit(main())
