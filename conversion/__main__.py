"""The console script `keras-fastvit`: the commands of this package under one name.

    keras-fastvit export --help

prints the arguments of `export`, and so on. A command's module, and with it Keras, is imported when
the command is run.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence

COMMANDS = {
    "train": (".commands.train", "a model on a folder of images"),
    "port": (".commands.port", "weights between Keras, timm and Apple"),
    "export": (".exporting.export", "a model to a .tflite file"),
    "predict": (".commands.predict", "the classes of images, by a model or a .tflite file"),
    "inspect": (".commands.inspect", "what a .tflite file is made of"),
    "benchmark": (".commands.benchmark", ".tflite files' times, side by side"),
    "evaluate": (".commands.evaluate", ".tflite files' accuracy on a folder of images"),
    "evaluate-released": (".commands.evaluate_released", "released weights' accuracy on ImageNet"),
}
"""By name: the module whose `main` runs the command, and what it does."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="keras-fastvit",
        description="FastViT: from a PyTorch checkpoint to a file for the phone.",
        epilog="commands:\n"
        + "".join(f"  {name:17} {summary}\n" for name, (_, summary) in COMMANDS.items())
        + "\n`keras-fastvit COMMAND --help` tells more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help=", ".join(COMMANDS))
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="the command's own")
    args = parser.parse_args(argv)
    module, _ = COMMANDS[args.command]
    sys.argv[0] = f"keras-fastvit {args.command}"  # for the command's own messages
    status: int = importlib.import_module(module, __package__).main(args.arguments)
    return status


if __name__ == "__main__":
    sys.exit(main())
